//! What is odd about a policy although every rule of it is right by itself: rules that can never
//! decide anything, limits that are never reached, windows that are over.
//!
//! Whatever is said here is certain. Whether one glob takes in all that another one matches is
//! decided exactly, by running both as automata over the characters that they name; rules are
//! compared sufficiently, not completely: a rule that only several others together cover goes
//! unnoticed.

mod containment;
mod cover;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use diagnostic::{Diagnostic, Diagnostics, SourceFile};
use policy::glob::Glob;
use policy::rule::filter::Reach;
use policy::rule::moment::show_moment;
use policy::{Action, Bucket, Mode, Policy, Rate, Rule};

use self::cover::Pairs;

/// Says what is odd about `policy`, which was read from `sources`, at `now_ms` (milliseconds
/// since the epoch).
pub fn lint(policy: &Policy, sources: &[SourceFile], now_ms: u64) -> Diagnostics {
    let mut problems = Diagnostics::new();
    let files: HashMap<_, _> = sources.iter().map(|file| (file.path.as_path(), file)).collect();
    let file_of = |rule: &Rule| files.get(rule.path()).copied();
    let mut pairs = Pairs::new(policy.rules(), now_ms);
    for (place, rule) in policy.rules().iter().enumerate() {
        let Some(file) = file_of(rule) else { continue };
        let warn = |code, title: String| Diagnostic::warning(code, file, rule.place(), title);
        if let Some(end) = rule.schedule().and_then(|schedule| schedule.not_after_ms)
            && end <= now_ms
        {
            let problem = warn("P110", format!("rule `{}` is over", rule.name()))
                .label(format!("since {}", show_moment(end)))
                .help("it has no effect any more: take it out, or give it another `not-after`");
            problems.push(problem);
            continue;
        }
        if let Some(cover) = pairs.cover(place) {
            let (code, title, label, help) = match (rule.action(), cover.action()) {
                (Action::Forward, Action::Deny) => (
                    "P111",
                    format!(
                        "rule `{}` forwards nothing: `{}` denies all of it",
                        rule.name(),
                        cover.name()
                    ),
                    "all that this rule could forward is denied",
                    "deny wins over forward, whatever the order",
                ),
                (Action::Forward, Action::Forward) => (
                    "P112",
                    format!("rule `{}` never decides: `{}` comes first", rule.name(), cover.name()),
                    "all that this rule forwards is forwarded by the earlier one",
                    "the first rule decides, by the order of file names and then within the file; \
                     write special rules before general ones",
                ),
                _ => (
                    "P112",
                    format!(
                        "rule `{}` never decides: `{}` denies all of it",
                        rule.name(),
                        cover.name()
                    ),
                    "all that this rule denies is denied by another one",
                    "one of the two is enough",
                ),
            };
            let mut problem = warn(code, title).label(label).help(help);
            if let Some(other) = file_of(cover) {
                problem = problem.at(other, cover.place(), format!("`{}`", cover.name()));
            }
            if (&rule.rate(), rule.priority()) != (&cover.rate(), cover.priority())
                && rule.action() == Action::Forward
                && cover.action() == Action::Forward
            {
                problem = problem.help("its own rate and priority have no effect");
            }
            problems.push(problem);
        }
        if forwards_everything(rule) {
            let title = format!("rule `{}` forwards everything of every edge node", rule.name());
            problems.push(
                warn("P116", title)
                    .label("whatever the plant has, and will have, leaves it unless a rule denies it")
                    .help(
                        "name groups, edge nodes and metrics: `sparkdiode policy learn` drafts such \
                         rules from what is there",
                    ),
            );
        }
        // A limit of nodes says nothing about a rule: the rule may be about many of them.
        if let (Some(own), Some(link)) = (rule.rate(), policy.limits().link)
            && never_reached(own, link)
        {
            let title = format!("the rate of rule `{}` is never reached", rule.name());
            problems.push(
                warn("P113", title)
                    .label("`[limits.link]` lets through no more than that")
                    .help(format!("`[limits.link]`: {}", link.describe())),
            );
        }
    }
    if let (Some(node), Some(link)) = (policy.limits().node, policy.limits().link)
        && never_reached(node, link)
        && let Some(first) = sources.first()
    {
        problems.push(
            Diagnostic::file_warning("P113", &first.path, "`[limits.node]` is never reached")
                .help(format!("`[limits.link]`: {}", link.describe())),
        );
    }
    if pairs.gave_up
        && let Some(first) = sources.first()
    {
        let title = "not all rules were compared with each other: there are too many";
        problems.push(Diagnostic::file_warning("P114", &first.path, title));
    }
    problems.sort_by_position(sources);
    problems
}

/// Whether a rule forwards all metrics of all edge nodes and devices.
fn forwards_everything(rule: &Rule) -> bool {
    let selectors = rule.selectors();
    let every = |globs: &Option<Vec<Glob>>| match globs {
        None => true,
        Some(globs) => globs.iter().any(Glob::matches_all_names),
    };
    let topics = selectors.topics.iter().flatten();
    let every_topic = selectors.topics.is_none()
        || topics.into_iter().any(|topic| {
            topic.group.name().is_none()
                && topic.edge_node.name().is_none()
                && matches!(topic.reach, Reach::All)
        });
    rule.mode() == Mode::Enforce
        && rule.forwarded().is_some_and(<[Glob]>::is_empty)
        && rule.datatypes().is_none()
        && every_topic
        && !selectors.node_only
        && selectors.devices.is_none()
        && every(&selectors.groups)
        && every(&selectors.edge_nodes)
}

/// Whether every limit of `own` is at least as wide as one of the same kind in `other`.
fn never_reached(own: Rate, other: Rate) -> bool {
    let wider = |own: Option<Bucket>, other: Option<Bucket>| match (own, other) {
        (None, _) => true,
        (Some(own), Some(other)) => own.per_s >= other.per_s && own.burst >= other.burst,
        (Some(_), None) => false,
    };
    wider(own.messages, other.messages) && wider(own.bytes, other.bytes)
}

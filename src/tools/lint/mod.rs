//! What is odd about a policy although every rule of it is right by itself: rules that can never
//! decide anything, limits that are never reached, windows that are over.
//!
//! Whatever is said here is certain. Whether one glob takes in all that another one matches is
//! decided exactly, by running both as automata over the characters that they name; rules are
//! compared sufficiently, not completely: a rule that only several others together cover goes
//! unnoticed.

mod containment;
mod cover;
mod everything;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use diagnostic::{Diagnostic, Diagnostics, SourceFile};
use policy::glob::Glob;
use policy::rule::moment::show_moment;
use policy::{Action, Bucket, Per, Policy, Rate, Rule};

use self::cover::Pairs;
use self::everything::forward_everything;

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
        if let Some(schedule) = rule.schedule()
            && !schedule.is_open(now_ms)
            && schedule.next_turn_ms(now_ms).is_none()
        {
            let problem = warn("P117", format!("rule `{}` is never in force", rule.name()))
                .label(format!("no moment from now on is in all of this: {schedule}"))
                .help("`weekly` has to open between `not-before` and `not-after`; all are UTC");
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
        let limits = policy.limits();
        // A limit of nodes says nothing about a rule that many of them share.
        let node =
            limits.node.filter(|_| rule.rate().is_some_and(|own| is_of_one_node(rule, &own)));
        for (name, limit) in [("[limits.node]", node), ("[limits.link]", limits.link)] {
            if let (Some(own), Some(limit)) = (rule.rate(), limit)
                && never_reached(own, limit)
            {
                let title = format!("the rate of rule `{}` is never reached", rule.name());
                problems.push(
                    warn("P113", title)
                        .label(format!("`{name}` lets through no more than that"))
                        .help(format!("`{name}`: {}", limit.describe())),
                );
                break;
            }
        }
    }
    for rules in forward_everything(policy.rules()) {
        let Some(last) = rules.last() else { continue };
        let Some(file) = file_of(last) else { continue };
        let title = match rules.as_slice() {
            [only] => format!("rule `{}` forwards everything of every edge node", only.name()),
            several => {
                let names: Vec<String> =
                    several.iter().map(|rule| format!("`{}`", rule.name())).collect();
                format!("rules {} together forward everything of every edge node", names.join(", "))
            }
        };
        problems.push(
            Diagnostic::warning("P116", file, last.place(), title)
                .label("whatever the plant has, and will have, leaves it unless a rule denies it")
                .help(
                    "name groups, edge nodes and metrics: `sparkdiode policy learn` drafts such rules \
                     from what is there",
                ),
        );
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

/// Whether no more than what one edge node has can have the limit of a rule.
fn is_of_one_node(rule: &Rule, rate: &Rate) -> bool {
    let one = |globs: &Option<Vec<Glob>>| {
        globs.as_ref().is_some_and(|globs| matches!(&globs[..], [one] if one.literal().is_some()))
    };
    let selectors = rule.selectors();
    match rate.per {
        Per::EdgeNode | Per::Device => true,
        Per::Rule => one(&selectors.groups) && one(&selectors.edge_nodes),
        Per::Metric => false,
    }
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

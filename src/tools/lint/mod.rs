//! What is odd about a policy although every rule of it is right by itself: rules that can never
//! decide anything, or of which earlier ones take a part and show more of it, limits that are never
//! reached, windows that are over.
//!
//! Whatever is said here is certain. Whether one glob takes in all that another one matches is
//! decided exactly, by running both as automata over the characters that they name; rules are
//! compared sufficiently, not completely: a rule that only several others together cover goes
//! unnoticed.

mod containment;
mod cover;
mod everything;
mod limits;
mod shadow;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use account::RuleId;
use diagnostic::{Diagnostic, Diagnostics, SourceFile};
use policy::rule::moment::show_moment;
use policy::{Action, Mode, Policy, Rule};
use sparkplug::DataType;

use self::cover::Pairs;
use self::everything::forward_everything;

/// Says what is odd about `policy`, which was read from `sources`, at `now_ms` (milliseconds
/// since the epoch).
pub fn lint(policy: &Policy, sources: &[SourceFile], now_ms: u64) -> Diagnostics {
    let mut problems = Diagnostics::new();
    let files: HashMap<_, _> = sources.iter().map(|file| (file.path.as_path(), file)).collect();
    let file_of = |rule: &Rule| files.get(rule.path()).copied();
    let mut pairs = Pairs::new(policy.rules(), now_ms);
    let shadows = shadow::find(policy, now_ms);
    let mut never_decide = Vec::new();
    for ((id, rule), place) in (0..).map(RuleId).zip(policy.rules()).zip(0..) {
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
            && never_opens(rule, now_ms)
        {
            let problem = warn("P117", format!("rule `{}` is never in force", rule.name()))
                .label(format!("no moment from now on is in all of this: {schedule}"))
                .help("`weekly` has to open between `not-before` and `not-after`; all are UTC");
            problems.push(problem);
            continue;
        }
        if let Some(cover) = pairs.cover(place) {
            never_decide.push(id);
            let (code, title, label, help) = covered(rule, cover);
            let mut problem = warn(code, title).label(label).help(help);
            if let Some(other) = file_of(cover) {
                problem = problem.at(other, cover.place(), format!("`{}`", cover.name()));
            }
            if (rule.action(), cover.action()) == (Action::Forward, Action::Forward) {
                if (&rule.rate(), rule.priority()) != (&cover.rate(), cover.priority()) {
                    problem = problem.help("its own rate and priority have no effect");
                }
                for lost in
                    shadows.between(cover, rule, policy).into_iter().flat_map(|one| &one.lost)
                {
                    let (now, before) = (&lost.now, &lost.before);
                    let help = format!("more is shown: {now} (by this rule it would be: {before})");
                    problem = problem.help(help);
                }
            }
            problems.push(problem);
        }
        problems.extend(limits::of_rule(policy, rule, (file, rule.place())));
    }
    let mut forwarding = policy.rules().iter().filter(|rule| rule.action() == Action::Forward);
    // A policy without any is told when it is read.
    if let Some(first) = forwarding.clone().next()
        && forwarding.all(|rule| rule.mode() == Mode::Observe)
        && let Some(file) = file_of(first)
    {
        problems.push(
            Diagnostic::warning("P103", file, first.place(), "nothing is forwarded")
                .label("every forward rule only observes")
                .help("what no rule forwards is dropped; without `mode = \"observe\"` a rule acts"),
        );
    }
    problems.extend(shadows.warnings(policy, &file_of, &never_decide));
    for rules in forward_everything(policy.rules(), now_ms) {
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
        let when = match last.schedule() {
            Some(schedule) => format!(" while it is in force ({schedule})"),
            None => String::new(),
        };
        problems.push(
            Diagnostic::warning("P116", file, last.place(), title)
                .label(format!(
                    "whatever the plant has, and will have, leaves it{when} unless a rule denies it or a shape \
                     drops it"
                ))
                .help(
                    "name groups, edge nodes and metrics: `sparkdiode policy learn` drafts such rules \
                     from what is there",
                ),
        );
    }
    limits::of_nodes(policy, sources, &mut problems);
    if (pairs.gave_up || shadows.gave_up)
        && let Some(first) = sources.first()
    {
        let title = "not all rules were compared with each other: there are too many";
        problems.push(Diagnostic::file_warning("P114", &first.path, title));
    }
    problems.sort_by_position(sources);
    problems
}

/// Code, title, label and hint for a rule about all of which `cover` decides.
fn covered(rule: &Rule, cover: &Rule) -> (&'static str, String, &'static str, &'static str) {
    let (name, other) = (rule.name(), cover.name());
    match (rule.action(), cover.action()) {
        (Action::Forward, Action::Deny) => (
            "P111",
            format!("rule `{name}` forwards nothing: `{other}` denies all of it"),
            "all that this rule could forward is denied",
            "deny wins over forward, whatever the order",
        ),
        (Action::Forward, Action::Redact) => (
            "P111",
            format!("rule `{name}` lets no value cross: `{other}` redacts all of it"),
            "births have the metrics of this rule without values, data never",
            "redaction wins over forward, whatever the order",
        ),
        (Action::Forward, Action::Forward) if refuses_by_itself(rule) => (
            "P112",
            format!("rule `{name}` never lets anything cross: `{other}` comes first"),
            "all that this rule could let cross is decided by the earlier one; it drops what its checks \
             can't look at",
            "the first rule decides, by the order of file names and then within the file; \
             write special rules before general ones",
        ),
        (Action::Forward, Action::Forward) => (
            "P112",
            format!("rule `{name}` never decides: `{other}` comes first"),
            "all that this rule is about is decided by the earlier one",
            "the first rule decides, by the order of file names and then within the file; \
             write special rules before general ones",
        ),
        (_, Action::Redact) => (
            "P112",
            format!("rule `{name}` never decides: `{other}` redacts all of it"),
            "all that this rule redacts is redacted by another one",
            "one of the two is enough",
        ),
        _ => (
            "P112",
            format!("rule `{name}` never decides: `{other}` denies all of it"),
            "all that this rule is about is denied by another one",
            "one of the two is enough",
        ),
    }
}

/// Whether a rule drops opaque values, which pass by rules that say nothing of them.
fn refuses_by_itself(rule: &Rule) -> bool {
    let opaque = [DataType::Bytes, DataType::File, DataType::DataSet];
    let is_about = |datatype: &DataType| {
        rule.datatypes().is_none_or(|datatypes| datatypes.contains(*datatype))
    };
    rule.shapes().may_refuse_opaque() && opaque.iter().any(is_about)
}

/// Whether no moment from `now_ms` on is in the schedule of a rule.
fn never_opens(rule: &Rule, now_ms: u64) -> bool {
    rule.schedule().is_some_and(|schedule| {
        !schedule.is_open(now_ms) && schedule.next_turn_ms(now_ms).is_none()
    })
}

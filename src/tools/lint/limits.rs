//! Limits that are never reached, since a smaller one always comes first, and those that are no smaller
//! than another one.

use std::ops::Range;

use diagnostic::{Diagnostic, Diagnostics, SourceFile};
use policy::glob::Glob;
use policy::{Bucket, Per, Policy, Rate, Rule};

/// How a limit stands to another one that is asked after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// It has room whenever it is asked.
    NeverReached,
    /// Whatever passes the other one passes it; where there is more, either of them may refuse it.
    NoSmaller,
}

/// What is to be said of the limit of a rule that stands in `file` at `place`.
pub(super) fn of_rule(
    policy: &Policy,
    rule: &Rule,
    (file, place): (&SourceFile, Range<usize>),
) -> Option<Diagnostic> {
    let own = rule.rate()?;
    let limits = policy.limits();
    // A limit of nodes says nothing about a rule that many of them share.
    let node = limits.node.filter(|_| is_of_one_node(rule, &own));
    let smaller = [("[limits.node]", node), ("[limits.link]", limits.link)];
    let found: Vec<(&str, Rate, Beside)> = smaller
        .into_iter()
        .filter_map(|(name, limit)| Some((name, limit?, beside(own, limit?)?)))
        .collect();
    let never = found.iter().find(|(.., how)| *how == Beside::NeverReached);
    let (name, limit, how) = never.or(found.first())?;
    let title = match how {
        Beside::NeverReached => format!("the rate of rule `{}` is never reached", rule.name()),
        Beside::NoSmaller => {
            format!("the rate of rule `{}` is no smaller limit than `{name}`", rule.name())
        }
    };
    let problem = Diagnostic::warning("P113", file, place, title)
        .label(format!("`{name}` lets through no more than that"))
        .help(format!("`{name}`: {}", limit.describe()));
    Some(match how {
        Beside::NeverReached => problem,
        Beside::NoSmaller => problem.help(ASKED_FIRST),
    })
}

/// The same of the limit of edge nodes.
pub(super) fn of_nodes(policy: &Policy, sources: &[SourceFile], problems: &mut Diagnostics) {
    if let (Some(node), Some(link)) = (policy.limits().node, policy.limits().link)
        && let Some(how) = beside(node, link)
        && let Some(first) = sources.first()
    {
        let title = match how {
            Beside::NeverReached => "`[limits.node]` is never reached",
            Beside::NoSmaller => "`[limits.node]` is no smaller limit than `[limits.link]`",
        };
        let problem = Diagnostic::file_warning("P113", &first.path, title)
            .help(format!("`[limits.link]`: {}", link.describe()));
        problems.push(match how {
            Beside::NeverReached => problem,
            Beside::NoSmaller => problem.help(ASKED_FIRST),
        });
    }
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

/// What a limit does that lets through as much as a later one.
const ASKED_FIRST: &str =
    "it is asked first, so that it still says whether what is more is dropped or waits";

/// How `own` stands to `other`, which is asked for all that passes `own`, and for more.
fn beside(own: Rate, other: Rate) -> Option<Beside> {
    let wider = |own: Option<Bucket>, other: Option<Bucket>| match (own, other) {
        (None, _) => true,
        (Some(own), Some(other)) => own.per_s >= other.per_s && own.burst >= other.burst,
        (Some(_), None) => false,
    };
    // What is larger than a burst empties a full bucket: the one with the larger burst has to be full
    // again as soon.
    let is_full_as_soon = |own: Option<Bucket>, other: Option<Bucket>| match (own, other) {
        (Some(own), Some(other)) => {
            f64::from(own.burst) * other.per_s <= f64::from(other.burst) * own.per_s
        }
        _ => true,
    };
    if !wider(own.messages, other.messages)
        || !wider(own.bytes, other.bytes)
        || !is_full_as_soon(own.bytes, other.bytes)
    {
        return None;
    }
    // Of both, as much is missing of the wider bucket as of the other one at most: it has room for one
    // more where its burst is larger by one. How large a message is nobody knows.
    let has_one_more = match (own.messages, other.messages) {
        (Some(own), Some(other)) => own.burst > other.burst,
        _ => true,
    };
    let is_never = own.bytes.is_none() && has_one_more;
    Some(if is_never { Beside::NeverReached } else { Beside::NoSmaller })
}

//! Two policies, compared by what they mean: which metrics of which entities cross under one of
//! them and not under the other, each difference with witnesses, and where they let the same
//! things through in another manner.
//!
//! What becomes of a metric depends only on the rules that select its entity. So everything that
//! differs is selected by a rule that isn't the same in both policies, and it is enough to look
//! at what such rules select, at every time at which the schedules of both stand otherwise. There,
//! names fall into finitely many [classes] that no rule tells apart, and one witness of each is
//! judged by both policies. Where that takes too long, it is said that nothing is known: equality is
//! never claimed without having been proved, and neither is that nothing newly crosses.

mod classes;
mod difference;
mod look;
mod patterns;
mod room;
#[cfg(test)]
pub(crate) mod tests;
mod times;
mod whole;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use account::RuleId;
use policy::{Mode, Policy, Rule};

pub use self::difference::{
    Comparison, Difference, MemberDifference, Outcome, Room, Types, Witness,
};
use self::look::Found;
pub(crate) use self::look::Look;
pub(crate) use self::patterns::can_meet;
pub use self::times::Time;
pub(crate) use self::times::times;
pub use self::whole::Whole;

/// Compares two policies at all times from `from_ms` on, in milliseconds since the epoch (UTC).
pub fn compare(before: &Policy, after: &Policy, from_ms: u64) -> Comparison {
    let mut comparison = Comparison {
        whole: whole::compare(before, after),
        observing: observing(before, after),
        ..Comparison::default()
    };
    let (mut before, mut after) = (before.clone(), after.clone());
    let _ = (before.set_time(from_ms), after.set_time(from_ms));
    let changed = changed(&before, &after);
    let Some(times) = times(&before, &after, from_ms) else {
        let why = "schedules stand in too many ways to look at all of them";
        comparison.undecided.push((names_of(&before, &after, &changed), why));
        return comparison;
    };
    let mut found = Found::default();
    let mut looks: Vec<Look> = Vec::new();
    for (side, id) in &changed {
        let policy = if *side == Side::Before { &before } else { &after };
        let Some(rule) = policy.rule(*id).filter(|rule| rule.mode() == Mode::Enforce) else {
            continue;
        };
        match Look::new(&before, &after, rule) {
            Ok(look) => looks.push(look),
            Err(why) => comparison.undecided.push((rule.name().to_owned(), why)),
        }
    }
    for (number, time) in times.iter().enumerate() {
        let _ = (before.set_time(time.from_ms), after.set_time(time.from_ms));
        found.begin(number);
        for look in &looks {
            if let Err(why) = look.at(&before, &after, times.len() > 1, &mut found) {
                comparison.undecided.push((look.rule().to_owned(), why));
            }
        }
    }
    comparison.times = times;
    sort(found, &mut comparison);
    room::find(&before, &mut comparison);
    comparison.undecided.sort_unstable();
    comparison.undecided.dedup();
    comparison
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// Sorts what was found by what is more and what is less.
fn sort(found: Found, comparison: &mut Comparison) {
    let Found { differences, births, members, room, .. } = found;
    // Where metrics differ, births do with them.
    comparison.births = births.into_iter().collect();
    comparison.room = room;
    comparison.members = members
        .into_iter()
        .map(|((newly, rule), path)| MemberDifference { newly, rule, path })
        .collect();
    for ((was, is, contrasts), at) in differences {
        let difference = Difference {
            before: was,
            after: is,
            contrasts,
            witnesses: at.witnesses,
            times: at.times,
        };
        match was.crosses().cmp(&is.crosses()) {
            Ordering::Less => comparison.newly.push(difference),
            Ordering::Greater => comparison.no_longer.push(difference),
            Ordering::Equal => comparison.otherwise.push(difference),
        }
    }
}

/// The rules that aren't the same in both policies, and all of those in common if their order
/// isn't.
fn changed(before: &Policy, after: &Policy) -> Vec<(Side, RuleId)> {
    let fingerprints =
        |policy: &Policy| policy.rules().iter().map(Rule::fingerprint).collect::<Vec<_>>();
    let (left, right) = (fingerprints(before), fingerprints(after));
    let in_left: HashSet<&String> = left.iter().collect();
    let in_right: HashSet<&String> = right.iter().collect();
    let common = |list: &[String], other: &HashSet<&String>| -> Vec<String> {
        list.iter().filter(|one| other.contains(one)).cloned().collect()
    };
    let reordered = common(&left, &in_right) != common(&right, &in_left);
    let pick = |side, list: &[String], other: &HashSet<&String>| {
        (0_u32..)
            .zip(list)
            .filter(|(_, one)| reordered || !other.contains(one))
            .map(|(number, _)| (side, RuleId(number)))
            .collect::<Vec<_>>()
    };
    let mut changed = pick(Side::Before, &left, &in_right);
    changed.extend(pick(Side::After, &right, &in_left));
    changed
}

fn names_of(before: &Policy, after: &Policy, changed: &[(Side, RuleId)]) -> String {
    let name = |(side, id): &(Side, RuleId)| {
        let policy = if *side == Side::Before { before } else { after };
        policy.rule(*id).map(|rule| rule.name().to_owned())
    };
    let names: BTreeSet<String> = changed.iter().filter_map(name).collect();
    names.into_iter().collect::<Vec<_>>().join("`, `")
}

/// Rules that only observe and aren't the same in both.
fn observing(before: &Policy, after: &Policy) -> Vec<String> {
    let observing = |policy: &Policy| -> BTreeMap<String, String> {
        let rules = policy.rules().iter().filter(|rule| rule.mode() == Mode::Observe);
        rules.map(|rule| (rule.name().to_owned(), rule.fingerprint())).collect()
    };
    let (left, right) = (observing(before), observing(after));
    let names: BTreeSet<&String> = left.keys().chain(right.keys()).collect();
    names.into_iter().filter(|name| left.get(*name) != right.get(*name)).cloned().collect()
}

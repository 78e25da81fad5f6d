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
mod look;
mod patterns;
mod room;
#[cfg(test)]
mod tests;
mod times;
mod whole;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use account::{Reason, RuleId};
use policy::{Action, Contrast, Mode, Policy, Rule, Shows};
use sparkplug::DataType;

use self::look::{Found, Look};
pub use self::room::Room;
pub use self::times::Time;
pub use self::whole::Whole;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// What crosses under the second policy and not under the first.
    pub newly: Vec<Difference>,
    /// What crosses under the first policy and not under the second.
    pub no_longer: Vec<Difference>,
    /// What crosses under both, but in another manner: other limits, values, names.
    pub otherwise: Vec<Difference>,
    /// Members of templates that rules take out under one policy alone, wherever a template with
    /// them crosses.
    pub members: Vec<MemberDifference>,
    /// Rules that changed and about which nothing could be found out, and why.
    pub undecided: Vec<(String, &'static str)>,
    /// Edge nodes and devices of which births and deaths cross under one policy alone, though
    /// no metric does: what crosses newly (`true`), or no longer.
    pub births: Vec<(bool, String)>,
    /// What belongs to no rule: names on IT, limits of all rules together.
    pub whole: Vec<Whole>,
    /// What may cross instead of what doesn't any more.
    pub room: BTreeSet<Room>,
    /// Rules that only observe of which the first or the second policy has others than the other
    /// one: they decide nothing.
    pub observing: Vec<String>,
    /// The times that were looked at; one if no schedule changes anything.
    pub times: Vec<Time>,
}

impl Comparison {
    /// Whether it is proved that both let the same things through, in the same manner.
    pub fn is_equal(&self) -> bool {
        self.newly.is_empty()
            && self.no_longer.is_empty()
            && self.otherwise.is_empty()
            && self.members.is_empty()
            && self.undecided.is_empty()
            && self.births.is_empty()
            && self.whole.is_empty()
            && self.observing.is_empty()
    }

    /// Whether it is proved that nothing crosses under the second policy, and nothing is shown of
    /// it, that isn't under the first.
    pub fn shows_no_more(&self) -> bool {
        let less = |contrast: &Contrast| contrast.shows == Shows::Less;
        self.newly.is_empty()
            && self.otherwise.iter().all(|one| one.contrasts.iter().all(less))
            && self.members.iter().all(|member| !member.newly)
            && self.undecided.is_empty()
            && self.births.iter().all(|(newly, _)| !newly)
            && self.whole.iter().all(|whole| whole.shows == Shows::Less)
            && self.room.is_empty()
    }
}

/// Metrics that come to the same under either policy.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Under the first policy.
    pub before: Outcome,
    /// Under the second policy.
    pub after: Outcome,
    /// What is otherwise, where it crosses under both.
    pub contrasts: Vec<Contrast>,
    /// Some of them, the shortest names first.
    pub witnesses: Vec<Witness>,
    /// At which of [`Comparison::times`].
    pub times: BTreeSet<usize>,
}

/// Members that are taken out of templates under one policy alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberDifference {
    /// Under the first one.
    pub newly: bool,
    /// The rule that takes them out.
    pub rule: String,
    /// Such as this path, of metric or definition and member.
    pub path: String,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Forward(RuleId),
    /// Births have it without a value: its name crosses.
    Redact {
        rule: RuleId,
        forward: RuleId,
    },
    Drop(Reason, Option<RuleId>),
}

impl Outcome {
    /// How much crosses: nothing, the name, or the value as well.
    fn crosses(self) -> u8 {
        match self {
            Outcome::Drop(..) => 0,
            Outcome::Redact { .. } => 1,
            Outcome::Forward(_) => 2,
        }
    }

    /// The rule by which something crosses.
    fn forward(self) -> Option<RuleId> {
        match self {
            Outcome::Drop(..) => None,
            Outcome::Forward(rule) | Outcome::Redact { forward: rule, .. } => Some(rule),
        }
    }
}

/// A metric that could be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Witness {
    pub group: String,
    pub edge_node: String,
    pub device: Option<String>,
    pub metric: String,
    pub datatypes: Types,
}

/// The datatypes for which a difference holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Types {
    Every,
    /// Every one whose values aren't opaque: those take a rule that opens them.
    EveryPlain,
    Some(Vec<DataType>),
    /// Only where the datatype isn't known.
    Unknown,
}

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
    let Some(times) = times::times(&before, &after, from_ms) else {
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
    found.sort_into(&mut comparison);
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

impl Found {
    fn sort_into(self, comparison: &mut Comparison) {
        let Found { differences, births, members, room, .. } = self;
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

/// Whether some rule forwards templates.
fn forwards_templates(policy: &Policy) -> bool {
    policy.rules().iter().any(|rule| {
        rule.mode() == Mode::Enforce
            && rule.action() == Action::Forward
            && rule.datatypes().is_none_or(|types| types.contains(DataType::Template))
    })
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

//! What a comparison finds.

use std::collections::BTreeSet;

use account::{Reason, RuleId};
use policy::{Contrast, Shows};
use sparkplug::DataType;

use super::times::Time;
use super::whole::Whole;

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
    pub(super) fn crosses(self) -> u8 {
        match self {
            Outcome::Drop(..) => 0,
            Outcome::Redact { .. } => 1,
            Outcome::Forward(_) => 2,
        }
    }

    /// The rule by which something crosses.
    pub(super) fn forward(self) -> Option<RuleId> {
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

/// What is shared by things that are different and others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// The limit of a rule.
    Limit(String),
    /// Limits of edge nodes or of the link.
    Limits,
    /// Names on IT, of which nobody has one twice.
    Names,
    /// Members that are left out of all instances of a template for the sake of one.
    Members,
    /// What goes by the value that crossed last of a metric, at other times: the rule.
    Held(String),
}

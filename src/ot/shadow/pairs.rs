//! Pairs of what two policies decide about the same metric, each counted in one place.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroU32;

use account::{Reason, RuleId};
use foldhash::fast::RandomState;
use policy::{Contrast, Shows, Verdict};

use super::members::Members;

/// Pairs that are told apart. Rules of both policies and datatypes make them, not the plant.
const MOST: usize = 20_000;
/// What is kept of the words of one pair: lines, and characters of each and of the example.
const MOST_LINES: usize = 12;
const CHARACTERS: usize = 240;

/// Where a metric's pair is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(NonZeroU32);

/// What of a metric crosses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Crossing {
    Nothing,
    /// Births have it without a value.
    Name,
    Values,
}

/// What one policy decides about a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Decision {
    pub(crate) crossing: Crossing,
    /// Why no values cross.
    pub(crate) reason: Option<Reason>,
    /// The rule that says so.
    pub(crate) rule: Option<RuleId>,
    /// The rule that forwards or names it.
    pub(crate) forward: Option<RuleId>,
}

impl Decision {
    /// The entity's name is somebody else's on IT.
    pub(super) const COLLIDES: Decision = Decision {
        crossing: Crossing::Nothing,
        reason: Some(Reason::NameCollision),
        rule: None,
        forward: None,
    };
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Decision {
        let (crossing, reason, rule, forward) = match verdict {
            Verdict::Forward { rule, .. } => (Crossing::Values, None, Some(rule), Some(rule)),
            Verdict::Redact { rule, forward, .. } => {
                (Crossing::Name, Some(Reason::Redacted), Some(rule), Some(forward))
            }
            Verdict::Drop { reason, rule } => (Crossing::Nothing, Some(reason), rule, None),
        };
        Decision { crossing, reason, rule, forward }
    }
}

/// What would be otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// It would cross, or its values would.
    Newly,
    /// It crosses, and would not, or its values would not.
    NoLonger,
    /// It crosses under both, in another manner.
    Otherwise,
    /// It can't be said.
    Unknown,
    /// Nothing.
    Same,
}

/// By what pairs are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) before: Decision,
    pub(super) after: Decision,
    /// Where the shapes are, of what crosses under both.
    pub(super) shapes: [usize; 2],
    pub(super) datatype: Option<u32>,
    pub(super) is_renamed: bool,
    pub(super) members: Members,
    /// The rule of the policy in shadow that would decide, were it not only to observe.
    pub(super) observed: Option<RuleId>,
}

impl Key {
    pub(super) fn new(before: Decision, after: Decision) -> Key {
        let members = Members::Same;
        Key {
            before,
            after,
            shapes: [0; 2],
            datatype: None,
            is_renamed: false,
            members,
            observed: None,
        }
    }
}

/// One pair, and how often it was met.
#[derive(Clone, Debug)]
struct Pair {
    kind: Kind,
    before: Decision,
    after: Decision,
    /// What the policy in shadow says, for the hits of its rules.
    verdict: Option<Verdict>,
    observed: Option<RuleId>,
    /// What of what crosses under both is otherwise.
    lines: Vec<String>,
    example: String,
    metrics: u64,
    first_ms: u64,
    last_ms: u64,
}

/// A difference between both policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) kind: Kind,
    pub(crate) before: Decision,
    pub(crate) after: Decision,
    pub(crate) lines: Vec<String>,
    /// The metric that was met first.
    pub(crate) example: String,
    pub(crate) metrics: u64,
    /// In milliseconds since the epoch.
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
}

/// Metrics of births and data by what would become of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) same: u64,
    pub(crate) newly: u64,
    pub(crate) no_longer: u64,
    pub(crate) otherwise: u64,
    pub(crate) unknown: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pairs: Vec<Pair>,
    places: HashMap<Key, u32, RandomState>,
    totals: Totals,
}

/// What is told of a pair: contrasts, whether the entity has another name, and an example.
type Told = (Vec<Contrast>, bool, String);

impl Pairs {
    /// The mark of a pair; what is told of it is asked for once.
    pub(super) fn mark(&mut self, key: Key, verdict: Verdict, told: impl FnOnce() -> Told) -> Mark {
        if let Some(place) = self.places.get(&key) {
            return mark(*place);
        }
        let place = u32::try_from(self.pairs.len()).unwrap_or(u32::MAX);
        if self.pairs.len() < MOST {
            self.places.insert(key, place);
            self.pairs.push(Pair::new(key, verdict, told()));
            return mark(place);
        }
        // One place for all others: what they are isn't known any more.
        if self.pairs.len() == MOST {
            self.pairs.push(Pair::others());
        }
        mark(u32::try_from(MOST).unwrap_or(u32::MAX))
    }

    /// What the policy in shadow says, where the pair is one of its own: its verdict, and the rule that
    /// would decide, were it not only to observe.
    pub(super) fn said(&self, mark: Mark) -> Option<(Verdict, Option<RuleId>)> {
        let place = usize::try_from(mark.0.get()).unwrap_or(usize::MAX).checked_sub(1)?;
        let pair = self.pairs.get(place)?;
        Some((pair.verdict?, pair.observed))
    }

    /// Counts a metric; what [`Pairs::said`] is of it.
    pub(super) fn count(&mut self, mark: Mark, now_ms: u64) -> Option<(Verdict, Option<RuleId>)> {
        let place = usize::try_from(mark.0.get()).unwrap_or(usize::MAX).checked_sub(1)?;
        let pair = self.pairs.get_mut(place)?;
        pair.metrics = pair.metrics.saturating_add(1);
        if pair.first_ms == 0 {
            pair.first_ms = now_ms;
        }
        pair.last_ms = now_ms;
        let total = match pair.kind {
            Kind::Same => &mut self.totals.same,
            Kind::Newly => &mut self.totals.newly,
            Kind::NoLonger => &mut self.totals.no_longer,
            Kind::Otherwise => &mut self.totals.otherwise,
            Kind::Unknown => &mut self.totals.unknown,
        };
        *total = total.saturating_add(1);
        Some((pair.verdict?, pair.observed))
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    /// Pairs that differ and were met; those of which the same is said are one.
    pub(super) fn differences(&self) -> Vec<Difference> {
        let mut differences: Vec<Difference> = Vec::new();
        let mut places: HashMap<_, usize, RandomState> = HashMap::default();
        for pair in self.pairs.iter().filter(|pair| pair.kind != Kind::Same && pair.metrics > 0) {
            let said = (pair.kind as u8, pair.before, pair.after, &pair.lines);
            let place = *places.entry(said).or_insert(differences.len());
            let Some(known) = differences.get_mut(place) else {
                differences.push(Difference {
                    kind: pair.kind,
                    before: pair.before,
                    after: pair.after,
                    lines: pair.lines.clone(),
                    example: pair.example.clone(),
                    metrics: pair.metrics,
                    first_ms: pair.first_ms,
                    last_ms: pair.last_ms,
                });
                continue;
            };
            known.metrics = known.metrics.saturating_add(pair.metrics);
            known.first_ms = known.first_ms.min(pair.first_ms);
            known.last_ms = known.last_ms.max(pair.last_ms);
        }
        differences.sort_by_key(|one| (one.kind, Reverse(one.metrics)));
        differences
    }
}

impl Pair {
    fn new(key: Key, verdict: Verdict, (contrasts, is_renamed, example): Told) -> Pair {
        let Key { before, after, members, observed, .. } = key;
        let mut lines: Vec<String> = contrasts.iter().map(words).collect();
        if is_renamed && after.crossing == before.crossing && after.crossing != Crossing::Nothing {
            lines.push("otherwise: group, edge node or device has another name on IT".to_owned());
        }
        lines.extend(members.words().map(str::to_owned));
        let kind = match after.crossing.cmp(&before.crossing) {
            std::cmp::Ordering::Greater => Kind::Newly,
            std::cmp::Ordering::Less => Kind::NoLonger,
            std::cmp::Ordering::Equal if after.crossing == Crossing::Nothing => Kind::Same,
            std::cmp::Ordering::Equal => match (members, lines.is_empty()) {
                (_, true) => Kind::Same,
                (Members::Unknown, false) if lines.len() == 1 => Kind::Unknown,
                _ => Kind::Otherwise,
            },
        };
        if kind != Kind::Otherwise && kind != Kind::Unknown {
            lines.clear();
        }
        lines.truncate(MOST_LINES);
        lines.iter_mut().for_each(|line| *line = cut(line));
        let example = cut(&example);
        let verdict = Some(verdict);
        Pair {
            kind,
            before,
            after,
            verdict,
            observed,
            lines,
            example,
            metrics: 0,
            first_ms: 0,
            last_ms: 0,
        }
    }

    /// What is counted where there is no more room.
    fn others() -> Pair {
        let nothing =
            Decision { crossing: Crossing::Nothing, reason: None, rule: None, forward: None };
        Pair {
            kind: Kind::Unknown,
            before: nothing,
            after: nothing,
            verdict: None,
            observed: None,
            lines: vec!["more pairs of rules than are told apart".to_owned()],
            example: String::new(),
            metrics: 0,
            first_ms: 0,
            last_ms: 0,
        }
    }
}

fn mark(place: u32) -> Mark {
    Mark(NonZeroU32::MIN.saturating_add(place))
}

fn words(Contrast { shows, now, before, .. }: &Contrast) -> String {
    let shows = match shows {
        Shows::More => "shows more",
        Shows::Less => "shows less",
        Shows::Otherwise => "otherwise",
    };
    match before.is_empty() {
        true => format!("{shows}: {now}"),
        false => format!("{shows}: {now}; in force: {before}"),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(CHARACTERS).collect()
}

//! A table of the globs of many rules, by which the first rule that matches a name is found
//! without trying each.
//!
//! Globs without wildcards are found by their hash. Of every other glob one piece of its literal
//! text is filed, at most [`GRAM_BYTES`] bytes, the one that the fewest globs of the policy have;
//! a name that the glob matches contains it. So a name is cut into all its pieces of the filed
//! lengths, and only the globs that are filed under one of them are tried: `**/Recipe*` under
//! `Recipe`, whatever else begins with `**/`.
//!
//! Entries of one key form a chain in the order of their rules, so that the search ends at the
//! first match, and at the first rule that comes after a match found elsewhere.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::{FixedState, RandomState};

use crate::rule::Rule;
use crate::rule::glob::{GRAM_BYTES, Glob, gram};

/// Globs up to which trying each one is as fast as a table of them.
pub(super) const MAX_SCANNED: usize = 16;
/// End of a chain.
const NONE: u32 = u32::MAX;

/// What of a rule is in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Denies,
    Redacts,
    Forwards,
    /// Names of template members that it shapes.
    Unshapeable,
}

impl Effect {
    pub(crate) const ALL: [Effect; 4] =
        [Effect::Denies, Effect::Redacts, Effect::Forwards, Effect::Unshapeable];

    /// The globs of `rule`: `None` where it says nothing, an empty slice for every name.
    pub(crate) fn globs(self, rule: &Rule) -> Option<&[Glob]> {
        match self {
            Effect::Denies => rule.denied(),
            Effect::Redacts => rule.redacted(),
            Effect::Forwards => rule.forwarded(),
            Effect::Unshapeable => rule.shapes.unshapeable_members(),
        }
    }
}

/// Globs of rules, by number of rule and place in its list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    /// Rules for every name, in ascending order.
    every: Vec<u32>,
    literals: HashMap<u64, u32, RandomState>,
    grams: HashMap<u64, u32, RandomState>,
    /// Bit N: grams of N bytes occur.
    lengths: u8,
    /// Chain of the globs that have no literal text.
    rest: Option<u32>,
    entries: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    rule: u32,
    glob: u32,
    next: u32,
}

impl Table {
    /// A table of one effect of `numbers`, which ascend, among `rules`.
    pub(crate) fn new(rules: &[Rule], effect: Effect, numbers: &[u32]) -> Table {
        let globs = |number: &u32| rules.get(*number as usize).and_then(|rule| effect.globs(rule));
        let count = numbers.iter().filter_map(globs).map(<[Glob]>::len).sum();
        let mut table = Table::default();
        table.entries.reserve(count);
        // Growing step by step costs more than filling.
        table.grams.reserve(count);
        let hasher = FixedState::default();
        // From the last to the first: each entry goes to the head of its chain.
        for number in numbers.iter().rev() {
            let Some(globs) = globs(number) else { continue };
            if globs.is_empty() {
                table.every.push(*number);
            }
            for (place, glob) in (0_u32..).zip(globs) {
                let entry = u32::try_from(table.entries.len()).unwrap_or(NONE);
                let head = match (glob.literal(), glob.gram()) {
                    (Some(literal), _) => table.literals.insert(hash(&hasher, literal), entry),
                    (None, Some((gram, length))) => {
                        table.lengths |= 1_u8.checked_shl(length).unwrap_or(0);
                        table.grams.insert(gram, entry)
                    }
                    (None, None) => table.rest.replace(entry),
                };
                let next = head.unwrap_or(NONE);
                table.entries.push(Entry { rule: *number, glob: place, next });
            }
        }
        table.every.reverse();
        table
    }

    /// The first rule with a glob that matches `name`, of those that `admits` accepts.
    pub(crate) fn first(
        &self,
        rules: &[Rule],
        effect: Effect,
        name: &str,
        admits: &dyn Fn(&Rule) -> bool,
    ) -> Option<u32> {
        let mut search = Search { table: self, rules, effect, name, admits, best: NONE };
        search.every();
        if !self.literals.is_empty() {
            let hash = hash(&FixedState::default(), name);
            search.chain(self.literals.get(&hash).copied());
        }
        for length in (1..=GRAM_BYTES).filter(|length| self.lengths >> length & 1 == 1) {
            for window in name.as_bytes().windows(length) {
                search.chain(self.grams.get(&gram(window)).copied());
            }
        }
        search.chain(self.rest);
        (search.best != NONE).then_some(search.best)
    }
}

struct Search<'s> {
    table: &'s Table,
    rules: &'s [Rule],
    effect: Effect,
    name: &'s str,
    admits: &'s dyn Fn(&Rule) -> bool,
    best: u32,
}

impl Search<'_> {
    fn every(&mut self) {
        let admitted = |number: &&u32| {
            self.rules.get(**number as usize).is_some_and(|rule| (self.admits)(rule))
        };
        if let Some(number) = self.table.every.iter().find(admitted) {
            self.best = *number;
        }
    }

    /// Tries the globs of a chain, which ascends.
    fn chain(&mut self, head: Option<u32>) {
        let mut next = head.unwrap_or(NONE);
        // Ends: chains lead from later entries to earlier ones.
        while let Some(entry) = self.table.entries.get(next as usize) {
            if entry.rule >= self.best {
                return;
            }
            if let Some(rule) = self.rules.get(entry.rule as usize) {
                let globs = self.effect.globs(rule).unwrap_or_default();
                let glob = globs.get(entry.glob as usize);
                if (self.admits)(rule) && glob.is_some_and(|glob| glob.matches(self.name)) {
                    self.best = entry.rule;
                    return;
                }
            }
            next = entry.next;
        }
    }
}

/// The same for the same text in one process; names that are made to collide are only compared.
fn hash(hasher: &FixedState, text: &str) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// Gives every glob of the rules the piece of text that the fewest of them have: those of metric
/// names among each other, and those of edge nodes.
pub(crate) fn choose_grams(rules: &mut [Rule]) {
    let (mut metrics, mut edge_nodes) = (Counts::default(), Counts::default());
    for rule in rules.iter() {
        let named = rule.allow.iter().chain(&rule.deny).chain(&rule.redact).flatten();
        count(&mut metrics, named.chain(rule.shapes.members()));
        count(&mut edge_nodes, rule.selectors.edge_nodes.iter().flatten());
    }
    for rule in rules {
        let named = rule.allow.iter_mut().chain(&mut rule.deny).chain(&mut rule.redact).flatten();
        for glob in named.chain(rule.shapes.members_mut()) {
            glob.choose_gram(|gram| metrics.get(&gram).copied().unwrap_or(0));
        }
        for glob in rule.selectors.edge_nodes.iter_mut().flatten() {
            glob.choose_gram(|gram| edge_nodes.get(&gram).copied().unwrap_or(0));
        }
    }
}

/// How many globs have a piece of text.
type Counts = HashMap<u64, u32, RandomState>;

fn count<'g>(counts: &mut Counts, globs: impl Iterator<Item = &'g Glob>) {
    for gram in globs.filter(|glob| glob.literal().is_none()).flat_map(Glob::grams) {
        let count = counts.entry(gram).or_default();
        *count = count.saturating_add(1);
    }
}

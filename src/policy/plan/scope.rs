//! Which rules can concern an edge node: a table by the names that rules spell out, so that a
//! policy with thousands of rules, one for each machine, costs what its few relevant ones cost.
//! Globs are filed as in a [table of metric names](super::table): under a piece of text that every
//! name has which they match.

use std::collections::HashMap;

use account::RuleId;
use foldhash::fast::RandomState;
use sparkplug::Entity;

use crate::rule::filter::Reach;
use crate::rule::glob::{GRAM_BYTES, Glob, gram};
use crate::rule::{Rule, Selectors};

/// Pairs of group and edge node under which one rule is filed at most. A rule with long lists
/// of both is filed by group alone.
const MAX_PAIRS: usize = 1_000;

/// Rules by group and edge node.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleIndex {
    by_group: HashMap<String, EdgeNodes, RandomState>,
    any_group: EdgeNodes,
}

/// Rules by what they say of the edge node's name. Lists are in ascending order.
#[derive(Clone, Debug, Default)]
struct EdgeNodes {
    named: HashMap<String, Vec<u32>, RandomState>,
    /// Rules whose globs match only names with this piece of text.
    grams: HashMap<u64, Vec<u32>, RandomState>,
    /// Bit N: pieces of N bytes occur.
    lengths: u8,
    others: Vec<u32>,
}

/// What a rule says of the edge node's name.
#[derive(Clone, Copy)]
enum Key<'r> {
    Name(&'r str),
    /// A piece of it, and its length in bytes.
    Gram(u64, u32),
}

/// What makes rules have to do with an edge node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// They can match it or its devices.
    Matching,
    /// The relay can subscribe to it for their sake: MQTT knows no globs within a name.
    Subscription,
}

impl RuleIndex {
    pub(crate) fn new<'r>(rules: impl Iterator<Item = (u32, &'r Rule)>, by: By) -> RuleIndex {
        let mut index = RuleIndex::default();
        for (number, rule) in rules {
            let keys = match by {
                By::Matching => edge_node_keys(&rule.selectors),
                By::Subscription => edge_node_names(&rule.selectors),
            };
            let Some(groups) = rule.selectors.literal_groups() else {
                index.any_group.file(keys.as_deref(), number);
                continue;
            };
            let few = |keys: &Vec<Key<'_>>| keys.len().saturating_mul(groups.len()) <= MAX_PAIRS;
            let keys = keys.filter(few);
            for group in groups {
                let edge_nodes = index.by_group.entry(group.to_owned()).or_default();
                edge_nodes.file(keys.as_deref(), number);
            }
        }
        index
    }

    /// The rules that can have to do with the edge node or its devices, in no order, and some of
    /// them twice; some may not.
    pub(crate) fn related<'a>(
        &'a self,
        rules: &'a [Rule],
        group: &str,
        edge_node: &str,
    ) -> impl Iterator<Item = (RuleId, &'a Rule)> + use<'a> {
        let parts = [self.by_group.get(group), Some(&self.any_group)];
        let mut lists: Vec<&[u32]> = Vec::new();
        parts.into_iter().flatten().for_each(|part| part.find(edge_node, &mut lists));
        lists.into_iter().flatten().filter_map(|number| {
            let id = RuleId(*number);
            Some((id, rules.get(id.index())?))
        })
    }

    /// The same in the order of the rules.
    pub(crate) fn candidates<'a>(
        &'a self,
        rules: &'a [Rule],
        group: &str,
        edge_node: &str,
    ) -> impl Iterator<Item = (RuleId, &'a Rule)> + use<'a> {
        let mut candidates: Vec<_> = self.related(rules, group, edge_node).collect();
        candidates.sort_unstable_by_key(|(id, _)| *id);
        candidates.dedup_by_key(|(id, _)| *id);
        candidates.into_iter()
    }
}

impl EdgeNodes {
    /// Files a rule; without keys it is about every name.
    fn file(&mut self, keys: Option<&[Key<'_>]>, number: u32) {
        let Some(keys) = keys else {
            push(&mut self.others, number);
            return;
        };
        for key in keys {
            let list = match *key {
                Key::Name(name) => self.named.entry(name.to_owned()).or_default(),
                Key::Gram(gram, length) => {
                    self.lengths |= 1_u8.checked_shl(length).unwrap_or(0);
                    self.grams.entry(gram).or_default()
                }
            };
            push(list, number);
        }
    }

    /// The lists with rules that can be about `name`.
    fn find<'a>(&'a self, name: &str, lists: &mut Vec<&'a [u32]>) {
        lists.push(&self.others);
        lists.extend(self.named.get(name).map(Vec::as_slice));
        for length in (1..=GRAM_BYTES).filter(|length| self.lengths >> length & 1 == 1) {
            let pieces = name.as_bytes().windows(length).map(gram);
            lists.extend(pieces.filter_map(|piece| self.grams.get(&piece)).map(Vec::as_slice));
        }
    }
}

/// What a rule, or the group that it stands for, says of all that it selects.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EntityEffect {
    pub(crate) forwards: bool,
    pub(crate) denies_whole_entities: bool,
}

/// Whether a forward rule among `candidates` selects `entity`, and none denies all of it.
pub(crate) fn entity_in_scope<'a>(
    candidates: impl Iterator<Item = (&'a Rule, EntityEffect)>,
    entity: Entity<'_>,
) -> bool {
    let mut forwarded = false;
    for (rule, effect) in candidates {
        if rule.selectors.select(entity) {
            if effect.denies_whole_entities {
                return false;
            }
            forwarded |= effect.forwards;
        }
    }
    forwarded
}

/// Whether a forward rule among `candidates` could match the edge node or a device of it, of
/// what no deny rule denies as a whole.
pub(crate) fn node_in_scope<'a>(
    candidates: impl Iterator<Item = (&'a Rule, EntityEffect)>,
    group: &str,
    edge_node: &str,
) -> bool {
    let (mut forwards, mut denies) = (Vec::new(), Vec::new());
    for (rule, effect) in candidates {
        if !rule.selectors.reach_node(group, edge_node) {
            continue;
        }
        if effect.denies_whole_entities {
            denies.push(&rule.selectors);
        }
        if effect.forwards {
            forwards.push(&rule.selectors);
        }
    }
    let denied = |entity| denies.iter().any(|selectors| selectors.select(entity));
    let any_device_denied =
        denies.iter().any(|selectors| devices_of(selectors, group, edge_node).every);
    forwards.iter().any(|selectors| {
        let node = Entity::node(group, edge_node);
        if selectors.select(node) && !denied(node) {
            return true;
        }
        let devices = devices_of(selectors, group, edge_node);
        let named = devices.named.iter().any(|device| {
            let device = Entity::device(group, edge_node, device);
            selectors.select(device) && !denied(device)
        });
        named || (devices.open && !any_device_denied)
    })
}

/// Whether selectors select the edge node and every device of it.
pub(crate) fn covers_node(selectors: &Selectors, group: &str, edge_node: &str) -> bool {
    selectors.select(Entity::node(group, edge_node))
        && devices_of(selectors, group, edge_node).every
}

/// Which devices of one edge node selectors can select.
struct Devices<'a> {
    /// Every one, whatever its name.
    every: bool,
    /// Some that can't be listed, since a wildcard selects them.
    open: bool,
    /// Those that are spelled out; each still has to be asked about.
    named: Vec<&'a str>,
}

fn devices_of<'a>(selectors: &'a Selectors, group: &str, edge_node: &str) -> Devices<'a> {
    let mut devices = Devices { every: false, open: false, named: Vec::new() };
    if selectors.node_only || !selectors.reach_node(group, edge_node) {
        return devices;
    }
    let mut topics_take_any = selectors.topics.is_none();
    for topic in selectors.topics.iter().flatten() {
        if !topic.matches_node(group, edge_node) {
            continue;
        }
        match &topic.reach {
            Reach::Node => {}
            Reach::All => topics_take_any = true,
            Reach::Devices(level) => match level.name() {
                Some(name) => devices.named.push(name),
                None => topics_take_any = true,
            },
        }
    }
    if !topics_take_any {
        return devices;
    }
    match &selectors.devices {
        None => (devices.open, devices.every) = (true, true),
        Some(globs) => {
            devices.every = globs.iter().any(Glob::matches_all_names);
            devices.open = globs.iter().any(|glob| glob.literal().is_none());
            devices.named.extend(globs.iter().filter_map(Glob::literal));
        }
    }
    devices
}

/// What the selectors say of the edge node's name, if they don't take any.
fn edge_node_keys(selectors: &Selectors) -> Option<Vec<Key<'_>>> {
    let key = |glob| match (Glob::literal(glob), Glob::gram(glob)) {
        (Some(name), _) => Some(Key::Name(name)),
        (None, Some((gram, length))) => Some(Key::Gram(gram, length)),
        (None, None) => None,
    };
    let of_globs = selectors.edge_nodes.as_ref().and_then(|globs| globs.iter().map(key).collect());
    of_globs.or_else(|| edge_node_names(selectors))
}

fn edge_node_names(selectors: &Selectors) -> Option<Vec<Key<'_>>> {
    Some(selectors.literal_edge_nodes()?.into_iter().map(Key::Name).collect())
}

/// Files a rule once, even if it says the same twice.
fn push(list: &mut Vec<u32>, number: u32) {
    if list.last() != Some(&number) {
        list.push(number);
    }
}

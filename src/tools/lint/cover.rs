//! Rules that decide about all that another rule could decide about.

use std::collections::{BTreeSet, HashMap};

use mistake::mistake;
use policy::glob::Glob;
use policy::rule::Selectors;
use policy::rule::filter::{Level, Reach, TopicFilter};
use policy::{Action, Mode, Rule};

use super::containment::contains;

/// Pairs of rules that are compared at most: some seconds for a policy of 100,000 rules alike.
const MAX_PAIRS: usize = 3_000_000;

/// Finds rules that take in all of another one.
pub(super) struct Pairs<'p> {
    rules: &'p [Rule],
    now_ms: u64,
    /// The rules that could cover one of a group, by the groups that they spell out, and those
    /// that spell out none.
    by_group: HashMap<&'p str, Vec<usize>>,
    others: Vec<usize>,
    left: usize,
    /// There were too many pairs to compare them all.
    pub(super) gave_up: bool,
}

impl<'p> Pairs<'p> {
    pub(super) fn new(rules: &'p [Rule], now_ms: u64) -> Pairs<'p> {
        let mut pairs = Pairs {
            rules,
            now_ms,
            by_group: HashMap::new(),
            others: Vec::new(),
            left: MAX_PAIRS,
            gave_up: false,
        };
        for (place, rule) in rules.iter().enumerate() {
            match rule.selectors().literal_groups() {
                Some(groups) => {
                    let groups: BTreeSet<&str> = groups.into_iter().collect();
                    for group in groups {
                        pairs.by_group.entry(group).or_default().push(place);
                    }
                }
                None => pairs.others.push(place),
            }
        }
        pairs
    }

    /// The rule that decides about all that the rule at `place` could decide about.
    pub(super) fn cover(&mut self, place: usize) -> Option<&'p Rule> {
        let rule = self.rules.get(place)?;
        let first_group =
            rule.selectors().literal_groups().and_then(|groups| groups.first().copied());
        let alike = first_group.and_then(|group| self.by_group.get(group));
        let candidates = alike.into_iter().flatten().chain(&self.others);
        for &other_place in candidates {
            if other_place == place {
                continue;
            }
            let Some(other) = self.rules.get(other_place) else {
                mistake!("a place of a rule that isn't there");
                continue;
            };
            // Of two that are alike, the later one is told.
            let may_decide = match (rule.action(), other.action()) {
                (Action::Forward, Action::Deny | Action::Redact)
                | (Action::Redact, Action::Deny) => true,
                (Action::Deny | Action::Redact, Action::Forward)
                | (Action::Deny, Action::Redact) => false,
                _ => other_place < place,
            };
            if !may_decide || !self.always_acts(other) {
                continue;
            }
            let Some(left) = self.left.checked_sub(1) else {
                self.gave_up = true;
                return None;
            };
            self.left = left;
            if covers(other, rule) {
                return Some(other);
            }
        }
        None
    }

    /// Whether a rule is in force from now on for ever.
    fn always_acts(&self, rule: &Rule) -> bool {
        let always = rule.schedule().is_none_or(|schedule| {
            schedule.not_after_ms.is_none()
                && schedule.weekly.is_none()
                && schedule.is_open(self.now_ms)
        });
        rule.mode() == Mode::Enforce && always
    }
}

/// Whether `other` decides about every metric that `rule` could decide about.
fn covers(other: &Rule, rule: &Rule) -> bool {
    let (decided, own) = match (other.action(), rule.action()) {
        (Action::Deny, Action::Forward) => {
            // What a forward rule redacts, whichever rule forwards it, crosses by its word.
            let redacts_more = rule.redacted().is_some_and(|own| {
                other.datatypes().is_some()
                    || !other.denied().is_some_and(|denied| Subset::Globs(own).is_within(denied))
            });
            if redacts_more {
                return false;
            }
            (other.denied(), rule.forwarded())
        }
        (Action::Deny, Action::Deny) => (other.denied(), rule.denied()),
        (Action::Forward, Action::Forward) => {
            // A forward rule that denies something says more than what it forwards, and one that
            // opens opaque values gets those that earlier ones pass over.
            if rule.denied().is_some() || rule.redacted().is_some() || rule.shapes().opens_any() {
                return false;
            }
            (other.forwarded(), rule.forwarded())
        }
        (Action::Deny, Action::Redact) => (other.denied(), rule.redacted()),
        (Action::Redact, Action::Redact) => (other.redacted(), rule.redacted()),
        (Action::Redact, Action::Forward) => {
            if rule.denied().is_some() || rule.redacted().is_some() {
                return false;
            }
            (other.redacted(), rule.forwarded())
        }
        (Action::Forward, Action::Deny | Action::Redact) | (Action::Redact, Action::Deny) => {
            return false;
        }
    };
    let (Some(decided), Some(own)) = (decided, own) else { return false };
    is_within((rule, own), (other, decided))
}

/// Whether all that the forward rule `narrow` is about is what the forward rule `wide` is about too.
pub(super) fn takes_in(wide: &Rule, narrow: &Rule) -> bool {
    match (wide.forwarded(), narrow.forwarded()) {
        (Some(of_wide), Some(own)) => is_within((narrow, own), (wide, of_wide)),
        _ => false,
    }
}

/// Whether the metrics `own` of `rule` are among the metrics `decided` of `other`.
fn is_within((rule, own): (&Rule, &[Glob]), (other, decided): (&Rule, &[Glob])) -> bool {
    let by_type = match (other.datatypes(), rule.datatypes()) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow.is_subset_of(wide),
    };
    by_type
        && Subset::Globs(own).is_within(decided)
        && selectors_cover(other.selectors(), rule.selectors())
}

/// A set of names.
#[derive(Clone, Copy)]
enum Subset<'a> {
    Every,
    One(&'a str),
    /// An empty slice is every name.
    Globs(&'a [Glob]),
}

impl Subset<'_> {
    /// Whether all of it matches one of `globs`, of which an empty slice matches everything.
    fn is_within(self, globs: &[Glob]) -> bool {
        if globs.is_empty() || globs.iter().any(Glob::matches_all_names) && self.is_of_levels() {
            return true;
        }
        match self {
            Subset::Every | Subset::Globs([]) => globs.iter().any(Glob::matches_all),
            Subset::One(name) => globs.iter().any(|glob| glob.matches(name)),
            Subset::Globs(own) => {
                own.iter().all(|narrow| globs.iter().any(|wide| contains(wide, narrow)))
            }
        }
    }

    /// Names of topic levels have no `/`, so that `*` takes in all of them. Those of metrics are
    /// never written as `Every` or `One`.
    fn is_of_levels(self) -> bool {
        matches!(self, Subset::Every | Subset::One(_))
    }

    fn is_within_level(self, level: &Level) -> bool {
        match (level, self) {
            (Level::Any, _) => true,
            (Level::Name(own), Subset::One(name)) => own == name,
            (Level::Name(own), Subset::Globs(globs)) => {
                !globs.is_empty() && globs.iter().all(|glob| glob.literal() == Some(own))
            }
            (Level::Name(_), Subset::Every) => false,
        }
    }
}

/// A part of what selectors select: entities of one kind under one filter.
#[derive(Clone, Copy)]
struct Part<'a> {
    group: Subset<'a>,
    edge_node: Subset<'a>,
    /// `None`: the node itself.
    device: Option<Subset<'a>>,
}

fn parts(selectors: &Selectors) -> Vec<Part<'_>> {
    fn names<'a>(level: Option<&'a Level>, globs: Option<&'a [Glob]>) -> Subset<'a> {
        match (level.and_then(Level::name), globs) {
            (Some(name), _) => Subset::One(name),
            (None, Some(globs)) => Subset::Globs(globs),
            (None, None) => Subset::Every,
        }
    }
    let filters: Vec<Option<&TopicFilter>> = match &selectors.topics {
        None => vec![None],
        Some(topics) => topics.iter().map(Some).collect(),
    };
    let mut parts = Vec::new();
    for filter in filters {
        let group = names(filter.map(|filter| &filter.group), selectors.groups.as_deref());
        let edge_node =
            names(filter.map(|filter| &filter.edge_node), selectors.edge_nodes.as_deref());
        let reach = filter.map_or(&Reach::All, |filter| &filter.reach);
        if selectors.devices.is_none() && !matches!(reach, Reach::Devices(_)) {
            parts.push(Part { group, edge_node, device: None });
        }
        let level = match reach {
            Reach::Node => continue,
            Reach::All => None,
            Reach::Devices(level) => Some(level),
        };
        if !selectors.node_only {
            let device = Some(names(level, selectors.devices.as_deref()));
            parts.push(Part { group, edge_node, device });
        }
    }
    parts
}

/// Whether `wide` select every entity that `narrow` select.
fn selectors_cover(wide: &Selectors, narrow: &Selectors) -> bool {
    // Quick no: a rule for single nodes covers none for others.
    if let (Some(own), Some(others)) = (wide.literal_edge_nodes(), narrow.literal_edge_nodes())
        && others.iter().any(|name| !own.contains(name))
    {
        return false;
    }
    parts(narrow).iter().all(|part| {
        let within = |globs: &Option<Vec<Glob>>, names: Subset<'_>| {
            globs.as_ref().is_none_or(|globs| names.is_within(globs))
        };
        let device = match (part.device, &wide.devices) {
            (None, devices) => devices.is_none(),
            (Some(_), _) if wide.node_only => false,
            (Some(device), devices) => within(devices, device),
        };
        let topics = wide.topics.as_ref().is_none_or(|topics| {
            topics.iter().any(|topic| {
                part.group.is_within_level(&topic.group)
                    && part.edge_node.is_within_level(&topic.edge_node)
                    && match (&topic.reach, part.device) {
                        (Reach::All, _) | (Reach::Node, None) => true,
                        (Reach::Devices(level), Some(device)) => device.is_within_level(level),
                        (Reach::Node, Some(_)) | (Reach::Devices(_), None) => false,
                    }
            })
        });
        device
            && topics
            && within(&wide.groups, part.group)
            && within(&wide.edge_nodes, part.edge_node)
    })
}

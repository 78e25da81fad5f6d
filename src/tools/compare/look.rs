//! What one rule that changed selects, judged by both policies: every class of entities, of metrics
//! and of datatypes that rules tell apart, by one witness of each.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use account::RuleId;
use policy::rule::Selectors;
use policy::{Contrast, EntityPlan, Mode, Policy, Rule, Verdict, contrasts};
use sparkplug::{DataType, Entity, names};

use super::classes::{Kind, Pattern, witnesses};
use super::difference::{Outcome, Room, Types, Witness};
use super::patterns::{
    can_meet, datatype_classes, device_patterns, edge_node_patterns, forwards_templates,
    group_patterns, is_plain, metric_patterns,
};
use crate::explain::selecting;

/// States of one automaton over names.
const MAX_STATES: usize = 20_000;
/// Metrics that are judged by both policies for one rule that changed, at one time.
const MAX_JUDGED: usize = 2_000_000;
/// Witnesses that are kept of one difference.
const MAX_WITNESSES: usize = 3;
/// Entities that are named of which only births and deaths differ.
const MAX_BIRTHS: usize = 20;

const TOO_LONG: &str = "it meets too many other rules";

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) differences: BTreeMap<(Outcome, Outcome, Vec<Contrast>), At>,
    pub(super) births: BTreeSet<(bool, String)>,
    /// By which policy takes them out, and the rule: the shortest path.
    pub(super) members: BTreeMap<(bool, String), String>,
    pub(super) room: BTreeSet<Room>,
    /// Entities that were looked at for an earlier rule at this time.
    seen: HashSet<(String, String, Option<String>)>,
    time: usize,
}

/// Where and when a difference is.
#[derive(Default)]
pub(super) struct At {
    pub(super) witnesses: Vec<Witness>,
    pub(super) times: BTreeSet<usize>,
}

impl Found {
    /// Begins with another time.
    pub(super) fn begin(&mut self, time: usize) {
        self.time = time;
        self.seen.clear();
    }
}

/// Looks at a metric, with the rules that select its entity.
pub(crate) type Visit<'v> = dyn FnMut(&EntityPlan<'_>, Entity<'_>, &str, Option<DataType>) + 'v;

/// All that one rule selects, by classes.
pub(crate) struct Look {
    rule: String,
    selectors: Selectors,
    groups: Vec<String>,
    edge_nodes: Vec<String>,
    devices: Vec<String>,
    metrics: Vec<String>,
    /// Paths of members of templates, with the names of definitions.
    paths: Vec<String>,
    datatypes: Vec<Vec<Option<DataType>>>,
}

impl Look {
    /// Finds the classes of what `rule` selects.
    ///
    /// # Errors
    /// There are too many of them.
    pub(super) fn new(before: &Policy, after: &Policy, rule: &Rule) -> Result<Look, &'static str> {
        let relevant: Vec<&Rule> = before
            .rules()
            .iter()
            .chain(after.rules())
            .filter(|other| other.mode() == Mode::Enforce)
            .filter(|other| can_meet(rule.selectors(), other.selectors()))
            .collect();
        let mut look = Look::among(&relevant, rule, MAX_STATES)?;
        if forwards_templates(before) || forwards_templates(after) {
            let mut patterns = metric_patterns(&relevant);
            patterns.push(Pattern::level());
            look.paths = find(&patterns, Kind::Metric, MAX_STATES)?;
        }
        Ok(look)
    }

    /// Finds the classes of what `rule` selects that the rules `relevant` tell apart, without paths of
    /// members; `max_states`: of one automaton over names.
    ///
    /// # Errors
    /// There are too many of them.
    pub(crate) fn among(
        relevant: &[&Rule],
        rule: &Rule,
        max_states: usize,
    ) -> Result<Look, &'static str> {
        Ok(Look {
            rule: rule.name().to_owned(),
            selectors: rule.selectors().clone(),
            groups: find(&group_patterns(relevant), Kind::Level, max_states)?,
            edge_nodes: find(&edge_node_patterns(relevant), Kind::Level, max_states)?,
            devices: find(&device_patterns(relevant), Kind::Level, max_states)?,
            metrics: find(&metric_patterns(relevant), Kind::Metric, max_states)?,
            paths: Vec::new(),
            datatypes: datatype_classes(relevant),
        })
    }

    /// Shows one witness of each class to `visit`, with the rules of `policy` that select its entity;
    /// `room`: how many may still be looked at.
    ///
    /// # Errors
    /// There are more of them.
    pub(crate) fn each(
        &self,
        policy: &Policy,
        room: &mut usize,
        visit: &mut Visit<'_>,
    ) -> Result<(), &'static str> {
        let mut known: HashSet<Vec<RuleId>> = HashSet::new();
        for group in &self.groups {
            for edge_node in &self.edge_nodes {
                let devices = self.devices.iter().map(|device| Some(device.as_str()));
                for device in std::iter::once(None).chain(devices) {
                    let entity = Entity { group, edge_node, device };
                    *room = room.checked_sub(1).ok_or(TOO_LONG)?;
                    if !self.selectors.select(entity) || !known.insert(selecting(policy, entity)) {
                        continue;
                    }
                    let plan = policy.plan(entity);
                    for metric in self.metrics.iter().filter(|metric| !never_crosses(metric)) {
                        for class in &self.datatypes {
                            *room = room.checked_sub(1).ok_or(TOO_LONG)?;
                            visit(&plan, entity, metric, class.first().copied().flatten());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The name of the rule.
    pub(super) fn rule(&self) -> &str {
        &self.rule
    }

    /// Judges by both policies as they are now; `turns`: there are other times.
    ///
    /// # Errors
    /// It takes too long.
    pub(super) fn at(
        &self,
        before: &Policy,
        after: &Policy,
        turns: bool,
        found: &mut Found,
    ) -> Result<(), &'static str> {
        let removes = |rule: &Rule| {
            rule.mode() == Mode::Enforce
                && (rule.denied().is_some()
                    || rule.redacted().is_some()
                    || rule.shapes().removes_members())
        };
        let removes_members = before.rules().iter().any(removes);
        let pair = Pair { before, after, turns, removes_members };
        let mut judged = 0_usize;
        // What was found for the entities that the same rules select is found for all of them.
        let mut known: HashMap<(Vec<RuleId>, Vec<RuleId>), usize> = HashMap::new();
        let each = self.metrics.len().saturating_add(self.paths.len());
        let each = each.saturating_mul(self.datatypes.len().max(1));
        for group in &self.groups {
            for edge_node in &self.edge_nodes {
                if !self.selectors.reach_node(group, edge_node) {
                    judged = judged.saturating_add(1);
                    continue;
                }
                let devices = self.devices.iter().map(|device| Some(device.as_str()));
                for device in std::iter::once(None).chain(devices) {
                    let entity = Entity { group, edge_node, device };
                    judged = judged.saturating_add(1);
                    if judged > MAX_JUDGED {
                        return Err(TOO_LONG);
                    }
                    if !self.selectors.select(entity) {
                        continue;
                    }
                    let selecting = (selecting(before, entity), selecting(after, entity));
                    let times = known.entry(selecting).or_default();
                    *times = times.saturating_add(1);
                    // A few examples are enough of what is the same.
                    if *times > MAX_WITNESSES || !found.seen.insert(owned(entity)) {
                        continue;
                    }
                    judged = judged.saturating_add(each);
                    self.judge(&pair, entity, found);
                    let crosses = |policy: &Policy| match entity.device {
                        Some(_) => policy.device_in_scope(entity),
                        None => policy.node_in_scope(entity.group, entity.edge_node),
                    };
                    if crosses(before) != crosses(after) && found.births.len() < MAX_BIRTHS {
                        found.births.insert((crosses(after), entity.to_string()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Judges every class of metrics of one entity by both policies.
    fn judge(&self, pair: &Pair<'_>, entity: Entity<'_>, found: &mut Found) {
        let plans = (pair.before.plan(entity), pair.after.plan(entity));
        for metric in &self.metrics {
            if never_crosses(metric) {
                continue;
            }
            let mut differing: BTreeMap<(Outcome, Outcome, Vec<Contrast>), Vec<DataType>> =
                BTreeMap::new();
            for class in &self.datatypes {
                let datatype = class.first().copied().flatten();
                let was = outcome(plans.0.judge(metric, datatype));
                let is = outcome(plans.1.judge(metric, datatype));
                if let Some(contrasts) = pair.contrasts(was, is, metric, datatype) {
                    pair.find_room(was, metric, datatype, found);
                    differing
                        .entry((was, is, contrasts))
                        .or_default()
                        .extend(class.iter().flatten());
                }
            }
            for (key, types) in differing {
                let witness = Witness {
                    group: entity.group.to_owned(),
                    edge_node: entity.edge_node.to_owned(),
                    device: entity.device.map(str::to_owned),
                    metric: metric.clone(),
                    datatypes: types_of(types),
                };
                let at = found.differences.entry(key).or_default();
                at.times.insert(found.time);
                at.add(witness);
            }
        }
        self.judge_members(pair, &plans, found);
    }

    /// Judges the members that templates of an entity could have. Whether a template with them
    /// crosses is another question.
    fn judge_members(
        &self,
        pair: &Pair<'_>,
        plans: &(EntityPlan<'_>, EntityPlan<'_>),
        found: &mut Found,
    ) {
        for path in &self.paths {
            for class in &self.datatypes {
                let datatype = class.first().copied().flatten();
                // A name without a slash is that of a definition at most.
                if !path.contains('/') && datatype != Some(DataType::Template) {
                    continue;
                }
                let was = plans.0.denies_member(path, datatype);
                let is = plans.1.denies_member(path, datatype);
                let (newly, policy, rule) = match (was, is) {
                    (Some((_, rule)), None) => (true, pair.before, rule),
                    (None, Some((_, rule))) => (false, pair.after, rule),
                    _ => continue,
                };
                let Some(rule) = rule.and_then(|rule| policy.rule(rule)) else { continue };
                let shortest = found.members.entry((newly, rule.name().to_owned()));
                let shortest = shortest.or_insert_with(|| path.clone());
                if path.len() < shortest.len() {
                    shortest.clone_from(path);
                }
            }
        }
    }
}

fn find(patterns: &[Pattern], kind: Kind, max_states: usize) -> Result<Vec<String>, &'static str> {
    witnesses(patterns, kind, max_states).ok_or("its patterns can meet in too many ways")
}

fn never_crosses(metric: &str) -> bool {
    names::is_control(metric) || metric == names::BD_SEQ || metric == names::REBIRTH
}

struct Pair<'a> {
    before: &'a Policy,
    after: &'a Policy,
    /// Whether they are compared at other times as well.
    turns: bool,
    /// Whether a rule of `before` takes members out of templates.
    removes_members: bool,
}

impl Pair<'_> {
    /// What is otherwise; empty where it is whether it crosses, `None` where nothing is.
    fn contrasts(
        &self,
        was: Outcome,
        is: Outcome,
        metric: &str,
        datatype: Option<DataType>,
    ) -> Option<Vec<Contrast>> {
        if was.crosses() != is.crosses() {
            return Some(Vec::new());
        }
        let values = matches!(is, Outcome::Forward(_));
        let before = self.before.rule(was.forward()?)?;
        let after = self.after.rule(is.forward()?)?;
        let found = contrasts(before, after, metric, datatype, values);
        (!found.is_empty()).then_some(found)
    }

    /// Notes what else may cross since this metric crosses less.
    fn find_room(&self, was: Outcome, metric: &str, datatype: Option<DataType>, found: &mut Found) {
        let Outcome::Forward(rule) = was else { return };
        let Some(rule) = self.before.rule(rule) else { return };
        if datatype == Some(DataType::Template) && self.removes_members {
            found.room.insert(Room::Members);
        }
        let shape = rule.shapes().shape(metric);
        if self.turns && shape.spaces(datatype.unwrap_or(DataType::String)) {
            found.room.insert(Room::Held(rule.name().to_owned()));
        }
    }
}

impl At {
    fn add(&mut self, witness: Witness) {
        if self.witnesses.contains(&witness) {
            return;
        }
        self.witnesses.push(witness);
        self.witnesses.sort_by_key(|witness| {
            let device = witness.device.as_deref().unwrap_or_default();
            let names = [&*witness.group, &*witness.edge_node, device, &*witness.metric];
            // Widest first, then the shortest names.
            (
                !matches!(witness.datatypes, Types::Every | Types::EveryPlain),
                names.iter().map(|name| name.len()).sum::<usize>(),
            )
        });
        self.witnesses.truncate(MAX_WITNESSES);
    }
}

fn types_of(mut types: Vec<DataType>) -> Types {
    types.sort_unstable();
    match types.len() {
        0 => Types::Unknown,
        all if all >= DataType::of_metrics().count() => Types::Every,
        _ if DataType::of_metrics().filter(is_plain).eq(types.iter().copied()) => Types::EveryPlain,
        _ => Types::Some(types),
    }
}

fn owned(entity: Entity<'_>) -> (String, String, Option<String>) {
    (entity.group.to_owned(), entity.edge_node.to_owned(), entity.device.map(str::to_owned))
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Forward { rule, .. } => Outcome::Forward(rule),
        Verdict::Redact { rule, forward, .. } => Outcome::Redact { rule, forward },
        Verdict::Drop { reason, rule } => Outcome::Drop(reason, rule),
    }
}

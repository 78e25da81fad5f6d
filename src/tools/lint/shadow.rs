//! Rules of which earlier ones take a part, and show more of it. The first forward rule says how a metric
//! crosses; so what a later one says of its values, name, limits and hours counts for nothing there.
//!
//! That an earlier rule denies or is stricter is how policies are written, and so are rules for special
//! cases in front of general ones. So an earlier rule is told only for what it says nothing about and
//! the later one does (texts cross as they are, say), and a rule that isn't a special case of the later
//! one for what it says otherwise. Each is found by a metric that both are about and that the earlier
//! one decides.

use std::collections::{BTreeMap, HashMap};

use account::RuleId;
use diagnostic::{Diagnostic, SourceFile};
use policy::{Action, Contrast, Matter, Mode, Policy, Priority, Rule, Shows, Verdict, contrasts};
use sparkplug::{DataType, Entity};

use super::cover::takes_in;
use crate::compare::{Look, Time, can_meet, times};

/// Pairs of rules and metrics that are looked at, all together.
const MAX_LOOKED_AT: usize = 1_000_000;
/// States of the automata over the names of one rule and those that meet it.
const MAX_STATES: usize = 4_000;
/// What it takes to find out that there are more, and to look at two rules alone.
const COST_OF_ALL: usize = 100_000;
const COST_OF_ONE: usize = 2_000;
/// Times at which one rule is looked at.
const MAX_TIMES: usize = 8;
/// Rules that forward the same metric that are compared.
const MAX_DEEP: usize = 6;
/// Rules that are looked at one by one where all together have too many patterns.
const MAX_ALONE: usize = 32;
/// Earlier rules that are told of one rule.
const MAX_TOLD: usize = 5;
/// What is shown where the later rule has hours of the week.
const AT_ALL_TIMES: &str = "at all times";
/// What is lost that is told of one pair.
const MAX_LOST: usize = 6;

/// A rule of which an earlier one takes a part.
#[derive(Debug)]
pub(super) struct Shadow {
    pub(super) earlier: RuleId,
    pub(super) later: RuleId,
    pub(super) lost: Vec<Lost>,
}

/// What the later rule says and the earlier one doesn't.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) now: String,
    pub(super) before: String,
    pub(super) witness: Witness,
}

/// A metric that both rules are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Witness {
    pub(super) group: String,
    pub(super) edge_node: String,
    pub(super) device: Option<String>,
    pub(super) metric: String,
    pub(super) datatype: Option<DataType>,
    /// When it is so, in milliseconds since the epoch (UTC).
    pub(super) at_ms: u64,
}

impl Witness {
    /// Such as ``metric `Name` (String) of `spBv1.0/Plant1/DDATA/Line4/Oven1` ``.
    fn describe(&self) -> String {
        let Witness { group, edge_node, device, metric, datatype, .. } = self;
        let topic = match device {
            Some(device) => format!("spBv1.0/{group}/DDATA/{edge_node}/{device}"),
            None => format!("spBv1.0/{group}/NDATA/{edge_node}"),
        };
        let datatype = datatype.map(|datatype| format!(" ({})", datatype.name()));
        format!("metric `{metric}`{} of `{topic}`", datatype.unwrap_or_default())
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    shadows: Vec<Shadow>,
    /// Not all of it could be looked at.
    pub(super) gave_up: bool,
}

impl Found {
    /// Of what the later rule says, what doesn't count for what the earlier one takes of it.
    pub(super) fn between(&self, earlier: &Rule, later: &Rule, policy: &Policy) -> Option<&Shadow> {
        let is =
            |id: RuleId, rule: &Rule| policy.rule(id).is_some_and(|one| one.name() == rule.name());
        self.shadows.iter().find(|one| is(one.earlier, earlier) && is(one.later, later))
    }

    #[cfg(test)]
    pub(super) fn all(&self) -> &[Shadow] {
        &self.shadows
    }

    /// A warning for each pair but those of rules that never decide, of which more is told.
    pub(super) fn warnings<'s>(
        &self,
        policy: &Policy,
        file_of: &dyn Fn(&Rule) -> Option<&'s SourceFile>,
        never_decides: &[RuleId],
    ) -> Vec<Diagnostic> {
        let mut of_later: BTreeMap<RuleId, Vec<&Shadow>> = BTreeMap::new();
        for shadow in &self.shadows {
            if ![shadow.earlier, shadow.later].iter().any(|rule| never_decides.contains(rule)) {
                of_later.entry(shadow.later).or_default().push(shadow);
            }
        }
        let mut warnings = Vec::new();
        for shadows in of_later.into_values() {
            let more = shadows.len().saturating_sub(MAX_TOLD);
            let told = shadows.len().min(MAX_TOLD);
            for (place, shadow) in shadows.into_iter().take(MAX_TOLD).enumerate() {
                let mut warning = shadow.warning(policy, file_of);
                if more > 0 && place.saturating_add(1) == told {
                    let help = format!("and so do {more} more rules");
                    warning = warning.map(|warning| warning.help(help));
                }
                warnings.extend(warning);
            }
        }
        warnings
    }
}

impl Shadow {
    fn warning<'s>(
        &self,
        policy: &Policy,
        file_of: &dyn Fn(&Rule) -> Option<&'s SourceFile>,
    ) -> Option<Diagnostic> {
        let (earlier, later) = (policy.rule(self.earlier)?, policy.rule(self.later)?);
        let title = format!(
            "rule `{}` comes before `{}` and shows more of what both are about",
            earlier.name(),
            later.name()
        );
        let words = |of: &dyn Fn(&Lost) -> String| {
            let mut said: Vec<String> = Vec::new();
            for lost in self.lost.iter().map(of) {
                if !said.contains(&lost) {
                    said.push(lost);
                }
            }
            said.join("; ")
        };
        let mut warning = Diagnostic::warning("P118", file_of(later)?, later.place(), title)
            .label(format!("`{}`: {}", later.name(), words(&|lost| lost.before.clone())))
            .at(
                file_of(earlier)?,
                earlier.place(),
                format!("`{}`: {}", earlier.name(), words(&|lost| lost.now.clone())),
            );
        if let Some(lost) = self.lost.first() {
            let when = match earlier.schedule() {
                Some(schedule) => format!(" while that is in force, {schedule}"),
                None => String::new(),
            };
            warning = warning.help(format!(
                "such as {}: it crosses by `{}`{when}, {}",
                lost.witness.describe(),
                earlier.name(),
                lost.now
            ));
        }
        let (first, second) = (earlier.name(), later.name());
        if self.lost.iter().any(|lost| lost.now != AT_ALL_TIMES) {
            let hours = match later.schedule() {
                Some(_) => format!(" (outside of its hours `{first}` decides all the same)"),
                None => String::new(),
            };
            warning = warning.help(format!(
                "the first forward rule decides, by the order of file names and then within the file: put \
                 `{second}` in front{hours}, or write the same into `{first}`; an exception that is meant can \
                 stand in `{second}` itself, as a `[[rule.metric]]` with `inherit = false`"
            ));
        }
        if self.lost.iter().any(|lost| lost.now == AT_ALL_TIMES) {
            warning = warning.help(format!(
                "hours keep nothing in that another rule forwards at all times, wherever it stands: take it out \
                 of `{first}`, or deny it in the other hours"
            ));
        }
        Some(warning)
    }
}

/// Looks for them from `now_ms` on.
pub(super) fn find(policy: &Policy, now_ms: u64) -> Found {
    let says = |rule: &Rule| forwards(rule) && says_how(rule);
    let mut search = Search {
        near: Near::new(policy.rules(), |_| true),
        saying: Near::new(policy.rules(), says),
        rules: policy.rules(),
        room: MAX_LOOKED_AT,
        shadows: BTreeMap::new(),
        gave_up: false,
    };
    let mut at = policy.clone();
    let times = times(policy, policy, now_ms).unwrap_or_else(|| {
        search.gave_up = true;
        vec![Time { from_ms: now_ms, until_ms: None, again: false }]
    });
    for place in 0..policy.rules().len() {
        if search.look_at(place, &times, &mut at).is_none() {
            search.gave_up = true;
        }
        if search.room == 0 {
            break;
        }
    }
    let shadows = search.shadows.into_iter();
    let shadows = shadows.map(|((earlier, later), lost)| Shadow { earlier, later, lost }).collect();
    Found { shadows, gave_up: search.gave_up }
}

/// The search for them.
struct Search<'p> {
    rules: &'p [Rule],
    near: Near<'p>,
    /// Those that say how what they forward crosses.
    saying: Near<'p>,
    /// How much more may be looked at.
    room: usize,
    shadows: BTreeMap<(RuleId, RuleId), Vec<Lost>>,
    gave_up: bool,
}

impl<'p> Search<'p> {
    /// Takes from what may be looked at.
    fn take(&mut self, count: usize) -> Option<()> {
        let room = self.room.checked_sub(count);
        self.room = room.unwrap_or(0);
        room.map(|_| ())
    }

    /// Those of the rules at `places` that can be about the same as `rule`, and act.
    fn meeting(&self, rule: &Rule, places: Vec<usize>) -> Vec<&'p Rule> {
        let rules = places.into_iter().filter_map(|place| self.rules.get(place));
        let meets = |one: &&Rule| {
            one.mode() == Mode::Enforce && can_meet(rule.selectors(), one.selectors())
        };
        rules.filter(meets).collect()
    }

    /// Looks for what the rule at `place` takes of later ones; `None` where that isn't all.
    fn look_at(&mut self, place: usize, times: &[Time], at: &mut Policy) -> Option<()> {
        let Some(rule) = self.rules.get(place).filter(|rule| forwards(rule)) else {
            return Some(());
        };
        let saying = self.saying.of(rule, place.saturating_add(1));
        self.take(saying.len())?;
        let later = self.meeting(rule, saying);
        if later.is_empty() {
            return Some(());
        }
        let near = self.near.of(rule, 0);
        self.take(near.len())?;
        let relevant = self.meeting(rule, near);
        let mut complete = true;
        let mut looks = Vec::new();
        match Look::among(&relevant, rule, MAX_STATES) {
            Ok(look) => looks.push(look),
            Err(_) => {
                self.take(COST_OF_ALL)?;
                complete = later.len() <= MAX_ALONE;
                for other in later.iter().take(MAX_ALONE) {
                    self.take(COST_OF_ONE)?;
                    match Look::among(&[rule, *other], rule, MAX_STATES) {
                        Ok(look) => looks.push(look),
                        Err(_) => complete = false,
                    }
                }
            }
        }
        let is_open =
            |time: &&Time| rule.schedule().is_none_or(|schedule| schedule.is_open(time.from_ms));
        let id = RuleId(u32::try_from(place).ok()?);
        for time in times.iter().filter(is_open).take(MAX_TIMES) {
            let _ = at.set_time(time.from_ms);
            for look in &looks {
                let mut room = self.room;
                let looked = look.each(at, &mut room, &mut |plan, entity, metric, datatype| {
                    if !matches!(plan.judge(metric, datatype), Verdict::Forward { rule, .. } if rule == id)
                    {
                        return;
                    }
                    let mut passed = vec![id];
                    while passed.len() <= MAX_DEEP {
                        let next = match plan.judge_without(metric, datatype, &passed) {
                            Verdict::Forward { rule, .. } => rule,
                            // It lets nothing of this datatype cross.
                            Verdict::Drop { rule: Some(rule), .. } if !passed.contains(&rule) => {
                                passed.push(rule);
                                continue;
                            }
                            _ => return,
                        };
                        if next > id && let Some(other) = self.rules.get(next.index()) {
                            let witness = Witness::new(entity, metric, datatype, time.from_ms);
                            note(&mut self.shadows, (id, rule), (next, other), &witness);
                        }
                        passed.push(next);
                    }
                });
                if looked.is_err() {
                    self.room = 0;
                    return None;
                }
                self.room = room;
            }
        }
        complete.then_some(())
    }
}

impl Witness {
    fn new(entity: Entity<'_>, metric: &str, datatype: Option<DataType>, at_ms: u64) -> Witness {
        Witness {
            group: entity.group.to_owned(),
            edge_node: entity.edge_node.to_owned(),
            device: entity.device.map(str::to_owned),
            metric: metric.to_owned(),
            datatype,
            at_ms,
        }
    }

    /// Plainest first.
    fn rank(&self) -> u8 {
        match self.datatype {
            Some(DataType::String | DataType::Double | DataType::Float) => 0,
            Some(DataType::Bytes | DataType::File | DataType::DataSet | DataType::Template) => 2,
            Some(_) => 1,
            None => 3,
        }
    }
}

/// Enters what the later rule says and the earlier one doesn't of a metric that the earlier one decides.
fn note(
    shadows: &mut BTreeMap<(RuleId, RuleId), Vec<Lost>>,
    (id, earlier): (RuleId, &Rule),
    (next, later): (RuleId, &Rule),
    witness: &Witness,
) {
    for (now, before) in lost(earlier, later, &witness.metric, witness.datatype) {
        let found = shadows.entry((id, next)).or_default();
        let is_full = found.len() >= MAX_LOST;
        match found.iter_mut().find(|one| (&one.now, &one.before) == (&now, &before)) {
            Some(known) if witness.rank() < known.witness.rank() => {
                known.witness = witness.clone();
            }
            Some(_) => {}
            None if is_full => {}
            None => found.push(Lost { now, before, witness: witness.clone() }),
        }
    }
}

/// What the earlier rule says of a metric, and what the later one would, where the earlier one shows more
/// and that isn't plainly meant.
fn lost(
    earlier: &Rule,
    later: &Rule,
    metric: &str,
    datatype: Option<DataType>,
) -> Vec<(String, String)> {
    let is_special = takes_in(later, earlier);
    let goes_first = (earlier.priority(), later.priority()) == (Priority::High, Priority::Normal);
    let counts = |contrast: &Contrast| {
        // A special case that says something itself means it.
        let is_forgotten = contrast.is_unsaid || !is_special;
        match contrast.matter {
            Matter::Name => contrast.is_unsaid,
            Matter::Order => false,
            Matter::Limit | Matter::Spacing => {
                contrast.shows == Shows::More && is_forgotten && !goes_first
            }
            Matter::Texts => {
                contrast.shows == Shows::More && is_forgotten && datatype.is_none_or(may_have_texts)
            }
            Matter::Values | Matter::Beside | Matter::Times => {
                contrast.shows == Shows::More && is_forgotten
            }
        }
    };
    let found = contrasts(later, earlier, metric, datatype, true);
    let found = found.into_iter().filter(counts).map(|contrast| (contrast.now, contrast.before));
    let hours = later
        .schedule()
        .filter(|hours| hours.weekly.is_some() && earlier.schedule().is_none())
        .filter(|_| !is_special && !goes_first)
        .map(|schedule| (AT_ALL_TIMES.to_owned(), format!("in force {schedule}")));
    found.chain(hours).collect()
}

/// Whether values of the datatype can be, or have in them, texts.
fn may_have_texts(datatype: DataType) -> bool {
    !matches!(datatype, DataType::Boolean | DataType::DateTime)
        && !(DataType::Int8..=DataType::Double).contains(&datatype)
}

fn forwards(rule: &Rule) -> bool {
    rule.action() == Action::Forward && rule.mode() == Mode::Enforce
}

/// Whether a rule says more than what it forwards.
fn says_how(rule: &Rule) -> bool {
    rule.rate().is_some()
        || rule.prefixes().is_some()
        || rule.schedule().is_some()
        || !rule.describe_shapes().is_empty()
}

/// Which rules may be about the same edge nodes, by the names that they spell out.
struct Near<'p> {
    by_edge_node: HashMap<&'p str, Vec<usize>>,
    others: Vec<usize>,
    all: Vec<usize>,
}

impl<'p> Near<'p> {
    /// Of those that are `wanted`.
    fn new(rules: &'p [Rule], wanted: impl Fn(&Rule) -> bool) -> Near<'p> {
        let mut near = Near { by_edge_node: HashMap::new(), others: Vec::new(), all: Vec::new() };
        for (place, rule) in rules.iter().enumerate().filter(|(_, rule)| wanted(rule)) {
            near.all.push(place);
            match rule.selectors().literal_edge_nodes() {
                None => near.others.push(place),
                Some(names) => {
                    for name in names {
                        near.by_edge_node.entry(name).or_default().push(place);
                    }
                }
            }
        }
        near
    }

    /// Those from `first` on, in ascending order.
    fn of(&self, rule: &Rule, first: usize) -> Vec<usize> {
        let behind = |place: &usize| *place >= first;
        let Some(names) = rule.selectors().literal_edge_nodes() else {
            return self.all.iter().copied().filter(behind).collect();
        };
        let named = names.iter().filter_map(|name| self.by_edge_node.get(name)).flatten();
        let mut near: Vec<usize> = named.chain(&self.others).copied().filter(behind).collect();
        near.sort_unstable();
        near.dedup();
        near
    }
}

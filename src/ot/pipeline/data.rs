//! Data messages: resolved by the entity's birth, judged, limited, and forwarded.

use account::{Fate, Reason, RuleId, What};
use mistake::mistake;
use policy::{Rule, Verdict};
use sparkplug::footprint::{lets_go, value_bytes};
use sparkplug::{Borrowed, Cap, DecodeError, Entity, EntityTopic, Metric, steps};

use super::births::low_byte;
use super::doubts::Doubts;
use super::encode::{self, DataWriter};
use super::item::{Item, Passage};
use super::limits;
use super::meaning::{Meaning, Resolved, put_in_time, resolve};
use super::notify;
use super::sequence::{Dates, Late};
use super::shape::{self, Decided};
use super::step::{DataSource, StepContext};
use super::unfit::Conformed;
use crate::plant::{
    EntityState, Fault, Held, Life, Node, Numbering, Parts, RefusedMetrics, Slot, mend_properties,
};

/// Why something didn't cross, and which rule says so.
pub(super) type Cause = (Reason, Option<RuleId>);

impl StepContext<'_> {
    /// A live NDATA or DDATA.
    pub(super) fn data(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        payload: Borrowed<'_>,
        late: Late,
    ) -> Fate {
        let Some(state) = node.state(device) else {
            return Fate::Dropped(Reason::DataBeforeBirth);
        };
        let life = state.life;
        let seq = low_byte(payload.seq);
        let comes_back = goes_on(node, state, seq.zip(payload.timestamp), late);
        if (life == Life::Unknown && !comes_back) || node.own.life == Life::Unknown {
            return Fate::Dropped(Reason::DataBeforeBirth);
        }
        let is_typed = payload.metrics.first().is_some_and(|named| named.metric.datatype.is_some());
        let is_dated = payload.timestamp.is_some();
        let timestamp = payload.timestamp.unwrap_or(self.now.wall_ms);
        let Resolved { mut meanings, beside } = resolve(state, payload);
        put_in_time(&mut meanings, timestamp);
        if life == Life::Known || comes_back {
            // The first live message has to fit what the stored birth says.
            if meanings.iter().any(Meaning::speaks_against_birth) {
                if let Some(state) = node.state_mut(device) {
                    state.forget();
                }
                return Fate::Dropped(Reason::DataBeforeBirth);
            }
            self.revive(node, device, seq);
            if let Err(shortage) = self.check_room(node) {
                return self.refuse_node(node, shortage);
            }
        }

        if let Some(state) = node.state_mut(device) {
            state.is_typed = is_typed;
        }
        let mut first_drop = None;
        let mut doubts = Doubts::new(late, is_dated.then_some(timestamp));
        self.drop_beside(node, device, &beside, &mut doubts.told);
        let is_unverified = late.is_again() && node.own.life.is_unverified();
        let is_outdated = is_unverified || late.is_outdated();
        let dates = Dates { timestamp, is_dated, late, is_outdated };
        let judged =
            self.judge_metrics(node, device, meanings, dates, &mut first_drop, &mut doubts);
        notify::metrics_refused(node.origin(device), false, &doubts.told);
        // Of a message of which nothing is left, more is told.
        if let (Some((slot, reason, rule)), false) = (doubts.ruled_out, judged.is_empty()) {
            let slot = node.state(device).and_then(|state| state.layout.slot(slot));
            let name = slot.map(Slot::name).unwrap_or_default();
            let rule = self.policy.rule(rule).map(Rule::name);
            let topic = EntityTopic::data(Entity { device, ..node.entity() });
            notify::value_ruled_out(topic, name, reason, rule);
        }
        doubts.forget_superseded(&judged);
        let mut passage = Passage::default();
        let admitted = self.limit(node, device, judged, &mut passage);
        // A limit says more than the reason of any single metric.
        let refused = passage.refused.map(|(reason, rule)| (reason, Some(rule)));
        let cause = refused.or(first_drop).unwrap_or((Reason::NoRule, None));
        let fate = self.forward(node, device, admitted, timestamp, cause);
        self.tell_doubts(node, device, doubts, timestamp, &mut passage);
        node.count(device);
        self.settle_passage(node, device, &passage, fate)
    }

    fn revive(&mut self, node: &mut Node, device: Option<&str>, seq: Option<u8>) {
        if node.own.life == Life::Known {
            node.sequence.forget();
            node.sequence.take(seq);
            self.revive_node(node);
        }
        if let Some(device) = device {
            self.revive_device(node, device);
        }
    }

    /// Asks the policy about each metric, and enters values that don't cross into the plant's
    /// state: a later policy may forward them.
    fn judge_metrics(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        meanings: Vec<Meaning<'_>>,
        dates: Dates,
        first_drop: &mut Option<Cause>,
        doubts: &mut Doubts,
    ) -> Vec<Item> {
        let Dates { timestamp, is_dated, late, is_outdated } = dates;
        let mut items = Vec::with_capacity(meanings.len());
        let mut left = None;
        // What those that are let through will take, and who can't have what it would.
        let (mut pending, mut shortage) = (0_usize, None);
        let how = self.policy.pseudonyms();
        let Some(mut parts) = node.parts(device) else {
            mistake!("data of a device that the node hasn't");
            return items;
        };
        let losses = parts.losses;
        steps::take(meanings.len());
        for meaning in meanings {
            let (slot, mut metric) = match meaning {
                Meaning::Slot(slot, metric) => (slot, metric),
                Meaning::Refused(name, unusable) => {
                    let (told, reason) = (&mut doubts.told, unusable.reason);
                    let fault = || unusable.fault(name, None);
                    let name = name.unwrap_or_default();
                    self.refuse_metric(parts.origin, name, reason, told, fault);
                    first_drop.get_or_insert((reason, None));
                    continue;
                }
                Meaning::Unreadable(place, unusable) => {
                    let slot = parts.state.layout.slot(place);
                    let (name, born) = (slot.map(Slot::name), slot.map(|slot| slot.datatype));
                    let (told, reason) = (&mut doubts.told, unusable.reason);
                    let fault = || unusable.fault(name, born);
                    let name = name.unwrap_or_default();
                    self.refuse_metric(parts.origin, name, reason, told, fault);
                    first_drop.get_or_insert((reason, None));
                    doubts.add(place, &unusable.metric, reason, items.len());
                    continue;
                }
                Meaning::New(metric, datatype) => {
                    match self.born_late(&mut parts, &metric, datatype, timestamp) {
                        Ok(slot) => (slot, Metric { name: None, ..metric }),
                        Err((reason, rule)) => {
                            let name = metric.name.as_deref().unwrap_or_default();
                            if reason == Reason::OverCapacity {
                                let limit = self.settings.caps.metrics;
                                let (told, fault) = (&mut doubts.told, || Fault::of_entity(limit));
                                self.refuse_metric(parts.origin, name, reason, told, fault);
                            } else {
                                self.drop(parts.origin, What::Metric(name), reason, rule);
                            }
                            first_drop.get_or_insert((reason, rule));
                            continue;
                        }
                    }
                }
            };
            let target = parts.state.layout.slot(slot);
            let known = target.and_then(|target| target.current.properties.as_deref());
            let name = target.map(Slot::name).unwrap_or_default();
            for (reason, fault) in mend_properties(&mut metric, known, &self.settings.caps) {
                // The metric crosses without some of its properties.
                let fault = || fault.clone();
                self.refuse_metric(parts.origin, name, reason, &mut doubts.told, fault);
            }
            let dated = metric.timestamp.or(is_dated.then_some(timestamp));
            metric.timestamp = metric.timestamp.or(Some(timestamp));
            if metric.is_null == Some(true) {
                metric.value = None;
            }
            // Before a rate limit may hold it back: what is held is as good as forwarded.
            let unfit = &mut doubts.unfit;
            let lacks = match self.conform(&mut parts, slot, &mut metric, &mut left, unfit) {
                Ok(Conformed::Whole { lacks }) => lacks,
                Ok(Conformed::Nothing) => {
                    first_drop.get_or_insert((Reason::UnknownMetric, None));
                    continue;
                }
                Err(reason) => {
                    let target = parts.state.layout.slot(slot);
                    let name = target.map(Slot::name).unwrap_or_default();
                    let is_defined = target.is_some_and(|target| target.definition.is_some());
                    let nesting = self.settings.caps.nesting();
                    let fault = || Fault::of_template(reason, is_defined, nesting);
                    self.refuse_metric(parts.origin, name, reason, &mut doubts.told, fault);
                    first_drop.get_or_insert((reason, None));
                    doubts.add(slot, &metric, reason, items.len());
                    continue;
                }
            };
            let Some(target) = parts.state.layout.slot_mut(slot) else {
                mistake!("a metric that was found and has no slot");
                continue;
            };
            // What fills a hole in the order, or is delivered again after a kill, may be older than
            // what is current; it must not set the value back.
            if late.is_older(dated, target.newest_ms()) {
                metric.is_historical = Some(true);
            }
            let historical = shape::passes_by(&metric);
            // Where nothing is remembered of it, since no rule let it cross until now, nobody knows
            // whether something newer was dropped.
            let outdated = is_outdated
                || (late == Late::ByNumber && !historical && target.newest_ms().is_none());
            let more = if historical || !target.keeps() { 0 } else { value_bytes(&metric) };
            if more > 0 {
                let wanted = pending.saturating_add(more);
                let lets_go = lets_go(&target.current, &metric);
                let name = target.name().to_owned();
                match self.room.check(parts.bytes_with(wanted).saturating_sub(lets_go)) {
                    Ok(()) => pending = wanted.saturating_sub(lets_go),
                    Err(short) => {
                        self.drop(parts.origin, What::Metric(&name), Reason::OverMemory, None);
                        first_drop.get_or_insert((Reason::OverMemory, None));
                        shortage = Some(short);
                        continue;
                    }
                }
            }
            let Some(target) = parts.state.layout.slot_mut(slot) else {
                mistake!("a metric that was found and has no slot");
                continue;
            };
            self.rule_counters.decided(target.verdict());
            self.rule_counters.observed(target.observed);
            self.count_beside(target.beside);
            let (reason, rule) = match target.verdict() {
                Verdict::Forward { rule, .. } => {
                    let Some(permit) = target.verdict().permit() else {
                        mistake!("a verdict that forwards without leave");
                        continue;
                    };
                    let decided = shape::decide(target, &metric, losses, self.now, how);
                    let unborn = !target.is_born() || lacks;
                    let (restores, early) = match decided {
                        Decided::Forward { restores } => (restores, false),
                        Decided::Hold => (false, true),
                        Decided::Drop(reason) => {
                            // Too near to the last one is ordinary.
                            if reason != Reason::Deadband {
                                doubts.ruled_out.get_or_insert((slot, reason, rule));
                            }
                            let what = What::Metric(target.name());
                            self.drop(parts.origin, what, reason, Some(rule));
                            first_drop.get_or_insert((reason, Some(rule)));
                            continue;
                        }
                    };
                    items.push(Item {
                        slot,
                        metric,
                        historical,
                        rule,
                        permit,
                        restores,
                        early,
                        outdated,
                        unborn,
                    });
                    continue;
                }
                Verdict::Redact { rule, .. } => {
                    // Readers have yet to hear of it.
                    parts.state.birth_due |= !target.is_born();
                    (Reason::Redacted, Some(rule))
                }
                Verdict::Drop { reason, rule } => (reason, rule),
            };
            self.drop(parts.origin, What::Metric(target.name()), reason, rule);
            if !historical {
                if target.keeps() {
                    parts.state.layout.update(slot, &metric);
                }
                self.lose_held(parts.origin, parts.state, slot, (reason, rule));
            }
            first_drop.get_or_insert((reason, rule));
        }
        self.drop_unfit(parts.origin, &mut doubts.unfit, &mut doubts.told);
        if let Some(shortage) = shortage {
            self.doubt_for(node, device, shortage);
        }
        items
    }

    /// Enters the values and journals what can be forwarded now.
    fn forward(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        mut items: Vec<Item>,
        timestamp: u64,
        (reason, rule): Cause,
    ) -> Fate {
        if items.is_empty() {
            return Fate::DroppedBy(reason, rule);
        }
        if let Some(parts) = node.parts(device) {
            self.update(parts, &mut items);
        }
        let mut fate = None;
        if items.iter().any(|item| item.unborn) || node.types_due {
            if let Some(state) = node.state_mut(device) {
                state.birth_due = true;
            }
            if self.catch_up(node) {
                // The birth has the values, and of what is doubted it can't say which are seen.
                let is_doubted = node.state(device).is_some_and(|state| state.life.is_uncertain());
                items.retain(|item| !item.unborn || item.historical || is_doubted);
                fate = Some(Fate::Forwarded);
            } else {
                for item in items.iter().filter(|item| item.unborn && item.historical) {
                    // No birth can carry them, and no data before the birth.
                    let name = name_of(node, device, item.slot);
                    let reason = Reason::DataBeforeBirth;
                    self.drop(node.origin(device), What::Metric(name), reason, None);
                }
                if items.iter().any(|item| item.unborn && !item.historical) {
                    fate = Some(Fate::Waiting);
                }
                items.retain(|item| !item.unborn);
            }
        }
        if items.is_empty() {
            if fate == Some(Fate::Waiting)
                && let Some(state) = node.state_mut(device)
            {
                state.waiting = state.waiting.saturating_add(1);
            }
            return fate.unwrap_or(Fate::Dropped(Reason::DataBeforeBirth));
        }
        let is_outdated = items.iter().any(|item| item.outdated);
        let source = if is_outdated { DataSource::Again } else { DataSource::Plant };
        if self.journal_data(node, device, items, timestamp, source) {
            Fate::Forwarded
        } else {
            Fate::Dropped(Reason::OverCap)
        }
    }

    /// Enters values that are forwarded, or that a birth is going to have; late data changes no value.
    fn update(&mut self, parts: Parts<'_>, items: &mut [Item]) {
        for item in items {
            if parts.state.holds
                && !item.historical
                && let Some(earlier) =
                    self.supersede(parts.origin, parts.state, item.slot, item.rule)
                && earlier.may_have_more_than(&item.metric)
            {
                let metric = std::mem::take(&mut item.metric);
                let losses = item.losses(parts.losses);
                let held = Held::new(metric, earlier.ticket, item.early, losses);
                item.metric = limits::follow(parts.definitions, *earlier, held).metric;
            }
            let Some(slot) = parts.state.layout.slot_mut(item.slot) else {
                mistake!("a metric that was judged and has no slot");
                continue;
            };
            let losses = item.losses(parts.losses);
            shape::forwarded(slot, &item.metric, losses, self.now);
            if item.historical {
                continue;
            }
            parts.state.layout.update(item.slot, &item.metric);
            if item.unborn {
                parts.state.awaits_since.get_or_insert(losses);
            }
            let slot = parts.state.layout.slot_mut(item.slot);
            if item.unborn
                && let Some(slot) = slot
                && slot.wait_for_birth()
            {
                // The one before it waited for the birth that is due.
                let what = What::Metric(slot.name());
                self.drop(parts.origin, what, Reason::Conflated, Some(item.rule));
            }
        }
    }

    /// False: not one of the metrics fits into a frame.
    pub(super) fn journal_data(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        items: Vec<Item>,
        timestamp: u64,
        source: DataSource,
    ) -> bool {
        let Some(state) = node.state(device) else {
            mistake!("data of a device that the node hasn't");
            return false;
        };
        let Some(permit) = items.first().map(|item| item.permit) else { return false };
        let urgent = items.iter().any(|item| self.limiter.is_urgent(item.rule));
        let limit = self.settings.caps.relayed_bytes();
        let place = |item: &Item| state.layout.slot(item.slot).and_then(Slot::place);
        let layout = state
            .layout
            .given(self.given)
            .filter(|_| items.iter().all(|item| place(item).is_some()));
        let mut payload = DataWriter::new(timestamp, items.len(), limit, layout);
        let mut told = RefusedMetrics::default();
        for mut item in items {
            let Some(slot) = state.layout.slot(item.slot) else {
                mistake!("a metric that was judged and has no slot");
                continue;
            };
            encode::data_metric(&mut item.metric, node);
            let how = self.policy.pseudonyms();
            if let Some(reason) = shape::emit(slot, &mut item.metric, item.restores, how) {
                // The metric crosses without its value.
                let what = What::Metric(slot.name());
                self.drop(node.origin(device), what, reason, Some(item.rule));
            }
            if !payload.metric((slot.exported_name(), slot.place()), &item.metric) {
                let (origin, fault) = (node.origin(device), || Fault::of_room(limit));
                self.refuse_metric(origin, slot.name(), Reason::OverCap, &mut told, fault);
            }
        }
        notify::metrics_refused(node.origin(device), false, &told);
        let Some(payload) = payload.finish() else {
            *self.why = Some(DecodeError::OverCap(Cap::RelayedBytes.passed(limit)));
            return false;
        };
        self.relay_data(node, device, permit, payload, source, urgent);
        true
    }
}

/// Whether data in its turn shows that a device lives that is held for dead: its birth was sent with that of
/// its node or behind it, but was here before, and was taken for one of a session before. `told` are number
/// and time of the message.
fn goes_on(node: &Node, state: &EntityState, told: Option<(u8, u64)>, late: Late) -> bool {
    let counts = node.numbering == Numbering::Complete && node.sequence.counts();
    let is_behind =
        |(_, sent): (u8, u64)| node.own.layout.timestamp.is_some_and(|born| sent >= born);
    state.life == Life::Unknown
        && state.may_go_on
        && node.own.life.is_alive()
        && counts
        && late == Late::No
        && told.is_some_and(is_behind)
}

/// Name of the metric in this slot.
fn name_of<'a>(node: &'a Node, device: Option<&str>, slot: usize) -> &'a str {
    let slot = node.state(device).and_then(|state| state.layout.slot(slot));
    slot.map(Slot::name).unwrap_or_default()
}

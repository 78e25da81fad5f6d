//! One step of the pipeline: what handling one message, tick or reload may touch, and how it
//! writes to the journal.

use std::time::Duration;

use prost::Message;

use super::encode::{self, BirthScope};
use super::matches::Matches;
use super::overload::Overload;
use super::shape;
use super::{Counters, Now, PipelineSettings};
use crate::journal::{Body, Keyframe, MAX_BODY_BYTES, Relayed};
use crate::ot::plant::{
    Definitions, EntityState, Life, Node, Removed, SURVEY_BYTES, Slot, Survey, Types, allowance,
};
use crate::policy::shape::Pseudonyms;
use crate::policy::{EntityPlan, Judged, Limiter, Policy, RuleId, Verdict};
use crate::sparkplug::{DataType, Entity, EntityTopic, Value, names};
use crate::telemetry::{Dropped, Fate, Ledger, Origin, Reason, What};

/// At most one birth of the relay's own making per node in this time, for metrics that were
/// born late: births are large, and an edge node could otherwise ask for one with each message.
const SYNTHETIC_EVERY: Duration = Duration::from_secs(1);

/// Largest payload of a frame, in bytes: what a frame holds, less room for the topic (64 KiB in
/// MQTT) and the rest of its envelope.
pub(super) const MAX_PAYLOAD_BYTES: usize = MAX_BODY_BYTES - 128 * 1024;

/// What happened to an entity as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifeEvent {
    Birth,
    Death,
}

/// What a frame says of itself beside its payload.
#[derive(Clone, Copy)]
struct Flags {
    loss_before: bool,
    synthetic: bool,
    aliased: bool,
}

/// The parts of the pipeline beside the plant.
pub(super) struct StepContext<'a> {
    pub(super) settings: &'a PipelineSettings,
    pub(super) policy: &'a Policy,
    pub(super) limiter: &'a mut Limiter,
    pub(super) overload: &'a mut Overload,
    pub(super) matches: &'a Matches,
    pub(super) ledger: &'a mut Ledger,
    pub(super) counters: &'a mut Counters,
    pub(super) structure_changed: &'a mut bool,
    pub(super) now: Now,
    pub(super) out: &'a mut Vec<Body>,
}

impl StepContext<'_> {
    /// Journals a birth or death of the plant, or one made in its place. False: it is larger than
    /// a frame may be, and nothing was journalled.
    #[must_use]
    pub(super) fn relay(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        event: LifeEvent,
        payload: Vec<u8>,
        synthetic: bool,
    ) -> bool {
        let bytes = payload.len();
        if bytes > MAX_PAYLOAD_BYTES {
            return false;
        }
        self.limiter.charge(self.now.mono, node.queue.buckets.as_ref(), bytes);
        // An NBIRTH starts anew, so nothing is lost before it; what the relay makes by itself
        // doesn't answer for the plant.
        *self.structure_changed |= synthetic;
        let is_birth = event == LifeEvent::Birth;
        let owes_loss = !synthetic && !(is_birth && device.is_none());
        let loss_before = owes_loss && std::mem::take(&mut node.loss);
        let has_aliases = |state: &EntityState| state.layout.aliases().next().is_some();
        let aliased = is_birth && node.state(device).is_some_and(has_aliases);
        let topic = match event {
            LifeEvent::Birth => EntityTopic::birth(node.told(device)),
            LifeEvent::Death => EntityTopic::death(node.told(device)),
        };
        self.journal(topic, payload, node.losses, Flags { loss_before, synthetic, aliased });
        true
    }

    /// Journals data of the plant, or data that the relay held back (`synthetic`).
    pub(super) fn relay_data(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        payload: Vec<u8>,
        synthetic: bool,
    ) {
        let loss_before = !synthetic && std::mem::take(&mut node.loss);
        let topic = EntityTopic::data(node.told(device));
        let flags = Flags { loss_before, synthetic, aliased: false };
        self.journal(topic, payload, node.losses, flags);
    }

    /// Appends a frame. `topic` has the names that readers know.
    fn journal(&mut self, topic: EntityTopic<'_>, payload: Vec<u8>, losses: u64, flags: Flags) {
        self.out.push(Body::Relayed(Relayed {
            source: self.settings.source.clone(),
            topic: topic.to_string(),
            payload,
            received_ms: self.now.wall_ms,
            loss_before: flags.loss_before,
            synthetic: flags.synthetic,
            aliased: flags.aliased,
            losses,
        }));
    }

    /// Judges every metric of one entity by the policy. `losses` are those of its node.
    pub(super) fn judge(
        &self,
        entity: Entity<'_>,
        definitions: Option<&Definitions>,
        state: &mut EntityState,
        losses: u64,
    ) {
        let plan = self.policy.plan(entity);
        shape::judge(&plan, state, losses, self.now, self.limiter, judge);
        for slot in &mut state.layout.slots {
            slot.observed = plan.observe(slot.name(), slot.judged_datatype());
            self.matches.decided(slot.verdict());
            self.matches.observed(slot.observed);
        }
        self.name_metrics(entity, definitions, state);
    }

    /// Drops something. Every drop goes through here, or is a message's [`Fate`].
    pub(super) fn drop(
        &mut self,
        origin: Origin<'_>,
        what: What<'_>,
        reason: Reason,
        rule: Option<RuleId>,
    ) {
        self.ledger.drop(Dropped { origin, what, reason, rule });
    }

    /// Drops the metrics of a birth that don't cross; the cause of the first one.
    pub(super) fn drop_denied(
        &mut self,
        origin: Origin<'_>,
        state: &EntityState,
    ) -> Option<(Reason, Option<RuleId>)> {
        let mut first = None;
        for slot in &state.layout.slots {
            match slot.verdict() {
                Verdict::Drop { reason, rule } => {
                    self.drop(origin, What::Metric(slot.name()), reason, rule);
                    first = first.or(Some((reason, rule)));
                }
                // The metric is in the birth, its value isn't.
                Verdict::Forward { rule } | Verdict::Redact { rule, .. } => {
                    if let Some(reason) = shape::withheld(slot, self.policy.pseudonyms()) {
                        self.drop(origin, What::Metric(slot.name()), reason, Some(rule));
                    }
                }
            }
        }
        first
    }

    /// Surveys the template instances of node and devices from scratch, and refuses those that
    /// can't be told. Devices that died count too: an NBIRTH comes before its DBIRTHs, and those
    /// devices most likely come back with the same types.
    pub(super) fn survey(&self, node: &mut Node) {
        node.types = self.judge_definitions(node);
        self.survey_entity(node, None, SURVEY_BYTES);
        let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
        for device in devices {
            self.survey_entity(node, Some(&device), SURVEY_BYTES);
        }
    }

    /// The same after an NBIRTH. `changed`: its definitions aren't those of the last one. Dead
    /// devices may ask for as much as one entity then: the others have yet to be born anyway.
    pub(super) fn survey_birth(&self, node: &mut Node, changed: bool) {
        let types = self.judge_definitions(node);
        if changed {
            node.types = types;
        } else {
            node.types.extend(types);
        }
        self.survey_entity(node, None, SURVEY_BYTES);
        if changed {
            let mut left = SURVEY_BYTES;
            let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
            for device in devices {
                left = self.survey_entity(node, Some(&device), left);
            }
        }
    }

    fn judge_definitions(&self, node: &mut Node) -> Types {
        let Node { group, edge_node, definitions, .. } = node;
        let plan = self.policy.plan(Entity::node(group, edge_node));
        definitions.judge(&plan);
        self.matches.members(&plan);
        Types { removed: definitions.denied().clone(), ..Types::default() }
    }

    /// Surveys the template instances of one entity, within the `limit` that earlier ones left.
    /// What is left of it now.
    pub(super) fn survey_entity(
        &self,
        node: &mut Node,
        device: Option<&str>,
        limit: usize,
    ) -> usize {
        let Node { group, edge_node, own, devices, definitions, types, .. } = node;
        let plan = self.policy.plan(Entity { group, edge_node, device });
        let state = match device {
            None => Some(own),
            Some(device) => devices.get_mut(device),
        };
        let Some(state) = state else { return limit };
        let slots = &mut state.layout.slots;
        let is_instance = |slot: &&mut Slot| slot.datatype == DataType::Template;
        let bytes = slots.iter().map(|slot| match &slot.current.value {
            Some(Value::Template(instance)) => instance.encoded_len(),
            _ => 0,
        });
        let budget = allowance(bytes.fold(0, usize::saturating_add)).min(limit);
        let mut survey = Survey::new(definitions, &plan, budget);
        for slot in slots.iter_mut().filter(is_instance) {
            let found = match &mut slot.current.value {
                Some(Value::Template(instance)) => {
                    let found = definitions.usable(instance.template_ref.as_deref());
                    if let Ok(definition) = found {
                        definitions.conform(instance, definition, &Removed::new());
                    }
                    found
                }
                _ => match slot.definition.as_deref() {
                    Some(definition) if definitions.contains(definition) => Ok(definition),
                    _ => {
                        slot.definition = None;
                        continue;
                    }
                },
            };
            let definition = found.map(Box::<str>::from);
            slot.definition = definition.as_ref().ok().cloned();
            if !slot.is_forwarded() {
                continue;
            }
            let disarm = slot.disarm();
            let surveyed =
                definition.and_then(|definition| survey.instance(slot.name(), &definition, disarm));
            match surveyed {
                Ok(asked) => {
                    types.extend(asked);
                }
                Err(reason) => slot.refuse(reason, None),
            }
        }
        let left = survey.budget();
        self.matches.members(&plan);
        limit.saturating_sub(budget.saturating_sub(left))
    }

    /// Whether a live device is to be announced: something of it crosses, or it has nothing at
    /// all and a rule forwards it.
    pub(super) fn tells_device(&self, node: &Node, device: &str) -> bool {
        let Some(state) = node.devices.get(device) else { return false };
        if state.life != Life::Alive {
            return false;
        }
        let slots = &state.layout.slots;
        if slots.is_empty() && state.layout.born_empty {
            let entity = Entity::device(&node.group, &node.edge_node, device);
            return self.policy.device_in_scope(entity) && !self.collides(entity);
        }
        slots.iter().any(|slot| slot.is_told())
    }

    pub(super) fn node_in_scope(&self, node: &Node) -> bool {
        self.policy.node_in_scope(&node.group, &node.edge_node) && !self.collides(node.entity())
    }

    /// Journals the NBIRTH of a live node. Its devices are not born by it.
    pub(super) fn announce_node(&mut self, node: &mut Node, synthetic: bool) {
        node.types_due = false;
        self.name_node(node);
        node.told = node.types.needed.clone();
        release_held(&mut node.own);
        let timestamp = self.birth_timestamp(&node.own, synthetic);
        let how = self.policy.pseudonyms();
        let payload = encode::birth(node, None, BirthScope::Current, timestamp, how);
        if !self.relay(node, None, LifeEvent::Birth, payload, synthetic) {
            // Readers can't be told what it looks like now: for them it is dead.
            self.bury_node(node);
            return;
        }
        for device in node.devices.values_mut() {
            device.announced = false;
        }
        if !node.own.announced {
            node.next_keyframe = self.next_keyframe(node);
        }
        self.release(node, None, Fate::Forwarded);
        mark_born(&mut node.own);
    }

    /// Journals the DBIRTH of a live device.
    pub(super) fn announce_device(&mut self, node: &mut Node, device: &str, synthetic: bool) {
        self.name_device(node, device);
        let Some(state) = node.devices.get_mut(device) else { return };
        release_held(state);
        let timestamp = self.birth_timestamp(state, synthetic);
        let Some(state) = node.devices.get(device) else { return };
        let how = self.policy.pseudonyms();
        let payload = encode::birth(node, Some(state), BirthScope::Current, timestamp, how);
        if !self.relay(node, Some(device), LifeEvent::Birth, payload, synthetic) {
            self.bury_device(node, device);
            return;
        }
        self.release(node, Some(device), Fate::Forwarded);
        if let Some(state) = node.devices.get_mut(device) {
            mark_born(state);
        }
    }

    /// Journals births of the relay's own making: the NBIRTH and the DBIRTHs of all live
    /// devices, in that order.
    pub(super) fn announce_all(&mut self, node: &mut Node) {
        self.announce_node(node, true);
        let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
        for device in devices {
            if self.tells_device(node, &device) {
                self.announce_device(node, &device, true);
            }
        }
    }

    /// Journals a death of the relay's own making for a node, if readers hold it for alive.
    pub(super) fn bury_node(&mut self, node: &mut Node) {
        self.release_all(node, Fate::Dropped(Reason::NoRule));
        if !std::mem::take(&mut node.own.announced) {
            return;
        }
        let payload = encode::death(node.bd_seq.as_ref(), self.now.wall_ms);
        // A death is small.
        let _ = self.relay(node, None, LifeEvent::Death, payload, true);
        for device in node.devices.values_mut() {
            device.announced = false;
        }
    }

    /// Journals a death of the relay's own making for a device, if readers hold it for alive.
    pub(super) fn bury_device(&mut self, node: &mut Node, device: &str) {
        self.release(node, Some(device), Fate::Dropped(Reason::NoRule));
        let Some(state) = node.devices.get_mut(device) else { return };
        if !std::mem::take(&mut state.announced) {
            return;
        }
        let payload = encode::death(None, self.now.wall_ms);
        let _ = self.relay(node, Some(device), LifeEvent::Death, payload, true);
    }

    /// Journals the births that are due for metrics born late, if the node's turn has come.
    pub(super) fn catch_up(&mut self, node: &mut Node) -> bool {
        if !self.is_rested(node) {
            return false;
        }
        let due: Vec<Box<str>> = node
            .devices
            .iter()
            .filter(|(_, state)| state.birth_due)
            .map(|(name, _)| name.clone())
            .collect();
        if node.own.birth_due || node.types_due {
            self.announce_all(node);
        } else {
            for device in &due {
                self.announce_device(node, device, true);
            }
        }
        node.last_synthetic = Some(self.now.mono);
        true
    }

    /// Whether the relay may make births for the node again.
    pub(super) fn is_rested(&self, node: &Node) -> bool {
        node.last_synthetic.is_none_or(|last| self.now.mono.saturating_sub(last) >= SYNTHETIC_EVERY)
    }

    /// Ends the waiting of a device's messages, or of those of the node itself.
    pub(super) fn release(&mut self, node: &mut Node, device: Option<&str>, fate: Fate) {
        let Some(state) = node.state_mut(device) else { return };
        let waiting = std::mem::take(&mut state.waiting).saturating_add(state.backlog.end());
        self.ledger.settle_waiting(node.origin(device), waiting, fate);
    }

    /// The same for a node and its devices.
    pub(super) fn release_all(&mut self, node: &mut Node, fate: Fate) {
        self.release(node, None, fate);
        let Node { group, edge_node, slot, devices, .. } = node;
        for (device, state) in devices {
            let entity = Entity::device(group, edge_node, device);
            let origin = Origin { entity: Some(entity), node: Some(*slot) };
            let waiting = std::mem::take(&mut state.waiting).saturating_add(state.backlog.end());
            self.ledger.settle_waiting(origin, waiting, fate);
        }
    }

    /// Journals the keyframes of a node and its devices.
    pub(super) fn keyframe(&mut self, node: &Node) {
        let how = self.policy.pseudonyms();
        self.out.extend(keyframes(&self.settings.source, node, self.now.wall_ms, how));
    }

    fn birth_timestamp(&self, state: &EntityState, synthetic: bool) -> u64 {
        match state.layout.timestamp {
            Some(timestamp) if !synthetic => timestamp,
            _ => self.now.wall_ms,
        }
    }

    /// The node's next turn, at most one interval from now. Turns are spread over the interval
    /// by the nodes' names, even of nodes that were born or repeated together.
    pub(super) fn next_keyframe(&self, node: &Node) -> Duration {
        let name = node.group.bytes().chain(node.edge_node.bytes());
        let hash =
            name.fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let every = self.settings.keyframe_every;
        let offset = every.saturating_mul(hash % 997).checked_div(997).unwrap_or_default();
        // Intervals since the start, without those that are whole: 0 for an interval of 0.
        let since = self.now.mono.saturating_add(every).saturating_sub(offset).as_nanos();
        let into = since.checked_rem(every.as_nanos()).unwrap_or_default();
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX));
        self.now.mono.saturating_add(every.saturating_sub(into))
    }
}

/// The policy's word on a metric of a birth or data message.
pub(super) fn judge<'a>(
    plan: &EntityPlan<'a>,
    name: &str,
    datatype: Option<DataType>,
) -> Judged<'a> {
    if names::is_control(name) || name == names::BD_SEQ || name == names::REBIRTH {
        let verdict = Verdict::Drop { reason: Reason::ControlMetric, rule: None };
        return Judged { verdict, shape: None };
    }
    plan.judge_and_shape(name, datatype)
}

/// The keyframes of a node that readers hold for alive: the node first, then its devices.
pub(super) fn keyframes<'a>(
    source: &'a str,
    node: &'a Node,
    wall_ms: u64,
    how: Pseudonyms<'a>,
) -> impl Iterator<Item = Body> + 'a {
    let announced = node.own.announced;
    let devices =
        move || node.devices.iter().filter(move |(_, state)| announced && state.announced);
    let timestamp = move |state: &EntityState| state.layout.timestamp.unwrap_or(wall_ms);
    let own = announced.then(|| {
        let payload = encode::birth(node, None, BirthScope::Announced, timestamp(&node.own), how);
        Body::Keyframe(Keyframe {
            source: source.to_owned(),
            topic: EntityTopic::birth(node.told(None)).to_string(),
            payload,
            uncertain: node.own.uncertain,
            devices: devices()
                .filter_map(|(name, _)| node.told(Some(name)).device.map(str::to_owned))
                .collect(),
            losses: node.losses,
        })
    });
    let others = devices().map(move |(name, state)| {
        let entity = node.told(Some(name));
        let payload =
            encode::birth(node, Some(state), BirthScope::Announced, timestamp(state), how);
        Body::Keyframe(Keyframe {
            source: source.to_owned(),
            topic: EntityTopic::birth(entity).to_string(),
            payload,
            uncertain: state.uncertain,
            devices: Vec::new(),
            losses: node.losses,
        })
    });
    own.into_iter().chain(others)
}

/// A birth isn't subject to rates: values that were held back are part of it.
fn release_held(state: &mut EntityState) {
    if std::mem::take(&mut state.holds) {
        for slot in &mut state.layout.slots {
            if let Some(held) = slot.take_held() {
                slot.update(&held.metric);
            }
        }
    }
}

fn mark_born(state: &mut EntityState) {
    state.announced = true;
    state.birth_due = false;
    state.reshaped = false;
    for slot in &mut state.layout.slots {
        slot.set_born(slot.is_told());
    }
}

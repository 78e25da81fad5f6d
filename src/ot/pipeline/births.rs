//! Births and deaths: what they teach about the plant, and what of them crosses.

use account::{Fate, Origin, Reason, What};
use policy::Verdict;
use sparkplug::{Entity, Metric, Payload, names};

use super::decode::Birth;
use super::notify;
use super::sequence::Late;
use super::step::StepContext;
use crate::plant::{
    Ends, EntityState, Fault, Layout, Life, Node, OVERTAKEN, Plant, RefusedMetric, RefusedMetrics,
    SURVEY_BYTES, Slot, Taught, Uncounted, Unfit, is_shortly_before, reason_of,
};

impl StepContext<'_> {
    /// A live NBIRTH.
    pub(super) fn node_birth(&mut self, node: &mut Node, birth: Birth) -> Fate {
        let timeout = self.settings.reorder_timeout;
        let number = names::bd_seq(&birth.payload);
        let sent_ms = birth.payload.timestamp;
        let before_ms = node.own.layout.timestamp;
        node.crossing.born(self.now.mono, timeout, number, sent_ms);
        node.sequence.restart(low_byte(birth.payload.seq));
        // What was refused before it, the birth says anew.
        node.unread.clear();
        let was_born_here = std::mem::replace(&mut node.is_born_here, true);
        self.release_all(node, Fate::Dropped(Reason::UnknownMetric));
        self.breathe();
        let taught = self.take_apart(node.origin(None), birth, true);
        self.breathe();
        let mut unfit = Unfit::default();
        let was_doubted = node.own.is_known_in_doubt();
        let former = self.is_born_too_soon(&node.own).then(|| std::mem::take(&mut node.own.layout));
        let changed = node.bear(taught, &mut unfit);
        self.drop_definitions(node, &mut unfit);
        node.sessions.begin(node.bd_seq.as_ref().and_then(names::bd_seq_of));
        // Births of one moment belong together, where the node's birth before was of another, or was
        // one that a broker stored.
        let is_another = before_ms != sent_ms || !was_born_here;
        for device in node.devices.values_mut() {
            // The layout stays, for the types that the device most likely needs again. A birth that
            // was sent behind this one, and came before it, is of this session.
            let is_equal = is_another || device.came_again;
            let is_behind = |(device, node)| device > node || (device == node && is_equal);
            let is_behind = device.born_ms().zip(sent_ms).is_some_and(is_behind);
            let is_of_this = is_behind && device.may_be_born_behind(self.now.mono);
            device.end(if is_of_this { Life::Known } else { Life::Unknown });
            device.may_go_on &= is_behind;
            device.came_again = false;
            device.told_at = None;
            device.birth_due = false;
            device.holds = false;
        }
        node.verified();
        self.judge_born(node);
        self.breathe();
        self.survey_birth(node, changed);
        if let Some(former) = former {
            node.own.layout.follow(&former);
            self.hold_born(node, None, (&former, was_doubted));
        }
        if let Err(shortage) = self.check_room(node) {
            return self.refuse_node(node, shortage);
        }
        self.breathe();
        let _ = self.drop_denied(node.origin(None), &node.own);
        if self.collides(node.entity()) {
            return Fate::Dropped(Reason::NameCollision);
        }
        let Some(permit) = self.policy.permit_node(&node.group, &node.edge_node) else {
            return kept_back(&node.own);
        };
        self.announce_node(node, permit, false);
        let known = node.devices.iter().filter(|(_, state)| state.life == Life::Known);
        for device in known.map(|(device, _)| device.clone()).collect::<Vec<Box<str>>>() {
            self.revive_known(node, &device);
        }
        birth_fate(&node.own)
    }

    /// A live DBIRTH. Where it is late, data that follows it may be judged already.
    pub(super) fn device_birth(
        &mut self,
        node: &mut Node,
        device: &str,
        birth: Birth,
        late: Late,
    ) -> Fate {
        if node.own.life == Life::Unknown {
            return Fate::Dropped(Reason::DataBeforeBirth);
        }
        if !Plant::has_room(node, device, self.settings.max_devices_per_node) {
            return Fate::Dropped(Reason::OverCapacity);
        }
        if node.own.life == Life::Known {
            self.revive_node(node);
        }
        self.breathe();
        // What was refused before it, the birth says anew. What is set aside was delivered again, as
        // this is: in the order in which it was sent.
        node.unread.retain(|(of, _), reason| {
            let is_before = !late.is_late() || (late.is_again() && *reason == Reason::SetAside);
            of.as_deref() != Some(device) || !is_before
        });
        let sent_ms = birth.payload.timestamp;
        let taught = self.take_apart(node.origin(Some(device)), birth, false);
        self.breathe();
        // A value that waits may be newer than a birth that is late, and won't be seen any more.
        let is_newer =
            |slot: &Slot| slot.held().is_some_and(|held| held.metric.timestamp >= sent_ms);
        let loses_newer = late.is_late()
            && node
                .state(Some(device))
                .is_some_and(|state| state.layout.slots.iter().any(is_newer));
        self.release(node, Some(device), Fate::Dropped(Reason::UnknownMetric));
        let known = node.state(Some(device));
        let too_soon = known.is_some_and(|state| self.is_born_too_soon(state));
        let was_doubted = known.is_some_and(EntityState::is_known_in_doubt);
        let state = node.devices.entry(device.into()).or_default();
        let just_before = sent_ms.zip(state.born_ms()).filter(|(sent, known)| {
            state.was_just_born(self.now.mono) && is_shortly_before(*sent, *known, OVERTAKEN)
        });
        let overtook = just_before.filter(|_| state.layout.reads_like(&taught.layout));
        let former = (late.is_late() && state.life.is_alive()).then(|| state.layout.clone());
        let told = too_soon.then(|| std::mem::take(&mut state.layout));
        state.bear(taught.layout);
        state.born_at = Some(self.now.mono);
        state.newer_ms = overtook.map(|(_, known)| known);
        if loses_newer || late.is_outdated() || just_before.is_some() {
            state.doubt();
        }
        let kept = former.map(|former| state.layout.keep_newer_of(&former)).unwrap_or_default();
        for name in &kept {
            self.drop(node.origin(Some(device)), What::Metric(name), Reason::Late, None);
        }
        self.judge_device(node, device);
        self.breathe();
        let types_changed = self.refresh_device_types(node, device);
        if let Some(told) = told {
            if let Some(state) = node.state_mut(Some(device)) {
                state.layout.follow(&told);
            }
            self.hold_born(node, Some(device), (&told, was_doubted));
        }
        node.count(Some(device));
        if let Err(shortage) = self.check_room(node) {
            return self.refuse_device(node, device, shortage);
        }
        if types_changed && let Some(permit) = node.own.life.permit() {
            let bytes = node.births_bytes();
            if !self.may_bear(node, bytes) {
                // Births of all devices for the birth of one: an edge node could ask for them
                // with each message. This device's comes with them, soon.
                node.types_due = true;
                self.bury_device(node, device, Fate::Dropped(Reason::UnknownMetric));
                if self.permit_device(node, device).is_none() {
                    return Fate::Dropped(Reason::NoRule);
                }
                if let Some(state) = node.devices.get_mut(device) {
                    state.birth_due = true;
                    state.waiting = state.waiting.saturating_add(1);
                }
                return Fate::Waiting;
            }
            node.last_synthetic = Some(self.now.mono);
            // The NBIRTH lacks a definition, or has a member that this device denies. The new
            // device isn't part of this: its own birth follows.
            self.announce_all(node, permit, Some(device));
        }
        let state = node.devices.get(device);
        let dropped = state.and_then(|state| self.drop_denied(node.origin(Some(device)), state));
        let permit = self.permit_device(node, device);
        let Some(permit) = permit.filter(|_| node.own.life.is_announced()) else {
            self.bury_device(node, device, Fate::Dropped(Reason::NoRule));
            let (reason, rule) = dropped.unwrap_or((Reason::NoRule, None));
            return Fate::DroppedBy(reason, rule);
        };
        self.announce_device(node, device, permit, false);
        node.state(Some(device)).map_or(Fate::Dropped(Reason::OverCap), birth_fate)
    }

    /// A birth that a broker stored: it teaches the layout of what isn't alive.
    pub(super) fn stored_birth(&mut self, node: &mut Node, device: Option<&str>, birth: Birth) {
        let timestamp = birth.payload.timestamp;
        match device {
            None if !node.own.life.is_alive() => {
                let taught = self.take_apart(node.origin(None), birth, true);
                let _ = node.learn(taught, &mut Unfit::default());
                node.sequence.forget();
                // A device's birth that is older than its node's is of an earlier session.
                for state in node.devices.values_mut() {
                    if state.layout.timestamp < timestamp {
                        state.forget();
                    }
                }
                self.forget_what_never_crosses(node, None);
            }
            Some(device) => {
                let max_devices = self.settings.max_devices_per_node;
                let is_alive = |state: &EntityState| state.life.is_alive();
                if node.state(Some(device)).is_some_and(is_alive)
                    || (node.own.life != Life::Unknown && timestamp < node.own.layout.timestamp)
                    || !Plant::has_room(node, device, max_devices)
                {
                    return;
                }
                let taught = self.take_apart(node.origin(Some(device)), birth, false);
                let state = node.devices.entry(device.into()).or_default();
                state.learn(taught.layout);
                self.forget_what_never_crosses(node, Some(device));
            }
            None => return,
        }
        if let Err(shortage) = self.check_room(node) {
            notify::memory(Entity { device, ..node.entity() }, shortage);
            match device {
                None => node.forget_all(),
                Some(device) => {
                    node.remove_device(device);
                }
            }
        }
    }

    /// A live NDEATH.
    pub(super) fn node_death(&mut self, node: &mut Node, payload: &Payload) -> Fate {
        let metric = death_number(payload);
        let deaths = metric.as_ref().and_then(names::bd_seq_of);
        let is_known = node.sessions.has(deaths);
        self.drop_of_death(node.origin(None), &payload.metrics, 1);
        let births = node.bd_seq.as_ref().and_then(names::bd_seq_of);
        let ends = node.sessions.judge(births, deaths);
        if !node.own.life.is_alive() {
            node.crossing.died(self.now.mono, deaths, payload.timestamp, is_known);
            if ends == Ends::Own || node.own.life != Life::Known {
                node.own.forget();
                node.count_all();
            }
            // Told twice, by the node and by its will, or by a will alone.
            let is_known = node.sessions.any();
            let reason = if is_known { Reason::StaleDeath } else { Reason::DataBeforeBirth };
            return Fate::Dropped(reason);
        }
        notify::death(node.entity(), ends, births, deaths);
        if ends == Ends::Earlier {
            return Fate::Dropped(Reason::StaleDeath);
        }
        node.crossing.died(self.now.mono, deaths, payload.timestamp, is_known);
        self.release_all(node, Fate::Dropped(Reason::UnknownMetric));
        let was_announced = node.own.life.is_announced();
        let unannounced = kept_back(&node.own);
        if ends == Ends::Unknown {
            // Dead as far as anybody can see; if it lives, its next message says so.
            for life in node.lives() {
                life.rest();
            }
        } else {
            node.own.forget();
            node.definitions.clear();
            node.bd_seq = None;
            node.sequence.forget();
            node.sessions.end();
            for device in node.devices.values_mut() {
                device.end(Life::Unknown);
                device.born_at = None;
            }
        }
        node.count_all();
        if !was_announced {
            node.loss = false;
            return unannounced;
        }
        let timestamp_ms = payload.timestamp.unwrap_or(self.now.wall_ms);
        self.relay_death(node, None, timestamp_ms, metric.as_ref(), None);
        Fate::Forwarded
    }

    /// A live DDEATH.
    pub(super) fn device_death(
        &mut self,
        node: &mut Node,
        device: &str,
        payload: &Payload,
    ) -> Fate {
        self.drop_of_death(node.origin(Some(device)), &payload.metrics, 0);
        self.release(node, Some(device), Fate::Dropped(Reason::UnknownMetric));
        let Some(state) = node.devices.get_mut(device) else {
            return Fate::Dropped(Reason::DataBeforeBirth);
        };
        let was = state.end(Life::Unknown);
        state.may_go_on = false;
        state.birth_due = false;
        state.holds = false;
        if !was.is_alive() || !node.own.life.is_alive() {
            // It is dead already.
            return Fate::Dropped(Reason::StaleDeath);
        }
        if !was.is_announced() {
            return kept_back(state);
        }
        let timestamp_ms = payload.timestamp.unwrap_or(self.now.wall_ms);
        self.relay_death(node, Some(device), timestamp_ms, None, None);
        Fate::Forwarded
    }

    /// Something of a node whose layout is known arrived: it is alive. What its stored birth
    /// says may be long out of date.
    pub(super) fn revive_node(&mut self, node: &mut Node) {
        node.crossing.revive();
        node.own.life.revive();
        node.lose();
        // What is judged came long ago.
        self.rule_counters.be_quiet(true);
        self.judge_born(node);
        self.survey_birth(node, true);
        self.rule_counters.be_quiet(false);
        if let Some(permit) = self.permit_node(node) {
            self.announce_node(node, permit, true);
        }
    }

    /// A device of a node that was born just now was born before it came, in the same session: it lives,
    /// and what was said of it since may be lost.
    pub(super) fn revive_known(&mut self, node: &mut Node, device: &str) {
        let is_known = |state: &EntityState| state.life == Life::Known;
        if node.own.life.is_alive() && node.state(Some(device)).is_some_and(is_known) {
            self.revive_device(node, device);
            self.order_keyframe(node);
        }
    }

    /// The same for a device of a live node.
    pub(super) fn revive_device(&mut self, node: &mut Node, device: &str) {
        if let Some(state) = node.devices.get_mut(device) {
            state.life.revive();
        }
        node.lose();
        self.rule_counters.be_quiet(true);
        self.judge_device(node, device);
        node.count(Some(device));
        let Some(node_permit) = node.own.life.permit() else {
            return self.rule_counters.be_quiet(false);
        };
        let types_changed = self.refresh_device_types(node, device);
        self.rule_counters.be_quiet(false);
        node.count(Some(device));
        if types_changed {
            let bytes = node.births_bytes();
            if self.may_bear(node, bytes) {
                node.last_synthetic = Some(self.now.mono);
                self.announce_all(node, node_permit, None);
            } else {
                // With the births that are due soon: see `device_birth`.
                node.types_due = true;
                if let Some(state) = node.devices.get_mut(device) {
                    state.birth_due = true;
                }
            }
        } else if let Some(permit) = self.permit_device(node, device) {
            self.announce_device(node, device, permit, true);
        }
    }

    /// Takes over what the instances ask for now; whether the NBIRTH has to change for it.
    pub(super) fn refresh_types(&mut self, node: &mut Node) -> bool {
        let before = std::mem::take(&mut node.types);
        self.survey(node);
        node.types != before || !node.has_announced_types()
    }

    /// Adds what the instances of a device ask for; whether the NBIRTH has to change for it.
    fn refresh_device_types(&mut self, node: &mut Node, device: &str) -> bool {
        let before = node.types.growth();
        self.survey_entity(node, Some(device), SURVEY_BYTES);
        node.types.growth() != before || !node.has_announced_types()
    }

    /// Judges a node that was born, and those of its devices that weren't judged since they were:
    /// what was judged of the others still holds.
    fn judge_born(&mut self, node: &mut Node) {
        let Node { group, edge_node, own, devices, definitions, losses, .. } = node;
        self.judge(Entity::node(group, edge_node), Some(definitions), own, *losses);
        // Their own births are another message's.
        let was_quiet = self.rule_counters.is_quiet();
        self.rule_counters.be_quiet(true);
        for (device, state) in devices.iter_mut().filter(|(_, state)| !state.judged) {
            self.judge(Entity::device(group, edge_node, device), None, state, *losses);
        }
        self.rule_counters.be_quiet(was_quiet);
    }

    /// Judges node and devices anew.
    pub(super) fn judge_all(&mut self, node: &mut Node) {
        let Node { group, edge_node, own, devices, definitions, losses, .. } = node;
        self.judge(Entity::node(group, edge_node), Some(definitions), own, *losses);
        for (device, state) in devices {
            self.judge(Entity::device(group, edge_node, device), None, state, *losses);
        }
    }

    fn judge_device(&mut self, node: &mut Node, device: &str) {
        let Node { group, edge_node, devices, losses, .. } = node;
        if let Some(state) = devices.get_mut(device) {
            self.judge(Entity::device(group, edge_node, device), None, state, *losses);
        }
    }

    /// Reads what a birth says. What can't be used of it is counted, and told in one line.
    fn take_apart(&mut self, origin: Origin<'_>, birth: Birth, is_node: bool) -> Taught {
        let Birth { payload, bad } = birth;
        let mut refused = RefusedMetrics::default();
        for bad in &bad {
            let metric = payload.metrics.get(bad.metric);
            let name = metric.and_then(|metric| metric.name.as_deref()).unwrap_or_default();
            let fault = || Fault::of_part(bad);
            self.refuse_metric(origin, name, reason_of(bad.fault), &mut refused, fault);
        }
        let Payload { metrics, timestamp, .. } = payload;
        let caps = &self.settings.caps;
        let mut taught = Layout::teach(metrics, timestamp, self.now.wall_ms, is_node, caps);
        let Uncounted { named, others } = std::mem::take(&mut taught.refused);
        for RefusedMetric { name, reason, fault } in named {
            self.refuse_metric(origin, &name, reason, &mut refused, || fault.clone());
        }
        for (reason, others) in others {
            self.drop(origin, What::Metrics(others), reason, None);
            refused.note_others(others);
        }
        notify::metrics_refused(origin, true, &refused);
        taught
    }
}

/// Whether a node goes on after a death with this payload: it is that of an earlier session.
pub(super) fn outlives(node: &Node, payload: &Payload) -> bool {
    let births = node.bd_seq.as_ref().and_then(names::bd_seq_of);
    let deaths = death_number(payload).as_ref().and_then(names::bd_seq_of);
    node.own.life.is_alive() && node.sessions.judge(births, deaths) == Ends::Earlier
}

/// The metric of an NDEATH with the number of its session. It has no other one, so that it is known
/// where it comes by an alias alone.
pub(super) fn death_number(payload: &Payload) -> Option<Metric> {
    let named = |metric: &&Metric| metric.name.as_deref() == Some(names::BD_SEQ);
    let named = payload.metrics.iter().find(named);
    let lone = || match payload.metrics.as_slice() {
        [metric] if metric.name.as_deref().is_none_or(str::is_empty) => Some(metric),
        _ => None,
    };
    let metric = named.or_else(lone)?;
    Some(Metric { name: Some(names::BD_SEQ.to_owned()), ..metric.clone() })
}

/// The fate of a birth or death of which nothing crosses: whoever reads the log looks for the rule
/// that denies the entity, and finds none where default deny does.
fn kept_back(state: &EntityState) -> Fate {
    let mut drops = state.layout.slots.iter().filter_map(|slot| match slot.verdict() {
        Verdict::Drop { reason, rule } => Some((reason, rule)),
        _ => None,
    });
    let (reason, rule) = drops.next().unwrap_or((Reason::NoRule, None));
    Fate::DroppedBy(reason, rule)
}

/// The fate of a birth, by what its entity came to: one that is larger than a frame may be
/// can't be announced.
fn birth_fate(state: &EntityState) -> Fate {
    if state.life.is_announced() { Fate::Forwarded } else { Fate::Dropped(Reason::OverCap) }
}

/// Sequence numbers count modulo 256.
pub(super) fn low_byte(seq: Option<u64>) -> Option<u8> {
    seq.map(|seq| {
        let [low, ..] = seq.to_le_bytes();
        low
    })
}

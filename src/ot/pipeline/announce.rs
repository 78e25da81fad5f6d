//! Announcing: births and deaths that tell readers what there is, keyframes that repeat it, and
//! the messages that waited for them.

use std::time::Duration;

use account::{Fate, Origin, Reason, What};
use mistake::mistake;
use policy::shape::Pseudonyms;
use policy::{Admitted, AdmittedKind, Permit};
use sparkplug::{Entity, EntityTopic};

use super::Entry;
use super::encode::{self, Birth, BirthScope};
use super::step::StepContext;
use crate::plant::{EntityState, GivenLayouts, Node, Slot};

/// Why a death is made: no rule lets anything of it through, though it lives.
pub(super) const NO_RULE: &str = "no_rule";
/// Nothing is heard of it.
pub(super) const UNHEARD: &str = "unheard";
/// Another relay has it.
pub(super) const OTHER_SHARD: &str = "other_shard";
/// Its death came before its birth.
pub(super) const DIED: &str = "died";

/// Why a death is made, for readers, by what becomes of what waited.
fn why(fate: Fate) -> &'static str {
    match fate {
        Fate::Dropped(Reason::NoRule) => NO_RULE,
        Fate::Dropped(Reason::OverCap | Reason::OverCapacity | Reason::OverMemory) => "over_limit",
        _ => "refused",
    }
}

impl StepContext<'_> {
    /// Leave for a live device to be announced: something of it crosses, or it has nothing at
    /// all and a rule forwards it.
    pub(super) fn permit_device(&self, node: &Node, device: &str) -> Option<Permit> {
        let state = node.devices.get(device).filter(|state| state.life.is_alive())?;
        let slots = &state.layout.slots;
        if slots.is_empty() && state.layout.born_empty {
            let entity = Entity::device(&node.group, &node.edge_node, device);
            return self.policy.permit_device(entity).filter(|_| !self.collides(entity));
        }
        slots.iter().find_map(|slot| slot.verdict().permit())
    }

    /// Leave for a node to be announced.
    pub(super) fn permit_node(&self, node: &Node) -> Option<Permit> {
        let permit = self.policy.permit_node(&node.group, &node.edge_node);
        permit.filter(|_| !self.collides(node.entity()))
    }

    /// Journals the NBIRTH of a live node. Its devices are not born by it.
    pub(super) fn announce_node(&mut self, node: &mut Node, permit: Permit, synthetic: bool) {
        node.types_due = false;
        self.name_node(node);
        node.announce_types();
        let too_soon = self.is_born_too_soon(&node.own);
        if !too_soon {
            release_held(&mut node.own);
        }
        node.count(None);
        self.breathe();
        let timestamp = self.birth_timestamp(&node.own, synthetic);
        let how = self.policy.pseudonyms();
        let birth = encode::birth(node, None, BirthScope::Current, timestamp, how);
        if !self.relay_birth(node, None, permit, birth, synthetic) {
            // Readers can't hear what it looks like now: for them it is dead.
            self.bury_node(node, Fate::Dropped(Reason::OverCap));
            return;
        }
        node.withdraw_devices();
        if !node.own.life.is_announced() {
            // A birth doesn't say that it is doubted; the keyframe behind it does.
            let doubts = synthetic && node.own.life.is_uncertain();
            node.next_keyframe = if doubts { self.now.mono } else { self.next_keyframe(node) };
        }
        self.release_told(node, None);
        mark_born(&mut node.own, permit, (!too_soon).then_some(self.now.mono));
    }

    /// Journals the DBIRTH of a live device.
    pub(super) fn announce_device(
        &mut self,
        node: &mut Node,
        device: &str,
        permit: Permit,
        synthetic: bool,
    ) {
        self.name_device(node, device);
        let Some(state) = node.devices.get_mut(device) else {
            return mistake!("an announced device that the node hasn't");
        };
        let too_soon = self.is_born_too_soon(state);
        if !too_soon {
            release_held(state);
        }
        self.breathe();
        let Some(state) = node.devices.get_mut(device) else {
            return mistake!("an announced device that the node hasn't");
        };
        let timestamp = self.birth_timestamp(state, synthetic);
        node.count(Some(device));
        let Some(state) = node.devices.get(device) else {
            return mistake!("an announced device that the node hasn't");
        };
        let how = self.policy.pseudonyms();
        let birth = encode::birth(node, Some(state), BirthScope::Current, timestamp, how);
        if !self.relay_birth(node, Some(device), permit, birth, synthetic) {
            self.bury_device(node, device, Fate::Dropped(Reason::OverCap));
            return;
        }
        self.release_told(node, Some(device));
        let values_at = (!too_soon).then_some(self.now.mono);
        if let Some(state) = node.devices.get_mut(device) {
            mark_born(state, permit, values_at);
        }
    }

    /// Journals births of the relay's own making: the NBIRTH and the DBIRTHs of all live
    /// devices but `except`, in that order.
    pub(super) fn announce_all(&mut self, node: &mut Node, permit: Permit, except: Option<&str>) {
        self.announce_node(node, permit, true);
        let devices: Vec<Box<str>> = node.devices.keys().cloned().collect();
        for device in devices.iter().filter(|device| Some(&***device) != except) {
            if let Some(permit) = self.permit_device(node, device) {
                self.announce_device(node, device, permit, true);
            }
        }
    }

    /// Journals a death of the relay's own making for a node, if readers hold it for alive.
    /// `fate` is that of its messages which wait.
    pub(super) fn bury_node(&mut self, node: &mut Node, fate: Fate) {
        self.bury_node_since(node, fate, why(fate));
    }

    /// The same, where something else than the fate says why.
    pub(super) fn bury_node_since(&mut self, node: &mut Node, fate: Fate, why: &'static str) {
        self.release_all(node, fate);
        if !node.own.life.withdraw() {
            return;
        }
        let bd_seq = node.bd_seq.clone();
        self.relay_death(node, None, self.now.wall_ms, bd_seq.as_ref(), Some(why));
        node.withdraw_devices();
    }

    /// Journals a death of the relay's own making for a device, if readers hold it for alive.
    /// `fate` is that of its messages which wait.
    pub(super) fn bury_device(&mut self, node: &mut Node, device: &str, fate: Fate) {
        self.release(node, Some(device), fate);
        let state = node.devices.get_mut(device);
        if state.is_some_and(|state| state.life.withdraw()) {
            self.relay_death(node, Some(device), self.now.wall_ms, None, Some(why(fate)));
        }
    }

    /// Journals the births that are due for metrics born late, if the node's turn has come.
    pub(super) fn catch_up(&mut self, node: &mut Node) -> bool {
        let of_due = |state: &EntityState| if state.birth_due { state.announced_bytes } else { 0 };
        let bytes = if node.own.birth_due || node.types_due {
            node.births_bytes()
        } else {
            node.devices.values().map(|state| of_due(state)).fold(0, usize::saturating_add)
        };
        if !self.may_bear(node, bytes) {
            return false;
        }
        let due: Vec<Box<str>> = node
            .devices
            .iter()
            .filter(|(_, state)| state.birth_due)
            .map(|(name, _)| name.clone())
            .collect();
        if node.own.birth_due || node.types_due {
            if let Some(permit) = node.own.life.permit().or_else(|| self.permit_node(node)) {
                self.announce_all(node, permit, None);
            }
        } else {
            for device in &due {
                if let Some(permit) = self.permit_device(node, device) {
                    self.announce_device(node, device, permit, true);
                } else if let Some(state) = node.devices.get_mut(device) {
                    // Another policy denies it meanwhile.
                    state.birth_due = false;
                }
            }
        }
        node.last_synthetic = Some(self.now.mono);
        true
    }

    /// Ends the waiting of a device's messages, or of those of the node itself.
    pub(super) fn release(&mut self, node: &mut Node, device: Option<&str>, fate: Fate) {
        let Some(parts) = node.parts(device) else { return };
        self.release_entity(parts.origin, parts.state, fate);
    }

    /// Ends the waiting of those messages whose values a birth has: of all, unless it came too soon for
    /// the values that limits hold back.
    fn release_told(&mut self, node: &mut Node, device: Option<&str>) {
        if !node.state(device).is_some_and(|state| state.holds) {
            return self.release(node, device, Fate::Forwarded);
        }
        let Some(state) = node.state_mut(device) else { return };
        let waiting = std::mem::take(&mut state.waiting);
        self.ledger.settle_waiting(node.origin(device), waiting, Fate::Forwarded);
    }

    /// The same for a node and its devices.
    pub(super) fn release_all(&mut self, node: &mut Node, fate: Fate) {
        self.release(node, None, fate);
        let Node { group, edge_node, slot, devices, .. } = node;
        for (device, state) in devices {
            let entity = Entity::device(group, edge_node, device);
            let origin = Origin { entity: Some(entity), node: Some(*slot) };
            self.release_entity(origin, state, fate);
        }
    }

    fn release_entity(&mut self, origin: Origin<'_>, state: &mut EntityState, fate: Fate) {
        let cause = match fate {
            Fate::Dropped(reason) => Some((reason, None)),
            Fate::DroppedBy(reason, rule) => Some((reason, rule)),
            // A birth has the values.
            Fate::Forwarded | Fate::Waiting => None,
        };
        // Also those of messages of which the rest was forwarded.
        if let Some((reason, rule)) = cause {
            let holds = std::mem::take(&mut state.holds);
            for place in 0..state.layout.slots.len() {
                if holds
                    && let Some(held) = self.lose_held(origin, state, place, (reason, rule))
                    && reason == Reason::NoRule
                    && state.layout.slot(place).is_some_and(Slot::keeps)
                {
                    // It is the newest one, and goes on under another name, or may be shown by another
                    // policy.
                    state.layout.update(place, &held.metric);
                }
                // What waited for its birth.
                if let Some(slot) = state.layout.slots.get_mut(place)
                    && slot.ends_waiting()
                {
                    self.drop(origin, What::Metric(slot.name()), reason, rule);
                }
            }
        }
        let waiting = std::mem::take(&mut state.waiting).saturating_add(state.backlog.end());
        self.ledger.settle_waiting(origin, waiting, fate);
    }

    /// Journals the keyframes of a node and its devices, which give their layouts.
    pub(super) fn keyframe(&mut self, node: &mut Node) {
        let how = self.policy.pseudonyms();
        let before = self.out.len();
        let most_bytes = self.settings.caps.relayed_bytes();
        let shown = give_keyframes(
            (&self.settings.source, most_bytes),
            node,
            self.given,
            self.now.wall_ms,
            how,
        );
        self.out.extend(shown);
        let bytes = |entry: &Entry| match entry {
            Entry::Plant(admitted) => admitted.payload_bytes(),
            Entry::Start(_) | Entry::Heartbeat(_) => 0,
        };
        let written = self.out.get(before..).unwrap_or_default();
        let written = written.iter().map(bytes).fold(node.metrics(), usize::saturating_add);
        self.work(written);
    }

    fn birth_timestamp(&self, state: &EntityState, synthetic: bool) -> u64 {
        match state.layout.timestamp {
            Some(timestamp) if !synthetic => timestamp,
            _ => self.now.wall_ms,
        }
    }
}

/// The keyframes of a node that readers hold for alive: the node first, then its devices. They give
/// the layouts of what they show, as long as each is no larger than `most_bytes`.
pub(super) fn give_keyframes(
    (source, most_bytes): (&str, usize),
    node: &mut Node,
    given: &mut GivenLayouts,
    wall_ms: u64,
    how: Pseudonyms<'_>,
) -> Vec<Entry> {
    let shown: Vec<Shown> = keyframes(source, node, wall_ms, how).collect();
    let give = |shown: Shown| {
        let Shown { device, others, keyframe } = shown;
        let Some(state) = node.state_mut(device.as_deref()) else {
            mistake!("a keyframe of a device that the node hasn't");
            return Entry::Plant(keyframe);
        };
        if keyframe.payload_bytes() > most_bytes {
            // It may be larger than a frame can be, and then nobody reads it.
            state.layout.take_back();
            return Entry::Plant(keyframe);
        }
        let number = state.layout.give(given, others, Slot::is_born);
        Entry::Plant(keyframe.giving(number))
    };
    shown.into_iter().map(give).collect()
}

/// A keyframe that gives no layout yet.
pub(super) struct Shown {
    device: Option<Box<str>>,
    /// Metrics before those of the layout.
    others: usize,
    pub(super) keyframe: Admitted,
}

/// The keyframes of a node that readers hold for alive: the node first, then its devices.
pub(super) fn keyframes<'a>(
    source: &'a str,
    node: &'a Node,
    wall_ms: u64,
    how: Pseudonyms<'a>,
) -> impl Iterator<Item = Shown> + 'a {
    let node_permit = node.own.life.permit();
    let devices = move || {
        let announced = node.devices.iter().filter(move |_| node_permit.is_some());
        announced.filter_map(|(name, state)| Some((&**name, state, state.life.permit()?)))
    };
    let keyframe = move |permit: Permit, device: Option<(&str, &'a EntityState)>, devices| {
        let state = device.map_or(&node.own, |(_, state)| state);
        let timestamp = state.layout.timestamp.unwrap_or(wall_ms);
        let of_device = device.map(|(_, state)| state);
        let birth = encode::birth(node, of_device, BirthScope::Announced, timestamp, how);
        let topic = EntityTopic::birth(node.exported(device.map(|(name, _)| name)));
        let uncertain = state.life.is_uncertain();
        let unheard = uncertain && node.unheard_since.is_some();
        let doubts = state.doubts_in_force();
        let Birth { payload, others, given_aliases } = birth;
        let layout = 0;
        let kind =
            AdmittedKind::Keyframe { uncertain, unheard, doubts, devices, given_aliases, layout };
        let keyframe = Admitted::new(permit, source, topic, payload, node.losses, kind);
        Shown { device: device.map(|(name, _)| name.into()), others, keyframe }
    };
    let own = node_permit.map(|permit| {
        let names = devices().filter_map(|(name, ..)| node.exported(Some(name)).device);
        keyframe(permit, None, names.map(str::to_owned).collect())
    });
    let others = devices()
        .map(move |(name, state, permit)| keyframe(permit, Some((name, state)), Vec::new()));
    own.into_iter().chain(others)
}

/// A birth isn't subject to rates, unless it follows another one too soon: values that were held back
/// are part of it.
fn release_held(state: &mut EntityState) {
    if std::mem::take(&mut state.holds) {
        for place in 0..state.layout.slots.len() {
            if let Some(held) = state.layout.take_held(place) {
                state.layout.update(place, &held.metric);
            }
        }
    }
}

/// `values_at`: now, if it brought values.
fn mark_born(state: &mut EntityState, permit: Permit, values_at: Option<Duration>) {
    state.values_at = values_at.or(state.values_at);
    state.life.announce(permit);
    state.birth_due = false;
    state.awaits_since = None;
    state.reshaped = false;
    for slot in &mut state.layout.slots {
        slot.set_born(slot.is_exported());
    }
}

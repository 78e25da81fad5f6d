//! What the pipeline knows after a restart: the stored plant, brought up to date by the frames
//! that were journalled after it was stored.

use journal_format::{Body, Keyframe, Relayed};
use mistake::mistake;
use sparkplug::{Caps, DataType, Entity, MessageType, Metric, Payload, Topic, decode, names};

use super::adjust::adjust;
use super::announce::{DIED, NO_RULE, UNHEARD};
use super::guard::orphan;
use super::memory::enforce;
use super::rename::{Names, Resolved};
use super::shard::is_of_another;
use super::{Deed, Entry, Now, Pipeline, shape};
use crate::plant::{
    EntityState, Layout, Life, Node, SnapshotPart, Standing, StoredPlant, Trust, Unfit,
    is_definition,
};

impl Pipeline {
    /// The whole plant, made in the simplest way.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn store(&self, journal_seq: u64) -> StoredPlant {
        StoredPlant::of(&self.plant, &self.policy, journal_seq)
    }

    /// Begins a snapshot of the plant for [`Pipeline::restore`], as it is now; `journal_seq` is the
    /// number of the next journal frame.
    pub(crate) fn begin_snapshot(&mut self, journal_seq: u64) {
        self.snapshot = Some(StoredPlant::head(&self.policy, journal_seq));
        self.plant.begin_snapshot();
    }

    /// Nothing comes any more: the snapshot under way is the last one.
    pub(crate) fn end_snapshots(&mut self) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.is_last = true;
        }
    }

    /// Takes nodes of the snapshot until they have about `most` bytes.
    pub(crate) fn take_snapshot(&mut self, most: usize) -> SnapshotPart {
        let (nodes, complete) = self.plant.take_snapshot(most);
        SnapshotPart { nodes, head: if complete { self.snapshot.take() } else { None } }
    }

    /// Takes over a stored plant. `later` are the bodies that were journalled after it was
    /// stored, in order. Appends to `out` what readers have to hear of.
    pub(crate) fn restore(
        &mut self,
        now: Now,
        stored: StoredPlant,
        later: impl Iterator<Item = Body>,
        out: &mut Vec<Entry>,
    ) {
        let start = stored.start();
        let mut later = later.peekable();
        let is_exact = stored.is_last && later.peek().is_none();
        let Pipeline { plant, ledger, guard, settings, .. } = self;
        let lets = |entity: Entity<'_>| guard.lets(entity, Deed::Restored);
        let max_devices = settings.max_devices_per_node;
        let left_out = stored.restore(plant, max_devices, ledger, is_exact, lets);
        for index in &left_out {
            plant.node_mut(*index).into_iter().for_each(orphan);
        }
        // Of values that waited for a limit when the process ended, only those are known that
        // the stored plant has: without them, that the sequence goes on proves nothing.
        let mut gone = self.limiter.conflates();
        gone &= later.peek().is_some();
        let mut names = Names::new(&self.policy, start, &self.plant);
        for body in later {
            self.replay(body, &mut names, &left_out);
        }
        out.extend(names.bury_strangers(&mut self.plant, &self.settings.source, now.wall_ms));
        let (mut step, plant) = self.step(now, out);
        for node in plant.nodes_mut() {
            step.bury_renamed(node);
        }
        for index in 0..self.plant.nodes().len() {
            let Pipeline { plant, guard, shard, .. } = self;
            let shard = *shard;
            let may = |node: &Node| guard.lets(node.entity(), Deed::Adjusted);
            let may = plant.nodes().get(index).is_some_and(may);
            let (mut step, plant) = self.step(now, out);
            let Some(node) = plant.node_mut(index) else { continue };
            if is_of_another(shard, node) {
                step.leave_to_other_shard(node);
                continue;
            }
            if !may {
                orphan(node);
            }
            if node.own.life == Life::Unknown {
                node.definitions.clear();
            }
            if gone {
                node.own.life.give_up_verifying();
            }
            // What came while this half was away is a doubt of its own.
            node.losses = node.losses.saturating_add(1);
            if node.own.life.is_alive() {
                node.unheard_since = Some(step.now.mono);
            }
            node.next_keyframe = step.next_keyframe(node);
            adjust(&mut step, node);
        }
        let (mut step, plant) = self.step(now, out);
        enforce(&mut step, plant);
    }

    fn replay(&mut self, body: Body, names: &mut Names, left_out: &[usize]) {
        let (mut doubts, mut withdrawn) = (0, "");
        let (topic, payload, mut made, losses, lost) = match &body {
            Body::Relayed(relayed) => {
                let Relayed { topic, payload, losses, loss_before, .. } = relayed;
                withdrawn = &relayed.withdrawn;
                let made = match (relayed.synthetic, relayed.aliased) {
                    (true, _) => Made::ByTheRelay,
                    (false, true) => Made::WithAliases,
                    (false, false) => Made::WithNames { received_ms: relayed.received_ms },
                };
                (topic, payload, made, *losses, *loss_before)
            }
            Body::Keyframe(keyframe) => {
                let Keyframe { topic, payload, uncertain, losses, .. } = keyframe;
                // A device that is doubted for itself; what its node lost that says itself.
                doubts = keyframe.doubts;
                (topic, payload, Made::Again, *losses, *uncertain && doubts == 0)
            }
            Body::Start(start) => return names.start(start.clone()),
            Body::Heartbeat(_) => return,
            Body::Data(_) => return mistake!("data that isn't told by names"),
        };
        let Ok(Topic::Entity(topic)) = Topic::parse(topic) else { return };
        let caps = self.settings.caps.of_own_journal();
        let Ok(decoded) = decode(payload, &caps) else { return };
        let Pipeline { policy, plant, ledger, .. } = self;
        let Some(resolved) = names.resolve(policy, plant, ledger, topic, losses) else { return };
        let Resolved { place, device, is_former } = resolved;
        if left_out.contains(&place) {
            return;
        }
        let Some(node) = plant.node_mut(place) else { return };
        if matches!(made, Made::ByTheRelay) && topic.message_type.is_death() {
            let rests = [UNHEARD, DIED].contains(&withdrawn);
            if is_former || rests || withdrawn == NO_RULE {
                withdraw(node, device.as_deref());
                if rests {
                    node.lives().for_each(Life::rest);
                }
                node.losses = node.losses.max(losses);
                return;
            }
        }
        let mut payload = decoded.payload;
        if let (Made::WithNames { .. }, true) = (made, names.metrics_are_renamed()) {
            // Nor can data be read by names that the plant doesn't use.
            made = Made::WithAliases;
        }
        names.own_names(node.state(device.as_deref()), &mut payload.metrics);
        replay(node, topic.message_type, device.as_deref(), payload, made, &caps);
        if doubts > 0
            && let Some(state) = node.state_mut(device.as_deref())
        {
            state.restore_doubts(doubts);
        }
        // Readers know of these losses: the next one has to have another number.
        node.losses = node.losses.max(losses);
        if lost {
            node.own.life.give_up_verifying();
        }
    }
}

/// Readers aren't to know it any more, or not by that name: in the plant it lives on.
fn withdraw(node: &mut Node, device: Option<&str>) {
    match device {
        None => {
            let _ = node.own.life.withdraw();
            node.withdraw_devices();
        }
        Some(device) => {
            if let Some(state) = node.devices.get_mut(device) {
                let _ = state.life.withdraw();
            }
        }
    }
}

/// How a journalled birth came to be.
#[derive(Clone, Copy)]
enum Made {
    /// It repeats what was journalled before.
    Again,
    /// From what was known already: it repeats and extends it.
    ByTheRelay,
    /// By the plant, with aliases, which the journal doesn't carry: data can't be read by it.
    WithAliases,
    /// By the plant, with names alone: what crossed of it is all that data needs. What didn't
    /// cross comes with the next birth.
    WithNames { received_ms: u64 },
}

fn replay(
    node: &mut Node,
    message_type: MessageType,
    device: Option<&str>,
    payload: Payload,
    made: Made,
    caps: &Caps,
) {
    match message_type {
        MessageType::NBirth => {
            match made {
                // Devices that readers don't know live on.
                Made::Again => revive(&mut node.own, payload.metrics),
                Made::ByTheRelay => {
                    node.withdraw_devices();
                    revive(&mut node.own, payload.metrics);
                }
                Made::WithAliases => {
                    end_devices(node);
                    node.own.forget();
                    node.own.life = Life::Orphaned;
                }
                Made::WithNames { received_ms } => {
                    end_devices(node);
                    let Payload { metrics, timestamp, .. } = payload;
                    let taught = Layout::teach(metrics, timestamp, received_ms, true, caps);
                    let _ = node.bear(taught, &mut Unfit::default());
                    node.announced_types = node.definitions.names().map(str::to_owned).collect();
                    node.sequence.forget();
                    // Nobody knows.
                    node.has_unassured = true;
                    believe(&mut node.own);
                }
            }
        }
        MessageType::NDeath => {
            node.own.forget();
            end_devices(node);
        }
        MessageType::DBirth => {
            let Some(device) = device else { return };
            let state = node.devices.entry(device.into()).or_default();
            match made {
                Made::Again | Made::ByTheRelay => revive(state, payload.metrics),
                Made::WithAliases => {
                    state.forget();
                    state.life = Life::Orphaned;
                }
                Made::WithNames { received_ms } => {
                    let Payload { metrics, timestamp, .. } = payload;
                    let taught = Layout::teach(metrics, timestamp, received_ms, false, caps);
                    state.bear(taught.layout);
                    believe(state);
                }
            }
        }
        MessageType::DDeath => {
            if let Some(state) = device.and_then(|device| node.devices.get_mut(device)) {
                state.life = Life::Unknown;
            }
        }
        MessageType::NData | MessageType::DData => {
            // Messages came after the stored number; how many didn't cross isn't known.
            node.sequence.forget();
            let Some(state) = node.state_mut(device) else { return };
            for metric in payload.metrics {
                enter(state, &metric);
            }
        }
    }
}

/// Readers know all of it; its values may be out of date.
fn believe(state: &mut EntityState) {
    state.life = Life::Alive { standing: Standing::Inherited, trust: Trust::Unverified };
    for slot in &mut state.layout.slots {
        slot.set_born(true);
    }
}

/// A birth of the relay's own making repeats and extends what was stored.
fn revive(state: &mut EntityState, metrics: Vec<Metric>) {
    let trust = match state.life {
        Life::Unknown | Life::Orphaned if state.layout.slots.is_empty() => {
            state.life = Life::Orphaned;
            return;
        }
        Life::Alive { trust: Trust::Unverified, .. } => Trust::Unverified,
        Life::Unknown | Life::Orphaned | Life::Known | Life::Alive { .. } => Trust::Lost,
    };
    state.life = Life::Alive { standing: Standing::Inherited, trust };
    for slot in &mut state.layout.slots {
        slot.set_born(false);
    }
    for metric in metrics {
        let is_slot = !is_definition(&metric)
            && !matches!(metric.name.as_deref(), Some(names::BD_SEQ | names::REBIRTH));
        if is_slot
            && state.layout.find(metric.name.as_deref(), metric.alias).is_none()
            && let Some(datatype) = metric.datatype.and_then(DataType::from_code)
        {
            state.layout.insert(metric.clone(), datatype);
        }
        enter(state, &metric);
        if let Some(found) = state.layout.find(metric.name.as_deref(), metric.alias)
            && let Some(slot) = state.layout.slot_mut(found)
        {
            slot.set_born(true);
        }
    }
}

fn enter(state: &mut EntityState, metric: &Metric) {
    if metric.is_historical == Some(true) {
        return;
    }
    if let Some(found) = state.layout.find(metric.name.as_deref(), metric.alias) {
        shape::take_back_null(&mut state.layout, found, &mut metric.clone());
    }
}

fn end_devices(node: &mut Node) {
    for device in node.devices.values_mut() {
        device.life = Life::Unknown;
    }
}

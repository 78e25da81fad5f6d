//! What the pipeline knows after a restart: the stored plant, brought up to date by the frames
//! that were journalled after it was stored.

use super::{Now, Pipeline, adjust};
use crate::journal::{Body, Keyframe, Relayed};
use crate::ot::plant::{EntityState, Life, Node, StoredPlant, is_definition};
use crate::sparkplug::{
    DataType, Entity, EntityTopic, MessageType, Metric, Payload, Topic, decode, names,
};

impl Pipeline {
    /// A picture of the plant for [`Pipeline::restore`]; `journal_seq` is the number of the next
    /// journal frame.
    pub(crate) fn store(&self, journal_seq: u64) -> StoredPlant {
        StoredPlant::of(&self.plant, journal_seq)
    }

    /// Takes over a stored plant. `later` are the bodies that were journalled after it was
    /// stored, in order. Appends to `out` what readers have to be told.
    pub(crate) fn restore(
        &mut self,
        now: Now,
        stored: StoredPlant,
        later: impl Iterator<Item = Body>,
        out: &mut Vec<Body>,
    ) {
        stored.restore(&mut self.plant, self.settings.max_devices_per_node);
        for body in later {
            self.replay(body);
        }
        let (mut turn, plant) = self.turn(now, out);
        for node in plant.nodes_mut() {
            if node.own.life == Life::Unknown {
                node.definitions.clear();
            }
            // What came while this half was away is a doubt of its own.
            node.losses = node.losses.saturating_add(1);
            node.next_keyframe = turn.next_keyframe(node);
            adjust(&mut turn, node);
        }
    }

    fn replay(&mut self, body: Body) {
        let (topic, payload, synthetic, losses, lost) = match &body {
            Body::Relayed(Relayed { topic, payload, synthetic, losses, loss_before, .. }) => {
                (topic, payload, *synthetic, *losses, *loss_before)
            }
            Body::Keyframe(Keyframe { topic, payload, uncertain, losses, .. }) => {
                (topic, payload, true, *losses, *uncertain)
            }
            Body::Start(_) | Body::Heartbeat(_) => return,
        };
        let Ok(Topic::Entity(topic)) = Topic::parse(topic) else { return };
        let Ok(decoded) = decode(payload, &self.settings.caps) else { return };
        let Some(index) = self.plant.ensure(topic.entity) else { return };
        let Some(node) = self.plant.node_mut(index) else { return };
        replay(node, topic, decoded.payload, synthetic);
        // Readers know of these losses: the next one has to have another number.
        node.losses = node.losses.max(losses);
        node.verify &= !lost;
    }
}

fn replay(node: &mut Node, topic: EntityTopic<'_>, payload: Payload, synthetic: bool) {
    let Entity { device, .. } = topic.entity;
    match topic.message_type {
        MessageType::NBirth => {
            end_devices(node);
            if synthetic {
                revive(&mut node.own, payload.metrics);
            } else {
                // A birth whose aliases weren't stored any more: data by alias can't be read.
                node.own.forget();
                node.own.announced = true;
            }
        }
        MessageType::NDeath => {
            node.own.forget();
            node.own.announced = false;
            end_devices(node);
        }
        MessageType::DBirth => {
            let Some(device) = device else { return };
            let state = node.devices.entry(device.into()).or_default();
            if synthetic {
                revive(state, payload.metrics);
            } else {
                state.forget();
                state.announced = true;
            }
        }
        MessageType::DDeath => {
            if let Some(state) = device.and_then(|device| node.devices.get_mut(device)) {
                state.life = Life::Unknown;
                state.announced = false;
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

/// A birth of the relay's own making repeats and extends what was stored.
fn revive(state: &mut EntityState, metrics: Vec<Metric>) {
    state.announced = true;
    if state.layout.slots.is_empty() && state.life == Life::Unknown {
        return;
    }
    state.life = Life::Alive;
    state.uncertain = true;
    for slot in &mut state.layout.slots {
        slot.born = false;
    }
    for metric in metrics {
        let is_slot = !is_definition(&metric)
            && !matches!(metric.name.as_deref(), Some(names::BD_SEQ | names::REBIRTH));
        if is_slot
            && state.layout.find(&metric).is_none()
            && let Some(datatype) = metric.datatype.and_then(DataType::from_code)
        {
            state.layout.insert(metric.clone(), datatype);
        }
        enter(state, &metric);
        if let Some(found) = state.layout.find(&metric)
            && let Some(slot) = state.layout.slot_mut(found)
        {
            slot.born = true;
        }
    }
}

fn enter(state: &mut EntityState, metric: &Metric) {
    if metric.is_historical == Some(true) {
        return;
    }
    if let Some(found) = state.layout.find(metric)
        && let Some(slot) = state.layout.slot_mut(found)
    {
        slot.update(metric);
    }
}

fn end_devices(node: &mut Node) {
    for device in node.devices.values_mut() {
        device.life = Life::Unknown;
        device.announced = false;
    }
}

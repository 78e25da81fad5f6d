//! Keyframes: the OT half repeats what it holds for alive. A mirror that lost frames is whole
//! again with them; one that is whole compares, and counts any difference.

use std::collections::HashSet;
use std::sync::Arc;

use account::Reason;
use journal_format::Keyframe;
use sparkplug::{self, Borrowed, Entity, EntityTopic, MessageType, Payload, names};

use super::Link;
use super::births::{Revision, Worth};
use super::frames::entity_topic;
use super::layout::{Layout, with_given};
use super::node::{Device, Life, Node, Trust};
use super::nodes::{NodeRef, Nodes};
use super::notice::count;
use super::outgoing::NodeId;
use super::settings::OnGap;
use super::step::StepContext;

/// One keyframe of a node, as far as it isn't about the devices.
#[derive(Clone, Copy, Debug)]
struct NodeKeyframe<'a> {
    seq: u64,
    /// In milliseconds since the epoch.
    date: u64,
    keyframe: &'a Keyframe,
}

impl StepContext<'_> {
    /// A segment's head repeats every live node; a node that isn't among those `seen` in it died
    /// unseen.
    pub(super) fn head_ends(&mut self, nodes: &mut Nodes, seen: &HashSet<NodeId>) {
        nodes.for_each(|node| {
            if node.is_alive() && !node.is_relay() && !seen.contains(&node.id) {
                let node = node.change();
                node.set_dead();
                count(&mut self.tally.healed);
                self.reconcile(node, "the OT half no longer knows it");
            }
        });
    }

    /// Takes a keyframe; whose it is, where it could be used.
    pub(super) fn keyframe(
        &mut self,
        nodes: &mut Nodes,
        seq: u64,
        keyframe: &Keyframe,
    ) -> Option<NodeId> {
        match self.keyframe_of(nodes, seq, keyframe) {
            Ok(id) => {
                nodes.count(id);
                Some(id)
            }
            Err(reason) => {
                if reason == Reason::BadFrame {
                    self.refuse_frame(&keyframe.topic, &keyframe.payload);
                }
                count(&mut self.tally.keyframes_refused);
                None
            }
        }
    }

    fn keyframe_of(
        &mut self,
        nodes: &mut Nodes,
        seq: u64,
        keyframe: &Keyframe,
    ) -> Result<NodeId, Reason> {
        let topic = entity_topic(&keyframe.topic)?;
        self.check_names(topic.entity)?;
        let mut inflated = Vec::new();
        let caps = &self.settings.caps;
        let payload = sparkplug::decode_borrowed(&keyframe.payload, &mut inflated, caps)
            .map_err(|_| Reason::BadFrame)?;
        let Entity { group, edge_node, device } = topic.entity;
        let all_bytes = nodes.bytes;
        let found = nodes.find(group, edge_node);
        if let Some(node) = &found {
            self.look_for_room(all_bytes, node);
        }
        let on_gap = self.settings.on_gap;
        // Nearly every keyframe, and there are many: of each entity one every minute.
        let found = match found {
            Some(node) if is_known(&node, topic, &payload, keyframe, on_gap) => {
                let id = node.id;
                self.reconcile_found(node, "");
                return Ok(id);
            }
            found => found.filter(|node| node.is_alive()),
        };
        let payload = with_given(payload, &keyframe.given_aliases);
        let date = payload.timestamp.unwrap_or(self.now.wall_ms);
        match (topic.message_type, device, found) {
            (MessageType::NBirth, None, Some(node))
                if node.ot_bd_seq == names::bd_seq(&payload) =>
            {
                let id = node.id;
                self.repeated_node(node, NodeKeyframe { seq, date, keyframe }, payload);
                Ok(id)
            }
            (MessageType::NBirth, None, _) => {
                let node = self.born_node(nodes, group, edge_node)?;
                let id = node.id;
                let born = self.new_session(node, NodeKeyframe { seq, date, keyframe }, payload);
                nodes.count(id);
                born.map(|()| id)
            }
            (MessageType::DBirth, Some(_), None) => Err(Reason::DataBeforeBirth),
            (MessageType::DBirth, Some(name), Some(node)) if node.devices.contains_key(name) => {
                let id = node.id;
                let layout = self.layout(&node, Some(name), payload, date);
                let is_doubted = self.is_doubted(&node, Some(name));
                let revision = Revision::of(&node, Some(name), layout, Some(is_doubted));
                let known = node.layout_of(Some(name)).map(|layout| layout.doubts);
                if revision.is_some() || known != Some(keyframe.doubts) {
                    let node = node.change();
                    if let Some(revision) = revision {
                        self.revise(node, Some(name), seq, revision);
                    }
                    self.compare_doubts(node, name, seq, keyframe.doubts);
                }
                Ok(id)
            }
            (MessageType::DBirth, Some(name), Some(node)) => {
                self.heal();
                let node = node.change();
                let worth = Worth::of(keyframe.uncertain, true);
                self.device_birth(node, name, seq, payload, date, worth)?;
                if let Some(layout) = node.layout_of_mut(Some(name)) {
                    Arc::make_mut(layout).doubts = keyframe.doubts;
                }
                Ok(node.id)
            }
            _ => Err(Reason::BadFrame),
        }
    }

    /// The keyframe shows a session of the plant's node that isn't known: its birth was lost.
    ///
    /// # Errors
    /// There is no room for it.
    fn new_session(
        &mut self,
        node: &mut Node,
        head: NodeKeyframe<'_>,
        payload: Payload,
    ) -> Result<(), Reason> {
        let NodeKeyframe { seq, date, keyframe } = head;
        self.heal();
        node.unheard = keyframe.unheard;
        self.node_birth(node, seq, payload, date, Worth::Doubted)?;
        // What was known of the earlier session says nothing of this one.
        node.trust = Trust::Certain;
        self.compare_losses(node, seq, keyframe);
        self.reconcile(node, "");
        Ok(())
    }

    /// The keyframe repeats the session that is known. A node is changed only where something
    /// differs from what is known, or waited for the keyframe.
    fn repeated_node(&mut self, node: NodeRef<'_>, head: NodeKeyframe<'_>, payload: Payload) {
        let NodeKeyframe { seq, date, keyframe } = head;
        let layout = self.layout(&node, None, payload, date);
        let revision = Revision::of(&node, None, layout, Some(self.is_doubted(&node, None)));
        let live: HashSet<&str> = keyframe.devices.iter().map(String::as_str).collect();
        let gone: Vec<String> =
            node.devices.keys().filter(|name| !live.contains(name.as_str())).cloned().collect();
        let releases = node.publishes() && self.has_withheld_devices(&node);
        let is_resolved = node.life() == Life::Alive && !releases && !has_news(&node, keyframe);
        if is_resolved && revision.is_none() && gone.is_empty() {
            self.reconcile_found(node, "");
            return;
        }
        let node = node.change();
        node.set_alive();
        node.unheard = keyframe.unheard;
        if let Some(revision) = revision {
            self.revise(node, None, seq, revision);
        }
        for name in gone {
            self.heal();
            let _ = self.device_death(node, &name, seq);
        }
        self.release_devices(node, seq);
        self.compare_losses(node, seq, keyframe);
        self.reconcile(node, "");
    }

    /// The OT half's own word about what it lost of the node.
    fn compare_losses(&mut self, node: &mut Node, seq: u64, keyframe: &Keyframe) {
        let is_news = node.losses != keyframe.losses;
        node.losses = keyframe.losses;
        match (node.trust >= Trust::Uncertain, keyframe.uncertain) {
            (false, true) => self.gap(node),
            // Values that came after the losses known so far may be out of date by now.
            (true, true) if is_news => self.gap(node),
            (true, false) => self.verified(node, seq),
            _ => {}
        }
    }

    fn has_withheld_devices(&self, node: &Node) -> bool {
        has_withheld_devices(node, self.settings.on_gap)
    }

    /// Publishes births that waited for a definition: the keyframe has it, or the plant has
    /// none. Where it has, the births of all have been published by now.
    pub(super) fn release_devices(&mut self, node: &mut Node, seq: u64) {
        if !node.publishes() || !self.has_withheld_devices(node) {
            return;
        }
        node.close_missed(self.position);
        let mut devices = std::mem::take(&mut node.devices);
        let on_gap = self.settings.on_gap;
        let is_waiting = |device: &&mut Device| device.is_withheld(on_gap);
        for device in devices.values_mut().filter(is_waiting) {
            let held = device.unpublished_birth.take().unwrap_or(seq);
            self.published(node, held, seq);
        }
        for device in devices.values_mut().filter(is_waiting) {
            self.publish_device_birth(node, device);
        }
        node.devices = devices;
    }

    /// Counts a difference that a keyframe resolved; while the backlog is read that is none.
    fn heal(&mut self) {
        if self.link != Link::CatchingUp {
            count(&mut self.tally.healed);
        }
    }
}

/// Whether a keyframe says what is known already, and nothing of the node waited for one.
fn is_known(
    node: &Node,
    topic: EntityTopic<'_>,
    payload: &Borrowed<'_>,
    keyframe: &Keyframe,
    on_gap: OnGap,
) -> bool {
    if !node.is_alive() {
        return false;
    }
    let device = topic.entity.device;
    let waits = || {
        let bd_seq = payload.metrics.iter().find(|named| named.name == Some(names::BD_SEQ));
        node.life() == Life::Doubted
            || node.ot_bd_seq != bd_seq.and_then(|named| names::bd_seq_of(&named.metric))
            || !keyframe.devices.iter().eq(node.devices.keys())
            || has_news(node, keyframe)
            || has_withheld_devices(node, on_gap)
    };
    let is_birth = match device {
        None => topic.message_type == MessageType::NBirth && !waits(),
        Some(_) => topic.message_type == MessageType::DBirth,
    };
    let is_repeated = |layout: &Layout| {
        layout.is_repeated_by(payload, &keyframe.given_aliases)
            && (device.is_none() || layout.doubts == keyframe.doubts)
    };
    is_birth && node.layout_of(device).is_some_and(is_repeated)
}

/// The OT half's word about losses isn't what is known.
fn has_news(node: &Node, keyframe: &Keyframe) -> bool {
    (node.trust >= Trust::Uncertain, node.losses, node.unheard)
        != (keyframe.uncertain, keyframe.losses, keyframe.unheard)
}

fn has_withheld_devices(node: &Node, on_gap: OnGap) -> bool {
    node.devices.values().any(|device| device.is_withheld(on_gap))
}

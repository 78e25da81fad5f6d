//! Keyframes: the OT half repeats what it holds for alive. A mirror that lost frames is whole
//! again with them; one that is whole compares, and counts any difference.

use std::collections::HashSet;
use std::sync::Arc;

use account::Reason;
use journal_format::Keyframe;
use sparkplug::{Borrowed, Entity, EntityTopic, MessageType, Payload, names};

use crate::mirror::frames::entity_topic;
use crate::mirror::layout::Layout;
use crate::mirror::node::Node;
use crate::mirror::{Link, Mirror, NodeId, Now};

impl Mirror {
    /// A segment's head repeats every live node; a node that isn't in it died unseen.
    pub(super) fn head_ends(&mut self, now: Now) {
        let Some(seen) = self.head.take() else { return };
        for id in self.node_ids() {
            let died = |node: &Node| node.alive && !node.own && !seen.contains(&id);
            if self.node(id).is_some_and(died)
                && let Some(node) = self.node_mut(id)
            {
                node.alive = false;
                self.tally.healed = self.tally.healed.saturating_add(1);
                self.reconcile(now, id, "the OT half no longer knows it");
            }
        }
    }

    pub(super) fn keyframe(&mut self, now: Now, seq: u64, keyframe: Keyframe, in_head: bool) {
        let known = self.keyframe_of(now, seq, &keyframe);
        match known {
            Ok(id) => {
                if in_head && let Some(head) = &mut self.head {
                    head.insert(id);
                }
            }
            Err(reason) => {
                if reason == Reason::BadFrame {
                    self.refuse(&keyframe.topic, reason);
                }
                self.tally.keyframes_refused = self.tally.keyframes_refused.saturating_add(1);
            }
        }
    }

    fn keyframe_of(&mut self, now: Now, seq: u64, keyframe: &Keyframe) -> Result<NodeId, Reason> {
        let topic = entity_topic(&keyframe.topic)?;
        self.check_names(topic.entity)?;
        let mut inflated = Vec::new();
        let caps = &self.settings.caps;
        let payload = sparkplug::decode_borrowed(&keyframe.payload, &mut inflated, caps)
            .map_err(|_| Reason::BadFrame)?;
        let Entity { group, edge_node, device } = topic.entity;
        // Nearly every keyframe, and there are many: of each entity one every minute.
        if let Some(id) = self.find(group, edge_node)
            && self.is_known(id, topic, &payload, keyframe)
        {
            self.reconcile(now, id, "");
            return Ok(id);
        }
        let payload = payload.into_payload();
        let date = payload.timestamp.unwrap_or(now.wall_ms);
        match (topic.message_type, device) {
            (MessageType::NBirth, None) => {
                let id = self.node_named(group, edge_node)?;
                self.node_keyframe(now, id, seq, payload, date, keyframe);
                Ok(id)
            }
            (MessageType::DBirth, Some(name)) => {
                let id = self.find(group, edge_node).ok_or(Reason::DataBeforeBirth)?;
                let node = self.node(id).ok_or(Reason::BadFrame)?;
                if !node.alive {
                    return Err(Reason::DataBeforeBirth);
                }
                if node.devices.contains_key(name) {
                    let layout = self.layout(id, Some(name), payload, date);
                    self.replace_layout(now, id, Some(name), seq, layout, true);
                } else {
                    self.heal();
                    self.device_birth(now, id, name, seq, payload, date, keyframe.uncertain)?;
                }
                Ok(id)
            }
            _ => Err(Reason::BadFrame),
        }
    }

    /// Whether a keyframe says what is known already, and nothing of the node waited for one.
    /// What isn't clear at the first look isn't known.
    fn is_known(
        &self,
        id: NodeId,
        topic: EntityTopic<'_>,
        payload: &Borrowed<'_>,
        keyframe: &Keyframe,
    ) -> bool {
        let Some(node) = self.node(id).filter(|node| node.alive) else { return false };
        let device = topic.entity.device;
        let waits = || {
            let bd_seq = payload.metrics.iter().find(|named| named.name == Some(names::BD_SEQ));
            node.confirm_by.is_some()
                || node.ot_bd_seq != bd_seq.and_then(|named| names::bd_seq_of(&named.metric))
                || (node.uncertain, node.losses) != (keyframe.uncertain, keyframe.losses)
                || !keyframe.devices.iter().eq(node.devices.keys())
                || !node.devices.values().all(|device| device.born)
        };
        let is_birth = match device {
            None => topic.message_type == MessageType::NBirth && !waits(),
            Some(_) => topic.message_type == MessageType::DBirth,
        };
        is_birth && node.layout_of(device).is_some_and(|layout| layout.is_repeated_by(payload))
    }

    fn node_keyframe(
        &mut self,
        now: Now,
        id: NodeId,
        seq: u64,
        payload: Payload,
        date: u64,
        keyframe: &Keyframe,
    ) {
        let Some(node) = self.node(id) else { return };
        if node.confirm_by.is_some()
            && let Some(node) = self.node_mut(id)
        {
            node.confirm_by = None;
        }
        let Some(node) = self.node(id) else { return };
        let same_session = node.alive && node.ot_bd_seq == names::bd_seq(&payload);
        if !same_session {
            self.heal();
            self.node_birth(now, id, seq, payload, date, true);
            if let Some(node) = self.node_mut(id) {
                // What was known of the earlier session says nothing of this one.
                node.uncertain = false;
                node.held = false;
            }
        } else {
            let layout = self.layout(id, None, payload, date);
            self.replace_layout(now, id, None, seq, layout, true);
            let live: HashSet<&str> = keyframe.devices.iter().map(String::as_str).collect();
            let gone: Vec<String> = self
                .node(id)
                .into_iter()
                .flat_map(|node| node.devices.keys())
                .filter(|name| !live.contains(name.as_str()))
                .cloned()
                .collect();
            for name in gone {
                self.heal();
                let _ = self.device_death(now, id, &name, seq);
            }
            self.release_devices(now, id, seq);
        }
        if let Some(node) = self.node(id) {
            let (losses, uncertain) = (node.losses, node.uncertain);
            if losses != keyframe.losses
                && let Some(node) = self.node_mut(id)
            {
                node.losses = keyframe.losses;
            }
            match (uncertain, keyframe.uncertain) {
                (false, true) => self.gap(now, id),
                // Values that came after the losses known so far may be out of date by now.
                (true, true) if losses != keyframe.losses => self.gap(now, id),
                (true, false) => self.verified(now, id, seq),
                _ => {}
            }
            self.reconcile(now, id, "");
        }
    }

    /// Publishes births that waited for a definition: the keyframe has it, or the plant has
    /// none. Where it has, the births of all have been published by now.
    fn release_devices(&mut self, now: Now, id: NodeId, seq: u64) {
        let position = self.position;
        let Some(node) = self.node(id) else { return };
        if !node.publishes() || node.devices.values().all(|device| device.born) {
            return;
        }
        let Some(node) = self.node_mut(id) else { return };
        let mut waiting = Vec::new();
        for (name, device) in node.devices.iter_mut().filter(|(_, device)| !device.born) {
            waiting.push((name.clone(), device.unpublished_birth.take().unwrap_or(seq)));
        }
        node.close_missed(position);
        for (_, held) in &waiting {
            node.published(now.at, *held, seq);
        }
        for (name, _) in waiting {
            self.publish_device_birth(now, id, &name);
        }
    }

    /// Nothing was lost after all: what was marked stale is good, and said to be.
    fn verified(&mut self, now: Now, id: NodeId, seq: u64) {
        let Some(node) = self.node_mut(id) else { return };
        node.uncertain = false;
        node.held = false;
        let mut refreshed = vec![(None, Arc::make_mut(&mut node.layout).refresh())];
        for (name, device) in &mut node.devices {
            let metrics = Arc::make_mut(&mut device.layout).refresh();
            // The births to come say it of the others.
            if device.born {
                refreshed.push((Some(name.clone()), metrics));
            }
        }
        refreshed.retain(|(_, metrics)| !metrics.is_empty());
        if !node.publishes() {
            // The births to come say it.
            return;
        }
        if !refreshed.is_empty() {
            node.published(now.at, seq, seq);
        }
        for (device, metrics) in refreshed {
            self.publish_data(now, id, device.as_deref(), metrics);
        }
    }

    /// Replaces a known layout by one that the OT half repeated or changed. Differences are
    /// told as data where the shape is the same, else by a new birth sequence. What `repeats`
    /// an older birth keeps its stale marks; a birth of the plant has values that are good.
    pub(super) fn replace_layout(
        &mut self,
        now: Now,
        id: NodeId,
        device: Option<&str>,
        seq: u64,
        mut layout: Layout,
        repeats: bool,
    ) {
        let Some(node) = self.node(id) else { return };
        let Some(current) = node.layout_of(device) else { return };
        if repeats {
            layout.keep_stale_marks_of(current);
        }
        let same_shape = current.same_shape(&layout);
        let differences = if same_shape { current.differences(&layout) } else { Vec::new() };
        if same_shape && differences.is_empty() {
            return;
        }
        if let Some(current) = self.node_mut(id).and_then(|node| node.layout_of_mut(device)) {
            *current = Arc::new(layout);
        }
        self.tally.healed = self.tally.healed.saturating_add(1);
        let Some(node) = self.node_mut(id) else { return };
        if !node.publishes() {
            node.miss_birth(device, seq);
        } else if same_shape {
            node.published(now.at, seq, seq);
            self.publish_data(now, id, device, differences);
        } else {
            self.publish_births(now, id);
        }
    }

    fn heal(&mut self) {
        if self.link != Link::CatchingUp {
            self.tally.healed = self.tally.healed.saturating_add(1);
        }
    }
}

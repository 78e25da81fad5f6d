//! Frames of the journal: births, data, deaths, keyframes, heartbeats, losses. The journal is
//! hostile input: everything is parsed, capped and judged again.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use account::{Dropped, Fate, NodeSlot, Origin, Reason, What};
use journal_format::{Body, Frame, Heartbeat, Relayed, Start};
use journal_read::{Item, Lost};
use sparkplug::{Borrowed, Entity, EntityTopic, MessageType, NamedMetric, Payload, Topic, names};
use telemetry::status::LossStatus;
use text::clean;

use crate::mirror::layout::{Folded, Layout};
use crate::mirror::node::{Node, Session, UNDATED};
use crate::mirror::recheck::Rechecked;
use crate::mirror::{Link, Mirror, NodeId, Notice, Now, OnGap};

/// Bytes of a refused topic that are kept for the event about it.
const MAX_REFUSED_BYTES: usize = 256;
/// A frame that was appended longer ago than `stale_after` and this is no sign of life, however
/// late it is read. The two halves may run on two boxes: this much their clocks may differ by.
/// A frame from the future counts: such a clock is wrong, but whoever wrote it lives.
const CLOCKS_APART: Duration = Duration::from_secs(5);
/// Next bdSeq of this many nodes is kept that gave way to others. A node beyond that starts at
/// 0 again, which matters only where a broker still holds a will of an earlier session.
const MAX_FORMER_BD_SEQS: usize = 100_000;
/// A node is doubted for this many keyframe intervals after frames were lost.
const DOUBT_INTERVALS: u32 = 2;
/// Bounds on what a writer may claim as its keyframe interval.
const KEYFRAME_EVERY_S: std::ops::RangeInclusive<u64> = 1..=86_400;

impl Mirror {
    /// Takes the next item of the journal.
    pub fn handle_item(&mut self, now: Now, item: Item) {
        match item {
            Item::Frame(frame) => self.handle_frame(now, frame),
            Item::Lost(lost) => self.frames_lost(now, lost),
        }
    }

    fn handle_frame(&mut self, now: Now, frame: Frame) {
        self.date_doubts(now);
        self.set_policy_time(now);
        let Frame { seq, epoch, appended_ms, body, in_head } = frame;
        self.position = seq.saturating_add(1);
        self.epoch = epoch;
        let behind = Duration::from_millis(now.wall_ms.saturating_sub(appended_ms));
        self.lag_ms = now.wall_ms.saturating_sub(appended_ms);
        let fresh = behind <= self.settings.stale_after.saturating_add(CLOCKS_APART);
        if fresh {
            self.last_frame = now.at;
        }
        if !in_head {
            self.head_ends(now);
        }
        match body {
            None => self.tally.unknown_bodies = self.tally.unknown_bodies.saturating_add(1),
            Some(Body::Start(start)) => self.start(start, in_head),
            Some(Body::Heartbeat(heartbeat)) => self.heartbeat(appended_ms, heartbeat),
            Some(Body::Keyframe(keyframe)) => self.keyframe(now, seq, keyframe, in_head),
            Some(Body::Relayed(relayed)) => self.relayed(now, seq, relayed),
        }
        if self.link == Link::Silent && !fresh && !std::mem::replace(&mut self.old_told, true) {
            let behind_ms = behind.as_millis().try_into().unwrap_or(u64::MAX);
            self.notice(Notice::OldFrames { behind_ms });
        }
        if self.link == Link::Silent && fresh && !self.away_too_long() {
            self.link = Link::Alive;
            self.old_told = false;
            self.notice(Notice::LinkAlive);
            for id in self.node_ids() {
                self.reconcile(now, id, "");
            }
        }
    }

    fn away_too_long(&self) -> bool {
        Duration::from_millis(self.ot_away_ms) > self.settings.stale_after
    }

    fn start(&mut self, start: Start, in_head: bool) {
        self.keyframe_every = keyframe_interval(start.keyframe_every_s.into());
        if in_head {
            self.head = Some(HashSet::new());
        }
        self.writer = Some(start.clone());
        self.notice(Notice::JournalStart {
            relay: start.relay_name,
            epoch: start.epoch,
            version: start.version,
            policy_digest: start.policy_digest,
        });
    }

    fn heartbeat(&mut self, appended_ms: u64, heartbeat: Heartbeat) {
        self.ot_away_ms = if heartbeat.ot_connected { 0 } else { heartbeat.ot_away_ms };
        self.heartbeat = Some((appended_ms, heartbeat));
    }

    /// After a loss every node is in doubt until its next keyframe.
    fn frames_lost(&mut self, now: Now, lost: Lost) {
        let Lost { first, last, cause } = lost;
        let count = last.saturating_sub(first).saturating_add(1);
        self.tally.frames_lost = self.tally.frames_lost.saturating_add(count);
        self.position = last.saturating_add(1);
        // A head that was torn can't tell which nodes live.
        self.head = None;
        let by = self.doubt_ends(now);
        for id in self.node_ids() {
            if self.node(id).is_some_and(|node| node.alive && !node.own)
                && let Some(node) = self.node_mut(id)
            {
                node.confirm_by = Some(by);
            }
        }
        self.note_loss(now, lost);
        self.notice(Notice::FramesLost { first, last, cause });
    }

    pub(super) fn note_loss(&mut self, now: Now, lost: Lost) {
        let Lost { first, last, cause } = lost;
        let cause = cause.name().to_owned();
        self.last_loss = Some(LossStatus { first, last, cause, at_ms: now.wall_ms });
    }

    fn doubt_ends(&self, now: Now) -> Duration {
        now.at.saturating_add(self.keyframe_every.saturating_mul(DOUBT_INTERVALS))
    }

    /// Gives doubts that a restart left without a date the full time to be resolved.
    pub(super) fn date_doubts(&mut self, now: Now) {
        if !std::mem::take(&mut self.undated_doubts) {
            return;
        }
        let by = self.doubt_ends(now);
        for id in self.node_ids() {
            if self.node(id).is_some_and(|node| node.confirm_by == Some(UNDATED))
                && let Some(node) = self.node_mut(id)
            {
                node.confirm_by = Some(by);
            }
        }
    }

    fn relayed(&mut self, now: Now, seq: u64, relayed: Relayed) {
        let mut origin = Origin::default();
        let fate = match self.relay(now, seq, &relayed, &mut origin) {
            Ok(()) => Fate::Forwarded,
            Err(reason) => Fate::Dropped(reason),
        };
        self.ledger.receive(origin.node);
        self.ledger.settle(origin, fate);
        if fate == Fate::Dropped(Reason::BadFrame) {
            self.refuse(&relayed.topic, Reason::BadFrame);
        }
    }

    /// Tells that a frame, or a part of it, isn't what an honest OT half under our policy writes.
    pub(super) fn refuse(&mut self, topic: &str, reason: Reason) {
        let entity = clean(topic, MAX_REFUSED_BYTES);
        self.notice(Notice::FrameRefused { entity, reason: reason.name() });
    }

    /// `origin` becomes whose message it is, as far as that is known.
    fn relay<'a>(
        &mut self,
        now: Now,
        seq: u64,
        relayed: &'a Relayed,
        origin: &mut Origin<'a>,
    ) -> Result<(), Reason> {
        let topic = entity_topic(&relayed.topic)?;
        self.check_names(topic.entity)?;
        origin.entity = Some(topic.entity);
        if topic.message_type.is_data()
            && let Some(id) = self.direct(now, seq, topic.entity, relayed)
        {
            origin.node = Some(id.into());
            return Ok(());
        }
        let mut inflated = Vec::new();
        let payload =
            sparkplug::decode_borrowed(&relayed.payload, &mut inflated, &self.settings.caps)
                .map_err(|_| Reason::BadFrame)?;
        let date = payload.timestamp.unwrap_or(relayed.received_ms);
        let Entity { group, edge_node, device } = topic.entity;
        if topic.message_type == MessageType::NBirth {
            let id = self.node_named(group, edge_node)?;
            origin.node = Some(id.into());
            self.node_birth(now, id, seq, payload.into_payload(), date, relayed.synthetic);
            if !relayed.synthetic
                && let Some(node) = self.node_mut(id)
            {
                node.losses = relayed.losses;
            }
            return Ok(());
        }
        let Some(id) = self.find(group, edge_node) else {
            let own = self.is_own_name(group, edge_node);
            return Err(if own { Reason::NameTaken } else { Reason::DataBeforeBirth });
        };
        origin.node = Some(id.into());
        if !self.node(id).is_some_and(|node| node.alive) {
            return Err(Reason::DataBeforeBirth);
        }
        if relayed.loss_before
            && topic.message_type != MessageType::NDeath
            && let Some(node) = self.node_mut(id)
            // A writer that doesn't count tells every loss once.
            && (relayed.losses == 0 || relayed.losses != node.losses)
        {
            node.losses = relayed.losses;
            self.gap(now, id);
        }
        match (topic.message_type, device) {
            (MessageType::NDeath, _) => {
                if let Some(node) = self.node_mut(id) {
                    node.alive = false;
                    node.held = false;
                    node.devices.values_mut().for_each(|device| device.born = false);
                }
                self.reconcile(now, id, "it died on OT");
                Ok(())
            }
            (MessageType::DBirth, Some(device)) => {
                let repeats = relayed.synthetic && self.node(id).is_some_and(|node| node.uncertain);
                let payload = payload.into_payload();
                self.device_birth(now, id, device, seq, payload, date, repeats)
            }
            (MessageType::DDeath, Some(device)) => self.device_death(now, id, device, seq),
            (MessageType::NData | MessageType::DData, device) => {
                self.data(now, id, device, seq, payload, date, relayed.payload.len())
            }
            _ => Err(Reason::BadFrame),
        }
    }

    pub(super) fn node_named(&mut self, group: &str, edge_node: &str) -> Result<NodeId, Reason> {
        if let Some(id) = self.find(group, edge_node) {
            return Ok(id);
        }
        if self.is_own_name(group, edge_node) {
            self.notice(Notice::OwnNameUsed { node: self.key.clone() });
            return Err(Reason::NameTaken);
        }
        let key = self.key.clone();
        let id = if self.nodes.len()
            < self.settings.max_nodes.saturating_add(self.own.is_some().into())
        {
            u32::try_from(self.nodes.len()).map(NodeId).map_err(|_| Reason::OverCapacity)?
        } else if let Some(id) = self.give_way() {
            id
        } else {
            self.notice(Notice::OverCapacity { what: "mirror.max-nodes" });
            return Err(Reason::OverCapacity);
        };
        let bd_seq = self.bd_seqs.remove(&key).unwrap_or(0);
        let mut node = Node::new(group, edge_node, bd_seq);
        if let Some((from, to)) = self.first_stretch.filter(|_| self.settings.backfill) {
            node.add_range(from, to);
        }
        match self.node_mut(id) {
            Some(former) => *former = node,
            None => self.nodes.push(node),
        }
        self.ledger.open_node(id.into());
        self.by_key.insert(key, id);
        Ok(id)
    }

    /// Forgets a dead node of which nothing is owed to the broker, all but its next bdSeq; its
    /// slot is free for another. Its session is closed, so no event of it is still to come.
    fn give_way(&mut self) -> Option<NodeId> {
        let id = self.node_ids().find(|id| self.node(*id).is_some_and(Node::is_spent))?;
        let (key, next) = self.node(id).map(|node| (node.key(), node.bd_seq_next))?;
        if self.bd_seqs.len() >= MAX_FORMER_BD_SEQS
            && let Some(other) = self.bd_seqs.keys().next().cloned()
        {
            self.bd_seqs.remove(&other);
        }
        self.by_key.remove(&key);
        self.bd_seqs.insert(key, next);
        Some(id)
    }

    pub(super) fn node_birth(
        &mut self,
        now: Now,
        id: NodeId,
        seq: u64,
        payload: Payload,
        date: u64,
        synthetic: bool,
    ) {
        let ot_bd_seq = names::bd_seq(&payload);
        let mut layout = Arc::new(self.layout(id, None, payload, date));
        let Some(node) = self.node_mut(id) else { return };
        let same_session = node.alive && node.ot_bd_seq == ot_bd_seq;
        node.former_devices.clear();
        if synthetic && same_session {
            // The relay repeats what it held: that makes no value good. Its DBIRTHs follow.
            Arc::make_mut(&mut layout).keep_stale_marks_of(&node.layout);
            let devices = node.devices.iter_mut();
            node.former_devices = devices
                .map(|(name, device)| (name.clone(), std::mem::take(&mut device.layout)))
                .collect();
        }
        node.alive = true;
        node.held &= synthetic;
        node.uncertain &= synthetic;
        node.confirm_by = None;
        node.ot_bd_seq = ot_bd_seq;
        node.layout = layout;
        // An NBIRTH ends every device until its next DBIRTH (Sparkplug 3.0 §6.4.19).
        node.forget_devices();
        if node.publishes() && same_session {
            self.publish_births(now, id);
            return;
        }
        node.miss_birth(None, seq);
        if !same_session && node.session == Session::Born {
            // The death of the earlier session was lost: end ours too.
            self.kill(now, id, "its session on OT is a new one");
        }
        self.reconcile(now, id, "");
    }

    /// A device's birth. One that `repeats` values in doubt doesn't make them good.
    #[expect(clippy::too_many_arguments, reason = "the parts of one frame")]
    pub(super) fn device_birth(
        &mut self,
        now: Now,
        id: NodeId,
        name: &str,
        seq: u64,
        payload: Payload,
        date: u64,
        repeats: bool,
    ) -> Result<(), Reason> {
        let mark = repeats && self.settings.on_gap == OnGap::Mark;
        let mut layout = self.layout(id, Some(name), payload, date);
        let most = self.settings.max_devices_per_node;
        let Some(node) = self.node_mut(id) else { return Err(Reason::BadFrame) };
        if !node.devices.contains_key(name) && node.devices.len() >= most {
            self.notice(Notice::OverCapacity { what: "mirror.max-devices-per-node" });
            return Err(Reason::OverCapacity);
        }
        let born = node.devices.get(name).is_some_and(|device| device.born);
        if born {
            // A second DBIRTH without a DDEATH would be a violation: tell what differs as data,
            // or begin the births of the node anew.
            self.replace_layout(now, id, Some(name), seq, layout, repeats);
            return Ok(());
        }
        if mark {
            match node.former_devices.remove(name) {
                Some(former) => layout.keep_stale_marks_of(&former),
                None => layout.mark_stale(),
            }
        }
        let withheld = node.withholds(&layout);
        let device = node.new_device(name, Arc::new(layout));
        node.devices.insert(name.to_owned(), device);
        if node.publishes() && !withheld {
            node.published(now.at, seq, seq);
            self.publish_device_birth(now, id, name);
        } else {
            node.miss_birth(Some(name), seq);
        }
        Ok(())
    }

    pub(super) fn device_death(
        &mut self,
        now: Now,
        id: NodeId,
        name: &str,
        seq: u64,
    ) -> Result<(), Reason> {
        let Some(node) = self.node_mut(id) else { return Err(Reason::BadFrame) };
        let device = node.forget_device(name).ok_or(Reason::DataBeforeBirth)?;
        if device.born && node.session == Session::Born {
            node.published(now.at, seq, seq);
            self.publish_device_death(now, id, device.topics.death);
        }
        Ok(())
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one frame")]
    fn data(
        &mut self,
        now: Now,
        id: NodeId,
        device: Option<&str>,
        seq: u64,
        payload: Borrowed<'_>,
        date: u64,
        relayed_bytes: usize,
    ) -> Result<(), Reason> {
        let Some(node) = self.node_mut(id) else { return Err(Reason::BadFrame) };
        let layout = match device {
            None => &mut node.layout,
            Some(name) => match node.devices.get_mut(name) {
                Some(device) => &mut device.layout,
                None => return Err(Reason::DataBeforeBirth),
            },
        };
        let layout = Arc::make_mut(layout);
        let mut metrics = payload.metrics;
        let (mut unknown, mut mismatched): (u64, u64) = (0, 0);
        let mut rechecked = Rechecked::default();
        let mut fold = |named: &mut NamedMetric<'_>| {
            layout.fold(named.name, &mut named.metric, date, &mut rechecked)
        };
        metrics.retain_mut(|named| match fold(named) {
            Folded::Known | Folded::Refreshed => true,
            Folded::Refused => false,
            Folded::Unknown => {
                unknown = unknown.saturating_add(1);
                false
            }
            Folded::Mismatch => {
                mismatched = mismatched.saturating_add(1);
                false
            }
        });
        let empty = metrics.is_empty();
        if !empty {
            let born = device.is_none_or(|name| node.devices.get(name).is_some_and(|d| d.born));
            if node.publishes() && born {
                node.published(now.at, seq, seq);
                let metrics = metrics.iter().map(|named| (named.name, &named.metric));
                self.publish_metrics(now, id, device, relayed_bytes, metrics);
            } else {
                node.miss_data(device, seq);
            }
        }
        self.drop_metrics(id, device, unknown, Reason::UnknownMetric);
        self.drop_metrics(id, device, mismatched, Reason::TypeMismatch);
        let refused = self.drop_rechecked(id, device, &rechecked);
        match (empty, mismatched) {
            (false, _) => Ok(()),
            (true, _) if refused => Err(Reason::Recheck),
            (true, 0) => Err(Reason::UnknownMetric),
            (true, _) => Err(Reason::TypeMismatch),
        }
    }

    /// Messages of this node were lost on the OT side.
    pub(super) fn gap(&mut self, now: Now, id: NodeId) {
        self.tally.gaps = self.tally.gaps.saturating_add(1);
        let on_gap = self.settings.on_gap;
        let Some(node) = self.node_mut(id) else { return };
        let key = node.key();
        // The keyframes that follow say the same until a birth: once is enough.
        node.uncertain = true;
        match on_gap {
            OnGap::Ignore => {}
            OnGap::Mark => {
                let devices = node.devices.values_mut().map(|device| &mut device.layout);
                for layout in std::iter::once(&mut node.layout).chain(devices) {
                    Arc::make_mut(layout).mark_stale();
                }
                if node.publishes() {
                    self.publish_births(now, id);
                }
            }
            OnGap::Death => {
                node.held = true;
                self.reconcile(now, id, "messages were lost on OT");
            }
        }
        self.notice(Notice::SequenceGap { node: key });
    }

    /// Builds the layout of a birth, with the mirror's own copy of the policy applied.
    pub(super) fn layout(
        &mut self,
        id: NodeId,
        device: Option<&str>,
        birth: Payload,
        date: u64,
    ) -> Layout {
        let (mut layout, refused) = Layout::from_birth(birth, date);
        self.drop_metrics(id, device, refused, Reason::BadFrame);
        self.apply_policy(id, device, &mut layout);
        layout
    }

    fn drop_metrics(&mut self, id: NodeId, device: Option<&str>, metrics: u64, reason: Reason) {
        let entity = self.nodes.get(id).map(|node| {
            let Node { group, edge_node, .. } = node;
            Entity { group, edge_node, device }
        });
        let origin = Origin { entity, node: Some(id.into()) };
        self.ledger.drop(Dropped { origin, what: What::Metrics(metrics), reason, rule: None });
    }

    /// Refuses names that the copy of the policy gives to nothing, or takes from what has them
    /// in the plant: the OT half doesn't write them.
    pub(super) fn check_names(&self, told: Entity<'_>) -> Result<(), Reason> {
        let known = |policy: &Arc<policy::Policy>| policy.renames().original(told).is_some();
        if self.policy.as_ref().is_none_or(known) { Ok(()) } else { Err(Reason::Recheck) }
    }
}

impl From<NodeId> for NodeSlot {
    fn from(id: NodeId) -> NodeSlot {
        // Nodes are places in a list.
        NodeSlot(usize::try_from(id.0).unwrap_or(usize::MAX))
    }
}

/// A writer's keyframe interval in seconds, within bounds.
pub(super) fn keyframe_interval(seconds: u64) -> Duration {
    Duration::from_secs(seconds.clamp(*KEYFRAME_EVERY_S.start(), *KEYFRAME_EVERY_S.end()))
}

/// Commands, STATE and everything else that can't be in a journal are refused again.
pub(super) fn entity_topic(topic: &str) -> Result<EntityTopic<'_>, Reason> {
    match Topic::parse(topic) {
        Ok(Topic::Entity(topic)) => Ok(topic),
        _ => Err(Reason::BadFrame),
    }
}

//! Frames of the journal: who writes it, whether the plant's side is alive, and what it relays. The
//! journal is hostile input: everything is parsed, capped and judged again.

use std::collections::HashSet;
use std::time::Duration;

use account::{Fate, NodeSlot, Origin, Reason};
use journal_format::{Body, Frame, Relayed, Start};
use sparkplug::{self, Borrowed, Entity, EntityTopic, MessageType, Topic, names};

use super::births::{Worth, why_dead};
use super::fast_path::FastPath;
use super::layout::with_given;
use super::news::News;
use super::node::{Node, Trust};
use super::nodes::{NodeRef, Nodes};
use super::notice::{Notice, count};
use super::outgoing::{NodeId, Outgoing};
use super::settings::keyframe_interval;
use super::step::StepContext;
use super::timers::Timer;
use super::unread::Unread;
use super::{Head, Link, Mirror, Now};

/// A frame that was appended longer ago than `stale_after` and this is no sign of life, however
/// late it is read. The two halves may run on two boxes: this much their clocks may differ by.
/// A frame from the future counts: such a clock is wrong, but whoever wrote it lives.
const CLOCKS_APART: Duration = Duration::from_secs(5);

impl Mirror {
    pub(super) fn handle_frame(&mut self, now: Now, frame: Frame) {
        let is_fresh = self.begin_frame(now, &frame);
        self.hear_before(now, &frame);
        let Frame { seq, appended_ms, body, in_head, layout, .. } = frame;
        match body {
            None => count(&mut self.tally.unknown_bodies),
            Some(Body::Start(start)) => self.start(start, in_head),
            Some(Body::Heartbeat(heartbeat)) => {
                self.end_head(now, true);
                self.ot_away_ms = if heartbeat.ot_connected { 0 } else { heartbeat.ot_away_ms };
                self.heartbeat = Some((appended_ms, heartbeat));
            }
            Some(Body::Keyframe(keyframe)) => {
                let (mut step, nodes) = self.step(now);
                let known = step.keyframe(nodes, seq, &keyframe);
                self.saw(known, in_head);
            }
            Some(Body::Relayed(relayed)) => {
                let (mut step, nodes) = self.step(now);
                let judged = step.relayed(nodes, seq, &relayed);
                self.relayed(now, &relayed.topic, judged);
            }
            Some(Body::Data(data)) => match layout {
                Some(layout) => {
                    let (mut step, nodes) = self.step(now);
                    let judged = step.placed(nodes, seq, &data, &layout);
                    self.relayed(now, layout.topic(), judged);
                }
                None => self.unplaced(now),
            },
        }
        self.end_frame(now, is_fresh);
    }

    /// A message was taken, or not.
    fn relayed(&mut self, now: Now, topic: &str, (fate, known): (Fate, Option<NodeId>)) {
        self.saw(known, false);
        if fate == Fate::Dropped(Reason::BadFrame) {
            self.doubt_unread(now, Some(topic), "a frame was refused");
        }
    }

    /// Has the node that a frame is of hear what it hasn't heard.
    pub(super) fn hear_before(&mut self, now: Now, frame: &Frame) {
        if !self.news.is_empty()
            && let Some((topic, _)) = frame.message()
            && let Ok(topic) = entity_topic(topic)
        {
            self.hear_by_name(now, topic.entity.group, topic.entity.edge_node);
        }
    }

    /// Takes note of where the frame stands, whatever is in it. Whether it is a sign of life.
    pub(super) fn begin_frame(&mut self, now: Now, frame: &Frame) -> bool {
        self.date_doubts(now);
        self.set_policy_time(now);
        self.position = frame.seq.saturating_add(1);
        self.epoch = frame.epoch;
        self.lag_ms = now.wall_ms.saturating_sub(frame.appended_ms);
        let oldest_fresh = self.settings.stale_after.saturating_add(CLOCKS_APART);
        let is_fresh = Duration::from_millis(self.lag_ms) <= oldest_fresh;
        if is_fresh {
            self.last_frame = now.mono;
            self.timers.set(Timer::LinkStale, self.silent_too_long());
        }
        if !frame.in_head {
            self.end_head(now, false);
        }
        is_fresh
    }

    /// A node was seen in the segment that is read.
    pub(super) fn saw(&mut self, id: Option<NodeId>, in_head: bool) {
        if let (Some(id), Some(head)) = (id, &mut self.head)
            && (in_head || head.is_spread)
        {
            head.seen.insert(id);
        }
    }

    /// The head of a segment is over, if it is one of this kind.
    fn end_head(&mut self, now: Now, is_spread: bool) {
        if let Some(head) = self.head.take_if(|head| head.is_spread == is_spread) {
            let (mut step, nodes) = self.step(now);
            step.head_ends(nodes, &head.seen);
        }
    }

    /// The frame was taken.
    pub(super) fn end_frame(&mut self, now: Now, is_fresh: bool) {
        if let Link::Silent { old_frames_noticed } = self.link {
            self.look_for_life(now, is_fresh, old_frames_noticed);
        }
    }

    /// A frame came over a silent link.
    fn look_for_life(&mut self, now: Now, is_fresh: bool, old_frames_noticed: bool) {
        if !is_fresh && !old_frames_noticed {
            self.link = Link::Silent { old_frames_noticed: true };
            self.notices.push(Notice::OldFrames { behind_ms: self.lag_ms });
        }
        // The head of a segment says first what is in doubt.
        if is_fresh && self.head.is_none() && !self.away_too_long() {
            self.link = Link::Alive;
            self.notices.push(Notice::LinkAlive);
            self.tell_all(now, News::Reconcile(""));
        }
    }

    /// Declares the link stale, if nothing came for too long, or the OT half says that it is away
    /// from its broker.
    pub(super) fn look_for_silence(&mut self, now: Now) {
        if self.link != Link::Alive || self.stopping {
            return;
        }
        if self.timers.is_due(Timer::LinkStale, now.mono) || self.away_too_long() {
            let away = Duration::from_millis(self.ot_away_ms).max(self.silent_for(now));
            let away_ms = away.as_millis().try_into().unwrap_or(u64::MAX);
            let why = self.silence(now);
            self.link = Link::Silent { old_frames_noticed: false };
            self.notices.push(Notice::LinkStale { away_ms, why });
            self.tell_all(now, News::Reconcile(why));
        }
    }

    /// Why the nodes of a silent link are dead, as far as the OT half has said it.
    pub fn silence(&self, now: Now) -> &'static str {
        let is_heard = self.silent_for(now) <= self.settings.stale_after;
        match self.link {
            // It lives, and says itself what is wrong.
            _ if is_heard && self.away_too_long() => "the OT half is away from its broker",
            Link::Silent { old_frames_noticed: true } if is_heard => "only old frames come",
            _ => "no sign of life from the OT half",
        }
    }

    /// The first moment at which the silence since the last fresh frame is longer than it may be.
    fn silent_too_long(&self) -> Duration {
        let may = self.settings.stale_after.saturating_add(Duration::from_nanos(1));
        self.last_frame.saturating_add(may)
    }

    fn away_too_long(&self) -> bool {
        Duration::from_millis(self.ot_away_ms) > self.settings.stale_after
    }

    fn start(&mut self, start: Start, in_head: bool) {
        self.keyframe_every = keyframe_interval(start.keyframe_every_s.into());
        if in_head || start.spread {
            self.head = Some(Head { seen: HashSet::new(), is_spread: !in_head });
        }
        self.notices.push(Notice::JournalStart {
            relay: start.relay_name.clone(),
            epoch: start.epoch,
            version: start.version.clone(),
            policy_digest: start.policy_digest.clone(),
        });
        self.tightened_seq = start.tightened_seq;
        self.writer = Some(start);
    }

    /// Whether a frame stands before the mark of a tighter policy, and nobody here knows what that lets
    /// cross: the copy of the policy, if there is one, isn't the policy in force.
    pub(super) fn withholds(&self, seq: u64) -> bool {
        let of_start = self.writer.as_ref().map(|writer| writer.policy_digest.as_str());
        // After a restart nothing else may have said it yet.
        let of_heartbeat = self.heartbeat.as_ref().map(|(_, said)| said.policy_digest.as_str());
        let own = self.policy.as_ref().map(|policy| policy.digest());
        seq < self.tightened_seq && (own.is_none() || own != of_start.or(of_heartbeat))
    }
}

impl StepContext<'_> {
    /// Takes a message; its fate, and whose it is, where it could be used.
    pub(super) fn relayed(
        &mut self,
        nodes: &mut Nodes,
        seq: u64,
        relayed: &Relayed,
    ) -> (Fate, Option<NodeId>) {
        let mut origin = Origin::default();
        self.ledger.begin(self.now.wall_ms);
        let taken = self.relay(nodes, seq, relayed, &mut origin);
        let Relayed { topic, payload, urgent, .. } = relayed;
        self.account_for(nodes, origin, taken, (topic, payload, *urgent))
    }

    /// The fate of a message, entered in the account, and whose it is, where it could be used.
    pub(super) fn account_for(
        &mut self,
        nodes: &mut Nodes,
        origin: Origin<'_>,
        taken: Result<(), Reason>,
        (topic, payload, urgent): (&str, &[u8], bool),
    ) -> (Fate, Option<NodeId>) {
        let fate = match taken {
            Ok(()) => Fate::Forwarded,
            Err(reason) => Fate::Dropped(reason),
        };
        let place = origin.node.and_then(|NodeSlot(place)| place.try_into().ok());
        let id = place.map(NodeId);
        if let Some(id) = id {
            nodes.count(id);
        }
        self.ledger.receive(origin.node);
        self.ledger.settle(origin, fate);
        match (fate, origin.entity) {
            (Fate::Dropped(Reason::DataBeforeBirth), Some(entity)) if self.link == Link::Alive => {
                Unread::note(self.unread, entity, self.now.mono);
            }
            (Fate::Forwarded, entity) if self.unread.is_some() => {
                Unread::clear(self.unread, entity);
            }
            _ => {}
        }
        self.ledger.end(topic);
        if urgent
            && let Some(Outgoing::Publish { node, .. }) = self.out.back()
            && id.and_then(|id| nodes.get(id)).is_some_and(|of| of.via == *node)
        {
            let node = *node;
            self.out.push_back(Outgoing::Hurry { node });
        }
        if fate == Fate::Dropped(Reason::BadFrame) {
            self.refuse_frame(topic, payload);
        }
        (fate, id.filter(|_| fate == Fate::Forwarded))
    }

    /// `origin` becomes whose message it is, as far as that is known.
    fn relay<'a>(
        &mut self,
        nodes: &mut Nodes,
        seq: u64,
        relayed: &'a Relayed,
        origin: &mut Origin<'a>,
    ) -> Result<(), Reason> {
        let topic = entity_topic(&relayed.topic)?;
        self.check_names(topic.entity)?;
        origin.entity = Some(topic.entity);
        let Entity { group, edge_node, device } = topic.entity;
        let mut inflated = Vec::new();
        if topic.message_type == MessageType::NBirth {
            let (payload, date) = self.decode(relayed, &mut inflated)?;
            let node = self.born_node(nodes, group, edge_node)?;
            let worth = Worth::of(relayed.synthetic, relayed.outdated);
            origin.node = Some(node.id.into());
            let birth = with_given(payload, &relayed.given_aliases);
            if worth == Worth::Doubted {
                self.doubt_unknown(node, names::bd_seq(&birth), relayed.losses);
            }
            self.node_birth(node, seq, birth, date, worth)?;
            if !relayed.synthetic {
                node.losses = relayed.losses;
                node.unheard = false;
                self.reconcile(node, "");
            }
            return Ok(());
        }
        let all_bytes = nodes.bytes;
        let found = nodes.find(group, edge_node);
        let id = found.as_ref().map(|node| node.id);
        let Some(node) = found.filter(|node| node.is_alive()) else {
            // That it can't be read says more than that it comes too early.
            self.decode(relayed, &mut inflated)?;
            origin.node = id.map(Into::into);
            let is_relay =
                id.is_none() && nodes.is_relay_node(group, self.folds.seen_as(edge_node));
            return Err(if is_relay { Reason::NameTaken } else { Reason::DataBeforeBirth });
        };
        if topic.message_type.is_data()
            && !self.names_datatypes(relayed.typed)
            && let Some(message) = self.fast_path(&node, device, relayed)
        {
            origin.node = Some(node.id.into());
            self.take_fast_path(node.change(), device, seq, message);
            return Ok(());
        }
        let (payload, date) = self.decode(relayed, &mut inflated)?;
        origin.node = Some(node.id.into());
        self.look_for_room(all_bytes, &node);
        self.take_long_way(node, topic, seq, relayed, payload, date)
    }

    /// The fast path of a message, if it may take it.
    fn fast_path<'a>(
        &self,
        node: &Node,
        device: Option<&str>,
        relayed: &'a Relayed,
    ) -> Option<FastPath<'a>> {
        #[cfg(any(test, feature = "testing"))]
        if !self.takes_fast_path {
            return None;
        }
        FastPath::of(node, device, relayed, &self.settings.caps).ok()
    }

    fn take_long_way(
        &mut self,
        node: NodeRef<'_>,
        topic: EntityTopic<'_>,
        seq: u64,
        relayed: &Relayed,
        payload: Borrowed<'_>,
        date: u64,
    ) -> Result<(), Reason> {
        let node = node.change();
        let was_unheard = node.unheard;
        node.unheard &= relayed.synthetic;
        if relayed.loss_before
            && topic.message_type != MessageType::NDeath
            // A writer that doesn't count reports every loss once.
            && (relayed.losses == 0 || relayed.losses != node.losses)
        {
            node.losses = relayed.losses;
            self.gap(node);
        }
        let taken = match (topic.message_type, topic.entity.device) {
            (MessageType::NDeath, _) => {
                self.node_death(node, why_dead(relayed));
                Ok(())
            }
            (MessageType::DBirth, Some(device)) => {
                // One that is new here was doubted there, perhaps under another name.
                let is_doubted = node.trust >= Trust::Uncertain
                    || node.doubts_device(device)
                    || relayed.outdated;
                let worth = Worth::of(relayed.synthetic && is_doubted, relayed.outdated);
                let birth = with_given(payload, &relayed.given_aliases);
                self.device_birth(node, device, seq, birth, date, worth)
            }
            (MessageType::DDeath, Some(device)) => self.device_death(node, device, seq),
            (MessageType::NData | MessageType::DData, device) => {
                self.data(node, device, seq, payload, date, relayed)
            }
            _ => Err(Reason::BadFrame),
        };
        if was_unheard && !node.unheard {
            self.reconcile(node, "");
        }
        taken
    }

    /// The payload of a message and its date.
    fn decode<'a>(
        &self,
        relayed: &'a Relayed,
        inflated: &'a mut Vec<u8>,
    ) -> Result<(Borrowed<'a>, u64), Reason> {
        let payload = sparkplug::decode_borrowed(&relayed.payload, inflated, &self.settings.caps)
            .map_err(|_| Reason::BadFrame)?;
        let date = payload.timestamp.unwrap_or(relayed.received_ms);
        Ok((payload, date))
    }
}

/// Commands, STATE and everything else that can't be in a journal are refused again.
pub(super) fn entity_topic(topic: &str) -> Result<EntityTopic<'_>, Reason> {
    match Topic::parse(topic) {
        Ok(Topic::Entity(topic)) => Ok(topic),
        _ => Err(Reason::BadFrame),
    }
}

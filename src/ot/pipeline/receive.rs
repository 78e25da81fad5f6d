//! The way of one received message through the pipeline's stages, from its topic to its fate.

use std::hash::BuildHasher;

use account::{Fate, NodeSlot, Origin, Reason};
use sparkplug::{Entity, EntityTopic, MessageType, Topic, find_seq, find_timestamp, names};

use super::births::{low_byte, outlives};
use super::decode::{Decoded, reason_of};
use super::reorder::{Reorder, Waits, Way};
use super::sequence::{Late, Turn};
use super::unread::refused;
use super::{Entry, Now, Pipeline, Received};
use crate::plant::{Life, Node, unclear};

impl Pipeline {
    /// Handles one message and appends what is to be journalled of it to `out`.
    pub fn handle(&mut self, now: Now, received: Received<'_>, out: &mut Vec<Entry>) {
        out.append(&mut self.reorder.unsent);
        self.follow_schedules(now, out);
        self.reorder.count();
        let bytes = u64::try_from(received.payload.len()).unwrap_or(u64::MAX);
        self.work = self.work.saturating_add(bytes);
        self.ledger.begin(now.wall_ms);
        let mut origin = Origin::default();
        let fate = self.process(now, received, Way::Arrived, &mut origin, out);
        self.ledger.receive(origin.node);
        self.ledger.settle(origin, fate);
        self.note_fate(now, origin, fate);
        self.ledger.end(received.topic);
        self.tell(now, fate, origin, received);
        if let Some(NodeSlot(place)) = origin.node {
            self.follow_up(now, place, out);
            if std::mem::take(&mut self.reorder.is_overfull) {
                self.give_up_waiting(now, place, out);
            }
        }
    }

    /// `origin` becomes whose message it is, as far as that is known.
    pub(super) fn process<'a>(
        &mut self,
        now: Now,
        received: Received<'a>,
        way: Way,
        origin: &mut Origin<'a>,
        out: &mut Vec<Entry>,
    ) -> Fate {
        self.why = None;
        self.sent = None;
        let (topic, stored) = match Topic::parse(received.topic) {
            Ok(Topic::Entity(topic)) => (topic, received.retain),
            Ok(Topic::StoredBirth(topic)) => (topic, true),
            Ok(Topic::Command { .. }) => return Fate::Dropped(Reason::Command),
            Ok(Topic::State { host }) => {
                let at = (now.mono, now.wall_ms);
                self.hosts.heard((received.topic, host), received.payload, at);
                return Fate::Dropped(Reason::State);
            }
            Ok(Topic::UnknownType { .. }) => return Fate::Dropped(Reason::UnknownType),
            Ok(Topic::NotSparkplug) => return Fate::Dropped(Reason::NotSparkplug),
            Err(_) => return Fate::Dropped(Reason::MalformedTopic),
        };
        origin.entity = Some(topic.entity);
        origin.node = self.plant.find(topic.entity).map(NodeSlot);
        if let Some(NodeSlot(place)) = origin.node {
            self.hear(now, place, out);
        }
        if received.payload.is_empty() && (stored || !topic.message_type.is_death()) {
            // How a retained message is cleared. As a Sparkplug payload it would be an empty
            // birth; a death says all with its topic.
            return Fate::Dropped(Reason::MalformedPayload);
        }
        let is_news = topic.message_type.is_data() && !stored;
        let mut inflated = Vec::new();
        let (bytes, caps) = (received.payload, &self.settings.caps);
        let decoded = if is_news && self.has_fast_path() {
            Decoded::data(bytes, &mut inflated, &mut self.metric_room, caps)
        } else {
            Decoded::any(bytes, &mut inflated, caps)
        };
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => {
                let reason = reason_of(&error);
                self.why = Some(error);
                if stored {
                    return Fate::Dropped(reason);
                }
                self.structure_changed |= !topic.message_type.is_data();
                return self.unreadable(now, topic, reason, received, way, origin, out);
            }
        };
        if let Decoded::Model(payload) = &decoded
            && way == Way::Arrived
        {
            let counters = &mut self.counters;
            counters.unknown_fields =
                counters.unknown_fields.saturating_add(payload.unknown_fields);
            let compressed = u64::from(payload.was_compressed);
            counters.compressed = counters.compressed.saturating_add(compressed);
        }
        self.structure_changed |= !topic.message_type.is_data();
        if stored {
            let bytes = received.payload.len();
            self.stored(now, topic, decoded.into_birth(), bytes, origin, out);
            return Fate::Dropped(Reason::StoredBirth);
        }
        match topic.message_type {
            MessageType::NBirth => self.node_birth(now, topic, decoded, received, origin, out),
            MessageType::NDeath => self.node_death(now, topic, decoded, received, origin, out),
            _ => self.in_turn(now, topic, Ok(decoded), received, way, origin, out),
        }
    }

    fn has_fast_path(&self) -> bool {
        #[cfg(any(test, feature = "testing"))]
        if !self.takes_fast_path {
            return false;
        }
        !self.limiter.is_shared()
    }

    fn node_birth(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        decoded: Decoded<'_>,
        received: Received<'_>,
        origin: &mut Origin<'_>,
        out: &mut Vec<Entry>,
    ) -> Fate {
        let hash = self.hash(received);
        let birth = decoded.into_birth();
        let sent_ms = birth.payload.timestamp;
        let lives = self.is_sign_of_life(now, received, sent_ms);
        let found = {
            let (mut step, plant) = self.step(now, out);
            step.find_room(plant, topic.entity, true)
        };
        let index = match found {
            Ok(index) => index,
            Err(reason) => return Fate::Dropped(reason),
        };
        origin.node = index.map(NodeSlot);
        let Some((index, node)) =
            index.and_then(|index| Some((index, self.plant.node_mut(index)?)))
        else {
            return Fate::Dropped(Reason::OverCapacity);
        };
        node.last_seen = now.mono;
        node.output.earn(now.mono, received.payload.len());
        // Of a session that has ended: a broker may deliver births more than once, and without DUP. An edge
        // node without a clock may as well say the same again.
        let is_copy = !node.own.life.is_alive() && node.sequence.has_seen(hash);
        if !node.sequence.arrive_unordered(hash, received.dup) {
            return Fate::Dropped(Reason::Duplicate);
        }
        let number = names::bd_seq(&birth.payload);
        let timeout = self.settings.reorder_timeout;
        if node.crossing.is_late(now.mono, timeout, number, birth.payload.timestamp) {
            return Fate::Dropped(Reason::Late);
        }
        if let Some(crossing) = self.reorder.take_death(topic.entity) {
            node.crossing = crossing;
        }
        node.counting.birth();
        let seq = low_byte(birth.payload.seq).unwrap_or(0);
        let before = node.crossing.overtook_both(now.mono, sent_ms);
        let was_overtaken = node.crossing.overtook_birth(now.mono, sent_ms)
            || node.crossing.precedes_birth(now.mono, timeout, sent_ms);
        let missed = self.unborn.born(topic.entity, now.mono, sent_ms).or(before);
        let came_late = was_overtaken || missed.is_some();
        if let Some(missed) = missed {
            node.crossing.miss(missed);
        }
        if let Some(strangers) = self.reorder.take_stranger(topic.entity) {
            node.early.append(strangers);
        }
        let mut is_unclear = false;
        if !node.early.is_empty() {
            // What the node sent before this birth is judged before it.
            let former = node.early.take_former(sent_ms, seq, timeout);
            if let Some(unclear) = unclear(&former, now.mono, sent_ms, seq, timeout) {
                // Or behind it, and a clock was set: then the birth isn't the newest.
                node.crossing.miss(unclear);
                is_unclear = true;
            }
            if !former.is_empty() {
                self.counters.gaps = self.counters.gaps.saturating_add(1);
                self.judge_all_early(now, former, out);
            }
        }
        self.why = None;
        let (mut step, plant) = self.step(now, out);
        step.room = plant.room(index, true);
        let Some(node) = plant.node_mut(index) else {
            return Fate::Dropped(Reason::OverCapacity);
        };
        node.unheard_since = None;
        node.has_unassured |= !received.assured;
        let fate = step.node_birth(node, birth);
        if (!lives || is_copy) && node.own.life.is_alive() {
            // It was sent before the relay was away, or before its death, and says nothing of the time since.
            node.unheard_since = Some(now.mono);
        }
        let came_late = came_late || is_unclear;
        if (received.dup || is_copy || came_late) && node.own.life.is_alive() {
            if came_late {
                // What was sent behind it is gone: that the sequence goes on proves nothing.
                node.lose();
            } else {
                node.doubt();
            }
            step.order_keyframe(node);
        }
        plant.make_room(index);
        self.teach_ahead(now, index, topic.entity, sent_ms, out);
        fate
    }

    pub(super) fn node_death(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        decoded: Decoded<'_>,
        received: Received<'_>,
        origin: &Origin<'_>,
        out: &mut Vec<Entry>,
    ) -> Fate {
        let hash = self.hash(received);
        let payload = decoded.into_model().into_payload();
        let node = origin.node.and_then(|NodeSlot(place)| self.plant.nodes().get(place));
        let ends = node.is_none_or(|node| !outlives(node, &payload));
        if ends {
            self.ahead.forget(topic.entity, None);
        }
        let Some(NodeSlot(index)) = origin.node else {
            if self.policy.node_in_scope(topic.entity.group, topic.entity.edge_node) {
                // Its birth may be on the way.
                self.reorder.keep_death(topic.entity, now.mono, &payload);
            }
            return Fate::Dropped(Reason::DataBeforeBirth);
        };
        let Some(node) = self.plant.node_mut(index) else {
            return Fate::Dropped(Reason::DataBeforeBirth);
        };
        node.last_seen = now.mono;
        if !node.sequence.arrive_unordered(hash, received.dup) {
            return Fate::Dropped(Reason::Duplicate);
        }
        if ends && !node.early.is_empty() {
            // What it sent in its life is judged before its death.
            let present = node.early.take_present();
            self.judge_all_early(now, present, out);
        }
        let (mut step, plant) = self.step(now, out);
        let Some(node) = plant.node_mut(index) else {
            return Fate::Dropped(Reason::DataBeforeBirth);
        };
        step.node_death(node, &payload)
    }

    /// Every message that counts in the sequence of its node, behind the NBIRTH: without that
    /// nothing can be read by it.
    #[expect(clippy::too_many_arguments, reason = "a message, and what is known of it")]
    pub(super) fn in_turn(
        &mut self,
        now: Now,
        topic: EntityTopic<'_>,
        decoded: Result<Decoded<'_>, Reason>,
        received: Received<'_>,
        way: Way,
        origin: &mut Origin<'_>,
        out: &mut Vec<Entry>,
    ) -> Fate {
        let hash = self.hash(received);
        let timeout = self.settings.reorder_timeout;
        let (seq, timestamp) = match &decoded {
            Ok(decoded) => (decoded.seq(), decoded.timestamp()),
            Err(_) => (find_seq(received.payload), find_timestamp(received.payload)),
        };
        let seq = low_byte(seq);
        if !topic.message_type.is_data() {
            self.ahead.forget(topic.entity, timestamp);
        }
        self.sent = (!topic.message_type.is_death()).then_some(timestamp);
        let has_birth = |node: &Node| node.own.life != Life::Unknown;
        let place = origin.node.map(|NodeSlot(place)| place);
        let place = place.filter(|place| self.plant.nodes().get(*place).is_some_and(has_birth));
        let Some(place) = place else {
            let reason = decoded.err().unwrap_or(Reason::DataBeforeBirth);
            // A broker in a cluster may deliver it before the birth that precedes it.
            let seq = seq.unwrap_or(0);
            let waits = Waits { seq, hash, timestamp, counted: None, refusals: 0 };
            let has_number = seq != 0;
            if way == Way::Arrived && has_number && self.may_be_born(topic.entity) {
                if self.reorder.has_stranger(topic.entity, seq, hash) {
                    return Fate::Dropped(Reason::Duplicate);
                }
                let early =
                    |reorder: &mut Reorder| reorder.early(now.mono, timeout, received, waits);
                let has_room = self.reorder.has_room_for_stranger(received.payload.len());
                if has_room && self.reorder.wait_for_birth(topic.entity, early) {
                    origin.node = None;
                    return Fate::Waiting;
                }
            }
            if self.may_be_born(topic.entity) {
                self.ahead.keep_birth(now.mono, topic, timestamp, received.payload);
            }
            if let Some(NodeSlot(place)) = origin.node
                && let Some(node) = self.plant.node_mut(place)
            {
                node.last_seen = now.mono;
                if topic.message_type.is_death() && node.sessions.any() {
                    // Of a device that died with its node.
                    return Fate::Dropped(Reason::StaleDeath);
                }
            }
            return Fate::Dropped(reason);
        };
        let lives = self.is_sign_of_life(now, received, timestamp);
        let (mut step, plant) = self.step(now, out);
        step.room = plant.room(place, topic.message_type == MessageType::DBirth);
        let Some(node) = plant.node_mut(place) else {
            return Fate::Dropped(Reason::DataBeforeBirth);
        };
        node.last_seen = now.mono;
        if topic.message_type.is_data()
            && let Some(heard) = &mut node.heard
        {
            heard.last_data = Some(now.mono);
        }
        if way == Way::Arrived {
            node.output.earn(now.mono, received.payload.len());
        }
        // proto3 leaves a number of 0 out.
        let next = node.sequence.next();
        let leaves_zero_out = seq.is_none() && next == Some(0) && !topic.message_type.is_death();
        let seq = if leaves_zero_out { Some(0) } else { seq };
        let precedes_birth = way == Way::Arrived
            && seq.is_some()
            && !received.dup
            && !node.sequence.is_behind_birth(seq)
            && node.crossing.precedes_birth(now.mono, timeout, timestamp);
        if way == Way::Arrived {
            if precedes_birth && seq != next {
                // Of before the birth: its number and its aliases mean something else by now. Or the
                // clock was set back, and another NBIRTH is still to come.
                self.ahead.keep_birth(now.mono, topic, timestamp, received.payload);
                return Fate::Dropped(Reason::Late);
            }
            node.crossing.heard(now.mono, timestamp);
            // What can't be read may have a number that isn't found.
            if seq.is_some() || decoded.is_ok() {
                step.count(node, seq, timestamp, hash, received);
            }
            node.has_assured_data |= received.assured && topic.message_type.is_data();
            if !received.assured && !node.has_unassured {
                node.has_unassured = true;
                *step.structure_changed = true;
            }
        }
        let turn = match way {
            Way::Waited { for_birth: true, .. } if step.is_copy(node, seq, hash) => Turn::Never,
            Way::Waited { late: true, outdated: true, .. } => Turn::Now { late: Late::Outdated },
            Way::Waited { late: true, .. } => Turn::Now { late: Late::ByNumber },
            Way::Waited { outdated, .. } => {
                step.take(node, seq, received);
                Turn::Now { late: if outdated { Late::Overtaken } else { Late::of(received) } }
            }
            Way::Arrived => step.turn(node, seq, hash, received),
        };
        let late = match turn {
            Turn::Now { late } => late,
            Turn::Never => {
                node.came_again(topic, timestamp, now.mono);
                return Fate::Dropped(Reason::Duplicate);
            }
            Turn::Later { seq } => {
                let (counted, refusals) = (Some(NodeSlot(place)), node.refusals);
                let waits = Waits { seq, hash, timestamp, counted, refusals };
                self.wait(now, place, received, waits);
                return Fate::Waiting;
            }
        };
        let waited = way != Way::Arrived;
        let late = if precedes_birth {
            // By its number it comes next, as where the node's clock was set back; or it is of before
            // the birth, and happens to have that number. What goes on behind it proves neither.
            node.lives().for_each(Life::give_up_verifying);
            node.lose();
            step.order_keyframe(node);
            Late::Outdated
        } else {
            step.doubt_order(node, topic, (seq, timestamp), late, !waited)
        };
        node.unheard_since = (!lives).then(|| node.unheard_since.unwrap_or(now.mono));
        let device = topic.entity.device;
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(reason) => {
                if seq.is_none() {
                    // It had a number, most likely.
                    node.sequence.expect_unread(1);
                }
                node.refusals = node.refusals.wrapping_add(1);
                step.follow_refusal(node, device, refused(topic.message_type), reason);
                return Fate::Dropped(reason);
            }
        };
        let is_birth = topic.message_type == MessageType::DBirth;
        match (topic.message_type, device) {
            (MessageType::DBirth | MessageType::DDeath, Some(device))
                if step.is_superseded(node, device, (is_birth, seq, timestamp), late, waited) =>
            {
                let is_newer = |(born, sent): (u64, u64)| sent > born;
                if node.own.layout.timestamp.zip(timestamp).is_some_and(is_newer) {
                    // It may be of an NBIRTH that is still to come.
                    self.ahead.keep_birth(now.mono, topic, timestamp, received.payload);
                }
                Fate::Dropped(Reason::Late)
            }
            (MessageType::DBirth, Some(device)) => {
                let birth = decoded.into_birth();
                // Where the numbers say that it is late, the times needn't.
                let by_number = matches!(late, Late::ByNumber | Late::Outdated);
                let birth_ms = birth.payload.timestamp.filter(|_| !by_number);
                let known_ms = node.state(Some(device)).and_then(|state| state.layout.timestamp);
                let is_before = |(known, sent): (u64, u64)| sent < known;
                // It waited for others that didn't come, and its time is that of a session before.
                let may_be_older = waited && known_ms.zip(timestamp).is_some_and(is_before);
                let fate = step.device_birth(node, device, birth, late);
                let is_unverified = node.own.life.is_unverified();
                if let Some(state) = node.state_mut(Some(device)) {
                    // It may be the first that is heard of the device.
                    state.told_at = seq;
                    if is_unverified {
                        state.life.doubt();
                    }
                }
                plant.make_room(place);
                let missed = self.unborn.born(topic.entity, now.mono, birth_ms);
                if let Some(node) = self.plant.node_mut(place)
                    && (missed.is_some()
                        || late == Late::Outdated
                        || may_be_older
                        || node.crossing.missed_newer(now.mono, birth_ms))
                    && let Some(state) = node.state_mut(Some(device))
                {
                    state.doubt();
                    node.next_keyframe = now.mono;
                }
                fate
            }
            (MessageType::DDeath, Some(device)) => {
                step.device_death(node, device, &decoded.into_model().into_payload())
            }
            _ => {
                step.renew_beside(node, device);
                // What is late may be older than what is current, so each value is looked at.
                if let Decoded::Scalars(scalars) = &decoded
                    && !late.is_late()
                    && let Some(fate) = step.fast_path(node, device, scalars)
                {
                    if let Decoded::Scalars(scalars) = decoded {
                        self.metric_room.put_back(scalars.metrics);
                    }
                    return fate;
                }
                step.data(node, device, decoded.into_model(), late)
            }
        }
    }

    /// Whether a message of a node whose birth isn't known may have overtaken that: the policy lets
    /// the node be known.
    fn may_be_born(&self, entity: Entity<'_>) -> bool {
        !self.settings.reorder_timeout.is_zero()
            && self.policy.node_in_scope(entity.group, entity.edge_node)
    }

    fn hash(&self, received: Received<'_>) -> u64 {
        self.hasher.hash_one((received.topic, received.payload))
    }
}

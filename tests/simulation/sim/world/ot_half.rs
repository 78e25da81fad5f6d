//! The OT half and its broker: starts, kills, deliveries, receipts.

use std::path::PathBuf;

use account::Reason;
use journal_format::header::Header;
use journal_format::{Body, Heartbeat, frame};
use journal_write::{Durability, WriterOptions};
use ot::PipelineSettings;
use sparkplug::{Budget, Caps};

use super::{Back, Poison, Return, Taken, World, show};
use crate::sim::faults::{Fault, segments};
use crate::sim::habits::{BdSeq, Counting};
use crate::sim::ot_broker::Message;
use crate::sim::plan::Disk;
use crate::sim::plant::{Kind, MAX_METRICS, MessageId, Published, Sent, Way};

/// So often the half ends with a message before that is set aside.
pub(super) const ENDS: u8 = 2;

impl World {
    pub(super) fn start_ot(&mut self) {
        self.clear_disk(Disk::Segment);
        let policy = self.policy(self.ot_policy).into();
        let caps = Caps { metrics: MAX_METRICS, ..Caps::DEFAULT };
        let mut pipeline = PipelineSettings {
            source: "line".into(),
            keyframe_every: self.config.keyframe_every,
            reorder_timeout: self.config.reorder_timeout,
            doubt_after: self.config.doubt_after,
            max_nodes: 10,
            max_devices_per_node: 10,
            budget: Budget::UNLIMITED,
            caps,
        };
        if let Some(fault) = self.fault {
            fault.on_pipeline(&mut pipeline);
        }
        let settings = ot::testing::HalfSettings {
            relay_name: "relay".into(),
            pipeline,
            journal: WriterOptions {
                dir: self.journal_dir(),
                relay_name: "relay".into(),
                segment_bytes: self.config.segment_bytes,
                retain_bytes: self.config.retain_bytes.unwrap_or(1 << 30),
                retain_age: None,
                durability: Durability::Process,
            },
            state_dir: self.dir.path().join("ot"),
            policy,
        };
        let half = ot::testing::Half::start(settings).expect("the OT half starts");
        self.number = half.last_number();
        self.ot = Some(half);
        (self.given, self.shed, self.taken) = (0, 0, Vec::new());
        self.to_drop.clear();
        self.note(|| "OT half starts".into());
        self.back.insert(Back::OtLink, self.now.mono);
    }

    /// The OT half is gone; what it took and the journal doesn't have is lost, if the broker
    /// hasn't it.
    pub(super) fn ot_gone(&mut self, away_ms: u64) {
        if let Some(half) = self.ot.take() {
            self.dropped_on_ot.add(half.pipeline().account());
        }
        for Taken { id, is_kept, .. } in std::mem::take(&mut self.taken) {
            if !is_kept && self.plant.sent[id].way == Way::Waiting {
                self.plant.sent[id].way = Way::Lost(self.now.mono);
            }
        }
        for id in self.unstored.drain(..) {
            self.plant.sent[id].is_forgotten = true;
        }
        self.ot_broker.disconnect();
        self.connecting = None;
        self.come_back(Back::Ot, away_ms);
    }

    pub fn kill_ot(&mut self, away_ms: u64, in_turn: bool, torn: bool) {
        let Some(half) = &self.ot else { return };
        let next_seq = half.next_seq();
        let is_clean = !half.stands();
        self.was_killed = true;
        if in_turn {
            self.ot_reads();
            if let Some(half) = &mut self.ot {
                half.turn(false);
            }
        }
        self.ot_gone(away_ms);
        if torn && is_clean {
            self.tear(next_seq);
        }
    }

    fn newest_segment(&self) -> Option<(PathBuf, u64)> {
        let newest = segments(&self.journal_dir()).pop()?;
        let bytes = std::fs::metadata(&newest).ok()?.len();
        Some((newest, bytes))
    }

    /// Half a write stands at the end of the journal.
    fn tear(&mut self, next_seq: u64) {
        if let Some((newest, _)) = self.newest_segment() {
            let mut bytes = std::fs::read(&newest).expect("a segment");
            let header = Header::parse(&bytes).expect("a header");
            let body = Body::Heartbeat(Heartbeat::default());
            let mut frame = Vec::new();
            let now_ms = self.now.wall_ms;
            frame::append(header.salt, next_seq, now_ms, &body, &mut frame).expect("a frame");
            let part = 1 + self.random.below(frame.len() - 1);
            bytes.extend(&frame[..part]);
            std::fs::write(newest, bytes).expect("a segment");
        }
    }

    pub fn stop_ot(&mut self, away_ms: u64) {
        if self.ot.as_ref().is_some_and(|half| half.stands()) {
            return;
        }
        let Some(mut half) = self.ot.take() else { return };
        half.ask_to_stop();
        half.turn(true);
        self.dropped_on_ot.add(half.pipeline().account());
        let released = half.stop();
        self.journalled();
        if !self.is_full(Disk::Plant) {
            self.unstored.clear();
        }
        self.acknowledge(released);
        self.ot_gone(away_ms);
    }

    pub fn break_ot_link(&mut self, away_ms: u64) {
        if !self.ot_broker.is_connected() {
            return;
        }
        self.ot_broker.disconnect();
        self.ot_hears_of_loss();
        self.come_back(Back::OtLink, away_ms);
    }

    pub fn restart_ot_broker(&mut self, away_ms: u64) {
        let was_connected = self.ot_broker.is_connected();
        self.ot_broker.restart();
        if was_connected {
            self.ot_hears_of_loss();
        }
        self.come_back(Back::OtLink, away_ms);
    }

    pub(super) fn ot_hears_of_loss(&mut self) {
        self.connecting = None;
        if let Some(half) = &mut self.ot {
            half.lost();
        }
    }

    /// The half takes what the broker has for it.
    pub(super) fn ot_reads(&mut self) {
        if self.ot.as_ref().is_none_or(|half| half.stands()) {
            return;
        }
        let mut messages = self.ot_broker.read();
        if let Some(fault) = self.fault {
            fault.on_deliveries(&mut messages);
        }
        if self.ends_with(&messages) {
            return;
        }
        if messages.is_empty() {
            return;
        }
        self.given += messages.len() as u64;
        let (mut deliveries, mut untold) = (Vec::new(), Vec::new());
        let poisons = |message: &Message| {
            message.id.is_some() && self.poison == message.id.map(|id| Poison::Is(id, ENDS))
        };
        let aside = messages.iter().find(|message| poisons(message));
        if let Some(Message { delivery, .. }) = aside {
            self.aside = Some((delivery.topic.clone(), delivery.payload.clone()));
        }
        for Message { delivery, id, dropped_for } in messages {
            let mut is_untold = false;
            // It, and copies of it, also those that come later.
            let is_aside = self.aside.as_ref().is_some_and(|(topic, payload)| {
                (topic, payload) == (&delivery.topic, &delivery.payload)
            });
            // What was too large has none, nor what is set aside.
            self.number += u64::from(!delivery.is_too_large && !is_aside);
            if is_aside {
                is_untold = self.fault == Some(Fault::SetsAsideUntold);
                *self.to_drop.entry(Reason::SetAside.name()).or_default() += 1;
            }
            if let Some(id) = id {
                self.plant.sent[id].is_bad |= is_aside;
                self.took += 1;
                self.plant.sent[id].taken = self.took;
                self.plant.sent[id].taken_at = self.now.mono;
                self.look_for_overtaking(id);
                self.look_for_speech(id);
                let (number, is_kept) = (self.number, delivery.packet_id.is_some());
                self.taken.push(Taken { id, at: self.now.mono, number, is_kept });
            }
            if id.is_none()
                && let Some(node) = self.unclear_death(&delivery.topic, is_aside)
            {
                self.overtaken.insert(node);
            }
            if let Some(reason) = dropped_for.filter(|_| !is_aside) {
                *self.to_drop.entry(reason.name()).or_default() += 1;
            }
            if self.trace {
                let topic = String::from_utf8_lossy(&delivery.topic);
                let dup = if delivery.dup { " dup" } else { "" };
                let at = self.now.mono.as_secs_f64();
                println!("{at:>10.3}   OT takes {topic}{dup} {}", show(&delivery.payload));
            }
            match delivery.packet_id.filter(|_| is_untold) {
                Some(packet_id) => untold.push(packet_id),
                None => deliveries.push(delivery),
            }
        }
        let early: Vec<u16> = match self.fault {
            Some(Fault::AcknowledgesEarly) => {
                deliveries.iter().filter_map(|one| one.packet_id).collect()
            }
            _ => untold,
        };
        if let Some(half) = &mut self.ot {
            half.deliver(deliveries);
        }
        self.acknowledge(early);
    }

    /// The next message that the broker has for the half ends it, unless one before still does.
    pub fn poison(&mut self) {
        // What the half heard of and hasn't acknowledged comes again.
        let is_over = |id: MessageId| {
            matches!(self.plant.sent[id].way, Way::Heard(_)) && !self.ot_broker.repeats(id)
        };
        if !matches!(self.poison, Some(Poison::Is(id, _)) if !is_over(id)) {
            self.poison = Some(Poison::Next);
        }
    }

    /// Whether one of the messages ends the half. What it took with it is lost, or comes again.
    fn ends_with(&mut self, messages: &[Message]) -> bool {
        let is_poison = |message: &&Message| match (self.poison, message.id) {
            // What is stored comes again without end.
            (Some(Poison::Next), Some(_)) => {
                message.delivery.packet_id.is_some()
                    && !self.ot_broker.stores(&message.delivery.topic)
            }
            (Some(Poison::Is(poison, ends)), id) => id == Some(poison) && ends < ENDS,
            _ => false,
        };
        let Some(message) = messages.iter().find(is_poison).cloned() else { return false };
        let Some(id) = message.id else { return false };
        let Some(half) = self.ot.take() else { return false };
        self.note(|| format!("the OT half ends with {:?}", self.plant.sent[id]));
        let ends = if let Some(Poison::Is(_, ends)) = self.poison { ends } else { 0 };
        self.poison = Some(Poison::Is(id, ends + 1));
        self.was_killed = true;
        self.dropped_on_ot.add(half.pipeline().account());
        half.killed_with(message.delivery);
        for message in messages.iter().filter(|message| message.delivery.packet_id.is_none()) {
            if let Some(id) = message.id
                && self.plant.sent[id].way == Way::Waiting
            {
                self.plant.sent[id].way = Way::Lost(self.now.mono);
            }
        }
        self.ot_gone(500);
        true
    }

    /// The node of a copy of an NDEATH that nobody can tell from another: it says the same of every
    /// session, or is set aside and so read by nobody.
    fn unclear_death(&self, topic: &[u8], is_aside: bool) -> Option<usize> {
        let topic = std::str::from_utf8(topic).ok()?;
        let node = self.plant.find(topic.split_once("/NDEATH/")?.1)?;
        (is_aside || self.plant.nodes[node].habits.bd_seq != BdSeq::Counts).then_some(node)
    }

    /// Notes a node of which a message comes too late: behind one that was sent after it by more than
    /// the relay waits, or behind the death of its session, which has no number.
    fn look_for_overtaking(&mut self, id: MessageId) {
        let (node, session) = (self.plant.sent[id].node, self.plant.sent[id].session);
        let newer = self.plant.sent[id + 1..].iter().filter(|newer| newer.node == node);
        let timeout = self.config.reorder_timeout;
        let is_late =
            newer.clone().any(|newer| newer.taken > 0 && self.now.mono - newer.taken_at >= timeout);
        let ends = |newer: &Sent| {
            newer.kind == Kind::NDeath && newer.session == session && newer.taken > 0
        };
        // Nobody can put in order what has no numbers.
        let is_numbered = self.plant.nodes[node].habits.counting != Counting::Never;
        let is_unordered = !is_numbered && newer.clone().any(|newer| newer.taken > 0);
        // Devices of the next session came before both its birth and the end of the one before.
        let (sent, is_death) = (&self.plant.sent, self.plant.sent[id].kind == Kind::NDeath);
        let is_of_next = |one: &&Sent| one.session > session && one.taken > 0;
        let born = |of: u32| {
            let births = sent.iter().filter(|one| one.node == node && one.kind == Kind::NBirth);
            births.clone().any(|one| one.session == of && one.taken > 0)
        };
        // In one millisecond with the birth that came before it, it looks like one sent behind it.
        let at_ms = sent[id].wall_ms;
        let is_same_birth =
            |newer: &Sent| newer.kind == Kind::NBirth && newer.taken > 0 && newer.wall_ms == at_ms;
        let is_of_birth = newer.clone().any(is_same_birth);
        let is_torn = is_death && newer.clone().filter(is_of_next).any(|one| !born(one.session));
        if is_late || is_torn || is_unordered || is_of_birth || newer.clone().any(ends) {
            self.overtaken.insert(node);
        }
    }

    /// Notes a node that is dead on IT since nothing was heard of it, and whose first message can't be
    /// read.
    fn look_for_speech(&mut self, id: MessageId) {
        let sent = &self.plant.sent[id];
        let node = sent.node;
        match sent.kind {
            Kind::NBirth => drop(self.speechless.remove(&node)),
            Kind::NData | Kind::DData
                if sent.is_bad
                    && !self.returns.is_empty()
                    && self.shown(&self.plant.nodes[node].name).is_none() =>
            {
                self.speechless.insert(node);
            }
            _ => {}
        }
    }

    /// A message of a node is refused unread.
    pub fn shed(&mut self, published: Published) {
        let Some(half) = self.ot.as_mut().filter(|half| !half.stands()) else {
            return self.publish(published, false);
        };
        if published.is_assured || !self.ot_broker.is_connected() {
            return self.publish(published, false);
        }
        half.shed(published.topic.into_bytes().into(), None);
        self.given += 1;
        self.shed += 1;
        *self.to_drop.entry(Reason::Overload.name()).or_default() += 1;
        if let Some(id) = published.id {
            self.plant.sent[id].is_bad = true;
            self.took += 1;
            self.plant.sent[id].taken = self.took;
            let at = self.now.mono;
            self.taken.push(Taken { id, at, number: self.number, is_kept: false });
        }
    }

    pub fn publish(&mut self, published: Published, is_will: bool) {
        self.note(|| format!("plant {} {}", published.topic, show(&published.payload)));
        self.ot_broker.publish(self.now.mono, published, is_will);
    }

    pub(super) fn ot_turn(&mut self) {
        if self.ot.is_some() && !self.ot_broker.is_connected() && self.is_back(Back::OtLink) {
            let mut present = self.ot_broker.connect();
            self.note(|| format!("OT half connects, session present: {present}"));
            if let Some(fault) = self.fault {
                present = fault.on_session(present);
            }
            if let Some(half) = &mut self.ot {
                half.connected(present);
            }
            self.connecting = Some(present);
        }
        self.ot_broker.tick(self.now.mono);
        self.ot_reads();
        let room = !self.is_full(Disk::Journal);
        if !room || self.ot.as_ref().is_some_and(|half| half.stands()) {
            self.stood_at = self.now.mono;
        }
        if self.is_full(Disk::Segment) {
            self.block_segments();
        }
        let writes_into_nothing = !room && self.fault == Some(Fault::WritesIntoNothing);
        let before = if writes_into_nothing { self.newest_segment() } else { None };
        let Some(half) = &mut self.ot else { return };
        let is_done = half.turn(room || writes_into_nothing);
        if let Some((path, bytes)) = before {
            let file = std::fs::OpenOptions::new().write(true).open(path).expect("a segment");
            file.set_len(bytes).expect("a segment");
        }
        if self.fault == Some(Fault::ExpiresEarly) {
            let mut old = segments(&self.journal_dir());
            old.truncate(old.len().saturating_sub(2));
            old.iter().for_each(|path| std::fs::remove_file(path).expect("a segment"));
        }
        if !is_done {
            return;
        }
        let Some(half) = &mut self.ot else { return };
        let released = half.released();
        let ends = self.random.chance(self.config.state_pace);
        while ends && half.write_state() {}
        self.journalled();
        self.acknowledge(released);
        if self.ot.as_ref().is_some_and(|half| !half.owes_store()) {
            self.unstored.clear();
        }
    }

    /// All that the half took is in the journal, but for what waits for its turn and what came
    /// behind that.
    pub(super) fn journalled(&mut self) {
        let half = self.ot.as_ref();
        let oldest = half.and_then(|half| half.oldest_waiting()).unwrap_or(u64::MAX);
        // As far as the half has heard: one that stands still hears of nothing.
        let is_in_session = half.is_some_and(|half| half.has_session());
        // Nobody says which of those that the broker hasn't any more wait.
        let waits = half.is_some_and(|half| half.pipeline().account().waiting > 0);
        // What was judged when the session ended is written with the next turn.
        let is_unsent = half.is_some_and(|half| half.has_unsent());
        let has_shed = half.is_some_and(|half| half.has_shed());
        let is_settled = |taken: &mut Taken| match taken.is_kept {
            _ if is_unsent => false,
            // After the session ended nobody waits for a receipt.
            true => taken.number < oldest && (is_in_session || !waits),
            // What was refused unread is among these.
            false => !waits && !has_shed,
        };
        for Taken { id, .. } in self.taken.extract_if(.., is_settled).collect::<Vec<_>>() {
            self.unstored.push(id);
            let sent = &mut self.plant.sent[id];
            sent.is_forgotten = false;
            if !matches!(sent.way, Way::Heard(_)) {
                sent.way = Way::Heard(self.now.mono);
            }
        }
        if let Some(is_kept) = self.connecting.take() {
            self.returns.push(Return { at: self.now.mono, is_kept });
        }
    }

    pub(super) fn acknowledge(&mut self, released: Vec<u16>) {
        for packet_id in released {
            // Of an earlier connection it may be one that isn't in flight any more.
            if let Ok(Some(id)) = self.ot_broker.acknowledge(packet_id) {
                let way = self.plant.sent[id].way;
                assert!(
                    matches!(way, Way::Heard(_)),
                    "acknowledged before it is in the journal: {:?}",
                    self.plant.sent[id]
                );
            }
        }
    }
}

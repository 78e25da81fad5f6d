//! Sessions of mirrored nodes on the IT broker: when they open and close, births, deaths,
//! commands, confirmations.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use sparkplug::{Caps, Metric, Payload, PayloadWriter, Value, names};

use crate::mirror::layout::Layout;
use crate::mirror::node::{Node, Session, encode};
use crate::mirror::{Link, Mirror, NodeId, Notice, Now, Outgoing, Qos, SessionEvent};

/// Wait after the first failed attempt to connect; doubled with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// Longest wait between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// A command is small: a host's rebirth request is under 100 bytes, so this is generous, and
/// it bounds what a hostile IT side can make us decode.
const COMMAND_CAPS: Caps = Caps { payload_bytes: 64 * 1024, metrics: 256, ..Caps::DEFAULT };
/// How far the clock of the primary host may be ahead of ours.
const MAX_STATE_AHEAD_MS: u64 = 3_600_000;
/// Metric names of a refused command that are reported.
const MAX_REPORTED_METRICS: usize = 16;

impl Mirror {
    /// Takes what happened on the session of `id`.
    pub fn handle_session(&mut self, now: Now, id: NodeId, event: SessionEvent) {
        match event {
            SessionEvent::Ready => self.session_ready(now, id),
            SessionEvent::Lost { connect_sent } => self.session_lost(now, id, connect_sent),
            SessionEvent::Closed => self.session_closed(now, id),
            SessionEvent::Confirmed => self.session_confirmed(now, id),
            SessionEvent::Received { topic, payload, retain } => {
                self.session_received(now, id, topic, &payload, retain);
            }
        }
    }

    /// Timers: staleness, doubt, pending rebirths, confirmations, attempts to connect.
    pub fn handle_tick(&mut self, now: Now) {
        self.date_doubts(now);
        self.set_policy_time(now);
        if self.link == Link::Alive && !self.stopping {
            let silent = now.at.saturating_sub(self.last_frame);
            let away = Duration::from_millis(self.ot_away_ms);
            if silent > self.settings.stale_after || away > self.settings.stale_after {
                let away_ms = silent.max(away).as_millis().try_into().unwrap_or(u64::MAX);
                self.link_stale(now, away_ms);
            }
        }
        let awake = self.nodes.take_awake();
        self.behind = false;
        for id in &awake {
            self.tick_node(now, *id);
            self.behind |= self.node(*id).is_some_and(Node::is_behind);
        }
        self.nodes.keep_awake(awake);
    }

    fn tick_node(&mut self, now: Now, id: NodeId) {
        let confirm_every = self.settings.confirm_every;
        // Only what has to change is asked for to be changed.
        let Some(node) = self.node(id) else { return };
        if node.alive && node.confirm_by.is_some_and(|by| now.at >= by) {
            let Some(node) = self.node_mut(id) else { return };
            node.alive = false;
            node.confirm_by = None;
            self.tally.healed = self.tally.healed.saturating_add(1);
            self.reconcile(now, id, "no keyframe confirmed it after frames were lost");
            return;
        }
        if node.session == Session::Born {
            if node.rebirth_due.is_some_and(|due| now.at >= due) {
                self.publish_births(now, id);
                return;
            }
            let due = node
                .confirm
                .pending
                .is_some_and(|(_, since)| now.at.saturating_sub(since) >= confirm_every);
            let historical = node.ranges.iter().any(|range| range.sent_to > range.from);
            if node.confirm.barrier.is_none() && (due || historical) {
                let Some(node) = self.node_mut(id) else { return };
                node.confirm.barrier = Some(node.confirm.published);
                for range in &mut node.ranges {
                    range.barrier_to = range.sent_to;
                }
                self.out.push_back(Outgoing::Barrier { node: id });
            }
            return;
        }
        self.reconcile(now, id, "");
    }

    /// Brings the session of a node where it should be.
    pub(super) fn reconcile(&mut self, now: Now, id: NodeId, why: &'static str) {
        let linked = self.link == Link::Alive;
        let stopping = self.stopping;
        let gated = self.settings.primary_host.is_some();
        let online = self.host.online;
        let Some(node) = self.node(id) else { return };
        // What an earlier connection was told of the host may be out of date.
        let gate = gated && !(online && node.host_seen);
        let wanted = (linked || node.own) && !stopping && node.alive && !node.held;
        match node.session {
            Session::Closed { not_before } if wanted && now.at >= not_before => {
                let host_topic = self.host_topic();
                let Some(node) = self.node_mut(id) else { return };
                node.bd_seq = node.bd_seq_next;
                node.bd_seq_next = node.bd_seq.wrapping_add(1);
                node.session = Session::Opening;
                let spec = node.session_spec(now.wall_ms, host_topic.as_deref());
                self.out.push_back(Outgoing::Open { node: id, spec });
            }
            Session::Waiting if wanted && !gate => self.publish_births(now, id),
            Session::Opening | Session::Waiting | Session::Born if !wanted => {
                self.kill(now, id, why);
            }
            _ => {}
        }
    }

    /// NDEATH, then DISCONNECT (operational-behavior-edge-node-intentional-disconnect-ndeath).
    /// Where a node must be born anew, its next session has a new bdSeq.
    pub(super) fn kill(&mut self, now: Now, id: NodeId, why: &'static str) {
        let Some(node) = self.node_mut(id) else { return };
        let was_born = match node.session {
            Session::Closed { .. } | Session::Closing => return,
            Session::Opening | Session::Waiting => false,
            Session::Born => true,
        };
        node.session = Session::Closing;
        node.rebirth_due = None;
        node.devices.values_mut().for_each(|device| device.born = false);
        let topic = Arc::clone(&node.topics.death);
        let payload = encode(&node.death(now.wall_ms));
        let key = node.key();
        self.out.push_back(Outgoing::Publish { node: id, topic, payload, qos: Qos::AtLeastOnce });
        self.out.push_back(Outgoing::Close { node: id });
        if was_born {
            self.notice(Notice::NodeDead { node: key, why });
        }
    }

    /// NBIRTH with `seq` 0, then the DBIRTH of every live device.
    pub(super) fn publish_births(&mut self, now: Now, id: NodeId) {
        let position = self.position;
        let qos = self.settings.data_qos;
        let Some(node) = self.node_mut(id) else { return };
        let first = node.session != Session::Born;
        node.session = Session::Born;
        node.born_at = now.at;
        node.rebirth_due = None;
        // The births carry everything before this position; a birth that waited for its session
        // is published only now.
        let newest = position.saturating_sub(1);
        let oldest = node.take_held_births().unwrap_or(newest);
        node.close_missed(position);
        node.published(now.at, oldest, newest);
        node.seq = 0;
        let mut births = Vec::with_capacity(node.devices.len().saturating_add(1));
        let stamp = node.birth_stamp(now.wall_ms);
        let mut birth = node.birth(stamp);
        birth.seq = Some(node.next_seq().into());
        births.push((Arc::clone(&node.topics.birth), encode(&birth)));
        let mut devices = std::mem::take(&mut node.devices);
        for device in devices.values_mut() {
            device.born = !node.withholds(&device.layout);
            if !device.born {
                continue;
            }
            let birth = device_birth(node, &device.layout, stamp);
            births.push((Arc::clone(&device.topics.birth), encode(&birth)));
        }
        node.devices = devices;
        let notice = first.then(|| Notice::NodeBorn {
            node: node.key(),
            devices: node.devices.len(),
            bd_seq: node.bd_seq,
        });
        let backfill = self.settings.backfill;
        if let Some(node) = self.node_mut(id)
            && (node.own || !backfill)
        {
            node.ranges.clear();
        }
        for (topic, payload) in births {
            self.out.push_back(Outgoing::Publish { node: id, topic, payload, qos });
        }
        if let Some(notice) = notice {
            self.notice(notice);
        }
    }

    pub(super) fn publish_device_birth(&mut self, now: Now, id: NodeId, name: &str) {
        let qos = self.settings.data_qos;
        let Some(node) = self.node_mut(id) else { return };
        let Some(mut device) = node.devices.remove(name) else { return };
        device.born = true;
        let stamp = node.data_stamp(now.wall_ms);
        let payload = encode(&device_birth(node, &device.layout, stamp));
        let topic = Arc::clone(&device.topics.birth);
        node.devices.insert(name.to_owned(), device);
        self.out.push_back(Outgoing::Publish { node: id, topic, payload, qos });
    }

    /// NDATA or DDATA of these metrics.
    pub(super) fn publish_data(
        &mut self,
        now: Now,
        id: NodeId,
        device: Option<&str>,
        metrics: Vec<Metric>,
    ) {
        let metrics = metrics.iter().map(|metric| (metric.name.as_deref(), metric));
        self.publish_metrics(now, id, device, 0, metrics);
    }

    /// The same with the names beside the metrics. `room`: bytes that the payload takes, roughly.
    pub(super) fn publish_metrics<'a>(
        &mut self,
        now: Now,
        id: NodeId,
        device: Option<&str>,
        room: usize,
        metrics: impl Iterator<Item = (Option<&'a str>, &'a Metric)>,
    ) {
        let qos = self.settings.data_qos;
        let Some(node) = self.node_mut(id) else { return };
        let topic = match device {
            None => Arc::clone(&node.topics.data),
            Some(name) => match node.devices.get(name) {
                Some(device) if device.born => Arc::clone(&device.topics.data),
                _ => return,
            },
        };
        let seq = Some(node.next_seq().into());
        let timestamp = Some(node.data_stamp(now.wall_ms));
        // For the sequence number, which the journal's payload doesn't have.
        let mut payload = PayloadWriter::new(timestamp, room.saturating_add(16));
        for (name, metric) in metrics {
            payload.metric(name, metric);
        }
        let payload = payload.finish(seq);
        self.out.push_back(Outgoing::Publish { node: id, topic, payload, qos });
    }

    pub(super) fn publish_device_death(&mut self, now: Now, id: NodeId, topic: Arc<str>) {
        let qos = self.settings.data_qos;
        let Some(node) = self.node_mut(id) else { return };
        let seq = Some(node.next_seq().into());
        let timestamp = Some(node.data_stamp(now.wall_ms));
        let payload = Payload { timestamp, seq, ..Payload::default() };
        let payload = encode(&payload);
        self.out.push_back(Outgoing::Publish { node: id, topic, payload, qos });
    }

    fn session_ready(&mut self, now: Now, id: NodeId) {
        let Some(node) = self.node_mut(id) else { return };
        if node.session == Session::Opening {
            node.session = Session::Waiting;
        }
        self.reconcile(now, id, "it died before its births");
    }

    fn session_lost(&mut self, now: Now, id: NodeId, connect_sent: bool) {
        let Some(node) = self.node_mut(id) else { return };
        let was_born = node.session == Session::Born;
        node.lose_unconfirmed();
        node.rebirth_due = None;
        node.host_seen = false;
        node.devices.values_mut().for_each(|device| device.born = false);
        if !connect_sent {
            // No broker can know this bdSeq: the next attempt may use it again.
            node.bd_seq_next = node.bd_seq;
        }
        let wait = backoff(node.failures, id, now.at);
        node.failures = node.failures.saturating_add(1);
        node.session = Session::Closed { not_before: now.at.saturating_add(wait) };
        let key = node.key();
        if was_born {
            self.notice(Notice::SessionLost { node: key });
        }
    }

    fn session_closed(&mut self, now: Now, id: NodeId) {
        let Some(node) = self.node_mut(id) else { return };
        node.confirm_all();
        node.lose_unconfirmed();
        node.failures = 0;
        node.host_seen = false;
        node.session = Session::Closed { not_before: now.at };
        self.reconcile(now, id, "");
    }

    fn session_confirmed(&mut self, now: Now, id: NodeId) {
        let Some(node) = self.node_mut(id) else { return };
        let Some(upto) = node.confirm.barrier.take() else { return };
        // Only now: a broker that ends every session at its births must not be met with a
        // storm of connects.
        node.failures = 0;
        node.confirm.pending = if node.confirm.published > upto {
            Some((upto.saturating_add(1), now.at))
        } else {
            None
        };
        for range in &mut node.ranges {
            range.from = range.from.max(range.barrier_to);
        }
        node.ranges.retain(|range| range.from < range.to);
    }

    fn session_received(
        &mut self,
        now: Now,
        id: NodeId,
        topic: String,
        payload: &Bytes,
        retain: bool,
    ) {
        if self.host_topic().as_deref() == Some(&topic) {
            self.host_state(now, id, payload);
            return;
        }
        let own = self.node(id).is_some_and(|node| node.topics.command == topic);
        let decoded = sparkplug::decode(payload, &COMMAND_CAPS);
        let metrics = decoded.map(|decoded| decoded.payload.metrics);
        let rebirth = metrics.as_ref().is_ok_and(|metrics| metrics.iter().any(asks_rebirth));
        let others = match &metrics {
            Ok(metrics) => metrics.iter().filter(|metric| !asks_rebirth(metric)).count(),
            Err(_) => 1,
        };
        if own && rebirth && !retain {
            self.rebirth_requested(now, id);
            if others == 0 {
                return;
            }
        }
        let reason = match (&metrics, retain) {
            (Err(_), _) => "not a Sparkplug command",
            (Ok(_), true) => "retained command",
            (Ok(_), false) => "commands never cross",
        };
        let names = metrics
            .unwrap_or_default()
            .into_iter()
            .take(MAX_REPORTED_METRICS)
            .map(|metric| metric.name.unwrap_or_default())
            .collect();
        self.tally.commands_refused = self.tally.commands_refused.saturating_add(1);
        self.notice(Notice::CommandRefused { topic, metrics: names, reason });
    }

    /// Answered at once, or once `rebirth_min_interval` has passed since the last births; a
    /// burst of requests gets one answer. No data goes out in between.
    fn rebirth_requested(&mut self, now: Now, id: NodeId) {
        let interval = self.settings.rebirth_min_interval;
        let Some(node) = self.node_mut(id) else { return };
        if node.session != Session::Born || node.rebirth_due.is_some() {
            return;
        }
        let key = node.key();
        let due = node.born_at.saturating_add(interval);
        if now.at >= due {
            self.publish_births(now, id);
        } else {
            node.rebirth_due = Some(due);
        }
        self.tally.rebirths_answered = self.tally.rebirths_answered.saturating_add(1);
        self.notice(Notice::RebirthAnswered { node: key });
    }

    fn host_topic(&self) -> Option<String> {
        self.settings.primary_host.as_ref().map(|host| format!("spBv1.0/STATE/{host}"))
    }

    /// STATE of the primary host (operational-behavior-edge-node-termination-host-offline and
    /// its siblings): an older timestamp than the last accepted one is ignored, and so is one
    /// so far in the future that nothing the host says later would count.
    fn host_state(&mut self, now: Now, id: NodeId, payload: &[u8]) {
        #[derive(Deserialize)]
        struct State {
            online: bool,
            timestamp: u64,
        }
        let Ok(State { online, timestamp }) = serde_json::from_slice(payload) else { return };
        if timestamp < self.host.timestamp
            || timestamp > now.wall_ms.saturating_add(MAX_STATE_AHEAD_MS)
        {
            return;
        }
        self.host.timestamp = timestamp;
        if let Some(node) = self.node_mut(id) {
            node.host_seen = true;
        }
        if self.host.online == online {
            self.reconcile(now, id, "");
            return;
        }
        self.host.online = online;
        self.notice(Notice::PrimaryHost { online });
        for id in self.node_ids() {
            if online {
                self.reconcile(now, id, "");
            } else if self.node(id).is_some_and(|node| node.session == Session::Born) {
                self.kill(now, id, "the primary host went offline");
            }
        }
    }

    fn link_stale(&mut self, now: Now, away_ms: u64) {
        self.link = Link::Silent;
        self.notice(Notice::LinkStale { away_ms });
        for id in self.node_ids() {
            self.reconcile(now, id, "no sign of life from the OT half");
        }
    }
}

fn device_birth(node: &mut Node, layout: &Layout, stamp: u64) -> Payload {
    Payload {
        timestamp: Some(stamp),
        metrics: layout.birth_metrics().collect(),
        seq: Some(node.next_seq().into()),
        ..Payload::default()
    }
}

/// `Node Control/Rebirth` = true, in every form that hosts were seen to send: with or without
/// datatype and timestamp.
fn asks_rebirth(metric: &Metric) -> bool {
    metric.name.as_deref() == Some(names::REBIRTH) && metric.value == Some(Value::Boolean(true))
}

/// Exponential, and spread by node so that thousands of sessions don't come back at once. The
/// spread needs no secrecy, so it is a hash of what differs.
fn backoff(failures: u32, id: NodeId, at: Duration) -> Duration {
    let longest = BACKOFF_FIRST.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
    let mixed = u64::from(id.0)
        .wrapping_add(u64::from(at.subsec_nanos()))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // 50 % to 100 % of the longest, in steps of 1/256 of the half.
    let step = u32::try_from(mixed >> 56).unwrap_or(0);
    let half = longest.checked_div(2).unwrap_or_default();
    half.saturating_add(half.saturating_mul(step).checked_div(256).unwrap_or_default())
}

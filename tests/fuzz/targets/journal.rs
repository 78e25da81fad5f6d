//! A journal and an IT broker as a list of operations: frames, losses, sessions that break,
//! commands of hosts, other policies, restarts. The mirror between them is checked after every one.

mod writing;

use std::collections::BTreeMap;
use std::time::Duration;

use it::mirror::{Mirror, MirrorSettings, NodeId, Now, Outgoing, Qos, SessionEvent, SessionSpec};
use it::testing::PlaceTeller;
use journal_format::{Body, Keyframe, Relayed, Start};
use journal_read::{Item, Lost, LostCause};
use prost::Message;
use sparkplug::{Metric, Payload, Value, names};

use crate::frames::{DEVICES, NODES, WALL_MS, payload, topic};
use crate::host::Host;
use crate::input::Input;
use crate::setup::{NONE, POLICIES, copy, settings};

/// Operations of one list that are looked at.
const MAX_OPERATIONS: usize = 300;
/// Time that goes by between two ticks at most.
const LONGEST_STEP: Duration = Duration::from_secs(2);
/// How long an operation takes.
const OPERATION: Duration = Duration::from_millis(2);
/// How far the clock of a new process has to be ahead: births run ahead of the clock by 1 ms
/// each, and the next process doesn't know by how much.
const RESTART_MS: u64 = 120_000;

/// A mirror on a virtual clock, with the world on both of its sides.
#[derive(Debug)]
pub struct Journal {
    pub mirror: Mirror,
    settings: MirrorSettings,
    policy: usize,
    reloaded_at: Duration,
    takes_fast_path: bool,
    now: Now,
    /// Frames that were written, by number, for the second reading.
    frames: BTreeMap<u64, Relayed>,
    next: u64,
    /// Sessions with the bdSeq of their wills.
    sessions: BTreeMap<NodeId, SessionSpec>,
    broker_up: bool,
    /// Publications are dropped on the floor, as by a connection that dies.
    swallows: bool,
    host: Host,
    /// bdSeq of the last session, by node.
    bd_seqs: BTreeMap<String, u8>,
    /// Everything that came out.
    pub told: Vec<Told>,
    /// Number of the operation.
    operation: usize,
    frame_bytes: usize,
    teller: PlaceTeller,
}

/// Something that came out of the mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Number of the operation that it came of.
    pub operation: usize,
    /// What is to be done for this node; `None`: a notice.
    pub node: Option<NodeId>,
    pub text: String,
}

impl Journal {
    /// A journal whose first operations are the settings of the mirror.
    pub fn new(input: &mut Input<'_>, takes_fast_path: bool) -> Journal {
        let flags = input.byte();
        let settings = settings(flags);
        let policy = input.below(POLICIES.len());
        let mut mirror = Mirror::new(settings.clone(), copy(policy));
        it::testing::take_fast_path(&mut mirror, takes_fast_path);
        let mut journal = Journal {
            mirror,
            settings,
            policy,
            reloaded_at: Duration::ZERO,
            takes_fast_path,
            now: Now { mono: Duration::ZERO, wall_ms: WALL_MS },
            frames: BTreeMap::new(),
            next: 1,
            sessions: BTreeMap::new(),
            broker_up: true,
            swallows: false,
            host: Host::default(),
            bd_seqs: BTreeMap::new(),
            told: Vec::new(),
            operation: 0,
            frame_bytes: 0,
            teller: PlaceTeller::default(),
        };
        if flags & 0x80 == 0 {
            journal.frame(Some(Body::Start(Start { keyframe_every_s: 5, ..Start::default() })), 0);
            journal.mirror.caught_up();
            journal.heartbeat(true, 0);
        }
        journal
    }

    /// Carries out all operations of `input`.
    pub fn run(&mut self, input: &mut Input<'_>) {
        for _ in 0..MAX_OPERATIONS {
            if input.is_empty() {
                break;
            }
            self.operation += 1;
            // Hundreds of births within one millisecond would be stamped too far ahead.
            self.now.mono += OPERATION;
            self.now.wall_ms += 2;
            self.step(input);
            self.check();
        }
    }

    /// The end of every list: the broker is there, the OT half lives, and what is alive is seen.
    pub fn settle(&mut self) {
        self.mirror.caught_up();
        if self.swallows {
            self.swallows = false;
            self.break_sessions();
        }
        self.broker_up = true;
        if self.settings.primary_host.is_some() {
            self.host_is(true, u64::MAX >> 1);
        }
        for _ in 0..40 {
            self.pass(1_000);
            self.heartbeat(true, 0);
        }
        self.check();
        let born = self.mirror.node_counts().0;
        assert_eq!(self.host.online(), born, "hosts see other nodes than the mirror");
        self.mirror.stop(self.now);
        self.carry_out();
        assert!(self.mirror.is_stopped(), "sessions outlive the stop");
        assert_eq!(self.host.online(), 0, "a node outlives the stop");
    }

    fn step(&mut self, input: &mut Input<'_>) {
        match input.below(20) {
            0..=6 => {
                let topic = topic(input);
                let flags = input.byte();
                let is_birth = topic.contains("BIRTH/");
                let payload = payload(input, is_birth, flags);
                self.relayed(&topic, payload, flags);
            }
            7 => {
                let topic = topic(input);
                let payload = input.bytes().to_vec();
                let flags = input.byte();
                match self.teller.layout(&topic) {
                    Some(layout) if flags & 1 == 0 => self.placed(layout, payload, flags),
                    _ => self.relayed(&topic, payload, flags),
                }
            }
            8 => {
                let topic = input.text();
                let payload = input.bytes().to_vec();
                self.relayed(&topic, payload, input.byte());
            }
            9 | 10 => {
                let flags = input.byte();
                let topic = topic(input).replace("DATA", "BIRTH").replace("DEATH", "BIRTH");
                let payload = match flags & 0x0f {
                    15 => input.bytes().to_vec(),
                    _ => payload(input, true, flags),
                };
                let devices = (0..3).filter(|at| flags >> (4 + at) & 1 == 1);
                let devices = devices.map(|at| DEVICES[at].to_owned()).collect();
                let losses = u64::from(flags & 2);
                let uncertain = flags & 1 == 1;
                let source = "line".to_owned();
                let keyframe = Keyframe {
                    source,
                    topic,
                    payload,
                    uncertain,
                    devices,
                    losses,
                    unheard: false,
                    doubts: 0,
                    layout: 0,
                    given_aliases: vec![flags, 0xff],
                };
                self.frame(Some(Body::Keyframe(keyframe)), flags & 4);
            }
            11 => {
                let away_ms = u64::from(input.short());
                self.heartbeat(away_ms & 1 == 0, away_ms);
            }
            12 => match input.below(4) {
                0 => self.frame(None, 0),
                1 => {
                    let policy_digest = input.text();
                    let epoch = u64::from(input.byte());
                    let start =
                        Start { policy_digest, epoch, keyframe_every_s: 5, ..Start::default() };
                    self.frame(Some(Body::Start(start)), 4);
                }
                cause => {
                    let cause = [LostCause::Retention, LostCause::Damage][cause - 2];
                    let first = self.next;
                    self.next += 1 + u64::from(input.byte());
                    let lost = Lost { first, last: self.next - 1, cause };
                    self.mirror.handle_item(self.now, Item::Lost(lost));
                    self.carry_out();
                }
            },
            13 | 14 => {
                let ms = u64::from(input.short());
                self.pass(ms % 16_384);
                if ms & 0x8000 == 0 {
                    self.heartbeat(true, 0);
                }
            }
            15 => self.broker(input),
            16 | 17 => self.command(input),
            18 => {
                self.policy = input.below(POLICIES.len());
                self.reloaded_at = self.now.mono;
                self.mirror.reload_policy(self.now, copy(self.policy));
                self.carry_out();
            }
            _ => self.restart(),
        }
    }

    /// Time goes by in steps of the driver.
    fn pass(&mut self, ms: u64) {
        let longest = u64::try_from(LONGEST_STEP.as_millis()).expect("short");
        let step = (ms / 8).clamp(50, longest);
        let mut left = ms;
        while left > 0 {
            let step = step.min(left);
            left -= step;
            self.now.mono += Duration::from_millis(step);
            self.now.wall_ms += step;
            self.mirror.handle_tick(self.now);
            self.carry_out();
            self.backfill();
        }
    }

    fn backfill(&mut self) {
        let Some((from, to)) = self.mirror.begin_backfill() else { return };
        assert!(from < to && to <= self.next, "{from}..{to} of {}", self.next);
        let stretch: Vec<(u64, Relayed)> =
            self.frames.range(from..to).map(|(seq, relayed)| (*seq, relayed.clone())).collect();
        for (seq, relayed) in stretch {
            self.mirror.handle_backfill(self.now, seq, &relayed);
            self.carry_out();
        }
        self.mirror.backfill_passed(to);
        self.carry_out();
    }

    fn broker(&mut self, input: &mut Input<'_>) {
        match input.below(6) {
            0 => {
                self.broker_up = false;
                self.break_sessions();
            }
            1 => self.broker_up = true,
            2 => self.break_sessions(),
            // A connection that swallows is one that breaks, sooner or later.
            3 => self.swallows = true,
            4 => {
                self.swallows = false;
                self.break_sessions();
            }
            _ => {
                let online = input.byte() & 1 == 1;
                let timestamp = WALL_MS + u64::from(input.byte());
                self.host_is(online, timestamp);
            }
        }
    }

    fn host_is(&mut self, online: bool, timestamp: u64) {
        let payload = format!("{{\"online\":{online},\"timestamp\":{timestamp}}}");
        self.publish_to(0, "spBv1.0/STATE/scada".to_owned(), payload.into_bytes(), true);
    }

    fn command(&mut self, input: &mut Input<'_>) {
        let place = input.below(NODES.len());
        let kind = input.byte();
        let topic = format!("spBv1.0/G/NCMD/{}", NODES[place]);
        let rebirth = Metric {
            name: Some(names::REBIRTH.into()),
            value: Some(Value::Boolean(kind & 1 == 0)),
            ..Metric::default()
        };
        let payload = Payload { metrics: vec![rebirth], ..Payload::default() };
        let (topic, payload) = match kind >> 5 {
            0 => (input.text(), input.bytes().to_vec()),
            1 => (topic, input.bytes().to_vec()),
            2 => ("spBv1.0/STATE/scada".to_owned(), input.bytes().to_vec()),
            _ => (topic, payload.encode_to_vec()),
        };
        self.publish_to(place, topic, payload, kind & 0x1e == 0x1e);
    }

    /// Something is published to the session of one of the nodes that have one.
    fn publish_to(&mut self, place: usize, topic: String, payload: Vec<u8>, retain: bool) {
        let sessions = self.sessions.len().max(1);
        let Some(node) = self.sessions.keys().nth(place % sessions).copied() else { return };
        let event = SessionEvent::Received { topic, payload: payload.into(), retain };
        self.tell(node, event);
        self.carry_out();
    }

    /// Every session breaks; the broker publishes the wills.
    fn break_sessions(&mut self) {
        for (node, spec) in std::mem::take(&mut self.sessions) {
            self.will(&spec);
            self.tell(node, SessionEvent::Lost { connect_sent: true });
        }
        self.carry_out();
    }

    /// The broker publishes the will of a session that broke.
    fn will(&mut self, spec: &SessionSpec) {
        self.host.take(&spec.will_topic, &spec.will_payload, Qos::AtLeastOnce, spec.bd_seq);
    }

    /// The mirror of the next process, before it has anything.
    pub fn restarted(&self) -> Mirror {
        Mirror::new(self.settings.clone(), copy(self.policy))
    }

    /// The process is killed and starts again with what is on disk.
    fn restart(&mut self) {
        let snapshot = it::testing::snapshot(&mut self.mirror);
        let bd_seqs: Vec<_> = self.mirror.bd_seqs().collect();
        self.now.wall_ms += RESTART_MS;
        for (_, spec) in std::mem::take(&mut self.sessions) {
            self.will(&spec);
        }
        self.mirror = self.restarted();
        it::testing::take_fast_path(&mut self.mirror, self.takes_fast_path);
        assert!(it::testing::restore(&mut self.mirror, &snapshot, bd_seqs), "our own snapshot");
        self.mirror.caught_up();
        self.heartbeat(true, 0);
    }

    fn tell(&mut self, node: NodeId, event: SessionEvent) {
        self.mirror.handle_session(self.now, node, event);
    }

    fn carry_out(&mut self) {
        // Terminates: an answer to an `Open` or `Close` asks for a bounded number of others.
        loop {
            let mut answers = Vec::new();
            while let Some(outgoing) = self.mirror.poll_outgoing() {
                self.carry_out_one(outgoing, &mut answers);
            }
            while let Some(notice) = self.mirror.poll_notice() {
                let text = format!("{notice:?}");
                self.told.push(Told { operation: self.operation, node: None, text });
            }
            if answers.is_empty() {
                return;
            }
            // As from a network: behind everything that was asked.
            for (node, event) in answers {
                if let SessionEvent::Lost { .. } | SessionEvent::Closed = event {
                    self.sessions.remove(&node);
                }
                self.tell(node, event);
            }
        }
    }

    fn carry_out_one(&mut self, outgoing: Outgoing, answers: &mut Vec<(NodeId, SessionEvent)>) {
        let text = format!("{outgoing:?}");
        let (Outgoing::Open { node, .. }
        | Outgoing::Publish { node, .. }
        | Outgoing::Hurry { node }
        | Outgoing::Barrier { node }
        | Outgoing::Close { node }) = &outgoing;
        let node = *node;
        self.told.push(Told { operation: self.operation, node: Some(node), text });
        if let Outgoing::Open { spec, .. } = outgoing {
            self.open(node, spec);
            answers.push((
                node,
                match self.broker_up {
                    true => SessionEvent::Ready,
                    false => SessionEvent::Lost { connect_sent: false },
                },
            ));
            return;
        }
        let spec = self.sessions.get(&node).expect("a session that was opened");
        let is_lost = answers
            .iter()
            .any(|(lost, event)| *lost == node && matches!(event, SessionEvent::Lost { .. }));
        match outgoing {
            Outgoing::Publish { topic, payload, qos, .. } => {
                let place = format!("/{}", spec.edge_node);
                assert!(topic.contains(&place), "{topic} on the session of {place}");
                if self.policy != NONE {
                    let payload = Payload::decode(payload.as_slice()).expect("a payload");
                    let is_denied = |metric: &Metric| metric.name.as_deref() == Some("denied");
                    assert!(!payload.metrics.iter().any(is_denied), "{topic} has what is denied");
                }
                assert!(payload.len() <= 64 * self.frame_bytes + 4_096, "{topic}");
                if !self.swallows && !is_lost {
                    self.host.take(&topic, &payload, qos, spec.bd_seq);
                }
            }
            Outgoing::Barrier { .. } if !self.swallows && !is_lost => {
                answers.push((node, SessionEvent::Confirmed));
            }
            Outgoing::Close { .. } if !self.swallows && !is_lost => {
                answers.push((node, SessionEvent::Closed));
            }
            Outgoing::Close { .. } if !is_lost => {
                // The NDEATH is never acknowledged: the socket is dropped.
                let spec = spec.clone();
                self.will(&spec);
                answers.push((node, SessionEvent::Lost { connect_sent: true }));
            }
            _ => {}
        }
    }

    fn open(&mut self, node: NodeId, spec: SessionSpec) {
        let will = Payload::decode(spec.will_payload.as_slice()).expect("a will");
        assert_eq!((will.seq, names::bd_seq(&will)), (None, Some(spec.bd_seq)));
        let key = format!("{}/{}", spec.group, spec.edge_node);
        assert_eq!(*spec.will_topic, format!("spBv1.0/{}/NDEATH/{}", spec.group, spec.edge_node));
        let is_to_node = |filter: &String| {
            *filter == format!("spBv1.0/{}/NCMD/{}", spec.group, spec.edge_node)
                || *filter == format!("spBv1.0/{}/DCMD/{}/+", spec.group, spec.edge_node)
                || filter.contains("STATE/")
        };
        assert!(spec.subscriptions.iter().all(is_to_node), "{:?}", spec.subscriptions);
        let stored = self.mirror.bd_seqs().find(|(known, _)| *known == key).map(|(_, next)| next);
        assert_eq!(stored, Some(spec.bd_seq.wrapping_add(1)), "what is on disk before {key} opens");
        // One that didn't reach the broker may be used again.
        if self.broker_up {
            let before = self.bd_seqs.insert(key.clone(), spec.bd_seq);
            assert_ne!(before, Some(spec.bd_seq), "{key}: the same bdSeq in two sessions in a row");
        }
        assert!(self.sessions.insert(node, spec).is_none(), "two sessions of {key}");
    }

    fn check(&mut self) {
        assert_eq!(self.mirror.check_account(), Ok(()), "{:?}", self.mirror.ledger());
        assert!(self.mirror.node_counts().1 <= self.settings.max_nodes);
        // What isn't allowed any more goes by new births, with a rebirth that is due anyhow.
        let settled = self.reloaded_at + self.settings.rebirth_min_interval + LONGEST_STEP;
        if self.policy == NONE || self.now.mono <= settled {
            return;
        }
        for node in NODES.map(|node| format!("G/{node}")) {
            for device in [""].into_iter().chain(DEVICES) {
                let names = self.host.metrics_of(&node, device).filter(|_| !self.swallows);
                let crosses = names.is_some_and(|names| names.contains("denied"));
                assert!(!crosses, "{node}/{device} shows what the policy denies");
            }
        }
    }
}

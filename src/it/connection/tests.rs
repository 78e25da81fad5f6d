//! Sessions against a fake broker over loopback TCP.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use broker::{Addresses, Next, Order, Servers};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::*;

/// Publications that rumqttc sends ahead of their acknowledgement.
const WINDOW: usize = 100;
/// Nothing in these tests takes as long: then something hangs.
const HANGS: Duration = Duration::from_secs(20);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// What the fake broker answers.
#[derive(Clone, Copy)]
struct Answers {
    subscribe: bool,
    unsubscribe: bool,
    publish: bool,
}

const ALL: Answers = Answers { subscribe: true, unsubscribe: true, publish: true };

/// A fake broker, and one session with it.
struct Pair {
    broker: JoinHandle<Vec<String>>,
    sessions: Sessions,
    events: UnboundedReceiver<DriverEvent>,
    runtime: tokio::runtime::Runtime,
}

const ID: NodeId = NodeId(0);

impl Pair {
    fn new(answers: Answers, hold_acks: usize, limits: Limits) -> Pair {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let broker = std::thread::spawn(move || serve(&listener, answers, hold_acks));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (sender, events) = tokio::sync::mpsc::unbounded_channel();
        let addresses = vec![(std::net::Ipv4Addr::LOCALHOST, port).into()];
        let server = |addresses| Server {
            host: "127.0.0.1".into(),
            port,
            addresses: Arc::new(Addresses::fixed(addresses)),
            tls: None,
        };
        let servers = Servers::new(server(addresses), vec![server(Vec::new())], Order::InOrder);
        let settings = BrokerSettings {
            servers: Arc::new(servers),
            client_id: "relay".into(),
            client_id_form: broker::ClientIdForm::Readable,
            credentials: None,
            keep_alive: Duration::from_secs(5),
            connect_within: Duration::from_secs(30),
            answer_within: Duration::from_secs(30),
            max_packet_bytes: 1 << 20,
            protocol: broker::Protocol::Three,
            five: broker::FiveSettings::default(),
            publishes_per_s: None,
            return_after: None,
        };
        let mut sessions = Sessions::new(settings, None, runtime.handle().clone(), sender);
        sessions.limits = limits;
        let spec = SessionSpec {
            group: "g".into(),
            edge_node: "e".into(),
            will_topic: "spBv1.0/g/NDEATH/e".into(),
            will_payload: vec![1],
            bd_seq: 0,
            birth_bytes: 0,
            subscriptions: vec!["a".into(), "b".into()],
        };
        sessions.open(ID, spec);
        Pair { broker, sessions, events, runtime }
    }

    fn next(&mut self) -> SessionEvent {
        loop {
            match self.next_within(HANGS).expect("an event") {
                DriverEvent::Session { event, .. } => return event,
                _ => continue,
            }
        }
    }

    fn next_within(&mut self, limit: Duration) -> Option<DriverEvent> {
        let events = &mut self.events;
        self.runtime.block_on(async { timeout(limit, events.recv()).await.ok().flatten() })
    }

    fn publish(&mut self, kind: &str, bytes: usize, qos: Qos) {
        self.sessions.publish(ID, format!("spBv1.0/g/{kind}/e").into(), vec![0; bytes], qos);
    }

    fn publish_and_close(&mut self, publications: usize, data_qos: Qos) -> SessionEvent {
        assert_eq!(self.next(), SessionEvent::Ready);
        for _ in 0..publications {
            self.publish("NDATA", 50, data_qos);
        }
        self.publish("NDEATH", 10, Qos::AtLeastOnce);
        self.sessions.close(ID);
        self.next()
    }

    /// What the broker saw, up to the end of the connection.
    fn seen(self) -> Vec<String> {
        self.broker.join().unwrap()
    }
}

/// Topics and control packets of one connection in order. The first `hold_acks` PUBACKs are
/// held back until that many publications came.
fn serve(listener: &TcpListener, answers: Answers, hold_acks: usize) -> Vec<String> {
    let (mut stream, _) = listener.accept().unwrap();
    let mut seen = Vec::new();
    let mut held = Vec::new();
    let mut publications = 0;
    while let Some((first, body)) = packet(&mut stream) {
        let answer = match first >> 4 {
            1 => vec![0x20, 2, 0, 0],
            8 if answers.subscribe => vec![0x90, 4, body[0], body[1], 1, 1],
            10 if answers.unsubscribe => vec![0xb0, 2, body[0], body[1]],
            12 => vec![0xd0, 0],
            3 => {
                let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                seen.push(String::from_utf8_lossy(&body[2..end]).into_owned());
                publications += 1;
                if first & 6 != 0 && answers.publish {
                    held.extend([0x40, 2, body[end], body[end + 1]]);
                }
                if publications < hold_acks { vec![] } else { std::mem::take(&mut held) }
            }
            14 => {
                seen.push("DISCONNECT".into());
                break;
            }
            _ => vec![],
        };
        let _ = stream.write_all(&answer);
    }
    seen
}

/// First byte and body; `None` at the end of the connection.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut one = [0_u8; 1];
    stream.read_exact(&mut one).ok()?;
    let first = one[0];
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        stream.read_exact(&mut one).ok()?;
        length |= usize::from(one[0] & 0x7f) << shift;
        shift += 7;
        if one[0] & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

#[test]
fn a_disconnect_follows_the_ndeath_though_the_in_flight_window_is_full() {
    let mut pair = Pair::new(ALL, WINDOW, Limits::of(1 << 20, ANSWER_WITHIN));
    assert_eq!(pair.publish_and_close(5 * WINDOW, Qos::AtLeastOnce), SessionEvent::Closed);
    let seen = pair.seen();
    assert_eq!(seen.len(), 5 * WINDOW + 2);
    assert_eq!(seen[5 * WINDOW..], ["spBv1.0/g/NDEATH/e", "DISCONNECT"]);
}

#[test]
fn a_disconnect_follows_the_ndeath_behind_data_at_qos_0() {
    let mut pair = Pair::new(ALL, 0, Limits::of(1 << 20, ANSWER_WITHIN));
    assert_eq!(pair.publish_and_close(5_000, Qos::AtMostOnce), SessionEvent::Closed);
    let seen = pair.seen();
    assert_eq!(seen.len(), 5_002);
    assert_eq!(seen[5_000..], ["spBv1.0/g/NDEATH/e", "DISCONNECT"]);
}

#[test]
fn a_session_whose_ndeath_is_never_acknowledged_is_lost_and_its_will_fires() {
    let limits =
        Limits { close_within: Duration::from_millis(100), ..Limits::of(1 << 20, ANSWER_WITHIN) };
    for data_qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut pair = Pair::new(Answers { publish: false, ..ALL }, 0, limits);
        let end = pair.publish_and_close(2 * WINDOW, data_qos);
        assert_eq!(end, SessionEvent::Lost { connect_sent: true });
        assert_eq!(pair.sessions.queued_bytes(), 0, "what is dropped isn't queued");
        assert!(!pair.seen().contains(&"DISCONNECT".to_owned()), "it would cancel the will");
    }
}

#[test]
fn a_session_whose_queue_is_full_is_lost_before_it_stops_the_others() {
    let limits = Limits { session_bytes: 100_000, ..Limits::of(1 << 20, ANSWER_WITHIN) };
    let mut pair = Pair::new(Answers { publish: false, ..ALL }, 0, limits);
    assert_eq!(pair.next(), SessionEvent::Ready);
    for _ in 0..WINDOW + 101 {
        pair.publish("NDATA", 1_000, Qos::AtLeastOnce);
    }
    // What the window takes leaves the queue; it may take it after the last publication.
    for _ in 0..WINDOW {
        pair.publish("NDATA", 1_000, Qos::AtLeastOnce);
    }
    assert_eq!(pair.next(), SessionEvent::Lost { connect_sent: true });
    pair.publish("NDATA", 1_000, Qos::AtLeastOnce);
    assert_eq!(pair.sessions.queued_bytes(), 0);
}

#[test]
fn a_broker_that_never_answers_a_subscription_loses_the_session() {
    let limits = Limits::of(1 << 20, Duration::from_secs(1));
    let mut pair = Pair::new(Answers { subscribe: false, ..ALL }, 0, limits);
    assert_eq!(pair.next(), SessionEvent::Lost { connect_sent: true });
}

#[test]
fn a_broker_that_never_answers_a_barrier_loses_the_session() {
    let limits = Limits::of(1 << 20, Duration::from_secs(1));
    for data_qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let silent = Answers { unsubscribe: false, publish: false, ..ALL };
        let mut pair = Pair::new(silent, 0, limits);
        assert_eq!(pair.next(), SessionEvent::Ready);
        pair.publish("NDATA", 10, data_qos);
        pair.sessions.barrier(ID, data_qos);
        assert_eq!(pair.next(), SessionEvent::Lost { connect_sent: true });
    }
}

#[test]
fn a_barrier_is_answered_and_a_broker_that_owes_nothing_may_be_silent() {
    let limits = Limits::of(1 << 20, Duration::from_secs(1));
    for data_qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut pair = Pair::new(ALL, 0, limits);
        assert_eq!(pair.next(), SessionEvent::Ready);
        pair.publish("NDATA", 10, data_qos);
        pair.sessions.barrier(ID, data_qos);
        assert_eq!(pair.next(), SessionEvent::Confirmed);
        let silence = pair.next_within(Duration::from_millis(1_500));
        assert!(silence.is_none(), "{silence:?}");
    }
}

/// Another server is used from now on.
fn go_on(pair: &mut Pair) {
    let servers = Arc::clone(&pair.sessions.broker.servers);
    assert!(matches!(servers.failed(servers.in_use().stay), Next::Other { .. }));
    pair.sessions.leave_server();
}

#[test]
fn a_session_with_a_server_that_is_left_ends_with_its_ndeath_and_nothing_behind_it() {
    let mut pair = Pair::new(ALL, 0, Limits::of(1 << 20, ANSWER_WITHIN));
    assert_eq!(pair.next(), SessionEvent::Ready);
    pair.publish("NDATA", 10, Qos::AtMostOnce);
    pair.sessions.leave_server();
    assert!(!pair.sessions.has_left(ID), "the server is the same");
    go_on(&mut pair);
    assert!(pair.sessions.has_left(ID));
    // What is published behind it is read again from the journal, and no barrier says otherwise.
    pair.publish("NDATA", 10, Qos::AtMostOnce);
    pair.sessions.barrier(ID, Qos::AtMostOnce);
    assert_eq!(pair.next(), SessionEvent::Lost { connect_sent: true });
    assert_eq!(pair.sessions.queued_bytes(), 0);
    assert_eq!(pair.seen(), ["spBv1.0/g/NDATA/e", "spBv1.0/g/NDEATH/e", "DISCONNECT"]);
}

#[test]
fn a_session_that_does_not_stand_yet_when_its_server_is_left_is_given_up() {
    let mut pair =
        Pair::new(Answers { subscribe: false, ..ALL }, 0, Limits::of(1 << 20, ANSWER_WITHIN));
    // Once the broker has said something: what comes next is the SUBACK.
    let traffic = Arc::clone(&pair.sessions.live[&ID].shared.traffic);
    let begun = clock::steady();
    while traffic.heard() == 0 {
        assert!(begun.elapsed() < HANGS, "no CONNACK");
        std::thread::yield_now();
    }
    go_on(&mut pair);
    assert_eq!(pair.next(), SessionEvent::Lost { connect_sent: true });
    assert!(!pair.seen().contains(&"DISCONNECT".to_owned()), "its will has to fire");
}

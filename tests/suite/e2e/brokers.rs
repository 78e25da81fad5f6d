//! Brokers that refuse, that end connections, or that don't answer: what is told of them, and that the
//! relay goes on.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::Signal;
use telemetry::Event;

use super::tls::settings;
use crate::broker::Broker;
use crate::metrics::{int, string};
use crate::packet::{Packet, decode, encode};
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, Link, Relay};
use crate::waiting::wait_until;
use crate::wire::Proxy;

/// One connection to a broker of this file.
pub(super) struct Connection {
    stream: TcpStream,
    pending: Vec<u8>,
    /// How many there were before it.
    number: usize,
}

impl Connection {
    /// `None`: the connection is over.
    pub(super) fn read(&mut self) -> Option<Packet> {
        loop {
            if let Some((packet, bytes)) = decode(&self.pending).ok()? {
                self.pending.drain(..bytes);
                return Some(packet);
            }
            let mut chunk = [0; 4_096];
            match self.stream.read(&mut chunk) {
                Ok(count) if count > 0 => self.pending.extend_from_slice(&chunk[..count]),
                _ => return None,
            }
        }
    }

    pub(super) fn send(&mut self, packet: &Packet) {
        self.raw(&encode(packet));
    }

    /// Sends any bytes.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Takes the CONNECT, which is answered by `code`.
    pub(super) fn connack(&mut self, code: u8) -> Option<()> {
        self.read()?;
        self.send(&Packet::ConnAck { session_present: false, code });
        (code == 0).then_some(())
    }

    /// Answers as a broker does that takes everything, until `ends` says of a packet that it doesn't.
    pub(super) fn ordinary(&mut self, ends: impl Fn(&Packet) -> bool) -> Option<()> {
        loop {
            let packet = self.read()?;
            if ends(&packet) {
                return None;
            }
            match packet {
                Packet::Subscribe { id, filters } => {
                    self.send(&Packet::SubAck { id, codes: vec![1; filters.len()] });
                }
                Packet::Unsubscribe { id, .. } => self.send(&Packet::UnsubAck(id)),
                Packet::Publish(publish) => {
                    if let Some(id) = publish.id {
                        self.send(&Packet::PubAck(id));
                    }
                }
                Packet::PingReq => self.send(&Packet::PingResp),
                Packet::Disconnect => return None,
                _ => {}
            }
        }
    }
}

/// A broker that hands each connection to `serve`, whose end is its end. It runs until the tests end.
pub(super) fn broker(
    serve: impl Fn(&mut Connection) -> Option<()> + Send + Sync + 'static,
) -> SocketAddr {
    broker_at((Ipv4Addr::LOCALHOST, 0).into(), serve)
}

/// The same at this address.
pub(super) fn broker_at(
    address: SocketAddr,
    serve: impl Fn(&mut Connection) -> Option<()> + Send + Sync + 'static,
) -> SocketAddr {
    accept(address, move |stream, number| {
        serve(&mut Connection { stream, pending: Vec::new(), number })
    })
}

/// Hands each connection, with its number from 0, to `serve`, whose end is its end. It runs until the tests end.
pub(super) fn accept(
    address: SocketAddr,
    serve: impl Fn(TcpStream, usize) -> Option<()> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (Ok(stream), serve) = (stream, Arc::clone(&serve)) else { return };
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let _ = serve(stream, number);
            });
        }
    });
    address
}

pub(super) fn any(_: &Packet) -> bool {
    false
}

/// An OT half at this broker.
fn ot(address: SocketAddr, keys: &str) -> Relay {
    let mut settings = settings(Link::Plain(address), Link::Plain(address));
    settings.ot_broker = keys.to_owned();
    let mut relay = Relay::new(&settings);
    relay.start(Half::Ot);
    relay
}

#[test]
fn a_broker_that_asks_to_come_back_and_takes_only_short_identifiers_is_served() {
    let address = broker(|connection| {
        if connection.number == 0 {
            return connection.connack(3);
        }
        let Some(Packet::Connect(connect)) = connection.read() else { return None };
        let id = connect.client_id;
        let fits = id.len() <= 23 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let code = if fits { 0 } else { 2 };
        connection.send(&Packet::ConnAck { session_present: false, code });
        if fits { connection.ordinary(any) } else { None }
    });
    let relay = ot(address, "");
    relay.wait_for_event(Half::Ot, Event::BrokerDownForNow, &["server unavailable"]);
    relay.wait_for_event(Half::Ot, Event::LoginRefused, &["identifier rejected"]);
    relay.wait_for_event(Half::Ot, Event::ClientIdShort, &["client_id=sd"]);
    relay.wait_for_event(Half::Ot, Event::BrokerUp, &["broker=127.0.0.1:"]);
}

#[test]
fn what_a_broker_refused_is_asked_for_again_on_sighup() {
    let grants = Arc::new(AtomicBool::new(false));
    let granted = Arc::clone(&grants);
    let address = broker(move |connection| {
        connection.connack(0)?;
        loop {
            if let Packet::Subscribe { id, filters } = connection.read()? {
                let code = if granted.load(Ordering::SeqCst) { 1 } else { 0x80 };
                connection.send(&Packet::SubAck { id, codes: vec![code; filters.len()] });
            }
        }
    });
    let mut relay = ot(address, "");
    relay.wait_for_event(Half::Ot, Event::SubscriptionRefused, &["filters=", "spBv1.0/"]);
    grants.store(true, Ordering::SeqCst);
    relay.signal(Half::Ot, Signal::HUP);
    relay.wait_for_event(Half::Ot, Event::SubscriptionGranted, &["filters=", "spBv1.0/"]);
}

#[test]
fn a_broker_that_grants_less_than_was_asked_for_is_named_and_health_says_so() {
    let address = broker(|connection| {
        connection.connack(0)?;
        loop {
            match connection.read()? {
                Packet::Subscribe { id, filters } => {
                    connection.send(&Packet::SubAck { id, codes: vec![0; filters.len()] });
                }
                Packet::PingReq => connection.send(&Packet::PingResp),
                _ => {}
            }
        }
    });
    let relay = ot(address, "");
    relay.wait_for_event(Half::Ot, Event::SubscriptionWeaker, &["filters=", "spBv1.0/"]);
}

#[test]
fn a_broker_that_never_answers_a_subscription_is_told_and_left() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = broker(move |connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        connection.connack(0)?;
        let mut subscribes = 0;
        loop {
            match connection.read()? {
                Packet::PingReq => connection.send(&Packet::PingResp),
                Packet::Subscribe { .. } => {
                    subscribes += 1;
                    assert_eq!(subscribes, 1, "one request on a connection");
                }
                _ => {}
            }
        }
    });
    let relay = ot(address, "answer-timeout-s = 5\n");
    let words = ["seconds=5", "key=broker.answer-timeout-s"];
    relay.wait_for_event(Half::Ot, Event::SubscriptionUnanswered, &words);
    relay.wait_for_event(Half::Ot, Event::BrokerDown, &["answer-timeout-s"]);
    crate::waiting::wait_until("another connection", || connections.load(Ordering::SeqCst) > 1);
}

#[test]
fn a_broker_that_ends_the_connection_at_the_stored_births_is_served_without_them() {
    let address = broker(|connection| {
        connection.connack(0)?;
        let stored = |filter: &(String, u8)| filter.0.starts_with('$');
        connection.ordinary(|packet| match packet {
            Packet::Subscribe { filters, .. } => filters.iter().any(stored),
            _ => false,
        })
    });
    let relay = ot(address, "");
    relay.wait_for_event(Half::Ot, Event::StoredBirthsRefused, &["2 connections in a row"]);
}

#[test]
fn sessions_that_another_client_takes_over_are_told_as_that() {
    let address = broker(|connection| {
        connection.connack(0)?;
        let pings = |packet: &Packet| matches!(packet, Packet::PingReq);
        // Both subscriptions are answered.
        let answered = AtomicUsize::new(0);
        connection.ordinary(|packet| {
            let subscribes = matches!(packet, Packet::Subscribe { .. });
            (subscribes && answered.fetch_add(1, Ordering::SeqCst) == 2) || pings(packet)
        })
    });
    let relay = ot(address, "keep-alive-s = 5\n");
    let words = ["client_id=sparkdiode-ot-relay", "times=3"];
    relay.wait_for_event(Half::Ot, Event::SessionTakenOver, &words);
}

/// A relay with two edge nodes in the plant, and its own on IT, at this enterprise broker.
pub(super) fn it(address: SocketAddr) -> Option<(Relay, (Broker, Proxy), [RawEdge; 2])> {
    let plant = Broker::plain()?;
    let proxy = Proxy::start(plant.address);
    let mut relay = Relay::new(&settings(Link::Plain(proxy.address), Link::Plain(address)));
    relay.start(Half::Ot);
    relay.start(Half::It);
    // A birth before the broker grants the policy's filters would be heard by nobody.
    wait_until("the OT half has subscribed", || proxy.subscriptions() > 0);
    let edges = ["Small", "Large"].map(|node| {
        let mut edge = RawEdge::connect(plant.address, "Plant", node);
        edge.nbirth(&[int("count", 1), string("text", &node.repeat(1_000))]).unwrap();
        edge
    });
    Some((relay, (plant, proxy), edges))
}

#[test]
fn a_session_that_ends_at_its_births_is_told_with_their_size() {
    let address = broker(|connection| {
        connection.connack(0)?;
        connection.ordinary(|packet| match packet {
            Packet::Publish(publish) => publish.topic == "spBv1.0/Plant/NBIRTH/Large",
            _ => false,
        })
    });
    let Some((relay, _plant, _edges)) = it(address) else { return };
    let words = ["node=Plant/Large", "bytes=", "times=2"];
    relay.wait_for_event(Half::It, Event::BirthEndsSession, &words);
    relay.wait_for_event(Half::It, Event::NodeBorn, &["node=Plant/Small"]);
    assert!(!relay.log(Half::It).contains("SESSION_LOST session lost node=Plant/Small"));
}

#[test]
fn a_broker_that_gives_all_sessions_one_identifier_is_told_in_one_event() {
    let last: Mutex<Option<TcpStream>> = Mutex::new(None);
    let address = broker(move |connection| {
        connection.read()?;
        let ours = connection.stream.try_clone().unwrap();
        if let Some(earlier) = last.lock().unwrap().replace(ours) {
            let _ = earlier.shutdown(std::net::Shutdown::Both);
        }
        connection.send(&Packet::ConnAck { session_present: false, code: 0 });
        connection.ordinary(any)
    });
    let Some((relay, _plant, _edges)) = it(address) else { return };
    relay.wait_for_event(Half::It, Event::SessionsExclude, &["broker=127.0.0.1:"]);
}

#[test]
fn a_broker_that_allows_fewer_sessions_than_there_are_nodes_is_told_with_their_numbers() {
    let standing = AtomicUsize::new(0);
    let address = broker(move |connection| {
        if standing.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ended = connection.connack(0).and_then(|()| connection.ordinary(any));
        }
        standing.fetch_sub(1, Ordering::SeqCst);
        None
    });
    let Some((relay, _plant, _edges)) = it(address) else { return };
    relay.wait_for_event(Half::It, Event::SessionsLimited, &["standing=1", "missing=1"]);
}

#[test]
fn command_filters_that_the_it_broker_refused_are_asked_for_again_on_sighup() {
    let grants = Arc::new(AtomicBool::new(false));
    let granted = Arc::clone(&grants);
    let address = broker(move |connection| {
        connection.connack(0)?;
        loop {
            match connection.read()? {
                Packet::Subscribe { id, filters } => {
                    let all = granted.load(Ordering::SeqCst);
                    let code = |(filter, _): &(String, u8)| {
                        if all || filter.contains("NCMD") { 1 } else { 0x80 }
                    };
                    let codes: Vec<u8> = filters.iter().map(code).collect();
                    connection.send(&Packet::SubAck { id, codes });
                }
                Packet::Unsubscribe { id, .. } => connection.send(&Packet::UnsubAck(id)),
                Packet::PingReq => connection.send(&Packet::PingResp),
                _ => {}
            }
        }
    });
    let Some((mut relay, _plant, _edges)) = it(address) else { return };
    let words = ["filters=spBv1.0/Plant/DCMD/Large/+"];
    relay.wait_for_event(Half::It, Event::SubscriptionRefused, &words);
    grants.store(true, Ordering::SeqCst);
    relay.signal(Half::It, Signal::HUP);
    relay.wait_for_event(Half::It, Event::SubscriptionGranted, &words);
    // The session that stood is the one that was asked again.
    assert!(!relay.log(Half::It).contains("SESSION_LOST"));
}

#[test]
fn a_broker_that_answers_no_unsubscribe_is_asked_for_confirmations_in_another_way() {
    let barriers = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&barriers);
    let address = broker(move |connection| {
        connection.connack(0)?;
        loop {
            match connection.read()? {
                Packet::Subscribe { id, filters } => {
                    let is_barrier = filters.iter().any(|(name, _)| name == "sparkdiode/barrier");
                    counted.fetch_add(is_barrier.into(), Ordering::SeqCst);
                    connection.send(&Packet::SubAck { id, codes: vec![1; filters.len()] });
                }
                Packet::PingReq => connection.send(&Packet::PingResp),
                _ => {}
            }
        }
    });
    let Some((relay, _plant, mut edges)) = it(address) else { return };
    for node in ["Small", "Large"] {
        relay.wait_for_event(Half::It, Event::NodeBorn, &[&format!("node=Plant/{node}")]);
    }
    crate::waiting::wait_until("both are confirmed, and what comes later too", || {
        for edge in &mut edges {
            edge.ndata(&[crate::metrics::untyped(int("count", 2))]).unwrap();
        }
        barriers.load(Ordering::SeqCst) > 4
    });
    assert!(!relay.log(Half::It).contains("SESSION_LOST"));
}

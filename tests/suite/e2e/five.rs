//! MQTT 5: what a broker says by it, and that the relay keeps to it. What both protocols have is tested over
//! both: `SPARKDIODE_TEST_PROTOCOL=5` runs every test with a rig over this one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use telemetry::Event;

use super::brokers::accept;
use super::tls::settings;
use crate::broker::Broker;
use crate::metrics::{int, untyped};
use crate::packet::{Decoder, Packet};
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, Link, Relay, Settings};
use crate::waiting::wait_until;
use crate::wire::Proxy;

/// One connection to a broker of this file.
struct Connection {
    stream: TcpStream,
    decoder: Decoder,
    pending: Vec<u8>,
    /// How many there were before it.
    number: usize,
}

impl Connection {
    /// A packet, and the bytes that it was; `None`: the connection is over.
    fn read(&mut self) -> Option<(Packet, Vec<u8>)> {
        loop {
            if let Some((packet, bytes)) = self.decoder.decode(&self.pending).unwrap() {
                return Some((packet, self.pending.drain(..bytes).collect()));
            }
            let mut chunk = [0; 4_096];
            match self.stream.read(&mut chunk) {
                Ok(count) if count > 0 => self.pending.extend_from_slice(&chunk[..count]),
                _ => return None,
            }
        }
    }

    /// A packet of less than 128 bytes.
    fn send(&mut self, first: u8, parts: &[&[u8]]) {
        let body = parts.concat();
        let length = u8::try_from(body.len()).unwrap();
        let _ = self.stream.write_all(&[&[first, length][..], &body].concat());
    }

    /// Takes the CONNECT, and answers with these properties.
    fn connack(&mut self, code: u8, properties: &[u8]) -> Option<()> {
        let (Packet::Connect(connect), _) = self.read()? else { panic!("no CONNECT") };
        assert_eq!(connect.level.0, 5);
        self.send(0x20, &[&[0, code, u8::try_from(properties.len()).unwrap()], properties]);
        (code == 0).then_some(())
    }
}

/// The property Reason String.
fn reason(text: &str) -> Vec<u8> {
    [&[0x1f, 0, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// A broker that hands each connection to `serve`, whose end is its end. It runs until the tests end.
fn broker(serve: impl Fn(&mut Connection) -> Option<()> + Send + Sync + 'static) -> SocketAddr {
    accept((Ipv4Addr::LOCALHOST, 0).into(), move |stream, number| {
        let (decoder, pending) = (Decoder::default(), Vec::new());
        serve(&mut Connection { stream, decoder, pending, number })
    })
}

/// Both halves in MQTT 5.
fn in_five(ot: SocketAddr, it: SocketAddr) -> Settings {
    let protocol = "protocol = \"5\"\n".to_owned();
    let (ot_broker, it_broker) = (protocol.clone(), protocol);
    Settings { ot_broker, it_broker, ..settings(Link::Plain(ot), Link::Plain(it)) }
}

fn nowhere() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 9).into()
}

/// An OT half in MQTT 5 at this broker.
fn ot_half(address: SocketAddr) -> Relay {
    let mut relay = Relay::new(&in_five(address, nowhere()));
    relay.start(Half::Ot);
    relay
}

#[test]
fn a_broker_that_does_not_speak_mqtt_5_is_told_as_that() {
    let refuses = broker(|connection| {
        connection.read()?;
        connection.send(0x20, &[&[0, 1]]);
        None
    });
    let relay = ot_half(refuses);
    let line = relay.wait_for_event(Half::Ot, Event::LoginRefused, &["CONNACK 1)"]);
    assert!(line.contains("it doesn't speak MQTT 5 (`protocol = "), "{line}");
    assert!(line.contains("3.1.1"), "{line}");
    let closes = broker(|connection| connection.read().and(None));
    let relay = ot_half(closes);
    relay.wait_for_event(Half::Ot, Event::BrokerDown, &["a broker that doesn't speak MQTT 5"]);
    // And one that takes it for MQTT 3.1.1.
    let older = broker(|connection| {
        connection.read()?;
        connection.send(0x20, &[&[0, 0]]);
        connection.read().and(None)
    });
    let relay = ot_half(older);
    relay.wait_for_event(Half::Ot, Event::BrokerDown, &["in MQTT 3.1.1", "without properties"]);
}

#[test]
fn whatever_a_broker_refuses_is_told_with_its_code_and_its_words() {
    let address = broker(|connection| match connection.number {
        0 => connection.connack(0x88, &reason("maintenance")),
        1 => {
            connection.connack(0, &[])?;
            let (Packet::Subscribe { id, filters }, _) = connection.read()? else { return None };
            let text = reason("ask Ann");
            let length = u8::try_from(text.len()).unwrap();
            connection
                .send(0x90, &[&id.to_be_bytes(), &[length], &text, &vec![0x87; filters.len()]]);
            // The stored births come next; then it has enough.
            connection.read()?;
            let text = reason("at six");
            connection.send(0xe0, &[&[0x8b, u8::try_from(text.len()).unwrap()], &text]);
            connection.read().and(None)
        }
        _ => None,
    });
    let relay = ot_half(address);
    for (event, words) in [
        (Event::BrokerDownForNow, ["CONNACK 0x88): server unavailable", "maintenance"]),
        (Event::SubscriptionRefused, ["SUBACK 0x87: not authorised", "ask Ann"]),
        (Event::BrokerDown, ["0x8b: it is shutting down", "at six"]),
    ] {
        relay.wait_for_event(Half::Ot, event, &words);
    }
}

#[test]
fn the_relay_keeps_to_what_the_broker_says_beforehand() {
    let seen: Arc<Mutex<Vec<Packet>>> = Arc::default();
    let told = Arc::clone(&seen);
    // A keep alive of a second, a session of a minute, and no wildcards.
    let address = broker(move |connection| {
        connection.connack(0, &[0x13, 0, 1, 0x11, 0, 0, 0, 60, 0x28, 0])?;
        loop {
            let (packet, _) = connection.read()?;
            if packet == Packet::PingReq {
                connection.send(0xd0, &[]);
            }
            told.lock().unwrap().push(packet);
        }
    });
    let relay = ot_half(address);
    let said = ["a keep alive of 1 s", "a session kept for 60 s", "no wildcards in topic filters"];
    relay.wait_for_event(Half::Ot, Event::BrokerUp, &said);
    relay.wait_for_event(Half::Ot, Event::SubscriptionRefused, &["no wildcards", "spBv1.0/"]);
    wait_until("the keep alive is the broker's", || {
        seen.lock().unwrap().iter().filter(|packet| **packet == Packet::PingReq).count() >= 2
    });
    let asked = seen.lock().unwrap().iter().any(|packet| *packet != Packet::PingReq);
    assert!(!asked, "{:?}", seen.lock().unwrap());
}

/// An IT broker that answers publications at QoS 1 with this code, and offers so many aliases.
fn enterprise(
    code: u8,
    aliases: u8,
    seen: impl Fn(&Packet, &[u8]) + Send + Sync + 'static,
) -> SocketAddr {
    broker(move |connection| {
        connection.connack(0, &[0x22, 0, aliases])?;
        loop {
            let (packet, bytes) = connection.read()?;
            seen(&packet, &bytes);
            match packet {
                Packet::Subscribe { id, filters } => {
                    connection.send(0x90, &[&id.to_be_bytes(), &[0], &vec![1; filters.len()]]);
                }
                Packet::Unsubscribe { id, .. } => {
                    connection.send(0xb0, &[&id.to_be_bytes(), &[0, 0x11]]);
                }
                Packet::Publish(publish) => {
                    if let Some(id) = publish.id {
                        connection.send(0x40, &[&id.to_be_bytes(), &[code]]);
                    }
                }
                Packet::PingReq => connection.send(0xd0, &[]),
                Packet::Disconnect => return None,
                _ => {}
            }
        }
    })
}

/// Both halves between a plant and this IT broker; the OT half has its subscriptions.
fn between(plant: &Broker, it: SocketAddr, mirror: &str) -> Relay {
    let proxy = Proxy::start(plant.address);
    let mirror = mirror.to_owned();
    let mut relay = Relay::new(&Settings { mirror, ..in_five(proxy.address, it) });
    relay.start(Half::Ot);
    relay.start(Half::It);
    wait_until("the OT half has subscribed", || proxy.subscriptions() > 0);
    // The session goes on with the relay, which goes through it.
    std::mem::forget(proxy);
    relay
}

#[test]
fn a_publication_that_the_broker_refuses_is_told() {
    let Some(plant) = Broker::plain() else { return };
    let address = enterprise(0x97, 0, |_, _| {});
    let relay = between(&plant, address, "data-qos = 1\n");
    let mut edge = RawEdge::connect(plant.address, "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    let words = ["PUBACK 0x97: quota exceeded", "node=Plant/E"];
    relay.wait_for_event(Half::It, Event::PublicationRefused, &words);
}

#[test]
fn topics_of_data_go_as_numbers_where_the_broker_offers_them() {
    let Some(plant) = Broker::plain() else { return };
    let topics: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
    let seen = Arc::clone(&topics);
    let address = enterprise(0, 1, move |packet, bytes| {
        let Packet::Publish(publish) = packet else { return };
        let has_name = bytes.windows(7).any(|part| part == b"spBv1.0");
        seen.lock().unwrap().push((publish.topic.clone(), has_name));
    });
    let of = |verb: &str| -> Vec<bool> {
        let topics = topics.lock().unwrap();
        let ours = topics.iter().filter(|(topic, _)| topic.split('/').nth(2) == Some(verb));
        ours.map(|(_, has_name)| *has_name).collect()
    };
    let mut relay = between(&plant, address, "");
    let mut edge = RawEdge::connect(plant.address, "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    wait_until("the node is born on IT", || of("NBIRTH").len() == 1);
    for value in 2..6 {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
        wait_until("it is on IT", || of("NDATA").len() + 1 == usize::try_from(value).unwrap());
    }
    relay.wait_for_event(Half::It, Event::BrokerUp, &["offers=\"1 topic aliases\""]);
    assert_eq!(of("NDATA"), [true, false, false, false], "the name goes once, with its number");
    assert!(relay.terminate(Half::It).success());
    assert_eq!((of("NBIRTH"), of("NDEATH")), (vec![true], vec![true]));
}

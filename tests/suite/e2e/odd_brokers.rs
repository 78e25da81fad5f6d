//! Brokers that send what MQTT doesn't allow: one such packet doesn't end the session, which would get it
//! again with the next one; the rest flows on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use prost::Message;
use sparkplug::{DataType, Payload, Value};
use telemetry::Event;

use super::brokers::{broker, it};
use super::tls::settings;
use crate::broker::Broker;
use crate::metrics::{int, metric};
use crate::packet::{Packet, encode};
use crate::relay::{Half, Link, Relay};
use crate::waiting::wait_until;

/// A PUBLISH as bytes, whatever it has.
fn publish(first: u8, topic: &[u8], behind: &[u8]) -> Vec<u8> {
    let (mut bytes, mut length) = (vec![first], 2 + topic.len() + behind.len());
    while length > 0x7f {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend((topic.len() as u16).to_be_bytes());
    [&bytes, topic, behind].concat()
}

/// Impossible topics, as bytes.
const IMPOSSIBLE: [&[u8]; 6] = [
    b"",
    b"spBv1.0/Plant/NDATA/+",
    b"spBv1.0/Plant/NDATA/#",
    b"spBv1.0/Plant/NDATA/E\0",
    b"spBv1.0/Plant/NDATA/\xff\xfe",
    b"\xed\xa0\x80",
];

fn birth() -> Vec<u8> {
    let metrics = vec![metric("bdSeq", DataType::Int64, Value::Long(0)), int("count", 7)];
    let timestamp = Some(crate::waiting::now_ms());
    Payload { timestamp, metrics, seq: Some(0), ..Payload::default() }.encode_to_vec()
}

#[test]
fn messages_that_mqtt_does_not_allow_are_acknowledged_and_counted_and_the_plant_flows_on() {
    let Some(enterprise) = Broker::plain() else { return };
    let answers: Arc<Mutex<Vec<u16>>> = Arc::default();
    let (heard, connections) = (Arc::clone(&answers), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    let address = broker(move |connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        connection.connack(0)?;
        let mut asked = 0;
        loop {
            match connection.read()? {
                Packet::Subscribe { id, filters } => {
                    connection.send(&Packet::SubAck { id, codes: vec![1; filters.len()] });
                    asked += 1;
                    if asked != 1 {
                        continue;
                    }
                    for (number, topic) in (1..).zip(IMPOSSIBLE) {
                        let id: [u8; 2] = u16::to_be_bytes(number);
                        connection.raw(&publish(0x32, topic, &[&id, &b"x"[..]].concat()));
                        connection.raw(&publish(0x33, topic, &[0, 100 + id[1]]));
                        connection.raw(&publish(0x30, topic, b"no answer"));
                    }
                    // Larger than is taken, too; packets that end within their head; at QoS 0 again;
                    // without an identifier.
                    connection.raw(&publish(0x32, b"a/+", &[&[0, 50][..], &[1; 16_380]].concat()));
                    connection.raw(&[0x30, 3, 0, 9, b't']);
                    connection.raw(&[0x32, 3, 0, 1, b't']);
                    let node = |kind: &str, node: &str| format!("spBv1.0/Plant/{kind}/{node}");
                    connection.raw(&publish(0x38, node("NBIRTH", "Again").as_bytes(), &birth()));
                    let unnumbered = [&[0, 0], &birth()[..]].concat();
                    connection.raw(&publish(0x32, node("NBIRTH", "Zero").as_bytes(), &unnumbered));
                    let good = [&[0, 60], &birth()[..]].concat();
                    connection.raw(&publish(0x32, node("NBIRTH", "Good").as_bytes(), &good));
                }
                Packet::PubAck(id) => heard.lock().unwrap().push(id),
                Packet::PingReq => connection.send(&Packet::PingResp),
                _ => {}
            }
        }
    });
    let mut settings = settings(Link::Plain(address), Link::Plain(enterprise.address));
    settings.ot_broker = "max-packet-bytes = 16384\n".to_owned();
    let mut relay = Relay::new(&settings);
    relay.start(Half::It);
    relay.start(Half::Ot);
    for node in ["Good", "Again", "Zero"] {
        relay.wait_for_event(Half::It, Event::NodeBorn, &[&format!("node=Plant/{node}")]);
    }
    let words = ["topic is empty", "acknowledged=true", "broker=127.0.0.1:"];
    relay.wait_for_event(Half::Ot, Event::MessageImpossible, &words);
    wait_until("each that can be is acknowledged, once", || {
        let mut answers = answers.lock().unwrap().clone();
        answers.sort_unstable();
        answers == [1, 2, 3, 4, 5, 6, 50, 60, 101, 102, 103, 104, 105, 106]
    });
    assert_eq!(connections.load(Ordering::SeqCst), 1, "{}", relay.log(Half::Ot));
    relay.terminate(Half::Ot);
    let log = relay.log(Half::Ot);
    // Three times each topic, the large one, and one that ends within its topic.
    assert!(log.contains("malformed_topic=20"), "{log}");
    assert!(log.contains("malformed_payload=1"), "{log}");
}

#[test]
fn what_an_it_broker_sends_that_mqtt_does_not_allow_ends_no_session() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = broker(move |connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        // A session that was kept, though a new one was asked for.
        connection.read()?;
        connection.raw(&[0x20, 2, 1, 0]);
        loop {
            match connection.read()? {
                Packet::Subscribe { id, filters } => {
                    for topic in IMPOSSIBLE {
                        connection.raw(&publish(0x31, topic, b"x"));
                        connection.raw(&publish(0x33, topic, &[0, 9]));
                    }
                    // Fewer codes than filters, and the same again; answers to nothing.
                    connection.send(&Packet::SubAck { id, codes: vec![1; filters.len().min(1)] });
                    connection.send(&Packet::SubAck { id, codes: vec![1; filters.len()] });
                    for odd in [Packet::PubAck(777), Packet::UnsubAck(778), Packet::PubRec(779)] {
                        connection.send(&odd);
                    }
                    connection.raw(&[0x20, 2, 0, 0]);
                }
                Packet::Unsubscribe { id, .. } => {
                    connection.send(&Packet::UnsubAck(id));
                    connection.send(&Packet::UnsubAck(id));
                }
                Packet::Publish(publish) => {
                    if let Some(id) = publish.id {
                        connection.raw(&[&[0x40, 3][..], &id.to_be_bytes(), &[0]].concat());
                        connection.raw(&encode(&Packet::PubAck(id)));
                    }
                }
                Packet::PingReq => connection.send(&Packet::PingResp),
                _ => {}
            }
        }
    });
    let Some((relay, _plant, _edges)) = it(address) else { return };
    for node in ["Small", "Large"] {
        relay.wait_for_event(Half::It, Event::NodeBorn, &[&format!("node=Plant/{node}")]);
    }
    let words = ["topic is empty", "retained=true", "broker=127.0.0.1:"];
    relay.wait_for_event(Half::It, Event::MessageImpossible, &words);
    relay.wait_for_event(Half::It, Event::AnswerImpossible, &["broker=127.0.0.1:"]);
    relay.wait_for_event(Half::It, Event::CommandRefused, &["not a message that MQTT allows"]);
    let log = relay.log(Half::It);
    assert!(!log.contains("SESSION_LOST") && !log.contains("BROKER_DOWN"), "{log}");
    assert_eq!(connections.load(Ordering::SeqCst), 2, "{log}");
}

#[test]
fn an_ot_broker_that_answers_twice_or_for_one_filter_alone_is_served() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = broker(move |connection| {
        counted.fetch_add(1, Ordering::SeqCst);
        connection.connack(0)?;
        connection.raw(&[0x20, 2, 0, 0]);
        connection.send(&Packet::PubAck(9));
        loop {
            match connection.read()? {
                Packet::Subscribe { id, filters } => {
                    connection.send(&Packet::SubAck { id: id.wrapping_add(9), codes: vec![1] });
                    connection.send(&Packet::SubAck { id, codes: vec![1; filters.len() + 2] });
                    connection.send(&Packet::SubAck { id, codes: vec![1; filters.len()] });
                }
                Packet::PingReq => connection.send(&Packet::PingResp),
                _ => {}
            }
        }
    });
    let mut settings = settings(Link::Plain(address), Link::Plain(address));
    settings.ot_broker = "keep-alive-s = 5\n".to_owned();
    let mut relay = Relay::new(&settings);
    relay.start(Half::Ot);
    let words = ["a second CONNACK", "broker=127.0.0.1:"];
    relay.wait_for_event(Half::Ot, Event::AnswerImpossible, &words);
    wait_until("something of the session was written down", || {
        relay.log(Half::Ot).contains("BROKER_UP")
    });
    relay.terminate(Half::Ot);
    let log = relay.log(Half::Ot);
    assert!(!log.contains("BROKER_DOWN") && !log.contains("SUBSCRIPTION_"), "{log}");
    assert_eq!(connections.load(Ordering::SeqCst), 1, "{log}");
}

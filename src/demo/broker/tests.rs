//! The broker by bare bytes of MQTT 3.1.1.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::filters::cover;
use super::*;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Bare bytes of MQTT 3.1.1: what a broker is measured by.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn connect(broker: &Broker, id: &str, clean: bool, will: Option<&str>) -> (Client, bool) {
        let stream = TcpStream::connect(broker.address()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut client = Client { stream };
        let will_flag = if will.is_some() { 0x04 } else { 0 };
        let flags = will_flag | if clean { 0x02 } else { 0 };
        let mut body = [&text("MQTT")[..], &[4, flags, 0, 60], &text(id)].concat();
        if let Some(topic) = will {
            body.extend([text(topic), text("gone")].concat());
        }
        client.send(0x10, &body);
        let (kind, ack) = client.receive();
        assert_eq!((kind, ack[1]), (0x20, 0));
        (client, ack[0] == 1)
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).unwrap();
        assert!(length < 128);
        self.stream.write_all(&[&[first, length], body].concat()).unwrap();
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).unwrap();
        let mut body = vec![0; head[1].into()];
        self.stream.read_exact(&mut body).unwrap();
        (head[0], body)
    }

    fn subscribe(&mut self, filter: &str, qos: u8) {
        self.send(0x82, &[&[0, 1][..], &text(filter), &[qos]].concat());
        assert_eq!(self.receive(), (0x90, vec![0, 1, qos]));
    }

    fn publish(&mut self, topic: &str, payload: &str, retain: bool) {
        let body = [&text(topic)[..], payload.as_bytes()].concat();
        self.send(0x30 | u8::from(retain), &body);
    }

    /// Topic, payload and packet identifier (QoS 1) of the next message.
    fn message(&mut self) -> (u8, String, Vec<u8>) {
        let (kind, body) = self.receive();
        assert_eq!(kind & 0xf0, 0x30, "{kind:x} {body:?}");
        let end = 2 + usize::from(body[1]);
        let topic = String::from_utf8(body[2..end].to_vec()).unwrap();
        (kind, topic, body[end..].to_vec())
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn any_client_identifier_is_taken_and_they_stay_apart() {
    let broker = Broker::start("test").unwrap();
    let (mut one, _) = Client::connect(&broker, "relay/Plant1/Line1", true, None);
    let (mut other, _) = Client::connect(&broker, "relay%2FPlant1/Line1", true, None);
    one.send(0xc0, &[]);
    assert_eq!(one.receive().0, 0xd0);
    other.send(0xc0, &[]);
    assert_eq!(other.receive().0, 0xd0);
    assert_eq!(broker.witness()["relay/Plant1/Line1"].connects, 1);
}

#[test]
fn a_filter_in_the_dollar_space_is_granted_in_its_place() {
    let broker = Broker::start("test").unwrap();
    let (mut client, _) = Client::connect(&broker, "a", true, None);
    let filters = [("x/#", 1), ("$sparkplug/certificates/#", 1), ("y", 0)];
    let filters: Vec<u8> =
        filters.iter().flat_map(|(filter, qos)| [text(filter), vec![*qos]].concat()).collect();
    client.send(0x82, &[&[0, 7][..], &filters].concat());
    assert_eq!(client.receive(), (0x90, vec![0, 7, 1, 1, 0]));
    client.send(0x82, &[&[0, 8][..], &text("$a/b"), &[0]].concat());
    assert_eq!(client.receive(), (0x90, vec![0, 8, 0]));
}

#[test]
fn an_unsubscribe_of_anything_is_answered_once_behind_what_came_before() {
    let broker = Broker::start("test").unwrap();
    let (mut client, _) = Client::connect(&broker, "a", true, None);
    client.subscribe("t", 0);
    client.publish("t", "1", false);
    client.send(0xa2, &[&[0, 9][..], &text("never/subscribed")].concat());
    client.send(0xc0, &[]);
    let kinds: Vec<u8> = (0..3).map(|_| client.receive().0 & 0xf0).collect();
    assert!(kinds.contains(&0x30), "{kinds:x?}");
    let acks: Vec<u8> = kinds.into_iter().filter(|kind| *kind != 0x30).collect();
    assert_eq!(acks, [0xb0, 0xd0]);
}

#[test]
fn a_broken_connection_publishes_its_will_and_a_farewell_does_not() {
    let broker = Broker::start("test").unwrap();
    let (mut watcher, _) = Client::connect(&broker, "watcher", true, None);
    watcher.subscribe("will/#", 0);
    let (mut polite, _) = Client::connect(&broker, "polite", true, Some("will/polite"));
    polite.send(0xe0, &[]);
    assert_eq!(polite.stream.read(&mut [0]).unwrap(), 0);
    let (broken, _) = Client::connect(&broker, "broken", true, Some("will/broken"));
    broken.stream.shutdown(Shutdown::Both).unwrap();
    assert_eq!(watcher.message().1, "will/broken");
}

#[test]
fn a_take_over_publishes_the_will_of_the_old_session_only() {
    let broker = Broker::start("test").unwrap();
    let (mut watcher, _) = Client::connect(&broker, "watcher", true, None);
    watcher.subscribe("will/#", 0);
    let (_old, _) = Client::connect(&broker, "same", true, Some("will/old"));
    let (mut new, _) = Client::connect(&broker, "same", true, Some("will/new"));
    assert_eq!(watcher.message().1, "will/old");
    new.publish("will/proof", "the new one lives", false);
    assert_eq!(watcher.message().1, "will/proof");
}

#[test]
fn a_retained_message_is_kept_and_cleared() {
    let broker = Broker::start("test").unwrap();
    let (mut client, _) = Client::connect(&broker, "a", true, None);
    client.publish("kept", "x", true);
    client.subscribe("kept", 0);
    assert_eq!(client.message(), (0x31, "kept".into(), b"x".to_vec()));
    client.publish("kept", "", true);
    assert_eq!(client.message(), (0x30, "kept".into(), Vec::new()));
    let (mut later, _) = Client::connect(&broker, "b", true, None);
    later.subscribe("kept", 0);
    later.send(0xc0, &[]);
    assert_eq!(later.receive().0, 0xd0);
}

#[test]
fn a_persistent_session_gets_what_it_did_not_acknowledge_again() {
    let broker = Broker::start("test").unwrap();
    let (mut sender, _) = Client::connect(&broker, "sender", true, None);
    let (mut reader, present) = Client::connect(&broker, "reader", false, None);
    assert!(!present);
    reader.subscribe("t", 1);
    sender.publish("t", "1", false);
    sender.publish("t", "2", false);
    let (_, _, first) = reader.message();
    reader.send(0x40, &first[..2]);
    assert_eq!(reader.message().2[2..], *b"2");
    // PINGRESP: the broker has the acknowledgement of the first and none of the second.
    reader.send(0xc0, &[]);
    assert_eq!(reader.receive().0, 0xd0);
    drop(reader);
    let (mut reader, present) = Client::connect(&broker, "reader", false, None);
    assert!(present);
    assert_eq!(reader.message().2[2..], *b"2");
}

#[test]
fn the_order_is_kept_across_the_filters_of_one_subscription() {
    let broker = Broker::start("test").unwrap();
    let (mut sender, _) = Client::connect(&broker, "sender", true, None);
    let (mut reader, _) = Client::connect(&broker, "reader", false, None);
    let filters = ["g/N/+", "g/D/+/+", "g/X"];
    let body: Vec<u8> =
        filters.iter().flat_map(|filter| [text(filter), vec![1]].concat()).collect();
    reader.send(0x82, &[&[0, 1][..], &body].concat());
    assert_eq!(reader.receive(), (0x90, vec![0, 1, 1, 1, 1]));
    let mut wanted = Vec::new();
    for round in 0..40 {
        for topic in ["g/D/a/b", "g/N/a", "g/unwanted", "g/D/a/c", "g/X"] {
            let payload = round.to_string();
            sender.publish(topic, &payload, false);
            if topic != "g/unwanted" {
                wanted.push((topic.to_owned(), payload));
            }
        }
    }
    // More than the router sends without acknowledgements: unwanted ones must not block it.
    for (topic, payload) in wanted {
        let (_, got, rest) = reader.message();
        assert_eq!((got, &rest[2..]), (topic, payload.as_bytes()));
        reader.send(0x40, &rest[..2]);
    }
}

#[test]
fn filters_are_covered_as_narrowly_as_can_be() {
    let cover =
        |filters: &[&str]| cover(&filters.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(cover(&["a/+/b"]), ["a/+/b"]);
    assert_eq!(cover(&["a/b/c", "a/b/d"]), ["a/b/#"]);
    assert_eq!(cover(&["a/#", "a/b"]), ["a/#"]);
    assert_eq!(cover(&["a", "b"]), ["a", "b"]);
    assert_eq!(cover(&["a/+/c", "a/+/d/e"]), ["a/+/#"]);
    assert_eq!(cover(&["a/S/+", "S/+", "a/S/b"]), ["a/S/#", "S/+"]);
    assert_eq!(cover(&["a/b", "+/b"]), ["#"]);
}

/// As the relay asks: for what the policy lets cross, and then for what hosts say of themselves.
#[test]
fn a_message_comes_once_whatever_else_was_subscribed() {
    let broker = Broker::start("test").unwrap();
    let (mut client, _) = Client::connect(&broker, "a", true, None);
    client.subscribe("spBv1.0/Plant1/#", 1);
    let states = ["spBv1.0/STATE/+", "STATE/+"];
    let filters = states.map(|filter| [&text(filter)[..], &[1]].concat()).concat();
    client.send(0x82, &[&[0, 2][..], &filters].concat());
    assert_eq!(client.receive(), (0x90, vec![0, 2, 1, 1]));
    let (mut publisher, _) = Client::connect(&broker, "b", true, None);
    let topics = ["spBv1.0/Plant1/NDATA/E", "spBv1.0/STATE/h", "STATE/h", "spBv1.0/Plant1/NDATA/F"];
    for topic in topics {
        publisher.publish(topic, "1", false);
    }
    assert_eq!(topics.map(|_| client.message().1), topics);
}

#[test]
fn what_was_unsubscribed_does_not_come_any_more() {
    let broker = Broker::start("test").unwrap();
    let (mut client, _) = Client::connect(&broker, "a", true, None);
    client.subscribe("t", 1);
    client.send(0xa2, &[&[0, 9][..], &text("t")].concat());
    assert_eq!(client.receive(), (0xb0, vec![0, 9]));
    client.publish("t", "1", false);
    client.send(0xc0, &[]);
    assert_eq!(client.receive().0, 0xd0);
}

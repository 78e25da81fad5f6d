//! The relay with brokers of other makes, on either side: births, data, rebirths, deaths, and a broker
//! that is killed and comes back with nothing of what it knew.

use std::net::SocketAddr;
use std::time::Duration;

use prost::Message;
use sparkplug::Payload;
use telemetry::Event;

use super::tls::settings;
use crate::broker::Broker;
use crate::client::Client;
use crate::metrics::{int, number, rebirth_command, untyped};
use crate::other_brokers::{Kind, OtherBroker};
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, Link, Relay};
use crate::waiting::{holds_within, wait_until};

/// A host of MQTT 3.1.1: not all of these brokers speak a later one.
struct Host {
    client: Client,
}

impl Host {
    fn start(it: SocketAddr, id: &str) -> Host {
        let mut client = Client::plain(it, id);
        client.subscribe(&[("spBv1.0/#", 0)]);
        Host { client }
    }

    /// How many messages of this kind came, of the node or of its device `D`.
    fn count(&self, kind: &str) -> usize {
        let begin = format!("spBv1.0/Plant/{kind}/E");
        let of = |topic: &str| topic.starts_with(&begin);
        self.client.look(|all| all.iter().filter(|one| of(&one.publish.topic)).count())
    }

    /// The last value of a metric, of a birth or of data; what an outage missed comes later.
    fn last(&self, metric: &str) -> Option<u64> {
        let of = |payload: &[u8]| {
            let payload = Payload::decode(payload).unwrap();
            let named = |one: &&sparkplug::Metric| {
                one.name.as_deref() == Some(metric) && one.is_historical != Some(true)
            };
            payload.metrics.iter().find(named).and_then(number)
        };
        self.client.look(|all| all.iter().rev().find_map(|one| of(&one.publish.payload)))
    }

    /// Sequence numbers since the last birth, as they came.
    fn has_no_gap(&self) -> bool {
        self.client.look(|all| {
            let mut expected = None;
            for one in all {
                let topic = &one.publish.topic;
                if topic.contains("/NDEATH/") || topic.contains("CMD/") {
                    continue;
                }
                let seq = Payload::decode(&one.publish.payload[..]).unwrap().seq.unwrap();
                if !topic.contains("/NBIRTH/") && expected.is_some_and(|wanted| wanted != seq) {
                    return false;
                }
                expected = Some((seq + 1) % 256);
            }
            true
        })
    }

    fn ask_rebirth(&mut self) {
        self.client.publish("spBv1.0/Plant/NCMD/E", rebirth_command(), 0, false).unwrap();
    }
}

/// Both halves, an edge node and a host.
struct Line {
    relay: Relay,
    edge: RawEdge,
    host: Host,
    count: u32,
}

impl Line {
    fn start(ot: SocketAddr, it: SocketAddr) -> Line {
        let mut settings = settings(Link::Plain(ot), Link::Plain(it));
        settings.mirror = "stale-after-s = 5".into();
        let mut relay = Relay::new(&settings);
        relay.start(Half::Ot);
        relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
        relay.start(Half::It);
        let host = Host::start(it, "enterprise");
        let edge = RawEdge::connect(ot, "Plant", "E");
        let mut line = Line { relay, edge, host, count: 0 };
        line.bear();
        line
    }

    /// Until the host has seen it: an OT half whose subscription isn't there yet hears no birth.
    fn bear(&mut self) {
        let before = (self.host.count("NBIRTH"), self.host.count("DBIRTH"));
        wait_until("the host has the births", || {
            self.edge.nbirth(&[int("count", self.count)]).unwrap();
            self.edge.dbirth("D", &[int("d", self.count)]).unwrap();
            holds_within(Duration::from_secs(2), || {
                self.host.count("NBIRTH") > before.0 && self.host.count("DBIRTH") > before.1
            })
        });
    }

    fn data(&mut self) {
        for _ in 0..20 {
            self.count += 1;
            self.edge.ndata(&[untyped(int("count", self.count))]).unwrap();
            self.edge.ddata("D", &[untyped(int("d", self.count))]).unwrap();
        }
        let count = Some(u64::from(self.count));
        wait_until("the host has the values", || {
            self.host.last("count") == count && self.host.last("d") == count
        });
        assert!(self.host.has_no_gap());
    }

    /// A rebirth that the host asks for is answered by the relay.
    fn rebirth(&mut self) {
        let before = self.relay.count_events(Half::It, Event::RebirthAnswered);
        let births = self.host.count("NBIRTH");
        self.host.ask_rebirth();
        wait_until("it is born anew", || {
            self.relay.count_events(Half::It, Event::RebirthAnswered) > before
                && self.host.count("NBIRTH") > births
        });
    }

    fn ordinary(&mut self) {
        self.data();
        self.rebirth();
        self.data();
    }

    /// The edge node is gone, and comes back.
    fn die(&mut self) {
        let before = self.host.count("NDEATH");
        self.edge.reconnect().unwrap();
        wait_until("the host sees its death", || self.host.count("NDEATH") > before);
        self.bear();
        self.data();
    }

    fn end(mut self) {
        for half in [Half::It, Half::Ot] {
            let status = self.relay.terminate(half);
            assert!(status.success(), "{half:?}: {}", self.relay.log(half));
        }
    }
}

fn at_it(kind: Kind) {
    let Some(ot) = Broker::plain() else { return };
    let Some(mut it) = OtherBroker::start(kind) else { return };
    let mut line = Line::start(ot.address, it.address);
    line.ordinary();
    line.die();
    it.kill();
    line.relay.wait_for_event(Half::It, Event::BrokerDown, &[]);
    it.restart();
    // Another host: this one's session is gone as well, and it stays away.
    line.host = Host::start(it.address, "second");
    wait_until("the host has the birth", || line.host.count("NBIRTH") > 0);
    line.ordinary();
    line.end();
}

fn at_ot(kind: Kind) {
    let Some(mut ot) = OtherBroker::start(kind) else { return };
    let Some(it) = Broker::plain() else { return };
    let mut line = Line::start(ot.address, it.address);
    line.ordinary();
    line.die();
    let before = line.relay.count_events(Half::Ot, Event::BrokerUp);
    ot.kill();
    line.relay.wait_for_event(Half::Ot, Event::BrokerDown, &[]);
    ot.restart();
    wait_until("the OT half is back", || {
        line.relay.count_events(Half::Ot, Event::BrokerUp) > before
    });
    line.edge.reconnect().unwrap();
    line.bear();
    line.ordinary();
    line.end();
}

#[test]
fn rumqttd_takes_the_mirrored_nodes() {
    at_it(Kind::Rumqttd);
}

#[test]
fn rumqttd_has_the_plant() {
    at_ot(Kind::Rumqttd);
}

#[test]
fn aedes_takes_the_mirrored_nodes() {
    at_it(Kind::Aedes);
}

#[test]
fn aedes_has_the_plant() {
    at_ot(Kind::Aedes);
}

#[test]
fn amqtt_takes_the_mirrored_nodes() {
    at_it(Kind::Amqtt);
}

#[test]
fn amqtt_has_the_plant() {
    at_ot(Kind::Amqtt);
}

//! The relay with brokers of other makes, on either side: births, data, rebirths, deaths, and a broker
//! that is killed and comes back with nothing of what it knew.

use std::net::SocketAddr;
use std::time::Duration;

use telemetry::Event;

use super::tls::settings;
use crate::broker::Broker;
use crate::metrics::{int, untyped};
use crate::other_brokers::{Kind, OtherBroker};
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::{Seen, SradHost};
use crate::relay::{Half, Link, Relay};
use crate::waiting::{holds_within, wait_until};

const NODE: &str = "Plant/E";

/// Both halves, an edge node and a host.
struct Line {
    relay: Relay,
    edge: RawEdge,
    host: SradHost,
    count: u64,
}

impl Line {
    fn start(ot: SocketAddr, it: SocketAddr) -> Line {
        let mut settings = settings(Link::Plain(ot), Link::Plain(it));
        settings.mirror = "stale-after-s = 5".into();
        let mut relay = Relay::new(&settings);
        relay.start(Half::Ot);
        relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
        relay.start(Half::It);
        let host = SradHost::start(it, "enterprise");
        let edge = RawEdge::connect(ot, "Plant", "E");
        let mut line = Line { relay, edge, host, count: 0 };
        line.bear();
        line
    }

    /// Until the host has seen it: an OT half whose subscription isn't there yet hears no birth.
    fn bear(&mut self) {
        let before = self.host.births(NODE);
        wait_until("the host has the birth", || {
            self.edge.nbirth(&[int("count", self.count)]).unwrap();
            self.edge.dbirth("D", &[int("d", self.count)]).unwrap();
            holds_within(Duration::from_secs(2), || {
                self.host.births(NODE) > before && self.host.births("Plant/E/D") > 0
            })
        });
    }

    fn data(&mut self) {
        for _ in 0..20 {
            self.count += 1;
            self.edge.ndata(&[untyped(int("count", self.count))]).unwrap();
            self.edge.ddata("D", &[untyped(int("d", self.count))]).unwrap();
        }
        self.host.wait_for(NODE, "count", self.count);
        self.host.wait_for("Plant/E/D", "d", self.count);
    }

    /// A rebirth that the host asks for is answered by the relay.
    fn rebirth(&mut self) {
        let before = self.relay.count_events(Half::It, Event::RebirthAnswered);
        self.host.ask_rebirth("Plant", "E");
        wait_until("it is born anew", || {
            self.relay.count_events(Half::It, Event::RebirthAnswered) > before
        });
    }

    fn ordinary(&mut self) {
        self.data();
        self.rebirth();
        self.data();
    }

    /// The edge node is gone, and comes back.
    fn die(&mut self) {
        let before = self.stale();
        self.edge.reconnect().unwrap();
        wait_until("the host sees its death", || self.stale() > before);
        self.bear();
        self.data();
    }

    fn stale(&self) -> usize {
        self.host.seen(NODE).iter().filter(|seen| **seen == Seen::Stale).count()
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
    line.host = SradHost::start(it.address, "second");
    wait_until("the host has the birth", || line.host.births(NODE) > 0);
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

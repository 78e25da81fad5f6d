//! A pair of brokers on either side, of which one is used at a time: `[broker] addresses`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::kills::{Delivered, Plant, counts, held_by_it, in_order, runs};
use super::tls::{Authority, settings};
use crate::broker::{Broker, Options};
use crate::checker::{Excuse, errors};
use crate::client::Client;
use crate::metrics::{int, untyped};
use crate::packet::Packet;
use crate::peers::observer::Observer;
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, Link, Relay, Settings};
use crate::rig::{EVERYTHING, protocol};
use crate::waiting::{DEADLINE, holds_within, now_ms, wait_until};
use crate::wire::{Event, Proxy, Record, ot_guard};

/// How often a broker is killed on each side; the manual names the run with 200.
const KILLS: &str = "SPARKDIODE_TEST_KILLS";
/// Numbers of connections through the second proxy begin here.
const SECOND: usize = 1_000_000;

/// Two brokers of one site, a recording proxy before each, and who sees everything there.
struct Pair {
    brokers: [Broker; 2],
    proxies: [Proxy; 2],
    observers: [Observer; 2],
}

impl Pair {
    fn start(options: &Options) -> Option<Pair> {
        let brokers = [Broker::start(options.clone())?, Broker::start(options.clone())?];
        let proxies = [0, 1].map(|at: usize| Proxy::start(brokers[at].address));
        let observers = [0, 1].map(|at: usize| Observer::start(brokers[at].address));
        Some(Pair { brokers, proxies, observers })
    }

    fn link(&self) -> Link {
        Link::Several(self.proxies.iter().map(|proxy| proxy.address).collect())
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.brokers.iter().map(|broker| broker.address).collect()
    }

    /// What went through both proxies, in the order of time.
    fn records(&self) -> Vec<Record> {
        let mut all = self.proxies[0].records();
        all.extend(self.proxies[1].records().into_iter().map(|mut record| {
            record.connection += SECOND;
            record
        }));
        all.sort_by_key(|record| record.at_ms);
        all
    }

    fn births(&self, at: usize) -> usize {
        self.proxies[at].count(is_birth)
    }

    fn restart(&mut self, at: usize) {
        self.brokers[at].restart();
        self.observers[at].reconnect().unwrap();
    }

    /// Values of the counter that an observer saw.
    fn seen(&self) -> BTreeSet<u64> {
        let arrivals = self.observers.iter().flat_map(Observer::arrivals);
        arrivals.flat_map(|publish| counts(&publish, |_| true)).collect()
    }
}

fn is_birth(record: &Record) -> bool {
    let birth = |publish: &crate::packet::Publish| publish.topic == "spBv1.0/Plant/NBIRTH/E";
    matches!(record.sent(), Some(Packet::Publish(publish)) if birth(publish))
}

fn relay(ot: Link, it: Link, ot_broker: &str, it_broker: &str, mirror: &str) -> Relay {
    let protocol = protocol();
    Relay::new(&Settings {
        ot,
        it,
        policy: EVERYTHING.to_owned(),
        ot_broker: format!("{protocol}{ot_broker}"),
        it_broker: format!("{protocol}{it_broker}"),
        ot_extra: String::new(),
        mirror: mirror.to_owned(),
        journal: String::new(),
        journal_source: String::new(),
    })
}

/// Sessions that only threw away what a server kept sent nothing else; all others keep to the rules.
fn judge_ot(records: &[Record]) -> usize {
    let mut sweeping = BTreeSet::new();
    for record in records {
        match record.sent() {
            Some(Packet::Connect(connect)) if connect.clean_session => {
                assert!(connect.will.is_none(), "{connect:?}");
                sweeping.insert(record.connection);
            }
            Some(packet) => assert!(!sweeping.contains(&record.connection), "sent {packet:?}"),
            None => {}
        }
    }
    let others: Vec<Record> =
        records.iter().filter(|one| !sweeping.contains(&one.connection)).cloned().collect();
    let faults = ot_guard(&others);
    assert!(faults.is_empty(), "on the OT link: {faults:#?}");
    sweeping.len()
}

fn judge_it(records: &[Record]) {
    let found: Vec<_> =
        errors(records, Excuse { kills: true }).iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "on the IT link: {found:#?}");
    one_server_at_a_time(records);
}

/// No node has sessions with two servers (Sparkplug 3.0,
/// operational-behavior-primary-application-state-with-multiple-servers-single-server).
fn one_server_at_a_time(records: &[Record]) {
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    for record in records {
        match (&record.event, record.sent()) {
            (_, Some(Packet::Connect(connect))) => {
                let other = open.insert(connect.client_id.clone(), record.connection);
                if let Some(other) = other {
                    let same = (other < SECOND) == (record.connection < SECOND);
                    assert!(same, "`{}` is at both servers", connect.client_id);
                }
            }
            (Event::Closed, _) | (_, Some(Packet::Disconnect)) => {
                open.retain(|_, connection| *connection != record.connection);
            }
            _ => {}
        }
    }
}

#[test]
fn kills_of_either_server_of_either_side_lose_nothing_that_was_acknowledged() {
    let kills = std::env::var(KILLS).map_or(4, |count| count.parse::<usize>().unwrap());
    let Some(mut ot) = Pair::start(&Options { persistence: true, ..Options::default() }) else {
        return;
    };
    let mut it = Pair::start(&Options::default()).unwrap();
    // The half stays at the server to which it went, whether the first is back or not.
    let mut relay = relay(ot.link(), it.link(), "order = \"rotating\"", "", "stale-after-s = 30");
    relay.start(Half::Ot);
    wait_until("the OT half has subscribed", || ot.proxies[0].subscriptions() > 0);
    relay.start(Half::It);
    let may_bear = Arc::new(AtomicBool::new(true));
    let edge = RawEdge::connect_to_one_of(ot.addresses(), "Plant", "E");
    let plant = Plant::start_when(edge, Arc::clone(&may_bear));
    wait_until("the node is born on IT", || it.births(0) > 0);
    let (mut at_ot, mut at_it) = (0, 0);
    for round in 0..kills {
        plant.flow(50);
        // Values that nobody subscribes to would be lost, and births as well.
        may_bear.store(false, Ordering::SeqCst);
        let (left, next) = (at_ot, 1 - at_ot);
        let before = ot.proxies[next].subscriptions();
        ot.brokers[left].kill();
        wait_until("the OT half is at the other server", || {
            ot.proxies[next].subscriptions() > before
        });
        may_bear.store(true, Ordering::SeqCst);
        plant.flow(30);
        ot.restart(left);
        at_ot = next;

        let (left, next) = (at_it, 1 - at_it);
        let before = it.births(next);
        it.brokers[left].kill();
        wait_until("the mirror is at the other server", || it.births(next) > before);
        it.restart(left);
        at_it = next;
        if round % 20 == 19 {
            eprintln!("{} kills on each side", round + 1);
        }
    }
    plant.flow(30);
    let (published, _alive) = plant.stop();
    let acknowledged = || Delivered::of(&ot.records()).acknowledged;
    let last = *published.last().unwrap();
    wait_until("the relay has what was published last", || acknowledged().contains(&last));
    let required = acknowledged();
    assert!(required.len() > kills * 60, "{} values", required.len());
    let missing = || -> Vec<u64> {
        let (held, seen) = (held_by_it(&it.records()), it.seen());
        required.iter().filter(|one| !held.contains(one) && !seen.contains(one)).copied().collect()
    };
    // History has a pace of its own: so many outages leave so much of it.
    let within = DEADLINE.saturating_add(Duration::from_secs(kills as u64));
    if !holds_within(within, || missing().is_empty()) {
        let missing = missing();
        panic!("{} of {} are missing: {}", missing.len(), required.len(), runs(&missing));
    }
    let delivered = Delivered::of(&ot.records());
    in_order(&it.records(), &delivered.order);
    let swept = judge_ot(&ot.records());
    assert_eq!(swept, kills, "each time another server is gone to");
    judge_it(&it.records());
    for half in [Half::Ot, Half::It] {
        assert!(
            relay.count_events(half, telemetry::Event::ServerChanged) > 0,
            "{}",
            relay.log(half)
        );
    }
    eprintln!("{kills} kills on each side, {} values acknowledged, none missing", required.len());
}

#[test]
fn what_a_server_kept_meanwhile_never_comes_as_new() {
    let Some(mut ot) = Pair::start(&Options { persistence: true, ..Options::default() }) else {
        return;
    };
    let it = Pair::start(&Options::default()).unwrap();
    let mut relay = relay(ot.link(), it.link(), "", "", "");
    relay.start(Half::Ot);
    wait_until("the OT half has subscribed", || ot.proxies[0].subscriptions() > 0);
    relay.start(Half::It);
    ot.brokers[0].kill();
    wait_until("it is at the second", || ot.proxies[1].subscriptions() > 0);
    ot.restart(0);
    // The first one has kept the session, and keeps this for it.
    let mut old = RawEdge::connect(ot.brokers[0].address, "Plant", "Old");
    old.qos = 1;
    old.nbirth(&[int("count", 1)]).unwrap();
    old.ndata(&[untyped(int("count", 2))]).unwrap();
    drop(old);
    // A restart knows where the session was: nothing is thrown away that waits for it there.
    let granted = ot.proxies[1].subscriptions();
    let swept = judge_ot(&ot.records());
    relay.kill(Half::Ot);
    let mut edge = RawEdge::connect(ot.brokers[1].address, "Plant", "E");
    edge.qos = 1;
    edge.nbirth(&[int("count", 7)]).unwrap();
    relay.start(Half::Ot);
    wait_until("it is at the second again", || ot.proxies[1].subscriptions() > granted);
    assert_eq!(judge_ot(&ot.records()), swept);
    wait_until("what waited there is on IT", || it.births(0) > 0);
    let granted = ot.proxies[0].subscriptions();
    ot.brokers[1].kill();
    wait_until("it is at the first again", || ot.proxies[0].subscriptions() > granted);
    assert_eq!(judge_ot(&ot.records()), swept + 1);
    // What comes now is new, and comes behind all that could have come of the old.
    let mut edge = RawEdge::connect(ot.brokers[0].address, "Plant", "F");
    edge.nbirth(&[int("count", 9)]).unwrap();
    wait_until("the new is on IT", || it.observers[0].count("spBv1.0/Plant/NBIRTH/F") > 0);
    let arrivals = it.observers[0].arrivals();
    let old: Vec<_> = arrivals.iter().filter(|one| one.topic.ends_with("/Old")).collect();
    assert!(old.is_empty(), "{old:?}");
    judge_it(&it.records());
}

#[test]
fn both_halves_return_to_the_first_server_once_it_could_be_reached_for_long_enough() {
    let Some(mut ot) = Pair::start(&Options::default()) else { return };
    let mut it = Pair::start(&Options::default()).unwrap();
    // The proxies take connections whether there is a broker behind them or not.
    let several = |pair: &Pair| Link::Several(pair.addresses());
    let returns = "return-to-first-after-s = 2";
    let mut relay = relay(several(&ot), several(&it), returns, returns, "");
    relay.start(Half::Ot);
    relay.wait_for_event(
        Half::Ot,
        telemetry::Event::BrokerUp,
        &[&ot.brokers[0].address.to_string()],
    );
    relay.start(Half::It);
    let mut edge = RawEdge::connect(ot.brokers[0].address, "Plant", "E");
    let topic = "spBv1.0/Plant/NBIRTH/E";
    wait_until("the half has subscribed, and the node is born", || {
        edge.nbirth(&[int("count", 1)]).unwrap();
        it.observers[0].count(topic) > 0
    });
    it.brokers[0].kill();
    wait_until("all are at the second", || it.observers[1].count(topic) > 0);
    it.restart(0);
    wait_until("all are at the first again", || it.observers[0].count(topic) > 1);
    let death = "spBv1.0/Plant/NDEATH/E";
    wait_until("it died in good order", || it.observers[1].count(death) > 0);
    let why = "the first server has been reachable for long enough";
    relay.wait_for_event(Half::It, telemetry::Event::ServerChanged, &[why]);
    ot.brokers[0].kill();
    let second = ot.brokers[1].address.to_string();
    relay.wait_for_event(Half::Ot, telemetry::Event::BrokerUp, &[&second]);
    ot.restart(0);
    relay.wait_for_event(Half::Ot, telemetry::Event::ServerChanged, &[why]);
    let first = ot.brokers[0].address.to_string();
    wait_until("status names the first server", || {
        let status = relay.run(&["status", "ot.toml", "--json"]);
        String::from_utf8_lossy(&status.stdout).contains(&first)
    });
}

#[test]
fn each_server_shows_the_name_that_is_wanted_of_it_and_one_without_an_address_keeps_nobody_out() {
    let side = Authority::new("ot");
    let (Some(first), Some(second)) = (side.broker(), side.broker()) else { return };
    let it = Broker::plain().unwrap();
    let mut relay = Relay::new(&settings(side.link(&first, &side), Link::Plain(it.address)));
    let [one, other] =
        [&first, &second].map(|broker| format!("localhost:{}", broker.tls_address.unwrap().port()));
    let file = relay.path("ot.toml");
    let text = fs::read_to_string(&file).unwrap();
    let several = format!("addresses = [\"nobody.invalid:1\", \"{one}\", \"{other}\"]");
    let text = text.replacen(&format!("address = \"{one}\""), &several, 1);
    let names = "[broker.tls]\nserver-names = [\"a.example\", \"wrong.example\", \"localhost\"]";
    let text = text.replacen("[broker.tls]", names, 1);
    assert!(text.contains(&several) && text.contains(names), "{text}");
    fs::write(&file, text).unwrap();
    relay.start(Half::Ot);
    let unknown = "nobody.invalid:1\" error=\"its name had no address when this half was started";
    let unknown = unknown.replace("1\" error", "1 error");
    relay.wait_for_event(Half::Ot, telemetry::Event::BrokerDown, &[&unknown]);
    relay.wait_for_event(Half::Ot, telemetry::Event::TlsRefused, &[&one, "wrong.example"]);
    relay.wait_for_event(Half::Ot, telemetry::Event::BrokerUp, &[&other]);
    let status = relay.run(&["status", "ot.toml"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("nobody.invalid:1` had no address"), "{status}");
}

#[test]
fn the_primary_host_is_looked_for_at_each_server() {
    let Some(it) = Pair::start(&Options::default()) else { return };
    let ot = Broker::plain().unwrap();
    let host = "primary-host = \"scada\"";
    let mut relay = relay(Link::Plain(ot.address), it.link(), "", "", host);
    // Online at the second since a time that is earlier than its end at the first.
    let state = |online: bool, timestamp: u64| {
        format!("{{\"online\":{online},\"timestamp\":{timestamp}}}").into_bytes()
    };
    let topic = "spBv1.0/STATE/scada";
    let now = now_ms();
    let publish = |at: usize, payload: Vec<u8>| {
        let mut client = Client::plain(it.brokers[at].address, "scada");
        client.publish(topic, payload, 1, true).unwrap();
        client.disconnect();
    };
    publish(0, state(false, now - 1_000));
    publish(1, state(true, now - 60_000));
    relay.start(Half::Ot);
    relay.wait_for_event(Half::Ot, telemetry::Event::BrokerUp, &[]);
    relay.start(Half::It);
    let mut edge = RawEdge::connect(ot.address, "Plant", "E");
    wait_until("the node is born where its host is", || {
        edge.nbirth(&[int("count", 1)]).unwrap();
        it.births(1) > 0
    });
    assert_eq!(it.births(0), 0);
    relay.wait_for_event(
        Half::It,
        telemetry::Event::ServerChanged,
        &["the primary host isn't online there"],
    );
    // It goes to the first one, and so do the births.
    publish(1, state(false, now));
    publish(0, state(true, now));
    wait_until("the node is born where its host is now", || it.births(0) > 0);
    judge_it(&it.records());
}

//! Four relays share a plant, between two brokers: each edge node is on IT once, by the relay that
//! has its shard, and the end of one relay costs its edge nodes only.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde_json::Value;
use sparkplug::Shard;
use telemetry::Event as Told;

use crate::broker::{Broker, Options};
use crate::checker::{Excuse, errors};
use crate::metrics::{int, untyped};
use crate::packet::{Connect, Packet};
use crate::peers::observer::Observer;
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::relay::{BINARY, Half, Link, Relay, Settings};
use crate::rig::{EVERYTHING, protocol};
use crate::waiting::wait_until;
use crate::wire::{Proxy, ot_guard};

const RELAYS: u32 = 4;
const NODES: u32 = 12;

/// Two brokers, and the relays between them.
struct Fleet {
    relays: Vec<Relay>,
    ot_proxy: Proxy,
    it_proxy: Proxy,
    it: Observer,
    ot_broker: Broker,
    it_broker: Broker,
}

impl Fleet {
    fn start() -> Option<Fleet> {
        let persistent = Options { persistence: true, ..Options::default() };
        let (ot_broker, it_broker) = (Broker::start(persistent)?, Broker::plain()?);
        let (ot_proxy, it_proxy) =
            (Proxy::start(ot_broker.address), Proxy::start(it_broker.address));
        let it = Observer::start(it_broker.address);
        let relays = (1..=RELAYS).map(|index| relay(index, &ot_proxy, &it_proxy)).collect();
        let mut fleet = Fleet { relays, ot_proxy, it_proxy, it, ot_broker, it_broker };
        for relay in &mut fleet.relays {
            relay.start(Half::Ot);
            relay.start(Half::It);
        }
        wait_until("all relays have subscribed", || {
            fleet.ot_proxy.subscriptions() == fleet.relays.len()
        });
        Some(fleet)
    }

    /// What the OT half of a relay says of itself.
    fn status(&self, relay: usize) -> Option<Value> {
        let text = fs::read(self.relays[relay].path("ot-state/status.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Figures of the account of each OT half.
    fn account(&self, figure: &str) -> Vec<u64> {
        let of_relay = |relay| self.status(relay)?["account"][figure].as_u64();
        (0..self.relays.len()).map(|relay| of_relay(relay).unwrap_or(0)).collect()
    }

    /// How often a session was opened on IT for each edge node.
    fn sessions(&self) -> BTreeMap<String, usize> {
        let mut sessions = BTreeMap::new();
        for record in self.it_proxy.records() {
            if let Some(Packet::Connect(Connect { will: Some(will), .. })) = record.sent() {
                let node = will.topic.rsplit('/').next().unwrap().to_owned();
                *sessions.entry(node).or_default() += 1;
            }
        }
        sessions
    }
}

fn relay(index: u32, ot: &Proxy, it: &Proxy) -> Relay {
    let settings = Settings {
        ot: Link::Plain(ot.address),
        it: Link::Plain(it.address),
        policy: EVERYTHING.to_owned(),
        ot_broker: protocol(),
        it_broker: protocol(),
        ot_extra: format!("[relay]\nshard = \"{index}/{RELAYS}\"\n[status]\nevery-s = 1\n"),
        mirror: String::new(),
        journal: String::new(),
        journal_source: String::new(),
    };
    let relay = Relay::new(&settings);
    let path = relay.path("ot.toml");
    let named = fs::read_to_string(&path)
        .unwrap()
        .replace("name = \"relay\"", &format!("name = \"relay-{index}\""));
    fs::write(&path, named).unwrap();
    relay
}

fn send(edges: &mut [RawEdge], value: u32) {
    for edge in edges {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
        edge.ddata("D", &[untyped(int("count", value))]).unwrap();
    }
}

#[test]
fn each_edge_node_is_on_it_once_and_a_relay_that_is_killed_costs_its_own_only() {
    let Some(mut fleet) = Fleet::start() else { return };
    let host = SradHost::start(fleet.it_broker.address, "enterprise");
    let name = |number: u32| format!("E{number}");
    let shard_of = |node: &str| Shard::of_node("Plant", node, RELAYS);
    let mut edges: Vec<RawEdge> = (0..NODES)
        .map(|number| RawEdge::connect(fleet.ot_broker.address, "Plant", &name(number)))
        .collect();
    for edge in &mut edges {
        edge.qos = 1;
        edge.nbirth(&[int("count", 0)]).unwrap();
        edge.dbirth("D", &[int("count", 0)]).unwrap();
    }
    send(&mut edges, 1);
    let wait = |host: &SradHost, nodes: &dyn Fn(&str) -> bool, value| {
        for node in (0..NODES).map(name).filter(|node| nodes(node)) {
            host.wait_for(&format!("Plant/{node}"), "count", value);
            host.wait_for(&format!("Plant/{node}/D"), "count", value);
        }
    };
    wait(&host, &|_| true, 1);

    // Disjoint and complete: each message was received by one, and counted apart by all others.
    let messages = u64::from(NODES) * 4;
    wait_until("all relays have counted all messages", || {
        let (ours, others) = (fleet.account("received"), fleet.account("of_other_shards"));
        ours.iter().zip(&others).all(|(ours, others)| ours + others == messages)
    });
    let received = fleet.account("received");
    for (relay, received) in (1..).zip(&received) {
        let nodes = (0..NODES).filter(|number| shard_of(&name(*number)) == relay).count();
        assert!(nodes > 0, "no edge node for shard {relay}: take other names");
        assert_eq!(*received, u64::try_from(nodes).unwrap() * 4, "shard {relay}");
    }
    assert_eq!(received.iter().sum::<u64>(), messages);
    assert_eq!(fleet.account("dropped"), [0; 4]);
    for relay in 0..4 {
        let status = fleet.status(relay).unwrap();
        assert_eq!(status["account"]["balances"], true, "{status}");
        assert_eq!(status["ot"]["shard"], format!("{}/{RELAYS}", relay + 1));
        let shard = format!("shard={}/{RELAYS}", relay + 1);
        fleet.relays[relay].wait_for_event(Half::Ot, Told::Started, &[&shard]);
    }
    let sessions = fleet.sessions();
    assert_eq!(sessions.len(), usize::try_from(NODES).unwrap());
    assert!(sessions.values().all(|sessions| *sessions == 1), "{sessions:?}");

    // Whoever asks the wrong relay hears which one is the right one.
    let topic = "spBv1.0/Plant/+/E0";
    for relay in 0..4 {
        let path = fleet.relays[relay].path("ot.toml");
        let why = fleet.relays[relay].run(&["policy", "why", path.to_str().unwrap(), topic]);
        let told = String::from_utf8(why.stdout).unwrap();
        let of_another = format!("the one with shard {}/{RELAYS}", shard_of("E0"));
        let is_ours = usize::try_from(shard_of("E0")).unwrap() == relay + 1;
        assert_eq!(told.contains(&of_another), !is_ours, "{told}");
    }

    // The files of all fit together; without one of them they don't.
    let files: Vec<_> =
        fleet.relays.iter().flat_map(|one| [one.path("ot.toml"), one.path("it.toml")]).collect();
    let check = |files: &[std::path::PathBuf]| {
        let output = Command::new(BINARY).arg("check").args(files).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let (code, told) = check(&files);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("4 relays that share a plant"), "{told}");
    let (code, told) = check(&files[..6]);
    assert_eq!(code, Some(78), "{told}");
    assert!(told.contains("no file has the shard 4/4"), "{told}");

    // Its edge nodes die by their wills, and nobody else's.
    let gone = shard_of("E0");
    let is_gone = |node: &str| shard_of(node) == gone;
    let killed = usize::try_from(gone).unwrap() - 1;
    let count = |fleet: &Fleet, verb: &str| -> Vec<usize> {
        let of = |node: String| fleet.it.count(&format!("spBv1.0/Plant/{verb}/{node}"));
        (0..NODES).map(name).map(of).collect()
    };
    let births = count(&fleet, "NBIRTH");
    fleet.relays[killed].kill(Half::It);
    fleet.relays[killed].kill(Half::Ot);
    let dead: Vec<usize> = (0..NODES).map(|number| usize::from(is_gone(&name(number)))).collect();
    wait_until("its edge nodes are dead", || count(&fleet, "NDEATH") == dead);
    send(&mut edges, 2);
    send(&mut edges, 3);
    wait(&host, &|node| !is_gone(node), 3);
    assert_eq!(count(&fleet, "NDEATH"), dead);
    assert_eq!(count(&fleet, "NBIRTH"), births, "nobody was born in its place");

    // What it missed waits for it at the broker.
    fleet.relays[killed].start(Half::Ot);
    fleet.relays[killed].start(Half::It);
    wait(&host, &|_| true, 3);
    send(&mut edges, 4);
    wait(&host, &|_| true, 4);
    for (number, (before, after)) in births.iter().zip(count(&fleet, "NBIRTH")).enumerate() {
        let node = format!("E{number}");
        assert_eq!(*before < after, is_gone(&node), "{node}");
    }
    assert_eq!(host.unknown(), Vec::<String>::new());
    let ot = ot_guard(&fleet.ot_proxy.records());
    assert!(ot.is_empty(), "on the OT link: {ot:#?}");
    let it = errors(&fleet.it_proxy.records(), Excuse { kills: true });
    assert!(it.is_empty(), "on the IT link: {it:#?}");
}

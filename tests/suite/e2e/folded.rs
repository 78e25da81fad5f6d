//! Folded groups: edge nodes of a group share a session on IT, and a strict host objects to nothing.

use telemetry::Event;

use crate::broker::Options;
use crate::checker::Excuse;
use crate::metrics::{int, string, untyped};
use crate::packet::Packet;
use crate::peers::pysparkplug::PysparkplugEdge;
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_edge::COUNTER;
use crate::peers::srad_host::{Seen, SradHost};
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

const FOLD: &str = "fold = \"group\"";

fn rig(mirror: &str) -> Option<Rig> {
    let variation = Variation { mirror: mirror.to_owned(), lists: true, ..Variation::default() };
    let mut rig = Rig::prepare(EVERYTHING, &variation)?;
    rig.start_both();
    Some(rig)
}

/// Sessions that the relay began at the IT broker.
fn sessions(rig: &Rig) -> usize {
    let records = rig.it_proxy.records();
    records.iter().filter(|one| matches!(one.sent(), Some(Packet::Connect(_)))).count()
}

#[test]
fn edges_of_pysparkplug_are_devices_of_one_node_for_a_strict_host() {
    let Some(rig) = rig(FOLD) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let names = ["Py1", "Py2", "Py3"];
    let mut edges = Vec::new();
    for name in names {
        let Some(edge) = PysparkplugEdge::start(rig.ot_address(), "Plant", name) else { return };
        edges.push(edge);
    }
    let of = |name: &str| {
        [name.to_owned(), format!("{name}:Pump"), format!("{name}:Valve")]
            .map(|device| format!("Plant/plant/{device}"))
    };
    for name in names {
        wait_until("the host sees all births", || of(name).iter().all(|one| host.births(one) >= 1));
    }
    edges.iter_mut().for_each(|edge| edge.data(100));
    for entity in names.iter().flat_map(|name| of(name)) {
        host.wait_for(&entity, COUNTER, 100);
        let live = host.live(&entity, COUNTER);
        let data: Vec<u64> = (1..=100).collect();
        assert!(live.ends_with(&data), "{entity}: {live:?}");
    }
    assert_eq!((sessions(&rig), rig.it.count("spBv1.0/Plant/NBIRTH/plant")), (1, 1));
    // One dies, and the others go on.
    if let Some(edge) = edges.pop() {
        edge.die();
    }
    rig.wait_for("spBv1.0/Plant/DDEATH/plant/Py3", 1);
    assert_eq!(rig.it.count("spBv1.0/Plant/DDEATH/plant/Py3:Valve"), 1);
    edges[0].deregister("Valve");
    wait_until("the host sees its death", || {
        host.seen("Plant/plant/Py1:Valve").last() == Some(&Seen::Stale)
    });
    edges[1].data(1);
    host.wait_for("Plant/plant/Py2", COUNTER, 101);
    host.ask_rebirth("Plant", "plant");
    rig.wait_for("spBv1.0/Plant/DBIRTH/plant/Py2:Valve", 2);
    edges[1].data(1);
    host.wait_for("Plant/plant/Py2", COUNTER, 102);
    edges.into_iter().for_each(PysparkplugEdge::leave);
    rig.wait_for("spBv1.0/Plant/NDEATH/plant", 1);
    assert_eq!(host.unknown(), Vec::<String>::new());
    rig.judge(Excuse::default());
}

#[test]
fn kills_and_outages_leave_each_member_whole() {
    let Some(mut rig) = rig(&format!("{FOLD}\nfold-edge-node = \"all\"\naliases = \"always\""))
    else {
        return;
    };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edges = ["A:%", "B"].map(|node| RawEdge::connect(rig.ot_address(), "Plant", node));
    let devices = ["A%3A%25", "B"];
    for edge in &mut edges {
        edge.nbirth(&[int("a", 1)]).unwrap();
        edge.dbirth("D:%", &[int("x", 1)]).unwrap();
    }
    for device in devices {
        rig.wait_for(&format!("spBv1.0/Plant/DBIRTH/all/{device}:D:%"), 1);
    }
    for edge in &mut edges {
        edge.ndata(&[untyped(int("a", 2))]).unwrap();
        edge.ddata("D:%", &[untyped(int("x", 2))]).unwrap();
    }
    for device in devices {
        host.wait_for(&format!("Plant/all/{device}"), "a", 2);
        host.wait_for(&format!("Plant/all/{device}:D:%"), "x", 2);
    }
    rig.relay.kill(Half::It);
    for edge in &mut edges {
        for value in 3..10 {
            edge.ndata(&[untyped(int("a", value))]).unwrap();
        }
    }
    rig.relay.start(Half::It);
    for device in devices {
        host.wait_for(&format!("Plant/all/{device}"), "a", 9);
    }
    // What it missed is history, of each.
    for device in devices {
        let topic = format!("spBv1.0/Plant/DDATA/all/{device}");
        wait_until("all of it is on IT", || {
            let said = rig.it.numbers(&topic, "a");
            (3..9).all(|value| said.contains(&value))
        });
    }
    assert_eq!(rig.it.numbers("spBv1.0/Plant/NBIRTH/all", "bdSeq").last(), Some(&1));
    assert_eq!(host.unknown(), Vec::<String>::new());
    rig.relay.terminate(Half::It);
    rig.wait_for("spBv1.0/Plant/NDEATH/all", 2);
    rig.judge(Excuse { kills: true });
}

#[test]
fn a_birth_larger_than_the_broker_takes_costs_its_own_node_alone() {
    let it_broker = Options { max_packet_bytes: Some(40_000), ..Options::default() };
    let variation = Variation { mirror: FOLD.into(), it_broker, ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edges =
        ["Small", "Large"].map(|node| RawEdge::connect(rig.ot_address(), "Plant", node));
    edges[0].nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/DBIRTH/plant/Small", 1);
    edges[1].nbirth(&[int("count", 1), string("text", &"x".repeat(50_000))]).unwrap();
    let words = ["node=Plant/Large", "bytes=50", "wait_s=60"];
    rig.relay.wait_for_event(Half::It, Event::BirthHeld, &words);
    // The others have a session that stays.
    edges[0].ndata(&[untyped(int("count", 2))]).unwrap();
    rig.wait_for_value("Plant/plant/Small", "count", 2);
    assert_eq!(rig.it.count("spBv1.0/Plant/DBIRTH/plant/Large"), 0);
    // A smaller one is a birth as any.
    rig.relay.terminate(Half::It);
    edges[1].nbirth(&[int("count", 3)]).unwrap();
    rig.relay.start(Half::It);
    rig.wait_for_value("Plant/plant/Large", "count", 3);
    rig.judge(Excuse { kills: true });
}

//! Data of real edge nodes reaches a strict host in order, as valid sessions.

use crate::checker::Excuse;
use crate::metrics::{int, untyped};
use crate::peers::pysparkplug::PysparkplugEdge;
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_edge::{COUNTER, SradEdge};
use crate::peers::srad_host::{Seen, SradHost};
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

#[test]
fn a_pysparkplug_edge_reaches_a_strict_host_in_order() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let Some(mut edge) = PysparkplugEdge::start(rig.ot_address(), "Plant", "Py") else { return };
    let entities = ["Plant/Py", "Plant/Py/Pump", "Plant/Py/Valve"];
    wait_until("the host sees all births", || entities.iter().all(|one| host.births(one) == 1));

    edge.data(300);
    for entity in entities {
        host.wait_for(entity, COUNTER, 300);
        let all: Vec<u64> = (0..=300).collect();
        assert_eq!(host.live(entity, COUNTER), all, "{entity}");
    }

    assert_eq!(host.stale(), 0);
    edge.deregister("Valve");
    rig.wait_for("spBv1.0/Plant/DDEATH/Py/Valve", 1);
    wait_until("the host sees its death", || {
        host.seen("Plant/Py/Valve").last() == Some(&Seen::Stale)
    });
    edge.register("Valve");
    wait_until("the host sees the device again", || host.births("Plant/Py/Valve") == 2);
    edge.leave();
    rig.wait_for("spBv1.0/Plant/NDEATH/Py", 1);
    wait_until("the host sees the node's death", || {
        host.seen("Plant/Py").last() == Some(&Seen::Stale)
    });
    assert_eq!(rig.it.count("spBv1.0/Plant/NBIRTH/Py"), 1);
    assert_eq!(rig.it.count("spBv1.0/Plant/NCMD/Py"), 0, "the host asked for a rebirth");
    assert_eq!(host.unknown(), Vec::<String>::new());
    rig.judge(Excuse::default());
}

#[test]
fn the_will_of_an_edge_that_dies_reaches_it_and_the_next_session_is_new() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let Some(edge) = PysparkplugEdge::start(rig.ot_address(), "Plant", "Py") else { return };
    rig.wait_for("spBv1.0/Plant/DBIRTH/Py/Valve", 1);
    edge.die();
    rig.wait_for("spBv1.0/Plant/NDEATH/Py", 1);
    let Some(mut edge) = PysparkplugEdge::start(rig.ot_address(), "Plant", "Py") else { return };
    rig.wait_for("spBv1.0/Plant/DBIRTH/Py/Valve", 2);
    edge.data(1);
    host.wait_for("Plant/Py/Valve", COUNTER, 1);
    assert_eq!(rig.it.numbers("spBv1.0/Plant/NBIRTH/Py", "bdSeq"), [0, 1]);
    rig.judge(Excuse::default());
}

#[test]
fn an_edge_with_aliases_reaches_a_strict_host_in_order() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let edge = SradEdge::start(rig.ot_address(), "Plant", "Srad");
    let entities = ["Plant/Srad", "Plant/Srad/Press"];
    for entity in entities {
        host.wait_for(entity, COUNTER, 1);
    }
    for value in 2..=300 {
        edge.data(value);
    }
    for entity in entities {
        host.wait_for(entity, COUNTER, 300);
        let live = host.live(entity, COUNTER);
        let data: Vec<u64> = (2..=300).collect();
        assert!(live.ends_with(&data), "{entity}: {live:?}");
    }
    // A rebirth of the plant is one on IT, in the same session.
    let births = rig.it.count("spBv1.0/Plant/NBIRTH/Srad");
    edge.rebirth();
    rig.wait_for("spBv1.0/Plant/DBIRTH/Srad/Press", births + 1);
    edge.data(301);
    host.wait_for("Plant/Srad/Press", COUNTER, 301);
    assert_eq!(rig.it.numbers("spBv1.0/Plant/NBIRTH/Srad", "bdSeq"), vec![0; births + 1]);
    edge.leave();
    rig.wait_for("spBv1.0/Plant/NDEATH/Srad", 1);
    assert_eq!(rig.it.count("spBv1.0/Plant/NCMD/Srad"), 0, "the host asked for a rebirth");
    assert_eq!(host.unknown(), Vec::<String>::new());
    rig.judge(Excuse::default());
}

#[test]
fn messages_that_gather_in_both_halves_arrive_all_and_in_order() {
    let variation = Variation {
        ot_extra: "[relay]\ngather-ms = 50".into(),
        mirror: "gather-ms = 200".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let host = SradHost::start(rig.it_address(), "enterprise");
    let edges = ["A", "B"].map(|node| SradEdge::start(rig.ot_address(), "Plant", node));
    let entities = ["Plant/A", "Plant/A/Press", "Plant/B", "Plant/B/Press"];
    for entity in entities {
        host.wait_for(entity, COUNTER, 1);
    }
    for value in 2..=300 {
        edges.iter().for_each(|edge| edge.data(value));
    }
    for entity in entities {
        host.wait_for(entity, COUNTER, 300);
        let data: Vec<u64> = (2..=300).collect();
        assert!(host.live(entity, COUNTER).ends_with(&data), "{entity}");
    }
    // What comes alone.
    edges.iter().for_each(|edge| edge.data(301));
    entities.iter().for_each(|entity| host.wait_for(entity, COUNTER, 301));
    rig.judge(Excuse::default());
}

#[test]
fn many_edge_nodes_are_many_sessions() {
    const NODES: u64 = 40;
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edges: Vec<RawEdge> = (0..NODES)
        .map(|number| RawEdge::connect(rig.ot_address(), "Plant", &format!("N{number}")))
        .collect();
    for edge in &mut edges {
        edge.nbirth(&[int("count", 0)]).unwrap();
        edge.dbirth("D", &[int("count", 0)]).unwrap();
    }
    for value in 1..=20 {
        for edge in &mut edges {
            edge.ndata(&[untyped(int("count", value))]).unwrap();
            edge.ddata("D", &[untyped(int("count", value))]).unwrap();
        }
    }
    for number in 0..NODES {
        host.wait_for(&format!("Plant/N{number}"), "count", 20);
        host.wait_for(&format!("Plant/N{number}/D"), "count", 20);
    }
    assert_eq!(host.stale(), 0);
    for edge in edges {
        edge.leave();
    }
    for number in 0..NODES {
        rig.wait_for(&format!("spBv1.0/Plant/NDEATH/N{number}"), 1);
    }
    rig.judge(Excuse::default());
}

#[test]
fn sigterm_of_the_it_half_says_goodbye_for_every_node() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    let status = rig.relay.terminate(Half::It);
    assert!(status.success(), "{status}");
    rig.wait_for("spBv1.0/Plant/NDEATH/E", 1);
    // The broker would have sent the will as well, had there been no DISCONNECT.
    edge.ndata(&[untyped(int("count", 2))]).unwrap();
    rig.relay.start(Half::It);
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 2);
    assert_eq!(rig.it.count("spBv1.0/Plant/NDEATH/E"), 1);
    assert_eq!(rig.it.numbers("spBv1.0/Plant/NBIRTH/E", "count").last(), Some(&2));
    let status = rig.relay.terminate(Half::Ot);
    assert!(status.success(), "{status}");
    rig.judge(Excuse::default());
}

//! Silence: when the OT half says nothing, every node is dead on IT, and lives again when it
//! speaks.

use rustix::process::Signal;

use crate::checker::Excuse;
use crate::metrics::{int, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::{Seen, SradHost};
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

const NODES: [&str; 3] = ["A", "B", "C"];

#[test]
fn silence_of_the_ot_half_is_the_death_of_every_node_until_it_speaks_again() {
    let Some((mut rig, mut edges)) = three_nodes() else { return };
    let host = SradHost::start(rig.it_address(), "enterprise");

    rig.relay.signal(Half::Ot, Signal::STOP);
    for node in NODES {
        rig.wait_for(&format!("spBv1.0/Plant/NDEATH/{node}"), 1);
    }
    rig.relay.signal(Half::Ot, Signal::CONT);
    for (node, edge) in NODES.iter().zip(&mut edges) {
        rig.wait_for(&format!("spBv1.0/Plant/DBIRTH/{node}/D"), 2);
        edge.ddata("D", &[untyped(int("count", 5))]).unwrap();
        host.wait_for(&format!("Plant/{node}/D"), "count", 5);
        assert_eq!(rig.it.numbers(&format!("spBv1.0/Plant/NBIRTH/{node}"), "bdSeq"), [0, 1]);
    }
    rig.judge(Excuse::default());
}

#[test]
fn the_death_of_the_ot_half_is_the_death_of_every_node_until_it_is_back() {
    let Some((mut rig, mut edges)) = three_nodes() else { return };
    rig.relay.kill(Half::Ot);
    for node in NODES {
        rig.wait_for(&format!("spBv1.0/Plant/NDEATH/{node}"), 1);
    }
    // What happens meanwhile waits at the OT broker, in the relay's persistent session.
    for edge in &mut edges {
        edge.ndata(&[untyped(int("count", 3))]).unwrap();
    }
    rig.start_ot();
    for node in NODES {
        rig.wait_for(&format!("spBv1.0/Plant/NBIRTH/{node}"), 2);
        wait_until(&format!("the value of {node} that waited is on IT"), || {
            let birth = rig.it.numbers(&format!("spBv1.0/Plant/NBIRTH/{node}"), "count");
            let data = rig.it.numbers(&format!("spBv1.0/Plant/NDATA/{node}"), "count");
            birth.contains(&3) || data.contains(&3)
        });
    }
    rig.judge(Excuse::default());
}

#[test]
fn the_loss_of_the_ot_broker_is_the_death_of_every_node_until_it_is_back() {
    let variation = Variation { mirror: "stale-after-s = 3".into(), ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "A");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/A", 1);
    rig.ot_broker.kill();
    wait_until("the host sees the death", || host.seen("Plant/A").contains(&Seen::Stale));
    rig.ot_broker.restart();
    wait_until("the OT half has subscribed again", || rig.subscriptions() >= 2);
    edge.reconnect().unwrap();
    edge.nbirth(&[int("count", 2)]).unwrap();
    host.wait_for("Plant/A", "count", 2);
    rig.judge(Excuse::default());
}

/// A rig with three nodes, each with a device, all alive on IT; stale after 3 s.
fn three_nodes() -> Option<(Rig, Vec<RawEdge>)> {
    let variation = Variation { mirror: "stale-after-s = 3".into(), ..Variation::default() };
    let mut rig = Rig::prepare(EVERYTHING, &variation)?;
    rig.start_both();
    let mut edges = Vec::new();
    for node in NODES {
        let mut edge = RawEdge::connect(rig.ot_address(), "Plant", node);
        // At QoS 1 a birth is acknowledged when its layout is stored too, so that a kill right
        // after it loses nothing.
        edge.qos = 1;
        edge.nbirth(&[int("count", 1)]).unwrap();
        edge.dbirth("D", &[int("count", 1)]).unwrap();
        rig.wait_for(&format!("spBv1.0/Plant/DBIRTH/{node}/D"), 1);
        edges.push(edge);
    }
    Some((rig, edges))
}

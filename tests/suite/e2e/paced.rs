//! A broker that is known to take few publications per second and connection: a burst of the plant
//! arrives whole and in order, and no second has more than that.

use std::collections::BTreeMap;

use crate::checker::Excuse;
use crate::metrics::{int, untyped};
use crate::packet::Packet;
use crate::peers::raw_edge::RawEdge;
use crate::rig::{EVERYTHING, Rig, Variation};

/// As the profile has it.
const PER_S: usize = 10;
const VALUES: u32 = 30;

#[test]
fn no_session_publishes_faster_than_the_broker_is_known_to_take_and_nothing_is_lost() {
    let variation = Variation {
        it_connection: "profile = \"emqx-cloud-serverless\"\n".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edges = ["E", "F"].map(|node| RawEdge::connect(rig.ot_address(), "Plant", node));
    for edge in &mut edges {
        edge.nbirth(&[int("count", 0)]).unwrap();
        rig.wait_for_value(&format!("Plant/{}", edge.node), "count", 0);
    }
    for edge in &mut edges {
        for value in 1..=VALUES {
            edge.ndata(&[untyped(int("count", value))]).unwrap();
        }
    }
    for edge in &edges {
        rig.wait_for_value(&format!("Plant/{}", edge.node), "count", VALUES.into());
        let told = rig.it.numbers(&format!("spBv1.0/Plant/NDATA/{}", edge.node), "count");
        assert!(told.is_sorted(), "{told:?}");
        assert_eq!(told, (1..=u64::from(VALUES)).collect::<Vec<_>>());
    }
    let mut published: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for record in rig.it_proxy.records() {
        if let Some(Packet::Publish(_)) = record.sent() {
            published.entry(record.connection).or_default().push(record.at_ms);
        }
    }
    assert_eq!(published.len(), edges.len(), "{published:?}");
    for times in published.values() {
        let within =
            |from: &u64| times.iter().filter(|at| (*from..from + 1_000).contains(at)).count();
        let most = times.iter().map(within).max().unwrap();
        // What left evenly may be recorded in a bunch.
        assert!(most <= PER_S + 1, "{most} within a second: {times:?}");
        assert!(most >= PER_S - 2, "{most} within a second: {times:?}");
    }
    rig.judge(Excuse::default());
}

//! More nodes and devices than there are, and what is remembered of them.

use super::{WITHIN, once_in};
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::Edge;
use crate::hand::Shot;
use crate::metrics::{alias, numbers, text, texts};

const KIND: Kind = Kind::Crowds;

/// Other edge nodes of its group, so many in each step, never the same.
fn invented(edge: &Edge, step: u64, each: u64) -> impl Iterator<Item = Edge> + '_ {
    (0..each).map(move |at| edge.named(&format!("{}-{}", edge.node, step * each + at)))
}

/// A birth of some 20,000 metrics, which takes more room than bytes.
fn large_birth(edge: &mut Edge) -> Shot {
    edge.birth(numbers("m", 19_000))
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "data-of-invented-devices", |edge, step| {
        let shots = (0..200)
            .map(|at| edge.of_device("DDATA", &format!("D{}", step * 200 + at), []))
            .collect();
        edge.born_then(step, shots)
    })
    .at(0)
    .told(&[Told::ot(
        "BIRTH_MISSING",
        &["node=Plant/{node} ", "topic=spBv1.0/Plant/DDATA/{node}/"],
    )]),
    Attacker::ot(KIND, "invented-nodes", |edge, step| {
        invented(edge, step, 350).map(|mut node| node.data([alias(1).int(10, 1)])).collect()
    })
    .at(0)
    .told(&[Told::ot(
        "BIRTH_MISSING",
        &["node=Plant/{node}-", "topic=spBv1.0/Plant/NDATA/{node}-"],
    )]),
    Attacker::ot(KIND, "invented-devices", |edge, step| {
        let mut all = Vec::new();
        if step.is_multiple_of(100) {
            all.push(edge.small_birth());
        }
        all.extend((0..60).map(|at| {
            let device = format!("D{}", step % 100 * 60 + at);
            edge.of_device("DBIRTH", &device, numbers("m", 2))
        }));
        all
    })
    .for_steps(20)
    .told(&[Told::ot(
        "CAPACITY_REACHED",
        &["limit=relay.max-devices-per-node", "topic=spBv1.0/Plant/DBIRTH/{node}/"],
    )]),
    Attacker::ot(KIND, "large-births-of-many", |edge, step| {
        // 26 MB of births made 983 MiB.
        once_in(2, step, || {
            invented(edge, step % 200, 1).map(|mut node| large_birth(&mut node)).collect()
        })
    })
    .at(2)
    .untold(WITHIN),
    Attacker::ot(KIND, "large-births-of-devices", |edge, step| {
        let mut all = Vec::new();
        if step.is_multiple_of(400) {
            all.push(edge.small_birth());
        }
        all.extend(once_in(2, step, || {
            let device = format!("D{}", step % 400);
            vec![edge.of_device("DBIRTH", &device, numbers("m", 19_000))]
        }));
        all
    })
    .untold(WITHIN),
    Attacker::ot(KIND, "large-texts-of-many", |edge, step| {
        once_in(2, step, || {
            invented(edge, step % 200, 1).map(|mut node| node.birth(texts(900_000))).collect()
        })
    })
    .at(0)
    .untold(WITHIN),
    Attacker::ot(KIND, "denied-births-of-many", |edge, step| {
        once_in(2, step, || {
            let denied = || (0..14).map(|at| text(format!("denied/{at}"), "d".repeat(60_000)));
            invented(edge, step % 200, 1).map(|mut node| node.birth(denied())).collect()
        })
    })
    .untold(
        "the policy denies all of it, which the status counts: no rule is broken by sending it",
    ),
    Attacker::ot(KIND, "stored-births-of-strangers", |edge, step| {
        // A hundred of them took 638 MiB, at every start again.
        once_in(2, step, || stored(edge, step % 100, 1))
    })
    .before(|edge| stored(edge, 100, 10))
    .untold("no rule selects them: what a broker has stored of them is neither news nor kept"),
    Attacker::ot(KIND, "nodes-of-other-groups", |edge, step| {
        (0..100)
            .map(|at| {
                let mut other = Edge::new(&format!("Group{}", step * 100 + at), "x", edge.qos);
                other.small_birth()
            })
            .collect()
    })
    .at(0)
    .told(&[Told::ot("POLICY_DROP", &["node=Group", "reason=no_rule"])]),
    // The last of them, since it leaves no room for nodes that were never there.
    Attacker::ot(KIND, "invented-births", |edge, step| {
        invented(edge, step, 30).map(|mut node| node.small_birth()).collect()
    })
    .told(&[Told::ot(
        "CAPACITY_REACHED",
        &["limit=relay.max-nodes", "topic=spBv1.0/Plant/NBIRTH/{node}-"],
    )]),
];

/// Stored births, under the topic of their own store, of groups that no rule names.
fn stored(edge: &Edge, step: u64, count: u64) -> Vec<Shot> {
    (0..count)
        .map(|at| {
            let mut stranger = Edge::new("Strangers", &format!("S{}", step * 10 + at), edge.qos);
            let Shot::Publish { topic, payload, .. } = large_birth(&mut stranger) else {
                unreachable!("a birth is published")
            };
            let topic = [&b"$sparkplug/certificates/"[..], &topic].concat();
            edge.publish(topic, payload).retained()
        })
        .collect()
}

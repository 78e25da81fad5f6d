//! More messages than anybody has use for: each is right, or at once seen to be wrong.

use super::RIGHT;
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::Edge;
use crate::hand::Shot;
use crate::metrics::{named, number, numbers};
use crate::proto::Proto;

const KIND: Kind = Kind::Floods;

/// So many small messages by alias.
fn by_alias(edge: &mut Edge, step: u64, each: u64) -> Vec<Shot> {
    let data = (0..each).map(|at| edge.small_data(step * each + at)).collect();
    edge.born_then(step, data)
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "data-by-alias-qos0", |edge, step| by_alias(edge, step, 200))
        .at(0)
        .untold(RIGHT),
    Attacker::ot(KIND, "data-by-alias-qos1", |edge, step| by_alias(edge, step, 200)).untold(RIGHT),
    Attacker::ot(KIND, "data-by-alias-qos2", |edge, step| by_alias(edge, step, 100))
        .at(2)
        .untold(RIGHT),
    Attacker::ot(KIND, "data-by-name", |edge, step| {
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.birth(numbers("m", 100)));
        }
        let metric = |at: u64| named(format!("m{at}")).int(10, step);
        all.extend((0..20).map(|_| edge.data((0..100).map(metric))));
        all
    })
    .at(0)
    .untold(RIGHT),
    Attacker::ot(KIND, "data-that-is-stored", |edge, step| {
        let data = (0..50).map(|at| edge.small_data(step * 50 + at).retained()).collect();
        edge.born_then(step, data)
    })
    .untold(RIGHT),
    Attacker::ot(KIND, "new-names", |edge, step| {
        let first = step % 20 * 400;
        let new = |at: u64| number(format!("new{}", first + at), 1);
        let data = vec![edge.data((0..400).map(new))];
        edge.born_then(step, data)
    })
    .within("Renamed")
    .untold(RIGHT),
    Attacker::ot(KIND, "new-names-one-by-one", |edge, step| {
        let first = step % 20 * 100;
        let data =
            (0..100).map(|at| edge.data([number(format!("new{}", first + at), 1)])).collect();
        edge.born_then(step, data)
    })
    .within("Renamed")
    .at(2)
    .untold(RIGHT),
    Attacker::ot(KIND, "data-before-birth", |edge, step| {
        (0..200).map(|at| edge.small_data(step * 200 + at)).collect()
    })
    .at(0)
    .told(&[Told::ot("BIRTH_MISSING", &["node=Plant/{node} ", "reason=data_before_birth"])]),
    Attacker::ot(KIND, "garbage", |edge, _| {
        (0..200).map(|_| edge.says("NDATA", Proto::new().raw(&[0xff; 40]))).collect()
    })
    .told(&[Told::ot("PAYLOAD_REFUSED", &["node=Plant/{node} ", "reason=malformed_payload"])]),
    Attacker::ot(KIND, "garbage-of-a-megabyte", |edge, _| {
        vec![edge.says("NDATA", Proto::new().raw(&[0x12; 900_000]))]
    })
    .at(2)
    .told(&[Told::ot("PAYLOAD_REFUSED", &["node=Plant/{node} ", "reason="])]),
    Attacker::ot(KIND, "foreign-data", |edge, step| by_alias(edge, step, 200))
        .within("Elsewhere")
        .at(0)
        .told(&[Told::ot("POLICY_DROP", &["node=Elsewhere/{node} ", "reason=no_rule"])]),
    Attacker::ot(KIND, "shaped-data", |edge, step| {
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.birth(numbers("m", 500)));
        }
        let metric = |at: u64| named(format!("m{at}")).int(10, step);
        all.extend((0..4).map(|_| edge.data((0..500).map(metric))));
        all
    })
    .within("Shaped")
    .untold(RIGHT),
];

//! Too many of what a payload can have many of: two bytes each are enough.

use super::{RIGHT, WITHIN, once_in};
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::{Edge, payload};
use crate::hand::Shot;
use crate::metrics::{
    Type, alias, definition, empties, instance, instance_metric, named, number, numbers,
    properties, table, typed,
};
use crate::proto::Proto;

const KIND: Kind = Kind::Counts;

/// More than any default allows.
const TOO_MANY: usize = 400_000;

const REFUSED: &[Told] = &[Told::ot(
    "PAYLOAD_REFUSED",
    &["node=Plant/{node} ", "topic=spBv1.0/Plant/N", "reason=over_cap", "bytes="],
)];

/// Data with this one metric, twice a second.
fn data(edge: &mut Edge, step: u64, metric: fn() -> Proto) -> Vec<Shot> {
    let shots = once_in(10, step, || vec![edge.data([metric()])]);
    edge.born_then(step, shots)
}

fn parameters(count: usize) -> Proto {
    empties(3, count)
}

/// As many properties as a payload of real metrics may have, in as many metrics.
fn with_properties(metrics: usize, each: usize) -> impl Iterator<Item = Proto> {
    let set = properties(each);
    (0..metrics).map(move |at| number(format!("m{at}"), 1).message(9, set.clone()))
}

/// So many properties of five bytes each.
fn with_empty_properties(metrics: usize, each: usize) -> impl Iterator<Item = Proto> {
    let set = Proto::new().repeated(1, "k", each).repeated(2, [], each);
    (0..metrics).map(move |at| number(format!("m{at}"), 1).message(9, set.clone()))
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "metrics-in-a-birth", |edge, step| {
        let birth = || payload(Some(0), []).raw(&empties(2, TOO_MANY).done());
        let shots = once_in(10, step, || vec![edge.says("NBIRTH", birth())]);
        edge.born_then(step, shots)
    })
    .told(REFUSED),
    Attacker::ot(KIND, "metrics-in-data", |edge, step| {
        let seq = edge.seq;
        let data = || payload(Some(seq), []).raw(&empties(2, TOO_MANY).done());
        let shots = once_in(10, step, || vec![edge.says("NDATA", data())]);
        edge.born_then(step, shots)
    })
    .at(0)
    .told(REFUSED),
    Attacker::ot(KIND, "members-of-a-template", |edge, step| {
        data(edge, step, || {
            typed("x", Type::Template).message(18, empties(2, TOO_MANY).bytes(4, "T"))
        })
    })
    .told(REFUSED),
    Attacker::ot(KIND, "properties-in-all", |edge, step| {
        let shots = once_in(10, step, || vec![edge.data(with_empty_properties(600, 234))]);
        edge.born_then(step, shots)
    })
    .at(2)
    .told(REFUSED),
    Attacker::ot(KIND, "properties-of-a-metric", |edge, step| {
        data(edge, step, || number("x", 1).message(9, properties(49_000)))
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &[
            "node=Plant/{node} ",
            "metric=x",
            "reason=over_cap",
            "got=\"49000 of 256",
            "key=limits.properties-per-metric",
        ],
    )]),
    Attacker::ot(KIND, "properties-as-many-as-may-be", |edge, step| {
        let shots = once_in(10, step, || vec![edge.data(with_properties(190, 250))]);
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.birth(with_properties(190, 250)));
        }
        all.extend(shots);
        all
    })
    .within("Shaped")
    .at(0)
    .untold(WITHIN),
    Attacker::ot(KIND, "empty-property-sets", |edge, step| {
        data(edge, step, || {
            let list = Proto::new().int(1, Type::PropertySetList as u64);
            let list = list.message(10, empties(1, TOO_MANY));
            number("x", 1).message(9, Proto::new().bytes(1, "k").message(2, list))
        })
    })
    .told(REFUSED),
    Attacker::ot(KIND, "cells-of-a-table", |edge, step| {
        data(edge, step, || {
            let wide = table(10, 0).message(4, empties(1, TOO_MANY));
            typed("x", Type::DataSet).message(17, wide)
        })
    })
    .told(REFUSED),
    Attacker::ot(KIND, "rows-of-a-table", |edge, step| {
        data(edge, step, || {
            typed("x", Type::DataSet).message(17, table(1, 0).raw(&empties(4, TOO_MANY).done()))
        })
    })
    .at(2)
    .told(REFUSED),
    Attacker::ot(KIND, "columns-of-a-table", |edge, step| {
        data(edge, step, || {
            typed("x", Type::DataSet).message(17, empties(2, TOO_MANY).int(1, u64::MAX))
        })
    })
    .told(REFUSED),
    Attacker::ot(KIND, "tables-as-large-as-may-be", |edge, step| {
        let one = || typed("x", Type::DataSet).message(17, table(20, 5_000));
        let shots = once_in(10, step, || vec![edge.data([one()])]);
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.birth([one()]));
        }
        all.extend(shots);
        all
    })
    .untold(WITHIN),
    Attacker::ot(KIND, "parameters-of-a-template", |edge, step| {
        data(edge, step, || {
            typed("x", Type::Template).message(18, parameters(TOO_MANY).bytes(4, "T"))
        })
    })
    .told(REFUSED),
    Attacker::ot(KIND, "metrics-as-many-as-may-be", |edge, step| {
        once_in(10, step, || {
            vec![edge.birth(numbers("m", 19_000)), edge.data([alias(1).int(10, 1)])]
        })
    })
    .at(0)
    .untold(WITHIN),
    Attacker::ot(KIND, "metrics-repeated-in-data", |edge, step| {
        let shots =
            once_in(10, step, || vec![edge.data((0..19_000).map(|at| named("x").int(10, at)))]);
        edge.born_then(step, shots)
    })
    .untold(RIGHT),
    Attacker::ot(KIND, "instances-of-a-long-template", |edge, step| {
        let shots = once_in(10, step, || {
            let empty = || alias(1).message(18, instance("T", []));
            vec![edge.data((0..9_000).map(|_| empty()))]
        });
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.birth([
                definition("T", numbers("m", 9_000)),
                instance_metric("x", "T", numbers("m", 9_000)).int(2, 1),
            ]));
        }
        all.extend(shots);
        all
    })
    .unjudged()
    .untold(RIGHT),
    Attacker::ot(KIND, "denied-instances-of-a-long-template", |edge, step| {
        let shots = once_in(10, step, || {
            let empty = || alias(1).message(18, instance("T", []));
            vec![edge.data((0..9_000).map(|_| empty()))]
        });
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.birth([
                definition("T", numbers("m", 9_000)),
                instance_metric("denied/x", "T", numbers("m", 9_000)).int(2, 1),
            ]));
        }
        all.extend(shots);
        all
    })
    .at(2)
    .told(&[Told::ot(
        "POLICY_DROP",
        &["node=Plant/{node} ", "topic=spBv1.0/Plant/NDATA/{node} ", "reason=denied"],
    )]),
];

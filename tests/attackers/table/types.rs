//! Values that don't fit what is said of them.

use super::{RIGHT, WITHIN, once_in};
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::Edge;
use crate::hand::Shot;
use crate::metrics::{
    Type, alias, definition, instance_metric, named, number, properties, table, text, typed,
};
use crate::proto::Proto;

const KIND: Kind = Kind::Types;

/// A birth with this metric, and data with it, four times a second.
fn both(edge: &mut Edge, step: u64, metric: fn() -> Proto) -> Vec<Shot> {
    once_in(5, step, || {
        vec![edge.birth([number("good", 1), metric()]), edge.data([number("good", 2), metric()])]
    })
}

/// A good birth, and data with this metric.
fn later(edge: &mut Edge, step: u64, metric: fn() -> Proto) -> Vec<Shot> {
    once_in(5, step, || vec![edge.small_birth(), edge.data([metric()])])
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "uneven-properties", |edge, step| {
        both(edge, step, || number("x", 1).message(9, properties(3).bytes(1, "one more")))
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &["node=Plant/{node} ", "metric=x", "different numbers of keys and values"],
    )]),
    Attacker::ot(KIND, "wrong-field-in-a-birth", |edge, step| {
        both(edge, step, || typed("x", Type::Int32).bytes(15, "a text"))
    })
    .at(0)
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &["node=Plant/{node} ", "metric=x", "reason=type_mismatch", "wanted=Int32"],
    )]),
    Attacker::ot(KIND, "wrong-field-in-data", |edge, step| {
        later(edge, step, || named("x").bytes(15, "a text"))
    })
    .told(&[Told::ot(
        "PAYLOAD_REFUSED",
        &["node=Plant/{node} ", "topic=spBv1.0/Plant/NDATA/{node} ", "reason=type_mismatch"],
    )]),
    Attacker::ot(KIND, "several-values", |edge, step| {
        both(edge, step, || number("x", 1).bytes(15, "text").double(13, 1.5).int(7, 1))
    })
    .at(2)
    .untold("protobuf says that of several values the last one counts"),
    Attacker::ot(KIND, "unknown-datatype", |edge, step| {
        both(edge, step, || named("x").int(4, 4_000_000_000).int(10, 1))
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &[
            "node=Plant/{node} ",
            "metric=x ",
            "reason=type_mismatch",
            "got=\"datatype 4000000000 in int_value\"",
        ],
    )]),
    Attacker::ot(KIND, "no-datatype", |edge, step| both(edge, step, || named("x").int(10, 1)))
        .told(&[Told::ot(
            "METRIC_REFUSED",
            &["node=Plant/{node} ", "metric=x ", "reason=type_mismatch", "got=int_value"],
        )]),
    Attacker::ot(KIND, "unknown-type-of-a-property", |edge, step| {
        both(edge, step, || {
            let set = Proto::new().bytes(1, "k").message(2, Proto::new().int(1, 99).int(3, 1));
            number("x", 1).message(9, set)
        })
    })
    .at(0)
    .untold("what the type is can be told by the value, so that it is mended and crosses"),
    Attacker::ot(KIND, "uneven-rows", |edge, step| {
        both(edge, step, || {
            let short = Proto::new().message(4, Proto::new().message(1, Proto::new().int(1, 1)));
            typed("x", Type::DataSet).message(17, table(3, 3).raw(&short.done()))
        })
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &["node=Plant/{node} ", "metric=x ", "reason=type_mismatch", "wanted=DataSet"],
    )]),
    Attacker::ot(KIND, "arrays-that-lie", |edge, step| {
        once_in(5, step, || {
            let booleans = typed("b", Type::BooleanArray).bytes(16, [0xff, 0xff, 0xff, 0xff, 1]);
            let odd = typed("i", Type::Int32Array).bytes(16, [1; 7]);
            let unended = typed("s", Type::StringArray).bytes(16, "no end");
            let all = [booleans, odd, unended];
            vec![edge.birth(all.clone()), edge.data(all)]
        })
    })
    .at(2)
    .untold("arrays are taken as bytes, since libraries pack them differently"),
    Attacker::ot(KIND, "large-arrays", |edge, step| {
        let one = || typed("x", Type::Int8Array).bytes(16, vec![1; 900_000]);
        once_in(10, step, || vec![edge.birth([one()]), edge.data([one()])])
    })
    .untold(WITHIN),
    Attacker::ot(KIND, "large-bytes", |edge, step| {
        let one = || typed("x", Type::Bytes).bytes(16, vec![1; 900_000]);
        once_in(10, step, || vec![edge.birth([one()]), edge.data([one()])])
    })
    .at(0)
    .untold(WITHIN),
    Attacker::ot(KIND, "numbers-that-are-none", |edge, step| {
        once_in(5, step, || {
            let numbers = [f64::NAN, f64::INFINITY, f64::MIN, -0.0, 5e-324];
            let metric = |(at, value): (usize, &f64)| {
                typed(format!("d{at}"), Type::Double).double(13, *value)
            };
            let all: Vec<Proto> = numbers.iter().enumerate().map(metric).collect();
            vec![edge.birth(all.clone()), edge.data(all)]
        })
    })
    .within("Shaped")
    .untold(RIGHT),
    Attacker::ot(KIND, "types-that-change", |edge, step| {
        let metric = match step % 3 {
            0 => number("x", step),
            1 => text("x", "a text"),
            _ => typed("x", Type::Boolean).int(14, 1),
        };
        vec![edge.birth([metric.clone().int(2, 1)]), edge.data([metric])]
    })
    .at(2)
    .untold(RIGHT),
    Attacker::ot(KIND, "one-alias-for-two", |edge, step| {
        once_in(5, step, || {
            vec![
                edge.birth([number("a", 1).int(2, 1), text("b", "x").int(2, 1)]),
                edge.data([alias(1).int(10, 2), alias(1).bytes(15, "y")]),
            ]
        })
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &[
            "node=Plant/{node} ",
            "metric=b ",
            "reason=malformed_payload",
            "got=\"alias 1 of another metric\"",
        ],
    )]),
    Attacker::ot(KIND, "one-name-for-two", |edge, step| {
        once_in(5, step, || {
            vec![
                edge.birth([number("a", 1), text("a", "x"), number("A", 1), number("a", 1)]),
                edge.data([named("a").int(10, 2), named("a").bytes(15, "y")]),
            ]
        })
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &[
            "node=Plant/{node} ",
            "metric=a ",
            "reason=malformed_payload",
            "got=\"its name a second time\"",
        ],
    )]),
    Attacker::ot(KIND, "aliases-of-nobody", |edge, step| {
        let shots = once_in(2, step, || {
            vec![edge.data((0..2_000).map(|at| alias(u64::MAX - at).int(10, 1)))]
        });
        edge.born_then(step, shots)
    })
    .at(0)
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &["node=Plant/{node} ", "reason=unknown_metric", "got=\"alias "],
    )]),
    Attacker::ot(KIND, "definition-behind-its-instance", |edge, step| {
        once_in(5, step, || {
            vec![
                edge.birth([
                    instance_metric("x", "T", [number("a", 1), text("b", "b")]),
                    definition("T", [text("a", "a"), number("c", 1)]),
                    definition("T", [number("c", 1)]),
                ]),
                edge.data([instance_metric("x", "T", [number("nobody", 1)])]),
                edge.data([definition("T", [number("new", 1)])]),
            ]
        })
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &["node=Plant/{node} ", "metric=T ", "reason=malformed_payload"],
    )]),
];

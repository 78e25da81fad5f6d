//! Texts that are no UTF-8, in every place of a payload that holds a text.

use super::once_in;
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::{Edge, payload};
use crate::hand::Shot;
use crate::metrics::{
    Type, definition, instance, instance_metric, named, number, properties, text, typed,
};
use crate::proto::Proto;

const KIND: Kind = Kind::Utf8;

/// Latin-1, as from a PLC's own code page.
const BAD: &[u8] = b"Temp\xe9rature \xff\xfe";

/// What is told where a name is bad: the message is left out.
const REFUSED: &[Told] = &[Told::ot(
    "PAYLOAD_REFUSED",
    &["node=Plant/{node} ", "topic=spBv1.0/Plant/N", "reason=malformed_payload", "UTF-8"],
)];
/// What is told where something else is: the metric is without it.
const PART: &[Told] = &[Told::ot(
    "METRIC_REFUSED",
    &["node=Plant/{node} ", "topic=spBv1.0/Plant/N", "reason=malformed_payload", "UTF-8"],
)];

/// A birth and data with this metric, four times a second, with a good one beside it.
fn bad(edge: &mut Edge, step: u64, metric: fn() -> Proto) -> Vec<Shot> {
    once_in(5, step, || {
        vec![edge.birth([number("good", 1), metric()]), edge.data([number("good", 2), metric()])]
    })
}

fn in_properties(value: Proto) -> Proto {
    number("x", 1).message(9, Proto::new().bytes(1, "k").message(2, value))
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "utf8-metric-name", |edge, step| bad(edge, step, || number(BAD, 1)))
        .told(REFUSED),
    Attacker::ot(KIND, "utf8-text", |edge, step| bad(edge, step, || text("x", BAD)))
        .at(0)
        .told(PART),
    Attacker::ot(KIND, "utf8-property-key", |edge, step| {
        bad(edge, step, || {
            number("x", 1)
                .message(9, properties(0).bytes(1, BAD).message(2, Proto::new().int(1, 3)))
        })
    })
    .told(PART),
    Attacker::ot(KIND, "utf8-property-text", |edge, step| {
        bad(edge, step, || in_properties(Proto::new().int(1, 12).bytes(8, BAD)))
    })
    .at(2)
    .told(PART),
    Attacker::ot(KIND, "utf8-column", |edge, step| {
        bad(edge, step, || {
            let table = Proto::new().int(1, 1).bytes(2, BAD).int(3, 3);
            typed("x", Type::DataSet).message(17, table)
        })
    })
    .told(PART),
    Attacker::ot(KIND, "utf8-cell", |edge, step| {
        bad(edge, step, || {
            let row = Proto::new().message(1, Proto::new().bytes(6, BAD));
            let table = Proto::new().int(1, 1).bytes(2, "c").int(3, 12).message(4, row);
            typed("x", Type::DataSet).message(17, table)
        })
    })
    .told(PART),
    Attacker::ot(KIND, "utf8-template-name", |edge, step| {
        bad(edge, step, || typed("x", Type::Template).message(18, instance(BAD, [])))
    })
    .at(0)
    .told(PART),
    Attacker::ot(KIND, "utf8-template-version", |edge, step| {
        bad(edge, step, || {
            typed("x", Type::Template).message(18, Proto::new().bytes(1, BAD).bytes(4, "T"))
        })
    })
    .told(PART),
    Attacker::ot(KIND, "utf8-member", |edge, step| {
        bad(edge, step, || instance_metric("x", "T", [number(BAD, 1)]))
    })
    .told(PART),
    Attacker::ot(KIND, "utf8-parameter", |edge, step| {
        bad(edge, step, || {
            let parameter = Proto::new().bytes(1, BAD).int(2, 12).bytes(8, BAD);
            typed("x", Type::Template).message(18, Proto::new().message(3, parameter).bytes(4, "T"))
        })
    })
    .at(2)
    .told(PART),
    Attacker::ot(KIND, "utf8-metadata", |edge, step| {
        bad(edge, step, || number("x", 1).message(8, Proto::new().bytes(8, BAD).bytes(2, BAD)))
    })
    .told(PART),
    Attacker::ot(KIND, "utf8-uuid", |edge, step| {
        once_in(5, step, || {
            let seq = edge.next();
            let payload = payload(seq, [number("x", 1)]).bytes(4, BAD);
            vec![edge.small_birth(), edge.says("NDATA", payload)]
        })
    })
    .told(REFUSED),
    Attacker::ot(KIND, "utf8-texts-of-an-array", |edge, step| {
        bad(edge, step, || typed("x", Type::StringArray).bytes(16, [BAD, b"\0"].concat()))
    })
    .untold("arrays are taken as bytes, since libraries pack them differently"),
    Attacker::ot(KIND, "utf8-definition", |edge, step| {
        bad(edge, step, || definition("T", [named(BAD).int(4, 3)]))
    })
    .told(PART),
];

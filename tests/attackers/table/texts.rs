//! Texts and names that are long or odd.

use super::once_in;
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::{Edge, payload};
use crate::hand::Shot;
use crate::metrics::{Type, alias, definition, instance_metric, number, text, typed};
use crate::proto::Proto;

const KIND: Kind = Kind::Texts;

/// Above what a text may have by default.
const LONG: usize = 300_000;

const REFUSED: &[Told] =
    &[Told::ot("PAYLOAD_REFUSED", &["node=Plant/{node} ", "topic=spBv1.0/Plant/N", "bytes="])];

/// What is told where something else is: the metric is without it.
const PART: &[Told] = &[Told::ot(
    "METRIC_REFUSED",
    &["node=Plant/{node} ", "topic=spBv1.0/Plant/N", "metric=x", "reason=", "got="],
)];

fn long() -> Vec<u8> {
    vec![b'l'; LONG]
}

/// A birth and data with this metric, four times a second.
fn both(edge: &mut Edge, step: u64, metric: fn() -> Proto) -> Vec<Shot> {
    once_in(5, step, || {
        vec![edge.birth([number("good", 1), metric()]), edge.data([number("good", 2), metric()])]
    })
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "long-text", |edge, step| both(edge, step, || text("x", long()))).told(PART),
    Attacker::ot(KIND, "long-metric-name", |edge, step| both(edge, step, || number(long(), 1)))
        .at(0)
        .told(REFUSED),
    Attacker::ot(KIND, "long-names-by-alias", |edge, step| {
        // 18 kB in became 194 MB of journal.
        let shots = once_in(2, step, || {
            vec![edge.data((1..15).cycle().take(600).map(|at| alias(at).int(10, 1)))]
        });
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            let name = |at: u64| [b"n".repeat(60_000), at.to_string().into_bytes()].concat();
            all.push(edge.birth((1..15).map(|at| number(name(at), 1).int(2, at))));
        }
        all.extend(shots);
        all
    })
    .told(&[Told::ot("PAYLOAD_REFUSED", &["node=Plant/{node} ", "topic=spBv1.0/Plant/NBIRTH/{node} ", "reason=over_cap", "key=limits.name-bytes"])]),
    Attacker::ot(KIND, "names-of-a-kilobyte-by-alias", |edge, step| {
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            let name = |at: u64| [b"n".repeat(1_000), at.to_string().into_bytes()].concat();
            all.push(edge.birth((1..800).map(|at| number(name(at), 1).int(2, at))));
        }
        all.push(edge.data((1..800).map(|at| alias(at).int(10, step))));
        all
    })
    .at(0)
    .untold("what is made of it stays below 64 times what comes, which is what bounds it"),
    Attacker::ot(KIND, "long-property-key", |edge, step| {
        both(edge, step, || {
            let set = Proto::new().bytes(1, long()).message(2, Proto::new().int(1, 3).int(3, 1));
            number("x", 1).message(9, set)
        })
    })
    .told(PART),
    Attacker::ot(KIND, "long-property-text", |edge, step| {
        both(edge, step, || {
            let value = Proto::new().int(1, 12).bytes(8, long());
            number("x", 1).message(9, Proto::new().bytes(1, "k").message(2, value))
        })
    })
    .at(2)
    .told(PART),
    Attacker::ot(KIND, "long-template-name", |edge, step| {
        both(edge, step, || {
            let name = String::from_utf8(long()).unwrap();
            instance_metric("x", &name, [])
        })
    })
    .told(PART),
    Attacker::ot(KIND, "long-definition-name", |edge, step| {
        both(edge, step, || definition(&"l".repeat(LONG), [number("m", 1)]))
    })
    .told(REFUSED),
    Attacker::ot(KIND, "long-column", |edge, step| {
        both(edge, step, || {
            let table = Proto::new().int(1, 1).bytes(2, long()).int(3, 3);
            typed("x", Type::DataSet).message(17, table)
        })
    })
    .at(0)
    .told(PART),
    Attacker::ot(KIND, "long-metadata", |edge, step| {
        both(edge, step, || number("x", 1).message(8, Proto::new().bytes(8, long())))
    })
    .told(PART),
    Attacker::ot(KIND, "long-uuid", |edge, step| {
        let shots = once_in(5, step, || {
            let seq = edge.next();
            vec![edge.says("NDATA", payload(seq, [number("x", 1)]).bytes(4, long()))]
        });
        edge.born_then(step, shots)
    })
    .told(&[Told::ot("PAYLOAD_REFUSED", &["node=Plant/{node} ", "topic=spBv1.0/Plant/NDATA/{node} ", "reason=over_cap", "key=limits.text-bytes"])]),
    Attacker::ot(KIND, "odd-names", |edge, step| {
        // Control characters, a forged line of a log, directions of writing, nothing at all.
        both(edge, step, || {
            let odd = "\u{1b}[31m\n2026-01-01T00:00:00Z ERROR ot: FAILED\r\0\u{202e}\u{feff}/../+#";
            number(odd, 1).int(1, 5)
        })
    })
    .told(&[Told::ot("PAYLOAD_REFUSED", &["node=Plant/{node} ", "reason=malformed_payload"])]),
    Attacker::ot(KIND, "names-without-text", |edge, step| both(edge, step, || number("", 1))).at(2)
    .told(&[Told::ot("METRIC_REFUSED", &["node=Plant/{node} ", "metric=\"\" ", "reason=unknown_metric", "got=\"neither name nor alias\""])]),
    Attacker::ot(KIND, "names-that-are-the-relays", |edge, step| {
        let shots = once_in(2, step, || {
            vec![edge.data([
                number("Node Control/Rebirth", 1),
                number("Node Control/Reboot", 1),
                number("bdSeq", 7),
                number("Device Control/Rebirth", 1),
                number("Properties/Health", 1),
            ])]
        });
        edge.born_then(step, shots)
    })
    .untold("what nodes call their controls never crosses; it is counted as control_metric, and no fault"),
];

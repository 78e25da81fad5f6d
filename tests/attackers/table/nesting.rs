//! What is within itself, and what is short and grows: templates, property sets, compression.

use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

use super::once_in;
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::{Edge, payload};
use crate::hand::Shot;
use crate::metrics::{
    Type, definition, empties, instance, instance_metric, number, set_value, texts, typed,
};
use crate::proto::Proto;

const KIND: Kind = Kind::Nesting;

/// Deeper than anybody needs, and than prost takes.
const DEEP: usize = 2_000;

const REFUSED: &[Told] = &[Told::ot(
    "PAYLOAD_REFUSED",
    &["node=Plant/{node} ", "topic=spBv1.0/Plant/NDATA/{node} ", "reason=", "bytes="],
)];

const INFLATED: &[Told] = &[Told::ot(
    "PAYLOAD_REFUSED",
    &["node=Plant/{node} ", "topic=spBv1.0/Plant/NDATA/{node} ", "bytes="],
)];

fn data(edge: &mut Edge, step: u64, metric: fn() -> Proto) -> Vec<Shot> {
    let shots = once_in(5, step, || vec![edge.data([metric()])]);
    edge.born_then(step, shots)
}

fn deep_template() -> Proto {
    let mut metric = number("leaf", 1);
    for _ in 0..DEEP {
        metric = typed("t", Type::Template).message(18, instance("T", [metric]));
    }
    metric
}

fn deep_properties() -> Proto {
    let mut set = Proto::new();
    for _ in 0..DEEP {
        set = Proto::new().bytes(1, "k").message(2, set_value(set));
    }
    number("x", 1).message(9, set)
}

fn deep_lists() -> Proto {
    let mut set = Proto::new();
    for _ in 0..DEEP {
        let list = Proto::new().message(1, set);
        let value = Proto::new().int(1, Type::PropertySetList as u64).message(10, list);
        set = Proto::new().bytes(1, "k").message(2, value);
    }
    number("x", 1).message(9, set)
}

/// A payload that says of itself that it is compressed.
fn compressed(body: &[u8], algorithm: &str) -> Proto {
    let named = crate::metrics::text("algorithm", algorithm);
    payload(Some(1), [named]).bytes(4, "SPBV1.0_COMPRESSED").bytes(5, body)
}

fn gzip(bytes: impl Iterator<Item = [u8; 1024]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    bytes.for_each(|part| encoder.write_all(&part).unwrap());
    encoder.finish().unwrap()
}

fn deflate(bytes: impl Iterator<Item = [u8; 1024]>) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    bytes.for_each(|part| encoder.write_all(&part).unwrap());
    encoder.finish().unwrap()
}

fn zeros(kib: usize) -> impl Iterator<Item = [u8; 1024]> {
    std::iter::repeat_n([0; 1024], kib)
}

/// Empty metrics: two bytes each.
fn metrics(kib: usize) -> impl Iterator<Item = [u8; 1024]> {
    let mut part = [0; 1024];
    part.chunks_mut(2).for_each(|two| two[0] = 0x12);
    std::iter::repeat_n(part, kib)
}

/// 64 MiB of nothing, in 64 kB.
static GZIP_BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(zeros(64 * 1024)));
static DEFLATE_BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| deflate(zeros(64 * 1024)));
/// Nearly as much as may be inflated, in a thousandth of it.
static SMALL_BOMB: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(metrics(1_000)));
/// As many metrics as may be, in a hundred bytes.
static SMALL_METRICS: LazyLock<Vec<u8>> = LazyLock::new(|| gzip(metrics(38)));
/// Compressed what is compressed.
static TWICE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let inner = compressed(&GZIP_BOMB, "GZIP").done();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&inner).unwrap();
    encoder.finish().unwrap()
});

fn bomb(edge: &Edge, body: &[u8], algorithm: &str) -> Shot {
    edge.says("NDATA", compressed(body, algorithm))
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "templates-in-templates", |edge, step| data(edge, step, deep_template))
        .told(REFUSED),
    Attacker::ot(KIND, "sets-in-sets", |edge, step| data(edge, step, deep_properties)).at(0).told(
        &[Told::ot(
            "METRIC_REFUSED",
            &[
                "node=Plant/{node} ",
                "topic=spBv1.0/Plant/NDATA/{node} ",
                "metric=x ",
                "reason=over_cap",
                "got=\"more than 16 levels of nesting\"",
                "key=limits.nesting",
            ],
        )],
    ),
    Attacker::ot(KIND, "lists-in-lists", |edge, step| data(edge, step, deep_lists)).at(2).told(&[
        Told::ot(
            "METRIC_REFUSED",
            &[
                "node=Plant/{node} ",
                "topic=spBv1.0/Plant/NDATA/{node} ",
                "metric=x ",
                "reason=over_cap",
                "got=\"more than 16 levels of nesting\"",
                "key=limits.nesting",
            ],
        ),
    ]),
    Attacker::ot(KIND, "definition-of-itself", |edge, step| {
        once_in(5, step, || {
            let itself = |name| instance_metric(name, "T", []);
            vec![
                edge.birth([
                    definition("T", [itself("a"), itself("b")]),
                    instance_metric("x", "T", [itself("a"), itself("b")]),
                ]),
                edge.data([instance_metric("x", "T", [instance_metric("a", "T", [itself("b")])])]),
            ]
        })
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &[
            "node=Plant/{node} ",
            "metric=T ",
            "reason=over_cap",
            "contains itself",
            "key=limits.nesting",
        ],
    )]),
    Attacker::ot(KIND, "definitions-that-double", |edge, step| {
        // Each has two of the one before: 2^15 numbers, if somebody unfolds them.
        once_in(5, step, || {
            let name = |level: usize| format!("T{level}");
            let mut all = vec![definition("T0", [number("n", 1)])];
            for level in 1..16 {
                let two = ["a", "b"].map(|member| instance_metric(member, &name(level - 1), []));
                all.push(definition(&name(level), two));
            }
            all.push(instance_metric("x", "T15", []));
            vec![edge.birth(all), edge.data([instance_metric("x", "T15", [])])]
        })
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &["node=Plant/{node} ", "metric=x ", "reason=over_cap", "names of members"],
    )]),
    Attacker::ot(KIND, "instances-of-nothing", |edge, step| {
        let shots = once_in(5, step, || {
            let one = |at: u64| instance_metric(&format!("x{at}"), &format!("nothing{at}"), []);
            vec![edge.data((0..1_000).map(one))]
        });
        edge.born_then(step, shots)
    })
    .at(0)
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &[
            "node=Plant/{node} ",
            "metric=x0 ",
            "reason=type_mismatch",
            "wanted=\"an instance of a definition",
        ],
    )]),
    Attacker::ot(KIND, "gzip-bomb", |edge, step| {
        let shots = once_in(5, step, || vec![bomb(edge, &GZIP_BOMB, "GZIP")]);
        edge.born_then(step, shots)
    })
    .told(INFLATED),
    Attacker::ot(KIND, "deflate-bomb", |edge, step| {
        let shots = once_in(5, step, || vec![bomb(edge, &DEFLATE_BOMB, "DEFLATE")]);
        edge.born_then(step, shots)
    })
    .at(0)
    .told(INFLATED),
    Attacker::ot(KIND, "bomb-in-a-bomb", |edge, step| {
        let shots = once_in(5, step, || vec![bomb(edge, &TWICE, "GZIP")]);
        edge.born_then(step, shots)
    })
    .told(INFLATED),
    Attacker::ot(KIND, "small-bombs", |edge, step| {
        // A megabyte of work for a kilobyte, sixty times a second.
        let shots = (0..3).map(|_| bomb(edge, &SMALL_BOMB, "GZIP")).collect();
        edge.born_then(step, shots)
    })
    .at(0)
    .told(INFLATED),
    Attacker::ot(KIND, "small-messages-of-many-metrics", |edge, step| {
        let shots = (0..3).map(|_| bomb(edge, &SMALL_METRICS, "GZIP")).collect();
        edge.born_then(step, shots)
    })
    .at(2)
    .told(&[Told::ot("BIRTH_MISSING", &["node=Plant/{node} ", "reason=unknown_metric"])]),
    Attacker::ot(KIND, "compressed-by-nobody-knows-what", |edge, step| {
        let shots = once_in(5, step, || {
            let cut = &GZIP_BOMB[..GZIP_BOMB.len() / 2];
            vec![
                bomb(edge, &GZIP_BOMB, "LZMA"),
                bomb(edge, cut, "GZIP"),
                bomb(edge, &[], "GZIP"),
                bomb(edge, &[0xff; 1_000], "DEFLATE"),
            ]
        });
        edge.born_then(step, shots)
    })
    .told(&[Told::ot("PAYLOAD_REFUSED", &["node=Plant/{node} ", "reason=bad_compression"])]),
    Attacker::ot(KIND, "unknown-fields", |edge, step| {
        let shots = once_in(5, step, || {
            let seq = edge.next();
            let unknown = payload(seq, [number("x", 1)]);
            let unknown =
                unknown.raw(&empties(1_000, 100_000).done()).double(99, 1.0).float(98, 1.0);
            let mut shots = vec![edge.says("NDATA", unknown)];
            let seq = edge.next();
            // Groups, which protobuf has given up, within each other.
            let groups = payload(seq, []).raw(&[0x3b; 10_000]);
            shots.push(edge.says("NDATA", groups));
            shots
        });
        edge.born_then(step, shots)
    })
    .told(&[Told::ot(
        "PAYLOAD_REFUSED",
        &["node=Plant/{node} ", "topic=spBv1.0/Plant/NDATA/{node} ", "bytes="],
    )]),
    Attacker::ot(KIND, "body-without-compression", |edge, step| {
        let shots = once_in(5, step, || {
            let seq = edge.next();
            let body = vec![0; 900_000];
            vec![edge.says("NDATA", payload(seq, texts(1)).bytes(4, "x").bytes(5, body))]
        });
        edge.born_then(step, shots)
    })
    .untold(
        "an extension that nobody has to read: counted with the fields of no Sparkplug payload",
    ),
];

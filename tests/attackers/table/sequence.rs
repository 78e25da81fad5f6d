//! Sequence numbers that don't count, times that can't be, copies.

use super::{RIGHT, once_in};
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::{Edge, payload};
use crate::hand::Shot;
use crate::metrics::{Type, alias, number, numbers, texts, typed};

const KIND: Kind = Kind::Sequence;

const GAP: &[Told] = &[Told::ot("SEQUENCE_GAP", &["node=Plant/{node}"])];
/// Numbers with holes that nothing fills: once there are too many of them, they are none.
const HOLES: &[Told] = &[Told::ot("SEQUENCE_GAP", &["node=Plant/{node}"]).or("SEQ_NOT_COUNTED")];

/// Numbers that don't count are told in words.
const NOT_COUNTED: &[Told] = &[Told::ot("SEQ_NOT_COUNTED", &["node=Plant/{node}"])];
const REPEATS: &[Told] = &[Told::ot("SEQ_REPEATS", &["node=Plant/{node}"])];

/// So many messages of numbers by name, each with the next of these sequence numbers.
fn counted(edge: &mut Edge, step: u64, seqs: impl Iterator<Item = Option<u64>>) -> Vec<Shot> {
    let mut all = Vec::new();
    if step.is_multiple_of(20) {
        all.push(edge.birth(numbers("m", 100).chain([number("x", 0).int(2, 1)])));
    }
    // No two of them are alike: they would be copies.
    let values = step * 100..;
    all.extend(seqs.zip(values).map(|(seq, value)| {
        let metrics = [alias(1).int(10, value)];
        edge.says("NDATA", payload(seq, metrics))
    }));
    all
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "seq-stands-still", |edge, step| {
        counted(edge, step, std::iter::repeat_n(Some(0), 20))
    })
    .told(NOT_COUNTED),
    Attacker::ot(KIND, "seq-repeats", |edge, step| {
        let first = step * 5;
        counted(edge, step, (0..20).map(|at| Some((first + at / 2) % 256)))
    })
    .at(0)
    .told(REPEATS),
    Attacker::ot(KIND, "seq-jumps", |edge, step| {
        counted(edge, step, (0..20).map(|at| Some((step * 20 + at) * 7 % 256)))
    })
    .told(NOT_COUNTED),
    Attacker::ot(KIND, "seq-descends", |edge, step| {
        counted(edge, step, (0..20).map(|at| Some(255 - (step * 20 + at) % 256)))
    })
    .at(2)
    .told(HOLES),
    Attacker::ot(KIND, "seq-absent", |edge, step| {
        counted(edge, step, std::iter::repeat_n(None, 20))
    })
    .at(0)
    .told(&[Told::ot("SEQ_NOT_COUNTED", &["node=Plant/{node}"])]),
    Attacker::ot(KIND, "seq-above-255", |edge, step| {
        counted(edge, step, (0..20).map(|at| Some(1_000 + step * 20 + at)))
    })
    .untold("the low bytes of its numbers count on, as a sequence does that was begun elsewhere"),
    Attacker::ot(KIND, "seq-of-large-messages-out-of-order", |edge, step| {
        // What is out of order waits for what is missing: here for megabytes.
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.birth(texts(300_000)));
        }
        let shots = once_in(2, step, || {
            (0..3)
                .map(|at| {
                    let seq = (step * 7 + 10 + at * 2) % 256;
                    edge.says("NDATA", payload(Some(seq), texts(300_000)))
                })
                .collect()
        });
        all.extend(shots);
        all
    })
    .told(GAP),
    Attacker::ot(KIND, "two-publishers", |edge, step| {
        // Each goes on where it was before its birth.
        let mut all = Vec::new();
        for (at, publisher) in [0_u64, 1].into_iter().enumerate() {
            if step % 10 == publisher * 5 {
                edge.bd_seq = publisher;
                all.push(edge.small_birth());
            }
            for message in 0..5_u64 {
                let seq = (step * 5 + message + 1 + at as u64 * 100) % 256;
                all.push(edge.says("NDATA", payload(Some(seq), [alias(1).int(10, message)])));
            }
        }
        all
    })
    .told(HOLES),
    Attacker::ot(KIND, "two-publishers-that-count", |edge, step| {
        // The other one begins a little later; both count rightly.
        let mut all = Vec::new();
        for publisher in 0..2_u64 {
            let Some(step) = step.checked_sub(publisher * 2) else { continue };
            if step == 0 {
                edge.bd_seq = publisher;
                all.push(edge.small_birth());
            }
            all.extend((0..3).map(|at| {
                let seq = (step * 3 + at + 1) % 256;
                let value = step * 10 + at * 2 + publisher;
                edge.says("NDATA", payload(Some(seq), [alias(1).int(10, value)]))
            }));
        }
        all
    })
    .for_steps(20)
    .told(&[Told::ot("NAME_SHARED", &["node=Plant/{node}"])]),
    Attacker::ot(KIND, "copies", |edge, step| {
        let one = edge.small_data(step);
        let copies = (0..30).map(|_| one.clone().again()).collect();
        edge.born_then(step, copies)
    })
    .at(0)
    .untold(
        "the same message again is a copy of it: counted as `duplicate`, and nothing is changed",
    ),
    Attacker::ot(KIND, "copies-qos1", |edge, step| {
        let one = edge.small_data(step);
        let copies = (0..30).map(|_| one.clone().again()).collect();
        edge.born_then(step, copies)
    })
    .untold(
        "the same message again is a copy of it: counted as `duplicate`, and nothing is changed",
    ),
    Attacker::ot(KIND, "copies-of-births", |edge, _| {
        let birth = edge.birth(numbers("m", 100));
        (0..10).map(|_| birth.clone().again()).collect()
    })
    .at(2)
    .untold(RIGHT),
    Attacker::ot(KIND, "times-far-away", |edge, step| {
        let mut all = Vec::new();
        for time in [0, 1, u64::MAX, 1 << 63, 253_402_300_800_000, (1 << 62) + step] {
            let at = typed("x", Type::Int32).int(3, time).int(10, step);
            let date = typed("date", Type::DateTime).int(11, time);
            if step.is_multiple_of(20) {
                let birth = payload(Some(0), [at.clone(), date.clone()]).int(1, time);
                all.push(edge.says("NBIRTH", birth));
                edge.seq = 1;
            }
            let seq = edge.next();
            all.push(edge.says("NDATA", payload(seq, [at, date]).int(1, time)));
        }
        all
    })
    .at(0)
    .untold("a time is what the node says it is: no rule here bounds it"),
    Attacker::ot(KIND, "historical", |edge, step| {
        let old = |at: u64| alias(1).int(3, at).int(5, 1).int(6, 1).int(10, at);
        let shots = vec![edge.data((0..500).map(old))];
        edge.born_then(step, shots)
    })
    .untold(RIGHT),
];

//! Births and deaths: too many, too fast, in the wrong order, with the wrong number.

use super::{RIGHT, once_in};
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::payload;
use crate::metrics::{Type, number, numbers, text, typed};
use crate::proto::Proto;

const KIND: Kind = Kind::Lives;

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "births", |edge, _| {
        (0..10).map(|_| edge.birth(numbers("m", 100))).collect()
    })
    .untold(RIGHT),
    Attacker::ot(KIND, "births-that-differ", |edge, step| {
        (0..5_u64).map(|at| edge.birth(numbers(&format!("of{}m", step * 5 + at), 100))).collect()
    })
    .at(0)
    .untold(RIGHT),
    Attacker::ot(KIND, "deaths", |edge, step| {
        let deaths = (0..50).map(|_| edge.death()).collect();
        edge.born_then(step, deaths)
    })
    .at(2)
    .told(&[Told::ot("NODE_DIED", &["node=Plant/{node}"])]),
    Attacker::ot(KIND, "births-and-deaths", |edge, step| {
        let mut all = Vec::new();
        for at in 0..10 {
            edge.bd_seq = (step * 10 + at) % 256;
            all.extend([edge.birth(numbers("m", 50)), edge.death()]);
        }
        all
    })
    .told(&[Told::ot("NODE_DIED", &["node=Plant/{node}"])]),
    Attacker::ot(KIND, "bdseq-games", |edge, step| {
        let with = |metric: Proto| payload(Some(0), [metric, number("x", 1)]);
        let long = |value: u64| typed("bdSeq", Type::Int64).int(11, value);
        let mut all = vec![
            edge.says("NBIRTH", with(long(u64::MAX))),
            edge.says("NDEATH", payload(None, [long(1)])),
            edge.says("NBIRTH", with(text("bdSeq", "zero"))),
            edge.says("NDEATH", payload(None, [text("bdSeq", "zero")])),
            edge.says("NBIRTH", with(typed("bdSeq", Type::Int64).int(7, 1))),
            edge.says("NBIRTH", with(number("y", 1))),
            edge.says("NDEATH", payload(None, [])),
            edge.says("NDEATH", Proto::new()),
            edge.says("NBIRTH", with(long(1_000 + step))),
            edge.says("NDEATH", payload(None, [long(999 - step % 999)])),
        ];
        all.push(edge.small_birth());
        all
    })
    .told(&[Told::ot(
        "METRIC_REFUSED",
        &["node=Plant/{node} ", "metric=bdSeq", "reason=type_mismatch", "wanted=Int64"],
    )]),
    Attacker::ot(KIND, "devices-come-and-go", |edge, step| {
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.small_birth());
        }
        for at in 0..10 {
            let device = format!("D{}", at % 3);
            all.push(edge.of_device("DBIRTH", &device, numbers("m", 20)));
            all.push(edge.of_device("DDEATH", &device, []));
        }
        all
    })
    .at(0)
    .untold(RIGHT),
    Attacker::ot(KIND, "devices-before-their-node", |edge, step| {
        let device = format!("D{}", step % 5);
        (0..10).map(|_| edge.of_device("DBIRTH", &device, numbers("m", 20))).collect()
    })
    .told(&[Told::ot(
        "BIRTH_MISSING",
        &["node=Plant/{node} ", "topic=spBv1.0/Plant/DBIRTH/{node}/"],
    )]),
    Attacker::ot(KIND, "small-births-in-a-large-node", |edge, step| {
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.small_birth());
            for at in 0..20 {
                all.push(edge.of_device("DBIRTH", &format!("D{at}"), numbers("m", 1_000)));
            }
        }
        all.extend((0..10).map(|at| edge.of_device("DBIRTH", "D0", numbers(&format!("n{at}"), 1))));
        all
    })
    .at(2)
    .untold(RIGHT),
    Attacker::ot(KIND, "births-of-a-node-with-devices", |edge, step| {
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.small_birth());
            for at in 0..20 {
                all.push(edge.of_device("DBIRTH", &format!("D{at}"), numbers("m", 1_000)));
            }
        }
        // 29 bytes each.
        let small = || payload(Some(0), []);
        all.extend((0..5).map(|_| edge.says("NBIRTH", small())));
        all
    })
    .at(0)
    .untold(RIGHT),
    Attacker::ot(KIND, "births-that-are-stored", |edge, step| {
        once_in(2, step, || vec![edge.birth(numbers("m", 500)).retained()])
    })
    .before(|edge| vec![edge.birth(numbers("m", 500)).retained()])
    .untold(RIGHT),
    Attacker::ot(KIND, "data-behind-a-death", |edge, step| {
        let mut all = vec![edge.small_birth(), edge.death()];
        all.extend((0..20).map(|at| edge.small_data(at)));
        all.push(edge.of_device("DDATA", "D", [number("x", step)]));
        all
    })
    .told(&[Told::ot("BIRTH_MISSING", &["node=Plant/{node} ", "reason=data_before_birth"])]),
    // The last of them, since its names are many, and lines are limited.
    Attacker::ot(KIND, "invented-deaths", |edge, step| {
        (0..200)
            .map(|at| edge.named(&format!("{}-{}", edge.node, step * 200 + at)).death())
            .collect()
    })
    .at(0)
    .told(&[Told::ot(
        "BIRTH_MISSING",
        &["node=Plant/{node}-", "topic=spBv1.0/Plant/NDEATH/{node}-", "reason=data_before_birth"],
    )]),
];

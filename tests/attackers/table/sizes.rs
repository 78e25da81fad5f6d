//! Packets and payloads that are too large, or as large as may be.

use super::{UNHEARD, WITHIN, once_in};
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::{Edge, payload};
use crate::hand::Shot;
use crate::metrics::{number, texts};
use crate::proto::Proto;

/// What the OT half takes by default is 1 MiB.
const OVER: usize = 1_500_000;
/// Nearly as much as it takes.
const UNDER: usize = 900_000;

const KIND: Kind = Kind::Sizes;

/// Data that is too large, once a second.
fn over(edge: &mut Edge, step: u64) -> Vec<Shot> {
    let shots = once_in(10, step, || vec![edge.data(texts(OVER))]);
    edge.born_then(step, shots)
}

fn over_birth(edge: &Edge) -> Proto {
    payload(Some(0), texts(OVER).chain([number("edge", edge.bd_seq)]))
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "oversize-qos0", over).at(0).told(&[Told::ot(
        "MESSAGE_TOO_LARGE",
        &[
            "topic=spBv1.0/Plant/NDATA/{node} ",
            "bytes=",
            "limit=1048576",
            "key=broker.max-packet-bytes",
            "retained=false",
        ],
    )]),
    Attacker::ot(KIND, "oversize-qos1", over).told(&[Told::ot(
        "MESSAGE_TOO_LARGE",
        &["topic=spBv1.0/Plant/NDATA/{node} ", "bytes=", "key=broker.max-packet-bytes"],
    )]),
    Attacker::ot(KIND, "oversize-qos2", over).at(2).told(&[Told::ot(
        "MESSAGE_TOO_LARGE",
        &["topic=spBv1.0/Plant/NDATA/{node} ", "bytes=", "key=broker.max-packet-bytes"],
    )]),
    Attacker::ot(KIND, "oversize-stored", |edge, step| {
        once_in(10, step, || vec![edge.says("NBIRTH", over_birth(edge)).retained()])
    })
    .before(|edge| vec![edge.says("NBIRTH", over_birth(edge)).retained()])
    .told(&[Told::ot(
        "MESSAGE_TOO_LARGE",
        &["topic=spBv1.0/Plant/NBIRTH/{node} ", "retained=true", "key=broker.max-packet-bytes"],
    )]),
    Attacker::ot(KIND, "oversize-certificate", |edge, step| {
        let topic = format!("$sparkplug/certificates/spBv1.0/Elsewhere/NBIRTH/{}", edge.node);
        once_in(10, step, || vec![edge.publish(topic, over_birth(edge).done()).retained()])
    })
    .before(|edge| {
        let topic = format!("$sparkplug/certificates/spBv1.0/Elsewhere/NBIRTH/{}", edge.node);
        vec![edge.publish(topic, over_birth(edge).done()).retained()]
    })
    .told(&[Told::ot(
        "MESSAGE_TOO_LARGE",
        &["topic=$sparkplug/certificates/spBv1.0/Elsewhere/NBIRTH/{node} ", "retained=true"],
    )]),
    Attacker::ot(KIND, "oversize-birth", |edge, step| {
        let shots = once_in(10, step, || vec![edge.says("NBIRTH", over_birth(edge))]);
        edge.born_then(step, shots)
    })
    .told(&[Told::ot(
        "MESSAGE_TOO_LARGE",
        &["topic=spBv1.0/Plant/NBIRTH/{node} ", "bytes=", "key=broker.max-packet-bytes"],
    )]),
    Attacker::ot(KIND, "oversize-foreign", over).within("Elsewhere").at(0).told(&[Told::ot(
        "MESSAGE_TOO_LARGE",
        &["topic=spBv1.0/Elsewhere/NDATA/{node} ", "bytes=", "key=broker.max-packet-bytes"],
    )]),
    Attacker::ot(KIND, "oversize-command", |edge, step| {
        let command = || edge.says("NCMD", over_birth(edge));
        once_in(10, step, || vec![command()])
    })
    .at(0)
    .untold(UNHEARD),
    Attacker::ot(KIND, "large-data", |edge, step| {
        let shots = once_in(5, step, || vec![edge.data(texts(UNDER))]);
        let mut all = Vec::new();
        if step.is_multiple_of(20) {
            all.push(edge.birth(texts(UNDER).collect::<Vec<_>>()));
        }
        all.extend(shots);
        all
    })
    .untold(WITHIN),
    Attacker::ot(KIND, "large-births", |edge, step| {
        once_in(5, step, || vec![edge.birth(texts(UNDER))])
    })
    .at(2)
    .untold(WITHIN),
];

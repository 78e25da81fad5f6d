//! Topics and payloads that are none, and messages that are nobody's to send.

use super::{UNHEARD, once_in};
use crate::attacker::{Attacker, Kind, Told};
use crate::edge::{Edge, payload};
use crate::hand::Shot;
use crate::metrics::number;
use crate::packets::Will;
use crate::proto::Proto;

const KIND: Kind = Kind::Topics;

const VERBS: [&str; 12] = [
    "NBIRTH", "NDATA", "NDEATH", "NCMD", "DBIRTH", "DDATA", "DDEATH", "DCMD", "STATE", "NRECORD",
    "nbirth", "",
];

/// The same payload under each of these topics.
fn under<'a>(edge: &Edge, topics: impl IntoIterator<Item = &'a [u8]>) -> Vec<Shot> {
    let payload = payload(Some(0), [number("x", 1)]).done();
    topics.into_iter().map(|topic| edge.publish(topic, &payload)).collect()
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::ot(KIND, "long-topics", |edge, step| {
        let node = "n".repeat(65_000 + step as usize % 400);
        let levels = "/l".repeat(150);
        under(
            edge,
            [
                format!("spBv1.0/Plant/NDATA/{node}").as_bytes(),
                format!("spBv1.0/Plant/NBIRTH/{node}").as_bytes(),
                format!("spBv1.0/Plant/DBIRTH/{}/{}", edge.node, &node[..60_000]).as_bytes(),
                format!("spBv1.0/Plant/NDATA/{}{levels}", edge.node).as_bytes(),
            ],
        )
    })
    .at(0)
    .told(&[Told::ot("BIRTH_MISSING", &["node=Plant/nnnnnnnnnn", "reason=data_before_birth"])]),
    Attacker::ot(KIND, "odd-topics", |edge, _| {
        under(
            edge,
            [
                &b"spBv1.0/Plant/NDATA/ "[..],
                b"spBv1.0/Plant/NDATA/..",
                b"spBv1.0/Plant/NDATA/%2e%2e%2f\\..\\",
                "spBv1.0/Plant/NDATA/\"'`$(x);&|".as_bytes(),
                "spBv1.0/Plant/NBIRTH/\u{10ffff}".as_bytes(),
                "spBv1.0/Plant/NBIRTH/e\u{301}".as_bytes(),
                // The last ones, since some brokers end the connection at them.
                "spBv1.0/Plant/NDATA/\u{202e}txet\u{feff}".as_bytes(),
                "spBv1.0/Plant/NDATA/\u{1b}[31mRED".as_bytes(),
                "spBv1.0/Plant/NDATA/a\nERROR ot: FAILED".as_bytes(),
            ],
        )
    })
    .told(&[Told::ot("BIRTH_MISSING", &["node=Plant/.. ", "topic=spBv1.0/Plant/NDATA/.. "])]),
    Attacker::ot(KIND, "topics-that-are-none", |edge, _| {
        // A broker ends the connection of whoever does this.
        under(
            edge,
            [
                &b"spBv1.0/Plant/NDATA/+"[..],
                b"spBv1.0/Plant/#",
                b"spBv1.0/+/NDATA/x",
                b"spBv1.0/Plant/NDATA/\xff\xfe",
                b"spBv1.0/Plant/NDATA/a\0b",
                b"",
            ],
        )
    })
    .untold("no broker passes them on, and each ends the connection of who sends them"),
    Attacker::ot(KIND, "dollar-topics", |edge, step| {
        // Lines about topics are few a minute.
        once_in(10, step, || {
            under(
                edge,
                [
                    &b"$sparkplug/certificates/spBv1.0/Plant/NDATA/x"[..],
                    b"$sparkplug/certificates/",
                    b"$sparkplug/certificates/spBv1.0/Plant/NBIRTH/",
                    b"$sparkplug/certificates/$sparkplug/certificates/spBv1.0/Plant/NBIRTH/x",
                    b"$SYS/broker/uptime",
                    b"$share/group/spBv1.0/Plant/NDATA/x",
                ],
            )
        })
    })
    .at(0)
    .told(&[Told::ot(
        "TOPIC_REFUSED",
        &["topic=$sparkplug/certificates/spBv1.0/Plant/NDATA/x ", "reason="],
    )]),
    Attacker::ot(KIND, "empty-levels", |edge, _| {
        under(
            edge,
            [
                &b"spBv1.0/Plant/NDATA/"[..],
                b"spBv1.0/Plant//x",
                b"spBv1.0/Plant/DDATA//D",
                b"spBv1.0/Plant/DDATA/x/",
                b"spBv1.0/Plant/NDATA/x/",
                b"spBv1.0/Plant",
                b"spBv1.0/Plant/NDATA",
                b"/spBv1.0/Plant/NDATA/x",
                b"/",
            ],
        )
    })
    .at(2)
    .told(&[Told::ot("TOPIC_REFUSED", &["topic=spBv1.0/Plant/", "reason="])]),
    Attacker::ot(KIND, "empty-payloads", |edge, step| {
        let device = |verb: &str| if verb.starts_with('D') { "/D" } else { "" };
        let shots = VERBS
            .iter()
            .map(|verb| edge.publish(edge.topic(verb, "") + device(verb), []))
            .flat_map(|shot| [shot.clone(), shot.retained()]);
        let shots = shots.collect();
        edge.born_then(step, shots)
    })
    .told(&[Told::ot(
        "PAYLOAD_REFUSED",
        &["node=Plant/{node} ", "reason=malformed_payload", "bytes=0"],
    )]),
    Attacker::ot(KIND, "garbage-of-every-verb", |edge, step| {
        let garbage: Vec<Vec<u8>> = vec![
            vec![0],
            vec![0xff; 64],
            vec![0x08],
            vec![0x12, 0x7f, 1],
            // Longer than it is, by far.
            vec![0x12, 0xff, 0xff, 0xff, 0xff, 0x0f],
            // A varint that doesn't end.
            vec![0x80; 100],
            b"{\"metrics\": []}".to_vec(),
        ];
        let device = |verb: &str| if verb.starts_with('D') { "/D" } else { "" };
        VERBS
            .iter()
            .map(|verb| {
                let payload = &garbage[(step as usize + verb.len()) % garbage.len()];
                edge.publish(edge.topic(verb, "") + device(verb), payload)
            })
            .collect()
    })
    .at(2)
    .told(&[Told::ot("PAYLOAD_REFUSED", &["node=Plant/{node} "])]),
    Attacker::ot(KIND, "commands-in-the-plant", |edge, step| {
        let mut all = vec![edge.small_birth()];
        for _ in 0..50 {
            let command = || payload(None, [number("Setpoint", step)]);
            all.push(edge.says("NCMD", command()));
            all.push(edge.publish(edge.topic("DCMD", "D"), command().done()));
        }
        all
    })
    .untold(UNHEARD),
    Attacker::ot(KIND, "states-in-the-plant", |edge, step| {
        let online = step % 2 == 0;
        let state = format!("{{\"online\":{online},\"timestamp\":{step}}}");
        (0..50)
            .map(|at| edge.publish(format!("spBv1.0/STATE/host{at}"), &state).retained())
            .collect()
    })
    .at(0)
    .untold("hosts say of themselves whether they are there, and nothing else follows from it"),
    Attacker::ot(KIND, "names-but-for-capitals", |edge, _| {
        let (mut low, mut up) = (edge.named("capitals"), edge.named("CAPITALS"));
        vec![low.small_birth(), up.small_birth(), low.small_data(1), up.small_data(1)]
    })
    .untold("names of nodes are told apart by their capitals: both are right"),
    Attacker::ot(KIND, "the-relays-own-name", |_, step| {
        let mut own = Edge::new("sparkdiode", "Roaming-relay", 1);
        let mut relay = Edge::new("sparkdiode", "relay", 1);
        vec![own.small_birth(), own.small_data(step), relay.small_birth(), relay.small_data(step)]
    })
    .untold("the relay has no edge node of its own here, so the names are free"),
    Attacker::ot(KIND, "wills", |edge, step| {
        let client_id = format!("will-{}", edge.node);
        let will = Will {
            topic: edge.topic("NDEATH", ""),
            payload: Proto::new().raw(&[0xff; 1_000]).done(),
            retain: step % 2 == 0,
        };
        vec![
            edge.small_birth(),
            Shot::Connect { client_id: client_id.clone(), will: Some(will) },
            Shot::Vanish { client_id },
        ]
    })
    .told(&[Told::ot("NODE_DIED", &["node=Plant/{node}"])]),
];

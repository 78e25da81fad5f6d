//! What clients of the IT broker can do: commands, STATE, what is stored, and other people's names.

use super::{UNHEARD, once_in};
use crate::attacker::{Attacker, Told};
use crate::edge::{Edge, payload};
use crate::good;
use crate::hand::Shot;
use crate::metrics::{Type, number, numbers, texts, typed};
use crate::packets::Will;
use crate::proto::Proto;

const TOO_LARGE: &[Told] = &[
    Told::it("MESSAGE_TOO_LARGE", &["topic=spBv1.0/Plant/NCMD/Good ", "bytes=", "limit=65536"]),
    Told::it("COMMAND_REFUSED", &["topic=spBv1.0/Plant/NCMD/Good "]),
];

const REFUSED: &[Told] = &[Told::it("COMMAND_REFUSED", &["topic=spBv1.0/Plant/NCMD/Good "])];

/// A command for the good node.
fn command(edge: &Edge, payload: Proto) -> Shot {
    edge.publish(good::topic("NCMD"), payload.done())
}

fn rebirth() -> Proto {
    payload(None, [typed("Node Control/Rebirth", Type::Boolean).int(14, 1)])
}

fn huge(edge: &Edge) -> Shot {
    command(edge, payload(None, texts(4_200_000)))
}

/// Something under the good node's own topic, which no host takes for what it says.
fn forged(edge: &Edge, verb: &str) -> Shot {
    edge.publish(good::topic(verb), payload(Some(0), [number("forged", 1)]).done())
}

pub(super) const ATTACKERS: &[Attacker] = &[
    Attacker::it("huge-command-qos0", |edge, step| once_in(10, step, || vec![huge(edge)]))
        .at(0)
        .told(TOO_LARGE),
    Attacker::it("huge-command-qos1", |edge, step| once_in(10, step, || vec![huge(edge)]))
        .told(TOO_LARGE),
    Attacker::it("huge-command-qos2", |edge, step| once_in(10, step, || vec![huge(edge)]))
        .at(2)
        .told(TOO_LARGE),
    Attacker::it("huge-command-stored", |edge, step| {
        once_in(10, step, || vec![huge(edge).retained()])
    })
    .before(|edge| vec![huge(edge).retained()])
    .told(TOO_LARGE),
    Attacker::it("commands", |edge, step| {
        let one = || payload(None, [number("Setpoint/Speed", step)]);
        (0..100).map(|_| command(edge, one())).collect()
    })
    .told(&[Told::it(
        "COMMAND_REFUSED",
        &["topic=spBv1.0/Plant/NCMD/Good ", "metrics=Setpoint/Speed"],
    )]),
    Attacker::it("commands-of-many-metrics", |edge, step| {
        once_in(2, step, || vec![command(edge, payload(None, numbers("m", 3_000)))])
    })
    .at(0)
    .told(REFUSED),
    Attacker::it("commands-of-odd-names", |edge, _| {
        let odd = "\u{1b}[31m\n2026-01-01T00:00:00Z ERROR it: FAILED\r\u{202e}";
        vec![command(edge, payload(None, [number(odd, 1), number(b"\xff\xfe", 1)]))]
    })
    .at(2)
    .told(REFUSED),
    Attacker::it("commands-that-are-garbage", |edge, _| {
        (0..100).map(|_| command(edge, Proto::new().raw(&[0xff; 40]))).collect()
    })
    .at(0)
    .told(REFUSED),
    Attacker::it("garbage-stored-as-a-command", |edge, step| {
        once_in(2, step, || vec![command(edge, Proto::new().raw(&[0xff; 40])).retained()])
    })
    .before(|edge| vec![command(edge, Proto::new().raw(&[0xff; 40])).retained()])
    .told(REFUSED),
    Attacker::it("rebirth-stored", |edge, step| {
        once_in(2, step, || vec![command(edge, rebirth()).retained(), command(edge, Proto::new())])
    })
    .before(|edge| vec![command(edge, rebirth()).retained()])
    .told(REFUSED)
    .asking_births(),
    Attacker::it("rebirths", |edge, _| (0..100).map(|_| command(edge, rebirth())).collect())
        .at(0)
        .told(&[Told::it("REBIRTH_ANSWERED", &["node=Plant/Good"])])
        .asking_births(),
    Attacker::it("rebirths-of-another", |edge, _| {
        let topic = "spBv1.0/Plant/NCMD/Other";
        (0..100).map(|_| edge.publish(topic, rebirth().done())).collect()
    })
    .told(&[Told::it("REBIRTH_ANSWERED", &["node=Plant/Other"])]),
    Attacker::it("rebirths-of-nobody", |edge, step| {
        let topic = |at: u64| format!("spBv1.0/Plant/NCMD/nobody{}", step * 100 + at);
        (0..100).map(|at| edge.publish(topic(at), rebirth().done())).collect()
    })
    .at(2)
    .untold(UNHEARD),
    Attacker::it("commands-that-are-compressed", |edge, _| {
        let bomb = payload(None, []).bytes(4, "SPBV1.0_COMPRESSED").bytes(5, [0x1f; 60_000]);
        vec![command(edge, bomb)]
    })
    .told(REFUSED),
    Attacker::it("device-commands", |edge, step| {
        let topic = |at: u64| format!("spBv1.0/Plant/DCMD/Good/D{at}");
        let one = || payload(None, [number("Setpoint", step)]).done();
        (0..100).map(|at| edge.publish(topic(at % 7), one())).collect()
    })
    .at(0)
    .told(&[Told::it("COMMAND_REFUSED", &["topic=spBv1.0/Plant/DCMD/Good/D"])]),
    Attacker::it("states", |edge, step| {
        let state = format!("{{\"online\":{},\"timestamp\":{step}}}", step % 2 == 0);
        let many = (0..50).map(|at| edge.publish(format!("spBv1.0/STATE/host{at}"), &state));
        let odd = [&b""[..], b"OFFLINE", b"{", &[b'['; 50_000]];
        let odd = odd.map(|state| edge.publish("spBv1.0/STATE/enterprise", state).retained());
        many.chain(odd).collect()
    })
    .untold("no primary host is configured, and so the relay isn't subscribed to STATE"),
    Attacker::it("forged-messages", |edge, _| {
        ["NBIRTH", "NDATA", "NDEATH"].map(|verb| forged(edge, verb)).to_vec()
    })
    .at(2)
    .untold(UNHEARD),
    Attacker::it("forged-messages-stored", |edge, step| {
        once_in(2, step, || {
            ["NBIRTH", "NDATA", "NDEATH"].map(|verb| forged(edge, verb).retained()).to_vec()
        })
    })
    .before(|edge| ["NBIRTH", "NDEATH"].map(|verb| forged(edge, verb).retained()).to_vec())
    .untold(UNHEARD),
    Attacker::it("forged-wills", |edge, _| {
        let client_id = format!("will-{}", edge.node);
        let will = Will {
            topic: good::topic("NDEATH"),
            payload: payload(None, [number("forged", 1)]).done(),
            retain: true,
        };
        let connect = Shot::Connect { client_id: client_id.clone(), will: Some(will) };
        vec![connect, Shot::Vanish { client_id }]
    })
    .untold(UNHEARD),
    Attacker::it("odd-command-topics", |edge, _| {
        let under = |topic: &str| edge.publish(topic, rebirth().done());
        vec![
            under("spBv1.0/Plant/NCMD/Good/D"),
            under("spBv1.0/Plant/NCMD/"),
            under("spBv1.0/Plant/DCMD/Good"),
            under("spBv1.0/Plant/DCMD/Good/a/b/c"),
            under("spBv1.0/Plant/DCMD/Good/\u{1b}[31m\u{202e}"),
            under("spBv1.0/Plant/NCMD/good"),
        ]
    })
    .untold(UNHEARD),
];

//! Cases that take more than one message.

use account::{Consequence, Refused};
use sparkplug::{DataType, Metric, Value};

use super::cases::{Case, Told, case, told, whole};
use super::rig::{Rig, Setup, bd_seq, delivery, int, text, topic, typed};

/// Of three values in a row the last one follows, and the one in the middle is dropped.
pub fn newer_take_its_place(policy: &'static str) -> Vec<Told> {
    let act = |rig: &mut Rig| {
        for value in [2_001, 2_002, 2_003] {
            rig.say("NDATA", "E", vec![int("a", value)]);
        }
    };
    let case = case(Refused::Value, "E", act).under(policy);
    Case { now: &[("E", "a", 2_003)], ..case }.told()
}

/// Data that comes when nothing is let through any more.
pub fn too_often(policy: &'static str) -> Vec<Told> {
    let say = |rig: &mut Rig, value| rig.say("NDATA", "E", vec![int("a", value)]);
    let before = move |rig: &mut Rig| (2_001..2_005).for_each(|value| say(rig, value));
    case(Refused::Data, "E", move |rig| say(rig, 2_010)).under(policy).behind(before).told()
}

/// A message with which the half was ended twice. Anything else is as it was: the plant is born
/// anew after the ends.
pub fn set_aside() -> Vec<Told> {
    let message = |verb: &str, who: &str| delivery(&topic(verb, who), b"set aside".to_vec());
    let mut all = Vec::new();
    for case in whole(|_, _, _| {}) {
        let who = case.of;
        let verb = match (case.refused, who) {
            (Refused::Birth, "E") => "NBIRTH",
            (Refused::Birth, _) => "DBIRTH",
            (Refused::Death, "E") => "NDEATH",
            (Refused::Death, _) => "DDEATH",
            (_, "E") => "NDATA",
            _ => "DDATA",
        };
        let before = move |rig: &mut Rig| {
            rig.kill_ot_with(message(verb, who));
            rig.kill_ot_with(message(verb, who));
            rig.bear_anew();
        };
        let act = move |rig: &mut Rig| {
            rig.lose("E");
            rig.deliver(message(verb, who));
        };
        all.push(Case { act: Box::new(act), ..case.behind(before) });
    }
    // On IT nobody knows what the frame said, until a keyframe says how the node is.
    let on_it = |refused, verb: &'static str, who, metrics: fn() -> Vec<Metric>| {
        let act = move |rig: &mut Rig| {
            let payload = rig.payload(verb, who, metrics());
            rig.kill_it_with(delivery(&topic(verb, who), payload));
        };
        let follows = Some(Consequence::Doubted);
        Case { follows, is_brief: true, ..case(refused, who, act) }
    };
    all.extend([
        on_it(Refused::Birth, "NBIRTH", "E", || vec![int("a", 2_001), bd_seq(1)]),
        on_it(Refused::Birth, "DBIRTH", "E/D", || vec![int("c", 2_001), text("t", "v2002")]),
        on_it(Refused::Data, "NDATA", "E", || vec![int("a", 2_001)]),
        on_it(Refused::Data, "DDATA", "E/D", || vec![int("c", 2_001)]),
        on_it(Refused::Death, "NDEATH", "E", || vec![bd_seq(0)]),
        on_it(Refused::Death, "DDEATH", "E/D", Vec::new),
    ]);
    let mut all = told(all);
    all.push(Told::Never(Refused::Value, "a message is set aside as a whole"));
    all
}

/// History of a metric whose name is long, by its alias: what is written for an edge node is bounded
/// by what came from it.
pub fn amplification() -> Vec<Told> {
    fn long() -> Metric {
        Metric { alias: Some(7), ..typed(&"n".repeat(1_000), DataType::Int32, Value::Int(1_101)) }
    }
    let act = |rig: &mut Rig| {
        for _ in 0..20 {
            let old = Metric {
                alias: Some(7),
                is_historical: Some(true),
                value: Some(Value::Int(9)),
                ..Metric::default()
            };
            rig.say("NDATA", "E", vec![old; 150]);
        }
    };
    let setup = Setup { more: || vec![long()], ..Setup::PLAIN };
    case(Refused::Value, "E", act).with(setup).told()
}

/// A death of a device that comes long after the birth that was sent behind it.
pub fn late() -> Vec<Told> {
    let before = |rig: &mut Rig| {
        rig.lose("E");
        rig.say("DBIRTH", "E/D", vec![int("c", 1_003), text("t", "v1004")]);
        rig.pass(3_000);
    };
    let act = |rig: &mut Rig| {
        let seq = rig.last_seq("E").wrapping_sub(1);
        let payload = sparkplug::Payload {
            // Sent before that birth, by number and time.
            timestamp: Some(rig.now.wall_ms - 3_500),
            seq: Some(seq.into()),
            ..sparkplug::Payload::default()
        };
        rig.say_bytes("DDEATH", "E/D", prost::Message::encode_to_vec(&payload));
    };
    case(Refused::Death, "E/D", act).behind(before).told()
}

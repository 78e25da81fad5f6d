//! What IT hosts send: rebirth requests are answered locally, everything else is refused, and
//! nothing of it is ever seen on OT.

use sparkplug::Value;

use crate::checker::Excuse;
use crate::client::Client;
use crate::metrics::{command, int, rebirth_command, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_edge::{COUNTER, SradEdge};
use crate::peers::srad_host::SradHost;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig};

#[test]
fn a_rebirth_request_is_answered_locally_with_current_values() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let edge = SradEdge::start(rig.ot_address(), "Plant", "Srad");
    edge.data(41);
    edge.data(42);
    rig.wait_for_value("Plant/Srad/Press", COUNTER, 42);
    let of_plant = rig.ot.count("spBv1.0/Plant/NBIRTH/Srad");
    let births = rig.it.count("spBv1.0/Plant/NBIRTH/Srad");

    let host = SradHost::start(rig.it_address(), "enterprise");
    host.ask_rebirth("Plant", "Srad");
    rig.wait_for("spBv1.0/Plant/DBIRTH/Srad/Press", births + 1);
    host.wait_for("Plant/Srad", COUNTER, 42);
    host.wait_for("Plant/Srad/Press", COUNTER, 42);

    edge.data(43);
    host.wait_for("Plant/Srad/Press", COUNTER, 43);
    assert_eq!(rig.ot.count("spBv1.0/Plant/NBIRTH/Srad"), of_plant, "the plant was bothered");
    rig.no_command_on_ot();
    rig.judge(Excuse::default());
}

#[test]
fn commands_other_than_rebirth_are_refused_and_never_reach_ot() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    edge.dbirth("D", &[int("setpoint", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/DBIRTH/E/D", 1);

    let mut attacker = Client::plain(rig.it_address(), "attacker");
    let mut send = |topic: &str, payload: Vec<u8>, retain: bool| {
        attacker.publish(topic, payload, 1, retain).unwrap();
    };
    send("spBv1.0/Plant/DCMD/E/D", command("setpoint", Value::Int(9_000)), false);
    rig.relay.wait_for_log(Half::It, &["refused", "DCMD"]);
    send("spBv1.0/Plant/NCMD/E", command("count", Value::Int(9_000)), false);
    rig.relay.wait_for_log(Half::It, &["refused", "NCMD"]);
    send("spBv1.0/Plant/NCMD/E", vec![0xff; 40], false);
    send("spBv1.0/Plant/NCMD/E", command("Node Control/Rebirth", Value::Boolean(false)), false);

    // None of them is a reason for anything on the IT side either.
    edge.ddata("D", &[untyped(int("setpoint", 2))]).unwrap();
    rig.wait_for_value("Plant/E/D", "setpoint", 2);
    assert_eq!(rig.it.count("spBv1.0/Plant/NBIRTH/E"), 1);
    rig.no_command_on_ot();
    for (path, bytes) in rig.relay.journal() {
        assert!(!contains(&bytes, b"CMD"), "a command in {}", path.display());
    }
    rig.judge(Excuse::default());
}

#[test]
fn a_retained_rebirth_request_is_no_request() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut attacker = Client::plain(rig.it_address(), "attacker");
    attacker.publish("spBv1.0/Plant/NCMD/E", rebirth_command(), 1, true).unwrap();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.relay.wait_for_log(Half::It, &["refused", "retained"]);
    edge.ndata(&[untyped(int("count", 2))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 2);
    assert_eq!(rig.it.count("spBv1.0/Plant/NBIRTH/E"), 1);
    rig.no_command_on_ot();
}

#[test]
fn a_burst_of_rebirth_requests_is_answered_few_times() {
    const REQUESTS: usize = 200;
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    let mut host = Client::plain(rig.it_address(), "host");
    for _ in 0..REQUESTS {
        host.publish("spBv1.0/Plant/NCMD/E", rebirth_command(), 1, false).unwrap();
    }
    rig.wait_for("spBv1.0/Plant/NCMD/E", REQUESTS);
    edge.ndata(&[untyped(int("count", 2))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 2);
    let births = rig.it.count("spBv1.0/Plant/NBIRTH/E");
    assert!(births < 10, "{births} births for {REQUESTS} requests");
    rig.judge(Excuse::default());
}

pub(super) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

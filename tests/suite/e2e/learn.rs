//! `sparkdiode policy learn`: from a broker, and a second time from what was recorded.

use std::fs;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sparkplug::{DataType, Value};

use super::capture::SUBSCRIPTIONS;
use crate::metrics::{int, metric, string, untyped};
use crate::packet::Packet;
use crate::peers::raw_edge::RawEdge;
use crate::rig::{EVERYTHING, Rig};
use crate::waiting::wait_until;
use crate::wire::{Proxy, ot_guard};

fn said(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr[..]].concat()).unwrap()
}

#[test]
fn a_draft_is_learnt_from_the_broker_and_a_second_run_finds_what_is_new() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let proxy = Proxy::start(rig.ot_address());
    let config = fs::read_to_string(rig.relay.path("ot.toml")).unwrap();
    let config = config.replace(&rig.ot_proxy.address.to_string(), &proxy.address.to_string());
    fs::write(rig.relay.path("watch.toml"), config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
        .args(["policy", "learn", "--config", "watch.toml", "-o", "draft.toml"])
        .args(["--keep-capture", "plant.capture"])
        .current_dir(rig.relay.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let received =
        |wanted: fn(&Packet) -> bool| proxy.count(|record| record.received().is_some_and(wanted));
    wait_until("it has subscribed", || {
        received(|packet| matches!(packet, Packet::SubAck { .. })) == SUBSCRIPTIONS
    });
    let mut edges: Vec<RawEdge> = ["Line1", "Line2"]
        .iter()
        .map(|node| RawEdge::connect(rig.ot_address(), "Plant", node))
        .collect();
    let temperature = |value: f32| metric("Temperature/Oil", DataType::Float, Value::Float(value));
    for edge in &mut edges {
        edge.nbirth(&[int("Count", 1), temperature(60.0), string("Recipe/Name", "secret sauce")])
            .unwrap();
        edge.dbirth("Oven", &[temperature(200.0)]).unwrap();
        for value in 0..12_u8 {
            let reading = untyped(temperature(60.0 + f32::from(value)));
            edge.ndata(&[reading, untyped(int("Count", u32::from(value)))]).unwrap();
        }
    }
    wait_until("all of it has come", || {
        received(|packet| matches!(packet, Packet::Publish(_))) == 2 * 14
    });
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = said(&output);
    assert!(text.contains("proposed     2 rules for 6 metrics"), "{text}");
    assert!(text.contains("to decide    1 rule for 2 metrics"), "{text}");
    assert!(text.contains("of 6 of these metrics cross; nothing else does"), "{text}");
    // It published nothing, and left nothing at the broker.
    let findings = ot_guard(&proxy.records());
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].ends_with("CONNECT with a clean session"), "{findings:?}");

    let draft = fs::read_to_string(rig.relay.path("draft.toml")).unwrap();
    assert!(draft.contains("edge-node = [\"Line1\", \"Line2\"]"), "{draft}");
    assert!(draft.contains("#\"Recipe/Name\""), "{draft}");
    assert!(!draft.contains("secret sauce"), "{draft}");
    let tested = rig.relay.run(&["policy", "test", "--strict", "draft.toml"]);
    assert_eq!(tested.status.code(), Some(0), "{tested:?}");

    // The recipe is still to be decided on; what crosses already isn't proposed again.
    let arguments = ["policy", "learn", "--capture", "plant.capture", "--policy", "draft.toml"];
    let again = rig.relay.run(&[&arguments[..], &["-o", "new.toml"]].concat());
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    let text = said(&again);
    assert!(text.contains("proposed     0 rules for 0 metrics"), "{text}");
    assert!(text.contains("left out     6 metrics cross already, 0 are denied"), "{text}");

    // Never over a file that is there.
    let over = rig.relay.run(&[&arguments[..], &["-o", "draft.toml"]].concat());
    assert_eq!(over.status.code(), Some(74), "{over:?}");
    assert_eq!(fs::read_to_string(rig.relay.path("draft.toml")).unwrap(), draft);
}

#[test]
fn without_a_birth_nothing_is_learnt_and_the_error_says_what_helps() {
    let Some(rig) = Rig::prepare(EVERYTHING, &crate::rig::Variation::default()) else { return };
    let capture = "{\"sparkdiode-capture\":1}\n\
                   {\"at_ms\":1,\"topic\":\"spBv1.0/G/NDATA/E\",\"payload\":\"CAE=\"}\n";
    fs::write(rig.relay.path("a.capture"), capture).unwrap();
    let learnt = rig.relay.run(&["policy", "learn", "--capture", "a.capture", "-o", "d.toml"]);
    assert_eq!(learnt.status.code(), Some(65), "{learnt:?}");
    let text = said(&learnt);
    assert!(text.contains("no birth was seen of 1 edge node, such as G/E"), "{text}");
    assert!(!rig.relay.path("d.toml").exists());
}

//! What a half was ended with twice is set aside by a half that runs; and what edge nodes with numbers
//! that are no sequence have told.

use std::fs;

use journal_format::Body;
use journal_read::{From, Item, Reader};
use prost::Message;
use sparkplug::Payload;
use state::{Leave, StateDir, WorkId};
use telemetry::Event;

use crate::checker::Excuse;
use crate::metrics::{int, number, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig};
use crate::waiting::{now_ms, wait_until};

const DATA: &str = "spBv1.0/Plant/NDATA/E";

/// The frames that relay data.
fn data_frames(rig: &Rig) -> Vec<WorkId> {
    let mut reader = Reader::open(&rig.relay.path("journal"), From::Oldest).unwrap();
    let mut frames = Vec::new();
    while let Some(item) = reader.next_settled().unwrap() {
        if let Item::Frame(frame) = item
            && let Some(Body::Relayed(relayed)) = frame.body
            && relayed.topic == DATA
        {
            frames.push(WorkId(frame.epoch, frame.seq));
        }
    }
    frames
}

#[test]
fn a_frame_with_which_the_half_was_ended_twice_is_set_aside_and_the_others_come() {
    const VALUES: u32 = 20;
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 0)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    rig.relay.kill(Half::It);
    for value in 1..=VALUES {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
    }
    wait_until("the journal has all", || data_frames(&rig).len() == VALUES as usize);
    let bad = data_frames(&rig)[9];
    for _ in 0..2 {
        // As a half leaves it that is ended while it works on this frame.
        let state = StateDir::open(&rig.relay.path("it-state")).unwrap();
        let mut in_work = state.in_work().unwrap();
        assert_eq!(in_work.begin(bad, 1, std::iter::empty()), Leave::Work);
    }
    rig.relay.start(Half::It);
    let seq = format!("seq={}", bad.1);
    let words = ["topic=spBv1.0/Plant/NDATA/E", &seq, "set-aside.capture"];
    rig.relay.wait_for_event(Half::It, Event::SetAside, &words);
    edge.ndata(&[untyped(int("count", VALUES + 1))]).unwrap();
    wait_until("the last value is on IT", || {
        // With the births, if they come late.
        let births = rig.it.payloads("spBv1.0/Plant/NBIRTH/E");
        let payloads = rig.it.payloads(DATA).into_iter().chain(births);
        payloads.flat_map(|one| one.metrics).any(|metric| number(&metric) == Some(21))
    });
    let kept = fs::read_to_string(rig.relay.path("it-state/set-aside.capture")).unwrap();
    assert_eq!(kept.lines().count(), 3, "header, note and message: {kept}");
    let explained = rig.relay.run(&[
        "policy",
        "explain",
        "--policy",
        "policies/policy.toml",
        "--capture",
        "it-state/set-aside.capture",
    ]);
    assert!(explained.status.success(), "{explained:?}");
    rig.judge(Excuse { kills: true });
}

#[test]
fn numbers_that_are_no_sequence_are_told_in_words() {
    let Some(rig) = Rig::start(EVERYTHING) else { return };
    let mut at_ms = now_ms();
    let mut send = |edge: &mut RawEdge, seq: u64, value: u32| {
        at_ms += 1;
        let metrics = vec![untyped(int("count", value))];
        let (timestamp, seq) = (Some(at_ms), Some(seq));
        let payload = Payload { timestamp, metrics, seq, ..Payload::default() };
        edge.publish(&edge.topic("NDATA", None), payload.encode_to_vec(), false);
    };
    let mut still = RawEdge::connect(rig.ot_address(), "Plant", "Still");
    still.nbirth(&[int("count", 0)]).unwrap();
    let mut twice = RawEdge::connect(rig.ot_address(), "Plant", "Twice");
    twice.nbirth(&[int("count", 0)]).unwrap();
    let mut pairs = RawEdge::connect(rig.ot_address(), "Plant", "Pairs");
    pairs.nbirth(&[int("count", 0)]).unwrap();
    for value in 1..=40_u32 {
        let seq = u64::from(value);
        send(&mut still, 0, value);
        send(&mut twice, seq, value);
        send(&mut twice, (seq + 100) % 256, 1_000 + value);
        send(&mut pairs, seq, value);
        send(&mut pairs, seq, 1_000 + value);
    }
    let relay = &rig.relay;
    relay.wait_for_event(Half::Ot, Event::SeqNotCounted, &["node=Plant/Still", "seq=0"]);
    relay.wait_for_event(Half::Ot, Event::NameShared, &["node=Plant/Twice", "two publishers"]);
    relay.wait_for_event(Half::Ot, Event::SeqRepeats, &["node=Plant/Pairs"]);
    let log = relay.log(Half::Ot);
    for event in [Event::SeqNotCounted, Event::NameShared, Event::SeqRepeats] {
        assert_eq!(log.matches(&format!(": {} ", event.msgid())).count(), 1, "{log}");
    }
}

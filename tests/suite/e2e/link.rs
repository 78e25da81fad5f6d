//! The relay over two boxes: plant → `ot` → `send` ══ UDP ══> `receive` → `it` → hosts.

use rustix::process::Signal;
use sparkplug::Metric;
use telemetry::Event;

use crate::checker::Excuse;
use crate::metrics::{int, number, string, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::two_boxes::{End, TwoBoxes};
use crate::waiting::wait_until;

/// A plant with one node that has sent `count` = 1, which is on IT.
fn start(rig: &mut Rig, two_boxes: &mut TwoBoxes) -> RawEdge {
    rig.relay.ask_for_rights();
    rig.start_ot();
    two_boxes.start_both();
    rig.relay.start(Half::It);
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.qos = 1;
    edge.nbirth(&[int("count", 1), string("text", "")]).unwrap();
    wait_until("the node is on IT", || rig.it.current("Plant/E", "count") == Some(1));
    edge
}

/// Values that came, as history or live.
fn values(rig: &Rig, is_wanted: impl Fn(&Metric) -> bool) -> Vec<u64> {
    let payloads = rig.it.payloads("spBv1.0/Plant/NDATA/E");
    let metrics = payloads.iter().flat_map(|payload| &payload.metrics);
    metrics.filter(|metric| is_wanted(metric)).filter_map(number).collect()
}

/// Values that came as history.
fn history(rig: &Rig) -> Vec<u64> {
    values(rig, Metric::is_historical)
}

#[test]
fn a_plant_is_on_it_over_two_boxes_through_kills_and_a_cut_and_strangers_change_nothing() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let mut two_boxes = TwoBoxes::between(&rig.relay, 1);
    let mut edge = start(&mut rig, &mut two_boxes);
    two_boxes.wait_for_event(End::Send, Event::LinkSession, &["session=", "key="]);
    two_boxes.wait_for_event(End::Receive, Event::LinkSession, &["session="]);

    // Either end is killed while values come, and nothing is lost or there twice.
    for kill in 0..10_u32 {
        for step in 0..20 {
            edge.ndata(&[untyped(int("count", 100 + kill * 20 + step))]).unwrap();
        }
        let end = if kill % 2 == 0 { End::Receive } else { End::Send };
        two_boxes.kill(end);
        two_boxes.start(end);
    }
    edge.ndata(&[untyped(int("count", 1_000))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 1_000);
    two_boxes.wait_until_equal();

    // Who isn't of this link, and who repeats what he has heard, is told and has no effect.
    let recorded = two_boxes.cables[0].heard();
    for datagram in &recorded {
        two_boxes.cables[0].say(datagram);
    }
    two_boxes.wait_for_event(End::Receive, Event::LinkReplay, &["cause=old_session"]);
    two_boxes.cables[0].say(b"who is there?");
    let mut forged = recorded[0].clone();
    *forged.last_mut().unwrap() ^= 1;
    two_boxes.cables[0].say(&forged);
    two_boxes.wait_for_event(End::Receive, Event::LinkForeign, &["cause=length"]);
    two_boxes.wait_for_event(End::Receive, Event::LinkForeign, &["cause=forged datagrams=1"]);
    wait_until("health tells of them", || {
        let told = two_boxes.status(End::Receive, "/health/reasons");
        told.is_some_and(|told| told.to_string().contains("not of this link"))
    });

    // The cable is out: what was missed comes, and nothing is set back.
    two_boxes.cables[0].cut(true);
    for value in 2_000..2_005 {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
    }
    two_boxes.wait_for_event(End::Receive, Event::LinkSilent, &["silent_ms="]);
    wait_until("health tells of the silence", || {
        let told = two_boxes.status(End::Receive, "/health/reasons/0");
        told.is_some_and(|told| {
            told.to_string().contains("receive: no sign of life from the sender for ")
        })
    });
    two_boxes.cables[0].cut(false);
    two_boxes.wait_for_event(End::Receive, Event::LinkBack, &["lasted_s="]);
    edge.ndata(&[untyped(int("count", 3_000))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 3_000);
    two_boxes.wait_until_equal();
    // As history, or as what comes next, if the second pass was there before anything new.
    wait_until("what was missed is on IT", || {
        (2_000..2_005).all(|value| values(&rig, |_| true).contains(&value))
    });
    assert_eq!(rig.it.current("Plant/E", "count"), Some(3_000), "nothing was set back");

    // Both end in good order, and tell what they did; what comes meanwhile crosses afterwards.
    for end in [End::Send, End::Receive] {
        assert_eq!(two_boxes.terminate(end).code(), Some(0), "{}", two_boxes.log(end));
        two_boxes.wait_for_event(end, Event::LinkSummary, &["health="]);
        two_boxes.wait_for_event(end, Event::Stopped, &[]);
        let summaries = two_boxes.log(end).matches(": LINK_SUMMARY ").count();
        assert!(summaries == 1, "{summaries} summaries of {end:?}");
        let (text, code) = two_boxes.run(&["status", &format!("{}.toml", end.name())]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("END OF A LINK") && text.contains(" frames "), "{text}");
    }
    edge.ndata(&[untyped(int("count", 4_000))]).unwrap();
    two_boxes.start_both();
    rig.wait_for_value("Plant/E", "count", 4_000);
    two_boxes.wait_until_equal();
    assert!(!two_boxes.log(End::Receive).contains(" LINK_LOSS "), "nothing was lost for good");
    rig.no_command_on_ot();
    rig.judge(Excuse::default());
}

#[test]
fn what_the_second_pass_does_not_bring_is_told_with_its_numbers_and_an_operator_has_it_sent_again()
{
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let mut two_boxes = TwoBoxes::between(&rig.relay, 1);
    // Nothing goes again by itself.
    two_boxes.write_send("", "share-percent = 0");
    let mut edge = start(&mut rig, &mut two_boxes);
    two_boxes.cables[0].cut(true);
    for value in 2..7 {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
    }
    wait_until("the last one has been sent", || {
        let (cat, _) = two_boxes.run(&["journal", "cat", "--json", "journal"]);
        let frames = two_boxes.status(End::Send, "/send/journal_seq");
        let last = cat.lines().count() as u64;
        cat.contains("\"value\":6}") && frames.and_then(|seq| seq.as_u64()) > Some(last)
    });
    two_boxes.wait_for_event(End::Receive, Event::LinkSilent, &[]);
    two_boxes.cables[0].cut(false);
    edge.ndata(&[untyped(int("count", 7))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 7);
    let lost = two_boxes.wait_for_event(End::Receive, Event::LinkLoss, &["first=", "last="]);
    let field = |name: &str| -> u64 {
        let value = lost.split(&format!(" {name}=")).nth(1).unwrap();
        value.split(' ').next().unwrap().trim().parse().unwrap()
    };
    let (first, last) = (field("first"), field("last"));
    assert_eq!(field("frames"), last - first + 1);
    wait_until("health tells of it", || {
        let told = two_boxes.status(End::Receive, "/health/reasons");
        told.is_some_and(|told| told.to_string().contains(" lost, the last ones "))
    });
    wait_until("the IT half knows of it, by the journal", || {
        let status = std::fs::read(rig.relay.path("it-state/status.json")).unwrap();
        let status: serde_json::Value = serde_json::from_slice(&status).unwrap_or_default();
        let ends = &status["it"]["ends"];
        ends["frames_lost"].as_u64() >= Some(last - first + 1)
            && ends["is_silent"] == false
            && ends["paths"][0]["name"] == "p0"
    });
    let (text, code) = two_boxes.run(&["journal", "verify", "--against", "journal", "received"]);
    assert_eq!(code, Some(65), "{text}");

    // Who isn't allowed to put a request there is not listened to; nonsense is told.
    std::fs::write(two_boxes.path("send-state/resend.request"), "all of it\n").unwrap();
    two_boxes.wait_for_event(End::Send, Event::LinkResendRefused, &["error="]);
    // Signs of life of the OT half that were lost at the end of the cut may be another stretch.
    let (from, to) = (first.to_string(), (last + 5).to_string());
    let resend = ["resend", "--config", "send.toml", "--from", &from, "--to", &to];
    let (text, code) = two_boxes.run(&resend);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("taken up: frames "), "{text}");
    two_boxes.wait_for_event(End::Send, Event::LinkResend, &[&format!("first={first} last={to}")]);
    two_boxes.wait_until_equal();
    wait_until("it is history", || history(&rig).len() >= 5);
    assert_eq!(history(&rig), [2, 3, 4, 5, 6]);
    wait_until("health has nothing more to tell", || {
        two_boxes.status(End::Receive, "/health/level") == Some("ok".into())
    });
    rig.judge(Excuse::default());
}

#[test]
fn either_of_two_paths_is_enough_keys_are_changed_and_what_is_odd_is_told() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let mut two_boxes = TwoBoxes::between(&rig.relay, 2);
    two_boxes
        .write_receive("receive-buffer-bytes = 65536\nmax-frame-bytes = 65536", "reorder-ms = 40");
    let mut edge = start(&mut rig, &mut two_boxes);
    two_boxes.wait_for_event(
        End::Receive,
        Event::LinkReorderShort,
        &["reorder_ms=40 needed_ms=40"],
    );
    for turn in 0..6_u32 {
        let path = usize::try_from(turn % 2).unwrap();
        two_boxes.cables[path].cut(true);
        let name = format!("path=p{path}");
        if turn < 2 {
            two_boxes.wait_for_event(End::Receive, Event::PathDown, &[&name]);
        }
        edge.ndata(&[untyped(int("count", 10 + turn))]).unwrap();
        rig.wait_for_value("Plant/E", "count", u64::from(10 + turn));
        two_boxes.cables[path].cut(false);
        if turn < 2 {
            two_boxes.wait_for_event(End::Receive, Event::PathUp, &[&name, "lasted_s="]);
        }
    }
    two_boxes.wait_until_equal();

    // Another key: both, then the new one, then that alone.
    two_boxes.write_key(End::Receive, "second.key", 11);
    let second = two_boxes.path("receive-second.key");
    let second = format!("second-key-file = \"{}\"", second.display());
    assert_eq!(two_boxes.terminate(End::Receive).code(), Some(0));
    two_boxes.write_receive(&second, "");
    two_boxes.start(End::Receive);
    two_boxes.write_key(End::Send, "link.key", 11);
    two_boxes.signal(End::Send, Signal::HUP);
    edge.ndata(&[untyped(int("count", 20))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 20);
    two_boxes.write_key(End::Receive, "link.key", 13);
    two_boxes.signal(End::Receive, Signal::HUP);
    let keys = two_boxes.wait_for_event(End::Receive, Event::LinkKeys, &["keys="]);
    assert_eq!(keys.split("keys=").nth(1).unwrap().split_whitespace().count(), 2, "{keys}");
    edge.ndata(&[untyped(int("count", 21))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 21);

    // A frame that is too large for the other box, a buffer that is smaller than it should be, and one
    // that is full.
    assert_eq!(two_boxes.terminate(End::Receive).code(), Some(0));
    let odd = format!("{second}\nreceive-buffer-bytes = 1073741824\nmax-frame-bytes = 65536");
    two_boxes.write_receive(&odd, "");
    two_boxes.start(End::Receive);
    two_boxes.wait_for_event(End::Receive, Event::LinkBufferSmall, &["wanted=1073741824"]);
    edge.ndata(&[untyped(string("text", &"x".repeat(100_000)))]).unwrap();
    let refused = "reason=too_large";
    two_boxes.wait_for_event(End::Receive, Event::LinkFramesRefused, &[refused]);
    assert_eq!(two_boxes.terminate(End::Receive).code(), Some(0));
    two_boxes.write_receive(&format!("{second}\nreceive-buffer-bytes = 65536"), "");
    two_boxes.start(End::Receive);
    let ready = || two_boxes.log(End::Receive).matches(": STARTED ").count() == 4;
    wait_until("it runs", ready);
    two_boxes.signal(End::Receive, Signal::STOP);
    for _ in 0..2_000 {
        two_boxes.cables[0].say(&[0; 1_000]);
    }
    two_boxes.signal(End::Receive, Signal::CONT);
    two_boxes.wait_for_event(End::Receive, Event::LinkOverflow, &["path=p0"]);

    // A path that leads nowhere harms none of the others.
    assert_eq!(two_boxes.terminate(End::Send).code(), Some(0));
    let nowhere = "share-percent = 50\nafter-s = 1\n[[path]]\nname = \"nowhere\"\nto = \"192.0.2.1:4711\"\n\
                   from = \"127.0.0.1\"";
    two_boxes.write_send("", nowhere);
    two_boxes.start(End::Send);
    two_boxes.wait_for_event(End::Send, Event::PathRefused, &["path=nowhere", "error="]);
    edge.ndata(&[untyped(int("count", 22))]).unwrap();
    rig.wait_for_value("Plant/E", "count", 22);
    two_boxes.wait_until_equal();
    rig.judge(Excuse::default());
}

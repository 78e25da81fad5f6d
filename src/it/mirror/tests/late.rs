//! Frames that were lost on a link between two boxes and came late: what they say is history.

use std::time::Duration;

use journal_format::{Body, Frame, Heartbeat, Relayed, Start};
use journal_read::{Item, Lost, LostCause};
use prost::Message;
use sparkplug::{Metric, Payload};

use super::world::{WALL, World, bd_seq, data, keyframe, metric, plant, settings};
use crate::mirror::{MirrorSettings, Notice};

/// The link loses a frame; its number.
fn lose(world: &mut World, body: Body) -> u64 {
    let seq = world.frames.len() as u64;
    world.frames.push(body);
    world.read += 1;
    world.lost.insert(seq);
    let lost = Lost { first: seq, last: seq, cause: LostCause::Link };
    world.mirror.handle_item(world.now, Item::Lost(lost));
    world.carry_out();
    seq
}

fn message(topic: &str, metrics: Vec<Metric>) -> Body {
    let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
    Body::Relayed(Relayed {
        source: "plant".into(),
        topic: topic.into(),
        payload: payload.encode_to_vec(),
        received_ms: WALL,
        ..Relayed::default()
    })
}

fn lose_data(world: &mut World, value: u64) -> u64 {
    lose(world, message("spBv1.0/g/NDATA/e", data(vec![metric("a", value)])))
}

/// The frame comes after all.
fn late(world: &mut World, seq: u64) {
    let frame = Frame {
        seq,
        epoch: 1,
        appended_ms: world.now.wall_ms,
        body: Some(world.frames[seq as usize].clone()),
        in_head: false,
        layout: None,
    };
    world.late.push((world.mirror.position().1 - 1, frame.clone()));
    world.mirror.handle_item(world.now, Item::Late(frame));
    world.carry_out();
}

fn live(settings: MirrorSettings) -> World {
    let mut world = World::live(settings);
    plant(&mut world);
    world.pass_alive(Duration::from_secs(5));
    world
}

#[test]
fn late_data_is_history_once_and_never_over_a_newer_value() {
    let mut world = live(settings());
    let lost: Vec<u64> = (2..5).map(|value| lose_data(&mut world, value)).collect();
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 5)]), false);
    world.append(keyframe(5, 1, false, 0));
    for seq in lost {
        late(&mut world, seq);
    }
    world.pass_alive(Duration::from_secs(10));
    assert_eq!(world.host.live["g/e/:a"], [1, 5]);
    assert_eq!(world.host.historical["g/e/:a"], [2, 3, 4]);
    assert_eq!((world.mirror.tally().late, world.mirror.tally().frames_lost), (3, 3));
    let told: Vec<&Notice> =
        world.notices.iter().filter(|notice| matches!(notice, Notice::LateFrames { .. })).collect();
    let first = *world.lost.first().unwrap();
    let wanted = Notice::LateFrames { first, last: first + 2, frames: 3, used: 3 };
    assert_eq!(told, [&wanted], "told together");
    world.mirror.check_account().unwrap();
    // What hosts hold already isn't sent again.
    let same = lose_data(&mut world, 5);
    world.append(keyframe(5, 1, false, 0));
    late(&mut world, same);
    assert_eq!(world.host.historical["g/e/:a"].len(), 3);
}

#[test]
fn late_births_and_deaths_set_nothing_back() {
    let mut world = live(settings());
    let birth = vec![bd_seq(3), metric("a", 2), metric("old", 2)];
    let lost = [
        message("spBv1.0/g/NDEATH/e", vec![bd_seq(4)]),
        message("spBv1.0/g/NBIRTH/e", birth),
        message("spBv1.0/g/DDEATH/e/d", vec![]),
        message("spBv1.0/g/DBIRTH/e/other", vec![metric("y", 1)]),
        keyframe(7, 7, true, 9),
    ]
    .map(|body| lose(&mut world, body));
    world.append(keyframe(1, 1, false, 0));
    let births = world.host.births;
    for seq in lost {
        late(&mut world, seq);
    }
    world.pass_alive(Duration::from_secs(10));
    assert_eq!(world.host.births, births, "born anew by what was");
    assert!(world.host.nodes["g/e"].online && world.host.nodes["g/e"].born.contains_key("d"));
    assert!(!world.host.nodes["g/e"].born.contains_key("other"));
    assert_eq!(world.host.live["g/e/:a"], [1]);
    assert_eq!(world.host.historical["g/e/:a"], [2], "the values of the birth are history");
    assert_eq!(world.mirror.tally().unplaceable, 1, "a device that nobody knows");
    assert_eq!(world.mirror.tally().gaps, 0);
    world.mirror.check_account().unwrap();
}

#[test]
fn late_frames_are_no_sign_of_life() {
    let mut world = live(settings());
    let lost: Vec<u64> = (0..30)
        .map(|value| match value % 2 {
            0 => lose_data(&mut world, 100 + value),
            _ => lose(&mut world, Body::Heartbeat(Heartbeat::default())),
        })
        .collect();
    world.append(keyframe(1, 1, false, 0));
    for seq in lost {
        late(&mut world, seq);
        world.pass(Duration::from_secs(1));
    }
    assert!(!world.host.nodes["g/e"].online, "late frames look alive");
    assert!(world.notices.iter().any(|notice| matches!(notice, Notice::LinkStale { .. })));
    assert_eq!(world.mirror.silence(world.now), "no sign of life from the OT half");
}

#[test]
fn what_came_late_while_it_was_away_is_read_again() {
    let mut world = live(settings());
    let lost: Vec<u64> = (2..6).map(|value| lose_data(&mut world, value)).collect();
    world.append(keyframe(1, 1, false, 0));
    // The broker goes while the first is on its way, and stays away for the second.
    world.black_hole = true;
    late(&mut world, lost[0]);
    world.black_hole = false;
    world.broker_up = false;
    world.break_sessions();
    late(&mut world, lost[1]);
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 6)]), false);
    late(&mut world, lost[2]);
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(20));
    late(&mut world, lost[3]);
    world.pass_alive(Duration::from_secs(5));
    let mut history = world.host.historical["g/e/:a"].clone();
    history.sort_unstable();
    assert_eq!(history, [2, 3, 4, 5]);
    assert_eq!(world.host.live["g/e/:a"].last(), Some(&6));
}

/// A barrier that was on its way when a late frame was published says nothing of it, though the
/// frame before it is covered.
#[test]
fn what_came_late_behind_a_barrier_is_not_confirmed_by_it() {
    let mut world = live(settings());
    let lost = lose_data(&mut world, 2);
    world.append(keyframe(1, 1, false, 0));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 3)]), false);
    let id = *world.sessions.keys().next().unwrap();
    // The barrier is asked for, and isn't answered yet.
    world.black_hole = true;
    world.pass(Duration::from_secs(3));
    late(&mut world, lost);
    world.event(id, crate::mirror::SessionEvent::Confirmed);
    world.carry_out();
    world.black_hole = false;
    world.break_sessions();
    world.pass_alive(Duration::from_secs(20));
    assert_eq!(world.host.historical["g/e/:a"], [2]);
}

#[test]
fn a_mark_of_a_tighter_policy_that_came_late_holds_and_history_is_off_where_it_is_off() {
    let mut world = live(settings());
    let lost = lose_data(&mut world, 2);
    let mark = lost + 1;
    let start = lose(
        &mut world,
        Body::Start(Start { tightened_seq: mark, policy_digest: "new".into(), ..Start::default() }),
    );
    world.append(keyframe(1, 1, false, 0));
    late(&mut world, start);
    late(&mut world, lost);
    assert!(!world.host.historical.contains_key("g/e/:a"));
    assert_eq!(world.mirror.tally().withheld, 1);

    let mut world = live(MirrorSettings { backfill: false, ..settings() });
    let lost = lose_data(&mut world, 2);
    world.append(keyframe(1, 1, false, 0));
    late(&mut world, lost);
    world.pass_alive(Duration::from_secs(5));
    assert!(!world.host.historical.contains_key("g/e/:a"));
    assert_eq!(world.mirror.tally().late, 1);
}

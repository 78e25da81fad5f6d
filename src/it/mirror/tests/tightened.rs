//! A mark of a tighter policy in the journal: what stands before it and was missed stays, unless the
//! policy in force is known here and lets it leave.

use std::sync::Arc;
use std::time::Duration;

use diagnostic::SourceFile;
use journal_format::{Body, Start};
use policy::Policy;

use super::world::{World, data, metric, plant, settings};
use crate::mirror::Notice;

fn policy(text: &str) -> Arc<Policy> {
    match Policy::parse(&[SourceFile::new("a.toml", text)]) {
        Ok((policy, _)) => Arc::new(policy),
        Err(problems) => panic!("{problems}"),
    }
}

const ALL: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"g\"\n";

/// An outage of IT, in which the policy becomes tighter between values 2 to 4 and 5 to 7.
fn outage(world: &mut World, digest: &str, restart: bool) -> u64 {
    plant(world);
    world.pass_alive(Duration::from_secs(5));
    world.broker_up = false;
    world.break_sessions();
    for value in 2..5 {
        world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", value)]), false);
    }
    let mark = world.frames.len() as u64;
    world.append(Body::Start(Start {
        keyframe_every_s: 5,
        policy_digest: digest.to_owned(),
        tightened_seq: mark,
        ..Start::default()
    }));
    for value in 5..8 {
        world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", value)]), false);
    }
    if restart {
        world.restart();
    }
    world.broker_up = true;
    world.pass_alive(Duration::from_secs(30));
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 9)]), false);
    mark
}

fn withheld(world: &World) -> Vec<&Notice> {
    world.notices.iter().filter(|notice| matches!(notice, Notice::Withheld { .. })).collect()
}

#[test]
fn without_a_copy_of_the_policy_history_of_before_the_mark_stays() {
    for restart in [false, true] {
        let mut world = World::live(settings());
        let mark = outage(&mut world, "digest", restart);
        for value in 2..5 {
            assert!(!world.host.seen("g/e/:a", value), "{value} {restart}");
        }
        for value in [5, 6, 7, 9] {
            assert!(world.host.seen("g/e/:a", value), "{value} {restart}");
        }
        assert_eq!(world.mirror.tally().withheld, 3, "{restart}");
        let wanted = Notice::Withheld { first: mark - 3, last: mark - 1, frames: 3 };
        assert_eq!(withheld(&world), [&wanted], "{restart}");
    }
}

#[test]
fn a_copy_of_the_policy_in_force_lets_leave_what_that_allows_and_another_copy_nothing() {
    let in_force = policy(ALL);
    let mut world = World::live(settings());
    world.mirror.reload_policy(world.now, Some(Arc::clone(&in_force)));
    outage(&mut world, in_force.digest(), false);
    assert!((2..8).all(|value| world.host.seen("g/e/:a", value)));
    assert_eq!((world.mirror.tally().withheld, withheld(&world).len()), (0, 0));

    let earlier = policy(&format!("# of before\n{ALL}"));
    let mut world = World::live(settings());
    world.mirror.reload_policy(world.now, Some(earlier));
    outage(&mut world, in_force.digest(), false);
    assert!((2..5).all(|value| !world.host.seen("g/e/:a", value)));
    assert_eq!(world.mirror.tally().withheld, 3);
}

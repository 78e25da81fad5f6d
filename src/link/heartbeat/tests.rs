//! Tests of `heartbeat`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::time::Duration;

use super::{Freshness, Sign};
use crate::datagram::{Heartbeat, SessionId};

const SESSION: SessionId = SessionId { number: 1, random: [0; 8] };
const MAX_DELAY: Duration = Duration::from_secs(1);

fn heartbeat(mono_ms: u64) -> Heartbeat {
    Heartbeat { mono_ms, wall_ms: 1_000_000 + mono_ms, highest_frame: 0, symbols: 0, again_from: 0 }
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The receiver's clock shows so many milliseconds at its start.
fn hear(freshness: &mut Freshness, now_ms: u64, mono_ms: u64) -> Sign {
    freshness.hear(at(now_ms), 900_000 + now_ms, SESSION, heartbeat(mono_ms))
}

#[test]
fn life_is_judged_by_the_receivers_clock_alone() {
    let mut freshness = Freshness::new(MAX_DELAY);
    assert_eq!(freshness.silent_for(at(50_000)), None);
    assert_eq!(hear(&mut freshness, 50_000, 100), Sign::Fresh);
    assert_eq!(freshness.silent_for(at(50_300)), Some(at(300)));
    // 1,000,100 there, 950,000 here.
    assert_eq!(freshness.ahead_ms(), Some(50_100));
}

#[test]
fn what_was_held_back_is_no_sign_of_life() {
    let mut freshness = Freshness::new(MAX_DELAY);
    hear(&mut freshness, 10, 0);
    assert_eq!(hear(&mut freshness, 600, 100), Sign::Fresh, "half a second in a queue");
    // And the offset isn't judged by that, but for what clocks may have drifted.
    assert!(freshness.ahead_ms().is_some_and(|ahead| (99_989..=99_990).contains(&ahead)));
    assert_eq!(hear(&mut freshness, 700, 50), Sign::Overtaken);
    // All of an hour is held back, and comes as it was sent.
    for step in 0..36_000 {
        let sent = 1_000 + step * 100;
        assert_eq!(hear(&mut freshness, 3_600_000 + sent, sent), Sign::Late);
    }
    assert_eq!(freshness.silent_for(at(3_600_600)), Some(at(3_600_000)));
}

#[test]
fn clocks_that_drift_apart_are_no_delay() {
    let mut freshness = Freshness::new(MAX_DELAY);
    // The sender's clock is slow by 150 millionths, for a day.
    for second in 0..86_400_u64 {
        let sent = second * 1_000 - second * 150 / 1_000;
        assert_eq!(hear(&mut freshness, second * 1_000, sent), Sign::Fresh, "{second}");
    }
    // Somebody who delays faster than clocks drift is found.
    let mut freshness = Freshness::new(MAX_DELAY);
    let late = (0..86_400_u64).find(|second| {
        let now = second * 1_000 + second * 2;
        hear(&mut freshness, now, second * 1_000) == Sign::Late
    });
    assert!(late.is_some_and(|second| (500..700).contains(&second)), "{late:?}");
}

#[test]
fn a_session_begins_with_clocks_of_its_own() {
    let mut freshness = Freshness::new(MAX_DELAY);
    hear(&mut freshness, 10, 0);
    hear(&mut freshness, 5_000, 4_990);
    let next = SessionId { number: 2, ..SESSION };
    assert_eq!(freshness.hear(at(90_000), 0, next, heartbeat(5)), Sign::Fresh);
    assert_eq!(freshness.newest(), Some(heartbeat(5)));
}

#[test]
fn numbers_at_their_ends_are_no_panic() {
    let mut freshness = Freshness::new(Duration::MAX);
    let extreme = Heartbeat {
        mono_ms: u64::MAX,
        wall_ms: u64::MAX,
        highest_frame: 0,
        symbols: 0,
        again_from: 0,
    };
    freshness.hear(Duration::ZERO, 0, SESSION, extreme);
    freshness.hear(Duration::MAX, u64::MAX, SESSION, heartbeat(0));
    assert!(freshness.ahead_ms().is_some());
}

//! Tests of `second_pass`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::time::Duration;

use proptest::prelude::proptest;

use super::{MAX_STRETCHES, SecondPass, SecondPassOptions};

const OPTIONS: SecondPassOptions = SecondPassOptions {
    share_percent: 20,
    after: Duration::from_secs(10),
    window: Duration::from_secs(29),
    window_bytes: 1 << 20,
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_was_sent_goes_again_when_it_is_old_enough() {
    let mut pass = SecondPass::new(OPTIONS, 1_000_000);
    for number in 1..=100 {
        pass.sent(seconds(1), number, 300);
    }
    pass.sent(seconds(2), 105, 300);
    assert_eq!(pass.poll(seconds(10)), None);
    assert_eq!(pass.due_at(), Some(seconds(11)));
    assert_eq!(pass.poll(seconds(11)), Some(1..65));
    assert_eq!(pass.poll(seconds(11)), None, "one at a time");
    assert_eq!(pass.due_at(), None);
    pass.done();
    assert_eq!(pass.poll(seconds(11)), Some(65..101));
    pass.done();
    assert_eq!(pass.poll(seconds(11)), None);
    assert_eq!(pass.poll(seconds(12)), Some(105..106), "what isn't in the journal isn't asked for");
    pass.done();
    assert!(pass.is_idle());
    assert_eq!(pass.skipped(), 0);
}

#[test]
fn the_share_holds_it_back() {
    let mut pass = SecondPass::new(OPTIONS, 1_000_000);
    pass.sent(seconds(0), 1, 300);
    pass.sent(seconds(1), 3, 300);
    assert_eq!(pass.poll(seconds(20)), Some(1..2));
    pass.done();
    // 400,000 bytes are two seconds of a fifth of a million.
    pass.took(seconds(20), 400_000);
    assert_eq!(pass.poll(seconds(21)), None);
    assert_eq!(pass.poll(seconds(22)), Some(3..4));
}

#[test]
fn what_is_too_old_or_too_much_is_skipped_and_counted() {
    let mut pass = SecondPass::new(OPTIONS, 1_000_000);
    pass.sent(seconds(0), 1, 300);
    pass.sent(seconds(20), 2, 300);
    assert_eq!(pass.poll(seconds(31)), Some(2..3));
    assert_eq!(pass.skipped(), 1);
    pass.done();
    pass.sent(seconds(61), 3, 700_000);
    pass.sent(seconds(62), 4, 700_000);
    assert_eq!(pass.skipped(), 2);
    assert_eq!(pass.poll(seconds(80)), Some(4..5));
}

#[test]
fn with_bandwidth_to_spare_frames_go_until_the_window_ends() {
    let options = SecondPassOptions { window: seconds(55), ..OPTIONS };
    let mut pass = SecondPass::new(options, 1_000_000);
    pass.sent(seconds(0), 1, 300);
    for at in [10, 30, 50] {
        assert_eq!(pass.due_at(), Some(seconds(at)));
        assert_eq!(pass.poll(seconds(at)), Some(1..2));
        pass.done();
    }
    assert!(pass.is_idle());
    assert_eq!((pass.skipped(), pass.run_bytes), (0, 0));
    // What goes for the first time again goes before, and what an operator asks for.
    pass.sent(seconds(60), 2, 300);
    assert_eq!(pass.poll(seconds(70)), Some(2..3));
    pass.done();
    pass.sent(seconds(75), 3, 300);
    pass.resend(100..101).unwrap();
    for wanted in [3..4, 100..101, 2..3] {
        assert_eq!(pass.poll(seconds(90)), Some(wanted));
        pass.done();
    }
    // And it is what gives way.
    pass.sent(seconds(91), 4, 1 << 20);
    assert_eq!((pass.repeated.len(), pass.runs.len(), pass.skipped()), (0, 1, 0));
}

#[test]
fn an_operator_has_stretches_sent_again() {
    let off = SecondPassOptions { share_percent: 0, ..OPTIONS };
    let mut pass = SecondPass::new(off, 1_000_000);
    pass.sent(seconds(0), 1, 300);
    assert_eq!(pass.poll(seconds(30)), None, "it is off");
    pass.resend(100..230).unwrap();
    pass.resend(5..5).unwrap();
    for wanted in [100..164, 164..228, 228..230] {
        assert_eq!(pass.poll(seconds(30)), Some(wanted));
        pass.done();
    }
    assert!(pass.is_idle());
    for _ in 0..MAX_STRETCHES {
        pass.resend(1..2).unwrap();
    }
    assert!(pass.resend(1..2).is_err());
    assert!(pass.resend(u64::MAX - 1..u64::MAX).is_err());
}

proptest! {
    #[test]
    fn each_frame_goes_once_more_or_is_counted(
        steps in proptest::collection::vec((0..200_u64, 1..3_u64, 1..90_000_usize), 1..300),
    ) {
        let mut pass = SecondPass::new(OPTIONS, 100_000);
        let mut now = Duration::ZERO;
        let (mut number, mut sent, mut again) = (0, 0, 0);
        let mut last = 0;
        let mut poll = |pass: &mut SecondPass, now| {
            if let Some(numbers) = pass.poll(now) {
                assert!(numbers.start >= last, "twice within the window");
                last = numbers.end;
                again += numbers.end - numbers.start;
                pass.took(now, 5_000);
                pass.done();
            }
        };
        for (pause_ms, step, bytes) in steps {
            now += Duration::from_millis(pause_ms);
            number += step;
            sent += 1;
            pass.sent(now, number, bytes);
            poll(&mut pass, now);
        }
        for _ in 0..1_000 {
            now += seconds(1);
            poll(&mut pass, now);
        }
        assert!(pass.is_idle());
        assert_eq!(again + pass.skipped(), sent);
    }
}

//! Tests of `sender`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::time::Duration;

use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::{Sender, SenderOptions, SenderOptionsError};
use crate::datagram::{Body, Heartbeat, Lane};
use crate::pacing::Rates;
use crate::protect::{Keys, LinkKey, LinkName, Opener};
use crate::segments::Segment;
use crate::session::SenderState;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn sender(options: SenderOptions) -> Sender {
    let name = LinkName::new("link").unwrap();
    let state = SenderState { session: 3 };
    Sender::new(options, &name, &LinkKey::new(&[1; 32]), state, [2; 8], at(0)).unwrap()
}

/// What a datagram says.
#[derive(Debug, PartialEq)]
enum Said {
    Heartbeat(Heartbeat),
    Announcement,
    Source(Lane, u64),
    Repair(Lane, u64),
}

fn read(datagram: &mut [u8]) -> Said {
    let keys = Keys::new(LinkKey::new(&[1; 32]), None).unwrap();
    let mut opener = Opener::new(&LinkName::new("link").unwrap(), keys);
    let (_, plain) = opener.open(datagram).unwrap();
    match Body::decode(plain).unwrap() {
        Body::Heartbeat(heartbeat) => Said::Heartbeat(heartbeat),
        Body::Announcement(_) => Said::Announcement,
        Body::Source(source) => Said::Source(source.lane, source.number),
        Body::Repair(repair) => Said::Repair(repair.lane, repair.first),
    }
}

fn poll(sender: &mut Sender, now: Duration) -> Vec<Said> {
    let mut said = Vec::new();
    let mut out = Vec::new();
    while sender.poll_datagram(now, 5_000, &mut out).unwrap() {
        said.push(read(&mut out));
    }
    said
}

fn push(sender: &mut Sender, now: Duration, number: u64) {
    sender.push(now, &Segment::default(), number, &[9; 300]).unwrap();
}

fn push_again(sender: &mut Sender, now: Duration, number: u64) {
    sender.push_again(now, &Segment::default(), number, &[9; 300]).unwrap();
}

#[test]
fn a_sender_that_has_nothing_to_send_says_that_it_lives() {
    let mut sender = sender(SenderOptions::default());
    let heartbeat = |mono_ms, highest_frame, symbols| {
        Said::Heartbeat(Heartbeat {
            mono_ms,
            wall_ms: 5_000,
            highest_frame,
            symbols,
            again_from: 0,
        })
    };
    assert_eq!(poll(&mut sender, at(0)), [heartbeat(0, 0, 0), Said::Announcement]);
    assert_eq!(sender.next_due(), at(100));
    assert_eq!(poll(&mut sender, at(99)), []);
    assert_eq!(poll(&mut sender, at(100)), [heartbeat(100, 0, 0)]);
    push(&mut sender, at(150), 77);
    sender.flush(at(150));
    assert_eq!(poll(&mut sender, at(150)), [Said::Source(Lane::Live, 0)]);
    assert_eq!(poll(&mut sender, at(200)), [heartbeat(200, 77, 1)]);
}

#[test]
fn what_is_sent_first_goes_before_repair_and_that_before_the_second_pass() {
    let mut options = SenderOptions::default();
    options.second_pass.after = at(1);
    let mut sender = sender(options);
    poll(&mut sender, at(0));
    push(&mut sender, at(0), 1);
    sender.flush(at(0));
    assert_eq!(poll(&mut sender, at(0)), [Said::Source(Lane::Live, 0)]);
    // Its block has closed, and it goes again.
    sender.resend(50..51).unwrap();
    assert_eq!(sender.poll_again(at(255)), Some(1..2));
    assert_eq!(sender.poll_again(at(255)), None);
    push_again(&mut sender, at(255), 1);
    sender.again_done(at(255));
    assert_eq!(sender.poll_again(at(255)), Some(50..51));
    push_again(&mut sender, at(255), 50);
    sender.again_done(at(255));
    push(&mut sender, at(255), 2);
    sender.flush(at(255));
    let said = poll(&mut sender, at(255));
    let signs = said.iter().position(|said| *said == Said::Source(Lane::Live, 1)).unwrap();
    let rest = &said[signs..];
    assert_eq!(
        rest,
        [Said::Source(Lane::Live, 1), Said::Repair(Lane::Live, 0), Said::Source(Lane::Again, 0),]
    );
    let account = sender.account();
    assert_eq!((account.frames, account.frames_again), (2, 2));
    assert_eq!((account.source, account.repair, account.again), (2, 1, 1));
}

#[test]
fn the_pace_rules_over_all_and_room_ends_when_too_much_waits() {
    let rates = Rates { bytes_per_s: 1_000_000, packets_per_s: 1_000_000 };
    let mut sender = sender(SenderOptions { rates, ..SenderOptions::default() });
    let mut pushed = 0;
    while sender.room(at(0)) {
        pushed += 1;
        push(&mut sender, at(0), pushed);
    }
    assert!((1_000..2_000).contains(&pushed), "{pushed}");
    let mut sent = 0;
    let mut out = Vec::new();
    for now in 0..1_000 {
        while sender.poll_datagram(at(now), 0, &mut out).unwrap() {
            sent += out.len();
        }
    }
    assert!(sender.room(at(1_000)));
    assert!(sent <= 1_003_500, "{sent}");
}

#[test]
fn a_full_link_still_protects() {
    let rates = Rates { bytes_per_s: 1_000_000, packets_per_s: 1_000_000 };
    let mut options = SenderOptions { rates, ..SenderOptions::default() };
    options.blocks.symbols = 64;
    let mut sender = sender(options);
    let mut number = 0;
    let mut out = Vec::new();
    for now in 0..5_000 {
        while sender.room(at(now)) {
            number += 1;
            push(&mut sender, at(now), number);
        }
        while sender.poll_datagram(at(now), 0, &mut out).unwrap() {}
    }
    let account = sender.account();
    let share = account.repair as f64 / account.source as f64;
    assert!((0.2..0.3).contains(&share), "{share}");
}

#[test]
fn options_that_no_link_works_with_are_refused() {
    type Change = fn(&mut SenderOptions);
    let refused = |change: Change| {
        let mut options = SenderOptions::default();
        change(&mut options);
        options.checked().err()
    };
    assert_eq!(refused(|_| {}), None);
    let cases: [(Change, SenderOptionsError); 10] = [
        (|o| o.datagram_bytes = 255, SenderOptionsError::DatagramBytes(255)),
        (|o| o.datagram_bytes = 65_508, SenderOptionsError::DatagramBytes(65_508)),
        (|o| o.blocks.symbols = 0, SenderOptionsError::Symbols(0)),
        (|o| o.blocks.symbols = 4_097, SenderOptionsError::Symbols(4_097)),
        (|o| o.blocks.overhead_permille = 2_001, SenderOptionsError::Overhead(2_001)),
        (|o| o.blocks.min_repair = 65, SenderOptionsError::MinRepair(65)),
        (|o| o.heartbeat_every = Duration::ZERO, SenderOptionsError::Times),
        (|o| o.second_pass.share_percent = 91, SenderOptionsError::Share(91)),
        (|o| o.second_pass.after = o.second_pass.window, SenderOptionsError::Window),
        (|o| o.rates.packets_per_s = 0, SenderOptionsError::Rates),
    ];
    for (change, wanted) in cases {
        assert_eq!(refused(change), Some(wanted));
        assert!(!wanted.to_string().is_empty());
    }
}

/// What a driver does.
#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Push(usize),
    Flush,
    Again,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        (0..100_000_u64).prop_map(Step::Wait),
        prop_oneof![0..1_000_usize, 0..60_000_usize].prop_map(Step::Push),
        any::<bool>().prop_map(|flush| if flush { Step::Flush } else { Step::Again }),
    ];
    proptest::collection::vec(one, 1..200)
}

proptest! {
    #[test]
    fn whoever_waits_until_it_is_due_neither_spins_nor_misses_anything(
        steps in steps(),
        bytes_per_s in 10_000..10_000_000_u64,
    ) {
        let rates = Rates { bytes_per_s, packets_per_s: 10_000 };
        let mut options = SenderOptions { rates, ..SenderOptions::default() };
        options.second_pass.after = at(50);
        options.second_pass.window = at(120);
        let mut sender = sender(options);
        let mut now = Duration::ZERO;
        let mut out = Vec::new();
        let mut number = 0;
        let mut again = None;
        for step in steps {
            match step {
                Step::Wait(us) => now += Duration::from_micros(us),
                Step::Push(bytes) if sender.room(now) => {
                    number += 1;
                    let bytes = vec![1; bytes];
                    sender.push(now, &Segment::default(), number, &bytes).unwrap();
                }
                Step::Push(_) => {}
                Step::Flush => sender.flush(now),
                Step::Again => again = again.or_else(|| sender.poll_again(now)),
            }
            while let Some(numbers) = again.take().or_else(|| sender.poll_again(now)) {
                for number in numbers {
                    push_again(&mut sender, now, number);
                }
                sender.again_done(now);
                while sender.poll_datagram(now, 0, &mut out).unwrap() {}
            }
            while sender.poll_datagram(now, 0, &mut out).unwrap() {
                assert!(out.len() <= 1_472);
            }
            if sender.poll_again(now).is_some_and(|numbers| again.replace(numbers).is_some()) {
                panic!("two at once");
            }
            if again.is_none() {
                assert!(sender.next_due() > now, "{:?} at {now:?}", sender.next_due());
            }
        }
        // Left to itself, it ends.
        sender.flush(now);
        for _ in 0..1_000_000 {
            if sender.is_idle() {
                break;
            }
            now = now.max(sender.next_due());
            while sender.poll_datagram(now, 0, &mut out).unwrap() {}
            if let Some(numbers) = again.take().or_else(|| sender.poll_again(now)) {
                for number in numbers {
                    push_again(&mut sender, now, number);
                }
                sender.again_done(now);
            }
        }
        assert!(sender.is_idle());
        let account = sender.account();
        assert_eq!(account.frames, number);
        assert_eq!(account.frames_again + account.skipped, number);
    }
}

//! Tests of `gate`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::{Just, Strategy, proptest};

use super::{Gate, MAX_AHEAD, MIN_AHEAD, Passed};
use crate::datagram::{Header, SessionId};
use crate::protect::{Keys, LinkKey};
use crate::session::ReceiverState;

fn keys() -> Keys {
    Keys::new(LinkKey::new(&[1; 32]), Some(LinkKey::new(&[2; 32]))).unwrap()
}

fn key() -> u32 {
    LinkKey::new(&[1; 32]).id()
}

fn header(number: u64, counter: u64) -> Header {
    let session = SessionId { number, random: [number as u8; 8] };
    Header { link: [0; 8], key: key(), session, counter }
}

fn gate() -> Gate {
    Gate::new(ReceiverState::default(), &keys(), 2)
}

/// Stores what is to be stored, and begins again with it.
fn restarted(mut gate: Gate, now: Duration) -> Gate {
    if let Some(state) = gate.to_store(now) {
        gate.stored(now, state);
    }
    Gate::new(ReceiverState::decode(&gate.stored.encode()).unwrap(), &keys(), 2)
}

#[test]
fn a_second_copy_is_of_another_path_or_a_duplicate() {
    let mut gate = gate();
    assert_eq!(gate.see(0, &header(1, 0)), Passed::NewSession);
    assert_eq!(gate.see(1, &header(1, 0)), Passed::OtherPath);
    assert_eq!(gate.see(1, &header(1, 0)), Passed::Duplicate);
    assert_eq!(gate.see(0, &header(1, 0)), Passed::Duplicate);
    assert_eq!(gate.see(1, &header(1, 1)), Passed::New);
    assert_eq!(gate.see(0, &header(1, 1)), Passed::OtherPath);
}

#[test]
fn a_session_ends_those_before_it() {
    let mut gate = gate();
    assert_eq!(gate.see(0, &header(5, 9)), Passed::NewSession);
    assert_eq!(gate.see(0, &header(4, 100)), Passed::OldSession);
    let mut copied = header(5, 10);
    copied.session.random = [9; 8];
    assert_eq!(gate.see(0, &copied), Passed::OldSession, "the same number, another session");
    let mut other_key = header(5, 10);
    other_key.key = LinkKey::new(&[2; 32]).id();
    assert_eq!(gate.see(0, &other_key), Passed::OldSession);
    assert_eq!(gate.see(0, &header(6, 0)), Passed::NewSession);
    assert_eq!(gate.see(0, &header(5, 10)), Passed::OldSession);
}

#[test]
fn a_receiver_that_begins_again_refuses_what_was_seen() {
    let mut before = gate();
    for counter in 0..1_000 {
        before.see(0, &header(5, counter));
    }
    let mut after = restarted(before, Duration::ZERO);
    assert_eq!(after.to_store(Duration::ZERO), None, "nothing was seen since");
    for counter in 0..=999 + MIN_AHEAD {
        assert_eq!(after.see(0, &header(5, counter)), Passed::TooOld, "{counter}");
    }
    assert_eq!(after.see(0, &header(5, 1_000 + MIN_AHEAD)), Passed::New);
    assert_eq!(after.see(0, &header(4, 0)), Passed::OldSession);
}

#[test]
fn a_receiver_that_ends_in_order_costs_its_successor_nothing() {
    let mut gate = gate();
    assert_eq!(gate.at_end(), ReceiverState::default());
    for counter in 0..1_000 {
        gate.see(0, &header(5, counter));
        if let Some(state) = gate.to_store(Duration::ZERO) {
            gate.stored(Duration::ZERO, state);
        }
    }
    let mut after = Gate::new(gate.at_end(), &keys(), 2);
    assert_eq!(after.see(0, &header(5, 999)), Passed::TooOld);
    assert_eq!(after.see(0, &header(5, 1_000)), Passed::New);
}

#[test]
fn a_key_that_is_taken_away_takes_its_sessions_along() {
    let mut gate = gate();
    gate.see(0, &header(u64::MAX, 0));
    let state = gate.to_store(Duration::ZERO).unwrap();
    let other = Keys::new(LinkKey::new(&[2; 32]), None).unwrap();
    let mut gate = Gate::new(state, &other, 2);
    let mut header = header(1, 0);
    header.key = LinkKey::new(&[2; 32]).id();
    assert_eq!(gate.see(0, &header), Passed::NewSession);
}

#[test]
fn the_edge_goes_ahead_as_fast_as_datagrams_come() {
    let mut gate = gate();
    let mut stores = 0;
    // 10,000/s for ten seconds.
    for counter in 0..100_000 {
        let now = Duration::from_micros(100 * counter);
        gate.see(0, &header(1, counter));
        if let Some(state) = gate.to_store(now) {
            assert!(state.highest().unwrap().edge >= counter);
            assert!(state.highest().unwrap().edge <= counter + 500);
            gate.stored(now, state);
            stores += 1;
        }
    }
    assert!((200..=210).contains(&stores), "{stores}");
    // Whoever counts in jumps is held.
    gate.see(0, &header(1, 1 << 40));
    let state = gate.to_store(Duration::from_secs(11)).unwrap();
    assert_eq!(state.highest().unwrap().edge, (1 << 40) + MAX_AHEAD);
}

/// Counters, roughly in order, and restarts between.
fn runs() -> impl Strategy<Value = Vec<(u64, Vec<u64>)>> {
    let counters = proptest::collection::vec(0..300_u64, 1..60);
    proptest::collection::vec((Just(0).prop_union(Just(1)), counters), 1..8)
}

proptest! {
    #[test]
    fn nothing_is_taken_twice_whatever_restarts(runs in runs()) {
        let mut gate = gate();
        let mut taken = BTreeSet::new();
        let mut session = 1;
        for (step, (next, counters)) in runs.into_iter().enumerate() {
            session += next;
            let now = Duration::from_millis(step as u64);
            for counter in counters {
                let header = header(session, counter);
                if gate.see(0, &header).is_new() {
                    if let Some(state) = gate.to_store(now) {
                        gate.stored(now, state);
                    }
                    assert!(taken.insert((session, counter)), "{session} {counter} twice");
                }
            }
            gate = restarted(gate, now);
        }
    }
}

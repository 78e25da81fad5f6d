//! Tests of `receiver`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{any, prop_oneof, proptest};

use super::{Output, Receiver, ReceiverOptions, ReceiverOptionsError, Verdict};
use crate::code::Encoder;
use crate::datagram::{Body, Foreign, Heartbeat, Lane, Repair, SessionId, Source};
use crate::packing::{Item, Packer};
use crate::protect::{Keys, LinkKey, LinkName, Sealer};
use crate::segments::{Segment, tag};
use crate::session::ReceiverState;

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn name() -> LinkName {
    LinkName::new("link").unwrap()
}

fn key(number: u8) -> LinkKey {
    LinkKey::new(&[number; 32])
}

fn receiver(stored: ReceiverState) -> Receiver {
    let keys = Keys::new(key(1), Some(key(2))).unwrap();
    let options = ReceiverOptions { paths: 2, max_frame_bytes: 10_000, ..Default::default() };
    Receiver::new(options, &name(), keys, stored, at(0)).unwrap()
}

fn sealer(number: u64) -> Sealer {
    Sealer::new(&name(), &key(1), SessionId { number, random: [number as u8; 8] })
}

fn sealed(sealer: &mut Sealer, body: &Body<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    sealer.seal(body, &mut out).unwrap();
    out
}

/// A symbol with one frame, and what it is of.
fn symbol_of(epoch: u64, number: u64, has_note: bool) -> Vec<u8> {
    let mut packer = Packer::new(100);
    let note = segment(epoch).encode();
    if has_note {
        packer.push(Item::Note(&note), |_| {}).unwrap();
    }
    packer.push(Item::Frame { number, tag: tag(&note), bytes: b"frame" }, |_| {}).unwrap();
    packer.flush().unwrap()
}

fn symbol(number: u64) -> Vec<u8> {
    symbol_of(1, number, true)
}

fn source(sealer: &mut Sealer, lane: Lane, number: u64, frame: u64) -> Vec<u8> {
    let bytes = symbol(frame);
    sealed(sealer, &Body::Source(Source { lane, number, index: number as u16, bytes: &bytes }))
}

fn handle(receiver: &mut Receiver, now: Duration, mut datagram: Vec<u8>) -> Verdict {
    receiver.handle_datagram(now, 0, 0, &mut datagram)
}

fn outputs(receiver: &mut Receiver, now: Duration) -> Vec<Output> {
    if let Some(state) = receiver.state_to_store(now) {
        receiver.state_stored(now, state);
    }
    std::iter::from_fn(|| receiver.poll_output()).collect()
}

fn segment(epoch: u64) -> Segment {
    Segment { epoch, first_seq: 1, relay_name: "plant".to_owned(), ..Segment::default() }
}

fn came(epoch: u64, number: u64, late: bool) -> Output {
    let segment = Arc::new(segment(epoch));
    Output::Frame { segment, number, bytes: b"frame".to_vec(), late }
}

fn frame(number: u64) -> Output {
    came(1, number, false)
}

fn late(number: u64) -> Output {
    came(1, number, true)
}

fn session(number: u64) -> Output {
    Output::Session(SessionId { number, random: [number as u8; 8] })
}

#[test]
fn nothing_comes_out_before_what_was_seen_is_stored() {
    let mut receiver = receiver(ReceiverState::default());
    let datagram = source(&mut sealer(1), Lane::Live, 0, 5);
    assert_eq!(handle(&mut receiver, at(0), datagram.clone()), Verdict::Taken);
    assert_eq!(receiver.poll_output(), None);
    let state = receiver.state_to_store(at(0)).unwrap();
    assert_eq!(receiver.poll_output(), None, "asking isn't storing");
    receiver.state_stored(at(0), state.clone());
    assert_eq!(outputs(&mut receiver, at(0)), [session(1), frame(5)]);
    // Its successor takes nothing of that, and another session at once.
    let mut receiver = self::receiver(state);
    assert_eq!(handle(&mut receiver, at(0), datagram), Verdict::TooOld);
    let next = source(&mut sealer(2), Lane::Live, 0, 6);
    assert_eq!(handle(&mut receiver, at(0), next), Verdict::Taken);
    assert_eq!(outputs(&mut receiver, at(0)), [session(2), frame(6)]);
}

#[test]
fn each_datagram_is_counted_once_with_its_cause() {
    let mut receiver = receiver(ReceiverState::default());
    let mut sealer = sealer(5);
    let first = source(&mut sealer, Lane::Live, 0, 1);
    assert_eq!(receiver.handle_datagram(at(7), 0, 1, &mut first.clone()), Verdict::Taken);
    assert_eq!(handle(&mut receiver, at(8), first.clone()), Verdict::OtherPath);
    assert_eq!(handle(&mut receiver, at(9), first.clone()), Verdict::Duplicate);
    let old = source(&mut self::sealer(4), Lane::Live, 1, 1);
    assert_eq!(handle(&mut receiver, at(10), old), Verdict::OldSession);
    let mut damaged = first.clone();
    damaged[50] ^= 1;
    assert_eq!(handle(&mut receiver, at(10), damaged), Verdict::Foreign(Foreign::Forged));
    assert_eq!(handle(&mut receiver, at(10), vec![0; 60]), Verdict::Foreign(Foreign::Magic));
    assert_eq!(handle(&mut receiver, at(10), vec![0; 5]), Verdict::Foreign(Foreign::Short));
    assert_eq!(handle(&mut receiver, at(10), vec![0; 1_473]), Verdict::Foreign(Foreign::Long));
    let nonsense = Source { lane: Lane::Live, number: 1, index: 9, bytes: b"x" };
    let nonsense = sealed(&mut sealer, &Body::Source(nonsense));
    assert_eq!(handle(&mut receiver, at(10), nonsense), Verdict::Malformed);
    let account = receiver.account();
    assert_eq!(account.datagrams(), 9);
    assert_eq!((account.taken, account.other_path, account.duplicates), (1, 1, 1));
    assert_eq!((account.old_session, account.foreign, account.malformed), (1, 4, 1));
    assert_eq!(account.foreign_by.forged, 1);
    assert_eq!((account.foreign_by.protocol, account.foreign_by.length), (1, 2));
    let paths = receiver.paths();
    assert_eq!((paths[1].seen, paths[1].first, paths[1].last), (1, 1, Some(at(7))));
    assert_eq!(
        (paths[0].seen, paths[0].first, paths[0].duplicates, paths[0].foreign),
        (2, 1, 1, 4)
    );
    assert_eq!(receiver.datagrams_missing(), 0);
}

#[test]
fn a_session_that_begins_lets_out_what_waited() {
    let mut receiver = receiver(ReceiverState::default());
    let mut before = sealer(1);
    handle(&mut receiver, at(0), source(&mut before, Lane::Live, 0, 1));
    handle(&mut receiver, at(0), source(&mut before, Lane::Live, 2, 3));
    assert_eq!(outputs(&mut receiver, at(0)), [session(1), frame(1)]);
    handle(&mut receiver, at(1), source(&mut sealer(2), Lane::Live, 0, 2));
    assert_eq!(outputs(&mut receiver, at(1)), [frame(3), session(2), late(2)]);
    assert_eq!(receiver.missing_frames(), 0);
    assert_eq!(receiver.account().sessions, 2);
    assert_eq!(receiver.account().symbols_lost, 1);
}

#[test]
fn the_second_pass_brings_what_is_missing_and_nothing_twice() {
    let mut receiver = receiver(ReceiverState::default());
    let mut sealer = sealer(1);
    for (symbol, number) in [(0, 10), (1, 11), (2, 15)] {
        handle(&mut receiver, at(0), source(&mut sealer, Lane::Live, symbol, number));
    }
    outputs(&mut receiver, at(0));
    assert_eq!(receiver.missing().flatten().collect::<Vec<_>>(), [12, 13, 14]);
    for (symbol, number) in [(0, 10), (1, 13), (2, 13), (3, 15), (4, 9)] {
        handle(&mut receiver, at(1), source(&mut sealer, Lane::Again, symbol, number));
    }
    assert_eq!(outputs(&mut receiver, at(1)), [late(13), late(9)]);
    assert_eq!(receiver.missing().collect::<Vec<_>>(), [12..13, 14..15]);
    assert_eq!(receiver.account().frames_known, 3);
    // A receiver that begins again is told what its journal has.
    let mut receiver = self::receiver(ReceiverState::default());
    receiver.resume(1, 10..16, [12..13, 14..15], [segment(1)]);
    for (symbol, number) in [(5, 13), (6, 14), (7, 15)] {
        handle(&mut receiver, at(1), source(&mut sealer, Lane::Again, symbol, number));
    }
    receiver.tick(at(1_000));
    let outputs = outputs(&mut receiver, at(1_000));
    assert_eq!(outputs, [session(1), late(14)]);
}

#[test]
fn what_fills_a_hole_after_its_time_is_late() {
    let mut receiver = receiver(ReceiverState::default());
    let mut sealer = sealer(1);
    let overdue = source(&mut sealer, Lane::Live, 0, 1);
    handle(&mut receiver, at(0), source(&mut sealer, Lane::Live, 1, 2));
    assert_eq!(outputs(&mut receiver, at(0)), [session(1)]);
    assert_eq!(receiver.next_due(), Some(at(500)));
    receiver.tick(at(500));
    assert_eq!(outputs(&mut receiver, at(500)), [frame(2)]);
    assert_eq!(receiver.account().symbols_lost, 1);
    assert_eq!(receiver.datagrams_missing(), 1);
    handle(&mut receiver, at(501), overdue);
    assert_eq!(outputs(&mut receiver, at(501)), [late(1)]);
    assert_eq!(receiver.account().symbols_lost, 0);
    assert_eq!(receiver.datagrams_missing(), 0);
}

fn live(sealer: &mut Sealer, number: u64, bytes: &[u8]) -> Vec<u8> {
    let index = number as u16;
    sealed(sealer, &Body::Source(Source { lane: Lane::Live, number, index, bytes }))
}

#[test]
fn a_frame_whose_segment_nobody_knows_is_missing_until_it_comes_with_it() {
    let mut receiver = receiver(ReceiverState::default());
    let mut sealer = sealer(1);
    let symbols = [symbol_of(1, 1, true), symbol_of(2, 2, false), symbol_of(1, 3, false)];
    for (number, symbol) in (0..).zip(&symbols) {
        handle(&mut receiver, at(0), live(&mut sealer, number, symbol));
    }
    assert_eq!(outputs(&mut receiver, at(0)), [session(1), frame(1), frame(3)]);
    assert_eq!(receiver.account().frames_unknown, 1);
    assert_eq!(receiver.missing().flatten().collect::<Vec<_>>(), [2]);
    handle(&mut receiver, at(1), live(&mut sealer, 3, &symbol_of(1, 2, true)));
    assert_eq!(outputs(&mut receiver, at(1)), [late(2)]);
}

#[test]
fn a_journal_that_was_made_anew_has_other_frames_by_the_same_numbers() {
    let mut receiver = receiver(ReceiverState::default());
    let mut sealer = sealer(1);
    let mut number = 0;
    let mut send = |receiver: &mut Receiver, epoch, frame| {
        let datagram = live(&mut sealer, number, &symbol_of(epoch, frame, true));
        number += 1;
        handle(receiver, at(0), datagram);
        outputs(receiver, at(0))
    };
    send(&mut receiver, 1, 1);
    send(&mut receiver, 1, 4);
    // A start of the writer that goes on.
    assert_eq!(send(&mut receiver, 2, 5), [came(2, 5, false)]);
    assert_eq!(send(&mut receiver, 1, 3), [came(1, 3, true)]);
    assert_eq!(send(&mut receiver, 2, 5), []);
    // One that begins at 1 again.
    assert_eq!(send(&mut receiver, 3, 1), [came(3, 1, false)]);
    assert_eq!(send(&mut receiver, 3, 1), []);
    assert_eq!(send(&mut receiver, 2, 6), [], "of what it replaced");
    assert_eq!(send(&mut receiver, 3, 2), [came(3, 2, false)]);
    assert_eq!(receiver.missing_frames(), 1, "what was missing before stays lost");
}

#[test]
fn replayed_and_held_back_heartbeats_are_no_signs_of_life() {
    let mut receiver = receiver(ReceiverState::default());
    let mut sealer = sealer(1);
    let mut heartbeat = |mono_ms| {
        let heartbeat =
            Heartbeat { mono_ms, wall_ms: 9, highest_frame: 0, symbols: 0, again_from: 0 };
        sealed(&mut sealer, &Body::Heartbeat(heartbeat))
    };
    let (first, held) = (heartbeat(0), heartbeat(100));
    handle(&mut receiver, at(50), first.clone());
    assert_eq!(outputs(&mut receiver, at(50)).len(), 2);
    assert_eq!(handle(&mut receiver, at(4_000), first), Verdict::Duplicate);
    assert_eq!(handle(&mut receiver, at(4_000), held), Verdict::Taken);
    assert_eq!(outputs(&mut receiver, at(4_000)), []);
    assert_eq!(receiver.freshness().silent_for(at(4_000)), Some(at(3_950)));
    let account = receiver.account();
    assert_eq!((account.heartbeats, account.heartbeats_late), (1, 1));
}

#[test]
fn keys_change_with_a_session() {
    let mut receiver = receiver(ReceiverState::default());
    handle(&mut receiver, at(0), source(&mut sealer(1), Lane::Live, 0, 1));
    let session = SessionId { number: 2, random: [2; 8] };
    let mut sealer = Sealer::new(&name(), &key(2), session);
    assert_eq!(handle(&mut receiver, at(0), source(&mut sealer, Lane::Live, 0, 2)), Verdict::Taken);
    assert_eq!(outputs(&mut receiver, at(0)).len(), 4);
    let unknown = Sealer::new(&name(), &key(3), SessionId { number: 3, random: [3; 8] });
    let mut unknown = unknown;
    let datagram = source(&mut unknown, Lane::Live, 0, 2);
    assert_eq!(handle(&mut receiver, at(0), datagram), Verdict::Foreign(Foreign::Key));
}

#[test]
fn options_that_no_link_works_with_are_refused() {
    let new = |options| {
        let keys = Keys::new(key(1), None).unwrap();
        Receiver::new(options, &name(), keys, ReceiverState::default(), at(0)).err()
    };
    let good = ReceiverOptions::default();
    assert_eq!(new(good), None);
    let cases = [
        (ReceiverOptions { datagram_bytes: 50, ..good }, ReceiverOptionsError::DatagramBytes(50)),
        (ReceiverOptions { paths: 0, ..good }, ReceiverOptionsError::Paths(0)),
        (ReceiverOptions { paths: 9, ..good }, ReceiverOptionsError::Paths(9)),
        (ReceiverOptions { max_blocks: 0, ..good }, ReceiverOptionsError::Blocks(0)),
        (ReceiverOptions { reorder: at(200_000), ..good }, ReceiverOptionsError::Times),
    ];
    for (options, wanted) in cases {
        assert_eq!(new(options), Some(wanted));
    }
}

/// What somebody with the key could send.
fn bodies() -> impl proptest::strategy::Strategy<Value = (u8, u64, u16, u16, u16, Vec<u8>)> {
    let number = prop_oneof![0..20_u64, any::<u64>()];
    let short = || prop_oneof![0..6_u16, any::<u16>()];
    let bytes = proptest::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..30);
    (0..6_u8, number, short(), short(), short(), bytes)
}

proptest! {
    #[test]
    fn whoever_has_the_key_harms_no_memory(bodies in proptest::collection::vec(bodies(), 1..150)) {
        let keys = Keys::new(key(1), None).unwrap();
        let options = ReceiverOptions {
            max_blocks: 4, max_bytes: 500, max_frame_bytes: 50, ..Default::default()
        };
        let mut receiver =
            Receiver::new(options, &name(), keys, ReceiverState::default(), at(0)).unwrap();
        let mut sealer = sealer(1);
        let mut frames = 0;
        let mut sent = 0;
        for (step, (kind, number, one, two, three, mut bytes)) in bodies.into_iter().enumerate() {
            let now = at(step as u64 * 37);
            let lane = if kind % 2 == 0 { Lane::Live } else { Lane::Again };
            if kind < 2 {
                // Sound blocks between all of that.
                bytes = Encoder::default().encode(&[symbol(number)], 1).unwrap().remove(0);
            }
            let body = match kind {
                0 | 1 => Body::Repair(
                    Repair { lane, first: number, source: 1, repair: 1, index: 0, bytes: &bytes }),
                2 | 3 => Body::Source(Source { lane, number, index: one, bytes: &bytes }),
                _ => Body::Repair(
                    Repair { lane, first: number, source: one, repair: two, index: three, bytes: &bytes }),
            };
            let datagram = sealed(&mut sealer, &body);
            sent += datagram.len();
            handle(&mut receiver, now, datagram);
            receiver.tick(now);
            for output in outputs(&mut receiver, now) {
                if let Output::Frame { bytes, .. } = output {
                    frames += bytes.len();
                    assert!(bytes.len() <= 50);
                }
            }
        }
        assert!(frames <= sent);
        let count = receiver.account().taken + receiver.account().malformed;
        assert_eq!(count, receiver.account().datagrams());
    }
}

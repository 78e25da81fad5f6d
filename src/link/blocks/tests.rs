//! Tests of `blocks`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::time::Duration;

use proptest::prelude::proptest;

use super::{BlockOptions, LaneSender};
use crate::datagram::{Body, Lane};
use crate::packing::{Item, Unpacked, Unpacker};

const OPTIONS: BlockOptions = BlockOptions {
    symbols: 8,
    close_after: Duration::from_millis(2),
    overhead_permille: 250,
    min_repair: 1,
    spread: Duration::from_millis(20),
    linger: Duration::ZERO,
};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn lane(options: BlockOptions) -> LaneSender {
    LaneSender::new(Lane::Live, options, 102)
}

/// A symbol of a hundred bytes of items.
fn push_symbol(lane: &mut LaneSender, now: Duration, number: u64) {
    let bytes = [7; 200];
    let prefix = 2 + usize::from(number >= 128) + 1 + 4;
    lane.push(now, Item::Frame { number, tag: 1, bytes: &bytes[..100 - prefix] }).unwrap();
    lane.flush(now);
}

/// Number and index of the next source symbol.
fn source(lane: &mut LaneSender) -> Option<(u64, u16)> {
    let mut found = None;
    let sent = lane.send_source(|body| {
        if let Body::Source(source) = body {
            found = Some((source.number, source.index));
        }
        Ok::<(), ()>(())
    });
    assert_eq!(sent.is_some(), found.is_some());
    found
}

/// First, source, repair and index of the next repair symbol.
fn repair(lane: &mut LaneSender) -> Option<(u64, u16, u16, u16)> {
    let mut found = None;
    lane.send_repair(|body| {
        if let Body::Repair(repair) = body {
            found = Some((repair.first, repair.source, repair.repair, repair.index));
        }
        Ok::<(), ()>(())
    })?
    .unwrap();
    found
}

#[test]
fn source_symbols_wait_for_nothing() {
    let mut lane = lane(OPTIONS);
    for number in 0..20 {
        push_symbol(&mut lane, at(0), number);
        assert_eq!(source(&mut lane), Some((number, (number % 8) as u16)));
        assert_eq!(source(&mut lane), None);
    }
}

#[test]
fn a_block_closes_by_size_or_by_time() {
    let mut lane = lane(OPTIONS);
    for number in 0..8 {
        assert_eq!(lane.repair_due(), None);
        assert_eq!(lane.begins_block(), number == 0);
        push_symbol(&mut lane, at(1), number);
    }
    assert_eq!(lane.repair_due(), Some(at(1)));
    assert_eq!(lane.work_due(), None);
    assert!(lane.begins_block());
    push_symbol(&mut lane, at(5), 8);
    assert_eq!(lane.work_due(), Some(at(7)));
    lane.work(at(6));
    assert!(!lane.begins_block());
    lane.work(at(7));
    assert!(lane.begins_block());
    let repairs: Vec<_> = std::iter::from_fn(|| repair(&mut lane)).collect();
    assert_eq!(repairs, [(0, 8, 2, 0), (8, 1, 1, 0), (0, 8, 2, 1)], "interleaved, by their time");
}

#[test]
fn symbols_that_follow_each_other_wait_to_be_full() {
    let us = Duration::from_micros;
    let mut lane = lane(BlockOptions { linger: us(500), close_after: at(100), ..OPTIONS });
    let push = |lane: &mut LaneSender, now: Duration| {
        lane.push(now, Item::Frame { number: 1, tag: 1, bytes: &[1; 36] }).unwrap();
        lane.flush(now);
    };
    push(&mut lane, us(0));
    assert_eq!(lane.waiting(), 1, "the first waits for nothing");
    push(&mut lane, us(100));
    assert_eq!((lane.waiting(), lane.work_due()), (1, Some(at(100))));
    lane.work(us(500));
    assert_eq!(lane.waiting(), 1, "others wait before it");
    source(&mut lane);
    assert_eq!(lane.work_due(), Some(us(500)));
    lane.work(us(499));
    assert_eq!(lane.waiting(), 0);
    lane.work(us(500));
    assert_eq!(source(&mut lane), Some((1, 1)));
    for now in [600, 700, 800] {
        push(&mut lane, us(now));
    }
    assert_eq!(source(&mut lane), Some((2, 2)), "one was full at 800");
    assert_eq!((lane.waiting(), lane.work_due()), (0, Some(us(1_300))));
    push(&mut lane, us(2_000));
    assert_eq!(lane.waiting(), 1, "nothing went for long");
}

#[test]
fn repair_symbols_are_spread() {
    let mut lane = lane(BlockOptions { overhead_permille: 1_000, ..OPTIONS });
    for number in 0..8 {
        push_symbol(&mut lane, at(0), number);
    }
    let mut due = Vec::new();
    while let Some(time) = lane.repair_due() {
        due.push(time.as_micros());
        assert_eq!(lane.overdue(time), 1);
        repair(&mut lane);
    }
    assert_eq!(due, [0, 2_500, 5_000, 7_500, 10_000, 12_500, 15_000, 17_500]);
}

#[test]
fn small_blocks_have_the_least_protection_and_large_ones_the_share() {
    let options = BlockOptions { min_repair: 2, overhead_permille: 40, ..OPTIONS };
    let wanted = [(1, 2), (4, 2), (50, 2), (51, 3), (100, 4), (1_000, 40), (1_024, 41)];
    for (source, repair) in wanted {
        assert_eq!(options.repair_symbols(source), repair, "{source}");
    }
    let none = BlockOptions { min_repair: 0, overhead_permille: 0, ..OPTIONS };
    assert_eq!(none.repair_symbols(1_024), 0);
    let mut lane = lane(none);
    push_symbol(&mut lane, at(0), 1);
    lane.work(at(2));
    source(&mut lane);
    assert!(lane.is_idle());
}

#[test]
fn what_could_not_be_sent_is_still_there() {
    let mut lane = lane(OPTIONS);
    push_symbol(&mut lane, at(0), 1);
    lane.work(at(2));
    assert_eq!(lane.send_source(|_| Err(1)), Some(Err(1)));
    assert_eq!(lane.send_repair(|_| Err(2)), Some(Err(2)));
    assert_eq!(lane.waiting(), 1);
    assert_eq!(source(&mut lane), Some((0, 0)));
    assert_eq!(repair(&mut lane), Some((0, 1, 1, 0)));
    assert!(lane.is_idle());
}

proptest! {
    #[test]
    fn a_block_begins_where_it_says_so(
        steps in proptest::collection::vec((0..3_u64, 0..500_usize, proptest::bool::ANY), 1..100),
    ) {
        let mut lane = lane(OPTIONS);
        let mut now = Duration::ZERO;
        for (number, (pause, bytes, flush)) in (0..).zip(steps) {
            now += at(pause);
            lane.work(now);
            if lane.begins_block() {
                lane.push(now, Item::Note(b"of this block")).unwrap();
            }
            lane.push(now, Item::Frame { number, tag: 1, bytes: &vec![1; bytes] }).unwrap();
            if flush {
                lane.flush(now);
            }
        }
        lane.flush(now);
        // Read from any block on, the first item is a note.
        let mut symbols = Vec::new();
        while let Some(sent) = lane.send_source(|body| {
            if let Body::Source(source) = body {
                assert_eq!(source.number, symbols.len() as u64);
                symbols.push((source.index, source.bytes.to_vec()));
            }
            Ok::<(), ()>(())
        }) {
            sent.unwrap();
        }
        let mut unpacker = Unpacker::new(1_000);
        let mut is_first = true;
        for (index, symbol) in symbols {
            if index == 0 {
                unpacker.gap();
                is_first = true;
            }
            let taken = unpacker.symbol(&symbol, |item| {
                if std::mem::take(&mut is_first) {
                    assert_eq!(item, Unpacked::Note(b"of this block".to_vec()));
                }
            });
            assert_eq!(taken, Ok(()));
        }
    }
}

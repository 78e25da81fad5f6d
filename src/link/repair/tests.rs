//! Tests of `repair`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::{any, prop_oneof, proptest};

use super::{Blocks, Restored};
use crate::code::{Encoder, MAX_REPAIR_SYMBOLS, MAX_SOURCE_SYMBOLS};
use crate::datagram::{Lane, Malformed, Repair};

const PATIENCE: Duration = Duration::from_millis(500);

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn blocks() -> Blocks {
    Blocks::new(PATIENCE, 4, 1 << 20)
}

/// Symbols that differ, by their number.
fn symbols(first: u64, count: usize) -> Vec<Arc<[u8]>> {
    (first..).take(count).map(|number| Arc::from(number.to_be_bytes().repeat(4))).collect()
}

fn encoded(source: &[Arc<[u8]>], count: usize) -> Vec<Vec<u8>> {
    Encoder::default().encode(source, count).unwrap()
}

fn repair<'a>(first: u64, source: usize, all: &'a [Vec<u8>], index: usize) -> Repair<'a> {
    let short = |number: usize| u16::try_from(number).unwrap();
    Repair {
        lane: Lane::Live,
        first,
        source: short(source),
        repair: short(all.len()),
        index: short(index),
        bytes: &all[index],
    }
}

#[test]
fn what_is_missing_is_restored_as_soon_as_it_can_be() {
    let mut blocks = blocks();
    let source = symbols(100, 6);
    let all = encoded(&source, 3);
    for index in [0, 2, 3, 5_u16] {
        let symbol = &source[usize::from(index)];
        assert_eq!(blocks.source(at(0), 100, index, symbol), Ok(Restored::new()));
    }
    assert_eq!(blocks.repair(at(1), &repair(100, 6, &all, 2)), Ok(Restored::new()));
    let restored = blocks.repair(at(2), &repair(100, 6, &all, 0)).unwrap();
    assert_eq!(restored, [(101, source[1].clone()), (104, source[4].clone())]);
    // It has ended: what still comes of it is nothing, and holds nothing.
    assert_eq!(blocks.repair(at(3), &repair(100, 6, &all, 1)), Ok(Restored::new()));
    assert_eq!(blocks.source(at(3), 100, 1, &source[1]), Ok(Restored::new()));
    assert_eq!((blocks.open.len(), blocks.bytes, blocks.given_up()), (0, 0, 0));
}

#[test]
fn a_block_of_which_nothing_is_missing_holds_nothing() {
    let mut blocks = blocks();
    let source = symbols(0, 4);
    let all = encoded(&source, 2);
    for (index, symbol) in (0..).zip(&source) {
        blocks.source(at(0), 0, index, symbol).unwrap();
    }
    assert_eq!(blocks.open.len(), 1);
    blocks.repair(at(0), &repair(0, 4, &all, 0)).unwrap();
    assert_eq!((blocks.open.len(), blocks.bytes), (0, 0));
    // Without a repair symbol the next block says where it ended.
    for (index, symbol) in (0..).zip(&source) {
        blocks.source(at(0), 4, index, symbol).unwrap();
    }
    blocks.source(at(0), 8, 0, &source[0]).unwrap();
    assert_eq!(blocks.open.keys().copied().collect::<Vec<_>>(), [8]);
    // But where one is missing, it is waited for.
    blocks.source(at(0), 8, 2, &source[2]).unwrap();
    blocks.source(at(0), 11, 0, &source[0]).unwrap();
    assert_eq!(blocks.open.len(), 2);
}

#[test]
fn of_one_symbol_any_repair_symbol_is_enough() {
    let mut blocks = blocks();
    let source = symbols(9, 1);
    let all = encoded(&source, 2);
    let restored = blocks.repair(at(0), &repair(9, 1, &all, 1)).unwrap();
    assert_eq!(restored, [(9, source[0].clone())]);
}

#[test]
fn the_oldest_is_given_up_for_newer_ones() {
    let mut blocks = blocks();
    let source = symbols(0, 10);
    for first in [50, 20, 30, 40] {
        blocks.source(at(0), first, 1, &source[0]).unwrap();
    }
    assert_eq!(blocks.given_up(), 0);
    blocks.source(at(0), 60, 1, &source[0]).unwrap();
    assert_eq!(blocks.open.keys().copied().collect::<Vec<_>>(), [30, 40, 50, 60]);
    assert_eq!(blocks.given_up(), 1);
    let mut blocks = Blocks::new(PATIENCE, 100, 32 * 20);
    for first in 0..1_000 {
        blocks.source(at(0), first * 10, 5, &source[0]).unwrap();
        assert!(blocks.bytes <= 32 * 20 && blocks.open.len() <= 20);
    }
    // One that has more than all may hold holds nothing either.
    let mut blocks = Blocks::new(PATIENCE, 100, 32 * 20);
    for index in 0..100 {
        blocks.source(at(0), 0, index, &source[0]).unwrap();
        assert!(blocks.bytes <= 32 * 20);
    }
}

#[test]
fn a_block_is_given_up_when_nothing_comes_of_it() {
    let mut blocks = blocks();
    let source = symbols(0, 2);
    blocks.source(at(0), 0, 0, &source[0]).unwrap();
    blocks.source(at(100), 10, 1, &source[1]).unwrap();
    assert_eq!(blocks.deadline(), Some(at(500)));
    blocks.tick(at(499));
    assert_eq!(blocks.open.len(), 2);
    blocks.tick(at(500));
    assert_eq!((blocks.open.len(), blocks.given_up()), (1, 0), "nothing of it was missing");
    blocks.tick(at(600));
    assert_eq!((blocks.open.len(), blocks.given_up()), (0, 1));
    assert_eq!(blocks.deadline(), None);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let mut blocks = blocks();
    let source = symbols(0, 4);
    let all = encoded(&source, 3);
    let sound = repair(0, 4, &all, 0);
    blocks.repair(at(0), &sound).unwrap();
    for other in [
        Repair { source: 5, index: 1, ..sound },
        Repair { repair: 4, index: 1, ..sound },
        Repair { index: 1, bytes: &sound.bytes[2..], ..sound },
        Repair { first: 90, source: MAX_SOURCE_SYMBOLS as u16 + 1, ..sound },
        Repair { first: 90, repair: MAX_REPAIR_SYMBOLS as u16 + 1, ..sound },
    ] {
        assert_eq!(blocks.repair(at(0), &other), Err(Malformed), "{other:?}");
    }
    assert_eq!(blocks.source(at(0), 0, 4, &source[0]), Err(Malformed), "it has four");
    let above = MAX_SOURCE_SYMBOLS as u16;
    assert_eq!(blocks.source(at(0), 90, above, &source[0]), Err(Malformed));
    // More symbols than the block says that it has.
    blocks.source(at(0), 200, 7, &source[0]).unwrap();
    assert_eq!(blocks.repair(at(0), &Repair { first: 200, ..sound }), Err(Malformed));
    // A symbol that is longer than the block's symbols are.
    let long: Arc<[u8]> = Arc::from([1; 100]);
    for index in 0..2 {
        blocks.source(at(0), 0, index, &long).unwrap();
    }
    let last = blocks.source(at(0), 0, 2, &long);
    assert_eq!(last, Err(Malformed));
    assert_eq!(blocks.given_up(), 1);
}

proptest! {
    #[test]
    fn any_symbols_hold_no_more_than_they_may(
        steps in proptest::collection::vec(
            (0..20_u64, any::<bool>(), prop_oneof![0..5_u16, any::<u16>()], 1..5_u16, 1..5_u16, 1..20_usize),
            1..200,
        ),
    ) {
        let mut blocks = Blocks::new(PATIENCE, 3, 200);
        for (first, is_source, index, source, count, bytes) in steps {
            let bytes: Arc<[u8]> = Arc::from(vec![first as u8; bytes]);
            let restored = if is_source {
                blocks.source(at(first), first, index, &bytes)
            } else {
                let index = index % count;
                let repair =
                    Repair { lane: Lane::Live, first, source, repair: count, index, bytes: &bytes };
                blocks.repair(at(first), &repair)
            };
            for (number, symbol) in restored.into_iter().flatten() {
                assert!(number >= first && number < first + u64::from(source.max(5)));
                assert!(!symbol.is_empty());
            }
            let held: usize = blocks.open.values().map(|block| block.bytes).sum();
            assert_eq!(blocks.bytes, held);
            assert!(blocks.open.len() <= 3 && held <= 200);
        }
        blocks.tick(at(10_000));
        assert_eq!((blocks.open.len(), blocks.bytes), (0, 0));
    }
}

//! Tests of `order`.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::proptest;

use super::{MAX_HOLES, Order, Place};

const PATIENCE: Duration = Duration::from_millis(100);

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn symbol(number: u64) -> Arc<[u8]> {
    Arc::from(number.to_be_bytes())
}

fn order() -> Order {
    Order::new(PATIENCE, 1 << 20)
}

fn place(order: &mut Order, ms: u64, number: u64) -> Place {
    order.place(at(ms), 0, number, symbol(number))
}

fn out(order: &mut Order) -> Vec<u64> {
    let numbers = std::iter::from_fn(|| order.poll());
    numbers.map(|bytes| u64::from_be_bytes((*bytes).try_into().unwrap())).collect()
}

#[test]
fn what_overtakes_waits_for_a_time() {
    let mut order = order();
    for number in [0, 1, 3, 2, 6] {
        assert_eq!(place(&mut order, 0, number), Place::InOrder);
    }
    assert_eq!(out(&mut order), [0, 1, 2, 3]);
    assert_eq!(order.deadline(), Some(at(100)));
    place(&mut order, 50, 7);
    place(&mut order, 99, 5);
    assert_eq!(order.give_up(at(99)), None);
    assert_eq!(order.give_up(at(100)), Some(4..5));
    assert_eq!(out(&mut order), [5, 6, 7]);
    assert_eq!(order.deadline(), None);
}

#[test]
fn what_fills_a_hole_later_is_late_once() {
    let mut order = order();
    place(&mut order, 0, 10);
    assert_eq!(order.give_up(at(100)), Some(0..10));
    assert_eq!(out(&mut order), [10]);
    for number in [4, 0, 9] {
        assert_eq!(place(&mut order, 101, number), Place::Late);
        assert_eq!(place(&mut order, 101, number), Place::Known);
    }
    assert_eq!(place(&mut order, 101, 10), Place::Known, "it came out");
    assert_eq!(order.holes, [1..4, 5..9]);
}

#[test]
fn each_hole_has_its_time() {
    let mut order = order();
    place(&mut order, 0, 0);
    place(&mut order, 10, 2);
    place(&mut order, 60, 4);
    assert_eq!(out(&mut order), [0]);
    assert_eq!(order.give_up(at(110)), Some(1..2));
    assert_eq!(out(&mut order), [2]);
    assert_eq!(order.give_up(at(110)), None);
    assert_eq!(order.deadline(), Some(at(160)));
    place(&mut order, 150, 3);
    assert_eq!(out(&mut order), [3, 4]);
}

#[test]
fn the_first_that_comes_waits_for_its_block() {
    let mut order = order();
    assert_eq!(order.place(at(0), 9_000, 9_002, symbol(9_002)), Place::InOrder);
    assert_eq!(out(&mut order), []);
    order.place(at(0), 9_000, 9_000, symbol(9_000));
    order.place(at(0), 9_000, 9_001, symbol(9_001));
    assert_eq!(out(&mut order), [9_000, 9_001, 9_002]);
    assert_eq!(order.place(at(0), 0, 8_999, symbol(8_999)), Place::Known, "before the beginning");
    // Near its start, a session is waited for as a whole.
    let mut order = self::order();
    order.place(at(0), 20, 22, symbol(22));
    order.place(at(0), 0, 0, symbol(0));
    assert_eq!(out(&mut order), [0]);
}

#[test]
fn no_more_waits_than_may_and_no_more_is_remembered() {
    let mut order = Order::new(PATIENCE, 80);
    place(&mut order, 0, 0);
    for number in 2..12 {
        place(&mut order, 0, number);
        assert_eq!(order.give_up(at(0)), None);
    }
    assert_eq!(out(&mut order), [0]);
    place(&mut order, 0, 12);
    assert_eq!(order.give_up(at(0)), Some(1..2));
    assert_eq!(out(&mut order), (2..13).collect::<Vec<_>>());
    // Jumps cost nothing, to the end of the numbers.
    let mut number = 100;
    for step in 0..2 * MAX_HOLES as u64 {
        number += 2 + step * step;
        place(&mut order, step, number);
        order.give_up(at(step + 100));
        assert_eq!(out(&mut order).len(), 1);
        assert!(order.arrivals.is_empty());
    }
    assert_eq!(order.holes.len(), MAX_HOLES);
    place(&mut order, 1 << 40, u64::MAX);
    assert!(order.give_up(Duration::MAX).is_some());
    assert_eq!(out(&mut order), [u64::MAX]);
}

proptest! {
    #[test]
    fn nothing_comes_out_twice_and_what_is_in_time_in_order(
        numbers in proptest::collection::vec((0..60_u64, 0..30_u64), 1..300),
    ) {
        let mut order = order();
        let mut now = 0;
        let (mut came, mut out_of_it, mut late) = (BTreeSet::new(), Vec::new(), Vec::new());
        for (number, pause) in numbers {
            now += pause;
            let first = number / 7 * 7;
            match order.place(at(now), first, number, symbol(number)) {
                Place::Late => late.push(number),
                Place::Known => assert!(came.contains(&number)),
                Place::InOrder => {}
            }
            came.insert(number);
            out_of_it.extend(out(&mut order));
            while order.give_up(at(now)).is_some() {
                out_of_it.extend(out(&mut order));
            }
            // What came longer ago than that is out.
            assert!(order.deadline().is_none_or(|deadline| deadline > at(now)));
        }
        while order.skip().is_some() {
            out_of_it.extend(out(&mut order));
        }
        assert!(out_of_it.is_sorted_by(|a, b| a < b), "{out_of_it:?}");
        let mut all: Vec<u64> = out_of_it.iter().chain(&late).copied().collect();
        all.sort_unstable();
        assert!(all.is_sorted_by(|a, b| a < b), "twice: {all:?}");
        assert_eq!(all, came.into_iter().collect::<Vec<_>>(), "all that came is out");
    }
}

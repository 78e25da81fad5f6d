//! `cargo test`: the simulation over some thousand seeds, and the planted mistakes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a simulation: what doesn't hold is a failure of its run"
)]

mod refusals;
mod sim;

use sim::faults::Fault;
use sim::many::run_many;
use sim::plan::Length;
use sim::run::Options;
use sim::shrink::{replay, shrink};

const SEEDS: u64 = 2_000;
/// Of them, those whose runs are as long as those of the command.
const LONG: u64 = 100;

fn options(fault: Option<Fault>) -> Options {
    Options { length: Length::SHORT, fault, folds: false, only: None, trace: false }
}

#[test]
fn nothing_is_false_lost_or_forgotten_whatever_happens() {
    let long = Options { length: Length::FULL, ..options(None) };
    for (first, count, options) in [(0, SEEDS - LONG, options(None)), (1_000_000, LONG, long)] {
        let (failures, done) = run_many(first, count, &options, 1);
        if let Some(failure) = failures.into_iter().next() {
            let small = shrink(failure, &options);
            panic!("seed {}: {}\n{}", small.seed, small.why, replay(&small, &options));
        }
        assert_eq!(done.runs, count);
        // Runs in which nothing happens show nothing.
        assert!(done.shown > count * 20, "{done:?}");
    }
}

#[test]
fn every_planted_mistake_is_found() {
    for fault in Fault::ALL.iter().copied().filter(|fault| !fault.is_of_folds()) {
        let (failures, _) = run_many(0, 10_000, &options(Some(fault)), 1);
        assert!(!failures.is_empty(), "{fault:?} isn't found: {}", fault.what());
    }
}

#[test]
fn every_planted_mistake_is_found_where_edge_nodes_are_folded() {
    for fault in Fault::ALL.iter().copied() {
        let folded = Options { folds: true, ..options(Some(fault)) };
        let (failures, _) = run_many(0, 10_000, &folded, 1);
        assert!(!failures.is_empty(), "{fault:?} isn't found: {}", fault.what());
    }
}

#[test]
fn a_seed_says_the_same_every_time() {
    for seed in 0..20 {
        let runs: Vec<_> = (0..2)
            .map(|_| {
                sim::run::run(seed, &options(None)).map(|done| (done.ops, done.sent, done.shown))
            })
            .map(|result| result.map_err(|failure| failure.why))
            .collect();
        assert_eq!(runs[0], runs[1], "seed {seed}");
    }
}

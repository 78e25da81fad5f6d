//! The simulation as a command: as many seeds as asked.
//!
//! ```text
//! cargo bench --bench simulation -- --seeds 100000 --from 0
//! cargo bench --bench simulation -- --replay 4711 [--ops 1,5,9]
//! cargo bench --bench simulation -- --faults
//! cargo bench --bench simulation -- --restart 10000
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a simulation: what doesn't hold is a failure of its run; its own pace is measured"
)]

mod restart;
mod sim;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Instant;

use sim::faults::Fault;
use sim::many::run_many;
use sim::plan::Length;
use sim::run::{Failure, Options, run};
use sim::shrink::{replay, shrink};

/// Seeds of one line of progress.
const LINE: u64 = 10_000;

const USAGE: &str = "\
cargo bench --bench simulation -- [options]
    --seeds N      so many seeds (10000)
    --from S       the first one (0)
    --short        runs as short as those of `cargo test`
    --folded       all edge nodes are devices of one on IT, and not of a third of the seeds alone
    --keep-going N up to so many failures (1)
    --survey       all seeds, and how often each kind of failure was met
    --replay S     one seed, step by step
    --ops A,B,…    of that seed only these operations
    --fault NAME   with a planted mistake
    --faults       each planted mistake until it is found, within --seeds
    --restart N    how long a plant of N nodes takes to be back after a kill";

fn main() -> ExitCode {
    let (length, folds) = (Length::FULL, false);
    let mut options = Options { length, fault: None, folds, only: None, trace: false };
    let (mut seeds, mut from, mut keep, mut replayed, mut all_faults) = (10_000, 0, 1, None, false);
    let mut is_survey = false;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        let number = |text: String| text.replace('_', "").parse::<u64>().expect(USAGE);
        match argument.as_str() {
            // Cargo's own.
            "--bench" => {}
            "--seeds" => seeds = number(value()),
            "--from" => from = number(value()),
            "--keep-going" => keep = number(value()) as usize,
            "--survey" => is_survey = true,
            "--short" => options.length = Length::SHORT,
            "--folded" => options.folds = true,
            "--replay" => replayed = Some(number(value())),
            "--ops" => {
                let ops = value();
                let ops = ops.split(',').filter(|op| !op.is_empty());
                options.only = Some(ops.map(|op| op.parse().expect(USAGE)).collect());
            }
            "--fault" => {
                let name = value();
                let named = |fault: &&Fault| format!("{fault:?}") == name;
                options.fault = Some(*Fault::ALL.iter().find(named).expect("a planted mistake"));
            }
            "--faults" => all_faults = true,
            "--restart" => {
                restart::measure(number(value()) as usize);
                return ExitCode::SUCCESS;
            }
            _ => {
                println!("{USAGE}");
                return ExitCode::from(64);
            }
        }
    }
    if is_survey {
        return survey(from, seeds, &options);
    }
    if all_faults {
        return find_faults(from, seeds, &options);
    }
    if let Some(seed) = replayed {
        options.trace = true;
        return match run(seed, &options) {
            Ok(done) => {
                println!("seed {seed} holds: {done:?}");
                ExitCode::SUCCESS
            }
            Err(failure) => {
                println!("seed {seed} fails: {}", failure.why);
                ExitCode::FAILURE
            }
        };
    }
    many(from, seeds, keep, &options)
}

fn many(from: u64, seeds: u64, keep: usize, options: &Options) -> ExitCode {
    let start = Instant::now();
    let (mut at, mut failed) = (0, 0);
    while at < seeds && failed < keep {
        let count = LINE.min(seeds - at);
        let (failures, done) = run_many(from + at, count, options, keep - failed);
        failed += failures.len();
        for failure in failures {
            println!("seed {} fails: {}", failure.seed, failure.why);
            let small = shrink(failure, options);
            println!("  shrunk to {} operations: {}", small.ops.len(), small.why);
            println!("  {}", replay(&small, options));
        }
        at += count;
        let pace = at as f64 / start.elapsed().as_secs_f64();
        println!(
            "{at} seeds, {pace:.0} seeds/s; of the last {}: {:.0} messages of the plant, {:.0} shown",
            done.runs,
            done.sent as f64 / done.runs.max(1) as f64,
            done.shown as f64 / done.runs.max(1) as f64
        );
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn survey(from: u64, seeds: u64, options: &Options) -> ExitCode {
    let start = Instant::now();
    let (failures, _) = run_many(from, seeds, options, usize::MAX);
    let pace = seeds as f64 / start.elapsed().as_secs_f64();
    let mut kinds: BTreeMap<String, Vec<Failure>> = BTreeMap::new();
    let count = failures.len();
    for failure in failures {
        kinds.entry(failure.kind()).or_default().push(failure);
    }
    for (kind, failures) in kinds {
        println!("{:>6} {kind}", failures.len());
        for failure in failures.iter().take(3) {
            println!("       seed {}: {}", failure.seed, failure.why);
        }
        let seeds: Vec<String> = failures.iter().map(|failure| failure.seed.to_string()).collect();
        println!("       all: {}", seeds.join(" "));
    }
    println!("{count} of {seeds} seeds fail; {pace:.0} seeds/s");
    if count == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn find_faults(from: u64, seeds: u64, options: &Options) -> ExitCode {
    let mut is_missed = false;
    for fault in Fault::ALL.iter().copied() {
        let folds = options.folds || fault.is_of_folds();
        let options = Options { fault: Some(fault), folds, ..options.clone() };
        let (failures, done) = run_many(from, seeds, &options, 1);
        match failures.first() {
            Some(failure) => {
                println!("{fault:?} found after {} seeds: {}", done.runs + 1, failure.why);
            }
            None => {
                is_missed = true;
                println!("{fault:?} NOT FOUND in {seeds} seeds: {}", fault.what());
            }
        }
    }
    if is_missed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

//! The link in virtual time, with the second pass off: a million frames over a wire with faults, what
//! is lost for good at which overhead, how long they take, and what both ends cost. Fails where more
//! is lost, or more goes over the wire, than the link promises.

use std::time::{Duration, Instant};

use link::testing::{Faults, Figures, Scenario, run as simulate};
use serde_json::{Value, json};

use crate::options::Options;
use crate::table;

/// A wire, and what the link promises over it.
struct Case {
    name: &'static str,
    faults: Faults,
    frames: u64,
    frames_per_s: u64,
    overhead_permille: u32,
    /// Bytes of repair per byte of source.
    overhead_at_most: f64,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let random = [
        ("loss of 1 %", 100, 39, 0.04),
        ("loss of 5 %", 500, 98, 0.1),
        ("loss of 20 %", 2_000, 395, 0.4),
        ("loss of 40 %", 4_000, 990, 1.0),
    ];
    for (name, lost, overhead_permille, overhead_at_most) in random {
        let faults = Faults { lost, ..Faults::default() };
        let (frames, frames_per_s) = (1_000_000, 20_000);
        let case = Case { name, faults, frames, frames_per_s, overhead_permille, overhead_at_most };
        cases.push(case);
    }
    for (name, ms) in [("bursts of 5 ms", 5), ("bursts of 20 ms", 20), ("bursts of 50 ms", 50)] {
        cases.push(Case {
            name,
            faults: Faults { burst: Duration::from_millis(ms), ..Faults::default() },
            frames: 1_000_000,
            frames_per_s: 10_000,
            overhead_permille: 470,
            overhead_at_most: 0.5,
        });
    }
    cases.push(Case {
        name: "reorder by 100, 1 % twice, 0.1 % flipped",
        faults: Faults { reorder: 100, doubled: 100, flipped: 10, ..Faults::default() },
        frames: 1_000_000,
        frames_per_s: 20_000,
        overhead_permille: 250,
        overhead_at_most: 0.27,
    });
    cases.push(Case {
        name: "no faults",
        faults: Faults::default(),
        frames: 20_000,
        frames_per_s: 1_000,
        overhead_permille: 250,
        overhead_at_most: 0.8,
    });
    cases
}

pub(crate) fn run(options: &Options) -> Value {
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for case in cases().into_iter().filter(|case| options.wants_case(case.name)) {
        let mut scenario = Scenario {
            frames: case.frames,
            frames_per_s: case.frames_per_s,
            faults: vec![case.faults.clone()],
            seed: 20_26,
            ..Scenario::default()
        };
        scenario.sender.blocks.overhead_permille = case.overhead_permille;
        let begin = Instant::now();
        let figures = simulate(&scenario);
        let took = begin.elapsed().as_secs_f64();
        let violated = is_case_violated(&case, &figures);
        let Figures { lost, twice, wrong, flipped, receiver, .. } = &figures;
        rows.push(vec![
            case.name.to_owned(),
            format!("{:.2} %", figures.overhead() * 100.0),
            lost.to_string(),
            twice.to_string(),
            receiver.repaired.to_string(),
            format!("{:.1} / {:.1} ms", ms(&figures, 0.5), ms(&figures, 0.99)),
            format!("{took:.1} s"),
            if violated { "no" } else { "yes" }.to_owned(),
        ]);
        results.push(json!({
            "case": case.name, "frames": case.frames, "overhead": figures.overhead(),
            "lost": lost, "twice": twice, "wrong": wrong, "repaired": receiver.repaired,
            "flipped": flipped, "foreign": receiver.foreign, "delay_ms_p50": ms(&figures, 0.5),
            "delay_ms_p99": ms(&figures, 0.99), "took_s": took, "violated": violated,
        }));
    }
    table::print(
        "the link in virtual time, frames of 300 bytes, second pass off",
        &[
            "wire",
            "overhead",
            "lost for good",
            "twice",
            "repaired",
            "delay p50 / p99",
            "took",
            "as promised",
        ],
        &rows,
    );
    json!(results)
}

fn ms(figures: &Figures, quantile: f64) -> f64 {
    figures.delay_us(quantile) as f64 / 1_000.0
}

fn is_case_violated(case: &Case, figures: &Figures) -> bool {
    let receiver = &figures.receiver;
    figures.lost + figures.twice + figures.wrong + figures.told_missing > 0
        || receiver.foreign != figures.flipped
        || receiver.datagrams() != figures.arrived
        || figures.overhead() > case.overhead_at_most
}

/// Whether the link kept less than it promises.
pub(crate) fn is_violated(results: &Value) -> bool {
    let cases = results.as_array().into_iter().flatten();
    cases.into_iter().any(|case| case["violated"] == true)
}

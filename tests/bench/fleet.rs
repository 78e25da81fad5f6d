//! MQTT 5 beside MQTT 3.1.1, and four relays with a shard each beside one, between two brokers, with
//! the same load generator and the same sink.
//!
//! ```text
//! plant ─> source broker ─> ot ─> journal ─> it ─> destination broker ─> sink
//!                       └─> ot ─> journal ─> it ──┘   (shards: four times)
//! ```
//!
//! Throughput is what arrives while at most [`WINDOW`](crate::load::WINDOW) messages are under way.
//! Latency, CPU and bytes are of a rate that all of them take. Bytes are what the destination broker
//! reads from its sockets per message: topic, payload and heads of MQTT, without those of TCP.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::brokers::{self, Broker, Certificates};
use crate::load::{Plant, Shape};
use crate::options::{Options, output_dir};
use crate::process::Process;
use crate::relay::{self, Relay};
use crate::sink::Sink;
use crate::statistics::{median, percentile, ratio};
use crate::table;

const NODES: usize = 50;
const SHARDS: u32 = 4;
/// Messages/s at which latency, CPU and bytes are measured.
const RATE: f64 = 10_000.0;
/// Before a stretch is measured.
const WARM_UP: Duration = Duration::from_millis(700);

/// What is published.
#[derive(Clone, Copy, Debug)]
struct Case {
    metrics: usize,
    qos: u8,
}

const CASES: [Case; 3] =
    [Case { metrics: 1, qos: 0 }, Case { metrics: 10, qos: 0 }, Case { metrics: 10, qos: 1 }];

/// What stands between the brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fleet {
    Three,
    Five,
    Shards,
}

const FLEETS: [Fleet; 3] = [Fleet::Three, Fleet::Five, Fleet::Shards];

/// One round of one fleet: CPU in seconds per million messages.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    messages_per_s: f64,
    /// Of all OT halves, of all IT halves, and of both brokers, at [`RATE`].
    ot: f64,
    it: f64,
    brokers: f64,
    /// Of all halves at full rate.
    halves_at_full: f64,
    bytes: f64,
    p50_ms: f64,
    p99_ms: f64,
    lost: u64,
}

pub(crate) fn run(options: &Options) -> Value {
    if !Path::new(brokers::MOSQUITTO).exists() {
        println!("fleet: skipped, {} is not installed", brokers::MOSQUITTO);
        return Value::Null;
    }
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let cases: Vec<Case> =
        CASES.into_iter().filter(|case| options.wants_case(&case.name())).collect();
    let mut measured = vec![[const { Vec::new() }; FLEETS.len()]; cases.len()];
    for round in 0..options.rounds {
        for (case, of_case) in cases.iter().zip(&mut measured) {
            for (fleet, of_fleet) in FLEETS.into_iter().zip(of_case) {
                let one = measure(fleet, *case, options, &certificates);
                let (case, fleet) = (case.name(), fleet.name());
                let (rate, p99) = (table::number(one.messages_per_s), table::number(one.p99_ms));
                eprintln!("round {}: {case}, {fleet}: {rate} msg/s, p99 {p99} ms", round + 1);
                of_fleet.push(one);
            }
        }
    }
    println!(
        "fleet: {NODES} nodes, medians of {} rounds of {:.1} s; CPU seconds per million messages",
        options.rounds,
        options.stretch.as_secs_f64(),
    );
    Value::Array(cases.iter().zip(&measured).map(|(case, of)| report(*case, of)).collect())
}

fn measure(fleet: Fleet, case: Case, options: &Options, certificates: &Certificates) -> Measured {
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let destination = brokers::start("destination", dir.path(), certificates, None);
    let source = brokers::start("source", dir.path(), certificates, None);
    let sink = Sink::start(destination.address, case.qos);
    let (ots, its) = start(fleet, case, options, dir.path(), [&source, &destination], certificates);
    let shape = Shape {
        nodes: NODES,
        connections: NODES,
        metrics: case.metrics,
        aliases: false,
        qos: case.qos,
        groups: 0,
    };
    let mut plant = Plant::connect(source.address, shape);
    plant.be_born(&sink);
    let cpu = |processes: &[Process]| processes.iter().map(Process::cpu_s).sum::<f64>();
    let brokers = || source.process.cpu_s() + destination.process.cpu_s();
    let per_million = |seconds: f64, messages: u64| seconds / messages as f64 * 1e6;

    plant.saturate(&sink, WARM_UP);
    let (before, arrived) = (cpu(&ots) + cpu(&its), sink.data());
    plant.saturate(&sink, options.stretch);
    let delivered = sink.data() - arrived;
    let messages_per_s = delivered as f64 / options.stretch.as_secs_f64();
    let halves_at_full = per_million(cpu(&ots) + cpu(&its) - before, delivered);
    let mut lost = plant.drain(&sink);

    plant.pace(RATE, WARM_UP);
    let missing = plant.drain(&sink);
    sink.record();
    let sent = plant.sent();
    let before = (cpu(&ots), cpu(&its), brokers(), destination.process.read_bytes());
    plant.pace(RATE, options.stretch);
    // What was missing before stays missing.
    lost = lost.max(missing).max(plant.drain(&sink));
    let sent = plant.sent() - sent;
    let read = destination.process.read_bytes() - before.3;
    let latencies = sink.take_latencies();
    Measured {
        messages_per_s,
        ot: per_million(cpu(&ots) - before.0, sent),
        it: per_million(cpu(&its) - before.1, sent),
        brokers: per_million(brokers() - before.2, sent),
        halves_at_full,
        bytes: read as f64 / sent as f64,
        p50_ms: percentile(&latencies, 0.5) / 1e3,
        p99_ms: percentile(&latencies, 0.99) / 1e3,
        lost,
    }
}

/// All OT halves, and all IT halves.
fn start(
    fleet: Fleet,
    case: Case,
    options: &Options,
    dir: &Path,
    [source, destination]: [&Broker; 2],
    certificates: &Certificates,
) -> (Vec<Process>, Vec<Process>) {
    let shards: Vec<Option<(u32, u32)>> = match fleet {
        Fleet::Three | Fleet::Five => vec![None],
        Fleet::Shards => (1..=SHARDS).map(|index| Some((index, SHARDS))).collect(),
    };
    let start = |(at, shard): (usize, Option<(u32, u32)>)| {
        let dir = dir.join(format!("relay-{at}"));
        fs::create_dir(&dir).unwrap();
        let settings = relay::Settings {
            data_qos: case.qos,
            max_nodes: NODES + 10,
            gather_ms: options.gather_ms,
            shard,
            ..relay::Settings::default()
        };
        let relay = Relay::new(&options.binary, &dir, source, destination, certificates, settings);
        if fleet == Fleet::Five {
            for half in ["ot", "it"] {
                relay.set_broker(half, "protocol = \"5\"\n");
            }
        }
        (relay.start("ot"), relay.start("it"))
    };
    shards.into_iter().enumerate().map(start).unzip()
}

impl Case {
    fn name(self) -> String {
        format!("{} metrics, QoS {}", self.metrics, self.qos)
    }
}

impl Fleet {
    fn name(self) -> &'static str {
        match self {
            Fleet::Three => "one relay, MQTT 3.1.1",
            Fleet::Five => "one relay, MQTT 5",
            Fleet::Shards => "four relays with a shard each",
        }
    }
}

fn report(case: Case, measured: &[Vec<Measured>; FLEETS.len()]) -> Value {
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for (fleet, rounds) in FLEETS.into_iter().zip(measured) {
        let of = |figure: fn(&Measured) -> f64| median(rounds.iter().map(figure));
        let halves: fn(&Measured) -> f64 = |one| one.ot + one.it;
        // Round by round: what else happens on the machine hits both.
        let pairs = || rounds.iter().zip(&measured[0]);
        let to_first = |figure: fn(&Measured) -> f64| {
            median(pairs().map(|(one, first)| ratio(figure(one), figure(first))))
        };
        let lost: u64 = rounds.iter().map(|one| one.lost).sum();
        rows.push(vec![
            fleet.name().into(),
            table::number(of(|one| one.messages_per_s)),
            table::times(to_first(|one| one.messages_per_s)),
            table::number(of(|one| one.halves_at_full)),
            table::number(of(|one| one.ot)),
            table::number(of(|one| one.it)),
            table::times(to_first(halves)),
            table::number(of(|one| one.brokers)),
            table::number(of(|one| one.bytes)),
            table::number(of(|one| one.p50_ms)),
            table::number(of(|one| one.p99_ms)),
            lost.to_string(),
        ]);
        results.push(json!({
            "fleet": fleet.name(), "messages_per_s": of(|one| one.messages_per_s),
            "messages_per_s_to_first": to_first(|one| one.messages_per_s),
            "halves_at_full": of(|one| one.halves_at_full),
            "ot": of(|one| one.ot), "it": of(|one| one.it), "halves_to_first": to_first(halves),
            "brokers": of(|one| one.brokers), "bytes": of(|one| one.bytes),
            "p50_ms": of(|one| one.p50_ms), "p99_ms": of(|one| one.p99_ms), "lost": lost,
        }));
    }
    table::print(
        &format!("\n{}; from `ot` on at {} messages/s", case.name(), RATE),
        &[
            "",
            "messages/s",
            "to first",
            "CPU at it",
            "ot",
            "it",
            "to first",
            "brokers",
            "bytes",
            "p50 ms",
            "p99 ms",
            "lost",
        ],
        &rows,
    );
    json!({ "case": case.name(), "rate": RATE, "fleets": results })
}

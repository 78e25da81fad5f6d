//! What the relay itself costs and takes: both ends of it are of this benchmark, so cheap that what
//! they take is known and small, and nothing else is on the machine.
//!
//! ```text
//! relay    recorded source ══> ot ─> journal ─> it ══> discarding sink
//! broker   plant ──────────────────> broker ─────────> sink
//! ```
//!
//! Links drawn double are encrypted where a case says TLS. Capacity is what arrives while at most
//! [`WINDOW`] messages are under way. CPU is told per million messages, at that rate and at two that
//! plants have; latency at those two, from the time at which a message is *due*, so that a source that
//! is held up hides nothing (coordinated omission). The broker takes the same messages at the same
//! rates in the same round, and its CPU is what the ratio is to.

mod drain;
mod peer;
mod source;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use self::drain::Drain;
use self::source::{Recording, Source};
use crate::brokers::{self, Certificates, Place};
use crate::clock::micros;
use crate::load::{Plant, Shape};
use crate::options::{Options, output_dir};
use crate::process::Process;
use crate::relay::{self, Relay};
use crate::sink::Sink;
use crate::statistics::{median, percentile, ratio};
use crate::table;

/// Messages under way at most.
const WINDOW: u64 = 5_000;
const NODES: usize = 50;
/// Messages/s; `None`: as many as arrive.
const RATES: [Option<f64>; 3] = [Some(5_000.0), Some(20_000.0), None];
const BIRTHS_WITHIN: Duration = Duration::from_secs(60);
const DRAIN_WITHIN: Duration = Duration::from_secs(20);

/// How data names its metrics, in the plant and on IT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Names,
    AliasesToNames,
    Aliases,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    metrics: usize,
    qos: u8,
    naming: Naming,
    tls: bool,
}

/// One stretch of one round.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    messages_per_s: f64,
    /// CPU seconds per million messages.
    ot: f64,
    it: f64,
    source: f64,
    sink: f64,
    broker: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    lost: u64,
}

pub(crate) fn run(options: &Options) -> Value {
    if !Path::new(brokers::MOSQUITTO).exists() {
        println!("capacity: skipped, {} is not installed", brokers::MOSQUITTO);
        return Value::Null;
    }
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let cases: Vec<Case> = cases().filter(|case| options.wants_case(&case.name())).collect();
    let mut measured: Vec<Vec<[Stretch; 3]>> = vec![Vec::new(); cases.len()];
    for round in 0..options.rounds {
        for (case, of_case) in cases.iter().zip(&mut measured) {
            let mut stretches = measure(*case, options, &certificates);
            let of_broker = measure_broker(*case, options, &certificates);
            for (stretch, broker) in stretches.iter_mut().zip(of_broker) {
                stretch.broker = broker;
            }
            let [.., full] = stretches;
            let rate = table::number(full.messages_per_s);
            eprintln!("round {}: {}: {rate} msg/s", round + 1, case.name());
            of_case.push(stretches);
        }
    }
    println!(
        "capacity: {NODES} nodes, medians of {} rounds of {:.1} s a rate; CPU seconds per million messages",
        options.rounds,
        options.stretch.as_secs_f64(),
    );
    Value::Array(cases.iter().zip(&measured).map(|(case, rounds)| report(*case, rounds)).collect())
}

fn cases() -> impl Iterator<Item = Case> {
    let of = |metrics, qos| {
        let named = [Naming::Names, Naming::AliasesToNames, Naming::Aliases];
        let plain = named.map(|naming| Case { metrics, qos, naming, tls: false });
        plain.into_iter().chain([Case { metrics, qos, naming: Naming::Names, tls: true }])
    };
    [(10, 0), (10, 1), (100, 0), (100, 1)]
        .into_iter()
        .flat_map(move |(metrics, qos)| of(metrics, qos))
}

fn measure(case: Case, options: &Options, certificates: &Certificates) -> [Stretch; 3] {
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let tls = case.tls.then(|| certificates.server_config());
    let drain = Drain::start(tls.clone());
    let counts = Arc::clone(&drain.counts);
    let aliases = case.naming != Naming::Names;
    let recording = Recording { nodes: NODES, metrics: case.metrics, aliases, qos: case.qos };
    let source = Source::start(recording, tls, Arc::clone(&counts));
    let place = |address| Place { address, tls_address: address };
    let settings = relay::Settings {
        folds: false,
        tls: case.tls,
        data_qos: case.qos,
        max_nodes: NODES + 10,
        aliases: case.naming == Naming::Aliases,
        gather_ms: options.gather_ms,
        shard: None,
    };
    let (from, to) = (place(source.address), place(drain.address));
    let relay = Relay::new(&options.binary, dir.path(), from, to, certificates, settings);
    let halves = [relay.start("ot"), relay.start("it")];
    let mut asked = 0;
    let is_born = wait(BIRTHS_WITHIN, || {
        if asked % 1_500 == 0 {
            source.births();
        }
        asked += 1;
        counts.born() == NODES
    });
    assert!(is_born, "{} of {NODES} births arrived", counts.born());
    // Births that were asked for more than once, and what else is new.
    std::thread::sleep(Duration::from_millis(500));
    let mut expected = counts.data();
    expected += source.data(None, options.stretch / 2).messages;
    let _ = wait(DRAIN_WITHIN, || counts.data() >= expected);
    expected = counts.data();
    RATES.map(|rate| {
        let cpu = || (halves[0].cpu_s(), halves[1].cpu_s(), counts.cpu_s());
        let (before, arrived) = (cpu(), counts.data());
        counts.record();
        let sent = source.data(rate, options.stretch);
        let delivered = (counts.data() - arrived) as f64;
        let messages_per_s = delivered / sent.seconds;
        expected += sent.messages;
        let _ = wait(DRAIN_WITHIN, || counts.data() >= expected);
        let after = cpu();
        let latencies = counts.take_latencies();
        let lost = expected.saturating_sub(counts.data());
        expected = counts.data();
        let per_million = |seconds: f64| seconds / sent.messages as f64 * 1e6;
        let ms = |share| percentile(&latencies, share) / 1e3;
        Stretch {
            messages_per_s,
            ot: per_million(after.0 - before.0),
            it: per_million(after.1 - before.1),
            source: per_million(sent.cpu_s),
            sink: per_million(after.2 - before.2),
            broker: 0.0,
            p50_ms: ms(0.5),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            lost,
        }
    })
}

/// CPU seconds per million of the same messages that a broker takes, without TLS.
fn measure_broker(case: Case, options: &Options, certificates: &Certificates) -> [f64; 3] {
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let broker = brokers::start("broker", dir.path(), certificates, None);
    let sink = Sink::start(broker.address, case.qos);
    let aliases = case.naming != Naming::Names;
    let metrics = case.metrics;
    let shape =
        Shape { nodes: NODES, connections: NODES, metrics, aliases, qos: case.qos, groups: 0 };
    let mut plant = Plant::connect(broker.address, shape);
    plant.be_born(&sink);
    RATES.map(|rate| {
        let (cpu, sent) = (Process::cpu_s(&broker.process), plant.sent());
        match rate {
            Some(rate) => plant.pace(rate, options.stretch),
            None => plant.saturate(&sink, options.stretch),
        }
        let _ = plant.drain(&sink);
        (broker.process.cpu_s() - cpu) / (plant.sent() - sent) as f64 * 1e6
    })
}

fn wait(within: Duration, mut done: impl FnMut() -> bool) -> bool {
    let by = micros() + u64::try_from(within.as_micros()).unwrap();
    while !done() {
        if micros() > by {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

impl Case {
    fn name(self) -> String {
        let naming = match self.naming {
            Naming::Names => "names to names",
            Naming::AliasesToNames => "aliases to names",
            Naming::Aliases => "aliases to aliases",
        };
        let tls = if self.tls { ", TLS" } else { "" };
        format!("{} metrics, QoS {}, {naming}{tls}", self.metrics, self.qos)
    }
}

fn report(case: Case, rounds: &[[Stretch; 3]]) -> Value {
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for (at, rate) in RATES.iter().enumerate() {
        let of =
            |figure: fn(&Stretch) -> f64| median(rounds.iter().map(|round| figure(&round[at])));
        let halves = of(|one| one.ot + one.it);
        let to_broker = of(|one| ratio(one.ot + one.it, one.broker));
        let lost: u64 = rounds.iter().map(|round| round[at].lost).sum();
        let latency = |figure: fn(&Stretch) -> f64| match rate {
            Some(_) => table::number(of(figure)),
            None => "-".into(),
        };
        rows.push(vec![
            if rate.is_some() { "at".into() } else { "full".into() },
            table::number(of(|one| one.messages_per_s)),
            table::number(of(|one| one.ot)),
            table::number(of(|one| one.it)),
            table::number(of(|one| one.broker)),
            table::times(to_broker),
            table::number(of(|one| one.source)),
            table::number(of(|one| one.sink)),
            latency(|one| one.p50_ms),
            latency(|one| one.p99_ms),
            latency(|one| one.p999_ms),
            lost.to_string(),
        ]);
        results.push(json!({
            "rate": rate, "messages_per_s": of(|one| one.messages_per_s),
            "ot": of(|one| one.ot), "it": of(|one| one.it), "halves": halves,
            "broker": of(|one| one.broker), "halves_to_broker": to_broker,
            "source": of(|one| one.source), "sink": of(|one| one.sink),
            "p50_ms": of(|one| one.p50_ms), "p99_ms": of(|one| one.p99_ms),
            "p999_ms": of(|one| one.p999_ms), "lost": lost,
        }));
    }
    table::print(
        &format!("\n{}", case.name()),
        &[
            "",
            "messages/s",
            "ot",
            "it",
            "broker",
            "to broker",
            "source",
            "sink",
            "p50 ms",
            "p99",
            "p99.9",
            "lost",
        ],
        &rows,
    );
    json!({ "case": case.name(), "rates": results })
}

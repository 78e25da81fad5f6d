//! The relay beside other ways over the same brokers, with the same load generator and the same
//! sink.
//!
//! ```text
//! direct       plant ─> broker ─────────────────────────────────────> sink
//! bridge       plant ─> source broker ══════════════> destination broker ─> sink
//! relay        plant ─> source broker ══> ot ─> journal ─> it ══> destination broker ─> sink
//! ```
//!
//! With TLS the links drawn double are encrypted, with certificates on both ends; plant and sink
//! stay in clear text everywhere, so that the load generator costs the same.
//!
//! Throughput is what a path delivers while at most [`WINDOW`] messages are under way: a path
//! that takes more than it delivers fills the window and then is offered no more than it
//! delivers. Nothing may be missing at the end. Latency and CPU are measured at half of that
//! rate, CPU at the full rate too.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::brokers::{self, Bridge, Broker, Certificates};
use crate::load::{Plant, Shape, WINDOW};
use crate::options::{Options, output_dir};
use crate::process::{Memory, Process, own_cpu_s};
use crate::relay::{self, Relay};
use crate::sink::Sink;
use crate::statistics::{median, percentile, ratio};
use crate::table;

const PUBLISHERS: usize = 50;
/// Before a stretch is measured at full rate.
const WARM_UP: Duration = Duration::from_millis(700);

/// What is published.
#[derive(Clone, Copy, Debug)]
struct Case {
    metrics: usize,
    qos: u8,
}

const CASES: [Case; 4] = [
    Case { metrics: 10, qos: 0 },
    Case { metrics: 10, qos: 1 },
    Case { metrics: 100, qos: 0 },
    Case { metrics: 100, qos: 1 },
];

/// A way from the plant to the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Direct,
    Bridge { tls: bool },
    Relay { tls: bool },
}

const ROUTES: [Route; 5] = [
    Route::Direct,
    Route::Bridge { tls: false },
    Route::Relay { tls: false },
    Route::Bridge { tls: true },
    Route::Relay { tls: true },
];

/// One round of one route.
#[derive(Clone, Debug, Default)]
struct Measured {
    messages_per_s: f64,
    /// Messages that never arrived, of both stretches.
    lost: u64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    /// CPU seconds per million messages, at half of the rate and at the full one.
    processes: Vec<Cost>,
    /// Of the benchmark itself, at half of the rate.
    load_cpu: f64,
}

#[derive(Clone, Debug)]
struct Cost {
    name: &'static str,
    at_half: f64,
    at_full: f64,
    peak_mib: f64,
}

/// The processes of a route, ready for messages.
struct Line {
    source: Broker,
    destination: Option<Broker>,
    halves: Vec<Process>,
}

pub(crate) fn run(options: &Options) -> Value {
    if !Path::new(brokers::MOSQUITTO).exists() {
        println!("side-by-side: skipped, {} is not installed", brokers::MOSQUITTO);
        return Value::Null;
    }
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let cases: Vec<Case> =
        CASES.into_iter().filter(|case| options.wants_case(&case.name())).collect();
    let routes: Vec<Route> =
        ROUTES.into_iter().filter(|route| options.wants_route(route.name())).collect();
    let mut measured: Vec<Vec<Vec<Measured>>> = vec![vec![Vec::new(); routes.len()]; cases.len()];
    for round in 0..options.rounds {
        for (case, of_case) in cases.iter().zip(&mut measured) {
            for (route, of_route) in routes.iter().zip(of_case) {
                let one = measure(*route, *case, options, &certificates);
                eprintln!(
                    "round {}: {}, {}: {} msg/s, p99 {} ms, lost {}",
                    round + 1,
                    case.name(),
                    route.name(),
                    table::number(one.messages_per_s),
                    table::number(one.p99_ms),
                    one.lost
                );
                of_route.push(one);
            }
        }
    }
    println!(
        "side by side: {PUBLISHERS} publishers, medians of {} rounds of {:.1} s, data by {}{}",
        options.rounds,
        options.stretch.as_secs_f64(),
        if options.aliases { "alias" } else { "name" },
        options.rate.map_or(String::new(), |rate| format!("; instead of half rate {rate} msg/s")),
    );
    let results =
        cases.iter().zip(&measured).map(|(case, of_case)| report(*case, &routes, of_case));
    let cases: Vec<Value> = results.collect();
    json!({
        "publishers": PUBLISHERS,
        "window": WINDOW,
        "aliases": options.aliases,
        "rate": options.rate,
        "cases": cases,
    })
}

fn measure(route: Route, case: Case, options: &Options, certificates: &Certificates) -> Measured {
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let path = Line::start(route, case, options, dir.path(), certificates);
    let sink = Sink::start(path.last().address, case.qos);
    let shape = Shape {
        nodes: PUBLISHERS,
        connections: PUBLISHERS,
        metrics: case.metrics,
        aliases: options.aliases,
        qos: case.qos,
        groups: 0,
    };
    let mut plant = Plant::connect(path.source.address, shape);
    plant.be_born(&sink);

    plant.saturate(&sink, WARM_UP);
    let (cpu, received, begin) = (path.cpu_s(), sink.data(), crate::clock::micros());
    plant.saturate(&sink, options.stretch);
    let seconds = (crate::clock::micros() - begin) as f64 / 1e6;
    let delivered = (sink.data() - received) as f64;
    let at_full: Vec<f64> = path
        .cpu_s()
        .iter()
        .zip(&cpu)
        .map(|(after, before)| (after - before) / delivered * 1e6)
        .collect();
    let messages_per_s = delivered / seconds;
    let lost_at_full = plant.drain(&sink);

    sink.record();
    let (cpu, own, sent) = (path.cpu_s(), own_cpu_s(), plant.sent());
    plant.pace(options.rate.unwrap_or(messages_per_s / 2.0), options.stretch);
    let lost = plant.drain(&sink);
    let messages = (plant.sent() - sent) as f64;
    let at_half =
        path.cpu_s().into_iter().zip(&cpu).map(|(after, before)| (after - before) / messages * 1e6);
    let processes = path
        .processes()
        .zip(at_half)
        .zip(at_full)
        .map(|((process, at_half), at_full)| {
            let Memory { peak, .. } = process.memory();
            Cost { name: process.name, at_half, at_full, peak_mib: peak }
        })
        .collect();
    let load_cpu = (own_cpu_s() - own) / messages * 1e6;
    let latencies = sink.take_latencies();
    let ms = |share| percentile(&latencies, share) / 1e3;
    Measured {
        messages_per_s,
        // What is missing after the first stretch is missing after the second too.
        lost: lost.max(lost_at_full),
        p50_ms: ms(0.5),
        p99_ms: ms(0.99),
        p999_ms: ms(0.999),
        processes,
        load_cpu,
    }
}

impl Line {
    fn start(
        route: Route,
        case: Case,
        options: &Options,
        dir: &Path,
        certificates: &Certificates,
    ) -> Line {
        match route {
            Route::Direct => Line {
                source: brokers::start("broker", dir, certificates, None),
                destination: None,
                halves: Vec::new(),
            },
            Route::Bridge { tls } => {
                let destination = brokers::start("destination", dir, certificates, None);
                let bridge = Bridge { to: &destination, qos: case.qos, tls };
                let source = brokers::start("source", dir, certificates, Some(&bridge));
                Line { source, destination: Some(destination), halves: Vec::new() }
            }
            Route::Relay { tls } => {
                let destination = brokers::start("destination", dir, certificates, None);
                let source = brokers::start("source", dir, certificates, None);
                let settings = relay::Settings {
                    tls,
                    data_qos: case.qos,
                    max_nodes: PUBLISHERS + 10,
                    ..Default::default()
                };
                let relay =
                    Relay::new(&options.binary, dir, &source, &destination, certificates, settings);
                let halves = vec![relay.start("ot"), relay.start("it")];
                Line { source, destination: Some(destination), halves }
            }
        }
    }

    /// The broker at which the sink subscribes.
    fn last(&self) -> &Broker {
        self.destination.as_ref().unwrap_or(&self.source)
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        let destination = self.destination.iter().map(|broker| &broker.process);
        std::iter::once(&self.source.process).chain(destination).chain(&self.halves)
    }

    fn cpu_s(&self) -> Vec<f64> {
        self.processes().map(Process::cpu_s).collect()
    }
}

impl Case {
    fn name(self) -> String {
        format!("{} metrics, QoS {}", self.metrics, self.qos)
    }
}

impl Route {
    fn name(self) -> &'static str {
        match self {
            Route::Direct => "direct",
            Route::Bridge { tls: false } => "bridge",
            Route::Bridge { tls: true } => "bridge, TLS",
            Route::Relay { tls: false } => "relay",
            Route::Relay { tls: true } => "relay, TLS",
        }
    }

    /// The bridge that this route is compared with.
    fn bridge(self) -> Route {
        match self {
            Route::Direct => Route::Bridge { tls: false },
            Route::Bridge { tls } | Route::Relay { tls } => Route::Bridge { tls },
        }
    }
}

/// Medians of one route.
struct Medians<'a> {
    rounds: &'a [Measured],
}

impl Medians<'_> {
    fn of(&self, figure: impl Fn(&Measured) -> f64) -> f64 {
        median(self.rounds.iter().map(figure))
    }

    fn cost(&self, name: &str, figure: impl Fn(&Cost) -> f64) -> f64 {
        self.of(|one| one.processes.iter().find(|cost| cost.name == name).map_or(0.0, &figure))
    }

    fn halves(&self, figure: impl Fn(&Cost) -> f64) -> f64 {
        self.of(|one| {
            let halves = one.processes.iter().filter(|cost| matches!(cost.name, "ot" | "it"));
            halves.map(&figure).sum()
        })
    }
}

fn report(case: Case, routes: &[Route], measured: &[Vec<Measured>]) -> Value {
    let medians = |wanted: Route| {
        let at = routes.iter().position(|route| *route == wanted)?;
        Some(Medians { rounds: &measured[at] })
    };
    let mut rows = Vec::new();
    let mut cpu_rows = Vec::new();
    let mut results = Vec::new();
    for (route, rounds) in routes.iter().zip(measured) {
        let own = Medians { rounds };
        let bridge = medians(route.bridge());
        let against = |figure: fn(&Measured) -> f64| {
            bridge.as_ref().map_or(0.0, |bridge| ratio(own.of(figure), bridge.of(figure)))
        };
        let lost: u64 = rounds.iter().map(|one| one.lost).sum();
        rows.push(vec![
            route.name().to_owned(),
            table::number(own.of(|one| one.messages_per_s)),
            table::times(against(|one| one.messages_per_s)),
            table::number(own.of(|one| one.p50_ms)),
            table::number(own.of(|one| one.p99_ms)),
            table::times(against(|one| one.p99_ms)),
            table::number(own.of(|one| one.p999_ms)),
            lost.to_string(),
        ]);
        let names: Vec<&'static str> = rounds[0].processes.iter().map(|cost| cost.name).collect();
        let mut processes = Map::new();
        let mut cpu = vec![route.name().to_owned()];
        for column in ["source", "destination", "ot", "it"] {
            // The only broker of the direct way is both.
            let name = if column == "source" { names[0] } else { column };
            cpu.push(if names.contains(&name) {
                let at = |figure: fn(&Cost) -> f64| table::number(own.cost(name, figure));
                format!("{} {}", at(|cost| cost.at_half), at(|cost| cost.at_full))
            } else {
                "-".into()
            });
        }
        for name in &names {
            processes.insert(
                (*name).into(),
                json!({
                    "cpu_s_per_million_at_half": own.cost(name, |cost| cost.at_half),
                    "cpu_s_per_million_at_full": own.cost(name, |cost| cost.at_full),
                    "peak_rss_mib": own.cost(name, |cost| cost.peak_mib),
                }),
            );
        }
        let memory = names.iter().map(|name| table::number(own.cost(name, |cost| cost.peak_mib)));
        cpu.push(memory.collect::<Vec<_>>().join(" "));
        cpu_rows.push(cpu);
        results.push(json!({
            "route": route.name(),
            "messages_per_s": own.of(|one| one.messages_per_s),
            "messages_per_s_to_bridge": against(|one| one.messages_per_s),
            "p50_ms": own.of(|one| one.p50_ms),
            "p99_ms": own.of(|one| one.p99_ms),
            "p999_ms": own.of(|one| one.p999_ms),
            "p50_to_bridge": against(|one| one.p50_ms),
            "p99_to_bridge": against(|one| one.p99_ms),
            "p999_to_bridge": against(|one| one.p999_ms),
            "lost": lost,
            "processes": processes,
            "halves_cpu_s_per_million_at_half": own.halves(|cost| cost.at_half),
            "halves_cpu_s_per_million_at_full": own.halves(|cost| cost.at_full),
            "load_cpu_s_per_million": own.of(|one| one.load_cpu),
            "rounds_messages_per_s": rounds.iter().map(|one| one.messages_per_s).collect::<Vec<_>>(),
            "rounds_p99_ms": rounds.iter().map(|one| one.p99_ms).collect::<Vec<_>>(),
        }));
    }
    table::print(
        &format!("\n{}", case.name()),
        &["", "messages/s", "to bridge", "p50 ms", "p99 ms", "to bridge", "p99.9 ms", "lost"],
        &rows,
    );
    table::print(
        "  CPU seconds per million messages, at half and at full rate; peak memory in MiB",
        &["", "source", "destination", "ot", "it", "memory"],
        &cpu_rows,
    );
    for route in [Route::Relay { tls: false }, Route::Relay { tls: true }] {
        let (Some(relay), Some(direct)) = (medians(route), medians(Route::Direct)) else {
            continue;
        };
        for (rate, is_half) in [("half", true), ("full", false)] {
            let figure = |cost: &Cost| if is_half { cost.at_half } else { cost.at_full };
            let (halves, broker) = (relay.halves(figure), direct.cost("broker", figure));
            println!(
                "  {}: both halves {} CPU s per million at {rate} rate, {} of the direct broker's {}",
                route.name(),
                table::number(halves),
                table::times(ratio(halves, broker)),
                table::number(broker),
            );
        }
    }
    json!({ "case": case.name(), "metrics": case.metrics, "qos": case.qos, "routes": results })
}

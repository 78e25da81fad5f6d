//! Many mirrored nodes: memory of each half, how long starts and rebirth storms take, what
//! idling costs, and latency under a small load of every node.

use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use prost::Message;
use serde_json::{Value, json};
use sparkplug::{self, DataType, Metric, Payload, names};

use crate::brokers::{self, Certificates};
use crate::clock::micros;
use crate::load::{Plant, Shape};
use crate::options::{Options, output_dir};
use crate::process::{Memory, Process};
use crate::relay::{self, Relay};
use crate::sink::Sink;
use crate::statistics::percentile;
use crate::{plant, table};

const METRICS: usize = 50;
/// Connections of the plant: what is measured is the relay.
const CONNECTIONS: usize = 50;
/// Longest wait for any of it.
const WITHIN: Duration = Duration::from_secs(300);
/// Longer than the shortest time between two births of a node that hosts ask for.
const REST: Duration = Duration::from_secs(3);
/// Shortest stretch of idling and of load: `/proc` counts hundredths of a second.
const LEAST_STRETCH: Duration = Duration::from_secs(5);

/// Figures of one number of nodes.
#[derive(Debug, Default)]
struct Figures {
    nodes: usize,
    /// From the start of both halves, without any state, to the last birth on IT; the plant is
    /// born as soon as the OT half listens.
    start_s: f64,
    /// The same from the moment at which the plant is born.
    births_s: f64,
    /// From the start of a killed IT half to the last birth on IT: with its state, without it.
    restart_s: f64,
    first_start_s: f64,
    storm_s: f64,
    /// Births that the storm didn't get.
    storm_missing: usize,
    /// CPU in percent of one core.
    idle_ot: f64,
    idle_it: f64,
    load_ot: f64,
    load_it: f64,
    p50_ms: f64,
    p99_ms: f64,
    lost: u64,
    ot: Memory,
    it: Memory,
}

pub(crate) fn run(options: &Options) -> Value {
    if !Path::new(brokers::MOSQUITTO).exists() {
        println!("scale: skipped, {} is not installed", brokers::MOSQUITTO);
        return Value::Null;
    }
    let numbers: &[usize] = if options.large { &[1_000, 10_000] } else { &[1_000] };
    let figures: Vec<Figures> = numbers.iter().map(|nodes| measure(*nodes, options)).collect();
    report(&figures);
    Value::Array(figures.iter().map(as_json).collect())
}

fn measure(nodes: usize, options: &Options) -> Figures {
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let destination = brokers::start("destination", dir.path(), &certificates, None);
    let source = brokers::start("source", dir.path(), &certificates, None);
    let settings =
        relay::Settings { tls: false, data_qos: 0, max_nodes: nodes + 10, ..Default::default() };
    let relay =
        Relay::new(&options.binary, dir.path(), &source, &destination, &certificates, settings);
    let mut sink = Sink::start(destination.address, 0);
    let shape = Shape {
        nodes,
        connections: CONNECTIONS,
        metrics: METRICS,
        aliases: false,
        qos: 0,
        groups: 0,
    };
    let mut plant = Plant::connect(source.address, shape);
    let mut figures = Figures { nodes, ..Figures::default() };

    let begin = micros();
    let (ot, it) = (relay.start("ot"), relay.start("it"));
    let log = relay.log("ot");
    let listens = || fs::read_to_string(&log).is_ok_and(|text| text.contains("connected"));
    assert!(sink.wait(WITHIN, |_| listens()), "the OT half doesn't connect");
    // It subscribes within the same turn in which it logs.
    thread::sleep(Duration::from_millis(50));
    let born = micros();
    plant.births();
    wait_for_births(&sink, nodes);
    figures.start_s = since(begin);
    figures.births_s = since(born);

    thread::sleep(REST);
    (figures.storm_s, figures.storm_missing) = storm(&mut sink, nodes);
    thread::sleep(REST);

    let stretch = options.stretch.max(LEAST_STRETCH);
    let (ot_cpu, it_cpu) = (ot.cpu_s(), it.cpu_s());
    thread::sleep(stretch);
    let percent =
        |process: &Process, before: f64| (process.cpu_s() - before) / stretch.as_secs_f64() * 100.0;
    (figures.idle_ot, figures.idle_it) = (percent(&ot, ot_cpu), percent(&it, it_cpu));

    // Every node has sent once before it is measured.
    plant.pace(nodes as f64, Duration::from_secs(1));
    plant.drain(&sink);
    sink.record();
    let (ot_cpu, it_cpu) = (ot.cpu_s(), it.cpu_s());
    plant.pace(nodes as f64, stretch);
    (figures.load_ot, figures.load_it) = (percent(&ot, ot_cpu), percent(&it, it_cpu));
    figures.lost = plant.drain(&sink);
    let latencies = sink.take_latencies();
    figures.p50_ms = percentile(&latencies, 0.5) / 1e3;
    figures.p99_ms = percentile(&latencies, 0.99) / 1e3;
    (figures.ot, figures.it) = (ot.memory(), it.memory());

    it.kill();
    let it = restart(&relay, &sink, nodes, &mut figures.restart_s);
    it.kill();
    // The directory stays: it has the owner that the half insists on.
    for file in fs::read_dir(dir.path().join("it-state")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    restart(&relay, &sink, nodes, &mut figures.first_start_s).kill();
    ot.kill();
    figures
}

/// Starts the IT half again, and waits for all births.
fn restart(relay: &Relay, sink: &Sink, nodes: usize, took_s: &mut f64) -> Process {
    // What the killed one had sent has arrived by then.
    thread::sleep(REST);
    sink.forget_births();
    let begin = micros();
    let it = relay.start("it");
    wait_for_births(sink, nodes);
    *took_s = since(begin);
    it
}

/// A host asks every node for a rebirth; seconds until all have answered, and how many haven't.
fn storm(sink: &mut Sink, nodes: usize) -> (f64, usize) {
    let rebirth = Metric {
        name: Some(names::REBIRTH.to_owned()),
        datatype: Some(DataType::Boolean.code()),
        value: Some(sparkplug::Value::Boolean(true)),
        ..Metric::default()
    };
    let payload = Payload {
        timestamp: Some(crate::clock::wall_ms()),
        metrics: vec![rebirth],
        ..Payload::default()
    };
    let payload = payload.encode_to_vec();
    sink.forget_births();
    let begin = micros();
    for number in 0..nodes {
        sink.publish(&plant::topic("NCMD", &plant::edge_node(number)), &payload);
    }
    let mut last = (begin, 0);
    // Until all have answered, or nothing comes any more.
    sink.wait(WITHIN, |sink| {
        let born = sink.born();
        if born > last.1 {
            last = (micros(), born);
        }
        born >= nodes || micros() - last.0 > 5_000_000
    });
    ((last.0 - begin) as f64 / 1e6, nodes.saturating_sub(last.1))
}

fn wait_for_births(sink: &Sink, nodes: usize) {
    let all = sink.wait(WITHIN, |sink| sink.born() >= nodes);
    assert!(all, "{} of {nodes} births arrived", sink.born());
}

fn since(begin: u64) -> f64 {
    (micros() - begin) as f64 / 1e6
}

fn report(figures: &[Figures]) {
    let mut head = vec![String::new()];
    head.extend(figures.iter().map(|one| format!("{} nodes", table::number(one.nodes as f64))));
    let row = |name: &str, figure: &dyn Fn(&Figures) -> String| {
        let mut row = vec![name.to_owned()];
        row.extend(figures.iter().map(figure));
        row
    };
    let n = table::number;
    let rows = [
        row("cold start of both halves to all births on IT, s", &|one| n(one.start_s)),
        row("  of that after the plant's births, s", &|one| n(one.births_s)),
        row("restart of a killed IT half to all births, s", &|one| n(one.restart_s)),
        row("first start of an IT half on a full journal, s", &|one| n(one.first_start_s)),
        row("rebirth storm answered, s", &|one| n(one.storm_s)),
        row("  not answered", &|one| one.storm_missing.to_string()),
        row("CPU when idle: ot, it, %", &|one| format!("{} {}", n(one.idle_ot), n(one.idle_it))),
        row("CPU at 1 message/(node s): ot, it, %", &|one| {
            format!("{} {}", n(one.load_ot), n(one.load_it))
        }),
        row("  latency p50, p99, ms", &|one| format!("{} {}", n(one.p50_ms), n(one.p99_ms))),
        row("  lost", &|one| one.lost.to_string()),
        row("memory of ot: now, peak, MiB", &|one| format!("{} {}", n(one.ot.now), n(one.ot.peak))),
        row("memory of it: now, peak, MiB", &|one| format!("{} {}", n(one.it.now), n(one.it.peak))),
    ];
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    table::print(&format!("scale: {METRICS} metrics per node"), &head, &rows);
}

fn as_json(one: &Figures) -> Value {
    json!({
        "nodes": one.nodes, "metrics_per_node": METRICS,
        "cold_start_s": one.start_s, "births_s": one.births_s,
        "it_restart_s": one.restart_s, "it_first_start_s": one.first_start_s,
        "rebirth_storm_s": one.storm_s, "rebirth_storm_missing": one.storm_missing,
        "idle_cpu_percent": { "ot": one.idle_ot, "it": one.idle_it },
        "load_cpu_percent": { "ot": one.load_ot, "it": one.load_it },
        "load_p50_ms": one.p50_ms, "load_p99_ms": one.p99_ms, "load_lost": one.lost,
        "ot_rss_mib": { "now": one.ot.now, "peak": one.ot.peak },
        "it_rss_mib": { "now": one.it.now, "peak": one.it.peak },
    })
}

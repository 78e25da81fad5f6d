//! Folded groups: a thousand edge nodes in ten groups, with a session each and with one for a group,
//! one after the other over brokers of their own. What the IT half and its broker take of CPU while
//! each node sends once a second and ten times, and of memory; and how late messages are.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::brokers::{self, Broker, Certificates};
use crate::load::{Plant, Shape};
use crate::options::{Options, output_dir};
use crate::process::{Memory, Process};
use crate::relay::{self, Relay};
use crate::sink::Sink;
use crate::statistics::percentile;
use crate::table;

const NODES: usize = 1_000;
const GROUPS: usize = 10;
/// Values of one message.
const METRICS: usize = 10;
/// Connections of the plant: what is measured is the relay.
const CONNECTIONS: usize = 50;
/// Messages a second of each node.
const RATES: [f64; 2] = [1.0, 10.0];
/// Shortest stretch: `/proc` counts hundredths of a second.
const LEAST_STRETCH: Duration = Duration::from_secs(10);

/// Figures at one rate, in percent of one core and in milliseconds.
#[derive(Debug, Default, Clone, Copy)]
struct AtRate {
    it: f64,
    broker: f64,
    p50_ms: f64,
    p99_ms: f64,
    lost: u64,
}

#[derive(Debug, Default)]
struct Figures {
    /// Sessions that the IT half has.
    sessions: usize,
    rates: [AtRate; 2],
    it: Memory,
    broker: Memory,
}

pub(crate) fn run(options: &Options) -> Value {
    if !Path::new(brokers::MOSQUITTO).exists() {
        println!("fold: skipped, {} is not installed", brokers::MOSQUITTO);
        return Value::Null;
    }
    let [plain, folded] = [false, true].map(|folds| measure(folds, options));
    report(&plain, &folded);
    json!({ "plain": as_json(&plain), "folded": as_json(&folded) })
}

fn measure(folds: bool, options: &Options) -> Figures {
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let destination = brokers::start("destination", dir.path(), &certificates, None);
    let source = brokers::start("source", dir.path(), &certificates, None);
    let settings = relay::Settings {
        max_nodes: NODES + 10,
        folds,
        gather_ms: options.gather_ms,
        ..relay::Settings::default()
    };
    let relay =
        Relay::new(&options.binary, dir.path(), &source, &destination, &certificates, settings);
    relay.write_policy("[[rule]]\nname = \"everything\"\naction = \"forward\"\ngroup = \"*\"\n");
    let mut sink = Sink::start(destination.address, 0);
    if folds {
        sink.count_devices();
    }
    let shape = Shape {
        nodes: NODES,
        connections: CONNECTIONS,
        metrics: METRICS,
        aliases: false,
        qos: 0,
        groups: GROUPS,
    };
    let mut plant = Plant::connect(source.address, shape);
    let (ot, it) = (relay.start("ot"), relay.start("it"));
    plant.be_born(&sink);
    let mut figures = Figures { sessions: sessions(&destination), ..Figures::default() };
    for (at, rate) in figures.rates.iter_mut().zip(RATES) {
        *at = at_rate(rate, &mut plant, &mut sink, (&it, &destination), options);
    }
    (figures.it, figures.broker) = (it.memory(), destination.process.memory());
    it.kill();
    ot.kill();
    figures
}

fn at_rate(
    rate: f64,
    plant: &mut Plant,
    sink: &mut Sink,
    (it, broker): (&Process, &Broker),
    options: &Options,
) -> AtRate {
    let stretch = options.stretch.max(LEAST_STRETCH);
    let rate = rate * NODES as f64;
    // Every node has sent before it is measured.
    plant.pace(rate, Duration::from_secs(1));
    plant.drain(sink);
    sink.record();
    let before = (it.cpu_s(), broker.process.cpu_s());
    plant.pace(rate, stretch);
    let lost = plant.drain(sink);
    let percent = |now: f64, before: f64| (now - before) / stretch.as_secs_f64() * 100.0;
    let latencies = sink.take_latencies();
    AtRate {
        it: percent(it.cpu_s(), before.0),
        broker: percent(broker.process.cpu_s(), before.1),
        p50_ms: percentile(&latencies, 0.5) / 1e3,
        p99_ms: percentile(&latencies, 0.99) / 1e3,
        lost,
    }
}

/// Connections of the IT half to its broker: all but that of the sink.
fn sessions(broker: &Broker) -> usize {
    const ESTABLISHED: &str = "01";
    let port = format!(":{:04X}", broker.address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let to_broker = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        let (remote, state) = (fields.next(), fields.next());
        remote.is_some_and(|remote| remote.ends_with(&port)) && state == Some(ESTABLISHED)
    };
    table.lines().filter(to_broker).count().saturating_sub(1)
}

fn report(plain: &Figures, folded: &Figures) {
    let n = table::number;
    let ratio = |plain: f64, folded: f64| {
        if plain > 0.0 { format!("{:.2}", folded / plain) } else { String::new() }
    };
    let row = |name: String, figure: &dyn Fn(&Figures) -> f64| {
        let (plain, folded) = (figure(plain), figure(folded));
        vec![name, n(plain), n(folded), ratio(plain, folded)]
    };
    let mut rows = vec![row("sessions of it".into(), &|one| one.sessions as f64)];
    for (at, rate) in RATES.iter().enumerate() {
        rows.push(row(format!("CPU of it at {rate} message/(node s), %"), &|one| one.rates[at].it));
        rows.push(row("  of its broker, %".into(), &|one| one.rates[at].broker));
        rows.push(row("  latency p50, ms".into(), &|one| one.rates[at].p50_ms));
        rows.push(row("  latency p99, ms".into(), &|one| one.rates[at].p99_ms));
        rows.push(row("  lost".into(), &|one| one.rates[at].lost as f64));
    }
    rows.push(row("memory of it: now, MiB".into(), &|one| one.it.now));
    rows.push(row("  peak, MiB".into(), &|one| one.it.peak));
    rows.push(row("memory of its broker: now, MiB".into(), &|one| one.broker.now));
    let title = format!("fold: {NODES} nodes in {GROUPS} groups, {METRICS} metrics a message");
    table::print(&title, &["", "a session each", "folded", "ratio"], &rows);
}

fn as_json(one: &Figures) -> Value {
    let rates = one.rates.iter().zip(RATES).map(|(at, rate)| {
        json!({
            "messages_per_node_s": rate, "it_cpu_percent": at.it,
            "broker_cpu_percent": at.broker, "p50_ms": at.p50_ms, "p99_ms": at.p99_ms,
            "lost": at.lost,
        })
    });
    json!({
        "nodes": NODES, "groups": GROUPS, "metrics": METRICS, "sessions": one.sessions,
        "rates": rates.collect::<Vec<_>>(),
        "it_rss_mib": { "now": one.it.now, "peak": one.it.peak },
        "broker_rss_mib": { "now": one.broker.now, "peak": one.broker.peak },
    })
}

//! Promise P9 by the clock: the good node says 20 numbers a second beside each attacker, with
//! brokers, relay and journal of its own. It must lose nothing, not be born again, and be on IT
//! within 100 ms; the halves must stay below the memory that the shipped units give them.

use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};

use attackers::{Attacker, Figures, POLICY, STEP, Scene, Side, all, before, percentile};
use serde_json::{Value, json};

use crate::brokers::{self, Certificates};
use crate::options::{Options, output_dir};
use crate::process::{Memory, Process};
use crate::relay::{self, Relay};
use crate::table;

/// What 99 of 100 numbers may take from their due time to a subscriber on IT.
const P99_MS: f64 = 100.0;
/// Edge nodes that the relay follows: fewer than attackers invent.
const MAX_NODES: usize = 1_000;
/// How long each attacker goes on, at least: a p99 needs its hundred numbers.
const LEAST: Duration = Duration::from_secs(5);
/// How long a half may take to start.
const START_WITHIN: Duration = Duration::from_secs(30);

/// What one attacker did to the good node.
struct Row {
    attacker: Option<Attacker>,
    figures: Figures,
    /// CPU of one core in percent, and memory.
    ot: (f64, Memory),
    it: (f64, Memory),
    /// Lines that the log lacks.
    untold: Vec<String>,
    restarted: bool,
}

pub(crate) fn run(options: &Options) -> Value {
    if !Path::new(brokers::MOSQUITTO).exists() {
        println!("attackers: skipped, {} is not installed", brokers::MOSQUITTO);
        return Value::Null;
    }
    let length = options.stretch.max(LEAST);
    let limits = [memory_max("ot"), memory_max("it")];
    // First with nobody beside it.
    let mut rows = Vec::new();
    if options.wants_case("nobody") {
        rows.push(beside(None, options, length));
    }
    for attacker in all().into_iter().filter(|one| options.wants_case(one.name)) {
        rows.push(beside(Some(attacker), options, length));
        let row = &rows[rows.len() - 1];
        let faults = faults(row, limits);
        println!("  {:<40} {}", attacker.name, if faults.is_empty() { "ok" } else { &faults });
    }
    report(&rows, limits);
    let attackers: Vec<Value> = rows.iter().map(|row| as_json(row, limits)).collect();
    let violated = rows.iter().filter(|row| !faults(row, limits).is_empty()).count();
    println!("{} attackers, {violated} violations", rows.len());
    json!({ "seconds": length.as_secs_f64(), "memory_max_mib": limits, "attackers": attackers })
}

/// Whether somebody was harmed.
pub(crate) fn is_violated(result: &Value) -> bool {
    let rows = result["attackers"].as_array();
    rows.is_some_and(|rows| rows.iter().any(|row| row["faults"] != ""))
}

fn beside(attacker: Option<Attacker>, options: &Options, length: Duration) -> Row {
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let destination = brokers::start("destination", dir.path(), &certificates, None);
    let source = brokers::start("source", dir.path(), &certificates, None);
    let settings =
        relay::Settings { tls: false, data_qos: 0, max_nodes: MAX_NODES, ..Default::default() };
    let relay =
        Relay::new(&options.binary, dir.path(), &source, &destination, &certificates, settings);
    relay.write_policy(POLICY);
    let attackers: Vec<Attacker> = attacker.into_iter().collect();
    let (on_ot, on_it) = (source.address.into(), destination.address.into());
    before(&attackers, &on_ot, &on_it);
    let (mut ot, mut it) = (relay.start("ot"), relay.start("it"));
    let log = |half: &str| fs::read_to_string(relay.log(half)).unwrap_or_default();
    let begin = Instant::now();
    while !log("ot").contains("BROKER_UP") {
        assert!(begin.elapsed() < START_WITHIN, "the OT half doesn't connect: {}", log("ot"));
        thread::sleep(Duration::from_millis(5));
    }
    let mut scene = Scene::start(&on_ot, &on_it);
    let (began, ot_cpu, it_cpu) = (Instant::now(), ot.cpu_s(), it.cpu_s());
    let figures = scene.run(&attackers, STEP, length);
    let percent = |half: &Process, before: f64| {
        (half.cpu_s() - before) / began.elapsed().as_secs_f64() * 100.0
    };
    let restarted = !ot.is_running() || !it.is_running();
    let of = |half: &Process, before: f64| {
        if restarted { (0.0, Memory::default()) } else { (percent(half, before), half.memory()) }
    };
    let (of_ot, of_it) = (of(&ot, ot_cpu), of(&it, it_cpu));
    let untold = attackers.iter().flat_map(|attacker| {
        let lacks = attacker.told.iter().filter(|told| {
            let half = if told.half == Side::Ot { "ot" } else { "it" };
            !told.is_in(&log(half), attacker)
        });
        lacks.map(|told| told.event.to_owned()).collect::<Vec<_>>()
    });
    let untold = untold.collect();
    scene.leave();
    Row { attacker, figures, ot: of_ot, it: of_it, untold, restarted }
}

/// What the good node suffered, in words; empty if nothing.
fn faults(row: &Row, limits: [f64; 2]) -> String {
    let Row { attacker, figures, ot, it, untold, restarted } = row;
    let mut faults = Vec::new();
    if figures.lost > 0 {
        faults.push(format!("{} of {} lost", figures.lost, figures.said));
    }
    let may_be_born = attacker.is_some_and(|attacker| attacker.asks_births);
    if figures.late > 0 && !may_be_born {
        faults.push(format!("{} of {} late", figures.late, figures.said));
    }
    if figures.births > 0 && !may_be_born {
        faults.push(format!("born {} times again", figures.births));
    }
    if figures.deaths > 0 {
        faults.push(format!("died {} times", figures.deaths));
    }
    let p99 = percentile(&figures.relay_ms, 0.99);
    if p99 >= P99_MS && !may_be_born {
        faults.push(format!("p99 of the relay {p99:.0} ms"));
    }
    for (half, (_, memory), limit) in [("ot", ot, limits[0]), ("it", it, limits[1])] {
        if memory.peak >= limit {
            faults.push(format!("{half} took {:.0} MiB", memory.peak));
        }
    }
    if *restarted {
        faults.push("a half ended".to_owned());
    }
    if !untold.is_empty() {
        faults.push(format!("not told: {}", untold.join(", ")));
    }
    faults.join("; ")
}

/// `MemoryMax=` of the unit of a half, in MiB.
fn memory_max(half: &str) -> f64 {
    let path = format!("systemd/sparkdiode-{half}.service");
    let unit = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let value = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")).unwrap();
    let (number, unit) = value.split_at(value.len() - 1);
    let factor = match unit {
        "G" => 1024.0,
        "M" => 1.0,
        _ => panic!("MemoryMax={value}"),
    };
    number.parse::<f64>().unwrap() * factor
}

fn name(row: &Row) -> String {
    row.attacker.map_or("nobody".to_owned(), |attacker| attacker.name.to_owned())
}

fn report(rows: &[Row], limits: [f64; 2]) {
    let head = [
        "beside",
        "side",
        "QoS",
        "lost",
        "births",
        "p50 ms",
        "p99 ms",
        "relay's",
        "CPU %: ot",
        "it",
        "MiB: ot",
        "it",
        "",
    ];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let Row { attacker, figures, ot, it, .. } = row;
            let side = attacker.map_or(String::new(), |one| format!("{:?}", one.side));
            vec![
                name(row),
                side,
                attacker.map_or(String::new(), |one| one.qos.to_string()),
                figures.lost.to_string(),
                figures.births.to_string(),
                table::number(percentile(&figures.whole_ms, 0.5)),
                table::number(percentile(&figures.whole_ms, 0.99)),
                table::number(percentile(&figures.relay_ms, 0.99)),
                table::number(ot.0),
                table::number(it.0),
                table::number(ot.1.peak),
                table::number(it.1.peak),
                if faults(row, limits).is_empty() { String::new() } else { "VIOLATED".into() },
            ]
        })
        .collect();
    table::print("the good node at 20 messages/s beside each attacker", &head, &lines);
}

fn as_json(row: &Row, limits: [f64; 2]) -> Value {
    let Figures { said, lost, late, births, deaths, whole_ms, relay_ms, steps, refused } =
        &row.figures;
    json!({
        "attacker": name(row), "faults": faults(row, limits),
        "said": said, "lost": lost, "late": late, "births": births, "deaths": deaths,
        "p50_ms": percentile(whole_ms, 0.5), "p99_ms": percentile(whole_ms, 0.99),
        "relay_p99_ms": percentile(relay_ms, 0.99), "max_ms": percentile(whole_ms, 1.0),
        "steps": steps, "connections_refused": refused,
        "ot_cpu_percent": row.ot.0, "it_cpu_percent": row.it.0,
        "ot_peak_mib": row.ot.1.peak, "it_peak_mib": row.it.1.peak,
    })
}

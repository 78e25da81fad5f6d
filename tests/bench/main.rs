//! The benchmark: what the relay costs, alone and beside other ways over the same brokers.
//!
//! ```text
//! cargo bench --bench bench -- [PART]... [options]
//! ```
//!
//! | part | what it measures |
//! |---|---|
//! | `micro` | decode + judge + re-encode through the real pipeline and mirror, per metric |
//! | `journal` | frames/s of the writer and of a tailing reader |
//! | `side-by-side` | one mosquitto, a mosquitto bridge, and the relay: throughput, latency, CPU |
//! | `capacity` | the relay between ends that cost little: what it takes, its CPU to a broker's, latency |
//! | `scale` | a thousand (`--large`: ten thousand) mirrored nodes: memory, start, storms, idling |
//! | `fold` | a thousand edge nodes in ten groups, each with a session and folded: CPU, memory, latency |
//! | `fleet` | MQTT 5 beside MQTT 3.1.1, and four relays with a shard each beside one: throughput, CPU, bytes, latency |
//! | `large-birth` | a gateway of 200,000 metrics is born: time to IT, CPU, memory |
//! | `logs` | throughput while a syslog server is well, hangs, or is killed and restarted |
//! | `attackers` | a good node beside each attacker: latency, losses, memory, CPU; fails if it is harmed |
//! | `slow-link` | births and alarms on a satellite's link, made of `tbf` and a forwarding process; as root |
//! | `two-boxes` | both ends of a link as processes in networks of their own, over a cable with faults; as root. `--through`: with the whole relay around them |
//! | `link` | a million frames over a link in virtual time: what is lost for good at which overhead, delays, CPU |
//! | `repair-code` | reed-solomon-simd beside raptorq, at block sizes from 1 to 1,024 |
//!
//! mosquitto is the only broker of Debian 12, PyPI and npm that bridges MQTT by itself (looked for:
//! NanoMQ, VerneMQ, EMQX, FlashMQ, which aren't packaged; amqtt, aedes, ejabberd, which have no
//! bridge; RabbitMQ, whose shovel speaks AMQP).
//!
//! Rounds are interleaved (every variant once per round) and figures are medians over rounds,
//! so that what else happens on the machine hits all variants alike. See [`Options`] for the
//! options. Results go to the terminal, and to `target/bench/` as JSON and SVG.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark: a failure is a panic, and it drives real time"
)]

mod attackers;
mod brokers;
mod capacity;
mod clock;
mod fleet;
mod fold;
mod hanging;
mod journal;
mod large_birth;
mod link_faults;
mod load;
mod logs;
mod machine;
mod micro;
mod mqtt;
mod options;
mod plant;
mod process;
mod relay;
mod repair_code;
mod scale;
mod side_by_side;
mod sink;
mod slow_link;
mod statistics;
mod svg;
mod table;
mod two_boxes;

use std::fs;

use serde_json::{Map, Value};

use crate::options::{Options, Part};

fn main() {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            println!("{problem}\n\n{}", options::USAGE);
            std::process::exit(64);
        }
    };
    let machine = machine::describe();
    println!("machine: {}", machine["summary"].as_str().unwrap_or_default());
    let mut results = Map::new();
    results.insert("machine".into(), machine);
    for part in &options.parts {
        println!();
        let (name, result) = match part {
            Part::Micro => ("micro", micro::run(&options)),
            Part::Journal => ("journal", journal::run(&options)),
            Part::SideBySide => ("side-by-side", side_by_side::run(&options)),
            Part::Capacity => ("capacity", capacity::run(&options)),
            Part::Scale => ("scale", scale::run(&options)),
            Part::Fleet => ("fleet", fleet::run(&options)),
            Part::Fold => ("fold", fold::run(&options)),
            Part::LargeBirth => ("large-birth", large_birth::run(&options)),
            Part::Logs => ("logs", logs::run(&options)),
            Part::Attackers => ("attackers", attackers::run(&options)),
            Part::SlowLink => ("slow-link", slow_link::run(&options)),
            Part::Link => ("link", link_faults::run(&options)),
            Part::TwoBoxes => ("two-boxes", two_boxes::run(&options)),
            Part::RepairCode => ("repair-code", repair_code::run(&options)),
        };
        results.insert(name.into(), result);
    }
    let is_harmed = results.get("attackers").is_some_and(attackers::is_violated)
        || results.get("slow-link").is_some_and(slow_link::is_violated)
        || results.get("link").is_some_and(link_faults::is_violated)
        || results.get("two-boxes").is_some_and(two_boxes::is_violated);
    write(&options, &Value::Object(results));
    if is_harmed {
        std::process::exit(1);
    }
}

fn write(options: &Options, results: &Value) {
    for file in [&options.json, &options.svg] {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
    }
    fs::write(&options.json, serde_json::to_string_pretty(results).unwrap()).unwrap();
    println!("\nwritten: {}", options.json.display());
    if let Some(comparison) = results.get("side-by-side") {
        fs::write(&options.svg, svg::comparison(comparison)).unwrap();
        println!("written: {}", options.svg.display());
    }
}

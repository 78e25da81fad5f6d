//! What log servers do to the relay: its throughput with no log target, with one that is well,
//! one that hangs (it accepts and never reads), and one that is killed and started again in the
//! middle of the stretch.
//!
//! ```text
//! plant ─> broker ══> ot ─> journal ─> it ══> broker ─> sink
//! noise ───^          └────┐   ┌────────┘     ^─── commands
//!                          log target
//! ```
//!
//! Beside the plant, somebody publishes what is refused and somebody on IT sends commands, both
//! at a fixed rate, so that both halves have an event for each of these messages, in every case
//! alike, and a target that hangs has its queue overflow: the table says how many lines were
//! lost.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::brokers::{self, Certificates};
use crate::hanging::Hanging;
use crate::load::{Plant, Shape};
use crate::options::{Options, output_dir};
use crate::process::Process;
use crate::relay::{self, Relay};
use crate::sink::Sink;
use crate::statistics::{median, ratio};
use crate::{mqtt, plant, table};

const RSYSLOG: &str = "/usr/sbin/rsyslogd";
const PUBLISHERS: usize = 50;
const WARM_UP: Duration = Duration::from_millis(700);
/// Fewer than these say nothing about the noise of the machine.
const MIN_ROUNDS: usize = 3;
/// Messages that are refused, and commands, each per second.
const REFUSED_PER_S: u64 = 2_000;
const COMMANDS_PER_S: u64 = 500;
/// Nodes that what is refused claims to be of: more than an event has lines for in a minute. With
/// many more, the plant's nodes would be far above the average node, and shed where it is crowded.
const SOURCES: u64 = 60;
/// So short that the lines of some seconds overflow it where the target hangs.
const QUEUE_LINES: usize = 32;
/// Of each of these nodes' names: long lines fill the buffers of a kernel sooner.
const NAME_CHARS: usize = 150;
const START_WITHIN: Duration = Duration::from_secs(20);

/// What becomes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Case {
    NoTarget,
    Well,
    Hangs { tls: bool },
    Restarted,
}

const CASES: [Case; 5] = [
    Case::NoTarget,
    Case::Well,
    Case::Hangs { tls: false },
    Case::Hangs { tls: true },
    Case::Restarted,
];

impl Case {
    fn name(self) -> &'static str {
        match self {
            Case::NoTarget => "no log target",
            Case::Well => "rsyslog, TCP",
            Case::Hangs { tls: false } => "hangs, TCP",
            Case::Hangs { tls: true } => "hangs, TLS",
            Case::Restarted => "rsyslog killed, restarted",
        }
    }
}

/// One round of one case.
#[derive(Clone, Copy, Debug)]
struct Measured {
    messages_per_s: f64,
    /// CPU seconds of both halves per million messages: other work of the machine hardly shows.
    cpu: f64,
    /// Messages that never arrived.
    missing: u64,
    /// Lines of both halves that the target didn't get, as they tell it.
    lines_lost: u64,
}

pub(crate) fn run(options: &Options) -> Value {
    for needed in [brokers::MOSQUITTO, RSYSLOG] {
        if !Path::new(needed).exists() {
            println!("logs: skipped, {needed} is not installed");
            return Value::Null;
        }
    }
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let rounds = options.rounds.max(MIN_ROUNDS);
    let mut measured = vec![Vec::new(); CASES.len()];
    for round in 0..rounds {
        for (case, of_case) in CASES.into_iter().zip(&mut measured) {
            let one = measure(case, options, &certificates);
            eprintln!(
                "round {}: {}: {} msg/s, {} lines lost",
                round + 1,
                case.name(),
                table::number(one.messages_per_s),
                one.lines_lost,
            );
            of_case.push(one);
        }
    }
    report(options, rounds, &measured)
}

fn measure(case: Case, options: &Options, certificates: &Certificates) -> Measured {
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let source = brokers::start("source", dir.path(), certificates, None);
    let destination = brokers::start("destination", dir.path(), certificates, None);
    let mut server = Server::start(case, dir.path(), certificates);
    let settings = relay::Settings {
        tls: false,
        data_qos: 0,
        max_nodes: PUBLISHERS + 10,
        ..Default::default()
    };
    let relay =
        Relay::new(&options.binary, dir.path(), &source, &destination, certificates, settings);
    // What is refused by a rule, besides what is refused for itself.
    let denied = format!(
        "[[rule]]\nname = \"denied\"\naction = \"deny\"\ngroup = \"{}\"\nedge-node = \"Denied*\"\n",
        plant::GROUP
    );
    relay.add("policies/policy.toml", &denied);
    for half in ["ot.toml", "it.toml"] {
        relay.add(half, &server.target(certificates));
    }
    let halves = ["ot", "it"].map(|half| relay.start(half));
    let sink = Sink::start(destination.address, 0);
    let shape = Shape {
        nodes: PUBLISHERS,
        connections: PUBLISHERS,
        metrics: 10,
        aliases: options.aliases,
        qos: 0,
        groups: 0,
    };
    let mut plant = Plant::connect(source.address, shape);
    plant.be_born(&sink);
    let noise = [
        Noise::start(source.address, "noise", REFUSED_PER_S, |number| {
            let node = format!("{:0>NAME_CHARS$}", number % SOURCES);
            match number % 3 {
                0 => (plant::topic("NDATA", &format!("Ghost{node}")), b"\x18\x01"),
                1 => (plant::topic("NBIRTH", &format!("Denied{node}")), b"\x18\x00"),
                _ => (plant::topic("NDATA", &format!("Broken{node}")), b"\xff\xff"),
            }
        }),
        Noise::start(destination.address, "commands", COMMANDS_PER_S, |number| {
            let node = usize::try_from(number).unwrap() % PUBLISHERS;
            (plant::topic("NCMD", &plant::edge_node(node)), b"\x18\x01")
        }),
    ];

    plant.saturate(&sink, WARM_UP);
    let cpu_s = || halves.iter().map(Process::cpu_s).sum::<f64>();
    let (received, begin, cpu_before) = (sink.data(), Instant::now(), cpu_s());
    // In thirds, so that all cases are measured alike.
    let third = options.hang / 3;
    plant.saturate(&sink, third);
    server.first_third_is_over();
    plant.saturate(&sink, third);
    server.second_third_is_over();
    plant.saturate(&sink, third);
    let messages = (sink.data() - received) as f64;
    let messages_per_s = messages / begin.elapsed().as_secs_f64();
    let cpu = (cpu_s() - cpu_before) / messages * 1e6;
    let missing = plant.drain(&sink);
    drop(noise);
    // So that the halves can say what was lost.
    server.recover();
    for half in halves {
        half.terminate();
    }
    let lost = ["ot", "it"].map(|half| lines_lost(&fs::read_to_string(relay.log(half)).unwrap()));
    Measured { messages_per_s, cpu, missing, lines_lost: lost.iter().sum() }
}

/// The numbers in the lines about the target's losses.
fn lines_lost(log: &str) -> u64 {
    let lost = |line: &str| {
        let (_, rest) = line.split_once(": LOG_LOST ")?.1.split_once(" lost=")?;
        let number = rest.split_whitespace().next()?;
        Some(number.parse::<u64>().unwrap_or_else(|_| panic!("not known what was lost: {line}")))
    };
    log.lines().filter_map(lost).sum()
}

/// The log's target.
enum Server {
    None,
    Rsyslog { process: Option<Process>, config: std::path::PathBuf, port: u16, restarted: bool },
    Hanging { server: Hanging, tls: bool },
}

impl Server {
    fn start(case: Case, dir: &Path, certificates: &Certificates) -> Server {
        match case {
            Case::NoTarget => Server::None,
            Case::Hangs { tls } => {
                Server::Hanging { server: Hanging::start(tls.then_some(certificates)), tls }
            }
            Case::Well | Case::Restarted => {
                let port = brokers::free_port().port();
                let config = dir.join("rsyslog.conf");
                let shown = dir.display();
                let text = format!(
                    "global(workDirectory=\"{shown}\" net.enableDNS=\"off\")\n\
                     module(load=\"imptcp\")\n\
                     ruleset(name=\"all\") {{ action(type=\"omfile\" file=\"{shown}/received\") }}\n\
                     input(type=\"imptcp\" port=\"{port}\" address=\"127.0.0.1\" ruleset=\"all\")\n"
                );
                fs::write(&config, text).unwrap();
                let restarted = case == Case::Restarted;
                let mut server = Server::Rsyslog { process: None, config, port, restarted };
                server.start_rsyslog();
                server
            }
        }
    }

    fn start_rsyslog(&mut self) {
        let Server::Rsyslog { process, config, port, .. } = self else { return };
        let (pid, log) = (config.with_extension("pid"), config.with_extension("log"));
        // After a kill it would take its old pid file for another instance.
        let _ = fs::remove_file(&pid);
        let mut command = Command::new(RSYSLOG);
        command.arg("-n").arg("-f").arg(&*config).arg("-i").arg(&pid);
        *process = Some(Process::start("rsyslog", &mut command, &log));
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err() {
            assert!(begin.elapsed() < START_WITHIN, "rsyslog doesn't listen");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// `[[syslog]]` for both halves.
    fn target(&self, certificates: &Certificates) -> String {
        let target = |to: &str, port: u16| {
            format!(
                "[[syslog]]\nto = \"{to}\"\naddress = \"127.0.0.1:{port}\"\nname = \"log\"\n\
                 queue-lines = {QUEUE_LINES}\n"
            )
        };
        match self {
            Server::None => String::new(),
            Server::Rsyslog { port, .. } => target("tcp", *port),
            Server::Hanging { server, tls: false } => target("tcp", server.port()),
            Server::Hanging { server, tls: true } => format!(
                "{}[syslog.tls]\nca-file = \"{}\"\n",
                target("tls", server.port()),
                certificates.path("ca.pem").display()
            ),
        }
    }

    fn first_third_is_over(&mut self) {
        if let Server::Rsyslog { process, restarted: true, .. } = self
            && let Some(process) = process.take()
        {
            process.kill();
        }
    }

    fn second_third_is_over(&mut self) {
        if matches!(self, Server::Rsyslog { restarted: true, .. }) {
            self.start_rsyslog();
        }
    }

    fn recover(&mut self) {
        if let Server::Hanging { server, .. } = self {
            server.read_on();
        }
    }
}

/// Somebody who publishes at a fixed rate until this value is dropped.
struct Noise {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Noise {
    fn start(
        address: SocketAddr,
        client_id: &str,
        per_s: u64,
        message: impl Fn(u64) -> (String, &'static [u8; 2]) + Send + 'static,
    ) -> Noise {
        let mut stream = mqtt::connect(address, client_id);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (begin, mut sent, mut packets) = (Instant::now(), 0, Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let due = u64::try_from(begin.elapsed().as_millis()).unwrap() * per_s / 1_000;
                for number in sent..due {
                    let (topic, payload) = message(number);
                    mqtt::publish(&mut packets, &topic, payload, None);
                }
                std::io::Write::write_all(&mut stream, &packets).unwrap();
                (sent, packets) = (due, Vec::new());
                thread::sleep(Duration::from_millis(5));
            }
        });
        Noise { stop, thread: Some(thread) }
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn report(options: &Options, rounds: usize, measured: &[Vec<Measured>]) -> Value {
    let rate = |of_case: &[Measured]| median(of_case.iter().map(|one| one.messages_per_s));
    // From the lowest round to the highest, as a share of the median.
    let spread = |of_case: &[Measured]| {
        let rates = || of_case.iter().map(|one| one.messages_per_s);
        let width = rates().fold(0.0, f64::max) - rates().fold(f64::INFINITY, f64::min);
        ratio(width, rate(of_case))
    };
    let cpu = |of_case: &[Measured]| median(of_case.iter().map(|one| one.cpu));
    let (without, cpu_without) = (rate(&measured[0]), cpu(&measured[0]));
    let (mut rows, mut results) = (Vec::new(), Vec::new());
    for (case, of_case) in CASES.into_iter().zip(measured) {
        let lost = median(of_case.iter().map(|one| one.lines_lost as f64));
        let missing: u64 = of_case.iter().map(|one| one.missing).sum();
        rows.push(vec![
            case.name().to_owned(),
            table::number(rate(of_case)),
            table::times(ratio(rate(of_case), without)),
            format!("{:.0} %", spread(of_case) * 100.0),
            table::number(cpu(of_case)),
            table::times(ratio(cpu(of_case), cpu_without)),
            format!("{lost:.0}"),
            missing.to_string(),
        ]);
        results.push(json!({
            "case": case.name(),
            "messages_per_s": rate(of_case),
            "to_no_target": ratio(rate(of_case), without),
            "spread": spread(of_case),
            "halves_cpu_s_per_million": cpu(of_case),
            "cpu_to_no_target": ratio(cpu(of_case), cpu_without),
            "rounds_messages_per_s":
                of_case.iter().map(|one| one.messages_per_s).collect::<Vec<_>>(),
            "lines_lost": of_case.iter().map(|one| one.lines_lost).collect::<Vec<_>>(),
            "missing": missing,
        }));
    }
    table::print(
        &format!(
            "logs: throughput of 10 metrics at QoS 0, medians of {rounds} rounds of {:.0} s, \
             {REFUSED_PER_S} refused messages/s and {COMMANDS_PER_S} commands/s beside",
            options.hang.as_secs_f64()
        ),
        &[
            "",
            "messages/s",
            "to none",
            "spread",
            "CPU s/M",
            "to none",
            "lines lost",
            "messages lost",
        ],
        &rows,
    );
    json!({
        "seconds": options.hang.as_secs_f64(),
        "refused_per_s": REFUSED_PER_S,
        "commands_per_s": COMMANDS_PER_S,
        "queue_lines": QUEUE_LINES,
        "cases": results,
    })
}

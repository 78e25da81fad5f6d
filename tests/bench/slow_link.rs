//! A thin link to IT: a satellite's rate, delay and loss between the IT half and its broker, births of
//! all edge nodes at once, and an alarm a second. Needs root, `ip`, `tc` and `python3`.
//!
//! ```text
//!  IT half ── tbf ── near ~~ [ link.py: delay and loss, each way ] ~~ far ── broker, sink
//! ```

mod cable;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::brokers::{self, Broker, Certificates, MOSQUITTO};
use crate::clock::{micros, wall_ms};
use crate::mqtt;
use crate::options::{Options, output_dir};
use crate::plant::{self, Data, edge_node};
use crate::process::Process;
use crate::relay::{Relay, Settings};
use crate::slow_link::cable::Cable;
use crate::statistics::percentile;

/// Edge nodes with a large birth; the one with alarms comes on top.
const NODES: usize = 30;
const PORT: u16 = 1883;
/// How long alarms may take.
const ALARM_WITHIN: Duration = Duration::from_secs(2);
/// Where the alarms come from.
const ALARMS: usize = 0;

/// A link, and what is asked of it.
struct Case {
    name: &'static str,
    /// Bytes per second of the link, and of the relay on it (`[link] bytes-per-s`).
    link: u32,
    budget: Option<u32>,
    birth_bytes: usize,
    length: Duration,
    /// All births are there by then.
    born_within: Duration,
    /// What each edge node sends at once when all are born, in bytes: all of it waits while alarms come.
    flood_bytes: usize,
    /// Alarms arrive within [`ALARM_WITHIN`].
    prompt: bool,
}

const CASES: [Case; 4] = [
    Case {
        name: "64 kB/s, 600 ms, 1 % loss",
        link: 64_000,
        budget: Some(60_000),
        birth_bytes: 150_000,
        length: Duration::from_secs(120),
        born_within: Duration::from_secs(90),
        flood_bytes: 0,
        prompt: true,
    },
    // All that each node has sent is ahead of its own alarm only.
    Case {
        name: "64 kB/s, 600 ms, 1 % loss, 9 MB of data",
        link: 64_000,
        budget: Some(60_000),
        birth_bytes: 20_000,
        length: Duration::from_secs(180),
        born_within: Duration::from_secs(30),
        flood_bytes: 300_000,
        prompt: true,
    },
    // Without a budget nothing comes before anything else.
    Case {
        name: "64 kB/s, 600 ms, 1 % loss, without a budget",
        link: 64_000,
        budget: None,
        birth_bytes: 150_000,
        length: Duration::from_secs(120),
        born_within: Duration::from_secs(110),
        flood_bytes: 0,
        prompt: false,
    },
    // At this rate a packet's worth of a birth takes 0.16 s; what was lost takes longer.
    Case {
        name: "9.6 kB/s, 600 ms, 1 % loss",
        link: 9_600,
        budget: Some(9_000),
        birth_bytes: 150_000,
        length: Duration::from_secs(20 * 60),
        born_within: Duration::from_secs(15 * 60),
        flood_bytes: 0,
        prompt: false,
    },
];

pub(crate) fn run(options: &Options) -> Value {
    let cases = CASES.iter().filter(|case| options.wants_case(case.name));
    let rows: Vec<Value> = cases.map(|case| one(case, options)).collect();
    json!({ "slow-link": rows })
}

/// Whether a link held up what it must not.
pub(crate) fn is_violated(result: &Value) -> bool {
    let rows = result["slow-link"].as_array();
    rows.is_some_and(|rows| rows.iter().any(|row| row["faults"] != ""))
}

fn one(case: &Case, options: &Options) -> Value {
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let ot = brokers::start("ot", dir.path(), &certificates, None);
    let cable = Cable::lay(case.link, dir.path());
    let it = far_broker(&cable, dir.path());
    let settings = Settings { data_qos: 0, max_nodes: 2 * NODES, ..Settings::default() };
    let relay = Relay::new(&options.binary, dir.path(), &ot, &it, &certificates, settings);
    let alarms = edge_node(ALARMS);
    relay.write_policy(&format!(
        "[[rule]]\nname = \"alarms\"\naction = \"forward\"\ngroup = \"{group}\"\n\
         edge-node = \"{alarms}\"\npriority = \"high\"\n\
         [[rule]]\nname = \"rest\"\naction = \"forward\"\ngroup = \"{group}\"\n",
        group = plant::GROUP
    ));
    if let Some(budget) = case.budget {
        relay.add("it.toml", &format!("[link]\nbytes-per-s = {budget}\n"));
    }
    let sink = cable.sink(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
    let halves = [relay.start("ot"), relay.start("it")];
    let up = || fs::read_to_string(relay.log("ot")).is_ok_and(|log| log.contains("BROKER_UP"));
    assert!(sink.wait(Duration::from_secs(30), |_| up()), "the OT half isn't up");

    let mut alarm = mqtt::connect(ot.address, &alarms);
    send(&mut alarm, "NBIRTH", ALARMS, &plant::birth(1, false, wall_ms()));
    assert!(sink.wait(Duration::from_secs(60), |sink| sink.born() == 1), "no birth came");
    let metrics = 1_000 * case.birth_bytes / plant::birth(1_000, false, wall_ms()).len();
    let birth = plant::birth(metrics, false, wall_ms());
    sink.count_only(&plant::topic("NDATA", &alarms));
    sink.record();
    let began = Instant::now();
    let mut edges = Vec::new();
    for number in 1..=NODES {
        let mut edge = mqtt::connect(ot.address, &edge_node(number));
        send(&mut edge, "NBIRTH", number, &birth);
        edges.push(edge);
    }
    let mut data = Data::new(1, false);
    let (mut born_after, mut sent) = (None, 0_u64);
    let mut floods = case.flood_bytes > 0;
    while began.elapsed() < case.length {
        sent += 1;
        let payload = data.fill(wall_ms(), micros(), (sent % 256) as u8);
        send(&mut alarm, "NDATA", ALARMS, payload);
        let next = began + Duration::from_secs(sent);
        let _ = sink.wait(next.saturating_duration_since(Instant::now()), |sink| {
            if born_after.is_none() && sink.born() == NODES + 1 {
                born_after = Some(began.elapsed());
            }
            false
        });
        if born_after.is_some() && std::mem::take(&mut floods) {
            flood(&mut edges, metrics, birth.len(), case.flood_bytes);
        }
    }
    let _ = sink.wait(Duration::from_secs(5), |sink| sink.data() >= sent);
    let latencies = sink.take_latencies();
    let connects = count(&dir.path().join("far.log"), "as sparkdiode/");
    let lost = count(&relay.log("it"), "SESSION_LOST");
    let late = latencies.iter().filter(|us| u128::from(**us) > ALARM_WITHIN.as_micros()).count();
    let born = sink.born();
    let repeated = sink.births().saturating_sub(born as u64);
    let mut faults = Vec::new();
    let mut fault = |is: bool, what: String| is.then(|| faults.push(what));
    fault(born <= NODES, format!("{born} of {} nodes born", NODES + 1));
    let in_time = born_after.is_some_and(|after| after <= case.born_within);
    fault(!in_time, format!("born after {born_after:?}"));
    fault(repeated > 0, format!("{repeated} births came twice"));
    fault(lost > 0, format!("{lost} sessions lost"));
    fault(connects > NODES + 1, format!("{connects} connects"));
    fault((latencies.len() as u64) < sent, format!("{} of {sent} alarms", latencies.len()));
    fault(case.prompt && late > 0, format!("{late} alarms later than {ALARM_WITHIN:?}"));
    let ms = |share: f64| percentile(&latencies, share) / 1_000.0;
    let born_s = born_after.map_or(0.0, |after| after.as_secs_f64());
    println!(
        "{}, {NODES} births of {} kB: all born after {born_s:.0} s, {connects} connects, {lost} \
         sessions lost, {repeated} births twice; {} of {sent} alarms, p50 {:.0} ms, p99 {:.0} ms, \
         longest {:.0} ms, {late} later than 2 s. {}",
        case.name,
        birth.len() / 1_000,
        latencies.len(),
        ms(0.5),
        ms(0.99),
        ms(1.0),
        if faults.is_empty() {
            "Holds.".to_owned()
        } else {
            format!("FAULTS: {}", faults.join("; "))
        }
    );
    halves.into_iter().for_each(Process::terminate);
    json!({
        "case": case.name, "born_after_s": born_s, "connects": connects, "sessions_lost": lost,
        "births_repeated": repeated, "alarms": sent, "alarms_came": latencies.len(),
        "alarm_p50_ms": ms(0.5), "alarm_p99_ms": ms(0.99), "alarm_longest_ms": ms(1.0),
        "alarms_late": late, "faults": faults.join("; "),
    })
}

/// Each edge node sends data of so many bytes at once.
fn flood(edges: &mut [TcpStream], metrics: usize, message_bytes: usize, bytes: usize) {
    let mut data = Data::new(metrics, false);
    for (edge, number) in edges.iter_mut().zip(1..) {
        for message in 1..=bytes.div_ceil(message_bytes) {
            let seq = u8::try_from(message % 256).unwrap();
            send(edge, "NDATA", number, data.fill(wall_ms(), micros(), seq));
        }
    }
}

fn send(edge: &mut TcpStream, kind: &str, number: usize, payload: &[u8]) {
    use std::io::Write as _;
    let mut packet = Vec::new();
    mqtt::publish(&mut packet, &plant::topic(kind, &edge_node(number)), payload, None);
    edge.write_all(&packet).unwrap();
}

fn count(log: &Path, word: &str) -> usize {
    fs::read_to_string(log).unwrap_or_default().matches(word).count()
}

/// A broker at the far end.
fn far_broker(cable: &Cable, dir: &Path) -> Broker {
    let config = dir.join("far.conf");
    let text = format!(
        "queue_qos0_messages true\nmax_queued_messages 0\nset_tcp_nodelay true\npersistence false\n\
         log_dest stderr\nuser root\nlistener {PORT} 0.0.0.0\nallow_anonymous true\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = cable.at_far_end(MOSQUITTO);
    command.arg("-c").arg(&config);
    let process = Process::start("far", &mut command, &dir.join("far.log"));
    let address = SocketAddr::from((cable::FAR, PORT));
    Broker { process, address, tls_address: address }
}

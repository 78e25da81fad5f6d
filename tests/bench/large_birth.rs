//! A gateway with very many tags is born: from its last byte at the OT broker to a subscriber on IT
//! that has the whole birth, and the memory that it takes.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;
use std::{fs, thread};

use prost::Message;
use serde_json::{Value, json};
use sparkplug::{self, DataType, Metric, Payload, names};

use crate::brokers::{self, Certificates};
use crate::clock::micros;
use crate::options::{Options, output_dir};
use crate::process::Memory;
use crate::relay::{self, Relay};
use crate::sink::Sink;
use crate::{mqtt, plant, table};

const METRICS: usize = 200_000;
/// With names as SCADA gateways give them, and aliases.
const BIRTH_MIB: std::ops::RangeInclusive<usize> = 15..=16;
const NODE: &str = "Gateway";
/// Longest wait for any of it.
const WITHIN: Duration = Duration::from_secs(60);

struct Round {
    /// Until the last byte of the birth is on IT, seconds.
    took_s: f64,
    /// CPU seconds.
    ot_cpu_s: f64,
    it_cpu_s: f64,
    ot: Memory,
    it: Memory,
    /// What the OT broker and a subscriber of it need for the same message, seconds.
    broker_s: f64,
}

pub(crate) fn run(options: &Options) -> Value {
    if !Path::new(brokers::MOSQUITTO).exists() {
        println!("large-birth: skipped, {} is not installed", brokers::MOSQUITTO);
        return Value::Null;
    }
    let payload = payload();
    assert!(BIRTH_MIB.contains(&(payload.len() >> 20)), "a birth of {} bytes", payload.len());
    let rounds: Vec<Round> = (0..options.rounds).map(|_| measure(options, &payload)).collect();
    let n = table::number;
    let row = |round: &Round| {
        vec![
            n(round.took_s),
            n(round.broker_s),
            format!("{} {}", n(round.ot_cpu_s), n(round.it_cpu_s)),
            format!("{} {}", n(round.ot.peak), n(round.ot.now)),
            format!("{} {}", n(round.it.peak), n(round.it.now)),
        ]
    };
    let rows: Vec<_> = rounds.iter().map(row).collect();
    let head = [
        "on IT after s",
        "through a broker alone, s",
        "CPU s: ot, it",
        "MiB of ot: peak, now",
        "MiB of it: peak, now",
    ];
    let title = format!("a birth of {METRICS} metrics and {} bytes", payload.len());
    table::print(&title, &head, &rows);
    let as_json = |round: &Round| {
        json!({
            "s": round.took_s, "broker_s": round.broker_s,
            "cpu_s": { "ot": round.ot_cpu_s, "it": round.it_cpu_s },
            "ot_rss_mib": { "now": round.ot.now, "peak": round.ot.peak },
            "it_rss_mib": { "now": round.it.now, "peak": round.it.peak },
        })
    };
    json!({ "metrics": METRICS, "bytes": payload.len(),
            "rounds": rounds.iter().map(as_json).collect::<Vec<_>>() })
}

fn payload() -> Vec<u8> {
    let typed = |name: String, datatype: DataType, value| Metric {
        name: Some(name),
        timestamp: Some(1_700_000_000_000),
        datatype: Some(datatype.code()),
        value: Some(value),
        ..Metric::default()
    };
    let tag = |tag: usize| Metric {
        alias: Some(tag as u64),
        ..typed(
            format!("Plant7/Area{:02}/Line3/Machine/Measurement/Tag{tag:06}/Value", tag % 100),
            DataType::Double,
            sparkplug::Value::Double(tag as f64),
        )
    };
    let mut metrics: Vec<Metric> = (0..METRICS).map(tag).collect();
    metrics.push(typed(names::BD_SEQ.into(), DataType::Int64, sparkplug::Value::Long(0)));
    let timestamp = Some(1_700_000_000_000);
    Payload { timestamp, metrics, seq: Some(0), ..Payload::default() }.encode_to_vec()
}

fn measure(options: &Options, payload: &[u8]) -> Round {
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let certificates = Certificates::make(dir.path());
    let destination = brokers::start("destination", dir.path(), &certificates, None);
    let source = brokers::start("source", dir.path(), &certificates, None);
    let settings = relay::Settings { tls: false, data_qos: 0, max_nodes: 10, ..Default::default() };
    let relay =
        Relay::new(&options.binary, dir.path(), &source, &destination, &certificates, settings);
    // The two keys that the manual names for such births.
    relay.set_broker("ot", "max-packet-bytes = 16_777_216\n");
    relay.set_broker("it", "max-packet-bytes = 33_554_432\n");
    let sink = Sink::start(destination.address, 0);
    let (ot, it) = (relay.start("ot"), relay.start("it"));
    let log = relay.log("ot");
    let listens = || fs::read_to_string(&log).is_ok_and(|text| text.contains("connected"));
    assert!(sink.wait(WITHIN, |_| listens()), "the OT half doesn't connect");
    // It subscribes within the same turn in which it logs.
    thread::sleep(Duration::from_millis(50));

    let topic = plant::topic("NBIRTH", NODE);
    let mut packet = Vec::new();
    mqtt::publish(&mut packet, &topic, payload, Some(1));
    let mut edge = mqtt::connect(source.address, "gateway");
    let (ot_cpu, it_cpu) = (ot.cpu_s(), it.cpu_s());
    edge.write_all(&packet).unwrap();
    let said = micros();
    assert!(sink.wait(WITHIN, |sink| sink.born() == 1), "the birth doesn't come");
    let took_s = (micros() - said) as f64 / 1e6;
    let (ot_cpu_s, it_cpu_s) = (ot.cpu_s() - ot_cpu, it.cpu_s() - it_cpu);
    let (ot_memory, it_memory) = (ot.memory(), it.memory());
    ot.kill();
    it.kill();
    let broker_s = through_a_broker(destination.address, &topic, payload);
    Round { took_s, ot_cpu_s, it_cpu_s, ot: ot_memory, it: it_memory, broker_s }
}

/// Seconds from the last byte that a publisher writes to the last that a subscriber reads.
fn through_a_broker(address: std::net::SocketAddr, topic: &str, payload: &[u8]) -> f64 {
    let mut reader = mqtt::connect(address, "alone");
    mqtt::subscribe(&mut reader, topic, 0);
    let thread = thread::spawn(move || read_until_large(reader));
    let mut packet = Vec::new();
    mqtt::publish(&mut packet, topic, payload, None);
    let mut edge = mqtt::connect(address, "gateway-alone");
    edge.write_all(&packet).unwrap();
    let said = micros();
    let read = thread.join().unwrap();
    edge.shutdown(Shutdown::Both).unwrap();
    read.saturating_sub(said) as f64 / 1e6
}

/// When the whole message was there.
fn read_until_large(mut reader: TcpStream) -> u64 {
    reader.set_read_timeout(Some(WITHIN)).unwrap();
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; 1 << 20]);
    loop {
        let read = reader.read(&mut chunk).unwrap();
        assert!(read > 0, "the broker closed the connection");
        bytes.extend_from_slice(&chunk[..read]);
        if mqtt::Packet::first_of(&bytes).is_some() {
            return micros();
        }
    }
}

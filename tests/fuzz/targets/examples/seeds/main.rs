//! Writes the seeds of `tests/fuzz/corpus`, from recorded traffic, the samples and the texts of the
//! suite: `cargo run -p sparkdiode-fuzz-targets --features fuzzing --example seeds`. Inputs that fuzzers found lie
//! beside them and stay as they are.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a program for whoever works on the fuzz targets"
)]

mod five;
mod link;

use std::fs;
use std::path::{Path, PathBuf};

use journal_format::header::Header;
use journal_format::{Body, Heartbeat, Layouts, Relayed, Start, frame};
use ot::{Now, Pipeline, PipelineSettings, Received};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use prost::Message;
use sparkplug::captures::{self, Captured};
use sparkplug::{Budget, Caps, DataType, Metric, Payload, Value};
use targets::input::Seed;
use targets::mqtt::{Packet, kind, publish};
use targets::plant;

fn main() {
    let captures = captures::all();
    payloads(&captures);
    arbitrary();
    topics(&captures);
    operations(&captures);
    texts();
    segments(&captures);
    states(&captures);
    packets(&captures);
    five::packets(&captures);
    link::link();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let dir = root().join("tests/fuzz/corpus").join(target);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(name), bytes).unwrap();
    println!("{target}/{name}: {} bytes", bytes.len());
}

/// Bytes that look random and are the same each time.
fn noise(number: u64, count: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn payloads(captures: &[(&str, Vec<Captured>)]) {
    for (library, messages) in captures {
        for (at, message) in messages.iter().enumerate() {
            write("payload", &format!("{library}-{at:02}"), &message.payload);
        }
    }
    let scalars = [Value::Int(7), Value::Long(1 << 40), Value::Float(1.5), Value::Boolean(true)];
    for (at, value) in scalars.into_iter().enumerate() {
        let metric = Metric {
            alias: Some(at as u64),
            timestamp: Some(1_700_000_000_000),
            datatype: Some(DataType::Int32.code()),
            value: Some(value),
            ..Metric::default()
        };
        let metrics = vec![metric.clone(), Metric { name: Some("a".into()), ..metric }];
        let payload = Payload { timestamp: Some(1), seq: Some(2), metrics, ..Payload::default() };
        write("payload", &format!("scalars-{at}"), &payload.encode_to_vec());
    }
}

/// Every field of the schema, by the generator of the property tests.
fn arbitrary() {
    let mut runner = TestRunner::deterministic();
    for at in 0..15 {
        let payload = sparkplug::arbitrary::payload().new_tree(&mut runner).unwrap().current();
        write("payload", &format!("arbitrary-{at:02}"), &payload.encode_to_vec());
    }
}

fn topics(captures: &[(&str, Vec<Captured>)]) {
    let mut topics: Vec<String> = [
        "spBv1.0/G/NBIRTH/E",
        "spBv1.0/G/DDATA/E/D",
        "spBv1.0/G/NDATA/E/D",
        "spBv1.0/G/DDEATH/E",
        "spBv1.0/G/NCMD/E",
        "spBv1.0/G/DCMD/E/D",
        "spBv1.0/STATE/host",
        "STATE/host",
        "spBv1.0/G/STATE/host",
        "spBv1.0/G/NRECORD/E",
        "spBv1.0//NDATA/E",
        "spBv1.0/G/NDATA/",
        "spBv1.0/G/NDATA/+",
        "$sparkplug/certificates/spBv1.0/G/NBIRTH/E",
        "$sparkplug/certificates/spBv1.0/G/NDATA/E",
        "spBv1.0/STATE/NDATA/E",
        "spAv1.0/G/NDATA/E",
        "spBv1.0",
        "spBv1.0/Gr\u{fc}n/DBIRTH/\u{7f}/\u{202e}",
    ]
    .map(str::to_owned)
    .into();
    for (_, messages) in captures {
        topics.extend(messages.iter().map(|message| message.topic.clone()));
    }
    topics.sort();
    topics.dedup();
    for (at, topic) in topics.iter().enumerate() {
        write("topic", &format!("topic-{at:02}"), topic.as_bytes());
    }
}

/// The messages of a library as operations of a plant.
fn as_plant(messages: &[Captured], policy: u8) -> Seed {
    messages.iter().fold(Seed::default().put(&[policy]), |seed, message| {
        let flags = if message.retain { 3 } else { 0 };
        let seed = seed.put(&[9]).with(message.topic.as_bytes()).with(&message.payload);
        seed.put(&[flags, 11, 100, 0])
    })
}

/// What the OT half journals of the messages of a library, by names.
fn relayed(messages: &[Captured]) -> Vec<Relayed> {
    let (_, bodies) = followed(messages);
    let mut layouts = Layouts::new(usize::MAX);
    let mut only = |body: Body| match layouts.by_names(body, usize::MAX) {
        Some(Body::Relayed(relayed)) => Some(relayed),
        _ => None,
    };
    bodies.into_iter().filter_map(only).collect()
}

fn followed(messages: &[Captured]) -> (Pipeline, Vec<Body>) {
    let settings = PipelineSettings {
        source: "line".into(),
        keyframe_every: std::time::Duration::from_secs(30),
        reorder_timeout: std::time::Duration::from_secs(2),
        doubt_after: std::time::Duration::from_secs(300),
        max_nodes: 8,
        max_devices_per_node: 4,
        budget: Budget::UNLIMITED,
        caps: Caps::default(),
    };
    let now = Now { mono: std::time::Duration::from_secs(1), wall_ms: 1_700_000_000_000 };
    let mut pipeline = Pipeline::new(settings, plant::policy(0), now);
    pipeline.session(now, false);
    let mut out = Vec::new();
    for Captured { topic, payload, retain } in messages {
        let received = Received { topic, payload, retain: *retain, dup: false, assured: false };
        pipeline.handle(now, received, &mut out);
    }
    (pipeline, out.into_iter().map(Into::into).collect())
}

fn operations(captures: &[(&str, Vec<Captured>)]) {
    for (library, messages) in captures {
        for target in ["pipeline", "ot_fast_path"] {
            for policy in [0, 6] {
                let seed = as_plant(messages, policy);
                write(target, &format!("{library}-{policy}"), &seed.0);
            }
        }
        let mut seed = Seed::default().put(&[0, 3]);
        for relayed in relayed(messages) {
            seed = seed.put(&[8]).with(relayed.topic.as_bytes()).with(&relayed.payload);
            seed = seed.put(&[0, 13, 100, 0]);
        }
        for target in ["mirror", "it_fast_path"] {
            write(target, library, &seed.0);
        }
    }
    for target in ["mirror", "it_fast_path"] {
        write(target, "places", &places().0);
    }
    for (number, target) in
        ["pipeline", "ot_fast_path", "mirror", "it_fast_path"].iter().enumerate()
    {
        for at in 0..12 {
            let number = (number * 100 + at) as u64;
            write(target, &format!("noise-{at:02}"), &noise(number + 1, 200 + 60 * at));
        }
    }
}

/// A birth, and data by places in its layout as somebody may write it.
fn places() -> Seed {
    let metric = |(name, datatype): (&str, DataType)| Metric {
        name: Some(name.into()),
        datatype: Some(datatype.code()),
        is_null: Some(true),
        ..Metric::default()
    };
    let metrics =
        [("switch", DataType::Boolean), ("double", DataType::Double)].map(metric).to_vec();
    let payload = Payload { timestamp: Some(1), metrics, ..Payload::default() }.encode_to_vec();
    let birth = |seed: Seed| seed.put(&[8]).with(b"spBv1.0/G/NBIRTH/E0").with(&payload).put(&[0]);
    let entries: [&[u8]; 8] = [
        &[6],
        &[0x16, 2, 4, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f],
        &[7, 0x66, 0x0e],
        &[0, 4, 0x18, 9, 0x38, 1],
        &[0x0f, 0x16],
        &[0x16, 0xff, 0xff, 0xff, 0xff, 0x1f],
        &[8, 200, b'a'],
        &[0x46, 0x86, 0x0e],
    ];
    let seed = birth(Seed::default().put(&[0, 0]));
    let data = |seed: Seed, metrics: &&[u8]| seed.put(&[7, 4, 0]).with(metrics).put(&[0]);
    birth(entries.iter().fold(seed, data))
}

fn texts() {
    let texts = |dir: &str| {
        let entries = fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().path());
        let is_toml =
            |path: &PathBuf| path.extension().is_some_and(|extension| extension == "toml");
        let mut files: Vec<PathBuf> = entries.filter(is_toml).collect();
        files.sort();
        files
    };
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let bad = texts("tests/data/policies-bad").into_iter().step_by(5);
    let good = [texts("policies"), texts("tests/data/console")].concat();
    for path in good.into_iter().chain(bad) {
        write("policy_text", &name(&path), &fs::read(&path).unwrap());
    }
    let mut halves: Vec<(String, String)> = texts("systemd")
        .iter()
        .map(|path| (name(path), fs::read_to_string(path).unwrap()))
        .collect();
    let ot = "name = \"plant-a\"\n[broker]\naddress = \"127.0.0.1:1883\"\nplaintext = true\n\
              [policies]\npaths = [\"policies\"]\n[journal]\npath = \"journal\"\n\
              [state]\npath = \"ot\"\n";
    let it = "[broker]\naddress = \"localhost:2883\"\nplaintext = true\n\
              [journal]\npath = \"journal\"\n[state]\npath = \"it\"\n";
    for (at, more) in [
        "",
        "[relay]\nkeyframe-every-s = 5\nreorder-timeout-ms = 60000\nmax-nodes = 1\n",
        "[relay]\nkeyframe-every-s = 4\nmax-devices-per-node = 0\ncolour = \"red\"\n",
        "[status]\n[metrics]\n[sandbox]\n",
        "[relay]\nkeyframe-every-s = 4\n",
        "[relay]\nreorder-timeout-ms = 60001\n",
        "[relay]\nmax-nodes = 0\n",
        "[[syslog]]\naddress = \"udp://127.0.0.1:514\"\n",
    ]
    .into_iter()
    .enumerate()
    {
        halves.push((format!("ot-{at}"), format!("{ot}{more}")));
    }
    for (at, more) in [
        "",
        "[mirror]\nstale-after-s = 5\non-gap = \"death\"\nprimary-host = \"scada\"\n",
        "[mirror]\ndata-qos = 2\nstale-after-s = -1\n[backfill]\nenabled = false\n",
        "[health]\ngroup = \"g\"\nedge-node = \"relay\"\n",
        "[broker]\n",
    ]
    .into_iter()
    .enumerate()
    {
        halves.push((format!("it-{at}"), format!("{it}{more}")));
    }
    for (name, text) in halves {
        write("configuration", &name, text.as_bytes());
    }
    let recording = fs::read_to_string(root().join("tests/data/console/plant.capture")).unwrap();
    write("capture", "plant", recording.as_bytes());
    for (at, line) in recording.lines().enumerate().take(8) {
        write("capture", &format!("line-{at}"), line.as_bytes());
    }
    for (at, line) in [
        "{\"at_ms\":1,\"note\":\"connection lost\"}",
        "{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"\",\"qos\":3}",
        "{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"CAE=\",\"qos\":2,\"retain\":true}",
        "{\"at_ms\":1,\"topic\":\"t\",\"payload\":\"\",\"dup\":true}",
        "{\"at_ms\":18446744073709551615,\"topic\":\"\\u0000\\ud83d\\ude00\",\"payload\":\"AQI=\"}",
    ]
    .into_iter()
    .enumerate()
    {
        write("capture", &format!("odd-{at}"), line.as_bytes());
    }
}

fn segments(captures: &[(&str, Vec<Captured>)]) {
    for (at, (library, messages)) in captures.iter().enumerate() {
        let header = Header {
            salt: 77,
            epoch: 3,
            first_seq: 5,
            created_ms: 1,
            head_bytes: 0,
            head_frames: 1,
            relay_name: "relay".into(),
            received: false,
        };
        let mut file = header.encode();
        let start = Body::Start(Start { epoch: 3, ..Start::default() });
        let (_, bodies) = followed(messages);
        for (seq, body) in (5..).zip(std::iter::once(start).chain(bodies)) {
            frame::append(77, seq, 1, &body, &mut file).unwrap();
        }
        write("journal_segment", library, &[&[0, 1], file.as_slice()].concat());
        let torn = &file[..file.len() - 1 - at];
        write("journal_segment", &format!("{library}-torn"), &[&[0, 1], torn].concat());
    }
    let frames = |seed: Seed| (0..6).fold(seed, |seed, at| seed.put(&[3]).with(&[at; 40]));
    let whole = || frames(Seed::default().put(&[1]));
    write("journal_segment", "frames", &whole().0);
    write("journal_segment", "two-segments", &frames(whole().put(&[0])).0);
    // A keyframe with a layout, and data against it, whole and where that can't be read.
    let placed = |seed: Seed| {
        (1..6).fold(seed.put(&[2]).with(b"d"), |seed, at| {
            seed.put(&[3, at]).with(&[at, 9, 200, at * 40])
        })
    };
    write("journal_segment", "places", &placed(Seed::default().put(&[1])).0);
    let damaged = placed(Seed::default().put(&[1])).put(&[10, 0x60, 2, 0xff]);
    write("journal_segment", "places-flipped", &placed(damaged.put(&[0])).0);
    let damages: [(&str, &[u8]); 6] = [
        ("flipped", &[10, 0x60, 2, 0xff]),
        ("cut", &[12, 0x70, 2]),
        ("inserted", &[13, 0x60, 2, 3, 0, 1, 2, 3]),
        ("zeros", &[14, 0x60, 2, 30]),
        ("deleted", &[15, 0x60, 2, 30]),
        ("forged", &[9, 1, 9, 2]),
    ];
    for (name, damage) in damages {
        write("journal_segment", name, &frames(whole().put(damage)).0);
    }
    for at in 0..8 {
        let noise = noise(900 + at, 150 + 40 * at as usize);
        write("journal_segment", &format!("noise-{at}"), &[&[1], noise.as_slice()].concat());
    }
}

fn states(captures: &[(&str, Vec<Captured>)]) {
    for (library, messages) in captures {
        let (pipeline, _) = followed(messages);
        let plant = ot::testing::store(&pipeline);
        let seed = Seed::default().put(&[1]).with(&plant).put(&[0]);
        let seed = seed.put(&noise(plant.len() as u64, 60));
        write("state_files", &format!("plant-{library}"), &seed.0);
        let mut mirror = it::mirror::Mirror::new(targets::mirror_settings(0), None);
        let now = it::mirror::Now { mono: std::time::Duration::ZERO, wall_ms: 1_700_000_000_000 };
        for (seq, relayed) in (1..).zip(relayed(messages)) {
            let body = Some(Body::Relayed(relayed));
            let frame = journal_format::Frame {
                seq,
                epoch: 1,
                appended_ms: 1,
                body,
                in_head: false,
                layout: None,
            };
            mirror.handle_item(now, journal_read::Item::Frame(frame));
        }
        let seed = Seed::default().put(&[2]).with(&it::testing::snapshot(&mut mirror)).put(&[0]);
        write("state_files", &format!("mirror-{library}"), &seed.0);
        let own = Seed::default().put(&[3]).put(&as_plant(messages, 0).0);
        write("state_files", &format!("own-{library}"), &own.0);
    }
    for (at, content) in [&b""[..], b"x", &[0; 200]].into_iter().enumerate() {
        let dir = std::env::temp_dir().join(format!("sparkdiode-seeds-{}", std::process::id()));
        let file = state::StateFile { name: "seed", magic: *b"SPKDFUZZ" };
        state::StateDir::open(&dir).unwrap().save(file, &content.to_vec()).unwrap();
        let bytes = fs::read(dir.join("seed")).unwrap();
        fs::remove_dir_all(dir).unwrap();
        write("state_files", &format!("file-{at}"), &[&[0], bytes.as_slice()].concat());
    }
    for (at, mode) in [3, 3, 3, 4, 4, 4].into_iter().enumerate() {
        let noise = noise(700 + at as u64, 200 + 60 * at);
        write("state_files", &format!("own-{at}"), &[&[mode], noise.as_slice()].concat());
    }
    let heartbeat = Heartbeat::default().encode_to_vec();
    write("state_files", "other", &Seed::default().put(&[1]).with(&heartbeat).0);
}

fn packets(captures: &[(&str, Vec<Captured>)]) {
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for (library, messages) in captures {
        for qos in 0..3_u8 {
            let packets = (1..).zip(messages).flat_map(|(id, message)| {
                let flags = qos << 1 | u8::from(message.retain);
                let mut bytes = publish(&message.topic, &message.payload, flags, id).encode();
                if qos == 2 {
                    bytes.extend(Packet::new(kind::PUBREL, 2, &id.to_be_bytes()).encode());
                }
                bytes
            });
            all.push((format!("{library}-qos{qos}"), packets.collect()));
        }
    }
    let command = publish("spBv1.0/g/NCMD/e", b"\x12\x00", 2, 9).encode();
    let answers: Vec<u8> = [
        Packet::new(kind::PUBACK, 0, &[0, 1]),
        Packet::new(kind::PUBACK, 0, &[0, 2]),
        Packet::new(kind::UNSUBACK, 0, &[0, 2]),
        Packet::new(kind::PUBACK, 0, &[0, 3]),
        Packet::new(13, 0, &[]),
    ]
    .iter()
    .flat_map(Packet::encode)
    .collect();
    all.push(("command".into(), command.clone()));
    all.push(("answers".into(), answers.clone()));
    all.push(("answers-and-command".into(), [answers, command].concat()));
    all.push(("too-large".into(), publish("t", &[0; 5_000], 0, 0).encode()));
    all.push(("endless-length".into(), vec![0x30, 0xff, 0xff, 0xff, 0xff, 0xff]));
    all.push(("no-utf8".into(), vec![0x30, 4, 0, 2, 0xff, 0xfe]));
    all.push(("qos3".into(), vec![0x36, 6, 0, 1, b't', 0, 1, 1]));
    all.push(("second-connack".into(), Packet::new(kind::CONNACK, 0, &[0, 0]).encode()));
    all.push(("nothing".into(), Vec::new()));
    // The broker waits for what it answers, at either QoS of the data: numbers 2 and 3, or 2 to 5,
    // are those of the publications and of the barrier behind them.
    for (flags, last, name) in [(0x20, 3_u16, "qos0"), (0x60, 5, "qos1"), (0xa0, 3, "open")] {
        for answered in 2..=last {
            let answer = |id: u16| {
                let kind = if id == last { kind::UNSUBACK } else { kind::PUBACK };
                Packet::new(kind, 0, &id.to_be_bytes()).encode()
            };
            let answers: Vec<u8> = (2..=answered).flat_map(answer).collect();
            let input = [&[flags], answers.as_slice()].concat();
            write("it_connection", &format!("answers-{name}-to-{answered}"), &input);
        }
    }
    for (name, bytes) in all {
        for target in ["ot_connection", "it_connection"] {
            write(target, &name, &[&[0], bytes.as_slice()].concat());
        }
    }
    for target in ["ot_connection", "it_connection"] {
        write(
            target,
            "refused",
            &[&[5], &*Packet::new(kind::CONNACK, 0, &[0, 5]).encode()].concat(),
        );
        write(target, "no-connack", &[&[5], &*publish("t", b"x", 0, 0).encode()].concat());
    }
}

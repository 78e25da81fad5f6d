//! Frames per second through the journal: append and commit in batches, and tail.

use std::fs;
use std::time::{Duration, Instant};

use journal_format::{Body, Relayed, Start};
use journal_read::{From, Item, Reader};
use journal_write::{Durability, Writer, WriterOptions};
use serde_json::{Value, json};

use crate::options::{Options, output_dir};
use crate::statistics::median;
use crate::table;

/// Payloads: 10 and 100 metrics.
const PAYLOAD_BYTES: [usize; 2] = [300, 3_000];
/// Frames of one commit: what the OT half takes as a batch under load.
const BATCH: usize = 1_024;
/// Bytes after which a round begins a new journal: retention isn't what is measured.
const JOURNAL_BYTES: u64 = 1 << 30;

#[derive(Default)]
struct Figures {
    append: Vec<f64>,
    tail: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> Value {
    let variants: Vec<(usize, Durability)> = [Durability::Process, Durability::Power]
        .into_iter()
        .flat_map(|durability| PAYLOAD_BYTES.map(|bytes| (bytes, durability)))
        .collect();
    let mut figures: Vec<Figures> = variants.iter().map(|_| Figures::default()).collect();
    for _ in 0..options.rounds {
        for ((bytes, durability), figures) in variants.iter().zip(&mut figures) {
            let (append, tail) = measure(*bytes, *durability, options.stretch / 3);
            figures.append.push(append);
            figures.tail.push(tail);
        }
    }
    let mut rows = Vec::new();
    let mut results = Vec::new();
    for ((bytes, durability), figures) in variants.iter().zip(&figures) {
        let word = match durability {
            Durability::Process => "process",
            Durability::Power => "power",
        };
        let append = median(figures.append.iter().copied());
        let tail = median(figures.tail.iter().copied());
        let mib = |frames: f64| table::number(frames * *bytes as f64 / (1 << 20) as f64);
        rows.push(vec![
            format!("{bytes} bytes, durability \"{word}\""),
            table::number(append),
            mib(append),
            table::number(tail),
            mib(tail),
        ]);
        results.push(json!({
            "payload_bytes": bytes, "durability": word, "batch_frames": BATCH,
            "append_frames_per_s": append, "tail_frames_per_s": tail,
        }));
    }
    table::print(
        &format!("journal: commits of {BATCH} frames"),
        &["", "append frames/s", "MiB/s", "tail frames/s", "MiB/s"],
        &rows,
    );
    Value::Array(results)
}

/// Frames/s appended, and frames/s read by a reader that comes afterwards (from memory).
fn measure(payload_bytes: usize, durability: Durability, stretch: Duration) -> (f64, f64) {
    fs::create_dir_all(output_dir()).unwrap();
    let dir = tempfile::tempdir_in(output_dir()).unwrap();
    let mut writer = Writer::open(
        WriterOptions {
            dir: dir.path().join("journal"),
            relay_name: "bench".into(),
            segment_bytes: 64 << 20,
            retain_bytes: 4 * JOURNAL_BYTES,
            retain_age: None,
            durability,
        },
        1,
    )
    .unwrap();
    writer.begin_segment(1, head()).unwrap();
    let body = Body::Relayed(Relayed {
        source: "plant-a".into(),
        topic: "spBv1.0/Plant1/NDATA/Line00017".into(),
        payload: (0..payload_bytes).map(|byte| byte as u8).collect(),
        received_ms: 1_800_000_000_000,
        ..Relayed::default()
    });
    let (mut took, mut appended) = (Duration::ZERO, 0);
    while took < stretch && writer.bytes() < JOURNAL_BYTES {
        let begin = Instant::now();
        for _ in 0..BATCH {
            writer.push(1_800_000_000_000, &body).unwrap();
        }
        writer.commit().unwrap();
        if writer.wants_segment() {
            writer.begin_segment(1, head()).unwrap();
        }
        took += begin.elapsed();
        appended += BATCH;
    }
    let append = appended as f64 / took.as_secs_f64();
    drop(writer);
    let mut reader = Reader::open(&dir.path().join("journal"), From::Oldest).unwrap();
    let begin = Instant::now();
    let mut read = 0;
    while let Some(item) = reader.next().unwrap() {
        let Item::Frame(frame) = item else { panic!("{item:?}") };
        read += usize::from(matches!(frame.body, Some(Body::Relayed(_))));
    }
    let tail = read as f64 / begin.elapsed().as_secs_f64();
    assert_eq!(read, appended, "the reader read what was appended");
    (append, tail)
}

fn head() -> impl Iterator<Item = Body> {
    std::iter::once(Body::Start(Start { relay_name: "bench".into(), ..Start::default() }))
}

//! A journal that is written as an OT half writes it, at a rate.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use journal_format::{Body, Relayed, Start};
use journal_write::{Durability, Writer, WriterOptions};

/// Frames are appended in batches so long apart.
const BATCH: Duration = Duration::from_millis(1);

/// Who writes it.
#[derive(Debug)]
pub struct Plant {
    writer: Writer,
    body: Body,
    /// When each frame was committed, by its number.
    pub times: Vec<Option<Instant>>,
}

impl Plant {
    /// A new journal, of frames with so many bytes each.
    pub fn new(dir: &Path, frame_bytes: usize) -> Plant {
        let options = WriterOptions {
            dir: dir.to_path_buf(),
            relay_name: "plant".into(),
            segment_bytes: 16 << 20,
            retain_bytes: 16 << 30,
            retain_age: None,
            durability: Durability::Process,
        };
        // What stands beside the payload.
        let payload = vec![7; frame_bytes.saturating_sub(64)];
        let topic = "spBv1.0/Plant1/NDATA/Line00017".into();
        let body = Body::Relayed(Relayed { topic, payload, ..Relayed::default() });
        Plant { writer: Writer::open(options, 7).unwrap(), body, times: Vec::new() }
    }

    /// Appends so many frames, `per_s` of them a second; `None`: at once. `meanwhile` is called after each
    /// batch, with the frames so far.
    pub fn write(&mut self, frames: u64, per_s: Option<u64>, mut meanwhile: impl FnMut(u64)) {
        let (begin, mut done) = (Instant::now(), 0);
        while done < frames {
            let due = match per_s {
                Some(per_s) => (begin.elapsed().as_secs_f64() * per_s as f64) as u64,
                None => done + 1_000,
            };
            let now = Instant::now();
            while done < due.min(frames) {
                let seq = self.push();
                let at = usize::try_from(seq).unwrap();
                self.times.resize(self.times.len().max(at + 1), None);
                self.times[at] = Some(now);
                done += 1;
            }
            self.writer.commit().unwrap();
            meanwhile(done);
            if per_s.is_some() {
                std::thread::sleep(BATCH);
            }
        }
    }

    fn push(&mut self) -> u64 {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let wall_ms = u64::try_from(wall.as_millis()).unwrap();
        if self.writer.wants_segment() {
            let start = Start { relay_name: "plant".into(), ..Start::default() };
            self.writer.begin_segment(wall_ms, std::iter::once(Body::Start(start))).unwrap();
        }
        self.writer.push(wall_ms, &self.body).unwrap()
    }
}

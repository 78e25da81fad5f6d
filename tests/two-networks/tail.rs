//! What is in the journal that the receiving end writes, while it writes it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use journal_read::{From, RawItem, Reader};

/// How often it looks where there was nothing.
const EVERY: Duration = Duration::from_micros(100);

/// Reads along.
#[derive(Debug)]
pub struct Tail {
    is_over: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: JoinHandle<Found>,
}

/// What came.
#[derive(Debug, Default)]
pub struct Found {
    /// When each frame was there, by its number.
    pub times: Vec<Option<Instant>>,
    /// Frames that came behind higher numbers.
    pub late: u64,
    /// Frames that are there twice.
    pub twice: u64,
}

impl Tail {
    /// Of a journal that may not have begun.
    pub fn start(dir: PathBuf) -> Tail {
        let (is_over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (over, counted) = (Arc::clone(&is_over), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            let mut reader = Reader::open(&dir, From::Oldest).unwrap();
            let mut found = Found::default();
            loop {
                let ends = over.load(Ordering::Relaxed);
                while let Some((seq, is_late)) = next(&mut reader) {
                    found.take(seq, is_late, &counted);
                }
                if ends {
                    return found;
                }
                std::thread::sleep(EVERY);
            }
        });
        Tail { is_over, count, thread }
    }

    /// Frames so far, each once.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Waits until so many frames are there; whether they came in time.
    pub fn wait_for(&self, frames: u64, within: Duration) -> bool {
        let begin = Instant::now();
        while self.count() < frames {
            if begin.elapsed() > within {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    /// Reads to the end, and says what came.
    pub fn end(self) -> Found {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Number, and whether it came late; stretches that are missing are passed over.
fn next(reader: &mut Reader) -> Option<(u64, bool)> {
    loop {
        return match reader.next_raw().unwrap()? {
            RawItem::Frame(frame) => Some((frame.seq, false)),
            RawItem::Late { seq, .. } => Some((seq, true)),
            RawItem::Lost(_) => continue,
        };
    }
}

impl Found {
    fn take(&mut self, seq: u64, is_late: bool, count: &AtomicU64) {
        let at = usize::try_from(seq).unwrap();
        self.times.resize(self.times.len().max(at + 1), None);
        match &mut self.times[at] {
            Some(_) => self.twice += 1,
            time => {
                *time = Some(Instant::now());
                self.late += u64::from(is_late);
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

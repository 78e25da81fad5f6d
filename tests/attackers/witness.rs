//! The witness on the IT broker: what it hears of the good node, and when.

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::{Address, Stream};
use crate::clock::micros;
use crate::good::{self, COUNT, SENT_US};
use crate::packets::{self, Came, Reader};
use crate::proto::{bytes_in, int_in};

/// How often it is looked whether something was heard.
const POLL: Duration = Duration::from_millis(2);

/// What was heard of the good node so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Numbers of births and of data that isn't historical, when each was heard first.
    pub heard: HashMap<u64, Heard>,
    /// Numbers of historical data.
    pub late: HashSet<u64>,
    /// Births. Those that others forge under its topic haven't its metrics.
    pub births: u64,
    /// Deaths.
    pub deaths: u64,
}

/// When a number was heard.
#[derive(Clone, Copy, Debug)]
pub struct Heard {
    /// Microseconds since the start.
    pub at_us: u64,
    /// Microseconds since it was due.
    pub since_sent_us: u64,
}

/// A subscriber.
#[derive(Debug)]
pub struct Witness {
    stream: Stream,
    seen: Arc<Mutex<Seen>>,
}

impl Witness {
    /// Subscribes to the good node's messages, at QoS 1 so that nothing is lost behind the relay.
    ///
    /// # Panics
    /// The broker can't be reached.
    pub fn start(address: &Address) -> Witness {
        let mut stream = address.open().unwrap();
        let mut reader = Reader::new(stream.again());
        let connect = packets::connect("the-witness", None);
        packets::ask(&mut stream, &mut reader, &connect, packets::CONNACK).unwrap();
        let topics = ["NBIRTH", "NDATA", "NDEATH"].map(good::topic);
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        let subscribe = packets::subscribe(&topics, 1);
        packets::ask(&mut stream, &mut reader, &subscribe, packets::SUBACK).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (of_thread, mut out) = (Arc::clone(&seen), stream.again());
        thread::spawn(move || {
            while let Ok(came) = reader.next() {
                let Some(id) = hear(&came, &of_thread) else { continue };
                if out.write_all(&packets::answer(packets::PUBACK, id)).is_err() {
                    return;
                }
            }
        });
        Witness { stream, seen }
    }

    /// What was heard so far.
    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until `done`; whether it came true within `limit`.
    pub fn wait(&self, limit: Duration, mut done: impl FnMut(&Seen) -> bool) -> bool {
        let begin = Instant::now();
        loop {
            if done(&self.seen.lock().unwrap()) {
                return true;
            }
            if begin.elapsed() > limit {
                return false;
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stream.close();
    }
}

/// Takes what came; the identifier to acknowledge.
fn hear(came: &Came, seen: &Mutex<Seen>) -> Option<[u8; 2]> {
    let now = micros();
    let (topic, payload, id) = came.publication()?;
    let metric = |name: &str| {
        bytes_in(payload, 2)
            .find(|metric| bytes_in(metric, 1).next() == Some(name.as_bytes()))
            .and_then(|metric| int_in(metric, 11))
    };
    let mut seen = seen.lock().unwrap();
    let is_historical = bytes_in(payload, 2).any(|metric| int_in(metric, 5) == Some(1));
    match topic.split(|byte| *byte == b'/').nth(2) {
        Some(b"NBIRTH") => {
            // One that was asked for has the number that came with it.
            if let (Some(count), Some(sent)) = (metric(COUNT), metric(SENT_US)) {
                seen.births += 1;
                let heard = Heard { at_us: now, since_sent_us: now.saturating_sub(sent) };
                seen.heard.entry(count).or_insert(heard);
            }
        }
        Some(b"NDEATH") => seen.deaths += u64::from(metric("bdSeq").is_some()),
        _ if is_historical => seen.late.extend(metric(COUNT)),
        _ => {
            if let (Some(count), Some(sent)) = (metric(COUNT), metric(SENT_US)) {
                let heard = Heard { at_us: now, since_sent_us: now.saturating_sub(sent) };
                seen.heard.entry(count).or_insert(heard);
            }
        }
    }
    id
}

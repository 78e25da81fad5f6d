//! The subscriber at the end of every path: counts, and reads the stamps of data messages.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::micros;
use crate::mqtt::{self, Packet};
use crate::plant;

const READ_BYTES: usize = 256 * 1024;

/// A running sink.
#[derive(Debug)]
pub(crate) struct Sink {
    shared: Arc<Shared>,
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Data messages.
    data: AtomicU64,
    births: AtomicU64,
    /// Whether latencies are kept.
    recording: AtomicBool,
    /// Devices are counted as born, and not edge nodes.
    counts_devices: AtomicBool,
    /// The topic whose data alone counts.
    only: OnceLock<Vec<u8>>,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    /// Topics of births.
    born: HashSet<Vec<u8>>,
    /// Microseconds from stamp to arrival.
    latencies_us: Vec<u32>,
}

impl Sink {
    /// Subscribes to all Sparkplug messages.
    pub(crate) fn start(address: SocketAddr, qos: u8) -> Sink {
        let mut stream = mqtt::connect(address, "sink");
        mqtt::subscribe(&mut stream, "spBv1.0/#", qos);
        stream.set_read_timeout(None).unwrap();
        let shared = Arc::new(Shared::default());
        let (of_thread, reader) = (Arc::clone(&shared), stream.try_clone().unwrap());
        let thread = Some(thread::spawn(move || read(reader, &of_thread)));
        Sink { shared, stream, thread }
    }

    /// From now on the data of this topic alone counts.
    pub(crate) fn count_only(&self, topic: &str) {
        let _ = self.shared.only.set(topic.as_bytes().to_vec());
    }

    /// From now on devices are counted as born, and not edge nodes.
    pub(crate) fn count_devices(&self) {
        self.shared.counts_devices.store(true, Ordering::Release);
    }

    /// Data messages so far.
    pub(crate) fn data(&self) -> u64 {
        self.shared.data.load(Ordering::Acquire)
    }

    /// Births so far.
    pub(crate) fn births(&self) -> u64 {
        self.shared.births.load(Ordering::Acquire)
    }

    /// Edge nodes that were born since [`Sink::forget_births`].
    pub(crate) fn born(&self) -> usize {
        self.shared.heard.lock().unwrap().born.len()
    }

    pub(crate) fn forget_births(&self) {
        self.shared.heard.lock().unwrap().born.clear();
    }

    /// Keeps latencies from now on.
    pub(crate) fn record(&self) {
        self.shared.heard.lock().unwrap().latencies_us.clear();
        self.shared.recording.store(true, Ordering::Release);
    }

    /// The latencies since [`Sink::record`], in microseconds, sorted.
    pub(crate) fn take_latencies(&self) -> Vec<u32> {
        self.shared.recording.store(false, Ordering::Release);
        let mut latencies = std::mem::take(&mut self.shared.heard.lock().unwrap().latencies_us);
        latencies.sort_unstable();
        latencies
    }

    /// Publishes `payload` from this connection at QoS 0, as a host application would.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8]) {
        let mut packet = Vec::new();
        mqtt::publish(&mut packet, topic, payload, None);
        self.stream.write_all(&packet).unwrap();
    }

    /// Waits until `done`, at most `limit`; whether it came true.
    pub(crate) fn wait(&self, limit: Duration, mut done: impl FnMut(&Sink) -> bool) -> bool {
        let by = micros() + u64::try_from(limit.as_micros()).unwrap();
        while !done(self) {
            if micros() > by {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        true
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether a birth of this kind counts.
fn births(kind: &[u8], counts_devices: &AtomicBool) -> bool {
    (kind == b"DBIRTH") == counts_devices.load(Ordering::Acquire)
}

fn read(mut stream: TcpStream, shared: &Shared) {
    let mut buffer = vec![0; READ_BYTES];
    let mut filled = 0;
    let mut acks = Vec::new();
    let mut latencies = Vec::new();
    loop {
        if filled == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
        let read = match stream.read(&mut buffer[filled..]) {
            Ok(0) | Err(_) => return,
            Ok(read) => read,
        };
        filled += read;
        let arrived = micros();
        let recording = shared.recording.load(Ordering::Acquire);
        let (mut at, mut data) = (0, 0);
        while let Some(packet) = Packet::first_of(&buffer[at..filled]) {
            at += packet.bytes;
            let Some(publish) = packet.publish() else { continue };
            if let Some(id) = publish.id {
                mqtt::puback(&mut acks, id);
            }
            match publish.topic.split(|byte| *byte == b'/').nth(2) {
                Some(b"NDATA" | b"DDATA")
                    if shared.only.get().is_none_or(|only| only == publish.topic) =>
                {
                    data += 1;
                    if recording && let Some(stamp) = plant::stamp_of(publish.payload) {
                        let latency = arrived.saturating_sub(stamp);
                        latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
                    }
                }
                Some(kind @ (b"NBIRTH" | b"DBIRTH")) if births(kind, &shared.counts_devices) => {
                    shared.heard.lock().unwrap().born.insert(publish.topic.to_vec());
                    shared.births.fetch_add(1, Ordering::Release);
                }
                _ => {}
            }
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
        if !latencies.is_empty() {
            shared.heard.lock().unwrap().latencies_us.append(&mut latencies);
        }
        shared.data.fetch_add(data, Ordering::Release);
        if !acks.is_empty() {
            if stream.write_all(&acks).is_err() {
                return;
            }
            acks.clear();
        }
    }
}

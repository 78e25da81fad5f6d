//! A broker that takes the sessions of the IT half, answers them, counts what they publish and
//! forgets it: on a thread of its own, so that what it costs is known.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::ServerConfig;

use super::peer::Peer;
use crate::clock::{micros, thread_cpu};
use crate::plant;

/// So often the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// What arrived.
#[derive(Debug, Default)]
pub(super) struct Counts {
    data: AtomicU64,
    /// Of the thread, in microseconds.
    cpu_us: AtomicU64,
    is_recording: AtomicBool,
    ends: AtomicBool,
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    born: HashSet<Vec<u8>>,
    latencies_us: Vec<u32>,
}

impl Counts {
    pub(super) fn data(&self) -> u64 {
        self.data.load(Ordering::Acquire)
    }

    pub(super) fn cpu_s(&self) -> f64 {
        self.cpu_us.load(Ordering::Acquire) as f64 / 1e6
    }

    pub(super) fn born(&self) -> usize {
        self.heard.lock().unwrap().born.len()
    }

    /// Keeps latencies from now on.
    pub(super) fn record(&self) {
        self.heard.lock().unwrap().latencies_us.clear();
        self.is_recording.store(true, Ordering::Release);
    }

    /// The latencies since [`Counts::record`], in microseconds, sorted.
    pub(super) fn take_latencies(&self) -> Vec<u32> {
        self.is_recording.store(false, Ordering::Release);
        let mut latencies = std::mem::take(&mut self.heard.lock().unwrap().latencies_us);
        latencies.sort_unstable();
        latencies
    }
}

pub(super) struct Drain {
    pub(super) address: SocketAddr,
    pub(super) counts: Arc<Counts>,
    thread: Option<JoinHandle<()>>,
}

impl Drain {
    pub(super) fn start(tls: Option<Arc<ServerConfig>>) -> Drain {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::<Counts>::default();
        let of_thread = Arc::clone(&counts);
        let thread = Some(thread::spawn(move || serve(&listener, tls.as_ref(), &of_thread)));
        Drain { address, counts, thread }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        self.counts.ends.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(listener: &TcpListener, tls: Option<&Arc<ServerConfig>>, counts: &Counts) {
    let mut peers: Vec<Peer> = Vec::new();
    let look = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos().into() };
    let mut ready: Vec<bool> = Vec::new();
    while !counts.ends.load(Ordering::Acquire) {
        let wants = |peer: &Peer| match peer.unsent.is_empty() {
            true => PollFlags::IN,
            false => PollFlags::IN | PollFlags::OUT,
        };
        let mut fds = vec![PollFd::new(listener, PollFlags::IN)];
        fds.extend(peers.iter().map(|peer| PollFd::new(&peer.stream, wants(peer))));
        if poll(&mut fds, Some(&look)).is_err() {
            continue;
        }
        ready.clear();
        ready.extend(fds.iter().map(|fd| !fd.revents().is_empty()));
        drop(fds);
        let mut flags = ready.iter().skip(1);
        let (mut data, mut latencies) = (0, Vec::new());
        let is_recording = counts.is_recording.load(Ordering::Acquire);
        peers.retain_mut(|peer| {
            if !flags.next().is_some_and(|ready| *ready) {
                return true;
            }
            let arrived = micros();
            let is_alive =
                peer.receive(|publish| match publish.topic.split(|byte| *byte == b'/').nth(2) {
                    Some(b"NDATA") => {
                        data += 1;
                        if is_recording && let Some(stamp) = plant::stamp_of(publish.payload) {
                            let latency = arrived.saturating_sub(stamp);
                            latencies.push(u32::try_from(latency).unwrap_or(u32::MAX));
                        }
                    }
                    Some(b"NBIRTH") => {
                        counts.heard.lock().unwrap().born.insert(publish.topic.to_vec());
                    }
                    _ => {}
                });
            peer.flush();
            is_alive
        });
        if !latencies.is_empty() {
            counts.heard.lock().unwrap().latencies_us.append(&mut latencies);
        }
        counts.data.fetch_add(data, Ordering::AcqRel);
        if ready[0] {
            while let Ok((stream, _)) = listener.accept() {
                peers.push(Peer::new(stream, tls));
            }
        }
        let cpu = u64::try_from(thread_cpu().as_micros()).unwrap();
        counts.cpu_us.store(cpu, Ordering::Release);
    }
}

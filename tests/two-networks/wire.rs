//! What is wrong with a cable, in a network in its middle: it reorders, doubles and flips.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::network::Network;

/// How long it waits for more before it lets go what it holds back.
const IDLE: Duration = Duration::from_millis(5);

/// What happens to datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many wait for each other, of which any may go next.
    pub reorder: usize,
    /// Of ten thousand.
    pub doubled: u32,
    pub flipped: u32,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    pub came: u64,
    pub doubled: u64,
    pub flipped: u64,
}

/// A path with faults.
#[derive(Debug)]
pub struct Wire {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Forwarded>,
}

impl Wire {
    /// On a path of a network with a middle.
    pub fn start(network: &Arc<Network>, path: usize, faults: Faults) -> Wire {
        let (network, ends) = (Arc::clone(network), Arc::new(AtomicBool::new(false)));
        let is_over = Arc::clone(&ends);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            network.enter_middle();
            let from = UdpSocket::bind(network.to(path)).unwrap();
            let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&from, 32 << 20);
            from.set_read_timeout(Some(IDLE)).unwrap();
            let to = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
            to.connect(network.listen(path)).unwrap();
            ready.send(()).unwrap();
            forward(&from, &to, faults, &is_over)
        });
        is_ready.recv().unwrap();
        Wire { ends, thread }
    }

    /// Ends, and says what happened.
    pub fn end(self) -> Forwarded {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn forward(from: &UdpSocket, to: &UdpSocket, faults: Faults, is_over: &AtomicBool) -> Forwarded {
    let (mut held, mut done) = (Vec::<Vec<u8>>::new(), Forwarded::default());
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut buffer = vec![0; 65_536];
    while !is_over.load(Ordering::Relaxed) {
        let Ok(length) = from.recv(&mut buffer) else {
            held.drain(..).for_each(|datagram| drop(to.send(&datagram)));
            continue;
        };
        done.came += 1;
        let mut datagram = buffer[..length].to_vec();
        if chance.below(10_000) < u64::from(faults.doubled) {
            done.doubled += 1;
            held.push(datagram.clone());
        }
        if chance.below(10_000) < u64::from(faults.flipped) && length > 0 {
            done.flipped += 1;
            let bit = chance.below(8 * length as u64) as usize;
            datagram[bit / 8] ^= 1 << (bit % 8);
        }
        held.push(datagram);
        while held.len() > faults.reorder {
            let at = chance.below(held.len() as u64) as usize;
            let _ = to.send(&held.swap_remove(at));
        }
    }
    done
}

/// Numbers that look random, and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

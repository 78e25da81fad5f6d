//! A broker that has one client, the OT half, and sends it the messages of a plant: from memory, so
//! that it costs little, and on a thread of its own, so that what it costs is known.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::ServerConfig;

use super::drain::Counts;
use super::peer::Peer;
use crate::clock::{micros, thread_cpu, wall_ms};
use crate::mqtt;
use crate::plant::{self, Data};

/// Longest nap while nothing is due.
const NAP: Duration = Duration::from_micros(50);
/// The same without orders.
const IDLE: Duration = Duration::from_millis(1);
/// Messages that a turn sends at most.
const TURN: u64 = 250;
/// What may wait for the socket.
const MAX_UNSENT_BYTES: usize = 1 << 20;

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recording {
    pub(super) nodes: usize,
    pub(super) metrics: usize,
    pub(super) aliases: bool,
    pub(super) qos: u8,
}

/// What a stretch came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) messages: u64,
    pub(super) cpu_s: f64,
    pub(super) seconds: f64,
}

enum Order {
    /// All births once.
    Births,
    /// `None`: as many as arrive, with so many under way.
    Data { rate: Option<f64>, stretch: Duration, sent: Sender<Sent> },
}

pub(super) struct Source {
    pub(super) address: SocketAddr,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Source {
    pub(super) fn start(
        recording: Recording,
        tls: Option<Arc<ServerConfig>>,
        counts: Arc<Counts>,
    ) -> Source {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (orders, received) = mpsc::channel();
        let thread =
            thread::spawn(move || serve(&listener, tls.as_ref(), recording, &received, &counts));
        Source { address, orders: Some(orders), thread: Some(thread) }
    }

    pub(super) fn births(&self) {
        self.order(Order::Births);
    }

    /// Sends data for `stretch`: `rate` messages/s, evenly, each with the time as stamp at which it is
    /// due, or as many as arrive.
    pub(super) fn data(&self, rate: Option<f64>, stretch: Duration) -> Sent {
        let (sent, done) = mpsc::channel();
        self.order(Order::Data { rate, stretch, sent });
        done.recv().expect("the source has ended: the OT half is gone")
    }

    fn order(&self, order: Order) {
        let orders = self.orders.as_ref().unwrap();
        orders.send(order).expect("the source has ended: the OT half is gone");
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One connection after the other; ends when nobody gives orders any more.
fn serve(
    listener: &TcpListener,
    tls: Option<&Arc<ServerConfig>>,
    recording: Recording,
    orders: &Receiver<Order>,
    counts: &Counts,
) {
    let mut plant = Plant::new(recording);
    let mut client: Option<Peer> = None;
    loop {
        let order = orders.try_recv();
        if matches!(order, Err(mpsc::TryRecvError::Disconnected)) {
            return;
        }
        if let Ok((stream, _)) = listener.accept() {
            client = Some(Peer::new(stream, tls));
        }
        // An order without a client is lost: births are asked for until they have arrived.
        let Some(peer) = &mut client else {
            thread::sleep(IDLE);
            continue;
        };
        match order {
            Ok(Order::Births) => plant.births(&mut peer.unsent),
            Ok(Order::Data { rate, stretch, sent }) => {
                let _ = sent.send(plant.run(peer, rate, stretch, counts));
            }
            Err(_) => thread::sleep(IDLE),
        }
        peer.flush();
        if !peer.receive(|_| ()) {
            client = None;
        }
    }
}

struct Plant {
    recording: Recording,
    nodes: Vec<Node>,
    turn: usize,
    packet_id: u16,
}

struct Node {
    topic: String,
    data: Data,
    seq: u8,
}

impl Plant {
    fn new(recording: Recording) -> Plant {
        let Recording { nodes, metrics, aliases, .. } = recording;
        let node = |number| Node {
            topic: plant::topic("NDATA", &plant::edge_node(number)),
            data: Data::new(metrics, aliases),
            seq: 0,
        };
        Plant { recording, nodes: (0..nodes).map(node).collect(), turn: 0, packet_id: 0 }
    }

    fn births(&mut self, out: &mut Vec<u8>) {
        let Recording { metrics, aliases, .. } = self.recording;
        let payload = plant::birth(metrics, aliases, wall_ms());
        for number in 0..self.nodes.len() {
            self.nodes[number].seq = 1;
            let topic = plant::topic("NBIRTH", &plant::edge_node(number));
            let id = self.next_id();
            mqtt::publish(out, &topic, &payload, id);
        }
    }

    fn run(
        &mut self,
        peer: &mut Peer,
        rate: Option<f64>,
        stretch: Duration,
        counts: &Counts,
    ) -> Sent {
        let (begin, cpu, arrived) = (micros(), thread_cpu(), counts.data());
        let length = u64::try_from(stretch.as_micros()).unwrap();
        let total = rate.map(|rate| (rate * stretch.as_secs_f64()) as u64);
        let mut sent = 0;
        loop {
            let now = micros() - begin;
            let due = match rate {
                Some(rate) => (now.min(length) as f64 * rate / 1e6) as u64,
                None => counts.data() - arrived + super::WINDOW,
            };
            let until = due.min(sent + TURN);
            for number in sent..until {
                let stamp = rate.map_or(now, |rate| (number as f64 * 1e6 / rate) as u64);
                self.send(&mut peer.unsent, begin + stamp);
            }
            let is_idle = until <= sent;
            sent = until.max(sent);
            let mut is_alive = true;
            while !peer.flush() && peer.unsent.len() > MAX_UNSENT_BYTES && is_alive {
                is_alive = peer.receive(|_| ());
                thread::sleep(NAP);
            }
            is_alive &= peer.receive(|_| ());
            let is_over = total.map_or(now >= length, |total| sent >= total);
            if is_over || !is_alive {
                break;
            }
            if is_idle {
                thread::sleep(NAP);
            }
        }
        Sent {
            messages: sent,
            cpu_s: (thread_cpu() - cpu).as_secs_f64(),
            seconds: (micros() - begin) as f64 / 1e6,
        }
    }

    fn send(&mut self, out: &mut Vec<u8>, stamp_us: u64) {
        let id = self.next_id();
        let node = &mut self.nodes[self.turn];
        let payload = node.data.fill(wall_ms(), stamp_us, node.seq);
        mqtt::publish(out, &node.topic, payload, id);
        node.seq = node.seq.wrapping_add(1);
        self.turn = (self.turn + 1) % self.nodes.len();
    }

    fn next_id(&mut self) -> Option<u16> {
        if self.recording.qos == 0 {
            return None;
        }
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        Some(self.packet_id)
    }
}

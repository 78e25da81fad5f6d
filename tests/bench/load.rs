//! The load generator: many publishers, each an edge node with a connection of its own, driven
//! by one thread over non-blocking sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::clock::{micros, wall_ms};
use crate::mqtt;
use crate::plant::{self, Data, GROUP};
use crate::sink::Sink;

/// Messages under way up to which [`Plant::saturate`] offers more: some 100 ms of a fast path,
/// so that batching has what it needs, and a queue that only grows is seen.
pub(crate) const WINDOW: u64 = 5_000;
/// Longest nap of the generator while nothing is due.
const NAP: Duration = Duration::from_micros(50);
/// Messages that a turn sends at most.
const TURN: u64 = 500;
/// A publisher that has this much unsent waits for its socket.
const MAX_UNSENT_BYTES: usize = 1 << 20;
/// How often births are repeated until all of them have arrived.
const BIRTHS_EVERY: Duration = Duration::from_millis(1_500);
const BIRTHS_WITHIN: Duration = Duration::from_secs(120);
/// How long what is under way may take after the last message was sent.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// Simulated edge nodes.
#[derive(Debug)]
pub(crate) struct Plant {
    connections: Vec<Connection>,
    nodes: Vec<Node>,
    metrics: usize,
    aliases: bool,
    qos: u8,
    /// The node whose turn it is.
    turn: usize,
    sent: u64,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    unsent: Vec<u8>,
    packet_id: u16,
}

#[derive(Debug)]
struct Node {
    birth_topic: String,
    data_topic: String,
    data: Data,
    seq: u8,
}

/// Shape of a plant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) nodes: usize,
    /// Edge nodes share connections where there are fewer of these.
    pub(crate) connections: usize,
    pub(crate) metrics: usize,
    pub(crate) aliases: bool,
    pub(crate) qos: u8,
    /// Groups among which the nodes are dealt out; 0: all are of one.
    pub(crate) groups: usize,
}

impl Plant {
    /// Connects all publishers.
    pub(crate) fn connect(address: SocketAddr, shape: Shape) -> Plant {
        let Shape { nodes, connections, metrics, aliases, qos, groups } = shape;
        let connections = (0..connections.min(nodes))
            .map(|number| {
                let stream = mqtt::connect(address, &format!("plant-{number}"));
                stream.set_nonblocking(true).unwrap();
                Connection { stream, unsent: Vec::new(), packet_id: 0 }
            })
            .collect();
        let nodes = (0..nodes)
            .map(|number| {
                let edge_node = plant::edge_node(number);
                let topic = |kind: &str| match number.checked_rem(groups) {
                    None => plant::topic(kind, &edge_node),
                    Some(group) => format!("spBv1.0/{GROUP}-{group}/{kind}/{edge_node}"),
                };
                let (birth_topic, data_topic) = (topic("NBIRTH"), topic("NDATA"));
                Node { birth_topic, data_topic, data: Data::new(metrics, aliases), seq: 0 }
            })
            .collect();
        Plant { connections, nodes, metrics, aliases, qos, turn: 0, sent: 0 }
    }

    /// Data messages sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Publishes the births of all nodes, again and again until the sink has heard all of them:
    /// what is born before somebody subscribes is heard by nobody.
    pub(crate) fn be_born(&mut self, sink: &Sink) {
        let begin = micros();
        let mut next = begin;
        while sink.born() < self.nodes.len() {
            let now = micros();
            assert!(
                now - begin < u64::try_from(BIRTHS_WITHIN.as_micros()).unwrap(),
                "{} of {} births arrived",
                sink.born(),
                self.nodes.len()
            );
            if now >= next {
                self.births();
                // A path that is busy with births isn't helped by more of them.
                let pause = BIRTHS_EVERY.max(Duration::from_millis(self.nodes.len() as u64 * 4));
                next = micros() + u64::try_from(pause.as_micros()).unwrap();
            }
            thread::sleep(Duration::from_millis(1));
            self.hear();
        }
        // What is repeated may still be under way.
        let mut births = sink.births();
        loop {
            thread::sleep(Duration::from_millis(250));
            if births == sink.births() {
                return;
            }
            births = sink.births();
        }
    }

    /// Publishes the birth of every node once; returns when all are handed to the kernel.
    pub(crate) fn births(&mut self) {
        let payload = plant::birth(self.metrics, self.aliases, wall_ms());
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            node.seq = 1;
            let topic = &node.birth_topic;
            let connections = self.connections.len();
            let connection = &mut self.connections[at % connections];
            let id = connection.next_id(self.qos);
            mqtt::publish(&mut connection.unsent, topic, &payload, id);
            while connection.unsent.len() > MAX_UNSENT_BYTES {
                connection.flush();
                connection.hear();
            }
        }
        while !self.flush() {
            self.hear();
            thread::sleep(NAP);
        }
    }

    /// Offers as much as the path takes with [`WINDOW`] messages under way, for `stretch`.
    pub(crate) fn saturate(&mut self, sink: &Sink, stretch: Duration) {
        let until = micros() + u64::try_from(stretch.as_micros()).unwrap();
        // What an earlier stretch left is none of this one.
        let base = self.sent - sink.data();
        loop {
            let now = micros();
            if now >= until {
                return;
            }
            let under_way = self.sent - sink.data() - base.min(self.sent - sink.data());
            let room = WINDOW.saturating_sub(under_way).min(TURN);
            if room < TURN / 10 {
                thread::sleep(NAP);
            }
            for _ in 0..room {
                self.send(now);
            }
            self.flush();
            self.hear();
        }
    }

    /// Offers `rate` messages/s, evenly, for `stretch`. The stamp of a message is the time at
    /// which it is due, so that a generator that is held up doesn't hide it.
    pub(crate) fn pace(&mut self, rate: f64, stretch: Duration) {
        let begin = micros();
        let length = u64::try_from(stretch.as_micros()).unwrap();
        let (mut sent, total) = (0_u64, (rate * stretch.as_secs_f64()) as u64);
        while sent < total {
            let now = (micros() - begin).min(length);
            let due = (now as f64 * rate / 1e6) as u64;
            if due <= sent {
                thread::sleep(NAP);
                continue;
            }
            let until = due.min(sent + TURN);
            for number in sent..until {
                self.send(begin + (number as f64 * 1e6 / rate) as u64);
            }
            sent = until;
            self.flush();
            self.hear();
        }
        while !self.flush() {
            self.hear();
        }
    }

    /// Waits until everything has arrived that was sent; how many messages did not.
    pub(crate) fn drain(&mut self, sink: &Sink) -> u64 {
        let sent = self.sent;
        while !self.flush() {
            self.hear();
        }
        let _ = sink.wait(DRAIN_WITHIN, |sink| {
            self.hear();
            sink.data() >= sent
        });
        sent.saturating_sub(sink.data())
    }

    /// Queues the next message of the node whose turn it is.
    fn send(&mut self, stamp_us: u64) {
        let connections = self.connections.len();
        let connection = &mut self.connections[self.turn % connections];
        let node = &mut self.nodes[self.turn];
        let payload = node.data.fill(wall_ms(), stamp_us, node.seq);
        let id = connection.next_id(self.qos);
        mqtt::publish(&mut connection.unsent, &node.data_topic, payload, id);
        node.seq = node.seq.wrapping_add(1);
        self.turn = (self.turn + 1) % self.nodes.len();
        self.sent += 1;
    }

    /// Whether everything is handed to the kernel.
    fn flush(&mut self) -> bool {
        let mut all = true;
        for connection in &mut self.connections {
            all &= connection.flush();
        }
        all
    }

    /// Takes acknowledgements off the sockets.
    fn hear(&mut self) {
        if self.qos > 0 {
            self.connections.iter_mut().for_each(Connection::hear);
        }
    }
}

impl Connection {
    fn next_id(&mut self, qos: u8) -> Option<u16> {
        if qos == 0 {
            return None;
        }
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        Some(self.packet_id)
    }

    fn flush(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(written) => {
                    self.unsent.drain(..written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) => panic!("a publisher lost its broker: {error}"),
            }
        }
        true
    }

    fn hear(&mut self) {
        let mut ignored = [0; 4096];
        while self.stream.read(&mut ignored).is_ok_and(|read| read == ignored.len()) {}
    }
}

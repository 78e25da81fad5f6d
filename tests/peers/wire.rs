//! A recording TCP proxy between a client and a broker. It decodes MQTT 3.1.1 and 5 in both
//! directions, keeps what it saw with the time it saw it, and can cut or stall connections.
//!
//! A packet is recorded before it is passed on, so that the order of records is causal: what a
//! client sends because of a packet is recorded after that packet.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::packet::{Decoder, Level, Packet};
use crate::waiting::now_ms;

/// How often a stalled pump looks whether it may go on.
const STALL_POLL: Duration = Duration::from_millis(5);

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Broker,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Opened,
    Packet(Packet),
    /// Bytes that aren't MQTT, and why; nothing after them is decoded.
    Garbage(String),
    /// This side ended the connection, or it was cut.
    Closed,
}

/// One observation.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Number of the connection since the proxy was started, from 0.
    pub connection: usize,
    pub from: Side,
    /// Wall clock, in milliseconds since the epoch.
    pub at_ms: u64,
    pub event: Event,
}

impl Record {
    /// The packet, if the client sent it.
    pub fn sent(&self) -> Option<&Packet> {
        match (&self.event, self.from) {
            (Event::Packet(packet), Side::Client) => Some(packet),
            _ => None,
        }
    }

    /// The packet, if the broker sent it.
    pub fn received(&self) -> Option<&Packet> {
        match (&self.event, self.from) {
            (Event::Packet(packet), Side::Broker) => Some(packet),
            _ => None,
        }
    }
}

/// Runs until it is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    broker: SocketAddr,
    records: Mutex<Vec<Record>>,
    live: Mutex<Vec<TcpStream>>,
    stalled: AtomicBool,
    stopped: AtomicBool,
}

impl Proxy {
    pub fn start(broker: SocketAddr) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            broker,
            records: Mutex::default(),
            live: Mutex::default(),
            stalled: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let acceptor = shared.clone();
        thread::spawn(move || accept(&listener, &acceptor));
        Proxy { address, shared }
    }

    /// Everything recorded so far.
    pub fn records(&self) -> Vec<Record> {
        self.shared.records.lock().unwrap().clone()
    }

    /// How many records `wanted` matches.
    pub fn count(&self, wanted: impl Fn(&Record) -> bool) -> usize {
        self.shared.records.lock().unwrap().iter().filter(|record| wanted(record)).count()
    }

    /// How often the filters of a policy were granted through it: what asks for stored births and
    /// for the STATE of hosts is apart, with one and two filters.
    pub fn subscriptions(&self) -> usize {
        let of_policy = |record: &Record| matches!(record.received(), Some(Packet::SubAck { codes, .. }) if codes.len() > 2);
        self.count(of_policy)
    }

    /// Closes every connection that is open now; new ones are served.
    pub fn cut(&self) {
        for stream in self.shared.live.lock().unwrap().drain(..) {
            // Already closed by its owner: nothing to cut.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// While stalled, bytes are neither read nor passed on, and connections stay open.
    pub fn stall(&self, stalled: bool) {
        self.shared.stalled.store(stalled, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.stall(false);
        self.cut();
        // Wakes the acceptor, which then sees that it has to stop.
        let _ = TcpStream::connect(self.address);
    }
}

/// Asserts promise P2 on a recording of the OT link: the relay sent only CONNECT (without will,
/// with a persistent session), SUBSCRIBE, PUBACK, PINGREQ and DISCONNECT. It subscribes at
/// QoS 1 at most, so that the acknowledgements of QoS 2 have no place either.
pub fn ot_guard(records: &[Record]) -> Vec<String> {
    let mut findings = Vec::new();
    for record in records.iter().filter(|record| record.from == Side::Client) {
        let fault = match &record.event {
            Event::Packet(Packet::Connect(connect)) if connect.will.is_some() => {
                "CONNECT with a will".to_owned()
            }
            Event::Packet(Packet::Connect(connect)) if connect.clean_session => {
                "CONNECT with a clean session".to_owned()
            }
            Event::Packet(
                Packet::Connect(_)
                | Packet::Subscribe { .. }
                | Packet::PubAck(_)
                | Packet::PingReq
                | Packet::Disconnect,
            )
            | Event::Opened
            | Event::Closed => continue,
            Event::Packet(packet) => format!("sent a {}: {packet:?}", packet.name()),
            Event::Garbage(why) => format!("sent what isn't MQTT: {why}"),
        };
        findings.push(format!("connection {}: {fault}", record.connection));
    }
    findings
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for (connection, client) in listener.incoming().enumerate() {
        let Ok(client) = client else { return };
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(broker) = TcpStream::connect(shared.broker) else {
            // The broker is away: the client sees its connection closed at once.
            continue;
        };
        for stream in [&client, &broker] {
            stream.set_nodelay(true).unwrap();
            shared.live.lock().unwrap().push(stream.try_clone().unwrap());
        }
        shared.record(connection, Side::Client, Event::Opened);
        let (client_read, broker_read) = (client.try_clone().unwrap(), broker.try_clone().unwrap());
        let (up, down) = (shared.clone(), shared.clone());
        // The broker answers in what the client's CONNECT says, which is recorded before.
        let level = Arc::new(AtomicU8::new(Level::default().0));
        let of_broker = Arc::clone(&level);
        thread::spawn(move || pump(&up, (connection, Side::Client, &level), client_read, broker));
        thread::spawn(move || {
            pump(&down, (connection, Side::Broker, &of_broker), broker_read, client);
        });
    }
}

fn pump(
    shared: &Shared,
    (connection, from, level): (usize, Side, &AtomicU8),
    mut source: TcpStream,
    mut sink: TcpStream,
) {
    let mut decoder = Decoder::default();
    let mut pending = Vec::new();
    let mut decoding = true;
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let count = match source.read(&mut chunk) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        while shared.stalled.load(Ordering::SeqCst) {
            thread::sleep(STALL_POLL);
        }
        if decoding {
            pending.extend_from_slice(&chunk[..count]);
            decoder.level = Level(level.load(Ordering::SeqCst));
            decoding = drain(shared, (connection, from), &mut decoder, &mut pending);
            if from == Side::Client {
                level.store(decoder.level.0, Ordering::SeqCst);
            }
        }
        if sink.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    shared.record(connection, from, Event::Closed);
    let _ = source.shutdown(Shutdown::Both);
    let _ = sink.shutdown(Shutdown::Both);
}

/// Records the whole packets in `pending`; false when the stream can't be decoded any further.
fn drain(
    shared: &Shared,
    (connection, from): (usize, Side),
    decoder: &mut Decoder,
    pending: &mut Vec<u8>,
) -> bool {
    let mut used = 0;
    let decodable = loop {
        match decoder.decode(&pending[used..]) {
            Ok(Some((packet, bytes))) => {
                shared.record(connection, from, Event::Packet(packet));
                used += bytes;
            }
            Ok(None) => break true,
            Err(why) => {
                shared.record(connection, from, Event::Garbage(why));
                break false;
            }
        }
    };
    pending.drain(..used);
    decodable
}

impl Shared {
    fn record(&self, connection: usize, from: Side, event: Event) {
        let mut records = self.records.lock().unwrap();
        // Read under the lock, so that times never run backwards along the recording.
        records.push(Record { connection, from, at_ms: now_ms(), event });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::packet::{self, Connect, Publish, Will};
    use crate::waiting::wait_until;

    fn sent(packet: Packet) -> Record {
        Record { connection: 0, from: Side::Client, at_ms: 1, event: Event::Packet(packet) }
    }

    #[test]
    fn the_guard_of_the_ot_link_finds_every_packet_that_could_carry_something() {
        let connect = Connect { client_id: "relay".into(), ..Connect::default() };
        let good = [
            sent(Packet::Connect(connect.clone())),
            sent(Packet::Subscribe { id: 1, filters: vec![("spBv1.0/#".into(), 1)] }),
            sent(Packet::PubAck(3)),
            sent(Packet::PingReq),
            sent(Packet::Disconnect),
        ];
        assert_eq!(ot_guard(&good), Vec::<String>::new());

        let will = Will { topic: "t".into(), payload: vec![], qos: 0, retain: false };
        let bad = [
            Packet::Connect(Connect { will: Some(will), ..connect.clone() }),
            Packet::Connect(Connect { clean_session: true, ..connect }),
            Packet::Publish(Publish::default()),
            Packet::PubRec(1),
            Packet::PubRel(1),
            Packet::PubComp(1),
            Packet::Unsubscribe { id: 1, filters: vec!["a".into()] },
            Packet::ConnAck { session_present: false, code: 0 },
        ];
        for packet in bad {
            assert_eq!(ot_guard(&[sent(packet.clone())]).len(), 1, "{packet:?}");
        }
        let garbage = Record { event: Event::Garbage("x".into()), ..sent(Packet::PingReq) };
        assert_eq!(ot_guard(&[garbage]).len(), 1);
    }

    #[test]
    fn the_proxy_records_in_causal_order_and_cuts() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let proxy = Proxy::start(listener.local_addr().unwrap());
        let fake = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = vec![0; 1024];
            let count = stream.read(&mut bytes).unwrap();
            assert!(matches!(packet::decode(&bytes[..count]), Ok(Some((Packet::Connect(_), _)))));
            let answer = Packet::ConnAck { session_present: false, code: 0 };
            stream.write_all(&packet::encode(&answer)).unwrap();
            // Returns when the proxy cuts.
            stream.read(&mut bytes).unwrap_or(0)
        });
        let client = Client::connect(proxy.address, Connect::default()).unwrap();
        proxy.cut();
        assert_eq!(fake.join().unwrap(), 0);
        wait_until("the client sees the cut", || !client.is_connected());
        let names: Vec<_> = proxy
            .records()
            .iter()
            .filter_map(|record| match &record.event {
                Event::Packet(packet) => Some((record.from, packet.name())),
                _ => None,
            })
            .collect();
        assert_eq!(names, [(Side::Client, "CONNECT"), (Side::Broker, "CONNACK")]);
    }
}

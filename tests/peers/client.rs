//! A tiny blocking MQTT 3.1.1 client: publishes at QoS 0 and 1, waits for acknowledgements,
//! keeps everything that it receives.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::packet::{self, Connect, Packet, Publish};
use crate::waiting::{DEADLINE, now_ms};

/// Nobody here sends PINGREQ; it is longer than any test. Some brokers refuse a session without any.
pub const KEEP_ALIVE_S: u16 = 3_600;
/// How long a connection attempt to loopback may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A message that arrived, with the time of its arrival.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrival {
    pub at_ms: u64,
    pub at: Instant,
    pub publish: Publish,
}

pub struct Client {
    stream: TcpStream,
    shared: Arc<(Mutex<State>, Condvar)>,
    next_id: u16,
}

#[derive(Default)]
struct State {
    arrivals: Vec<Arrival>,
    answers: Vec<Packet>,
    closed: bool,
}

impl Client {
    /// Connects and waits for the broker's CONNACK.
    pub fn connect(address: SocketAddr, connect: Connect) -> Result<Client, String> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)
            .map_err(|error| format!("cannot connect to {address}: {error}"))?;
        stream.set_nodelay(true).unwrap();
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let mut client = Client { stream, shared: shared.clone(), next_id: 0 };
        let mut reader = client.stream.try_clone().unwrap();
        let mut writer = client.stream.try_clone().unwrap();
        thread::spawn(move || {
            read(&mut reader, &mut writer, &shared);
            shared.0.lock().unwrap().closed = true;
            shared.1.notify_all();
        });
        client.send(&Packet::Connect(connect))?;
        match client.answer(|packet| matches!(packet, Packet::ConnAck { .. }))? {
            Packet::ConnAck { code: 0, .. } => Ok(client),
            refused => Err(format!("refused: {refused:?}")),
        }
    }

    /// A client with this client identifier and a clean session, without a will.
    pub fn plain(address: SocketAddr, client_id: &str) -> Client {
        let connect = Connect {
            client_id: client_id.into(),
            clean_session: true,
            keep_alive_s: KEEP_ALIVE_S,
            ..Connect::default()
        };
        Client::connect(address, connect).unwrap()
    }

    /// Subscribes and waits for the SUBACK.
    pub fn subscribe(&mut self, filters: &[(&str, u8)]) {
        let id = self.fresh_id();
        let filters = filters.iter().map(|(filter, qos)| ((*filter).to_owned(), *qos)).collect();
        self.send(&Packet::Subscribe { id, filters }).unwrap();
        self.answer(|packet| matches!(packet, Packet::SubAck { id: got, .. } if *got == id))
            .unwrap();
    }

    /// Publishes; at QoS 1 it waits for the PUBACK. An error means that the broker may or may
    /// not have the message.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: Vec<u8>,
        qos: u8,
        retain: bool,
    ) -> Result<(), String> {
        let id = (qos > 0).then(|| self.fresh_id());
        let publish = Publish { topic: topic.into(), payload, qos, retain, dup: false, id };
        self.send(&Packet::Publish(publish))?;
        if let Some(id) = id {
            self.answer(|packet| *packet == Packet::PubAck(id))?;
        }
        Ok(())
    }

    /// Everything that arrived so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.shared.0.lock().unwrap().arrivals.clone()
    }

    /// Calls `look` with everything that arrived so far, without a copy.
    pub fn look<T>(&self, look: impl FnOnce(&[Arrival]) -> T) -> T {
        look(&self.shared.0.lock().unwrap().arrivals)
    }

    pub fn is_connected(&self) -> bool {
        !self.shared.0.lock().unwrap().closed
    }

    /// Leaves with a DISCONNECT: the broker forgets the will. What was sent before is with the
    /// broker when this returns, since it closes the connection after reading all of it.
    pub fn disconnect(mut self) {
        if self.send(&Packet::Disconnect).is_ok() {
            let (state, changed) = &*self.shared;
            let state = state.lock().unwrap();
            drop(changed.wait_timeout_while(state, DEADLINE, |state| !state.closed).unwrap());
        }
    }

    fn send(&mut self, packet: &Packet) -> Result<(), String> {
        self.stream
            .write_all(&packet::encode(packet))
            .map_err(|error| format!("cannot send {}: {error}", packet.name()))
    }

    /// Waits for the first answer that `wanted` matches and takes it.
    fn answer(&self, wanted: impl Fn(&Packet) -> bool) -> Result<Packet, String> {
        let (state, changed) = &*self.shared;
        let mut found = None;
        let state = state.lock().unwrap();
        let waited = changed.wait_timeout_while(state, DEADLINE, |state| {
            if let Some(index) = state.answers.iter().position(&wanted) {
                found = Some(state.answers.remove(index));
            }
            found.is_none() && !state.closed
        });
        drop(waited);
        found.ok_or_else(|| "connection closed, or no answer in time".into())
    }

    fn fresh_id(&mut self) -> u16 {
        self.next_id = if self.next_id == u16::MAX { 1 } else { self.next_id + 1 };
        self.next_id
    }
}

/// Without a DISCONNECT: the broker sends the will.
impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn read(reader: &mut TcpStream, writer: &mut TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut pending = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while let Ok(count) = reader.read(&mut chunk) {
        if count == 0 {
            return;
        }
        pending.extend_from_slice(&chunk[..count]);
        let mut used = 0;
        while let Some((packet, bytes)) = packet::decode(&pending[used..]).unwrap() {
            used += bytes;
            let mut acknowledge = None;
            let mut state = shared.0.lock().unwrap();
            match packet {
                Packet::Publish(publish) => {
                    acknowledge = publish.id;
                    state.arrivals.push(Arrival { at_ms: now_ms(), at: Instant::now(), publish });
                }
                packet => state.answers.push(packet),
            }
            drop(state);
            shared.1.notify_all();
            if let Some(id) = acknowledge
                && writer.write_all(&packet::encode(&Packet::PubAck(id))).is_err()
            {
                return;
            }
        }
        pending.drain(..used);
    }
}

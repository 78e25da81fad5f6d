//! The hand of an attacker: connections to one broker, and what is fired over them.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use crate::address::{Address, Stream};
use crate::packets::{self, Reader, Will};

/// How long a broker may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Messages at QoS 1 and 2 that may be without an answer.
const WINDOW: usize = 500;

/// What an attacker does.
#[derive(Clone, Debug)]
pub enum Shot {
    /// Publishes.
    Publish {
        /// Any bytes; brokers end the connection of whoever publishes to what is no topic.
        topic: Vec<u8>,
        payload: Vec<u8>,
        qos: u8,
        retain: bool,
        /// Says that it is sent again.
        dup: bool,
    },
    /// Connects under another client identifier besides, which throws out whoever has it.
    Connect { client_id: String, will: Option<Will> },
    /// Ends that connection without a DISCONNECT, so that its will is sent.
    Vanish { client_id: String },
}

impl Shot {
    /// The same, stored by the broker.
    pub fn retained(mut self) -> Shot {
        if let Shot::Publish { retain, .. } = &mut self {
            *retain = true;
        }
        self
    }

    /// The same at another quality of service.
    pub fn at(mut self, wanted: u8) -> Shot {
        if let Shot::Publish { qos, .. } = &mut self {
            *qos = wanted;
        }
        self
    }

    /// The same, marked as sent again.
    pub fn again(mut self) -> Shot {
        if let Shot::Publish { dup, .. } = &mut self {
            *dup = true;
        }
        self
    }
}

/// Fires shots at one broker. A connection that the broker ends is made again: what a broker
/// refuses does no harm, and whoever tries to do harm doesn't stop for it.
#[derive(Debug)]
pub struct Hand {
    address: Address,
    client_id: String,
    connection: Option<Connection>,
    others: BTreeMap<String, Stream>,
    /// How often the broker ended the connection.
    pub refused: u64,
}

struct Connection {
    stream: Stream,
    reader: Reader,
    next_id: u16,
    unanswered: usize,
    out: Vec<u8>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("unanswered", &self.unanswered).finish()
    }
}

impl Hand {
    /// A hand under this client identifier.
    pub fn new(address: &Address, client_id: &str) -> Hand {
        Hand {
            address: address.clone(),
            client_id: client_id.to_owned(),
            connection: None,
            others: BTreeMap::new(),
            refused: 0,
        }
    }

    /// Fires, and returns when the broker has taken all of it, or ended the connection.
    pub fn fire(&mut self, shots: Vec<Shot>) {
        for shot in shots {
            match shot {
                Shot::Publish { topic, payload, qos, retain, dup } => {
                    self.publish(&topic, &payload, (qos, retain, dup));
                }
                Shot::Connect { client_id, will } => {
                    // Whoever has it is thrown out when the broker answers.
                    if let Ok(stream) = open(&self.address, &client_id, will.as_ref()) {
                        self.others.insert(client_id, stream.stream);
                    }
                }
                Shot::Vanish { client_id } => {
                    if let Some(stream) = self.others.remove(&client_id) {
                        stream.close();
                    }
                }
            }
        }
        self.settle();
    }

    fn publish(&mut self, topic: &[u8], payload: &[u8], how: (u8, bool, bool)) {
        if self.connection.is_none() {
            self.connection = open(&self.address, &self.client_id, None).ok();
        }
        // A broker that refuses another connection is asked again with the next message.
        self.refused += u64::from(self.connection.is_none());
        let Some(connection) = &mut self.connection else { return };
        if connection.publish(topic, payload, how).is_err() {
            self.ended();
        }
    }

    /// Waits until the broker has taken all that was sent.
    fn settle(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if connection.settle().is_err() {
            self.ended();
        }
    }

    fn ended(&mut self) {
        self.connection = None;
        self.refused += 1;
    }
}

/// Without a DISCONNECT.
impl Drop for Hand {
    fn drop(&mut self) {
        for stream in self.others.values().chain(self.connection.as_ref().map(|one| &one.stream)) {
            stream.close();
        }
    }
}

fn open(address: &Address, client_id: &str, will: Option<&Will>) -> io::Result<Connection> {
    let mut stream = address.open()?;
    stream.wait_at_most(Some(ANSWER_WITHIN));
    let mut reader = Reader::new(stream.again());
    packets::ask(&mut stream, &mut reader, &packets::connect(client_id, will), packets::CONNACK)?;
    Ok(Connection { stream, reader, next_id: 0, unanswered: 0, out: Vec::new() })
}

impl Connection {
    fn publish(
        &mut self,
        topic: &[u8],
        payload: &[u8],
        (qos, retain, dup): (u8, bool, bool),
    ) -> io::Result<()> {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        packets::publish(&mut self.out, topic, payload, (qos, retain, dup), self.next_id);
        if qos > 0 {
            self.unanswered += 1;
        }
        if self.out.len() > 64 * 1024 {
            self.flush()?;
        }
        while self.unanswered > WINDOW {
            self.flush()?;
            self.hear()?;
        }
        Ok(())
    }

    /// Sends what gathered, and waits for all answers.
    fn settle(&mut self) -> io::Result<()> {
        self.out.extend(packets::PINGREQ);
        self.flush()?;
        let mut answered = false;
        while !answered || self.unanswered > 0 {
            answered |= self.hear()? == packets::PINGRESP;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    /// Takes the next packet; its type.
    fn hear(&mut self) -> io::Result<u8> {
        let came = self.reader.next()?;
        let kind = came.first & 0xf0;
        match kind {
            packets::PUBACK | packets::PUBCOMP => self.unanswered -= 1,
            packets::PUBREC => {
                let id = [came.body[0], came.body[1]];
                self.stream.write_all(&packets::answer(0x62, id))?;
            }
            _ => {}
        }
        Ok(kind)
    }
}

//! An edge node that publishes whatever a test wants, right or wrong, at QoS 0 or 1.

use std::net::SocketAddr;

use prost::Message;
use sparkplug::{DataType, Metric, Payload, Value};

use crate::client::{Client, KEEP_ALIVE_S};
use crate::metrics::metric;
use crate::packet::{Connect, Will};
use crate::waiting::now_ms;

pub struct RawEdge {
    pub group: String,
    pub node: String,
    /// Of everything but the will.
    pub qos: u8,
    /// Servers of its broker; the first one is used.
    addresses: Vec<SocketAddr>,
    client: Option<Client>,
    bd_seq: u64,
    seq: u64,
}

impl RawEdge {
    /// Connects with an NDEATH will of bdSeq 0. Nothing is born yet.
    pub fn connect(address: SocketAddr, group: &str, node: &str) -> RawEdge {
        RawEdge::connect_to_one_of(vec![address], group, node)
    }

    /// The same at the first of these servers that takes it; another one is tried when that is gone.
    pub fn connect_to_one_of(addresses: Vec<SocketAddr>, group: &str, node: &str) -> RawEdge {
        let (group, node) = (group.to_owned(), node.to_owned());
        let mut edge =
            RawEdge { group, node, qos: 0, addresses, client: None, bd_seq: 255, seq: 0 };
        edge.reconnect().unwrap();
        edge
    }

    /// A new session with the next bdSeq; the old one ends without a DISCONNECT.
    pub fn reconnect(&mut self) -> Result<(), String> {
        self.client = None;
        let bd_seq = (self.bd_seq + 1) % 256;
        let will = Will {
            topic: self.topic("NDEATH", None),
            payload: death(bd_seq).encode_to_vec(),
            qos: 1,
            retain: false,
        };
        let connect = Connect {
            client_id: format!("raw-{}-{}", self.group, self.node),
            clean_session: true,
            keep_alive_s: KEEP_ALIVE_S,
            will: Some(will),
            ..Connect::default()
        };
        let mut result = Err("no server".to_owned());
        for _ in 0..self.addresses.len() {
            result = Client::connect(self.addresses[0], connect.clone());
            match result {
                Ok(_) => break,
                Err(_) => self.addresses.rotate_left(1),
            }
        }
        self.client = Some(result?);
        self.bd_seq = bd_seq;
        Ok(())
    }

    /// NBIRTH with these metrics, bdSeq and `Node Control/Rebirth`.
    pub fn nbirth(&mut self, metrics: &[Metric]) -> Result<(), String> {
        self.seq = 255;
        let mut all = vec![
            metric("bdSeq", DataType::Int64, Value::Long(self.bd_seq)),
            metric("Node Control/Rebirth", DataType::Boolean, Value::Boolean(false)),
        ];
        all.extend_from_slice(metrics);
        self.message("NBIRTH", None, &all)
    }

    pub fn dbirth(&mut self, device: &str, metrics: &[Metric]) -> Result<(), String> {
        self.message("DBIRTH", Some(device), metrics)
    }

    pub fn ndata(&mut self, metrics: &[Metric]) -> Result<(), String> {
        self.message("NDATA", None, metrics)
    }

    pub fn ddata(&mut self, device: &str, metrics: &[Metric]) -> Result<(), String> {
        self.message("DDATA", Some(device), metrics)
    }

    pub fn ddeath(&mut self, device: &str) -> Result<(), String> {
        self.message("DDEATH", Some(device), &[])
    }

    /// Loses a message: its sequence number is never seen.
    pub fn skip_seq(&mut self) {
        self.seq = (self.seq + 1) % 256;
    }

    /// NDEATH, then DISCONNECT.
    pub fn leave(mut self) {
        let topic = self.topic("NDEATH", None);
        let payload = death(self.bd_seq).encode_to_vec();
        let mut client = self.client.take().unwrap();
        client.publish(&topic, payload, 1, false).unwrap();
        client.disconnect();
    }

    /// Any bytes on any topic.
    pub fn publish(&mut self, topic: &str, payload: Vec<u8>, retain: bool) {
        self.client.as_mut().unwrap().publish(topic, payload, self.qos, retain).unwrap();
    }

    pub fn topic(&self, verb: &str, device: Option<&str>) -> String {
        let device = device.map(|device| format!("/{device}")).unwrap_or_default();
        format!("spBv1.0/{}/{verb}/{}{device}", self.group, self.node)
    }

    fn message(
        &mut self,
        verb: &str,
        device: Option<&str>,
        metrics: &[Metric],
    ) -> Result<(), String> {
        self.seq = (self.seq + 1) % 256;
        let payload = Payload {
            timestamp: Some(now_ms()),
            metrics: metrics.to_vec(),
            seq: Some(self.seq),
            ..Payload::default()
        };
        let topic = self.topic(verb, device);
        let client = self.client.as_mut().ok_or("not connected")?;
        client.publish(&topic, payload.encode_to_vec(), self.qos, false)
    }
}

fn death(bd_seq: u64) -> Payload {
    let metrics = vec![metric("bdSeq", DataType::Int64, Value::Long(bd_seq))];
    Payload { timestamp: Some(now_ms()), metrics, ..Payload::default() }
}

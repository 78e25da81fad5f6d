//! MQTT sessions of mirrored edge nodes: the only file of this half that knows rumqttc.
//!
//! Every session is one connection with its own client identifier and will, driven by one task
//! of the network thread. The driver thread publishes through [`Sessions`]; what happens comes
//! back over one channel.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use crossbeam_channel::Sender;
use rumqttc::{
    AsyncClient, Broker, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing,
    Packet, PublishOptions, QoS, SubscribeFilterInput, SubscribeReasonCode, TlsConfiguration,
    Transport,
};
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::broker::{BrokerSettings, explain};
use crate::it::Happened;
use crate::it::mirror::{NodeId, Qos, SessionEvent, SessionSpec};

/// Unsubscribing from this filter, which no session subscribes to, makes the broker answer
/// behind everything that was published before (MQTT 3.1.1 §3.10.4): a barrier that needs no
/// permission and leaves no trace.
const BARRIER_FILTER: &str = "sparkdiode/barrier";
/// Requests that one wake-up of a session may write: enough to fill a segment with small data
/// messages, few enough that sessions take turns.
const REQUEST_BATCH: usize = 64;
/// A birth of ours is larger than the plant's by names where the plant has aliases.
const OUTGOING_FACTOR: usize = 4;
/// Commands of IT hosts that may wait for the driver; further ones are dropped unread, which
/// bounds what a flood from IT can occupy.
const MAX_WAITING_COMMANDS: usize = 4_096;

/// All sessions, as the driver sees them.
#[derive(Debug)]
pub(super) struct Sessions {
    broker: BrokerSettings,
    /// As it was read last.
    password: Option<Bytes>,
    runtime: Handle,
    happened: Sender<Happened>,
    live: HashMap<NodeId, Live>,
    generation: u64,
    queued_bytes: Arc<AtomicUsize>,
    waiting_commands: Arc<AtomicUsize>,
}

/// One session: the driver's end of it.
#[derive(Debug)]
struct Live {
    client: AsyncClient,
    generation: u64,
    shared: Arc<Shared>,
    /// Publications handed over so far.
    published: u64,
    task: tokio::task::JoinHandle<()>,
}

/// What the driver and the task of one session share.
#[derive(Debug, Default)]
struct Shared {
    /// Sizes of the publications that aren't written yet, in order.
    queue: Mutex<VecDeque<usize>>,
    /// With QoS 1 data: a barrier is passed once this many publications are acknowledged; 0
    /// while no barrier waits.
    acks_wanted: AtomicU64,
    /// Publications acknowledged so far.
    acked: AtomicU64,
    /// A TCP connection was made: the CONNECT may have been sent.
    tcp_up: AtomicBool,
    /// The driver asked for the end.
    closing: AtomicBool,
}

impl Shared {
    /// Whether the waiting barrier is passed; true once per barrier, on whichever side sees it.
    fn passes_barrier(&self) -> bool {
        let wanted = self.acks_wanted.load(Ordering::SeqCst);
        wanted > 0
            && self.acked.load(Ordering::SeqCst) >= wanted
            && self
                .acks_wanted
                .compare_exchange(wanted, 0, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
    }
}

impl Sessions {
    pub(super) fn new(broker: BrokerSettings, runtime: Handle, happened: Sender<Happened>) -> Self {
        Sessions {
            broker,
            password: None,
            runtime,
            happened,
            live: HashMap::new(),
            generation: 0,
            queued_bytes: Arc::default(),
            waiting_commands: Arc::default(),
        }
    }

    /// Bytes that were handed over and are not written to the network yet.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    /// Starts a session. Its end is [`SessionEvent::Lost`] or [`SessionEvent::Closed`].
    pub(super) fn open(&mut self, node: NodeId, spec: SessionSpec) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let shared = Arc::new(Shared::default());
        self.take_password();
        let options = self.options(&spec, &shared);
        let (client, eventloop) = AsyncClient::builder(options).unbounded().build();
        let task = Task {
            node,
            generation,
            client: client.clone(),
            subscriptions: spec.subscriptions,
            shared: Arc::clone(&shared),
            happened: self.happened.clone(),
            queued_bytes: Arc::clone(&self.queued_bytes),
            waiting_commands: Arc::clone(&self.waiting_commands),
        };
        let task = self.runtime.spawn(task.run(eventloop));
        self.live.insert(node, Live { client, generation, shared, published: 0, task });
    }

    /// Queues a publication behind all earlier ones of this session.
    pub(super) fn publish(&mut self, node: NodeId, topic: &str, payload: Vec<u8>, qos: Qos) {
        let Some(live) = self.live.get_mut(&node) else { return };
        let qos = match qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => {
                live.published = live.published.saturating_add(1);
                QoS::AtLeastOnce
            }
        };
        let bytes = payload.len();
        if let Ok(mut queue) = live.shared.queue.lock() {
            queue.push_back(bytes);
        }
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        // The channel is unbounded and ends only with the task, whose end is reported.
        let _ = live.client.try_publish(topic, payload, PublishOptions::new(qos));
    }

    /// Asks for [`SessionEvent::Confirmed`] behind everything published so far. At QoS 1 that
    /// is when all of it is acknowledged; at QoS 0, when the broker answers a request that
    /// follows it.
    pub(super) fn barrier(&mut self, node: NodeId, data_qos: Qos) {
        let Some(live) = self.live.get_mut(&node) else { return };
        match data_qos {
            Qos::AtMostOnce => {
                let _ = live.client.try_unsubscribe(BARRIER_FILTER);
            }
            Qos::AtLeastOnce => {
                live.shared.acks_wanted.store(live.published, Ordering::SeqCst);
                // All of it may be acknowledged already: then no acknowledgement will tell.
                if live.shared.passes_barrier() {
                    let generation = live.generation;
                    let event = SessionEvent::Confirmed;
                    let _ = self.happened.send(Happened::Session { node, generation, event });
                }
            }
        }
    }

    /// Sends what is queued, then DISCONNECT.
    pub(super) fn close(&mut self, node: NodeId) {
        let Some(live) = self.live.get(&node) else { return };
        live.shared.closing.store(true, Ordering::Release);
        let _ = live.client.try_disconnect();
    }

    /// Whether `generation` is the current session of this node. An end forgets the session.
    pub(super) fn is_current(&mut self, node: NodeId, generation: u64, ended: bool) -> bool {
        if self.live.get(&node).is_none_or(|live| live.generation != generation) {
            return false;
        }
        if ended {
            self.live.remove(&node);
        }
        true
    }

    /// One waiting command was taken.
    pub(super) fn command_taken(&self) {
        self.waiting_commands.fetch_sub(1, Ordering::Relaxed);
    }

    /// Ends every session at once, without farewell: the broker sends the wills.
    pub(super) fn abort(&mut self) {
        for (_, live) in self.live.drain() {
            live.task.abort();
        }
    }

    /// Reads the password for the next session; where that fails, the earlier one is tried.
    fn take_password(&mut self) {
        let Some(credentials) = &self.broker.credentials else { return };
        match (credentials.password)() {
            Ok(password) => self.password = Some(password),
            Err(error) => {
                let _ = self.happened.send(Happened::BrokerTrouble { error });
            }
        }
    }

    fn options(&self, spec: &SessionSpec, shared: &Arc<Shared>) -> MqttOptions {
        let broker = &self.broker;
        let client_id = format!("{}/{}/{}", broker.client_id, spec.group, spec.edge_node);
        // With TLS the "host" is the name that the certificate must have; the connector below
        // goes to the configured address either way.
        let name = broker.tls.as_ref().map_or(&broker.host, |tls| &tls.server_name);
        let mut options = MqttOptions::new(client_id, Broker::tcp(name.clone(), broker.port));
        options.set_clean_session(true);
        options.set_keep_alive(broker.keep_alive.as_secs().try_into().unwrap_or(u16::MAX));
        options.set_max_packet_size(
            broker.max_packet_bytes,
            broker.max_packet_bytes.saturating_mul(OUTGOING_FACTOR),
        );
        options.set_max_request_batch(REQUEST_BATCH);
        options.set_last_will(LastWill::new(
            spec.will_topic.as_ref(),
            spec.will_payload.clone(),
            QoS::AtLeastOnce,
            false,
        ));
        if let (Some(credentials), Some(password)) = (&broker.credentials, &self.password) {
            options.set_credentials(credentials.user.clone(), password.clone());
        }
        if let Some(tls) = &broker.tls {
            let config = TlsConfiguration::Rustls(Arc::clone(&tls.config));
            options.set_transport(Transport::tls_with_config(config));
        }
        let address = (broker.host.clone(), broker.port);
        let shared = Arc::clone(shared);
        options.set_socket_connector(move |_, _| {
            let address = address.clone();
            let shared = Arc::clone(&shared);
            async move {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                shared.tcp_up.store(true, Ordering::Release);
                Ok(stream)
            }
        });
        options
    }
}

/// The network side of one session.
struct Task {
    node: NodeId,
    generation: u64,
    client: AsyncClient,
    subscriptions: Vec<String>,
    shared: Arc<Shared>,
    happened: Sender<Happened>,
    queued_bytes: Arc<AtomicUsize>,
    waiting_commands: Arc<AtomicUsize>,
}

impl Task {
    async fn run(mut self, mut eventloop: EventLoop) {
        let mut said_goodbye = false;
        let error = loop {
            match eventloop.poll().await {
                Ok(Event::Outgoing(Outgoing::Disconnect)) => said_goodbye = true,
                Ok(event) => self.event(event),
                Err(error) => break error,
            }
            if said_goodbye {
                self.tell(SessionEvent::Closed);
                return;
            }
        };
        if self.shared.closing.load(Ordering::Acquire) {
            tracing::debug!(target: "it", node = self.node.0, %error, "session ended while closing");
        } else {
            self.report(&error);
        }
        let connect_sent = self.shared.tcp_up.load(Ordering::Acquire);
        self.tell(SessionEvent::Lost { connect_sent });
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                let filters: Vec<SubscribeFilterInput> = self
                    .subscriptions
                    .iter()
                    .map(|filter| SubscribeFilterInput::new(filter.as_str(), QoS::AtLeastOnce))
                    .collect();
                let _ = self.client.try_subscribe_many(filters);
            }
            Event::Incoming(Packet::SubAck(ack)) => {
                if ack.return_codes.contains(&SubscribeReasonCode::Failure) {
                    tracing::warn!(target: "it", filters = ?self.subscriptions,
                        "the IT broker refused a subscription: rebirth requests can't be answered");
                }
                self.tell(SessionEvent::Ready);
            }
            Event::Incoming(Packet::UnsubAck(_)) => self.tell(SessionEvent::Confirmed),
            Event::Incoming(Packet::PubAck(_)) => {
                self.shared.acked.fetch_add(1, Ordering::SeqCst);
                if self.shared.passes_barrier() {
                    self.tell(SessionEvent::Confirmed);
                }
            }
            Event::Incoming(Packet::Publish(publish)) => {
                if self.waiting_commands.load(Ordering::Relaxed) >= MAX_WAITING_COMMANDS {
                    return;
                }
                self.waiting_commands.fetch_add(1, Ordering::Relaxed);
                self.tell(SessionEvent::Received {
                    topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                    payload: publish.payload,
                    retain: publish.retain,
                });
            }
            Event::Outgoing(Outgoing::Publish(_)) => {
                let written = match self.shared.queue.lock() {
                    Ok(mut queue) => queue.pop_front().unwrap_or(0),
                    Err(_) => 0,
                };
                self.queued_bytes.fetch_sub(written, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn tell(&self, event: SessionEvent) {
        let happened = Happened::Session { node: self.node, generation: self.generation, event };
        // The driver is gone only when the process ends.
        let _ = self.happened.send(happened);
    }

    fn report(&self, error: &ConnectionError) {
        tracing::debug!(target: "it", node = self.node.0, %error, "session ended");
        let _ = self.happened.send(Happened::BrokerTrouble { error: explain(error) });
    }
}

/// What is still queued when a session ends is not written any more.
impl Drop for Task {
    fn drop(&mut self) {
        if let Ok(mut queue) = self.shared.queue.lock() {
            let left = queue.drain(..).sum();
            self.queued_bytes.fetch_sub(left, Ordering::Relaxed);
        }
    }
}

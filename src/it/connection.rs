//! MQTT sessions of mirrored edge nodes: the only file of this half that knows rumqttc.
//!
//! Every session is one connection with its own client identifier and will, driven by one task.
//! The driver publishes through [`Sessions`]; what happens comes back over one channel. Driver
//! and tasks share a thread: a message crosses no channel between threads on its way to the
//! socket, and wakes nobody.

mod limits;
mod shared;

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use broker::{BrokerSettings, ConnectFailure, FailureKind, explain};
use bytes::Bytes;
use limits::{Limits, PUBLICATION_BYTES};
pub(crate) use limits::{MAX_QUEUED_BYTES, SESSION_BYTES, WAITING_COMMANDS_BYTES};
use rumqttc::{
    AsyncClient, Broker, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Outgoing,
    Packet, PublishOptions, QoS, SubscribeFilterInput, SubscribeReasonCode,
};
use shared::Shared;
use stream::{Framing, Mark, TooLarge};
use telemetry::event;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep};

use crate::DriverEvent;
use crate::mirror::{NodeId, Qos, SessionEvent, SessionSpec};

/// Unsubscribing from this filter, which no session subscribes to, makes the broker answer
/// behind everything that was published before (MQTT 3.1.1 §3.10.4): a barrier that needs no
/// permission and leaves no trace.
const BARRIER_FILTER: &str = "sparkdiode/barrier";
/// Requests that one wake-up of a session may write: enough to fill a segment with small data
/// messages, few enough that sessions take turns.
const REQUEST_BATCH: usize = 64;
/// A birth of ours is larger than the plant's by names where the plant has aliases.
const OUTGOING_FACTOR: usize = 4;
/// Largest packet that is taken from the IT broker: acknowledgements, commands, and the STATE of a
/// host, all of them under some hundred bytes. Commands never cross, so a larger one would be
/// refused as well once it was read.
pub(super) const MAX_INCOMING_BYTES: usize = 64 * 1024;
/// All sessions, as the driver sees them.
#[derive(Debug)]
pub(super) struct Sessions {
    broker: BrokerSettings,
    limits: Limits,
    /// What stands where a message was too large.
    mark: Mark,
    /// As it was read last.
    password: Option<Bytes>,
    runtime: Handle,
    events: UnboundedSender<DriverEvent>,
    live: HashMap<NodeId, Live>,
    generation: u64,
    queued_bytes: Arc<AtomicUsize>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// One session: the driver's end of it.
#[derive(Debug)]
struct Live {
    client: AsyncClient,
    generation: u64,
    shared: Arc<Shared>,
    /// Publications at QoS 1 handed over so far.
    published: u64,
    task: tokio::task::JoinHandle<()>,
}

impl Sessions {
    pub(super) fn new(
        broker: BrokerSettings,
        runtime: Handle,
        events: UnboundedSender<DriverEvent>,
    ) -> Self {
        Sessions {
            limits: Limits::of(broker.max_packet_bytes),
            broker,
            mark: Mark::new(),
            password: None,
            runtime,
            events,
            live: HashMap::new(),
            generation: 0,
            queued_bytes: Arc::default(),
            waiting_bytes: Arc::default(),
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
            broker: self.broker.address().into(),
            limits: self.limits,
            mark: self.mark.clone(),
            // The CONNACK, and then the SUBACK.
            owed: 1,
            shared: Arc::clone(&shared),
            events: self.events.clone(),
            queued_bytes: Arc::clone(&self.queued_bytes),
            waiting_bytes: Arc::clone(&self.waiting_bytes),
        };
        let task = self.runtime.spawn(task.run(eventloop));
        self.live.insert(node, Live { client, generation, shared, published: 0, task });
    }

    /// Queues a publication behind all earlier ones of this session. A session whose queue is
    /// full is given up: its end is [`SessionEvent::Lost`], and what it held is read again from
    /// the journal.
    pub(super) fn publish(&mut self, node: NodeId, topic: Arc<str>, payload: Vec<u8>, qos: Qos) {
        // A session that ended isn't there any more; the mirror hears of that next.
        let Some(live) = self.live.get_mut(&node) else { return };
        let bytes = payload.len().saturating_add(topic.len()).saturating_add(PUBLICATION_BYTES);
        {
            let Ok(mut queue) = live.shared.queue.lock() else {
                return mistake::mistake!("a thread panicked with a queue in its hands");
            };
            if queue.ended || live.shared.given_up.load(Ordering::Acquire) {
                return;
            }
            let queued = queue.bytes.saturating_add(bytes);
            // A single publication may be as large as it likes: the journal bounds it.
            if queued > self.limits.session_bytes && queue.bytes > 0 {
                live.shared.given_up.store(true, Ordering::Release);
                live.shared.wake.notify_one();
                return;
            }
            queue.bytes = queued;
            queue.sizes.push_back(bytes);
            self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        let qos = match qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => {
                live.published = live.published.saturating_add(1);
                QoS::AtLeastOnce
            }
        };
        // The channel is unbounded and ends only with the task, whose end is reported.
        let _ = live.client.try_publish(&*topic, payload, PublishOptions::new(qos));
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
                // All of it may be acknowledged already: then no acknowledgement is to come.
                if live.shared.passes_barrier() {
                    let generation = live.generation;
                    let event = SessionEvent::Confirmed;
                    let _ = self.events.send(DriverEvent::Session { node, generation, event });
                }
            }
        }
    }

    /// Sends what is queued and, once all of it at QoS 1 is acknowledged, DISCONNECT. The NDEATH
    /// is, and it comes last: its PUBACK says that the broker holds what came before, at either
    /// QoS. A DISCONNECT queued right here would overtake publications that wait for room in the
    /// in-flight window, and with them the NDEATH.
    pub(super) fn close(&mut self, node: NodeId) {
        let Some(live) = self.live.get(&node) else { return };
        live.shared.acks_to_close.store(live.published, Ordering::Release);
        live.shared.closing.store(true, Ordering::Release);
        live.shared.wake.notify_one();
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

    /// Waiting commands of so many bytes were taken.
    pub(super) fn commands_taken(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
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
            Err(text) => {
                let failure = ConnectFailure { kind: FailureKind::Secret, text };
                let _ = self.events.send(DriverEvent::ConnectFailed { node: None, failure });
            }
        }
    }

    fn options(&self, spec: &SessionSpec, shared: &Arc<Shared>) -> MqttOptions {
        let broker = &self.broker;
        let client_id = format!("{}/{}/{}", broker.client_id, spec.group, spec.edge_node);
        let host = broker.host.clone();
        let mut options = MqttOptions::new(client_id, Broker::tcp(host, broker.port));
        options.set_clean_session(true);
        options.set_keep_alive(broker.keep_alive.as_secs().try_into().unwrap_or(u16::MAX));
        options.set_max_packet_size(
            Framing::client_limit(MAX_INCOMING_BYTES),
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
        let addresses = broker.addresses.clone();
        // TLS is made here and not by the client: what it reads is watched behind the decryption.
        let tls = broker.tls.as_ref().map(|tls| (Arc::clone(&tls.config), tls.server_name.clone()));
        let (shared, mark) = (Arc::clone(shared), self.mark.clone());
        options.set_socket_connector(move |_, _| {
            let (addresses, tls) = (addresses.clone(), tls.clone());
            let shared = Arc::clone(&shared);
            let framing = Framing::new(MAX_INCOMING_BYTES, mark.clone());
            async move {
                let stream = TcpStream::connect(&*addresses).await?;
                stream.set_nodelay(true)?;
                shared.tcp_up.store(true, Ordering::Release);
                Ok(stream::open(stream, tls, framing).await?.without_reading_ahead())
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
    broker: Box<str>,
    limits: Limits,
    mark: Mark,
    /// Answers that the broker owes us.
    owed: u64,
    shared: Arc<Shared>,
    events: UnboundedSender<DriverEvent>,
    queued_bytes: Arc<AtomicUsize>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// How a session ended.
enum End {
    /// DISCONNECT was sent behind an acknowledged NDEATH.
    Closed,
    Failed(ConnectionError),
    /// We dropped the socket; the broker sends the will.
    GivenUp(&'static str),
}

impl Task {
    async fn run(mut self, mut eventloop: EventLoop) {
        match self.converse(&mut eventloop).await {
            End::Closed => return self.forward(SessionEvent::Closed),
            End::Failed(error) if self.shared.closing.load(Ordering::Acquire) => {
                tracing::debug!(target: "it", node = self.node.0, %error,
                    "session ended while closing");
            }
            End::Failed(error) => self.report(&error),
            End::GivenUp(why) => {
                self.connect_failed(ConnectFailure::other(why));
            }
        }
        // The driver may open the next session at this word: by then the socket is gone.
        drop(eventloop);
        self.forget_queue();
        let connect_sent = self.shared.tcp_up.load(Ordering::Acquire);
        self.forward(SessionEvent::Lost { connect_sent });
    }

    async fn converse(&mut self, eventloop: &mut EventLoop) -> End {
        let shared = Arc::clone(&self.shared);
        let mut closed_by = pin!(sleep(self.limits.close_within));
        // Goes off when the broker may have been silent for too long; whether it has is decided
        // then. Setting it anew with every answer would cost more than the answer.
        let mut silent = pin!(sleep(self.limits.answer_within));
        let mut heard = Instant::now();
        let mut closing = false;
        let mut said_goodbye = false;
        loop {
            // One poll is never given up for a wake-up: it may have taken a request already.
            let mut poll = pin!(eventloop.poll());
            let event = loop {
                if shared.given_up.load(Ordering::Acquire) {
                    return End::GivenUp("the IT broker takes publications too slowly");
                }
                if !closing && shared.closing.load(Ordering::Acquire) {
                    closing = true;
                    closed_by.set(sleep(self.limits.close_within));
                }
                if closing && !said_goodbye && shared.may_disconnect() {
                    said_goodbye = true;
                    let _ = self.client.try_disconnect();
                }
                tokio::select! {
                    biased;
                    event = &mut poll => break event,
                    () = shared.wake.notified() => {}
                    () = &mut closed_by, if closing => {
                        return End::GivenUp("the IT broker did not acknowledge an NDEATH in time");
                    }
                    () = &mut silent, if self.owed > 0 => {
                        let until = heard.checked_add(self.limits.answer_within);
                        match until.filter(|until| *until > Instant::now()) {
                            Some(until) => silent.as_mut().reset(until),
                            None => {
                                return End::GivenUp("the IT broker owes an answer and gives none");
                            }
                        }
                    }
                }
            };
            match event {
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return End::Closed,
                Ok(event) => {
                    let owed = self.owed;
                    let answered = self.event(event);
                    // What becomes owed now is owed from now on.
                    if answered || (owed == 0 && self.owed > 0) {
                        heard = Instant::now();
                    }
                }
                Err(error) => return End::Failed(error),
            }
        }
    }

    /// Takes one event; true if it is an answer that the broker owed.
    fn event(&mut self, event: Event) -> bool {
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
                    let filters = self.subscriptions.join(", ");
                    event!(SubscriptionRefused, broker = self.broker, filters);
                }
                self.forward(SessionEvent::Ready);
                return self.answered();
            }
            Event::Incoming(Packet::UnsubAck(_)) => {
                self.forward(SessionEvent::Confirmed);
                return self.answered();
            }
            Event::Incoming(Packet::PubAck(_)) => {
                self.shared.acked.fetch_add(1, Ordering::SeqCst);
                if self.shared.passes_barrier() {
                    self.forward(SessionEvent::Confirmed);
                }
                return self.answered();
            }
            Event::Incoming(Packet::Publish(publish)) => {
                if self.waiting_bytes.load(Ordering::Relaxed) >= WAITING_COMMANDS_BYTES {
                    return false;
                }
                let topic = String::from_utf8_lossy(&publish.topic).into_owned();
                let retained = publish.retain;
                let event = match self.mark.read(&publish.payload) {
                    None => {
                        SessionEvent::Received { topic, payload: publish.payload, retain: retained }
                    }
                    Some(TooLarge { bytes }) => {
                        let (limit, broker) = (MAX_INCOMING_BYTES, &*self.broker);
                        event!(MessageTooLarge, topic, bytes, limit, retained, broker);
                        SessionEvent::TooLarge { topic }
                    }
                };
                self.waiting_bytes.fetch_add(event.published_bytes(), Ordering::Relaxed);
                self.forward(event);
            }
            Event::Outgoing(Outgoing::Publish(packet_id)) => {
                // QoS 0 has no packet identifier and no answer.
                if packet_id != 0 {
                    self.owed = self.owed.saturating_add(1);
                }
                let written = match self.shared.queue.lock() {
                    Ok(mut queue) => {
                        let written = queue.sizes.pop_front().unwrap_or(0);
                        queue.bytes = queue.bytes.saturating_sub(written);
                        written
                    }
                    Err(_) => 0,
                };
                self.queued_bytes.fetch_sub(written, Ordering::Relaxed);
            }
            Event::Outgoing(Outgoing::Unsubscribe(_)) => self.owed = self.owed.saturating_add(1),
            _ => {}
        }
        false
    }

    fn answered(&mut self) -> bool {
        self.owed = self.owed.saturating_sub(1);
        true
    }

    /// Hands an event to the driver.
    fn forward(&self, event: SessionEvent) {
        let event = DriverEvent::Session { node: self.node, generation: self.generation, event };
        // The driver is gone only when the process ends.
        let _ = self.events.send(event);
    }

    fn report(&self, error: &ConnectionError) {
        tracing::debug!(target: "it", node = self.node.0, %error, "session ended");
        let failure = match error {
            ConnectionError::ConnectionRefused(code) => {
                let text = format!("the broker refuses the connection: {code:?}");
                ConnectFailure { kind: FailureKind::Login, text }
            }
            error => explain(error),
        };
        self.connect_failed(failure);
    }

    fn connect_failed(&self, failure: ConnectFailure) {
        let node = Some(self.node);
        let _ = self.events.send(DriverEvent::ConnectFailed { node, failure });
    }

    /// What is still queued when the session ends is not written any more.
    fn forget_queue(&self) {
        if let Ok(mut queue) = self.shared.queue.lock() {
            queue.ended = true;
            let left = queue.sizes.drain(..).sum();
            queue.bytes = 0;
            self.queued_bytes.fetch_sub(left, Ordering::Relaxed);
        }
    }
}

/// However the session ends.
impl Drop for Task {
    fn drop(&mut self) {
        self.forget_queue();
    }
}

#[cfg(test)]
mod tests;

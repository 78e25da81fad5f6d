//! Session with the OT broker: the only file of this half that knows rumqttc.
//!
//! What leaves towards the OT broker is CONNECT (without a will), SUBSCRIBE, UNSUBSCRIBE,
//! acknowledgements, PINGREQ and DISCONNECT. rumqttc's client could publish; it stays inside
//! [`Requests`], which has a method for each of these and none for a PUBLISH, and nothing that
//! this file gives away names a topic to publish to.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::mem::take;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rumqttc::{
    AckMode, AsyncClient, Broker, ConnectionError, Event, EventLoop, ManualAck, MqttOptions,
    Outgoing, Packet, Publish, QoS, SubscribeFilterInput, SubscribeReasonCode, TlsConfiguration,
    Transport,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::socket::Socket;
use broker::{BrokerSettings, ConnectFailure, Credentials, FailureKind, explain};
use sparkplug::CERTIFICATES_PREFIX;
use telemetry::event;

/// First pause after a lost connection; it doubles with each attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause: an OT broker that comes back is found within half a minute.
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// Acknowledgements written with one wake-up.
const REQUEST_BATCH: usize = 256;
/// Messages that are handed over together at most.
const BURST_MESSAGES: usize = 128;
/// A burst of this many is worth its wake-ups. The same number may wait for acknowledgement while
/// the next ones gather: brokers have few in flight (mosquitto: 20), and send no more until they
/// hear of these.
const LARGE_BURST: usize = 16;
/// With so many messages waiting for acknowledgement nothing more is read. There are 65,535 packet
/// identifiers, and mosquitto without a limit of its own (`max_inflight_messages 0`) uses them
/// anew without looking: then an acknowledgement that waited for a stored birth meets another
/// message. Far below that, because what lies in the buffers of the sockets counts too.
const MAX_UNANSWERED: usize = 16_384;
/// Pause until it is looked again whether they are fewer.
const UNANSWERED_PAUSE: Duration = Duration::from_millis(1);
/// Behind smaller bursts than that, and under load, the next messages are given time to gather:
/// one wake-up of both threads and one write to the journal then serve so many. To wait for more
/// saves nothing that could be measured …
const GATHERED: u32 = 3;
/// … and to wait for longer than this isn't worth the wake-ups that it saves.
const LONGEST_LINGER: Duration = Duration::from_micros(300);
/// Load: the last burst is no longer ago than this. What comes alone isn't delayed.
const LOAD_WITHIN: Duration = Duration::from_millis(1);

/// A message as it came from the broker, and how to acknowledge it.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
    pub(super) retain: bool,
    pub(super) dup: bool,
    /// `None` at QoS 0.
    pub(super) receipt: Option<Receipt>,
}

/// The right to acknowledge one message, on the connection that delivered it.
#[derive(Debug)]
pub(super) struct Receipt {
    connection: u64,
    ack: ManualAck,
}

impl Delivered {
    /// Quality of service of the delivery.
    pub(super) fn qos(&self) -> u8 {
        match self.receipt.as_ref().map(|receipt| &receipt.ack) {
            None => 0,
            Some(ManualAck::PubAck(_)) => 1,
            Some(ManualAck::PubRec(_)) => 2,
        }
    }

    /// What it takes of the memory for messages on their way.
    pub(super) fn bytes(&self) -> usize {
        self.topic.len().saturating_add(self.payload.len())
    }
}

#[cfg(test)]
impl Receipt {
    pub(super) fn numbered(packet_id: u16) -> Receipt {
        Receipt { connection: 0, ack: ManualAck::PubAck(rumqttc::PubAck::new(packet_id)) }
    }

    pub(super) fn number(&self) -> u16 {
        match &self.ack {
            ManualAck::PubAck(ack) => ack.pkid,
            ManualAck::PubRec(ack) => ack.pkid,
        }
    }
}

/// What happened in a session.
#[derive(Debug)]
pub(super) enum SessionEvent {
    /// Connected; `present`: the broker kept the session.
    Connected {
        present: bool,
    },
    /// In the order in which they came; never empty.
    Messages(Vec<Delivered>),
    Lost,
}

/// Takes what happens in a session. Waits while there is no room: meanwhile nothing is read from the
/// broker, which keeps what it has at QoS 1.
pub(super) trait Sink {
    fn put(&self, event: SessionEvent) -> impl Future<Output = ()>;
}

/// The session: polls the network until it is told to stop.
pub(super) struct Session {
    eventloop: EventLoop,
    requests: Requests,
    filters: Rc<Filters>,
    connection: Rc<Cell<u64>>,
    unanswered: Rc<Cell<usize>>,
    address: String,
    credentials: Option<Credentials>,
}

/// What the rest of the half can ask of the session.
#[derive(Clone)]
pub(super) struct SessionHandle {
    requests: Requests,
    filters: Rc<Filters>,
    connection: Rc<Cell<u64>>,
    /// Messages of this connection that wait for their acknowledgement.
    unanswered: Rc<Cell<usize>>,
}

/// The filters that are wanted, without those that every session has.
type Filters = std::cell::RefCell<BTreeSet<String>>;

/// Prepares a session with the filters of the policy.
pub(super) fn session(broker: &BrokerSettings, filters: Vec<String>) -> (Session, SessionHandle) {
    let options = options(broker);
    // Unbounded: it holds acknowledgements, of which there are at most as many as the broker
    // has messages in flight, and a handful of subscriptions.
    let (client, eventloop) = AsyncClient::builder(options).unbounded().build();
    let requests = Requests(client);
    let filters = Rc::new(Filters::new(filters.into_iter().collect()));
    let connection = Rc::new(Cell::new(0));
    let unanswered = Rc::new(Cell::new(0));
    let handle = SessionHandle {
        requests: requests.clone(),
        filters: Rc::clone(&filters),
        connection: Rc::clone(&connection),
        unanswered: Rc::clone(&unanswered),
    };
    let address = broker.address();
    let credentials = broker.credentials.clone();
    let session =
        Session { eventloop, requests, filters, connection, unanswered, address, credentials };
    (session, handle)
}

/// Prepares a session of somebody who only watches: it ends with the connection, and leaves
/// nothing at the broker.
pub(super) fn passing_session(
    broker: &BrokerSettings,
    filters: Vec<String>,
) -> (Session, SessionHandle) {
    let (mut session, handle) = session(broker, filters);
    session.eventloop.mqtt_options.set_clean_session(true);
    (session, handle)
}

impl Session {
    /// Connects, and connects again, for ever; returns after [`SessionHandle::disconnect`].
    pub(super) async fn run(mut self, sink: &impl Sink) {
        let mut attempts = 0_u32;
        let mut burst = Vec::new();
        let mut load = Load::default();
        self.take_password();
        loop {
            let event = {
                let mut poll = pin!(self.eventloop.poll());
                match at_once(poll.as_mut()).await {
                    Some(event) => event,
                    None => {
                        // All that was there is taken, and what was to be sent is sent.
                        let messages = burst.len();
                        hand_over(&mut burst, sink).await;
                        answers(&self.unanswered).await;
                        load.linger(messages, self.unanswered.get());
                        poll.await
                    }
                }
            };
            if let Ok(Event::Incoming(Packet::Publish(publish))) = event {
                burst.push(self.delivered(publish));
                if burst.len() >= BURST_MESSAGES {
                    hand_over(&mut burst, sink).await;
                    answers(&self.unanswered).await;
                }
                continue;
            }
            hand_over(&mut burst, sink).await;
            match event {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                    attempts = 0;
                    let present = ack.session_present;
                    event!(BrokerUp, broker = self.address, session_present = present);
                    sink.put(SessionEvent::Connected { present }).await;
                    self.requests.subscribe(&self.filters.borrow());
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    report(&self.address, &ack.return_codes);
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(ConnectionError::RequestsDone) => {
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    // Before anything else runs: receipts of this connection are void now.
                    self.connection.set(self.connection.get().wrapping_add(1));
                    self.unanswered.set(0);
                    sink.put(SessionEvent::Lost).await;
                    let pause = pause(attempts);
                    self.notify(&error, pause);
                    attempts = attempts.saturating_add(1);
                    tokio::time::sleep(pause).await;
                    self.take_password();
                }
            }
        }
    }

    fn notify(&self, error: &ConnectionError, pause: Duration) {
        let broker = self.address.as_str();
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        if let ConnectionError::ConnectionRefused(code) = error {
            let error = format!("the broker refuses the connection: {code:?}");
            event!(LoginRefused, broker, error, pause_ms);
            return;
        }
        let ConnectFailure { kind, text: error } = explain(error);
        match kind {
            FailureKind::Tls => event!(TlsRefused, broker, error, pause_ms),
            _ => event!(BrokerDown, broker, error, pause_ms),
        }
    }

    /// Reads the password for the next connection.
    fn take_password(&mut self) {
        let Some(credentials) = &self.credentials else { return };
        match (credentials.password)() {
            Ok(password) => {
                let options = &mut self.eventloop.mqtt_options;
                options.set_credentials(credentials.user.clone(), password);
            }
            Err(error) => event!(SecretUnreadable, error),
        }
    }

    fn delivered(&self, publish: Publish) -> Delivered {
        let connection = self.connection.get();
        let receipt = self.requests.0.prepare_ack(&publish).map(|ack| Receipt { connection, ack });
        if receipt.is_some() {
            self.unanswered.set(self.unanswered.get().saturating_add(1));
        }
        Delivered {
            topic: publish.topic,
            payload: publish.payload,
            retain: publish.retain,
            dup: publish.dup,
            receipt,
        }
    }
}

/// How bursts have come lately.
#[derive(Default)]
struct Load {
    last: Option<Instant>,
    pace: Pace,
}

impl Load {
    /// Called when a burst of so many messages is handed over: under load it lets the next ones
    /// gather.
    fn linger(&mut self, messages: usize, unanswered: usize) {
        if messages == 0 {
            return;
        }
        let now = clock::steady();
        let pause = self.last.replace(now).map(|last| now.duration_since(last));
        let linger = self.pace.linger(pause, messages, unanswered);
        if !linger.is_zero() {
            // Blocks the thread, whose timers are too coarse for this; it has nothing to do but
            // this session.
            std::thread::sleep(linger);
        }
    }
}

/// Time between two messages, averaged over the last bursts; zero while there is no load.
#[derive(Default)]
struct Pace(Duration);

impl Pace {
    /// How long to let messages gather behind a burst of so many, that came so long after the
    /// last.
    fn linger(&mut self, pause: Option<Duration>, messages: usize, unanswered: usize) -> Duration {
        let Some(pause) = pause.filter(|pause| *pause < LOAD_WITHIN) else {
            self.0 = Duration::ZERO;
            return Duration::ZERO;
        };
        let between = pause.checked_div(u32::try_from(messages).unwrap_or(u32::MAX));
        let between = between.unwrap_or_default();
        self.0 = match self.0 {
            Duration::ZERO => between,
            before => {
                let eight = before.saturating_mul(7).saturating_add(between);
                eight.checked_div(8).unwrap_or_default()
            }
        };
        if messages.max(unanswered) >= LARGE_BURST {
            return Duration::ZERO;
        }
        self.0.saturating_mul(GATHERED).min(LONGEST_LINGER)
    }
}

/// What `future` comes to without waiting.
async fn at_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

async fn hand_over(burst: &mut Vec<Delivered>, sink: &impl Sink) {
    if !burst.is_empty() {
        sink.put(SessionEvent::Messages(take(burst))).await;
    }
}

/// Waits while too many messages wait for their acknowledgement.
async fn answers(unanswered: &Cell<usize>) {
    while unanswered.get() >= MAX_UNANSWERED {
        tokio::time::sleep(UNANSWERED_PAUSE).await;
    }
}

impl SessionHandle {
    /// Acknowledges what comes in `receipts`, in order, until the other end is dropped.
    pub(super) async fn acknowledge(self, mut receipts: UnboundedReceiver<Vec<Receipt>>) {
        while let Some(batch) = receipts.recv().await {
            for receipt in batch {
                // The broker delivers again what an earlier connection left unacknowledged.
                if receipt.connection == self.connection.get() {
                    self.unanswered.set(self.unanswered.get().saturating_sub(1));
                    self.requests.acknowledge(receipt.ack);
                }
            }
        }
    }

    /// Takes over other filters: subscribes to the new ones, and ends those that are gone.
    pub(super) fn refilter(&self, filters: Vec<String>) {
        let wanted: BTreeSet<String> = filters.into_iter().collect();
        let had = self.filters.replace(wanted.clone());
        self.requests.unsubscribe(had.difference(&wanted).cloned().collect());
        let new: BTreeSet<String> = wanted.difference(&had).cloned().collect();
        if !new.is_empty() {
            self.requests.subscribe(&new);
        }
    }

    /// Sends DISCONNECT behind everything that was asked before.
    pub(super) fn disconnect(&self) {
        self.requests.disconnect();
    }
}

/// Everything that this half can send. There is no PUBLISH.
#[derive(Clone)]
struct Requests(AsyncClient);

impl Requests {
    /// Subscribes to `filters` and to the stored births, at QoS 1.
    fn subscribe(&self, filters: &BTreeSet<String>) {
        let certificates = format!("{CERTIFICATES_PREFIX}#");
        let filters: Vec<SubscribeFilterInput> = filters
            .iter()
            .map(String::as_str)
            .chain([certificates.as_str()])
            .map(|filter| SubscribeFilterInput::new(filter, QoS::AtLeastOnce))
            .collect();
        if let Err(error) = self.0.try_subscribe_many(filters) {
            tracing::error!(target: "ot", %error, "cannot subscribe");
        }
    }

    fn unsubscribe(&self, filters: Vec<String>) {
        if !filters.is_empty()
            && let Err(error) = self.0.try_unsubscribe_many(filters)
        {
            tracing::error!(target: "ot", %error, "cannot unsubscribe");
        }
    }

    fn acknowledge(&self, ack: ManualAck) {
        // Fails only when the session has ended: then the broker delivers again.
        let _ = self.0.try_manual_ack(ack);
    }

    fn disconnect(&self) {
        let _ = self.0.try_disconnect();
    }
}

/// The last filter of every request is that of the stored births.
fn report(broker: &str, codes: &[SubscribeReasonCode]) {
    let Some((certificates, filters)) = codes.split_last() else { return };
    if filters.contains(&SubscribeReasonCode::Failure) {
        event!(SubscriptionRefused, broker);
    }
    if *certificates == SubscribeReasonCode::Failure {
        event!(StoredBirthsRefused, broker);
    }
}

fn options(broker: &BrokerSettings) -> MqttOptions {
    // With TLS the "host" is the name that the certificate must have; the connector below goes
    // to the configured address either way.
    let name = broker.tls.as_ref().map_or(&broker.host, |tls| &tls.server_name);
    let mut options =
        MqttOptions::new(broker.client_id.clone(), Broker::tcp(name.clone(), broker.port));
    options.set_clean_session(false);
    options.set_ack_mode(AckMode::Manual);
    options.set_keep_alive(broker.keep_alive.as_secs().try_into().unwrap_or(u16::MAX));
    options.set_max_packet_size(broker.max_packet_bytes, broker.max_packet_bytes);
    options.set_max_request_batch(REQUEST_BATCH);
    if let Some(tls) = &broker.tls {
        let config = TlsConfiguration::Rustls(Arc::clone(&tls.config));
        options.set_transport(Transport::tls_with_config(config));
    }
    let addresses = broker.addresses.clone();
    options.set_socket_connector(move |_, _| {
        let addresses = addresses.clone();
        async move {
            let stream = TcpStream::connect(&*addresses).await?;
            stream.set_nodelay(true)?;
            Ok(Socket::new(stream))
        }
    });
    options
}

/// Between half of the doubled pause and all of it, so that relays that lost the same broker
/// don't come back together.
fn pause(attempts: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX);
    let longest = FIRST_PAUSE.saturating_mul(factor).min(LAST_PAUSE);
    // The standard library's only source of randomness.
    let percent = RandomState::new().hash_one(attempts) % 51;
    let percent = u32::try_from(percent).unwrap_or(0).saturating_add(50);
    longest.saturating_mul(percent).checked_div(100).unwrap_or(longest)
}

#[cfg(test)]
mod tests;

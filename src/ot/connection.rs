//! Session with the OT broker: the only file of this half that knows rumqttc.
//!
//! What leaves towards the OT broker is CONNECT (without a will), SUBSCRIBE, UNSUBSCRIBE,
//! acknowledgements, PINGREQ and DISCONNECT. rumqttc's client could publish; it stays inside
//! [`Requests`], which has a method for each of these and none for a PUBLISH, and nothing that
//! this file gives away names a topic to publish to.

mod load;
mod options;
mod pauses;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::mem::take;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use broker::{BrokerSettings, ConnectFailure, Credentials, FailureKind, explain};
use bytes::Bytes;
use load::Load;
use options::options;
use pauses::Pauses;
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, ManualAck, Outgoing, Packet, Publish, QoS,
    SubscribeFilterInput, SubscribeReasonCode,
};
use sparkplug::CERTIFICATES_PREFIX;
use stream::Mark;
use telemetry::event;
use tokio::sync::mpsc::UnboundedReceiver;

/// Messages that are handed over together at most …
const BURST_MESSAGES: usize = 128;
/// … and their bytes: the worker takes what is handed over together in one turn.
const BURST_BYTES: usize = 256 * 1024;
/// With so many messages waiting for acknowledgement nothing more is read. There are 65,535 packet
/// identifiers, and mosquitto without a limit of its own (`max_inflight_messages 0`) uses them
/// anew without looking: then an acknowledgement that waited for a stored birth meets another
/// message. Far below that, because what lies in the buffers of the sockets counts too.
const MAX_UNANSWERED: usize = 16_384;
/// What messages on their way take beside their topics and payloads, and the receipts of those that
/// are answered for.
pub(super) const QUEUE_BYTES: usize = (MAX_UNANSWERED * 2 + BURST_MESSAGES * 64) * 256;
/// Pause until it is looked again whether they are fewer.
const UNANSWERED_PAUSE: Duration = Duration::from_millis(1);

/// A message as it came from the broker, and how to acknowledge it.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) topic: Bytes,
    pub(super) payload: Bytes,
    pub(super) retain: bool,
    pub(super) dup: bool,
    /// It was larger than the configuration allows, and nothing of its payload is here.
    pub(super) is_too_large: bool,
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

#[cfg(any(test, feature = "testing"))]
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
    /// What stands where a message was too large.
    mark: Mark,
    max_packet_bytes: usize,
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
    let mark = Mark::new();
    let options = options(broker, &mark);
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
    let session = Session {
        eventloop,
        requests,
        filters,
        connection,
        unanswered,
        address,
        credentials,
        mark,
        max_packet_bytes: broker.max_packet_bytes,
    };
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
        let mut pauses = Pauses::default();
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
                // So many of smaller ones don't come to more.
                let is_large = publish.payload.len() >= BURST_BYTES / BURST_MESSAGES;
                burst.push(self.delivered(publish));
                let is_full = is_large && bytes_of(&burst) >= BURST_BYTES;
                if is_full || burst.len() >= BURST_MESSAGES {
                    hand_over(&mut burst, sink).await;
                    answers(&self.unanswered).await;
                }
                continue;
            }
            hand_over(&mut burst, sink).await;
            match event {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => {
                    pauses.connected();
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
                    let pause = pauses.ended();
                    self.notify(&error, pause);
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
        let too_large = self.mark.read(&publish.payload);
        if let Some(too_large) = too_large {
            let topic = String::from_utf8_lossy(&publish.topic);
            let (bytes, limit) = (too_large.bytes, self.max_packet_bytes);
            let (key, retained) = ("broker.max-packet-bytes", publish.retain);
            let broker = self.address.as_str();
            event!(MessageTooLarge, topic = %topic, bytes, limit, key, retained, broker);
        }
        Delivered {
            topic: publish.topic,
            payload: if too_large.is_some() { Bytes::new() } else { publish.payload },
            retain: publish.retain,
            dup: publish.dup,
            is_too_large: too_large.is_some(),
            receipt,
        }
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

fn bytes_of(burst: &[Delivered]) -> usize {
    burst.iter().fold(0, |sum, one| sum.saturating_add(one.bytes()))
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

#[cfg(test)]
mod tests;

//! Session with the OT broker.
//!
//! What leaves towards the OT broker is CONNECT (without a will), SUBSCRIBE, UNSUBSCRIBE,
//! acknowledgements, PINGREQ and DISCONNECT. The client that this half is given, [`Subscriber`], has a
//! method for each of these and none for a PUBLISH.

mod at_once;
mod delivered;
mod endings;
mod extras;
mod identity;
mod kept;
mod load;
mod options;
mod pauses;
mod servers;
mod subscriptions;
mod telling;
mod unread;

use std::cell::{Cell, RefCell};
use std::mem::take;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use at_once::at_once;
use broker::BrokerSettings;
use bytes::Bytes;
use client::{Attempt, Connection, Error, Event, Grant, Message, Qos, Sent, Subscriber};
pub(crate) use delivered::{Delivered, Receipt};
use endings::Endings;
use identity::Identity;
pub(super) use kept::Kept;
use load::Load;
use options::{Way, login, prepared as prepared_client};
use pauses::Pauses;
use sparkplug::Shard;
use stream::Mark;
use subscriptions::{Request, Subscriptions};
pub(crate) use subscriptions::{Subscribed, Trouble};
use telemetry::event;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{sleep, sleep_until};

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

/// Said of filters that aren't asked for, since the broker has said beforehand that it refuses them.
const NO_WILDCARDS: &str = "CONNACK: it takes no wildcards in topic filters";

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
    /// What the broker grants and refuses from now on.
    Subscribed(Subscribed),
}

/// Takes what happens in a session. Waits while there is no room: meanwhile nothing is read from the
/// broker, which keeps what it has at QoS 1.
pub(super) trait Sink {
    fn put(&self, event: SessionEvent) -> impl Future<Output = ()>;
}

/// The session: polls the network until it is told to stop.
pub(super) struct Session {
    connection: Connection,
    client: Subscriber,
    common: Rc<Common>,
    broker: BrokerSettings,
    way: Arc<Way>,
    identity: Identity,
    endings: Endings,
    /// A session stands.
    stands: bool,
    /// What was told last of the subscriptions.
    subscribed: Subscribed,
    /// Nothing is to stay at the broker.
    passing: bool,
    /// With which server something is kept; `None`: with none, or that is nobody's concern.
    kept: Option<Kept>,
    /// The next session only throws away what is kept there.
    sweeps: bool,
    /// Whose messages are for this relay; `None`: those of all edge nodes.
    shard: Option<Shard>,
    /// What stands where a message was too large.
    mark: Mark,
    /// How long messages gather; `None`: by the rate at which they come.
    gather: Option<Duration>,
}

/// What the rest of the half can ask of the session.
#[derive(Clone)]
pub(super) struct SessionHandle {
    client: Subscriber,
    common: Rc<Common>,
}

/// What the session and its handle share.
struct Common {
    subscriptions: RefCell<Subscriptions>,
    /// Other filters are wanted.
    refiltered: Notify,
    connection: Cell<u64>,
    /// Messages of this connection that wait for their acknowledgement.
    unanswered: Cell<usize>,
    /// The first server is to be used again.
    returns: Cell<bool>,
}

/// Why there is no connection any more.
enum End {
    Failed(Error),
    /// The broker owed an answer; we ended it.
    Unanswered,
    /// Another server is to be used.
    Left,
}

/// Prepares a session with the filters of the policy, which also hears what hosts say of themselves.
pub(super) fn session(
    broker: &BrokerSettings,
    filters: Vec<String>,
    shard: Option<Shard>,
    kept: Option<Kept>,
) -> (Session, SessionHandle) {
    let subscriptions = Subscriptions::new(filters, broker.answer_within);
    let (session, handle) = prepared(broker, subscriptions.with_host_states());
    (Session { shard, kept, ..session }, handle)
}

fn prepared(broker: &BrokerSettings, subscriptions: Subscriptions) -> (Session, SessionHandle) {
    let mark = Mark::new();
    // What waits in it are acknowledgements, of which there are at most as many as the broker has
    // messages in flight, and a subscription.
    let (client, connection, way) = prepared_client(broker, &mark);
    let common = Rc::new(Common {
        subscriptions: RefCell::new(subscriptions),
        refiltered: Notify::new(),
        connection: Cell::new(0),
        unanswered: Cell::new(0),
        returns: Cell::new(false),
    });
    let handle = SessionHandle { client: client.clone(), common: Rc::clone(&common) };
    let session = Session {
        connection,
        client,
        common,
        broker: broker.clone(),
        way,
        identity: Identity::new(&broker.client_id, broker.client_id_form),
        endings: Endings::default(),
        stands: false,
        subscribed: Subscribed::default(),
        passing: false,
        kept: None,
        sweeps: false,
        shard: None,
        mark,
        gather: Some(Duration::ZERO),
    };
    (session, handle)
}

/// Prepares a session of somebody who only watches: it ends with the connection, and leaves
/// nothing at the broker.
pub(super) fn passing_session(
    broker: &BrokerSettings,
    filters: Vec<String>,
) -> (Session, SessionHandle) {
    let (mut session, handle) = prepared(broker, Subscriptions::new(filters, broker.answer_within));
    session.passing = true;
    (session, handle)
}

impl Session {
    /// Lets messages gather for so long under load.
    pub(super) fn gathering(self, gather: Option<Duration>) -> Session {
        Session { gather, ..self }
    }

    /// Connects, and connects again, for ever; returns after [`SessionHandle::disconnect`].
    pub(super) async fn run(mut self, sink: &impl Sink) {
        let mut pauses = Pauses::default();
        let mut burst = Vec::new();
        let mut load = Load::new(self.gather);
        self.prepare();
        loop {
            let event = self.next(&mut burst, &mut load, sink).await;
            if let Ok(Event::Message(message)) = event {
                // So many of smaller ones don't come to more.
                let is_large = message.payload.len() >= BURST_BYTES / BURST_MESSAGES;
                burst.push(self.delivered(message));
                let is_full = is_large && bytes_of(&burst) >= BURST_BYTES;
                if is_full || burst.len() >= BURST_MESSAGES {
                    load.took(burst.len(), || bytes_of(&burst));
                    hand_over(&mut burst, sink).await;
                    answers(&self.common.unanswered).await;
                }
                continue;
            }
            hand_over(&mut burst, sink).await;
            let end = match event {
                Ok(Event::Connected { .. }) if self.sweeps => {
                    // What was kept there is gone with it; the session itself follows at once.
                    self.identity.taken();
                    self.remember_server();
                    self.forget_connection();
                    self.prepare();
                    continue;
                }
                Ok(Event::Connected { .. }) if self.identity.is_probe() => {
                    // The session was only to learn that it is taken. The proof follows at once.
                    self.identity.taken();
                    self.forget_connection();
                    self.prepare();
                    continue;
                }
                Ok(Event::Connected { session_present }) => {
                    pauses.connected();
                    load.connected();
                    self.connected(session_present, sink).await;
                    continue;
                }
                Ok(Event::Subscribed { id, grants }) => {
                    self.subscribed(id, &grants);
                    self.tell_subscribed(sink).await;
                    continue;
                }
                Ok(Event::Sent(Sent::Disconnect)) | Err(End::Failed(Error::Done)) => return,
                Ok(_) => continue,
                Err(end) => end,
            };
            self.way.tell_odd(&self.way.address());
            // Before anything else runs: receipts of this connection are void now.
            self.forget_connection();
            sink.put(SessionEvent::Lost).await;
            let pause = self.ended(&end, &mut pauses);
            self.tell_subscribed(sink).await;
            sleep(pause).await;
            self.prepare();
        }
    }

    /// What happens next. Before it waits, all that was there is handed over, and what was to be
    /// sent is sent.
    async fn next(
        &mut self,
        burst: &mut Vec<Delivered>,
        load: &mut Load,
        sink: &impl Sink,
    ) -> Result<Event, End> {
        let common = Rc::clone(&self.common);
        let (client, broker) = (self.client.clone(), self.way.address());
        let silent = (!self.stands).then(|| (Arc::clone(&self.way), self.broker.connect_within));
        let mut heard = self.way.heard();
        let mut poll = pin!(self.connection.poll());
        if let Some(event) = at_once(poll.as_mut()).await {
            return event.map_err(End::Failed);
        }
        let messages = burst.len();
        load.took(messages, || bytes_of(burst));
        hand_over(burst, sink).await;
        self.way.tell_odd(&broker);
        answers(&common.unanswered).await;
        load.linger(messages, common.unanswered.get());
        loop {
            if common.returns.take() {
                return Err(End::Left);
            }
            let now = clock::steady();
            let (request, look) = {
                let mut subscriptions = common.subscriptions.borrow_mut();
                if messages > 0 || heard != self.way.heard() {
                    heard = self.way.heard();
                    subscriptions.heard(now);
                }
                let (said, gives_up) = subscriptions.overdue(now);
                if let Some(said) = said {
                    telling::tell(&broker, &said, None);
                }
                if gives_up {
                    return Err(End::Unanswered);
                }
                (subscriptions.poll(now), subscriptions.next_look())
            };
            if let Some(request) = request {
                send(&client, request);
            }
            let look_at = look.unwrap_or(now);
            let silent = silent.as_ref().and_then(|(way, within)| way.silence(*within, &broker));
            tokio::select! {
                biased;
                event = &mut poll => return event.map_err(End::Failed),
                () = common.refiltered.notified() => {}
                () = sleep_until(look_at.into()), if look.is_some() => {}
                () = sleep(silent.unwrap_or_default()), if silent.is_some() => {}
            }
        }
    }

    async fn connected(&mut self, present: bool, sink: &impl Sink) {
        self.identity.taken();
        self.stands = true;
        let broker = self.way.address();
        self.remember_server();
        let offers = self.way.offers();
        let said = offers.as_ref().map(|offers| offers.words().join(", "));
        let said = said.filter(|said| !said.is_empty());
        event!(BrokerUp, broker, session_present = present, offers = said);
        if let Some(times) = self.endings.connected(clock::steady()) {
            let client_id = &**self.identity.current();
            event!(SessionTakenOver, client_id, times, broker);
        }
        let refused = {
            let mut subscriptions = self.common.subscriptions.borrow_mut();
            subscriptions.connected(present);
            subscriptions.take_wildcards(offers.is_none_or(|offers| offers.has_wildcards))
        };
        if let Some(refused) = refused {
            telling::tell(&self.way.address(), &refused, Some(NO_WILDCARDS));
        }
        self.ask();
        sink.put(SessionEvent::Connected { present }).await;
        self.tell_subscribed(sink).await;
    }

    fn subscribed(&self, id: u16, grants: &[Grant]) {
        let said = self.common.subscriptions.borrow_mut().answered(clock::steady(), grants);
        let why = self.way.take_codes(id);
        let why = why.and_then(|said| broker::filter_refusal(&said.codes, said.text.as_deref()));
        said.iter().for_each(|said| telling::tell(&self.way.address(), said, why.as_deref()));
        self.ask();
    }

    /// Asks for what is due at once: under a flood of messages nobody waits.
    fn ask(&self) {
        let request = self.common.subscriptions.borrow_mut().poll(clock::steady());
        request.into_iter().for_each(|request| send(&self.client, request));
    }

    /// The connection is over: nothing of it goes into the next one.
    fn forget_connection(&mut self) {
        self.common.connection.set(self.common.connection.get().wrapping_add(1));
        self.common.unanswered.set(0);
        self.connection.forget();
    }

    async fn tell_subscribed(&mut self, sink: &impl Sink) {
        let subscribed = self.common.subscriptions.borrow().stands(|| {
            let times = self.endings.count(clock::steady())?;
            let client_id = self.identity.current();
            let minutes = endings::WITHIN.as_secs() / 60;
            let words = format!(
                "the OT broker ended {times} sessions within {minutes} minutes and took the next \
                 at once, as when another client has the identifier `{client_id}`"
            );
            Some(Trouble { critical: false, words })
        });
        if subscribed != self.subscribed {
            self.subscribed.clone_from(&subscribed);
            sink.put(SessionEvent::Subscribed(subscribed)).await;
        }
    }

    /// Prepares the next connection: server, identifier, keep alive, password.
    fn prepare(&mut self) {
        self.way.begin(self.broker.servers.in_use());
        let kept = self.kept.as_ref().filter(|_| !self.passing && !self.identity.is_probe());
        self.sweeps = kept.is_some_and(|kept| kept.is_stale_at(&self.way.address()));
        let attempt = self.attempt();
        self.connection.prepare(attempt);
    }

    fn attempt(&self) -> Attempt {
        Attempt {
            client_id: self.identity.current().to_string(),
            is_clean: self.passing || self.identity.is_probe() || self.sweeps,
            keep_alive: self.broker.keep_alive,
            login: self.broker.credentials.as_ref().and_then(login),
        }
    }

    fn delivered(&self, message: Message) -> Delivered {
        let connection = self.common.connection.get();
        let receipt = message.ack.map(|ack| Receipt { connection, ack });
        if receipt.is_some() {
            self.common.unanswered.set(self.common.unanswered.get().saturating_add(1));
        }
        let Message { topic, payload, retain, dup, .. } = message;
        if self.is_of_other_shard(&topic, &payload) {
            return Delivered::of_other_shard(dup, receipt);
        }
        let (topic, unread) = self.unread(topic, &payload, retain, receipt.is_some());
        let payload = if unread.is_some() { Bytes::new() } else { payload };
        Delivered { topic, payload, retain, dup, unread, of_other_shard: false, receipt }
    }
}

fn send(client: &Subscriber, request: Request) {
    let sent = match request {
        Request::Subscribe(filters) => client.subscribe(filters, Qos::AtLeastOnce),
        Request::Unsubscribe(filters) => client.unsubscribe(filters),
    };
    if let Err(error) = sent {
        tracing::error!(target: "ot", %error, "cannot ask for subscriptions");
    }
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
        sleep(UNANSWERED_PAUSE).await;
    }
}

impl SessionHandle {
    /// Acknowledges what comes in `receipts`, in order, until the other end is dropped.
    pub(super) async fn acknowledge(self, mut receipts: UnboundedReceiver<Vec<Receipt>>) {
        while let Some(batch) = receipts.recv().await {
            for receipt in batch {
                // The broker delivers again what an earlier connection left unacknowledged.
                if receipt.connection == self.common.connection.get() {
                    let unanswered = self.common.unanswered.get().saturating_sub(1);
                    self.common.unanswered.set(unanswered);
                    // Fails only when the session has ended: then the broker delivers again.
                    let _ = self.client.acknowledge(receipt.ack);
                }
            }
        }
    }

    /// Takes over other filters: subscribes to the new ones and to those that were refused, and
    /// ends those that are gone.
    pub(super) fn refilter(&self, filters: Vec<String>) {
        self.common.subscriptions.borrow_mut().refilter(filters);
        self.common.refiltered.notify_one();
    }

    /// Leaves the server that is used for the first one.
    pub(super) fn return_to_first(&self) {
        self.common.returns.set(true);
        self.common.refiltered.notify_one();
    }

    /// Sends DISCONNECT behind everything that was asked before.
    pub(super) fn disconnect(&self) {
        let _ = self.client.disconnect();
    }
}

#[cfg(test)]
mod tests;

//! The network side of one session.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use broker::{Addresses, ConnectFailure, Protocol, Refused};
use client::{Connection, Error, Event, Grant, Publisher, Qos, Sent};
use stream::{Mark, Silence};
use telemetry::event;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, sleep_until};

use super::WAITING_COMMANDS_BYTES;
use super::at_subscribe::AtSubscribe;
use super::barriers::{ANSWERED_WITHIN, Barriers, By};
use super::commands::{Answer, Commands};
use super::identities::{Chosen, Identities};
use super::leaving::Leaving;
use super::limits::Limits;
use super::offered;
use super::pace::Pace;
use super::shared::{Asked, Shared};
use super::unread::unread;
use crate::DriverEvent;
use crate::mirror::{NodeId, SessionEvent};
use crate::session_failure::{Ended, SessionFailure};

/// The network side of one session.
pub(super) struct Task {
    pub(super) node: NodeId,
    /// `group/edge_node`.
    pub(super) name: String,
    pub(super) generation: u64,
    pub(super) client: Publisher,
    pub(super) commands: Commands,
    pub(super) broker: Box<str>,
    pub(super) user: Option<String>,
    pub(super) keep_alive: Duration,
    pub(super) connect_within: Duration,
    pub(super) protocol: Protocol,
    pub(super) has_tls: bool,
    pub(super) chosen: Chosen,
    pub(super) identities: Arc<Mutex<Identities>>,
    pub(super) barriers: Arc<Barriers>,
    pub(super) at_subscribe: Arc<Mutex<AtSubscribe>>,
    /// UNSUBSCRIBEs without an answer.
    pub(super) asked: u64,
    /// The first of them is to find out whether there are answers.
    pub(super) probes: bool,
    pub(super) addresses: Arc<Addresses>,
    pub(super) limits: Limits,
    /// How fast it may publish, where the broker takes only so much.
    pub(super) pace: Option<Pace>,
    pub(super) mark: Mark,
    /// Answers that the broker owes us: after the CONNACK, the SUBACK first.
    pub(super) owed: u64,
    /// What is owed an answer has left when so many bytes have.
    pub(super) owed_behind: u64,
    pub(super) progress: Progress,
    pub(super) shared: Arc<Shared>,
    pub(super) events: UnboundedSender<DriverEvent>,
    pub(super) queued_bytes: Arc<AtomicUsize>,
    pub(super) waiting_bytes: Arc<AtomicUsize>,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Progress {
    Connecting,
    /// The broker took it; the subscription has no answer.
    Subscribing,
    Ready,
}

/// How a session ended.
enum End {
    /// DISCONNECT was sent behind an acknowledged NDEATH.
    Closed,
    Failed(Error),
    /// We dropped the socket; the broker sends the will.
    GivenUp(String),
    /// The same before the session stood, as another server is used now.
    Left,
}

impl Task {
    pub(super) async fn run(mut self, mut connection: Connection) {
        match self.converse(&mut connection).await {
            End::Closed if !self.is_leaving() => return self.forward(SessionEvent::Closed),
            End::Closed | End::Left => {}
            End::Failed(error) if self.shared.closing.load(Ordering::Acquire) => {
                tracing::debug!(target: "it", node = self.node.0, %error,
                    "session ended while closing");
            }
            End::Failed(error) => self.report(&error),
            End::GivenUp(_) if self.is_leaving() => {}
            End::GivenUp(why) => self.failed(ConnectFailure::other(why), None, Ended::Otherwise),
        }
        // The driver may open the next session at this word: by then the socket is gone.
        drop(connection);
        self.forget_queue();
        let connect_sent = self.shared.traffic.accepted() > 0;
        self.forward(SessionEvent::Lost { connect_sent });
    }

    async fn converse(&mut self, connection: &mut Connection) -> End {
        let shared = Arc::clone(&self.shared);
        let mut closed_by = pin!(sleep(self.limits.close_within));
        // Goes off when the broker may have been silent for too long; whether it has is decided
        // then. Setting it anew with every answer would cost more than the answer. Until there is a
        // session it is the silence before the CONNACK, which is only told.
        let mut silent = pin!(sleep(Duration::ZERO));
        let mut may_be_told = true;
        let mut heard = Instant::now();
        let (mut owed_left, mut death_left) = (Leaving::default(), Leaving::default());
        let mut probed_by = pin!(sleep(Duration::ZERO));
        let mut again = pin!(sleep(Duration::ZERO));
        let mut closing = false;
        let mut said_goodbye = false;
        loop {
            if let Some(wait) = self.pace.as_ref().and_then(|pace| pace.wait(Instant::now())) {
                sleep(wait).await;
            }
            let event = {
                // One poll is never given up for a wake-up: it may have taken a request already.
                let mut poll = pin!(connection.poll());
                loop {
                    if shared.given_up.load(Ordering::Acquire) {
                        let bytes = self.limits.session_bytes;
                        return End::GivenUp(format!(
                            "the IT broker takes publications too slowly: more than {bytes} bytes \
                             wait"
                        ));
                    }
                    if self.progress != Progress::Ready && self.is_leaving() {
                        return End::Left;
                    }
                    if !closing && shared.closing.load(Ordering::Acquire) {
                        closing = true;
                        closed_by.set(sleep(self.limits.close_within));
                    }
                    if shared.ask_again.swap(false, Ordering::AcqRel) && !closing {
                        self.commands.hasten(Instant::now());
                        again.set(sleep(Duration::ZERO));
                    }
                    if closing && !said_goodbye && shared.may_disconnect() {
                        said_goodbye = true;
                        let _ = self.client.disconnect();
                    }
                    tokio::select! {
                        biased;
                        event = &mut poll => break event,
                        () = shared.wake.notified() => {}
                        () = &mut closed_by, if closing => {
                            if !death_left.has_waited(shared.traffic.waiting() == 0) {
                                closed_by.set(sleep(self.limits.close_within));
                                continue;
                            }
                            let why = "the IT broker did not acknowledge an NDEATH in time";
                            return End::GivenUp(why.to_owned());
                        }
                        () = &mut again, if self.commands.due().is_some() && !closing => {
                            self.ask_again();
                        }
                        () = &mut probed_by, if self.probes && self.progress == Progress::Ready => {
                            self.unanswered();
                        }
                        () = &mut silent, if self.owed > 0 || may_be_told => {
                            if self.owed == 0 {
                                let said = shared.traffic.silence(self.connect_within);
                                match said {
                                    Silence::In(left) => silent.set(sleep(left)),
                                    Silence::Tell(error) => {
                                        may_be_told = false;
                                        let _ = self.events.send(DriverEvent::BrokerSilent(error));
                                    }
                                    Silence::Over => may_be_told = false,
                                }
                                continue;
                            }
                            let now = Instant::now();
                            let has_left = shared.traffic.released() >= self.owed_behind;
                            // The time counts from when the request has left.
                            if !owed_left.has_waited(has_left) {
                                heard = now;
                            }
                            let until = heard.checked_add(self.limits.answer_within);
                            match until.filter(|until| *until > now) {
                                Some(until) => silent.as_mut().reset(until),
                                None => return End::GivenUp(self.owes()),
                            }
                        }
                    }
                }
            };
            while let Some(odd) = shared.traffic.take_odd() {
                event!(AnswerImpossible, problem = odd.to_string(), broker = &*self.broker);
            }
            offered::tell_refusals(&shared.traffic, &self.broker, &self.name);
            match event {
                Ok(Event::Sent(Sent::Disconnect)) => return End::Closed,
                Ok(Event::Connected { .. }) if !offered::has_qos_1(&shared.traffic) => {
                    return End::GivenUp(offered::NO_QOS_1.to_owned());
                }
                Ok(event) => {
                    let is_suback = matches!(event, Event::Subscribed { .. });
                    let was_ready = self.progress == Progress::Ready;
                    let owed = self.owed;
                    let answered = self.event(event);
                    if is_suback || !was_ready && self.progress == Progress::Ready {
                        probed_by.set(sleep(ANSWERED_WITHIN));
                        if let Some(due) = self.commands.due() {
                            again.set(sleep_until(due));
                        }
                    }
                    // What becomes owed now is owed from now on.
                    if answered || (owed == 0 && self.owed > 0) {
                        heard = Instant::now();
                        self.owed_behind = shared.traffic.accepted();
                        if owed == 0 {
                            silent.as_mut().reset(
                                heard.checked_add(self.limits.answer_within).unwrap_or(heard),
                            );
                        }
                    }
                }
                Err(error) => return End::Failed(error),
            }
        }
    }

    fn is_leaving(&self) -> bool {
        self.shared.leaving.load(Ordering::Acquire)
    }

    /// Takes one event; true if it is an answer that the broker owed.
    fn event(&mut self, event: Event) -> bool {
        match event {
            Event::Connected { .. } => self.connected(),
            Event::Subscribed { id, grants } => {
                match self.shared.suback() {
                    Asked::Barrier => self.forward(SessionEvent::Confirmed),
                    Asked::Commands => self.subscribed(id, &grants),
                }
                return self.answered();
            }
            // Of what was asked before it was known that there is no answer.
            Event::Unsubscribed if self.asked == 0 => {}
            Event::Unsubscribed => {
                self.asked = self.asked.saturating_sub(1);
                if std::mem::take(&mut self.probes) {
                    self.barriers.learn(true);
                } else {
                    self.forward(SessionEvent::Confirmed);
                }
                return self.answered();
            }
            Event::Acknowledged => {
                self.shared.acked.fetch_add(1, Ordering::SeqCst);
                if self.shared.passes_barrier() {
                    self.forward(SessionEvent::Confirmed);
                }
                return self.answered();
            }
            // What is said at a server that is left counts no more.
            Event::Message(_) if self.is_leaving() => {}
            Event::Message(message) => {
                if self.waiting_bytes.load(Ordering::Relaxed) >= WAITING_COMMANDS_BYTES {
                    return false;
                }
                let topic = String::from_utf8_lossy(&message.topic).into_owned();
                let retained = message.retain;
                let acknowledged = message.ack.is_some();
                let payload = message.payload;
                let unread =
                    unread(&self.mark, &self.broker, (&topic, &payload), retained, acknowledged);
                let event =
                    unread.unwrap_or(SessionEvent::Received { topic, payload, retain: retained });
                self.waiting_bytes.fetch_add(event.published_bytes(), Ordering::Relaxed);
                self.forward(event);
            }
            Event::Sent(Sent::Publication { is_answered }) => {
                if let Some(pace) = &mut self.pace {
                    pace.left(Instant::now());
                }
                if is_answered {
                    self.owed = self.owed.saturating_add(1);
                }
                let written = match self.shared.queue.lock() {
                    Ok(mut queue) => {
                        let written = queue.sizes.pop_front().unwrap_or(0);
                        queue.bytes = queue.bytes.saturating_sub(written);
                        if queue.urgent > 0 {
                            queue.urgent = queue.urgent.saturating_sub(1);
                            self.shared.traffic.hurry(queue.urgent > 0);
                        }
                        written
                    }
                    Err(_) => 0,
                };
                self.queued_bytes.fetch_sub(written, Ordering::Relaxed);
            }
            Event::Sent(Sent::Unsubscribe) => {
                self.asked = self.asked.saturating_add(1);
                self.owed = self.owed.saturating_add(1);
            }
            // The first one is owed an answer from the CONNACK on.
            Event::Sent(Sent::Subscribe) if self.progress == Progress::Ready => {
                self.owed = self.owed.saturating_add(1);
            }
            _ => {}
        }
        false
    }

    /// The broker takes the session.
    fn connected(&mut self) {
        self.progress = Progress::Subscribing;
        self.owed = 1;
        let _ = self.events.send(DriverEvent::Offered(offered::words(&self.shared.traffic)));
        let learnt = match self.identities.lock() {
            Ok(mut identities) => identities.taken(self.node, &self.chosen),
            Err(_) => false,
        };
        if learnt {
            event!(ClientIdShort, broker = &*self.broker, client_id = &*self.chosen.id);
        }
        let known = self.at_subscribe.lock().ok();
        let ends = known.and_then(|known| known.ends_sessions(Instant::now()));
        if let Some(ends) = ends {
            self.owed = 0;
            self.forgo(ends);
        } else {
            offered::leave_wildcards(&self.shared.traffic, &self.broker, &mut self.commands);
            let filters = self.commands.first().to_vec();
            self.shared.subscribes(Asked::Commands);
            let _ = self.client.subscribe(filters, Qos::AtLeastOnce);
        }
        if self.barriers.by() == By::Unknown {
            self.probes = true;
            self.barriers.ask(&self.client, &self.shared);
        }
    }

    /// The broker has answered the subscription, and doesn't answer what was asked with it: it is asked
    /// in another way from now on.
    fn unanswered(&mut self) {
        self.probes = false;
        // Nobody else has found out otherwise.
        if self.barriers.by() != By::Unsubscribe && self.barriers.learn(false) {
            tracing::debug!(target: "it", broker = &*self.broker,
                "the broker answers no UNSUBSCRIBE of what isn't subscribed to");
        }
        let asked = std::mem::take(&mut self.asked);
        self.owed = self.owed.saturating_sub(asked);
        // The first one was the question itself.
        for _ in 1..asked {
            self.barriers.ask(&self.client, &self.shared);
        }
    }

    /// Asks again for what the broker has refused.
    fn ask_again(&mut self) {
        let filters = self.commands.again().to_vec();
        if !filters.is_empty() {
            self.shared.subscribes(Asked::Commands);
            let _ = self.client.subscribe(filters, Qos::AtLeastOnce);
        }
    }

    /// The session is served without commands: the broker has ended so many in a row at their filters.
    fn forgo(&mut self, ends: u32) {
        self.commands.forgone();
        let (filters, broker) = (self.commands.names(), &*self.broker);
        let error = format!(
            "the broker ended {ends} connections in a row at our SUBSCRIBE, as brokers do whose access \
             list doesn't allow it; the session is served without"
        );
        event!(SubscriptionRefused, broker, filters, error);
        let _ = self.events.send(DriverEvent::Subscribed { node: self.node, refused: true });
        self.progress = Progress::Ready;
        self.forward(SessionEvent::Ready);
    }

    /// What the broker hasn't answered.
    fn owes(&self) -> String {
        let seconds = self.limits.answer_within.as_secs();
        let what = match self.progress == Progress::Subscribing || self.commands.is_asking() {
            true => format!(" to our SUBSCRIBE of {} (node {})", self.commands.names(), self.name),
            false => String::new(),
        };
        format!(
            "the IT broker owes an answer{what} and gave none for {seconds} s (`answer-timeout-s`)"
        )
    }

    fn subscribed(&mut self, id: u16, grants: &[Grant]) {
        if let Ok(mut known) = self.at_subscribe.lock() {
            known.answered();
        }
        let granted: Vec<bool> = grants.iter().map(|grant| *grant != Grant::Refused).collect();
        let Answer { refused, granted } = self.commands.answered(Instant::now(), &granted);
        if !refused.is_empty() {
            let codes = self.shared.traffic.take_codes(id);
            let error =
                codes.and_then(|said| broker::filter_refusal(&said.codes, said.text.as_deref()));
            let filters = refused.join(", ");
            event!(SubscriptionRefused, broker = &*self.broker, filters, error);
        }
        if !granted.is_empty() {
            event!(SubscriptionGranted, broker = &*self.broker, filters = granted.join(", "));
        }
        let event =
            DriverEvent::Subscribed { node: self.node, refused: self.commands.is_refused() };
        let _ = self.events.send(event);
        if std::mem::replace(&mut self.progress, Progress::Ready) != Progress::Ready {
            self.forward(SessionEvent::Ready);
        }
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

    fn report(&self, error: &Error) {
        tracing::debug!(target: "it", node = self.node.0, %error, "session ended");
        let (client_id, user) = (&*self.chosen.id, self.user.as_deref());
        let (keep_alive, protocol) = (self.keep_alive, self.protocol);
        let refused = Refused { client_id, keep_alive, protocol, user };
        let mut failure = error.failure(refused);
        let mut beside = None;
        let by_broker = error.is_ended_by_broker();
        let at_subscribe = self.progress == Progress::Subscribing
            || (self.progress == Progress::Ready && by_broker && self.commands.is_asking());
        let ended = match self.progress {
            Progress::Connecting => {
                self.addresses.turn();
                let spoken = self.shared.traffic.accepted() > 0;
                if spoken && by_broker && self.shared.traffic.heard() == 0 {
                    beside = Some(broker::unanswered_beside(&failure.text));
                    failure.text = broker::unanswered(&failure.text, self.protocol, self.has_tls);
                }
                let refusal = error.refusal(spoken);
                if let Ok(mut identities) = self.identities.lock() {
                    identities.refused(self.node, &self.chosen, refusal);
                }
                Ended::BeforeSession
            }
            _ if at_subscribe => {
                let filters = self.commands.names();
                failure.text =
                    format!("{}; our SUBSCRIBE of {filters} had no answer", failure.text);
                if by_broker && let Ok(mut known) = self.at_subscribe.lock() {
                    known.ended(Instant::now(), self.node);
                }
                Ended::AtSubscribe
            }
            _ if by_broker => Ended::ByBroker,
            _ => Ended::Otherwise,
        };
        self.failed(failure, beside, ended);
    }

    fn failed(&self, failure: ConnectFailure, beside: Option<String>, ended: Ended) {
        let (name, client_id) = (self.name.clone(), Arc::clone(&self.chosen.id));
        let failure = SessionFailure { node: self.node, name, client_id, failure, beside, ended };
        let _ = self.events.send(DriverEvent::SessionFailed(Box::new(failure)));
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

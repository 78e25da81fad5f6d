//! MQTT sessions of mirrored edge nodes.
//!
//! Every session is one connection with its own client identifier and will, driven by one task.
//! The driver publishes through [`Sessions`]; what happens comes back over one channel. Driver
//! and tasks share a thread: a message crosses no channel between threads on its way to the
//! socket, and wakes nobody.

mod at_subscribe;
mod barriers;
mod commands;
mod identities;
mod leaving;
mod limits;
mod offered;
mod pace;
mod shared;
mod task;
mod unread;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use at_subscribe::AtSubscribe;
use barriers::Barriers;
use broker::{BrokerSettings, Credentials, InUse, Server, Stay, TlsSettings};
use bytes::Bytes;
use client::{Attempt, Connection, Five, Login, Naming, Options, Publisher, Will, publisher};
use commands::Commands;
use identities::Identities;
use limits::{Limits, PUBLICATION_BYTES};
pub(crate) use limits::{
    MAX_QUEUED_BYTES, MAX_SESSION_BYTES, SESSION_BYTES, WAITING_COMMANDS_BYTES,
};
use pace::Pace;
use shared::Shared;
use stream::{Budget, Framing, Mark, Patience, Traffic};
use task::{Progress, Task};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;

use crate::DriverEvent;
use crate::mirror::{NodeId, Qos, SessionEvent, SessionSpec};
use crate::pool::Pool;

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
    /// What the next three know was learnt in this stay.
    stay: Stay,
    /// What all sessions may send.
    budget: Option<Arc<Budget>>,
    identities: Arc<Mutex<Identities>>,
    barriers: Arc<Barriers>,
    at_subscribe: Arc<Mutex<AtSubscribe>>,
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
    taken_bytes: Arc<AtomicU64>,
    waiting_bytes: Arc<AtomicUsize>,
}

/// One session: the driver's end of it.
#[derive(Debug)]
struct Live {
    client: Publisher,
    generation: u64,
    shared: Arc<Shared>,
    /// Publications at QoS 1 handed over so far.
    published: u64,
    /// The stay with a server that it is of.
    stay: Stay,
    /// Its NDEATH: topic and payload.
    death: (Arc<str>, Vec<u8>),
    /// Its server isn't used any more: nothing follows its NDEATH.
    left: bool,
    /// Bytes that may wait beside what the limit allows: births, and one publication.
    allowance: usize,
    largest: usize,
    task: tokio::task::JoinHandle<()>,
}

impl Sessions {
    pub(super) fn new(
        broker: BrokerSettings,
        bytes_per_s: Option<NonZeroU32>,
        runtime: Handle,
        events: UnboundedSender<DriverEvent>,
    ) -> Self {
        Sessions {
            stay: broker.servers.in_use().stay,
            budget: bytes_per_s.map(Budget::new),
            identities: Arc::new(Mutex::new(Identities::new(broker.client_id_form))),
            barriers: Arc::default(),
            at_subscribe: Arc::default(),
            limits: Limits::of(broker.max_packet_bytes, broker.answer_within),
            broker,
            mark: Mark::new(),
            password: None,
            runtime,
            events,
            live: HashMap::new(),
            generation: 0,
            queued_bytes: Arc::default(),
            taken_bytes: Arc::default(),
            waiting_bytes: Arc::default(),
        }
    }

    /// Reads the password for the next session; where that fails, the earlier one is tried.
    fn take_password(&mut self) {
        let credentials = self.broker.credentials.as_ref();
        let Some(password) = credentials.and_then(|known| known.password.as_ref()) else { return };
        match password() {
            Ok(password) => self.password = Some(password),
            Err(error) => {
                let _ = self.events.send(DriverEvent::SecretUnreadable(error));
            }
        }
    }

    fn login(&self) -> Option<Login> {
        match (&self.broker.credentials, &self.password) {
            (Some(Credentials { user, password: None }), _) => Some(Login::User(user.clone())),
            (Some(Credentials { user, .. }), Some(password)) => {
                Some(Login::Password(user.clone(), password.clone()))
            }
            // No password could be read yet, or nobody is to log in.
            (Some(_) | None, _) => None,
        }
    }

    fn client(
        &self,
        server: &Arc<Server>,
        spec: &SessionSpec,
        client_id: &str,
        traffic: &Arc<Traffic>,
    ) -> (Publisher, Connection) {
        let broker = &self.broker;
        let protocol = broker.protocol;
        let options = Options {
            protocol,
            max_incoming_bytes: Framing::client_limit(MAX_INCOMING_BYTES),
            max_outgoing_bytes: broker.max_packet_bytes.saturating_mul(OUTGOING_FACTOR),
            // One that is paced takes one after the other.
            request_batch: broker.publishes_per_s.map_or(REQUEST_BATCH, |_| 1),
            five: Five {
                // Sparkplug 3.0, `principles-persistence-clean-session-50`.
                session_expiry: Duration::ZERO,
                receive_maximum: None,
                announces_max_packet: broker.five.announces_max_packet,
                has_topic_aliases: broker.five.has_topic_aliases,
            },
        };
        let attempt = Attempt {
            client_id: client_id.to_owned(),
            is_clean: true,
            keep_alive: broker.keep_alive,
            login: self.login(),
        };
        let will =
            Will { topic: spec.will_topic.as_ref().into(), payload: spec.will_payload.clone() };
        let server = Arc::clone(server);
        let patience = Patience { keep_alive: broker.keep_alive, connack: broker.connect_within };
        // TLS is made here and not by the client: what it reads is watched behind the decryption.
        let tls = server.tls.as_ref().map(TlsSettings::now);
        let (traffic, mark) = (Arc::clone(traffic), self.mark.clone());
        let budget = self.budget.clone();
        publisher(&options, attempt, will, move || {
            let (server, tls) = (Arc::clone(&server), tls.clone());
            let (traffic, budget) = (Arc::clone(&traffic), budget.clone());
            let framing = Framing::new(MAX_INCOMING_BYTES, mark.clone()).speaking(protocol);
            async move {
                let all = server.addresses.in_turn();
                let (stream, address) = stream::dial(all, patience.connack, &traffic).await?;
                server.addresses.found(address);
                let opened = stream::open(stream, tls, framing, patience, traffic).await?;
                let opened = opened.without_reading_ahead().with_answers_counted();
                Ok(opened.within(budget.as_ref()))
            }
        })
    }
}

/// Of one that is published to often; births and deaths are seldom.
fn is_data(topic: &str) -> bool {
    topic.split('/').nth(2).is_some_and(|kind| ["NDATA", "DDATA"].contains(&kind))
}

impl Pool for Sessions {
    fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    fn taken_bytes(&self) -> u64 {
        self.taken_bytes.load(Ordering::Relaxed)
    }

    fn queued_bytes_of_others(&self) -> usize {
        let most = self.live.values().map(|live| live.shared.queued_bytes()).max().unwrap_or(0);
        self.queued_bytes().saturating_sub(most)
    }

    fn open(&mut self, node: NodeId, spec: SessionSpec) {
        self.generation = self.generation.wrapping_add(1);
        let generation = self.generation;
        let (queued, taken) = (Arc::clone(&self.queued_bytes), Arc::clone(&self.taken_bytes));
        let shared = Arc::new(Shared::new(Arc::new(Traffic::new(queued, taken))));
        self.take_password();
        let InUse { server, stay } = self.broker.servers.in_use();
        if stay != self.stay {
            // It may be another kind of broker.
            self.stay = stay;
            (self.barriers, self.at_subscribe) = (Arc::default(), Arc::default());
        }
        let name = format!("{}/{}", spec.group, spec.edge_node);
        let readable = format!("{}/{name}", self.broker.client_id);
        let chosen = match self.identities.lock() {
            Ok(identities) => identities.choose(node, &readable),
            Err(_) => {
                return mistake::mistake!("a thread panicked with the identifiers in its hands");
            }
        };
        let (client, connection) = self.client(&server, &spec, &chosen.id, &shared.traffic);
        let task = Task {
            node,
            name,
            generation,
            client: client.clone(),
            commands: Commands::new(spec.subscriptions),
            broker: server.address().into(),
            user: self.broker.credentials.as_ref().map(|credentials| credentials.user.clone()),
            keep_alive: self.broker.keep_alive,
            connect_within: self.broker.connect_within,
            protocol: self.broker.protocol,
            has_tls: server.tls.is_some(),
            chosen,
            identities: Arc::clone(&self.identities),
            barriers: Arc::clone(&self.barriers),
            at_subscribe: Arc::clone(&self.at_subscribe),
            asked: 0,
            probes: false,
            addresses: Arc::clone(&server.addresses),
            limits: self.limits,
            pace: self.broker.publishes_per_s.map(Pace::new),
            mark: self.mark.clone(),
            owed: 0,
            owed_behind: 0,
            progress: Progress::Connecting,
            shared: Arc::clone(&shared),
            events: self.events.clone(),
            queued_bytes: Arc::clone(&self.queued_bytes),
            waiting_bytes: Arc::clone(&self.waiting_bytes),
        };
        let task = self.runtime.spawn(task.run(connection));
        let live = Live {
            client,
            generation,
            shared,
            published: 0,
            stay,
            death: (spec.will_topic, spec.will_payload),
            left: false,
            allowance: spec.birth_bytes,
            largest: 0,
            task,
        };
        self.live.insert(node, live);
    }

    fn publish(&mut self, node: NodeId, topic: Arc<str>, payload: Vec<u8>, qos: Qos) {
        // A session that ended isn't there any more; the mirror hears of that next.
        let Some(live) = self.live.get_mut(&node).filter(|live| !live.left) else { return };
        let bytes = payload.len().saturating_add(topic.len()).saturating_add(PUBLICATION_BYTES);
        {
            let Ok(mut queue) = live.shared.queue.lock() else {
                return mistake::mistake!("a thread panicked with a queue in its hands");
            };
            if queue.ended || live.shared.given_up.load(Ordering::Acquire) {
                return;
            }
            let before = queue.bytes.saturating_add(live.shared.traffic.waiting());
            // Births, and a single publication, may be as large as they like: the journal bounds
            // them, and they may take their time.
            live.largest = live.largest.max(bytes);
            let allowed = self
                .limits
                .session_bytes
                .saturating_add(live.allowance)
                .saturating_add(live.largest);
            if before.saturating_add(bytes) > allowed {
                live.shared.given_up.store(true, Ordering::Release);
                live.shared.wake.notify_one();
                return;
            }
            queue.bytes = queue.bytes.saturating_add(bytes);
            queue.sizes.push_back(bytes);
            self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        let qos = match qos {
            Qos::AtMostOnce => client::Qos::AtMostOnce,
            Qos::AtLeastOnce => {
                live.published = live.published.saturating_add(1);
                client::Qos::AtLeastOnce
            }
        };
        // The client ends only with the task, whose end is reported.
        let naming = if is_data(&topic) { Naming::Short } else { Naming::Full };
        let _ = live.client.publish(&topic, payload, qos, naming);
    }

    fn hurry(&mut self, node: NodeId) {
        // Without a budget everybody sends what there is.
        let Some(live) = self.live.get(&node).filter(|_| self.budget.is_some()) else { return };
        if let Ok(mut queue) = live.shared.queue.lock() {
            queue.urgent = queue.sizes.len();
            live.shared.traffic.hurry(queue.urgent > 0);
        }
        // It may wait for its turn among the others.
        live.shared.wake.notify_one();
    }

    fn barrier(&mut self, node: NodeId, data_qos: Qos) {
        let Some(live) = self.live.get_mut(&node).filter(|live| !live.left) else { return };
        match data_qos {
            Qos::AtMostOnce => {
                self.barriers.ask(&live.client, &live.shared);
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

    fn close(&mut self, node: NodeId) {
        let Some(live) = self.live.get(&node) else { return };
        live.shared.acks_to_close.store(live.published, Ordering::Release);
        live.shared.closing.store(true, Ordering::Release);
        live.shared.wake.notify_one();
    }

    fn leave_server(&mut self) {
        let servers = Arc::clone(&self.broker.servers);
        let left =
            self.live.iter().filter(|(_, live)| !live.left && !servers.is_current(live.stay));
        let left: Vec<NodeId> = left.map(|(node, _)| *node).collect();
        for node in left {
            let Some((topic, payload)) = self.live.get(&node).map(|live| live.death.clone()) else {
                continue;
            };
            self.publish(node, topic, payload, Qos::AtLeastOnce);
            if let Some(live) = self.live.get_mut(&node) {
                live.left = true;
                live.shared.leaving.store(true, Ordering::Release);
            }
            self.close(node);
        }
    }

    fn has_left(&self, node: NodeId) -> bool {
        self.live.get(&node).is_some_and(|live| live.left)
    }

    fn is_current(&mut self, node: NodeId, generation: u64, ended: bool) -> bool {
        if self.live.get(&node).is_none_or(|live| live.generation != generation) {
            return false;
        }
        if ended {
            self.live.remove(&node);
        }
        true
    }

    fn ask_again(&mut self) {
        if let Ok(mut known) = self.at_subscribe.lock() {
            known.ask_again();
        }
        for live in self.live.values() {
            live.shared.ask_again.store(true, Ordering::Release);
            live.shared.wake.notify_one();
        }
    }

    fn commands_taken(&self, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn abort(&mut self) {
        for (_, live) in self.live.drain() {
            live.task.abort();
        }
    }
}

#[cfg(test)]
mod tests;

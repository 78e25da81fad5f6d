//! Whether the IT broker can be had, judged by thousands of sessions: it is up when the first of them
//! stands, and down when one fails while no other stands. And what their ends have in common: another
//! client under the same identifier, sessions that exclude each other, fewer sessions than nodes.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use broker::{ConnectFailure, FailureKind};
use telemetry::event;
use text::counted;

use crate::mirror::NodeId;
use crate::session_failure::{Ended, SessionFailure};

/// A node's sessions that the broker ended and took again at once: from so many on …
const TAKEN_OVER_FROM: usize = 3;
/// … within this it is told.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(600);
/// An end and a beginning are no further apart, where one is for the other.
const TOGETHER: Duration = Duration::from_secs(5);
/// Ends that go with the beginning of another session: from so many on, of more than one node …
const EXCLUSIONS_FROM: usize = 4;
/// … within this it is told.
const EXCLUSIONS_WITHIN: Duration = Duration::from_secs(60);
/// Such ends are told once they have gone on for this long: a broker that comes back does the same to
/// many sessions at once.
const EXCLUSIONS_AFTER: Duration = Duration::from_secs(10);
/// Sessions of ours that stood together for this long don't exclude each other …
const STOOD_TOGETHER: Duration = Duration::from_secs(1);
/// … for as long as this.
const TOGETHER_PROVES: Duration = Duration::from_secs(600);
/// How long nodes are without a session while others stand, until it is told.
const LIMITED_AFTER: Duration = Duration::from_secs(10);
/// A refusal that is older says nothing of now.
const RECENT: Duration = Duration::from_secs(150);
/// A session that ends at its births once may be chance.
const BIRTH_ENDS_FROM: u32 = 2;
/// What lasts is told again after this.
const TOLD_EVERY: Duration = Duration::from_secs(600);

/// Watches the sessions.
#[derive(Debug)]
pub(super) struct BrokerWatch {
    broker: String,
    ready: HashSet<NodeId>,
    noticed_up: bool,
    /// Nodes whose commands the broker doesn't let us subscribe to.
    uncommanded: HashSet<NodeId>,
    /// Nodes whose sessions the broker has ended lately.
    ended: HashMap<NodeId, EndedNode>,
    last_ready: Option<(Duration, NodeId)>,
    last_ended: Option<(Duration, NodeId)>,
    exclusions: VecDeque<(Duration, NodeId)>,
    exclusions_told: Option<Duration>,
    /// Since when more than one session stands.
    several_since: Option<Duration>,
    /// More than one have stood together for a while last.
    several_at: Option<Duration>,
    /// The last refusal of each node's session that isn't one of the login.
    refusals: HashMap<NodeId, Refused>,
    /// What it says of itself, since it is used; empty: nothing.
    offers: String,
    /// Nodes whose last sessions ended before their births were confirmed, when, and how often.
    births_end: HashMap<String, (Duration, u32)>,
    /// Since when nodes are without a session while others stand.
    limited_since: Option<Duration>,
    limited_told: Option<Duration>,
}

/// A session that the broker didn't take.
#[derive(Debug)]
struct Refused {
    at: Duration,
    name: String,
    client_id: Arc<str>,
    error: String,
    /// By a code, and not by the end of the connection.
    in_words: bool,
}

/// A node whose sessions the broker has ended.
#[derive(Debug)]
struct EndedNode {
    name: String,
    client_id: Arc<str>,
    /// It has ended the last one; the next attempt is to come.
    last: bool,
    /// When it took the next one at once.
    taken: VecDeque<Duration>,
}

impl BrokerWatch {
    pub(super) fn new(broker: String) -> BrokerWatch {
        BrokerWatch {
            broker,
            ready: HashSet::new(),
            noticed_up: false,
            uncommanded: HashSet::new(),
            ended: HashMap::new(),
            last_ready: None,
            last_ended: None,
            exclusions: VecDeque::new(),
            exclusions_told: None,
            several_since: None,
            several_at: None,
            refusals: HashMap::new(),
            offers: String::new(),
            births_end: HashMap::new(),
            limited_since: None,
            limited_told: None,
        }
    }

    /// All sessions go to another server, `broker`. What ended at the one before wasn't ended by others.
    pub(super) fn server_changed(&mut self, broker: String) {
        (self.broker, self.noticed_up) = (broker, false);
        (self.last_ready, self.last_ended) = (None, None);
        self.ended.values_mut().for_each(|ended| ended.last = false);
        self.refusals.clear();
        self.uncommanded.clear();
        self.offers.clear();
    }

    /// What the broker says to a session that begins.
    pub(super) fn offered(&mut self, offers: String) {
        self.offers = offers;
    }

    /// Any session stands.
    pub(super) fn stands(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A session stands.
    pub(super) fn ready(&mut self, now: Duration, node: NodeId) {
        self.ready.insert(node);
        self.refusals.remove(&node);
        self.look_at_several(now);
        if !std::mem::replace(&mut self.noticed_up, true) {
            let offers = Some(&*self.offers).filter(|offers| !offers.is_empty());
            event!(BrokerUp, broker = self.broker, offers);
        }
        self.last_ready = Some((now, node));
        if let Some((at, ended)) = self.last_ended
            && ended != node
            && self.ready.len() <= 1
            && now.saturating_sub(at) <= TOGETHER
        {
            self.last_ended = None;
            self.excludes(now, ended);
        }
        self.taken_again(now, node);
    }

    /// Whether the broker lets a session subscribe to its commands.
    pub(super) fn subscribed(&mut self, node: NodeId, refused: bool) {
        if refused {
            self.uncommanded.insert(node);
        } else {
            self.uncommanded.remove(&node);
        }
    }

    /// A session ended before its births were confirmed, for the so many-th time in a row: that is
    /// what it ended by, and nobody took it over.
    pub(super) fn births_ended(&mut self, now: Duration, node: &str, times: u32) {
        self.births_end.retain(|_, (at, _)| now.saturating_sub(*at) <= RECENT);
        self.births_end.insert(node.to_owned(), (now, times));
        if let Some(ended) = self.ended.values_mut().find(|ended| ended.name == node) {
            ended.last = false;
        }
    }

    /// Notes whether more than one session has stood for a while.
    fn look_at_several(&mut self, now: Duration) {
        if self.several_since.is_some_and(|at| now.saturating_sub(at) >= STOOD_TOGETHER) {
            self.several_at = Some(now);
            self.exclusions.clear();
        }
        if self.ready.len() < 2 {
            self.several_since = None;
        } else if self.several_since.is_none() {
            self.several_since = Some(now);
        }
    }

    /// A session ended, for whatever reason.
    pub(super) fn ended(&mut self, node: NodeId) {
        self.ready.remove(&node);
        self.uncommanded.remove(&node);
    }

    /// No password can be had.
    pub(super) fn secret_unreadable(error: &str) {
        event!(SecretUnreadable, error);
    }

    /// The broker says nothing to somebody who waits for a session.
    pub(super) fn silent(&mut self, error: &str) {
        if self.ready.is_empty() {
            self.noticed_up = false;
            event!(BrokerDown, broker = self.broker, error);
        }
    }

    /// A session failed. Where others stand it is that session's affair.
    pub(super) fn failed(&mut self, now: Duration, failed: &SessionFailure) {
        let SessionFailure { node, name, client_id, failure, beside, ended } = failed;
        self.look_at_several(now);
        self.ended(*node);
        self.look_at_several(now);
        let ConnectFailure { kind, text: error } = failure;
        let error = beside.as_ref().filter(|_| self.stands()).unwrap_or(error);
        let (broker, client_id) = (self.broker.as_str(), &**client_id);
        match kind {
            FailureKind::Tls => event!(TlsRefused, broker, error),
            FailureKind::Login | FailureKind::Identifier => {
                event!(LoginRefused, broker, error, client_id, node = name);
            }
            FailureKind::Later if self.ready.is_empty() => {
                event!(BrokerDownForNow, broker, error, client_id, node = name);
            }
            FailureKind::Other if self.ready.is_empty() => {
                event!(BrokerDown, broker, error);
            }
            FailureKind::Later | FailureKind::Other => {
                tracing::debug!(target: "it", node = name, error, "a session failed; others stand");
            }
        }
        if self.ready.is_empty() {
            self.noticed_up = false;
        }
        match (ended, kind) {
            (Ended::ByBroker, _) => self.ended_by_broker(now, failed),
            (
                Ended::BeforeSession | Ended::AtSubscribe,
                FailureKind::Later | FailureKind::Other,
            ) => {
                self.refusals.retain(|_, one| now.saturating_sub(one.at) <= RECENT);
                let (name, client_id) = (name.clone(), Arc::clone(&failed.client_id));
                let (error, in_words) = (error.clone(), *kind == FailureKind::Later);
                let refused = Refused { at: now, name, client_id, error, in_words };
                self.refusals.insert(*node, refused);
            }
            _ => {}
        }
        if *ended != Ended::ByBroker
            && let Some(ended) = self.ended.get_mut(node)
        {
            ended.last = false;
        }
    }

    fn ended_by_broker(&mut self, now: Duration, failed: &SessionFailure) {
        let SessionFailure { node, name, client_id, .. } = failed;
        let ended = self.ended.entry(*node).or_insert_with(|| EndedNode {
            name: name.clone(),
            client_id: Arc::clone(client_id),
            last: false,
            taken: VecDeque::new(),
        });
        ended.last = true;
        match self.last_ready {
            Some((at, other))
                if other != *node
                    && self.ready.len() <= 1
                    && now.saturating_sub(at) <= TOGETHER =>
            {
                self.excludes(now, *node);
            }
            _ => self.last_ended = Some((now, *node)),
        }
    }

    /// The session of `node` ended with the beginning of another one.
    fn excludes(&mut self, now: Duration, node: NodeId) {
        self.exclusions.push_back((now, node));
        while self
            .exclusions
            .front()
            .is_some_and(|(at, _)| now.saturating_sub(*at) > EXCLUSIONS_WITHIN)
        {
            self.exclusions.pop_front();
        }
        let times = self.exclusions.len();
        let several = self.exclusions.iter().any(|(_, other)| *other != node);
        let lasts = self
            .exclusions
            .front()
            .is_some_and(|(first, _)| now.saturating_sub(*first) >= EXCLUSIONS_AFTER);
        if times >= EXCLUSIONS_FROM
            && several
            && lasts
            && self.is_exclusive(now)
            && is_due(&mut self.exclusions_told, now)
        {
            let (broker, standing) = (self.broker.as_str(), self.ready.len());
            event!(SessionsExclude, broker, standing, times);
        }
    }

    /// Whether sessions exclude each other, lately.
    fn is_exclusive(&self, now: Duration) -> bool {
        if self.several_at.is_some_and(|at| now.saturating_sub(at) <= TOGETHER_PROVES) {
            return false;
        }
        let recent = |(at, _): &&(Duration, NodeId)| now.saturating_sub(*at) <= EXCLUSIONS_WITHIN;
        self.exclusions.iter().filter(recent).count() >= EXCLUSIONS_FROM.saturating_sub(1)
    }

    /// The broker has taken a session of a node again.
    fn taken_again(&mut self, now: Duration, node: NodeId) {
        let exclusive = self.is_exclusive(now);
        let Some(ended) = self.ended.get_mut(&node) else { return };
        while ended.taken.front().is_some_and(|at| now.saturating_sub(*at) > TAKEN_OVER_WITHIN) {
            ended.taken.pop_front();
        }
        if std::mem::take(&mut ended.last) {
            ended.taken.push_back(now);
            let times = ended.taken.len();
            if times >= TAKEN_OVER_FROM && !exclusive {
                let (broker, client_id) = (self.broker.as_str(), &*ended.client_id);
                event!(SessionTakenOver, broker, client_id, times, node = ended.name);
            }
        } else if ended.taken.is_empty() {
            self.ended.remove(&node);
        }
    }

    /// `missing`: nodes that have no session, though the broker was asked.
    pub(super) fn tick(&mut self, now: Duration, missing: usize) {
        self.look_at_several(now);
        let recent = |one: &&Refused| now.saturating_sub(one.at) <= RECENT;
        let refused = self.refusals.values().filter(recent).max_by_key(|one| one.at);
        let (Some(refused), true, true) = (refused, missing > 0, self.stands()) else {
            self.limited_since = None;
            return;
        };
        let since = *self.limited_since.get_or_insert(now);
        if now.saturating_sub(since) >= LIMITED_AFTER
            && !self.is_exclusive(now)
            && is_due(&mut self.limited_told, now)
        {
            let (broker, standing) = (self.broker.as_str(), self.ready.len());
            let Refused { name, client_id, error, in_words, .. } = refused;
            // Who is refused in turn with others isn't refused for who it is.
            let alone = !in_words && self.refusals.values().filter(recent).count() == 1;
            let error = match alone {
                true => format!("{error}; of all nodes it is this one alone"),
                false => error.clone(),
            };
            event!(
                SessionsLimited,
                broker,
                standing,
                missing,
                error,
                node = name,
                client_id = &**client_id
            );
        }
    }

    /// Why somebody should look.
    pub(super) fn reasons(&self, now: Duration) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.is_exclusive(now) {
            reasons.push("sessions with the IT broker end when others of ours begin".to_owned());
        }
        let at_birth = |(at, times): &&(Duration, u32)| {
            *times >= BIRTH_ENDS_FROM && now.saturating_sub(*at) <= RECENT
        };
        let at_birth = self.births_end.values().filter(at_birth).count();
        if at_birth > 0 {
            reasons.push(format!(
                "sessions of {} with the IT broker end again and again before their births are \
                 confirmed: a missing right to publish, or larger than it takes?",
                counted(at_birth, "node")
            ));
        }
        let is_taken = |ended: &&EndedNode| {
            let recent =
                ended.taken.iter().filter(|at| now.saturating_sub(**at) <= TAKEN_OVER_WITHIN);
            recent.count() >= TAKEN_OVER_FROM
        };
        let taken = self.ended.values().filter(is_taken).count();
        if taken > 0 && !self.is_exclusive(now) {
            reasons.push(format!(
                "the IT broker ends sessions of {} again and again, as when another \
                 client has their identifiers",
                counted(taken, "node")
            ));
        }
        if !self.uncommanded.is_empty() {
            reasons.push(format!(
                "the IT broker refuses the command filters of {}: hosts can't ask for \
                 rebirths",
                counted(self.uncommanded.len(), "node")
            ));
        }
        reasons
    }
}

/// Whether something that lasts is to be told now.
fn is_due(told: &mut Option<Duration>, now: Duration) -> bool {
    let due = told.is_none_or(|told| now.saturating_sub(told) >= TOLD_EVERY);
    if due {
        *told = Some(now);
    }
    due
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests;

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
/// How long nodes are without a session while others stand, until it is told.
const LIMITED_AFTER: Duration = Duration::from_secs(10);
/// A refusal that is older says nothing of now.
const RECENT: Duration = Duration::from_secs(150);
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
    /// The last refusal of a session that isn't one of the login.
    refusal: Option<(Duration, String)>,
    /// Since when nodes are without a session while others stand.
    limited_since: Option<Duration>,
    limited_told: Option<Duration>,
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
            refusal: None,
            limited_since: None,
            limited_told: None,
        }
    }

    /// Any session stands.
    pub(super) fn stands(&self) -> bool {
        !self.ready.is_empty()
    }

    /// A session stands.
    pub(super) fn ready(&mut self, now: Duration, node: NodeId) {
        self.ready.insert(node);
        if !std::mem::replace(&mut self.noticed_up, true) {
            event!(BrokerUp, broker = self.broker);
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
        let SessionFailure { node, name, client_id, failure, ended } = failed;
        self.ended(*node);
        let ConnectFailure { kind, text: error } = failure;
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
                self.refusal = Some((now, error.clone()));
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
        if times >= EXCLUSIONS_FROM && several && is_due(&mut self.exclusions_told, now) {
            let (broker, standing) = (self.broker.as_str(), self.ready.len());
            event!(SessionsExclude, broker, standing, times);
        }
    }

    /// Whether sessions exclude each other, lately.
    fn is_exclusive(&self, now: Duration) -> bool {
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
        let refused = self.refusal.as_ref().filter(|(at, _)| now.saturating_sub(*at) <= RECENT);
        let (Some((_, error)), true, true) = (refused, missing > 0, self.stands()) else {
            self.limited_since = None;
            return;
        };
        let since = *self.limited_since.get_or_insert(now);
        if now.saturating_sub(since) >= LIMITED_AFTER
            && !self.is_exclusive(now)
            && is_due(&mut self.limited_told, now)
        {
            let (broker, standing) = (self.broker.as_str(), self.ready.len());
            event!(SessionsLimited, broker, standing, missing, error);
        }
    }

    /// Why somebody should look.
    pub(super) fn reasons(&self, now: Duration) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.is_exclusive(now) {
            reasons.push("sessions with the IT broker end when others of ours begin".to_owned());
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
mod tests {
    use telemetry::capture::{capture, triggered};
    use telemetry::{Event, Record};

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(1_000 + seconds)
    }

    fn failure(node: NodeId, kind: FailureKind, ended: Ended) -> SessionFailure {
        let failure = ConnectFailure { kind, text: "x".into() };
        let name = format!("G/E{}", node.0);
        SessionFailure { node, client_id: format!("relay/{name}").into(), name, failure, ended }
    }

    fn watch() -> BrokerWatch {
        BrokerWatch::new("broker:8883".into())
    }

    fn of(events: &[Record], event: Event) -> usize {
        events.iter().filter(|record| record.event == event).count()
    }

    #[test]
    fn a_broker_is_up_with_the_first_session_and_down_when_the_last_one_fails() {
        let (first, second) = (NodeId(1), NodeId(2));
        let mut watch = watch();
        let events = capture(|| {
            watch.ready(at(0), first);
            watch.ready(at(0), second);
        });
        triggered(&events, Event::BrokerUp);
        assert_eq!(events.len(), 1);
        let other = |node| failure(node, FailureKind::Other, Ended::Otherwise);
        let events = capture(|| watch.failed(at(0), &other(first)));
        assert!(events.is_empty(), "another stands");
        triggered(&capture(|| watch.failed(at(0), &other(second))), Event::BrokerDown);
        triggered(&capture(|| watch.ready(at(1), first)), Event::BrokerUp);
        for (kind, event) in [
            (FailureKind::Tls, Event::TlsRefused),
            (FailureKind::Login, Event::LoginRefused),
            (FailureKind::Identifier, Event::LoginRefused),
            (FailureKind::Later, Event::BrokerDownForNow),
        ] {
            let failed = failure(first, kind, Ended::BeforeSession);
            triggered(&capture(|| watch.failed(at(2), &failed)), event);
        }
        triggered(&capture(|| BrokerWatch::secret_unreadable("x")), Event::SecretUnreadable);
    }

    #[test]
    fn a_silent_broker_is_told_where_nothing_stands_and_is_up_when_it_answers() {
        let mut watch = watch();
        watch.ready(at(0), NodeId(1));
        assert!(capture(|| watch.silent("no answer")).is_empty(), "another stands");
        watch.ended(NodeId(1));
        let events = capture(|| watch.silent("no answer"));
        triggered(&events, Event::BrokerDown);
        assert!(events[0].message().contains("no answer"), "{}", events[0].message());
        triggered(&capture(|| watch.ready(at(1), NodeId(1))), Event::BrokerUp);
    }

    #[test]
    fn a_refused_login_names_the_node_and_its_identifier() {
        let mut watch = watch();
        watch.ready(at(0), NodeId(1));
        let refused = failure(NodeId(5), FailureKind::Login, Ended::BeforeSession);
        let events = capture(|| watch.failed(at(0), &refused));
        let line = events[0].message();
        assert!(line.contains("client_id=relay/G/E5") && line.contains("node=G/E5"), "{line}");
    }

    #[test]
    fn a_node_whose_session_is_taken_over_again_and_again_is_named() {
        let mut watch = watch();
        (0..10).for_each(|node| watch.ready(at(0), NodeId(node)));
        let node = NodeId(3);
        let mut told = 0;
        for round in 1..=4 {
            let ended = failure(node, FailureKind::Other, Ended::ByBroker);
            let events = capture(|| {
                watch.failed(at(round * 20), &ended);
                watch.ready(at(round * 20 + 1), node);
            });
            told += of(&events, Event::SessionTakenOver);
            assert_eq!(of(&events, Event::SessionsExclude), 0);
        }
        assert_eq!(told, 2, "from the third on");
        assert_eq!(watch.reasons(at(100)).len(), 1);
        assert!(watch.reasons(at(1_000)).is_empty());
    }

    #[test]
    fn a_broker_that_was_away_is_no_takeover() {
        let mut watch = watch();
        let node = NodeId(3);
        for round in 1..=9 {
            let events = capture(|| {
                watch.failed(at(round * 20), &failure(node, FailureKind::Other, Ended::ByBroker));
                let away = failure(node, FailureKind::Other, Ended::BeforeSession);
                watch.failed(at(round * 20 + 1), &away);
                watch.ready(at(round * 20 + 2), node);
            });
            assert_eq!(of(&events, Event::SessionTakenOver), 0);
        }
    }

    #[test]
    fn sessions_that_end_each_other_are_told_in_one_event() {
        let mut watch = watch();
        let nodes = 8;
        let mut events = Vec::new();
        for second in 0..60_u64 {
            let node = |second: u64| NodeId((second % nodes) as u32);
            events.extend(capture(|| {
                if second > 0 {
                    let ended = failure(node(second - 1), FailureKind::Other, Ended::ByBroker);
                    watch.failed(at(second), &ended);
                }
                watch.ready(at(second), node(second));
            }));
        }
        assert_eq!(of(&events, Event::SessionsExclude), 1);
        assert_eq!(of(&events, Event::SessionTakenOver), 0);
        assert_eq!(watch.reasons(at(60)).len(), 1);
    }

    #[test]
    fn nodes_without_a_session_while_others_stand_are_told_in_one_event() {
        let mut watch = watch();
        let events = capture(|| {
            (0..31).for_each(|node| watch.ready(at(0), NodeId(node)));
            for second in 0..120 {
                let node = NodeId(31 + (second % 9) as u32);
                watch.failed(at(second), &failure(node, FailureKind::Other, Ended::BeforeSession));
                watch.tick(at(second), 9);
            }
        });
        assert_eq!(of(&events, Event::SessionsLimited), 1);
        let line = events.iter().find(|record| record.event == Event::SessionsLimited);
        let line = line.unwrap().message();
        assert!(line.contains("standing=31 missing=9"), "{line}");
        let mut refused = self::watch();
        let events = capture(|| {
            refused.ready(at(0), NodeId(0));
            for second in 0..60 {
                refused.failed(
                    at(second),
                    &failure(NodeId(1), FailureKind::Login, Ended::BeforeSession),
                );
                refused.tick(at(second), 1);
            }
        });
        assert_eq!(of(&events, Event::SessionsLimited), 0, "it is that node's login");
    }

    #[test]
    fn nodes_whose_commands_cannot_be_had_are_counted() {
        let mut watch = watch();
        watch.subscribed(NodeId(1), true);
        watch.subscribed(NodeId(2), true);
        watch.subscribed(NodeId(2), false);
        assert!(watch.reasons(at(0))[0].contains("of 1 node: "));
        watch.ended(NodeId(1));
        assert!(watch.reasons(at(0)).is_empty());
    }
}

//! What people who watch the IT half get to know: the mirror's notices and the failures of its
//! driver, as events of the catalogue.

use std::collections::HashSet;

use broker::{ConnectFailure, FailureKind};
use telemetry::event;

use crate::mirror::{NodeId, Notice};

/// Emits the event of a notice.
pub(super) fn emit(notice: &Notice) {
    match notice {
        Notice::LinkStale { away_ms, why } => event!(LinkStale, away_ms, why),
        Notice::LinkAlive => event!(LinkAlive),
        Notice::OldFrames { behind_ms } => event!(OldFrames, behind_ms),
        Notice::Unplaceable { first, last, frames } => {
            event!(ValuesUnplaceable, first, last, frames);
        }
        Notice::FramesLost { first, last, cause } => {
            let count = last.saturating_sub(*first).saturating_add(1);
            let key =
                (*cause == journal_read::LostCause::TooLarge).then_some("broker.max-packet-bytes");
            event!(FramesLost, first, last, count, cause = cause.name(), key);
        }
        Notice::CommandRefused { topic, metrics, reason } => {
            let metrics = metrics.join(", ");
            event!(CommandRefused, topic, metrics, reason);
        }
        Notice::RebirthAnswered { node } => event!(RebirthAnswered, node),
        Notice::ValuesDoubted { node } => event!(ValuesDoubted, node),
        Notice::NodeBorn { node, devices, bd_seq } => event!(NodeBorn, node, devices, bd_seq),
        Notice::NodeDead { node, why } => event!(NodeDead, node, why),
        Notice::SessionLost { node } => event!(SessionLost, node),
        Notice::FrameRefused { entity, reason, over } => {
            let problem = over.map(|over| over.to_string());
            let limit = over.map(|over| over.limit);
            let key = over.and_then(|over| over.cap.key());
            event!(FrameRefused, entity, reason, problem, limit, key);
        }
        Notice::OwnNameUsed { node } => event!(NodeNameTaken, node),
        Notice::OverCapacity { what } => event!(CapacityReached, limit = what),
        Notice::MemoryRefused { node, device, bytes, budget, limit } => {
            event!(MemoryRefused, node, device = device.as_deref(), bytes, budget, limit);
        }
        Notice::JournalStart { relay, epoch, version, policy_digest } => {
            tracing::debug!(target: "it", relay = relay, epoch, version = version,
                policy_digest = policy_digest, "journal segment");
        }
        Notice::PrimaryHost { online } => event!(PrimaryHost, online),
    }
}

/// Whether the IT broker can be had, judged by thousands of sessions: it is up when the first
/// of them stands, and down when one fails while no other stands.
#[derive(Debug)]
pub(super) struct BrokerWatch {
    broker: String,
    ready: HashSet<NodeId>,
    noticed_up: bool,
}

impl BrokerWatch {
    pub(super) fn new(broker: String) -> BrokerWatch {
        BrokerWatch { broker, ready: HashSet::new(), noticed_up: false }
    }

    /// A session stands.
    pub(super) fn ready(&mut self, node: NodeId) {
        self.ready.insert(node);
        if !std::mem::replace(&mut self.noticed_up, true) {
            event!(BrokerUp, broker = self.broker);
        }
    }

    /// A session ended, for whatever reason.
    pub(super) fn ended(&mut self, node: NodeId) {
        self.ready.remove(&node);
    }

    /// The session of `node` failed. Where others stand it is that session's affair.
    pub(super) fn connect_failed(&mut self, node: Option<NodeId>, failure: &ConnectFailure) {
        if let Some(node) = node {
            self.ended(node);
        }
        let ConnectFailure { kind, text: error } = failure;
        let broker = self.broker.as_str();
        match kind {
            FailureKind::Tls => event!(TlsRefused, broker, error),
            FailureKind::Login => event!(LoginRefused, broker, error),
            FailureKind::Secret => event!(SecretUnreadable, error),
            FailureKind::Other if self.ready.is_empty() => event!(BrokerDown, broker, error),
            FailureKind::Other => {
                tracing::debug!(target: "it", error, "a session failed; others stand");
            }
        }
        if self.ready.is_empty() {
            self.noticed_up = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use journal_read::LostCause;
    use telemetry::Event;
    use telemetry::capture::{capture, triggered};

    use super::*;

    fn emitted(notice: Notice) -> Vec<telemetry::Record> {
        capture(|| emit(&notice))
    }

    #[test]
    fn every_notice_of_the_mirror_is_an_event() {
        let node = || "G/E".to_owned();
        let stale = Notice::LinkStale { away_ms: 11_000, why: "no sign of life" };
        triggered(&emitted(stale), Event::LinkStale);
        triggered(&emitted(Notice::LinkAlive), Event::LinkAlive);
        triggered(&emitted(Notice::OldFrames { behind_ms: 60_000 }), Event::OldFrames);
        let unplaceable = Notice::Unplaceable { first: 1, last: 9, frames: 3 };
        triggered(&emitted(unplaceable), Event::ValuesUnplaceable);
        let lost = emitted(Notice::FramesLost { first: 1, last: 9, cause: LostCause::Retention });
        triggered(&lost, Event::FramesLost);
        assert_eq!(lost[0].message(), "frames lost first=1 last=9 count=9 cause=retention");
        let refused = emitted(Notice::CommandRefused {
            topic: "spBv1.0/G/DCMD/E/D".into(),
            metrics: vec!["a".into(), "b c".into()],
            reason: "no rebirth request",
        });
        triggered(&refused, Event::CommandRefused);
        assert_eq!(
            refused[0].message(),
            "command refused topic=spBv1.0/G/DCMD/E/D metrics=\"a, b c\" \
             reason=\"no rebirth request\""
        );
        triggered(&emitted(Notice::RebirthAnswered { node: node() }), Event::RebirthAnswered);
        triggered(&emitted(Notice::ValuesDoubted { node: node() }), Event::ValuesDoubted);
        let born = Notice::NodeBorn { node: node(), devices: 1, bd_seq: 0 };
        triggered(&emitted(born), Event::NodeBorn);
        triggered(&emitted(Notice::NodeDead { node: node(), why: "it died" }), Event::NodeDead);
        triggered(&emitted(Notice::SessionLost { node: node() }), Event::SessionLost);
        let frame = Notice::FrameRefused { entity: node(), reason: "recheck", over: None };
        triggered(&emitted(frame), Event::FrameRefused);
        triggered(&emitted(Notice::OwnNameUsed { node: node() }), Event::NodeNameTaken);
        triggered(&emitted(Notice::OverCapacity { what: "x" }), Event::CapacityReached);
        triggered(&emitted(Notice::PrimaryHost { online: true }), Event::PrimaryHost);
    }

    #[test]
    fn a_broker_is_up_with_the_first_session_and_down_when_the_last_one_fails() {
        let (first, second) = (NodeId(1), NodeId(2));
        let failure = ConnectFailure::other("connection reset");
        let mut watch = BrokerWatch::new("broker:8883".into());
        let events = capture(|| {
            watch.ready(first);
            watch.ready(second);
        });
        triggered(&events, Event::BrokerUp);
        assert_eq!(events.len(), 1);
        assert!(
            capture(|| watch.connect_failed(Some(first), &failure)).is_empty(),
            "another stands"
        );
        let events = capture(|| watch.connect_failed(Some(second), &failure));
        triggered(&events, Event::BrokerDown);
        triggered(&capture(|| watch.ready(first)), Event::BrokerUp);
        let of = |kind| ConnectFailure { kind, text: "x".into() };
        let events = capture(|| watch.connect_failed(Some(first), &of(FailureKind::Tls)));
        triggered(&events, Event::TlsRefused);
        let events = capture(|| watch.connect_failed(Some(first), &of(FailureKind::Login)));
        triggered(&events, Event::LoginRefused);
        triggered(
            &capture(|| watch.connect_failed(None, &of(FailureKind::Secret))),
            Event::SecretUnreadable,
        );
    }
}

//! What the IT half tells the people who watch it: the mirror's notices and the troubles of its
//! driver, as events of the catalogue.

use std::collections::HashSet;

use crate::broker::{Trouble, TroubleKind};
use crate::event;
use crate::it::mirror::{NodeId, Notice};

/// Tells one notice.
pub(super) fn tell(notice: &Notice) {
    match notice {
        Notice::LinkStale { away_ms } => event!(LinkStale, away_ms),
        Notice::LinkAlive => event!(LinkAlive),
        Notice::OldFrames { behind_ms } => event!(OldFrames, behind_ms),
        Notice::Unplaceable { first, last, frames } => {
            event!(ValuesUnplaceable, first, last, frames);
        }
        Notice::FramesLost { first, last, cause } => {
            let count = last.saturating_sub(*first).saturating_add(1);
            event!(FramesLost, first, last, count, cause = cause.name());
        }
        Notice::CommandRefused { topic, metrics, reason } => {
            let metrics = metrics.join(", ");
            event!(CommandRefused, topic, metrics, reason);
        }
        Notice::RebirthAnswered { node } => event!(RebirthAnswered, node),
        Notice::SequenceGap { node } => event!(SequenceGap, node),
        Notice::NodeBorn { node, devices, bd_seq } => event!(NodeBorn, node, devices, bd_seq),
        Notice::NodeDead { node, why } => event!(NodeDead, node, why),
        Notice::SessionLost { node } => event!(SessionLost, node),
        Notice::OwnNameUsed { node } => event!(NodeNameTaken, node),
        Notice::OverCapacity { what } => event!(CapacityReached, limit = what),
        Notice::JournalStart { relay, epoch, version, policy_digest } => {
            tracing::debug!(target: "it", relay = relay, epoch, version = version,
                policy_digest = policy_digest, "journal segment");
        }
        Notice::PrimaryHost { online } => event!(PrimaryHost, online),
    }
}

/// Whether the IT broker can be had, told from thousands of sessions: it is up when the first
/// of them stands, and down when one fails while no other stands.
#[derive(Debug)]
pub(super) struct BrokerWatch {
    broker: String,
    ready: HashSet<NodeId>,
    told_up: bool,
}

impl BrokerWatch {
    pub(super) fn new(broker: String) -> BrokerWatch {
        BrokerWatch { broker, ready: HashSet::new(), told_up: false }
    }

    /// A session stands.
    pub(super) fn ready(&mut self, node: NodeId) {
        self.ready.insert(node);
        if !std::mem::replace(&mut self.told_up, true) {
            event!(BrokerUp, broker = self.broker);
        }
    }

    /// A session ended, for whatever reason.
    pub(super) fn ended(&mut self, node: NodeId) {
        self.ready.remove(&node);
    }

    /// The session of `node` failed. Where others stand it is that session's affair.
    pub(super) fn trouble(&mut self, node: Option<NodeId>, trouble: &Trouble) {
        if let Some(node) = node {
            self.ended(node);
        }
        let Trouble { kind, text: error } = trouble;
        let broker = self.broker.as_str();
        match kind {
            TroubleKind::Tls => event!(TlsRefused, broker, error),
            TroubleKind::Login => event!(LoginRefused, broker, error),
            TroubleKind::Secret => event!(SecretUnreadable, error),
            TroubleKind::Other if self.ready.is_empty() => event!(BrokerDown, broker, error),
            TroubleKind::Other => {
                tracing::debug!(target: "it", error, "a session failed; others stand");
            }
        }
        if self.ready.is_empty() {
            self.told_up = false;
        }
    }
}

//! Brokers that end the connection at the subscription to commands, as some do whose access list doesn't
//! allow it (AWS IoT): found out by a node of which it happened again and again while no other's was
//! answered. From then on sessions are served without commands, as where a SUBACK refuses them.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::mirror::NodeId;

/// Times in a row of one node: once or twice it may be a broker that is stopped just then.
const CONCLUDED_FROM: u32 = 3;
/// A connection that is made later tries once more.
const HOLDS_FOR: Duration = Duration::from_secs(3_600);

/// What is known of the broker; for all sessions.
#[derive(Debug, Default)]
pub(super) struct AtSubscribe {
    /// Ends in a row, by node.
    ends: HashMap<NodeId, u32>,
    /// Since when it is known, and by how many ends.
    known: Option<(Instant, u32)>,
}

impl AtSubscribe {
    /// The broker ended a connection at it; how often in a row.
    pub(super) fn ended(&mut self, now: Instant, node: NodeId) -> u32 {
        let ends = self.ends.entry(node).or_default();
        *ends = ends.saturating_add(1);
        if *ends >= CONCLUDED_FROM {
            self.known = Some((now, *ends));
        }
        *ends
    }

    /// The broker answered one.
    pub(super) fn answered(&mut self) {
        *self = AtSubscribe::default();
    }

    /// Somebody has changed something at the broker, perhaps: the next end proves it anew.
    pub(super) fn ask_again(&mut self) {
        self.known = None;
    }

    /// Whether it isn't asked: after how many ends in a row.
    pub(super) fn ends_sessions(&self, now: Instant) -> Option<u32> {
        let (since, ends) = self.known?;
        (now.saturating_duration_since(since) < HOLDS_FOR).then_some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ends_of_one_node_in_a_row_without_an_answer_are_a_proof() {
        let (mut known, now) = (AtSubscribe::default(), Instant::now());
        // A broker that is stopped while ten nodes subscribe, twice.
        (0..20).for_each(|node| {
            known.ended(now, NodeId(node % 10));
        });
        assert_eq!(known.ends_sessions(now), None);
        known.answered();
        assert_eq!((1..=3).map(|_| known.ended(now, NodeId(1))).last(), Some(3));
        assert_eq!(known.ends_sessions(now), Some(3));
        // An hour later it is tried once more, and on demand at once.
        let later = now.checked_add(HOLDS_FOR).unwrap();
        assert_eq!(known.ends_sessions(later), None);
        assert_eq!(known.ended(later, NodeId(1)), 4);
        assert_eq!(known.ends_sessions(later), Some(4));
        known.ask_again();
        assert_eq!(known.ends_sessions(later), None);
        known.answered();
        assert_eq!(known.ended(later, NodeId(1)), 1);
    }
}

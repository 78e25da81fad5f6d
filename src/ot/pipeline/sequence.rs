//! The sequence check: where a message stands in the order of its edge node, and what holes in
//! that order say about the values.

use super::births::low_byte;
use super::step::StepContext;
use super::{Received, notify};
use crate::plant::{Arrival, Node, Numbering};

impl StepContext<'_> {
    /// Takes note of a data message, or of a device's birth or death; `hash` identifies topic and
    /// payload. Whether it is late: it fills a hole in the order, or is delivered again. `None`:
    /// it was seen before.
    pub(super) fn follow(
        &mut self,
        node: &mut Node,
        seq: Option<u64>,
        hash: u64,
        received: Received<'_>,
    ) -> Option<bool> {
        self.give_up_holes(node);
        if node.numbering == Numbering::Unasked {
            let is_complete = self.policy.sees_every_message_of(&node.group, &node.edge_node);
            node.numbering = if is_complete { Numbering::Complete } else { Numbering::Partial };
        }
        let seq = low_byte(seq).filter(|_| node.numbering == Numbering::Complete);
        let was_known = seq.is_some() && node.sequence.next().is_some();
        let arrival = node.sequence.arrive(self.now.mono, seq, hash, received.dup);
        match arrival {
            Arrival::Duplicate => return None,
            Arrival::Jump => self.gap(node),
            // Told when it was refused; others may have been lost among them.
            Arrival::BehindRefused => {
                node.own.life.give_up_verifying();
                node.lose();
            }
            // After a restart: the sequence goes on, or the broker vouches for it.
            Arrival::InOrder
                if node.own.life.is_unverified() && (was_known || received.assured) =>
            {
                node.verified();
            }
            Arrival::InOrder | Arrival::Early => node.own.life.give_up_verifying(),
            Arrival::Late => {}
        }
        Some(received.dup || arrival == Arrival::Late)
    }

    /// Holes that weren't filled in time are a gap; whether there were any.
    pub(super) fn give_up_holes(&mut self, node: &mut Node) -> bool {
        let expired = node.sequence.expire(self.now.mono, self.settings.reorder_timeout);
        if expired {
            self.gap(node);
        }
        expired
    }

    /// Messages of the node were lost before they reached the relay.
    fn gap(&mut self, node: &mut Node) {
        if !node.own.life.is_alive() {
            return;
        }
        self.counters.gaps = self.counters.gaps.saturating_add(1);
        notify::gap(&node.group, &node.edge_node);
        node.own.life.give_up_verifying();
        node.lose();
    }
}

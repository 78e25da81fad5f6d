//! The sequence check: where a message stands in the order of its edge node, and what holes in
//! that order say about the values.

use super::births::low_byte;
use super::step::StepContext;
use super::{Received, notify};
use crate::plant::{Arrival, Finding, Node, Numbered, Numbering};

impl StepContext<'_> {
    /// Takes note of a data message, or of a device's birth or death; `hash` identifies topic and
    /// payload. Whether it is late: it fills a hole in the order, or is delivered again. `None`:
    /// it was seen before.
    pub(super) fn follow(
        &mut self,
        node: &mut Node,
        (seq, timestamp): (Option<u64>, Option<u64>),
        hash: u64,
        received: Received<'_>,
    ) -> Option<bool> {
        self.give_up_holes(node);
        if node.numbering == Numbering::Unasked {
            let is_complete = self.policy.sees_every_message_of(&node.group, &node.edge_node);
            node.numbering = if is_complete { Numbering::Complete } else { Numbering::Partial };
        }
        let is_complete = node.numbering == Numbering::Complete;
        let seq = if is_complete { node.sequence.number(low_byte(seq)) } else { None };
        let was_known = seq.is_some() && node.sequence.next().is_some();
        let entity = entity(received.topic);
        let numbered = seq.map(|seq| Numbered { seq, entity, timestamp });
        let (arrival, finding) = node.sequence.arrive(self.now.mono, numbered, hash, received.dup);
        if let Some(finding) = finding {
            self.no_sequence(node, finding);
        }
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

    /// The numbers of the node say nothing from here on: it is told once, and that values may be out
    /// of date can't be told from them any more, like where there are none.
    fn no_sequence(&mut self, node: &mut Node, finding: Finding) {
        node.numbering = Numbering::NoSequence;
        node.sequence.forget();
        if !std::mem::replace(&mut node.told_no_sequence, true) {
            notify::no_sequence(&node.group, &node.edge_node, finding);
        }
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

/// Names the topic of a message among those of its node.
fn entity(topic: &str) -> u32 {
    topic.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

//! Order of the messages of one edge node: `seq` (Sparkplug 3.0 §6.4.4), holes in it, and
//! messages that the broker delivers again.
//!
//! Messages are processed in the order of their arrival. A hole that isn't filled within the
//! reorder timeout is a gap: messages were lost before they reached the relay, and nobody here
//! can ask for a rebirth.

use std::collections::VecDeque;
use std::time::Duration;

use super::counting::{Counting, Finding, Numbered};

/// Messages of one edge node that a redelivered one is compared with. A broker keeps at most
/// its in-flight window (20 by default in mosquitto) unacknowledged per client.
const REMEMBERED: usize = 64;

/// How far ahead a `seq` may be to count as a hole; beyond it the node jumped.
const WINDOW: u8 = 127;

/// Sequence state of one edge node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    /// The `seq` that comes next; `None` until one was seen.
    next: Option<u8>,
    /// Sequence numbers that didn't arrive yet, with the time since when they are missed.
    holes: Vec<(u8, Duration)>,
    recent: VecDeque<(Option<u8>, u64)>,
    /// Messages that the relay refused unread: a hole of so many is its own.
    refused: u64,
    counting: Counting,
    /// Its messages lack the number where it is 0, as protobuf's third version writes it.
    omits_zero: bool,
}

/// Where a message stands in the order of its edge node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The expected one, or one without `seq`, or the first one.
    InOrder,
    /// It leaves a hole before it.
    Early,
    /// It fills a hole, or is redelivered and wasn't seen before.
    Late,
    /// Seen before.
    Duplicate,
    /// The messages before it are those that the relay refused unread.
    BehindRefused,
    /// Out of every order: messages were lost.
    Jump,
}

impl Sequence {
    /// Goes on from a stored state: `next` is expected.
    pub(crate) fn resumed(next: Option<u8>) -> Self {
        Sequence { next, ..Sequence::default() }
    }

    /// The `seq` that is expected next.
    pub(crate) fn next(&self) -> Option<u8> {
        self.next
    }

    /// What a message without a number has: 0, where that is left out. A node of which none has a
    /// number has none.
    pub(crate) fn number(&mut self, seq: Option<u8>) -> Option<u8> {
        self.omits_zero |= seq.is_none() && self.next == Some(0);
        if seq.is_none() && self.omits_zero && self.next.is_some() { Some(0) } else { seq }
    }

    /// Takes note of a data message, a device's birth or death. `hash` identifies topic and
    /// payload; `dup` is the DUP flag of MQTT. Beside where it stands, what is found of the numbers
    /// of its node.
    pub(crate) fn arrive(
        &mut self,
        now: Duration,
        numbered: Option<Numbered>,
        hash: u64,
        dup: bool,
    ) -> (Arrival, Option<Finding>) {
        let seq = numbered.map(|numbered| numbered.seq);
        // Without DUP, only what is out of order anyway can be a copy (of a broker that sends
        // one for every matching subscription).
        let expected = seq.is_none() || seq == self.next;
        if (dup || !expected) && self.is_remembered(seq, hash) {
            return (Arrival::Duplicate, None);
        }
        let finding = numbered.filter(|_| !dup).and_then(|numbered| {
            let repeats = self.recent.iter().any(|(known, _)| *known == Some(numbered.seq));
            self.counting.take(numbered, repeats)
        });
        (self.place(now, seq, hash, dup), finding)
    }

    fn place(&mut self, now: Duration, seq: Option<u8>, hash: u64, dup: bool) -> Arrival {
        self.remember(seq, hash);
        let Some(seq) = seq else { return Arrival::InOrder };
        let Some(next) = self.next else {
            self.next = Some(seq.wrapping_add(1));
            return Arrival::InOrder;
        };
        if let Some(hole) = self.holes.iter().position(|(missing, _)| *missing == seq) {
            self.holes.remove(hole);
            return Arrival::Late;
        }
        match seq.wrapping_sub(next) {
            0 => {
                self.next = Some(seq.wrapping_add(1));
                Arrival::InOrder
            }
            ahead if u64::from(ahead) <= self.refused => {
                self.refused = self.refused.saturating_sub(ahead.into());
                self.next = Some(seq.wrapping_add(1));
                Arrival::BehindRefused
            }
            // No number is missed twice, and no more are missed than the window holds: beyond
            // that there is no order to speak of.
            ahead @ 1..=WINDOW if self.holes.len() < usize::from(WINDOW) => {
                for missing in (0..ahead).map(|step| next.wrapping_add(step)) {
                    if !self.holes.iter().any(|(known, _)| *known == missing) {
                        self.holes.push((missing, now));
                    }
                }
                self.next = Some(seq.wrapping_add(1));
                Arrival::Early
            }
            _ if dup => Arrival::Late,
            _ => {
                self.holes.clear();
                self.next = Some(seq.wrapping_add(1));
                Arrival::Jump
            }
        }
    }

    /// Takes note of a message outside the order, an NBIRTH or NDEATH; whether it is new.
    pub(crate) fn arrive_unordered(&mut self, hash: u64, dup: bool) -> bool {
        if dup && self.is_remembered(None, hash) {
            return false;
        }
        self.remember(None, hash);
        true
    }

    /// So many messages were refused unread, of those that come next.
    pub(crate) fn refuse(&mut self, messages: u64) {
        self.refused = self.refused.saturating_add(messages);
    }

    /// An NBIRTH with this `seq` starts the order anew. Whether there were open holes.
    pub(crate) fn restart(&mut self, seq: Option<u8>) -> bool {
        self.next = Some(seq.unwrap_or(0).wrapping_add(1));
        self.counting.birth();
        let open = !self.holes.is_empty();
        self.holes.clear();
        self.refused = 0;
        open
    }

    /// Forgets where the order stood: the next message starts it.
    pub(crate) fn forget(&mut self) {
        self.next = None;
        self.holes.clear();
        self.refused = 0;
    }

    /// Since when the number is missed that is missed the longest.
    pub(crate) fn oldest_hole(&self) -> Option<Duration> {
        self.holes.iter().map(|(_, since)| *since).min()
    }

    /// Gives up holes that are older than `timeout`; whether there were any: that is a gap.
    pub(crate) fn expire(&mut self, now: Duration, timeout: Duration) -> bool {
        let before = self.holes.len();
        self.holes.retain(|(_, since)| now.saturating_sub(*since) < timeout);
        self.holes.len() < before
    }

    fn is_remembered(&self, seq: Option<u8>, hash: u64) -> bool {
        self.recent.contains(&(seq, hash))
    }

    fn remember(&mut self, seq: Option<u8>, hash: u64) {
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((seq, hash));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn at(now_ms: u64) -> Duration {
        Duration::from_millis(now_ms)
    }

    impl Sequence {
        fn comes(&mut self, now: Duration, seq: Option<u8>, hash: u64, dup: bool) -> Arrival {
            let numbered =
                seq.map(|seq| Numbered { seq, entity: 0, timestamp: Some(now.as_millis() as u64) });
            self.arrive(now, numbered, hash, dup).0
        }
    }

    fn started() -> Sequence {
        let mut sequence = Sequence::default();
        sequence.restart(Some(0));
        sequence
    }

    #[test]
    fn numbers_in_order_wrap_without_a_gap() {
        let mut sequence = started();
        for number in (1..=255).chain(0..=10) {
            let arrival = sequence.comes(at(0), Some(number), u64::from(number), false);
            assert_eq!(arrival, Arrival::InOrder);
        }
        assert!(!sequence.expire(at(10_000), TIMEOUT));
    }

    #[test]
    fn numbers_that_jump_to_and_fro_are_a_gap_and_fill_no_memory() {
        let mut sequence = started();
        let mut jumps = 0;
        for step in 0..2_000_u16 {
            let number = if step % 2 == 0 { 120 } else { 240 };
            let arrival = sequence.comes(at(0), Some(number), u64::from(step), false);
            jumps += u32::from(arrival == Arrival::Jump);
            assert!(sequence.holes.len() < 256, "{} holes", sequence.holes.len());
        }
        assert!(jumps > 0);
    }

    #[test]
    fn a_hole_that_is_filled_in_time_is_no_gap() {
        let mut sequence = started();
        assert_eq!(sequence.comes(at(0), Some(3), 3, false), Arrival::Early);
        assert_eq!(sequence.comes(at(1), Some(2), 2, false), Arrival::Late);
        assert_eq!(sequence.comes(at(1999), Some(1), 1, false), Arrival::Late);
        assert!(!sequence.expire(at(2000), TIMEOUT));
        assert_eq!(sequence.comes(at(2001), Some(4), 4, false), Arrival::InOrder);
    }

    #[test]
    fn a_zero_that_is_left_out_is_no_gap_and_an_unnumbered_message_no_zero() {
        let mut sequence = started();
        for number in (1..=255).chain(0..=255).chain(0..=3) {
            let seq = sequence.number(Some(number).filter(|number| *number != 0));
            assert_eq!(seq, Some(number));
            let arrival = sequence.comes(at(0), seq, u64::from(number), false);
            assert_eq!(arrival, Arrival::InOrder, "{number}");
        }
        // Known by now, and so late or early like any other.
        for number in 4..=254 {
            sequence.comes(at(0), Some(number), 1_000 + u64::from(number), false);
        }
        let seq = sequence.number(None);
        assert_eq!(sequence.comes(at(0), seq, 2_000, false), Arrival::Early);
        assert_eq!(sequence.comes(at(0), Some(255), 2_001, false), Arrival::Late);
        assert!(!sequence.expire(at(9_000), TIMEOUT));

        let mut unnumbered = started();
        for _ in 0..300 {
            assert_eq!(unnumbered.number(None), None);
        }
        unnumbered.forget();
        assert_eq!(unnumbered.number(None), None);
    }

    #[test]
    fn a_hole_of_what_the_relay_refused_itself_is_none() {
        let mut sequence = started();
        sequence.refuse(2);
        assert_eq!(sequence.comes(at(0), Some(1), 1, false), Arrival::InOrder);
        assert_eq!(sequence.comes(at(0), Some(4), 4, false), Arrival::BehindRefused);
        assert!(!sequence.expire(at(9000), TIMEOUT));
        // The next one isn't its own.
        assert_eq!(sequence.comes(at(0), Some(6), 6, false), Arrival::Early);
        sequence.refuse(1);
        sequence.restart(Some(0));
        assert_eq!(sequence.comes(at(0), Some(2), 2, false), Arrival::Early);
    }

    #[test]
    fn a_hole_becomes_one_gap_at_the_timeout() {
        let mut sequence = started();
        sequence.comes(at(0), Some(3), 3, false);
        assert!(!sequence.expire(at(1999), TIMEOUT));
        assert!(sequence.expire(at(2000), TIMEOUT));
        assert!(!sequence.expire(at(9000), TIMEOUT));
    }

    #[test]
    fn a_number_far_behind_is_a_jump_unless_it_is_redelivered() {
        let mut sequence = started();
        sequence.comes(at(0), Some(1), 1, false);
        assert_eq!(sequence.comes(at(0), Some(200), 200, false), Arrival::Jump);
        assert_eq!(sequence.comes(at(0), Some(201), 201, false), Arrival::InOrder);
        assert_eq!(sequence.comes(at(0), Some(199), 199, true), Arrival::Late);
        assert_eq!(sequence.next(), Some(202));
    }

    #[test]
    fn what_was_seen_is_a_duplicate_and_leaves_the_order_alone() {
        let mut sequence = started();
        sequence.comes(at(0), Some(1), 11, false);
        sequence.comes(at(0), Some(2), 12, false);
        assert_eq!(sequence.comes(at(0), Some(1), 11, true), Arrival::Duplicate);
        assert_eq!(sequence.comes(at(0), Some(2), 12, false), Arrival::Duplicate);
        assert_eq!(sequence.next(), Some(3));
        // Without `seq` only the broker's word makes it one.
        sequence.comes(at(0), None, 13, false);
        assert_eq!(sequence.comes(at(0), None, 13, false), Arrival::InOrder);
        assert_eq!(sequence.comes(at(0), None, 13, true), Arrival::Duplicate);
    }

    #[test]
    fn an_equal_message_that_is_expected_is_no_duplicate() {
        let mut sequence = started();
        sequence.comes(at(0), Some(1), 11, false);
        sequence.restart(Some(0));
        assert_eq!(sequence.comes(at(0), Some(1), 11, false), Arrival::InOrder);
    }

    #[test]
    fn memory_of_messages_is_bounded() {
        let mut sequence = started();
        for round in 0..1000 {
            sequence.comes(at(0), None, round, false);
        }
        assert_eq!(sequence.recent.len(), REMEMBERED);
    }
}

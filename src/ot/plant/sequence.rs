//! Order of the messages of one edge node: `seq` (Sparkplug 3.0 §6.4.4), numbers that are missing,
//! and messages that the broker delivers again. What waits for what is for the reorder stage to
//! say; here is what it goes by.

use std::collections::VecDeque;

use sparkplug::footprint::allocation;

/// Messages of one edge node that a redelivered one is compared with. A broker keeps at most
/// its in-flight window (20 by default in mosquitto) unacknowledged per client.
const REMEMBERED: usize = 64;

/// How far ahead a `seq` may be to count as behind a hole; what is further ahead is behind.
pub(crate) const WINDOW: u8 = 127;

/// Holes in a row that nothing filled, after which waiting is no use.
const MOST_STRIKES: u8 = 3;
/// Of 16 messages, those that have another number than the one that follows, if the node doesn't count:
/// no way loses that many.
const DISORDER: u32 = 12;
/// So often two messages had one number, where the node doesn't count: births between two of them may be
/// lost, but not between all.
const MOST_CONTRADICTIONS: u8 = 3;
/// Messages in a row that take away what was held against a node.
const STEADY: u8 = 32;

/// Sequence state of one edge node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    /// The `seq` that comes next; `None` until one was seen.
    next: Option<u8>,
    /// The number of the birth in force.
    born: u8,
    /// All numbers since that birth are accounted for.
    follows_birth: bool,
    /// Numbers behind `next` that were given up.
    missed: Numbers,
    /// Messages of the node whose numbers nobody has read: they are no holes.
    unread: u32,
    /// Others were judged since the last of them came.
    has_passed_unread: bool,
    recent: VecDeque<(Option<u8>, u64)>,
    /// So many of them came since the birth in force: the others have numbers of another round.
    recent_since_birth: usize,
    habit: Habit,
}

/// Whether the node counts its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Habit {
    /// It doesn't: its numbers say nothing.
    ignores: bool,
    /// So often two messages had one number: it may as well have been born unseen.
    contradictions: u8,
    /// Holes that nothing filled.
    strikes: u8,
    /// One bit for each of the last messages: it hadn't the number after that of the one before.
    holes: u16,
    /// Messages in a row that had the number after that of the one before.
    steady: u8,
    last: u8,
}

/// Where a message stands in the order of its edge node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is the message's turn.
    InOrder,
    /// Numbers before it are missing, or it is of a session whose birth is still to come.
    OutOfOrder {
        /// How far ahead of what is expected, modulo 256.
        ahead: u8,
    },
    /// It has a number that was given up, or is redelivered and wasn't seen before.
    Late,
    /// Seen before.
    Duplicate,
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

    /// Whether the numbers of the node say anything.
    pub(crate) fn counts(&self) -> bool {
        !self.habit.ignores
    }

    /// Where a data message, a device's birth or death stands, which is remembered. `hash`
    /// identifies topic and payload; `dup` is the DUP flag of MQTT.
    pub(crate) fn place(&mut self, seq: Option<u8>, hash: u64, dup: bool) -> Place {
        // Without DUP, only what is out of order anyway can be a copy (of a broker that sends
        // one for every matching subscription).
        let expected = seq.is_none() || seq == self.next;
        if (dup || !expected) && self.is_remembered(seq, hash) {
            return Place::Duplicate;
        }
        self.remember(seq, hash);
        let (Some(seq), Some(next)) = (seq, self.next) else { return Place::InOrder };
        let ahead = seq.wrapping_sub(next);
        match ahead {
            0 => Place::InOrder,
            _ if self.habit.ignores => Place::InOrder,
            _ if self.missed.has(seq) => Place::Late,
            _ if dup && ahead > WINDOW => Place::Late,
            ahead => Place::OutOfOrder { ahead },
        }
    }

    /// It is the turn of a message that waited for the birth, and wasn't asked about until now; whether it
    /// is new.
    pub(crate) fn meet(&mut self, seq: Option<u8>, hash: u64) -> bool {
        let is_expected = seq.is_none() || seq == self.next;
        if !is_expected && self.is_remembered(seq, hash) {
            return false;
        }
        self.remember(seq, hash);
        true
    }

    /// Whether this number came a short while ago with other contents, behind the same birth; `None`: the
    /// message did, whenever.
    pub(crate) fn comes_again(&self, seq: u8, hash: u64) -> Option<bool> {
        let is_same = |(known, _): &&(Option<u8>, u64)| *known == Some(seq);
        let before = self.recent.len().saturating_sub(self.recent_since_birth);
        let repeats = self.recent.iter().skip(before).any(|known| is_same(&known));
        (!self.is_remembered(Some(seq), hash)).then_some(repeats)
    }

    /// It is the turn of the message with this number. Whether numbers before it are given up by
    /// that: a gap.
    pub(crate) fn take(&mut self, seq: Option<u8>) -> bool {
        let Some(seq) = seq else { return false };
        self.habit.take(seq);
        let next = self.next.replace(seq.wrapping_add(1)).unwrap_or(seq);
        if self.habit.ignores {
            return false;
        }
        let ahead = seq.wrapping_sub(next);
        if ahead > WINDOW {
            // Back, or so far that nobody knows what is missing.
            self.follows_birth = false;
            self.missed = Numbers::default();
            self.unread = 0;
            return true;
        }
        self.has_passed_unread = ahead == 0 && self.unread > 0;
        if u32::from(ahead) <= self.unread {
            self.unread = self.unread.saturating_sub(u32::from(ahead));
            self.forget_far(next, ahead);
            return false;
        }
        for number in (0..ahead).map(|step| next.wrapping_add(step)) {
            self.missed.add(number);
        }
        self.forget_far(next, ahead);
        // Some of the numbers were of messages that weren't read.
        self.unread = 0;
        true
    }

    /// Numbers so far behind that they could as well be to come.
    fn forget_far(&mut self, next: u8, ahead: u8) {
        for step in 0..=ahead {
            self.missed.remove(next.wrapping_add(step).wrapping_add(WINDOW).wrapping_add(1));
        }
    }

    /// A message with a number that was given up is here.
    pub(crate) fn take_late(&mut self, seq: Option<u8>) {
        if let Some(seq) = seq {
            self.missed.remove(seq);
            self.habit.strikes = self.habit.strikes.saturating_sub(1);
        }
    }

    /// Whether numbers behind this one were given up, and nothing came with them.
    pub(crate) fn lacks_behind(&mut self, seq: u8) -> bool {
        let behind = self.next.map_or(0, |next| next.wrapping_sub(seq));
        (1..behind).any(|step| self.missed.has(seq.wrapping_add(step)))
    }

    /// Whether this number can only be one behind the birth in force: births go on with the sequence.
    pub(crate) fn is_behind_birth(&self, seq: Option<u8>) -> bool {
        let behind = |seq: u8| (1..=WINDOW).contains(&seq.wrapping_sub(self.born));
        self.born != 0 && seq.is_some_and(behind)
    }

    /// Whether the number 0 was that of the birth in force, and can't come again before all others have.
    pub(crate) fn had_zero(&self) -> bool {
        self.follows_birth && self.born == 0
    }

    /// Messages were refused before anybody read their numbers.
    pub(crate) fn expect_unread(&mut self, messages: u64) {
        let messages = u32::try_from(messages).unwrap_or(u32::MAX);
        self.has_passed_unread &= self.unread > 0;
        self.unread = self.unread.saturating_add(messages).min(u32::from(WINDOW));
    }

    /// Messages were judged since others came that nobody has read, and the numbers of those aren't
    /// known yet: they may be newer.
    pub(crate) fn has_passed_unread(&self) -> bool {
        self.unread > 0 && self.has_passed_unread
    }

    /// Whether so many missing numbers are those of messages that weren't read.
    pub(crate) fn explains(&self, ahead: u8) -> bool {
        ahead <= WINDOW && u32::from(ahead) <= self.unread
    }

    /// Nothing filled a hole in time. Too often, and the node doesn't count.
    pub(crate) fn strike(&mut self) {
        self.habit.strikes = self.habit.strikes.saturating_add(1);
        if self.is_in_vain() && self.habit.holes.count_ones() >= DISORDER {
            self.ignore();
        }
    }

    /// Nothing ever fills a hole: it is a loss at once.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.habit.strikes >= MOST_STRIKES
    }

    /// The node doesn't count, as its numbers show.
    pub(crate) fn ignore(&mut self) {
        self.missed = Numbers::default();
        self.unread = 0;
        self.habit.ignores = true;
        self.habit.contradictions = 0;
    }

    /// Two messages have one number: births between the two were lost, or the node doesn't count. Nothing
    /// that came before the second one is waited for any more.
    pub(crate) fn contradict(&mut self) {
        let contradictions = self.habit.contradictions.saturating_add(1);
        self.ignore();
        self.habit.contradictions = contradictions;
        self.follows_birth = false;
    }

    /// What came before the second one is judged: the order goes on behind that, as far as the node counts.
    pub(crate) fn go_on(&mut self) {
        if (1..MOST_CONTRADICTIONS).contains(&self.habit.contradictions) {
            self.habit.ignores = false;
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

    /// Whether an NBIRTH or NDEATH was here before, a while ago at most.
    pub(crate) fn has_seen(&self, hash: u64) -> bool {
        self.is_remembered(None, hash)
    }

    /// An NBIRTH with this `seq` starts the order anew.
    pub(crate) fn restart(&mut self, seq: Option<u8>) {
        let seq = seq.unwrap_or(0);
        self.next = Some(seq.wrapping_add(1));
        self.born = seq;
        self.habit.last = seq;
        self.begin();
        self.follows_birth = true;
        self.recent_since_birth = 0;
    }

    /// Forgets where the order stood: the next message starts it.
    pub(crate) fn forget(&mut self) {
        self.next = None;
        self.begin();
    }

    /// The order begins anew.
    fn begin(&mut self) {
        self.missed = Numbers::default();
        self.unread = 0;
        self.follows_birth = false;
        if std::mem::take(&mut self.habit.contradictions) > 0 {
            self.habit.ignores = false;
        }
    }

    /// What it takes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let recent = self.recent.capacity().saturating_mul(size_of::<(Option<u8>, u64)>());
        allocation(recent)
    }

    fn is_remembered(&self, seq: Option<u8>, hash: u64) -> bool {
        self.recent.contains(&(seq, hash))
    }

    fn remember(&mut self, seq: Option<u8>, hash: u64) {
        if self.recent.len() >= REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((seq, hash));
        self.recent_since_birth = self.recent_since_birth.saturating_add(1).min(REMEMBERED);
    }
}

impl Habit {
    fn take(&mut self, seq: u8) {
        let follows = seq == self.last.wrapping_add(1);
        self.last = seq;
        self.holes = self.holes << 1 | u16::from(!follows);
        self.steady = if follows { self.steady.saturating_add(1) } else { 0 };
        if self.steady >= STEADY {
            *self = Habit { steady: STEADY, last: seq, ..Habit::default() };
        }
    }
}

/// A set of sequence numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Numbers {
    low: u128,
    high: u128,
}

impl Numbers {
    fn half(&mut self, number: u8) -> (&mut u128, u128) {
        let bit = 1_u128 << (number & 127);
        if number > 127 { (&mut self.high, bit) } else { (&mut self.low, bit) }
    }

    fn add(&mut self, number: u8) {
        let (half, bit) = self.half(number);
        *half |= bit;
    }

    fn remove(&mut self, number: u8) {
        let (half, bit) = self.half(number);
        *half &= !bit;
    }

    fn has(&mut self, number: u8) -> bool {
        let (half, bit) = self.half(number);
        *half & bit != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started() -> Sequence {
        let mut sequence = Sequence::default();
        sequence.restart(Some(0));
        sequence
    }

    /// A message comes, and has its turn where it isn't refused; where it stood.
    fn take(sequence: &mut Sequence, seq: u8) -> Place {
        let place = sequence.place(Some(seq), u64::from(seq), false);
        match place {
            Place::Late => sequence.take_late(Some(seq)),
            Place::Duplicate => {}
            _ => {
                sequence.take(Some(seq));
            }
        }
        place
    }

    #[test]
    fn numbers_in_order_wrap_without_a_gap() {
        let mut sequence = started();
        for number in (1..=255).chain(0..=255).chain(0..=10) {
            assert_eq!(sequence.place(Some(number), 7, false), Place::InOrder);
            assert!(!sequence.take(Some(number)));
        }
    }

    #[test]
    fn a_number_that_was_given_up_is_late_once_and_for_half_a_round() {
        let mut sequence = started();
        assert_eq!(take(&mut sequence, 3), Place::OutOfOrder { ahead: 2 });
        assert_eq!(take(&mut sequence, 2), Place::Late);
        assert_eq!(sequence.place(Some(2), 99, false), Place::OutOfOrder { ahead: 254 });
        for number in 4..=128 {
            assert_eq!(take(&mut sequence, number), Place::InOrder);
        }
        assert_eq!(sequence.place(Some(1), 99, false), Place::Late);
        take(&mut sequence, 129);
        assert_eq!(sequence.place(Some(1), 98, false), Place::OutOfOrder { ahead: 127 });
    }

    #[test]
    fn a_number_far_behind_begins_a_new_order_unless_it_is_redelivered() {
        let mut sequence = started();
        assert_eq!(sequence.place(Some(200), 200, true), Place::Late);
        assert_eq!(sequence.place(Some(201), 201, false), Place::OutOfOrder { ahead: 200 });
        assert!(sequence.take(Some(201)));
        assert_eq!(sequence.next(), Some(202));
    }

    #[test]
    fn what_was_seen_is_a_duplicate_and_leaves_the_order_alone() {
        let mut sequence = started();
        take(&mut sequence, 1);
        take(&mut sequence, 2);
        assert_eq!(sequence.place(Some(1), 1, true), Place::Duplicate);
        assert_eq!(sequence.place(Some(2), 2, false), Place::Duplicate);
        assert_eq!(sequence.next(), Some(3));
        // Without `seq` only the broker's word makes it one.
        assert_eq!(sequence.place(None, 13, false), Place::InOrder);
        assert_eq!(sequence.place(None, 13, false), Place::InOrder);
        assert_eq!(sequence.place(None, 13, true), Place::Duplicate);
    }

    #[test]
    fn an_equal_message_that_is_expected_is_no_duplicate() {
        let mut sequence = started();
        take(&mut sequence, 1);
        sequence.restart(Some(0));
        assert_eq!(sequence.place(Some(1), 1, false), Place::InOrder);
    }

    #[test]
    fn memory_of_messages_is_bounded() {
        let mut sequence = started();
        for round in 0..1000 {
            sequence.place(None, round, false);
        }
        assert_eq!(sequence.recent.len(), REMEMBERED);
    }

    #[test]
    fn numbers_of_messages_that_were_not_read_are_no_gap() {
        let mut sequence = started();
        sequence.expect_unread(2);
        assert!(sequence.explains(2) && !sequence.explains(3));
        assert!(!sequence.take(Some(3)));
        assert!(!sequence.explains(1));
        assert_eq!(sequence.place(Some(2), 2, false), Place::OutOfOrder { ahead: 254 });
        sequence.expect_unread(1);
        assert!(sequence.take(Some(6)), "two are missing, one of them was here");
    }

    #[test]
    fn a_node_that_does_not_count_is_found_out_and_believed_again_when_it_does() {
        let mut sequence = started();
        for _ in 0..3 {
            assert!(!sequence.is_in_vain());
            sequence.strike();
        }
        assert!(sequence.is_in_vain(), "waiting was no use three times");
        assert!(sequence.take(Some(9)), "and what is missing is lost all the same");
        for number in 1..12 {
            sequence.strike();
            assert!(sequence.counts(), "a way that loses much");
            sequence.take(Some(9 + 7 * number));
        }
        sequence.strike();
        assert!(!sequence.counts(), "no way loses that much");
        for number in [9, 9, 200, 3] {
            assert_eq!(sequence.place(Some(number), 1000, false), Place::InOrder, "{number}");
            assert!(!sequence.take(Some(number)));
            sequence.recent.clear();
        }
        for number in 4..4 + STEADY {
            assert!(!sequence.counts());
            sequence.take(Some(number));
        }
        assert!(sequence.counts() && !sequence.is_in_vain());
        assert_eq!(sequence.place(Some(77), 77, false), Place::OutOfOrder { ahead: 41 });
    }
}

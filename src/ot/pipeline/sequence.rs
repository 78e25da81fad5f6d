//! The sequence check: whether it is a message's turn in the order of its edge node, and what holes
//! in that order say about the values.

use mistake::mistake;
use sparkplug::EntityTopic;

use super::step::StepContext;
use super::{Received, notify};
use crate::plant::{
    Early, Life, Node, Numbered, Numbering, OVERTAKEN, Place, WINDOW, is_shortly_before,
};

/// Behind an NBIRTH a number of 0 comes again after 255 others; so far before that nothing but a
/// node that doesn't count sends it.
const NO_SECOND_ZERO: std::ops::RangeInclusive<u8> = 1..=200;

/// Where holes fill, but slowly, a message waits for so many timeouts at most.
const MOST_TIMEOUTS: u32 = 4;

/// Whether messages that came after this one may be judged already: it must set nothing back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Late {
    #[default]
    No,
    /// The broker delivers it again, or thinks so.
    Again,
    /// The same, in the order behind a birth that came in this run: nothing newer is known, whatever
    /// their times say.
    AgainInOrder,
    /// In order, but something that is newer by its time was judged before its birth came, or something
    /// that may be newer was refused unread while it waited.
    Overtaken,
    /// They are, by their numbers.
    ByNumber,
    /// And some of them were refused: what it says may be out of date.
    Outdated,
}

impl Late {
    /// Of a message whose turn it is.
    pub(super) fn of(received: Received<'_>) -> Late {
        if received.dup { Late::Again } else { Late::No }
    }

    /// Of a message with the number that was expected.
    fn in_order(node: &Node, seq: Option<u8>, received: Received<'_>) -> Late {
        match Late::of(received) {
            Late::Again if node.is_born_here && seq.is_some() => Late::AgainInOrder,
            late => late,
        }
    }

    /// The broker delivers it again.
    pub(super) fn is_again(self) -> bool {
        matches!(self, Late::Again | Late::AgainInOrder)
    }

    pub(super) fn is_late(self) -> bool {
        self != Late::No
    }

    /// It may be older than what was lost, refused, or judged before a birth.
    pub(super) fn is_outdated(self) -> bool {
        matches!(self, Late::Overtaken | Late::Outdated)
    }

    /// Whether a value with this time is older than the current one; `None`: it has no time of its
    /// own.
    pub(super) fn is_older(self, timestamp: Option<u64>, current: Option<u64>) -> bool {
        match (self, timestamp) {
            (Late::No | Late::AgainInOrder | Late::Overtaken, _) | (Late::Again, None) => false,
            (Late::Again, timestamp) => timestamp < current,
            (Late::ByNumber | Late::Outdated, None) => true,
            // Of two in one millisecond it is the older.
            (Late::ByNumber | Late::Outdated, timestamp) => timestamp <= current,
        }
    }
}

/// The time of a message, and what it is worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dates {
    /// In milliseconds since the epoch.
    pub(super) timestamp: u64,
    /// The message has it, and not the relay alone.
    pub(super) is_dated: bool,
    pub(super) late: Late,
    /// It may be older than what was lost or refused.
    pub(super) is_outdated: bool,
}

/// What the order says about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It may be judged.
    Now { late: Late },
    /// Numbers before it are missing.
    Later { seq: u8 },
    /// It was seen before.
    Never,
}

impl StepContext<'_> {
    /// Takes note of the number of a message that has just come, for what the node's numbers are.
    pub(super) fn count(
        &mut self,
        node: &mut Node,
        seq: Option<u8>,
        timestamp: Option<u64>,
        hash: u64,
        received: Received<'_>,
    ) {
        if node.numbering != Numbering::Complete || received.dup || node.told_no_sequence {
            return;
        }
        let Some(seq) = seq else {
            if let Some(finding) = node.counting.take_unnumbered() {
                node.told_no_sequence = true;
                notify::no_sequence(&node.group, &node.edge_node, finding);
            }
            return;
        };
        let Some(repeats) = node.sequence.comes_again(seq, hash) else { return };
        let numbered = Numbered { seq, entity: entity(received.topic), timestamp };
        let is_ignored = !node.sequence.counts();
        if let Some(finding) = node.counting.take(numbered, repeats, is_ignored) {
            node.told_no_sequence = true;
            notify::no_sequence(&node.group, &node.edge_node, finding);
            Self::ignore_numbers(node);
        }
    }

    /// The node doesn't count its messages: from now on they are judged as they come. People are told
    /// where [`count`](Self::count) finds out in what way.
    fn ignore_numbers(node: &mut Node) {
        node.sequence.ignore();
        node.early.hurry();
    }

    /// The number, where numbers of this node say something: every message of it comes here.
    fn counted_number(&self, node: &mut Node, seq: Option<u8>) -> Option<u8> {
        if node.numbering == Numbering::Unasked {
            let is_complete = self.policy.sees_every_message_of(&node.group, &node.edge_node);
            node.numbering = if is_complete { Numbering::Complete } else { Numbering::Partial };
        }
        seq.filter(|_| node.numbering == Numbering::Complete)
    }

    /// Whether a message that waited for the birth is a copy of another one.
    pub(super) fn is_copy(&self, node: &mut Node, seq: Option<u8>, hash: u64) -> bool {
        let seq = self.counted_number(node, seq);
        let is_new = node.sequence.meet(seq, hash);
        node.count_sequence();
        !is_new
    }

    /// Asks whether it is the turn of a data message, or of a device's birth or death; `hash`
    /// identifies topic and payload.
    pub(super) fn turn(
        &mut self,
        node: &mut Node,
        seq: Option<u8>,
        hash: u64,
        received: Received<'_>,
    ) -> Turn {
        let seq = self.counted_number(node, seq);
        let place = node.sequence.place(seq, hash, received.dup);
        node.count_sequence();
        match place {
            Place::Duplicate => Turn::Never,
            Place::InOrder => {
                self.take(node, seq, received);
                if seq.is_some() && !node.early.is_empty() {
                    // A hole begins to fill.
                    let timeout = self.settings.reorder_timeout;
                    let most = timeout.saturating_mul(MOST_TIMEOUTS);
                    node.early.prolong(self.now.mono, timeout, most);
                }
                Turn::Now { late: Late::in_order(node, seq, received) }
            }
            Place::Late => {
                node.sequence.take_late(seq);
                // Of what was lost behind it nobody knows what it said.
                let lacks = seq.is_some_and(|seq| node.sequence.lacks_behind(seq));
                Turn::Now { late: if lacks { Late::Outdated } else { Late::ByNumber } }
            }
            Place::OutOfOrder { ahead } => {
                let Some(seq) = seq else {
                    mistake!("a message without a number that is out of order");
                    return Turn::Now { late: Late::ByNumber };
                };
                let in_vain = self.settings.reorder_timeout.is_zero();
                if node.sequence.explains(ahead) && node.early.is_empty() {
                    // What is missing was here, and refused unread: it was doubted then. What was
                    // judged since may be older than that.
                    if node.sequence.has_passed_unread() {
                        node.lives().for_each(Life::give_up_verifying);
                        node.lose();
                        self.order_keyframe(node);
                    }
                    self.take(node, Some(seq), received);
                    return Turn::Now { late: Late::of(received) };
                }
                let is_far = |next: u8| match node.sequence.had_zero() {
                    true => NO_SECOND_ZERO.contains(&next),
                    // Others were given up, or weren't heard: then it may be late.
                    false => next == 1,
                };
                let is_second_zero = seq == 0 && node.sequence.next().is_some_and(is_far);
                let contradicts = node.early.contradicts(seq, hash);
                if is_second_zero || contradicts {
                    if contradicts {
                        node.sequence.contradict();
                        node.early.hurry();
                        // Or births between the two were lost: nobody can tell any more.
                        node.own.life.give_up_verifying();
                        node.lose();
                        self.order_keyframe(node);
                        // What waits is of before that, and is judged first: as they came.
                        node.refusals = node.refusals.wrapping_add(1);
                        return Turn::Later { seq };
                    }
                    Self::ignore_numbers(node);
                    self.take(node, Some(seq), received);
                    return Turn::Now { late: Late::of(received) };
                }
                if in_vain || node.sequence.is_in_vain() {
                    self.give_up(node);
                    self.take(node, Some(seq), received);
                    return Turn::Now { late: Late::of(received) };
                }
                Turn::Later { seq }
            }
        }
    }

    /// It is the turn of the message with this number, though numbers before it may be missing.
    pub(super) fn take(&mut self, node: &mut Node, seq: Option<u8>, received: Received<'_>) {
        let was_known = seq.is_some() && node.sequence.next().is_some();
        let skipped = node.sequence.take(seq);
        // Libraries that send births at QoS 1 and data at QoS 0 are many.
        let may_be_vouched_for = received.assured && !node.has_unassured;
        let is_vouched_for = may_be_vouched_for && node.has_assured_data;
        // What waits behind the order may be of a session, or a round, that began unseen.
        let is_whole = !skipped && !node.early.iter().any(Early::is_behind);
        let goes_on = is_whole && (was_known || is_vouched_for);
        // After a restart: the sequence goes on, or the broker vouches for it. What the broker
        // delivers again was sent before, and says nothing of the time since.
        if goes_on && node.own.life.is_unverified() {
            if !received.dup {
                node.verified();
            }
        } else if seq.is_some() || !(is_whole && may_be_vouched_for) {
            node.own.life.give_up_verifying();
        }
    }

    /// Looks at the time of a message whose turn it is: what its number says may be chance. `arrived`: it
    /// has just come.
    pub(super) fn doubt_order(
        &mut self,
        node: &mut Node,
        topic: EntityTopic<'_>,
        (seq, sent_ms): (Option<u8>, Option<u64>),
        late: Late,
        arrived: bool,
    ) -> Late {
        if matches!(late, Late::ByNumber | Late::Outdated) {
            if arrived && node.crossing.follows_judged(sent_ms) {
                // Its number was given up, and it is the newest: it is so late that its node sent it late,
                // or of a session that began unseen.
                node.own.life.give_up_verifying();
                node.lose();
                self.order_keyframe(node);
            }
            return late;
        }
        if seq.is_some() {
            node.crossing.judged(sent_ms);
        }
        let state = node.state(topic.entity.device);
        let born = state.and_then(|state| state.layout.timestamp).zip(sent_ms);
        if late == Late::Again && born.is_some_and(|(born, sent)| sent < born) {
            // It comes behind the birth in force, and says that it was sent before: where a clock was set
            // back, what it says is newer than what is known, and times don't tell.
            node.own.life.give_up_verifying();
            node.lose();
            self.order_keyframe(node);
        }
        let is_overtaken = topic.message_type.is_data()
            && !late.is_again()
            && node.crossing.missed_later(self.now.mono, sent_ms);
        if is_overtaken { Late::Overtaken } else { late }
    }

    /// Whether a birth or death of a device comes so late that a newer one was judged before it;
    /// takes note of it otherwise. `waited`: for its turn.
    pub(super) fn is_superseded(
        &mut self,
        node: &mut Node,
        device: &str,
        (is_birth, seq, sent_ms): (bool, Option<u8>, Option<u64>),
        late: Late,
        waited: bool,
    ) -> bool {
        let counts = seq.is_some() && node.sequence.counts();
        let Some(state) = node.devices.get_mut(device) else { return false };
        let born = sent_ms.zip(state.layout.timestamp);
        // The birth in force may have come before that of its node, which it belongs to. One with a
        // number in the order behind that didn't: then numbers decide, and no clock that was set back.
        let within = self.settings.reorder_timeout;
        let is_before = |(sent, born): (u64, u64)| is_shortly_before(sent, born, within);
        let has_number = state.told_at.is_some();
        if !has_number && state.was_just_born(self.now.mono) && born.is_some_and(is_before) {
            if !counts {
                // Its time alone says so; a clock that was set back would say the same.
                state.doubt();
                node.next_keyframe = self.now.mono;
                *self.structure_changed = true;
            }
            return true;
        }
        let newer = |(told, seq): (u8, u8)| told != seq && told.wrapping_sub(seq) <= WINDOW;
        let is_overtaken = |(sent, born): (u64, u64)| is_shortly_before(sent, born, OVERTAKEN);
        if seq.is_some() && state.told_at == seq && born.is_some_and(is_overtaken) {
            // Births of its node between the two were lost, or refused: numbers don't tell.
            state.doubt();
            node.next_keyframe = self.now.mono;
            *self.structure_changed = true;
            return true;
        }
        // Where nothing came since, its number may be that of a session that began unseen.
        let is_no_later = |(sent, born): (u64, u64)| sent <= born;
        let is_late = late.is_late() || (waited && born.is_some_and(is_no_later));
        if is_late && state.told_at.zip(seq).is_some_and(newer) {
            if is_birth && born.is_some_and(|(sent, born)| sent > born) {
                // Its number says that it is older, and its time that it is newer: what is known may
                // be of a session before.
                state.doubt();
                node.next_keyframe = self.now.mono;
                *self.structure_changed = true;
            }
            return true;
        }
        state.told_at = seq;
        false
    }

    /// What is missing isn't waited for any more: messages of the node were lost before they
    /// reached the relay.
    pub(super) fn give_up(&mut self, node: &mut Node) {
        node.sequence.strike();
        if !node.own.life.is_alive() {
            return;
        }
        self.counters.gaps = self.counters.gaps.saturating_add(1);
        notify::gap(&node.group, &node.edge_node);
        node.own.life.give_up_verifying();
        node.lose();
        // The node's next message reports the loss, but may be long in coming: until then its
        // values would look good.
        self.order_keyframe(node);
    }

    /// The same for one hole of several that are given up together: people hear of one loss, and what
    /// was judged between them is doubted like what was before.
    pub(super) fn give_up_again(&mut self, node: &mut Node, told: &mut bool) {
        if std::mem::replace(told, true) {
            node.own.life.give_up_verifying();
            node.lose();
        } else {
            self.give_up(node);
        }
    }
}

/// Names the topic of a message among those of its node.
fn entity(topic: &str) -> u32 {
    topic.bytes().fold(0x811C_9DC5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

//! How an edge node counts its messages: whether its `seq` says anything at all, told from what comes.
//!
//! A node counts its messages and those of its devices in one sequence, modulo 256 (Sparkplug 3.0
//! §6.4.4). Four things are found, and none of the first three is said where loss, reordering, copies or
//! restarts could look the same:
//!
//! - **It stands still**: [`STILL`] messages in a row with other contents have one number. A node that
//!   counts would have to lose exactly 256·k − 1 messages between any two of them.
//! - **Two sequences**: two runs of numbers, each going on by 1, take turns: [`TURNS`] times at least, and
//!   each for as many steps. Both have messages of one and the same entity, so it isn't devices that
//!   count for themselves, and they are apart by 2 or more, so it isn't a node that counts every other
//!   message. Late messages of one sequence look like that, too, until it is seen that numbers come
//!   again with other contents, or that the run behind has the later timestamps each time. Two
//!   publishers whose clocks differ and whose numbers are far apart are therefore not found; nor are
//!   late messages taken for a publisher. (One publisher with two counters for the same topics can't
//!   be told from two.)
//! - **Repeats**: numbers come again with other contents, in runs that take turns as above but are no
//!   proof of two publishers, or in half of all messages without any order. It is a node that
//!   doesn't count, devices that count each for itself, or several publishers.
//! - **No sequence**: the reorder stage has ignored the numbers for [`IGNORED`] messages, since nothing
//!   filled their holes, and none of the above was found meanwhile; or [`STILL`] messages in a row have
//!   none.
//!
//! Between births only: an NBIRTH begins the sequence anew. Copies don't come here, nor what the broker
//! marks as delivered again. What is left to mistake: a way that loses all but the first four or fewer
//! of each 128·k messages and a few, as regular as a clock and eight times in a row.

/// Messages in a row with one number.
const STILL: u8 = 8;
/// How often two runs take turns, and steps of each.
const TURNS: u16 = 8;
/// Of the last [`REPEATS_OF`] messages, those with a number that came before with other contents.
const REPEATS: u32 = 8;
const REPEATS_OF: u32 = 32;
/// Of the last 64, if they follow no order.
const DISORDER: u32 = 32;
/// So many numbers apart late messages of one sequence aren't taken for the other run by their
/// timestamps alone.
const FAR_APART: u8 = 16;
/// Messages of a turn, on average, or else one run has twice the steps of the other: bursts of which
/// only the first so many arrive can go on with the one before the last, but all alike.
const OF_A_TURN: u16 = 4;
/// Messages of one entity in both runs.
const IN_BOTH: u8 = 4;
/// Messages whose numbers are ignored until that is told: more than go on by 1 in a row where the
/// numbers are believed again, and enough for what can be said more precisely.
const IGNORED: u8 = 80;
/// Entities that are told apart in a run.
const ENTITIES: usize = 4;

/// A numbered message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbered {
    pub(crate) seq: u8,
    /// Names its topic among those of the node.
    pub(crate) entity: u32,
    /// Of the payload, in milliseconds since the epoch.
    pub(crate) timestamp: Option<u64>,
}

/// What a node's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Every message has this one.
    StandsStill(u8),
    /// Two sequences take turns; their next numbers.
    TwoSequences(u8, u8),
    /// Numbers come again, of what several things could be the cause.
    Repeats,
    /// Nothing fills their holes.
    NoSequence,
}

/// What is known of a node's numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    runs: [Run; 2],
    /// The run that went on last.
    current: usize,
    /// How often the other one went on, since there are these two.
    turns: u16,
    /// Messages since then.
    messages: u16,
    /// In how many turns up to now the timestamp was later than all before.
    later_turns: u16,
    latest: Option<u64>,
    last: Option<u8>,
    /// Messages in a row with the last number.
    still: u8,
    /// Messages in a row whose numbers are ignored.
    ignored: u8,
    /// Messages in a row without a number.
    unnumbered: u8,
    /// One bit for each of the last messages: its number came before with other contents …
    repeats: u64,
    /// … and it isn't the one behind the last one.
    disorder: u64,
}

/// Numbers that went on by 1.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    next: Option<u8>,
    steps: u16,
    /// Entities and how many messages they had in it.
    entities: [(u32, u8); ENTITIES],
}

impl Run {
    fn goes_on(&self, seq: u8) -> bool {
        self.next == Some(seq)
    }

    fn add(&mut self, Numbered { seq, entity, .. }: Numbered) {
        self.next = Some(seq.wrapping_add(1));
        let place = self.entities.iter_mut().find(|(known, count)| *known == entity || *count == 0);
        if let Some((known, count)) = place {
            *known = entity;
            *count = count.saturating_add(1);
        }
    }

    /// Messages of one entity that both have often; `None`: they have no entity in common.
    fn shares(&self, other: &Run) -> Option<bool> {
        let seen = |run: &Run| run.entities.into_iter().filter(|(_, count)| *count > 0);
        let counts = seen(self).filter_map(|(entity, own)| {
            let theirs = seen(other).find(|(theirs, _)| *theirs == entity);
            theirs.map(|(_, theirs)| own.min(theirs))
        });
        counts.max().map(|count| count >= IN_BOTH)
    }
}

impl Counting {
    /// An NBIRTH begins the sequence anew. Another publisher's goes on.
    pub(crate) fn birth(&mut self) {
        self.last = None;
        self.still = 0;
        self.repeats = 0;
        self.disorder = 0;
    }

    /// Takes a message that is no copy. `repeats`: its number came a short while ago, with other
    /// contents; `is_ignored`: the reorder stage doesn't go by the node's numbers.
    pub(crate) fn take(
        &mut self,
        message: Numbered,
        repeats: bool,
        is_ignored: bool,
    ) -> Option<Finding> {
        self.unnumbered = 0;
        let seq = message.seq;
        let follows = self.last.is_some_and(|last| last.wrapping_add(1) == seq);
        let stands = self.last == Some(seq);
        self.last = Some(seq);
        self.still = if stands { self.still.saturating_add(1) } else { 1 };
        self.repeats = self.repeats << 1 | u64::from(repeats);
        self.disorder = self.disorder << 1 | u64::from(repeats && !follows);
        let is_later = message.timestamp > self.latest;
        self.latest = self.latest.max(message.timestamp);
        self.go_on(message, is_later);
        self.ignored = if is_ignored { self.ignored.saturating_add(1) } else { 0 };
        if self.still >= STILL {
            return Some(Finding::StandsStill(seq));
        }
        let repeats = (self.disorder.count_ones() >= DISORDER).then_some(Finding::Repeats);
        let ignored = (self.ignored >= IGNORED).then_some(Finding::NoSequence);
        self.sequences().or(repeats).or(ignored)
    }

    /// Takes a message without a number.
    pub(crate) fn take_unnumbered(&mut self) -> Option<Finding> {
        self.unnumbered = self.unnumbered.saturating_add(1);
        (self.unnumbered >= STILL).then_some(Finding::NoSequence)
    }

    fn go_on(&mut self, message: Numbered, is_later: bool) {
        let other = 1_usize.saturating_sub(self.current);
        let goes_on = |place: usize| {
            self.runs.get(place).is_some_and(|run| run.goes_on(message.seq)).then_some(place)
        };
        // Where both would, they take turns.
        let in_turn = self.turns > 0 && goes_on(self.current).is_some() && goes_on(other).is_some();
        let found = if in_turn { Some(other) } else { goes_on(self.current).or(goes_on(other)) };
        let place = found.unwrap_or(other);
        let Some(run) = self.runs.get_mut(place) else { return };
        if found.is_none() {
            *run = Run::default();
            (self.turns, self.later_turns, self.messages) = (0, 0, 0);
        } else {
            self.messages = self.messages.saturating_add(1);
            run.steps = run.steps.saturating_add(1);
            if place != self.current {
                self.turns = self.turns.saturating_add(1);
                self.later_turns = if is_later { self.later_turns.saturating_add(1) } else { 0 };
            }
        }
        run.add(message);
        self.current = place;
        if found.is_none()
            && let Some(run) = self.runs.get_mut(1_usize.saturating_sub(place))
        {
            run.steps = 0;
        }
    }

    fn sequences(&self) -> Option<Finding> {
        let [one, other] = &self.runs;
        let (fewer, more) = (one.steps.min(other.steps), one.steps.max(other.steps));
        let takes_turns = self.messages <= self.turns.saturating_mul(OF_A_TURN)
            || more >= fewer.saturating_mul(2);
        if self.turns < TURNS || fewer < TURNS || !takes_turns {
            return None;
        }
        let (first, second) = (one.next?, other.next?);
        let ahead = first.wrapping_sub(second);
        let apart = ahead.min(ahead.wrapping_neg());
        let recent = self.repeats & u64::from(u32::MAX);
        debug_assert_eq!(REPEATS_OF, u32::BITS);
        let repeats = recent.count_ones() >= REPEATS;
        let is_proof = repeats || (self.later_turns >= TURNS && apart >= FAR_APART);
        match one.shares(other) {
            Some(true) if is_proof && apart >= 2 => Some(Finding::TwoSequences(first, second)),
            Some(true) if repeats => Some(Finding::Repeats),
            None if is_proof => Some(Finding::Repeats),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

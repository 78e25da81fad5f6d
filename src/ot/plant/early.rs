//! Messages of one edge node that came before their turn, in the order in which it will be theirs.

use std::time::Duration;

use account::NodeSlot;

use super::crossing::{CLOCK_TIMEOUTS, Missed};
use super::sequence::WINDOW;

/// A message that waits for its turn, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Early {
    pub(crate) topic: Box<str>,
    pub(crate) payload: Box<[u8]>,
    pub(crate) seq: u8,
    /// Of topic and payload.
    pub(crate) hash: u64,
    pub(crate) dup: bool,
    pub(crate) assured: bool,
    /// Payload timestamp, in milliseconds since the epoch.
    pub(crate) timestamp: Option<u64>,
    /// Which message of this run it is.
    pub(crate) number: u64,
    /// The node under which it was counted as waiting; `None`: it wasn't known.
    pub(crate) counted: Option<NodeSlot>,
    /// How many messages of its node had been refused when it came.
    pub(crate) refusals: u32,
    /// Another one of its node was refused unread since it came, and may be newer.
    pub(crate) outdated: bool,
    /// Since when it waits.
    pub(crate) since: Duration,
    /// Until when.
    pub(crate) until: Duration,
    /// Its number was behind the expected one, which was this: it is of a session whose birth is
    /// to come, or very late.
    pub(crate) behind: Option<u8>,
}

impl Early {
    /// Its number was behind the expected one.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// What it takes of the memory for messages that wait.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.topic.len().saturating_add(self.payload.len());
        texts.saturating_add(size_of::<Early>())
    }
}

/// The newest of the messages that were taken for older than a birth, if one of them may as well be
/// newer: numbers before it are missing, and times don't tell. `timestamp` and `seq` are those of the
/// birth.
pub(crate) fn unclear(
    former: &[Early],
    now: Duration,
    timestamp: Option<u64>,
    seq: u8,
    timeout: Duration,
) -> Option<Missed> {
    let most_ms = timeout.saturating_mul(CLOCK_TIMEOUTS).as_millis();
    let is_clear = |early: &Early| {
        let apart = early.timestamp.zip(timestamp).map(|(early, birth)| early.abs_diff(birth));
        seq != 0 || apart.is_some_and(|apart| u128::from(apart) <= most_ms)
    };
    let newest_ms = former.iter().map(|early| early.timestamp).max()?;
    let is_unclear = !former.iter().all(is_clear);
    is_unclear.then_some(Missed { at: now, newest_ms })
}

/// The messages of a node that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct EarlyMessages(Vec<Early>);

impl EarlyMessages {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Early> {
        self.0.iter()
    }

    /// Another one waits; `next` is the number that is expected.
    pub(crate) fn add(&mut self, early: Early, next: u8) {
        let ahead = |seq: u8| seq.wrapping_sub(next);
        let place = self.0.partition_point(|other| ahead(other.seq) <= ahead(early.seq));
        self.0.insert(place, early);
    }

    /// The one whose turn it is, where `next` is expected.
    pub(crate) fn take_next(&mut self, next: Option<u8>) -> Option<Early> {
        let place = self.0.iter().position(|early| Some(early.seq) == next)?;
        Some(self.0.remove(place))
    }

    /// The first of all.
    pub(crate) fn take_first(&mut self) -> Option<Early> {
        (!self.0.is_empty()).then(|| self.0.remove(0))
    }

    /// One that is so late that the order has gone on without it, and has waited long enough.
    pub(crate) fn take_stray(&mut self, now: Duration, next: Option<u8>) -> Option<Early> {
        let is_stray = |early: &Early| {
            early.until <= now && early.behind.is_some_and(|expected| Some(expected) != next)
        };
        let place = self.0.iter().position(is_stray)?;
        Some(self.0.remove(place))
    }

    /// When the first of them has waited long enough.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.0.iter().map(|early| early.until).min()
    }

    /// None of them has to wait any longer.
    pub(crate) fn hurry(&mut self) {
        self.0.iter_mut().for_each(|early| early.until = Duration::ZERO);
    }

    /// A message of the node was refused unread: none of them has to wait any longer for its number, and
    /// each may be older than that.
    pub(crate) fn outdate(&mut self) {
        self.hurry();
        self.0.iter_mut().for_each(|early| early.outdated = true);
    }

    /// A hole begins to fill: what waits behind it may wait for as long again, up to `most` in all.
    pub(crate) fn prolong(&mut self, now: Duration, timeout: Duration, most: Duration) {
        for early in self.0.iter_mut().filter(|early| early.behind.is_none()) {
            let until = now.saturating_add(timeout).min(early.since.saturating_add(most));
            early.until = early.until.max(until);
        }
    }

    /// Whether a message with this number but another content waits: no node that counts sends
    /// both. What waited for a birth may be of a session whose birth was lost.
    pub(crate) fn contradicts(&self, seq: u8, hash: u64) -> bool {
        let is_of_this = |early: &&Early| early.counted.is_some();
        let mut waiting = self.0.iter().filter(is_of_this);
        waiting.any(|early| early.seq == seq && early.hash != hash)
    }

    /// Whether another message with this number waits that wasn't sent before this one, as far as their
    /// times say.
    pub(crate) fn has_newer(&self, seq: u8, timestamp: Option<u64>) -> bool {
        let is_newer = |(other, sent): (u64, u64)| other >= sent;
        let mut same = self.0.iter().filter(|early| early.seq == seq);
        same.any(|early| early.timestamp.zip(timestamp).is_none_or(is_newer))
    }

    /// A birth came: takes what its node sent before it. What is left belongs to the birth, in the
    /// order behind it. `timestamp` and `seq` are those of the birth.
    /// Times that are further apart than a message may wait say that a clock was set: what is left and
    /// has such a time may as well be of before.
    pub(crate) fn take_former(
        &mut self,
        timestamp: Option<u64>,
        seq: u8,
        timeout: Duration,
    ) -> Vec<Early> {
        let most_ms = timeout.saturating_mul(CLOCK_TIMEOUTS).as_millis();
        let apart = |early: &Early| {
            let times = early.timestamp.zip(timestamp);
            times.map(|(early, birth)| u128::from(early.abs_diff(birth)))
        };
        let is_near = |apart: u128| apart != 0 && apart <= most_ms;
        let is_former = |early: &mut Early| match apart(early) {
            Some(apart) if is_near(apart) => early.timestamp < timestamp,
            // Where births go on with the sequence.
            _ if seq != 0 => early.seq.wrapping_sub(seq) > WINDOW,
            _ => early.behind.is_none(),
        };
        let former = self.0.extract_if(.., is_former).collect();
        let ahead = |early: &Early| early.seq.wrapping_sub(seq);
        self.0.sort_by_key(ahead);
        for early in &mut self.0 {
            early.behind = (ahead(early) > WINDOW).then_some(seq.wrapping_add(1));
            early.outdated |= seq == 0 && apart(early).is_some_and(|apart| apart > most_ms);
        }
        former
    }

    /// Takes those that aren't of a session to come.
    pub(crate) fn take_present(&mut self) -> Vec<Early> {
        self.0.extract_if(.., |early| early.behind.is_none()).collect()
    }

    /// Takes all, in order.
    pub(crate) fn take_all(&mut self) -> Vec<Early> {
        std::mem::take(&mut self.0)
    }

    /// Messages of a node that was not known.
    pub(crate) fn append(&mut self, others: EarlyMessages) {
        self.0.extend(others.0);
    }
}

//! Births and deaths of one edge node that overtook each other. A death has no place in the sequence
//! of its node, so neither can wait for the other: what came last is remembered for as long as a
//! message may be late.

use std::time::Duration;

/// What a birth may be late behind messages that were sent after it.
pub(crate) const OVERTAKEN: Duration = Duration::from_secs(20);
/// More timeouts than a message may wait: so far apart times say nothing of an order.
pub(crate) const CLOCK_TIMEOUTS: u32 = 8;

/// Messages that were dropped, or taken for others, since the birth before which they have to be read
/// wasn't here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Missed {
    /// When the last of them came.
    pub(crate) at: Duration,
    /// The latest of their times, in milliseconds since the epoch; `None`: one has none.
    pub(crate) newest_ms: Option<u64>,
}

impl Missed {
    /// Whether they may say something newer than a birth of this time that comes now.
    pub(crate) fn may_be_newer(&self, now: Duration, birth_ms: Option<u64>) -> bool {
        let is_newer = |(newest, birth): (u64, u64)| newest >= birth;
        now.saturating_sub(self.at) <= OVERTAKEN
            && self.newest_ms.zip(birth_ms).is_none_or(is_newer)
    }
}

/// The birth and the death that came last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crossing {
    birth: Option<Met>,
    death: Option<Met>,
    /// When the latest of its other messages came, as their times have it, and that time.
    latest: Option<(Duration, u64)>,
    /// The time of the message that was judged last in its turn.
    judged_ms: Option<u64>,
    /// What the last birth came too late for: births of devices may be too late for it, too.
    missed: Option<Missed>,
    /// When the session in force ends: its death was here before its birth.
    ends_at: Option<Duration>,
    /// A session ended so, and the node was heard of later.
    was_wrong: bool,
    /// The last session ended so.
    ended: bool,
}

/// An NBIRTH or NDEATH, and when it came.
#[derive(Clone, Copy, Debug)]
struct Met {
    at: Duration,
    /// Its `bdSeq`.
    number: Option<u8>,
    /// Of the payload, in milliseconds since the epoch.
    timestamp: Option<u64>,
    /// A birth with this number was here before.
    is_known: bool,
}

impl Met {
    fn is_recent(&self, now: Duration, within: Duration) -> bool {
        !within.is_zero() && now.saturating_sub(self.at) <= within
    }
}

impl Crossing {
    /// Whether a birth that comes now is older than the one that came before it: its number is
    /// behind, and its time before. A clock that was set back alone doesn't make it so.
    pub(crate) fn is_late(
        &self,
        now: Duration,
        within: Duration,
        number: Option<u8>,
        timestamp: Option<u64>,
    ) -> bool {
        let Some(last) = self.birth.filter(|last| last.is_recent(now, within)) else {
            return false;
        };
        let is_behind = |(last, number): (u8, u8)| (1..=127).contains(&last.wrapping_sub(number));
        let is_older = |(last, sent): (u64, u64)| is_shortly_before(sent, last, within);
        last.number.zip(number).is_some_and(is_behind)
            && last.timestamp.zip(timestamp).is_some_and(is_older)
    }

    /// Whether a message that comes now was sent before the birth that is in force, as its time says.
    pub(crate) fn precedes_birth(
        &self,
        now: Duration,
        within: Duration,
        timestamp: Option<u64>,
    ) -> bool {
        let birth = self.birth.filter(|birth| birth.is_recent(now, within));
        let sent = birth.and_then(|birth| birth.timestamp).zip(timestamp);
        sent.is_some_and(|(birth, sent)| is_shortly_before(sent, birth, within))
    }

    /// Whether a death came at that time or later.
    pub(crate) fn died_since(&self, since: Duration) -> bool {
        self.death.is_some_and(|death| death.at >= since)
    }

    /// A message of this time came that counts in the sequence.
    pub(crate) fn heard(&mut self, now: Duration, timestamp: Option<u64>) {
        if let Some(sent) = timestamp
            && self.latest.is_none_or(|(_, latest)| sent >= latest)
        {
            self.latest = Some((now, sent));
        }
    }

    /// Whether a message that was sent behind a birth that comes now was here before it: it was taken
    /// for one of the session before.
    pub(crate) fn overtook_birth(&mut self, now: Duration, timestamp: Option<u64>) -> bool {
        let is_behind = |(at, sent): &(Duration, u64)| {
            timestamp.is_some_and(|birth| *sent > birth) && now.saturating_sub(*at) <= OVERTAKEN
        };
        let latest = self.latest.take().filter(is_behind);
        self.missed = latest.map(|(at, sent)| Missed { at, newest_ms: Some(sent) });
        self.missed.is_some()
    }

    /// What the birth before came too late for, if one that comes now was sent before it as well.
    /// Messages overtake each other by seconds: more of it is a clock that was set back.
    pub(crate) fn overtook_both(&self, now: Duration, timestamp: Option<u64>) -> Option<Missed> {
        let missed = self.missed.filter(|missed| now.saturating_sub(missed.at) <= OVERTAKEN)?;
        let (newest, birth) = missed.newest_ms.zip(timestamp)?;
        is_shortly_before(birth, newest, OVERTAKEN).then_some(missed)
    }

    /// The birth that came now came too late for these messages, too.
    pub(crate) fn miss(&mut self, missed: Missed) {
        let is_newer = |known: Missed| {
            known.newest_ms.zip(missed.newest_ms).is_some_and(|(known, newest)| known > newest)
        };
        if !self.missed.is_some_and(is_newer) {
            self.missed = Some(missed);
        }
    }

    /// Whether the birth of a device that comes now comes too late for something that its node's came
    /// too late for.
    pub(crate) fn missed_newer(&self, now: Duration, birth_ms: Option<u64>) -> bool {
        self.missed.is_some_and(|missed| missed.may_be_newer(now, birth_ms))
    }

    /// Whether a message of this time that comes in its turn, behind a birth, is older than something
    /// that the birth came too late for: that may have said something newer.
    pub(crate) fn missed_later(&self, now: Duration, sent_ms: Option<u64>) -> bool {
        let missed = self.missed.filter(|missed| now.saturating_sub(missed.at) <= OVERTAKEN);
        let newest = missed.and_then(|missed| missed.newest_ms).zip(sent_ms);
        newest.is_some_and(|(newest, sent)| {
            newest == sent || is_shortly_before(sent, newest, OVERTAKEN)
        })
    }

    /// A message of this time was judged in its turn.
    pub(crate) fn judged(&mut self, sent_ms: Option<u64>) {
        self.judged_ms = sent_ms;
    }

    /// Whether a message of this time, whose number is behind, was sent before the one that was judged
    /// last. Times that are further apart than a message may wait say that a clock was set.
    pub(crate) fn precedes_judged(&self, within: Duration, sent_ms: Option<u64>) -> bool {
        self.judged_ms.zip(sent_ms).is_some_and(|(judged, sent)| {
            judged == sent || is_shortly_before(sent, judged, within.saturating_mul(CLOCK_TIMEOUTS))
        })
    }

    /// Whether a message of this time was sent after the one that was judged last in its turn.
    pub(crate) fn follows_judged(&self, sent_ms: Option<u64>) -> bool {
        self.judged_ms.zip(sent_ms).is_some_and(|(judged, sent)| sent > judged)
    }

    /// A birth came. The session ends soon where its death was here already.
    pub(crate) fn born(
        &mut self,
        now: Duration,
        within: Duration,
        number: Option<u8>,
        timestamp: Option<u64>,
    ) {
        self.birth = Some(Met { at: now, number, timestamp, is_known: true });
        self.judged_ms = timestamp;
        self.ended = false;
        let death = self.death.take().filter(|death| death.is_recent(now, within));
        let death = death.filter(|death| self.ends(death, number, timestamp));
        self.ends_at = death.map(|death| death.at.saturating_add(within));
    }

    /// Whether a death that came before a birth is that of its session, or of one after it.
    fn ends(&self, death: &Met, number: Option<u8>, timestamp: Option<u64>) -> bool {
        if let Some((death_number, number)) = death.number.zip(number) {
            match (death_number == number, death.is_known) {
                // Some libraries give a death the number of the session to come.
                (true, false) => return !self.was_wrong,
                // Of a session that was seen.
                (false, true) => return false,
                // The node doesn't count its sessions.
                (true, true) | (false, false) => {}
            }
        }
        death.timestamp.zip(timestamp).is_some_and(|(death, birth)| death > birth)
    }

    /// A death came; `is_known`: a birth with its number was here before.
    pub(crate) fn died(
        &mut self,
        now: Duration,
        number: Option<u8>,
        timestamp: Option<u64>,
        is_known: bool,
    ) {
        self.ends_at = None;
        self.death = Some(Met { at: now, number, timestamp, is_known });
    }

    /// When the session in force ends, if its death was here before its birth.
    pub(crate) fn ends_at(&self) -> Option<Duration> {
        self.ends_at
    }

    /// It ended so.
    pub(crate) fn end(&mut self) {
        self.ends_at = None;
        self.ended = true;
    }

    /// Something of the node came that shows that it lives.
    pub(crate) fn revive(&mut self) {
        self.was_wrong |= std::mem::take(&mut self.ended);
    }

    /// Whether nothing of it says anything any more.
    pub(crate) fn is_over(&self, now: Duration, within: Duration) -> bool {
        self.death.is_none_or(|death| !death.is_recent(now, within))
    }
}

/// Whether a message may have been overtaken by another, as their times say. A clock that was set back
/// mostly makes more of it.
pub(crate) fn is_shortly_before(sent: u64, other: u64, within: Duration) -> bool {
    let ahead = other.saturating_sub(sent);
    ahead > 0 && Duration::from_millis(ahead) <= within
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHIN: Duration = Duration::from_secs(2);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Whether the session of a birth at 11 s ends, where a death came at 10 s.
    fn ends(
        death: (Option<u8>, Option<u64>, bool),
        birth: (Option<u8>, Option<u64>),
    ) -> Option<Duration> {
        let mut crossing = Crossing::default();
        crossing.died(at(10), death.0, death.1, death.2);
        crossing.born(at(11), WITHIN, birth.0, birth.1);
        crossing.ends_at()
    }

    #[test]
    fn a_death_ends_the_birth_that_it_overtook_and_no_other_one() {
        // By its number, which no birth had yet.
        assert_eq!(ends((Some(2), Some(5), false), (Some(2), Some(5))), Some(at(12)));
        // The session that ended was seen, and this is the next one.
        assert_eq!(ends((Some(1), Some(9), true), (Some(2), Some(5))), None);
        // Numbers that say nothing: the times do.
        for number in [None, Some(0)] {
            assert_eq!(ends((number, Some(6), true), (number, Some(5))), Some(at(12)));
            assert_eq!(ends((number, Some(5), true), (number, Some(5))), None);
            assert_eq!(ends((number, None, true), (number, Some(5))), None);
        }
        // The will says 0 and the birth 1, as one library has it.
        assert_eq!(ends((Some(0), Some(6), false), (Some(1), Some(5))), Some(at(12)));
        assert_eq!(ends((Some(0), Some(4), false), (Some(1), Some(5))), None);
    }

    #[test]
    fn what_came_long_ago_says_nothing() {
        let mut crossing = Crossing::default();
        crossing.died(at(10), Some(2), Some(5), false);
        assert!(!crossing.is_over(at(12), WITHIN) && crossing.is_over(at(13), WITHIN));
        crossing.born(at(13), WITHIN, Some(2), Some(5));
        assert_eq!(crossing.ends_at(), None);
        let mut crossing = Crossing::default();
        crossing.died(at(10), Some(2), Some(5), false);
        crossing.born(at(10), Duration::ZERO, Some(2), Some(5));
        assert_eq!(crossing.ends_at(), None, "nothing waits for anything");
    }

    #[test]
    fn a_library_that_gives_deaths_the_next_number_is_taken_at_its_word_after_once() {
        let mut crossing = Crossing::default();
        crossing.born(at(1), WITHIN, Some(3), Some(1));
        crossing.died(at(10), Some(4), Some(9), false);
        crossing.born(at(10), WITHIN, Some(4), Some(10));
        assert_eq!(crossing.ends_at(), Some(at(12)));
        crossing.end();
        crossing.revive();
        crossing.died(at(20), Some(5), Some(19), false);
        crossing.born(at(20), WITHIN, Some(5), Some(20));
        assert_eq!(crossing.ends_at(), None);
    }

    #[test]
    fn a_birth_that_comes_behind_its_data_is_known_as_such() {
        let mut crossing = Crossing::default();
        assert!(!crossing.overtook_birth(at(1), Some(5)));
        crossing.heard(at(1), Some(6));
        crossing.heard(at(1), Some(4));
        assert!(crossing.overtook_birth(at(2), Some(5)));
        assert!(!crossing.overtook_birth(at(2), Some(5)), "of the session before that");
        crossing.heard(at(1), Some(5));
        assert!(!crossing.overtook_birth(at(2), Some(5)));
        crossing.heard(at(1), Some(6));
        assert!(!crossing.overtook_birth(at(22), Some(5)), "a clock that was set back");
    }

    #[test]
    fn a_birth_is_late_by_number_and_time() {
        let mut crossing = Crossing::default();
        assert!(!crossing.is_late(at(1), WITHIN, Some(1), Some(1)));
        crossing.born(at(1), WITHIN, Some(2), Some(5));
        assert!(crossing.is_late(at(2), WITHIN, Some(1), Some(4)));
        crossing.born(at(1), WITHIN, Some(2), Some(5_000));
        assert!(!crossing.is_late(at(2), WITHIN, Some(1), Some(2_999)), "a clock that was set");
        crossing.born(at(1), WITHIN, Some(2), Some(5));
        assert!(!crossing.is_late(at(9), WITHIN, Some(1), Some(4)));
        assert!(!crossing.is_late(at(2), WITHIN, Some(1), Some(5)));
        // A gateway that doesn't store its number; a clock that was set back; a rebirth.
        assert!(!crossing.is_late(at(2), WITHIN, Some(0), Some(6)));
        assert!(!crossing.is_late(at(2), WITHIN, Some(3), Some(1)));
        assert!(!crossing.is_late(at(2), WITHIN, Some(2), Some(4)));
        assert!(!crossing.is_late(at(2), WITHIN, None, Some(4)));
        // Other messages go by their time alone.
        assert!(crossing.precedes_birth(at(2), WITHIN, Some(4)));
        assert!(!crossing.precedes_birth(at(2), WITHIN, Some(5)));
        assert!(!crossing.precedes_birth(at(2), WITHIN, None));
        assert!(!crossing.precedes_birth(at(4), WITHIN, Some(4)));
    }
}

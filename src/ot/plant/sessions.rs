//! The sessions of one edge node, by the `bdSeq` of their births: what a death is worth goes by
//! the births that this relay saw, since the numbers alone say little. Libraries count them by
//! connects, by births or not at all, begin anew with each start, or put another one into the will.

use std::collections::VecDeque;

/// Births that are remembered.
const REMEMBERED: usize = 16;

/// What a death ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// The session of the birth in force, or what can't be told from it.
    Own,
    /// An earlier session, whose birth was seen: this one goes on.
    Earlier,
    /// A session of which no birth was seen. It may be the one in force.
    Unknown,
}

/// The sessions that were seen, the one in force last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions(VecDeque<Seen>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    number: u8,
    /// Its death was seen.
    ended: bool,
}

impl Sessions {
    /// Whether a birth was seen at all.
    pub(crate) fn any(&self) -> bool {
        !self.0.is_empty()
    }

    /// A birth with this number came.
    pub(crate) fn begin(&mut self, number: Option<u8>) {
        let Some(number) = number else { return };
        self.0.retain(|seen| seen.number != number);
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(Seen { number, ended: false });
    }

    /// Whether a birth with this number was seen.
    pub(crate) fn has(&self, number: Option<u8>) -> bool {
        self.0.iter().any(|seen| Some(seen.number) == number)
    }

    /// The session in force died.
    pub(crate) fn end(&mut self) {
        if let Some(last) = self.0.back_mut() {
            last.ended = true;
        }
    }

    /// What a death with the number `death` ends, while the birth in force has the number `birth`.
    pub(crate) fn judge(&self, birth: Option<u8>, death: Option<u8>) -> Ends {
        let (Some(birth), Some(death)) = (birth, death) else { return Ends::Own };
        if birth == death {
            return Ends::Own;
        }
        match self.0.iter().find(|seen| seen.number == death) {
            // Some libraries send the next number when they disconnect; an earlier session that
            // had it is dead already, and its will is spent.
            Some(Seen { ended: true, .. }) if death == birth.wrapping_add(1) => Ends::Unknown,
            Some(_) => Ends::Earlier,
            None => Ends::Unknown,
        }
    }

    /// As numbers, for what is stored.
    pub(crate) fn store(&self) -> Vec<u32> {
        let stored = |seen: &Seen| u32::from(seen.number) | if seen.ended { 256 } else { 0 };
        self.0.iter().map(stored).collect()
    }

    /// What [`Sessions::store`] gave.
    pub(crate) fn restore(stored: &[u32]) -> Sessions {
        let seen = |stored: &u32| {
            let [number, ..] = stored.to_le_bytes();
            Seen { number, ended: stored & 256 != 0 }
        };
        let skipped = stored.len().saturating_sub(REMEMBERED);
        Sessions(stored.iter().skip(skipped).map(seen).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(births: &[u8]) -> Sessions {
        let mut sessions = Sessions::default();
        births.iter().for_each(|number| sessions.begin(Some(*number)));
        sessions
    }

    #[test]
    fn births_that_were_seen_decide() {
        // A gateway that doesn't store its number: 5, then 0; the old will comes late.
        assert_eq!(after(&[5, 0]).judge(Some(0), Some(5)), Ends::Earlier);
        // Counted up at a rebirth: the will has the number of the connect for ever.
        assert_eq!(after(&[0, 1]).judge(Some(1), Some(0)), Ends::Earlier);
        // The will says 0 and the birth 1, as one library has it.
        assert_eq!(after(&[1]).judge(Some(1), Some(0)), Ends::Unknown);
        // The next number at a disconnect, as another has it; also where an earlier process of it
        // had that number.
        assert_eq!(after(&[3]).judge(Some(3), Some(4)), Ends::Unknown);
        let mut sessions = after(&[1]);
        sessions.end();
        sessions.begin(Some(0));
        assert_eq!(sessions.judge(Some(0), Some(1)), Ends::Unknown);
        assert_eq!(after(&[1, 0]).judge(Some(0), Some(1)), Ends::Earlier);
        for (birth, death) in [(Some(7), Some(7)), (None, Some(7)), (Some(7), None)] {
            assert_eq!(after(&[6, 7]).judge(birth, death), Ends::Own);
        }
    }

    #[test]
    fn memory_is_bounded_and_survives() {
        let mut sessions = Sessions::default();
        for number in 0..=255 {
            sessions.begin(Some(number));
            if number % 2 == 0 {
                sessions.end();
            }
        }
        assert_eq!(sessions.0.len(), REMEMBERED);
        assert_eq!(Sessions::restore(&sessions.store()), sessions);
        assert_eq!(sessions.judge(Some(255), Some(240)), Ends::Earlier);
        assert_eq!(sessions.judge(Some(255), Some(239)), Ends::Unknown);
        assert!(!Sessions::default().any() && sessions.any());
    }
}

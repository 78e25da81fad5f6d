//! The numbers of one session with the IT broker: those of its messages, those of its metrics, and
//! the time that it has told. A mirrored node has a session of its own, or shares that of its
//! [fold](super::fold).

use super::layout::AliasNumbers;
use super::outgoing::NodeId;

/// How far the timestamp of a payload may be ahead of the clock: hosts object to the future.
pub(super) const MAX_STAMP_AHEAD_MS: u64 = 100;

/// Births that the broker hasn't confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BirthsOut {
    pub(super) bytes: usize,
    pub(super) largest: usize,
    /// The node that the largest is of.
    pub(super) largest_of: NodeId,
    /// The barrier that has no answer came behind them.
    pub(super) covered: bool,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    /// Number of the next message of this session.
    seq: u8,
    /// For the metrics of the births to come.
    pub(super) alias_numbers: AliasNumbers,
    /// Timestamp of the last message of any session, in milliseconds since the epoch.
    last_ms: u64,
    /// Births of the current session that the broker hasn't confirmed.
    pub(super) births: Option<BirthsOut>,
}

impl Line {
    /// Notes that a birth of so many bytes was published, of a node or a device of it.
    pub(super) fn note_birth(&mut self, node: NodeId, bytes: usize) {
        let first = BirthsOut { bytes: 0, largest: bytes, largest_of: node, covered: false };
        let births = self.births.get_or_insert(first);
        births.bytes = births.bytes.saturating_add(bytes);
        if births.largest < bytes {
            (births.largest, births.largest_of) = (bytes, node);
        }
        births.covered = false;
    }

    /// A barrier is sent behind all births so far.
    pub(super) fn cover_births(&mut self) {
        if let Some(births) = &mut self.births {
            births.covered = true;
        }
    }

    /// The barrier was answered; whether the broker holds all births now.
    pub(super) fn confirm_births(&mut self) -> bool {
        self.births.take_if(|births| births.covered).is_some()
    }

    /// Begins the births of a session: their sequence starts anew. Their timestamp, which is later
    /// than that of anything before: hosts take a birth that isn't for a leftover, and drop by it
    /// what they have; two messages can fall into one millisecond.
    pub(super) fn begin_births(&mut self, wall_ms: u64) -> u64 {
        self.seq = 0;
        self.births = None;
        self.last_ms = stamp(wall_ms, self.last_ms.saturating_add(1));
        self.last_ms
    }

    /// Timestamp of the next message behind an NBIRTH: hosts drop what is older than that.
    pub(super) fn data_stamp(&mut self, wall_ms: u64) -> u64 {
        self.last_ms = stamp(wall_ms, self.last_ms);
        self.last_ms
    }

    /// Takes the next number of the session's sequence (0..=255, wrapping).
    pub(super) fn next_seq(&mut self) -> u8 {
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        seq
    }
}

/// The wall clock, or `least` if that is a little later; if it is much later the clock was set
/// back, and time can only go on from there.
fn stamp(wall_ms: u64, least: u64) -> u64 {
    if least.saturating_sub(wall_ms) > MAX_STAMP_AHEAD_MS { wall_ms } else { wall_ms.max(least) }
}

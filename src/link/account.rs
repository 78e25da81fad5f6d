//! What is counted at both ends. Datagrams balance: each that came is in exactly one count.

use std::ops::Range;
use std::time::Duration;

use crate::datagram::Foreign;

/// What a sender has sent since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderAccount {
    /// Frames for the first time.
    pub frames: u64,
    /// Frames once more: the second pass, and what an operator asked for.
    pub frames_again: u64,
    /// Frames that were too old or too many for the second pass.
    pub skipped: u64,
    /// Datagrams with source symbols of frames for the first time, and their bytes.
    pub source: u64,
    pub source_bytes: u64,
    /// The same with repair symbols.
    pub repair: u64,
    pub repair_bytes: u64,
    /// Both for frames once more.
    pub again: u64,
    pub again_bytes: u64,
    /// Heartbeats and announcements.
    pub signs: u64,
}

/// What came at a receiver since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverAccount {
    /// Datagrams that were taken.
    pub taken: u64,
    /// Second copies from another path.
    pub other_path: u64,
    /// Copies from the same path.
    pub duplicates: u64,
    /// Below the window, or what the receiver before may have seen.
    pub too_old: u64,
    /// Of sessions that ended.
    pub old_session: u64,
    /// Authentic, and without sense.
    pub malformed: u64,
    /// Not of this link; which of them is in `foreign_by`.
    pub foreign: u64,
    pub foreign_by: ForeignCounts,
    /// Source symbols that were restored.
    pub repaired: u64,
    /// Source symbols that are lost for good, of those that are known of.
    pub symbols_lost: u64,
    /// Symbols and notes that were in order, and make no sense.
    pub symbols_malformed: u64,
    /// Blocks that were given up with symbols missing.
    pub blocks_given_up: u64,
    /// Live frames, in order.
    pub frames: u64,
    /// Frames of the second pass, and of symbols after their time.
    pub frames_late: u64,
    /// Frames that were there already: of the second pass, and after restarts.
    pub frames_known: u64,
    /// Frames whose segment's note was lost; they are missing.
    pub frames_unknown: u64,
    /// Frames above the cap of the configuration; they are missing.
    pub frames_too_large: u64,
    /// Heartbeats that were signs of life, and those that came late.
    pub heartbeats: u64,
    pub heartbeats_late: u64,
    /// Sessions of the sender that began.
    pub sessions: u64,
}

/// Datagrams that aren't of this link, by cause.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForeignCounts {
    pub length: u64,
    pub protocol: u64,
    pub version: u64,
    pub link: u64,
    pub key: u64,
    pub forged: u64,
}

impl ReceiverAccount {
    /// All datagrams that came.
    pub fn datagrams(&self) -> u64 {
        [
            self.taken,
            self.other_path,
            self.duplicates,
            self.too_old,
            self.old_session,
            self.malformed,
            self.foreign,
        ]
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
    }

    pub(crate) fn count_foreign(&mut self, cause: Foreign) {
        let by = &mut self.foreign_by;
        let count = match cause {
            Foreign::Short | Foreign::Long => &mut by.length,
            Foreign::Magic => &mut by.protocol,
            Foreign::Version => &mut by.version,
            Foreign::Link => &mut by.link,
            Foreign::Key => &mut by.key,
            Foreign::Forged => &mut by.forged,
        };
        add(count, 1);
        add(&mut self.foreign, 1);
    }
}

/// What a path brought since the receiver's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathAccount {
    /// Authentic datagrams of the current session, each once.
    pub seen: u64,
    /// Those of them that no other path had brought.
    pub first: u64,
    /// What was the same on this path before.
    pub duplicates: u64,
    /// Datagrams that aren't of this link.
    pub foreign: u64,
    /// When an authentic one came last.
    pub last: Option<Duration>,
}

/// Counts up.
pub(crate) fn add(count: &mut u64, amount: usize) {
    *count = count.saturating_add(u64::try_from(amount).unwrap_or(u64::MAX));
}

/// How many numbers a range has.
pub(crate) fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

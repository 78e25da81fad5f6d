//! What came over the link, into the journal: frames with their own numbers, and how the sender's
//! clock stands to ours.

use std::ops::Range;

use journal_format::note::Ends;
use journal_write::{JournalError, Origin, Pushed, ReceivedWriter, Refusal, Retained};
use link::{Output, Segment};

/// The offset of the clocks is noted again when it is another by so much: less is what heartbeats take
/// to arrive.
const CLOCK_STEP_MS: u64 = 20;

/// What became of frames since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LandingCounts {
    pub in_order: u64,
    pub late: u64,
    /// Times that the sender's journal was made anew.
    pub rewound: u64,
    /// Frames that the journal has, or had.
    pub refused: u64,
    /// Frames that an earlier start of the sender's writer wrote, with numbers that are others' now.
    pub old_epoch: u64,
    /// Frames without sense, and those larger than any may be.
    pub malformed: u64,
}

/// The journal's end of the link.
#[derive(Debug)]
pub struct Landing {
    writer: ReceivedWriter,
    /// A frame that the journal couldn't take yet.
    held: Option<Output>,
    noted_ahead_ms: Option<i64>,
    counts: LandingCounts,
}

impl Landing {
    /// Into this journal.
    pub fn new(writer: ReceivedWriter) -> Landing {
        Landing { writer, held: None, noted_ahead_ms: None, counts: LandingCounts::default() }
    }

    /// The journal.
    pub fn writer(&self) -> &ReceivedWriter {
        &self.writer
    }

    /// What became of frames so far.
    pub fn counts(&self) -> LandingCounts {
        self.counts
    }

    /// Whether a frame waits that the journal couldn't take: nothing more is read before that.
    pub fn is_blocked(&self) -> bool {
        self.held.is_some()
    }

    /// What the journal has, for a receiver that begins: numbers from where to where, and those that
    /// are missing. `None`: nothing yet.
    pub fn known(&self) -> Option<(Range<u64>, Vec<Range<u64>>)> {
        let next = self.writer.next_seq();
        let missing = self.writer.missing().ranges();
        let missing = missing.map(|(first, last)| first..last.saturating_add(1)).collect();
        (next > 0).then_some((1..next, missing))
    }

    /// Adds what comes out of the link, until there is nothing more.
    ///
    /// # Errors
    /// The journal can't begin a segment. The frame is held, and the call may be repeated.
    pub fn land(
        &mut self,
        now_ms: u64,
        mut poll: impl FnMut() -> Option<Output>,
    ) -> Result<(), JournalError> {
        while let Some(output) = self.held.take().or_else(&mut poll) {
            let Output::Frame { segment, number, bytes, .. } = &output else { continue };
            match self.writer.push(now_ms, &origin(segment), *number, bytes) {
                Ok(pushed) => self.count(pushed),
                Err(error) => {
                    self.held = Some(output);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, pushed: Pushed) {
        let count = match pushed {
            Pushed::InOrder { .. } => &mut self.counts.in_order,
            Pushed::Late => &mut self.counts.late,
            Pushed::Rewound => &mut self.counts.rewound,
            Pushed::Refused(Refusal::Known) => &mut self.counts.refused,
            Pushed::Refused(Refusal::OldEpoch) => &mut self.counts.old_epoch,
            Pushed::Refused(Refusal::Malformed | Refusal::TooLarge) => &mut self.counts.malformed,
        };
        *count = count.saturating_add(1);
    }

    /// Notes how the sender's clock stands to ours, if that is another than it was.
    pub fn note_clock(&mut self, now_ms: u64, ahead_ms: Option<i64>) {
        let is_same = match (self.noted_ahead_ms, ahead_ms) {
            (Some(noted), Some(ahead)) => noted.abs_diff(ahead) < CLOCK_STEP_MS,
            (noted, ahead) => noted == ahead,
        };
        if !is_same && self.writer.set_clock(now_ms, ahead_ms) {
            self.noted_ahead_ms = ahead_ms;
        }
    }

    /// Notes how the link is; false: nothing is there yet.
    pub fn note_ends(&mut self, now_ms: u64, ends: Ends) -> bool {
        self.writer.note_ends(now_ms, ends)
    }

    /// Deletes what is beyond the journal's retention. What was missing in it isn't waited for any more.
    ///
    /// # Errors
    /// The operating system refuses; the call may be repeated.
    pub fn retain(&mut self, now_ms: u64) -> Result<Retained, JournalError> {
        self.writer.retain(now_ms)
    }

    /// Writes what was added.
    ///
    /// # Errors
    /// The operating system refuses; the call may be repeated.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        self.writer.commit()
    }
}

fn origin(segment: &Segment) -> Origin {
    Origin {
        epoch: segment.epoch,
        first_seq: segment.first_seq,
        created_ms: segment.created_ms,
        head_frames: segment.head_frames,
        head_bytes: segment.head_bytes,
        relay_name: segment.relay_name.clone(),
    }
}

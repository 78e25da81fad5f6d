//! What is read of the journal: new frames as they come, and those that go again.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journal_format::header::Header;
use journal_read::{From, JournalError, Position, RawItem, Reader};
use link::{Segment, Sender};

/// Readers of what goes again, which goes on at several places at a time: the second pass, its further
/// turns, and an operator's stretch.
const AGAIN_READERS: usize = 3;
/// Frames of one turn, so that what was read leaves soon.
const TURN_FRAMES: usize = 256;

/// What was read since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Frames that the journal had lost before they were read.
    pub lost: u64,
    /// Frames above what the link takes; they don't cross.
    pub too_large: u64,
    /// Frames that the second pass wanted and the journal doesn't have any more.
    pub gone: u64,
}

/// Readers of one journal.
#[derive(Debug)]
pub struct Feed {
    dir: PathBuf,
    live: Reader,
    most_frame_bytes: usize,
    again: Vec<Reader>,
    segment: Segment,
    again_segment: Segment,
    counts: FeedCounts,
}

impl Feed {
    /// Begins at `from`. Frames of more bytes than `most_frame_bytes` don't cross.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open(dir: &Path, from: From, most_frame_bytes: usize) -> Result<Feed, JournalError> {
        Ok(Feed {
            dir: dir.to_path_buf(),
            live: Reader::open(dir, from)?,
            most_frame_bytes,
            again: Vec::new(),
            segment: Segment::default(),
            again_segment: Segment::default(),
            counts: FeedCounts::default(),
        })
    }

    /// The next frame that wasn't sent, for a start that goes on here.
    pub fn position(&self) -> Position {
        self.live.position()
    }

    /// Bytes of the journal that aren't read yet, roughly.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn backlog_bytes(&self) -> Result<u64, JournalError> {
        self.live.backlog_bytes()
    }

    /// What was read so far.
    pub fn counts(&self) -> FeedCounts {
        self.counts
    }

    /// Reads new frames while the sender has room. Whether it read any.
    ///
    /// # Errors
    /// The operating system refuses; the call may be repeated.
    pub fn read_new(&mut self, now: Duration, sender: &mut Sender) -> Result<bool, JournalError> {
        let mut frames = 0_usize;
        while frames < TURN_FRAMES && sender.room(now) {
            match self.live.next_raw()? {
                None => break,
                Some(RawItem::Lost(lost)) => {
                    let count = lost.last.saturating_sub(lost.first).saturating_add(1);
                    self.counts.lost = self.counts.lost.saturating_add(count);
                }
                // It came over another link: this one sends what its journal has in order.
                Some(RawItem::Late { .. }) => {}
                Some(RawItem::Frame(frame)) => {
                    set_segment(&mut self.segment, frame.header);
                    let fits = frame.envelope.len() <= self.most_frame_bytes;
                    let pushed =
                        fits.then(|| sender.push(now, &self.segment, frame.seq, frame.envelope));
                    if !matches!(pushed, Some(Ok(()))) {
                        self.counts.too_large = self.counts.too_large.saturating_add(1);
                    }
                }
            }
            frames = frames.saturating_add(1);
        }
        sender.flush(now);
        Ok(frames > 0)
    }

    /// Reads what goes again now, if anything does. Whether it did.
    ///
    /// # Errors
    /// The operating system refuses; then these frames don't go again this time.
    pub fn read_again(&mut self, now: Duration, sender: &mut Sender) -> Result<bool, JournalError> {
        let Some(numbers) = sender.poll_again(now) else { return Ok(false) };
        let result = self.push_again(now, sender, &numbers);
        sender.again_done(now);
        result.map(|()| true)
    }

    fn push_again(
        &mut self,
        now: Duration,
        sender: &mut Sender,
        numbers: &Range<u64>,
    ) -> Result<(), JournalError> {
        let mut reader = self.reader_at(numbers.start)?;
        let mut wanted = numbers.start;
        // Each turn takes a frame, or a stretch of lost ones, and ends behind the wanted.
        while wanted < numbers.end {
            let next = match reader.next_raw_settled()? {
                // The journal has no more.
                None => numbers.end,
                Some(RawItem::Lost(lost)) => lost.last.saturating_add(1),
                Some(RawItem::Late { .. }) => continue,
                Some(RawItem::Frame(frame)) if numbers.contains(&frame.seq) => {
                    let missed = frame.seq.saturating_sub(wanted);
                    self.counts.gone = self.counts.gone.saturating_add(missed);
                    set_segment(&mut self.again_segment, frame.header);
                    if frame.envelope.len() <= self.most_frame_bytes {
                        let segment = &self.again_segment;
                        // One that is too large was counted the first time.
                        let _ = sender.push_again(now, segment, frame.seq, frame.envelope);
                    }
                    wanted = frame.seq.saturating_add(1);
                    continue;
                }
                Some(RawItem::Frame(frame)) => frame.seq.saturating_add(1),
            };
            let missed = next.min(numbers.end).saturating_sub(wanted);
            self.counts.gone = self.counts.gone.saturating_add(missed);
            wanted = next.max(wanted);
        }
        self.again.insert(0, reader);
        self.again.truncate(AGAIN_READERS);
        Ok(())
    }

    /// A reader whose next frame is this one, if the journal has it.
    fn reader_at(&mut self, seq: u64) -> Result<Reader, JournalError> {
        let at = self.again.iter().position(|reader| reader.position().seq == seq);
        match at {
            Some(at) => Ok(self.again.remove(at)),
            None => Reader::open(&self.dir, From::At(Position { epoch: 0, seq })),
        }
    }
}

/// Copies what a frame's segment says, where it is another.
fn set_segment(segment: &mut Segment, header: &Header) {
    let is_same = segment.first_seq == header.first_seq
        && segment.epoch == header.epoch
        && segment.created_ms == header.created_ms
        && segment.head_frames == header.head_frames
        && segment.head_bytes == header.head_bytes
        && segment.relay_name == header.relay_name;
    if !is_same {
        *segment = Segment {
            epoch: header.epoch,
            first_seq: header.first_seq,
            created_ms: header.created_ms,
            head_frames: header.head_frames,
            head_bytes: header.head_bytes,
            relay_name: header.relay_name.clone(),
        };
    }
}

#[cfg(test)]
mod tests;

//! Tails a journal: the only way in which anything reads one.
//!
//! A reader opens, lists, stats and reads; it writes nothing, takes no lock and no lease, sets
//! no watch, and leaves nothing in the directory, so that nothing it does shows in the writer's
//! world. (Access times would: mount the journal read-only or with `noatime` for the reader.)
//!
//! The journal is hostile input here. Every frame is checked, its number must be the next one,
//! and what is missing is reported by its exact numbers. Damage is what can't be read although
//! something later can: until then a bad tail is an append under way, and the reader waits.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use journal_format::header::Header;
use journal_format::{Frame, Layouts, MAX_BODY_BYTES, frame};
use journal_segment::JournalError;
use journal_segment::cursor::{Cursor, Leftover, Step};
use journal_segment::files::{self as segment, Opened};
use mistake::mistake;

use crate::item::{From, Item, Lost, LostCause, Position};
use crate::received::Received;

/// After this many polls in a row that returned nothing, everything was read that the journal
/// held at the first of them: one of them has listed the directory. The others are cheaper.
pub const SETTLED_POLLS: u32 = 64;
/// Where there is no segment to read yet it is every one of so many: who waits for the journal to begin
/// polls slowly.
const LOCATE_POLLS: u32 = 4;

/// What a reader holds of layouts, unless it is told otherwise.
pub(crate) const MAX_LAYOUT_BYTES: usize = 1 << 30;

/// A reader's place in a journal.
#[derive(Debug)]
pub struct Reader {
    pub(crate) dir: PathBuf,
    /// Where to start; `None` once the first segment was entered.
    start: Option<From>,
    pub(crate) want: Position,
    pub(crate) cursor: Option<Cursor>,
    /// Polls in a row that found nothing.
    idle: u32,
    /// The newest segment and its size, while this journal is older than our position.
    behind: Option<(u64, u64)>,
    /// Larger frames are lost.
    pub(crate) most_body_bytes: usize,
    pub(crate) layouts: Layouts,
    /// Data is served as it was written, and not by names.
    as_written: bool,
    /// What is known of the sender's clock, and of births that came late, of a journal that was
    /// received over a link.
    pub(crate) received: Received,
}

/// What one call of [`Reader::next`] has done already and does once only.
#[derive(Debug, Default)]
struct Poll {
    relocated: bool,
    /// The segment that ended before its deletion or a newer one was seen. It may have grown in
    /// between, so it is read once more before it is left.
    closing: Option<u64>,
}

/// What was taken from the journal, with the place of an envelope in the cursor's buffer.
pub(crate) enum Taken {
    Frame { seq: u64, envelope: Range<usize> },
    Note { envelope: Range<usize> },
    Lost(Lost),
}

/// Where the search for the next frame led.
enum Found {
    /// There is something to look at.
    Segment,
    Lost(Lost),
    Nothing,
}

impl Reader {
    /// A reader of the journal in `dir`, which may be empty or not exist yet.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open(dir: &Path, from: From) -> Result<Reader, JournalError> {
        segment::list(dir)?;
        let want = match from {
            // Number 0 was never given to a frame.
            From::At(position) => Position { seq: position.seq.max(1), ..position },
            From::Oldest | From::Newest => Position::default(),
        };
        let start = Some(from);
        Ok(Reader {
            dir: dir.to_path_buf(),
            start,
            want,
            cursor: None,
            idle: 0,
            behind: None,
            most_body_bytes: MAX_BODY_BYTES,
            layouts: Layouts::new(MAX_LAYOUT_BYTES),
            as_written: false,
            received: Received::default(),
        })
    }

    /// The same, which takes bodies of at most so many bytes: larger ones are lost, and what is
    /// held of the journal stays bounded by this.
    pub fn taking(self, most_body_bytes: usize) -> Reader {
        Reader { most_body_bytes, ..self }
    }

    /// The same, which serves data as it was written, with its [layout](Frame::layout), and not by
    /// names. It holds layouts of at most so many bytes; data of others comes without one.
    pub fn as_written(self, most_layout_bytes: usize) -> Reader {
        Reader { as_written: true, layouts: Layouts::new(most_layout_bytes), ..self }
    }

    /// The same, which gives times of a journal that was received over a link by the clock of this
    /// machine, as whoever received it has noted it: [`Frame::appended_ms`].
    pub fn by_own_clock(mut self) -> Reader {
        self.received.by_own_clock = true;
        self
    }

    /// A reader that starts with the segment that holds frame `seq`, or where that is, so that
    /// it sees the head before it. Doesn't notice that a journal was rewound.
    ///
    /// # Errors
    /// The directory can't be listed.
    pub fn open_at_segment_of(dir: &Path, seq: u64) -> Result<Reader, JournalError> {
        let segments = segment::list(dir)?;
        let newer = segments.partition_point(|first_seq| *first_seq <= seq);
        let first_seq = newer.checked_sub(1).and_then(|index| segments.get(index));
        let seq = first_seq.copied().unwrap_or(seq);
        Reader::open(dir, From::At(Position { epoch: 0, seq }))
    }

    /// The next frame, or the next run of lost ones. `None`: nothing more now; poll again later.
    ///
    /// # Errors
    /// The operating system refuses, or the journal is of another format version. The reader
    /// stays where it is; the call may be repeated.
    #[expect(
        clippy::should_implement_trait,
        reason = "`None` isn't an end here, and an iterator's `Result<Option>` is inside out"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, JournalError> {
        loop {
            // Terminates: a note is taken in each turn.
            let item = match self.advance()? {
                None => return Ok(None),
                Some(Taken::Lost(lost)) => Some(Item::Lost(lost)),
                Some(Taken::Frame { seq, envelope }) => Some(self.serve(seq, envelope)),
                Some(Taken::Note { envelope }) => self.take_note(envelope),
            };
            if item.is_some() {
                return Ok(item);
            }
        }
    }

    /// What comes next, undecoded.
    pub(crate) fn advance(&mut self) -> Result<Option<Taken>, JournalError> {
        let mut poll = Poll::default();
        // Terminates: every turn takes a frame, enters a later segment, or ends the poll; a
        // turn that does none of it happens once per segment or once per poll, as `poll` has it.
        loop {
            let found = match &mut self.cursor {
                None => self.locate()?,
                Some(cursor) => match cursor.step()? {
                    Step::Frame { seq, envelope, .. } if seq >= self.want.seq => {
                        self.idle = 0;
                        self.want.seq = seq.saturating_add(1);
                        return Ok(Some(Taken::Frame { seq, envelope }));
                    }
                    Step::Note { envelope, .. } => {
                        self.idle = 0;
                        return Ok(Some(Taken::Note { envelope }));
                    }
                    Step::Hole { last, .. } if last >= self.want.seq => {
                        let first = self.want.seq;
                        Found::Lost(Lost { first, last, cause: LostCause::Link })
                    }
                    Step::Damaged { last, .. } if last >= self.want.seq => {
                        let first = self.want.seq;
                        Found::Lost(Lost { first, last, cause: LostCause::Damage })
                    }
                    Step::TooLarge { seq, .. } if seq >= self.want.seq => {
                        let first = self.want.seq;
                        Found::Lost(Lost { first, last: seq, cause: LostCause::TooLarge })
                    }
                    // Before the position at which this reader started.
                    Step::Frame { seq, envelope, .. } => {
                        self.step_over(seq, envelope);
                        Found::Segment
                    }
                    Step::Damaged { .. } | Step::TooLarge { .. } | Step::Hole { .. } => {
                        Found::Segment
                    }
                    Step::End { leftover } => self.at_end(leftover, &mut poll)?,
                },
            };
            match found {
                Found::Segment => {}
                Found::Lost(lost) => return Ok(Some(Taken::Lost(self.lose(lost)))),
                Found::Nothing => return Ok(None),
            }
        }
    }

    /// The next frame, if it was read with an earlier one: costs no system call. `None` says
    /// nothing of what the journal holds.
    pub fn next_at_hand(&mut self) -> Option<Item> {
        loop {
            match self.cursor.as_mut()?.step_at_hand()? {
                Step::Frame { seq, envelope, .. } if seq >= self.want.seq => {
                    self.idle = 0;
                    self.want.seq = seq.saturating_add(1);
                    return Some(self.serve(seq, envelope));
                }
                Step::Frame { seq, envelope, .. } => {
                    self.step_over(seq, envelope);
                    return None;
                }
                Step::Hole { last, .. } if last >= self.want.seq => {
                    let first = self.want.seq;
                    let lost = Lost { first, last, cause: LostCause::Link };
                    return Some(Item::Lost(self.lose(lost)));
                }
                Step::Hole { .. } => {}
                Step::Note { envelope, .. } => {
                    if let Some(item) = self.take_note(envelope) {
                        return Some(item);
                    }
                }
                _ => return None,
            }
        }
    }

    /// Like [`Reader::next`], but `None` only once everything was read that the journal held at
    /// the time of the call: for a reader behind the writer, to whom `next` may say "nothing
    /// more now" before a missing stretch.
    ///
    /// # Errors
    /// As of [`Reader::next`].
    pub fn next_settled(&mut self) -> Result<Option<Item>, JournalError> {
        for _ in 0..SETTLED_POLLS {
            if let Some(item) = self.next()? {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    /// The next frame wanted, to be given to [`From::At`] by a later reader. Before the first
    /// segment was seen, of a reader that didn't start at a position: epoch 0, number 0.
    pub fn position(&self) -> Position {
        self.want
    }

    /// Where to go on at the end of the current segment. [`Found::Segment`] says "look again".
    fn at_end(&mut self, leftover: Leftover, poll: &mut Poll) -> Result<Found, JournalError> {
        let Some(cursor) = &self.cursor else { return Ok(Found::Nothing) };
        let (this, expected) = (cursor.header().first_seq, cursor.expected());
        let (stat, offset) = (cursor.stat()?, cursor.offset());
        if expected > this
            && let Opened::Segment { file, header, .. } = segment::open(&self.dir, expected)?
        {
            return Ok(self.found(file, header));
        }
        self.idle = self.idle.saturating_add(1);
        let closing = poll.closing == Some(this);
        let gone = stat.links == 0;
        if gone && !closing {
            poll.closing = Some(this);
            return Ok(Found::Segment);
        }
        if gone || stat.bytes < offset {
            return Ok(self.relocate(poll));
        }
        if !closing && !self.listing_due(leftover) {
            return Ok(Found::Nothing);
        }
        let segments = segment::list(&self.dir)?;
        let newer = segments.partition_point(|first_seq| *first_seq <= this);
        let Some(newer) = segments.get(newer).copied() else { return Ok(Found::Nothing) };
        if !closing {
            poll.closing = Some(this);
            return Ok(Found::Segment);
        }
        // Where this one was deleted meanwhile, so may those between have been.
        let cursor = self.cursor.as_ref().map(Cursor::stat).transpose()?;
        if cursor.is_some_and(|stat| stat.links == 0) {
            return Ok(self.relocate(poll));
        }
        match segment::open(&self.dir, newer)? {
            Opened::Segment { file, header, .. } => Ok(self.found(file, header)),
            Opened::Unreadable { .. } if newer > self.want.seq => {
                self.cursor = None;
                let last = newer.saturating_sub(1);
                Ok(Found::Lost(Lost { first: self.want.seq, last, cause: LostCause::Damage }))
            }
            Opened::Unreadable { .. } | Opened::Absent => Ok(self.relocate(poll)),
        }
    }

    /// Gives up the current segment; the search by name decides.
    fn relocate(&mut self, poll: &mut Poll) -> Found {
        if poll.relocated {
            return Found::Nothing;
        }
        poll.relocated = true;
        self.cursor = None;
        self.idle = 0;
        Found::Segment
    }

    /// Finds the segment of the wanted frame by its name.
    fn locate(&mut self) -> Result<Found, JournalError> {
        if !self.idle.is_multiple_of(LOCATE_POLLS) {
            self.idle = self.idle.saturating_add(1);
            return Ok(Found::Nothing);
        }
        let segments = segment::list(&self.dir)?;
        let found = match self.start {
            Some(From::Oldest) => self.start_at(segments.iter().copied())?,
            Some(From::Newest) => self.start_at(segments.iter().rev().copied())?,
            Some(From::At(_)) | None => self.find_wanted(&segments)?,
        };
        if matches!(found, Found::Nothing) {
            self.idle = self.idle.saturating_add(1);
        }
        Ok(found)
    }

    /// Starts in the first of these segments that is readable.
    fn start_at(&mut self, segments: impl Iterator<Item = u64>) -> Result<Found, JournalError> {
        for first_seq in segments {
            if let Opened::Segment { file, header, .. } = segment::open(&self.dir, first_seq)? {
                self.want = Position { epoch: header.epoch, seq: header.first_seq };
                self.enter(file, header);
                return Ok(Found::Segment);
            }
        }
        Ok(Found::Nothing)
    }

    fn find_wanted(&mut self, segments: &[u64]) -> Result<Found, JournalError> {
        let Some(oldest) = segments.first().copied() else { return Ok(Found::Nothing) };
        let newer = segments.partition_point(|first_seq| *first_seq <= self.want.seq);
        let Some(index) = newer.checked_sub(1) else {
            let last = oldest.saturating_sub(1);
            let lost = Lost { first: self.want.seq, last, cause: LostCause::Retention };
            return Ok(Found::Lost(lost));
        };
        let Some(this) = segments.get(index).copied() else {
            mistake!("a segment before the end of the list that isn't in it");
            return Ok(Found::Nothing);
        };
        let (file, header) = match segment::open(&self.dir, this)? {
            Opened::Segment { file, header, .. } => (file, header),
            Opened::Absent => return Ok(Found::Nothing),
            Opened::Unreadable { .. } => {
                return Ok(match segments.get(newer) {
                    Some(next) => Found::Lost(Lost {
                        first: self.want.seq,
                        last: next.saturating_sub(1),
                        cause: LostCause::Damage,
                    }),
                    None => Found::Nothing,
                });
            }
        };
        if self.want.epoch == 0 || header.epoch == self.want.epoch {
            return Ok(self.found(file, header));
        }
        if header.epoch > self.want.epoch {
            return self.find_epoch(segments.get(..newer).unwrap_or_default());
        }
        if newer < segments.len() {
            return Ok(self.found(file, header));
        }
        // The whole journal is older than what we have read: its end was lost, or it was made
        // anew under a clock that stands behind. In the first case its writer will start with
        // a later epoch, and then we go on there. In the second it grows as it is; then nothing
        // of it has been read, and it is read from its beginning.
        let bytes = file.metadata().map_err(JournalError::os("stat", &self.dir))?.len();
        let seen = Some((this, bytes));
        if self.behind.is_none() || self.behind == seen {
            self.behind = seen;
            return Ok(Found::Nothing);
        }
        let first = oldest;
        let last = self.want.seq.saturating_sub(1);
        self.want = Position { epoch: 0, seq: oldest };
        if first > last {
            return Ok(self.found(file, header));
        }
        Ok(Found::Lost(Lost { first, last, cause: LostCause::Rewound }))
    }

    /// Enters the first of `segments` that is newer than our epoch. The last one is.
    fn find_epoch(&mut self, segments: &[u64]) -> Result<Found, JournalError> {
        let mut earliest = None;
        for first_seq in segments.iter().rev().copied() {
            match segment::open(&self.dir, first_seq)? {
                Opened::Segment { file, header, .. } if header.epoch > self.want.epoch => {
                    earliest = Some((file, header));
                }
                Opened::Segment { .. } => break,
                Opened::Absent | Opened::Unreadable { .. } => {}
            }
        }
        Ok(match earliest {
            Some((file, header)) => self.found(file, header),
            None => Found::Nothing,
        })
    }

    fn found(&mut self, file: File, header: Header) -> Found {
        match self.enter(file, header) {
            Some(lost) => Found::Lost(lost),
            None => Found::Segment,
        }
    }

    /// Puts the cursor at the beginning of a segment and says what is lost between the wanted
    /// frame and there.
    fn enter(&mut self, file: File, header: Header) -> Option<Lost> {
        let (want, epoch, first_seq) = (self.want, header.epoch, header.first_seq);
        let path = segment::path(&self.dir, first_seq);
        self.layouts.begin_segment(epoch);
        self.received.begin_segment(epoch);
        self.cursor = Some(Cursor::new(file, path, header).taking(self.most_body_bytes));
        self.start = None;
        self.behind = None;
        self.idle = 0;
        if want.epoch != 0 && epoch > want.epoch && first_seq < want.seq {
            self.want = Position { epoch, seq: first_seq };
            let last = want.seq.saturating_sub(1);
            return Some(Lost { first: first_seq, last, cause: LostCause::Rewound });
        }
        self.want.epoch = epoch;
        (first_seq > want.seq).then(|| Lost {
            first: want.seq,
            last: first_seq.saturating_sub(1),
            cause: LostCause::Damage,
        })
    }

    fn lose(&mut self, lost: Lost) -> Lost {
        if lost.cause != LostCause::Rewound {
            self.want.seq = lost.last.saturating_add(1);
        }
        self.idle = 0;
        lost
    }

    fn serve(&mut self, seq: u64, envelope: Range<usize>) -> Item {
        let Some(cursor) = &self.cursor else {
            return Item::Lost(Lost { first: seq, last: seq, cause: LostCause::Damage });
        };
        let frame = frame::decode(cursor.envelope(envelope), seq).and_then(|envelope| {
            let by_names = (!self.as_written).then_some(self.most_body_bytes);
            let frame = Frame::new(cursor.header(), envelope);
            self.received.dated(frame, cursor.header()).after(&mut self.layouts, by_names)
        });
        match frame {
            Some(frame) => Item::Frame(frame),
            None => Item::Lost(Lost { first: seq, last: seq, cause: LostCause::Damage }),
        }
    }

    /// Learns what a frame says of layouts that isn't served.
    fn step_over(&mut self, seq: u64, envelope: Range<usize>) {
        let Some(cursor) = &self.cursor else { return };
        let envelope = cursor.envelope(envelope);
        if frame::may_give_layout(envelope)
            && let Some(body) = frame::decode(envelope, seq).and_then(|envelope| envelope.body)
        {
            self.layouts.learn(&body);
        }
    }

    /// Whether an idle poll lists the directory. The segment that follows is found by its name,
    /// without that; a listing finds the one behind a missing or damaged stretch.
    fn listing_due(&self, leftover: Leftover) -> bool {
        let stuck = leftover != Leftover::Nothing && self.idle == 1;
        stuck || self.idle.is_multiple_of(SETTLED_POLLS)
    }
}

#[cfg(test)]
mod tests;

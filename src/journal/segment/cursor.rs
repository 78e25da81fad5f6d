//! Walks the frames of one open segment file: the reader, the verifier and the writer's
//! recovery all see a segment through this. Only reads; never serves a frame that isn't sound,
//! and finds the next sound one behind damage.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use journal_format::MAX_BODY_BYTES;
use journal_format::frame::{self, MIN_FRAME_BYTES, PEEK_BYTES, PREFIX_BYTES, Parsed};
use journal_format::header::{FRAMES_OFFSET, Header};
use journal_format::note::NOTE_SEQ;

use crate::JournalError;

/// One read asks for this much; the buffer grows beyond it only for a larger frame.
const CHUNK_BYTES: usize = 256 << 10;
/// How much the search behind one damage may spend on checksums of candidates, or two of the
/// largest frames if these are larger. Content that was made to look like frames everywhere costs
/// this and no more.
const RESYNC_CHECK_BYTES: usize = 64 << 20;

/// A place in a segment file.
#[derive(Debug)]
pub struct Cursor {
    file: File,
    path: PathBuf,
    header: Header,
    /// File offset of the next frame.
    offset: u64,
    /// Sequence number of the frame that belongs there.
    expected: u64,
    /// `buffer[start..filled]` is what the file holds from `offset` on.
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    fruitless: Option<Fruitless>,
    /// Larger envelopes are stepped over unread.
    most_body_bytes: usize,
}

/// What lies at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// A sound frame, now behind the cursor; its envelope is at this place of the buffer until
    /// the next step.
    Frame { seq: u64, offset: u64, envelope: Range<usize> },
    /// A note of whoever received the journal over a link, now behind the cursor; as above.
    Note { offset: u64, envelope: Range<usize> },
    /// The frames `first..=last` aren't here: they didn't come over the link. The cursor stands at
    /// the sound frame behind them.
    Hole { first: u64, last: u64 },
    /// A frame whose envelope is larger than what was asked for, now behind the cursor.
    TooLarge { seq: u64, bytes: u64 },
    /// `bytes` bytes at `offset` are unreadable and held the frames `first..=last`, or, in a segment
    /// that was received, some of them; none where `last` comes before `first`. The cursor stands at
    /// the sound frame behind them.
    Damaged { first: u64, last: u64, offset: u64, bytes: u64 },
    /// No sound frame between here and the end of the file, which may grow. `leftover` says
    /// what is there instead.
    End { leftover: Leftover },
}

/// What follows the last sound frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    Nothing,
    /// This many bytes that can be the beginning of a frame: an append that is under way or
    /// was interrupted.
    Torn {
        bytes: u64,
    },
    /// This many bytes that can't.
    Garbage {
        bytes: u64,
    },
}

/// What the buffer has at the cursor.
enum Buffered {
    Frame(Step),
    /// No frame that belongs there.
    Nothing,
    /// The beginning of a frame of so many bytes, or of one whose size can't be told yet.
    Wants {
        bytes: usize,
    },
    /// The beginning of a frame of so many bytes, which are too many.
    TooLarge {
        bytes: usize,
    },
}

/// A search for a sound frame that found none. Saves repeating it at every poll of a journal
/// whose writer has died in the middle of a frame.
#[derive(Clone, Copy, Debug)]
struct Fruitless {
    offset: u64,
    file_bytes: u64,
    /// Nothing before here can become a frame when the file grows.
    resume: u64,
}

/// Size and number of names of the open file.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    pub bytes: u64,
    pub links: u64,
}

impl Cursor {
    /// At the first frame of a segment.
    pub fn new(file: File, path: PathBuf, header: Header) -> Cursor {
        let expected = header.first_seq;
        Cursor {
            file,
            path,
            header,
            offset: FRAMES_OFFSET,
            expected,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            fruitless: None,
            most_body_bytes: MAX_BODY_BYTES,
        }
    }

    /// The same, which steps over frames with larger envelopes than this.
    pub fn taking(self, most_body_bytes: usize) -> Cursor {
        Cursor { most_body_bytes, ..self }
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// File offset of the next frame.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Sequence number that the next frame must have.
    pub fn expected(&self) -> u64 {
        self.expected
    }

    /// The bytes of an envelope that the last step returned.
    pub fn envelope(&self, place: Range<usize>) -> &[u8] {
        self.buffer.get(place).unwrap_or_default()
    }

    /// The file as it is now.
    pub fn stat(&self) -> Result<Stat, JournalError> {
        let metadata = self.file.metadata().map_err(JournalError::os("stat", &self.path))?;
        Ok(Stat { bytes: metadata.len(), links: metadata.nlink() })
    }

    /// The next thing in the file. After an `End` the next call reads the file afresh from the
    /// same place: the writer may have cut a torn frame and written another one.
    pub fn step(&mut self) -> Result<Step, JournalError> {
        if let Some(step) = self.take_frame()? {
            return Ok(step);
        }
        if self.start == self.filled {
            self.forget_buffer();
            return Ok(Step::End { leftover: Leftover::Nothing });
        }
        // What was buffered earlier can be older than what follows it in the buffer. Before
        // anything is concluded, all of it is read again.
        self.forget_buffer();
        if let Some(step) = self.take_frame()? {
            return Ok(step);
        }
        let leftover = self.leftover()?;
        if leftover == Leftover::Nothing {
            self.forget_buffer();
            return Ok(Step::End { leftover });
        }
        self.forget_buffer();
        let Some((found_offset, found_seq)) = self.search()? else {
            return Ok(Step::End { leftover });
        };
        // The writer appends in order: with a later frame complete, this one is too, if it ever
        // will be. So a frame that was still being written at the first look is sound now.
        if let Some(step) = self.take_frame()? {
            return Ok(step);
        }
        self.forget_buffer();
        let step = Step::Damaged {
            first: self.expected,
            last: found_seq.saturating_sub(1),
            offset: self.offset,
            bytes: found_offset.saturating_sub(self.offset),
        };
        self.offset = found_offset;
        self.expected = found_seq;
        Ok(step)
    }

    /// The next frame, if it is sound and was read from the file already.
    pub fn step_at_hand(&mut self) -> Option<Step> {
        match self.take_buffered() {
            Buffered::Frame(step) => Some(step),
            Buffered::Nothing | Buffered::Wants { .. } | Buffered::TooLarge { .. } => None,
        }
    }

    /// Takes the frame at the cursor if there is a sound one with the expected number.
    fn take_frame(&mut self) -> Result<Option<Step>, JournalError> {
        loop {
            match self.take_buffered() {
                Buffered::Frame(step) => return Ok(Some(step)),
                Buffered::Nothing => return Ok(None),
                Buffered::TooLarge { bytes } => return self.step_over(bytes),
                Buffered::Wants { bytes } => {
                    if !self.fill(bytes)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn take_buffered(&mut self) -> Buffered {
        let here = self.buffer.get(self.start..self.filled).unwrap_or_default();
        match frame::parse(self.header.salt, here) {
            Parsed::Frame { seq: NOTE_SEQ, bytes } if self.header.received => {
                let offset = self.offset;
                let end = self.start.saturating_add(bytes);
                let envelope = self.start.saturating_add(PREFIX_BYTES)..end;
                self.start = end;
                self.offset = offset.saturating_add(bytes as u64);
                Buffered::Frame(Step::Note { offset, envelope })
            }
            Parsed::Frame { seq, .. } if self.header.received && seq > self.expected => {
                let first = std::mem::replace(&mut self.expected, seq);
                Buffered::Frame(Step::Hole { first, last: seq.saturating_sub(1) })
            }
            Parsed::Frame { seq, bytes } if seq == self.expected => {
                let Some(next) = seq.checked_add(1) else { return Buffered::Nothing };
                let offset = self.offset;
                let end = self.start.saturating_add(bytes);
                let envelope = self.start.saturating_add(PREFIX_BYTES)..end;
                self.start = end;
                self.offset = offset.saturating_add(bytes as u64);
                self.expected = next;
                Buffered::Frame(Step::Frame { seq, offset, envelope })
            }
            Parsed::Frame { .. } | Parsed::Invalid => Buffered::Nothing,
            Parsed::Incomplete { bytes } => {
                let most = self.most_body_bytes.saturating_add(PREFIX_BYTES);
                if bytes > most { Buffered::TooLarge { bytes } } else { Buffered::Wants { bytes } }
            }
        }
    }

    /// Steps over a frame of `bytes` bytes, if it is whole: the file ends behind it, or goes on with
    /// the frame that comes next. Its checksum isn't looked at, so that its length alone proves
    /// nothing.
    fn step_over(&mut self, bytes: usize) -> Result<Option<Step>, JournalError> {
        let mut seq = self.expected;
        let end = self.offset.saturating_add(bytes as u64);
        if self.stat()?.bytes < end {
            return Ok(None);
        }
        if self.header.received {
            let mut here = [0; PEEK_BYTES];
            read_at(&self.file, &mut here, self.offset)
                .map_err(JournalError::os("read", &self.path))?;
            match frame::peek(self.header.salt, &here) {
                // What came late is as large as what it was when it was missing.
                Some((NOTE_SEQ, _)) => return self.step_over_note(bytes),
                Some((later, _)) if later >= seq => seq = later,
                _ => return Ok(None),
            }
        }
        let Some(next) = seq.checked_add(1) else { return Ok(None) };
        let mut behind = [0; PEEK_BYTES];
        let read =
            read_at(&self.file, &mut behind, end).map_err(JournalError::os("read", &self.path))?;
        let received = self.header.received;
        let follows = || {
            frame::peek(self.header.salt, &behind)
                .is_some_and(|(seq, _)| seq == next || received && (seq > next || seq == NOTE_SEQ))
        };
        if read > 0 && !follows() {
            return Ok(None);
        }
        if seq > self.expected {
            let first = std::mem::replace(&mut self.expected, seq);
            return Ok(Some(Step::Hole { first, last: seq.saturating_sub(1) }));
        }
        self.forget_buffer();
        self.offset = end;
        self.expected = next;
        Ok(Some(Step::TooLarge { seq, bytes: bytes as u64 }))
    }

    /// Steps over a note of `bytes` bytes, which says nothing then: an empty one.
    fn step_over_note(&mut self, bytes: usize) -> Result<Option<Step>, JournalError> {
        let offset = self.offset;
        self.forget_buffer();
        self.offset = offset.saturating_add(bytes as u64);
        Ok(Some(Step::Note { offset, envelope: 0..0 }))
    }

    /// Reads more of the file behind what is buffered, so that a frame of `wanted` bytes fits.
    /// `false`: the file has no more. Ends `take_frame`'s loop: each call adds bytes, and
    /// `wanted` is capped, since it comes from [`frame::parse`].
    fn fill(&mut self, wanted: usize) -> Result<bool, JournalError> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled = self.filled.saturating_sub(self.start);
            self.start = 0;
        }
        let size = wanted.max(CHUNK_BYTES);
        if self.buffer.len() < size {
            self.buffer.resize(size, 0);
        }
        let offset = self.offset.saturating_add(self.filled as u64);
        let space = self.buffer.get_mut(self.filled..).unwrap_or_default();
        // One call: who wants more than it brings asks again.
        let read =
            read_once(&self.file, space, offset).map_err(JournalError::os("read", &self.path))?;
        self.filled = self.filled.saturating_add(read);
        Ok(read > 0)
    }

    fn forget_buffer(&mut self) {
        self.start = 0;
        self.filled = 0;
    }

    /// How many frames the unreadable end of the file has held, at least: those whose length is
    /// sound, and one where it isn't. An append that was interrupted doesn't count.
    pub fn frames_in_leftover(&self) -> Result<u64, JournalError> {
        let file_bytes = self.stat()?.bytes;
        let (mut at, mut frames) = (self.offset, 0_u64);
        // Terminates: `at` grows with each turn.
        while at < file_bytes {
            let mut length = [0; 4];
            let read = read_at(&self.file, &mut length, at)
                .map_err(JournalError::os("read", &self.path))?;
            if read < length.len() {
                break;
            }
            let Some(bytes) = frame::length_at(self.header.salt, length) else {
                return Ok(frames.saturating_add(1));
            };
            at = at.saturating_add(bytes as u64);
            if at <= file_bytes {
                frames = frames.saturating_add(1);
            }
        }
        Ok(frames)
    }

    /// Judges the bytes at the cursor, which aren't a sound frame.
    fn leftover(&self) -> Result<Leftover, JournalError> {
        let bytes = self.stat()?.bytes.saturating_sub(self.offset);
        if bytes == 0 {
            return Ok(Leftover::Nothing);
        }
        let here = self.buffer.get(self.start..self.filled).unwrap_or_default();
        Ok(match frame::parse(self.header.salt, here) {
            Parsed::Incomplete { .. } => Leftover::Torn { bytes },
            Parsed::Frame { .. } | Parsed::Invalid => Leftover::Garbage { bytes },
        })
    }

    /// Looks for the first sound frame behind the bad one at the cursor, whose number is one
    /// that can stand there: the lost frames before it must fit into the bytes skipped.
    /// Returns its offset and number.
    fn search(&mut self) -> Result<Option<(u64, u64)>, JournalError> {
        let file_bytes = self.stat()?.bytes;
        let mut at = self.offset.saturating_add(MIN_FRAME_BYTES);
        if let Some(last) = self.fruitless.filter(|last| last.offset == self.offset) {
            if last.file_bytes == file_bytes {
                return Ok(None);
            }
            if last.file_bytes < file_bytes {
                at = at.max(last.resume);
            }
        }
        let most = self.most_body_bytes.saturating_add(PREFIX_BYTES);
        let mut budget = RESYNC_CHECK_BYTES.max(most.saturating_mul(2));
        let mut resume = None;
        let mut chunk = Vec::new();
        let mut candidate = Vec::new();
        'chunks: while at.saturating_add(MIN_FRAME_BYTES) <= file_bytes {
            chunk.resize(CHUNK_BYTES, 0);
            let read = read_at(&self.file, &mut chunk, at)
                .map_err(JournalError::os("read", &self.path))?;
            chunk.truncate(read);
            if read < CHUNK_BYTES {
                // So that the windows reach the shortest frame at the end of the file.
                chunk.resize(read.saturating_add(const { PEEK_BYTES - 1 }), 0);
            }
            let mut looked_at = 0_u64;
            for window in chunk.windows(PEEK_BYTES) {
                let here = at.saturating_add(looked_at);
                looked_at = looked_at.saturating_add(1);
                let Some((seq, bytes)) = frame::peek(self.header.salt, window) else { continue };
                let skipped_frames = here.saturating_sub(self.offset) / MIN_FRAME_BYTES;
                let lost = seq.wrapping_sub(self.expected);
                // Where frames may be missing, one that is damaged may have been a note.
                let may_stand_here = if self.header.received {
                    seq >= self.expected
                } else {
                    seq > self.expected && lost <= skipped_frames
                };
                if !may_stand_here || bytes > most {
                    continue;
                }
                if here.saturating_add(bytes as u64) > file_bytes {
                    resume.get_or_insert(here);
                    continue;
                }
                let Some(left) = budget.checked_sub(bytes) else {
                    at = file_bytes;
                    break 'chunks;
                };
                budget = left;
                candidate.resize(bytes, 0);
                let got = read_at(&self.file, &mut candidate, here)
                    .map_err(JournalError::os("read", &self.path))?;
                let candidate = candidate.get(..got).unwrap_or_default();
                if frame::parse(self.header.salt, candidate) == (Parsed::Frame { seq, bytes }) {
                    return Ok(Some((here, seq)));
                }
            }
            if read == 0 {
                break; // The file has become shorter meanwhile.
            }
            at = at.saturating_add(looked_at);
        }
        let resume = resume.unwrap_or(at);
        self.fruitless = Some(Fruitless { offset: self.offset, file_bytes, resume });
        Ok(None)
    }
}

/// Largest buffer that a cursor holds.
const _: () = assert!(CHUNK_BYTES < MAX_BODY_BYTES + PREFIX_BYTES);

/// Reads until `buffer` is full or the file ends; returns the bytes read.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(space) = buffer.get_mut(filled..).filter(|space| !space.is_empty()) {
        match read_once(file, space, offset.saturating_add(filled as u64))? {
            0 => break,
            read => filled = filled.saturating_add(read),
        }
    }
    Ok(filled)
}

/// Reads what one call brings; 0: the file ends there.
fn read_once(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(buffer, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

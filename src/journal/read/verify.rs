//! Checks a whole journal, for auditors: every header, every frame, the head of every segment,
//! and that nothing is missing between segments. Reads only, like a reader.

use std::path::{Path, PathBuf};

use journal_format::header::{FRAMES_OFFSET, Header};
use journal_format::{Body, Frame, Layouts, MAX_BODY_BYTES, frame};
use journal_segment::JournalError;
use journal_segment::cursor::{Cursor, Leftover, Step};
use journal_segment::files::{self as segment, Opened};
use mistake::mistake;

use crate::reader::MAX_LAYOUT_BYTES;

use received::LinkNotes;

mod display;
mod received;

/// Cap of the findings that are kept; more are counted.
pub const MAX_FINDINGS: usize = 1000;

/// What a check of a journal found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    pub dir: PathBuf,
    pub segments: u64,
    /// Bytes of the files looked at.
    pub bytes: u64,
    /// Sound frames.
    pub frames: u64,
    /// Numbers of the first and the last sound frame.
    pub range: Option<(u64, u64)>,
    /// Sound frames whose body this version doesn't know.
    pub unknown_bodies: u64,
    /// Numbers within the range that no sound frame has.
    pub lost_frames: u64,
    /// Of a journal that was received over a link: numbers that no frame has, and frames that came
    /// late. No damage.
    pub missing_frames: u64,
    pub late_frames: u64,
    /// Data whose layout is missing with the frame that gave it.
    pub without_layout: u64,
    /// Bytes of an append that is under way or was interrupted, at the end of the last segment.
    /// No damage: nobody was told that they are in the journal.
    pub torn_bytes: u64,
    /// The first [`MAX_FINDINGS`] defects, in the order of the journal.
    pub findings: Vec<Finding>,
    /// Defects beyond that.
    pub more_findings: u64,
}

/// One defect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File name of the segment.
    pub segment: String,
    /// Byte offset in it.
    pub offset: u64,
    pub defect: Defect,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Neither copy of the header can be used; the whole segment is lost.
    Header { why: &'static str },
    /// One of the two copies of the header is damaged; nothing is lost.
    HeaderCopy,
    /// This stretch is unreadable and held these frames, inclusive.
    Frames { first: u64, last: u64, bytes: u64 },
    /// The checksum is right, but the body can't be decoded, or refers to a layout that the segment
    /// hasn't given.
    Body { seq: u64 },
    /// Bytes after the last sound frame that aren't the beginning of one.
    Garbage { bytes: u64 },
    /// The segment doesn't begin with a `Start` of its epoch.
    NoStart,
    /// A frame of the head is neither a `Start` nor a keyframe.
    NotOfHead { seq: u64 },
    /// The head has fewer frames than the header says.
    ShortHead { frames: u64, wanted: u32 },
    /// These frames are missing before this segment, inclusive.
    Missing { first: u64, last: u64 },
    /// A frame that came late has a number that wasn't missing.
    NotMissing { seq: u64 },
    /// A note of the receiver can't be decoded.
    Note,
    /// The segment begins with numbers that the one before has too.
    Overlap { expected: u64 },
    /// The epoch is lower than that of the segment before.
    EpochBack { epoch: u64, before: u64 },
}

impl Verification {
    /// Whether everything is as it was written.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, first_seq: u64, offset: u64, defect: Defect) {
        if self.findings.len() >= MAX_FINDINGS {
            self.more_findings = self.more_findings.saturating_add(1);
            return;
        }
        let path = segment::path(Path::new(""), first_seq);
        self.findings.push(Finding { segment: path.display().to_string(), offset, defect });
    }

    fn lose(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let frames = last.saturating_sub(first).saturating_add(1);
        self.lost_frames = self.lost_frames.saturating_add(frames);
    }
}

/// Checks the journal in `dir`. A writer may go on meanwhile.
///
/// # Errors
/// The directory doesn't exist, the operating system refuses, or a segment has another format
/// version.
pub fn verify(dir: &Path) -> Result<Verification, JournalError> {
    std::fs::metadata(dir).map_err(JournalError::os("open", dir))?;
    let mut found = Verification { dir: dir.to_path_buf(), ..Verification::default() };
    let segments = segment::list(dir)?;
    let last = segments.last().copied();
    // Number that comes after what was seen so far, and the epoch.
    let mut before: Option<(u64, u64)> = None;
    let mut link = LinkNotes::default();
    for first_seq in segments {
        let (file, header, bad_copies) = match segment::open(dir, first_seq)? {
            Opened::Segment { file, header, bad_copies } => (file, header, bad_copies),
            // Retention deleted it since the listing; if not, the next one shows a gap.
            Opened::Absent => continue,
            Opened::Unreadable { bytes, why } => {
                found.segments = found.segments.saturating_add(1);
                found.bytes = found.bytes.saturating_add(bytes);
                found.add(first_seq, 0, Defect::Header { why });
                continue;
            }
        };
        found.segments = found.segments.saturating_add(1);
        if bad_copies > 0 {
            found.add(first_seq, 0, Defect::HeaderCopy);
        }
        if let Some((expected, epoch)) = before {
            if first_seq > expected && header.received {
                link.gap_before_segment(expected, first_seq.saturating_sub(1));
            } else if first_seq > expected {
                let defect = Defect::Missing { first: expected, last: first_seq.saturating_sub(1) };
                found.lose(expected, first_seq.saturating_sub(1));
                found.add(first_seq, 0, defect);
            } else if first_seq < expected {
                found.add(first_seq, 0, Defect::Overlap { expected });
            }
            if header.epoch < epoch {
                let defect = Defect::EpochBack { epoch: header.epoch, before: epoch };
                found.add(first_seq, 0, defect);
            }
        }
        let cursor = Cursor::new(file, segment::path(dir, first_seq), header);
        before = Some(verify_segment(cursor, Some(first_seq) == last, &mut found, &mut link)?);
    }
    found.missing_frames = link.missing();
    Ok(found)
}

/// Checks the frames of one segment; returns the number after them, and the epoch.
fn verify_segment(
    mut cursor: Cursor,
    is_last: bool,
    found: &mut Verification,
    link: &mut LinkNotes,
) -> Result<(u64, u64), JournalError> {
    let header = cursor.header().clone();
    let first_seq = header.first_seq;
    let mut in_head = 0_u64;
    let mut start_seen = false;
    // Each segment is to be read without those before.
    let mut layouts = Layouts::new(MAX_LAYOUT_BYTES);
    layouts.begin_segment(header.epoch);
    loop {
        match cursor.step()? {
            Step::Frame { seq, offset, envelope } => {
                found.frames = found.frames.saturating_add(1);
                let (oldest, _) = found.range.unwrap_or((seq, seq));
                found.range = Some((oldest, seq));
                let frame = frame::decode(cursor.envelope(envelope), seq)
                    .map(|envelope| Frame::new(&header, envelope));
                let is_data = matches!(frame, Some(Frame { body: Some(Body::Data(_)), .. }));
                let frame = frame.and_then(|frame| frame.after(&mut layouts, Some(MAX_BODY_BYTES)));
                let Some(Frame { body, .. }) = frame else {
                    // What gave its layout may not have come.
                    if is_data && link.has_holes(first_seq) {
                        found.without_layout = found.without_layout.saturating_add(1);
                    } else {
                        found.add(first_seq, offset, Defect::Body { seq });
                    }
                    continue;
                };
                if body.is_none() {
                    found.unknown_bodies = found.unknown_bodies.saturating_add(1);
                }
                if seq.saturating_sub(first_seq) < u64::from(header.head_frames) {
                    in_head = in_head.saturating_add(1);
                    if !matches!(body, Some(Body::Start(_) | Body::Keyframe(_)) | None) {
                        found.add(first_seq, offset, Defect::NotOfHead { seq });
                    }
                }
                start_seen |= is_start(&header, seq, body.as_ref());
            }
            Step::Damaged { first, last, offset, bytes } => {
                found.lose(first, last);
                found.add(first_seq, offset, Defect::Frames { first, last, bytes });
                let head_end = first_seq.saturating_add(u64::from(header.head_frames));
                // What is damaged was there.
                let end = last.saturating_add(1).min(head_end);
                in_head = in_head.saturating_add(end.saturating_sub(first));
                start_seen |= first == first_seq;
            }
            Step::Hole { first, last } => {
                link.hole(first_seq, first, last);
                let head_end = first_seq.saturating_add(u64::from(header.head_frames));
                let end = last.saturating_add(1).min(head_end);
                in_head = in_head.saturating_add(end.saturating_sub(first));
                start_seen |= first == first_seq;
            }
            Step::Note { offset, envelope } => {
                if let Some(defect) = link.note(cursor.envelope(envelope), found) {
                    found.add(first_seq, offset, defect);
                }
            }
            Step::TooLarge { seq, .. } => {
                mistake!("a verifier takes frames of any size");
                found.lose(seq, seq);
            }
            Step::End { leftover } => {
                let stat = cursor.stat()?;
                found.bytes = found.bytes.saturating_add(stat.bytes);
                match leftover {
                    Leftover::Nothing => {}
                    Leftover::Torn { bytes } if is_last => found.torn_bytes = bytes,
                    Leftover::Torn { bytes } | Leftover::Garbage { bytes } => {
                        found.add(first_seq, cursor.offset(), Defect::Garbage { bytes });
                    }
                }
                if let Some(defect) = link.end_segment() {
                    found.add(first_seq, 0, defect);
                }
                if header.received && cursor.expected() == first_seq {
                    // No frame of it came yet.
                    start_seen = true;
                    in_head = header.head_frames.into();
                }
                if !start_seen {
                    found.add(first_seq, FRAMES_OFFSET, Defect::NoStart);
                }
                if in_head < u64::from(header.head_frames) {
                    let defect = Defect::ShortHead { frames: in_head, wanted: header.head_frames };
                    found.add(first_seq, cursor.offset(), defect);
                }
                return Ok((cursor.expected(), header.epoch));
            }
        }
    }
}

fn is_start(header: &Header, seq: u64, body: Option<&Body>) -> bool {
    seq == header.first_seq
        && matches!(body, Some(Body::Start(start)) if start.epoch == header.epoch)
}

#[cfg(test)]
mod tests;

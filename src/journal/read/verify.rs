//! Checks a whole journal, for auditors: every header, every frame, the head of every segment,
//! and that nothing is missing between segments. Reads only, like a reader.

use std::fmt;
use std::path::{Path, PathBuf};

use journal_format::header::{FRAMES_OFFSET, Header};
use journal_format::{Body, Frame, Layouts, MAX_BODY_BYTES, frame};
use journal_segment::JournalError;
use journal_segment::cursor::{Cursor, Leftover, Step};
use journal_segment::files::{self as segment, Opened};
use mistake::mistake;
use text::counted;

use crate::reader::MAX_LAYOUT_BYTES;

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
            if first_seq > expected {
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
        before = Some(verify_segment(cursor, Some(first_seq) == last, &mut found)?);
    }
    Ok(found)
}

/// Checks the frames of one segment; returns the number after them, and the epoch.
fn verify_segment(
    mut cursor: Cursor,
    is_last: bool,
    found: &mut Verification,
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
                    .map(|envelope| Frame::new(&header, envelope))
                    .and_then(|frame| frame.after(&mut layouts, Some(MAX_BODY_BYTES)));
                let Some(Frame { body, .. }) = frame else {
                    found.add(first_seq, offset, Defect::Body { seq });
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

/// For people: a summary, one line per defect, a verdict.
impl fmt::Display for Verification {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "journal `{}`: {}, {}, {}",
            self.dir.display(),
            counted(self.segments, "segment"),
            counted(self.bytes, "byte"),
            counted(self.frames, "frame")
        )?;
        if let Some((first, last)) = self.range {
            write!(formatter, " ({first} to {last})")?;
        }
        writeln!(formatter)?;
        for finding in &self.findings {
            writeln!(formatter, "{finding}")?;
        }
        if self.more_findings > 0 {
            writeln!(formatter, "and {}", counted(self.more_findings, "more defect"))?;
        }
        if self.unknown_bodies > 0 {
            let frames = counted(self.unknown_bodies, "frame");
            writeln!(formatter, "{frames} of a kind unknown to this version")?;
        }
        if self.torn_bytes > 0 {
            let bytes = counted(self.torn_bytes, "byte");
            writeln!(formatter, "{bytes} of an unfinished append at the end")?;
        }
        if self.is_sound() {
            writeln!(formatter, "sound")
        } else {
            writeln!(formatter, "damaged: {} lost", counted(self.lost_frames, "frame"))
        }
    }
}

/// `{segment}:{offset}: {defect}`
impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.segment, self.offset, self.defect)
    }
}

impl fmt::Display for Defect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Defect::Header { why } => write!(formatter, "segment is unreadable: {why}"),
            Defect::HeaderCopy => write!(formatter, "one copy of the header is damaged"),
            Defect::Frames { first, last, bytes } if first == last => {
                write!(formatter, "frame {first} is unreadable ({})", counted(*bytes, "byte"))
            }
            Defect::Frames { first, last, bytes } => {
                write!(
                    formatter,
                    "frames {first} to {last} are unreadable ({})",
                    counted(*bytes, "byte")
                )
            }
            Defect::Body { seq } => write!(formatter, "body of frame {seq} can't be decoded"),
            Defect::Garbage { bytes } => {
                write!(formatter, "{} after the last frame", counted(*bytes, "unreadable byte"))
            }
            Defect::NoStart => write!(formatter, "segment doesn't begin with a Start of its epoch"),
            Defect::NotOfHead { seq } => {
                write!(formatter, "frame {seq} of the head is neither Start nor keyframe")
            }
            Defect::ShortHead { frames, wanted } => {
                write!(formatter, "head has {frames} of {}", counted(*wanted, "frame"))
            }
            Defect::Missing { first, last } => {
                write!(formatter, "frames {first} to {last} are missing before this segment")
            }
            Defect::Overlap { expected } => {
                write!(formatter, "segment begins with numbers before {expected}, which were used")
            }
            Defect::EpochBack { epoch, before } => {
                write!(formatter, "epoch {epoch} comes after epoch {before}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use journal_format::{Heartbeat, Start};
    use journal_write::{Durability, Writer, WriterOptions};

    use super::*;

    fn options(dir: &Path) -> WriterOptions {
        WriterOptions {
            dir: dir.to_path_buf(),
            relay_name: "test".into(),
            segment_bytes: 200,
            retain_bytes: 1 << 20,
            retain_age: None,
            durability: Durability::Process,
        }
    }

    fn journal(dir: &Path) {
        let mut writer = Writer::open(options(dir), 5).unwrap();
        let epoch = writer.epoch();
        for _ in 0..30 {
            if writer.wants_segment() {
                let start = Body::Start(Start { epoch, ..Start::default() });
                writer.begin_segment(5, std::iter::once(start)).unwrap();
            }
            writer.push(5, &Body::Heartbeat(Heartbeat::default())).unwrap();
        }
        writer.commit().unwrap();
    }

    fn defects(dir: &Path) -> Vec<Defect> {
        verify(dir).unwrap().findings.into_iter().map(|finding| finding.defect).collect()
    }

    #[test]
    fn a_journal_as_written_is_sound_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path());
        journal(dir.path());
        let verification = verify(dir.path()).unwrap();
        assert!(verification.is_sound(), "{verification}");
        assert!(verification.segments > 3);
        assert_eq!(verification.range, Some((1, verification.frames)));
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = verify(&dir.path().join("absent")).unwrap_err();
        assert!(error.to_string().ends_with("no such file or directory (2)"), "{error}");
    }

    #[test]
    fn every_flipped_bit_is_found_and_placed() {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path());
        let first = segment::list(dir.path()).unwrap()[0];
        let path = segment::path(dir.path(), first);
        let good = fs::read(&path).unwrap();
        for index in 0..good.len() {
            let mut flipped = good.clone();
            flipped[index] ^= 1;
            fs::write(&path, &flipped).unwrap();
            let found = verify(dir.path()).unwrap();
            assert!(!found.is_sound(), "byte {index}");
            assert_eq!(found.lost_frames, u64::from(index >= 512), "byte {index}: {found}");
            assert!(found.findings[0].offset <= index as u64);
        }
    }

    #[test]
    fn a_missing_segment_is_named_by_its_frames() {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path());
        journal(dir.path());
        let segments = segment::list(dir.path()).unwrap();
        fs::remove_file(segment::path(dir.path(), segments[1])).unwrap();
        let (first, last) = (segments[1], segments[2] - 1);
        assert_eq!(defects(dir.path()), [Defect::Missing { first, last }]);
    }

    #[test]
    fn a_torn_tail_is_no_damage_but_garbage_is() {
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path());
        let last = *segment::list(dir.path()).unwrap().last().unwrap();
        let path = segment::path(dir.path(), last);
        let good = fs::read(&path).unwrap();
        fs::write(&path, &good[..good.len() - 3]).unwrap();
        let found = verify(dir.path()).unwrap();
        assert!(found.is_sound() && found.torn_bytes > 0, "{found}");
        let mut garbage = good;
        garbage.extend_from_slice(&[0; 40]);
        fs::write(&path, garbage).unwrap();
        assert_eq!(defects(dir.path()), [Defect::Garbage { bytes: 40 }]);
    }

    #[test]
    fn a_segment_without_a_head_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(options(dir.path()), 5).unwrap();
        let heartbeat = Body::Heartbeat(Heartbeat::default());
        writer.begin_segment(5, std::iter::once(heartbeat)).unwrap();
        assert_eq!(defects(dir.path()), [Defect::NotOfHead { seq: 1 }, Defect::NoStart]);
    }
}

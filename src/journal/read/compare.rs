//! Compares two journals frame by frame: that of a sender, and what was received of it over a link.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use journal_segment::JournalError;
use text::counted;

use crate::item::{From, LostCause};
use crate::raw::{RawFrame, RawItem};
use crate::reader::Reader;

/// Cap of the stretches that are kept of each kind; the frames of more are counted.
const MAX_STRETCHES: usize = 1000;

/// What a comparison of two journals found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub dir: PathBuf,
    pub other: PathBuf,
    /// The numbers that both journals reach over; none where they don't meet.
    pub range: Option<(u64, u64)>,
    /// Frames in both that are equal, to the byte.
    pub equal: u64,
    /// Frames in both that differ.
    pub different: Stretches,
    /// Frames within the range that only the other one has, and those that only this one has.
    pub missing: Stretches,
    pub missing_in_other: Stretches,
    /// Frames behind the last one of the other journal, and the other way round: they are on their
    /// way, or were lost since.
    pub newer: u64,
    pub newer_in_other: u64,
    /// Frames with numbers that had been given before: the writer lost its end, or was made anew.
    /// They aren't compared.
    pub given_again: u64,
}

/// Frames by first and last number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretches {
    pub frames: u64,
    /// The first [`MAX_STRETCHES`], ascending.
    pub kept: Vec<(u64, u64)>,
    /// How many more there are.
    pub more: u64,
}

impl Stretches {
    fn add(&mut self, seq: u64) {
        self.frames = self.frames.saturating_add(1);
        let is_full = self.kept.len() >= MAX_STRETCHES;
        match self.kept.last_mut() {
            Some((_, last)) if self.more == 0 && last.checked_add(1) == Some(seq) => *last = seq,
            _ if is_full => self.more = self.more.saturating_add(1),
            _ => self.kept.push((seq, seq)),
        }
    }
}

impl Comparison {
    /// Whether all frames that both could have are in both, and equal.
    pub fn is_equal(&self) -> bool {
        let differs = [&self.different, &self.missing, &self.missing_in_other];
        self.range.is_some()
            && self.given_again == 0
            && differs.into_iter().all(|stretches| stretches.frames == 0)
    }
}

/// A frame, as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    epoch: u64,
    /// Two hashes of its envelope, with keys that nobody knows.
    hashes: (u64, u64),
}

/// The keys of this comparison.
#[derive(Debug, Default)]
struct Prints(RandomState, RandomState);

impl Prints {
    fn of(&self, epoch: u64, envelope: &[u8]) -> Print {
        Print { epoch, hashes: (self.0.hash_one(envelope), self.1.hash_one(envelope)) }
    }
}

/// One of the journals: its frames by ascending number, those that came late at their place.
struct Side {
    reader: Reader,
    late: BTreeMap<u64, Print>,
    /// The next frame in order, which waits for late ones with lower numbers.
    ahead: Option<(u64, Print)>,
    /// The number of the first and of the last frame; none: there is no frame.
    range: Option<(u64, u64)>,
    next: u64,
    given_again: u64,
}

impl Side {
    /// Reads the journal once, for what came late and where it ends.
    fn open(dir: &Path, prints: &Prints) -> Result<Side, JournalError> {
        std::fs::metadata(dir).map_err(JournalError::os("open", dir))?;
        let mut reader = Reader::open(dir, From::Oldest)?;
        let mut late = BTreeMap::new();
        let mut range = None;
        while let Some(item) = reader.next_raw_settled()? {
            let seq = match item {
                RawItem::Lost(_) => continue,
                RawItem::Frame(RawFrame { seq, .. }) => seq,
                RawItem::Late { seq, epoch, envelope } => {
                    late.insert(seq, prints.of(epoch, &envelope));
                    seq
                }
            };
            let (first, last) = range.unwrap_or((seq, seq));
            range = Some((seq.min(first), seq.max(last)));
        }
        let reader = Reader::open(dir, From::Oldest)?;
        Ok(Side { reader, late, ahead: None, range, next: 0, given_again: 0 })
    }

    /// The next frame by its number, up to the one that was the last.
    fn next(&mut self, prints: &Prints) -> Result<Option<(u64, Print)>, JournalError> {
        while self.ahead.is_none() {
            let (seq, print) = match self.reader.next_raw_settled()? {
                None => break,
                Some(RawItem::Lost(lost)) if lost.cause == LostCause::Rewound => continue,
                Some(RawItem::Lost(_) | RawItem::Late { .. }) => continue,
                Some(RawItem::Frame(RawFrame { seq, header, envelope })) => {
                    (seq, prints.of(header.epoch, envelope))
                }
            };
            if self.range.is_none_or(|(_, last)| seq > last) {
                // It was appended since.
                break;
            }
            if seq < self.next {
                self.given_again = self.given_again.saturating_add(1);
                continue;
            }
            self.ahead = Some((seq, print));
        }
        let late = self.late.first_key_value().map(|(seq, print)| (*seq, *print));
        let found = match (self.ahead, late) {
            (Some((ahead, _)), Some((late, _))) if late < ahead => self.late.pop_first(),
            (None, Some(_)) => self.late.pop_first(),
            (ahead, _) => {
                self.ahead = None;
                ahead
            }
        };
        if let Some((seq, _)) = found {
            self.next = seq.saturating_add(1);
        }
        Ok(found)
    }
}

/// Compares the journal in `dir` with the one in `other`. Writers may go on meanwhile.
///
/// # Errors
/// A directory doesn't exist, the operating system refuses, or a segment has another format version.
pub fn compare(dir: &Path, other: &Path) -> Result<Comparison, JournalError> {
    let prints = Prints::default();
    let (mut here, mut there) = (Side::open(dir, &prints)?, Side::open(other, &prints)?);
    let mut found =
        Comparison { dir: dir.to_path_buf(), other: other.to_path_buf(), ..Comparison::default() };
    // What either has deleted by its retention, or doesn't have yet, says nothing.
    let common = here.range.zip(there.range).map(|(here, there)| {
        let ((first_here, last_here), (first_there, last_there)) = (here, there);
        (first_here.max(first_there), last_here.min(last_there))
    });
    found.range = common.filter(|(first, last)| first <= last);
    let (first, last) = found.range.unwrap_or((u64::MAX, 0));
    let (mut own, mut its) = (here.next(&prints)?, there.next(&prints)?);
    // Terminates: each turn takes a frame of one side at least.
    loop {
        let (seq_here, seq_there) = (own.map(|(seq, _)| seq), its.map(|(seq, _)| seq));
        let Some(seq) = seq_here.into_iter().chain(seq_there).min() else { break };
        let is_here = seq_here == Some(seq);
        let is_there = seq_there == Some(seq);
        let in_range = (first..=last).contains(&seq);
        match (is_here, is_there) {
            (true, true) if own == its => found.equal = found.equal.saturating_add(1),
            (true, true) => found.different.add(seq),
            (true, false) if in_range => found.missing_in_other.add(seq),
            (false, true) if in_range => found.missing.add(seq),
            (true, false) if seq > last => found.newer = found.newer.saturating_add(1),
            (false, true) if seq > last => {
                found.newer_in_other = found.newer_in_other.saturating_add(1);
            }
            _ => {}
        }
        if is_here {
            own = here.next(&prints)?;
        }
        if is_there {
            its = there.next(&prints)?;
        }
    }
    found.given_again = here.given_again.saturating_add(there.given_again);
    Ok(found)
}

/// For people: what was compared, one line per difference, a verdict.
impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dir, other) = (self.dir.display(), self.other.display());
        match self.range {
            Some((first, last)) => writeln!(
                formatter,
                "`{dir}` and `{other}`, frames {first} to {last}: {} in both and equal",
                counted(self.equal, "frame")
            )?,
            None => writeln!(formatter, "`{dir}` and `{other}` have no numbers in common")?,
        }
        let missing = format!("missing in `{dir}`");
        let missing_in_other = format!("missing in `{other}`");
        for (what, stretches) in [
            (&*missing, &self.missing),
            (&*missing_in_other, &self.missing_in_other),
            ("different", &self.different),
        ] {
            for (first, last) in &stretches.kept {
                match first == last {
                    true => writeln!(formatter, "frame {first}: {what}")?,
                    false => writeln!(formatter, "frames {first} to {last}: {what}")?,
                }
            }
            if stretches.more > 0 {
                let frames = counted(stretches.more, "more frame");
                writeln!(formatter, "and {frames}: {what}")?;
            }
        }
        for (dir, newer) in [(dir, self.newer), (other, self.newer_in_other)] {
            if newer > 0 {
                let frames = counted(newer, "frame");
                writeln!(formatter, "{frames} of `{dir}` are newer than all of the other")?;
            }
        }
        if self.given_again > 0 {
            let frames = counted(self.given_again, "frame");
            writeln!(formatter, "{frames} with numbers that were given before, not compared")?;
        }
        match self.is_equal() {
            true => writeln!(formatter, "equal"),
            false => writeln!(formatter, "different"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use journal_format::{Body, Heartbeat, Start};
    use journal_write::{
        Durability, Origin, Pushed, ReceivedOptions, ReceivedWriter, Writer, WriterOptions,
    };

    use super::*;

    fn sent(dir: &Path, frames: u64) {
        let options = WriterOptions {
            dir: dir.to_path_buf(),
            relay_name: "test".into(),
            segment_bytes: 200,
            retain_bytes: 1 << 20,
            retain_age: None,
            durability: Durability::Process,
        };
        let mut writer = Writer::open(options, 5).unwrap();
        for received in 0..frames {
            if writer.wants_segment() {
                let start = Body::Start(Start { epoch: writer.epoch(), ..Start::default() });
                writer.begin_segment(5, std::iter::once(start)).unwrap();
            }
            writer
                .push(5, &Body::Heartbeat(Heartbeat { received, ..Heartbeat::default() }))
                .unwrap();
        }
        writer.commit().unwrap();
    }

    /// Those that `comes` lets through.
    fn receive(from: &Path, to: &Path, comes: impl Fn(u64) -> bool) {
        let options = ReceivedOptions {
            dir: to.to_path_buf(),
            retain_bytes: 1 << 20,
            retain_age: None,
            durability: Durability::Process,
        };
        let mut writer = ReceivedWriter::open(options).unwrap();
        let mut reader = Reader::open(from, From::Oldest).unwrap();
        while let Some(item) = reader.next_raw_settled().unwrap() {
            let RawItem::Frame(RawFrame { seq, header, envelope }) = item else { panic!() };
            let origin = Origin::from(header);
            if comes(seq) {
                let pushed = writer.push(5, &origin, seq, envelope).unwrap();
                assert!(matches!(
                    pushed,
                    Pushed::InOrder { .. } | Pushed::Late | Pushed::Refused(_)
                ));
            }
        }
        writer.commit().unwrap();
    }

    #[test]
    fn what_is_missing_is_told_by_its_numbers_until_it_came_late() {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        sent(there.path(), 40);
        let last = Reader::open(there.path(), From::Newest).unwrap().next().unwrap().unwrap();
        let crate::Item::Frame(last) = last else { panic!() };
        let last = last.seq;
        assert!(last > 32);
        receive(there.path(), here.path(), |seq| !(5..9).contains(&seq) && seq != 20 && seq < 30);
        let found = compare(here.path(), there.path()).unwrap();
        assert_eq!(found.missing.kept, [(5, 8), (20, 20)]);
        assert_eq!((found.range, found.equal), (Some((1, 29)), 24));
        assert_eq!((found.missing.frames, found.missing_in_other.frames, found.newer), (5, 0, 0));
        assert!(found.newer_in_other > 0 && !found.is_equal());
        let text = found.to_string();
        let dir = here.path().display();
        assert!(text.contains(&format!("\nframes 5 to 8: missing in `{dir}`\n")), "{text}");
        assert!(text.contains(&format!("\nframe 20: missing in `{dir}`\n")), "{text}");
        assert!(text.ends_with("\ndifferent\n"), "{text}");
        let turned = compare(there.path(), here.path()).unwrap();
        assert_eq!(turned.missing_in_other, found.missing);
        receive(there.path(), here.path(), |_| true);
        let found = compare(here.path(), there.path()).unwrap();
        assert!(found.is_equal(), "{found}");
        assert_eq!((found.newer, found.newer_in_other), (0, 0));
        assert!(found.to_string().ends_with("\nequal\n"));
    }

    #[test]
    fn other_contents_are_different_and_journals_that_never_meet_are_not_equal() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        sent(one.path(), 20);
        sent(two.path(), 20);
        assert!(compare(one.path(), two.path()).unwrap().is_equal());
        let empty = tempfile::tempdir().unwrap();
        let found = compare(one.path(), empty.path()).unwrap();
        assert!(!found.is_equal(), "{found}");
        assert!(compare(&one.path().join("absent"), two.path()).is_err());
        // Another start, with other contents under the same numbers.
        let other = tempfile::tempdir().unwrap();
        sent(other.path(), 3);
        sent(other.path(), 10);
        let found = compare(one.path(), other.path()).unwrap();
        assert!(found.different.frames > 5 && !found.is_equal(), "{found}");
    }
}

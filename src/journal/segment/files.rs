//! Segment files: their names, their header, how they are found and opened.
//!
//! A segment gets its name only when its head is complete. Until then it is `{first_seq:020}.new`,
//! which no reader looks at.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use foreign::ForeignError;
use journal_format::header::{COPY_BYTES, HEADER_BYTES, Header, RECEIVED_FORMAT};

use crate::JournalError;

/// Twice what `segment-bytes` can be: the head and the last frame may go beyond that.
const MAX_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Cap of the files that are taken for segments of one journal.
pub const MAX_SEGMENTS: usize = 1 << 18;

const SUFFIX: &str = ".sdj";
const UNFINISHED_SUFFIX: &str = ".new";
const NAME_DIGITS: usize = 20;

/// A segment's file, opened for reading.
#[derive(Debug)]
pub enum Opened {
    /// With a good header; `bad_copies` of its two copies (0 or 1) are damaged.
    Segment { file: File, header: Header, bad_copies: u8 },
    /// No such file (any more).
    Absent,
    /// A file whose header can't be used, of this many bytes.
    Unreadable { bytes: u64, why: &'static str },
}

/// Path of the segment that begins with `first_seq`.
pub fn path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}{SUFFIX}"))
}

/// Path of the same segment while its head is being written.
pub fn unfinished_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}{UNFINISHED_SUFFIX}"))
}

/// First sequence numbers of all segments by their names, ascending. Other names, whatever
/// bytes they have, are ignored. A directory that doesn't exist has no segments.
pub fn list(dir: &Path) -> Result<Vec<u64>, JournalError> {
    list_names(dir, SUFFIX)
}

/// The same for segments whose head was never completed.
pub fn list_unfinished(dir: &Path) -> Result<Vec<u64>, JournalError> {
    list_names(dir, UNFINISHED_SUFFIX)
}

fn list_names(dir: &Path, suffix: &str) -> Result<Vec<u64>, JournalError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(JournalError::os("list", dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(JournalError::os("list", dir))?;
        let Some(first_seq) = entry.file_name().to_str().and_then(|name| parse_name(name, suffix))
        else {
            continue;
        };
        if found.len() >= MAX_SEGMENTS {
            let dir = dir.to_path_buf();
            return Err(JournalError::TooManySegments { dir, cap: MAX_SEGMENTS });
        }
        found.push(first_seq);
    }
    found.sort_unstable();
    Ok(found)
}

fn parse_name(name: &str, suffix: &str) -> Option<u64> {
    let digits = name.strip_suffix(suffix)?;
    let all_digits = digits.len() == NAME_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

/// Opens a segment for reading. Never blocks and follows no link: a FIFO or a link under a
/// segment's name is unreadable, not a trap, and so is the file of another user than the journal's.
/// Another format version and an OS error that isn't about this one file are errors.
pub fn open(dir: &Path, first_seq: u64) -> Result<Opened, JournalError> {
    let path = path(dir, first_seq);
    let unreadable = |bytes, why| Ok(Opened::Unreadable { bytes, why });
    let file = match foreign::open(dir, path.file_name().unwrap_or_default(), &[], MAX_BYTES) {
        Ok(file) => file,
        Err(error) if error.is_not_found() => return Ok(Opened::Absent),
        Err(ForeignError::Os { verb, path, source }) => {
            return Err(JournalError::os(verb, &path)(source));
        }
        Err(ForeignError::Link { .. } | ForeignError::NotRegular { .. }) => {
            return unreadable(0, "not a regular file");
        }
        Err(ForeignError::Owner { .. }) => {
            return unreadable(0, "belongs to another user than the journal");
        }
        Err(ForeignError::TooLarge { bytes, .. }) => {
            return unreadable(bytes, "larger than a segment can be");
        }
    };
    let bytes = file.metadata().map_err(JournalError::os("stat", &path))?.len();
    let mut copies = [0; HEADER_BYTES];
    match file.read_exact_at(&mut copies, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            // Whoever deletes a segment takes its name away first, then its content.
            let links = file.metadata().map_err(JournalError::os("stat", &path))?.nlink();
            if links == 0 {
                return Ok(Opened::Absent);
            }
            return Ok(Opened::Unreadable { bytes, why: "shorter than its header" });
        }
        Err(error) => return Err(JournalError::os("read", &path)(error)),
    }
    let (first, second) = copies.split_at(COPY_BYTES);
    let (first, second) = (Header::parse(first), Header::parse(second));
    let bad_copies = u8::from(first != second);
    match (first, second) {
        (Ok(header), _) | (_, Ok(header)) if header.first_seq == first_seq => {
            Ok(Opened::Segment { file, header, bad_copies })
        }
        (Ok(_), _) | (_, Ok(_)) => {
            Ok(Opened::Unreadable { bytes, why: "header has another first number than the name" })
        }
        (Err(Some(found)), _) | (_, Err(Some(found))) => {
            Err(JournalError::Format { path, found, known: RECEIVED_FORMAT })
        }
        _ => Ok(Opened::Unreadable { bytes, why: "both copies of the header are damaged" }),
    }
}

#[cfg(test)]
mod tests {
    use journal_format::header::CHECKED_BYTES;

    use super::*;

    fn header() -> Header {
        Header {
            salt: 77,
            epoch: 5,
            first_seq: 42,
            created_ms: 1_700_000_000_000,
            head_bytes: 1000,
            head_frames: 3,
            relay_name: "line 4 ü".into(),
            received: false,
        }
    }

    fn written(dir: &Path, first_seq: u64, bytes: &[u8]) -> Opened {
        fs::write(path(dir, first_seq), bytes).unwrap();
        open(dir, first_seq).unwrap()
    }

    #[test]
    fn a_header_survives_the_loss_of_one_copy_and_not_of_both() {
        let dir = tempfile::tempdir().unwrap();
        let good = header().encode();
        assert_eq!(good.len(), HEADER_BYTES);
        for bit in [0, 8 * 8, 54 * 8, 255 * 8, 256 * 8, 511 * 8] {
            let mut flipped = good.clone();
            flipped[bit / 8] ^= 1;
            match written(dir.path(), 42, &flipped) {
                Opened::Segment { header: got, bad_copies, .. } => {
                    assert_eq!((got, bad_copies), (header(), 1));
                }
                other => panic!("{other:?}"),
            }
        }
        let mut flipped = good;
        flipped[20] ^= 1;
        flipped[276] ^= 1;
        assert!(matches!(written(dir.path(), 42, &flipped), Opened::Unreadable { .. }));
    }

    #[test]
    fn a_renamed_a_short_and_an_empty_segment_are_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let good = header().encode();
        assert!(matches!(written(dir.path(), 43, &good), Opened::Unreadable { .. }));
        assert!(matches!(written(dir.path(), 42, &good[..511]), Opened::Unreadable { .. }));
        assert!(matches!(written(dir.path(), 42, b""), Opened::Unreadable { bytes: 0, .. }));
        assert!(matches!(open(dir.path(), 44).unwrap(), Opened::Absent));
    }

    #[test]
    fn another_format_version_is_an_error_and_not_damage() {
        let dir = tempfile::tempdir().unwrap();
        let mut copy = header().encode();
        copy.truncate(CHECKED_BYTES);
        copy[8] = 4;
        copy.extend_from_slice(&crc32c::crc32c(&copy).to_le_bytes());
        copy.extend_from_within(..);
        fs::write(path(dir.path(), 42), copy).unwrap();
        let error = open(dir.path(), 42).unwrap_err();
        assert!(matches!(error, JournalError::Format { found: 4, .. }), "{error}");
    }

    #[test]
    fn links_fifos_and_directories_under_a_segments_name_are_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), header().encode()).unwrap();
        std::os::unix::fs::symlink("real", path(dir.path(), 42)).unwrap();
        assert!(matches!(open(dir.path(), 42).unwrap(), Opened::Unreadable { .. }));
        fs::create_dir(path(dir.path(), 43)).unwrap();
        assert!(matches!(open(dir.path(), 43).unwrap(), Opened::Unreadable { .. }));
        let status = std::process::Command::new("mkfifo").arg(path(dir.path(), 44)).status();
        assert!(status.unwrap().success());
        assert!(matches!(open(dir.path(), 44).unwrap(), Opened::Unreadable { .. }));
        let huge = fs::File::create(path(dir.path(), 45)).unwrap();
        huge.set_len(MAX_BYTES + 1).unwrap();
        assert!(matches!(open(dir.path(), 45).unwrap(), Opened::Unreadable { .. }));
    }

    #[test]
    fn the_file_of_another_user_is_no_segment() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(written(dir.path(), 42, &header().encode()), Opened::Segment { .. }));
        // Only root can give files away.
        if std::os::unix::fs::chown(path(dir.path(), 42), Some(64_001), None).is_ok() {
            let Opened::Unreadable { why, .. } = open(dir.path(), 42).unwrap() else { panic!() };
            assert_eq!(why, "belongs to another user than the journal");
        }
    }

    #[test]
    fn listing_ignores_every_other_name_and_sorts() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "1.sdj",
            "00000000000000000002.sdj.bak",
            "0000000000000000000x.sdj",
            "99999999999999999999.sdj",
            "00000000000000000100.sdj",
            "00000000000000000003.sdj",
            "writer.lock",
            "00000000000000000004.new",
            "+0000000000000000005.sdj",
        ] {
            fs::write(dir.path().join(name), b"").unwrap();
        }
        fs::write(dir.path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe.sdj")), b"").unwrap();
        assert_eq!(list(dir.path()).unwrap(), [3, 100]);
        assert_eq!(list_unfinished(dir.path()).unwrap(), [4]);
        assert_eq!(list(&dir.path().join("absent")).unwrap(), [0; 0]);
    }
}

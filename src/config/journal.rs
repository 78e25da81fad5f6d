//! `[journal]` of both halves: the OT half writes it and owns its size; the IT half only knows
//! where it lies.

use std::path::PathBuf;
use std::time::Duration;

use diagnostic::Section;

use super::code;
use super::reader::Reader;

/// `segment-bytes`: small enough that retention by whole segments is even, large enough that
/// the keyframes at the head of each segment stay below 5 % of what is written.
const DEFAULT_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// `retain-bytes`: a weekend (72 h) of 100 messages/s at 300 bytes is 7.8 GB; this holds it
/// with room to spare and fits the smallest disks that are sold for industrial computers.
const DEFAULT_RETAIN_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// `retain-age-h`: a week, so that what happened on a Friday can still be read after a long
/// weekend.
const DEFAULT_RETAIN_AGE_H: u64 = 168;

const KEYS: &[&str] = &["path", "segment-bytes", "retain-bytes", "retain-age-h", "durability"];

/// With fewer segments than these a reader that is one segment behind would already lose data.
const MIN_SEGMENTS: u64 = 4;

/// The journal as its writer, the OT half, keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Directory of the segment files; made by the installation, not by the relay.
    pub path: PathBuf,
    /// A segment is closed when it holds this many bytes. 64 KiB to 4 GiB.
    pub segment_bytes: u64,
    /// The oldest segments are deleted when all of them hold more bytes than this. At least
    /// four segments.
    pub retain_bytes: u64,
    /// Segments whose last frame is older than this are deleted. 1 hour to 10 years.
    pub retain_age: Duration,
    /// What an acknowledged message survives.
    pub durability: Durability,
}

/// What a message that was acknowledged to the OT broker survives (`durability`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process (`kill -9`): written before the acknowledgement.
    Process,
    /// The loss of power: written and synced before the acknowledgement.
    Power,
}

impl JournalConfig {
    /// Types `[journal]`; `None` if its path is missing.
    pub(super) fn read(reader: &mut Reader, top: &mut Section<'_, '_>) -> Option<JournalConfig> {
        let section = &mut reader.table(top, "journal", KEYS);
        let path = read_path(reader, section);
        let segment_bytes = reader.number(
            section,
            "segment-bytes",
            64 * 1024..=4 * 1024 * 1024 * 1024,
            DEFAULT_SEGMENT_BYTES,
        );
        let retain_bytes =
            reader.number(section, "retain-bytes", 256 * 1024..=1 << 50, DEFAULT_RETAIN_BYTES);
        if retain_bytes / MIN_SEGMENTS < segment_bytes {
            let at = section.value_span("retain-bytes").or(section.value_span("segment-bytes"));
            let title = "the journal would hold fewer than four segments";
            let problem = reader
                .error(code::COMBINATION, at.unwrap_or_default(), title)
                .label(format!(
                    "`retain-bytes` is {retain_bytes}, `segment-bytes` is {segment_bytes}"
                ))
                .help("whole segments are deleted: keep at least four of them");
            reader.push(problem);
        }
        let retain_age_h = reader.number(section, "retain-age-h", 1..=87_600, DEFAULT_RETAIN_AGE_H);
        let words = [("process", Durability::Process), ("power", Durability::Power)];
        let durability = reader.word(section, "durability", &words, Durability::Process);
        reader.close(section);
        Some(JournalConfig {
            path: path?,
            segment_bytes,
            retain_bytes,
            retain_age: Duration::from_secs(retain_age_h.saturating_mul(3_600)),
            durability,
        })
    }
}

/// The journal as the receiving end of a link keeps it. Its segments are those of the sender's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedJournalConfig {
    /// Directory of the segment files; made by the installation.
    pub path: PathBuf,
    /// The oldest segments are deleted when all of them hold more bytes than this.
    pub retain_bytes: u64,
    /// Segments that were written last before this are deleted. 1 hour to 10 years.
    pub retain_age: Duration,
    /// What a frame that was received survives.
    pub durability: Durability,
}

impl ReceivedJournalConfig {
    /// Types `[journal]`; `None` if its path is missing.
    pub(super) fn read(
        reader: &mut Reader,
        top: &mut Section<'_, '_>,
    ) -> Option<ReceivedJournalConfig> {
        let keys = &["path", "retain-bytes", "retain-age-h", "durability"];
        let section = &mut reader.table(top, "journal", keys);
        let path = read_path(reader, section);
        let retain_bytes =
            reader.number(section, "retain-bytes", 256 * 1024..=1 << 50, DEFAULT_RETAIN_BYTES);
        let retain_age_h = reader.number(section, "retain-age-h", 1..=87_600, DEFAULT_RETAIN_AGE_H);
        let words = [("process", Durability::Process), ("power", Durability::Power)];
        let durability = reader.word(section, "durability", &words, Durability::Process);
        let sizes =
            "segments are as large as the sending end's: `[journal] segment-bytes` of `ot.toml`";
        section
            .finish(|key| (key == "segment-bytes").then(|| sizes.to_owned()), &mut reader.problems);
        Some(ReceivedJournalConfig {
            path: path?,
            retain_bytes,
            retain_age: Duration::from_secs(retain_age_h.saturating_mul(3_600)),
            durability,
        })
    }
}

/// The journal's directory, which both halves name.
pub(super) fn read_path(reader: &mut Reader, section: &mut Section<'_, '_>) -> Option<PathBuf> {
    reader.required(section, "path", "\"/var/lib/sparkdiode/journal\"");
    Some(reader.path_under(section, "path")?.path)
}

//! `[journal]` of both halves: the OT half writes it and owns its size; the IT half only knows
//! where it lies.

use std::path::PathBuf;
use std::time::Duration;

/// `segment-bytes`: small enough that retention by whole segments is even, large enough that
/// the keyframes at the head of each segment stay below 5 % of what is written.
const DEFAULT_SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// `retain-bytes`: a weekend (72 h) of 100 messages/s at 300 bytes is 7.8 GB; this holds it
/// with room to spare and fits the smallest disks that are sold for industrial computers.
const DEFAULT_RETAIN_BYTES: u64 = 10 * 1024 * 1024 * 1024;
/// `retain-age-h`: a week, so that what happened on a Friday can still be read after a long
/// weekend.
const DEFAULT_RETAIN_AGE_H: u64 = 168;

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

//! What the status says of the two ends of a link between two boxes. Everything is counted since the
//! start of the end, except where it says otherwise.

use serde::{Deserialize, Serialize};

/// What only the sending end has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SendStatus {
    /// Number of the session; it never goes back.
    pub session: u64,
    /// Id of the link key in use, eight hexadecimal digits.
    pub key: String,
    /// The next frame of the journal that is read.
    pub journal_seq: u64,
    pub journal_epoch: u64,
    pub journal_unreadable: bool,
    /// Bytes of the journal that aren't read yet; absent where that can't be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backlog_bytes: Option<u64>,
    /// Frames that were sent for the first time, and those that went again.
    pub frames: u64,
    pub frames_again: u64,
    /// Frames that were too old, or too many, for the second pass.
    pub frames_skipped: u64,
    /// Frames that are asked for again, by an operator or after a start, and wait.
    pub frames_waiting: u64,
    /// Frames that don't cross: larger than `max-frame-bytes`.
    pub frames_too_large: u64,
    /// Frames that the journal had lost before they were read.
    pub frames_lost: u64,
    /// Datagrams, each once whatever the number of paths: with frames, with what repairs them, of the
    /// second pass (and what repairs it), and signs of life.
    pub datagrams: u64,
    pub source: u64,
    pub repair: u64,
    pub again: u64,
    pub signs: u64,
    pub source_bytes: u64,
    pub repair_bytes: u64,
    pub again_bytes: u64,
    /// Bytes per second that pacing allows.
    pub limit_bytes_per_s: u64,
    /// Of the last interval.
    pub rates: EndRates,
    pub paths: Vec<SendPathStatus>,
}

/// One path of the sending end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendPathStatus {
    pub name: String,
    /// Where its datagrams go.
    pub to: String,
    pub datagrams: u64,
    pub bytes: u64,
    /// Datagrams that the operating system refused.
    pub refused: u64,
    /// Its last words about that, while it still refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What only the receiving end has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReceiveStatus {
    /// The sender's session, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// Ids of the link keys that are taken.
    pub keys: Vec<String>,
    /// Since the last sign of life of the sender, in milliseconds; absent: there was none since the
    /// start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// The sender's wall clock less this one, less what the quickest datagram takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_ms: Option<i64>,
    /// The highest number of a frame that the sender says it has sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_seq: Option<u64>,
    /// The next frame in order.
    pub journal_seq: u64,
    pub journal_epoch: u64,
    pub journal_bytes: u64,
    pub journal_limit_bytes: u64,
    /// Journal or state can't be written: nothing is taken from the link.
    pub journal_refuses: bool,
    /// Frames that came in order, and late.
    pub frames: u64,
    pub frames_late: u64,
    /// Frames that aren't in the journal now and have a number below one that is.
    pub frames_missing: u64,
    /// Their numbers, first and last of each stretch: the newest 20.
    pub missing: Vec<(u64, u64)>,
    /// Of those that were ever missing: they don't come by themselves any more.
    pub frames_lost: u64,
    /// Frames that came and weren't taken: longer than `max-frame-bytes`; of a segment that isn't known;
    /// refused by the journal.
    pub frames_too_large: u64,
    pub frames_unknown: u64,
    pub frames_refused: u64,
    pub datagrams: DatagramsStatus,
    /// Datagrams of this session that no path has brought.
    pub datagrams_missing: u64,
    /// Symbols that were lost and restored, and those that weren't.
    pub repaired: u64,
    pub unrepaired: u64,
    /// Datagrams that the operating system dropped, since the receive buffer was full.
    pub overflowed: u64,
    /// Of the last interval.
    pub rates: EndRates,
    pub paths: Vec<ReceivePathStatus>,
}

/// All datagrams that came, each in one count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatagramsStatus {
    pub received: u64,
    /// New, and taken.
    pub taken: u64,
    /// Another path had brought it.
    pub other_path: u64,
    /// The same path had brought it: a copy, or somebody who sends a recording.
    pub duplicates: u64,
    /// Older than what is remembered.
    pub too_old: u64,
    /// Of a session that ended.
    pub old_session: u64,
    /// Authentic, and without sense.
    pub malformed: u64,
    /// Not of this link, by cause: length, protocol, version, name of the link, key, forged or damaged.
    pub foreign: u64,
    pub foreign_length: u64,
    pub foreign_protocol: u64,
    pub foreign_version: u64,
    pub foreign_link: u64,
    pub foreign_key: u64,
    pub foreign_forged: u64,
}

/// One path of the receiving end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivePathStatus {
    pub name: String,
    /// Where it listens.
    pub listen: String,
    /// Authentic datagrams of the session, each once, and those of them that it brought first.
    pub datagrams: u64,
    pub first: u64,
    pub duplicates: u64,
    pub foreign: u64,
    pub overflowed: u64,
    /// It brings nothing while another path does.
    pub down: bool,
    /// Since it brought an authentic datagram; absent: it has brought none since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// What the operating system said last, while it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What went over the link per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EndRates {
    pub frames_per_s: f64,
    pub datagrams_per_s: f64,
    pub bytes_per_s: f64,
}

//! Keys of `receive.toml` alone.

use super::Row;

/// `[link]`.
pub(super) const LINK: &[Row] = rows! {
    "second-key-file" = "the other key, while the link's key is changed: both are taken ([rotation](link.md#another-key))", "another key", "none";
    "max-frame-bytes" = "the longest frame that is taken", "65536 to 135266304", "135266304: all that a journal has";
    "max-delay-ms" = "a heartbeat that was held back for longer is no sign of life, milliseconds", "10 to 120000", "2000";
    "path-down-after-ms" = "a path is down when it has brought nothing for so long and another has, milliseconds", "10 to 120000", "1000";
    "receive-buffer-bytes" = "what the system keeps for each path while this process waits for its turn. Above `net.core.rmem_max` it takes a process that root started", "65536 to 1073741824", "16777216";
};

/// `[[path]]`, one to eight of them.
pub(super) const PATH: &[Row] = rows! {
    "listen" = "`ADDRESS:PORT` to which the sending end sends, IPv4; `0.0.0.0:PORT` where that is a broadcast address", "", "required";
    "interface" = "what comes by another interface isn't taken", "at most 15 characters", "none: by any";
};

/// `[repair]`.
pub(super) const REPAIR: &[Row] = rows! {
    "reorder-ms" = "a hole is waited for so long, milliseconds: longer than the sending end's `close-after-ms` and `spread-ms` together. What fills it later is a late frame, which IT gets as historical data", "10 to 120000", "500";
    "max-blocks" = "blocks that may be open, of what is sent first, and as many of the second pass", "1 to 4096", "256";
    "max-bytes" = "bytes that they may hold, and as many what waits for its turn behind holes", "1048576 to 68719476736", "67108864";
};

/// `[journal]`.
pub(super) const JOURNAL: &[Row] = rows! {
    "path" = "directory of the journal that this end writes and the IT half reads", "", "required";
    "retain-bytes" = "above this, the oldest segments are deleted. Segments are those of the sending end's journal: at least four of them", "262144 to 1125899906842624", "10737418240";
    "retain-age-h" = "segments older than this are deleted, hours", "1 to 87600", "168";
    "durability" = r#"what a frame that was received survives: `"process"` (kill -9) or `"power"` (synced first)"#, "", r#"`"process"`"#;
};

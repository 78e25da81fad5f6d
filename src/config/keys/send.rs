//! Keys of `send.toml` alone.

use super::Row;

/// `[link]`.
pub(super) const LINK: &[Row] = rows! {
    "max-frame-bytes" = "longer frames of the journal don't cross, and are counted", "65536 to 135266304", "135266304: all that a journal has";
    "heartbeat-ms" = "time between signs of life, milliseconds", "10 to 10000", "100";
};

/// `[[path]]`, one to eight of them; each carries all datagrams.
pub(super) const PATH: &[Row] = rows! {
    "to" = "`ADDRESS:PORT` of the receiving end, IPv4, or a broadcast address", "", "required";
    "interface" = "interface that the path leaves by, whatever routes say", "at most 15 characters", "none: as the routes say";
    "from" = "IPv4 address that the path comes from", "an address of this machine", "none: that of the interface";
    "broadcast" = "`true`: `to` is a broadcast address", "", "`false`";
};

/// `[pacing]`.
pub(super) const PACING: &[Row] = rows! {
    "bytes-per-s" = "what all of the link takes, bytes of UDP payload a second on each path; constant, since nobody says what arrives: below what the thinnest part of the way carries", "1200 to 12500000000", "100000000: four fifths of a gigabit";
    "packets-per-s" = "the same in datagrams", "20 to 100000000", "100000";
};

/// `[repair]`.
pub(super) const REPAIR: &[Row] = rows! {
    "overhead-percent" = "repair symbols in a hundred source symbols: of a block as many may be lost as it has repair symbols", "0 to 200", "25";
    "min-repair" = "repair symbols of the smallest block", "0 to 64", "2";
    "block-symbols" = "a block ends with so many symbols (datagrams)", "1 to 1024", "1024";
    "close-after-ms" = "or when it is so old, milliseconds. A frame that was lost comes that much later; larger blocks lose less with the same overhead", "1 to 60000", "250";
    "spread-ms" = "the repair symbols of a block are spread over this time, milliseconds: a shorter burst costs each block a part only", "0 to 60000", "100";
};

/// `[second-pass]`.
pub(super) const SECOND_PASS: &[Row] = rows! {
    "share-percent" = "of `bytes-per-s`, for what is sent again; 0: nothing but what `sparkdiode resend` asks for, which has a hundredth then", "0 to 90", "20";
    "after-s" = "age at which a frame is sent again, seconds: an outage that was shorter is filled", "1 to 86400", "15";
    "window-s" = "age above which it isn't any more, seconds; above `after-s`", "2 to 604800", "100";
    "window-bytes" = "bytes of frames that may wait for it", "1048576 to 1125899906842624", "4294967296";
};

/// `[journal]`.
pub(super) const JOURNAL: &[Row] = rows! {
    "path" = "directory of the journal that the OT half writes; only read", "", "required";
    "first-start" = r#"where an end without stored state begins: `"oldest"` sends all that the journal holds, `"newest"` leaves it out"#, "", r#"`"oldest"`"#;
};

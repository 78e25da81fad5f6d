//! Keys of `ot.toml` alone.

use super::Row;

/// The file itself.
pub(super) const TOP: &[Row] = rows! {
    "name" = "name of this relay; it is in the journal", "1 to 64 of `A-Z a-z 0-9 . _ -`", "required";
};

/// `[broker]`.
pub(super) const CLIENT: &[Row] = rows! {
    "client-id" = "MQTT client identifier; it names the persistent session", "1 to 128 visible ASCII characters without `+ # /`", "`sparkdiode-ot-NAME`";
    "share-sessions" = "`true`: what one of the `addresses` keeps of the session, all of them have, as the nodes of a cluster do: nothing is lost on the way from one to another. With `false`, what a server kept for the relay while another one was in use is thrown away before the relay subscribes there: it would be old news", "only with `addresses`", "`false`";
};

/// `[broker]`.
pub(super) const PACKETS: &[Row] = rows! {
    "session-expiry-s" = "how long the broker is to keep the session, and what comes meanwhile at QoS 1, while the relay is away, seconds; some brokers keep it for a shorter time, and say so in `BROKER_UP`. In MQTT 3.1.1 it is the broker's setting alone", "60 to 4294967294; only with `protocol = \"5\"`", "604800, a week";
    "max-packet-bytes" = "largest message that is read; a larger one is dropped as it comes, acknowledged and counted (`too_large`)", "16384 to 67108864", "1048576";
};

/// `[policies]`.
pub(super) const POLICIES: &[Row] = rows! {
    "paths" = "policy files, and directories of which every `*.toml` is read in order of names (hidden files are not)", "at least one", "required";
    "observe" = "a policy in shadow, files and directories: it decides nothing, and is compared with the one in force on live traffic ([policies](policies.md#8-try-a-whole-policy-on-live-traffic), `policy hits`)", "at least one", "none";
    "pseudonym-key-file" = "key for `pseudonym`, 32 bytes or more, in a file of mode 0600 or 0640; `openssl rand -hex 32` makes one. Whoever has it can find out who is who: it stays on OT", "", "none";
    "require-signature" = "table: whose signatures a policy needs ([signed policies](signing.md))", "", "a policy needs no signature";
};

/// `[policies.require-signature]`.
pub(super) const RELAY_OF_SIGNATURE: &[Row] = rows! {
    "relay" = "the relay that a policy must be signed for, where its signature names one", "", "`name`";
};

/// `[journal]`.
pub(super) const JOURNAL: &[Row] = rows! {
    "path" = "directory of the journal", "", "required";
    "segment-bytes" = "size at which a segment is closed", "65536 to 4294967296", "67108864";
    "retain-bytes" = "above this, the oldest segments are deleted", "at least four segments, at most 2^50", "10737418240";
    "retain-age-h" = "segments older than this are deleted, hours", "1 to 87600", "168";
    "durability" = r#"what an acknowledged message survives: `"process"` (kill -9) or `"power"` (synced first)"#, "", r#"`"process"`"#;
};

/// `[relay]`.
pub(super) const RELAY: &[Row] = rows! {
    "keyframe-every-s" = "every live node and device is repeated this often, seconds; after any loss the mirror is whole again within this time", "5 to 3600", "60";
    "reorder-timeout-ms" = "how long a message out of order waits for the missing ones, milliseconds; 0: not at all", "0 to 60000", "2000";
    "gather-ms" = "how long messages gather before they are taken together, while more come: fewer wake-ups and writes, and each arrives so much later; 0: at most 0.3 ms, milliseconds. By default it follows the rate: at most 0.3 ms below 6,700 messages/s, 2 ms at 13,300 and above", "0 to 100", "by rate, at most 2";
    "doubt-after-s" = "an edge node of which nothing is heard for so long after the relay was away (a restart, a lost connection) is dead on IT until it is heard, seconds", "5 to 604800", "300";
    "max-nodes" = "edge nodes that are followed. [Who gives way](threat-model.md#invented-nodes) where there are more: never one that a rule spells out, nor one that sends; else more are refused and counted", "1 to 100000", "10000";
    "max-devices-per-node" = "devices per node", "1 to 100000", "1000";
    "max-node-bytes" = "what is remembered of one edge node with its devices; births and values beyond it are refused and counted (`over_memory`): [memory](memory.md)", "1048576 to 1099511627776", "134217728";
    "max-plant-bytes" = "what is remembered of all edge nodes together", "1048576 to 1099511627776", "335544320";
    "shard" = "which part of the edge nodes this relay has, where several relays share a plant: `\"2/4\"` in the second of four ([several relays](#several-relays)). What comes of the others is counted apart, and neither dropped nor lost", "`k/N`, 1 ≤ k ≤ N ≤ 256", "all edge nodes";
};

/// `[limits]`.
pub(super) const LIMITS: &[Row] = rows! {
    "metrics-per-payload" = "metrics of a payload, members of templates among them, and the metrics of one node or device; some 600 bytes", "1000 to 2000000", "50000, or `max-packet-bytes` / 32 if that is more";
    "members-per-template" = "members of one template", "1 to 2000000", "20000";
    "properties-per-payload" = "keys and values of properties (two for each property), sets of them, and parameters; some 65 bytes", "1000 to 20000000", "262144, or `max-packet-bytes` / 8 if that is more";
    "properties-per-metric" = "properties of one metric beside its `Quality`; more are left out", "1 to 10000", "256";
    "cells-per-payload" = "rows, cells and columns of data sets; some 32 bytes", "1000 to 20000000", "200000, or `max-packet-bytes` / 8 if that is more";
    "name-bytes" = "bytes of one name: of a metric, member, parameter, property, column", "64 to 65535", "1024";
    "text-bytes" = "bytes of one text: a value, a property, a description", "1024 to 67108864", "262144";
    "nesting" = "templates within templates, sets within sets", "1 to 32", "16";
    "inflated-bytes" = "bytes of a compressed payload once it is inflated", "16384 to 67108864", "1048576: `max-packet-bytes`";
};

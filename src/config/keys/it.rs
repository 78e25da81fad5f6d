//! Keys of `it.toml` alone.

use super::Row;

/// `[broker]`.
pub(super) const CLIENT: &[Row] = rows! {
    "client-id-prefix" = "begins the identifier of every mirrored node's session", "1 to 32 of `A-Z a-z 0-9 . _ -`", "`sparkdiode`";
};

/// `[broker]`.
pub(super) const PACKETS: &[Row] = rows! {
    "topic-aliases" = "topics of data go as a number after the first time, where the broker offers that: fewer bytes on thin links. `false`: every message has its topic in full", "only with `protocol = \"5\"`", "`true`";
    "max-packet-bytes" = "a quarter of the largest packet that is sent: aliases become names on their way. Of what comes from IT nothing above 64 KiB is read", "16384 to 67108864", "4194304";
};

/// `[link]`.
pub(super) const LINK: &[Row] = rows! {
    "bytes-per-s" = r#"what all sessions together may send to the IT broker, bytes per second, headers included (roughly). Set it a little below what the link takes where the link is thin (VSAT, 4G): messages with a metric of a rule with `priority = "high"` come first, then what an edge node has that has sent nothing lately; all others take turns. While up to 32 MiB wait, the journal is read on for alarms. An alarm still has to follow what its own node has sent before"#, "1200 to 1000000000", "as much as the link takes";
};

/// `[journal]`.
pub(super) const JOURNAL: &[Row] = rows! {
    "path" = "directory of the journal; only read", "", "required";
    "first-start" = r#"where a half without stored state begins: `"oldest"` sends what the journal already holds as historical data, `"newest"` leaves it out"#, "", r#"`"oldest"`"#;
};

/// `[policies]`.
pub(super) const POLICIES: &[Row] = rows! {
    "paths" = "a copy of the policy, against which every frame is checked again. Recommended: without it, history that an outage of IT missed isn't sent if the policy became tighter since (`HISTORY_WITHHELD`), as nobody on this side knows what that forbids; with it, what the policy in force lets through is", "", "required in the table; without the table there is no copy";
    "require-signature" = "table: whose signatures a policy needs ([signed policies](signing.md))", "", "a policy needs no signature";
};

/// `[policies.require-signature]`.
pub(super) const RELAY_OF_SIGNATURE: &[Row] = rows! {
    "relay" = "the relay that a policy must be signed for, where its signature names one", "", "any";
};

/// `[mirror]`.
pub(super) const MIRROR: &[Row] = rows! {
    "stale-after-s" = "silence of the OT half after which every node is declared dead, seconds", "3 to 3600", "10";
    "on-gap" = r#"messages lost before they reached the relay: `"mark"` (values not seen since get Quality 500, STALE), `"death"` (NDEATH until the next birth), `"ignore"` (counted)"#, "", r#"`"mark"`"#;
    "rebirth-min-interval-ms" = "rebirth requests are answered at most this often per node, milliseconds", "100 to 600000", "1000";
    "primary-host" = "sessions wait for STATE of this host application", "", "none";
    "gather-ms" = "how long messages gather before they are sent together: as many in one write save CPU where nodes send often, and arrive so much later; 0: at most half a millisecond, milliseconds. By default it follows the rate: at most 0.5 ms below 6,700 messages/s, 5 ms at 13,300 and above", "0 to 1000", "by rate, at most 5";
    "confirm-every-ms" = "how often the position in the journal is confirmed by the broker and stored, milliseconds", "100 to 60000", "2000";
    "data-qos" = "QoS of births and data; Sparkplug's is 0, and 1 lets the broker confirm each message", "0 to 1", "0";
    "data-datatypes" = r#"whether data names the datatypes of its metrics: `"as-plant"` (where the plant's data does), `"always"` (for hosts that read nothing without: Node-RED's `sparkplug-payload`, `mqtt-spb-wrapper`, `pysparkplug`), `"never"` (as the specification prefers)"#, "", r#"`"never"`"#;
    "aliases" = r#"which metrics have an alias on IT, a number of the relay's own that their births say: data then names them by it alone, which halves what data by name takes. `"as-plant"` (those that have one in the plant), `"always"` (all but `Node Control/Rebirth`), `"never"` (names, which every host reads; strict checkers object to aliases, as the specification wants one on each metric of a birth and none on that one). A change takes a restart of this half"#, "", r#"`"never"`"#;
    "fold" = r#"`"group"`: all edge nodes of a group are devices of one edge node, with one MQTT session for the group, for brokers that count clients; `"none"`: each has a session of its own. Names, and what hosts see otherwise, are in [folded groups](hosts.md#folded-groups). A change takes a restart of this half"#, "", r#"`"none"`"#;
    "fold-edge-node" = "the name of the edge node that a folded group becomes; with several relays on one broker, another one for each", "1 to 128 characters without `+ # /`", "`plant`";
    "compress-births-above-bytes" = r#"births that are larger than this, bytes, are compressed (DEFLATE, in the wrapper of Eclipse Tahu: `uuid` is `SPBV1.0_COMPRESSED`) where that makes them shorter: to a tenth, mostly, on a thin link. It isn't part of the specification, and a host that doesn't know it sees no births: Tahu's libraries and Ignition know it. A change takes a restart of this half"#, "0 to 67108864", "0: none is";
    "connects-per-s" = "new MQTT sessions per second. Without the key it begins with 500 and doubles twice a second, up to 10000, while the broker answers all and never owes more than 64 answers; a connect that fails sets it back to 500 for a minute", "1 to 10000", "from 500 on";
    "max-nodes" = "edge nodes that are mirrored; more are refused and counted", "1 to 100000", "10000";
    "max-devices-per-node" = "devices per node", "1 to 100000", "1000";
    "max-node-bytes" = "what is remembered of one edge node with its devices; births and values beyond it are refused and counted (`over_memory`): [memory](memory.md)", "1048576 to 1099511627776", "134217728";
    "max-plant-bytes" = "what is remembered of all edge nodes together; births and values beyond it are refused and counted (`over_memory`): [memory](memory.md)", "1048576 to 1099511627776", "335544320";
};

/// `[backfill]`.
pub(super) const BACKFILL: &[Row] = rows! {
    "enabled" = "what an outage of IT missed is sent again as historical data", "", "`true`";
    "messages-per-s" = "pace of historical data", "1 to 1000000", "1000";
};

/// `[health]`.
pub(super) const HEALTH: &[Row] = rows! {
    "enabled" = "the relay shows itself as an edge node of its own on IT ([watching the relay](monitoring.md))", "", "`true`";
    "group" = "its group", "1 to 128 characters without `+ # /`", "`sparkdiode`";
    "edge-node" = "its name", "1 to 128 characters without `+ # /`", "the relay's name";
    "publish-every-s" = "values that have changed are published this often, seconds", "1 to 3600", "10";
};

/// `[limits]`.
pub(super) const LIMITS: &[Row] = rows! {
    "metrics-per-payload" = "metrics of a payload, members of templates among them, and the metrics of one node or device; some 600 bytes", "1000 to 2000000", "131072: `max-packet-bytes` / 32, and 100000 at least";
    "members-per-template" = "members of one template", "1 to 2000000", "20000";
    "properties-per-payload" = "keys and values of properties (two for each property), sets of them, and parameters; some 65 bytes", "1000 to 20000000", "524288: `max-packet-bytes` / 8, and 524288 at least";
    "properties-per-metric" = "properties of one metric beside its `Quality`; more are left out", "1 to 10000", "256";
    "cells-per-payload" = "rows, cells and columns of data sets; some 32 bytes", "1000 to 20000000", "524288: `max-packet-bytes` / 8, and 400000 at least";
    "name-bytes" = "bytes of one name: of a metric, member, parameter, property, column", "64 to 65535", "4096 (policies can give longer names)";
    "text-bytes" = "bytes of one text: a value, a property, a description", "1024 to 67108864", "262144";
    "nesting" = "templates within templates, sets within sets", "1 to 32", "16";
};

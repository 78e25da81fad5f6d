//! Keys that both files have.

use super::Row;

/// `[broker]`, first where the broker is.
pub(super) const BROKER: &[Row] = rows! {
    "address" = "`host:port`; IPv6 in brackets. A name is looked up before the half is sealed; all of its addresses are tried. A sealed half can't look it up again: see `addresses-file`", "", "required, or `addresses`";
    "addresses" = "the servers of a broker that has several (a pair, the nodes of a cluster), as `address` has one; one of them is used at a time ([several servers](hardening.md#several-servers))", "1 to 16 servers", "none: `address`";
    "order" = "which server is tried when the one in use can't be: `\"in-order\"`: the first of the list that wasn't tried yet; `\"rotating\"`: the next one of the list. A server whose session lasted is tried once more before", "only with `addresses`", "`\"in-order\"`";
    "return-to-first-after-s" = "how long the first server has to take connections until it is used again, seconds; twice as long after each return that failed, up to an hour. 0: never, another server is used as long as it can be", "0 to 86400", "0";
    "addresses-file" = "where `sparkdiode resolve` keeps the addresses of that name, in a directory that nobody but its owner may write ([a broker that moves](hardening.md#a-broker-that-moves)). The half takes them at its start if the file is there, looks at it every second and on SIGHUP, and makes its next connections to them; a file in which something isn't as it should be is refused and told (`BROKER_ADDRESSES_REFUSED`), and the addresses stay. With `addresses` it is a file for each name, with `.NAME` behind the path", "", "none: looked up at each start alone";
};

/// `[broker]`, and how the session is kept.
pub(super) const SESSION: &[Row] = rows! {
    "client-id-form" = r#"`"readable"`: made of the names of the relay, or of group and edge node; `"short"`: 1 to 23 letters and digits made of that (a hash), which every broker has to take; `"auto"`: readable, and short where the broker takes nothing else. On OT that is found out by trying the short one beside the readable one, before anything is subscribed to, so that a session that the broker keeps isn't left behind"#, "", r#"`"auto"`"#;
    "protocol" = "which MQTT is spoken: `\"3.1.1\"`, which every broker has, or `\"5\"`, by which the broker says why it refuses something, what it takes at most, and how long it keeps the session ([MQTT 5](mqtt5.md))", "", "`\"3.1.1\"`";
    "announce-packet-limit" = "`true`: the broker is told how large a message may be. It then drops larger ones and says nothing: neither the log nor a count of the relay knows of them. For links that a large message would block", "only with `protocol = \"5\"`", "`false`: they come, are stepped over, and told with their topic";
    "user" = "MQTT user name. Without a password it goes alone, for brokers that know who we are by our certificate", "", "none";
    "password-file" = "file with the password, mode 0600 or 0640", "only with `user`", "none";
    "keep-alive-s" = "MQTT keep alive, seconds. A connection on which nothing moves for so long after a PINGREQ, or while bytes wait to be taken, is given up; what comes or goes slowly is a sign of life. Some brokers count whole packets: on a thin link it has to be longer than the largest birth takes", "5 to 3600", "30";
    "connect-timeout-s" = "longest wait for each of TCP connection, TLS handshake and CONNACK, seconds. Where `address` is a name of several addresses they are tried 250 ms after each other, and who answers first is taken", "1 to 600", "30";
    "answer-timeout-s" = "longest wait for an answer (SUBACK, PUBACK, UNSUBACK) to what has left, seconds", "5 to 3600", "30";
    "profile" = "which broker it is, where its limits are known beforehand: `\"distributor\"`, `\"distributor-plus\"`, `\"aws-iot-core\"`, `\"azure-event-grid\"`, `\"hivemq-cloud\"`, `\"emqx-cloud-serverless\"`. `check` compares them with these files, the policy and the plant, and the IT half keeps to them ([limits known beforehand](it.toml.md#limits-known-beforehand))", "", "none: nothing is known of it";
    "plaintext" = "`true`: no TLS, in so many words", "", "`false`: without `[broker.tls]` it is an error";
    "tls" = "table: TLS 1.2 or 1.3; [where the files come from](../../certs/README.md)", "", "required, unless `plaintext = true`";
};

/// `[broker.tls]` and `[syslog.tls]`.
pub(super) const TLS: &[Row] = rows! {
    "ca-file" = "PEM; the authorities that may have signed the broker's certificate, and no others. This file and the next two are taken up when they are exchanged, without a restart", "", "required";
    "certificate-file" = "PEM; our certificate", "together with `key-file`", "none";
    "key-file" = "PEM; its key, in a file of mode 0600 or 0640", "together with `certificate-file`", "none";
    "server-name" = "the name that the broker's certificate must carry, whatever is dialled", "", "the host of `address`";
};

/// `[broker.tls]` alone.
pub(super) const SERVER_NAMES: &[Row] = rows! {
    "server-names" = "the same for each of `addresses`, in their order", "only with `addresses`", "`server-name`";
};

/// `[policies.require-signature]`; `relay` is each half's own.
pub(super) const SIGNATURE: &[Row] = rows! {
    "keys" = r#"public keys whose signatures count, `"ed25519:… NAME"`"#, "at least one", "required";
    "threshold" = "how many different keys must have signed", "1 to the number of keys", "1";
    "file" = "the signature file", "", "`policy.sig` beside the first of `paths`";
};

/// `[state]`.
pub(super) const STATE: &[Row] = rows! {
    "path" = "directory that this half alone may write", "", "required";
};

/// `[status]`.
pub(super) const STATUS: &[Row] = rows! {
    "every-s" = "status file and textfile are written this often, seconds", "1 to 60", "2";
    "summary-every-s" = "a summary event with the account is logged this often, seconds", "10 to 86400", "60";
};

/// `[metrics]`.
pub(super) const METRICS: &[Row] = rows! {
    "textfile" = "file for node_exporter's textfile collector; its name ends with `.prom`", "", "none";
};

/// `[[syslog]]`.
pub(super) const SYSLOG: &[Row] = rows! {
    "to" = r#"`"journald"`, `"local"` (the daemon at `/dev/log`), `"udp"` (RFC 5426), `"tcp"` (RFC 6587, octet counting), `"tls"` (RFC 5425)"#, "", "required";
    "address" = "`udp`, `tcp`, `tls`: `host:port`, IPv6 as `[fd00::9]:6514`; a name is resolved once, at the start", "", "required";
    "tls" = "`tls`: table with the keys of `[broker.tls]`", "", "required";
    "path" = "`local`, `journald`: the socket", "", "`/dev/log`, `/run/systemd/journal/socket`";
    "format" = r#"`local`: `"rfc3164"`, or `"rfc5424"` where the daemon reads it there (rsyslog: `useSpecialParser="off"`)"#, "", r#"`"rfc3164"`"#;
    "name" = "names the target in events about it", "1 to 32 of `A-Z a-z 0-9 . _ -`", "`udp:HOST:PORT`, …";
};

/// The same of each target, whatever it is.
pub(super) const SYSLOG_LINES: &[Row] = rows! {
    "min-severity" = r#"this severity and worse: `"critical"`, `"error"`, `"warning"`, `"notice"`, `"info"`"#, "", r#"`"info"`"#;
    "events" = "MSGIDs: only these", "not with `except-events`", "all";
    "except-events" = "MSGIDs: all but these", "not with `events`", "none";
    "facility" = r#"`"daemon"`, `"user"`, `"auth"`, `"authpriv"`, `"local0"` … `"local7"`"#, "", r#"`"daemon"`"#;
    "enterprise-number" = "your IANA private enterprise number, of the SD-ID `sparkdiode@NUMBER`", "1 to 4294967295", "32473, IANA's example";
    "time-synced" = "`true`: you vouch for the clock (`timeQuality isSynced`)", "", "`false`";
    "queue-lines" = "lines that may wait for the target; its last quarter is kept for warnings and worse", "16 to 65536", "2048";
};

/// `[sandbox]`.
pub(super) const SANDBOX: &[Row] = rows! {
    "user" = "who a half that root starts becomes, after it has read its secrets; a name or a number. Each half has a user of its own, and neither is root", "", "none: it is started as its user, by systemd for example";
    "group" = "the group that goes with it; a name or a number", "only with `user`", "the user's own";
    "waive" = r#"layers that are given up: `"user"`, `"landlock-files"`, `"landlock-tcp"`, `"landlock-scopes"`, `"seccomp"`; and `"one-broker"`, in both files, where both halves are meant to use one broker: else `check` calls that an error"#, "", "none";
};

//! Keys that the files of both ends of a link have.

use super::Row;

/// `[link]`, first what both ends have alike.
pub(super) const LINK: &[Row] = rows! {
    "name" = "name of the link; both ends have the same, and the receiving end counts what has another as foreign", "1 to 64 of `A-Z a-z 0-9 . _ -`", "required";
    "key-file" = "file with the link key, mode 0400 to 0640: 32 random bytes as 64 hexadecimal digits or as Base64, alone on their line. `sparkdiode link-key` makes one; both ends have the same", "", "required";
    "datagram-bytes" = "the longest datagram, bytes of UDP payload: the MTU of the interfaces less 28. Both ends have the same", "256 to 65507", "1472";
};

/// `[[path]]`, behind the address.
pub(super) const PATH: &[Row] = rows! {
    "name" = "names the path in events and status", "1 to 32 of `A-Z a-z 0-9 . _ -`", "the interface, or else the address";
};

/// `[state]`.
pub(super) const STATE: &[Row] = rows! {
    "path" = "directory that this end alone may write", "", "required";
};

/// `[[syslog]]`: what is on this machine.
pub(super) const SYSLOG: &[Row] = rows! {
    "to" = r#"`"journald"`, `"local"` (the daemon at `/dev/log`). An end of a link has no other network than the link"#, "", "required";
    "path" = "the socket", "", "`/dev/log`, `/run/systemd/journal/socket`";
    "format" = r#"`local`: `"rfc3164"`, or `"rfc5424"` where the daemon reads it there (rsyslog: `useSpecialParser="off"`)"#, "", r#"`"rfc3164"`"#;
    "name" = "names the target in events about it", "1 to 32 of `A-Z a-z 0-9 . _ -`", "`journald`, `local`";
};

/// `[sandbox]`.
pub(super) const SANDBOX: &[Row] = rows! {
    "user" = "who an end that root starts becomes, after it has read its key and made its sockets; a name or a number. Each end has a user of its own, which is no half's and not root", "", "none: it is started as its user, by systemd for example";
    "group" = "the group that goes with it; a name or a number", "only with `user`", "the user's own";
    "waive" = r#"layers that are given up: `"user"`, `"landlock-files"`, `"landlock-tcp"`, `"landlock-scopes"`, `"seccomp"`"#, "", "none";
};

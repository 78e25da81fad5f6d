//! The closed list of events: what the relay says to people who watch it. MSGIDs and field names
//! are stable; rules of a SIEM rest on them.
//!
//! An event is declared in [`catalogue`], and only there; [`event!`](macro@crate::event) emits it, and
//! doesn't compile with a field that the catalogue doesn't know or without one that it demands.
//! From there it is a `tracing` event like any other, and the [`hub`](super::hub) limits, formats
//! and distributes it.

#[macro_use]
mod entries;
mod catalogue;
mod manual;

use std::fmt;

pub use catalogue::Event;
pub use manual::{json, manual};
use tracing::Level;

/// Target of the `tracing` events that are events of the catalogue.
pub const TARGET: &str = "sparkdiode::event";

/// Severities of syslog (RFC 5424 §6.2.1); the numbers are those of the wire. Emergency and
/// alert are for those who run a whole machine, debug isn't for people who watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing crosses until somebody acts.
    Critical = 2,
    /// Something is lost or doesn't work.
    Error = 3,
    /// Something is odd, or somebody tried something.
    Warning = 4,
    /// A change of state that people want to see.
    Notice = 5,
    /// Ordinary work.
    Info = 6,
}

/// Which half, or end of a link, has the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halves {
    Ot,
    It,
    Both,
    /// The sending end of a link between two boxes.
    Send,
    /// Its receiving end.
    Receive,
    /// Both of them.
    Ends,
    /// Whoever reads a journal: the IT half and the sending end.
    Readers,
    /// Both halves and both ends.
    All,
}

/// How the event is kept from flooding a log; see [`flood`](super::flood).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Always emitted: nothing on a network can cause it often.
    Never,
    /// Few lines in a window, whatever it is about.
    PerKind,
    /// Few lines in a window for each value of this field.
    PerSource(&'static str),
    /// A line when it begins for these values of these fields, and one an hour with the count.
    Begins(&'static [&'static str]),
}

/// One field of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    pub name: &'static str,
    pub meaning: &'static str,
    pub optional: bool,
}

/// What the catalogue says of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// MSGID of RFC 5424.
    pub msgid: &'static str,
    pub severity: Severity,
    pub halves: Halves,
    pub limit: Limit,
    /// What the line says, before its fields.
    pub text: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do about it.
    pub action: &'static str,
    pub fields: &'static [FieldSpec],
}

impl Severity {
    /// From the worst on.
    pub const ALL: [Severity; 5] =
        [Severity::Critical, Severity::Error, Severity::Warning, Severity::Notice, Severity::Info];

    /// The word of RFC 5424, as in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
            Severity::Info => "info",
        }
    }

    /// The level that `--log` knows.
    pub const fn level(self) -> Level {
        match self {
            Severity::Critical | Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARN,
            Severity::Notice | Severity::Info => Level::INFO,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl Halves {
    /// As the catalogue's page says it.
    pub const fn name(self) -> &'static str {
        match self {
            Halves::Ot => "ot",
            Halves::It => "it",
            Halves::Both => "both",
            Halves::Send => "send",
            Halves::Receive => "receive",
            Halves::Ends => "send, receive",
            Halves::Readers => "it, send",
            Halves::All => "all",
        }
    }
}

impl Event {
    /// MSGID of RFC 5424.
    pub const fn msgid(self) -> &'static str {
        self.entry().msgid
    }

    /// The event with this MSGID.
    pub fn from_msgid(msgid: &str) -> Option<Event> {
        Event::ALL.iter().copied().find(|event| event.msgid() == msgid)
    }

    /// The level that `--log` knows.
    pub const fn level(self) -> Level {
        self.entry().severity.level()
    }

    /// Fails to compile, where it is used in a constant, unless `given` are fields of this event
    /// and all that aren't optional are among them. [`event!`](macro@crate::event) uses it.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "runs in the compiler, where a mistake is a compile error; every index is bounded"
    )]
    pub const fn has_fields(self, given: &[&str]) {
        let fields = self.entry().fields;
        let mut at = 0;
        while at < given.len() {
            let mut known = 0;
            while known < fields.len() && !same(fields[known].name, given[at]) {
                known += 1;
            }
            assert!(known < fields.len(), "the catalogue doesn't have a field of this event");
            at += 1;
        }
        let mut known = 0;
        while known < fields.len() {
            let mut at = 0;
            while at < given.len() && !same(fields[known].name, given[at]) {
                at += 1;
            }
            assert!(
                fields[known].optional || at < given.len(),
                "a field that the catalogue demands is missing from this event"
            );
            known += 1;
        }
    }
}

#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "runs in the compiler; the index is below both lengths"
)]
const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut at = 0;
    while at < left.len() {
        if left[at] != right[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Emits an event of the catalogue: `event!(SequenceGap, node = key)`. Values are what `tracing`
/// takes: numbers, booleans, strings, `%display`, `?debug`, and options of them, of which `None`
/// leaves the field out. Write what is expensive to make behind a check of its own: whether the
/// event is emitted or only counted is decided after its fields are made.
#[macro_export]
macro_rules! event {
    ($event:ident $(, $($fields:tt)*)?) => {{
        const EVENT: $crate::Event = $crate::Event::$event;
        const _: () = EVENT.has_fields($crate::event_fields!([] $($($fields)*)?));
        $crate::tracing::event!(
            target: $crate::EVENT_TARGET,
            EVENT.level(),
            event = EVENT as u64,
            $($($fields)*)?
        );
    }};
}

/// The names in a list of fields, for [`event!`](crate::event).
#[doc(hidden)]
#[macro_export]
macro_rules! event_fields {
    ([$($name:expr),*]) => { &[$($name),*] };
    ([$($name:expr),*] $field:ident $($rest:tt)*) => {
        $crate::event_fields!(@skip [$($name,)* stringify!($field)] $($rest)*)
    };
    ([$($name:expr),*] $sigil:tt $field:ident $($rest:tt)*) => {
        $crate::event_fields!(@skip [$($name,)* stringify!($field)] $($rest)*)
    };
    (@skip [$($name:expr),*]) => { &[$($name),*] };
    (@skip [$($name:expr),*] , $($rest:tt)*) => {
        $crate::event_fields!([$($name),*] $($rest)*)
    };
    (@skip [$($name:expr),*] $token:tt $($rest:tt)*) => {
        $crate::event_fields!(@skip [$($name),*] $($rest)*)
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn msgids_are_unique_and_fit_rfc_5424() {
        let mut seen = BTreeSet::new();
        for event in Event::ALL {
            let msgid = event.msgid();
            assert!(seen.insert(msgid), "{msgid} twice");
            assert!((1..=32).contains(&msgid.len()), "{msgid}");
            let fits =
                |byte: u8| byte.is_ascii_uppercase() || byte == b'_' || byte.is_ascii_digit();
            assert!(msgid.bytes().all(fits), "{msgid}");
            assert_eq!(Event::from_msgid(msgid), Some(*event));
            assert_eq!(Event::ALL[*event as usize], *event);
        }
    }

    #[test]
    fn fields_are_names_of_rfc_5424_and_none_is_taken_by_the_relay_itself() {
        const TAKEN: [&str; 7] =
            ["event", "message", "half", "repeated", "window_s", "sources", "resent"];
        for event in Event::ALL {
            let mut seen = BTreeSet::new();
            for field in event.entry().fields {
                let name = field.name;
                assert!(seen.insert(name), "{}: {name} twice", event.msgid());
                assert!(name.len() <= 32 && !TAKEN.contains(&name), "{}: {name}", event.msgid());
                let fits = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
                assert!(name.bytes().all(fits), "{}: {name}", event.msgid());
                assert!(!field.meaning.is_empty());
            }
            if let Limit::PerSource(source) = event.entry().limit {
                let field = event.entry().fields.iter().find(|field| field.name == source);
                assert!(field.is_some_and(|field| !field.optional), "{}: {source}", event.msgid());
            }
            if let Limit::Begins(names) = event.entry().limit {
                let fields: Vec<_> = event.entry().fields.iter().map(|field| field.name).collect();
                let known = names.iter().all(|name| fields.contains(name));
                assert!(
                    known
                        && names.is_sorted_by_key(|name| fields.iter().position(|one| one == name))
                );
            }
        }
    }

    #[test]
    fn names_of_fields_are_taken_from_what_tracing_is_given() {
        let value = 1;
        let names: &[&str] = event_fields!([] a = 1, b = %value, c = value.max(2, ), d, ?e, %f);
        assert_eq!(names, ["a", "b", "c", "d", "e", "f"]);
        let names: &[&str] = event_fields!([]);
        assert!(names.is_empty());
        let _ = value;
    }
}

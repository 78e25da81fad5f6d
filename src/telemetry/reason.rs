//! The closed list of reasons for which something doesn't cross. The same words appear in logs,
//! heartbeats, `sparkdiode check` and the account.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a message, or a part of it, was not forwarded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])+ $variant,)+ }

        impl Reason {
            /// Every reason, in the order in which they are documented.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)+];

            /// The stable name, as in logs and heartbeats.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)+ }
            }

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Reason::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The topic isn't in the Sparkplug B namespace.
    NotSparkplug = "not_sparkplug",
    /// The topic is in the namespace but breaks its grammar.
    MalformedTopic = "malformed_topic",
    /// A message type that this version doesn't relay (NRECORD, NMETA, …).
    UnknownType = "unknown_type",
    /// A command; commands never cross.
    Command = "command",
    /// The STATE of a host application; it never crosses.
    State = "state",
    /// A stored birth (a certificates topic, or a retained message): it teaches the layout only.
    StoredBirth = "stored_birth",
    /// The payload isn't a valid Sparkplug payload.
    MalformedPayload = "malformed_payload",
    /// The payload is over one of the decoder's caps (bytes, metrics, nesting, string length).
    OverCap = "over_cap",
    /// A compressed payload that can't be inflated, or inflates beyond the cap.
    BadCompression = "bad_compression",
    /// No forward rule selects it (default deny).
    NoRule = "no_rule",
    /// A deny rule selects it.
    Denied = "denied",
    /// A forward rule selects it, but not with this datatype.
    Datatype = "datatype",
    /// The policy gives its name on IT to something else.
    NameCollision = "name_collision",
    /// Over a rule's rate limit, and not to wait for its turn.
    Rate = "rate",
    /// Over the limit that every edge node has, and not to wait for its turn.
    NodeRate = "node_rate",
    /// Over the limit of the link, and not to wait for its turn.
    LinkRate = "link_rate",
    /// A newer value took its place while it waited for a rate limit.
    Conflated = "conflated",
    /// `Node Control/*` or `Device Control/*`: it would advertise writes that can't work.
    ControlMetric = "control_metric",
    /// Data or death of an edge node or device whose birth isn't known.
    DataBeforeBirth = "data_before_birth",
    /// A metric that its birth doesn't have, and that isn't typed.
    UnknownMetric = "unknown_metric",
    /// A value that doesn't fit the metric's datatype in the birth.
    TypeMismatch = "type_mismatch",
    /// A death that belongs to an earlier session (its bdSeq is behind the birth's).
    StaleDeath = "stale_death",
    /// Redelivered by the broker and already in the journal.
    Duplicate = "duplicate",
    /// A configured bound (edge nodes, devices, queue) was reached.
    OverCapacity = "over_capacity",
    /// The IT half's own copy of the policy doesn't allow it.
    Recheck = "recheck",
    /// An edge node of the plant with the name of the relay's own edge node on IT.
    NameTaken = "name_taken",
    /// A frame of the journal that the IT half refuses to trust.
    BadFrame = "bad_frame",
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

//! The closed list of reasons for which something doesn't cross. The same words appear in logs,
//! heartbeats, `sparkdiode check` and the account.

use core::fmt;

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
    /// The topic is in the namespace but breaks its grammar, or breaks MQTT's own.
    MalformedTopic = "malformed_topic",
    /// A message type that this version doesn't relay (NRECORD, NMETA, …).
    UnknownType = "unknown_type",
    /// A command; commands never cross.
    Command = "command",
    /// The STATE of a host application; it never crosses.
    State = "state",
    /// A stored birth (a certificates topic, or a retained message): it teaches the layout only.
    StoredBirth = "stored_birth",
    /// The payload, or a part of it, isn't valid Sparkplug.
    MalformedPayload = "malformed_payload",
    /// Larger than `max-packet-bytes` of the OT half: dropped while it came, and never read.
    TooLarge = "too_large",
    /// The payload, or a part of it, is over one of `[limits]`.
    OverCap = "over_cap",
    /// A compressed payload that can't be inflated, or inflates beyond the cap.
    BadCompression = "bad_compression",
    /// No forward rule selects it (default deny).
    NoRule = "no_rule",
    /// A deny rule selects it.
    Denied = "denied",
    /// A forward rule selects it, but not with this datatype.
    Datatype = "datatype",
    /// A rule redacts it: births have it as null, data never.
    Redacted = "redacted",
    /// Bytes, a File or a DataSet that no rule opens (`max-bytes`, `content-types`, `columns`).
    Opaque = "opaque",
    /// A rule checks the content of values, and can't look at those of its datatype (`open-datatypes`).
    Unshapeable = "unshapeable",
    /// Its time is further in the past than a rule's `max-age-s`.
    TooOld = "too_old",
    /// Its time is further in the future than a rule's `max-future-s`.
    Future = "future",
    /// A number outside of a rule's `min` and `max`.
    OutOfRange = "out_of_range",
    /// A text or bytes longer than a rule's `max-length` or `max-bytes`.
    TooLong = "too_long",
    /// A value that a rule's `allowed`, `pattern` or `content-types` don't have.
    NotAllowed = "not_allowed",
    /// Too near to the value that was forwarded last (`deadband`).
    Deadband = "deadband",
    /// A newer value took its place while it waited for `min-interval-ms` to be over.
    Interval = "interval",
    /// The policy gives its name on IT to something else.
    NameCollision = "name_collision",
    /// Over a rule's rate limit, and not to wait for its turn.
    Rate = "rate",
    /// Over the limit that every edge node has, and not to wait for its turn.
    NodeRate = "node_rate",
    /// Over the limit of the link, and not to wait for its turn.
    LinkRate = "link_rate",
    /// With names for aliases it would be more than 64 times what its edge node sent, and it is not to wait for its turn.
    Amplification = "amplification",
    /// Refused unread while the relay was overloaded: its edge node sent more than its share (QoS 0),
    /// or many times what the others did (QoS 1 and 2).
    Overload = "overload",
    /// A newer value took its place while it waited for a rate limit, or for the birth of its metric.
    Conflated = "conflated",
    /// `Node Control/*` or `Device Control/*`: it would advertise writes that can't work.
    ControlMetric = "control_metric",
    /// Data or death of an edge node or device whose birth isn't known; history of a metric whose birth is to come.
    DataBeforeBirth = "data_before_birth",
    /// A metric that its birth doesn't have, and that isn't typed.
    UnknownMetric = "unknown_metric",
    /// A value that doesn't fit the metric's datatype in the birth.
    TypeMismatch = "type_mismatch",
    /// A death of an earlier session (the number of a birth before the one in force), or of what is dead already.
    StaleDeath = "stale_death",
    /// Redelivered by the broker and already in the journal.
    Duplicate = "duplicate",
    /// Its turn was over when it came, and what its edge node sent later says otherwise.
    Late = "late",
    /// A configured bound (edge nodes, devices, queue) was reached.
    OverCapacity = "over_capacity",
    /// More than may be remembered of its edge node, or of all (`max-node-bytes`, `max-plant-bytes`).
    OverMemory = "over_memory",
    /// The IT half's own copy of the policy doesn't allow it.
    Recheck = "recheck",
    /// An edge node of the plant with the name of the relay's own edge node on IT.
    NameTaken = "name_taken",
    /// A frame of the journal that the IT half refuses to trust.
    BadFrame = "bad_frame",
    /// A half was ended twice while it worked on it; it is kept in `set-aside.capture`.
    SetAside = "set_aside",
}

impl Reason {
    /// Whether it is ordinary that something is dropped for this reason: the policy wants it so, or every
    /// plant has it.
    pub const fn is_wanted(self) -> bool {
        match self {
            Reason::Command
            | Reason::State
            | Reason::StoredBirth
            | Reason::NoRule
            | Reason::Denied
            | Reason::Datatype
            | Reason::Redacted
            | Reason::Opaque
            | Reason::Unshapeable
            | Reason::TooOld
            | Reason::Future
            | Reason::OutOfRange
            | Reason::TooLong
            | Reason::NotAllowed
            | Reason::Deadband
            | Reason::Interval
            | Reason::Conflated
            | Reason::ControlMetric
            | Reason::StaleDeath
            | Reason::Duplicate => true,
            Reason::NotSparkplug
            | Reason::MalformedTopic
            | Reason::UnknownType
            | Reason::MalformedPayload
            | Reason::TooLarge
            | Reason::OverCap
            | Reason::BadCompression
            | Reason::NameCollision
            | Reason::Rate
            | Reason::NodeRate
            | Reason::LinkRate
            | Reason::Amplification
            | Reason::Overload
            | Reason::DataBeforeBirth
            | Reason::UnknownMetric
            | Reason::TypeMismatch
            | Reason::Late
            | Reason::OverCapacity
            | Reason::OverMemory
            | Reason::Recheck
            | Reason::NameTaken
            | Reason::BadFrame
            | Reason::SetAside => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

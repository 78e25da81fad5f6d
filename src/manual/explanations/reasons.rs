//! What to do about each reason, and what brings it about: what the policy decides as a policy with a
//! case, the rest as it is seen in the log.

use account::Reason;
use telemetry::Event;

use super::rules::of_rules;
use super::{Advice, Example, Parts};

/// What there is to say of a reason beside its meaning.
pub const fn advice(reason: Reason) -> Advice {
    let (action, example) = match reason {
        Reason::NotSparkplug
        | Reason::MalformedTopic
        | Reason::UnknownType
        | Reason::Command
        | Reason::State
        | Reason::StoredBirth
        | Reason::MalformedPayload
        | Reason::TooLarge
        | Reason::OverCap
        | Reason::BadCompression => of_messages(reason),
        Reason::NoRule
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
        | Reason::ControlMetric => of_rules(reason),
        Reason::NameCollision
        | Reason::Rate
        | Reason::NodeRate
        | Reason::LinkRate
        | Reason::Amplification
        | Reason::Overload
        | Reason::Conflated => of_limits(reason),
        Reason::DataBeforeBirth
        | Reason::UnknownMetric
        | Reason::TypeMismatch
        | Reason::StaleDeath
        | Reason::Duplicate
        | Reason::Late
        | Reason::OverCapacity
        | Reason::OverMemory
        | Reason::Recheck
        | Reason::NameTaken
        | Reason::BadFrame
        | Reason::SetAside => of_sessions(reason),
    };
    Advice { action, example }
}

/// What can't be read, or never crosses.
const fn of_messages(reason: Reason) -> Parts {
    match reason {
        Reason::NotSparkplug => (
            "Find out who publishes it: the relay subscribes to Sparkplug topics alone, so that a broker or an access list brings it.",
            Example::Line(
                Event::TopicRefused,
                &[("topic", "factory/line4/temperature"), ("reason", "not_sparkplug")],
            ),
        ),
        Reason::MalformedTopic => (
            "Look at the publisher: a level too many or too few, or an empty one. `spBv1.0/GROUP/DDATA/NODE/DEVICE` is a topic. With `MESSAGE_IMPOSSIBLE` it is one that MQTT doesn't allow (a wildcard, U+0000, no UTF-8), and the broker lets it through.",
            Example::Line(
                Event::TopicRefused,
                &[("topic", "spBv1.0/Plant1/DDATA/Line4"), ("reason", "malformed_topic")],
            ),
        ),
        Reason::UnknownType => (
            "Nothing, if the plant has libraries of a later specification: births, data and deaths cross. A misspelt type is the publisher's.",
            Example::Line(
                Event::TopicRefused,
                &[("topic", "spBv1.0/Plant1/NRECORD/Line4"), ("reason", "unknown_type")],
            ),
        ),
        Reason::Command => (
            "Nothing. Commands of the plant's own hosts pass by the relay; none crosses, in either direction.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "a command stays in, whatever a rule says"
topic = "spBv1.0/Plant1/DCMD/Line4/Oven1"
expect = "drop"
reason = "command"
"#,
            ),
        ),
        Reason::State => (
            "Nothing. What hosts on OT say of themselves is read for `HOST_OFFLINE` and goes no further.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "STATE stays in"
topic = "spBv1.0/STATE/scada1"
expect = "drop"
reason = "state"
"#,
            ),
        ),
        Reason::StoredBirth => (
            "Nothing. The node counts as alive when it is heard itself. If it never is, what the broker has stored is of a node that is gone: an empty retained message under its topic takes it away.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "a birth that the broker had stored brings nobody to life"
topic = "spBv1.0/Plant1/NBIRTH/Line4"
retain = true
metric = "Temperature"
value = 61.5
expect = "drop"
reason = "stored_birth"
"#,
            ),
        ),
        Reason::MalformedPayload => (
            "Look at the edge node and its library: JSON for protobuf, a cut message, a text that isn't UTF-8, or somebody who tries the decoder.",
            Example::Line(
                Event::PayloadRefused,
                &[
                    ("reason", "malformed_payload"),
                    ("bytes", "52"),
                    ("problem", ""),
                    ("limit", ""),
                    ("key", ""),
                ],
            ),
        ),
        Reason::TooLarge => (
            "If the node is wanted, raise `[broker] max-packet-bytes` in `ot.toml`, and what `sparkdiode check ot.toml it.toml` then says of `it.toml`.",
            Example::Line(
                Event::MessageTooLarge,
                &[
                    ("topic", "spBv1.0/Plant1/NBIRTH/Line4"),
                    ("bytes", "1500231"),
                    ("limit", "1048576"),
                    ("key", "max-packet-bytes"),
                ],
            ),
        ),
        Reason::OverCap => (
            "The line in the log names the limit, what came, and the key of `[limits]` that sets it. Raise the key if the node is wanted; mostly raising `max-packet-bytes` is enough, since the others follow from it.",
            Example::Line(
                Event::PayloadRefused,
                &[
                    ("topic", "spBv1.0/Plant1/NBIRTH/Line4"),
                    ("reason", "over_cap"),
                    ("bytes", "812345"),
                ],
            ),
        ),
        _ => (
            "Look at the node: a broken library, or a small message that unfolds to a very large one. `[limits] inflated-bytes` bounds it.",
            Example::Line(
                Event::PayloadRefused,
                &[
                    ("reason", "bad_compression"),
                    ("bytes", "1021"),
                    ("problem", ""),
                    ("limit", ""),
                    ("key", ""),
                ],
            ),
        ),
    }
}

/// What a limit says, and names.
const fn of_limits(reason: Reason) -> Parts {
    match reason {
        Reason::NameCollision => (
            "Give it a name of its own in `[rename]`, or the other one another.",
            Example::Line(
                Event::NameCollision,
                &[("node", "Plant1/packaging"), ("topic", "spBv1.0/Plant1/NBIRTH/packaging")],
            ),
        ),
        Reason::Rate => (
            "Find out why the node sends so much. Raise the rule's rate if it is wanted, or let values wait (`on-excess = \"conflate\"`).",
            Example::Policy(
                r#"
[[rule]]
name = "vibration"
action = "forward"
group = "Plant1"
[rule.rate]
messages-per-s = 0.1
on-excess = "drop"

[[case]]
name = "a second value within ten seconds"
topic = "spBv1.0/Plant1/DDATA/Line4/Vibration1"
metric = "Peak"
[[case.step]]
value = 1.0
expect = "forward"
[[case.step]]
after-ms = 100
value = 2.0
expect = "drop"
reason = "rate"
"#,
            ),
        ),
        Reason::NodeRate => (
            "As for `rate`, of `[limits.node]`.",
            Example::Policy(
                r#"
[[rule]]
name = "vibration"
action = "forward"
group = "Plant1"

[limits.node]
messages-per-s = 0.1
on-excess = "drop"

[[case]]
name = "a second value within ten seconds"
topic = "spBv1.0/Plant1/DDATA/Line4/Vibration1"
metric = "Peak"
[[case.step]]
value = 1.0
expect = "forward"
[[case.step]]
after-ms = 100
value = 2.0
expect = "drop"
reason = "node_rate"
"#,
            ),
        ),
        Reason::LinkRate => (
            "As for `rate`, of `[limits.link]`, which all share: see which edge node sends most (`sparkdiode status`).",
            Example::Policy(
                r#"
[[rule]]
name = "vibration"
action = "forward"
group = "Plant1"

[limits.link]
messages-per-s = 0.1
on-excess = "drop"

[[case]]
name = "a second value within ten seconds"
topic = "spBv1.0/Plant1/DDATA/Line4/Vibration1"
metric = "Peak"
[[case.step]]
value = 1.0
expect = "forward"
[[case.step]]
after-ms = 100
value = 2.0
expect = "drop"
reason = "link_rate"
"#,
            ),
        ),
        Reason::Amplification => (
            "Shorten the names of the node's metrics, or have it send names: a few bytes of aliases would become very many on IT.",
            Example::Line(
                Event::RateExceeded,
                &[
                    ("reason", "amplification"),
                    ("rule", ""),
                    ("per", ""),
                    ("messages", ""),
                    ("most", ""),
                ],
            ),
        ),
        Reason::Overload => (
            "The line in the log names the nodes that had most. Find out who floods; a rule's rate bounds what crosses, an access list or a limit of the broker what comes.",
            Example::Line(
                Event::RateExceeded,
                &[("reason", "overload"), ("rule", ""), ("per", "")],
            ),
        ),
        _ => (
            "Nothing: the newest value crosses when its turn comes. If every value counts, raise the rate.",
            Example::Words(
                "Three values come within a second, and the rule's rate is one message a second. The first one crosses, the third one when its turn comes; the second one counts here.",
            ),
        ),
    }
}

/// What births, bounds and the other half say.
const fn of_sessions(reason: Reason) -> Parts {
    match reason {
        Reason::DataBeforeBirth => (
            "Ordinary after the first start on a plant that runs: data can't be read without its birth. Have a host of the plant ask the node for a rebirth, or restart the node.",
            Example::Line(Event::BirthMissing, &[("reason", "data_before_birth")]),
        ),
        Reason::UnknownMetric => (
            "Have the node put all its metrics into its birth, as the specification wants; a rebirth helps where it got new ones.",
            Example::Line(Event::BirthMissing, &[("reason", "unknown_metric")]),
        ),
        Reason::TypeMismatch => (
            "Look at the node's library: a metric has one datatype from birth to birth. IT sees the value as null with Quality 0 until the next one.",
            Example::Line(
                Event::MetricRefused,
                &[
                    ("reason", "type_mismatch"),
                    ("got", "String"),
                    ("wanted", "Float"),
                    ("key", ""),
                    ("metrics", "1"),
                ],
            ),
        ),
        Reason::StaleDeath => (
            "Nothing: it is the will of a session that is over, or a second death.",
            Example::Line(Event::DeathIgnored, &[]),
        ),
        Reason::Duplicate => (
            "Nothing: the broker delivered again what it wasn't sure had arrived.",
            Example::Words(
                "The connection to the OT broker is lost after a message was written to the journal and before it was acknowledged. The broker delivers it again; the second one counts here.",
            ),
        ),
        Reason::Late => (
            "Nothing, if it is rare. Often: the broker reorders by more than `reorder-timeout-ms`; raise it.",
            Example::Words(
                "Data with `seq` 7 comes three seconds after data with `seq` 8, and `reorder-timeout-ms` is 2000. Its values are older than what IT has by now; a death that comes so late is over.",
            ),
        ),
        Reason::OverCapacity => (
            "If the plant has grown, raise the key that the line in the log names (`max-nodes`, `max-devices-per-node`). If not, somebody invents nodes or devices.",
            Example::Line(
                Event::CapacityReached,
                &[
                    ("topic", "spBv1.0/Plant1/NBIRTH/Line10001"),
                    ("gave_way", ""),
                    ("limit", "max-nodes"),
                ],
            ),
        ),
        Reason::OverMemory => (
            "If the plant has grown, raise `max-node-bytes` or `max-plant-bytes`, and `MemoryMax=` of the unit with it (`sparkdiode check` computes it).",
            Example::Line(
                Event::MemoryRefused,
                &[
                    ("bytes", "150000000"),
                    ("budget", "134217728"),
                    ("limit", "max-node-bytes"),
                    ("device", ""),
                ],
            ),
        ),
        Reason::Recheck => (
            "Compare the digests of both policies (`POLICY_LOADED`). If they differ, give both halves the same; if they agree, treat the OT half as compromised.",
            Example::Line(
                Event::FrameRefused,
                &[("reason", "recheck"), ("problem", ""), ("limit", ""), ("key", "")],
            ),
        ),
        Reason::NameTaken => (
            "Give the relay's own edge node another name in `[health]` of `it.toml`.",
            Example::Line(Event::NodeNameTaken, &[("node", "sparkdiode/plant-a")]),
        ),
        Reason::BadFrame => (
            "With a key in the line of the log: `sparkdiode check ot.toml it.toml` says what the IT half needs. Without one: `sparkdiode journal verify`, and look at the disk; if it is sound, treat the OT half as compromised.",
            Example::Line(
                Event::FrameRefused,
                &[("reason", "bad_frame"), ("problem", ""), ("limit", ""), ("key", "")],
            ),
        ),
        _ => (
            "Report it to the maintainers with the file, which has values of the plant. The node comes back with its next birth.",
            Example::Line(Event::SetAside, &[("seq", "")]),
        ),
    }
}

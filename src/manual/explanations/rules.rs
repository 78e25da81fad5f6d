//! What to do about what rules drop, with a policy and a case for each.

use account::Reason;

use super::{Example, Parts};

/// What a rule says.
pub(super) const fn of_rules(reason: Reason) -> Parts {
    match reason {
        Reason::NoRule => (
            "Nothing, if it should stay in the plant. If it should cross, `sparkdiode policy explain` says what each rule has to say of it.",
            Example::Policy(
                r#"
[[rule]]
name = "temperatures"
action = "forward"
group = "Plant1"
allow-metrics = ["Temperature/**"]

[[case]]
name = "a recipe isn't named by any rule"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Recipe/Name"
value = "A-17"
expect = "drop"
reason = "no_rule"
"#,
            ),
        ),
        Reason::Denied => (
            "Nothing, if it is meant: deny wins over every forward rule. The rule is named beside the reason.",
            Example::Policy(
                r#"
[[rule]]
name = "everything-of-line4"
action = "forward"
group = "Plant1"
edge-node = "Line4"

[[rule]]
name = "no-recipes"
action = "deny"
group = "*"
deny-metrics = ["**/Recipe", "**/Recipe/**"]

[[case]]
name = "a recipe is denied"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Recipe/Name"
value = "A-17"
expect = "drop"
reason = "denied"
"#,
            ),
        ),
        Reason::Datatype => (
            "Add the datatype to the rule's `datatypes`, if values of it should cross. A node that changed the type of a metric may be another one than you think.",
            Example::Policy(
                r#"
[[rule]]
name = "temperatures"
action = "forward"
group = "Plant1"
datatypes = ["Float", "Double"]

[[case]]
name = "a text under the name of a temperature"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature/Oil"
value = "hotter than yesterday"
expect = "drop"
reason = "datatype"
"#,
            ),
        ),
        Reason::Redacted => (
            "Nothing: IT is to know that the metric exists, and not its value.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
redact-metrics = ["Recipe/**"]

[[case]]
name = "the value of a recipe"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Recipe/Name"
value = "A-17"
expect = "drop"
reason = "redacted"
"#,
            ),
        ),
        Reason::Opaque => (
            "Open it by a shape, if it should cross: `max-bytes` for Bytes, with `content-types` for a File, `columns` for a DataSet.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "bytes that no rule opens"
topic = "spBv1.0/Plant1/DDATA/Line4/Camera1"
metric = "Image"
datatype = "Bytes"
value = "ffd8ffe0"
expect = "drop"
reason = "opaque"
"#,
            ),
        ),
        Reason::Unshapeable => (
            "Name the datatype in `open-datatypes`, if its values may cross unlooked at, or give the metric a shape that looks at it.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
min = 0
max = 100

[[case]]
name = "a text where a range is asked for"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Level"
value = "full"
expect = "drop"
reason = "unshapeable"
"#,
            ),
        ),
        Reason::TooOld => (
            "Look at the node's clock, or at what it sent late; raise `max-age-s` if late values are wanted.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
max-age-s = 60

[[case]]
name = "a value of two minutes ago"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature"
value = 61.5
age-ms = 120_000
expect = "drop"
reason = "too_old"
"#,
            ),
        ),
        Reason::Future => (
            "Set the node's clock; its values are ahead of the relay's.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
max-future-s = 60

[[case]]
name = "a value of tomorrow"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature"
value = 61.5
age-ms = -86_400_000
expect = "drop"
reason = "future"
"#,
            ),
        ),
        Reason::OutOfRange => (
            "A sensor that is broken, or a range that is too narrow. `out-of-range = \"clamp\"` or `\"null\"` shows IT that there was something.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
min = -40
max = 250

[[case]]
name = "an open thermocouple"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature"
value = 3276.7
expect = "drop"
reason = "out_of_range"
"#,
            ),
        ),
        Reason::TooLong => (
            "Raise `max-length` or `max-bytes`, if such texts are ordinary. A text that is suddenly long may carry something else.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
max-length = 8

[[case]]
name = "a long text"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "State"
value = "RUNNING, AND MUCH MORE"
expect = "drop"
reason = "too_long"
"#,
            ),
        ),
        Reason::NotAllowed => (
            "Add the value to `allowed` or widen `pattern`, if it is ordinary.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
allowed = ["RUN", "STOP"]

[[case]]
name = "a state that isn't listed"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "State"
value = "SERVICE"
expect = "drop"
reason = "not_allowed"
"#,
            ),
        ),
        Reason::Deadband => (
            "Nothing: the value before it stands, as the rule wants. Lower `deadband` if IT needs smaller changes.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
deadband = 0.5

[[case]]
name = "a change of a tenth"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature"
[[case.step]]
value = 61.5
expect = "forward"
[[case.step]]
after-ms = 1000
value = 61.6
expect = "drop"
reason = "deadband"
"#,
            ),
        ),
        Reason::Interval => (
            "Nothing: the newest value follows when `min-interval-ms` is over. Lower it if IT needs every value.",
            Example::Words(
                "Three values come within a second, and `min-interval-ms` is 1000. The first one crosses, the third one when the second is over; the second one counts here.",
            ),
        ),
        _ => (
            "Nothing. The relay gives every mirrored edge node a rebirth metric of its own, which it answers itself.",
            Example::Policy(
                r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "of a birth, what offers writes stays"
topic = "spBv1.0/Plant1/NBIRTH/Line4"
metrics = [
    { metric = "Temperature", value = 61.5, expect = "forward" },
    { metric = "Node Control/Reboot", value = false, expect = "drop", reason = "control_metric" },
]
"#,
            ),
        ),
    }
}

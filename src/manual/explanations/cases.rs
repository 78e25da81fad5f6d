//! Diagnostics of `[[case]]`.

use super::{Code, Example};

pub(super) const CODES: &[Code] = codes! {
    "P201" "bad name of a case": "A case has an empty name, or one that another case has." "Name what the case shows, in a sentence." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = ""
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature"
value = 61.5
expect = "forward"
"#;
    "P202" "bad topic of a case": "The topic of a case is none of Sparkplug, or a filter: a case is about one message." "Write a whole topic, such as `spBv1.0/Plant1/DDATA/Line4/Oven1`." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "a temperature crosses"
topic = "spBv1.0/Plant1/+/Line4/Oven1"
metric = "Temperature"
value = 61.5
expect = "forward"
"#;
    "P203" "keys of a case that don't go together": "A value without a metric, a `reason` of what is forwarded, `arrives` of what is dropped, or a message beside steps." "Keep what belongs to the expectation: `reason` to a drop, `arrives` to what crosses." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "a temperature crosses"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature"
value = 61.5
expect = "forward"
reason = "no_rule"
"#;
    "P204" "a value that isn't one": "The value of a case isn't one of its datatype, or a number is out of its range." "Write the value as the datatype has it, or name another datatype." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "a count crosses"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Count"
datatype = "UInt8"
value = 300
expect = "forward"
"#;
    "P205" "unknown expectation or reason": "`expect` is `forward`, `drop` or `wait` (in a step without a value `forward` or `nothing`); `reason` is one of the [reasons](reasons.md)." "Take the word that the hint names." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "a recipe stays"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Recipe"
value = "A-17"
expect = "allowed"
"#;
    "P251" "a case names a rule that doesn't exist": "`rule` or `about` names no rule of the policy; the case can never show what it says." "Take the name that the hint names; rules get other names more often than their cases do." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "a temperature crosses"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature"
value = 61.5
expect = "forward"
rule = "lime4"
"#;
    "P252" "a case expects a rule to observe that acts": "`observed-by` names a rule that isn't in `mode = \"observe\"`: what it does is done, and nothing that it would do." "Say what it does with `expect` and `rule`, or give the rule `mode = \"observe\"`." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[case]]
name = "a temperature would cross"
topic = "spBv1.0/Plant1/DDATA/Line4/Oven1"
metric = "Temperature"
value = 61.5
expect = "forward"
observed-by = "line4"
"#;
    "P253" "a case has names on IT": "The topic of a case has a name that a `[rename]` table gives to something on IT. Rules and cases are about messages of the plant and have the plant's names, so that the case shows nothing." "Write the plant's name, which the hint names; under which topic it arrives is `arrives.topic`." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[rename.edge-node]
"Plant1/Line4" = "packaging"

[[case]]
name = "a temperature crosses"
topic = "spBv1.0/Plant1/DDATA/packaging/Oven1"
metric = "Temperature"
value = 61.5
expect = "forward"
"#;
};

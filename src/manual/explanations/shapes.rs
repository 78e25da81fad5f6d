//! Diagnostics of `[rule.shape]` and `[[rule.metric]]`.

use super::{Code, Example};

pub(super) const CODES: &[Code] = codes! {
    "P040" "bad shape": "A step of a shape is out of its range, lacks another one, excludes another one, or looks at nothing that the rule's `datatypes` let through." "Mend what is underlined; [shaping](shaping.md) defines each step." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
min = 10
max = 5
"#;
    "P041" "bad regular expression": "`pattern` or `pseudonym` can't be read as a regular expression, is too large, or has what linear time rules out (look-around, references)." "Write it in the syntax of the `regex` crate. It has to match the whole text; for a fixed list take `allowed`." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.shape]
pattern = "(RUN|STOP"
"#;
    "P120" "a shape lets nothing of a datatype through": "A rule checks what values contain, and none of its checks can look at values of a datatype that it names: these are dropped (`unshapeable`)." "Name the datatypes that may cross unlooked at in `open-datatypes`, or give their metrics a `[[rule.metric]]` of their own with `inherit = false`." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
datatypes = ["Float", "String"]
[rule.shape]
min = 0
"#;
};

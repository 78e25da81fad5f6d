//! Diagnostics of policies: their language, their names, and what is odd about rules together.

use super::{Code, Example};

pub(super) const CODES: &[Code] = codes! {
    "P001" "the file isn't TOML": "A policy file can't be read as TOML. Nothing of a policy is used if one of its files has an error." "Mend the place that is underlined; mostly it is a quote, a bracket or a key that stands twice." Policy r#"
[[rule]]
name = "line4
"#;
    "P002" "unknown key": "A key, or a table, that doesn't exist at this place. Keys that nobody reads are errors, since a misspelled `deny-metrics` would let everything through." "Take the key that the hint names, or move it: keys of a rule stand below `[[rule]]`, steps of a shape below `[rule.shape]`." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
deny-metric = ["**/Recipe*"]
"#;
    "P003" "wrong type": "A value has another type than the key wants: a text for a number, a table for a list." "Write it as the message says; texts stand in quotes, numbers and `true` don't." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = 4
"#;
    "P004" "missing key": "A table lacks a key that it has to have, such as the name or the action of a rule." "Add it; the message gives an example." Policy r#"
[[rule]]
action = "forward"
group = "Plant1"
"#;
    "P005" "bad name of a rule": "Rules are counted under their names, so that a name has 1 to 128 of `a-z`, `0-9`, `-`, `_` and `.`." "Write it in small letters with hyphens." Policy r#"
[[rule]]
name = "Line 4"
action = "forward"
group = "Plant1"
"#;
    "P006" "a name is used twice": "Two rules have the same name, in one file or in two." "Give one of them another name. The names of copied rules are forgotten most often." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[[rule]]
name = "line4"
action = "deny"
group = "Plant2"
"#;
    "P007" "unknown action": "`action` is something else than `forward`, `deny` or `redact`." "Take one of the three." Policy r#"
[[rule]]
name = "line4"
action = "foward"
group = "Plant1"
"#;
    "P008" "a rule without a selector": "A rule has to say whom it is about: `topic`, `group`, `edge-node`, `device` or `node-only`. Nothing would mean everything, which nobody should say by leaving something out." "Name the group at least; `group = \"*\"` is everything, in so many words." Policy r#"
[[rule]]
name = "recipes"
action = "deny"
deny-metrics = ["**/Recipe*"]
"#;
    "P009" "no topic filter of Sparkplug": "`topic` isn't a filter of the relay's kind: too short or too long, wildcards inside of a level, a shared subscription, another namespace." "Write `spBv1.0/GROUP/+/NODE` for an edge node, `…/NODE/DEVICE` for a device, `…/NODE/#` for both; or name `group`, `edge-node` and `device` instead." Policy r#"
[[rule]]
name = "line4"
action = "forward"
topic = "spBv1.0/Plant1"
"#;
    "P010" "commands, STATE and unknown message types can't be allowed": "A filter names a message type. Births, data and deaths of an edge node travel together, so that the level of the type is `+`; commands (NCMD, DCMD) and STATE never cross, whatever a rule says." "Replace the message type by `+`. If a host on IT should write to the plant, this relay is the wrong way." Policy r#"
[[rule]]
name = "line4"
action = "forward"
topic = "spBv1.0/Plant1/NCMD/Line4"
"#;
    "P011" "`#` at a wrong place": "`#` takes in the level of the message type, and with it commands; or it isn't the last level." "Write `spBv1.0/GROUP/+/#`." Policy r#"
[[rule]]
name = "plant1"
action = "forward"
topic = "spBv1.0/Plant1/#"
"#;
    "P012" "bad glob": "A pattern can't be read or can match nothing: it is empty, ends with a single `\\`, has a `/` in the name of a group, edge node or device, or is too long." "`*` is any characters but `/`, `**` any with `/`, `?` one; `\\` takes the next one literally." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1/Line4"
"#;
    "P013" "keys that contradict each other": "Keys of one rule exclude each other: a deny rule with `allow-metrics` or a rate, `node-only` beside `device`, a `topic` and names that have nothing in common." "Keep one of them, or make two rules." Policy r#"
[[rule]]
name = "line4"
action = "deny"
group = "Plant1"
allow-metrics = ["Temperature"]
"#;
    "P014" "unknown datatype": "`datatypes` has a word that isn't one of Sparkplug's datatypes." "Write them as the specification does: `Float`, `Double`, `Int32`, `UInt64`, `Boolean`, `String`, `DateTime`, `Template` and so on." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
datatypes = ["float32"]
"#;
    "P015" "bad rate or limit": "A rate is out of its range, limits nothing, or has an unknown word for `on-excess` or `per`." "Take a number from the range that the message names. To forward nothing, leave the rule out or deny it." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
[rule.rate]
messages-per-s = 0
"#;
    "P016" "more than a policy may have": "A file is too large, or there are too many rules, cases, shapes of one rule, or words in a list. The bounds are far above what people write; a generator can reach them." "Let globs say what lists spell out, or split the rule." Console "
$ sparkdiode check generated.toml
error[P016]: a policy can't have more than 100000 rules
 --> generated.toml
";
    "P017" "an empty list": "A list that limits something is empty. Whether that means nothing or everything would be a guess." "Leave the key out if it isn't meant to limit anything." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
allow-metrics = []
"#;
    "P018" "unknown word for `priority` or `mode`": "`priority` is `normal` or `high`, `mode` is `enforce` or `observe`." "Take one of them." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
mode = "dry-run"
"#;
    "P030" "bad time": "A moment has no date, no time of day or no zone, is written as another type, or hours of the week can't be read." "Write moments as `2026-12-24T17:00:00Z`, hours as `{ days = [\"mon\"], from-utc = \"06:00\", to-utc = \"14:00\" }`." Policy r#"
[[rule]]
name = "vendor"
action = "forward"
group = "Plant1"
not-after = 2026-12-24T18:00:00
"#;
    "P031" "a limit is given twice": "`[limits.node]`, `[limits.link]` or `[limits.births]` stands in two files of the policy. Which of them holds would depend on the names of files." "Keep one of the two." Console "
$ sparkdiode check policies
error[P031]: `[limits.link]` is given twice
 --> policies/site.toml:1:1
  |
1 | [limits.link]
  | ^^^^^^^^^^^^^ and here again
";
    "P032" "a name that can't be given": "A new name on IT is no name for a group, edge node or device, is that of a control metric, or the old one isn't a path." "Old names are paths of the plant (`\"Plant1/Line4\"`), new names are one level without `+`, `#` and `/`." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"

[rename.group]
Plant1 = "emea/7"
"#;
    "P033" "two things with the same name on IT": "By the names that the policy gives, two groups, edge nodes, devices or metrics would be one on IT. Names there must differ in more than capitals." "Give one of them another name." Policy r#"
[[rule]]
name = "all"
action = "forward"
group = ["a", "b"]

[rename.group]
a = "plant"
b = "Plant"
"#;
    "P042" "no key for pseudonyms": "A rule asks for pseudonyms, and `ot.toml` names no key, or one that can't be used." "`openssl rand -hex 32 > pseudonym.key`, mode 0600, and name it as `[policies] pseudonym-key-file` in `ot.toml`. It never leaves OT." Console "
$ sparkdiode check ot.toml
error[P042]: rule `operators` (line 1) asks for pseudonyms, and no key is configured
 --> policies/operators.toml
";
    "P101" "a control metric needs no rule": "A pattern names `Node Control/…` or `Device Control/…`. These never cross: the relay gives each mirrored node a rebirth metric of its own." "Take the pattern out." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
allow-metrics = ["Node Control/Rebirth", "Temperature/**"]
"#;
    "P102" "a character that is no wildcard here": "`*` or `?` in a topic filter or in a path of `[rename]` stands for itself." "In a topic the wildcards are MQTT's, `+` and `#`. For globs name `group`, `edge-node` and `device`." Policy r#"
[[rule]]
name = "lines"
action = "forward"
topic = "spBv1.0/Plant1/+/Line*/#"
"#;
    "P103" "nothing is forwarded": "No rule of the policy says `action = \"forward\"`, or those that do only observe, so that nothing crosses." "Add a forward rule, or name the file that has it: files that belong together are checked together." Policy r#"
[[rule]]
name = "no-recipes"
action = "deny"
group = "*"
deny-metrics = ["**/Recipe*"]
"#;
    "P104" "a forward rule denies all that it forwards": "`deny-metrics` of a forward rule matches every metric; deny wins over forward." "Make the pattern narrower. If it is meant, `action = \"deny\"` says so." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
deny-metrics = ["**"]
"#;
    "P105" "a pattern of another language": "A pattern looks like one of a shell, a regular expression, MQTT or SQL, and is taken literally here." "Write the glob that the hint names; or put `\\` in front of the character if it is meant." Policy r#"
[[rule]]
name = "lines"
action = "forward"
group = "Plant1"
edge-node = "Line[1-3]"
"#;
    "P110" "a rule is over": "`not-after` has passed: the rule has no effect any more." "Take it out, or give it another `not-after`. Compare with what was agreed with whoever asked for the data." Policy r#"
[[rule]]
name = "vendor-visit"
action = "forward"
group = "Plant1"
not-after = "2020-01-01T00:00:00Z"
"#;
    "P111" "a forward rule is denied as a whole": "All that the rule could forward is denied, or redacted, by another one. Both win, whatever the order." "Make the deny rule narrower, or take the forward rule out." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
edge-node = "Line4"

[[rule]]
name = "plant1-stays"
action = "deny"
group = "Plant1"
"#;
    "P112" "a rule never decides": "Another rule decides all that this one is about: an earlier forward rule that forwards all of it, or a rule that denies or redacts all of it. Its rate, shape and name never come into play, and where that shows more, the warning says what." "Write special rules before general ones, by the order of file names and then within the file; or take one of the two out." Policy r#"
[[rule]]
name = "plant1"
action = "forward"
group = "Plant1"

[[rule]]
name = "line4-slowly"
action = "forward"
group = "Plant1"
edge-node = "Line4"
[rule.rate]
messages-per-s = 1
"#;
    "P113" "a limit is never reached": "`[limits.link]` or `[limits.node]` lets through no more than this rate, or `[limits.link]` no more than `[limits.node]`. Where the warning says that it is no smaller limit, it is asked first all the same, and says whether what is more is dropped or waits." "Lower the one, or raise the other." Policy r#"
[[rule]]
name = "line4"
action = "forward"
group = "Plant1"
edge-node = "Line4"
[rule.rate]
messages-per-s = 100

[limits.link]
messages-per-s = 10
"#;
    "P114" "too many rules to compare": "The rules are so many that not all pairs were compared. What was said is right; there may be more." "Nothing, or split the policy by files and check them one by one." Console "
$ sparkdiode check policies
warning[P114]: not all rules were compared with each other: there are too many
 --> policies/0001.toml
";
    "P115" "a rule decided nothing so far": "By the counters of the half that runs, a rule has decided nothing since the policy is in force, for an hour or longer." "See whether the plant sends what the rule is about (`sparkdiode policy hits --unused`), or take the rule out: what nobody needs shouldn't be open." Console "
$ sparkdiode check ot.toml
warning[P115]: rule `line9` decided nothing in 3 h
 --> policies/line9.toml:1:1
";
    "P116" "a rule forwards everything": "All metrics of all edge nodes, now and whatever the plant will have, leave it unless a rule denies them." "Name groups, edge nodes and metrics; `sparkdiode policy learn` drafts such rules from what is there." Policy r#"
[[rule]]
name = "all"
action = "forward"
group = "*"
"#;
    "P117" "a rule is never in force": "No moment from now on lies in all that a rule says of time: `weekly` opens at no time between `not-before` and `not-after`." "Widen one of them; all times are UTC." Policy r#"
[[rule]]
name = "maintenance"
action = "forward"
group = "Plant1"
not-before = 2099-06-01T00:00:00Z
not-after = 2099-06-02T00:00:00Z
weekly = { days = ["sat"], from-utc = "06:00", to-utc = "14:00" }
"#;
    "P118" "an earlier rule shows more": "Two rules forward the same metric. The earlier one decides how it crosses, and says nothing of what the later one does: texts as they are where the later one gives pseudonyms, numbers without its range, no limit, other names, at all times. A rule that says it otherwise is told only where it isn't a special case of the later one; one that is stricter, that denies, or that has `priority = \"high\"` and no limit, never is." "Put the later rule in front, or write the same into the earlier one. An exception that is meant can stand in the later rule itself, as a `[[rule.metric]]` with `inherit = false`." Policy r#"
[[rule]]
name = "oven1"
action = "forward"
topic = "spBv1.0/Plant1/+/Oven1/#"

[[rule]]
name = "ovens"
action = "forward"
topic = "spBv1.0/Plant1/+/+/#"
[rule.shape]
pseudonym = true
"#;
};

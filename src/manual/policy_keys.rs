//! What every key of a policy file means: one table for each table of a file. The pages of the manual
//! are made from it, `sparkdiode explain KEY` prints its rows, and the tests compare it with what is read.

use std::fmt::Write;

macro_rules! rows {
    ($($key:literal = $meaning:literal, $absent:literal;)+) => {
        &[$(Row { key: $key, meaning: $meaning, absent: $absent },)+]
    };
}

/// One key, in Markdown.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub key: &'static str,
    pub meaning: &'static str,
    /// What holds where it isn't there.
    pub absent: &'static str,
}

/// One table of a policy file.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// As it is written, such as `[rule.rate]`.
    pub name: &'static str,
    /// Whether a row says what holds where its key isn't there.
    has_absent: bool,
    parts: &'static [&'static [Row]],
}

impl Table {
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> + use<> {
        self.parts.iter().copied().flatten()
    }

    /// As the manual has it, in Markdown.
    pub fn markdown(&self) -> String {
        let mut text = match self.has_absent {
            true => format!("| key of `{}` | meaning | if absent |\n|---|---|---|\n", self.name),
            false => format!("| key of `{}` | meaning |\n|---|---|\n", self.name),
        };
        for Row { key, meaning, absent } in self.rows() {
            // Writing to a `String` can't fail.
            let _ = match self.has_absent {
                true => writeln!(text, "| `{key}` | {meaning} | {absent} |"),
                false => writeln!(text, "| `{key}` | {meaning} |"),
            };
        }
        text
    }

    /// The page of the manual that has more of it.
    pub fn page(&self) -> &'static str {
        match self.name {
            "[rule.shape]" | "[[rule.metric]]" => "shaping",
            "[[case]]" | "[[case.step]]" | "metrics" | "arrives" => "policies",
            _ => "policy",
        }
    }
}

/// The tables of a policy file.
pub const TABLES: &[Table] = &[
    Table { name: "[[rule]]", has_absent: true, parts: &[RULE] },
    Table { name: "weekly", has_absent: true, parts: &[WEEKLY] },
    Table { name: "[rule.rate]", has_absent: true, parts: &[PER, RATE] },
    Table { name: "[rule.shape]", has_absent: false, parts: &[SHAPE] },
    Table { name: "[[rule.metric]]", has_absent: false, parts: &[METRIC] },
    Table { name: "[limits]", has_absent: true, parts: &[LIMITS] },
    Table { name: "[limits.births]", has_absent: true, parts: &[BIRTHS] },
    Table { name: "[rename]", has_absent: false, parts: &[RENAME] },
    Table { name: "[[case]]", has_absent: true, parts: &[CASE] },
    Table { name: "[[case.step]]", has_absent: true, parts: &[STEP] },
    Table { name: "metrics", has_absent: true, parts: &[GIVEN] },
    Table { name: "arrives", has_absent: false, parts: &[ARRIVES] },
];

const RULE: &[Row] = rows! {
    "name" = "1 to 128 of `a-z 0-9 - _ .`, unique over all files; drops are counted under it", "error";
    "description" = "for people", "";
    "action" = r#"`"forward"`, `"deny"`, or `"redact"`: births have the metric as null, data never"#, "error";
    "topic" = "MQTT filter or list of them, `spBv1.0/GROUP/+/NODE`, `…/NODE/DEVICE`, `…/NODE/#`; the level of the message type must be `+`", "any";
    "group" = "name or list of names, with globs", "any";
    "edge-node" = "the same", "any";
    "device" = "the same: these devices, and none of the edge node's own metrics", "the edge node and all its devices";
    "node-only" = "`true`: the edge node's own metrics, not its devices", "`false`";
    "allow-metrics" = "forward rules: metric names that may cross, with globs", "all";
    "deny-metrics" = "metric names that may not cross, with globs; in a forward rule it denies for everything that the rule selects", "in a deny rule all";
    "redact-metrics" = "metric names that IT may know to exist, but not their values, with globs; in a forward rule for everything that the rule selects", "in a redact rule all";
    "datatypes" = r#"Sparkplug datatypes: `"Float"`, `"Int32"`, `"Boolean"`, `"String"`, …"#, "all";
    "rate" = "the table `[rule.rate]`: limits of data (never of births and deaths), for each rule by itself; what a whole line may take, whatever rules forward it, is `[limits.node]`", "no limit";
    "shape" = "forward rules: the table `[rule.shape]`, what of the values crosses, and of what stands beside them; see [shaping](#shaping)", "all values; beside them the engineering properties, texts such as `Documentation` among them";
    "metric" = "forward rules: `[[rule.metric]]` tables, the same for metrics by name", "none";
    "priority" = r#"forward rules: `"high"` comes before all other data when limits are reached (alarms), and on IT before everything of other edge nodes within `[link] bytes-per-s`"#, r#"`"normal"`"#;
    "not-before" = "when the rule comes into force: RFC 3339 with a zone, `2026-12-24T17:00:00Z`; the event `POLICY_WINDOW` tells each change. Each message is judged by the windows in which it came, however long it had to wait for the disk", "always";
    "not-after" = "from when on it isn't in force any more, likewise", "always";
    "weekly" = r#"hours of the week **in UTC**, as an inline table: `{ days = ["mon", "fri"], from-utc = "06:00", to-utc = "14:00" }`. There is no local time: where clocks are changed in summer, the window moves by an hour for people there"#, "always";
    "mode" = r#"`"observe"`: the rule forwards and denies nothing and counts what it would have (`policy hits`), for [all to see](monitoring.md) before it acts; a case shows it with `observed-by`"#, r#"`"enforce"`"#;
    "strip-prefix" = "forward rules: taken off metric names that begin with it", "none";
    "add-prefix" = "forward rules: put in front of metric names, after `strip-prefix`", "none";
};

const WEEKLY: &[Row] = rows! {
    "days" = r#"days on which the window opens: `"mon"`, `"tue"`, `"wed"`, `"thu"`, `"fri"`, `"sat"`, `"sun"`, **in UTC**"#, "every day";
    "from-utc" = r#"time of the day at which it opens, in UTC, such as `"06:00"`"#, "error";
    "to-utc" = r#"time of the day at which it closes, in UTC, to `"24:00"`; of the next day if it isn't after `from-utc`"#, "error";
};

const PER: &[Row] = rows! {
    "per" = r#"who has the limit: `"rule"` (all edge nodes and devices of the rule together), or each `"edge-node"` (with its devices), `"device"` (and the node's own metrics), `"metric"`. It is of this rule alone: a line whose metrics two rules forward has the limit of each; what a line may take in all is `[limits.node]`"#, r#"`"rule"`"#;
};

const RATE: &[Row] = rows! {
    "messages-per-s" = "messages of data a second, 0.001 to 1,000,000. After a pause a burst of `burst-messages` may cross at once and the rate goes on beside it, so that in a single second up to twice as many may cross", "no limit of messages";
    "burst-messages" = "how many may cross at once after a pause, from 1; `burst-messages = 1` spaces them evenly", "one second's worth, at least 1";
    "bytes-per-s" = "bytes of data a second", "no limit of bytes";
    "burst-bytes" = "bytes that may cross at once after a pause, from 1,024", "one second's worth, at least 1,024";
    "on-excess" = r#"`"conflate"`: the newest value of each metric waits for its turn; `"drop"`: what is too much is dropped (`rate`)"#, r#"`"conflate"`"#;
};

const SHAPE: &[Row] = rows! {
    "max-age-s" = "how far a value's time may be in the past, seconds", "";
    "max-future-s" = "how far it may be in the future, seconds", "";
    "step" = "numbers are rounded to its nearest multiple", "";
    "min" = "least number that crosses", "";
    "max" = "greatest number that crosses", "";
    "out-of-range" = r#"what is out of the range is left out (`"drop"`, the default), brought to its end (`"clamp"`), or null with Quality 0 (`"null"`)"#, "";
    "max-length" = "characters of texts", "";
    "max-bytes" = "bytes of Bytes, File and arrays; opens Bytes", "";
    "too-long" = r#"`"drop"` (the default) or `"null"`"#, "";
    "allowed" = "a list of texts or whole numbers that cross", "";
    "pattern" = "a regular expression for the whole text (`regex` syntax, linear time)", "";
    "not-allowed" = r#"what `allowed` or `pattern` doesn't let through: `"drop"` (the default) or `"null"`"#, "";
    "pseudonym" = "`true`: texts are replaced by pseudonyms, `pn-` and 32 hexadecimal digits; a regular expression: what matches it is. Needs `pseudonym-key-file` in `ot.toml`. A case expects one with `arrives = { pseudonym = true }`", "";
    "deadband" = "only changes of more than this cross", "";
    "deadband-percent" = "the same in percent of the value forwarded last; the larger of both counts", "";
    "min-interval-ms" = "at most one value of a metric in this time; the newest follows when it is over", "";
    "open-datatypes" = "datatypes of which values cross although none of `min`, `max`, `max-length`, `allowed`, `pattern` and `pseudonym` can look at them. Without it a rule with one of these lets nothing cross that it can't look at (`unshapeable`), so that a node can't evade it by another datatype", "";
    "properties" = "names of properties that cross, with globs (`properties = []`: none); `Quality` always does. Default: unit, range, quality, description, read-only, as engineers call them (`engUnit`, `eng_low`, `uom`, `Documentation`, …), numbers and short texts only. **Texts beside a value cross as they are** unless a shape says otherwise: they obey `max-length`, `allowed`, `pattern` and `pseudonym` as values do", "";
    "metadata" = "fields that cross: `content-type`, `description`, … Default: `description`, as it is unless a shape says otherwise; `metadata = []`: none", "";
    "content-types" = "opens File, with `max-bytes`; each value has to name one of them", "";
    "columns" = "opens DataSet: names of columns that cross", "";
    "members" = "of templates: paths of members that cross, with globs. Default: all that no rule denies", "";
    "parameters" = "of templates: names of parameters that cross. Default: none", "";
};

const METRIC: &[Row] = rows! {
    "names" = "metric names that the table is about, with globs; the first table that names a metric decides. Beside it: the keys of `[rule.shape]`", "";
    "inherit" = "`false`: steps that this table doesn't mention don't come from `[rule.shape]`", "";
};

const LIMITS: &[Row] = rows! {
    "node" = "the table `[limits.node]`: what each edge node with its devices may take in all, whatever rules forward it; the keys of `[rule.rate]` but `per`. Once in all files", "no limit";
    "link" = "the table `[limits.link]`: what everything together may take, likewise", "no limit";
    "births" = "the table `[limits.births]`: how often births bring values past limits", "`min-interval-ms = 1000`";
};

const BIRTHS: &[Row] = rows! {
    "min-interval-ms" = "0 to 86,400,000: births of each edge node's own metrics, and of each device, bring values past rates, intervals and deadbands once in this time. A birth that follows another one sooner repeats what readers have, and its newer values go the way of data. 0: births bring values however often they come", "1000 without the table";
};

const RENAME: &[Row] = rows! {
    "group" = r#"the table `[rename.group]`: `"plant-a" = "emea-plant-7"`, the plant's name and the one on IT"#, "";
    "edge-node" = r#"the table `[rename.edge-node]`: `"plant-a/Line4" = "packaging"`; the path has the plant's names, the new name is one level"#, "";
    "device" = r#"the table `[rename.device]`: `"plant-a/Line4/Press1" = "press-left"`"#, "";
};

const CASE: &[Row] = rows! {
    "name" = "a sentence, unique over all files", "error";
    "about" = "rules that the case shows beside those that decide in it", "";
    "at" = "wall clock at its start, for schedules, in UTC or with another zone: `2026-12-24T17:00:00Z`", "2026-01-01T00:00:00Z, a Thursday";
    "step" = "`[[case.step]]` tables: several messages, some time after each other. Keys above them hold for all of them", "the case is one message";
    "topic" = "topic of the message, by the plant's names: births, data, deaths, commands, anything", "error";
    "retain" = "`true`: the broker had it stored", "`false`";
    "metric" = "name of the metric, by the plant's name; beside it the keys of a metric", "error in data";
    "metrics" = r#"several metrics of one message, a list of tables with the keys of a metric: `metrics = [{ metric = "A", value = 1, expect = "forward" }]`"#, "";
};

const STEP: &[Row] = rows! {
    "after-ms" = "time since the step before, milliseconds", "0";
};

const GIVEN: &[Row] = rows! {
    "datatype" = "Sparkplug's name, such as `Float`", "that which an earlier step says; else by the value: `Int64`, `Double`, `Boolean`, `String`, `DateTime`";
    "value" = "number, text, boolean; a time; a list for arrays; hexadecimal digits for Bytes and File; `{ columns = […], types = […], rows = [[…]] }` for DataSet; `{ definition = \"Motor\", members = [{ name = …, value = … }] }` for Template", "a step without any sends nothing: with `after-ms` time passes, and what was held back may arrive";
    "null" = "`true`: null", "";
    "length" = "a value of so many bytes, for String, Text, Bytes and File", "";
    "properties" = "what stands beside the value: `{ engUnit = \"°C\" }`", "none";
    "metadata" = "`{ content-type = \"image/png\" }`", "none";
    "age-ms" = "how old its timestamp is; negative: in the future", "no timestamp of its own";
    "historical" = "`true`: late data", "`false`";
    "expect" = r#"`"forward"`, `"drop"`, or `"wait"` (for its turn under a limit); of a step that sends nothing `"forward"` (something that was held back arrives) or `"nothing"`"#, "error";
    "reason" = "why it is dropped: one of the [reasons](reasons.md)", "any";
    "rule" = "by which rule it is forwarded or dropped", "any";
    "arrives" = "what arrives, a table: `arrives = { value = 180.5 }`", "anything";
    "observed-by" = r#"the rule in `mode = "observe"` that would decide about it if it acted, and `[]` for none"#, "any";
};

const ARRIVES: &[Row] = rows! {
    "value" = "exactly this value", "";
    "pseudonym" = "`true`: a text with a pseudonym of the relay's in it, `false`: anything without one. Which one can't be said: `policy test` makes them with a key of its own, the relay with that of `pseudonym-key-file`", "";
    "pattern" = "a text that this regular expression matches as a whole: `'pn-[0-9a-f]{32}'`", "";
    "null" = "`true`: null; `false`: a value", "";
    "metric" = "under this name", "";
    "topic" = "under this topic, by the names on IT", "";
    "properties" = r#"exactly these properties: a list of their names, `["engUnit"]`, or `[]`"#, "";
    "quality" = "with this `Quality`", "";
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use diagnostic::SourceFile;
    use tools::cases;

    use super::*;

    /// The keys that the error about an unknown one lists.
    fn known(noun: &str, text: &str) -> BTreeSet<String> {
        let rule = "[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\n";
        let read = cases::read(&[SourceFile::new("a.toml", format!("{rule}{text}"))]);
        let problems = read.map(|_| ()).unwrap_err().to_string();
        let begin = format!("the keys of {noun} are ");
        let (_, keys) = problems.split_once(&begin).unwrap_or_else(|| panic!("{noun}: {problems}"));
        let line = keys.lines().next().unwrap();
        line.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
    }

    fn written(names: &[&str]) -> BTreeSet<String> {
        let tables = TABLES.iter().filter(|table| names.contains(&table.name));
        tables.flat_map(Table::rows).map(|row| row.key.to_owned()).collect()
    }

    #[test]
    fn every_key_that_is_read_is_in_the_tables_and_no_other() {
        let case = "[[case]]\nname = \"c\"\n";
        let metric = ["metrics"];
        for (noun, text, names) in [
            ("a rule", "x = 1", &["[[rule]]"][..]),
            ("`weekly`", "weekly = { x = 1 }", &["weekly"]),
            ("`[rule.rate]`", "[rule.rate]\nx = 1", &["[rule.rate]"]),
            ("`[rule.shape]`", "[rule.shape]\nx = 1", &["[rule.shape]"]),
            ("`[[rule.metric]]`", "[[rule.metric]]\nx = 1", &["[rule.shape]", "[[rule.metric]]"]),
            ("`[limits]`", "[limits]\nx = 1", &["[limits]"]),
            ("`[limits.births]`", "[limits.births]\nx = 1", &["[limits.births]"]),
            ("`arrives`", &format!("{case}arrives = {{ x = 1 }}"), &["arrives"]),
            ("a case", &format!("{case}x = 1"), &["[[case]]", metric[0]]),
        ] {
            assert_eq!(written(names), known(noun, text), "{noun}");
        }
        let mut step = known("a step", &format!("{case}[[case.step]]\nx = 1"));
        assert!(step.remove("after-ms"));
        let mut of_case = written(&["[[case]]", "metrics"]);
        for key in ["name", "about", "at", "step"] {
            assert!(of_case.remove(key));
        }
        assert_eq!(step, of_case);
        let mut node = known("`[limits.node]`", "[limits.node]\nx = 1");
        assert!(node.insert("per".to_owned()));
        assert_eq!(node, written(&["[rule.rate]"]));
    }
}

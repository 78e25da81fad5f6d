//! The language of policy files: from text to [`Rule`]s, or to everything that is wrong with it.
//!
//! | code | problem |
//! |---|---|
//! | P001 | not TOML |
//! | P002 | unknown key |
//! | P003 | value of the wrong type |
//! | P004 | missing key |
//! | P005 | bad rule name |
//! | P006 | rule name used twice |
//! | P007 | unknown action |
//! | P008 | a rule that selects by nothing |
//! | P009 | bad topic filter |
//! | P010 | something that can never cross (commands, STATE, other namespaces) |
//! | P011 | message type named in a topic filter |
//! | P012 | bad glob |
//! | P013 | keys that contradict each other |
//! | P014 | unknown datatype |
//! | P015 | bad rate |
//! | P016 | over a cap |
//! | P017 | empty list |
//! | P101 | warning: control metrics never cross |
//! | P102 | warning: a character that is no wildcard here |
//! | P103 | warning: nothing is forwarded |
//! | P104 | warning: a forward rule that denies all that it forwards |

use std::collections::HashMap;
use std::ops::Range;

use toml::de::DeTable;

use super::document::{Placed, Section, inside};
use super::filter::TopicFilter;
use super::glob::{Glob, GlobError};
use super::rule::{Action, Bucket, DataTypes, Rate, Rule, Selectors};
use crate::config::diagnostic::{Diagnostic, Diagnostics, SourceFile, closest};
use crate::sparkplug::DataType;

/// Bytes of one policy file. 10,000 rules of a usual length are 2 MB.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// Rules of one policy, over all files.
const MAX_RULES: usize = 100_000;
/// Bytes of a rule's name; it stands in every log line about a drop.
const MAX_NAME_BYTES: usize = 128;

/// A burst below this would hold back ordinary messages; see [`super::Limiter`] for what happens
/// to a message that is larger than its burst.
const MIN_BURST_BYTES: u32 = 1024;
/// Rates below one per day or above these are typing errors.
const MIN_MESSAGES_PER_S: f64 = 0.001;
const MAX_MESSAGES_PER_S: f64 = 1_000_000.0;
const MAX_BYTES_PER_S: f64 = 10_000_000_000.0;
/// A burst that takes longer than a day to refill limits nothing that anybody will see; the
/// bound also keeps the limiter's arithmetic far from overflow.
const MAX_BURST_S: f64 = 86_400.0;

/// Reads all rules of `sources` in order. The rules are only to be used if there is no error
/// among the problems.
pub(super) fn read(sources: &[SourceFile]) -> (Vec<Rule>, Diagnostics) {
    let mut problems = Diagnostics::new();
    let mut rules = Vec::new();
    let mut names = HashMap::new();
    for file in sources {
        if file.text.len() > MAX_FILE_BYTES {
            let title = format!(
                "a policy file can't be larger than {MAX_FILE_BYTES} bytes: {}",
                file.text.len()
            );
            problems.push(Diagnostic::file_error("P016", &file.path, title));
            continue;
        }
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        if !errors.is_empty() {
            problems.extend(errors.iter().map(|error| syntax_error(file, error)));
            continue;
        }
        let mut section = Section::new(file, "a policy file", 0..0, document.get_ref());
        let line_ends: Vec<usize> = file.text.match_indices('\n').map(|(end, _)| end).collect();
        for (header, table) in section.tables("rule", &mut problems) {
            let line = line_ends.partition_point(|end| *end < header.start).saturating_add(1);
            let mut reader = RuleReader { file, problems: &mut problems, names: &mut names };
            let rule = reader.read(header, line, table);
            if rules.len() >= MAX_RULES {
                let title = format!("a policy can't have more than {MAX_RULES} rules");
                problems.push(Diagnostic::file_error("P016", &file.path, title));
                break;
            }
            rules.extend(rule);
        }
        let misplaced = |key: &str| {
            RULE_KEYS.contains(&key).then(|| "it belongs below a `[[rule]]`".to_owned())
        };
        section.finish(misplaced, &mut problems);
    }
    let forwards = rules.iter().any(|rule| rule.action() == Action::Forward);
    if let (false, false, Some(file)) = (forwards, problems.has_errors(), sources.first()) {
        problems.push(
            Diagnostic::warning("P103", file, 0..0, "nothing is forwarded")
                .label("no rule of this policy says `action = \"forward\"`")
                .help("what no rule forwards is dropped"),
        );
    }
    problems.sort_by_position(sources);
    (rules, problems)
}

/// What the TOML parser says, with a hint where it alone doesn't help.
fn syntax_error(file: &SourceFile, error: &toml::de::Error) -> Diagnostic {
    let problem = Diagnostic::from_toml("P001", file, error);
    if problem.title.contains("escaped value") {
        return problem.help("write text with backslashes in single quotes: `'a\\*b'`");
    }
    if problem.title.contains("must be quoted") || problem.title.contains("basic string") {
        return problem.help("text stands in quotes, such as `group = \"Plant1\"`");
    }
    problem
}

/// Reads one `[[rule]]`.
struct RuleReader<'s, 'p> {
    file: &'s SourceFile,
    problems: &'p mut Diagnostics,
    /// Where each name was first used.
    names: &'p mut HashMap<String, (&'s SourceFile, Range<usize>)>,
}

impl RuleReader<'_, '_> {
    /// The rule, if it is usable. `None` is never returned without a problem.
    fn read(&mut self, header: Range<usize>, line: usize, table: &DeTable<'_>) -> Option<Rule> {
        let mut section = Section::new(self.file, "a rule", header, table);
        let name = self.name(&mut section);
        let description = section.string("description", self.problems);
        let action = self.action(&mut section);
        let selectors = self.selectors(&mut section);
        let allow = self.globs(&mut section, "allow-metrics", Names::Metrics);
        let deny = self.globs(&mut section, "deny-metrics", Names::Metrics);
        let datatypes = self.datatypes(&mut section);
        let rate = self.rate(&mut section);
        if action == Some(Action::Deny) {
            let help = "name what is denied under `deny-metrics`; without it, everything is";
            self.not_in_a_deny_rule(&section, "allow-metrics", help);
            self.not_in_a_deny_rule(&section, "rate", "limits belong to forward rules");
        }
        if action == Some(Action::Forward)
            && let Some(glob) = deny.iter().flatten().find(|glob| glob.matches_all())
        {
            let span = section.key_span("deny-metrics").unwrap_or_default();
            let title = format!("`{glob}` denies all that the rule forwards");
            self.problems.push(
                Diagnostic::warning("P104", self.file, span, title)
                    .label("deny wins over forward")
                    .help("if that is meant, `action = \"deny\"` says it more clearly"),
            );
        }
        let misplaced = |key: &str| {
            let rate = [&MESSAGES, &BYTES]
                .iter()
                .any(|unit| [unit.rate_key, unit.burst_key].contains(&key));
            rate.then(|| "it belongs below `[rule.rate]`".to_owned())
        };
        let header = section.header();
        section.finish(misplaced, self.problems);
        if selectors.contradict() {
            let title = "the selectors contradict each other";
            self.error("P013", header, title, "this rule selects nothing");
            self.help_last(
                "`topic` and the names must agree; a rule selects what all of them select",
            );
        }
        Some(Rule {
            name: name?,
            description: description.map(|description| description.value),
            action: action?,
            selectors,
            allow,
            deny,
            datatypes,
            rate,
            path: self.file.path.clone(),
            line,
        })
    }

    fn name(&mut self, section: &mut Section<'_, '_>) -> Option<String> {
        if section.key_span("name").is_none() {
            let help = "drops are counted and logged under the name of the rule";
            section.missing("name", help, self.problems);
        }
        let name = section.string("name", self.problems)?;
        let allowed =
            |character: char| matches!(character, 'a'..='z' | '0'..='9' | '-' | '_' | '.');
        if name.value.is_empty() || name.value.len() > MAX_NAME_BYTES {
            let title = format!("a rule's name has 1 to {MAX_NAME_BYTES} characters");
            self.error("P005", name.span, title, "");
            return None;
        }
        if let Some((offset, character)) =
            name.value.char_indices().find(|(_, character)| !allowed(*character))
        {
            let part = offset..offset.saturating_add(character.len_utf8());
            let span = inside(self.file, &name, &part);
            let title = format!("a rule's name can't contain `{character}`");
            let plain: String = name
                .value
                .to_lowercase()
                .chars()
                .map(|character| if allowed(character) { character } else { '-' })
                .collect();
            self.problems.push(
                Diagnostic::error("P005", self.file, span, title)
                    .label("allowed are a-z, 0-9, `-`, `_` and `.`")
                    .help(format!("such as `{plain}`")),
            );
            return None;
        }
        if let Some((file, span)) = self.names.get(&name.value) {
            let title = format!("two rules are called `{}`", name.value);
            let problem = Diagnostic::error("P006", self.file, name.span, title)
                .label("used again here")
                .at(file, span.clone(), "first used here");
            self.problems.push(problem);
            return None;
        }
        self.names.insert(name.value.clone(), (self.file, name.span));
        Some(name.value)
    }

    fn action(&mut self, section: &mut Section<'_, '_>) -> Option<Action> {
        if section.key_span("action").is_none() {
            let help = "`action = \"forward\"` or `action = \"deny\"`";
            section.missing("action", help, self.problems);
        }
        let action = section.string("action", self.problems)?;
        match action.value.as_str() {
            "forward" => Some(Action::Forward),
            "deny" => Some(Action::Deny),
            other => {
                let words = [
                    ("forward", "forward"),
                    ("allow", "forward"),
                    ("accept", "forward"),
                    ("permit", "forward"),
                    ("pass", "forward"),
                    ("deny", "deny"),
                    ("drop", "deny"),
                    ("reject", "deny"),
                    ("block", "deny"),
                ];
                let meant = closest(other, words.map(|(word, _)| word))
                    .and_then(|word| words.iter().find(|(known, _)| *known == word));
                let problem = Diagnostic::error(
                    "P007",
                    self.file,
                    action.span,
                    format!("unknown action: `{other}`"),
                )
                .label("`forward` or `deny`");
                self.problems.push(match meant {
                    Some((_, meant)) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem,
                });
                None
            }
        }
    }

    fn selectors(&mut self, section: &mut Section<'_, '_>) -> Selectors {
        let keys = ["topic", "group", "edge-node", "device", "node-only"];
        let selected = keys.iter().any(|key| section.key_span(key).is_some());
        let topics = section
            .strings("topic", self.problems)
            .map(|topics| topics.iter().filter_map(|topic| self.topic(topic)).collect::<Vec<_>>());
        let groups = self.globs(section, "group", Names::Levels);
        let edge_nodes = self.globs(section, "edge-node", Names::Levels);
        let devices = self.globs(section, "device", Names::Levels);
        let node_only = section.boolean("node-only", self.problems);
        let node_only = node_only.is_some_and(|node_only| node_only.value);
        if !selected {
            self.problems.push(
                Diagnostic::error("P008", self.file, section.header(), "a rule without a selector")
                    .label("what is it about?")
                    .help(
                        "select by `topic`, `group`, `edge-node` or `device`; \
                         `group = \"*\"` is everything",
                    ),
            );
        }
        if node_only && let Some(span) = section.key_span("device") {
            let mut problem = Diagnostic::error(
                "P013",
                self.file,
                span,
                "`device` and `node-only` contradict each other",
            )
            .label("selects devices")
            .help("make two rules, one for the node and one for its devices");
            if let Some(span) = section.key_span("node-only") {
                problem = problem.also(span, "leaves the devices out");
            }
            self.problems.push(problem);
        }
        Selectors { topics, groups, edge_nodes, devices, node_only }
    }

    fn topic(&mut self, topic: &Placed<String>) -> Option<TopicFilter> {
        match TopicFilter::parse(&topic.value) {
            Ok(filter) => {
                if let Some(offset) = topic.value.find(['*', '?']) {
                    let span = inside(self.file, topic, &(offset..offset.saturating_add(1)));
                    self.problems.push(
                        Diagnostic::warning(
                            "P102",
                            self.file,
                            span,
                            "`*` and `?` are no wildcards in a topic filter",
                        )
                        .label("taken literally")
                        .help(
                            "select names with `group`, `edge-node` or `device`, which take \
                             `*`, or a whole level with `+`",
                        ),
                    );
                }
                Some(filter)
            }
            Err(error) => {
                let span = inside(self.file, topic, &error.span);
                let mut problem =
                    Diagnostic::error(error.code, self.file, span, error.title).label(error.label);
                problem.help.extend(error.help);
                self.problems.push(problem);
                None
            }
        }
    }

    fn globs(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        names: Names,
    ) -> Option<Vec<Glob>> {
        let patterns = section.strings(key, self.problems)?;
        Some(patterns.iter().filter_map(|pattern| self.glob(key, pattern, names)).collect())
    }

    fn glob(&mut self, key: &'static str, pattern: &Placed<String>, names: Names) -> Option<Glob> {
        let glob = match Glob::parse(&pattern.value) {
            Ok(glob) => glob,
            Err(error) => {
                let span = match error {
                    GlobError::TrailingBackslash { offset } => {
                        inside(self.file, pattern, &(offset..pattern.value.len()))
                    }
                    GlobError::Empty | GlobError::TooLong => pattern.span.clone(),
                };
                self.error("P012", span, error.to_string(), "");
                self.help_last(match (error, names) {
                    (GlobError::Empty, Names::Levels) => "`*` matches every name",
                    (GlobError::Empty, Names::Metrics) => "`**` matches every metric",
                    (GlobError::TrailingBackslash { .. }, _) => {
                        "write `\\\\` for a backslash itself"
                    }
                    (GlobError::TooLong, _) => "use `*` for parts of the name",
                });
                return None;
            }
        };
        match names {
            Names::Levels => self.level_glob(key, pattern)?,
            Names::Metrics if key == "allow-metrics" => self.warn_of_control(pattern, &glob),
            Names::Metrics => {}
        }
        Some(glob)
    }

    /// Names of groups, edge nodes and devices are levels of a topic, so that a pattern with
    /// `/`, `+` or `#` could never match (Sparkplug 3.0 §4.1.2 to §4.1.5).
    fn level_glob(&mut self, key: &'static str, pattern: &Placed<String>) -> Option<()> {
        let Some(offset) = pattern.value.find(['/', '+', '#']) else { return Some(()) };
        let span = inside(self.file, pattern, &(offset..offset.saturating_add(1)));
        let noun = key.replace('-', " ");
        let article = if noun.starts_with('e') { "an" } else { "a" };
        let title = format!("the name of {article} {noun} can't contain `/`, `+` or `#`");
        let wildcard = pattern.value.contains(['+', '#']);
        self.problems.push(
            Diagnostic::error("P012", self.file, span, title).label("matches nothing").help(
                match wildcard {
                    true => "the wildcard in names is `*`; `+` and `#` belong to `topic`",
                    false => "give each level its own key, or use `topic`",
                },
            ),
        );
        None
    }

    fn warn_of_control(&mut self, pattern: &Placed<String>, glob: &Glob) {
        let control = ["Node Control/", "Device Control/"];
        if glob.literal() == Some("Node Control/Rebirth") {
            self.warn_control(pattern, "`Node Control/Rebirth` needs no rule");
            let help = "the relay gives every edge node its own and answers rebirths itself";
            self.help_last(help);
        } else if control.iter().any(|control| glob.prefix().starts_with(control)) {
            self.warn_control(pattern, "control metrics never cross");
            let help = "they would advertise commands that can't work: the relay is one-way";
            self.help_last(help);
        }
    }

    fn warn_control(&mut self, pattern: &Placed<String>, title: &str) {
        self.problems.push(
            Diagnostic::warning("P101", self.file, pattern.span.clone(), title)
                .label("has no effect"),
        );
    }

    fn help_last(&mut self, help: &str) {
        self.problems.help_last(help);
    }

    fn datatypes(&mut self, section: &mut Section<'_, '_>) -> Option<DataTypes> {
        let names = section.strings("datatypes", self.problems)?;
        let mut datatypes = DataTypes::default();
        for name in names {
            match DataType::from_name(&name.value) {
                Some(DataType::PropertySet | DataType::PropertySetList) => {
                    let title = format!("no metric has the datatype `{}`", name.value);
                    self.error("P014", name.span, title, "type of a property only");
                }
                Some(datatype) => datatypes = datatypes.with(datatype),
                None => {
                    let title = format!("unknown datatype: `{}`", name.value);
                    let known = DataType::ALL.iter().map(|datatype| datatype.name());
                    let meant = PLC_TYPES
                        .iter()
                        .find(|(plc, _)| plc.eq_ignore_ascii_case(&name.value))
                        .map(|(_, datatype)| datatype.name())
                        .or_else(|| closest(&name.value, known));
                    let problem = Diagnostic::error("P014", self.file, name.span, title)
                        .label("not a datatype of Sparkplug B");
                    self.problems.push(match meant {
                        Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                        None => problem.help("such as `Float`, `Int32`, `Boolean`, `String`"),
                    });
                }
            }
        }
        Some(datatypes)
    }

    fn rate(&mut self, section: &mut Section<'_, '_>) -> Option<Rate> {
        let (header, table) = section.table("rate", self.problems)?;
        let mut section = Section::new(self.file, "`[rule.rate]`", header, table);
        let messages = self.bucket(&mut section, &MESSAGES);
        let bytes = self.bucket(&mut section, &BYTES);
        if table.is_empty() {
            let help = "give `messages-per-s`, `bytes-per-s` or both";
            let span = section.header();
            self.error("P015", span, "a rate that limits nothing", "no limit in it");
            self.help_last(help);
        }
        let misplaced = |key: &str| {
            let help = "it belongs to the rule: write it above `[rule.rate]`, since what follows \
                        a `[…]` line belongs to that table";
            RULE_KEYS.contains(&key).then(|| help.to_owned())
        };
        section.finish(misplaced, self.problems);
        Some(Rate { messages, bytes })
    }

    fn bucket(&mut self, section: &mut Section<'_, '_>, unit: &Unit) -> Option<Bucket> {
        let per_s = section.number(unit.rate_key, self.problems);
        let burst = section.number(unit.burst_key, self.problems);
        let Some(per_s) = per_s else {
            if let Some(burst) = burst
                && section.key_span(unit.rate_key).is_none()
            {
                let title = format!("`{}` without `{}`", unit.burst_key, unit.rate_key);
                self.error("P015", burst.span, title, "a burst of what rate?");
            }
            return None;
        };
        // Written so that NaN fails.
        if !(per_s.value >= unit.min_per_s && per_s.value <= unit.max_per_s) {
            let title = format!("`{}` out of range: {}", unit.rate_key, self.written(&per_s.span));
            let label = format!("from {} to {}", unit.min_per_s, unit.max_per_s);
            self.error("P015", per_s.span, title, label);
            if per_s.value == 0.0 {
                self.help_last("to forward nothing, leave the rule out or deny it");
            }
            return None;
        }
        let longest = (per_s.value * MAX_BURST_S).min(f64::from(u32::MAX)).max(unit.min_burst);
        let Some(burst) = burst else {
            // One second's worth.
            let burst = per_s.value.ceil().clamp(unit.min_burst, longest);
            return Some(Bucket { per_s: per_s.value, burst: burst as u32 });
        };
        if !(burst.value >= unit.min_burst && burst.value <= longest) || burst.value.fract() != 0.0
        {
            let title = format!("`{}` out of range: {}", unit.burst_key, self.written(&burst.span));
            let label = format!("a whole number from {} to {}", unit.min_burst, longest.floor());
            self.error("P015", burst.span, title, label);
            if let Some(why) = unit.why_min_burst
                && burst.value < unit.min_burst
            {
                self.help_last(why);
            }
            return None;
        }
        Some(Bucket { per_s: per_s.value, burst: burst.value as u32 })
    }

    fn not_in_a_deny_rule(&mut self, section: &Section<'_, '_>, key: &str, help: &str) {
        if let Some(span) = section.key_span(key) {
            let title = format!("`{key}` in a deny rule");
            self.error("P013", span, title, "a deny rule lets nothing through");
            self.help_last(help);
        }
    }

    /// The text at `span`, as it was written.
    fn written(&self, span: &Range<usize>) -> &str {
        self.file.text.get(span.clone()).unwrap_or("")
    }

    fn error(
        &mut self,
        code: &'static str,
        span: Range<usize>,
        title: impl Into<String>,
        label: impl Into<String>,
    ) {
        self.problems.push(Diagnostic::error(code, self.file, span, title).label(label));
    }
}

/// The keys of a rule, for hints about misplaced ones.
const RULE_KEYS: [&str; 12] = [
    "name",
    "description",
    "action",
    "topic",
    "group",
    "edge-node",
    "device",
    "node-only",
    "allow-metrics",
    "deny-metrics",
    "datatypes",
    "rate",
];

/// What PLC programmers call the datatypes (IEC 61131-3), and Sparkplug's names.
const PLC_TYPES: [(&str, DataType); 9] = [
    ("BOOL", DataType::Boolean),
    ("SINT", DataType::Int8),
    ("INT", DataType::Int16),
    ("DINT", DataType::Int32),
    ("LINT", DataType::Int64),
    ("WORD", DataType::UInt16),
    ("DWORD", DataType::UInt32),
    ("REAL", DataType::Float),
    ("LREAL", DataType::Double),
];

/// What the globs of a list are over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Names of groups, edge nodes or devices.
    Levels,
    Metrics,
}

/// What a bucket counts.
struct Unit {
    rate_key: &'static str,
    burst_key: &'static str,
    min_per_s: f64,
    max_per_s: f64,
    min_burst: f64,
    why_min_burst: Option<&'static str>,
}

const MESSAGES: Unit = Unit {
    rate_key: "messages-per-s",
    burst_key: "burst-messages",
    min_per_s: MIN_MESSAGES_PER_S,
    max_per_s: MAX_MESSAGES_PER_S,
    min_burst: 1.0,
    why_min_burst: None,
};

const BYTES: Unit = Unit {
    rate_key: "bytes-per-s",
    burst_key: "burst-bytes",
    min_per_s: 1.0,
    max_per_s: MAX_BYTES_PER_S,
    min_burst: MIN_BURST_BYTES as f64,
    why_min_burst: Some(
        "a message that is larger than the burst passes only when the bucket is full; a burst \
         this small would hold back ordinary messages",
    ),
};

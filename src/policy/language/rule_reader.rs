//! Reads one `[[rule]]` table and says everything that is wrong with it. The codes are listed in
//! [`crate::language`].

use std::ops::Range;

use diagnostic::{
    Diagnostic, Diagnostics, Placed, Section, SourceFile, UniqueNames, closest, inside,
};
use sparkplug::DataType;

use super::rate_reader::{self, RATE_KEYS};
use crate::names;
use crate::rule::filter::TopicFilter;
use crate::rule::glob::{Glob, GlobError};
use crate::rule::{Action, DataTypes, Mode, Priority, Rule, Selectors, schedule};
use crate::shape::reader::{self as shape_reader, SHAPE_KEYS};

/// Bytes of a rule's name; it stands in every log line about a drop.
const MAX_NAME_BYTES: usize = 128;

/// The keys of a rule, for hints about misplaced ones.
pub(crate) const RULE_KEYS: &[&str] = &[
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
    "redact-metrics",
    "datatypes",
    "rate",
    "shape",
    "metric",
    "priority",
    "mode",
    "not-before",
    "not-after",
    "weekly",
    "strip-prefix",
    "add-prefix",
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

const PRIORITIES: &[(&str, Priority)] = &[("normal", Priority::Normal), ("high", Priority::High)];
const MODES: &[(&str, Mode)] = &[("enforce", Mode::Enforce), ("observe", Mode::Observe)];

/// Reads one `[[rule]]`.
pub(crate) struct RuleReader<'s, 'p> {
    file: &'s SourceFile,
    problems: &'p mut Diagnostics,
    /// Where each name was first used.
    names: &'p mut UniqueNames<'s>,
}

impl<'s, 'p> RuleReader<'s, 'p> {
    /// A reader for rules of `file`. `names` has the place of every rule name so far.
    pub(crate) fn new(
        file: &'s SourceFile,
        problems: &'p mut Diagnostics,
        names: &'p mut UniqueNames<'s>,
    ) -> Self {
        RuleReader { file, problems, names }
    }

    /// Reads the `[[rule]]` whose header stands in line `line`. `None` is never returned without
    /// a problem.
    pub(crate) fn read(&mut self, mut section: Section<'_, '_>, line: usize) -> Option<Rule> {
        let name = self.name(&mut section);
        let description = section.string("description", self.problems);
        let action = self.action(&mut section);
        let selectors = self.selectors(&mut section);
        let allow = self.globs(&mut section, "allow-metrics", Names::Metrics);
        let deny = self.globs(&mut section, "deny-metrics", Names::Metrics);
        let redact = self.globs(&mut section, "redact-metrics", Names::Metrics);
        let datatypes = self.datatypes(&mut section);
        let rate = rate_reader::read(self.file, &mut section, self.problems);
        let priority = self.word(&mut section, "priority", PRIORITIES).unwrap_or_default();
        let mode = self.word(&mut section, "mode", MODES).unwrap_or_default();
        let schedule = schedule::read(self.file, &mut section, self.problems);
        let prefixes = names::read_prefixes(self.file, &mut section, self.problems);
        // Datatypes of other rules limit no shape.
        let forwarded = datatypes.filter(|_| action == Some(Action::Forward));
        let shapes = shape_reader::read(self.file, &mut section, forwarded, self.problems);
        self.keys_of_action(&section, action);
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
        let misplaced = |key: &str| match key {
            "names" => Some("it belongs below `[[rule.metric]]`".to_owned()),
            key if RATE_KEYS.contains(&key) => Some("it belongs below `[rule.rate]`".to_owned()),
            key if SHAPE_KEYS.contains(&key) => Some(
                "it belongs below `[rule.shape]`, or `[[rule.metric]]` for metrics by name"
                    .to_owned(),
            ),
            _ => None,
        };
        let header = section.header();
        section.finish(misplaced, self.problems);
        if selectors.contradict() {
            let title = "the selectors contradict each other";
            self.error("P013", header.clone(), title, "this rule selects nothing");
            self.problems.help_last(
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
            redact,
            datatypes,
            rate,
            shapes,
            priority,
            mode,
            // Closed until somebody says what time it is: doubt is taken against forwarding.
            open: schedule.is_none() || action? != Action::Forward,
            schedule,
            prefixes,
            header,
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
        self.names.claim(self.file, name, ("P006", "rules"), self.problems)
    }

    fn action(&mut self, section: &mut Section<'_, '_>) -> Option<Action> {
        if section.key_span("action").is_none() {
            let help = "`action = \"forward\"`, `\"deny\"` or `\"redact\"`";
            section.missing("action", help, self.problems);
        }
        let action = section.string("action", self.problems)?;
        match action.value.as_str() {
            "forward" => Some(Action::Forward),
            "deny" => Some(Action::Deny),
            "redact" => Some(Action::Redact),
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
                    ("redact", "redact"),
                    ("mask", "redact"),
                    ("hide", "redact"),
                ];
                let meant = closest(other, words.map(|(word, _)| word))
                    .and_then(|word| words.iter().find(|(known, _)| *known == word));
                let problem = Diagnostic::error(
                    "P007",
                    self.file,
                    action.span,
                    format!("unknown action: `{other}`"),
                )
                .label("`forward`, `deny` or `redact`");
                self.problems.push(match meant {
                    Some((_, meant)) => problem.help(format!("did you mean `{meant}`?")),
                    None => problem,
                });
                None
            }
        }
    }

    /// One of a few words.
    fn word<T: Copy>(
        &mut self,
        section: &mut Section<'_, '_>,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let word = section.string(key, self.problems)?;
        if let Some((_, meaning)) = words.iter().find(|(known, _)| *known == word.value) {
            return Some(*meaning);
        }
        let known: Vec<String> = words.iter().map(|(known, _)| format!("`{known}`")).collect();
        let title = format!("unknown {key}: `{}`", word.value);
        let problem = Diagnostic::error("P018", self.file, word.span, title)
            .label(known.join(" or "))
            .did_you_mean(&word.value, words.iter().map(|(known, _)| *known));
        self.problems.push(problem);
        None
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
                self.problems.help_last(match (error, names) {
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
    /// `/`, `+`, `#` or NUL could never match (Sparkplug 3.0 §4.1.2 to §4.1.5, MQTT 3.1.1 §4.7).
    fn level_glob(&mut self, key: &'static str, pattern: &Placed<String>) -> Option<()> {
        let bad = |(_, character): &(usize, char)| matches!(character, '/' | '+' | '#' | '\0');
        let Some((offset, character)) = pattern.value.char_indices().find(bad) else {
            return Some(());
        };
        let span = inside(self.file, pattern, &(offset..offset.saturating_add(1)));
        let noun = key.replace('-', " ");
        let article = if noun.starts_with('e') { "an" } else { "a" };
        let (named, help) = match character {
            '/' => ("`/`", Some("give each level its own key, or use `topic`")),
            '+' => ("`+`", Some("the wildcard in names is `*`; `+` belongs to `topic`")),
            '#' => ("`#`", Some("the wildcard in names is `*`; `#` belongs to `topic`")),
            _ => ("U+0000", None),
        };
        let title = format!("the name of {article} {noun} can't contain {named}");
        let mut problem =
            Diagnostic::error("P012", self.file, span, title).label("matches nothing");
        problem.help.extend(help.map(str::to_owned));
        self.problems.push(problem);
        None
    }

    fn warn_of_control(&mut self, pattern: &Placed<String>, glob: &Glob) {
        let control = ["Node Control/", "Device Control/"];
        let (title, help) = if glob.literal() == Some("Node Control/Rebirth") {
            (
                "`Node Control/Rebirth` needs no rule",
                "the relay gives every edge node its own and answers rebirths itself",
            )
        } else if control.iter().any(|control| glob.prefix().starts_with(control)) {
            (
                "control metrics never cross",
                "they would advertise commands that can't work: the relay is one-way",
            )
        } else {
            return;
        };
        self.problems.push(
            Diagnostic::warning("P101", self.file, pattern.span.clone(), title)
                .label("has no effect")
                .help(help),
        );
    }

    fn datatypes(&mut self, section: &mut Section<'_, '_>) -> Option<DataTypes> {
        let names = section.strings("datatypes", self.problems)?;
        let mut datatypes = DataTypes::default();
        for name in names {
            if let Some(datatype) = read_datatype(self.file, &name, self.problems) {
                datatypes = datatypes.with(datatype);
            }
        }
        Some(datatypes)
    }

    /// Reports keys that a rule of this action can't have.
    fn keys_of_action(&mut self, section: &Section<'_, '_>, action: Option<Action>) {
        let denied = "name what is denied under `deny-metrics`; without it, everything is";
        let redacted = "name what is redacted under `redact-metrics`; without it, everything is";
        let limits = "limits belong to forward rules";
        let priorities = "priorities belong to forward rules";
        let names = "names change in forward rules";
        let shapes = "shapes belong to forward rules: what crosses is shaped";
        let (noun, label, keys) = match action {
            Some(Action::Deny) => (
                "deny",
                "a deny rule lets nothing through",
                [
                    ("allow-metrics", denied),
                    ("redact-metrics", "`action = \"redact\"` keeps metrics as null"),
                    ("rate", limits),
                    ("priority", priorities),
                    ("strip-prefix", names),
                    ("add-prefix", names),
                    ("shape", shapes),
                    ("metric", shapes),
                ],
            ),
            Some(Action::Redact) => (
                "redact",
                "a redact rule lets no value through",
                [
                    ("allow-metrics", redacted),
                    ("deny-metrics", "`action = \"deny\"` leaves metrics out"),
                    ("rate", limits),
                    ("priority", priorities),
                    ("strip-prefix", names),
                    ("add-prefix", names),
                    ("shape", shapes),
                    ("metric", shapes),
                ],
            ),
            Some(Action::Forward) | None => return,
        };
        for (key, help) in keys {
            if let Some(span) = section.key_span(key) {
                let title = format!("`{key}` in a {noun} rule");
                self.error("P013", span, title, label);
                self.problems.help_last(help);
            }
        }
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

/// Reads the name of a datatype that metrics have.
pub fn read_datatype(
    file: &SourceFile,
    name: &Placed<String>,
    problems: &mut Diagnostics,
) -> Option<DataType> {
    let error = |title: String| Diagnostic::error("P014", file, name.span.clone(), title);
    match DataType::from_name(&name.value) {
        Some(DataType::PropertySet | DataType::PropertySetList) => {
            let title = format!("no metric has the datatype `{}`", name.value);
            problems.push(error(title).label("type of a property only"));
            None
        }
        Some(datatype) => Some(datatype),
        None => {
            let known = DataType::ALL.iter().map(|datatype| datatype.name());
            let meant = PLC_TYPES
                .iter()
                .find(|(plc, _)| plc.eq_ignore_ascii_case(&name.value))
                .map(|(_, datatype)| datatype.name())
                .or_else(|| closest(&name.value, known));
            let problem = error(format!("unknown datatype: `{}`", name.value))
                .label("not a datatype of Sparkplug B");
            problems.push(match meant {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem.help("such as `Float`, `Int32`, `Boolean`, `String`"),
            });
            None
        }
    }
}

/// What the globs of a list are over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Names of groups, edge nodes or devices.
    Levels,
    Metrics,
}

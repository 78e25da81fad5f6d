//! Reads what a rule is about: edge nodes and devices, names of metrics, datatypes.

use diagnostic::{Diagnostic, Placed, Section, inside};

use super::RuleReader;
use crate::language::datatype::read_datatype;
use crate::language::foreign::{foreign, warn_of_foreign};
use crate::rule::filter::TopicFilter;
use crate::rule::glob::{Glob, GlobError};
use crate::rule::{DataTypes, Selectors};

impl RuleReader<'_, '_> {
    pub(super) fn selectors(&mut self, section: &mut Section<'_, '_>) -> Selectors {
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
                self.warn_of_foreign_levels(topic);
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

    /// A topic filter has names and `+` as levels, and no pattern of any language.
    fn warn_of_foreign_levels(&mut self, topic: &Placed<String>) {
        let mut start = 0_usize;
        for level in topic.value.split('/') {
            let end = start.saturating_add(level.len());
            // A filter knows no `\\`, with which a name would say that it is meant.
            if let Some(found) = foreign(level, false).filter(|_| !level.contains('\\')) {
                let span = inside(self.file, topic, &(start..end));
                let title = format!("`{level}` is taken for a name");
                self.problems.push(
                    Diagnostic::warning("P105", self.file, span, title)
                        .label("levels of a topic filter are names, or `+`")
                        .help(format!("{} in `group`, `edge-node` or `device`", found.help())),
                );
            }
            start = end.saturating_add(1);
        }
    }

    pub(super) fn globs(
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
        if let Some(found) = foreign(&pattern.value, names == Names::Metrics) {
            self.problems.push(warn_of_foreign(self.file, pattern, &found));
        }
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

    pub(super) fn datatypes(&mut self, section: &mut Section<'_, '_>) -> Option<DataTypes> {
        let names = section.strings("datatypes", self.problems)?;
        let mut datatypes = DataTypes::default();
        for name in names {
            if let Some(datatype) = read_datatype(self.file, &name, self.problems) {
                datatypes = datatypes.with(datatype);
            }
        }
        Some(datatypes)
    }
}

/// What the globs of a list are over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// Names of groups, edge nodes or devices.
    Levels,
    Metrics,
}

//! Reads one `[[rule]]` table and says everything that is wrong with it. The codes are listed in
//! [`crate::language`].

mod selectors;

use std::ops::Range;

use diagnostic::{Diagnostic, Diagnostics, Section, SourceFile, UniqueNames, closest, inside};

use self::selectors::Names;
use super::rate_reader::{self, RATE_KEYS};
use crate::names;
use crate::rule::{Action, Mode, Priority, Rule, schedule};
use crate::shape::reader::{self as shape_reader, SHAPE_KEYS};

/// Bytes of a rule's name; it stands in every log line about a drop.
const MAX_NAME_BYTES: usize = 128;

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

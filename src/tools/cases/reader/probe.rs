//! Reads what is sent of a metric, and what is expected to become of it.

use std::ops::Range;

use account::Reason;
use diagnostic::{Diagnostic, Placed};
use sparkplug::{DataType, Value};
use toml::Spanned;
use toml::de::DeValue;

use super::CaseReader;
use super::keys::{ArrivesKeys, Keys};
use crate::cases::{Arrives, Expected, Given, Probe, value};

/// Longest value that is made by `length`.
const MAX_LENGTH: f64 = 1_000_000.0;

impl CaseReader<'_, '_> {
    pub(super) fn probe(
        &mut self,
        header: Range<usize>,
        keys: &Keys<'_, '_>,
        waits: bool,
        needs_metric: bool,
    ) -> Option<Probe> {
        let line = self.line(&header);
        let metric = match &keys.metric {
            Some(name) => Some(self.given(&header, name, keys, waits)?),
            None if needs_metric || waits => {
                let help = "`metric = \"Temperature/Oil\"`, or a list of `metrics`";
                self.missing("metric", &header, "a message", help);
                return None;
            }
            None => {
                if keys.has_value() {
                    let help = "a value is that of a `metric`";
                    self.missing("metric", &header, "a value", help);
                }
                None
            }
        };
        let datatype = metric.as_ref().map(|metric| metric.datatype);
        let expected = self.expected(&header, keys, datatype, waits)?;
        if let Some(observed_by) = &keys.observed_by
            && (waits || metric.is_none())
        {
            let title = "`observed-by` without a metric that is sent";
            self.error(
                "P203",
                observed_by.span.clone(),
                title,
                "rules judge metrics of births and data",
            );
            return None;
        }
        let observed_by = keys.observed_by.as_ref().map(|rule| rule.value.clone());
        Some(Probe { metric, expected, observed_by, line })
    }

    fn given(
        &mut self,
        header: &Range<usize>,
        name: &Placed<String>,
        keys: &Keys<'_, '_>,
        waits: bool,
    ) -> Option<Given> {
        let said = [
            keys.value.map(|value| ("value", value.span())),
            keys.null.as_ref().map(|null| ("null", null.span.clone())),
            keys.length.as_ref().map(|length| ("length", length.span.clone())),
        ];
        let mut said = said.into_iter().flatten();
        let first = said.next();
        if let (Some((first, one)), Some((second, other))) = (first, said.next()) {
            let title = format!("`{first}` and `{second}` contradict each other");
            let problem = Diagnostic::error("P203", self.file, other, title)
                .label("which one is it?")
                .also(one, "this is a value too");
            self.problems.push(problem);
            return None;
        }
        let Some(datatype) = self.datatype(name, keys) else {
            let help = match waits {
                false => {
                    "such as `datatype = \"Float\"`; where `value` is text, a number, a boolean or a time, \
                     it is `String`, `Int64`, `Double`, `Boolean` or `DateTime` without"
                }
                true => {
                    "nothing is sent in this step, since it has no `value`, and no step before it sends \
                     this metric: what could arrive?"
                }
            };
            self.missing("datatype", header, "this metric", help);
            return None;
        };
        let value = match (keys.value, &keys.null, &keys.length) {
            (Some(value), ..) => Some(self.value("value", datatype, value)?),
            (None, Some(_), _) => None,
            (None, None, Some(length)) => {
                let bytes = self.whole("length", length.clone(), 0.0, MAX_LENGTH)?;
                let made = value::of_length(datatype, usize::try_from(bytes).ok()?);
                if made.is_none() {
                    let title = format!("`length` of a value of datatype `{datatype}`");
                    let label = "for `String`, `Text`, `Bytes` and `File`";
                    self.error("P203", length.span.clone(), title, label);
                }
                Some(made?)
            }
            (None, None, None) if waits => None,
            (None, None, None) => {
                let help = "or `null = true`; for text and bytes of some length, `length = 500`";
                self.missing("value", header, "this metric", help);
                return None;
            }
        };
        Some(Given {
            name: name.value.clone(),
            datatype,
            value,
            properties: keys.properties.clone(),
            metadata: keys.metadata.clone(),
            age_ms: keys.age_ms,
            historical: keys.historical == Some(true),
        })
    }

    /// The datatype as it is written; else as an earlier step of the case has it written, where the
    /// value is one of that; else that of the value; else that of an earlier step.
    fn datatype(&mut self, name: &Placed<String>, keys: &Keys<'_, '_>) -> Option<DataType> {
        let topic = keys.topic.as_ref().map_or(String::new(), |topic| topic.value.clone());
        let known = self.datatypes.get(&(topic.clone(), name.value.clone())).copied();
        let fits = |datatype| {
            keys.value.is_none_or(|value| value::read(datatype, value.get_ref()).is_ok())
        };
        let written = known.filter(|(datatype, written)| *written && fits(*datatype));
        let arriving = keys.arrives.as_ref().and_then(|arrives| arrives.value);
        let evident = |value: Option<&Spanned<DeValue<'_>>>| {
            value.and_then(|value| value::evident(value.get_ref()))
        };
        let found = keys.datatype.or(written.map(|(datatype, _)| datatype));
        let found = found
            .or_else(|| evident(keys.value))
            .or(known.map(|(datatype, _)| datatype))
            .or_else(|| evident(arriving).filter(|_| !keys.has_value()));
        if let Some(datatype) = found {
            let is_written = keys.datatype.is_some() || written.is_some();
            self.datatypes.entry((topic, name.value.clone())).or_insert((datatype, is_written));
        }
        found
    }

    fn expected(
        &mut self,
        header: &Range<usize>,
        keys: &Keys<'_, '_>,
        datatype: Option<DataType>,
        waits: bool,
    ) -> Option<Expected> {
        let Some(expect) = &keys.expect else {
            let help = if waits {
                "`expect = \"forward\"` if a value arrives in this time, `\"nothing\"` if not"
            } else {
                "`expect = \"forward\"` or `expect = \"drop\"`"
            };
            self.missing("expect", header, "a case", help);
            return None;
        };
        let reason = match &keys.reason {
            Some(reason) => Some(self.reason(reason)?),
            None => None,
        };
        let rule = keys.rule.as_ref().map(|rule| {
            self.rule_names.push((self.file, rule.clone()));
            rule.value.clone()
        });
        let place = keys.reason.as_ref().map(|reason| reason.span.clone());
        match (expect.value.as_str(), waits) {
            ("forward", _) => {
                if let Some(span) = place {
                    self.error("P203", span, "`reason` of what is forwarded", "of a drop only");
                    return None;
                }
                let arrives = match &keys.arrives {
                    Some(arrives) => self.arrives(arrives, datatype)?,
                    None => Arrives::default(),
                };
                Some(Expected::Forward { rule, arrives })
            }
            ("wait", false) | ("drop", false) | ("nothing", true) => {
                if let Some(arrives) = &keys.arrives {
                    let title = "`arrives` of what is dropped or waits";
                    self.error("P203", arrives.header.clone(), title, "nothing arrives");
                    return None;
                }
                if expect.value == "wait" {
                    if let Some(span) = place {
                        self.error("P203", span, "`reason` of what waits", "of a drop only");
                        return None;
                    }
                    return Some(Expected::Wait { rule });
                }
                Some(Expected::Drop { reason, rule })
            }
            (other, _) => {
                let (words, label) = match waits {
                    false => (&["forward", "drop", "wait"][..], "`forward`, `drop` or `wait`"),
                    true => (&["forward", "nothing"][..], "`forward` or `nothing`"),
                };
                let mut problem = Diagnostic::error(
                    "P205",
                    self.file,
                    expect.span.clone(),
                    format!("unknown expectation: `{other}`"),
                )
                .label(label);
                if waits {
                    problem = problem.help(
                        "nothing is sent in this step, since it has no `value`: either a value \
                         that was held back arrives, or nothing does",
                    );
                } else {
                    let meant = [
                        ("allow", "forward"),
                        ("admit", "forward"),
                        ("accept", "forward"),
                        ("pass", "forward"),
                        ("deny", "drop"),
                        ("reject", "drop"),
                        ("block", "drop"),
                        ("nothing", "drop"),
                    ];
                    let meant = meant.iter().find(|(word, _)| other.starts_with(word));
                    problem = match meant {
                        Some((_, meant)) => problem.help(format!("did you mean `{meant}`?")),
                        None => problem.did_you_mean(other, words.iter().copied()),
                    };
                }
                self.problems.push(problem);
                None
            }
        }
    }

    fn arrives(
        &mut self,
        keys: &ArrivesKeys<'_, '_>,
        datatype: Option<DataType>,
    ) -> Option<Arrives> {
        let mut arrives = keys.known.clone();
        match (keys.value, datatype) {
            (None, _) => {}
            (Some(value), Some(datatype)) => {
                arrives.value = Some(self.value("arrives.value", datatype, value)?);
            }
            (Some(value), None) => {
                let title = "`arrives.value` without a metric";
                self.error("P203", value.span(), title, "the value of what?");
                return None;
            }
        }
        Some(arrives)
    }

    fn reason(&mut self, reason: &Placed<String>) -> Option<Reason> {
        let known = Reason::ALL.iter().copied();
        let found = known.clone().find(|known| known.name() == reason.value);
        if found.is_none() {
            let title = format!("unknown reason: `{}`", reason.value);
            let problem = Diagnostic::error("P205", self.file, reason.span.clone(), title)
                .label("not one of the reasons for a drop")
                .did_you_mean(&reason.value, known.map(Reason::name));
            self.problems.push(match problem.help.is_empty() {
                true => problem.help("such as `no_rule`, `denied`, `datatype`"),
                false => problem,
            });
        }
        found
    }

    fn value(
        &mut self,
        key: &str,
        datatype: DataType,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Value> {
        match value::read(datatype, value.get_ref()) {
            Ok(value) => Some(value),
            Err(wanted) => {
                let title = format!("`{key}` isn't a value of datatype `{datatype}`");
                self.error("P204", value.span(), title, format!("wanted {wanted}"));
                None
            }
        }
    }
}

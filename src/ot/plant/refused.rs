//! Metrics of one message that were refused, alone or in parts: how many, and what was wrong with
//! the first one. One line of the log is made of it, however many they are.

use std::collections::BTreeMap;

use account::Reason;
use sparkplug::{BadPart, Cap, DataType, Metric, ParameterValue, Part, PartFault, Value};

use super::Misfit;

/// Characters of a metric's name that are kept for the log.
const SHOWN_CHARS: usize = 200;

/// So many metrics of a message are kept by name, the others by number.
const NAMED: usize = 64;

/// Metrics that were refused before they could be counted.
#[derive(Debug, Default)]
pub(crate) struct Uncounted {
    pub(crate) named: Vec<RefusedMetric>,
    pub(crate) others: BTreeMap<Reason, u64>,
}

impl Uncounted {
    /// Takes note of a metric. `fault` is asked of the first ones only.
    pub(crate) fn note(&mut self, name: &str, reason: Reason, fault: impl FnOnce() -> Fault) {
        if self.named.len() < NAMED {
            self.named.push(RefusedMetric { name: shown(name), reason, fault: fault() });
        } else {
            let others = self.others.entry(reason).or_default();
            *others = others.saturating_add(1);
        }
    }
}

/// How many metrics of a message were refused, and the first one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RefusedMetrics {
    pub(crate) count: u64,
    pub(crate) first: Option<RefusedMetric>,
}

/// What was wrong with a metric.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusedMetric {
    pub(crate) name: String,
    pub(crate) reason: Reason,
    pub(crate) fault: Fault,
}

/// In words: what came, what was wanted, and the key of the configuration that sets a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) got: String,
    pub(crate) wanted: String,
    pub(crate) key: Option<&'static str>,
}

impl RefusedMetrics {
    /// Takes note of a metric. `fault` is asked of the first one only.
    pub(crate) fn note(&mut self, name: &str, reason: Reason, fault: impl FnOnce() -> Fault) {
        self.count = self.count.saturating_add(1);
        let first = || RefusedMetric { name: shown(name), reason, fault: fault() };
        self.first.get_or_insert_with(first);
    }

    /// Takes note of so many more, of which no more than the number is known.
    pub(crate) fn note_others(&mut self, others: u64) {
        self.count = self.count.saturating_add(others);
    }
}

fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARS).collect()
}

/// The reason for which a part is left out.
pub(crate) fn reason_of(fault: PartFault) -> Reason {
    match fault {
        PartFault::Malformed(_) => Reason::MalformedPayload,
        PartFault::OverCap(_) => Reason::OverCap,
    }
}

impl Fault {
    fn new(got: impl Into<String>, wanted: impl Into<String>) -> Fault {
        Fault { got: got.into(), wanted: wanted.into(), key: None }
    }

    /// A part that can't be used.
    pub(crate) fn of_part(bad: &BadPart) -> Fault {
        let what = match bad.part {
            Part::Value => "a value that can be read",
            Part::Beside => "properties and metadata that can be read",
        };
        let fault = Fault::new(bad.fault.to_string(), what);
        match bad.fault {
            PartFault::Malformed(_) => fault,
            PartFault::OverCap(over) => {
                Fault { wanted: format!("at most {}", over.limit), key: over.cap.key(), ..fault }
            }
        }
    }

    /// A value that isn't one of the birth's datatype.
    pub(crate) fn of_value(born: Option<DataType>, metric: &Metric) -> Fault {
        let named = metric.datatype.map(|code| match DataType::from_code(code) {
            Some(datatype) => format!("{datatype} in "),
            None => format!("datatype {code} in "),
        });
        let field = metric.value.as_ref().map_or("no value", field);
        let got = format!("{}{field}", named.unwrap_or_default());
        let wanted = born.map_or("a datatype of metrics", DataType::name);
        Fault::new(got, wanted)
    }

    /// More properties than a metric may have.
    pub(crate) fn of_properties(got: usize, limit: usize) -> Fault {
        let over = Cap::MetricProperties.exceeded(limit, got);
        Fault { key: over.cap.key(), ..Fault::new(over.to_string(), format!("at most {limit}")) }
    }

    /// Properties that no host could read.
    pub(crate) fn of_unsound_properties(number: usize) -> Fault {
        Fault::new(
            format!("{number} without a type, or with a value of another"),
            "properties of a type, and values of it",
        )
    }

    /// A metric that can't be told which one it is.
    pub(crate) fn of_unknown(metric: &Metric, has_name: bool) -> Fault {
        let got = match (has_name, metric.alias) {
            (true, _) => "a new name without a datatype".to_owned(),
            (false, Some(alias)) => format!("alias {alias}"),
            (false, None) => "neither name nor alias".to_owned(),
        };
        Fault::new(got, "a name or alias of the birth, or a new name with a datatype")
    }

    /// A template that can't be used for this reason. `is_defined`: its definition can.
    pub(crate) fn of_template(reason: Reason, is_defined: bool, nesting: usize) -> Fault {
        match (reason, is_defined) {
            (Reason::OverCap, false) => Fault {
                key: Cap::Depth.key(),
                ..Fault::new(
                    format!("a definition that contains itself, or has more than {nesting} levels"),
                    format!("at most {nesting}"),
                )
            },
            (Reason::OverCap, true) => Fault::new(
                "more or longer names of members than one message may have looked up",
                "names of at most 4096 bytes, with those of all that they are in",
            ),
            (Reason::MalformedPayload, _) => Fault::new(
                "a definition with one name for two, or whose name a metric has",
                "a name for each",
            ),
            _ => Fault::new(
                "an instance that its definition doesn't fit",
                "an instance of a definition of the node's birth",
            ),
        }
    }

    /// A definition outside of an NBIRTH.
    pub(crate) fn of_place() -> Fault {
        Fault::new("a template's definition", "definitions in an NBIRTH alone")
    }

    /// A member or parameter that its definition doesn't fit.
    pub(crate) fn of_misfit(misfit: Misfit) -> Fault {
        match misfit {
            Misfit::Unknown => Fault::new("a new name", "a member or parameter of the definition"),
            Misfit::Untyped => {
                Fault::new("no name, or no datatype of members", "a name and a datatype")
            }
            Misfit::Twice => Fault::new("it a second time", "each member and parameter once"),
            Misfit::Value { born, got } => Fault::new(got, born.name()),
            Misfit::Instance => {
                Fault::new("an instance of something else", "an instance as the definition has it")
            }
        }
    }

    /// A name that the birth has already: the later metric counts.
    pub(crate) fn of_name_twice() -> Fault {
        Fault::new("its name a second time", "each name once")
    }

    /// An alias that another metric of the birth has.
    pub(crate) fn of_alias_twice(alias: u64) -> Fault {
        Fault::new(format!("alias {alias} of another metric"), "an alias of its own")
    }

    /// Metrics where there can be none.
    pub(crate) fn of_death() -> Fault {
        Fault::new("a metric in a death", "no metric but bdSeq")
    }

    /// A name of properties within properties that is too long.
    pub(crate) fn of_path(got: usize, limit: usize) -> Fault {
        Fault::new(
            format!("{got} bytes in the name of a property, with those of all sets that it is in"),
            format!("at most {limit}"),
        )
    }

    /// It doesn't fit into what is relayed of a message.
    pub(crate) fn of_room(limit: usize) -> Fault {
        let over = Cap::RelayedBytes.passed(limit);
        Fault { key: over.cap.key(), ..Fault::new(over.to_string(), format!("at most {limit}")) }
    }

    /// An entity with as many metrics as it may have.
    pub(crate) fn of_entity(limit: usize) -> Fault {
        let key = Cap::Metrics.key();
        let got = format!("one more than the {limit} metrics that its entity may have");
        Fault { key, ..Fault::new(got, format!("at most {limit}")) }
    }
}

/// The field of the schema that the value is in.
pub(super) fn field(value: &Value) -> &'static str {
    match value {
        Value::Int(_) => "int_value",
        Value::Long(_) => "long_value",
        Value::Float(_) => "float_value",
        Value::Double(_) => "double_value",
        Value::Boolean(_) => "boolean_value",
        Value::String(_) => "string_value",
        Value::Bytes(_) => "bytes_value",
        Value::DataSet(_) => "dataset_value",
        Value::Template(_) => "template_value",
    }
}

/// The same of a template's parameter.
pub(super) fn parameter_field(value: &ParameterValue) -> &'static str {
    match value {
        ParameterValue::Int(_) => "int_value",
        ParameterValue::Long(_) => "long_value",
        ParameterValue::Float(_) => "float_value",
        ParameterValue::Double(_) => "double_value",
        ParameterValue::Boolean(_) => "boolean_value",
        ParameterValue::String(_) => "string_value",
    }
}

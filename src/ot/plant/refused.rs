//! Metrics of one message that were refused, alone or in parts: how many, and what was wrong with
//! the first one. One line of the log is made of it, however many they are.

use account::Reason;
use sparkplug::{BadPart, DataType, Metric, Part, PartFault, Value};

/// Characters of a metric's name that are kept for the log.
const SHOWN_CHARS: usize = 200;

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
        self.first.get_or_insert_with(|| RefusedMetric {
            name: name.chars().take(SHOWN_CHARS).collect(),
            reason,
            fault: fault(),
        });
    }

    /// Adds others, which came later.
    pub(crate) fn extend(&mut self, others: RefusedMetrics) {
        self.count = self.count.saturating_add(others.count);
        self.first = self.first.take().or(others.first);
    }
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
        let over = sparkplug::Cap::MetricProperties.exceeded(limit, got);
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

    /// A value that doesn't fit its template's definition.
    pub(crate) fn of_template() -> Fault {
        Fault::new("an instance that its definition doesn't fit", "an instance of its definition")
    }

    /// It doesn't fit into what is relayed of a message.
    pub(crate) fn of_room(limit: usize) -> Fault {
        let over = sparkplug::Cap::RelayedBytes.passed(limit);
        Fault { key: over.cap.key(), ..Fault::new(over.to_string(), format!("at most {limit}")) }
    }

    /// An entity with as many metrics as it may have.
    pub(crate) fn of_entity(limit: usize) -> Fault {
        let key = sparkplug::Cap::Metrics.key();
        let got = format!("one more than the {limit} metrics that its entity may have");
        Fault { key, ..Fault::new(got, format!("at most {limit}")) }
    }
}

/// The field of the schema that the value is in.
fn field(value: &Value) -> &'static str {
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

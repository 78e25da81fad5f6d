//! What shapes say: the tables of a rule, and what they ask of a metric.

use sparkplug::DataType;

use super::rules::{Names, listed};

/// The tables of a rule as their author wrote them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    pub(crate) base: Option<Draft>,
    pub(crate) tables: Vec<Table>,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) names: Vec<String>,
    pub(crate) inherit: bool,
    pub(crate) own: Draft,
}

/// The keys of one table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    pub(crate) max_age_s: Option<u64>,
    pub(crate) max_future_s: Option<u64>,
    pub(crate) step: Option<f64>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) out_of_range: &'static str,
    pub(crate) max_length: Option<usize>,
    pub(crate) max_bytes: Option<usize>,
    pub(crate) content_types: Names,
    pub(crate) too_long: &'static str,
    pub(crate) allowed: Option<Allowed>,
    pub(crate) not_allowed: &'static str,
    pub(crate) pseudonym: bool,
    pub(crate) open: Option<Vec<DataType>>,
    pub(crate) deadband: Option<f64>,
    pub(crate) deadband_percent: Option<f64>,
    pub(crate) min_interval_ms: Option<u64>,
    pub(crate) properties: Names,
    pub(crate) columns: Names,
    pub(crate) parameters: Names,
}

#[derive(Clone, Debug)]
pub(crate) enum Allowed {
    Texts(Vec<String>),
    Numbers(Vec<i64>),
    /// Texts of digits alone, and no other.
    Digits,
}

impl Draft {
    pub(crate) fn toml(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                text.push_str(&format!("{key} = {value}\n"));
            }
        };
        let number = |number: f64| {
            if number.fract() == 0.0 { format!("{number:.0}") } else { format!("{number:?}") }
        };
        let list = |names: &Vec<String>| {
            let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            format!("[{}]", names.join(", "))
        };
        let word = |word: &str, used: bool| used.then(|| format!("\"{word}\""));
        line("max-age-s", self.max_age_s.map(|age| age.to_string()));
        line("max-future-s", self.max_future_s.map(|future| future.to_string()));
        line("step", self.step.map(number));
        line("min", self.min.map(number));
        line("max", self.max.map(number));
        line("out-of-range", word(self.out_of_range, self.has_range()));
        line("max-length", self.max_length.map(|length| length.to_string()));
        line("max-bytes", self.max_bytes.map(|bytes| bytes.to_string()));
        line("content-types", self.content_types.as_ref().map(list));
        line("too-long", word(self.too_long, self.has_length()));
        line(
            "allowed",
            match &self.allowed {
                Some(Allowed::Texts(texts)) => Some(list(texts)),
                Some(Allowed::Numbers(numbers)) => Some(format!("{numbers:?}")),
                _ => None,
            },
        );
        let digits = matches!(self.allowed, Some(Allowed::Digits));
        line("pattern", digits.then(|| "'[0-9]*'".to_owned()));
        line("not-allowed", word(self.not_allowed, self.allowed.is_some()));
        line("pseudonym", self.pseudonym.then(|| "true".to_owned()));
        let open = |open: &Vec<DataType>| {
            list(&open.iter().map(|datatype| datatype.name().to_owned()).collect())
        };
        line("open-datatypes", self.open.as_ref().map(open));
        line("deadband", self.deadband.map(number));
        line("deadband-percent", self.deadband_percent.map(number));
        line("min-interval-ms", self.min_interval_ms.map(|interval| interval.to_string()));
        line("properties", self.properties.as_ref().map(list));
        line("columns", self.columns.as_ref().map(list));
        line("parameters", self.parameters.as_ref().map(list));
        text
    }

    pub(crate) fn has_range(&self) -> bool {
        self.min.is_some() || self.max.is_some()
    }

    pub(crate) fn has_length(&self) -> bool {
        self.max_length.is_some() || self.max_bytes.is_some()
    }

    pub(crate) fn has_deadband(&self) -> bool {
        self.deadband.is_some() || self.deadband_percent.is_some()
    }

    /// Step by step, what is mentioned here replaces what `base` has.
    pub(crate) fn over(&self, base: &Draft) -> Draft {
        let mut all = base.clone();
        let own = self.clone();
        all.max_age_s = own.max_age_s.or(all.max_age_s);
        all.max_future_s = own.max_future_s.or(all.max_future_s);
        all.step = own.step.or(all.step);
        if own.has_range() {
            (all.min, all.max, all.out_of_range) = (own.min, own.max, own.out_of_range);
        }
        if own.has_length() {
            (all.max_length, all.max_bytes) = (own.max_length, own.max_bytes);
            all.content_types = own.content_types;
            all.too_long = own.too_long;
        }
        if own.allowed.is_some() {
            (all.allowed, all.not_allowed) = (own.allowed, own.not_allowed);
        }
        all.pseudonym |= own.pseudonym;
        all.open = own.open.or(all.open);
        if own.deadband.is_some() || own.deadband_percent.is_some() {
            (all.deadband, all.deadband_percent) = (own.deadband, own.deadband_percent);
        }
        all.min_interval_ms = own.min_interval_ms.or(all.min_interval_ms);
        all.properties = own.properties.or(all.properties);
        all.columns = own.columns.or(all.columns);
        all.parameters = own.parameters.or(all.parameters);
        all
    }

    /// Whether there is a multiple of the step next to `end`.
    pub(crate) fn has_multiple(&self, end: f64, min: f64, max: f64) -> bool {
        self.step.is_none_or(|step| {
            let multiples = [(end / step).floor() * step, (end / step).ceil() * step];
            multiples.iter().any(|multiple| (min..=max).contains(multiple))
        })
    }

    pub(crate) fn opens(&self, datatype: DataType) -> bool {
        match datatype {
            DataType::Bytes => self.max_bytes.is_some(),
            DataType::File => self.max_bytes.is_some() && self.content_types.is_some(),
            DataType::DataSet => self.columns.as_ref().is_some_and(|list| !list.is_empty()),
            _ => true,
        }
    }

    pub(crate) fn looks_at_values(&self) -> bool {
        self.has_range()
            || self.has_length()
            || self.allowed.is_some()
            || self.pseudonym
            || self.step.is_some()
            || self.has_deadband()
            || self.min_interval_ms.is_some()
    }

    /// Whether the checks on content leave the datatype a way across: one of them looks at all of its
    /// values, and none is about what its values can hold and can't look at it. What a table says
    /// by itself is `own`; else what has a fixed size is never too long, and a cap on bytes says nothing
    /// of other values.
    pub(crate) fn can_shape(&self, datatype: DataType, own: bool) -> bool {
        let no_texts = self.max_length.is_none() && !self.pseudonym;
        if !own && !self.has_range() && no_texts && self.allowed.is_none() {
            return true;
        }
        let fixed = is_number(datatype) || datatype == DataType::Boolean;
        let fixed = fixed || datatype == DataType::DateTime;
        let is_array = |of: DataType| datatype.name() == format!("{}Array", of.name());
        let number_arrays = DataType::ALL.iter().filter(|one| is_number(**one));
        let numbers = number_arrays.copied().any(is_array);
        let mixed = matches!(datatype, DataType::Template | DataType::DataSet);
        let texts = is_array(DataType::String);
        // Whether it is there, looks at all values, is blind for what they can hold.
        let checks = [
            (self.has_range(), is_number(datatype), numbers || mixed),
            (self.max_length.is_some(), is_text(datatype) || (fixed && !own), texts || mixed),
            (self.max_bytes.is_some(), is_bytes(datatype), false),
            (
                matches!(self.allowed, Some(Allowed::Numbers(_))),
                is_integer(datatype),
                numbers || mixed || matches!(datatype, DataType::Float | DataType::Double),
            ),
            (
                matches!(self.allowed, Some(Allowed::Texts(_) | Allowed::Digits)),
                is_text(datatype),
                texts || mixed,
            ),
            (
                self.pseudonym,
                is_text(datatype),
                texts || mixed || matches!(datatype, DataType::Bytes | DataType::File),
            ),
        ];
        let said: Vec<_> = checks.into_iter().filter(|(said, ..)| *said).collect();
        said.is_empty()
            || (said.iter().any(|(_, looks, _)| *looks) && !said.iter().any(|(.., blind)| *blind))
    }

    pub(crate) fn is_open(&self, datatype: DataType) -> bool {
        self.open.iter().flatten().any(|open| *open == datatype)
    }
}

/// What the shapes of a rule say of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Word {
    Crosses,
    /// It is another rule's business.
    Opaque,
    Unshapeable,
}

impl Shapes {
    pub(crate) fn toml(&self) -> String {
        let mut text = String::new();
        if let Some(base) = &self.base {
            text.push_str(&format!("[rule.shape]\n{}", base.toml()));
        }
        for Table { names, inherit, own } in &self.tables {
            let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
            text.push_str(&format!(
                "[[rule.metric]]\nnames = [{}]\ninherit = {inherit}\n{}",
                names.join(", "),
                own.toml()
            ));
        }
        text
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| listed(&Some(table.names.clone()), name))
    }

    pub(crate) fn of(&self, name: &str) -> Draft {
        let base = self.base.clone().unwrap_or_default();
        match self.table(name) {
            Some(table) if table.inherit => table.own.over(&base),
            Some(table) => table.own.clone(),
            None => base,
        }
    }

    pub(crate) fn word(&self, name: &str, datatype: DataType) -> Word {
        let draft = self.of(name);
        let is_mixed = matches!(datatype, DataType::Template | DataType::DataSet);
        let named = self.table(name).is_none_or(|table| {
            table.own.can_shape(datatype, true) && !(is_mixed && table.own.looks_at_values())
        });
        if !named && !draft.is_open(datatype) {
            Word::Unshapeable
        } else if !draft.opens(datatype) {
            Word::Opaque
        } else if draft.can_shape(datatype, false) || draft.is_open(datatype) {
            Word::Crosses
        } else {
            Word::Unshapeable
        }
    }

    pub(crate) fn shapes_member(&self, path: &str) -> bool {
        self.tables
            .iter()
            .any(|table| table.own.looks_at_values() && listed(&Some(table.names.clone()), path))
    }
}

pub(crate) fn is_integer(datatype: DataType) -> bool {
    width(datatype).is_some()
}

pub(crate) fn is_number(datatype: DataType) -> bool {
    is_integer(datatype) || matches!(datatype, DataType::Float | DataType::Double)
}

pub(crate) fn is_text(datatype: DataType) -> bool {
    matches!(datatype, DataType::String | DataType::Text | DataType::UUID)
}

pub(crate) fn is_bytes(datatype: DataType) -> bool {
    matches!(datatype, DataType::Bytes | DataType::File) || datatype.code() >= 22
}

/// Bits, and whether there is a sign.
pub(crate) fn width(datatype: DataType) -> Option<(u32, bool)> {
    match datatype {
        DataType::Int8 => Some((8, true)),
        DataType::Int16 => Some((16, true)),
        DataType::Int32 => Some((32, true)),
        DataType::Int64 => Some((64, true)),
        DataType::UInt8 => Some((8, false)),
        DataType::UInt16 => Some((16, false)),
        DataType::UInt32 => Some((32, false)),
        DataType::UInt64 => Some((64, false)),
        _ => None,
    }
}

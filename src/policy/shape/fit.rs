//! What shapes can look at, and what becomes of the rest: a datatype that the checks of a table
//! have no eye for doesn't cross, as an edge node could else change a metric's type to evade them.

use sparkplug::DataType;

use super::{RuleShapes, Shape, is_bytes, is_integer, is_number, is_text};
use crate::rule::DataTypes;

/// What the shapes of a rule come to for one metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It can be shaped, or there is nothing to shape.
    Fits,
    /// Its value is opaque, and the rule doesn't open it.
    Opaque,
    /// The rule checks what crosses, and can't look at values of its datatype.
    Unshapeable,
}

impl Fit {
    /// What a rule without shapes comes to.
    pub(crate) fn of_unshaped(datatype: Option<DataType>) -> Fit {
        match datatype {
            Some(DataType::Bytes | DataType::File | DataType::DataSet) => Fit::Opaque,
            _ => Fit::Fits,
        }
    }
}

/// What one check is for a datatype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eye {
    /// It looks at every value.
    Sees,
    /// The datatype can hold what the check is about, and it can't look into it.
    Blind,
    /// It is about something else.
    Elsewhere,
}

impl RuleShapes {
    /// Whether values of the metric can be shaped as the rule asks. A metric whose datatype isn't
    /// known is some kind of text; see [`crate::EntityPlan::judge`].
    pub(crate) fn fit(&self, name: &str, datatype: Option<DataType>) -> Fit {
        let datatype = datatype.unwrap_or(DataType::String);
        let table = self.table(name);
        let shape = table.map_or(&self.base, |table| &table.shape);
        let own = table.map(|table| &table.own);
        let is_named =
            shape.is_open(datatype) || own.is_none_or(|own| own.can_shape_named(datatype));
        if is_named && !shape.opens(datatype) {
            // Another rule may open it.
            return Fit::Opaque;
        }
        if shape.fits(own, datatype) { Fit::Fits } else { Fit::Unshapeable }
    }

    /// Every list of datatypes that one of the tables opens.
    pub fn open_datatypes(&self) -> impl Iterator<Item = DataTypes> + '_ {
        self.tables
            .iter()
            .map(|table| &table.shape)
            .chain([&self.base])
            .filter_map(|shape| shape.open)
    }
}

impl Shape {
    /// Whether opaque values of this datatype may cross.
    pub(super) fn opens(&self, datatype: DataType) -> bool {
        let length = self.length.as_ref();
        match datatype {
            DataType::Bytes => length.is_some_and(|length| length.max_bytes.is_some()),
            DataType::File => length
                .is_some_and(|length| length.max_bytes.is_some() && length.content_types.is_some()),
            DataType::DataSet => self.disarm.has_columns(),
            _ => true,
        }
    }

    /// Whether it has a step that looks at values, or holds them back.
    pub(super) fn looks_at_values(&self) -> bool {
        self.checks_content()
            || self.step.is_some()
            || self.deadband.is_some()
            || self.min_interval.is_some()
    }

    /// Whether it says what of the content of values may cross.
    pub(super) fn checks_content(&self) -> bool {
        self.range.is_some()
            || self.length.is_some()
            || self.allowed.is_some()
            || self.pseudonym.is_some()
    }

    /// Whether there is a check that values of other datatypes could evade.
    pub(super) fn restricts(&self) -> bool {
        self.range.is_some()
            || self.length.as_ref().is_some_and(|length| length.max_length.is_some())
            || self.allowed.is_some()
            || self.pseudonym.is_some()
    }

    /// Whether the datatype was listed as one that may cross unlooked at.
    fn is_open(&self, datatype: DataType) -> bool {
        self.open.is_some_and(|open| open.contains(datatype))
    }

    /// Whether a member of a template may cross: `path` is its name, with those of the members that it
    /// is in, below the metric. Ask from the metric downwards.
    pub fn takes_member(&self, path: &str, datatype: Option<DataType>) -> bool {
        self.takes_inside(datatype) && self.disarm.takes_member(path)
    }

    /// Whether a parameter of a template may cross; `path` as for members.
    pub fn takes_parameter(&self, path: &str, datatype: Option<DataType>) -> bool {
        self.takes_inside(datatype) && self.disarm.takes_parameter(path)
    }

    /// Whether something of this datatype may cross in a template: no check looks inside.
    fn takes_inside(&self, datatype: Option<DataType>) -> bool {
        !self.restricts()
            || datatype == Some(DataType::Template)
            || datatype.is_some_and(|datatype| self.is_open(datatype))
    }

    /// Whether values of the datatype are looked at, or may cross unlooked at. `own` is what the
    /// table says by itself that has this shape.
    pub(super) fn fits(&self, own: Option<&Shape>, datatype: DataType) -> bool {
        self.is_open(datatype)
            || (own.is_none_or(|own| own.can_shape_named(datatype)) && self.can_shape(datatype))
    }

    /// Whether the datatype leaves the checks no gap: one of them looks at its values, and none that is
    /// about what they can hold is blind for it. A cap on bytes alone restricts nothing else, and
    /// values of fixed size can't be too long.
    fn can_shape(&self, datatype: DataType) -> bool {
        if !self.restricts() {
            return true;
        }
        let has_length = self.length.as_ref().is_some_and(|length| length.max_length.is_some());
        let eyes = self.eyes(datatype);
        let sees = eyes.contains(&Some(Eye::Sees)) || (has_length && is_fixed(datatype));
        sees && !eyes.contains(&Some(Eye::Blind))
    }

    /// The same of what a table says by itself that names the metric: it has to look at it by a check
    /// of its own, where it has any, and has no use for a template or data set with any step on values.
    pub(super) fn can_shape_named(&self, datatype: DataType) -> bool {
        if matches!(datatype, DataType::Template | DataType::DataSet) {
            return !self.looks_at_values();
        }
        let eyes = self.eyes(datatype);
        !self.checks_content()
            || (eyes.contains(&Some(Eye::Sees)) && !eyes.contains(&Some(Eye::Blind)))
    }

    /// What each of the checks, where there is one, is for the datatype.
    fn eyes(&self, datatype: DataType) -> [Option<Eye>; 5] {
        let eye = |sees: bool, is_about: bool| match (sees, is_about) {
            (true, _) => Eye::Sees,
            (false, true) => Eye::Blind,
            (false, false) => Eye::Elsewhere,
        };
        let is_mixed = matches!(datatype, DataType::Template | DataType::DataSet);
        let is_opaque = matches!(datatype, DataType::Bytes | DataType::File);
        let has_texts = is_mixed || is_text(datatype) || datatype == DataType::StringArray;
        let has_numbers = is_mixed || is_number(datatype) || is_number_array(datatype);
        let length = self.length.as_ref();
        let of_length = length.filter(|length| length.max_length.is_some());
        let of_bytes = length.filter(|length| length.max_bytes.is_some());
        [
            self.range.map(|_| eye(is_number(datatype), has_numbers)),
            of_length.map(|_| eye(is_text(datatype), has_texts)),
            of_bytes.map(|_| eye(is_bytes(datatype), false)),
            self.allowed.as_ref().map(|allowed| {
                let is_about = if allowed.is_of_numbers() { has_numbers } else { has_texts };
                eye(allowed.looks_at(datatype), is_about)
            }),
            // Bytes can be a text as well.
            self.pseudonym.as_ref().map(|_| eye(is_text(datatype), has_texts || is_opaque)),
        ]
    }
}

/// What shapes tell apart of datatypes: those of the same kinship can be shaped, and opened, alike.
pub type Kinship = (bool, bool, bool, bool, bool, bool, Option<DataType>);

pub fn kinship(datatype: DataType) -> Kinship {
    let alone = match datatype {
        DataType::Bytes
        | DataType::File
        | DataType::DataSet
        | DataType::Template
        | DataType::StringArray => Some(datatype),
        _ => None,
    };
    (
        is_integer(datatype),
        is_number(datatype),
        is_number_array(datatype),
        is_text(datatype),
        is_bytes(datatype),
        is_fixed(datatype),
        alone,
    )
}

/// Int8Array to DoubleArray.
fn is_number_array(datatype: DataType) -> bool {
    (DataType::Int8Array..=DataType::DoubleArray).contains(&datatype)
}

/// Whether all values of the datatype have the same few bytes.
fn is_fixed(datatype: DataType) -> bool {
    is_number(datatype) || matches!(datatype, DataType::Boolean | DataType::DateTime)
}

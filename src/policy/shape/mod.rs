//! Shaping: what of an admitted metric's values crosses, and as what. A pure function of the
//! policy, the value, the times that are passed in, and the value that was forwarded last.
//!
//! # The language
//!
//! A forward rule may have one `[rule.shape]`, for all that it forwards, and `[[rule.metric]]`
//! tables with the same keys for metrics by name. For a metric the first `[[rule.metric]]` whose
//! `names` match decides together with `[rule.shape]`: every step that it mentions replaces the
//! same step of `[rule.shape]`; with `inherit = false` it stands alone.
//!
//! ```toml
//! [rule.shape]
//! max-age-s = 3600
//! [[rule.metric]]
//! names = ["Temperature/**"]
//! min = -40
//! max = 250
//! out-of-range = "null"     # or "drop" (default), "clamp"
//! deadband = 0.5
//! min-interval-ms = 1000
//! ```
//!
//! The steps, in the order in which they are taken:
//!
//! | step | keys | of which datatypes |
//! |---|---|---|
//! | time | `max-age-s`, `max-future-s` | all |
//! | quantise | `step` | numbers; whole numbers only by a whole step |
//! | range | `min`, `max`, `out-of-range` | numbers |
//! | length | `max-length` (characters), `too-long` | String, Text, UUID |
//! | | `max-bytes`, `content-types`, `too-long` | Bytes, File, arrays |
//! | allowed | `allowed`, `pattern`, `not-allowed` | String, Text, UUID; integers by a list |
//! | pseudonym | `pseudonym` | String, Text, UUID |
//! | disarm | `properties`, `metadata`, `columns`, `members`, `parameters` | all |
//! | deadband | `deadband`, `deadband-percent` | numbers |
//! | interval | `min-interval-ms` | all but Template and File |
//!
//! - **Births** take the stateless steps (all but time, deadband and interval). What data would
//!   drop is null with property `Quality` 0 (BAD) in a birth, since a birth has every metric. A
//!   time in the future, beyond `max-future-s`, makes the value null as well, dated now; how old
//!   a value in a birth is doesn't matter, since births repeat what holds still.
//! - **Historical values** take all steps but deadband and interval.
//! - **Null** is a statement without a value: only time, disarm, deadband (null and not null
//!   always differ) and interval look at it.
//! - **NaN and infinities** are outside every range. `clamp` brings an infinity to the bound on
//!   its side; what can't be clamped becomes null. Without a range they cross as they are. With a
//!   `step`, clamping brings numbers to the nearest multiple inside of the range.
//! - **Integers** are compared exactly, as two's complement of their datatype's width. What a
//!   step or clamp makes has to fit the datatype: a multiple that doesn't is replaced by the next
//!   one towards zero, a bound that doesn't becomes null.
//! - A change of properties (quality above all) passes the deadband, and so does the first value
//!   after messages of the node were lost: readers doubt what they hold.
//! - **What can't be looked at doesn't cross** ([`Reason::Unshapeable`]): where range, length,
//!   allowed or pseudonym say what of a metric's content may cross, none of another datatype than
//!   these look at does, so that a node can't evade them by another type. `open-datatypes` names
//!   those that may cross unlooked at; templates that it opens have members of open datatypes alone.
//!   A template or data set that a `[[rule.metric]]` with any step on values names is dropped too, and a
//!   template member that such a table names is taken out like a denied one. A rule whose
//!   `datatypes` leave a step without use is an error when the policy is loaded.
//! - **Texts beside the value** (properties, descriptions, names of files) go the way of texts:
//!   length, allowed and pseudonym look at them too, whatever the datatype of their metric. What
//!   may not cross of them is left out.
//! - **Opaque** values don't cross unless a shape opens them: Bytes by `max-bytes`, File by
//!   `max-bytes` and `content-types`, DataSet by `columns`. A rule that doesn't open them is passed
//!   over, as one without their datatype would be.

mod compare;
mod disarm;
mod fit;
mod numbers;
mod pseudonym;
pub(crate) mod reader;
mod shaper;
mod texts;
mod words;

use std::sync::Arc;
use std::time::Duration;

#[cfg(doc)]
use account::Reason;
use disarm::Disarm;
pub(crate) use fit::Fit;
pub use fit::{Kinship, kinship};
use numbers::{Deadband, Range, Step};
use pseudonym::Pseudonym;
pub use pseudonym::{KeyError, PseudonymKey, Pseudonyms};
pub use shaper::{
    Change, Changes, Last, ShapeState, Shaped, is_bad_null, is_part, restore_quality, set_bad,
};
use sparkplug::DataType;
use texts::{Allowed, Length};
pub use texts::{Pattern, PatternError};

use crate::rule::DataTypes;
use crate::rule::glob::Glob;

/// Everything that a rule says about the values of one metric.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    max_age: Option<Duration>,
    max_future: Option<Duration>,
    step: Option<Step>,
    range: Option<Range>,
    length: Option<Length>,
    allowed: Option<Allowed>,
    pseudonym: Option<Pseudonym>,
    /// Datatypes that cross although the steps from range to pseudonym can't look at them.
    open: Option<DataTypes>,
    disarm: Disarm,
    deadband: Option<Deadband>,
    min_interval: Option<Duration>,
}

/// What a value that fails a check becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Refusal {
    /// The metric is left out of the message.
    #[default]
    Drop,
    /// Null with Quality 0.
    Null,
}

/// All shapes of one rule.
#[derive(Clone, Debug, Default)]
pub struct RuleShapes {
    /// `[rule.shape]`: for metrics that no table names.
    base: Arc<Shape>,
    /// `[[rule.metric]]`, in their order.
    tables: Vec<MetricTable>,
    /// The names of those tables that look at values.
    members: Vec<Glob>,
    /// Whether the rule has a `[rule.shape]`.
    has_base: bool,
}

/// One `[[rule.metric]]`.
#[derive(Clone, Debug)]
struct MetricTable {
    names: Vec<Glob>,
    /// With what it takes over from `[rule.shape]`.
    shape: Arc<Shape>,
    /// What the table says by itself.
    own: Shape,
}

impl RuleShapes {
    /// Whether no table and no shape was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty() && !self.has_base
    }

    /// The shape of the metric `name`; the usual one where the rule says nothing.
    pub fn shape(&self, name: &str) -> &Arc<Shape> {
        self.table(name).map_or(&self.base, |table| &table.shape)
    }

    /// Whether values of some metric have to be further apart than the plant's, in time or in
    /// number: then what crosses goes by what crossed before.
    pub fn space_any(&self) -> bool {
        let tables = self.tables.iter().map(|table| &table.shape);
        let has_interval = |shape: &Shape| shape.min_interval.is_some_and(|least| !least.is_zero());
        tables.chain([&self.base]).any(|shape| shape.deadband.is_some() || has_interval(shape))
    }

    /// Whether it lets opaque values of some metric cross.
    pub fn opens_any(&self) -> bool {
        let tables = self.tables.iter().map(|table| &table.shape);
        tables
            .chain([&self.base])
            .any(|shape| shape.opens(DataType::Bytes) || shape.opens(DataType::DataSet))
    }

    /// Whether values that are opaque may be refused by one of the tables, which a rule that says nothing
    /// of them leaves to others.
    pub fn may_refuse_opaque(&self) -> bool {
        let opaque = [DataType::Bytes, DataType::File, DataType::DataSet];
        let refuses = |table: &MetricTable| {
            opaque.iter().any(|datatype| !table.own.can_shape_named(*datatype))
        };
        self.tables.iter().any(refuses)
    }

    /// The names of all tables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Glob> {
        self.tables.iter().flat_map(|table| &table.names)
    }

    /// The names of tables that would shape a template member, which can't be done; `None` if
    /// there is none.
    pub(crate) fn unshapeable_members(&self) -> Option<&[Glob]> {
        Some(self.members.as_slice()).filter(|members| !members.is_empty())
    }

    /// The same as a list.
    pub(crate) fn members(&self) -> &[Glob] {
        &self.members
    }

    /// The same, to be prepared for being looked up.
    pub(crate) fn members_mut(&mut self) -> &mut [Glob] {
        &mut self.members
    }

    /// Whether some metric's strings are replaced by pseudonyms.
    pub(crate) fn uses_pseudonyms(&self) -> bool {
        let tables = self.tables.iter().map(|table| &table.shape);
        tables.chain([&self.base]).any(|shape| shape.pseudonym.is_some())
    }

    fn table(&self, name: &str) -> Option<&MetricTable> {
        let named = |table: &&MetricTable| table.names.iter().any(|glob| glob.matches(name));
        self.tables.iter().find(named)
    }
}

impl Shape {
    /// The shape of rules that have none: what may stand beside a value is limited even so.
    pub fn unshaped() -> &'static Arc<Shape> {
        static UNSHAPED: std::sync::LazyLock<Arc<Shape>> = std::sync::LazyLock::new(Arc::default);
        &UNSHAPED
    }

    /// Whether values of this datatype have to be looked at one by one; what is disarmed, has to
    /// be anyway.
    pub fn shapes(&self, datatype: DataType) -> bool {
        let texts = is_text(datatype) && self.pseudonym.is_some();
        self.max_age.is_some()
            || self.max_future.is_some()
            || (is_number(datatype)
                && (self.step.is_some() || self.range.is_some() || self.deadband.is_some()))
            || self.length.as_ref().is_some_and(|length| length.looks_at(datatype))
            || self.allowed.as_ref().is_some_and(|allowed| allowed.looks_at(datatype))
            || texts
            || self.interval(datatype).is_some()
    }

    /// Whether it keeps values of the datatype back for being too near to the last one, in value or
    /// time.
    pub fn spaces(&self, datatype: DataType) -> bool {
        (is_number(datatype) && self.deadband.is_some()) || self.interval(datatype).is_some()
    }

    /// Least time between two values of a metric of this datatype.
    pub fn interval(&self, datatype: DataType) -> Option<Duration> {
        // A template's data are the members that changed and a file's are its parts: keeping the
        // newest alone would lose the others.
        let whole = !matches!(datatype, DataType::Template | DataType::File);
        self.min_interval.filter(|interval| whole && !interval.is_zero())
    }

    /// Takes over from `base` what isn't said here.
    fn or(self, base: &Shape) -> Shape {
        Shape {
            max_age: self.max_age.or(base.max_age),
            max_future: self.max_future.or(base.max_future),
            step: self.step.or(base.step),
            range: self.range.or(base.range),
            length: self.length.or_else(|| base.length.clone()),
            allowed: self.allowed.or_else(|| base.allowed.clone()),
            pseudonym: self.pseudonym.or_else(|| base.pseudonym.clone()),
            open: self.open.or(base.open),
            disarm: self.disarm.or(&base.disarm),
            deadband: self.deadband.or(base.deadband),
            min_interval: self.min_interval.or(base.min_interval),
        }
    }
}

/// Int8 to UInt64.
fn is_integer(datatype: DataType) -> bool {
    (DataType::Int8..=DataType::UInt64).contains(&datatype)
}

/// Integers, Float and Double.
fn is_number(datatype: DataType) -> bool {
    (DataType::Int8..=DataType::Double).contains(&datatype)
}

/// String, Text and UUID.
fn is_text(datatype: DataType) -> bool {
    matches!(datatype, DataType::String | DataType::Text | DataType::UUID)
}

/// Bytes, File and arrays.
fn is_bytes(datatype: DataType) -> bool {
    matches!(datatype, DataType::Bytes | DataType::File) || datatype >= DataType::Int8Array
}

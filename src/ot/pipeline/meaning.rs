//! What the metrics of a data message mean: which metric of the birth each of them is, and whether
//! its value can be one of it.

use account::Reason;
use sparkplug::value::{Typed, fits, read};
use sparkplug::{BadPart, Borrowed, DataType, Metric, NamedMetric, Part};

use crate::plant::{EntityState, Fault, is_definition, reason_of};

/// What a metric of a message came to before the policy was asked.
pub(super) enum Meaning<'a> {
    /// The metric is without its name, which is the slot's.
    Slot(usize, Metric),
    /// Not in the birth, but named and typed.
    New(Metric, DataType),
    /// A metric of the birth with a value that can't be used: what the plant has of it isn't known.
    Unreadable(usize, Unusable),
    /// It isn't known which metric it is. Its name, where it has one.
    Refused(Option<&'a str>, Unusable),
}

/// A metric that can't be used, and why.
pub(super) struct Unusable {
    pub(super) metric: Metric,
    pub(super) reason: Reason,
    bad: Option<BadPart>,
}

impl Unusable {
    fn part(metric: Metric, bad: BadPart) -> Unusable {
        Unusable { metric, reason: reason_of(bad.fault), bad: Some(bad) }
    }

    fn whole(metric: Metric, reason: Reason) -> Unusable {
        Unusable { metric, reason, bad: None }
    }

    /// What is wrong with it. `born`: as its birth has it.
    pub(super) fn fault(&self, name: Option<&str>, born: Option<DataType>) -> Fault {
        let has_name = name.is_some_and(|name| !name.is_empty());
        match (self.bad, self.reason) {
            (Some(bad), _) => Fault::of_part(&bad),
            (None, Reason::UnknownMetric) => Fault::of_unknown(&self.metric, has_name),
            (None, _) => Fault::of_value(born, &self.metric),
        }
    }
}

impl Meaning<'_> {
    /// Whether it can't be data of the birth that is known.
    pub(super) fn speaks_against_birth(&self) -> bool {
        match self {
            Meaning::Refused(..) => true,
            Meaning::Unreadable(_, unusable) => unusable.reason == Reason::TypeMismatch,
            Meaning::Slot(..) | Meaning::New(..) => false,
        }
    }
}

/// The metrics of a data message by what they mean.
pub(super) struct Resolved<'a> {
    pub(super) meanings: Vec<Meaning<'a>>,
    /// What was left out beside values, in metrics that may be of use all the same.
    pub(super) beside: Vec<Beside<'a>>,
}

/// Properties or metadata that were left out, and of which metric.
pub(super) struct Beside<'a> {
    /// Its place in the birth, where that has it.
    pub(super) slot: Option<usize>,
    pub(super) name: Option<&'a str>,
    pub(super) bad: BadPart,
}

/// Finds the slot of every metric, and checks that its value fits.
pub(super) fn resolve<'a>(state: &EntityState, payload: Borrowed<'a>) -> Resolved<'a> {
    // In the order of the metrics.
    let mut bad = payload.bad.into_iter().peekable();
    let mut beside = Vec::new();
    let meaning = |(place, named): (usize, NamedMetric<'a>)| {
        let mut bad_value = None;
        while let Some(bad) = bad.next_if(|bad| bad.metric == place) {
            match bad.part {
                Part::Value => bad_value = Some(bad),
                Part::Beside => {
                    let slot = state.layout.find(named.name, named.metric.alias);
                    beside.push(Beside { slot, name: named.name, bad });
                }
            }
        }
        meaning(state, named, bad_value)
    };
    let meanings = payload.metrics.into_iter().enumerate().map(meaning).collect();
    Resolved { meanings, beside }
}

fn meaning<'a>(state: &EntityState, named: NamedMetric<'a>, bad: Option<BadPart>) -> Meaning<'a> {
    let NamedMetric { name, metric } = named;
    let datatype = metric.datatype.and_then(DataType::from_code);
    let Some(place) = state.layout.find(name, metric.alias) else {
        let has_name = name.is_some_and(|name| !name.is_empty());
        return match (bad, datatype) {
            // There is no value of it that readers could hold for its own.
            (Some(bad), _) => Meaning::Refused(name, Unusable::part(metric, bad)),
            (None, Some(datatype)) if has_name && fits_or_is_null(datatype, &metric) => {
                let named = NamedMetric { name, metric };
                Meaning::New(named.into_metric(), datatype)
            }
            (None, Some(_)) if has_name => {
                Meaning::Refused(name, Unusable::whole(metric, Reason::TypeMismatch))
            }
            _ => Meaning::Refused(name, Unusable::whole(metric, Reason::UnknownMetric)),
        };
    };
    if let Some(bad) = bad {
        return Meaning::Unreadable(place, Unusable::part(metric, bad));
    }
    let born = state.layout.slot(place).map(|slot| slot.datatype);
    let agrees = metric.datatype.is_none()
        || datatype == born
        || datatype.zip(born).is_some_and(|(said, born)| says_the_same(said, born, &metric));
    match born {
        Some(born) if agrees && fits_or_is_null(born, &metric) => Meaning::Slot(place, metric),
        _ => Meaning::Unreadable(place, Unusable::whole(metric, Reason::TypeMismatch)),
    }
}

/// Whether the value is the same of either datatype: libraries send an Int64 for a DateTime.
fn says_the_same(said: DataType, born: DataType, metric: &Metric) -> bool {
    let Some(value) = metric.value.as_ref().filter(|_| metric.is_null != Some(true)) else {
        return false;
    };
    let number = |typed: Typed<'_>| match typed {
        Typed::Signed(number) | Typed::DateTime(number) => Some(i128::from(number)),
        Typed::Unsigned(number) => Some(i128::from(number)),
        _ => None,
    };
    match (read(said, value), read(born, value)) {
        (Some(Typed::String(_)), Some(Typed::String(_))) => true,
        (Some(said), Some(born)) => {
            let number_said = number(said);
            number_said.is_some() && number_said == number(born)
        }
        _ => false,
    }
}

/// Whether the metric has a value of this datatype, or none.
fn fits_or_is_null(datatype: DataType, metric: &Metric) -> bool {
    if matches!(datatype, DataType::PropertySet | DataType::PropertySetList) {
        return false;
    }
    match &metric.value {
        Some(value) if metric.is_null != Some(true) => {
            fits(datatype, value) && !is_definition(metric)
        }
        _ => true,
    }
}

/// Puts values in the order of their times where one metric has several, as data must have them
/// (Sparkplug 3.0, operational-behavior-data-publish-nbirth-order): edge nodes send what they have
/// stored in any.
pub(super) fn put_in_time(meanings: &mut [Meaning<'_>], timestamp: u64) {
    let time = |meaning: &Meaning<'_>| match meaning {
        Meaning::Slot(_, metric) | Meaning::New(metric, _) => metric.timestamp.unwrap_or(timestamp),
        _ => timestamp,
    };
    // As the fast path looks at it: the place behind all so far, and the latest time.
    let (mut behind, mut latest) = (0, 0);
    let is_older = |meaning: &Meaning<'_>| {
        let Meaning::Slot(place, _) = meaning else { return false };
        let dated = time(meaning);
        let is_older = *place < behind && dated < latest;
        (behind, latest) = (behind.max(place.saturating_add(1)), latest.max(dated));
        is_older
    };
    if meanings.iter().any(is_older) {
        meanings.sort_by_key(time);
    }
}

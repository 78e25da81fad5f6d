//! What the metrics of a data message mean: which metric of the birth each is, and whether its value
//! fits.

use account::Reason;
use sparkplug::value::fits;
use sparkplug::{Borrowed, Caps, DataType, Metric, NamedMetric};

use crate::plant::{EntityState, Slot, cap_properties, is_definition};

/// What the metrics of a message came to before the policy was asked.
pub(super) enum Meaning<'a> {
    /// The metric is without its name, which is the slot's.
    Slot(usize, Metric),
    /// Not in the birth, but named and typed.
    New(Metric, DataType),
    /// The metric's name, where it has one.
    Refused(Option<&'a str>, Reason),
}

impl Meaning<'_> {
    /// Leaves the metric what properties it may have; its name and why, if that changed it.
    pub(super) fn cap(&mut self, state: &EntityState) -> Option<(String, Reason)> {
        let (place, metric) = match self {
            Meaning::Slot(place, metric) => (Some(*place), metric),
            Meaning::New(metric, _) => (None, metric),
            Meaning::Refused(..) => return None,
        };
        if !cap_properties(metric) {
            return None;
        }
        let slot = place.and_then(|place| state.layout.slot(place));
        let name = slot.map(Slot::name).or(metric.name.as_deref()).unwrap_or_default().to_owned();
        Some((name, Reason::OverCap))
    }
}

/// Finds the slot of every metric, and checks that its value fits.
pub(super) fn resolve<'a>(state: &EntityState, payload: Borrowed<'a>) -> Vec<Meaning<'a>> {
    let meaning = |named: NamedMetric<'a>| {
        let NamedMetric { name, metric } = &named;
        let datatype = metric.datatype.and_then(DataType::from_code);
        let Some(place) = state.layout.find(*name, metric.alias) else {
            let has_name = name.is_some_and(|name| !name.is_empty());
            return match datatype {
                Some(datatype) if has_name && fits_or_is_null(datatype, metric) => {
                    Meaning::New(named.into_metric(), datatype)
                }
                Some(_) if has_name => Meaning::Refused(*name, Reason::TypeMismatch),
                _ => Meaning::Refused(*name, Reason::UnknownMetric),
            };
        };
        let born = state.layout.slot(place).map(|slot| slot.datatype);
        let agrees = metric.datatype.is_none() || datatype == born;
        match born {
            Some(born) if agrees && fits_or_is_null(born, metric) => {
                Meaning::Slot(place, named.metric)
            }
            _ => Meaning::Refused(*name, Reason::TypeMismatch),
        }
    };
    payload.metrics.into_iter().take(Caps::METRICS).map(meaning).collect()
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

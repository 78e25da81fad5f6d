//! What the mirror's copy of the policy says of one metric, asked again about data of it.

use std::sync::Arc;

use account::RuleId;
use policy::shape::{Pseudonyms, Shape};
use sparkplug::{DataType, Exceeded, Metric, Template, TemplatePlaces, Value};

/// What the policy says of a mirrored metric.
#[derive(Debug, Clone)]
pub(super) struct PolicyRecheck {
    /// The rule that forwards or redacts it.
    pub(super) rule: RuleId,
    /// `None`: it is redacted.
    pub(super) shape: Option<Arc<Shape>>,
    /// Whether numbers and truth values have to be looked at.
    pub(super) checks_scalars: bool,
}

/// Metrics of one frame of which something was refused, with the rule that says so.
#[derive(Debug, Default)]
pub(super) struct Refusals(pub(super) Vec<(String, Option<RuleId>)>, pub(super) LeftOut);

/// What of the metrics of one frame can't be kept, and stands beside a value or in it.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Metrics with more properties than may be remembered, and the first one.
    pub(super) over: u64,
    pub(super) first_over: Option<(String, Exceeded)>,
    /// Members and parameters that births don't have, and the first one with its metric.
    pub(super) others: u64,
    pub(super) first_other: Option<String>,
}

impl LeftOut {
    /// Not all properties of the metric can be remembered.
    pub(super) fn leave_out(&mut self, metric: &str, over: Exceeded) {
        self.over = self.over.saturating_add(1);
        self.first_over.get_or_insert_with(|| (metric.to_owned(), over));
    }

    /// So many members were taken out of the metric, `first` first.
    pub(super) fn take_out(&mut self, metric: &str, first: &str, others: u64) {
        self.others = self.others.saturating_add(others);
        self.first_other.get_or_insert_with(|| format!("{metric}/{first}"));
    }
}

impl PolicyRecheck {
    /// Whether numbers and truth values have to be refusals one by one.
    pub(super) fn checks_scalars(&self) -> bool {
        self.checks_scalars
    }

    /// Looks at data of the metric `born` and makes of it what may be published; whether any may.
    /// `places` are those of the born one's value.
    pub(super) fn recheck(
        &self,
        born: &Metric,
        metric: &mut Metric,
        refusals: &mut Refusals,
        places: &mut TemplatePlaces,
    ) -> bool {
        let datatype = born.datatype.and_then(DataType::from_code);
        let (Some(shape), Some(datatype)) = (&self.shape, datatype) else {
            refusals.refuse(born, Some(self.rule));
            return false;
        };
        let has_others = match (&born.value, &metric.value) {
            (Some(Value::Template(born)), Some(Value::Template(instance))) => {
                has_others(born, instance, places)
            }
            _ => false,
        };
        if has_others || shape.refuses_again(datatype, metric).is_some() {
            refusals.refuse(born, Some(self.rule));
            return false;
        }
        if shape.apply(datatype, metric, Pseudonyms::Check).any() {
            refusals.refuse(born, Some(self.rule));
        }
        true
    }

    /// The same for a metric of a birth, which stays; whether it changed.
    pub(super) fn recheck_birth(&self, metric: &mut Metric) -> bool {
        let datatype = metric.datatype.and_then(DataType::from_code);
        let (Some(shape), Some(datatype)) = (&self.shape, datatype) else {
            let had_any =
                metric.value.is_some() || metric.properties.is_some() || metric.metadata.is_some();
            metric.value = None;
            metric.is_null = Some(true);
            metric.properties = None;
            metric.metadata = None;
            return had_any;
        };
        shape.apply_to_birth(datatype, metric, Pseudonyms::Check).any()
    }
}

impl Refusals {
    pub(super) fn refuse(&mut self, metric: &Metric, rule: Option<RuleId>) {
        self.0.push((metric.name.clone().unwrap_or_default(), rule));
    }
}

/// Whether an instance has members or parameters that the one in the birth, which was judged,
/// hasn't. Recursion is bounded by the depth that was decoded.
fn has_others(born: &Template, instance: &Template, places: &mut TemplatePlaces) -> bool {
    let mut member = |member: &Metric| {
        let place = places.member(born, member.name.as_deref().unwrap_or_default());
        let known = place.and_then(|place| Some((place, born.metrics.get(place)?)));
        let Some((place, known)) = known else { return true };
        match (&known.value, &member.value) {
            (Some(Value::Template(born)), Some(Value::Template(inner))) => {
                has_others(born, inner, places.within(place))
            }
            // Nothing of it was judged.
            (_, Some(Value::Template(_))) => true,
            _ => false,
        }
    };
    if instance.metrics.iter().any(&mut member) {
        return true;
    }
    let parameters = &instance.parameters;
    !parameters.iter().all(|parameter| {
        places.parameter(born, parameter.name.as_deref().unwrap_or_default()).is_some()
    })
}

//! Single metrics: what fits a born metric, what is the same, and how newer data changes it.

use sparkplug::footprint::{Footprint, Growth, allocation};
use sparkplug::{
    DataType, Metric, Places, Property, PropertySet, PropertyValue, Template, TemplatePlaces,
    Value, steps, value,
};

use super::bytes::property_bytes;

/// Property that carries the quality of a value (Sparkplug 3.0 §6.4.8).
pub(super) const QUALITY: &str = "Quality";
/// The value can't be trusted: it may be out of date.
pub(super) const QUALITY_STALE: u32 = 500;
/// The value is good.
pub(super) const QUALITY_GOOD: u32 = 192;

/// A metric of a layout as data carries it: with the alias that its birth gave it, without datatype.
pub(super) fn as_data(metric: &Metric, alias: Option<u64>) -> Metric {
    Metric { alias, datatype: None, ..metric.clone() }
}

/// Value xor `is_null`, at every depth: a birth that has neither or both is refused by hosts. Members
/// have no alias: the instance has one.
pub(in crate::mirror) fn normalise(metric: &mut Metric) {
    if metric.is_null == Some(true) {
        metric.value = None;
    } else if metric.value.is_none() {
        metric.is_null = Some(true);
    } else {
        metric.is_null = None;
    }
    if let Some(Value::Template(template)) = &mut metric.value {
        steps::take(template.metrics.len());
        for member in &mut template.metrics {
            member.alias = None;
            normalise(member);
        }
    }
}

/// Whether a metric is the definition of a template.
pub(in crate::mirror) fn is_definition(metric: &Metric) -> bool {
    matches!(&metric.value,
        Some(Value::Template(template)) if template.is_definition == Some(true))
}

/// Bit for bit, but for the metric's own time; true where neither is a definition.
pub(in crate::mirror) fn same_definition(ours: &Metric, theirs: &Metric) -> bool {
    let bytes = |metric: &Metric| {
        let timeless = Metric { timestamp: None, alias: None, ..metric.clone() };
        prost::Message::encode_to_vec(&timeless)
    };
    match (is_definition(ours), is_definition(theirs)) {
        (false, false) => true,
        (true, true) => bytes(ours) == bytes(theirs),
        _ => false,
    }
}

/// Data of a born metric. Definitions come with births alone.
pub(super) fn fits(born: &Metric, metric: &Metric) -> bool {
    if is_definition(born) || is_definition(metric) {
        return false;
    }
    match (&metric.value, born.datatype.and_then(DataType::from_code)) {
        (Some(value), Some(datatype)) => value::fits(datatype, value),
        (value, _) => value.is_none(),
    }
}

/// Same bits: NaN is itself, or every keyframe would seem to change it.
pub(super) fn same_value(left: &Metric, right: &Metric) -> bool {
    match (&left.value, &right.value) {
        (Some(left), Some(right)) => value::same(left, right),
        (left, right) => left.is_none() && right.is_none(),
    }
}

pub(super) fn same_members(ours: &Metric, theirs: &Metric) -> bool {
    match (&ours.value, &theirs.value) {
        (Some(Value::Template(ours)), Some(Value::Template(theirs))) => {
            let mut places = TemplatePlaces::default();
            let mut has = |member: &Metric| {
                let place = places.member(theirs, member.name.as_deref().unwrap_or_default());
                let other = place.and_then(|place| theirs.metrics.get(place));
                other.is_some_and(|other| same_members(member, other))
            };
            ours.template_ref == theirs.template_ref
                && ours.is_definition == theirs.is_definition
                && ours.metrics.len() == theirs.metrics.len()
                && ours.metrics.iter().all(&mut has)
        }
        _ => true,
    }
}

/// The newer value replaces the older; in a template instance each member of the newer does,
/// since data may carry only the members that changed. `places` are those of the current one.
pub(super) fn merge_value(
    current: &mut Option<Value>,
    newer: Option<&Value>,
    places: &mut TemplatePlaces,
    growth: &mut Growth,
) {
    match (current, newer) {
        (Some(Value::Template(current)), Some(Value::Template(newer))) => {
            merge_template(current, newer, places, growth);
        }
        (current, newer) => {
            *places = TemplatePlaces::default();
            growth.replace(current, newer);
        }
    }
}

fn merge_template(
    current: &mut Template,
    newer: &Template,
    places: &mut TemplatePlaces,
    growth: &mut Growth,
) {
    for member in &newer.metrics {
        let place = places.member(current, member.name.as_deref().unwrap_or_default());
        // [`take_others`] has taken out what the birth doesn't have.
        let known = place.and_then(|place| Some((place, current.metrics.get_mut(place)?)));
        if let Some((place, known)) = known {
            known.timestamp = member.timestamp.or(known.timestamp);
            known.is_null = member.is_null;
            match (&known.value, &member.value) {
                (Some(Value::Template(_)), Some(Value::Template(_))) => {
                    let within = places.within(place);
                    merge_value(&mut known.value, member.value.as_ref(), within, growth);
                }
                _ => {
                    places.forget(place);
                    growth.replace(&mut known.value, member.value.as_ref());
                }
            }
            if let Some(newer) = &member.properties {
                growth.lose(known.properties.heap_bytes());
                known.properties = Some(newer.clone());
                growth.gain(known.properties.heap_bytes());
            }
            if let Some(newer) = &member.metadata {
                growth.lose(known.metadata.heap_bytes());
                known.metadata = Some(newer.clone());
                growth.gain(known.metadata.heap_bytes());
            }
        }
    }
    for parameter in &newer.parameters {
        let place = places.parameter(current, parameter.name.as_deref().unwrap_or_default());
        if let Some(known) = place.and_then(|place| current.parameters.get_mut(place)) {
            growth.lose(known.heap_bytes());
            known.value.clone_from(&parameter.value);
            growth.gain(known.heap_bytes());
        }
    }
}

/// Whether an instance that has no others has all members of the one that is known.
/// Recursion is bounded by the depth that was decoded.
pub(super) fn has_all_members(known: &Template, instance: &Template) -> bool {
    if instance.metrics.len() < known.metrics.len() {
        return false;
    }
    steps::take(instance.metrics.len());
    let mut places = TemplatePlaces::default();
    instance.metrics.iter().all(|member| {
        let Some(Value::Template(inner)) = &member.value else { return true };
        let place = places.member(known, member.name.as_deref().unwrap_or_default());
        match place.and_then(|place| known.metrics.get(place)?.value.as_ref()) {
            Some(Value::Template(known)) => has_all_members(known, inner),
            _ => true,
        }
    })
}

/// Takes members and parameters out of an instance that the one in the birth hasn't: hosts couldn't
/// place them. How many; the first one's name. Recursion is bounded by the depth that was decoded.
pub(super) fn take_others(
    born: &Template,
    instance: &mut Template,
    places: &mut TemplatePlaces,
    first: &mut Option<String>,
) -> u64 {
    let mut others: u64 = 0;
    instance.metrics.retain_mut(|member| {
        let name = member.name.as_deref().unwrap_or_default();
        let place = places.member(born, name);
        let Some((place, known)) = place.and_then(|at| Some((at, born.metrics.get(at)?))) else {
            others = others.saturating_add(1);
            first.get_or_insert_with(|| name.to_owned());
            return false;
        };
        if let (Some(Value::Template(known)), Some(Value::Template(inner))) =
            (&known.value, &mut member.value)
        {
            let inner = take_others(known, inner, places.within(place), first);
            others = others.saturating_add(inner);
        }
        true
    });
    instance.parameters.retain(|parameter| {
        let name = parameter.name.as_deref().unwrap_or_default();
        let is_known = places.parameter(born, name).is_some();
        if !is_known {
            others = others.saturating_add(1);
            first.get_or_insert_with(|| name.to_owned());
        }
        is_known
    });
    others
}

/// What a list takes, without what is in it.
fn list_bytes<T>(list: &Vec<T>) -> usize {
    allocation(list.capacity().saturating_mul(size_of::<T>()))
}

/// `places` are those of the current properties. There become no more than `most` of them, and the
/// quality: data could bring others each time. How many were left out.
pub(super) fn merge_properties(
    current: &mut PropertySet,
    newer: &PropertySet,
    places: &mut Places,
    most: usize,
    growth: &mut Growth,
) -> usize {
    let mut left_out = 0_usize;
    growth.lose(rooms(current));
    for (key, value) in newer.keys.iter().zip(&newer.values) {
        let place = places.property(current, key);
        if place.is_none() && current.keys.len() >= most && key != QUALITY {
            left_out = left_out.saturating_add(1);
            continue;
        }
        match place.and_then(|place| current.values.get(place)) {
            Some(known) => growth.lose(known.heap_bytes()),
            None => growth.gain(allocation(key.len()).saturating_add(property_bytes(key))),
        }
        set_property(current, place, key, value.clone());
        growth.gain(value.heap_bytes());
    }
    growth.gain(rooms(current));
    left_out
}

/// What the lists of a set take, without what is in them.
fn rooms(set: &PropertySet) -> usize {
    list_bytes(&set.keys).saturating_add(list_bytes(&set.values))
}

fn set_property(set: &mut PropertySet, place: Option<usize>, key: &str, value: PropertyValue) {
    match place.and_then(|place| set.values.get_mut(place)) {
        Some(known) => *known = value,
        None => {
            set.keys.push(key.to_owned());
            set.values.push(value);
        }
    }
}

pub(super) fn set_quality(set: &mut PropertySet, quality: u32) {
    let value = PropertyValue {
        r#type: Some(DataType::Int32.code()),
        is_null: None,
        value: Some(Property::Int(quality)),
    };
    steps::take(set.keys.len());
    let place = set.keys.iter().position(|known| known == QUALITY);
    set_property(set, place, QUALITY, value);
}

pub(super) fn quality_of(metric: &Metric) -> Option<u32> {
    let set = metric.properties.as_ref()?;
    steps::take(set.keys.len());
    let at = set.keys.iter().position(|key| key == QUALITY)?;
    match set.values.get(at)?.value {
        Some(Property::Int(quality)) => Some(quality),
        _ => None,
    }
}

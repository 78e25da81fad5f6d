//! How what data has becomes part of what is known of a metric: data may have only what changed.

use sparkplug::footprint::{Footprint, Growth, allocation, places_bytes};
use sparkplug::{Caps, Metric, PropertySet, Template, TemplatePlaces, Value, steps};

use crate::plant::properties;

/// Takes over a newer state of a metric. `places`: where what is, in an instance that had others.
pub(crate) fn take_over(
    current: &mut Metric,
    newer: &Metric,
    places: &mut Option<Box<TemplatePlaces>>,
    growth: &mut Growth,
) {
    current.timestamp = newer.timestamp.or(current.timestamp);
    current.is_transient = newer.is_transient;
    match (&mut current.value, &newer.value) {
        (Some(Value::Template(current)), Some(Value::Template(newer)))
            if current.template_ref == newer.template_ref =>
        {
            merge(current, newer, places.get_or_insert_default(), growth);
        }
        (current, newer) => {
            *places = None;
            steps::take(length(newer.as_ref()));
            growth.replace(current, newer.as_ref());
        }
    }
    current.is_null = newer.value.is_none().then_some(true);
    if let Some(newer) = &newer.properties {
        merge_properties(&mut current.properties, newer, growth);
    }
    if newer.metadata.is_some() {
        growth.lose(current.metadata.heap_bytes());
        current.metadata.clone_from(&newer.metadata);
        growth.gain(current.metadata.heap_bytes());
    }
}

/// Data may have only the properties that changed.
fn merge_properties(
    current: &mut Option<Box<PropertySet>>,
    newer: &PropertySet,
    growth: &mut Growth,
) {
    let Some(set) = current else {
        *current = Some(Box::new(newer.clone()));
        growth.gain(current.heap_bytes());
        return;
    };
    let places = properties::places(set, newer);
    growth.lose(property_rooms(set));
    for ((key, value), place) in newer.keys.iter().zip(&newer.values).zip(places) {
        match place.and_then(|place| set.values.get_mut(place)) {
            Some(known) => {
                growth.lose(known.heap_bytes());
                known.clone_from(value);
                growth.gain(known.heap_bytes());
            }
            None => {
                growth.gain(allocation(key.len()).saturating_add(value.heap_bytes()));
                set.keys.push(key.clone());
                set.values.push(value.clone());
            }
        }
    }
    growth.gain(property_rooms(set));
}

/// What the lists of a set take, without what is in them.
fn property_rooms(PropertySet { keys, values }: &PropertySet) -> usize {
    allocation(keys.capacity().saturating_mul(size_of::<String>())).saturating_add(allocation(
        values.capacity().saturating_mul(size_of::<sparkplug::PropertyValue>()),
    ))
}

/// Data of a template has only the members that changed; a birth has to have them all. Both were
/// reduced to what the definition has, so this is all that can come together.
/// Recursion is bounded by the depth that was decoded.
fn merge(
    current: &mut Template,
    newer: &Template,
    places: &mut TemplatePlaces,
    growth: &mut Growth,
) {
    growth.lose(rooms(current));
    for member in &newer.metrics {
        let place = places.member(current, member.name.as_deref().unwrap_or_default());
        let has_room = current.metrics.len() < Caps::MOST_METRICS;
        match place.and_then(|place| Some((place, current.metrics.get_mut(place)?))) {
            Some((place, held)) => match (&mut held.value, &member.value) {
                (Some(Value::Template(current)), Some(Value::Template(newer)))
                    if current.template_ref == newer.template_ref =>
                {
                    merge(current, newer, places.within(place), growth);
                }
                (value, newer) => {
                    steps::take(length(newer.as_ref()));
                    growth.replace(value, newer.as_ref());
                    places.forget(place);
                    held.is_null = member.is_null;
                    held.timestamp = member.timestamp.or(held.timestamp);
                    growth.lose(held.properties.heap_bytes());
                    growth.lose(held.metadata.heap_bytes());
                    if member.properties.is_some() {
                        held.properties.clone_from(&member.properties);
                    }
                    if member.metadata.is_some() {
                        held.metadata.clone_from(&member.metadata);
                    }
                    growth.gain(held.properties.heap_bytes());
                    growth.gain(held.metadata.heap_bytes());
                }
            },
            None if has_room => {
                growth.gain(member.heap_bytes().saturating_mul(2));
                growth.gain(places_bytes(member.value.as_ref()).saturating_add(PLACE_BYTES));
                current.metrics.push(member.clone());
            }
            None => {}
        }
    }
    for parameter in &newer.parameters {
        let place = places.parameter(current, parameter.name.as_deref().unwrap_or_default());
        let has_room = current.parameters.len() < Caps::MOST_METRICS;
        match place.and_then(|place| current.parameters.get_mut(place)) {
            Some(held) => {
                growth.lose(held.heap_bytes());
                held.clone_from(parameter);
                growth.gain(held.heap_bytes());
            }
            None if has_room => {
                growth.gain(parameter.heap_bytes().saturating_mul(2).saturating_add(PLACE_BYTES));
                current.parameters.push(parameter.clone());
            }
            None => {}
        }
    }
    growth.gain(rooms(current));
}

/// Whether `newer` has a member or parameter that isn't in `current`, or an instance where that has
/// none. Recursion is bounded by the depth that was decoded.
pub(super) fn lacks_members(
    current: &Template,
    newer: &Template,
    places: &mut TemplatePlaces,
) -> bool {
    let mut lacks = |member: &Metric| {
        let place = places.member(current, member.name.as_deref().unwrap_or_default());
        let known = place.and_then(|place| Some((place, current.metrics.get(place)?)));
        let Some((place, known)) = known else { return true };
        match (&known.value, &member.value) {
            (Some(Value::Template(known)), Some(Value::Template(inner))) => {
                lacks_members(known, inner, places.within(place))
            }
            (_, Some(Value::Template(_))) => true,
            _ => false,
        }
    };
    newer.metrics.iter().any(&mut lacks)
        || newer.parameters.iter().any(|parameter| {
            places.parameter(current, parameter.name.as_deref().unwrap_or_default()).is_none()
        })
}

/// More than what the place of a member that data brought takes, beside its name.
const PLACE_BYTES: usize = 384;

/// What the lists of a template take, without what is in them.
fn rooms(template: &Template) -> usize {
    let Template { metrics, parameters, .. } = template;
    allocation(metrics.capacity().saturating_mul(size_of::<Metric>())).saturating_add(allocation(
        parameters.capacity().saturating_mul(size_of::<sparkplug::Parameter>()),
    ))
}

/// Roughly how long the value is to read.
pub(super) fn length(value: Option<&Value>) -> usize {
    match value {
        Some(Value::String(text)) => text.len(),
        Some(Value::Bytes(bytes)) => bytes.len(),
        Some(Value::Template(template)) => {
            template.metrics.len().saturating_add(template.parameters.len())
        }
        Some(Value::DataSet(table)) => table.rows.len().saturating_add(table.columns.len()),
        _ => 1,
    }
}

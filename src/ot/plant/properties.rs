//! Properties of what the plant sends: what hosts can read of them, and no more than there may be.

use std::collections::HashMap;

use account::Reason;
use foldhash::fast::RandomState;
use sparkplug::{Caps, Metric, Property, PropertySet, Value, make_sound, names, steps};

use super::refused::Fault;

/// Bytes of the name of a property, with those of all sets that it is in: no policy names more.
const MAX_PATH_BYTES: usize = 4 * 1024;

/// Sets of so many properties are searched as they are.
const FEW: usize = 16;

/// Leaves a metric, and the members of its value, properties that hosts can read, no more of them
/// than one may have, and its quality: without that a bad value would look good. What was wrong, by
/// the first of each reason. `known`: those that the metric has already; data brings others beside
/// them, or changes them.
pub(crate) fn mend_properties(
    metric: &mut Metric,
    known: Option<&PropertySet>,
    caps: &Caps,
) -> Vec<(Reason, Fault)> {
    let mut faults = Vec::new();
    mend(metric, caps, &mut faults);
    let Some((known, set)) = known.zip(metric.properties.as_deref_mut()) else { return faults };
    if let Some(got) = leave_out_others(set, known, caps.metric_properties) {
        if faults.iter().all(|(reason, _)| *reason != Reason::OverCap) {
            let fault = Fault::of_properties(got, caps.metric_properties);
            faults.push((Reason::OverCap, fault));
        }
        if set.keys.is_empty() {
            metric.properties = None;
        }
    }
    faults
}

/// Takes out what would make more than `most` properties of those that are known and these; the
/// quality stays. How many they would have been.
fn leave_out_others(set: &mut PropertySet, known: &PropertySet, most: usize) -> Option<usize> {
    if known.keys.len().saturating_add(set.keys.len()) <= most {
        return None;
    }
    let others = places(known, set).into_iter().map(|place| place.is_none());
    let keys = set.keys.iter().map(|key| key == names::QUALITY);
    let (mut got, mut left) = (known.keys.len(), most.saturating_sub(known.keys.len()));
    let mut stays = Vec::with_capacity(set.keys.len());
    for (is_other, is_quality) in others.zip(keys) {
        got = got.saturating_add(usize::from(is_other));
        stays.push(!is_other || is_quality || left > 0);
        left = left.saturating_sub(usize::from(is_other && !is_quality));
    }
    if !stays.contains(&false) {
        return None;
    }
    let (mut keys, mut values) = (stays.iter(), stays.iter());
    set.keys.retain(|_| keys.next().is_some_and(|stays| *stays));
    set.values.retain(|_| values.next().is_some_and(|stays| *stays));
    Some(got)
}

/// Where in `known` each property of `set` is.
pub(super) fn places(known: &PropertySet, set: &PropertySet) -> Vec<Option<usize>> {
    let (many, asked) = (known.keys.len(), set.keys.len());
    if many <= FEW || asked <= 1 {
        steps::take(many.saturating_mul(asked));
        let place = |key| known.keys.iter().position(|known| known == key);
        return set.keys.iter().map(place).collect();
    }
    steps::take(many.saturating_add(asked));
    let mut by_key = HashMap::with_capacity_and_hasher(many, RandomState::default());
    for (place, key) in known.keys.iter().enumerate() {
        by_key.entry(key.as_str()).or_insert(place);
    }
    set.keys.iter().map(|key| by_key.get(key.as_str()).copied()).collect()
}

/// Recursion is bounded by the depth that was decoded.
fn mend(metric: &mut Metric, caps: &Caps, faults: &mut Vec<(Reason, Fault)>) {
    if let Some(Value::Template(template)) = &mut metric.value {
        template.metrics.iter_mut().for_each(|member| mend(member, caps, faults));
    }
    let Some(set) = metric.properties.as_deref_mut() else { return };
    let mut note = |reason: Reason, fault: Fault| {
        if faults.iter().all(|(known, _)| *known != reason) {
            faults.push((reason, fault));
        }
    };
    let unsound = make_sound(set);
    if unsound > 0 {
        note(Reason::TypeMismatch, Fault::of_unsound_properties(unsound));
    }
    let (got, most) = (set.keys.len(), caps.metric_properties);
    if got > most {
        let quality = set.keys.iter().position(|key| key == names::QUALITY);
        let beyond = quality.filter(|place| *place >= most);
        let quality = beyond.and_then(|place| set.values.get(place).cloned());
        set.keys.truncate(most);
        set.values.truncate(most);
        if let Some(quality) = quality {
            set.keys.push(names::QUALITY.to_owned());
            set.values.push(quality);
        }
        note(Reason::OverCap, Fault::of_properties(got, most));
    }
    if let Some(longest) = cut_long_paths(set, 0) {
        note(Reason::OverCap, Fault::of_path(longest, MAX_PATH_BYTES));
    }
    if set.keys.is_empty() {
        metric.properties = None;
    }
}

/// Takes out what is called longer than may be, below a set whose own name has so many bytes; the
/// first such length. Recursion is bounded by the depth that was decoded.
fn cut_long_paths(set: &mut PropertySet, path: usize) -> Option<usize> {
    let mut too_long = None;
    let length = |key: &String| path.saturating_add(key.len());
    let is_short = |key: &String| length(key) <= MAX_PATH_BYTES;
    if path > 0 {
        steps::take(set.keys.len());
    }
    if !set.keys.iter().all(is_short) {
        too_long = set.keys.iter().map(length).find(|length| *length > MAX_PATH_BYTES);
        let mut keep = set.keys.iter().map(is_short).collect::<Vec<_>>().into_iter();
        set.values.retain(|_| keep.next().unwrap_or(false));
        set.keys.retain(is_short);
    }
    for (key, value) in set.keys.iter().zip(&mut set.values) {
        let below = length(key).saturating_add(1);
        let inner = match &mut value.value {
            Some(Property::Set(inner)) => std::slice::from_mut(inner),
            Some(Property::SetList(list)) => list.sets.as_mut_slice(),
            _ => continue,
        };
        for inner in inner {
            too_long = too_long.or(cut_long_paths(inner, below));
        }
    }
    too_long
}

//! Properties of what the plant sends: what hosts can read of them, and no more than there may be.

use account::Reason;
use sparkplug::{Caps, Metric, Property, PropertySet, Value, make_sound, names, steps};

use super::refused::Fault;

/// Bytes of the name of a property, with those of all sets that it is in: no policy names more.
const MAX_PATH_BYTES: usize = 4 * 1024;

/// Leaves a metric, and the members of its value, properties that hosts can read, no more of them
/// than one may have, and its quality: without that a bad value would look good. What was wrong, by
/// the first of each reason.
pub(crate) fn mend_properties(metric: &mut Metric, caps: &Caps) -> Vec<(Reason, Fault)> {
    let mut faults = Vec::new();
    mend(metric, caps, &mut faults);
    faults
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

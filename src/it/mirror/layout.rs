//! What a mirrored edge node or device looks like: the metrics of its birth with their current
//! values. Births are built from it, data is folded into it, keyframes are compared with it.

use std::collections::HashMap;

use policy::shape::is_part;
use sparkplug::{
    Borrowed, DataType, Metric, NamedMetric, Payload, Property, PropertySet, PropertyValue, Scalar,
    ScalarMetric, Template, Value, names, value,
};

use crate::mirror::recheck::{Rechecked, Word};

/// Property that carries the quality of a value (Sparkplug 3.0 §6.4.8).
pub(super) const QUALITY: &str = "Quality";
/// The value can't be trusted: it may be out of date.
pub(super) const QUALITY_STALE: u32 = 500;
/// The value is good.
pub(super) const QUALITY_GOOD: u32 = 192;

/// The metrics of one entity.
#[derive(Debug, Default, Clone)]
pub(super) struct Layout {
    slots: Vec<Slot>,
    index: HashMap<String, usize, foldhash::fast::RandomState>,
}

/// One metric: its birth with the value seen last.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) metric: Metric,
    /// Not seen since messages were lost on the OT side; published with Quality 500.
    stale: bool,
    /// What the mirror's own copy of the policy says of it; `None` without a copy.
    pub(super) word: Option<Box<Word>>,
}

/// What folding a message into a layout did with one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folded {
    /// The metric is in the layout; its value is now current (or it is historical).
    Known,
    /// The metric was marked stale and is good again.
    Refreshed,
    /// The layout has no such metric.
    Unknown,
    /// The value doesn't fit the metric's datatype.
    Mismatch,
    /// The mirror's own copy of the policy doesn't let the value through.
    Refused,
}

impl Slot {
    /// Whether a birth with this metric changes nothing but its time. What the policy may have
    /// a word about isn't clear.
    fn is_repeated_by(&self, metric: &Metric) -> bool {
        use Value::{Boolean, Double, Float, Int, Long};
        let ours = &self.metric;
        let same = match (&ours.value, &metric.value) {
            (Some(Int(_) | Long(_) | Float(_) | Double(_) | Boolean(_)), Some(theirs)) => {
                metric.is_null != Some(true)
                    && ours.value.as_ref().is_some_and(|ours| value::same(ours, theirs))
                    && self.word.as_ref().is_none_or(|word| !word.looks())
            }
            (Some(Value::String(ours)), Some(Value::String(theirs))) => {
                metric.is_null != Some(true) && ours == theirs && self.word.is_none()
            }
            (None, None) => ours.is_null == Some(true) && self.word.is_none(),
            _ => false,
        };
        same && ours.properties == metric.properties
    }
}

impl Layout {
    /// Takes the metrics of a birth of the journal. `fallback_ms` dates metrics without a
    /// timestamp. The journal is hostile input: metrics that a birth of ours may not have
    /// (nameless, untyped, aliased twice, control metrics) are left out; their number is
    /// returned too.
    pub(super) fn from_birth(birth: Payload, fallback_ms: u64) -> (Layout, u64) {
        let date = birth.timestamp.unwrap_or(fallback_ms);
        let mut layout = Layout::default();
        let mut refused: u64 = 0;
        for metric in birth.metrics {
            // bdSeq and Rebirth are the session's, and ours is a session of our own.
            if matches!(metric.name.as_deref(), Some(names::BD_SEQ | names::REBIRTH)) {
                continue;
            }
            if !layout.add(metric, date) {
                refused = refused.saturating_add(1);
            }
        }
        (layout, refused)
    }

    fn add(&mut self, mut metric: Metric, date: u64) -> bool {
        let Some(name) = metric.name.clone() else { return false };
        let typed = metric.datatype.and_then(DataType::from_code).is_some();
        if name.is_empty() || !typed || names::is_control(&name) || self.index.contains_key(&name) {
            return false;
        }
        metric.alias = None;
        metric.is_historical = None;
        metric.timestamp.get_or_insert(date);
        normalise(&mut metric);
        self.index.insert(name, self.slots.len());
        self.slots.push(Slot { metric, stale: false, word: None });
        true
    }

    /// The metric of this name.
    pub(super) fn metric(&self, name: &str) -> Option<&Metric> {
        let at = self.index.get(name)?;
        self.slots.get(*at).map(|slot| &slot.metric)
    }

    /// Number of metrics.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Keeps the metrics for which `keep` says so; true when any went.
    pub(super) fn retain(&mut self, keep: impl FnMut(&mut Slot) -> bool) -> bool {
        let before = self.slots.len();
        self.slots.retain_mut(keep);
        if self.slots.len() == before {
            return false;
        }
        self.index = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| slot.metric.name.clone().map(|name| (name, at)))
            .collect();
        true
    }

    /// Whether births of both would name the same metrics with the same datatypes and, for
    /// templates, the same members: then data can tell all that differs. A definition that
    /// differs at all is another shape, since only an NBIRTH may have it (Sparkplug 3.0
    /// §6.4.13).
    pub(super) fn same_shape(&self, other: &Layout) -> bool {
        self.slots.len() == other.slots.len()
            && self.slots.iter().all(|slot| {
                other.find(&slot.metric).is_some_and(|theirs| {
                    slot.metric.datatype == theirs.metric.datatype
                        && same_members(&slot.metric, &theirs.metric)
                        && same_definition(&slot.metric, &theirs.metric)
                })
            })
    }

    /// Whether a birth has these metrics in this order, and says of them what is known; `false`
    /// also where that isn't clear at the first look.
    pub(super) fn is_repeated_by(&self, birth: &Borrowed<'_>) -> bool {
        let is_own =
            |named: &&NamedMetric<'_>| matches!(named.name, Some(names::BD_SEQ | names::REBIRTH));
        let mut slots = self.slots.iter();
        birth.metrics.iter().filter(|named| !is_own(named)).all(|named| {
            let same = |slot: &Slot| {
                slot.metric.name.as_deref() == named.name
                    && slot.metric.datatype == named.metric.datatype
                    && slot.is_repeated_by(&named.metric)
            };
            slots.next().is_some_and(same)
        }) && slots.next().is_none()
    }

    /// Metrics of `newer` whose value, null flag, properties or stale mark differ from ours, as
    /// data metrics. Both have the same shape.
    pub(super) fn differences(&self, newer: &Layout) -> Vec<Metric> {
        let mut differences = Vec::new();
        for slot in &newer.slots {
            let ours = self.find(&slot.metric);
            let was_stale = ours.is_some_and(|ours| ours.stale);
            let same = ours.is_some_and(|ours| {
                same_value(&ours.metric, &slot.metric)
                    && ours.metric.is_null == slot.metric.is_null
                    && ours.metric.properties == slot.metric.properties
                    && ours.stale == slot.stale
            });
            if same {
                continue;
            }
            let mut metric = as_data(slot.metric.clone());
            if slot.stale {
                set_quality(metric.properties.get_or_insert_default(), QUALITY_STALE);
            } else if was_stale {
                let quality = quality_of(&metric).unwrap_or(QUALITY_GOOD);
                set_quality(metric.properties.get_or_insert_default(), quality);
            }
            differences.push(metric);
        }
        differences
    }

    /// Folds one metric of a data message in, by its name, and makes it fit for publication: dated, typed by
    /// its birth alone, and good again if it was stale. Historical values change nothing.
    pub(super) fn fold(
        &mut self,
        name: Option<&str>,
        metric: &mut Metric,
        date: u64,
        rechecked: &mut Rechecked,
    ) -> Folded {
        let at = name.and_then(|name| self.index.get(name));
        let Some(slot) = at.and_then(|&at| self.slots.get_mut(at)) else {
            return Folded::Unknown;
        };
        if !fits(&slot.metric, metric) {
            return Folded::Mismatch;
        }
        if let Some(word) = &slot.word
            && !word.recheck(&slot.metric, metric, rechecked)
        {
            return Folded::Refused;
        }
        metric.alias = None;
        metric.datatype = None;
        metric.timestamp.get_or_insert(date);
        normalise(metric);
        if metric.is_historical == Some(true) {
            return Folded::Known;
        }
        if is_part(metric) {
            // A part of a file is no state that a birth could tell.
            return Folded::Known;
        }
        let current = &mut slot.metric;
        current.timestamp = metric.timestamp;
        current.is_null = metric.is_null;
        current.is_transient = metric.is_transient;
        merge_value(&mut current.value, metric.value.as_ref());
        if let Some(newer) = &metric.properties {
            merge_properties(current.properties.get_or_insert_default(), newer);
        }
        if let Some(newer) = &metric.metadata {
            current.metadata = Some(newer.clone());
        }
        if !slot.stale {
            return Folded::Known;
        }
        slot.stale = false;
        let properties = metric.properties.get_or_insert_default();
        if !properties.keys.iter().any(|key| key == QUALITY) {
            let quality = quality_of(current).unwrap_or(QUALITY_GOOD);
            set_quality(properties, quality);
        }
        Folded::Refreshed
    }

    /// The slot of a metric of data that changes nothing but value, times and flags there, and
    /// crosses as it is; `None`: that isn't clear. `likely` is tried first.
    #[inline]
    pub(super) fn find_clear(&self, metric: &ScalarMetric<'_>, likely: usize) -> Option<usize> {
        let is_likely = |slot: &&Slot| {
            slot.metric.name.as_ref().is_some_and(|name| name.as_bytes() == metric.name)
        };
        let (place, slot) = match self.slots.get(likely).filter(is_likely) {
            Some(slot) => (likely, slot),
            None => {
                let place = *self.index.get(std::str::from_utf8(metric.name).ok()?)?;
                (place, self.slots.get(place)?)
            }
        };
        let datatype = DataType::from_code(slot.metric.datatype?)?;
        let clear = !slot.stale
            && slot.word.as_ref().is_none_or(|word| !word.looks())
            && metric.value.fits(datatype);
        clear.then_some(place)
    }

    /// Enters what was found clear.
    #[inline]
    pub(super) fn set(
        &mut self,
        place: usize,
        timestamp: u64,
        is_transient: Option<bool>,
        value: Scalar,
    ) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        slot.metric.timestamp = Some(timestamp);
        slot.metric.is_null = None;
        slot.metric.is_transient = is_transient;
        slot.metric.value = Some(value.into());
    }

    /// The metric as the mirror's own copy of the policy lets it through; whether it does.
    pub(super) fn recheck(&self, metric: &mut Metric, rechecked: &mut Rechecked) -> bool {
        let Some(slot) = self.find(metric) else { return true };
        slot.word.as_ref().is_none_or(|word| word.recheck(&slot.metric, metric, rechecked))
    }

    /// Whether the layout has this metric, and its value fits.
    pub(super) fn takes(&self, metric: &Metric) -> bool {
        self.find(metric).is_some_and(|slot| fits(&slot.metric, metric))
    }

    /// Whether `metric` says what the layout holds already (same time, same value).
    pub(super) fn is_current(&self, metric: &Metric) -> bool {
        self.find(metric).is_some_and(|slot| {
            slot.metric.timestamp == metric.timestamp
                && same_value(&slot.metric, metric)
                && slot.metric.is_null.unwrap_or(false) == metric.is_null.unwrap_or(false)
        })
    }

    /// Marks every metric as not seen since a loss.
    pub(super) fn mark_stale(&mut self) {
        for slot in &mut self.slots {
            // A definition is no value: it has no quality, and data could never take it back.
            slot.stale = !is_definition(&slot.metric);
        }
    }

    /// Takes all stale marks away; the metrics that had one, as data that says that they are
    /// good.
    pub(super) fn refresh(&mut self) -> Vec<Metric> {
        let stale = self.slots.iter_mut().filter(|slot| slot.stale);
        stale
            .map(|slot| {
                slot.stale = false;
                let mut metric = as_data(slot.metric.clone());
                let quality = quality_of(&metric).unwrap_or(QUALITY_GOOD);
                set_quality(metric.properties.get_or_insert_default(), quality);
                metric
            })
            .collect()
    }

    /// Copies the stale marks of an older layout of the same entity.
    pub(super) fn keep_stale_marks_of(&mut self, older: &Layout) {
        for slot in &mut self.slots {
            slot.stale = older.find(&slot.metric).is_some_and(|theirs| theirs.stale);
        }
    }

    /// Whether `node`, the layout of the edge node, defines every template that instances of
    /// this layout refer to. Some libraries name a definition `_types_/X` and refer to it as `X`.
    pub(super) fn is_defined_by(&self, node: &Layout) -> bool {
        fn defined(metric: &Metric, node: &Layout) -> bool {
            let Some(Value::Template(template)) = &metric.value else { return true };
            let reference = template.template_ref.as_deref();
            reference.is_none_or(|reference| node.defines(reference))
                && template.metrics.iter().all(|member| defined(member, node))
        }
        self.slots.iter().all(|slot| defined(&slot.metric, node))
    }

    fn defines(&self, reference: &str) -> bool {
        let bare = reference.strip_prefix(names::TYPES_PREFIX).unwrap_or(reference);
        [bare, &format!("{}{bare}", names::TYPES_PREFIX)].into_iter().any(|name| {
            let slot = self.index.get(name).and_then(|&at| self.slots.get(at));
            slot.is_some_and(|slot| is_definition(&slot.metric))
        })
    }

    /// The metrics as a birth of ours has them: every one with name, datatype, timestamp, and
    /// a value or `is_null`.
    pub(super) fn birth_metrics(&self) -> impl Iterator<Item = Metric> + '_ {
        self.slots.iter().map(|slot| {
            let mut metric = slot.metric.clone();
            if slot.stale {
                set_quality(metric.properties.get_or_insert_default(), QUALITY_STALE);
            }
            metric
        })
    }

    /// The metrics and their stale marks, for the snapshot.
    pub(super) fn slots(&self) -> impl Iterator<Item = (&Metric, bool)> {
        self.slots.iter().map(|slot| (&slot.metric, slot.stale))
    }

    /// Restores what [`Layout::slots`] gave.
    pub(super) fn restore(slots: impl Iterator<Item = (Metric, bool)>) -> Layout {
        let mut layout = Layout::default();
        for (metric, stale) in slots {
            if layout.add(metric, 0)
                && let Some(slot) = layout.slots.last_mut()
            {
                slot.stale = stale;
            }
        }
        layout
    }

    fn find(&self, metric: &Metric) -> Option<&Slot> {
        let at = self.index.get(metric.name.as_deref()?)?;
        self.slots.get(*at)
    }
}

/// A metric of a layout as data carries it: without datatype.
fn as_data(mut metric: Metric) -> Metric {
    metric.datatype = None;
    metric
}

/// Value xor `is_null`, at every depth: a birth that has neither or both is refused by hosts.
fn normalise(metric: &mut Metric) {
    if metric.is_null == Some(true) {
        metric.value = None;
    } else if metric.value.is_none() {
        metric.is_null = Some(true);
    } else {
        metric.is_null = None;
    }
    if let Some(Value::Template(template)) = &mut metric.value {
        template.metrics.iter_mut().for_each(normalise);
    }
}

/// Whether a metric is the definition of a template.
fn is_definition(metric: &Metric) -> bool {
    matches!(&metric.value,
        Some(Value::Template(template)) if template.is_definition == Some(true))
}

/// Bit for bit, but for the metric's own time; true where neither is a definition.
fn same_definition(ours: &Metric, theirs: &Metric) -> bool {
    let bytes = |metric: &Metric| {
        let timeless = Metric { timestamp: None, ..metric.clone() };
        prost::Message::encode_to_vec(&timeless)
    };
    match (is_definition(ours), is_definition(theirs)) {
        (false, false) => true,
        (true, true) => bytes(ours) == bytes(theirs),
        _ => false,
    }
}

/// Data of a born metric. Definitions are told by births alone.
fn fits(born: &Metric, metric: &Metric) -> bool {
    if is_definition(born) || is_definition(metric) {
        return false;
    }
    match (&metric.value, born.datatype.and_then(DataType::from_code)) {
        (Some(value), Some(datatype)) => value::fits(datatype, value),
        (value, _) => value.is_none(),
    }
}

/// Same bits: NaN is itself, or every keyframe would seem to change it.
fn same_value(left: &Metric, right: &Metric) -> bool {
    match (&left.value, &right.value) {
        (Some(left), Some(right)) => value::same(left, right),
        (left, right) => left.is_none() && right.is_none(),
    }
}

fn same_members(ours: &Metric, theirs: &Metric) -> bool {
    match (&ours.value, &theirs.value) {
        (Some(Value::Template(ours)), Some(Value::Template(theirs))) => {
            ours.template_ref == theirs.template_ref
                && ours.is_definition == theirs.is_definition
                && ours.metrics.len() == theirs.metrics.len()
                && ours.metrics.iter().all(|member| {
                    theirs
                        .metrics
                        .iter()
                        .any(|other| other.name == member.name && same_members(member, other))
                })
        }
        _ => true,
    }
}

/// The newer value replaces the older; in a template instance each member of the newer does,
/// since data may carry only the members that changed.
fn merge_value(current: &mut Option<Value>, newer: Option<&Value>) {
    match (current, newer) {
        (Some(Value::Template(current)), Some(Value::Template(newer))) => {
            merge_template(current, newer);
        }
        (current, newer) => *current = newer.cloned(),
    }
}

fn merge_template(current: &mut Template, newer: &Template) {
    for member in &newer.metrics {
        match current.metrics.iter_mut().find(|known| known.name == member.name) {
            Some(known) => {
                known.timestamp = member.timestamp.or(known.timestamp);
                known.is_null = member.is_null;
                merge_value(&mut known.value, member.value.as_ref());
            }
            // A member that the birth doesn't have: hosts couldn't place it.
            None => continue,
        }
    }
    for parameter in &newer.parameters {
        if let Some(known) =
            current.parameters.iter_mut().find(|known| known.name == parameter.name)
        {
            known.value.clone_from(&parameter.value);
        }
    }
}

fn merge_properties(current: &mut PropertySet, newer: &PropertySet) {
    for (key, value) in newer.keys.iter().zip(&newer.values) {
        set_property(current, key, value.clone());
    }
}

fn set_property(set: &mut PropertySet, key: &str, value: PropertyValue) {
    match set.keys.iter().position(|known| known == key).and_then(|at| set.values.get_mut(at)) {
        Some(known) => *known = value,
        None => {
            set.keys.push(key.to_owned());
            set.values.push(value);
        }
    }
}

fn set_quality(set: &mut PropertySet, quality: u32) {
    let value = PropertyValue {
        r#type: Some(DataType::Int32.code()),
        is_null: None,
        value: Some(Property::Int(quality)),
    };
    set_property(set, QUALITY, value);
}

fn quality_of(metric: &Metric) -> Option<u32> {
    let set = metric.properties.as_ref()?;
    let at = set.keys.iter().position(|key| key == QUALITY)?;
    match set.values.get(at)?.value {
        Some(Property::Int(quality)) => Some(quality),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, value: f64) -> Metric {
        Metric {
            name: Some(name.into()),
            datatype: Some(DataType::Double.code()),
            timestamp: Some(5),
            value: Some(Value::Double(value)),
            ..Metric::default()
        }
    }

    fn fold(layout: &mut Layout, metric: &mut Metric) -> Folded {
        let name = metric.name.clone();
        layout.fold(name.as_deref(), metric, 1, &mut Rechecked::default())
    }

    fn layout(metrics: Vec<Metric>) -> Layout {
        Layout::from_birth(Payload { metrics, ..Payload::default() }, 1).0
    }

    #[test]
    fn births_are_completed_and_control_metrics_left_out() {
        let nameless = Metric { name: None, ..metric("x", 1.0) };
        let untyped = Metric { datatype: None, ..metric("untyped", 1.0) };
        let valueless = Metric { value: None, timestamp: None, ..metric("valueless", 1.0) };
        let birth = Payload {
            timestamp: Some(77),
            metrics: vec![
                metric("a", 1.0),
                metric("a", 2.0),
                nameless,
                untyped,
                valueless,
                metric("Node Control/Reboot", 1.0),
                metric("Device Control/Reboot", 1.0),
                metric("bdSeq", 1.0),
                metric("Node Control/Rebirth", 1.0),
            ],
            ..Payload::default()
        };
        let (layout, refused) = Layout::from_birth(birth, 1);
        assert_eq!(refused, 5);
        let metrics: Vec<Metric> = layout.birth_metrics().collect();
        assert_eq!(metrics.len(), 2);
        assert_eq!(metrics[0].value, Some(Value::Double(1.0)));
        assert_eq!(metrics[1].timestamp, Some(77));
        assert_eq!(metrics[1].is_null, Some(true));
    }

    #[test]
    fn data_is_folded_in_and_historical_data_is_not() {
        let mut layout = layout(vec![metric("a", 1.0)]);
        let mut data = Metric { is_historical: Some(true), ..metric("a", 9.0) };
        assert_eq!(fold(&mut layout, &mut data), Folded::Known);
        assert_eq!(layout.birth_metrics().next().unwrap().value, Some(Value::Double(1.0)));
        let mut data = metric("a", 2.0);
        assert_eq!(fold(&mut layout, &mut data), Folded::Known);
        assert_eq!(data.datatype, None, "data carries no datatype");
        assert_eq!(layout.birth_metrics().next().unwrap().value, Some(Value::Double(2.0)));
        assert_eq!(fold(&mut layout, &mut metric("b", 2.0)), Folded::Unknown);
    }

    #[test]
    fn a_stale_metric_is_born_with_quality_500_and_turns_good_with_its_next_value() {
        let mut layout = layout(vec![metric("a", 1.0), metric("b", 1.0)]);
        layout.mark_stale();
        let mut data = metric("a", 2.0);
        assert_eq!(fold(&mut layout, &mut data), Folded::Refreshed);
        assert_eq!(quality_of(&data), Some(QUALITY_GOOD));
        let births: Vec<Metric> = layout.birth_metrics().collect();
        assert_eq!(quality_of(&births[0]), None);
        assert_eq!(quality_of(&births[1]), Some(QUALITY_STALE));
    }

    #[test]
    fn members_of_a_template_instance_are_merged_one_by_one() {
        let instance = |members: Vec<Metric>| Metric {
            name: Some("motor".into()),
            datatype: Some(DataType::Template.code()),
            value: Some(Value::Template(Box::new(Template {
                metrics: members,
                template_ref: Some("Motor".into()),
                is_definition: Some(false),
                ..Template::default()
            }))),
            ..Metric::default()
        };
        let mut layout = layout(vec![instance(vec![metric("rpm", 1.0), metric("amps", 2.0)])]);
        fold(&mut layout, &mut instance(vec![metric("amps", 3.0), metric("alien", 3.0)]));
        let born = layout.birth_metrics().next().unwrap();
        let Some(Value::Template(template)) = born.value else { panic!("a template") };
        let values: Vec<_> = template.metrics.iter().map(|m| m.value.clone()).collect();
        assert_eq!(values, [Some(Value::Double(1.0)), Some(Value::Double(3.0))]);
    }

    #[test]
    fn differences_are_told_as_data() {
        let ours = layout(vec![metric("a", 1.0), metric("b", 1.0)]);
        let newer = layout(vec![metric("a", 1.0), metric("b", 2.0)]);
        assert!(ours.same_shape(&newer));
        let told = ours.differences(&newer);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].name.as_deref(), Some("b"));
        assert_eq!(told[0].datatype, None);
        assert!(!ours.same_shape(&layout(vec![metric("a", 1.0)])));
    }
}

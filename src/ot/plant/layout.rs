//! Layout of one entity: what its birth taught about its metrics, and their current values.

mod given;

use std::collections::HashMap;

use account::Reason;
use foldhash::fast::RandomState;
use given::Given;
pub(crate) use given::GivenLayouts;
use sparkplug::footprint::{Growth, allocation, table};
use sparkplug::value::{evident_datatype, fits};
use sparkplug::{Caps, DataType, Metric, NameIndex, Value, names, steps};

use super::exported::Exported;
use super::properties::mend_properties;
use super::refused::{Fault, Uncounted};
use super::{Held, Slot};

/// The metrics of one entity by name and alias. Aliases are those of this entity alone: many
/// edge libraries repeat them among the devices of a node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    pub(crate) slots: Vec<Slot>,
    by_name: NameIndex<RandomState>,
    /// [`AMBIGUOUS`] for an alias that the birth gave to several metrics: it names none of them.
    by_alias: HashMap<u64, u32, RandomState>,
    /// Payload timestamp of the birth, in milliseconds since the epoch.
    pub(crate) timestamp: Option<u64>,
    /// The birth had no metrics at all.
    pub(crate) born_empty: bool,
    /// By the names that readers know, for metrics that are born late.
    exported: Exported,
    /// What it takes on the heap, as it was counted last and has grown since.
    bytes: usize,
    given: Given,
}

/// A metric that a birth was told of.
#[derive(Clone, Copy, Debug)]
struct Entered {
    place: usize,
    /// There was one of its name.
    replaces: bool,
    /// Its alias, where another one has that: it names none of them.
    shares: Option<u64>,
}

/// The place of an alias that names no metric.
const AMBIGUOUS: u32 = u32::MAX;

/// A birth as it was taken apart.
#[derive(Debug, Default)]
pub(crate) struct Taught {
    pub(crate) layout: Layout,
    /// Template definitions, by metric name (births of nodes only).
    pub(crate) definitions: Vec<Metric>,
    /// The `bdSeq` metric.
    pub(crate) bd_seq: Option<Metric>,
    /// The `Node Control/Rebirth` metric.
    pub(crate) rebirth: Option<Metric>,
    /// Metrics that couldn't be used, or whose value couldn't.
    pub(crate) refused: Uncounted,
    /// Levels of definitions within definitions that there may be.
    pub(crate) nesting: usize,
}

impl Layout {
    /// Takes a birth apart. `received_ms` stands in where it has no timestamps.
    pub(crate) fn teach(
        metrics: Vec<Metric>,
        timestamp: Option<u64>,
        received_ms: u64,
        is_node: bool,
        caps: &Caps,
    ) -> Taught {
        let mut taught = Taught { nesting: caps.depth, ..Taught::default() };
        taught.layout.timestamp = timestamp;
        taught.layout.born_empty = metrics.is_empty();
        let mut refuse = |name: &str, reason, fault: &dyn Fn() -> Fault| {
            taught.refused.note(name, reason, fault)
        };
        for mut metric in metrics {
            metric.timestamp = Some(metric.timestamp.or(timestamp).unwrap_or(received_ms));
            let Some(name) = metric.name.as_deref().filter(|name| !name.is_empty()) else {
                let of_nothing = || Fault::of_unknown(&metric, false);
                refuse("", Reason::UnknownMetric, &of_nothing);
                continue;
            };
            if is_node && name == names::BD_SEQ {
                let is_number = |value: &Value| matches!(value, Value::Int(_) | Value::Long(_));
                if metric.value.as_ref().is_some_and(|value| !is_number(value)) {
                    let born = Some(DataType::Int64);
                    refuse(name, Reason::TypeMismatch, &|| Fault::of_value(born, &metric));
                }
                taught.bd_seq = Some(of_session(metric));
                continue;
            }
            if is_node && name == names::REBIRTH {
                taught.rebirth = Some(Metric { value: None, ..of_session(metric) });
                continue;
            }
            if is_definition(&metric) {
                // Sparkplug 3.0 §6.4.13: definitions are part of NBIRTH only.
                if is_node {
                    taught.definitions.push(metric);
                } else {
                    refuse(name, Reason::TypeMismatch, &Fault::of_place);
                }
                continue;
            }
            let named = metric.datatype.and_then(DataType::from_code);
            let Some(datatype) = named.or_else(|| metric.value.as_ref().and_then(evident_datatype))
            else {
                refuse(name, Reason::TypeMismatch, &|| Fault::of_value(None, &metric));
                continue;
            };
            if !is_metric_type(datatype) {
                refuse(name, Reason::TypeMismatch, &|| Fault::of_value(None, &metric));
                continue;
            }
            if metric.is_null == Some(true) {
                metric.value = None;
            } else if metric.value.as_ref().is_some_and(|value| !fits(datatype, value)) {
                // The metric exists; only this value can't cross.
                refuse(name, Reason::TypeMismatch, &|| Fault::of_value(Some(datatype), &metric));
                metric.value = None;
            }
            for (reason, fault) in mend_properties(&mut metric, None, caps) {
                refuse(metric.name.as_deref().unwrap_or_default(), reason, &|| fault.clone());
            }
            let inferred = named.is_none() && datatype == DataType::String;
            let Some(entered) = taught.layout.enter(metric, datatype) else {
                let too_many = || Fault::of_entity(Caps::MOST_METRICS);
                refuse("", Reason::OverCapacity, &too_many);
                continue;
            };
            let Some(slot) = taught.layout.slots.get_mut(entered.place) else { continue };
            slot.inferred = inferred;
            if entered.replaces {
                refuse(slot.name(), Reason::MalformedPayload, &Fault::of_name_twice);
            }
            if let Some(alias) = entered.shares {
                let fault = || Fault::of_alias_twice(alias);
                refuse(slot.name(), Reason::MalformedPayload, &fault);
            }
        }
        taught
    }

    /// Adds a metric, or replaces the one with its name. Its slot, if there was room.
    pub(crate) fn insert(&mut self, metric: Metric, datatype: DataType) -> Option<usize> {
        self.enter(metric, datatype).map(|entered| entered.place)
    }

    fn enter(&mut self, mut metric: Metric, datatype: DataType) -> Option<Entered> {
        let alias = metric.alias.take();
        metric.datatype = Some(datatype.code());
        metric.is_historical = None;
        metric.is_null = metric.value.is_none().then_some(true);
        let mut slot = Slot::new(metric, datatype);
        slot.has_alias = alias.is_some();
        let mut growth = Growth::default();
        growth.lose(self.tables());
        growth.gain(slot.heap_bytes());
        let known = self.find(Some(slot.name()), None);
        let mut shares = None;
        let index = match known {
            Some(index) => {
                if let Some(replaced) = self.slots.get_mut(index) {
                    growth.lose(replaced.heap_bytes());
                    *replaced = slot;
                }
                // The old alias may point here still: it names this metric or none.
                index
            }
            None if self.slots.len() >= Caps::MOST_METRICS => return None,
            None => {
                let (index, slots) = (self.slots.len(), &self.slots);
                let name_at = |place: usize| slots.get(place).map_or("", Slot::name);
                if !self.by_name.insert(slot.name(), index, name_at) {
                    return None;
                }
                self.slots.push(slot);
                index
            }
        };
        if let Some(alias) = alias {
            let place = u32::try_from(index).unwrap_or(AMBIGUOUS);
            let held = self.by_alias.entry(alias).or_insert(place);
            if *held != place {
                *held = AMBIGUOUS;
                shares = Some(alias);
            }
        }
        growth.gain(self.tables());
        self.bytes = growth.of(self.bytes);
        Some(Entered { place: index, replaces: known.is_some(), shares })
    }

    /// What it takes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts anew what it takes on the heap, after the policy was asked or anything but one slot
    /// was changed.
    pub(crate) fn count_bytes(&mut self) {
        steps::take(self.slots.len());
        self.slots.shrink_to_fit();
        self.by_alias.shrink_to_fit();
        self.bytes = self.counted_bytes();
    }

    /// What [`Layout::bytes`] must not be less than.
    pub(crate) fn counted_bytes(&self) -> usize {
        let of_slots = self.slots.iter().map(Slot::heap_bytes);
        of_slots.fold(self.tables(), usize::saturating_add)
    }

    /// What another metric would take beside what is known of it, at most.
    pub(crate) fn growth_by_another(&self) -> usize {
        let is_full = self.slots.len() == self.slots.capacity();
        let slots = if is_full { self.slots.capacity().max(4) } else { 0 };
        slots.saturating_mul(size_of::<Slot>()).saturating_add(self.by_name.heap_bytes())
    }

    /// What is there beside what slots hold.
    fn tables(&self) -> usize {
        let slots = allocation(self.slots.capacity().saturating_mul(size_of::<Slot>()));
        let aliases = table(self.by_alias.capacity(), size_of::<(u64, u32)>());
        let names = self.by_name.heap_bytes().saturating_add(self.exported.heap_bytes());
        slots.saturating_add(aliases).saturating_add(names)
    }

    /// [`Slot::update`] of the slot at this place.
    pub(crate) fn update(&mut self, place: usize, newer: &Metric) {
        if let Some(slot) = self.slots.get_mut(place) {
            self.bytes = slot.update(newer).of(self.bytes);
        }
    }

    /// [`Slot::hold`] of the slot at this place.
    pub(crate) fn hold(&mut self, place: usize, held: Held) {
        if let Some(slot) = self.slots.get_mut(place) {
            slot.hold(held);
            self.bytes = self.bytes.saturating_add(slot.held_bytes());
        }
    }

    /// What the value takes that waits at this place.
    pub(crate) fn held_bytes(&self, place: usize) -> usize {
        self.slots.get(place).map_or(0, Slot::held_bytes)
    }

    /// Does something to the slot at this place that is as small as a birth without a value.
    pub(crate) fn change(&mut self, place: usize, change: impl FnOnce(&mut Slot)) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        let mut growth = Growth::default();
        growth.lose(slot.heap_bytes());
        change(slot);
        growth.gain(slot.heap_bytes());
        self.bytes = growth.of(self.bytes);
    }

    /// The metric at this place has instances of the definition `name`.
    pub(crate) fn define(&mut self, place: usize, name: Box<str>) {
        let Some(slot) = self.slots.get_mut(place) else { return };
        if slot.definition.is_none() {
            self.bytes = self.bytes.saturating_add(allocation(name.len()));
        }
        slot.definition = Some(name);
    }

    /// [`Slot::take_held`] of the slot at this place.
    pub(crate) fn take_held(&mut self, place: usize) -> Option<Box<Held>> {
        let slot = self.slots.get_mut(place)?;
        self.bytes = self.bytes.saturating_sub(slot.held_bytes());
        slot.take_held()
    }

    /// Takes over the values of an earlier layout that are no older than these; the names of their
    /// metrics.
    pub(crate) fn keep_newer_of(&mut self, former: &Layout) -> Vec<String> {
        let mut kept = Vec::new();
        for known in &former.slots {
            let Some(place) = self.find(Some(known.name()), None) else { continue };
            let Some(slot) = self.slots.get(place) else { continue };
            let is_newer = slot.current.timestamp <= known.current.timestamp;
            if slot.datatype == known.datatype && is_newer {
                self.update(place, &known.current);
                kept.push(known.name().to_owned());
            }
        }
        kept
    }

    /// Whether data means the same by this birth and by another one.
    pub(crate) fn reads_like(&self, other: &Layout) -> bool {
        let is_same = |(own, other): (&Slot, &Slot)| {
            own.name() == other.name() && own.datatype == other.datatype
        };
        self.slots.len() == other.slots.len()
            && self.by_alias == other.by_alias
            && self.slots.iter().zip(&other.slots).all(is_same)
    }

    /// Index of the slot that a data metric means, by its name, or by its alias where it has
    /// no name.
    pub(crate) fn find(&self, name: Option<&str>, alias: Option<u64>) -> Option<usize> {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => {
                self.by_name.find(name, |place| self.slots.get(place).map_or("", Slot::name))
            }
            None => alias.and_then(|alias| place(*self.by_alias.get(&alias)?)),
        }
    }

    /// [`Layout::find`] by a name of which nothing is known. `likely` is tried first: data mostly
    /// comes in the order of the birth.
    #[inline]
    pub(crate) fn find_bytes(
        &self,
        name: &[u8],
        alias: Option<u64>,
        likely: usize,
    ) -> Option<usize> {
        if name.is_empty() {
            return self.find(None, alias);
        }
        if self.slots.get(likely).is_some_and(|slot| slot.name().as_bytes() == name) {
            return Some(likely);
        }
        self.find(std::str::from_utf8(name).ok(), None)
    }

    /// A metric called `folded` by readers, where that is the name of another one than `name`;
    /// `is_renamed`: it is called so by the policy.
    pub(crate) fn exports(&mut self, folded: &str, name: &str, is_renamed: bool) -> bool {
        let before = self.exported.heap_bytes();
        let holds = self.exported.holds(&self.slots, folded, name, is_renamed);
        let grown = self.exported.heap_bytes().saturating_sub(before);
        self.bytes = self.bytes.saturating_add(grown);
        holds
    }

    /// The names that readers know may have changed.
    pub(crate) fn forget_exported(&mut self) {
        self.exported = Exported::default();
    }

    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.find(Some(name), None).is_some()
    }

    /// The aliases that name a slot, with its index.
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        self.by_alias.iter().filter_map(|(alias, index)| Some((*alias, place(*index)?)))
    }

    pub(crate) fn slot(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index)
    }

    pub(crate) fn slot_mut(&mut self, index: usize) -> Option<&mut Slot> {
        self.slots.get_mut(index)
    }
}

/// The place of an alias that names a metric.
fn place(index: u32) -> Option<usize> {
    usize::try_from(index).ok().filter(|_| index != AMBIGUOUS)
}

/// What of a metric of the session is read: its number and its time.
fn of_session(metric: Metric) -> Metric {
    let value = metric.value.filter(|value| matches!(value, Value::Int(_) | Value::Long(_)));
    let Metric { name, timestamp, datatype, .. } = metric;
    Metric { name, timestamp, datatype, value, ..Metric::default() }
}

/// Whether a metric can have this datatype: property sets are types of properties only.
fn is_metric_type(datatype: DataType) -> bool {
    !matches!(datatype, DataType::PropertySet | DataType::PropertySetList)
}

pub(crate) fn is_definition(metric: &Metric) -> bool {
    matches!(&metric.value, Some(Value::Template(template)) if template.is_definition == Some(true))
}

#[cfg(test)]
mod tests {
    use sparkplug::{Property, PropertySet, PropertyValue};

    use super::super::refused::RefusedMetric;
    use super::*;

    fn metric(name: &str, alias: Option<u64>, value: Value) -> Metric {
        let datatype = match value {
            Value::Int(_) => Some(DataType::UInt8.code()),
            _ => None,
        };
        Metric { name: Some(name.into()), alias, datatype, value: Some(value), ..Metric::default() }
    }

    fn teach(metrics: Vec<Metric>) -> Taught {
        Layout::teach(metrics, Some(7), 9, true, &Caps::DEFAULT)
    }

    #[test]
    fn metrics_are_found_by_name_and_by_alias() {
        let layout = teach(vec![
            metric("a", Some(0), Value::Int(1)),
            metric("b", Some(u64::MAX), Value::Boolean(true)),
        ])
        .layout;
        assert_eq!(layout.find(None, Some(0)), Some(0));
        assert_eq!(layout.find(Some(""), Some(u64::MAX)), Some(1));
        assert_eq!(layout.find(None, Some(1)), None);
        assert_eq!(layout.find(Some("b"), Some(0)), Some(1));
        assert_eq!(layout.find(None, None), None);
        let slot = layout.slot(1).unwrap();
        assert_eq!((slot.current.alias, slot.current.timestamp), (None, Some(7)));
        assert_eq!(slot.datatype, DataType::Boolean);
    }

    /// The only metric of which anything was refused.
    fn only(taught: &Taught) -> &RefusedMetric {
        let [told] = &*taught.refused.named else { panic!("{taught:?}") };
        told
    }

    #[test]
    fn an_alias_of_two_metrics_names_neither() {
        let layout =
            teach(vec![metric("a", Some(1), Value::Int(1)), metric("b", Some(1), Value::Int(2))])
                .layout;
        assert_eq!(layout.find(None, Some(1)), None);
        assert!(layout.find(Some("a"), None).is_some());
    }

    #[test]
    fn a_value_that_does_not_fit_leaves_a_null() {
        let taught = teach(vec![metric("a", None, Value::Int(300))]);
        let slot = taught.layout.slot(0).unwrap();
        assert_eq!((slot.current.value.as_ref(), slot.current.is_null), (None, Some(true)));
        let told = only(&taught);
        assert_eq!(told.reason, Reason::TypeMismatch);
        assert_eq!((&*told.name, &*told.fault.wanted), ("a", "UInt8"));
        assert_eq!(told.fault.got, "UInt8 in int_value");
    }

    #[test]
    fn properties_beyond_the_cap_go_and_quality_stays() {
        let property = |number: u32| PropertyValue {
            r#type: Some(DataType::Int32.code()),
            value: Some(Property::Int(number)),
            ..PropertyValue::default()
        };
        let mut keys: Vec<String> = (0..1000).map(|number| format!("k{number}")).collect();
        keys.push("Quality".into());
        let values = (0..1001).map(property).collect();
        let properties = Some(Box::new(PropertySet { keys, values }));
        let taught = teach(vec![Metric { properties, ..metric("a", None, Value::Int(1)) }]);
        let slot = taught.layout.slot(0).unwrap();
        let set = slot.current.properties.as_ref().unwrap();
        assert_eq!((set.keys.len(), set.values.len()), (257, 257));
        assert_eq!(set.keys.last().map(String::as_str), Some("Quality"));
        assert_eq!(set.values.last(), Some(&property(1000)));
        assert_eq!(slot.current.value, Some(Value::Int(1)));
        let told = only(&taught);
        assert_eq!((&*told.name, told.reason), ("a", Reason::OverCap));
        assert_eq!(told.fault.got, "1001 of 256 properties of a metric");
        assert_eq!(told.fault.key, Some("limits.properties-per-metric"));
    }

    #[test]
    fn metrics_without_name_or_datatype_are_refused() {
        let untyped = Metric { name: Some("x".into()), ..Metric::default() };
        let integer = Metric { value: Some(Value::Int(1)), ..untyped.clone() };
        let property = Metric { datatype: Some(20), ..untyped.clone() };
        let taught = teach(vec![Metric::default(), untyped, integer, property]);
        assert!(taught.layout.slots.is_empty());
        assert_eq!(taught.refused.named.len(), 4);
    }
}

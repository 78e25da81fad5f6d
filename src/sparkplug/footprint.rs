//! What values take in memory beside themselves: what they hold on the heap, counted as the
//! allocator of the system hands it out, so that a budget in bytes means what the process takes.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::mem::size_of;

use crate::{
    Caps, Cell, CellValue, DataSet, MetaData, Metric, Parameter, ParameterValue, Property,
    PropertySet, PropertySetList, PropertyValue, Row, Template, Value, steps,
};

/// The head of each piece of memory, and the steps in which pieces grow.
const HEAD: usize = 8;
const STEP: usize = 16;
const LEAST: usize = 32;

/// What a text takes in a set.
pub fn element_bytes(text: &str) -> usize {
    allocation(text.len()).saturating_add(ELEMENT)
}

/// Something that takes memory, and how much at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// In words for people, with the keys that change it.
    pub what: &'static str,
    pub bytes: usize,
}

/// What one payload takes at most from when it is read until what is remembered of it is: its bytes,
/// those that it inflates to, and a model of as many parts as the caps allow, in lists that may be
/// half empty, once as it is read and once as it is taken over.
pub fn message_bytes(caps: &Caps) -> usize {
    let parts = [
        (caps.metrics, size_of::<Metric>()),
        (caps.properties, size_of::<PropertyValue>().saturating_add(size_of::<String>())),
        (caps.cells, size_of::<Cell>()),
    ];
    let one = |(count, bytes): (usize, usize)| {
        // Every part may have a short text of its own.
        count.saturating_mul(bytes.saturating_mul(2).saturating_add(LEAST))
    };
    let model = parts.into_iter().map(one).fold(caps.payload_bytes, usize::saturating_add);
    model.saturating_add(caps.payload_bytes).saturating_mul(2)
}

/// What may be remembered of a plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of one edge node with its devices.
    pub node_bytes: usize,
    /// Bytes of all together.
    pub plant_bytes: usize,
}

impl Budget {
    /// All that comes.
    pub const UNLIMITED: Budget = Budget { node_bytes: usize::MAX, plant_bytes: usize::MAX };
}

/// What there is room for while one message of a node is handled.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    budget: Budget,
    /// What the other nodes leave of the budget of all.
    left: usize,
}

/// There is no room for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// What its node would take with it, or all nodes.
    pub bytes: usize,
    /// What there is room for.
    pub budget: usize,
    /// Which budget it is.
    pub of: Bound,
}

/// Whose budget doesn't suffice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    Node,
    Plant,
}

impl Room {
    /// Where there is always room.
    pub const BOUNDLESS: Room = Room { budget: Budget::UNLIMITED, left: usize::MAX };

    /// `left`: what the other nodes leave of the budget of all.
    pub fn new(budget: Budget, left: usize) -> Room {
        Room { budget, left }
    }

    /// Whether a node may take so many bytes.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, bytes: usize) -> Result<(), Shortage> {
        let Room { budget, left } = *self;
        if bytes > budget.node_bytes {
            return Err(Shortage { bytes, budget: budget.node_bytes, of: Bound::Node });
        }
        if bytes > left {
            return Err(Shortage { bytes, budget: left, of: Bound::Plant });
        }
        Ok(())
    }
}

/// Bytes that something takes now, beside those that it took before.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Growth {
    gained: usize,
    lost: usize,
}

impl Growth {
    /// So many more.
    pub fn gain(&mut self, bytes: usize) {
        self.gained = self.gained.saturating_add(bytes);
    }

    /// So many less.
    pub fn lose(&mut self, bytes: usize) {
        self.lost = self.lost.saturating_add(bytes);
    }

    /// What `bytes` have become.
    pub fn of(self, bytes: usize) -> usize {
        bytes.saturating_add(self.gained).saturating_sub(self.lost)
    }

    /// Puts a newer value of a metric in the place of another.
    pub fn replace(&mut self, value: &mut Option<Value>, newer: Option<&Value>) {
        self.lose(current_bytes(value.as_ref()));
        *value = newer.cloned();
        self.gain(current_bytes(value.as_ref()));
    }
}

/// What the value of a metric takes, with what finds things in it.
pub fn current_bytes(value: Option<&Value>) -> usize {
    value.map_or(0, Value::heap_bytes).saturating_add(places_bytes(value))
}

/// What a metric takes that is remembered, with what finds things in it.
pub fn value_bytes(metric: &Metric) -> usize {
    metric.heap_bytes().saturating_add(places_bytes(metric.value.as_ref()))
}

/// What of a metric a newer one lets go; template instances are merged, and so are properties: where
/// both have the same ones, all of them are replaced.
pub fn lets_go(current: &Metric, newer: &Metric) -> usize {
    let Metric { value, properties, metadata, .. } = current;
    let of_value = match value {
        Some(Value::Template(_)) => 0,
        value => value.heap_bytes(),
    };
    let are_same = |newer: &PropertySet, set: &PropertySet| {
        steps::take(set.keys.len());
        newer.keys == set.keys
    };
    let of_properties = match (properties.as_deref(), newer.properties.as_deref()) {
        (Some(set), Some(newer)) if are_same(newer, set) => properties.heap_bytes(),
        _ => 0,
    };
    let of_metadata = newer.metadata.as_ref().map_or(0, |_| metadata.heap_bytes());
    sum([of_value, of_properties, of_metadata])
}

/// A text in a set, beside itself: an entry of a tree that may be half empty.
const ELEMENT: usize = 64;
/// What the places of a member of a template take once data came for it, beside its name: an entry
/// of a tree that may be half empty.
const PLACE: usize = 96;
/// The same for a template within a template.
const PLACES_WITHIN: usize = 256;

/// What a request for so many bytes takes.
pub const fn allocation(bytes: usize) -> usize {
    if bytes == 0 {
        return 0;
    }
    let steps = bytes.saturating_add(HEAD).saturating_add(STEP - 1) / STEP;
    let whole = steps.saturating_mul(STEP);
    if whole < LEAST { LEAST } else { whole }
}

/// What a table with this capacity takes whose entries have so many bytes (SwissTable: seven
/// eighths of a power of two, a byte of control for each entry, and a group of them).
pub const fn table(capacity: usize, entry_bytes: usize) -> usize {
    if capacity == 0 {
        return 0;
    }
    let buckets = match capacity {
        0..=3 => 4,
        4..=7 => 8,
        _ => (capacity.saturating_mul(8) / 7).next_power_of_two(),
    };
    allocation(buckets.saturating_mul(entry_bytes.saturating_add(1)).saturating_add(STEP))
}

/// Bytes on the heap.
pub trait Footprint {
    /// What the value holds on the heap.
    fn heap_bytes(&self) -> usize;
}

impl Footprint for String {
    fn heap_bytes(&self) -> usize {
        allocation(self.capacity())
    }
}

impl Footprint for Box<str> {
    fn heap_bytes(&self) -> usize {
        allocation(self.len())
    }
}

impl<T: Footprint> Footprint for Option<T> {
    fn heap_bytes(&self) -> usize {
        self.as_ref().map_or(0, T::heap_bytes)
    }
}

impl<T: Footprint> Footprint for Box<T> {
    fn heap_bytes(&self) -> usize {
        allocation(size_of::<T>()).saturating_add((**self).heap_bytes())
    }
}

impl<T: Footprint> Footprint for Vec<T> {
    fn heap_bytes(&self) -> usize {
        self.iter().map(T::heap_bytes).fold(room(self), usize::saturating_add)
    }
}

/// What a list takes, without what its elements hold.
fn room<T>(list: &Vec<T>) -> usize {
    allocation(list.capacity().saturating_mul(size_of::<T>()))
}

fn sum<const N: usize>(parts: [usize; N]) -> usize {
    parts.into_iter().fold(0, usize::saturating_add)
}

impl Footprint for Metric {
    fn heap_bytes(&self) -> usize {
        let Metric { name, metadata, properties, value, .. } = self;
        sum([name.heap_bytes(), metadata.heap_bytes(), properties.heap_bytes(), value.heap_bytes()])
    }
}

impl Footprint for Value {
    fn heap_bytes(&self) -> usize {
        match self {
            Value::String(text) => text.heap_bytes(),
            Value::Bytes(bytes) => room(bytes),
            Value::DataSet(table) => table.heap_bytes(),
            Value::Template(template) => template.heap_bytes(),
            Value::Int(_)
            | Value::Long(_)
            | Value::Float(_)
            | Value::Double(_)
            | Value::Boolean(_) => 0,
        }
    }
}

impl Footprint for MetaData {
    fn heap_bytes(&self) -> usize {
        let MetaData { content_type, file_name, file_type, md5, description, .. } = self;
        let texts = [content_type, file_name, file_type, md5, description];
        sum(texts.map(Option::heap_bytes))
    }
}

impl Footprint for PropertySet {
    fn heap_bytes(&self) -> usize {
        sum([self.keys.heap_bytes(), self.values.heap_bytes()])
    }
}

impl Footprint for PropertySetList {
    fn heap_bytes(&self) -> usize {
        self.sets.heap_bytes()
    }
}

impl Footprint for PropertyValue {
    fn heap_bytes(&self) -> usize {
        match &self.value {
            Some(Property::String(text)) => text.heap_bytes(),
            Some(Property::Set(set)) => set.heap_bytes(),
            Some(Property::SetList(list)) => list.heap_bytes(),
            Some(
                Property::Int(_)
                | Property::Long(_)
                | Property::Float(_)
                | Property::Double(_)
                | Property::Boolean(_),
            )
            | None => 0,
        }
    }
}

impl Footprint for DataSet {
    fn heap_bytes(&self) -> usize {
        sum([self.columns.heap_bytes(), room(&self.types), self.rows.heap_bytes()])
    }
}

impl Footprint for Row {
    fn heap_bytes(&self) -> usize {
        self.elements.heap_bytes()
    }
}

impl Footprint for Cell {
    fn heap_bytes(&self) -> usize {
        match &self.value {
            Some(CellValue::String(text)) => text.heap_bytes(),
            _ => 0,
        }
    }
}

impl Footprint for Template {
    fn heap_bytes(&self) -> usize {
        let Template { version, metrics, parameters, template_ref, .. } = self;
        sum([
            version.heap_bytes(),
            metrics.heap_bytes(),
            parameters.heap_bytes(),
            template_ref.heap_bytes(),
        ])
    }
}

impl Footprint for Parameter {
    fn heap_bytes(&self) -> usize {
        let value = match &self.value {
            Some(ParameterValue::String(text)) => text.heap_bytes(),
            _ => 0,
        };
        self.name.heap_bytes().saturating_add(value)
    }
}

/// What [`TemplatePlaces`](crate::TemplatePlaces) of the value take at most, whatever data comes
/// for it.
pub fn places_bytes(value: Option<&Value>) -> usize {
    let Some(Value::Template(template)) = value else { return 0 };
    let place = |name: &Option<String>| {
        allocation(name.as_ref().map_or(0, String::len)).saturating_add(PLACE)
    };
    let members = template.metrics.iter().map(|member| {
        let within = match &member.value {
            Some(Value::Template(_)) => PLACES_WITHIN,
            _ => 0,
        };
        sum([place(&member.name), within, places_bytes(member.value.as_ref())])
    });
    let parameters = template.parameters.iter().map(|parameter| place(&parameter.name));
    members.chain(parameters).fold(PLACES_WITHIN, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;

    use super::*;

    #[test]
    fn requests_take_what_the_allocator_gives() {
        assert_eq!(allocation(0), 0);
        assert_eq!(allocation(1), 32);
        assert_eq!(allocation(24), 32);
        assert_eq!(allocation(25), 48);
        assert_eq!(allocation(usize::MAX), usize::MAX / STEP * STEP);
    }

    #[test]
    fn every_part_of_a_metric_counts() {
        let text = |length: usize| "x".repeat(length);
        let name = Metric { name: Some(text(100)), ..Metric::default() };
        assert_eq!(name.heap_bytes(), allocation(100));
        let property = PropertyValue {
            value: Some(Property::Set(PropertySet {
                keys: vec![text(40)],
                values: vec![PropertyValue::default()],
            })),
            ..PropertyValue::default()
        };
        let set = PropertySet { keys: vec![text(200)], values: vec![property] };
        let properties = Metric { properties: Some(Box::new(set)), ..name.clone() };
        let of_properties = properties.heap_bytes() - name.heap_bytes();
        let pieces = allocation(size_of::<PropertySet>())
            + 2 * (allocation(size_of::<String>()) + allocation(size_of::<PropertyValue>()));
        assert_eq!(of_properties, pieces + allocation(200) + allocation(40));
        let cell = Cell { value: Some(CellValue::String(text(1000))) };
        let table = DataSet {
            num_of_columns: Some(1),
            columns: vec![text(300)],
            types: vec![12],
            rows: vec![Row { elements: vec![cell] }],
        };
        let table = Metric { value: Some(Value::DataSet(Box::new(table))), ..Metric::default() };
        assert!(table.heap_bytes() > 1300 && table.heap_bytes() < 1700, "{}", table.heap_bytes());
        let parameter = Parameter {
            name: Some(text(50)),
            r#type: Some(12),
            value: Some(ParameterValue::String(text(500))),
        };
        let template = Template {
            metrics: vec![table.clone(), name.clone()],
            parameters: vec![parameter],
            template_ref: Some("T".to_owned()),
            ..Template::default()
        };
        let value = Some(Value::Template(Box::new(template)));
        let instance = Metric { value, ..Metric::default() };
        assert!(instance.heap_bytes() > table.heap_bytes() + name.heap_bytes() + 550);
        assert!(places_bytes(instance.value.as_ref()) > 2 * PLACE + allocation(100));
        assert_eq!(places_bytes(table.value.as_ref()), 0);
    }

    #[test]
    fn a_table_takes_more_than_its_entries() {
        assert_eq!(table(0, 8), 0);
        assert!(table(3, 8) >= 4 * 9);
        assert_eq!(table(7, 8), allocation(8 * 9 + STEP));
        assert_eq!(table(8, 8), table(14, 8));
        assert!(table(15, 8) > table(14, 8));
    }
}

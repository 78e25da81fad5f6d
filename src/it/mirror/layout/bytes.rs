//! What a layout takes in memory, and its index of names.

use sparkplug::footprint::{allocation, value_bytes};
use sparkplug::{Metric, NameIndex, PropertySet, steps};

use super::{Layout, Slot, SlotPlaces};
use crate::mirror::policy_recheck::PolicyRecheck;

/// The place of a property, beside its name: an entry of a tree that may be half empty.
const PROPERTY_PLACE_BYTES: usize = 96;

impl Slot {
    pub(super) fn name(&self) -> &str {
        self.metric.name.as_deref().unwrap_or_default()
    }

    fn heap_bytes(&self) -> usize {
        let recheck = self.recheck().map_or(0, |_| allocation(size_of::<PolicyRecheck>()));
        let properties = self.metric.properties.as_ref().map_or(0, |set| {
            // Data that brings some of them has them found by name.
            let keys = set.keys.iter();
            keys.fold(0, |sum: usize, key| sum.saturating_add(property_bytes(key)))
        });
        // Also where nothing is found by name so far: data must not have to ask for room for it.
        let places = allocation(size_of::<SlotPlaces>());
        let places = if self.is_plain() { 0 } else { places };
        let parts = [value_bytes(&self.metric), recheck, properties, places];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// Neither properties nor members are there to be found.
    fn is_plain(&self) -> bool {
        let Metric { properties, value, .. } = &self.metric;
        properties.is_none() && !matches!(value, Some(sparkplug::Value::Template(_)))
    }
}

/// What it takes beside the properties themselves that data brings some. `are_first`: there were
/// none.
pub(super) fn first_properties(are_first: bool, places: &Option<Box<SlotPlaces>>) -> usize {
    let set = if are_first { allocation(size_of::<PropertySet>()) } else { 0 };
    let places = places.as_ref().map_or(allocation(size_of::<SlotPlaces>()), |_| 0);
    set.saturating_add(places)
}

/// What the place of a property takes.
pub(super) fn property_bytes(key: &str) -> usize {
    allocation(key.len()).saturating_add(PROPERTY_PLACE_BYTES)
}

impl Layout {
    /// What it takes on the heap.
    pub(in crate::mirror) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts anew what it takes on the heap, after more than a value was changed.
    pub(in crate::mirror) fn count_bytes(&mut self) {
        steps::take(self.slots.len());
        self.slots.shrink_to_fit();
        self.bytes = self.counted_bytes();
    }

    /// What [`Layout::bytes`] must not be less than.
    pub(in crate::mirror) fn counted_bytes(&self) -> usize {
        let room = allocation(self.slots.capacity().saturating_mul(size_of::<Slot>()));
        let tables = room.saturating_add(self.index.heap_bytes());
        // The layout is shared with snapshots, behind two counters.
        let own = allocation(size_of::<Layout>().saturating_add(16));
        let all = self.slots.iter().map(Slot::heap_bytes);
        let own = own.saturating_add(self.journal.heap_bytes());
        all.fold(tables.saturating_add(own), usize::saturating_add)
    }

    /// Where the metric of this name is.
    #[inline]
    pub(super) fn at(&self, name: &str) -> Option<usize> {
        self.index.find(name, |place| self.slots.get(place).map_or("", Slot::name))
    }

    /// The name of the metric at this place.
    pub(in crate::mirror) fn name_at(&self, place: usize) -> Option<&str> {
        self.slots.get(place).map(Slot::name)
    }

    /// Notes that the next metric has this name; false: there are more than can be.
    pub(super) fn enter_name(&mut self, name: &str) -> bool {
        let slots = &self.slots;
        self.index.insert(name, slots.len(), |place| slots.get(place).map_or("", Slot::name))
    }

    /// Notes the names of all metrics anew.
    pub(super) fn enter_all_names(&mut self) {
        self.forget_places();
        self.index = NameIndex::default();
        let slots = &self.slots;
        for (place, slot) in slots.iter().enumerate() {
            let name_at = |place: usize| slots.get(place).map_or("", Slot::name);
            // There were more of them.
            let _ = self.index.insert(slot.name(), place, name_at);
        }
    }
}

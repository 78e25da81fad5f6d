//! What definitions take in memory, and what instances may ask of them.

use sparkplug::footprint::{Footprint, allocation, element_bytes, table};

use super::{Definition, Definitions, Field, Kind, Types};

/// How often the name of a definition may be in a set of the node: needed, announced, and where
/// something is denied of it or removed.
const SETS_OF_DEFINITIONS: usize = 4;
/// The same of a member: denied, removed.
const SETS_OF_MEMBERS: usize = 2;

impl Definitions {
    /// What they take on the heap.
    pub(in crate::plant) fn heap_bytes(&self) -> usize {
        let entry = size_of::<(String, Definition)>().saturating_mul(5) / 2;
        let one = |(name, definition): (&String, &Definition)| {
            entry.saturating_add(name.heap_bytes()).saturating_add(definition.heap_bytes())
        };
        self.by_name.iter().map(one).fold(0, usize::saturating_add)
    }

    /// What the sets take that say what of them is denied, removed, needed and announced, at most.
    pub(in crate::plant) fn sets_bytes(&self) -> usize {
        let one = |(name, definition): (&String, &Definition)| {
            let fields = definition.fields.keys().map(|name| element_bytes(name));
            let fields = fields.fold(0, usize::saturating_add);
            let own = element_bytes(name).saturating_mul(SETS_OF_DEFINITIONS);
            own.saturating_add(fields.saturating_mul(SETS_OF_MEMBERS))
        };
        self.by_name.iter().map(one).fold(0, usize::saturating_add)
    }
}

impl Definition {
    fn heap_bytes(&self) -> usize {
        let entries = table(self.fields.capacity(), size_of::<(Box<str>, Field)>());
        let names = self.fields.keys().map(|name| allocation(name.len()));
        let nested = self.fields.values().map(|field| match &field.kind {
            Kind::Nested { definition, reference } => {
                allocation(definition.len()).saturating_add(reference.heap_bytes())
            }
            Kind::Parameter | Kind::Member => 0,
        });
        let fields = names.chain(nested).fold(entries, usize::saturating_add);
        fields.saturating_add(self.metric.heap_bytes())
    }
}

impl Types {
    /// What is asked of definitions that are known no more.
    pub(in crate::plant) fn heap_bytes(&self) -> usize {
        let needed = self.needed.iter().map(|name| element_bytes(name));
        let removed = self.removed.iter().flat_map(|(name, members)| {
            std::iter::once(element_bytes(name))
                .chain(members.iter().map(|member| element_bytes(member)))
        });
        needed.chain(removed).fold(0, usize::saturating_add)
    }
}

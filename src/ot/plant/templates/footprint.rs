//! What definitions take in memory, and what instances may ask of them.

use sparkplug::footprint::{Footprint, allocation, table};

use super::{Definition, Definitions, Field, Kind, Types};
use crate::plant::memory::element;

/// How often the name of a definition, or of a member, may be in a set of the node: denied, removed,
/// needed, announced.
const SETS: usize = 4;

impl Definitions {
    /// What they take on the heap, with all that instances may ask of them.
    pub(in crate::plant) fn heap_bytes(&self) -> usize {
        let one = |(name, definition): (&String, &Definition)| {
            let sets = element(name).saturating_mul(SETS);
            let entry = size_of::<(String, Definition)>().saturating_mul(5) / 2;
            entry
                .saturating_add(sets)
                .saturating_add(name.heap_bytes())
                .saturating_add(definition.heap_bytes())
        };
        self.by_name.iter().map(one).fold(0, usize::saturating_add)
    }
}

impl Definition {
    fn heap_bytes(&self) -> usize {
        let entries = table(self.fields.capacity(), size_of::<(Box<str>, Field)>());
        let field = |(name, field): (&Box<str>, &Field)| {
            let nested = match &field.kind {
                Kind::Nested { definition, reference } => {
                    allocation(definition.len()).saturating_add(reference.heap_bytes())
                }
                Kind::Parameter | Kind::Member => 0,
            };
            element(name).saturating_mul(SETS).saturating_add(nested)
        };
        let fields = self.fields.iter().map(field).fold(entries, usize::saturating_add);
        fields.saturating_add(self.metric.heap_bytes())
    }
}

impl Types {
    /// What is asked of definitions that are known no more.
    pub(in crate::plant) fn heap_bytes(&self) -> usize {
        let needed = self.needed.iter().map(|name| element(name));
        let removed = self.removed.iter().flat_map(|(name, members)| {
            std::iter::once(element(name)).chain(members.iter().map(|member| element(member)))
        });
        needed.chain(removed).fold(0, usize::saturating_add)
    }
}

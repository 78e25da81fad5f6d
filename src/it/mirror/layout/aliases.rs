//! Aliases of a layout's metrics on IT: numbers of the relay's own, one after the other in the order
//! of the layout. A birth says them, and they hold until the next birth of the entity: whoever
//! replaces a layout in between keeps its order.

use std::sync::Arc;

use sparkplug::{Borrowed, Metric, Payload, names, steps};

use super::Layout;
use crate::mirror::Aliases;

/// The first number: of 0 some libraries can't say that it is there.
const FIRST: u64 = 1;

/// Numbers for the metrics of one edge node, over all of its births since its last NBIRTH.
#[derive(Debug, Clone, Copy)]
pub(in crate::mirror) struct AliasNumbers {
    next: u64,
}

impl Default for AliasNumbers {
    fn default() -> AliasNumbers {
        AliasNumbers { next: FIRST }
    }
}

impl AliasNumbers {
    /// The alias of a metric of the session itself, which is in no layout.
    pub(in crate::mirror) fn of_session(&mut self, aliases: Aliases) -> Option<u64> {
        (aliases == Aliases::Always).then(|| self.take(1))
    }

    /// Gives the metrics of a birth their numbers.
    pub(in crate::mirror) fn give(&mut self, layout: &mut Arc<Layout>) {
        if layout.aliases == Aliases::Never {
            return;
        }
        let metrics = u64::try_from(layout.len()).unwrap_or(u64::MAX);
        let first = self.take(metrics);
        if layout.first_alias != Some(first) {
            Arc::make_mut(layout).first_alias = Some(first);
        }
    }

    fn take(&mut self, metrics: u64) -> u64 {
        let first = self.next;
        self.next = first.saturating_add(metrics);
        first
    }
}

impl Layout {
    /// The alias by which IT knows the metric at this place.
    #[inline]
    pub(in crate::mirror) fn alias(&self, place: usize) -> Option<u64> {
        let first = self.first_alias?;
        let has_one = match self.aliases {
            Aliases::Never => false,
            Aliases::Always => true,
            Aliases::AsPlant => self.slots.get(place)?.metric.alias.is_some(),
        };
        has_one.then(|| first.saturating_add(u64::try_from(place).unwrap_or(u64::MAX)))
    }

    /// The same of the metric with this name.
    pub(in crate::mirror) fn alias_of(&self, name: &str) -> Option<u64> {
        self.first_alias?;
        self.alias(self.at(name)?)
    }

    /// The name of the metric that IT knows by this alias.
    pub(in crate::mirror) fn by_alias(&self, alias: u64) -> Option<&str> {
        let place = usize::try_from(alias.checked_sub(self.first_alias?)?).ok()?;
        self.alias(place)?;
        self.name_at(place)
    }

    /// Whether metrics at these places have an alias in the plant alike, as far as that shows on IT.
    pub(super) fn has_aliases_of(&self, ours: &Metric, theirs: bool) -> bool {
        self.aliases != Aliases::AsPlant || ours.alias.is_some() == theirs
    }

    /// Takes the place of a layout of the same shape whose birth IT has seen: its aliases hold.
    pub(in crate::mirror) fn take_place_of(&mut self, born: &Layout) {
        self.first_alias = born.first_alias;
        if self.first_alias.is_none() {
            return;
        }
        steps::take(self.slots.len());
        let place = |slot: &super::Slot| born.at(slot.name());
        let mut places = self.slots.iter().enumerate();
        if places.all(|(at, slot)| place(slot) == Some(at)) {
            return;
        }
        self.slots.sort_by_key(place);
        self.enter_all_names();
    }
}

/// A birth of the journal, that notes of its metrics which of them the plant gave an alias. The session's own have
/// none.
pub(in crate::mirror) fn with_given(birth: Borrowed<'_>, given: &[u8]) -> Payload {
    let mut birth = birth.into_payload();
    for (place, metric) in birth.metrics.iter_mut().enumerate() {
        let is_own = matches!(metric.name.as_deref(), Some(names::BD_SEQ | names::REBIRTH));
        metric.alias = (!is_own && journal_format::has_alias(given, place)).then_some(0);
    }
    birth
}

//! Aliases of a layout's metrics on IT: numbers of the relay's own. Births say them, and a number of
//! an edge node's own metric means the same for as long as its session lasts: hosts were seen that
//! don't look at a second NBIRTH of a session. Those of devices are given anew with each DBIRTH.

use std::num::NonZeroU32;
use std::sync::Arc;

use sparkplug::{Borrowed, Metric, Payload, names, steps};

use super::{Layout, Slot};
use crate::mirror::Aliases;

/// The first number: of 0 some libraries can't say that it is there.
const FIRST: u32 = 1;

/// Numbers for the metrics of one edge node.
#[derive(Debug, Clone, Copy)]
pub(in crate::mirror) struct AliasNumbers {
    /// The first one that no metric of the node itself had in this session.
    own: u32,
    /// The first one that none has had since the last NBIRTH.
    next: u32,
}

impl Default for AliasNumbers {
    fn default() -> AliasNumbers {
        AliasNumbers { own: FIRST, next: FIRST }
    }
}

impl AliasNumbers {
    /// Gives the metrics of an NBIRTH numbers, where they have none from an earlier one of this
    /// session. That of a metric of the session itself, which is in no layout.
    pub(in crate::mirror) fn begin(
        &mut self,
        layout: &mut Arc<Layout>,
        is_first: bool,
        aliases: Aliases,
    ) -> Option<u64> {
        if is_first {
            *self = AliasNumbers::default();
            if aliases == Aliases::Always {
                self.own = FIRST.saturating_add(1);
            }
        }
        self.next = self.own;
        self.give(layout, is_first);
        self.own = self.next;
        (aliases == Aliases::Always).then_some(FIRST.into())
    }

    /// Gives the metrics of a DBIRTH numbers, whatever they had.
    pub(in crate::mirror) fn go_on(&mut self, layout: &mut Arc<Layout>) {
        self.give(layout, true);
    }

    fn give(&mut self, layout: &mut Arc<Layout>, anew: bool) {
        if layout.aliases == Aliases::Never {
            return;
        }
        steps::take(layout.len());
        let gives = |layout: &Layout, slot: &Slot| {
            layout.is_aliased(&slot.metric) && (anew || slot.number.is_none())
        };
        // Mostly all have theirs, and a layout may be shared with a snapshot.
        let mut next = self.next;
        let is_given = layout.slots.iter().all(|slot| {
            if !gives(layout, slot) {
                return !anew || slot.number.is_none();
            }
            let is_same = slot.number.map(NonZeroU32::get) == Some(next);
            next = next.saturating_add(1);
            is_same
        });
        if is_given {
            self.next = next;
            return;
        }
        let layout = Arc::make_mut(layout);
        if anew {
            // Also what those had in an earlier session that have no alias now.
            layout.slots.iter_mut().for_each(|slot| slot.number = None);
        }
        for place in 0..layout.slots.len() {
            let is_due = layout.slots.get(place).is_some_and(|slot| gives(layout, slot));
            if let Some(slot) = layout.slots.get_mut(place).filter(|_| is_due) {
                slot.number = NonZeroU32::new(self.next);
                self.next = self.next.saturating_add(1);
            }
        }
    }
}

impl Layout {
    /// Whether the metric is to have an alias on IT.
    fn is_aliased(&self, metric: &Metric) -> bool {
        match self.aliases {
            Aliases::Never => false,
            Aliases::Always => true,
            Aliases::AsPlant => metric.alias.is_some(),
        }
    }

    /// The alias by which IT knows the metric at this place.
    #[inline]
    pub(in crate::mirror) fn alias(&self, place: usize) -> Option<u64> {
        let slot = self.slots.get(place)?;
        let number = slot.number.filter(|_| self.is_aliased(&slot.metric))?;
        Some(number.get().into())
    }

    /// The same of the metric with this name.
    pub(in crate::mirror) fn alias_of(&self, name: &str) -> Option<u64> {
        if self.aliases == Aliases::Never {
            return None;
        }
        self.alias(self.at(name)?)
    }

    /// The name of the metric that IT knows by this alias.
    pub(in crate::mirror) fn by_alias(&self, alias: u64) -> Option<&str> {
        let place = (0..self.slots.len()).find(|place| self.alias(*place) == Some(alias))?;
        self.name_at(place)
    }

    /// Whether a metric here and one of another birth have an alias in the plant alike, as far as that
    /// shows on IT.
    pub(super) fn has_aliases_of(&self, ours: &Metric, theirs: bool) -> bool {
        self.aliases != Aliases::AsPlant || ours.alias.is_some() == theirs
    }

    /// Takes the place of an older layout of the same entity: what IT knows by a number it knows by it
    /// still.
    pub(in crate::mirror) fn keep_numbers_of(&mut self, older: &Layout) {
        if self.aliases == Aliases::Never {
            return;
        }
        steps::take(self.slots.len());
        for slot in &mut self.slots {
            slot.number = older.find(&slot.metric).and_then(|known| known.number);
        }
    }
}

/// A birth of the journal, that notes of its metrics which of them the plant gave an alias. The
/// session's own have none.
pub(in crate::mirror) fn with_given(birth: Borrowed<'_>, given: &[u8]) -> Payload {
    let mut birth = birth.into_payload();
    for (place, metric) in birth.metrics.iter_mut().enumerate() {
        let is_own = matches!(metric.name.as_deref(), Some(names::BD_SEQ | names::REBIRTH));
        metric.alias = (!is_own && journal_format::has_alias(given, place)).then_some(0);
    }
    birth
}

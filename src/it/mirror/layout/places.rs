//! Where the metrics of a layout stand in the journal: data that is told by their places finds them
//! without a name.

use sparkplug::footprint::allocation;
use sparkplug::{DataType, Scalar, steps};

use super::Layout;

/// A place of the journal where the layout has no metric.
const NOWHERE: u32 = u32::MAX;

/// The metric at each place of one layout of the journal.
#[derive(Debug, Default, Clone)]
pub(super) struct JournalPlaces {
    /// Which layout; 0: none.
    id: u64,
    order: Order,
}

#[derive(Debug, Clone)]
enum Order {
    /// The first is at this place, and the others follow.
    As { first: u32 },
    /// By place.
    Listed(Box<[u32]>),
}

impl Default for Order {
    fn default() -> Order {
        Order::As { first: 0 }
    }
}

impl JournalPlaces {
    /// What it takes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        match &self.order {
            Order::As { .. } => 0,
            Order::Listed(places) => allocation(size_of_val(&**places)),
        }
    }

    #[inline]
    fn metric(&self, place: u32) -> Option<usize> {
        let at = match &self.order {
            Order::As { first } => place.checked_sub(*first)?,
            Order::Listed(places) => *places.get(usize::try_from(place).ok()?)?,
        };
        usize::try_from(at).ok().filter(|_| at != NOWHERE)
    }
}

impl Layout {
    /// Whether data that is told against this layout of the journal finds its metrics here.
    pub(in crate::mirror) fn knows_places(&self, journal: &journal_format::Layout) -> bool {
        self.journal.id == journal.id()
    }

    /// Notes where the metrics of this layout of the journal are here.
    pub(in crate::mirror) fn learn_places(&mut self, journal: &journal_format::Layout) {
        steps::take(journal.places());
        let mut listed = Vec::with_capacity(journal.places());
        let (mut likely, mut first) = (0_usize, None);
        let mut in_order = true;
        for place in 0..u32::try_from(journal.places()).unwrap_or(NOWHERE) {
            let name = journal.name(place).unwrap_or_default();
            let is_likely = self.slots.get(likely).is_some_and(|slot| slot.name() == name);
            let at = if is_likely { Some(likely) } else { self.at(name) };
            likely = at.map_or(likely, |at| at.saturating_add(1));
            let at = at.and_then(|at| u32::try_from(at).ok());
            if at.is_some() {
                first = first.or(Some(place));
            }
            in_order &= at == first.map(|first| place.saturating_sub(first));
            listed.push(at.unwrap_or(NOWHERE));
        }
        // A place beyond them all is looked up, and isn't there.
        let order = match first {
            Some(first) if in_order => Order::As { first },
            _ => Order::Listed(listed.into()),
        };
        self.forget_places();
        self.journal = JournalPlaces { id: journal.id(), order };
        self.bytes = self.bytes.saturating_add(self.journal.heap_bytes());
    }

    /// The metrics are others, or stand in another order.
    pub(super) fn forget_places(&mut self) {
        self.bytes = self.bytes.saturating_sub(self.journal.heap_bytes());
        self.journal = JournalPlaces::default();
    }

    /// As [`Layout::find_eligible`], by the place in the journal.
    #[inline]
    pub(in crate::mirror) fn eligible_at(&self, place: u32, value: Scalar) -> Option<usize> {
        let at = self.journal.metric(place)?;
        let slot = self.slots.get(at)?;
        let datatype = DataType::from_code(slot.metric.datatype?)?;
        let is_eligible = slot.is_eligible && slot.as_of == self.losses;
        (is_eligible && value.fits(datatype)).then_some(at)
    }
}

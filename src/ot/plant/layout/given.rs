//! What the journal has of the layout of an entity: the number that a birth or keyframe gave it, and
//! the place of each metric in there. Data is told by these places, as long as the segment that is
//! written has them.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use sparkplug::steps;

use super::Layout;
use crate::plant::Slot;

/// Which layouts the journal was given in this run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GivenLayouts {
    /// The last number that was given out; numbers are never used for anything else again.
    last: u64,
    /// Counts the segments of this run; nothing was given in segment 0.
    segment: u64,
    /// Data is told by names nevertheless.
    pub(crate) by_names: bool,
}

impl Default for GivenLayouts {
    fn default() -> GivenLayouts {
        GivenLayouts { last: 0, segment: 1, by_names: false }
    }
}

impl GivenLayouts {
    fn next_number(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    /// A segment began: nothing is given in it yet.
    pub(crate) fn segment_began(&mut self) {
        self.segment = self.segment.saturating_add(1);
    }
}

/// What a layout knows of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    /// 0: none.
    number: u64,
    /// The segment that it was given in last.
    segment: u64,
    /// Of names and types, by place.
    print: u64,
    /// Number and print of the layout that the entity had in the life before.
    before: Option<(u64, u64)>,
}

impl Layout {
    /// It takes the place of `former`. With the same metrics, known by the same names, it will have the same
    /// number: data that follows a birth which was lost on the way is understood then, and so is data from
    /// before that birth which comes late.
    pub(crate) fn follow(&mut self, former: &Layout) {
        let Given { number, print, before, .. } = former.given;
        self.given.before = (number > 0).then_some((number, print)).or(before);
    }

    /// A birth or keyframe gives the layout to the journal: `others` metrics, and then those that
    /// `has` says. The number of it.
    pub(crate) fn give(
        &mut self,
        given: &mut GivenLayouts,
        others: usize,
        has: impl Fn(&Slot) -> bool,
    ) -> u64 {
        steps::take(self.slots.len());
        let mut next = u32::try_from(others).unwrap_or(u32::MAX);
        let mut same = self.given.number > 0;
        for slot in &mut self.slots {
            let mut place = None;
            if has(slot) {
                place = Some(next).filter(|place| *place < u32::MAX);
                next = next.saturating_add(1);
            }
            same &= slot.place() == place;
            slot.set_place(place);
        }
        if !same {
            let print = self.print();
            let before = self.given.before.take().filter(|(_, before)| *before == print);
            let number = before.map_or_else(|| given.next_number(), |(number, _)| number);
            (self.given.number, self.given.print) = (number, print);
        }
        self.given.segment = given.segment;
        self.given.number
    }

    /// The same for the same metrics at the same places. Who finds others of the same print has his own data
    /// read wrongly, and nobody else's.
    fn print(&self) -> u64 {
        let placed = |slot: &Slot| slot.place().map(|place| (place, slot.datatype.code()));
        let state = FixedState::default();
        self.slots
            .iter()
            .filter_map(|slot| Some((placed(slot)?, slot.exported_name())))
            .fold(0, |print: u64, (placed, name)| state.hash_one((print, placed, name)))
    }

    /// What was given is no longer told against.
    pub(crate) fn take_back(&mut self) {
        self.given = Given::default();
    }

    /// Number of the layout, if the segment that is written has it.
    #[inline]
    pub(crate) fn given(&self, given: &GivenLayouts) -> Option<u64> {
        let is_given = self.given.number > 0 && self.given.segment == given.segment;
        (is_given && !given.by_names).then_some(self.given.number)
    }
}

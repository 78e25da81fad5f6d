//! Which elements of a list have changed since the last snapshot of it, for state that is stored
//! while the data path goes on: the snapshot is taken a few elements at a time, and shows what was
//! when it began, since an element that changes meanwhile is taken before it does.

use mistake::mistake;

/// Bookkeeping beside a list whose elements keep their places.
#[derive(Debug)]
pub struct Changes {
    /// For each element, number of the snapshot since which it is in the list below.
    since: Vec<u64>,
    /// Elements that changed since the current snapshot began, or the last one if none is taken.
    changed: Vec<usize>,
    /// Number of that snapshot; 0 is that of none.
    number: u64,
    /// What the current snapshot has yet to take.
    todo: Option<Vec<usize>>,
}

impl Default for Changes {
    fn default() -> Changes {
        Changes { since: Vec::new(), changed: Vec::new(), number: 1, todo: None }
    }
}

impl Changes {
    /// An element was appended to the list.
    pub fn push(&mut self) {
        self.changed.push(self.since.len());
        self.since.push(self.number);
    }

    /// The element at `place` is about to change. True: the snapshot under way has to take it
    /// first.
    #[must_use]
    pub fn note(&mut self, place: usize) -> bool {
        let Some(since) = self.since.get_mut(place) else {
            mistake!("a change of an element that isn't in the list");
            return false;
        };
        if *since == self.number {
            return false;
        }
        let owed = self.todo.is_some() && since.saturating_add(1) == self.number;
        *since = self.number;
        self.changed.push(place);
        owed
    }

    /// Begins a snapshot of all that changed since the last one began.
    pub fn begin(&mut self) {
        self.todo = Some(std::mem::take(&mut self.changed));
        self.number = self.number.saturating_add(1);
    }

    /// The next element that the snapshot has to take now. `None`: it has all.
    pub fn take(&mut self) -> Option<usize> {
        while let Some(place) = self.todo.as_mut()?.pop() {
            // Others were taken when they changed.
            if let Some(since) = self.since.get_mut(place)
                && since.saturating_add(1) == self.number
            {
                // Once is enough.
                *since = 0;
                return Some(place);
            }
        }
        self.todo = None;
        None
    }

    /// Whether a snapshot is under way that has yet to take elements.
    pub fn is_under_way(&self) -> bool {
        self.todo.is_some()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A list with a snapshot taken beside it, and what the snapshot has to show.
    #[derive(Default)]
    struct List {
        elements: Vec<u32>,
        changes: Changes,
        stored: Vec<u32>,
        wanted: Vec<u32>,
        taken: usize,
    }

    impl List {
        fn store(&mut self, place: usize) {
            self.taken += 1;
            if self.stored.len() <= place {
                self.stored.resize(place + 1, 0);
            }
            self.stored[place] = self.elements[place];
        }

        fn change(&mut self, place: usize) {
            if self.changes.note(place) {
                self.store(place);
            }
            self.elements[place] += 1;
        }

        fn take(&mut self) {
            match self.changes.take() {
                Some(place) => self.store(place),
                None => assert_eq!(self.stored, self.wanted),
            }
        }

        fn begin(&mut self) {
            while self.changes.is_under_way() {
                self.take();
            }
            self.wanted.clone_from(&self.elements);
            self.changes.begin();
        }
    }

    proptest! {
        #[test]
        fn a_snapshot_shows_what_was_when_it_began(
            steps in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 1..200),
        ) {
            let mut list = List::default();
            for (step, place) in steps {
                match step {
                    0 => {
                        list.elements.push(7);
                        list.changes.push();
                    }
                    1 if !list.elements.is_empty() => {
                        let place = place.index(list.elements.len());
                        list.change(place);
                    }
                    2 if list.changes.is_under_way() => list.take(),
                    3 => list.begin(),
                    _ => {}
                }
            }
            list.begin();
            list.begin();
        }
    }

    #[test]
    fn only_what_changed_is_taken_again() {
        let mut list = List::default();
        for _ in 0..100 {
            list.elements.push(1);
            list.changes.push();
        }
        list.begin();
        list.begin();
        assert_eq!(list.taken, 100);
        list.change(5);
        list.change(5);
        list.change(6);
        list.begin();
        list.begin();
        assert_eq!(list.taken, 102);
    }
}

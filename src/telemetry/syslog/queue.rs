//! The bounded queue before a target. Offering never waits; what doesn't fit is counted, with
//! the times of the first and the last.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crossbeam_channel::{Receiver, Sender};

use crate::event::Severity;
use crate::record::Record;

/// Largest `sequenceId` (RFC 5424 §7.3.1); 1 follows.
const MAX_SEQUENCE: u64 = 2_147_483_647;

/// The end that events come in at.
#[derive(Debug)]
pub struct Queue {
    sender: Sender<Queued>,
    /// Beyond this many waiting lines only warnings and worse are taken.
    crowded: usize,
    shared: Arc<Shared>,
}

/// The worker's end.
#[derive(Debug)]
pub struct Waiting {
    pub receiver: Receiver<Queued>,
    shared: Arc<Shared>,
}

/// A line that waits.
#[derive(Clone, Debug)]
pub struct Queued {
    pub record: Arc<Record>,
    pub sequence: u32,
    /// Lines whose loss this one reports, as long as that isn't sent.
    pub losses: u64,
}

/// Under one lock, so that lines are queued in the order of their numbers. It is held for some
/// instructions, and never while anything waits.
#[derive(Debug, Default)]
struct Shared(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Numbers given out.
    sequence: u64,
    lost: Option<Lost>,
}

/// Lines that were not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub count: u64,
    pub first: SystemTime,
    pub last: SystemTime,
}

impl Queue {
    /// A queue of at most `lines`.
    pub fn bounded(lines: usize) -> (Queue, Waiting) {
        let (sender, receiver) = crossbeam_channel::bounded(lines);
        let shared = Arc::new(Shared::default());
        // The last quarter is kept for what matters.
        let crowded = lines.saturating_sub(lines / 4);
        (Queue { sender, crowded, shared: Arc::clone(&shared) }, Waiting { receiver, shared })
    }

    /// Takes an event, or counts it as lost. Never waits.
    pub fn offer(&self, record: &Arc<Record>) {
        let minor = record.event.entry().severity > Severity::Warning;
        let mut state = self.shared.lock();
        let queued =
            Queued { record: Arc::clone(record), sequence: state.next_sequence(), losses: 0 };
        if (minor && self.sender.len() >= self.crowded) || self.sender.try_send(queued).is_err() {
            state.lose(record.at);
        }
    }
}

impl Waiting {
    /// What was lost since this was asked last.
    pub fn take_lost(&self) -> Option<Lost> {
        self.shared.lock().lost.take()
    }

    /// A number for a line of the worker's own.
    pub fn next_sequence(&self) -> u32 {
        self.shared.lock().next_sequence()
    }

    /// How many lines are lost and not reported yet.
    pub fn lost_so_far(&self) -> u64 {
        self.shared.lock().lost.map_or(0, |lost| lost.count)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_sequence(&mut self) -> u32 {
        let number = self.sequence % MAX_SEQUENCE;
        self.sequence = self.sequence.wrapping_add(1);
        // Below 2^31, so both steps are exact.
        u32::try_from(number.saturating_add(1)).unwrap_or(u32::MAX)
    }

    fn lose(&mut self, at: SystemTime) {
        let lost = self.lost.get_or_insert(Lost { count: 0, first: at, last: at });
        lost.count = lost.count.saturating_add(1);
        lost.last = at;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::Event;

    fn record(event: Event, at_s: u64) -> Arc<Record> {
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(at_s)).unwrap();
        Arc::new(Record::new(at, event))
    }

    #[test]
    fn what_does_not_fit_is_counted_and_the_last_quarter_is_for_what_matters() {
        let (queue, waiting) = Queue::bounded(8);
        for at in 0..10 {
            queue.offer(&record(Event::RebirthAnswered, at));
        }
        assert_eq!(waiting.receiver.len(), 6);
        for at in 10..15 {
            queue.offer(&record(Event::CommandRefused, at));
        }
        assert_eq!(waiting.receiver.len(), 8);
        let lost = waiting.take_lost().unwrap();
        assert_eq!(lost.count, 4 + 3);
        assert_eq!(lost.first, record(Event::Started, 6).at);
        assert_eq!(lost.last, record(Event::Started, 14).at);
        assert_eq!(waiting.take_lost(), None);
    }

    #[test]
    fn numbers_are_given_to_lost_lines_too_and_begin_at_one() {
        let (queue, waiting) = Queue::bounded(4);
        for at in 0..20 {
            queue.offer(&record(Event::CommandRefused, at));
        }
        let numbers: Vec<u32> = waiting.receiver.try_iter().map(|queued| queued.sequence).collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        queue.offer(&record(Event::CommandRefused, 20));
        assert_eq!(waiting.receiver.recv().unwrap().sequence, 21);
        assert_eq!(waiting.next_sequence(), 22);
    }
}

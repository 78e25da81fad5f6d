//! Values that wait for a rate limit or an interval: at most one for each metric, the newest, and what became
//! of the messages that brought them.
//!
//! A message of which nothing was forwarded yet waits as long as one of its values does. The first of
//! its values that is forwarded makes it so; if newer ones take the place of all of them, it
//! is conflated. There are no more waiting messages than waiting values.

use std::collections::HashMap;
use std::num::NonZeroU64;

use foldhash::fast::RandomState;
use sparkplug::footprint::{Growth, allocation, value_bytes};
use sparkplug::{Metric, TemplatePlaces, Value};

use super::slot::take_over;

/// A value that waits for its turn.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Without its name, which is the slot's.
    pub(crate) metric: Metric,
    /// The message that brought it.
    pub(crate) ticket: Ticket,
    /// It waits for the interval of its metric, not for a limit.
    pub(crate) early: bool,
    /// How often the values of its entity had been doubted when it came, modulo 2^32.
    pub(crate) losses: u32,
    /// Where what is, in an instance that has members of several messages.
    places: Option<Box<TemplatePlaces>>,
    bytes: usize,
}

impl Held {
    pub(crate) fn new(metric: Metric, ticket: Ticket, early: bool, losses: u64) -> Held {
        let bytes = held_bytes(&metric);
        Held { metric, ticket, early, losses: Held::modulo(losses), places: None, bytes }
    }

    /// Takes the place of an earlier one. Data may have only what changed of an instance, of the
    /// properties and of the metadata: the rest of it is the earlier one's.
    pub(crate) fn after(self, earlier: Held) -> Held {
        let Held { mut metric, mut places, bytes, .. } = earlier;
        let mut growth = Growth::default();
        take_over(&mut metric, &self.metric, &mut places, &mut growth);
        Held { metric, places, bytes: growth.of(bytes), ..self }
    }

    /// Counts anew what it takes, after its metric was changed.
    pub(crate) fn recount(&mut self) {
        self.bytes = held_bytes(&self.metric);
    }

    /// Whether a newer value may be without something that this one has.
    pub(crate) fn may_have_more_than(&self, newer: &Metric) -> bool {
        let Metric { value, properties, metadata, .. } = &self.metric;
        let are_instances = match (value, &newer.value) {
            (Some(Value::Template(ours)), Some(Value::Template(theirs))) => {
                ours.template_ref == theirs.template_ref
            }
            _ => false,
        };
        let was_null = value.is_none() && matches!(newer.value, Some(Value::Template(_)));
        properties.is_some() || metadata.is_some() || are_instances || was_null
    }

    /// What it takes on the heap, with its entry in the list of messages that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A number of losses, as it is kept.
    pub(crate) fn modulo(losses: u64) -> u32 {
        let [a, b, c, d, ..] = losses.to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

/// What a value takes that waits.
pub(crate) fn held_bytes(metric: &Metric) -> usize {
    let held = allocation(size_of::<Held>()).saturating_add(Backlog::TICKET_BYTES);
    held.saturating_add(value_bytes(metric))
}

/// A message of an entity that may wait. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ticket(NonZeroU64);

/// The messages of one entity that wait for rate limits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog {
    /// How many values of each message still wait.
    values: HashMap<Ticket, u32, RandomState>,
    given: u64,
    /// The place of the metric whose turn it is, where not all that wait have room.
    pub(crate) next: usize,
}

impl Backlog {
    /// More than what the table of messages takes for each of them.
    const TICKET_BYTES: usize = 48;

    /// A ticket for the next message.
    pub(crate) fn ticket(&mut self) -> Ticket {
        // 2^64 messages of one entity don't occur; the highest number would then be shared.
        self.given = self.given.saturating_add(1);
        Ticket(NonZeroU64::new(self.given).unwrap_or(NonZeroU64::MIN))
    }

    /// The message waits with so many `values`; nothing of it was forwarded.
    pub(crate) fn wait(&mut self, ticket: Ticket, values: u32) {
        self.values.insert(ticket, values);
    }

    /// One of its values won't be forwarded; whether that was the last of a waiting message.
    #[must_use]
    pub(crate) fn lose(&mut self, ticket: Ticket) -> bool {
        let Some(values) = self.values.get_mut(&ticket) else { return false };
        *values = values.saturating_sub(1);
        let last = *values == 0;
        if last {
            self.values.remove(&ticket);
        }
        last
    }

    /// One of its values was forwarded; whether the message waited for that.
    #[must_use]
    pub(crate) fn forward(&mut self, ticket: Ticket) -> bool {
        self.values.remove(&ticket).is_some()
    }

    /// Ends the waiting of all; how many waited.
    pub(crate) fn end(&mut self) -> u64 {
        let waiting = self.waiting();
        self.values = HashMap::default();
        waiting
    }

    /// Messages that wait.
    pub(crate) fn waiting(&self) -> u64 {
        u64::try_from(self.values.len()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waiting_value_takes_no_more_than_the_manual_says() {
        // The value, and the entry of its message with the hash table's slack.
        let entry = (size_of::<Ticket>() + size_of::<u32>()).next_multiple_of(8) * 2;
        let waiting = size_of::<Held>() + entry;
        println!("{waiting} bytes while it waits, {} otherwise", size_of::<Option<Box<Held>>>());
        let page = include_str!("../../manual/policy.md");
        assert!(page.contains(&format!(" {waiting} bytes and the value itself while it does")));
        assert_eq!(size_of::<Option<Box<Held>>>(), 8);
    }

    #[test]
    fn a_message_ends_with_its_first_told_or_its_last_lost_value() {
        let mut backlog = Backlog::default();
        let (forwarded, lost, passed) = (backlog.ticket(), backlog.ticket(), backlog.ticket());
        backlog.wait(forwarded, 3);
        backlog.wait(lost, 2);
        assert_eq!(backlog.waiting(), 2);
        assert!(
            !backlog.lose(forwarded) && backlog.forward(forwarded) && !backlog.forward(forwarded)
        );
        assert!(!backlog.lose(forwarded), "it was forwarded");
        assert!(!backlog.lose(lost) && backlog.lose(lost) && !backlog.lose(lost));
        assert!(
            !backlog.lose(passed) && !backlog.forward(passed),
            "something of it was told at once"
        );
        assert_eq!(backlog.waiting(), 0);
    }
}

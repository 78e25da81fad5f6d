//! Messages that come before their turn: the relay judges them later, and what became of them is
//! told then.

use account::LedgerEntry;
use ot::{Entry, Received};

use super::{DryRun, Outcome};

/// A message that came before its turn, and was judged.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Under which it was told that the message waits; messages are numbered from 1.
    pub number: u64,
    /// When it came, in milliseconds since the epoch (UTC).
    pub came_ms: u64,
    pub topic: String,
    pub outcome: Outcome,
}

/// A message that waits for its turn.
#[derive(Clone, Debug)]
pub(super) struct Early {
    came_ms: u64,
    topic: Box<str>,
    payload: Box<[u8]>,
    dup: bool,
    assured: bool,
}

/// What was entered and journalled at one time, by what it is about.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// The message at hand has to wait.
    pub(super) early: bool,
    /// Messages that had waited, and were judged before the message at hand.
    pub(super) before: Vec<Part>,
    /// All that is about none of them.
    pub(super) own: Part,
    /// Messages that had waited, and were judged after the message at hand.
    pub(super) after: Vec<Part>,
}

/// What is about one message.
#[derive(Debug, Default)]
pub(super) struct Part {
    number: u64,
    pub(super) entries: Vec<LedgerEntry>,
    pub(super) out: Vec<Entry>,
}

impl Early {
    pub(super) fn of(came_ms: u64, received: Received<'_>) -> Early {
        let Received { topic, payload, dup, assured, .. } = received;
        Early { came_ms, topic: topic.into(), payload: payload.into(), dup, assured }
    }
}

impl DryRun {
    /// Takes what the pipeline did just now apart.
    pub(super) fn split(&mut self, out: Vec<Entry>) -> Split {
        let (entries, order) = self.pipeline.take_watched();
        #[cfg(test)]
        self.note(&entries);
        let mut split = Split { early: order.early.contains(&self.number), ..Split::default() };
        let (mut entries, mut out) =
            (entries.into_iter().enumerate().peekable(), out.into_iter().enumerate().peekable());
        let mut settled = false;
        for judged in order.judged {
            let own = &mut split.own;
            while let Some((_, entry)) = entries.next_if(|(at, _)| *at < judged.entries.start) {
                settled |= matches!(entry, LedgerEntry::Settled(_));
                own.entries.push(entry);
            }
            while let Some((_, entry)) = out.next_if(|(at, _)| *at < judged.out.start) {
                own.out.push(entry);
            }
            let mut part = Part { number: judged.number, ..Part::default() };
            while let Some((_, entry)) = entries.next_if(|(at, _)| *at < judged.entries.end) {
                part.entries.push(entry);
            }
            while let Some((_, entry)) = out.next_if(|(at, _)| *at < judged.out.end) {
                part.out.push(entry);
            }
            if settled { split.after.push(part) } else { split.before.push(part) }
        }
        split.own.entries.extend(entries.map(|(_, entry)| entry));
        split.own.out.extend(out.map(|(_, entry)| entry));
        split
    }

    /// Tells what became of a message that had waited.
    pub(super) fn judged(&mut self, part: Part) -> Option<Judged> {
        let Early { came_ms, topic, payload, dup, assured } = self.early.remove(&part.number)?;
        let received = Received { topic: &topic, payload: &payload, retain: false, dup, assured };
        let outcome = self.outcome(received, part.entries, part.out);
        Some(Judged { number: part.number, came_ms, topic: topic.into(), outcome })
    }
}

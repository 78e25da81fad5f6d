//! Frames that don't come any more, each told once: also by an end that begins again, since it is stored up
//! to where they were told.

use std::time::Duration;

use journal_write::ReceivedWriter;
use prost::Message;

/// How often it is looked for them.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is stored.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct Told {
    /// All below this number was told.
    #[prost(uint64, tag = "1")]
    pub(crate) to: u64,
    /// The last stretch by its first and last number, and when it was told, in milliseconds since the
    /// epoch; 0: none yet.
    #[prost(uint64, tag = "2")]
    first: u64,
    #[prost(uint64, tag = "3")]
    last: u64,
    #[prost(uint64, tag = "4")]
    at_ms: u64,
}

/// What is known of them.
#[derive(Debug, Default)]
pub struct Losses {
    told: Told,
    next_look: Duration,
    frames: u64,
    rewound: Option<(u64, u64)>,
}

/// A stretch of frames, and when it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastLoss {
    pub first: u64,
    pub last: u64,
    /// Milliseconds since the epoch.
    pub at_ms: u64,
}

impl Losses {
    /// Goes on where it was told to.
    pub(crate) fn new(told: Told) -> Losses {
        Losses { told, ..Losses::default() }
    }

    /// What is to be stored once these were told.
    pub(crate) fn told(&self) -> Told {
        self.told
    }

    /// Stretches that don't come any more by themselves, and weren't told: those below `settled`, which
    /// the sender says. Looks once in a while; `None`: there is nothing to tell or store.
    pub(crate) fn look(
        &mut self,
        now: Duration,
        wall_ms: u64,
        settled: u64,
        writer: &ReceivedWriter,
    ) -> Option<Vec<(u64, u64)>> {
        if now < self.next_look {
            return None;
        }
        self.next_look = now.saturating_add(LOOK_EVERY);
        let rewound = writer.rewound();
        if self.rewound != rewound {
            // These numbers were told as others.
            self.told.to = rewound.map_or(self.told.to, |(from, _)| self.told.to.min(from));
            self.rewound = rewound;
        }
        // What is missing is known below the next number.
        let next_seq = writer.next_seq();
        let from = self.told.to.min(next_seq);
        let to = settled.min(next_seq).max(from);
        if to == self.told.to {
            return None;
        }
        self.told.to = to;
        let lost = writer.missing().ranges().filter_map(|(first, last)| {
            let (first, last) = (first.max(from), last.min(to.saturating_sub(1)));
            (first <= last).then_some((first, last))
        });
        let lost: Vec<(u64, u64)> = lost.collect();
        for (first, last) in &lost {
            self.frames = self.frames.saturating_add(length(*first, *last));
            (self.told.first, self.told.last, self.told.at_ms) = (*first, *last, wall_ms);
        }
        Some(lost)
    }

    /// Frames that were told since the start.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Of all that was told, what is still missing.
    pub fn still_missing(&self, writer: &ReceivedWriter) -> u64 {
        let told = writer
            .missing()
            .ranges()
            .map(|(first, last)| self.told.to.min(last.saturating_add(1)).saturating_sub(first));
        told.fold(0, u64::saturating_add)
    }

    /// The stretch that was told last, also by the end before this one.
    pub fn last(&self) -> Option<LastLoss> {
        let Told { first, last, at_ms, .. } = self.told;
        (at_ms > 0).then_some(LastLoss { first, last, at_ms })
    }
}

/// How many numbers a stretch has.
fn length(first: u64, last: u64) -> u64 {
    last.saturating_sub(first).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use journal_format::{Body, Envelope, Heartbeat};
    use journal_write::{Durability, Origin, ReceivedOptions};

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn writer(dir: &std::path::Path) -> ReceivedWriter {
        let durability = Durability::Process;
        let dir = dir.to_owned();
        let options = ReceivedOptions { dir, retain_bytes: 1 << 24, retain_age: None, durability };
        ReceivedWriter::open(options).unwrap()
    }

    fn push(writer: &mut ReceivedWriter, epoch: u64, seq: u64) {
        let (relay_name, first_seq) = ("r".to_owned(), 1);
        let origin =
            Origin { epoch, first_seq, created_ms: 1, head_frames: 0, head_bytes: 0, relay_name };
        let body = Some(Body::Heartbeat(Heartbeat::default()));
        let envelope = Envelope { seq, appended_ms: 5, body }.encode_to_vec();
        writer.push(5, &origin, seq, &envelope).unwrap();
    }

    #[test]
    fn a_loss_is_told_once_also_by_an_end_that_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        [1, 2, 5, 9].into_iter().for_each(|seq| push(&mut writer, 1, seq));
        let mut losses = Losses::default();
        assert_eq!(losses.look(at(1), 70, 0, &writer), None);
        assert_eq!(losses.look(at(2), 70, 7, &writer), Some(vec![(3, 4), (6, 6)]));
        assert_eq!(losses.look(at(3), 71, 7, &writer), None);
        assert_eq!((losses.frames(), losses.still_missing(&writer)), (3, 3));
        let mut again = Losses::new(losses.told());
        assert_eq!(again.look(at(1), 80, 0, &writer), None, "the sender has said nothing yet");
        assert_eq!(again.look(at(2), 80, 9, &writer), Some(vec![(7, 8)]));
        assert_eq!(again.last(), Some(LastLoss { first: 7, last: 8, at_ms: 80 }));
        assert_eq!((again.frames(), again.still_missing(&writer)), (2, 5));
        // What an operator has sent again isn't missing any more, and isn't told again if it fails.
        push(&mut writer, 1, 3);
        assert_eq!(again.look(at(3), 90, 3, &writer), None);
        assert_eq!(again.look(at(4), 90, 9, &writer), None);
        assert_eq!(again.still_missing(&writer), 4);
    }

    #[test]
    fn what_isnt_known_to_be_missing_yet_is_told_when_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = writer(dir.path());
        push(&mut writer, 1, 1);
        let mut losses = Losses::default();
        // The sender is far ahead, and nothing of that has come.
        assert_eq!(losses.look(at(1), 1, 50, &writer), Some(vec![]));
        push(&mut writer, 1, 50);
        assert_eq!(losses.look(at(2), 1, 50, &writer), Some(vec![(2, 49)]));
        // Its journal is made anew, and loses frames again.
        push(&mut writer, 2, 1);
        push(&mut writer, 2, 4);
        assert_eq!(losses.look(at(3), 1, 50, &writer), Some(vec![(2, 3)]));
        push(&mut writer, 2, 60);
        assert_eq!(losses.look(at(4), 1, 60, &writer), Some(vec![(5, 59)]));
    }
}

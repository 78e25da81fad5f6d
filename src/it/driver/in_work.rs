//! Frames in work: each is marked before the mirror takes it, and one with which this half was ended
//! twice is set aside.

use journal_format::Frame;
use journal_read::Item;
use state::{Leave, SetAside, TOGETHER, WorkId};
use telemetry::event;

use super::{Driver, bytes_of};
use crate::mirror::Now;
use crate::pool::Pool;

/// Frames that are read before their turn, where that costs no call of the system: those that are
/// marked together.
const AHEAD: usize = TOGETHER - 1;

impl<P: Pool> Driver<P> {
    /// Hands an item of the journal on.
    pub(super) fn take_item(&mut self, now: Now, item: Item) {
        while self.read_ahead.len() < AHEAD
            && let Some(next) = self.reader.next_at_hand()
        {
            self.read_ahead.push_back(next);
        }
        match item {
            Item::Frame(frame) if self.begin(&frame) == Leave::SetAside => {
                self.set_aside(now, &frame);
            }
            item => self.mirror.handle_item(now, item),
        }
    }

    /// Marks a frame of the second reading, which is worked on now.
    pub(super) fn begin_again(&mut self, frame: &Frame) -> Leave {
        self.in_work.begin(name(frame), bytes_of(frame), std::iter::empty())
    }

    /// Marks a frame that is worked on now.
    fn begin(&mut self, frame: &Frame) -> Leave {
        let ahead = self.read_ahead.iter().map_while(|item| match item {
            Item::Frame(frame) => Some(name(frame)),
            Item::Lost(_) => None,
        });
        let leave = self.in_work.begin(name(frame), bytes_of(frame), ahead);
        #[cfg(test)]
        if leave == Leave::Work {
            super::tests::planted::work_on(frame.seq);
        }
        leave
    }

    /// Nothing is worked on any more.
    pub(super) fn work_done(&mut self) {
        self.in_work.end();
        if let Some(error) = self.in_work.take_trouble() {
            tracing::debug!(target: "it", %error, "what is in work can't be marked");
        }
    }

    fn set_aside(&mut self, now: Now, frame: &Frame) {
        self.mirror.set_aside(now, frame);
        let Frame { seq, epoch, .. } = frame;
        let (topic, payload) = frame.message().unwrap_or_default();
        let note = format!("frame {seq} of epoch {epoch}: the IT half was ended with it twice");
        let aside = SetAside {
            at_ms: now.wall_ms,
            note: &note,
            topic,
            payload,
            qos: 0,
            retain: false,
            dup: false,
        };
        let kept = match self.in_work.keep(&aside) {
            Ok(path) => path.display().to_string(),
            Err(error) => format!("not kept: {error}"),
        };
        event!(SetAside, topic, seq, bytes = payload.len(), kept);
    }
}

fn name(frame: &Frame) -> WorkId {
    WorkId(frame.epoch, frame.seq)
}

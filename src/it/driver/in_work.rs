//! Frames in work: each is marked before the mirror takes it, and one with which this half was ended
//! twice is set aside.

use journal_format::{Body, Frame};
use journal_read::Item;
use state::{Leave, SetAside, WorkId};
use telemetry::event;

use super::{Driver, bytes_of};
use crate::mirror::Now;

impl Driver {
    /// Hands an item of the journal on.
    pub(super) fn take_item(&mut self, now: Now, item: Item) {
        match item {
            Item::Frame(frame) if self.begin(&frame) == Leave::SetAside => {
                self.set_aside(now, &frame);
            }
            item => self.mirror.handle_item(now, item),
        }
    }

    /// Marks a frame that is worked on now.
    pub(super) fn begin(&mut self, frame: &Frame) -> Leave {
        let Frame { seq, epoch, .. } = *frame;
        let ahead = (1..).map(|more| WorkId(epoch, seq.saturating_add(more)));
        let leave = self.in_work.begin(WorkId(epoch, seq), bytes_of(frame), ahead);
        #[cfg(test)]
        if leave == Leave::Work {
            super::tests::planted::work_on(seq);
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
        let (topic, payload) = match &frame.body {
            Some(Body::Relayed(relayed)) => (&*relayed.topic, &*relayed.payload),
            Some(Body::Keyframe(keyframe)) => (&*keyframe.topic, &*keyframe.payload),
            _ => ("", [].as_slice()),
        };
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

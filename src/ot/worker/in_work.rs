//! Messages in work: each is marked before the pipeline takes it, and one with which this half was
//! ended twice is set aside. A message at QoS 1 or 2, and a stored one, comes back with each session.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use state::{Leave, SetAside, WorkId};
use telemetry::event;

use super::Worker;
use crate::Now;
use crate::connection::Delivered;

impl Worker {
    /// Names of messages, the same in every run.
    pub(super) fn names(&self, messages: &[Delivered]) -> Vec<WorkId> {
        let hasher = FixedState::with_seed(self.in_work.key());
        let name = |message: &Delivered| {
            let bytes = u64::try_from(message.bytes()).unwrap_or(u64::MAX);
            WorkId(hasher.hash_one((&*message.topic, &*message.payload)), bytes)
        };
        messages.iter().map(name).collect()
    }

    /// Marks the first of `names`, which is worked on now; false: it is set aside.
    pub(super) fn begin(&mut self, names: &[WorkId], message: &Delivered) -> bool {
        let Some((name, ahead)) = names.split_first() else { return true };
        let leave = self.in_work.begin(*name, message.bytes(), ahead.iter().copied());
        #[cfg(test)]
        if leave == Leave::Work {
            super::tests::planted::work_on(&message.payload);
        }
        leave == Leave::Work
    }

    /// Nothing is worked on any more.
    pub(super) fn work_done(&mut self) {
        self.in_work.end();
        if let Some(error) = self.in_work.take_trouble() {
            tracing::debug!(target: "ot", %error, "what is in work can't be marked");
        }
    }

    /// Leaves a message out: it is counted, kept for people, and acknowledged like any other.
    pub(super) fn set_aside(&mut self, now: Now, message: Delivered) {
        let topic = std::str::from_utf8(&message.topic).unwrap_or_default();
        self.pipeline.set_aside(topic, message.retain);
        let (qos, bytes) = (message.qos(), message.bytes());
        let note = format!("a message at QoS {qos}: the OT half was ended with it twice");
        let aside = SetAside {
            at_ms: now.wall_ms,
            note: &note,
            topic,
            payload: &message.payload,
            qos,
            retain: message.retain,
            dup: message.dup,
        };
        let kept = match self.in_work.keep(&aside) {
            Ok(path) => path.display().to_string(),
            Err(error) => format!("not kept: {error}"),
        };
        event!(SetAside, topic, bytes = message.payload.len(), kept);
        self.taken(bytes, message.receipt);
    }
}

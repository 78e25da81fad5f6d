//! What is in work: each message is marked before the pipeline takes it, and so is each edge node that
//! is worked on by itself; what this half was ended with twice is set aside. A message at QoS 1 or 2,
//! and a stored one, comes back with each session, and what is remembered with each start.

use std::hash::BuildHasher;

use account::Reason;
use clock::Clock;
use foldhash::quality::FixedState;
use journal_format::{Body, Frame, Relayed};
use sparkplug::{Entity, EntityTopic, Topic};
use state::{Leave, Marks, SetAside, WorkId};
use telemetry::event;

use super::Worker;
use crate::Now;
use crate::connection::Delivered;
use crate::pipeline::{Asked, Deed};

/// The second half of names that aren't those of messages: no message is so long.
const STORED: u64 = u64::MAX;
const FRAME: u64 = u64::MAX - 1;
/// Messages for other relays: nothing is worked on.
const OF_OTHERS: WorkId = WorkId(0, u64::MAX - 6);

/// Each deed has names of its own: that one is done says nothing of the others.
const fn deed_name(deed: Deed) -> u64 {
    match deed {
        Deed::Restored => u64::MAX - 2,
        Deed::Adjusted => u64::MAX - 3,
        Deed::Shown => u64::MAX - 4,
        Deed::Due => u64::MAX - 5,
    }
}

/// For [`Pipeline::set_guard`](crate::Pipeline::set_guard).
pub(super) fn guard(marks: Marks) -> Asked {
    Box::new(move |entity, deed| {
        let mut in_work = marks.in_work();
        let hasher = FixedState::with_seed(in_work.key());
        let id = WorkId(hasher.hash_one((entity.group, entity.edge_node)), deed_name(deed));
        if in_work.begin(id, 0, std::iter::empty()) == Leave::SetAside {
            // It is dropped, and its next birth is another one.
            in_work.clear(id);
            let topic = EntityTopic::birth(entity).to_string();
            let kept = format!("not kept: the half was ended while {}", deed.words());
            event!(SetAside, topic, bytes = 0, kept);
            #[cfg(test)]
            super::tests::planted::dropped();
            return false;
        }
        #[cfg(test)]
        super::tests::planted::node(entity, deed);
        true
    })
}

/// Marks the stored plant; false: it is set aside.
pub(super) fn begin_stored(marks: &Marks) -> bool {
    let works = marks.begin_stored(WorkId(0, STORED));
    #[cfg(test)]
    if works {
        super::tests::planted::stored();
    }
    works
}

/// Marks a frame of the journal that is read once more; what takes its place, where it is set
/// aside: a birth of its node that nothing can be read by.
pub(super) fn replayed(marks: &Marks, frame: Frame, clock: Clock) -> Option<Body> {
    let mut in_work = marks.in_work();
    let (topic, payload) = frame.message().unwrap_or_default();
    let id = WorkId(frame.seq, FRAME);
    if in_work.begin(id, payload.len(), std::iter::empty()) == Leave::Work {
        #[cfg(test)]
        super::tests::planted::replayed(payload);
        return frame.body;
    }
    let note = format!("frame {}: the OT half was ended with it twice", frame.seq);
    let aside = SetAside::frame(clock.now().wall_ms, &note, topic, payload);
    let kept = in_work.keep_told(&aside);
    event!(SetAside, topic, seq = frame.seq, bytes = payload.len(), kept);
    let Ok(Topic::Entity(EntityTopic { entity, .. })) = Topic::parse(topic) else {
        return None;
    };
    let topic = EntityTopic::birth(Entity { device: None, ..entity }).to_string();
    Some(Body::Relayed(Relayed { topic, aliased: true, ..Relayed::default() }))
}
impl Worker {
    /// Names of messages, the same in every run.
    pub(super) fn names(&self, messages: &[Delivered]) -> Vec<WorkId> {
        let hasher = FixedState::with_seed(self.marks.in_work().key());
        let name = |message: &Delivered| {
            if message.of_other_shard {
                return OF_OTHERS;
            }
            let bytes = u64::try_from(message.bytes()).unwrap_or(u64::MAX);
            WorkId(hasher.hash_one((&*message.topic, &*message.payload)), bytes)
        };
        messages.iter().map(name).collect()
    }

    /// Marks the first of `names`, which is worked on now; false: it is set aside.
    pub(super) fn begin(&mut self, names: &[WorkId], message: &Delivered) -> bool {
        let Some((name, ahead)) = names.split_first() else { return true };
        if *name == OF_OTHERS {
            return true;
        }
        let ahead = ahead.iter().copied().filter(|next| *next != OF_OTHERS);
        let leave = self.marks.in_work().begin(*name, message.bytes(), ahead);
        #[cfg(test)]
        if leave == Leave::Work {
            super::tests::planted::work_on(&message.payload);
        }
        leave == Leave::Work
    }

    /// Nothing is worked on any more.
    pub(super) fn work_done(&mut self) {
        if let Some(error) = self.marks.work_done() {
            tracing::debug!(target: "ot", %error, "what is in work can't be marked");
        }
    }

    /// Leaves a message out: it is counted, kept for people, and acknowledged like any other.
    pub(super) fn set_aside(&mut self, now: Now, message: Delivered) {
        let topic = std::str::from_utf8(&message.topic).unwrap_or_default();
        self.pipeline.unread(topic, message.retain, Reason::SetAside);
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
        let kept = self.marks.in_work().keep_told(&aside);
        event!(SetAside, topic, bytes = message.payload.len(), kept);
        self.taken(bytes, message.receipt);
    }
}

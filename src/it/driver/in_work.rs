//! What is in work: each frame is marked before the mirror takes it, and so is each node that is worked
//! on by itself. What this half was ended with twice is set aside, and stays so in whatever form the OT
//! half says it again.

use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use journal_format::{Body, Frame};
use journal_read::Item;
use sparkplug::{EntityTopic, MessageType, Topic};
use state::{InWork, Leave, Marks, SetAside, TOGETHER, WorkId};
use telemetry::event;

use super::{Driver, bytes_of};
use crate::mirror::{Asked, Deed, Now};
use crate::pool::Pool;

/// Frames that are read before their turn, where that costs no call of the system: those that are
/// marked together.
const AHEAD: usize = TOGETHER - 1;

/// The second half of names that aren't those of frames, whose number it would be.
const ENTITY: u64 = u64::MAX;
const STORED: WorkId = WorkId(0, u64::MAX - 1);

/// Each deed has names of its own: that one is done says nothing of the other.
const fn deed_name(deed: Deed) -> u64 {
    match deed {
        Deed::Restored => u64::MAX - 2,
        Deed::Due => u64::MAX - 3,
    }
}

/// For [`Mirror::set_guard`](crate::mirror::Mirror::set_guard).
pub(super) fn guard(marks: Marks) -> Asked {
    Box::new(move |group, edge_node, deed| {
        let mut in_work = marks.in_work();
        let entity = name_of(&in_work, group, edge_node, None);
        if deed == Deed::Restored && in_work.is_set_aside(entity) {
            return false;
        }
        let id = WorkId(entity.0, deed_name(deed));
        if in_work.begin(id, 0, std::iter::empty()) == Leave::Work {
            #[cfg(test)]
            super::tests::planted::node(edge_node, deed);
            return true;
        }
        // It is dropped, and what the OT half repeats of it is left out.
        in_work.clear(id);
        in_work.bar(entity);
        let topic = format!("spBv1.0/{group}/NBIRTH/{edge_node}");
        let kept = format!("not kept: the half was ended while {}", deed.words());
        event!(SetAside, topic, bytes = 0, kept);
        false
    })
}

/// Marks the stored mirror; false: it is set aside.
pub(super) fn begin_stored(marks: &Marks) -> bool {
    let works = marks.begin_stored(STORED);
    #[cfg(test)]
    if works {
        super::tests::planted::stored();
    }
    works
}

impl<P: Pool> Driver<P> {
    /// Hands an item of the journal on.
    pub(super) fn take_item(&mut self, now: Now, item: Item) {
        while self.read_ahead.len() < AHEAD
            && let Some(next) = self.reader.next_at_hand()
        {
            self.read_ahead.push_back(next);
        }
        let frame = match item {
            Item::Lost(_) => return self.mirror.handle_item(now, item),
            Item::Late(frame) => return self.take_late(now, frame),
            Item::Frame(frame) => frame,
        };
        let barred = self.barred(&frame);
        if barred.is_some() && says_again(&frame) {
            return self.mirror.leave_out(now, &frame);
        }
        if self.begin(&frame) == Leave::SetAside {
            return self.set_aside(now, &frame);
        }
        self.mirror.handle_item(now, Item::Frame(frame));
        if let Some(id) = barred {
            // The plant's own birth: it is another one, and nothing came of it.
            self.marks.in_work().clear(id);
        }
    }

    /// Hands on a frame that came late.
    fn take_late(&mut self, now: Now, frame: Frame) {
        if self.begin(&frame) == Leave::SetAside {
            self.mirror.set_aside_late(now, &frame);
            return self.keep_aside(now, &frame);
        }
        self.mirror.handle_item(now, Item::Late(frame));
    }

    /// The name of what a birth is of, if that is set aside.
    fn barred(&self, frame: &Frame) -> Option<WorkId> {
        let in_work = self.marks.in_work();
        if !in_work.has_set_aside() {
            return None;
        }
        birth_of(&in_work, frame).filter(|id| in_work.is_set_aside(*id))
    }

    /// Marks a frame of the second reading, which is worked on now.
    pub(super) fn begin_again(&mut self, frame: &Frame) -> Leave {
        self.marks.in_work().begin(name(frame), bytes_of(frame), std::iter::empty())
    }

    /// Marks a frame that is worked on now.
    fn begin(&mut self, frame: &Frame) -> Leave {
        let ahead = self.read_ahead.iter().map_while(|item| match item {
            Item::Frame(frame) | Item::Late(frame) => Some(name(frame)),
            Item::Lost(_) => None,
        });
        let leave = self.marks.in_work().begin(name(frame), bytes_of(frame), ahead);
        #[cfg(test)]
        if leave == Leave::Work {
            super::tests::planted::work_on(frame.seq);
        }
        leave
    }

    /// Nothing is worked on any more.
    pub(super) fn work_done(&mut self) {
        if let Some(error) = self.marks.work_done() {
            tracing::debug!(target: "it", %error, "what is in work can't be marked");
        }
    }

    fn set_aside(&mut self, now: Now, frame: &Frame) {
        self.mirror.set_aside(now, frame);
        self.keep_aside(now, frame);
    }

    fn keep_aside(&self, now: Now, frame: &Frame) {
        let Frame { seq, epoch, .. } = frame;
        let (topic, payload) = frame.message().unwrap_or_default();
        let note = format!("frame {seq} of epoch {epoch}: the IT half was ended with it twice");
        let aside = SetAside::frame(now.wall_ms, &note, topic, payload);
        let mut in_work = self.marks.in_work();
        let kept = in_work.keep_told(&aside);
        // The OT half repeats what it holds for alive.
        if let Some(id) = birth_of(&in_work, frame) {
            in_work.bar(id);
        }
        event!(SetAside, topic, seq, bytes = payload.len(), kept);
    }
}

fn name(frame: &Frame) -> WorkId {
    WorkId(frame.epoch, frame.seq)
}

fn name_of(in_work: &InWork, group: &str, edge_node: &str, device: Option<&str>) -> WorkId {
    let hasher = FixedState::with_seed(in_work.key());
    WorkId(hasher.hash_one((group, edge_node, device)), ENTITY)
}

/// The name of the node or device that a birth or keyframe is of.
fn birth_of(in_work: &InWork, frame: &Frame) -> Option<WorkId> {
    let Ok(Topic::Entity(topic)) = Topic::parse(frame.message()?.0) else { return None };
    let EntityTopic { message_type, entity } = topic;
    matches!(message_type, MessageType::NBirth | MessageType::DBirth)
        .then(|| name_of(in_work, entity.group, entity.edge_node, entity.device))
}

/// A keyframe, or a birth of the relay's own making: it repeats what was born before.
fn says_again(frame: &Frame) -> bool {
    match &frame.body {
        Some(Body::Keyframe(_)) => true,
        Some(Body::Relayed(relayed)) => relayed.synthetic,
        _ => false,
    }
}

//! Judging what has waited: when its turn has come, or when nobody waits any longer for what is
//! missing before it.

use account::{Fate, NodeSlot, Origin, Reason};
use policy::Rule;
use sparkplug::{Entity, EntityTopic, Topic};

use super::{Judged, Way};
use crate::pipeline::sequence::Late;
use crate::pipeline::{Entry, Now, Pipeline, Received, notify};
use crate::plant::{CLOCK_TIMEOUTS, Early, Life, Node, is_shortly_before};

impl Pipeline {
    /// Judges the messages of a node whose turn has come by what was judged before.
    pub(in crate::pipeline) fn follow_up(&mut self, now: Now, index: usize, out: &mut Vec<Entry>) {
        loop {
            let waits = |node: &crate::plant::Node| !node.early.is_empty();
            if !self.plant.nodes().get(index).is_some_and(waits) {
                return;
            }
            let Some(node) = self.plant.node_mut(index) else { return };
            if !node.sequence.counts() {
                // In the order in which they came. Something that came behind some of them was refused,
                // or belongs to a session that began unseen.
                let refusals = node.refusals;
                for early in node.early.take_all() {
                    let is_before = early.counted.is_some() && early.refusals != refusals;
                    let late = if is_before { Late::ByNumber } else { Late::No };
                    self.judge(now, early, late, out);
                }
                if let Some(node) = self.plant.node_mut(index) {
                    node.sequence.go_on();
                }
                return;
            }
            let Some(early) = node.early.take_next(node.sequence.next()) else { return };
            self.judge(now, early, Late::No, out);
        }
    }

    /// Judges the messages of a node that have waited long enough, and what follows them.
    pub(in crate::pipeline) fn give_up_waiting(
        &mut self,
        now: Now,
        index: usize,
        out: &mut Vec<Entry>,
    ) {
        let mut told = false;
        loop {
            let (mut step, plant) = self.step(now, out);
            let Some(node) = plant.node_mut(index) else { return };
            if node.early.due().is_none_or(|due| due > now.mono) {
                return;
            }
            let next = node.sequence.next();
            if let Some(stray) = node.early.take_stray(now.mono, next) {
                // Its number was that of another message, and isn't missing: a session, or a round of
                // numbers, began unseen. What is a little older than the birth came late, and no more; much
                // older, and a clock was set.
                // As long as nobody knows what was missed it is no proof of anything.
                let born = stray.timestamp.zip(node.own.layout.timestamp);
                let within = step.settings.reorder_timeout.saturating_mul(CLOCK_TIMEOUTS);
                let is_late =
                    born.is_some_and(|(sent, born)| is_shortly_before(sent, born, within));
                if !is_late || node.own.life.is_unverified() {
                    step.give_up_again(node, &mut told);
                }
                let lacks = node.sequence.lacks_behind(stray.seq);
                let late = if lacks { Late::Outdated } else { Late::ByNumber };
                self.judge(now, stray, late, out);
                continue;
            }
            let Some(early) = node.early.take_first() else { return };
            let ahead = next.map_or(0, |next| early.seq.wrapping_sub(next));
            let is_missing = ahead > 0 && node.sequence.counts() && !node.sequence.explains(ahead);
            if is_missing {
                step.give_up_again(node, &mut told);
            }
            let within = step.settings.reorder_timeout;
            if is_missing
                && early.is_behind()
                && node.crossing.precedes_judged(within, early.timestamp)
            {
                // Nothing came since what was sent behind it: it is no session that began unseen.
                self.judge(now, early, Late::Outdated, out);
                continue;
            }
            self.judge(now, early, Late::No, out);
            self.follow_up(now, index, out);
        }
    }

    /// The same for messages that wait for the birth of their node.
    pub(in crate::pipeline) fn give_up_strangers(&mut self, now: Now, out: &mut Vec<Entry>) {
        if self.reorder.strangers.is_empty() {
            return;
        }
        let mut over = Vec::new();
        self.reorder.strangers.retain(|_, messages| {
            let is_over = messages.due().is_some_and(|due| due <= now.mono);
            if is_over {
                over.extend(messages.take_all());
            }
            !is_over
        });
        over.iter().for_each(|early| self.reorder.end_strange(early));
        over.sort_by_key(|early| early.number);
        over.into_iter().for_each(|early| self.judge(now, early, Late::No, out));
    }

    /// A birth of this node came and can't be used: nothing that waits for one can be read by it, nor
    /// by one that is still to come.
    pub(in crate::pipeline) fn give_up_strangers_of(
        &mut self,
        now: Now,
        entity: Entity<'_>,
        out: &mut Vec<Entry>,
    ) {
        if let Some(mut messages) = self.reorder.take_stranger(entity) {
            self.judge_all_early(now, messages.take_all(), out);
        }
    }

    /// Judges messages that came before a birth, or before a death.
    pub(in crate::pipeline) fn judge_all_early(
        &mut self,
        now: Now,
        early: Vec<Early>,
        out: &mut Vec<Entry>,
    ) {
        early.into_iter().for_each(|early| self.judge(now, early, Late::No, out));
    }

    /// Judges a message that has waited; `late`: what came after it is judged already.
    fn judge(&mut self, now: Now, early: Early, late: Late, out: &mut Vec<Entry>) {
        self.reorder.end(&early);
        self.work = self.work.saturating_add(u64::try_from(early.bytes()).unwrap_or(u64::MAX));
        let begin = (self.ledger.entries(), out.len());
        let received = Received {
            topic: &early.topic,
            payload: &early.payload,
            retain: false,
            dup: early.dup,
            assured: early.assured,
        };
        let entity = match Topic::parse(received.topic) {
            Ok(Topic::Entity(EntityTopic { entity, .. })) => Some(entity),
            _ => None,
        };
        let known = entity.and_then(|entity| self.plant.find(entity)).map(NodeSlot);
        let node = early.counted.or(known);
        if let (None, Some(node)) = (early.counted, known) {
            self.ledger.adopt_waiting(node);
        }
        // It was here before the death of its node, and says nothing of the time since.
        let died =
            |node: &Node| node.own.life == Life::Known && node.crossing.died_since(early.since);
        let state = node.and_then(|NodeSlot(place)| self.plant.nodes().get(place));
        let refuses = |node: &Node| early.counted.is_some() && node.refusals != early.refusals;
        let outdated = early.outdated
            || late == Late::Outdated
            || (late.is_late() && state.is_some_and(refuses));
        let late = late.is_late();
        let fate = if state.is_some_and(died) {
            Fate::Dropped(Reason::Late)
        } else {
            let way = Way::Waited { late, outdated, for_birth: early.counted.is_none() };
            self.process(now, received, way, &mut Origin::default(), out)
        };
        let origin = Origin { entity, node };
        self.ledger.settle_waiting(origin, 1, fate);
        self.note_fate(now, origin, fate);
        if let Some(watched) = &mut self.reorder.watched {
            watched.judged.push(Judged {
                number: early.number,
                entries: begin.0..self.ledger.entries(),
                out: begin.1..out.len(),
            });
        }
        self.tell(now, fate, origin, received);
    }

    /// Tells people what became of a message, where that is worth a word.
    pub(in crate::pipeline) fn tell(
        &mut self,
        now: Now,
        fate: Fate,
        origin: Origin<'_>,
        received: Received<'_>,
    ) {
        if let (Fate::Dropped(Reason::DataBeforeBirth), Some(entity)) = (fate, origin.entity) {
            self.note_unborn(now, entity);
        }
        match fate {
            Fate::Dropped(reason) => notify::dropped(reason, None, received, self.why.as_ref()),
            Fate::DroppedBy(reason, rule) => {
                let rule = rule.and_then(|rule| self.policy.rule(rule));
                let why = self.why.as_ref();
                notify::dropped(reason, rule.map(Rule::name), received, why);
            }
            Fate::Forwarded | Fate::Waiting => {}
        }
    }
}

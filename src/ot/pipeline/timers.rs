//! The timers of the pipeline, and what is done when they go off.

use std::time::Duration;

use account::{Fate, Reason};
use mistake::mistake;

use super::announce::{DIED, UNHEARD};
use super::news::Round;
use super::notify;
use super::step::StepContext;
use super::{Deed, Entry, Now, Pipeline, PipelineSettings};
use crate::plant::{Life, Node};

/// How often the pipeline reports to its journal.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(1);

/// At most one birth of the relay's own making per node in this time, for metrics that were
/// born late: births are large, and an edge node could otherwise ask for one with each message.
const SYNTHETIC_EVERY: Duration = Duration::from_secs(1);

/// What one tick does of each kind of work, in bytes that are read or written; the largest edge node
/// takes more. Some 2 ms.
pub(super) const TICK_WORK: u64 = 256 * 1024;

/// Every timer of the pipeline, with what it belongs to. A deadline isn't kept beside the state
/// that it follows from: a timer that has nothing to do is stopped.
///
/// What waits for limits and intervals has none: how much room there is depends on what else is
/// forwarded, so it is looked at in every tick.
#[derive(Clone, Copy, Debug)]
enum Timer<'a> {
    /// A sign of life; never stopped.
    Heartbeat(&'a Pipeline),
    /// A message of a node has waited long enough for those before it.
    Gap(&'a Node),
    /// The session of a node is over: its death came before its birth.
    Over(&'a Node),
    /// Nothing is heard of a node for so long that it counts as dead.
    Doubt(&'a Node),
    /// Births for metrics that were born late.
    Birth(&'a Node),
    /// A node is repeated for readers.
    Keyframe(&'a Node),
}

impl<'a> Timer<'a> {
    fn of_node(node: &'a Node) -> [Timer<'a>; 4] {
        [Timer::Over(node), Timer::Doubt(node), Timer::Birth(node), Timer::Keyframe(node)]
    }

    fn is_due(self, now: Duration, settings: &PipelineSettings) -> bool {
        self.deadline(settings).is_some_and(|deadline| deadline <= now)
    }

    /// When it goes off; `None`: it is stopped.
    fn deadline(self, settings: &PipelineSettings) -> Option<Duration> {
        match self {
            Timer::Heartbeat(pipeline) => Some(pipeline.next_heartbeat),
            Timer::Gap(node) => node.early.due(),
            Timer::Over(node) => node.crossing.ends_at(),
            Timer::Doubt(node) => {
                let since = node.unheard_since.filter(|_| node.own.life.is_announced())?;
                Some(since.saturating_add(settings.doubt_after))
            }
            Timer::Birth(node) => {
                (node.own.life.is_announced() && node.owes_birth()).then(|| rested(node))
            }
            Timer::Keyframe(node) => node.own.life.is_announced().then_some(node.next_keyframe),
        }
    }
}

impl Pipeline {
    /// Does what is due: heartbeat, keyframes, gaps, births and values that were held back.
    /// Call it a few times a second, and again at once while the pipeline [is
    /// behind](Pipeline::is_behind).
    pub fn tick(&mut self, now: Now, out: &mut Vec<Entry>) {
        self.is_late = false;
        out.append(&mut self.reorder.unsent);
        self.ledger.begin(now.wall_ms);
        self.follow_schedules(now, out);
        self.doubt_unread(now, out);
        self.give_up_strangers(now, out);
        self.ahead.tick(now.mono);
        self.reorder.forget_deaths(now.mono, self.settings.reorder_timeout);
        self.judge_waiting(now, out);
        let (mut step, plant) = self.step(now, out);
        let all_flushed = step.flush(plant);
        self.is_late |= !all_flushed;
        self.spread_news(now, TICK_WORK, out);
        if self.has_news() {
            return;
        }
        if self.round.is_over() {
            self.round = Round::over(self.plant.nodes().len());
        }
        self.go_round(now, out);
        if !self.round.is_over() {
            return;
        }
        // Behind the keyframes: a mirror has to hear of a doubt before the sign of life.
        if Timer::Heartbeat(self).is_due(now.mono, &self.settings) {
            self.unborn.tick(now.mono);
            self.tell_hosts(now);
            out.push(Entry::Heartbeat(self.heartbeat(now)));
            self.next_heartbeat = now.mono.saturating_add(HEARTBEAT_EVERY);
        }
    }
}

impl Pipeline {
    /// Goes on with the round over all nodes in which what is due is done, as far as a turn goes.
    fn go_round(&mut self, now: Now, out: &mut Vec<Entry>) {
        let end = self.work.saturating_add(TICK_WORK);
        while self.work < end
            && let Some(index) = self.round.step(self.plant.nodes().len())
        {
            self.do_what_is_due(now, index, out);
        }
    }

    fn do_what_is_due(&mut self, now: Now, index: usize, out: &mut Vec<Entry>) {
        let Some(node) = self.plant.nodes().get(index) else {
            return mistake!("a place without a node");
        };
        let due = Timer::of_node(node).map(|timer| timer.is_due(now.mono, &self.settings));
        if !due.contains(&true) || !self.may_work_on(now, index, Deed::Due, out) {
            return;
        }
        if due == [false, false, false, true] {
            return self.repeat(now, index, out);
        }
        let (mut step, plant) = self.step(now, out);
        if let Some(node) = plant.node_mut(index) {
            step.fire(node);
        }
    }

    /// Repeats a node for readers. That it was repeated is nothing new to be stored.
    pub(super) fn repeat(&mut self, now: Now, index: usize, out: &mut Vec<Entry>) {
        let (mut step, plant) = self.step(now, out);
        if let Some(node) = plant.unstored_mut(index) {
            step.keyframe(node);
            let next = step.next_keyframe(node);
            plant.set_next_keyframe(index, next);
        }
    }

    /// Judges messages that have waited long enough, and those whose turn has come, until enough was
    /// done: what is left is done at once in the next tick.
    pub(super) fn judge_waiting(&mut self, now: Now, out: &mut Vec<Entry>) {
        if !self.reorder.has_waiting() {
            // Nearly always; ten thousand nodes aren't looked at for it, ten times a second.
            debug_assert!(self.plant.nodes().iter().all(|node| node.early.is_empty()));
            return;
        }
        let end = self.work.saturating_add(TICK_WORK);
        for index in 0..self.plant.nodes().len() {
            let is_over = |node: &Node| Timer::Gap(node).is_due(now.mono, &self.settings);
            if !self.plant.nodes().get(index).is_some_and(is_over) {
                continue;
            }
            if self.work >= end {
                self.is_late = true;
                return;
            }
            self.hear(now, index, out);
            self.give_up_waiting(now, index, out);
        }
    }
}

impl StepContext<'_> {
    /// Does what is due for a node.
    fn fire(&mut self, node: &mut Node) {
        if Timer::Over(node).is_due(self.now.mono, self.settings) {
            self.session_is_over(node);
        }
        if Timer::Doubt(node).is_due(self.now.mono, self.settings) {
            self.doubt_ends(node);
        }
        if Timer::Birth(node).is_due(self.now.mono, self.settings) {
            self.catch_up(node);
        }
        if Timer::Keyframe(node).is_due(self.now.mono, self.settings) {
            self.keyframe(node);
            node.next_keyframe = self.next_keyframe(node);
            node.keyframe_ordered = false;
        }
    }

    /// The death of a session came before its birth, and what else was on the way is here by now.
    fn session_is_over(&mut self, node: &mut Node) {
        node.crossing.end();
        if !node.own.life.is_alive() {
            return;
        }
        notify::death_overtook(node.entity());
        self.bury_node_since(node, Fate::Dropped(Reason::UnknownMetric), DIED);
        node.lives().for_each(Life::rest);
        *self.structure_changed = true;
    }

    /// Nothing was heard of a node since the relay was away, and its death may have been among what
    /// was missed: for readers it is dead, until its next message shows that it lives.
    fn doubt_ends(&mut self, node: &mut Node) {
        if !self.connected {
            // The time without the broker doesn't count.
            node.unheard_since = Some(self.now.mono);
            return;
        }
        node.unheard_since = None;
        notify::unheard(node.entity());
        self.bury_node_since(node, Fate::Dropped(Reason::UnknownMetric), UNHEARD);
        node.lives().for_each(Life::rest);
    }

    /// Whether the relay may make births for the node again, of so many bytes.
    pub(super) fn may_bear(&self, node: &mut Node, bytes: usize) -> bool {
        node.output.pass(self.now.mono);
        rested(node) <= self.now.mono && node.output.affords(bytes)
    }

    /// Has the node repeated for readers before its turn, for a loss that its messages showed: as soon
    /// as it has paid for that.
    pub(super) fn order_keyframe(&self, node: &mut Node) {
        if node.keyframe_ordered || node.next_keyframe <= self.now.mono {
            return;
        }
        node.keyframe_ordered = true;
        let bytes = node.births_bytes();
        let due = node.output.order(self.now.mono, bytes);
        node.next_keyframe = node.next_keyframe.min(due);
    }

    /// The node's next turn, at most one interval from now. Turns are spread over the interval
    /// by the nodes' names, even of nodes that were born or repeated together.
    pub(super) fn next_keyframe(&self, node: &Node) -> Duration {
        let name = node.group.bytes().chain(node.edge_node.bytes());
        let hash =
            name.fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let every = self.settings.keyframe_every;
        let offset = every.saturating_mul(hash % 997).checked_div(997).unwrap_or_default();
        // Intervals since the start, without those that are whole: 0 for an interval of 0.
        let since = self.now.mono.saturating_add(every).saturating_sub(offset).as_nanos();
        let into = since.checked_rem(every.as_nanos()).unwrap_or_default();
        let into = Duration::from_nanos(u64::try_from(into).unwrap_or(u64::MAX));
        self.now.mono.saturating_add(every.saturating_sub(into))
    }
}

/// From when on the relay may make births for the node again.
fn rested(node: &Node) -> Duration {
    node.last_synthetic.map_or(Duration::ZERO, |last| last.saturating_add(SYNTHETIC_EVERY))
}

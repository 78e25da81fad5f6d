//! News for all edge nodes: a session with the broker, another policy, a new segment of the journal.
//!
//! Ten thousand nodes take longer for it than a turn may. So each hears it by itself: at the latest
//! before anything else is done with it, and otherwise in rounds over all nodes, of which a turn does
//! a part. What is said of a node behind the news is never said before the node has heard them.
//!
//! ```text
//!  news ──> kept until each node has heard it
//!             │ a message of the node, or what is due for it ──> hears first
//!             └ a part of the round in each turn ──────────────> hears in its turn
//! ```

use std::time::Duration;

use super::adjust::adjust;
use super::judge::JUDGED_BYTES;
use super::memory::enforce;
use super::step::StepContext;
use super::{Deed, Entry, Now, Pipeline};
use crate::plant::{Node, Queue};

/// Something that every node has to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The session with the broker is up, since then. `present`: the broker kept what it had of it.
    Session { since: Duration, present: bool },
    /// Rules came into force or went out of it; `is_other`: those of another policy.
    Policy { is_other: bool },
    /// A segment of the journal began: it shows each node before it says anything else of it.
    Segment,
}

/// Where a round over all nodes stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Round {
    /// The node whose turn it is.
    next: usize,
    /// So many nodes are to come.
    left: usize,
}

impl Round {
    /// Over so many nodes.
    pub(super) fn over(nodes: usize) -> Round {
        Round { next: 0, left: nodes }
    }

    pub(super) fn is_over(self) -> bool {
        self.left == 0
    }

    /// The next of so many nodes.
    pub(super) fn step(&mut self, nodes: usize) -> Option<usize> {
        self.left = self.left.checked_sub(1)?;
        let index = if self.next < nodes { self.next } else { 0 };
        self.next = index.saturating_add(1);
        Some(index)
    }

    /// There is more for all of so many nodes: it goes on from here, until all had their turn.
    fn begin_anew(&mut self, nodes: usize) {
        self.left = nodes;
    }
}

impl Pipeline {
    /// A segment of the journal began. Until all nodes are shown in it, it isn't complete.
    pub(crate) fn segment_began(&mut self) {
        self.given.segment_began();
        self.tell_all(News::Segment);
    }

    /// Has all data told by names from now on, for those who read entries one by one: otherwise it is
    /// told by places in the layouts of births and keyframes that came before.
    pub fn tell_by_names(&mut self) {
        self.given.by_names = true;
    }

    /// Some node hasn't heard all news.
    pub(crate) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Some nodes go by another policy than others.
    pub(crate) fn is_between_policies(&self) -> bool {
        self.news.iter().any(|news| matches!(news, News::Policy { .. }))
    }

    /// Entries of an earlier time that nobody could take.
    pub(crate) fn take_unsent(&mut self, out: &mut Vec<Entry>) {
        out.append(&mut self.reorder.unsent);
    }

    /// All nodes hear all news, however long that takes.
    pub(crate) fn finish_news(&mut self, now: Now, out: &mut Vec<Entry>) {
        self.spread_news(now, u64::MAX, out);
    }

    pub(super) fn tell_all(&mut self, news: News) {
        if self.plant.nodes().is_empty() {
            return;
        }
        self.plant.tell();
        self.news.push(news);
        self.news_round.begin_anew(self.plant.nodes().len());
    }

    /// Has the node at `index` hear what it hasn't heard.
    pub(super) fn hear(&mut self, now: Now, index: usize, out: &mut Vec<Entry>) {
        let told = self.plant.told();
        let Some(node) = self.plant.nodes().get(index).filter(|node| node.news_heard != told)
        else {
            return;
        };
        let unheard = unheard(&self.news, told, node).to_vec();
        if !self.may_work_on(now, index, Deed::Due, out) {
            return self.plant.set_heard(index);
        }
        if unheard.iter().all(|news| *news == News::Segment) {
            self.repeat(now, index, out);
            return self.plant.set_heard(index);
        }
        if let Some(node) = self.plant.node_mut(index) {
            node.news_heard = told;
        }
        for news in unheard {
            let waits = |node: &Node| !node.early.is_empty();
            if matches!(news, News::Session { .. })
                && self.plant.nodes().get(index).is_some_and(waits)
                && let Some(node) = self.plant.node_mut(index)
            {
                // What waits is of the session before.
                node.early.hurry();
                self.give_up_waiting(now, index, out);
            }
            let (mut step, plant) = self.step(now, out);
            if let Some(node) = plant.node_mut(index) {
                step.hear(node, news);
            }
        }
    }

    /// Has one node after the other hear the news, until `most` was done.
    pub(super) fn spread_news(&mut self, now: Now, most: u64, out: &mut Vec<Entry>) {
        if !self.has_news() {
            return;
        }
        let end = self.work.saturating_add(most);
        while self.work < end {
            match self.news_round.step(self.plant.nodes().len()) {
                Some(index) => self.hear(now, index, out),
                // Nodes that came since the round began took the turns of others.
                None if !self.plant.has_heard_all() => {
                    self.news_round.begin_anew(self.plant.nodes().len());
                }
                None => break,
            }
        }
        if self.news_round.is_over() && self.plant.has_heard_all() {
            let was_between = self.is_between_policies();
            self.news.clear();
            if was_between {
                let (mut step, plant) = self.step(now, out);
                enforce(&mut step, plant);
            }
        }
    }
}

impl StepContext<'_> {
    fn hear(&mut self, node: &mut Node, news: News) {
        match news {
            News::Session { since, present } => begin_session(node, since, present),
            News::Policy { is_other } => {
                if is_other {
                    node.queue = Queue::default();
                }
                self.work(node.metrics().saturating_mul(JUDGED_BYTES));
                adjust(self, node);
            }
            News::Segment => {
                self.keyframe(node);
                node.next_keyframe = self.next_keyframe(node);
            }
        }
    }
}

/// The news that a node hasn't heard: the last ones.
fn unheard<'a>(news: &'a [News], told: u64, node: &Node) -> &'a [News] {
    let unheard = usize::try_from(told.saturating_sub(node.news_heard)).unwrap_or(usize::MAX);
    news.get(news.len().saturating_sub(unheard)..).unwrap_or_default()
}

/// The relay is back; what was sent meanwhile may be missed.
fn begin_session(node: &mut Node, since: Duration, present: bool) {
    if node.own.life.is_alive() {
        node.unheard_since = Some(since);
    }
    // The mirror takes the next heartbeat for leave to bear the nodes again.
    node.next_keyframe = since;
    if present {
        // Brokers queue what comes with QoS 1 or 2, and few queue Sparkplug's QoS 0.
        node.doubt();
        return;
    }
    // Nobody knows what was missed; the sequence starts with what comes.
    node.own.life.give_up_verifying();
    node.lose();
    node.sequence.forget();
}

//! Sessions that wait for their turn to connect: until their bdSeq is on disk, and within a pace.
//! Sans-IO: the driver writes and connects.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::time::Duration;

use crate::mirror::{NodeId, SessionSpec};

/// Between two writes of the bdSeq of all nodes; sessions that come meanwhile share the next.
const SAVE_EVERY: Duration = Duration::from_millis(50);
/// Pause after a write that failed.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// Sessions opened in one turn of the driver: each takes it some 30 µs.
const OPENS_PER_TURN: usize = 32;
/// Time whose connects may be made at once after a pause of as much.
const BURST: Duration = Duration::from_millis(100);
/// Where nobody has set a pace: the first one, which brokers take that count connects …
const FIRST_PER_S: NonZeroU32 = NonZeroU32::new(500).unwrap();
/// … the last, which is more than any broker takes …
const LAST_PER_S: NonZeroU32 = NonZeroU32::new(10_000).unwrap();
/// … how often it doubles …
const DOUBLE_EVERY: Duration = Duration::from_millis(500);
const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();
/// … how long it stays the first one after a failure …
const CALM: Duration = Duration::from_secs(60);
/// … and sessions that may be unanswered at once: TLS handshakes that pile up only make each
/// other late, and the queue of a listening socket is as short as 100.
const MAX_UNANSWERED: usize = 64;

/// The sessions that wait.
#[derive(Debug)]
pub(super) struct ConnectQueue {
    /// By their tickets, which are given in order.
    waiting: BTreeMap<u64, (NodeId, SessionSpec)>,
    tickets: HashMap<NodeId, u64>,
    /// The next one's ticket.
    ticket: u64,
    /// Everything with a lower ticket has its bdSeq on disk.
    covered: u64,
    /// A write is under way, which covers all lower tickets.
    saving: Option<u64>,
    save_after: Duration,
    pace: Pace,
}

impl ConnectQueue {
    /// `per_s`: connects per second; `None`: as the broker takes them.
    pub(super) fn new(per_s: Option<NonZeroU32>) -> ConnectQueue {
        ConnectQueue {
            waiting: BTreeMap::new(),
            tickets: HashMap::new(),
            ticket: 0,
            covered: 0,
            saving: None,
            save_after: Duration::ZERO,
            pace: Pace::new(per_s),
        }
    }

    /// Takes a session in, whose bdSeq has just been taken.
    pub(super) fn push(&mut self, node: NodeId, spec: SessionSpec) {
        self.waiting.insert(self.ticket, (node, spec));
        self.tickets.insert(node, self.ticket);
        self.ticket = self.ticket.saturating_add(1);
    }

    /// Gives up a session that waits; whether there was one.
    pub(super) fn cancel(&mut self, node: NodeId) -> bool {
        let ticket = self.tickets.remove(&node);
        ticket.is_some_and(|ticket| self.waiting.remove(&ticket).is_some())
    }

    /// Gives up all of them.
    pub(super) fn cancel_all(&mut self) -> Vec<NodeId> {
        self.tickets.clear();
        std::mem::take(&mut self.waiting).into_values().map(|(node, _)| node).collect()
    }

    /// Whether the bdSeq of every node is to be written now; [`ConnectQueue::saved`] says how that ended.
    pub(super) fn begin_save(&mut self, now: Duration) -> bool {
        let last = self.waiting.last_key_value();
        let wanted = last.is_some_and(|(ticket, _)| *ticket >= self.covered);
        if !wanted || self.saving.is_some() || now < self.save_after {
            return false;
        }
        self.saving = Some(self.ticket);
        self.save_after = now.saturating_add(SAVE_EVERY);
        true
    }

    pub(super) fn saved(&mut self, now: Duration, written: bool) {
        let Some(saving) = self.saving.take() else {
            return mistake::mistake!("bdSeqs were written that nobody asked for");
        };
        if written {
            self.covered = saving;
        } else {
            self.save_after = now.saturating_add(ERROR_PAUSE);
        }
    }

    /// The sessions whose turn it is. `fits`: whether there is room for what follows it; the first
    /// one for which there isn't waits, and so do all behind it.
    pub(super) fn take(
        &mut self,
        now: Duration,
        mut fits: impl FnMut(&SessionSpec) -> bool,
    ) -> Vec<(NodeId, SessionSpec)> {
        let mut turn = Vec::new();
        while turn.len() < OPENS_PER_TURN
            && let Some((ticket, (node, spec))) = self.waiting.first_key_value()
            && *ticket < self.covered
            && fits(spec)
            && self.pace.take(now, *node)
            && let Some((_, (node, spec))) = self.waiting.pop_first()
        {
            self.tickets.remove(&node);
            turn.push((node, spec));
        }
        turn
    }

    /// The broker has answered a session, or ended it.
    pub(super) fn answered(&mut self, now: Duration, node: NodeId, well: bool) {
        self.pace.answered(now, node, well);
    }
}

/// So many connects per second, as evenly as the turns of the driver come.
#[derive(Debug)]
struct Pace {
    per_s: NonZeroU32,
    /// When the next one is due.
    next: Duration,
    adaptive: Option<AdaptiveRate>,
}

/// How a pace that nobody has set gets faster: it doubles while the broker answers all, and few
/// are ever unanswered; the first that fails sets it back.
#[derive(Debug)]
struct AdaptiveRate {
    unanswered: HashSet<NodeId>,
    /// When the pace is looked at again.
    look: Duration,
    /// The pace has held something back since.
    held: bool,
}

impl Pace {
    fn new(fixed: Option<NonZeroU32>) -> Pace {
        let adaptive =
            || AdaptiveRate { unanswered: HashSet::new(), look: Duration::ZERO, held: false };
        Pace {
            per_s: fixed.unwrap_or(FIRST_PER_S),
            next: Duration::ZERO,
            adaptive: if fixed.is_some() { None } else { Some(adaptive()) },
        }
    }

    /// Whether `node` may connect now.
    fn take(&mut self, now: Duration, node: NodeId) -> bool {
        if let Some(adaptive) = &mut self.adaptive {
            if now >= adaptive.look {
                self.per_s = match std::mem::take(&mut adaptive.held) {
                    true => self.per_s.saturating_mul(TWO).min(LAST_PER_S),
                    // It was enough: those that come next may be met by another broker.
                    false => FIRST_PER_S,
                };
                adaptive.look = now.saturating_add(DOUBLE_EVERY);
            }
            if adaptive.unanswered.len() >= MAX_UNANSWERED {
                return false;
            }
        }
        if now < self.next {
            if let Some(adaptive) = &mut self.adaptive {
                adaptive.held = true;
            }
            return false;
        }
        let interval = Duration::from_secs(1).checked_div(self.per_s.get()).unwrap_or_default();
        self.next = self.next.max(now.saturating_sub(BURST)).saturating_add(interval);
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.unanswered.insert(node);
        }
        true
    }

    fn answered(&mut self, now: Duration, node: NodeId, well: bool) {
        let Some(adaptive) = &mut self.adaptive else { return };
        if adaptive.unanswered.remove(&node) && !well {
            self.per_s = FIRST_PER_S;
            adaptive.held = false;
            adaptive.look = now.saturating_add(CALM);
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::*;

    fn spec() -> SessionSpec {
        SessionSpec {
            group: "g".to_owned(),
            edge_node: "e".to_owned(),
            will_topic: Arc::from("t"),
            will_payload: Vec::new(),
            bd_seq: 0,
            birth_bytes: 0,
            subscriptions: Vec::new(),
        }
    }

    fn queue(per_s: Option<u32>, nodes: u32) -> ConnectQueue {
        let mut queue = ConnectQueue::new(per_s.map(|per_s| per_s.try_into().unwrap()));
        (0..nodes).for_each(|node| queue.push(NodeId(node), spec()));
        queue
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn take(queue: &mut ConnectQueue, ms: u64) -> Vec<u32> {
        queue.take(at(ms), |_| true).into_iter().map(|(node, _)| node.0).collect()
    }

    /// What is opened within a second, with a turn every millisecond; each is answered after
    /// `answer_ms`.
    fn second(queue: &mut ConnectQueue, from_ms: u64, answer_ms: u64) -> usize {
        let mut owed = VecDeque::new();
        let mut opened = 0;
        for ms in from_ms..from_ms + 1_000 {
            while owed.front().is_some_and(|(due, _)| *due <= ms) {
                let (_, node) = owed.pop_front().unwrap();
                queue.answered(at(ms), NodeId(node), true);
            }
            let turn = take(queue, ms);
            opened += turn.len();
            owed.extend(turn.into_iter().map(|node| (ms + answer_ms, node)));
        }
        owed.into_iter().for_each(|(_, node)| queue.answered(at(from_ms), NodeId(node), true));
        opened
    }

    #[test]
    fn no_session_connects_before_its_bd_seq_is_written() {
        let mut queue = queue(Some(1_000), 2);
        assert!(take(&mut queue, 1_000).is_empty());
        assert!(queue.begin_save(at(1_000)));
        assert!(!queue.begin_save(at(1_100)), "one is under way");
        // It was taken after the write began.
        queue.push(NodeId(2), spec());
        assert!(take(&mut queue, 1_100).is_empty());
        queue.saved(at(1_100), true);
        assert_eq!(take(&mut queue, 1_200), [0, 1]);
        assert!(take(&mut queue, 1_300).is_empty());
        assert!(queue.begin_save(at(1_300)));
        queue.saved(at(1_300), true);
        assert_eq!(take(&mut queue, 1_300), [2]);
        assert!(!queue.begin_save(at(9_000)), "nothing waits");
    }

    #[test]
    fn a_write_that_failed_is_repeated_and_opens_nothing() {
        let mut queue = queue(Some(1_000), 1);
        assert!(queue.begin_save(at(0)));
        queue.saved(at(10), false);
        assert!(take(&mut queue, 20).is_empty());
        assert!(!queue.begin_save(at(500)));
        assert!(queue.begin_save(at(1_010)));
        queue.saved(at(1_020), true);
        assert_eq!(take(&mut queue, 1_020), [0]);
    }

    #[test]
    fn what_was_given_up_is_not_opened() {
        let mut queue = queue(Some(1_000), 3);
        assert!(queue.begin_save(at(0)));
        queue.saved(at(0), true);
        assert!(queue.cancel(NodeId(1)));
        assert!(!queue.cancel(NodeId(1)));
        assert_eq!(take(&mut queue, 500), [0, 2]);
        assert!(queue.cancel_all().is_empty());
    }

    #[test]
    fn a_pace_that_was_set_is_kept_whatever_the_broker_does() {
        let mut queue = queue(Some(200), 10_000);
        assert!(queue.begin_save(at(0)));
        queue.saved(at(0), true);
        let burst = 20;
        for second in 1..5 {
            let opened = self::second(&mut queue, second * 1_000, 1);
            assert!((200 - burst..=200 + burst).contains(&opened), "{opened}");
        }
    }

    #[test]
    fn the_pace_climbs_while_the_broker_answers_and_falls_with_the_first_failure() {
        let mut queue = queue(None, 60_000);
        assert!(queue.begin_save(at(0)));
        queue.saved(at(0), true);
        let first = second(&mut queue, 1_000, 2);
        assert!((600..900).contains(&first), "{first}");
        let seconds: Vec<usize> =
            (2..6).map(|second| self::second(&mut queue, second * 1_000, 2)).collect();
        assert!(seconds.is_sorted() && seconds[3] > 9_000 && seconds[3] <= 11_000, "{seconds:?}");
        let failed = take(&mut queue, 6_000)[0];
        queue.answered(at(6_001), NodeId(failed), false);
        // For a minute.
        for second in 7..60 {
            let opened = self::second(&mut queue, second * 1_000, 2);
            assert!((450..=600).contains(&opened), "{second}: {opened}");
        }
        assert!(second(&mut queue, 68_000, 2) > 600);
    }

    #[test]
    fn a_broker_that_answers_slowly_is_asked_slowly() {
        let mut queue = queue(None, 10_000);
        assert!(queue.begin_save(at(0)));
        queue.saved(at(0), true);
        for second in 1..5 {
            // Each answer takes a fifth of a second, so that MAX_UNANSWERED can be had five times.
            let opened = self::second(&mut queue, second * 1_000, 200);
            assert!(opened <= MAX_UNANSWERED * 5 + MAX_UNANSWERED, "{opened}");
        }
        // And one that doesn't answer at all isn't asked at all.
        let mut silent = self::queue(None, 10_000);
        assert!(silent.begin_save(at(0)));
        silent.saved(at(0), true);
        let opened: usize = (1_000..9_000).map(|ms| take(&mut silent, ms).len()).sum();
        assert_eq!(opened, MAX_UNANSWERED);
    }
}

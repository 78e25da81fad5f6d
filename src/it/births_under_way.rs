//! Births on their way to the IT broker: of sessions that were opened, until the broker is known to hold
//! them. So many bytes of them may be under way at once as get through in a while; on a link that is full
//! they follow each other, each with a session that stands just before. How much that is, is found out
//! with each birth that is confirmed: what the system has taken says little, since it takes a part of each
//! birth at once, however slow the link is. Sans-IO: time comes in.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::mirror::NodeId;

/// Births under way are worth so much time of the link: several round trips of a satellite, so that the
/// next session stands before the last birth is through, and several births, since one connection alone
/// doesn't fill a link that loses packets.
const WORTH: Duration = Duration::from_secs(20);
/// Births that get through in this time could have been more.
const SHORT: Duration = Duration::from_secs(10);
/// Bounds of their bytes …
const LEAST_BYTES: usize = 128 * 1024;
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// … and what may be under way before anything is known of the link: it doubles with each round that
/// gets through in short.
const FIRST_BYTES: usize = 256 * 1024;

/// The births under way.
#[derive(Debug)]
pub(super) struct BirthsUnderWay {
    nodes: HashMap<NodeId, Births>,
    bytes: usize,
    /// Nodes whose session stands since this was settled last.
    standing: Vec<NodeId>,
    /// Bytes that may be under way.
    room: usize,
    /// The most that this becomes.
    most: usize,
    /// Births that were sent before are no reason to lessen it once more.
    lessened: Duration,
}

/// Births of one node.
#[derive(Clone, Copy, Debug)]
struct Births {
    bytes: usize,
    /// When they were handed over.
    sent: Option<Duration>,
}

impl BirthsUnderWay {
    /// `bytes_per_s`: the budget of all sessions, if there is one: it says of the link what else would
    /// have to be found out.
    pub(super) fn new(bytes_per_s: Option<NonZeroU32>) -> BirthsUnderWay {
        let worth = |per_s: NonZeroU32| {
            let bytes = u64::from(per_s.get()).saturating_mul(WORTH.as_secs());
            usize::try_from(bytes).unwrap_or(usize::MAX).clamp(LEAST_BYTES, MOST_BYTES)
        };
        let known = bytes_per_s.map(worth);
        BirthsUnderWay {
            nodes: HashMap::new(),
            bytes: 0,
            standing: Vec::new(),
            room: known.unwrap_or(FIRST_BYTES),
            most: known.unwrap_or(MOST_BYTES),
            lessened: Duration::ZERO,
        }
    }

    /// Whether there is room for so many bytes `more` behind those that are `opened` now, where `queued`
    /// bytes of all kinds wait to be taken. One birth has room, however large it is, and however much data
    /// waits.
    pub(super) fn has_room(&self, opened: usize, more: usize, queued: usize) -> bool {
        let under_way = self.bytes.saturating_add(opened);
        under_way == 0 || under_way.max(queued).saturating_add(more) <= self.room
    }

    /// A session was opened, whose births will take so many bytes.
    pub(super) fn opened(&mut self, node: NodeId, bytes: usize) {
        self.ended(node);
        self.bytes = self.bytes.saturating_add(bytes);
        self.nodes.insert(node, Births { bytes, sent: None });
    }

    /// The session of `node` stands: its births follow at once, or not for now.
    pub(super) fn stands(&mut self, node: NodeId) {
        self.standing.push(node);
    }

    /// Something was published on the session of `node`, on which its births come first.
    pub(super) fn sent(&mut self, now: Duration, node: NodeId) {
        if let Some(births) = self.nodes.get_mut(&node) {
            births.sent.get_or_insert(now);
        }
    }

    /// All is carried out that was asked for: a session that stands and has no births waits for a host.
    pub(super) fn settle(&mut self) {
        for node in std::mem::take(&mut self.standing) {
            if self.nodes.get(&node).is_some_and(|births| births.sent.is_none()) {
                self.ended(node);
            }
        }
    }

    /// The broker holds what was published on the session of `node`.
    pub(super) fn confirmed(&mut self, now: Duration, node: NodeId) {
        let Some(Births { bytes, sent }) = self.nodes.get(&node).copied() else { return };
        self.ended(node);
        let Some(sent) = sent else { return };
        let took = now.saturating_sub(sent);
        if took <= SHORT {
            self.room = self.room.saturating_add(bytes).min(self.most);
        } else if took > WORTH && sent >= self.lessened {
            self.lessened = now;
            self.room = worth_of(self.room, took).clamp(LEAST_BYTES, self.most);
        }
    }

    /// The session of `node` is over.
    pub(super) fn ended(&mut self, node: NodeId) {
        if let Some(births) = self.nodes.remove(&node) {
            self.bytes = self.bytes.saturating_sub(births.bytes);
        }
    }
}

/// What gets through in [`WORTH`] of so many bytes that took longer.
fn worth_of(bytes: usize, took: Duration) -> usize {
    let bytes = u128::try_from(bytes).unwrap_or(u128::MAX).saturating_mul(WORTH.as_millis());
    let bytes = bytes.checked_div(took.as_millis()).unwrap_or(u128::MAX);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use super::*;

    const BIRTH: usize = 150_000;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A link that takes so many bytes per second, over which births of `nodes` nodes go: when the last
    /// one is there, how many were under way at once at most, and how long one was under way at most.
    fn run(births: &mut BirthsUnderWay, per_s: u64, bytes: usize, nodes: u32) -> (u64, usize, u64) {
        let (mut next, mut done, mut now, mut most, mut longest) = (0, 0, 0, 0, 0);
        // All that are under way share the link: bytes that each has left, and when it was sent.
        let mut flying: Vec<(NodeId, f64, u64)> = Vec::new();
        while done < nodes {
            while next < nodes && births.has_room(0, bytes, 0) {
                let node = NodeId(next);
                births.opened(node, bytes);
                births.stands(node);
                births.sent(at(now), node);
                births.settle();
                flying.push((node, bytes as f64, now));
                next += 1;
            }
            most = most.max(flying.len());
            now += 10;
            let share = per_s as f64 / 100.0 / flying.len() as f64;
            flying.iter_mut().for_each(|one| one.1 -= share);
            // A round trip behind the last byte.
            for (node, left, sent) in std::mem::take(&mut flying) {
                if left <= 0.0 {
                    births.confirmed(at(now + 600), node);
                    longest = longest.max(now - sent);
                    done += 1;
                } else {
                    flying.push((node, left, sent));
                }
            }
        }
        (now, most, longest)
    }

    #[test]
    fn on_a_full_link_births_follow_each_other_and_a_fast_one_takes_them_together() {
        let mut births = BirthsUnderWay::new(None);
        let (took, most, longest) = run(&mut births, 64_000, BIRTH, 30);
        // 4.5 MB at 64 kB/s are 70 s.
        assert!((70_000..72_000).contains(&took), "{took}");
        assert!((4..=9).contains(&most), "{most}");
        assert!(longest <= 25_000, "{longest}");
        let mut births = BirthsUnderWay::new(None);
        let (_, most, _) = run(&mut births, 100_000_000, BIRTH, 300);
        assert!(most >= 100, "{most}");
        // And a very thin one takes one by one.
        let mut births = BirthsUnderWay::new(None);
        let (_, most, longest) = run(&mut births, 9_600, BIRTH, 30);
        assert!(most == 1 && longest < 16_000, "{most} {longest}");
    }

    #[test]
    fn a_link_that_becomes_slower_has_fewer_under_way() {
        let mut births = BirthsUnderWay::new(None);
        run(&mut births, 1_000_000, BIRTH, 100);
        let (_, before, _) = run(&mut births, 1_000_000, BIRTH, 100);
        run(&mut births, 64_000, BIRTH, 100);
        let (_, after, longest) = run(&mut births, 64_000, BIRTH, 100);
        assert!(before > 20 && after <= 9 && longest <= 25_000, "{before} {after} {longest}");
    }

    #[test]
    fn a_budget_says_what_the_link_takes() {
        let mut births = BirthsUnderWay::new(NonZeroU32::new(60_000));
        let fits = |births: &mut BirthsUnderWay| {
            let mut nodes = 0;
            while births.has_room(0, BIRTH, 0) {
                births.opened(NodeId(nodes), BIRTH);
                nodes += 1;
            }
            nodes
        };
        assert_eq!(fits(&mut births), 8, "1,200,000 bytes");
        let mut unknown = BirthsUnderWay::new(None);
        assert_eq!(fits(&mut unknown), 1);
    }

    #[test]
    fn one_birth_has_room_however_large_it_is_and_however_much_waits() {
        let mut births = BirthsUnderWay::new(None);
        assert!(births.has_room(0, 64 << 20, 64 << 20));
        assert!(!births.has_room(1_000, 64 << 20, 0), "one is opened in the same turn");
        births.opened(NodeId(0), 1_000);
        assert!(!births.has_room(0, 64 << 20, 0));
        assert!(births.has_room(0, 1_000, 0));
        assert!(!births.has_room(0, 1_000, FIRST_BYTES), "they would wait behind that");
    }

    #[test]
    fn a_session_that_ends_or_waits_for_a_host_keeps_nobody_waiting() {
        let mut births = BirthsUnderWay::new(None);
        births.opened(NodeId(0), FIRST_BYTES);
        assert!(!births.has_room(0, 1, 0));
        births.ended(NodeId(0));
        assert!(births.has_room(0, 1, 0));
        births.opened(NodeId(1), FIRST_BYTES);
        births.opened(NodeId(2), FIRST_BYTES);
        births.stands(NodeId(1));
        births.stands(NodeId(2));
        births.sent(at(1), NodeId(2));
        births.settle();
        assert_eq!(
            (births.nodes.len(), births.bytes),
            (1, FIRST_BYTES),
            "the second is on its way"
        );
        births.confirmed(at(2), NodeId(2));
        births.confirmed(at(3), NodeId(2));
        assert_eq!((births.nodes.len(), births.bytes), (0, 0));
        // Its births come when the host is there, among all others.
        births.sent(at(4), NodeId(1));
        assert_eq!(births.bytes, 0);
    }
}

//! Fair share of the way to the worker: while it is nearly full, an edge node that sends many
//! times more than the others is refused, before anything is decoded, so that the others still
//! find room. Births, deaths and what is no Sparkplug data pass in any case.
//!
//! Otherwise the network waits for the worker, as for any burst: then the broker keeps what
//! comes, and drops of all nodes alike when it has enough. A flood of one must not cost the
//! others theirs.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// A node is refused if it has more than so many times what the others have on average.
const TIMES_THE_OTHERS: u64 = 8;
/// A node that has less than this on the way is never refused, however little the others have: a
/// hundred small messages. Thousands of invented nodes with a message each make a mean that any
/// real node is above.
const NEVER_REFUSED: u64 = 32 * 1024;
/// What a message takes beside its bytes.
const MESSAGE_BYTES: u64 = 128;

/// What is on its way to the worker, by edge node. Owned by the network alone: what the worker
/// took is known from a counter.
#[derive(Debug, Default)]
pub(super) struct Shares {
    /// Messages in their order: node and cost.
    order: VecDeque<(u64, u64)>,
    nodes: HashMap<u64, u64, RandomState>,
    cost: u64,
    taken: u64,
    hasher: RandomState,
}

impl Shares {
    /// Whether a message of `bytes` under `topic` is to be handed over. `taken`: how many the
    /// worker took so far. `crowded`: the way is nearly full.
    pub(super) fn admit(&mut self, taken: u64, topic: &[u8], bytes: usize, crowded: bool) -> bool {
        self.retire(taken);
        let (node, is_data) = self.node_of(topic);
        let cost = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(MESSAGE_BYTES);
        if crowded && is_data && self.is_unfair(node, cost) {
            return false;
        }
        self.order.push_back((node, cost));
        self.cost = self.cost.saturating_add(cost);
        let of_node = self.nodes.entry(node).or_default();
        *of_node = of_node.saturating_add(cost);
        true
    }

    fn retire(&mut self, taken: u64) {
        for _ in 0..taken.saturating_sub(self.taken) {
            let Some((node, cost)) = self.order.pop_front() else { break };
            self.cost = self.cost.saturating_sub(cost);
            if let Some(of_node) = self.nodes.get_mut(&node) {
                *of_node = of_node.saturating_sub(cost);
                if *of_node == 0 {
                    self.nodes.remove(&node);
                }
            }
        }
        self.taken = taken.max(self.taken);
    }

    fn is_unfair(&self, node: u64, cost: u64) -> bool {
        let own = self.nodes.get(&node).copied().unwrap_or(0);
        if own.saturating_add(cost) <= NEVER_REFUSED {
            return false;
        }
        let others = self.nodes.len().saturating_sub(usize::from(own > 0));
        let others = u64::try_from(others).unwrap_or(u64::MAX);
        let of_others = self.cost.saturating_sub(own);
        // Without others there is nobody to be fair to.
        let average = of_others.checked_div(others);
        average.is_some_and(|average| {
            own.saturating_add(cost) > average.saturating_mul(TIMES_THE_OTHERS)
        })
    }

    /// The edge node of a topic `namespace/group/type/edge node…`, and whether it is data.
    fn node_of(&self, topic: &[u8]) -> (u64, bool) {
        let mut levels = topic.split(|byte| *byte == b'/').skip(1);
        let (group, kind, node) = (levels.next(), levels.next(), levels.next());
        let mut hasher = self.hasher.build_hasher();
        hasher.write(group.unwrap_or_default());
        hasher.write_u8(b'/');
        hasher.write(node.unwrap_or_default());
        (hasher.finish(), matches!(kind, Some(b"NDATA" | b"DDATA")))
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use super::*;

    fn topic(node: &str, kind: &str) -> String {
        format!("spBv1.0/G/{kind}/{node}")
    }

    /// A worker that takes so many messages in each step, with room for 1,000; what each node
    /// sent and what of it was refused.
    fn run(senders: &[(&str, usize)], takes: usize) -> Vec<(usize, usize)> {
        let mut shares = Shares::default();
        let (mut queued, mut taken) = (0_usize, 0_u64);
        let mut counts = vec![(0, 0); senders.len()];
        for _ in 0..1_000 {
            let most = senders.iter().map(|(_, rate)| *rate).max().unwrap_or(0);
            for turn in 0..most {
                for (place, (node, rate)) in senders.iter().enumerate() {
                    if turn >= *rate {
                        continue;
                    }
                    counts[place].0 += 1;
                    let crowded = queued >= 750;
                    if shares.admit(taken, topic(node, "NDATA").as_bytes(), 100, crowded) {
                        queued += 1;
                        assert!(queued < 1_000, "the network would wait, and the broker drop");
                    } else {
                        counts[place].1 += 1;
                    }
                }
            }
            let now = takes.min(queued);
            queued -= now;
            taken += now as u64;
        }
        counts
    }

    #[test]
    fn a_flood_of_one_node_takes_no_room_from_the_others() {
        let counts = run(&[("flood", 100), ("a", 1), ("b", 1), ("c", 1)], 20);
        assert!(counts[0].1 > 70_000, "{counts:?}");
        assert_eq!(&counts[1..], [(1_000, 0); 3]);
    }

    #[test]
    fn nodes_that_send_alike_are_never_refused() {
        let counts = run(&[("a", 4), ("b", 6), ("c", 5)], 15);
        assert!(counts.iter().all(|(_, refused)| *refused == 0), "{counts:?}");
    }

    #[test]
    fn thousands_of_invented_nodes_take_nothing_from_a_real_one() {
        let mut shares = Shares::default();
        for number in 0..7_000 {
            let topic = topic(&format!("invented{number}"), "NDATA");
            assert!(shares.admit(0, topic.as_bytes(), 1, true));
        }
        for _ in 0..60 {
            assert!(shares.admit(0, topic("real", "NDATA").as_bytes(), 100, true));
        }
        // A flood is refused all the same.
        let flood =
            |shares: &mut Shares| shares.admit(0, topic("flood", "NDATA").as_bytes(), 100, true);
        let admitted = (0..10_000).filter(|_| flood(&mut shares)).count();
        assert!(admitted < 200, "{admitted}");
    }

    #[test]
    fn births_deaths_and_a_node_without_others_pass_in_any_case() {
        let mut shares = Shares::default();
        for _ in 0..300 {
            assert!(shares.admit(0, topic("alone", "NDATA").as_bytes(), 1, true));
        }
        assert!(shares.admit(0, topic("other", "NDATA").as_bytes(), 1, true));
        assert!(!shares.admit(0, topic("alone", "NDATA").as_bytes(), 1, true));
        for kind in ["NBIRTH", "DBIRTH", "NDEATH", "DDEATH", "NCMD"] {
            assert!(shares.admit(0, topic("alone", kind).as_bytes(), 1, true));
        }
        assert!(shares.admit(0, topic("alone", "NDATA").as_bytes(), 1, false));
        // All are taken.
        assert!(shares.admit(400, topic("alone", "NDATA").as_bytes(), 1, true));
        assert_eq!(shares.order.len(), 1);
    }
}

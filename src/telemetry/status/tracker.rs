//! Makes the account of a status out of the ledger: rates over the time since the last one, the
//! nodes that talk most, the reasons that drop most. One per half.

use std::cmp::Reverse;
use std::time::Duration;

use account::{Drops, Imbalance, LastDrop, Ledger, NodeAccount, NodeSlot, Reason};
use sparkplug::Entity;

use super::{AccountStatus, DropStatus, LastDropStatus, NodeStatus, NodesStatus, Rates};

/// Talkers that are shown.
const MAX_TALKERS: usize = 20;
/// Pairs of reason and rule that are shown; the rest is in the totals.
const MAX_DROPS: usize = 200;

/// Last drops that are shown, of all reasons.
const MAX_LAST: usize = 60;

/// What was counted when the last status was made.
#[derive(Debug, Default)]
pub struct Tracker {
    at: Option<Duration>,
    received: u64,
    forwarded: u64,
    dropped: u64,
    /// Received messages by slot of the node.
    nodes: Vec<u64>,
}

/// An edge node that the half follows.
#[derive(Clone, Copy, Debug)]
pub struct TrackedNode<'a> {
    pub slot: NodeSlot,
    pub entity: Entity<'a>,
    /// Alive, and shown to those who read from this half.
    pub alive: bool,
}

impl Tracker {
    /// The account at `at`, since any fixed start. `checked` is what [`Ledger::check`] said.
    pub fn track<'a>(
        &mut self,
        at: Duration,
        ledger: &Ledger,
        checked: Result<(), Imbalance>,
        nodes: impl Iterator<Item = TrackedNode<'a>>,
    ) -> (AccountStatus, NodesStatus) {
        let seconds = self.at.map(|before| at.saturating_sub(before).as_secs_f64());
        let rate = |now: u64, before: u64| match seconds {
            #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
            Some(seconds) if seconds > 0.0 => now.saturating_sub(before) as f64 / seconds,
            _ => 0.0,
        };
        let total = ledger.total();
        let dropped = total.dropped_total();
        let account = AccountStatus {
            received: total.received,
            forwarded: total.forwarded,
            dropped,
            waiting: total.waiting,
            of_other_shards: total.of_other_shards,
            balances: checked.is_ok(),
            imbalance: checked.err().map(|imbalance| imbalance.to_string()),
            reasons: total.drops().map(of_reason).collect(),
            drops: drops(ledger),
            last: last(ledger),
            rates: Rates {
                received_per_s: rate(total.received, self.received),
                forwarded_per_s: rate(total.forwarded, self.forwarded),
                dropped_per_s: rate(dropped, self.dropped),
            },
        };
        let mut status = NodesStatus::default();
        let empty = NodeAccount::default();
        let mut all: Vec<(u64, TrackedNode<'_>)> = Vec::new();
        for node in nodes {
            status.known = status.known.saturating_add(1);
            status.alive = status.alive.saturating_add(node.alive.into());
            let received = ledger.node(node.slot).map_or(0, |account| account.received);
            let before = self.nodes.get(node.slot.0).copied().unwrap_or(0);
            // Fewer than before: another node has taken the place.
            let since = received.checked_sub(before).unwrap_or(received);
            if received > 0 {
                all.push((since, node));
            }
            if self.nodes.len() <= node.slot.0 {
                self.nodes.resize(node.slot.0.saturating_add(1), 0);
            }
            if let Some(before) = self.nodes.get_mut(node.slot.0) {
                *before = received;
            }
        }
        let order = |(since, node): &(u64, TrackedNode<'_>)| {
            let received = ledger.node(node.slot).map_or(0, |account| account.received);
            (Reverse(*since), Reverse(received), node.slot)
        };
        if all.len() > MAX_TALKERS {
            all.select_nth_unstable_by_key(MAX_TALKERS, order);
            all.truncate(MAX_TALKERS);
        }
        all.sort_unstable_by_key(order);
        let talkers = all.iter().map(|(since, node)| {
            let account = ledger.node(node.slot).unwrap_or(&empty);
            let top = account.drops.iter().max_by_key(|drops| (drops.messages, drops.metrics));
            NodeStatus {
                node: node.entity.to_string(),
                alive: node.alive,
                received: account.received,
                forwarded: account.forwarded,
                dropped: account.drops.messages(),
                waiting: account.waiting,
                received_per_s: rate(*since, 0),
                top_reason: top.map(|drops| drops.reason.name().to_owned()),
            }
        });
        status.talkers = talkers.collect();
        self.at = Some(at);
        self.received = total.received;
        self.forwarded = total.forwarded;
        self.dropped = dropped;
        (account, status)
    }
}

fn of_reason((reason, messages, metrics): (Reason, u64, u64)) -> DropStatus {
    DropStatus { reason: reason.name().to_owned(), rule: None, messages, metrics }
}

/// The last drops.
fn last(ledger: &Ledger) -> Vec<LastDropStatus> {
    let shown = |(reason, drop): &(Reason, &LastDrop)| {
        let (got, wanted) = drop.fault.clone().unzip();
        LastDropStatus {
            at_ms: drop.at_ms,
            topic: drop.topic.clone(),
            metric: drop.metric.clone(),
            reason: reason.name().to_owned(),
            rule: drop.rule.clone(),
            got,
            wanted,
        }
    };
    ledger.last_drops().iter().take(MAX_LAST).map(shown).collect()
}

/// Drops by reason and rule, most messages first, then most metrics.
fn drops(ledger: &Ledger) -> Vec<DropStatus> {
    let status = |drops: Drops, rule: Option<&str>| DropStatus {
        reason: drops.reason.name().to_owned(),
        rule: rule.map(str::to_owned),
        messages: drops.messages,
        metrics: drops.metrics,
    };
    let rules = ledger
        .rules()
        .iter()
        .flat_map(|rule| rule.drops.iter().map(move |drops| status(drops, Some(&rule.name))));
    let without = ledger.no_rule().iter().map(|drops| status(drops, None));
    let former = ledger.former_rules().iter().map(|drops| status(drops, Some(FORMER_RULES)));
    let mut all: Vec<DropStatus> = rules.chain(without).chain(former).collect();
    all.sort_by(|left, right| {
        (right.messages, right.metrics, &left.reason, &left.rule).cmp(&(
            left.messages,
            left.metrics,
            &right.reason,
            &right.rule,
        ))
    });
    all.truncate(MAX_DROPS);
    all
}

/// Stands for rules that are in the policy no more. No rule can have this name.
pub const FORMER_RULES: &str = "(former rules)";

#[cfg(test)]
mod tests {
    use account::{Fate, Origin};

    use super::*;

    #[test]
    fn rates_are_of_the_last_interval_and_talkers_come_first() {
        let names: Vec<String> = (0..30).map(|node| format!("N{node}")).collect();
        let nodes = || {
            names.iter().enumerate().map(|(slot, name)| TrackedNode {
                slot: NodeSlot(slot),
                entity: Entity::node("G", name),
                alive: slot != 7,
            })
        };
        let mut ledger = Ledger::new(None);
        let mut tracker = Tracker::default();
        let send = |ledger: &mut Ledger, node: usize, messages: usize, fate: Fate| {
            let origin = Origin { entity: None, node: Some(NodeSlot(node)) };
            for _ in 0..messages {
                ledger.receive(origin.node);
                ledger.settle(origin, fate);
            }
        };
        (0..30).for_each(|node| ledger.open_node(NodeSlot(node)));
        send(&mut ledger, 3, 1_000, Fate::Forwarded);
        let (account, _) =
            tracker.track(Duration::from_secs(10), &ledger, ledger.check(0), nodes());
        assert!(account.balances);
        assert!(account.rates.received_per_s.abs() < f64::EPSILON, "no interval yet");
        (0..30).for_each(|node| send(&mut ledger, node, 1, Fate::Forwarded));
        send(&mut ledger, 7, 40, Fate::Dropped(Reason::Rate));
        let (account, status) =
            tracker.track(Duration::from_secs(12), &ledger, ledger.check(1), nodes());
        assert!((account.rates.received_per_s - 35.0).abs() < 0.001);
        assert!((account.rates.dropped_per_s - 20.0).abs() < 0.001);
        assert!(!account.balances, "nothing waits");
        assert_eq!((status.known, status.alive), (30, 29));
        assert_eq!(status.talkers.len(), MAX_TALKERS);
        let (first, second) = (&status.talkers[0], &status.talkers[1]);
        assert_eq!((first.node.as_str(), first.dropped), ("G/N7", 40));
        assert_eq!(first.top_reason.as_deref(), Some("rate"));
        assert_eq!((second.node.as_str(), second.received), ("G/N3", 1_001));
        assert!((second.received_per_s - 0.5).abs() < 0.001);
    }
}

//! The ledger of one half: where every message is entered once, and everything that doesn't
//! cross is dropped. Nothing is dropped elsewhere, so whoever wants to see drops looks here.
//!
//! ```text
//!  receive ──┐                        ┌──> total      dense, by reason
//!  settle ───┼──> one entry of each ──┼──> by node    sparse, as many as the half follows
//!  drop ─────┘                        └──> by rule    sparse, as many as the policy has
//! ```
//!
//! The three views are kept apart from each other, and [`Ledger::check`] compares them.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::dropped::{Dropped, NodeSlot, Origin, What};
use super::recent::{LastDrop, Recent};
use super::{Account, Drops, Reason};
use crate::RuleId;

/// What became of a message.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Forwarded,
    Waiting,
    /// For a reason that isn't in the policy.
    Dropped(Reason),
    /// For a reason that a rule may have given.
    DroppedBy(Reason, Option<RuleId>),
}

/// Drops by reason, only those that occurred. At most one entry per reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropList(Vec<Drops>);

/// The account of one edge node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeAccount {
    pub received: u64,
    pub forwarded: u64,
    pub waiting: u64,
    pub drops: DropList,
}

/// What one rule dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleAccount {
    pub name: Box<str>,
    pub drops: DropList,
}

/// Why an account doesn't balance; our bug in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Imbalance {
    /// received = forwarded + dropped + waiting doesn't hold in total.
    #[error("the total does not balance")]
    Total,
    /// It doesn't hold for an edge node.
    #[error("an edge node does not balance")]
    Node(NodeSlot),
    /// The edge nodes don't add up to the total.
    #[error("the edge nodes do not add up to the total")]
    Nodes,
    /// The rules don't add up to the total.
    #[error("the rules do not add up to the total")]
    Rules,
    /// More or fewer messages wait than the account has waiting.
    #[error("not as many messages wait as the account says")]
    Waiting,
}

/// An entry as the policy tools see it; see [`Ledger::watch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerEntry {
    /// What became of a message.
    Settled(Fate),
    /// What was dropped of one: a metric of an entity (`group/edge_node[/device]`) by its name,
    /// or (empty name) metrics of which no more is known.
    Dropped { entity: String, metric: String, reason: Reason, rule: Option<RuleId> },
}

/// Everything that one half counts of messages.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    total: Account,
    nodes: Vec<NodeAccount>,
    /// Of no node that is followed: topics without one, nodes that gave way to others.
    others: NodeAccount,
    rules: Vec<RuleAccount>,
    /// Drops without a rule.
    no_rule: DropList,
    /// Drops of rules that are in the policy no more.
    former_rules: DropList,
    /// What was entered since it was taken last, where somebody watches.
    watched: Option<Vec<LedgerEntry>>,
    recent: Recent,
}

impl Ledger {
    /// An empty ledger with the rules of these names, in the order of their numbers.
    pub fn new<'a>(rules: impl IntoIterator<Item = &'a str>) -> Self {
        let mut ledger = Ledger::default();
        ledger.set_rules(rules);
        ledger
    }

    /// Takes over the rules of another policy. Rules keep their drops by their names.
    pub fn set_rules<'a>(&mut self, rules: impl IntoIterator<Item = &'a str>) {
        let mut before = core::mem::take(&mut self.rules);
        before.sort_by(|left, right| left.name.cmp(&right.name));
        self.rules = rules
            .into_iter()
            .map(|name| {
                let known = before.binary_search_by(|known| (*known.name).cmp(name));
                let known = known.ok().and_then(|place| before.get_mut(place));
                let drops = known.map(|known| core::mem::take(&mut known.drops));
                RuleAccount { name: name.into(), drops: drops.unwrap_or_default() }
            })
            .collect();
        for rule in before {
            self.former_rules.add(&rule.drops);
        }
    }

    /// Another edge node takes this place; what the former one had goes to the others.
    pub fn open_node(&mut self, node: NodeSlot) {
        if self.nodes.len() <= node.0 {
            self.nodes.resize_with(node.0.saturating_add(1), NodeAccount::default);
        }
        if let Some(account) = self.nodes.get_mut(node.0) {
            let former = core::mem::take(account);
            self.others.add(&former);
        }
    }

    /// A message or a tick begins, at this time in milliseconds since the epoch.
    pub fn begin(&mut self, now_ms: u64) {
        self.recent.begin(now_ms);
    }

    /// Another message begins at the same time.
    pub fn begin_another(&mut self) {
        self.recent.begin_another();
    }

    /// What was dropped since the last beginning was of a message under this topic.
    pub fn end(&mut self, topic: &str) {
        self.recent.end(topic);
    }

    /// Whether [`Ledger::explain`] has any use for what came and what was wanted of the last drop.
    pub fn wants_fault(&self) -> bool {
        self.recent.wants_fault()
    }

    /// What came, and what was wanted, of what was dropped last. No values.
    pub fn explain(&mut self, got: &str, wanted: &str) {
        self.recent.explain(got, wanted);
    }

    /// The last drops of each reason, the last one first.
    pub fn last_drops(&self) -> Vec<(Reason, &LastDrop)> {
        self.recent.all()
    }

    /// Enters a received message.
    pub fn receive(&mut self, node: Option<NodeSlot>) {
        self.total.receive();
        let account = self.account_of(node);
        account.received = account.received.wrapping_add(1);
    }

    /// Counts a message of an edge node that another relay has.
    pub fn leave_to_other_shard(&mut self) {
        self.total.of_other_shards = self.total.of_other_shards.wrapping_add(1);
    }

    /// From now on entries are kept for [`Ledger::take_entries`]. For the policy tools, which
    /// take them after every message; a relay would fill its memory.
    pub fn watch(&mut self) {
        self.watched.get_or_insert_default();
    }

    /// What was entered since this was asked last.
    pub fn take_entries(&mut self) -> Vec<LedgerEntry> {
        self.watched.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// How many [`Ledger::take_entries`] would give.
    pub fn entries(&self) -> usize {
        self.watched.as_ref().map_or(0, Vec::len)
    }

    /// Enters what became of a received message.
    pub fn settle(&mut self, origin: Origin<'_>, fate: Fate) {
        if let Some(watched) = &mut self.watched {
            watched.push(LedgerEntry::Settled(fate));
        }
        let (reason, rule) = match fate {
            Fate::Forwarded => {
                self.total.forward();
                let account = self.account_of(origin.node);
                account.forwarded = account.forwarded.wrapping_add(1);
                return;
            }
            Fate::Waiting => {
                self.total.waiting = self.total.waiting.saturating_add(1);
                let account = self.account_of(origin.node);
                account.waiting = account.waiting.saturating_add(1);
                return;
            }
            Fate::Dropped(reason) => (reason, None),
            Fate::DroppedBy(reason, rule) => (reason, rule),
        };
        self.drop(Dropped { origin, what: What::Message, reason, rule });
    }

    /// Ends the waiting of `messages` messages.
    pub fn settle_waiting(&mut self, origin: Origin<'_>, messages: u64, fate: Fate) {
        for _ in 0..messages {
            self.total.waiting = self.total.waiting.saturating_sub(1);
            let account = self.account_of(origin.node);
            account.waiting = account.waiting.saturating_sub(1);
            self.settle(origin, fate);
        }
    }

    /// A message that waits, and was of no node that is followed, is of this one.
    pub fn adopt_waiting(&mut self, node: NodeSlot) {
        if let Some(account) = self.nodes.get_mut(node.0) {
            account.received = account.received.wrapping_add(1);
            account.waiting = account.waiting.saturating_add(1);
            self.others.received = self.others.received.wrapping_sub(1);
            self.others.waiting = self.others.waiting.saturating_sub(1);
        }
    }

    /// Drops something. Every drop of the half goes through here.
    pub fn drop(&mut self, dropped: Dropped<'_>) {
        let Dropped { origin, what, reason, rule } = dropped;
        let (messages, metrics) = match what {
            What::Message => (1, 0),
            What::Metric(_) => (0, 1),
            What::Metrics(0) => return,
            What::Metrics(metrics) => (0, metrics),
        };
        if let Some(watched) = &mut self.watched
            && what != What::Message
        {
            let name = if let What::Metric(name) = what { name } else { "" };
            let entity = origin.entity.map(|entity| entity.to_string()).unwrap_or_default();
            watched.push(LedgerEntry::Dropped { entity, metric: name.to_owned(), reason, rule });
        }
        let of_rule = rule.and_then(|rule| self.rules.get(rule.index()));
        self.recent.note(&dropped, of_rule.map(|rule| &*rule.name));
        let drops = Drops { reason, messages, metrics };
        self.total.drop(drops);
        self.account_of(origin.node).drops.enter(drops);
        match rule.and_then(|rule| self.rules.get_mut(rule.index())) {
            Some(rule) => rule.drops.enter(drops),
            None => self.no_rule.enter(drops),
        }
    }

    /// Received, forwarded, dropped and waiting messages of the half.
    pub fn total(&self) -> &Account {
        &self.total
    }

    /// The account of a node, if anything was entered for it.
    pub fn node(&self, node: NodeSlot) -> Option<&NodeAccount> {
        self.nodes.get(node.0)
    }

    /// What belongs to no node that is followed.
    pub fn others(&self) -> &NodeAccount {
        &self.others
    }

    /// The rules in the order of the policy.
    pub fn rules(&self) -> &[RuleAccount] {
        &self.rules
    }

    /// Drops that no rule ordered.
    pub fn no_rule(&self) -> &DropList {
        &self.no_rule
    }

    /// Drops of rules that are in the policy no more.
    pub fn former_rules(&self) -> &DropList {
        &self.former_rules
    }

    /// Compares the views with each other and with `waiting`, the number of messages that in
    /// fact wait.
    ///
    /// # Errors
    /// The first thing that doesn't balance.
    pub fn check(&self, waiting: u64) -> Result<(), Imbalance> {
        if !self.total.balances() {
            return Err(Imbalance::Total);
        }
        if self.total.waiting != waiting {
            return Err(Imbalance::Waiting);
        }
        let mut sum = NodeAccount::default();
        for (place, account) in self.nodes.iter().enumerate() {
            if !account.balances() {
                return Err(Imbalance::Node(NodeSlot(place)));
            }
            sum.add(account);
        }
        sum.add(&self.others);
        let Account { received, forwarded, waiting, .. } = self.total;
        if (sum.received, sum.forwarded, sum.waiting) != (received, forwarded, waiting)
            || !sum.drops.is_all_of(&self.total)
        {
            return Err(Imbalance::Nodes);
        }
        let mut by_rule = self.no_rule.clone();
        by_rule.add(&self.former_rules);
        self.rules.iter().for_each(|rule| by_rule.add(&rule.drops));
        if by_rule.is_all_of(&self.total) { Ok(()) } else { Err(Imbalance::Rules) }
    }

    fn account_of(&mut self, node: Option<NodeSlot>) -> &mut NodeAccount {
        match node.and_then(|node| self.nodes.get_mut(node.0)) {
            Some(account) => account,
            None => &mut self.others,
        }
    }
}

impl NodeAccount {
    /// Whether every received message is accounted for.
    pub fn balances(&self) -> bool {
        let known = self.forwarded.wrapping_add(self.drops.messages());
        self.received == known.wrapping_add(self.waiting)
    }

    fn add(&mut self, other: &NodeAccount) {
        self.received = self.received.wrapping_add(other.received);
        self.forwarded = self.forwarded.wrapping_add(other.forwarded);
        self.waiting = self.waiting.saturating_add(other.waiting);
        self.drops.add(&other.drops);
    }
}

impl DropList {
    /// The drops, one entry per reason, in no order.
    pub fn iter(&self) -> impl Iterator<Item = Drops> + '_ {
        self.0.iter().copied()
    }

    /// Messages dropped for any reason.
    pub fn messages(&self) -> u64 {
        self.0.iter().fold(0, |sum, drops| sum.wrapping_add(drops.messages))
    }

    /// Metrics dropped for any reason.
    pub fn metrics(&self) -> u64 {
        self.0.iter().fold(0, |sum, drops| sum.wrapping_add(drops.metrics))
    }

    fn enter(&mut self, drops: Drops) {
        // A node or a rule has one or two reasons, nearly always.
        match self.0.iter_mut().find(|known| known.reason == drops.reason) {
            Some(known) => {
                known.messages = known.messages.wrapping_add(drops.messages);
                known.metrics = known.metrics.wrapping_add(drops.metrics);
            }
            None => self.0.push(drops),
        }
    }

    fn add(&mut self, other: &DropList) {
        other.iter().for_each(|drops| self.enter(drops));
    }

    /// Whether these are the drops of `total`, no fewer and no more.
    fn is_all_of(&self, total: &Account) -> bool {
        self.messages() == total.dropped_total()
            && self.iter().all(|drops| {
                drops.messages == total.dropped(drops.reason)
                    && drops.metrics == total.dropped_metrics(drops.reason)
            })
            && total.drops().all(|(reason, ..)| self.iter().any(|drops| drops.reason == reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_rule(ledger: &mut Ledger, node: usize, reason: Reason, rule: u32) {
        let origin = Origin { entity: None, node: Some(NodeSlot(node)) };
        ledger.receive(origin.node);
        ledger.settle(origin, Fate::DroppedBy(reason, Some(RuleId(rule))));
    }

    #[test]
    fn every_view_has_every_drop() {
        let mut ledger = Ledger::new(["a", "b"]);
        ledger.open_node(NodeSlot(1));
        by_rule(&mut ledger, 1, Reason::Rate, 1);
        by_rule(&mut ledger, 7, Reason::Rate, 0);
        let origin = Origin { entity: None, node: Some(NodeSlot(1)) };
        let what = What::Metrics(3);
        ledger.drop(Dropped { origin, what, reason: Reason::OverCap, rule: None });
        ledger.receive(None);
        ledger.settle(Origin::default(), Fate::Waiting);
        assert_eq!(ledger.check(1), Ok(()));
        assert_eq!(ledger.check(0), Err(Imbalance::Waiting));
        assert_eq!(ledger.node(NodeSlot(1)).unwrap().drops.messages(), 1);
        assert_eq!(ledger.node(NodeSlot(1)).unwrap().drops.metrics(), 3);
        assert_eq!(ledger.others().drops.messages(), 1, "of a node that nobody opened");
        assert_eq!(ledger.rules()[1].drops.messages(), 1);
        assert_eq!(ledger.no_rule().metrics(), 3);
        ledger.settle_waiting(Origin::default(), 1, Fate::Forwarded);
        assert_eq!(ledger.check(0), Ok(()));
    }

    #[test]
    fn what_is_entered_once_only_is_an_imbalance() {
        let mut ledger = Ledger::new([]);
        ledger.open_node(NodeSlot(0));
        ledger.receive(None);
        assert_eq!(ledger.check(0), Err(Imbalance::Total));
        let origin = Origin { entity: None, node: Some(NodeSlot(0)) };
        ledger.settle(origin, Fate::Forwarded);
        assert_eq!(ledger.check(0), Err(Imbalance::Node(NodeSlot(0))));
        let mut ledger = Ledger::new([]);
        ledger.total.receive();
        ledger.total.forward();
        assert_eq!(ledger.check(0), Err(Imbalance::Nodes));
        let mut ledger = Ledger::new([]);
        let drops = Drops { reason: Reason::Denied, messages: 0, metrics: 2 };
        ledger.total.drop(drops);
        ledger.others.drops.enter(drops);
        assert_eq!(ledger.check(0), Err(Imbalance::Rules));
    }

    #[test]
    fn a_rule_keeps_its_drops_over_a_reload_and_a_node_that_gives_way_leaves_them() {
        let mut ledger = Ledger::new(["gone", "kept"]);
        ledger.open_node(NodeSlot(0));
        by_rule(&mut ledger, 0, Reason::Denied, 0);
        by_rule(&mut ledger, 0, Reason::Denied, 1);
        by_rule(&mut ledger, 0, Reason::Rate, 1);
        ledger.set_rules(["kept", "new"]);
        assert_eq!(ledger.rules()[0].drops.messages(), 2);
        assert_eq!(ledger.rules()[1].drops.messages(), 0);
        assert_eq!(ledger.former_rules().messages(), 1);
        ledger.open_node(NodeSlot(0));
        assert_eq!(ledger.node(NodeSlot(0)), Some(&NodeAccount::default()));
        assert_eq!(ledger.others().received, 3);
        assert_eq!(ledger.check(0), Ok(()));
    }

    #[test]
    fn what_is_left_to_another_relay_is_counted_and_in_no_other_figure() {
        let mut ledger = Ledger::new([]);
        ledger.leave_to_other_shard();
        ledger.leave_to_other_shard();
        ledger.receive(None);
        ledger.settle(Origin::default(), Fate::Forwarded);
        assert_eq!(ledger.check(0), Ok(()));
        let Account { received, forwarded, of_other_shards, .. } = ledger.total();
        assert_eq!((*received, *forwarded, *of_other_shards), (1, 1, 2));
        assert_eq!(ledger.total().dropped_total(), 0);
        assert!(ledger.last_drops().is_empty());
    }

    #[test]
    fn a_message_that_waits_is_adopted_with_its_account() {
        let mut ledger = Ledger::new([]);
        ledger.receive(None);
        ledger.settle(Origin::default(), Fate::Waiting);
        ledger.open_node(NodeSlot(0));
        ledger.adopt_waiting(NodeSlot(0));
        assert_eq!(ledger.check(1), Ok(()));
        let origin = Origin { entity: None, node: Some(NodeSlot(0)) };
        ledger.settle_waiting(origin, 1, Fate::Forwarded);
        assert_eq!(ledger.check(0), Ok(()));
        assert_eq!(ledger.node(NodeSlot(0)).unwrap().forwarded, 1);
    }
}

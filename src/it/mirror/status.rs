//! What the status says of the mirror: accessors that change nothing.

use std::time::Duration;

use account::{Account, Imbalance, Ledger};
use journal_format::{Heartbeat, Start};
use policy::Policy;
use sparkplug::Entity;
use telemetry::status::{LINK_ALIVE, LossStatus, TrackedNode};

use super::node::{Node, Role, Session};
use super::notice::Tally;
use super::{Link, Mirror, Now};

impl Mirror {
    /// Messages received, forwarded, dropped and waiting.
    pub fn account(&self) -> &Account {
        self.ledger.total()
    }

    /// The account by edge nodes and rules.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Checks that every received message is accounted for, once.
    ///
    /// # Errors
    /// What doesn't balance: a bug.
    pub fn check_account(&self) -> Result<(), Imbalance> {
        // What a session can't publish yet is held by the journal, not here.
        self.ledger.check(0)
    }

    /// The other counters.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Mirrored nodes that are born on IT, and nodes known in all.
    pub fn node_counts(&self) -> (usize, usize) {
        (self.nodes.iter().filter(|node| node.is_born()).count(), self.nodes.len())
    }

    /// The edge nodes, for the account.
    pub fn nodes(&self) -> impl Iterator<Item = TrackedNode<'_>> {
        self.nodes.iter().filter(|node| !node.is_relay()).map(|node| TrackedNode {
            slot: node.id.into(),
            entity: Entity::node(&node.group, &node.edge_node),
            alive: node.is_born(),
        })
    }

    /// Sessions that the broker has accepted.
    pub fn sessions(&self) -> usize {
        let is_up =
            |node: &&Node| matches!(node.session, Session::Waiting { .. } | Session::Born { .. });
        self.all_sessions().filter(is_up).count()
    }

    /// Everything that has a session of its own, or may have one.
    fn all_sessions(&self) -> impl Iterator<Item = &Node> {
        let own = self.nodes.iter().filter(|node| node.membership().is_none());
        own.chain(self.folds.nodes())
    }

    /// Nodes that should have a session, and have none after an attempt.
    pub fn sessionless(&self) -> usize {
        if self.stopping {
            return 0;
        }
        let linked = self.link == Link::Alive;
        let is_without = |node: &&Node| {
            let is_wanted = match node.role {
                Role::Folded(_) => self.folds.is_wanted(node),
                _ => (linked || node.is_relay()) && node.is_presentable(),
            };
            is_wanted
                && node.failures > 0
                && matches!(node.session, Session::Closed | Session::Opening { .. })
        };
        self.all_sessions().filter(is_without).count()
    }

    /// Whether there is anything to have a session for: not where every node is dead, and not in
    /// a half that stops.
    pub fn wants_sessions(&self) -> bool {
        let linked = self.link == Link::Alive;
        let wants = |node: &Node| (linked || node.is_relay()) && node.is_presentable();
        !self.stopping && self.nodes.iter().any(wants)
    }

    /// Where the link to the plant stands, as in the status file.
    pub fn link_name(&self) -> &'static str {
        match self.link {
            Link::CatchingUp => "catching_up",
            Link::Silent { .. } => "silent",
            Link::Alive => LINK_ALIVE,
        }
    }

    /// How old the last frame was when it came, in milliseconds.
    pub fn lag_ms(&self) -> u64 {
        self.lag_ms
    }

    /// Time since the last frame that had just been appended.
    pub fn silent_for(&self, now: Now) -> Duration {
        now.mono.saturating_sub(self.last_frame)
    }

    /// Name of the relay, as the writer of the journal says it; empty until it does.
    pub fn relay_name(&self) -> &str {
        self.writer.as_ref().map_or("", |start: &Start| &start.relay_name)
    }

    /// Version of the writer of the journal; empty until it says so.
    pub fn writer_version(&self) -> &str {
        self.writer.as_ref().map_or("", |start| &start.version)
    }

    /// The last heartbeat, and when it was appended, in milliseconds since the epoch.
    pub fn last_heartbeat(&self) -> Option<(u64, &Heartbeat)> {
        self.heartbeat.as_ref().map(|(at_ms, heartbeat)| (*at_ms, heartbeat))
    }

    /// The stretch of frames that was lost last.
    pub fn last_loss(&self) -> Option<&LossStatus> {
        self.last_loss.as_ref()
    }

    /// The copy of the policy.
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_deref()
    }

    /// Whether a node has missed frames that weren't sent, or that the broker isn't known to hold.
    pub fn owes_history(&self) -> bool {
        self.nodes.iter().any(|node| !node.ranges.is_empty())
    }

    /// Frames between the oldest that the broker isn't known to hold and the newest that was
    /// read; 0 where all is confirmed.
    pub fn unconfirmed_frames(&self) -> u64 {
        let oldest = self.nodes.iter().filter_map(Node::oldest_open).min();
        oldest.map_or(0, |oldest| self.position.saturating_sub(oldest))
    }
}

//! What people are shown of the mirror, beside account and tally.

use std::time::Duration;

use journal_format::{Heartbeat, Start};
use policy::Policy;
use sparkplug::Entity;
use telemetry::status::{LINK_ALIVE, LossStatus, TrackedNode};

use crate::mirror::node::{Node, Session};
use crate::mirror::{Link, Mirror, NodeId, Now};

impl Mirror {
    /// The edge nodes, for the account.
    pub fn nodes(&self) -> impl Iterator<Item = TrackedNode<'_>> {
        self.node_ids().zip(self.nodes.iter()).filter(|(_, node)| !node.own).map(
            |(id, node): (NodeId, &Node)| TrackedNode {
                slot: id.into(),
                entity: Entity::node(&node.group, &node.edge_node),
                alive: node.session == Session::Born,
            },
        )
    }

    /// Sessions that the broker has accepted.
    pub fn sessions(&self) -> usize {
        let is_up = |node: &&Node| matches!(node.session, Session::Waiting | Session::Born);
        self.nodes.iter().filter(is_up).count()
    }

    /// Whether there is anything to have a session for: not where every node is dead, and not in
    /// a half that stops.
    pub fn wants_sessions(&self) -> bool {
        let linked = self.link == Link::Alive;
        let wants = |node: &Node| (linked || node.own) && node.alive && !node.held;
        !self.stopping && self.nodes.iter().any(wants)
    }

    /// Where the link to the plant stands, as in the status file.
    pub fn link_name(&self) -> &'static str {
        match self.link {
            Link::CatchingUp => "catching_up",
            Link::Silent => "silent",
            Link::Alive => LINK_ALIVE,
        }
    }

    /// How old the last frame was when it came, in milliseconds.
    pub fn lag_ms(&self) -> u64 {
        self.lag_ms
    }

    /// Time since the last frame that had just been appended.
    pub fn silent_for(&self, now: Now) -> Duration {
        now.at.saturating_sub(self.last_frame)
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

    /// Frames between the oldest that the broker isn't known to hold and the newest that was
    /// read; 0 where all is confirmed.
    pub fn unconfirmed_frames(&self) -> u64 {
        let oldest = self.nodes.iter().filter_map(Node::oldest_open).min();
        oldest.map_or(0, |oldest| self.position.saturating_sub(oldest))
    }
}

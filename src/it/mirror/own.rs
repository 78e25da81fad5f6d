//! The relay's own edge node: a session like any other, whose metrics come from the relay itself
//! and not from the journal. It lives while the relay does, whatever the plant does.

use std::sync::Arc;

use sparkplug::{Metric, Payload};

use crate::mirror::layout::{Folded, Layout};
use crate::mirror::node::Node;
use crate::mirror::recheck::Rechecked;
use crate::mirror::{Mirror, NodeId, Now};

/// The name of the relay's own edge node belongs to a node of the plant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the relay's own edge node can't be `{node}`: a mirrored edge node has this name")]
pub struct NameTaken {
    pub node: String,
}

impl Mirror {
    /// Takes the relay's own edge node in, with the metrics of its birth. From now on an edge
    /// node of the plant with this name is refused.
    ///
    /// # Errors
    /// A mirrored node has the name.
    pub fn add_own(
        &mut self,
        now: Now,
        group: &str,
        edge_node: &str,
        metrics: Vec<Metric>,
    ) -> Result<(), NameTaken> {
        let key = format!("{group}/{edge_node}");
        let Ok(id) = u32::try_from(self.nodes.len()).map(NodeId) else { return Ok(()) };
        if self.by_key.contains_key(&key) {
            return Err(NameTaken { node: key });
        }
        let bd_seq = self.bd_seqs.remove(&key).unwrap_or(0);
        let mut node = Node::new(group, edge_node, bd_seq);
        let birth = Payload { timestamp: Some(now.wall_ms), metrics, ..Payload::default() };
        let (layout, _) = Layout::from_birth(birth, now.wall_ms);
        node.layout = Arc::new(layout);
        node.own = true;
        node.alive = true;
        self.ledger.open_node(id.into());
        self.nodes.push(node);
        self.own = Some(id);
        self.reconcile(now, id, "");
        Ok(())
    }

    /// Whether the relay's own edge node is there.
    pub fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// The current value of a metric of the relay's own edge node.
    pub fn own_value(&self, name: &str) -> Option<&Metric> {
        self.own.and_then(|id| self.node(id))?.layout.metric(name)
    }

    /// Tells new values of the relay's own edge node, in one message; where it isn't born at the
    /// moment, the next birth tells them.
    pub fn tell_own(&mut self, now: Now, mut metrics: Vec<Metric>) {
        let Some(id) = self.own else { return };
        let Some(node) = self.node_mut(id) else { return };
        let layout = Arc::make_mut(&mut node.layout);
        metrics.retain_mut(|metric| {
            let name = metric.name.clone();
            let folded =
                layout.fold(name.as_deref(), metric, now.wall_ms, &mut Rechecked::default());
            matches!(folded, Folded::Known | Folded::Refreshed)
        });
        if node.publishes() && !metrics.is_empty() {
            self.publish_data(now, id, None, metrics);
        }
    }

    /// Whether this is the name of the relay's own edge node.
    pub(super) fn is_own_name(&self, group: &str, edge_node: &str) -> bool {
        let own = self.own.and_then(|id| self.node(id));
        own.is_some_and(|own| own.group == group && own.edge_node == edge_node)
    }
}

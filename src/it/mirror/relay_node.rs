//! The relay's own edge node: a session like any other, whose metrics come from the relay itself
//! and not from the journal. It lives while the relay does, whatever the plant does.

use std::sync::Arc;

use sparkplug::{Metric, Payload};

use super::layout::{Folded, Layout};
use super::policy_recheck::Refusals;
use super::{Mirror, Now};

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
    pub fn add_relay_node(
        &mut self,
        now: Now,
        group: &str,
        edge_node: &str,
        metrics: Vec<Metric>,
    ) -> Result<(), NameTaken> {
        let (mut step, nodes) = self.step(now);
        let Some(node) = nodes.add_relay_node(group, edge_node, step.folds) else {
            return Err(NameTaken { node: format!("{group}/{edge_node}") });
        };
        let birth = Payload { timestamp: Some(now.wall_ms), metrics, ..Payload::default() };
        let (mut layout, _) = Layout::from_birth(birth, now.wall_ms);
        layout.aliases = step.settings.aliases;
        node.layout = Arc::new(layout);
        node.set_alive();
        step.ledger.open_node(node.id.into());
        step.reconcile(node, "");
        Ok(())
    }

    /// Whether the relay's own edge node is there.
    pub fn has_relay_node(&self) -> bool {
        self.nodes.relay().is_some()
    }

    /// The current value of a metric of the relay's own edge node.
    pub fn relay_node_value(&self, name: &str) -> Option<&Metric> {
        self.nodes.relay()?.layout.metric(name)
    }

    /// Publishes new values of the relay's own edge node, in one message; where it isn't born at
    /// the moment, the next birth has them.
    pub fn update_relay_node(&mut self, now: Now, mut metrics: Vec<Metric>) {
        let (mut step, nodes) = self.step(now);
        let Some(node) = nodes.relay_mut() else {
            return mistake::mistake!("the relay's own edge node is updated before it is there");
        };
        let node = node.change();
        let layout = Arc::make_mut(&mut node.layout);
        metrics.retain_mut(|metric| {
            let name = metric.name.clone();
            let folded = layout.fold(
                name.as_deref(),
                metric,
                now.wall_ms,
                false,
                0,
                &mut Refusals::default(),
            );
            matches!(folded, Folded::Known | Folded::Refreshed)
        });
        if node.publishes() && !metrics.is_empty() {
            step.publish_data(node, None, metrics);
        }
    }
}

//! What the names in this half's own journal mean, when it is read again after a restart: the
//! journal has the names of IT, and the policy that gave them may not be the one in force.

use std::collections::{BTreeMap, HashMap};

use account::Ledger;
use journal_format::Start;
use policy::{Admitted, MessageFlags, Policy};
use sparkplug::{Entity, EntityTopic, MessageType, Metric, names};

use crate::pipeline::Entry;
use crate::plant::{EntityState, Plant, Slot};

/// Names of group and edge node on IT.
type ExportedNode = (String, String);

/// Whose a frame of the journal is.
#[derive(Debug)]
pub(in crate::pipeline) struct Resolved {
    /// Of the node.
    pub(in crate::pipeline) place: usize,
    /// As the plant calls it.
    pub(in crate::pipeline) device: Option<Box<str>>,
    /// The frame is written under the policy in force, which doesn't give it this name any more.
    pub(in crate::pipeline) is_former: bool,
}

/// Reads names of the journal back.
#[derive(Debug)]
pub(in crate::pipeline) struct Names {
    /// Of the policy in force.
    digest: String,
    /// What of the frames that are read next.
    start: Start,
    /// The nodes of the plant by what they were announced as.
    nodes: HashMap<ExportedNode, usize>,
    /// Alive for readers, and nobody knows any more what they were in the plant.
    strangers: BTreeMap<ExportedNode, u64>,
}

impl Names {
    /// For frames that follow what `stored` knows, of which `plant` was restored.
    pub(in crate::pipeline) fn new(policy: &Policy, stored: Start, plant: &Plant) -> Names {
        let exported = |(place, node): (usize, &crate::plant::Node)| {
            let exported = node.exported(None);
            ((exported.group.to_owned(), exported.edge_node.to_owned()), place)
        };
        Names {
            digest: policy.digest().to_owned(),
            start: stored,
            nodes: plant.nodes().iter().enumerate().map(exported).collect(),
            strangers: BTreeMap::new(),
        }
    }

    /// The frames that follow are written by another policy.
    pub(in crate::pipeline) fn start(&mut self, start: Start) {
        self.start = start;
    }

    /// Whether births have names of metrics that the plant doesn't know.
    pub(in crate::pipeline) fn metrics_are_renamed(&self) -> bool {
        self.start.renames_metrics
    }

    /// The node that a frame is about, and its device as the plant calls it. Nodes and devices that
    /// nobody knows any more are noted.
    pub(in crate::pipeline) fn resolve(
        &mut self,
        policy: &Policy,
        plant: &mut Plant,
        ledger: &mut Ledger,
        topic: EntityTopic<'_>,
        losses: u64,
    ) -> Option<Resolved> {
        let exported = topic.entity;
        let key = (exported.group.to_owned(), exported.edge_node.to_owned());
        let original = if !self.start.renames {
            Some(exported)
        } else if self.start.policy_digest == self.digest {
            policy.renames().original(exported)
        } else {
            None
        };
        if let Some(original) = original {
            let place = plant.ensure(original, ledger)?;
            let node = plant.node_mut(place)?;
            let differs =
                (original.group, original.edge_node) != (exported.group, exported.edge_node);
            node.exported_as = differs.then(|| (exported.group.into(), exported.edge_node.into()));
            if let (Some(device), Some(own)) = (exported.device, original.device) {
                let state = node.devices.entry(own.into()).or_default();
                state.exported_as = (device != own).then(|| device.into());
            }
            self.nodes.insert(key.clone(), place);
            self.strangers.remove(&key);
            let device = original.device.map(Box::from);
            return Some(Resolved { place, device, is_former: false });
        }
        let is_former = self.start.policy_digest == self.digest;
        let known = self.nodes.get(&key).copied().and_then(|place| {
            let node = plant.node_mut(place)?;
            let Some(device) = exported.device else {
                return Some(Resolved { place, device: None, is_former });
            };
            let own = node
                .devices
                .iter()
                .find(|(name, state)| state.exported_as.as_deref().unwrap_or(name) == device);
            Some(Resolved { place, device: Some(own?.0.clone()), is_former })
        });
        match topic.message_type {
            MessageType::NDeath => {
                self.strangers.remove(&key);
            }
            _ if known.is_none() => {
                self.strangers.insert(key, losses);
            }
            _ => {}
        }
        known
    }

    /// Gives the metrics of a frame their names in the plant; what has none is left out.
    pub(in crate::pipeline) fn own_names(
        &self,
        state: Option<&EntityState>,
        metrics: &mut Vec<Metric>,
    ) {
        if !self.start.renames_metrics {
            return;
        }
        let slots = state.into_iter().flat_map(|state| &state.layout.slots);
        let own: HashMap<&str, &Slot> = slots.map(|slot| (slot.exported_name(), slot)).collect();
        metrics.retain_mut(|metric| {
            let name = metric.name.as_deref().unwrap_or_default();
            if matches!(name, names::BD_SEQ | names::REBIRTH) {
                return true;
            }
            let Some(slot) = own.get(name) else { return false };
            metric.name = Some(slot.name().to_owned());
            true
        });
    }

    /// The deaths of those that nobody knows any more. Where a node of the plant goes by such a
    /// name, readers don't hold it for alive after this.
    pub(in crate::pipeline) fn bury_strangers(
        self,
        plant: &mut Plant,
        source: &str,
        now_ms: u64,
    ) -> Vec<Entry> {
        let mut deaths = Vec::new();
        for ((group, edge_node), losses) in self.strangers {
            if let Some(node) = self
                .nodes
                .get(&(group.clone(), edge_node.clone()))
                .and_then(|place| plant.node_mut(*place))
            {
                let _ = node.own.life.withdraw();
                node.withdraw_devices();
            }
            let flags = MessageFlags {
                received_ms: now_ms,
                loss_before: false,
                synthetic: true,
                aliased: false,
                typed: false,
                outdated: false,
                urgent: false,
                withdrawn: Some("no_rule"),
                layout: 0,
            };
            let entity = Entity::node(&group, &edge_node);
            deaths.push(Entry::Plant(Admitted::death(source, entity, now_ms, None, losses, flags)));
        }
        deaths
    }
}

//! Data that the journal tells by places in a layout: it takes the fast path without a name being
//! read, or goes on by names, as what it would have been otherwise.

use std::sync::Arc;

use account::{Fate, Origin, Reason};
use journal_format::{Data, Layout};
use sparkplug::EntityTopic;

use super::fast_path::FastPath;
use super::frames::entity_topic;
use super::nodes::Nodes;
use super::outgoing::NodeId;
use super::step::StepContext;
use super::{Mirror, Now};

impl Mirror {
    /// Data against a layout that no frame gave which could be read. Whose it is nobody knows; that
    /// a frame was lost was said before, and what its node has stays in doubt until the layout is
    /// given again.
    pub(super) fn unplaced(&mut self, now: Now) {
        self.ledger.begin(now.wall_ms);
        self.ledger.receive(None);
        self.ledger.settle(Origin::default(), Fate::Dropped(Reason::DataBeforeBirth));
    }
}

impl StepContext<'_> {
    /// Takes data; its fate, and whose it is, where it could be used.
    pub(super) fn placed(
        &mut self,
        nodes: &mut Nodes,
        seq: u64,
        data: &Data,
        layout: &Layout,
    ) -> (Fate, Option<NodeId>) {
        if let Some(origin) = self.take_placed(nodes, seq, data, layout) {
            return self.account_for(nodes, origin, Ok(()), (layout.topic(), &[], data.urgent));
        }
        let most_bytes = self.settings.caps.payload_bytes;
        match layout.by_names(data, most_bytes) {
            Some(relayed) => self.relayed(nodes, seq, &relayed),
            None => {
                self.ledger.begin(self.now.wall_ms);
                let message = (layout.topic(), &*data.metrics, data.urgent);
                self.account_for(nodes, Origin::default(), Err(Reason::BadFrame), message)
            }
        }
    }

    /// Takes data the fast way; `None`: it can't go there, and nothing was done.
    fn take_placed<'a>(
        &mut self,
        nodes: &mut Nodes,
        seq: u64,
        data: &Data,
        layout: &'a Layout,
    ) -> Option<Origin<'a>> {
        #[cfg(any(test, feature = "testing"))]
        if !self.takes_fast_path {
            return None;
        }
        let EntityTopic { message_type, entity } = entity_topic(layout.topic()).ok()?;
        if !message_type.is_data() || self.names_datatypes(data.typed) {
            return None;
        }
        self.check_names(entity).ok()?;
        let device = entity.device;
        let mut node = nodes.find(entity.group, entity.edge_node).filter(|node| node.is_alive())?;
        if !node.layout_of(device)?.knows_places(layout) {
            let id = node.id;
            Arc::make_mut(node.change().layout_of_mut(device)?).learn_places(layout);
            node = nodes.get(id)?;
        }
        let message = FastPath::of_places(&node, device, data, &self.settings.caps).ok()?;
        self.ledger.begin(self.now.wall_ms);
        let origin = Origin { entity: Some(entity), node: Some(node.id.into()) };
        self.take_fast_path(node.change(), device, seq, message);
        Some(origin)
    }
}

//! What follows for an entity from a message of it that was refused: as the table of consequences
//! has it ([`Reason::consequence`]).

use account::{Consequence, Fate, Reason, Refused};

use super::step::StepContext;
use crate::plant::{Life, Node};

impl StepContext<'_> {
    /// A message of the node or of `device` was refused.
    pub(super) fn follow_refusal(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        refused: Refused,
        reason: Reason,
    ) {
        match (reason.consequence(refused), device) {
            // Of a value its message takes care.
            (Consequence::Nothing | Consequence::MetricBad, _) => {}
            (Consequence::Doubted, Some(device)) if refused == Refused::Data => {
                if let Some(state) = node.state_mut(Some(device))
                    && state.life.is_alive()
                {
                    state.doubt();
                    node.next_keyframe = self.now.mono;
                    // A restart has to know of it before the message is acknowledged.
                    *self.structure_changed = true;
                }
            }
            (Consequence::Doubted, _) => {
                // What isn't known to be alive has nothing to be doubted.
                if node.state(device).is_some_and(|state| state.life.is_alive()) {
                    // That the sequence goes on around it proves nothing.
                    node.lives().for_each(Life::give_up_verifying);
                    node.lose();
                    node.next_keyframe = self.now.mono;
                    *self.structure_changed = true;
                }
            }
            (Consequence::Buried, None) => self.end_node(node, reason),
            (Consequence::Buried, Some(device)) => self.end_device(node, device, reason),
        }
    }

    /// What the node is now nobody knows: for readers it is dead, and nothing can be read by the
    /// birth that it had.
    fn end_node(&mut self, node: &mut Node, reason: Reason) {
        self.bury_node(node, Fate::Dropped(reason));
        node.own.forget();
        node.definitions.clear();
        node.bd_seq = None;
        for device in node.devices.values_mut() {
            device.end(Life::Unknown);
        }
    }

    fn end_device(&mut self, node: &mut Node, device: &str, reason: Reason) {
        self.bury_device(node, device, Fate::Dropped(reason));
        if let Some(state) = node.devices.get_mut(device) {
            state.forget();
        }
    }
}

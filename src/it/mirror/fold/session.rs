//! What a member does where another node has a session: it joins and leaves its fold, and shares its
//! barriers.

use std::sync::Arc;
use std::time::Duration;

use account::Reason;
use sparkplug::folded_device;

use super::Asked;
use crate::mirror::membership::FoldId;
use crate::mirror::node::{Node, Session};
use crate::mirror::notice::Notice;
use crate::mirror::step::StepContext;
use crate::mirror::timers::Timer;

/// What MQTT allows (MQTT 3.1.1 §1.5.3).
const MAX_TOPIC_BYTES: usize = 65_535;
/// What a topic has beside its names.
const AROUND_NAMES: usize = "spBv1.0//DBIRTH//".len();

impl StepContext<'_> {
    /// The member wants to be seen.
    pub(in crate::mirror) fn join(&mut self, node: &mut Node, fold: FoldId) {
        node.session = Session::Opening { host_seen: false };
        node.timers.stop(Timer::Connect);
        if let Some(fold) = self.folds.touch(fold) {
            fold.joined.insert(node.id);
            fold.unborn.insert(node.id);
        }
    }

    /// The member is to be seen no more: DDEATH of all that hosts see of it.
    pub(in crate::mirror) fn leave(&mut self, node: &mut Node, fold: FoldId, why: &'static str) {
        let was_born = node.is_born();
        self.retract(node);
        node.session = if was_born { Session::Closing } else { Session::Closed };
        node.stop_session_timers();
        node.unannounce_devices();
        if let Some(fold) = self.folds.touch(fold) {
            fold.joined.remove(&node.id);
            fold.unborn.remove(&node.id);
            if was_born {
                fold.next.push((node.id, Asked::Close));
            }
        }
        if was_born {
            self.notify(Notice::NodeDead { node: node.key(), why });
        }
    }

    /// DDEATHs of all that hosts see of a member, what it is itself last.
    pub(in crate::mirror) fn retract(&mut self, node: &mut Node) {
        // The member was shown first, its devices after it.
        let shown = node.membership().map(|membership| membership.shown.clone());
        for death in shown.into_iter().flatten().rev() {
            self.publish_device_death(node, death);
        }
    }

    /// The member's own DBIRTH may be published: its template definitions are in force. Where they
    /// aren't, the births of all come first.
    pub(in crate::mirror) fn may_bear(&mut self, node: &mut Node, fold: FoldId) -> bool {
        let prefix = node.membership().and_then(|membership| membership.prefix.as_deref());
        if self.folds.defines(fold, &node.layout, prefix) {
            return true;
        }
        self.folds.want_births_soon(fold);
        if node.is_born() {
            // What it looks like now isn't what hosts know.
            node.timers.set(Timer::RebirthDue, Duration::MAX);
        } else if let Some(fold) = self.folds.get_mut(fold) {
            fold.unborn.insert(node.id);
        }
        false
    }

    /// Whether MQTT has topics for a member of a fold, or a device of it: they are longer than the
    /// plant's.
    ///
    /// # Errors
    /// It hasn't.
    pub(in crate::mirror) fn check_topic(
        &self,
        group: &str,
        edge_node: &str,
        device: Option<&str>,
    ) -> Result<(), Reason> {
        let Some(folded) = self.folds.edge_node() else { return Ok(()) };
        let names = [group, edge_node, folded, device.unwrap_or_default()];
        let names = names.iter().map(|name| name.len()).fold(0, usize::saturating_add);
        // Nearly all: an escape makes three bytes of one.
        if names.saturating_mul(3).saturating_add(AROUND_NAMES) <= MAX_TOPIC_BYTES {
            return Ok(());
        }
        let name = folded_device(edge_node, device).len();
        let parts = [group.len(), folded.len(), name, AROUND_NAMES];
        let bytes = parts.into_iter().fold(0, usize::saturating_add);
        if bytes <= MAX_TOPIC_BYTES { Ok(()) } else { Err(Reason::OverCap) }
    }

    /// The member asks whether the broker holds what it published.
    pub(in crate::mirror) fn ask_barrier(&mut self, node: &mut Node, fold: FoldId) {
        node.begin_barrier();
        if let Some(fold) = self.folds.touch(fold) {
            fold.next.push((node.id, Asked::Confirm));
        }
    }
}

impl Node {
    /// Hosts see the member, or a device of it, from now on; its death goes to this topic.
    pub(in crate::mirror) fn show(&mut self, death: &Arc<str>) {
        if let Some(membership) = self.membership_mut() {
            membership.shown.push(Arc::clone(death));
        }
    }

    /// Hosts see it no more; false: they didn't before, as far as this is noted.
    pub(in crate::mirror) fn hide(&mut self, death: &str) -> bool {
        let Some(membership) = self.membership_mut() else { return true };
        let before = membership.shown.len();
        membership.shown.retain(|shown| **shown != *death);
        membership.shown.len() < before
    }

    /// Hosts see nothing of the member any more; where the deaths go of what they saw.
    pub(in crate::mirror) fn hide_all(&mut self) -> Vec<Arc<str>> {
        self.membership_mut().map(|member| std::mem::take(&mut member.shown)).unwrap_or_default()
    }
}

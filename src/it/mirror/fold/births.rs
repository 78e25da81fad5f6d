//! Births of a folded edge node: its NBIRTH with the template definitions of its members, and their
//! DBIRTHs behind it.

use std::sync::Arc;
use std::time::Duration;

use super::Due;
use super::types::Definitions;
use crate::mirror::membership::FoldId;
use crate::mirror::node::{Node, Session};
use crate::mirror::nodes::Nodes;
use crate::mirror::notice::Notice;
use crate::mirror::outgoing::NodeId;
use crate::mirror::step::StepContext;
use crate::mirror::timers::Timer;

/// All births of a fold that the definitions of a member ask for come once in this time, or more
/// seldom by their size: the members beside it pay for them.
const ANEW_EVERY: Duration = Duration::from_secs(1);
/// So many bytes of such births a second.
const ANEW_BYTES: usize = 256 * 1024;
/// Two sets more may come at once: those of a plant that starts.
const ANEW_AHEAD: u32 = 2;

impl StepContext<'_> {
    /// Whether all births of a fold are to be published now.
    pub(super) fn births_are_due(&mut self, fold: FoldId, folded: &mut Node) -> bool {
        let now = self.now.mono;
        let Some(entry) = self.folds.get_mut(fold) else { return false };
        let is_due = match (entry.due, folded.session) {
            (Due::Nothing, _) => false,
            // `reconcile` has looked at all that the first ones wait for.
            (Due::Now, Session::Waiting { .. } | Session::Born { .. }) => true,
            (Due::Soon, Session::Born { .. }) => {
                let last = u32::try_from(entry.births_bytes.div_ceil(ANEW_BYTES).max(1));
                let every = ANEW_EVERY.saturating_mul(last.unwrap_or(u32::MAX));
                let ahead = every.saturating_mul(ANEW_AHEAD);
                if folded.born_anew.saturating_sub(ahead) > now {
                    return false;
                }
                folded.born_anew = folded.born_anew.max(now).saturating_add(every);
                true
            }
            // The next session begins with them anyway.
            (Due::Soon | Due::Now, _) => false,
        };
        entry.due = Due::Nothing;
        is_due
    }

    /// NBIRTH with `seq` 0 and the definitions of all, then the births of every member that wants the
    /// session.
    pub(super) fn bear_fold(&mut self, nodes: &mut Nodes, fold: FoldId, folded: &mut Node) {
        let first = !folded.is_born();
        self.collect_definitions(nodes, fold, folded);
        folded.session = Session::Born { since: self.now.mono };
        folded.timers.stop(Timer::RebirthDue);
        folded.timers.stop(Timer::MarksDue);
        self.publish_node_birth(folded, first);
        let Some(entry) = self.folds.get_mut(fold) else { return };
        entry.definitions = Arc::clone(&folded.layout);
        entry.unborn.clear();
        let mut born = 0_usize;
        for id in self.folds.members(fold) {
            let Some(node) = nodes.get(id) else { continue };
            if matches!(node.session, Session::Opening { .. } | Session::Born { .. }) {
                // The NBIRTH has ended all devices.
                node.change().hide_all();
                self.bear_member(nodes, id);
                born = born.saturating_add(1);
            }
        }
        if let Some(entry) = self.folds.get_mut(fold) {
            entry.births_bytes = entry.line.births.map_or(0, |births| births.bytes);
        }
        if first {
            let (node, bd_seq) = (folded.key(), folded.bd_seq);
            self.notify(Notice::NodeBorn { node, devices: born, bd_seq });
        }
    }

    /// The births of members that joined since.
    pub(super) fn bear_joined(&mut self, nodes: &mut Nodes, fold: FoldId) {
        for id in self.folds.take_unborn(fold) {
            let is_waiting = |session| matches!(session, Session::Opening { .. });
            if nodes.get(id).is_some_and(|node| is_waiting(node.session)) {
                self.bear_member(nodes, id);
            }
        }
    }

    fn bear_member(&mut self, nodes: &mut Nodes, id: NodeId) {
        let Some(node) = nodes.get(id) else { return };
        if self.may_work_on(&node) {
            self.publish_births(node.change());
        } else {
            self.drop_node(node.change());
            nodes.count(id);
        }
    }

    /// What all members that live define becomes what the folded edge node defines.
    fn collect_definitions(&mut self, nodes: &mut Nodes, fold: FoldId, folded: &mut Node) {
        let mut definitions = Definitions::default();
        for id in self.folds.members(fold) {
            let Some(node) = nodes.get(id).filter(|node| node.is_alive()) else { continue };
            let Some(membership) = node.membership() else { continue };
            let prefix = definitions.add(&node.layout, &membership.device);
            if membership.prefix != prefix
                && let Some(membership) = node.change().membership_mut()
            {
                membership.prefix = prefix;
            }
        }
        let mut layout = definitions.into_layout(self.now.wall_ms);
        layout.aliases = self.settings.aliases;
        layout.keep_numbers_of(&folded.layout);
        folded.layout = Arc::new(layout);
    }
}

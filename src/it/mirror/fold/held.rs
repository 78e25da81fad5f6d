//! Members whose births end the session of their fold, and with it all others: larger than the broker
//! takes, as MQTT has no other answer to that. They wait, while the fold goes on without them, and are
//! tried again, each time after twice as long: the broker's limit may have been raised.

use std::time::Duration;

use crate::mirror::line::BirthsOut;
use crate::mirror::membership::FoldId;
use crate::mirror::node::Node;
use crate::mirror::nodes::Nodes;
use crate::mirror::notice::Notice;
use crate::mirror::step::StepContext;
use crate::mirror::timers::Timer;

/// Sessions in a row that ended at births, before the largest is held for the cause. The first may have
/// been anything.
const ENDS: u32 = 2;
/// Births of fewer bytes are no cause: no broker refuses them for their size.
const BYTES: usize = 16 * 1024;
/// How long a member waits when it has ended the session once.
const FIRST_WAIT: Duration = Duration::from_secs(60);
/// The most that comes of doubling it. A try ends the session of the group for a moment.
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

impl super::Folds {
    /// The births that the broker hasn't confirmed, where the session has some.
    pub(super) fn births_out(&self, fold: FoldId, folded: &Node) -> Option<BirthsOut> {
        self.get(fold).filter(|_| folded.is_born())?.line.births
    }
}

impl StepContext<'_> {
    /// The session of a fold has ended at these births: has the member wait that is the cause, if one
    /// can be named. To be called before the members are brought where they should be.
    pub(super) fn hold(
        &mut self,
        nodes: &mut Nodes,
        fold: FoldId,
        folded: &Node,
        births: BirthsOut,
    ) {
        if births.largest < BYTES {
            return;
        }
        // The NBIRTH of the fold itself has no one cause.
        let Some(found) = nodes.get(births.largest_of).filter(|node| node.is_born()) else {
            return;
        };
        // One that was the cause before is it again.
        if folded.birth_ends < ENDS && found.own_failures == 0 {
            return;
        }
        let node = found.change();
        let wait = FIRST_WAIT.saturating_mul(1 << node.own_failures.min(10)).min(LONGEST_WAIT);
        node.own_failures = node.own_failures.saturating_add(1);
        node.timers.set(Timer::Connect, self.now.mono.saturating_add(wait));
        let (id, node) = (node.id, node.key());
        self.notify(Notice::BirthHeld { node, bytes: births.largest, wait_s: wait.as_secs() });
        if let Some(fold) = self.folds.get_mut(fold) {
            fold.held.insert(id);
        }
    }

    /// The broker holds all births: those of members that had to wait are no cause any more.
    pub(super) fn release(&mut self, nodes: &mut Nodes, fold: FoldId) {
        let Some(held) = self.folds.get_mut(fold).map(|fold| std::mem::take(&mut fold.held)) else {
            return;
        };
        for id in held {
            match nodes.get(id) {
                Some(node) if node.is_born() => node.change().own_failures = 0,
                Some(_) => {
                    if let Some(fold) = self.folds.get_mut(fold) {
                        fold.held.insert(id);
                    }
                }
                None => {}
            }
        }
    }
}

//! Births that come too soon: a node that is born again and again could else tell by births what
//! limits, intervals and deadbands hold back. A birth within the least interval after the last one
//! that brought values repeats what readers have, and its values go the way of data.

use account::{Reason, What};
use mistake::mistake;
use policy::Verdict;
use policy::shape::{Last, Shaped};
use sparkplug::{Metric, steps};

use super::step::StepContext;
use crate::plant::{EntityState, Held, Layout, Node, Slot};

impl StepContext<'_> {
    /// Whether the last birth of the entity that brought values is so near that another one may not.
    pub(super) fn is_born_too_soon(&self, state: &EntityState) -> bool {
        let least = self.policy.limits().births;
        state.values_at.is_some_and(|at| self.now.mono < at.saturating_add(least))
    }

    /// Has the values of a birth wait that came too soon, as far as they are limited. `former` is what
    /// the entity looked like before it, and whether that was in doubt: then it isn't repeated as if
    /// this birth said it.
    pub(super) fn hold_born(
        &mut self,
        node: &mut Node,
        device: Option<&str>,
        (former, was_doubted): (&Layout, bool),
    ) {
        let is_shared = self.limiter.is_shared();
        let (losses, now) = (node.losses, self.now.mono);
        let Some(parts) = node.parts(device) else {
            return mistake!("a birth of a device that the node hasn't");
        };
        let ticket = parts.state.backlog.ticket();
        steps::take(parts.state.layout.slots.len());
        for place in 0..parts.state.layout.slots.len() {
            let layout = &mut parts.state.layout;
            let Some(slot) = layout.slot(place).filter(|slot| slot.obeys_limits(is_shared)) else {
                continue;
            };
            let known = former.find(Some(slot.name()), None).and_then(|known| former.slot(known));
            let known = known.filter(|known| known.datatype == slot.datatype && !known.is_blank());
            let is_news = known.is_none_or(|known| known.current.value != slot.current.value);
            if slot.current.value.is_none() || !is_news {
                continue;
            }
            let dropped = known.and_then(|known| {
                let last = Last {
                    metric: Some(&known.current),
                    losses,
                    mono: self.now.mono,
                    wall_ms: self.now.wall_ms,
                };
                let state = known.shaper()?.state;
                match slot.shaper()?.shape().data(slot.datatype, &slot.current, &state, last) {
                    Shaped::Drop { reason: Reason::Deadband } => Some(Reason::Deadband),
                    _ => None,
                }
            });
            let (mut newest, mut name) = (Metric::default(), String::new());
            layout.change(place, |slot| {
                slot.name().clone_into(&mut name);
                newest = slot.repeat(known, now);
                if was_doubted && dropped.is_none() && known.is_some() {
                    slot.take_back();
                }
            });
            match (dropped, layout.slot(place).map(Slot::verdict)) {
                (Some(reason), Some(Verdict::Forward { rule, .. })) => {
                    self.drop(parts.origin, What::Metric(&name), reason, Some(rule));
                }
                _ => {
                    layout.hold(place, Held::new(newest, ticket, true, parts.losses));
                    parts.state.holds = true;
                }
            }
        }
        node.count(device);
    }
}

//! Changes of the policy: a new one is loaded, or the time of a rule has come. What readers know is
//! brought in line with it.

use policy::{Limiter, Policy};

use super::news::News;
use super::overload::Overload;
use super::timers::TICK_WORK;
use super::{Entry, Now, Pipeline, notify};
use crate::decisions::RecentDrops;
use crate::rule_counters::RuleCounters;

impl Pipeline {
    /// Takes over another policy: entities that it doesn't allow any more die, those that it
    /// allows now and those whose layout changes are born anew, with their current values.
    pub fn reload(&mut self, now: Now, policy: Policy, out: &mut Vec<Entry>) {
        self.reload_beside(now, policy, None, out);
    }

    /// The same with a policy that looks on from now on, or with none.
    pub fn reload_beside(
        &mut self,
        now: Now,
        mut policy: Policy,
        shadow: Option<Policy>,
        out: &mut Vec<Entry>,
    ) {
        // By the policy that was: readers haven't heard of it yet.
        out.append(&mut self.reorder.unsent);
        self.spread_news(now, u64::MAX, out);
        let _ = policy.set_time(self.judged_as_of(now));
        self.limiter = Limiter::new(&policy);
        self.overload = Overload::default();
        // Of the same files, what was counted and remembered is still so.
        let is_other = policy.digest() != self.policy.digest();
        if is_other {
            self.rule_counters = RuleCounters::new(&policy);
            self.matching_since_ms = now.wall_ms;
            // They name rules of the policy that was.
            self.recent_drops = RecentDrops::default();
        }
        self.ledger.set_rules(policy.rule_names());
        self.policy = policy;
        let looks_on = self.shadow.as_ref().map(|former| former.policy().digest());
        if is_other || looks_on != shadow.as_ref().map(Policy::digest) {
            self.observe(now, shadow);
        }
        self.structure_changed = true;
        let (mut step, plant) = self.step(now, out);
        for index in 0..plant.nodes().len() {
            if plant.nodes().get(index).is_some_and(|node| step.is_renamed(node))
                && let Some(node) = plant.node_mut(index)
            {
                step.bury_renamed(node);
            }
        }
        self.tell_all(News::Policy { is_other: true });
        self.spread_news(now, TICK_WORK, out);
    }

    /// From now on what is handled counts as having come at this time, in milliseconds since the
    /// epoch: rules are open or closed as they were then. A message that had to wait for the disk is
    /// judged by the windows in which it came.
    pub(crate) fn judge_as_of(&mut self, wall_ms: u64) {
        self.as_of = Some(wall_ms);
    }

    fn judged_as_of(&self, now: Now) -> u64 {
        self.as_of.unwrap_or(now.wall_ms)
    }

    /// Opens and closes the rules whose time has come, as if the policy had been reloaded.
    pub(super) fn follow_schedules(&mut self, now: Now, out: &mut Vec<Entry>) {
        let wall_ms = self.judged_as_of(now);
        if let Some(shadow) = &mut self.shadow {
            shadow.set_time(wall_ms);
        }
        if self.policy.is_settled(wall_ms) {
            return;
        }
        if self.policy.turns_at(wall_ms) {
            // What waits for its turn came in the windows that were.
            self.finish_waiting(now, out);
            // One after the other: nodes go by two policies at most.
            self.spread_news(now, u64::MAX, out);
        }
        let changed = self.policy.set_time(wall_ms);
        if changed.is_empty() {
            return;
        }
        self.structure_changed = true;
        self.tell_all(News::Policy { is_other: false });
        for rule in changed.into_iter().filter_map(|id| self.policy.rule(id)) {
            notify::turned(rule, wall_ms);
        }
    }
}

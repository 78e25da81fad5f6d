//! Which rules the cases of a policy show at work: a rule of which nobody has seen that it lets
//! through what it should, and stops what it should, is a rule that nobody has tried.

use account::RuleId;
use policy::{Action, Mode, Policy, Rule};
use sparkplug::Topic;

use super::case::{CaseReport, Got};
use crate::cases::Case;
use crate::explain::selecting;

/// What the cases show of one rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Something is forwarded: by the rule, or past a deny rule that selects its entity.
    pub admits: bool,
    /// Something is dropped: by the rule, or past a forward rule that selects its entity.
    pub drops: bool,
}

/// What cases and their reports show of each rule, in the order of the rules. Where no rule
/// decides, a case says itself what it is `about`.
pub fn coverage<'a>(
    policy: &Policy,
    cases: impl IntoIterator<Item = (&'a Case, &'a CaseReport)>,
) -> Vec<Coverage> {
    // A rule that only observes decides nothing that a case could show.
    let observes = |rule: &Rule| rule.mode() == Mode::Observe;
    let at_first = |rule| Coverage { admits: observes(rule), drops: observes(rule) };
    let mut covered: Vec<Coverage> = policy.rules().iter().map(at_first).collect();
    for (case, report) in cases {
        let about = case.about().iter().filter_map(|name| {
            let place = policy.rules().iter().position(|rule| rule.name() == name)?;
            u32::try_from(place).ok().map(RuleId)
        });
        let about: Vec<RuleId> = about.collect();
        for check in &report.checks {
            let selecting = match Topic::parse(&check.topic) {
                Ok(Topic::Entity(topic)) => selecting(policy, topic.entity),
                _ => Vec::new(),
            };
            let concerned = || about.iter().chain(&selecting);
            let mut mark = |rule: RuleId, set: fn(&mut Coverage) -> &mut bool| {
                if let Some(coverage) = covered.get_mut(rule.index()) {
                    *set(coverage) = true;
                }
            };
            let is = |rule: &RuleId, action: Action| {
                policy.rule(*rule).is_some_and(|rule| rule.action() == action)
            };
            match &check.got {
                Got::Forwarded { rule, .. } => {
                    if let Some(rule) = rule {
                        mark(*rule, |coverage| &mut coverage.admits);
                    }
                    for rule in concerned().filter(|rule| is(rule, Action::Deny)) {
                        mark(*rule, |coverage| &mut coverage.admits);
                    }
                }
                Got::Dropped { rule, .. } => {
                    if let Some(rule) = rule {
                        mark(*rule, |coverage| &mut coverage.drops);
                    }
                    for rule in concerned().filter(|rule| is(rule, Action::Forward)) {
                        mark(*rule, |coverage| &mut coverage.drops);
                    }
                }
                Got::Waiting { .. } | Got::Nothing => {}
            }
        }
    }
    covered
}

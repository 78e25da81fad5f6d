//! What may cross instead of what doesn't any more: limits, names and definitions are shared, so that
//! less of one thing can be more of another.

use policy::Policy;

use super::difference::{Comparison, Outcome, Room};

/// Finds what is shared with anything that differs, beside what was found while looking.
pub(super) fn find(before: &Policy, comparison: &mut Comparison) {
    let limits = before.limits();
    let differences =
        comparison.newly.iter().chain(&comparison.no_longer).chain(&comparison.otherwise);
    let mut room = Vec::new();
    let mut any = !comparison.members.is_empty() || !comparison.births.is_empty();
    for difference in differences {
        any = true;
        let Outcome::Forward(rule) = difference.before else { continue };
        if let Some(rule) = before.rule(rule).filter(|rule| rule.rate().is_some()) {
            room.push(Room::Limit(rule.name().to_owned()));
        }
    }
    if any && (limits.node.is_some() || limits.link.is_some()) {
        room.push(Room::Limits);
    }
    if any && (before.renames_metrics() || !before.renames().is_empty()) {
        room.push(Room::Names);
    }
    comparison.room.extend(room);
}

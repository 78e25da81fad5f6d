//! The table of all attackers. Each file is one kind; an entry is one attacker.

mod commands;
mod counts;
mod crowds;
mod floods;
mod lives;
mod nesting;
mod sequence;
mod sizes;
mod texts;
mod topics;
mod types;
mod utf8;

use crate::attacker::Attacker;
use crate::hand::Shot;

/// Every attacker there is.
pub fn all() -> Vec<Attacker> {
    [
        sizes::ATTACKERS,
        counts::ATTACKERS,
        nesting::ATTACKERS,
        utf8::ATTACKERS,
        texts::ATTACKERS,
        types::ATTACKERS,
        sequence::ATTACKERS,
        lives::ATTACKERS,
        crowds::ATTACKERS,
        floods::ATTACKERS,
        topics::ATTACKERS,
        commands::ATTACKERS,
    ]
    .concat()
}

/// Nothing of it is wrong, however much there is of it.
const RIGHT: &str = "all of it is right, and within the limits: the status shows who sends most";
/// It stays below what is refused.
const WITHIN: &str = "as much as the limits let through";
/// Those who listen on the broker hear it, and the relay isn't one of them.
const UNHEARD: &str = "the relay isn't subscribed to it";

/// What is done in one of so many steps only.
fn once_in(steps: u64, step: u64, shots: impl FnOnce() -> Vec<Shot>) -> Vec<Shot> {
    if step % steps == steps / 2 { shots() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::attacker::Side;

    #[test]
    fn each_is_named_by_a_line_or_there_is_a_reason_why_not() {
        for attacker in all() {
            let is_told = !attacker.told.is_empty();
            assert_ne!(is_told, attacker.untold.is_some(), "{attacker:?}: a line or a reason");
            assert!(attacker.untold.is_none_or(|why| why.len() > 20), "{attacker:?}");
            // Who does it: the line has its topic, its node, or whom it is about.
            for told in attacker.told {
                let names = |word: &&str| {
                    ["node=", "topic=", "entity="].iter().any(|key| word.starts_with(key))
                };
                assert!(told.words.iter().any(names), "{attacker:?}: {told:?}");
            }
        }
    }

    #[test]
    fn there_is_an_attacker_for_each_construct_on_both_sides_and_at_each_quality_of_service() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|one| one.name).collect();
        assert_eq!(names.len(), all.len(), "a name twice");
        assert!(all.len() >= 40, "{}", all.len());
        assert!(all.iter().filter(|one| one.side == Side::It).count() >= 10);
        let (mut at, mut stored) = ([0; 3], 0);
        for attacker in &all {
            let mut edge = attacker.edge();
            let mut shots = (attacker.before)(&mut edge);
            let mut fired = shots.len();
            for step in 0..20 {
                let of_step = (attacker.step)(&mut edge, step);
                fired += of_step.len();
                shots.extend(of_step);
                shots.truncate(50);
            }
            assert!(fired > 0, "{attacker:?} does nothing");
            let is_stored = |shot: &Shot| matches!(shot, Shot::Publish { retain: true, .. });
            stored += usize::from(shots.iter().any(is_stored));
            for shot in &shots {
                if let Shot::Publish { qos, .. } = shot {
                    at[usize::from(*qos)] += 1;
                }
            }
        }
        assert!(at.iter().all(|count| *count > 100), "{at:?}");
        assert!(stored >= 5, "{stored} leave something stored");
    }
}

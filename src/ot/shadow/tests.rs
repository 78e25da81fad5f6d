//! Pairs are told apart up to a bound, and told together where the same is said of them.

use account::{Reason, RuleId};
use policy::Verdict;

use super::pairs::{Decision, Key, Kind, Pairs};

const DENIED: Verdict = Verdict::Drop { reason: Reason::Denied, rule: Some(RuleId(1)) };
const NO_RULE: Verdict = Verdict::Drop { reason: Reason::NoRule, rule: None };

/// A pair that is another one by `number` alone.
fn key(number: usize) -> Key {
    let forwarded = Decision {
        crossing: super::Crossing::Values,
        reason: None,
        rule: Some(RuleId(0)),
        forward: Some(RuleId(0)),
    };
    Key { shapes: [number, 0], ..Key::new(forwarded, DENIED.into()) }
}

#[test]
fn pairs_of_which_the_same_is_said_are_one_difference() {
    let mut pairs = Pairs::default();
    for (at, number) in [(10, 1), (20, 2), (30, 1)] {
        let told = || (Vec::new(), false, format!("G/E  m{number}"));
        let mark = pairs.mark(key(number), DENIED, told);
        assert_eq!(pairs.count(mark, at), Some((DENIED, None)));
    }
    let same = Key::new(DENIED.into(), NO_RULE.into());
    let mark = pairs.mark(same, NO_RULE, || (Vec::new(), true, String::new()));
    assert_eq!(pairs.count(mark, 40), Some((NO_RULE, None)));
    let found = pairs.differences();
    let [one] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((one.kind, one.metrics), (Kind::NoLonger, 3));
    assert_eq!((one.first_ms, one.last_ms, &*one.example), (10, 30, "G/E  m1"));
    assert_eq!((pairs.totals().no_longer, pairs.totals().same), (3, 1));
}

#[test]
fn what_is_beyond_the_bound_is_counted_as_unknown() {
    let mut pairs = Pairs::default();
    let told = || (Vec::new(), false, "x".repeat(100_000));
    for number in 0..21_000 {
        let mark = pairs.mark(key(number), DENIED, told);
        let verdict = pairs.count(mark, 1);
        assert_eq!(verdict, (number < 20_000).then_some((DENIED, None)), "{number}");
    }
    assert_eq!((pairs.totals().no_longer, pairs.totals().unknown), (20_000, 1_000));
    let found = pairs.differences();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].example.len(), 240);
    assert_eq!(found[1].lines, ["more pairs of rules than are told apart"]);
}

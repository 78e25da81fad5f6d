//! Comparison against a look at everything that is short.

pub(crate) mod statements;
pub(crate) mod traffic;

use account::Reason;
use diagnostic::SourceFile;
use policy::{Shows, Verdict};
use proptest::prelude::*;
use sparkplug::{DataType, Entity, names};

use super::patterns::is_plain;
use super::*;

fn compare(before: &Policy, after: &Policy) -> Comparison {
    super::compare(before, after, 0)
}

fn policy(text: &str) -> Policy {
    match Policy::parse(&[SourceFile::new("test.toml", text)]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

fn rule(name: &str, action: &str, rest: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\naction = \"{action}\"\n{rest}\n")
}

const LINE4: &str = "group = \"Plant1\"\nedge-node = \"Line4\"";

#[test]
fn equal_policies_are_proved_equal_whatever_their_comments_and_places() {
    let text =
        rule("a", "forward", LINE4) + &rule("b", "deny", "group = \"*\"\ndatatypes = \"File\"");
    let other = format!(
        "# a comment\n{}",
        text.replace("group = \"*\"", "description = \"x\"\ngroup = \"*\"")
    );
    assert!(compare(&policy(&text), &policy(&other)).is_equal());
}

#[test]
fn a_new_rule_newly_lets_cross_what_no_other_did() {
    let before = rule("a", "forward", LINE4);
    let after = before.clone()
        + &rule(
            "b",
            "forward",
            "group = \"Plant1\"\nallow-metrics = \"Temperature/*\"\ndatatypes = \"Float\"",
        );
    let comparison = compare(&policy(&before), &policy(&after));
    assert!(comparison.no_longer.is_empty() && comparison.undecided.is_empty(), "{comparison:?}");
    let [difference] = &comparison.newly[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.before, Outcome::Drop(Reason::NoRule, None));
    assert_eq!(difference.after, Outcome::Forward(RuleId(1)));
    let witness = &difference.witnesses[0];
    assert_eq!((&*witness.group, &*witness.metric), ("Plant1", "Temperature/x"));
    assert_ne!(witness.edge_node, "Line4");
    assert_eq!(witness.datatypes, Types::Some(vec![DataType::Float]));
    let back = compare(&policy(&after), &policy(&before));
    assert_eq!((back.newly.len(), back.no_longer.len()), (0, 1));
}

#[test]
fn a_rule_that_adds_nothing_is_no_difference_and_another_rate_is_one() {
    let before = rule("a", "forward", "group = \"*\"");
    let after = before.clone() + &rule("b", "forward", LINE4);
    let comparison = compare(&policy(&before), &policy(&after));
    assert!(comparison.is_equal(), "{comparison:?}");
    let slow = rule("a", "forward", "group = \"*\"\n[rule.rate]\nmessages-per-s = 1");
    let comparison = compare(&policy(&before), &policy(&slow));
    assert_eq!((comparison.newly.len(), comparison.otherwise.len()), (0, 1), "{comparison:?}");
}

#[test]
fn what_a_deny_rule_lost_newly_crosses() {
    let forward = rule("a", "forward", "group = \"*\"");
    let deny = |globs: &str| rule("d", "deny", &format!("group = \"*\"\ndeny-metrics = {globs}"));
    let before = forward.clone() + &deny("[\"**/Recipe*\", \"**/Recipe*/**\"]");
    let after = forward + &deny("[\"**/Recipe*\"]");
    let comparison = compare(&policy(&before), &policy(&after));
    let [difference] = &comparison.newly[..] else { panic!("{comparison:?}") };
    let metric = &difference.witnesses[0].metric;
    assert!(metric.starts_with("Recipe") && metric.contains('/'), "{metric}");
}

#[test]
fn the_name_of_a_redacted_metric_crosses() {
    let forward = rule("a", "forward", "group = \"*\"");
    let with = |action: &str, key: &str| {
        forward.clone() + &rule("b", action, &format!("group = \"*\"\n{key} = \"**/Recipe*\""))
    };
    let (denied, redacted) = (with("deny", "deny-metrics"), with("redact", "redact-metrics"));
    let newly = |before: &str, after: &str| {
        let comparison = compare(&policy(before), &policy(after));
        (comparison.newly.len(), comparison.no_longer.len())
    };
    assert_eq!(newly(&denied, &redacted), (1, 0));
    assert_eq!(newly(&redacted, &denied), (0, 1));
    // Values do now; but of what is opaque (File), which nobody opens, not even the name any more.
    assert_eq!(newly(&redacted, &forward), (1, 1));
    assert_eq!(newly(&denied, &forward), (1, 0));
}

#[test]
fn control_metrics_are_no_difference() {
    let before = rule("a", "forward", "group = \"*\"\nallow-metrics = \"x\"");
    let after = rule("a", "forward", "group = \"*\"\nallow-metrics = [\"x\", \"Node Control/*\"]");
    assert!(compare(&policy(&before), &policy(&after)).newly.is_empty());
}

/// The policy with one forward rule that has `keys`, and another rule.
fn with(keys: &str, other: &str) -> Policy {
    let all = "group = \"*\"";
    let mut text = rule("a", "forward", &format!("{all}\n{keys}"));
    if !other.is_empty() {
        text.push_str(&rule("b", "deny", &format!("{all}\n{other}")));
    }
    policy(&text)
}

/// The contrasts of all that crosses under both, as `more`, `less`, `otherwise` with words.
fn contrasts(before: &Policy, after: &Policy) -> Vec<(Shows, String, String)> {
    let comparison = compare(before, after);
    let otherwise = comparison.otherwise.iter().flat_map(|one| &one.contrasts);
    let found: BTreeSet<_> =
        otherwise.map(|one| (one.shows, one.now.clone(), one.before.clone())).collect();
    found.into_iter().collect()
}

#[test]
fn what_shows_more_is_said_and_nothing_is_proved() {
    let more = |text: &str, was: &str| vec![(Shows::More, text.to_owned(), was.to_owned())];
    let less = |text: &str, was: &str| vec![(Shows::Less, text.to_owned(), was.to_owned())];
    for (wide, narrow, of_wide, of_narrow) in [
        ("", "[rule.shape]\npseudonym = true", "texts as they are", "texts replaced by pseudonyms"),
        (
            "[rule.shape]\npseudonym = 'x'",
            "[rule.shape]\npseudonym = true",
            "what matches `x` in texts replaced by pseudonyms",
            "texts replaced by pseudonyms",
        ),
        ("[rule.shape]\nproperties = ['**']", "", "properties `**`", "engineering properties"),
        (
            "[rule.shape]\nproperties = ['a', 'b']",
            "[rule.shape]\nproperties = ['a']",
            "properties `a`, `b`",
            "properties `a`",
        ),
        ("[rule.shape]\nparameters = ['*']", "", "parameters `*`", "no parameters"),
        ("", "[rule.shape]\nmembers = ['a']", "all members", "members `a`"),
        (
            "[rule.shape]\nmetadata = ['file-name', 'description']",
            "[rule.shape]\nmetadata = ['description']",
            "metadata `file-name`, `description`",
            "metadata `description`",
        ),
        (
            "[[rule.metric]]\nnames = 'x'\nmax = 100",
            "[[rule.metric]]\nnames = 'x'\nmax = 50",
            "numbers up to 100 (others are dropped)",
            "numbers up to 50 (others are dropped)",
        ),
        (
            "[[rule.metric]]\nnames = 'x'\nmax-length = 9",
            "[[rule.metric]]\nnames = 'x'\nmax-length = 8",
            "texts of at most 9 characters (others are dropped)",
            "texts of at most 8 characters (others are dropped)",
        ),
        (
            "[[rule.metric]]\nnames = 'x'\nallowed = ['a', 'b']",
            "[[rule.metric]]\nnames = 'x'\nallowed = ['a']",
            "only the texts `a`, `b` (others are dropped)",
            "only the texts `a` (others are dropped)",
        ),
        (
            "[rule.shape]\nmax-age-s = 60",
            "[rule.shape]\nmax-age-s = 30",
            "no older than 60 s",
            "no older than 30 s",
        ),
        (
            "[[rule.metric]]\nnames = 'x'\nmin = 1\nout-of-range = 'clamp'",
            "[[rule.metric]]\nnames = 'x'\nmin = 1",
            "numbers from 1 on (others are brought to the nearest end)",
            "numbers from 1 on (others are dropped)",
        ),
        (
            "",
            "[rule.rate]\nmessages-per-s = 1",
            "as much as comes",
            "at most 1 messages/s (burst 1) of data for all that `a` forwards together",
        ),
        (
            "",
            "[[rule.metric]]\nnames = 'x'\nstep = 5",
            "numbers as they are",
            "numbers rounded to multiples of 5",
        ),
    ] {
        let (wide, narrow) = (with(wide, ""), with(narrow, ""));
        assert_eq!(contrasts(&narrow, &wide), more(of_wide, of_narrow));
        assert!(!compare(&narrow, &wide).shows_no_more(), "{of_wide}");
        assert_eq!(contrasts(&wide, &narrow), less(of_narrow, of_wide));
        assert!(compare(&wide, &narrow).shows_no_more(), "{of_narrow}");
    }
}

#[test]
fn what_goes_by_earlier_values_is_never_certain() {
    let shape =
        |max: u8| with(&format!("[[rule.metric]]\nnames = 'x'\ndeadband = 1\nmax = {max}"), "");
    let comparison = compare(&shape(9), &shape(8));
    assert!(!comparison.shows_no_more(), "{comparison:?}");
    let shows: Vec<Shows> = comparison.otherwise[0].contrasts.iter().map(|one| one.shows).collect();
    assert_eq!(shows, [Shows::Less, Shows::Otherwise]);
    // Limits are shared: what a rule denies leaves room for the rest.
    let limited = |deny: &str| with("[rule.rate]\nmessages-per-s = 1", deny);
    let comparison = compare(&limited(""), &limited("deny-metrics = 'x'"));
    assert!(comparison.newly.is_empty() && !comparison.shows_no_more());
    assert!(comparison.room.contains(&Room::Limit("a".into())), "{comparison:?}");
    let free = compare(
        &with("datatypes = 'Float'", ""),
        &with("datatypes = 'Float'", "deny-metrics = 'x'"),
    );
    assert!(free.shows_no_more(), "{free:?}");
}

#[test]
fn deny_windows_that_shrink_or_go_are_found_whenever_it_is() {
    let window = |hours: &str| with("", &format!("deny-metrics = 'x'\nweekly = {{ {hours} }}"));
    let wide = window("days = ['mon', 'tue'], from-utc = '06:00', to-utc = '14:00'");
    let short = window("days = ['mon', 'tue'], from-utc = '06:00', to-utc = '13:00'");
    let fewer = window("days = ['mon'], from-utc = '06:00', to-utc = '14:00'");
    for narrower in [&short, &fewer, &with("", "")] {
        // 1970-01-01 was a Thursday; and a Monday at 07:00, when both are open.
        for from_ms in [0, 4 * 86_400_000 + 7 * 3_600_000] {
            let comparison = super::compare(&wide, narrower, from_ms);
            assert_eq!(comparison.newly.len(), 1, "{comparison:?}");
            assert!(!comparison.shows_no_more());
            let back = super::compare(narrower, &wide, from_ms);
            assert_eq!((back.newly.len(), back.no_longer.len()), (0, 1), "{back:?}");
        }
    }
    // A window that is over changes nothing any more.
    let over = with("", "deny-metrics = 'x'\nnot-after = 2020-01-01T00:00:00Z");
    assert_eq!(super::compare(&over, &with("", ""), 0).newly.len(), 1);
    let now = super::compare(&over, &with("", ""), 1_700_000_000_000);
    assert!(now.is_equal(), "{now:?}");
}

#[test]
fn members_of_templates_are_compared_by_their_paths() {
    let before = with("allow-metrics = 'Motor1'", "deny-metrics = 'Motor1/Recipe'");
    let comparison = compare(&before, &with("allow-metrics = 'Motor1'", ""));
    assert!(comparison.newly.is_empty(), "{comparison:?}");
    let member = MemberDifference { newly: true, rule: "b".into(), path: "Motor1/Recipe".into() };
    assert_eq!(comparison.members, [member]);
    assert!(!comparison.shows_no_more());
    let numbers = |deny: &str| with("allow-metrics = 'Motor1'\ndatatypes = 'Float'", deny);
    let comparison = compare(&numbers("deny-metrics = 'Motor1/Recipe'"), &numbers(""));
    assert!(comparison.is_equal(), "no template crosses: {comparison:?}");
}

#[test]
fn what_takes_too_long_is_undecided_never_equal() {
    let globs: Vec<String> = (0..24).map(|at| format!("\"*{}*\"", char::from(b'a' + at))).collect();
    let after =
        rule("a", "forward", &format!("group = \"*\"\nallow-metrics = [{}]", globs.join(", ")));
    let comparison = compare(&policy(""), &policy(&after));
    assert_eq!(comparison.undecided.len(), 1, "{comparison:?}");
    assert!(!comparison.is_equal());
}

fn drafts() -> impl Strategy<Value = String> {
    let level = || prop::sample::select(vec!["", "a", "b", "a*", "*", "?b", "*b*"]);
    let metrics =
        || prop::sample::select(vec!["", "a", "a/**", "**/b", "*", "a*", "**/a/*", "?/b"]);
    let types = prop::sample::select(vec!["", "Float", "Int8"]);
    let one = (any::<bool>(), level(), level(), level(), metrics(), metrics(), types);
    prop::collection::vec(one, 0..4).prop_map(|rules| {
        let mut text = String::new();
        for (number, (forward, group, edge_node, device, allow, deny, types)) in
            rules.into_iter().enumerate()
        {
            let mut rest = format!("group = \"{}\"\n", if group.is_empty() { "*" } else { group });
            let mut key = |key: &str, glob: &str| {
                if !glob.is_empty() {
                    rest.push_str(&format!("{key} = \"{glob}\"\n"));
                }
            };
            key("edge-node", edge_node);
            key("device", device);
            if forward {
                key("allow-metrics", allow);
            }
            key("deny-metrics", deny);
            key("datatypes", types);
            let action = if forward { "forward" } else { "deny" };
            text.push_str(&rule(&format!("r{number}"), action, &rest));
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever differs among short names is found, and whatever is found differs.
    #[test]
    fn nothing_that_differs_is_missed_and_every_witness_holds(
        before in drafts(),
        after in drafts(),
    ) {
        let (before, after) = (policy(&before), policy(&after));
        let comparison = compare(&before, &after);
        prop_assert!(comparison.undecided.is_empty());
        let forwards = |policy: &Policy, entity: Entity<'_>, metric: &str, datatype| {
            matches!(policy.judge(entity, metric, datatype), Verdict::Forward { .. })
        };
        for (newly, list) in [(true, &comparison.newly), (false, &comparison.no_longer)] {
            for witness in list.iter().flat_map(|difference| &difference.witnesses) {
                let Witness { group, edge_node, device, metric, datatypes } = witness;
                let entity = Entity { group, edge_node, device: device.as_deref() };
                let types: Vec<Option<DataType>> = match datatypes {
                    Types::Every => DataType::of_metrics().map(Some).collect(),
                    Types::EveryPlain => {
                        DataType::of_metrics().filter(is_plain).map(Some).collect()
                    }
                    Types::Some(types) => types.iter().copied().map(Some).collect(),
                    Types::Unknown => vec![None],
                };
                for datatype in types {
                    prop_assert_eq!(forwards(&before, entity, metric, datatype), !newly);
                    prop_assert_eq!(forwards(&after, entity, metric, datatype), newly);
                }
            }
        }
        let levels = ["a", "b", "ab", "ba", "bb", "q"];
        let metrics = ["a", "b", "q", "a/b", "a/a", "q/b", "b/a/q", "a/b/b", "aq", "q/a/q/b"];
        let (mut newly, mut no_longer) = (false, false);
        for group in levels {
            for edge_node in levels {
                for device in levels.iter().map(Some).chain([None]) {
                    let entity = Entity { group, edge_node, device: device.copied() };
                    for metric in metrics {
                        for datatype in [Some(DataType::Float), Some(DataType::Int8), Some(DataType::File), None] {
                            let was = forwards(&before, entity, metric, datatype);
                            let is = forwards(&after, entity, metric, datatype);
                            newly |= is && !was;
                            no_longer |= was && !is;
                        }
                    }
                }
            }
        }
        prop_assert!(!newly || !comparison.newly.is_empty());
        prop_assert!(!no_longer || !comparison.no_longer.is_empty());
    }
}

#[test]
fn a_new_limit_has_other_values_cross_where_a_deadband_goes_by_what_crossed_before() {
    let with = |rest: &str| policy(&rule("a", "forward", &format!("{LINE4}\n{rest}")));
    let deadband = "[rule.shape]\ndeadband = 1\n";
    let rate = "[rule.rate]\nmessages-per-s = 1\non-excess = \"drop\"\n";
    let limit = "[limits.link]\nmessages-per-s = 1\non-excess = \"drop\"\n";
    for new in [rate, limit] {
        let both = format!("{deadband}{new}");
        assert!(!compare(&with(deadband), &with(&both)).shows_no_more(), "{new}");
        // Without the deadband it is less of the same.
        assert!(compare(&with(""), &with(new)).shows_no_more(), "{new}");
    }
}

//! What is odd about a policy although every rule of it is right by itself: rules that can never
//! decide anything, limits that are never reached, windows that are over.
//!
//! Whatever is said here is certain. Whether one glob takes in all that another one matches is
//! decided exactly, by running both as automata over the characters that they name; rules are
//! compared sufficiently, not completely: a rule that only several others together cover goes
//! unnoticed.

use std::collections::{BTreeSet, HashMap};

use diagnostic::{Diagnostic, Diagnostics, SourceFile};

use super::Policy;
use super::filter::{Level, Reach, TopicFilter};
use super::glob::Glob;
use super::rule::{Action, Bucket, Mode, Rate, Rule, Selectors};
use super::schedule::moment;
use super::scope::{literal_edge_nodes, literal_groups};

/// Pairs of rules that are compared at most: some seconds for a policy of 100,000 rules alike.
const MAX_PAIRS: usize = 3_000_000;

/// Says what is odd about `policy`, which was read from `sources`, at `now_ms` (milliseconds
/// since the epoch).
pub(super) fn lint(policy: &Policy, sources: &[SourceFile], now_ms: u64) -> Diagnostics {
    let mut problems = Diagnostics::new();
    let files: HashMap<_, _> = sources.iter().map(|file| (file.path.as_path(), file)).collect();
    let file_of = |rule: &Rule| files.get(rule.path.as_path()).copied();
    let mut pairs = Pairs::new(&policy.rules, now_ms);
    for (place, rule) in policy.rules.iter().enumerate() {
        let Some(file) = file_of(rule) else { continue };
        let warn =
            |code, title: String| Diagnostic::warning(code, file, rule.header.clone(), title);
        if let Some(end) = rule.schedule.and_then(|schedule| schedule.not_after_ms)
            && end <= now_ms
        {
            let problem = warn("P110", format!("rule `{}` is over", rule.name))
                .label(format!("since {}", moment(end)))
                .help("it has no effect any more: take it out, or give it another `not-after`");
            problems.push(problem);
            continue;
        }
        if let Some(cover) = pairs.cover(place) {
            let (code, title, label, help) = match (rule.action, cover.action) {
                (Action::Forward, Action::Deny) => (
                    "P111",
                    format!(
                        "rule `{}` forwards nothing: `{}` denies all of it",
                        rule.name, cover.name
                    ),
                    "all that this rule could forward is denied",
                    "deny wins over forward, whatever the order",
                ),
                (Action::Forward, Action::Forward) => (
                    "P112",
                    format!("rule `{}` never decides: `{}` comes first", rule.name, cover.name),
                    "all that this rule forwards is forwarded by the earlier one",
                    "the first rule decides, by the order of file names and then within the file; \
                     write special rules before general ones",
                ),
                _ => (
                    "P112",
                    format!(
                        "rule `{}` never decides: `{}` denies all of it",
                        rule.name, cover.name
                    ),
                    "all that this rule denies is denied by another one",
                    "one of the two is enough",
                ),
            };
            let mut problem = warn(code, title).label(label).help(help);
            if let Some(other) = file_of(cover) {
                problem = problem.at(other, cover.header.clone(), format!("`{}`", cover.name));
            }
            if (&rule.rate, rule.priority) != (&cover.rate, cover.priority)
                && rule.action == Action::Forward
                && cover.action == Action::Forward
            {
                problem = problem.help("its own rate and priority have no effect");
            }
            problems.push(problem);
        }
        // A limit of nodes says nothing about a rule: the rule may be about many of them.
        if let (Some(own), Some(link)) = (rule.rate, policy.limits.link)
            && never_reached(own, link)
        {
            let title = format!("the rate of rule `{}` is never reached", rule.name);
            problems.push(
                warn("P113", title)
                    .label("`[limits.link]` lets through no more than that")
                    .help(format!("`[limits.link]`: {}", link.describe())),
            );
        }
    }
    if let (Some(node), Some(link)) = (policy.limits.node, policy.limits.link)
        && never_reached(node, link)
        && let Some(first) = sources.first()
    {
        problems.push(
            Diagnostic::file_warning("P113", &first.path, "`[limits.node]` is never reached")
                .help(format!("`[limits.link]`: {}", link.describe())),
        );
    }
    if pairs.gave_up
        && let Some(first) = sources.first()
    {
        let title = "not all rules were compared with each other: there are too many";
        problems.push(Diagnostic::file_warning("P114", &first.path, title));
    }
    problems.sort_by_position(sources);
    problems
}

/// Whether every limit of `own` is at least as wide as one of the same kind in `other`.
fn never_reached(own: Rate, other: Rate) -> bool {
    let wider = |own: Option<Bucket>, other: Option<Bucket>| match (own, other) {
        (None, _) => true,
        (Some(own), Some(other)) => own.per_s >= other.per_s && own.burst >= other.burst,
        (Some(_), None) => false,
    };
    wider(own.messages, other.messages) && wider(own.bytes, other.bytes)
}

/// Finds rules that take in all of another one.
struct Pairs<'p> {
    rules: &'p [Rule],
    now_ms: u64,
    /// The rules that could cover one of a group, by the groups that they spell out, and those
    /// that spell out none.
    by_group: HashMap<&'p str, Vec<usize>>,
    others: Vec<usize>,
    left: usize,
    gave_up: bool,
}

impl<'p> Pairs<'p> {
    fn new(rules: &'p [Rule], now_ms: u64) -> Pairs<'p> {
        let mut pairs = Pairs {
            rules,
            now_ms,
            by_group: HashMap::new(),
            others: Vec::new(),
            left: MAX_PAIRS,
            gave_up: false,
        };
        for (place, rule) in rules.iter().enumerate() {
            match literal_groups(&rule.selectors) {
                Some(groups) => {
                    let groups: BTreeSet<&str> = groups.into_iter().collect();
                    for group in groups {
                        pairs.by_group.entry(group).or_default().push(place);
                    }
                }
                None => pairs.others.push(place),
            }
        }
        pairs
    }

    /// The rule that decides about all that the rule at `place` could decide about.
    fn cover(&mut self, place: usize) -> Option<&'p Rule> {
        let rule = self.rules.get(place)?;
        let first_group =
            literal_groups(&rule.selectors).and_then(|groups| groups.first().copied());
        let alike = first_group.and_then(|group| self.by_group.get(group));
        let candidates = alike.into_iter().flatten().chain(&self.others);
        for &other_place in candidates {
            if other_place == place {
                continue;
            }
            let Some(other) = self.rules.get(other_place) else { continue };
            // Of two that are alike, the later one is told.
            let may_decide = match (rule.action, other.action) {
                (Action::Forward, Action::Deny | Action::Redact)
                | (Action::Redact, Action::Deny) => true,
                (Action::Deny | Action::Redact, Action::Forward)
                | (Action::Deny, Action::Redact) => false,
                _ => other_place < place,
            };
            if !may_decide || !self.always_acts(other) {
                continue;
            }
            let Some(left) = self.left.checked_sub(1) else {
                self.gave_up = true;
                return None;
            };
            self.left = left;
            if covers(other, rule) {
                return Some(other);
            }
        }
        None
    }

    /// Whether a rule is in force from now on for ever.
    fn always_acts(&self, rule: &Rule) -> bool {
        let always = rule.schedule.is_none_or(|schedule| {
            schedule.not_after_ms.is_none()
                && schedule.weekly.is_none()
                && schedule.is_open(self.now_ms)
        });
        rule.mode == Mode::Enforce && always
    }
}

/// Whether `other` decides about every metric that `rule` could decide about.
fn covers(other: &Rule, rule: &Rule) -> bool {
    let (decided, own) = match (other.action, rule.action) {
        (Action::Deny, Action::Forward) => (other.denied(), rule.forwarded()),
        (Action::Deny, Action::Deny) => (other.denied(), rule.denied()),
        (Action::Forward, Action::Forward) => {
            // A forward rule that denies something says more than what it forwards, and one that
            // opens opaque values gets those that earlier ones pass over.
            if rule.deny.is_some() || rule.redact.is_some() || rule.shapes.opens_any() {
                return false;
            }
            (other.forwarded(), rule.forwarded())
        }
        (Action::Deny, Action::Redact) => (other.denied(), rule.redacted()),
        (Action::Redact, Action::Redact) => (other.redacted(), rule.redacted()),
        (Action::Redact, Action::Forward) => {
            if rule.deny.is_some() || rule.redact.is_some() {
                return false;
            }
            (other.redacted(), rule.forwarded())
        }
        (Action::Forward, Action::Deny | Action::Redact) | (Action::Redact, Action::Deny) => {
            return false;
        }
    };
    let (Some(decided), Some(own)) = (decided, own) else { return false };
    let by_type = match (other.datatypes, rule.datatypes) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => narrow.is_subset_of(wide),
    };
    by_type
        && Subset::Globs(own).is_within(decided)
        && selectors_cover(&other.selectors, &rule.selectors)
}

/// A set of names.
#[derive(Clone, Copy)]
enum Subset<'a> {
    Every,
    One(&'a str),
    /// An empty slice is every name.
    Globs(&'a [Glob]),
}

impl Subset<'_> {
    /// Whether all of it matches one of `globs`, of which an empty slice matches everything.
    fn is_within(self, globs: &[Glob]) -> bool {
        if globs.is_empty() || globs.iter().any(Glob::matches_all_names) && self.is_of_levels() {
            return true;
        }
        match self {
            Subset::Every | Subset::Globs([]) => globs.iter().any(Glob::matches_all),
            Subset::One(name) => globs.iter().any(|glob| glob.matches(name)),
            Subset::Globs(own) => {
                own.iter().all(|narrow| globs.iter().any(|wide| wide.contains(narrow)))
            }
        }
    }

    /// Names of topic levels have no `/`, so that `*` takes in all of them. Those of metrics are
    /// never written as `Every` or `One`.
    fn is_of_levels(self) -> bool {
        matches!(self, Subset::Every | Subset::One(_))
    }

    fn is_within_level(self, level: &Level) -> bool {
        match (level, self) {
            (Level::Any, _) => true,
            (Level::Name(own), Subset::One(name)) => own == name,
            (Level::Name(own), Subset::Globs(globs)) => {
                !globs.is_empty() && globs.iter().all(|glob| glob.literal() == Some(own))
            }
            (Level::Name(_), Subset::Every) => false,
        }
    }
}

/// A part of what selectors select: entities of one kind under one filter.
#[derive(Clone, Copy)]
struct Part<'a> {
    group: Subset<'a>,
    edge_node: Subset<'a>,
    /// `None`: the node itself.
    device: Option<Subset<'a>>,
}

fn parts(selectors: &Selectors) -> Vec<Part<'_>> {
    fn names<'a>(level: Option<&'a Level>, globs: Option<&'a [Glob]>) -> Subset<'a> {
        match (level.and_then(Level::name), globs) {
            (Some(name), _) => Subset::One(name),
            (None, Some(globs)) => Subset::Globs(globs),
            (None, None) => Subset::Every,
        }
    }
    let filters: Vec<Option<&TopicFilter>> = match &selectors.topics {
        None => vec![None],
        Some(topics) => topics.iter().map(Some).collect(),
    };
    let mut parts = Vec::new();
    for filter in filters {
        let group = names(filter.map(|filter| &filter.group), selectors.groups.as_deref());
        let edge_node =
            names(filter.map(|filter| &filter.edge_node), selectors.edge_nodes.as_deref());
        let reach = filter.map_or(&Reach::All, |filter| &filter.reach);
        if selectors.devices.is_none() && !matches!(reach, Reach::Devices(_)) {
            parts.push(Part { group, edge_node, device: None });
        }
        let level = match reach {
            Reach::Node => continue,
            Reach::All => None,
            Reach::Devices(level) => Some(level),
        };
        if !selectors.node_only {
            let device = Some(names(level, selectors.devices.as_deref()));
            parts.push(Part { group, edge_node, device });
        }
    }
    parts
}

/// Whether `wide` select every entity that `narrow` select.
fn selectors_cover(wide: &Selectors, narrow: &Selectors) -> bool {
    // Quick no: a rule for single nodes covers none for others.
    if let (Some(own), Some(others)) = (literal_edge_nodes(wide), literal_edge_nodes(narrow))
        && others.iter().any(|name| !own.contains(name))
    {
        return false;
    }
    parts(narrow).iter().all(|part| {
        let within = |globs: &Option<Vec<Glob>>, names: Subset<'_>| {
            globs.as_ref().is_none_or(|globs| names.is_within(globs))
        };
        let device = match (part.device, &wide.devices) {
            (None, devices) => devices.is_none(),
            (Some(_), _) if wide.node_only => false,
            (Some(device), devices) => within(devices, device),
        };
        let topics = wide.topics.as_ref().is_none_or(|topics| {
            topics.iter().any(|topic| {
                part.group.is_within_level(&topic.group)
                    && part.edge_node.is_within_level(&topic.edge_node)
                    && match (&topic.reach, part.device) {
                        (Reach::All, _) | (Reach::Node, None) => true,
                        (Reach::Devices(level), Some(device)) => device.is_within_level(level),
                        (Reach::Node, Some(_)) | (Reach::Devices(_), None) => false,
                    }
            })
        });
        device
            && topics
            && within(&wide.groups, part.group)
            && within(&wide.edge_nodes, part.edge_node)
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, Strategy};
    use proptest::sample::select;
    use proptest::{prop_assert, proptest};
    use sparkplug::{DataType, Entity};

    use super::*;
    use crate::Verdict;

    fn policy(text: &str) -> (Policy, Vec<SourceFile>) {
        let sources = vec![SourceFile::new("a.toml", text)];
        match Policy::parse(&sources) {
            Ok((policy, _)) => (policy, sources),
            Err(problems) => panic!("{problems}"),
        }
    }

    fn codes(text: &str) -> Vec<String> {
        let (policy, sources) = policy(text);
        let found = policy.lint(&sources, 1_700_000_000_000);
        found.iter().map(|problem| format!("{} {}", problem.code, problem.title)).collect()
    }

    fn rule(name: &str, action: &str, rest: &str) -> String {
        format!("[[rule]]\nname = \"{name}\"\naction = \"{action}\"\n{rest}\n")
    }

    #[test]
    fn rules_that_never_decide_are_told() {
        let forward = |rest: &str| rule("wide", "forward", rest);
        let deny = |rest: &str| rule("wide", "deny", rest);
        for (wide, narrow, told) in [
            (forward("group = \"G\""), "group = \"G\"\nedge-node = \"E\"", true),
            (forward("group = \"G*\""), "group = \"G?\"", true),
            (forward("group = \"G?\""), "group = \"G*\"", false),
            (forward("group = \"G\""), "group = \"H\"", false),
            (
                forward("group = \"G\"\nallow-metrics = \"a/**\""),
                "group = \"G\"\nallow-metrics = [\"a/b\", \"a/*/c\"]",
                true,
            ),
            (
                forward("group = \"G\"\nallow-metrics = \"a/*\""),
                "group = \"G\"\nallow-metrics = [\"a/b\", \"a/*/c\"]",
                false,
            ),
            (forward("group = \"G\"\ndatatypes = \"Float\""), "group = \"G\"", false),
            (
                forward("group = \"G\"\ndatatypes = [\"Float\", \"Int8\"]"),
                "group = \"G\"\ndatatypes = \"Int8\"",
                true,
            ),
            (forward("group = \"G\""), "group = \"G\"\ndeny-metrics = \"x\"", false),
            (forward("group = \"G\"\nnode-only = true"), "group = \"G\"", false),
            (forward("group = \"G\""), "group = \"G\"\nnode-only = true", true),
            (forward("topic = \"spBv1.0/G/+/#\""), "group = \"G\"\ndevice = \"D\"", true),
            (
                forward("topic = \"spBv1.0/G/+/E/+\""),
                "group = \"G\"\nedge-node = \"E\"\ndevice = \"D\"",
                true,
            ),
            (forward("topic = \"spBv1.0/G/+/E/+\""), "group = \"G\"\nedge-node = \"E\"", false),
            (forward("group = \"G\"\nmode = \"observe\""), "group = \"G\"", false),
            (forward("group = \"G\"\nnot-after = 2030-01-01T00:00:00Z"), "group = \"G\"", false),
            (forward("group = \"G\"\nnot-before = 2020-01-01T00:00:00Z"), "group = \"G\"", true),
            (
                deny("group = \"*\"\ndeny-metrics = \"**/Recipe*\""),
                "group = \"G\"\nallow-metrics = \"a/Recipe1\"",
                true,
            ),
            (
                deny("group = \"*\"\ndeny-metrics = \"**/Recipe*\""),
                "group = \"G\"\nallow-metrics = \"a/Recipe/1\"",
                false,
            ),
            (deny("edge-node = \"E\""), "group = \"G\"\nedge-node = \"E\"", true),
            (deny("edge-node = \"E\""), "group = \"G\"", false),
        ] {
            let found = codes(&format!("{wide}{}", rule("narrow", "forward", narrow)));
            assert_eq!(!found.is_empty(), told, "{wide} {narrow} {found:?}");
        }
        // A deny rule after the forward rule that it empties.
        let late = format!(
            "{}{}",
            rule("f", "forward", "group = \"G\""),
            rule("d", "deny", "group = \"*\"")
        );
        assert_eq!(codes(&late), ["P111 rule `f` forwards nothing: `d` denies all of it"]);
        let twice = format!(
            "{}{}",
            rule("d1", "deny", "group = \"G\""),
            rule("d2", "deny", "group = \"G\"")
        );
        assert_eq!(codes(&twice), ["P112 rule `d2` never decides: `d1` denies all of it"]);
    }

    #[test]
    fn what_is_over_and_what_is_never_reached_is_told() {
        let text = format!(
            "{}{}[limits.link]\nmessages-per-s = 10\n[limits.node]\nmessages-per-s = 10\n",
            rule("old", "forward", "group = \"G\"\nnot-after = 2020-01-01T00:00:00Z"),
            rule("fast", "forward", "group = \"G\"\nrate = { messages-per-s = 20 }"),
        );
        assert_eq!(
            codes(&text),
            [
                "P113 `[limits.node]` is never reached",
                "P110 rule `old` is over",
                "P113 the rate of rule `fast` is never reached"
            ]
        );
    }

    fn globs() -> impl Strategy<Value = String> {
        vec(select(vec!["a", "b", "/", "*", "**", "?", "**/"]), 1..6)
            .prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_glob_contains_another_only_if_it_matches_all_that_this_one_does(
            wide in globs(), narrow in globs(),
            texts in vec(vec(select(vec!["a", "b", "c", "/"]), 0..7), 1..200),
        ) {
            let (wide, narrow) = (Glob::parse(&wide).unwrap(), Glob::parse(&narrow).unwrap());
            let contains = wide.contains(&narrow);
            let counterexample = texts.iter().map(|parts| parts.concat()).find(|text| {
                narrow.matches(text) && !wide.matches(text)
            });
            prop_assert!(!contains || counterexample.is_none(), "{} in {}: {:?}", narrow, wide, counterexample);
        }
    }

    #[test]
    fn containment_is_found_where_it_is() {
        for (wide, narrow, contains) in [
            ("**", "a*b/c", true),
            ("*", "a?", true),
            ("*", "a/b", false),
            ("**/x", "x", true),
            ("**/x", "a/*/x", true),
            ("**/x", "a/**/x", true),
            ("**/x", "a/*x", false),
            ("a**", "a/**/b", true),
            ("?*", "*?", true),
            ("*?", "*", false),
            ("a*b*", "a*b", true),
            ("a*b", "a*b*", false),
        ] {
            let parse = |glob| Glob::parse(glob).unwrap();
            assert_eq!(parse(wide).contains(&parse(narrow)), contains, "{narrow} in {wide}");
        }
    }

    #[test]
    fn a_rule_that_is_said_to_decide_nothing_decides_nothing() {
        // The sum of all shapes: whatever is told holds for every entity and metric tried.
        let selectors = [
            "group = \"G\"",
            "group = \"*\"",
            "edge-node = \"E*\"",
            "topic = \"spBv1.0/G/+/E\"",
            "device = [\"D\", \"X\"]",
        ];
        let metrics = ["", "= \"a/**\"", "= [\"a/b\", \"**/c\"]", "= \"*\""];
        let mut text = String::new();
        let mut number = 0;
        for selector in selectors {
            for metric in metrics {
                for action in ["forward", "deny"] {
                    let key = if action == "deny" { "deny-metrics" } else { "allow-metrics" };
                    let metric =
                        if metric.is_empty() { String::new() } else { format!("{key} {metric}") };
                    text.push_str(&rule(
                        &format!("r{number}"),
                        action,
                        &format!("{selector}\n{metric}"),
                    ));
                    number += 1;
                }
            }
        }
        let (policy, sources) = policy(&text);
        let told: BTreeSet<String> = policy
            .lint(&sources, 0)
            .iter()
            .map(|problem| problem.title.split('`').nth(1).unwrap().to_owned())
            .collect();
        assert!(told.len() > 10);
        for group in ["G", "H"] {
            for edge_node in ["E", "E2", "F"] {
                for device in [None, Some("D"), Some("Y")] {
                    let entity = Entity { group, edge_node, device };
                    for metric in ["a/b", "c", "x/c", "a", "x", "x/y"] {
                        let verdict = policy.judge(entity, metric, Some(DataType::Float));
                        let (Verdict::Forward { rule } | Verdict::Drop { rule: Some(rule), .. }) =
                            verdict
                        else {
                            continue;
                        };
                        let name = policy.rules()[rule.index()].name();
                        assert!(!told.contains(name), "{name} decides about {entity} {metric}");
                    }
                }
            }
        }
    }
}

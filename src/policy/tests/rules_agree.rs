//! Compiled rules decide as the reference does, for random policies.

use account::Reason;
use diagnostic::SourceFile;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any};
use proptest::sample::{select, subsequence};
use proptest::{option, prop_assert, prop_assert_eq, prop_oneof, proptest};
use sparkplug::{DataType, Entity};

use super::reference::rules::{Draft, Names, judge, judge_member, mqtt_matches};
use super::shapes_agree::shapes;
use crate::{Action, Policy, Verdict};

const GROUPS: [&str; 3] = ["G", "G2", "STATE"];
const EDGE_NODES: [&str; 3] = ["E", "E2", "F"];
const DEVICES: [&str; 4] = ["D", "D2", "X", "#1"];
const METRICS: [&str; 9] =
    ["Temp", "Temp/1", "Temp/Secret", "Secret", "a/b/Secret1", "a/b/c", "Motor[1]/Speed", "", "a*"];
const DATATYPES: [DataType; 8] = [
    DataType::Float,
    DataType::Int32,
    DataType::String,
    DataType::Template,
    DataType::DateTimeArray,
    DataType::Bytes,
    DataType::File,
    DataType::DataSet,
];

fn names(names: &'static [&'static str]) -> impl Strategy<Value = Names> {
    option::of(vec(select(names).prop_map(str::to_owned), 1..3))
}

pub(super) fn metrics() -> impl Strategy<Value = Names> {
    let written = select(vec![
        "**",
        "*",
        "Temp/*",
        "Temp/**",
        "**/Secret*",
        "Secret",
        "a/**",
        "a/*/c",
        "**/c",
        "?*",
        "Motor[1]/**",
        "a\\*",
        "*p",
        "T*/1",
        "**/b/**",
        "***",
        "a/b/Secret1",
    ])
    .prop_map(str::to_owned);
    let random = vec(select(vec!["a", "b", "/", "*", "**", "?", "Temp", "Secret"]), 1..5)
        .prop_map(|parts| parts.concat());
    // Long lists make the plan build its table.
    let glob = prop_oneof![3 => written, 1 => random];
    option::of(prop_oneof![4 => vec(glob.clone(), 1..4), 1 => vec(glob, 15..30)])
}

fn topics() -> impl Strategy<Value = Names> {
    let level = |names: &'static [&'static str]| {
        prop_oneof![1 => Just("+"), 2 => select(names)].prop_map(str::to_owned)
    };
    let tail = prop_oneof![
        Just("/#".to_owned()),
        level(&EDGE_NODES).prop_map(|node| format!("/{node}")),
        level(&EDGE_NODES).prop_map(|node| format!("/{node}/#")),
        (level(&EDGE_NODES), level(&["D", "D2"]))
            .prop_map(|(node, device)| format!("/{node}/{device}")),
    ];
    let filter =
        (level(&GROUPS), tail).prop_map(|(group, tail)| format!("spBv1.0/{group}/+{tail}"));
    option::weighted(0.4, vec(filter, 1..3))
}

fn draft() -> impl Strategy<Value = Draft> {
    let selectors = (
        topics(),
        names(&["G", "G2", "STATE", "*", "G?"]),
        names(&["E", "E2", "E*", "**", "?"]),
        names(&["D", "D*", "*", "X", "?2"]),
        any::<bool>(),
    );
    let what = (
        prop_oneof![
            4 => Just(Action::Forward),
            1 => Just(Action::Deny),
            1 => Just(Action::Redact)
        ],
        metrics(),
        metrics(),
        metrics(),
        option::weighted(0.3, subsequence(DATATYPES.to_vec(), 1..3)),
        shapes(metrics()),
    );
    let when = (
        prop_oneof![3 => Just(false), 1 => Just(true)],
        (option::weighted(0.2, 5_u64..25), option::weighted(0.2, 1_u64..20)),
    );
    (selectors, what, when).prop_map(
        |(
            (topics, groups, edge_nodes, devices, node_only),
            (action, allow, deny, redact, datatypes, shapes),
            (observes, moments),
        )| {
            let is = |one: &[Action]| one.contains(&action);
            let without_selector =
                topics.is_none() && groups.is_none() && edge_nodes.is_none() && devices.is_none();
            Draft {
                observes,
                not_before: moments.0,
                not_after: moments.1.map(|length| moments.0.unwrap_or(0).saturating_add(length)),
                action,
                node_only: node_only && devices.is_none(),
                groups: if without_selector { Some(vec!["*".into()]) } else { groups },
                topics,
                edge_nodes,
                devices,
                allow: allow.filter(|_| is(&[Action::Forward])),
                deny: deny.filter(|_| is(&[Action::Forward, Action::Deny])),
                redact: redact.filter(|_| is(&[Action::Forward, Action::Redact])),
                datatypes,
                shapes: if is(&[Action::Forward]) { shapes } else { Default::default() },
            }
        },
    )
}

/// The drafts that the language accepts (selectors can contradict each other), and the policy
/// of them.
fn compile(drafts: Vec<Draft>) -> (Vec<Draft>, Policy) {
    let parse = |text: String| Policy::parse(&[SourceFile::new("a.toml", text)]);
    let drafts: Vec<Draft> =
        drafts.into_iter().filter(|draft| parse(draft.toml(0)).is_ok()).collect();
    let text = drafts.iter().enumerate().map(|(number, draft)| draft.toml(number)).collect();
    match parse(text) {
        Ok((policy, _)) => (drafts, policy),
        Err(problems) => panic!("{problems}"),
    }
}

fn entities() -> impl Iterator<Item = Entity<'static>> {
    GROUPS.into_iter().flat_map(|group| {
        EDGE_NODES.into_iter().flat_map(move |edge_node| {
            let devices = DEVICES.iter().map(|device| Some(*device));
            [None].into_iter().chain(devices).map(move |device| Entity { group, edge_node, device })
        })
    })
}

fn topic(entity: Entity<'_>, node_type: &str, device_type: &str) -> String {
    let Entity { group, edge_node, device } = entity;
    match device {
        None => format!("spBv1.0/{group}/{node_type}/{edge_node}"),
        Some(device) => format!("spBv1.0/{group}/{device_type}/{edge_node}/{device}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn compiled_plan_agrees_with_the_definition(drafts in vec(draft(), 0..7), now_s in 0_u64..50) {
        let (drafts, mut policy) = compile(drafts);
        policy.set_time(now_s.saturating_mul(1_000));
        for entity in entities() {
            let plan = policy.plan(entity);
            for metric in METRICS {
                for datatype in DATATYPES.map(Some).into_iter().chain([None]) {
                    let acting = |draft: &Draft| draft.acts(now_s);
                    let expected = judge(&drafts, &acting, entity, metric, datatype);
                    prop_assert_eq!(plan.judge(metric, datatype), expected, "{} {}", entity, metric);
                    let denied = judge_member(&drafts, &acting, entity, metric, datatype);
                    prop_assert_eq!(plan.denies_member(metric, datatype), denied);
                    let open = |draft: &Draft| draft.is_open(now_s);
                    let would = match judge(&drafts, &open, entity, metric, datatype) {
                        Verdict::Forward { rule } | Verdict::Redact { rule, .. } => Some(rule),
                        Verdict::Drop { reason: Reason::Denied, rule } => rule,
                        Verdict::Drop { .. } => None,
                    };
                    let observed = would.filter(|rule| drafts[rule.index()].observes);
                    prop_assert_eq!(plan.observe(metric, datatype), observed);
                }
            }
        }
    }

    #[test]
    fn scope_takes_in_every_entity_of_which_anything_crosses(
        drafts in vec(draft(), 0..7), now_s in 0_u64..50,
    ) {
        let (drafts, mut policy) = compile(drafts);
        policy.set_time(now_s.saturating_mul(1_000));
        for entity in entities() {
            let selected = |action| {
                drafts.iter().any(|draft| {
                    draft.action == action && draft.acts(now_s) && draft.selects(entity)
                })
            };
            let crosses = METRICS.iter().any(|metric| {
                DATATYPES.iter().any(|datatype| {
                    let acting = |draft: &Draft| draft.acts(now_s);
                    let verdict = judge(&drafts, &acting, entity, metric, Some(*datatype));
                    matches!(verdict, Verdict::Forward { .. } | Verdict::Redact { .. })
                })
            });
            let in_scope = policy.device_in_scope(entity);
            prop_assert!(in_scope || !crosses, "{}", entity);
            prop_assert!(selected(Action::Forward) || !in_scope, "{}", entity);
            let node = policy.node_in_scope(entity.group, entity.edge_node);
            prop_assert!(node || !in_scope, "{}", entity);
        }
    }

    #[test]
    fn subscriptions_take_in_what_may_cross_and_never_commands(drafts in vec(draft(), 0..7)) {
        let (drafts, policy) = compile(drafts);
        let filters = policy.subscriptions();
        let subscribed = |topic: &str| filters.iter().any(|filter| mqtt_matches(filter, topic));
        for entity in entities() {
            let node = Entity::node(entity.group, entity.edge_node);
            prop_assert!(!subscribed(&topic(entity, "NCMD", "DCMD")));
            prop_assert!(!subscribed("spBv1.0/STATE/host"));
            let selected = drafts
                .iter()
                .any(|draft| draft.action == Action::Forward && draft.selects(entity));
            if selected {
                for (of_node, of_device) in
                    [("NBIRTH", "DBIRTH"), ("NDATA", "DDATA"), ("NDEATH", "DDEATH")]
                {
                    prop_assert!(subscribed(&topic(entity, of_node, of_device)));
                    prop_assert!(subscribed(&topic(node, of_node, of_device)));
                }
            }
            let any_device = Entity::device(entity.group, entity.edge_node, "any other");
            prop_assert_eq!(
                policy.sees_every_message_of(entity.group, entity.edge_node),
                subscribed(&topic(node, "NDATA", "")) && subscribed(&topic(any_device, "", "DDATA"))
            );
        }
        for (index, filter) in filters.iter().enumerate() {
            for (other_index, other) in filters.iter().enumerate() {
                // A filter without `#` is matched as if its `+` were names.
                prop_assert!(index == other_index || !mqtt_matches(other, filter));
            }
        }
    }
}

//! What a comparison says, against what the pipeline does: whatever crosses newly under another
//! policy, or shows more, is a difference that the comparison has found.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "plain arithmetic; what overflows fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ot::Received;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message as _;
use sparkplug::{
    DataType, MetaData, Metric, Parameter, ParameterValue, Payload, Property, PropertySet,
    PropertyValue, Template, Topic, Value, value,
};

use super::*;
use crate::dry_run::{Arrived, DryRun};

/// A Monday, 00:00 UTC.
pub(crate) const BEGIN_MS: u64 = 1_767_571_200_000;
const HOUR_MS: u64 = 3_600_000;

/// One rule, as keys with what they say.
type Draft = BTreeMap<&'static str, String>;

fn key(name: &'static str, values: &'static [&'static str]) -> BoxedStrategy<Draft> {
    option::weighted(0.3, select(values))
        .prop_map(move |value| value.map(|value| (name, value.to_owned())).into_iter().collect())
        .boxed()
}

fn keys() -> Vec<BoxedStrategy<Draft>> {
    let metrics: &[&str] = &["'a'", "'a/*'", "'**/b'", "'**'", "'t'", "['t', 'a/t']", "'*'"];
    vec![
        select(&["'forward'", "'forward'", "'forward'", "'deny'", "'redact'"][..])
            .prop_map(|action| Draft::from([("action", action.to_owned())]))
            .boxed(),
        select(&["'n'", "'*'", "'m'", "'?'"][..])
            .prop_map(|node| Draft::from([("edge-node", node.to_owned())]))
            .boxed(),
        key("device", &["'d'", "'*'"]),
        key("node-only", &["true"]),
        key("allow-metrics", metrics),
        key("deny-metrics", metrics),
        key("redact-metrics", metrics),
        key("datatypes", &["['Float']", "['String', 'Template']", "['Float', 'Int32']"]),
        key("priority", &["'high'"]),
        key("strip-prefix", &["'a/'"]),
        key("add-prefix", &["'x/'", "'a/'"]),
        key(
            "weekly",
            &[
                "{ from-utc = '01:00', to-utc = '02:00' }",
                "{ days = ['mon'], from-utc = '01:00', to-utc = '03:00' }",
                "{ days = ['tue'], from-utc = '01:00', to-utc = '02:00' }",
            ],
        ),
        key("not-after", &["2026-01-05T02:30:00Z"]),
        key("mode", &["'observe'"]),
        key(
            "[rule.rate]",
            &[
                "messages-per-s = 1",
                "messages-per-s = 2\non-excess = 'drop'",
                "messages-per-s = 1\nper = 'edge-node'",
                "messages-per-s = 1\nper = 'device'",
                "messages-per-s = 1\nper = 'metric'",
            ],
        ),
        key(
            "[rule.shape]",
            &[
                "properties = ['Vendor']\nparameters = ['*']",
                "metadata = ['file-name']\nparameters = ['p']",
                "members = ['b']",
                "max-age-s = 60",
                "properties = ['*']",
                "pseudonym = true",
                "max-length = 2\nopen-datatypes = ['Float', 'Template']",
                "max = 60\nopen-datatypes = ['Template', 'String']",
                "max = 60\nopen-datatypes = ['Template']",
            ],
        ),
        key(
            "[[rule.metric]]",
            &[
                "names = ['a']\nmin = 0\nmax = 50",
                "names = ['a']\nmin = 0\nmax = 50\nout-of-range = 'clamp'",
                "names = ['a']\nmax = 60\nout-of-range = 'null'",
                "names = ['a']\ndeadband = 20",
                "names = ['a']\nmax = 60\ndeadband = 20",
                "names = ['*']\nmin-interval-ms = 5000",
                "names = ['a/b']\npseudonym = true",
                "names = ['a/b']\npseudonym = 's.'",
                "names = ['a/b']\nallowed = ['s1', 's2']",
                "names = ['a/b']\nallowed = ['s1']\nnot-allowed = 'null'",
                "names = ['a']\nstep = 10",
                "names = ['a']\nstep = 10\nmax = 50",
                "names = ['a/b']\nmax-length = 2",
            ],
        ),
    ]
}

fn draft() -> impl Strategy<Value = Draft> {
    keys().prop_map(|keys| keys.into_iter().flatten().collect())
}

/// What becomes of a policy.
#[derive(Clone, Debug)]
enum Edit {
    Add(Draft),
    Remove(usize),
    Swap(usize, usize),
    /// Some keys of a rule are replaced, or taken out where they say nothing.
    Replace(usize, &'static str, Option<String>),
    Limit(&'static str),
}

fn edit() -> impl Strategy<Value = Edit> {
    let keys = [
        "[rule.shape]",
        "[[rule.metric]]",
        "[[rule.metric]]",
        "[rule.rate]",
        "device",
        "allow-metrics",
        "deny-metrics",
        "redact-metrics",
        "datatypes",
        "priority",
        "strip-prefix",
        "add-prefix",
        "weekly",
        "not-after",
        "mode",
        "[rule.rate]",
        "[rule.shape]",
        "[[rule.metric]]",
        "action",
    ];
    let place = select(vec![0, 0, 0, 1, 2]);
    let replace = (place, select(keys.to_vec()), draft())
        .prop_map(|(place, key, draft)| Edit::Replace(place, key, draft.get(key).cloned()));
    prop_oneof![
        1 => draft().prop_map(Edit::Add),
        1 => (0..4_usize).prop_map(Edit::Remove),
        1 => (0..4_usize, 0..4_usize).prop_map(|(left, right)| Edit::Swap(left, right)),
        12 => replace,
        1 => select(vec!["", "[limits.node]\nmessages-per-s = 2\n"]).prop_map(Edit::Limit),
    ]
}

/// A policy before and after some edits, as texts.
pub(crate) fn pairs() -> impl Strategy<Value = (String, String)> {
    let limited = proptest::bool::weighted(0.2);
    (vec(draft(), 1..4), vec(edit(), 1..4), limited).prop_map(|(rules, edits, limited)| {
        let mut rules: Vec<(usize, Draft)> = rules.into_iter().enumerate().collect();
        // Something has to cross at first.
        if let Some((_, first)) = rules.first_mut() {
            first.insert("action", "'forward'".to_owned());
            first.insert("edge-node", "'*'".to_owned());
            for key in ["device", "node-only", "mode", "weekly", "not-after", "deny-metrics"] {
                first.remove(key);
            }
        }
        let mut limits = if limited { "[limits.node]\nmessages-per-s = 2\n" } else { "" };
        let before = text(&rules, limits);
        for edit in edits {
            let count = rules.len();
            match edit {
                Edit::Add(draft) => rules.push((count + 10, draft)),
                Edit::Remove(place) if count > 1 => drop(rules.remove(place % count)),
                Edit::Swap(left, right) => rules.swap(left % count, right % count),
                Edit::Replace(place, key, value) => {
                    let (_, draft) = &mut rules[place % count];
                    match value {
                        Some(value) => drop(draft.insert(key, value)),
                        None if key == "action" => {}
                        None => drop(draft.remove(key)),
                    }
                }
                Edit::Limit(other) => limits = other,
                Edit::Remove(_) => {}
            }
        }
        (before, text(&rules, limits))
    })
}

fn text(rules: &[(usize, Draft)], limits: &str) -> String {
    let mut text = String::new();
    for (number, draft) in rules {
        text.push_str(&format!("[[rule]]\nname = 'r{number}'\ngroup = 'g'\n"));
        let deny = draft.get("action").is_some_and(|action| action != "'forward'");
        let allowed = |key: &str| match draft.get("action").map(String::as_str) {
            Some("'deny'") => !matches!(key, "allow-metrics" | "redact-metrics"),
            Some("'redact'") => !matches!(key, "allow-metrics" | "deny-metrics"),
            _ => true,
        };
        let of_forward = ["priority", "strip-prefix", "add-prefix"];
        for (key, value) in draft.iter().filter(|(key, _)| !key.starts_with('[')) {
            let both = *key == "node-only" && draft.contains_key("device");
            if allowed(key) && !both && !(deny && of_forward.contains(key)) {
                text.push_str(&format!("{key} = {value}\n"));
            }
        }
        for (table, value) in draft.iter().filter(|(key, _)| key.starts_with('[') && !deny) {
            text.push_str(&format!("{table}\n{value}\n"));
        }
    }
    text + limits
}

pub(crate) fn read(text: &str) -> Option<Policy> {
    Policy::parse(&[SourceFile::new("test.toml", text)]).ok().map(|(policy, _)| policy)
}

/// A message of data: after how long, of the device or the node, and what of it changed.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) after_ms: u64,
    pub(crate) device: bool,
    pub(crate) values: Vec<(usize, u8)>,
}

pub(crate) fn traffic() -> impl Strategy<Value = Vec<Data>> {
    let after = prop_oneof![
        6 => select(vec![100_u64, 400, 1_100, 6_000]),
        1 => select(vec![HOUR_MS / 2, HOUR_MS, 24 * HOUR_MS])
    ];
    let data = (after, any::<bool>(), vec((0..5_usize, 0_u8..100), 1..4));
    vec(data.prop_map(|(after_ms, device, values)| Data { after_ms, device, values }), 1..16)
}

pub(crate) fn metric(which: usize, number: u8, at_ms: u64, data: bool) -> Metric {
    let string = |text: String| Value::String(text);
    let instance = || {
        let member = |name: &str, datatype: DataType, value: Value| Metric {
            name: Some(name.to_owned()),
            datatype: Some(datatype.code()),
            value: Some(value),
            ..Metric::default()
        };
        Value::Template(Box::new(Template {
            template_ref: Some("D".to_owned()),
            is_definition: Some(false),
            metrics: vec![
                member("b", DataType::Float, Value::Float(f32::from(number))),
                member("x", DataType::String, string(format!("s{}", number % 4))),
            ],
            parameters: vec![Parameter {
                name: Some("p".to_owned()),
                r#type: Some(DataType::Int32.code()),
                value: Some(ParameterValue::Int(u32::from(number))),
            }],
            ..Template::default()
        }))
    };
    let (name, datatype, value) = match which {
        0 => ("a", DataType::Float, Value::Float(f32::from(number))),
        1 => ("a/b", DataType::String, string(format!("s{}", number % 4))),
        2 => ("b", DataType::Int32, Value::Int(u32::from(number))),
        3 => ("t", DataType::Template, instance()),
        _ => ("a/t", DataType::Template, instance()),
    };
    let property =
        |code: u32, value| PropertyValue { r#type: Some(code), is_null: None, value: Some(value) };
    // Of every fifth value of data, and of every birth.
    let beside = !data || number.is_multiple_of(5);
    Metric {
        name: Some(name.to_owned()),
        datatype: Some(datatype.code()),
        timestamp: Some(at_ms),
        value: Some(value),
        properties: beside.then(|| {
            Box::new(PropertySet {
                keys: vec!["Vendor".to_owned(), "engUnit".to_owned()],
                values: vec![
                    property(12, Property::String("v".into())),
                    property(12, Property::String("u".into())),
                ],
            })
        }),
        metadata: beside.then(|| {
            Box::new(MetaData {
                file_name: Some("f".to_owned()),
                description: Some(DESCRIPTION.to_owned()),
                ..MetaData::default()
            })
        }),
        ..Metric::default()
    }
}

pub(crate) fn definition(at_ms: u64) -> Metric {
    let mut definition = metric(3, 0, at_ms, true);
    definition.name = Some("D".to_owned());
    definition.properties = None;
    definition.metadata = None;
    if let Some(Value::Template(template)) = &mut definition.value {
        template.is_definition = Some(true);
        template.template_ref = None;
    }
    definition
}

/// Description of every metric that has one.
const DESCRIPTION: &str = "d";

/// What IT got to see.
#[derive(Default)]
struct Seen {
    /// By the time of the value, which no other value has: entity, and the metric.
    values: BTreeMap<u64, (String, Metric)>,
    names: BTreeSet<(String, String)>,
    /// What stood beside and inside of values, by entity and metric.
    beside: BTreeSet<(String, String, String)>,
}

impl Seen {
    fn add(&mut self, arrived: Vec<Arrived>) {
        for arrived in arrived {
            let Ok(Topic::Entity(topic)) = Topic::parse(&arrived.topic) else { panic!() };
            let entity = topic.entity.to_string();
            for metric in arrived.payload.metrics {
                let name = metric.name.clone().unwrap_or_default();
                if name == names::BD_SEQ || name == names::REBIRTH {
                    continue;
                }
                for beside in beside(&metric) {
                    self.beside.insert((entity.clone(), name.clone(), beside));
                }
                self.names.insert((entity.clone(), name));
                if let (Some(at), Some(_)) = (metric.timestamp, &metric.value) {
                    self.values.entry(at).or_insert((entity.clone(), metric.clone()));
                }
            }
        }
    }
}

/// Everything beside and inside of a value that has a name.
fn beside(metric: &Metric) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for key in metric.properties.iter().flat_map(|set| &set.keys).filter(|key| *key != "Quality") {
        found.insert(format!("property {key}"));
    }
    if let Some(metadata) = &metric.metadata {
        found.extend(metadata.file_name.iter().map(|name| format!("file {name}")));
        found.extend(metadata.description.iter().map(|text| format!("description {text}")));
    }
    if let Some(Value::Template(template)) = &metric.value {
        found.extend(template.metrics.iter().map(|one| format!("member {:?}", one.name)));
        found.extend(template.parameters.iter().map(|one| format!("parameter {:?}", one.name)));
    }
    found
}

/// Runs the traffic; what was sent, by the time of the value, and what was seen.
fn run(policy: &Policy, traffic: &[Data]) -> (BTreeMap<u64, Metric>, Seen) {
    let mut dry_run = DryRun::new(policy.clone(), BEGIN_MS);
    let (mut sent, mut seen) = (BTreeMap::new(), Seen::default());
    let mut seq = 0;
    let mut send = |dry_run: &mut DryRun, seen: &mut Seen, topic: &str, metrics: Vec<Metric>| {
        let timestamp = Some(dry_run.now_ms());
        let payload = Payload { timestamp, seq: Some(seq), metrics, ..Payload::default() };
        seq = (seq + 1) % 256;
        for metric in payload.metrics.iter().filter(|metric| metric.timestamp.is_some()) {
            sent.insert(metric.timestamp.unwrap(), metric.clone());
        }
        let payload = payload.encode_to_vec();
        let received =
            Received { topic, payload: &payload, retain: false, dup: false, assured: false };
        let outcome = dry_run.receive(received);
        seen.add(outcome.arrived);
        for judged in outcome.judged {
            seen.add(judged.outcome.arrived);
        }
    };
    let born =
        |at_ms: u64| (0..5_usize).map(move |which| metric(which, 0, at_ms + which as u64, false));
    let mut metrics = vec![
        Metric {
            name: Some(names::BD_SEQ.to_owned()),
            datatype: Some(DataType::Int64.code()),
            value: Some(Value::Long(0)),
            ..Metric::default()
        },
        definition(BEGIN_MS - 50),
    ];
    metrics.extend(born(BEGIN_MS - 20));
    send(&mut dry_run, &mut seen, "spBv1.0/g/NBIRTH/n", metrics);
    send(&mut dry_run, &mut seen, "spBv1.0/g/DBIRTH/n/d", born(BEGIN_MS - 10).collect());
    for data in traffic {
        let passed = dry_run.pass(Duration::from_millis(data.after_ms));
        seen.add(passed.arrived);
        let at_ms = dry_run.now_ms();
        let metrics = data.values.iter().zip(0..);
        let metrics =
            metrics.map(|((which, number), place)| metric(*which, *number, at_ms + place, true));
        let topic = if data.device { "spBv1.0/g/DDATA/n/d" } else { "spBv1.0/g/NDATA/n" };
        send(&mut dry_run, &mut seen, topic, metrics.collect());
    }
    seen.add(dry_run.pass(Duration::from_secs(60)).arrived);
    (sent, seen)
}

/// What crosses under the second policy alone, or shows more.
fn shown_newly(sent: &BTreeMap<u64, Metric>, was: &Seen, is: &Seen) -> Vec<String> {
    let mut found: Vec<String> =
        is.names.difference(&was.names).map(|name| format!("{name:?} is new")).collect();
    // A birth tells it again of a value that data told without.
    // A pseudonym shows less than the text that crossed before.
    let shows_less = |(entity, metric, _): &&(String, String, String)| {
        let as_sent = format!("description {DESCRIPTION}");
        was.beside.contains(&(entity.clone(), metric.clone(), as_sent))
    };
    let is_description = |one: &&(String, String, String)| one.2.starts_with("description ");
    let beside = is.beside.difference(&was.beside);
    let beside = beside.filter(|one| !(is_description(one) && shows_less(one)));
    found.extend(beside.map(|one| format!("{one:?} is new")));
    for (at, (entity, metric)) in &is.values {
        let Some((was_of, before)) = was.values.get(at) else {
            found.push(format!("{entity} {metric:?} is new"));
            continue;
        };
        if (was_of, &before.name) != (entity, &metric.name) {
            found.push(format!("{entity} {:?} was {was_of} {:?}", metric.name, before.name));
        }
        let as_sent = |metric: &Metric| match (
            &metric.value,
            sent.get(at).and_then(|sent| sent.value.as_ref()),
        ) {
            (Some(Value::Template(_)), _) => true,
            (Some(value), Some(sent)) => value::same(value, sent),
            _ => false,
        };
        if as_sent(metric) && !as_sent(before) {
            found.push(format!("{entity} {metric:?} is as sent; before {before:?}"));
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_newly_crosses_or_shows_more_is_never_proved_away(
        (before, after) in pairs(),
        traffic in traffic(),
    ) {
        let (Some(left), Some(right)) = (read(&before), read(&after)) else {
            return Err(TestCaseError::reject("not a policy"));
        };
        let comparison = super::super::compare(&left, &right, BEGIN_MS);
        let (sent, was) = run(&left, &traffic);
        let (_, is) = run(&right, &traffic);
        if comparison.is_equal() {
            prop_assert_eq!(&was.values, &is.values, "\n{}\n---\n{}", before, after);
        }
        if comparison.shows_no_more() {
            let found = shown_newly(&sent, &was, &is);
            prop_assert!(found.is_empty(), "{:#?}\n{}\n---\n{}", found, before, after);
        }
    }
}

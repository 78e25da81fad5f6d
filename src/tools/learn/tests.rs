//! Drafts of random plants promise what they do, and one of a realistic plant is what it was.

use std::collections::BTreeMap;
use std::path::Path;

use diagnostic::SourceFile;
use ot::Received;
use policy::{Policy, Priority, Verdict};
use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::strategy::BoxedStrategy;
use proptest::{prop_assert, prop_assert_eq};
use prost::Message;
use sparkplug::{
    DataType, Entity, EntityTopic, Metric, Payload, Property, PropertySet, PropertyValue, Value,
};

use super::*;
use crate::capture::Record;
use crate::cases::{self, Case};
use crate::dry_run::{DryRun, MetricFate, case};

/// Datatype, and the values that a metric has over time.
type Series = (DataType, Vec<Value>);
/// Metrics by name.
type Thing = BTreeMap<String, Series>;

/// Plays a plant: births, then the values in turn, a message a second.
struct Player {
    at_ms: u64,
    seq: BTreeMap<(String, String), u64>,
    records: Vec<Record>,
}

impl Player {
    fn new() -> Player {
        Player { at_ms: 1_732_442_400_000, seq: BTreeMap::new(), records: Vec::new() }
    }

    fn pass(&mut self, time_ms: u64) {
        self.at_ms = self.at_ms.saturating_add(time_ms);
    }

    fn send(&mut self, topic: EntityTopic<'_>, metrics: Vec<Metric>) {
        let node = (topic.entity.group.to_owned(), topic.entity.edge_node.to_owned());
        let seq = self.seq.entry(node).or_insert(0);
        if topic.message_type == sparkplug::MessageType::NBirth {
            *seq = 0;
        }
        let payload =
            Payload { timestamp: Some(self.at_ms), metrics, seq: Some(*seq), ..Payload::default() };
        *seq = seq.wrapping_add(1) & 0xff;
        self.records.push(Record {
            at_ms: self.at_ms,
            topic: topic.to_string(),
            payload: payload.encode_to_vec(),
            ..Record::default()
        });
    }

    fn birth(&mut self, entity: Entity<'_>, thing: &Thing) {
        let mut metrics = Vec::new();
        if entity.device.is_none() {
            metrics.push(metric("bdSeq", DataType::Int64, Some(Value::Long(0))));
            let rebirth = Some(Value::Boolean(false));
            metrics.push(metric("Node Control/Rebirth", DataType::Boolean, rebirth));
        }
        for (name, (datatype, values)) in thing {
            metrics.push(metric(name, *datatype, values.first().cloned()));
        }
        self.send(EntityTopic::birth(entity), metrics);
    }

    fn data(&mut self, entity: Entity<'_>, thing: &Thing, turn: usize) {
        let values = thing.iter().filter_map(|(name, (datatype, values))| {
            let value = values.iter().cycle().nth(turn)?;
            Some(Metric { datatype: None, ..metric(name, *datatype, Some(value.clone())) })
        });
        let metrics: Vec<Metric> = values.collect();
        if !metrics.is_empty() {
            self.send(EntityTopic::data(entity), metrics);
        }
    }
}

fn metric(name: &str, datatype: DataType, value: Option<Value>) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        datatype: Some(datatype.code()),
        is_null: value.is_none().then_some(true),
        value,
        ..Metric::default()
    }
}

/// A plant: entities as `(group, node, device)` with their metrics.
type World = BTreeMap<(String, String, Option<String>), Thing>;

fn play(world: &World, turns: usize) -> Vec<Record> {
    play_every(1_000, world, turns)
}

/// The same with so many milliseconds between data.
fn play_every(every_ms: u64, world: &World, turns: usize) -> Vec<Record> {
    let mut player = Player::new();
    let entity = |key: &'_ (String, String, Option<String>)| -> (String, String, Option<String>) {
        key.clone()
    };
    // Every node is born before its devices.
    for key in world.keys() {
        let (group, node, _) = entity(key);
        let own = Entity::node(&group, &node);
        let is_born = player.seq.contains_key(&(group.clone(), node.clone()));
        if !is_born {
            let nothing = Thing::new();
            let thing = world.get(&(group.clone(), node.clone(), None)).unwrap_or(&nothing);
            player.birth(own, thing);
        }
    }
    for ((group, node, device), thing) in world {
        if let Some(device) = device {
            player.birth(Entity::device(group, node, device), thing);
        }
    }
    for turn in 0..turns {
        player.pass(every_ms);
        for ((group, node, device), thing) in world {
            let entity = Entity { group, edge_node: node, device: device.as_deref() };
            player.data(entity, thing, turn);
        }
    }
    player.records
}

fn observe(records: &[Record]) -> Observation {
    let mut seen = Observation::new();
    records.iter().for_each(|record| seen.learn(record));
    seen
}

#[track_caller]
fn policy(text: &str) -> (Policy, Vec<Case>) {
    let file = SourceFile::new("draft.toml", text);
    let (policy, cases, warnings) =
        cases::read(&[file]).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert!(warnings.is_empty(), "{warnings}\n{text}");
    (policy, cases)
}

#[track_caller]
fn cases_pass(policy: &Policy, cases: &[Case], text: &str) {
    for one in cases {
        let report = case::run(policy, one);
        assert!(report.passed(), "{}: {:?}\n{text}", one.name(), report.checks);
    }
}

/// With the proposals that somebody has to decide on.
fn decided(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => rest.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

fn name() -> BoxedStrategy<String> {
    prop_oneof![
        ("(Zone|Axis|Temp|a\\*)", 1..4_u8, "(/x|/y|/Setpoint|)")
            .prop_map(|(a, b, c)| { format!("{}{b}{c}", a.replace("\\", "")) }),
        "(Temperature|Recipe|p\\*q|Ä)/(Oil|Air|Water|Raw/a|b\\\\)",
        "[a-c]{1,2}",
    ]
    .boxed()
}

fn series() -> BoxedStrategy<Series> {
    let of = |datatype, values: BoxedStrategy<Value>| (Just(datatype), vec(values, 1..14)).boxed();
    prop_oneof![
        of(DataType::Float, any::<f32>().prop_map(Value::Float).boxed()),
        of(DataType::Double, (-9.0..9.0).prop_map(Value::Double).boxed()),
        of(DataType::Int8, any::<i8>().prop_map(|n| Value::Int(i32::from(n) as u32)).boxed()),
        of(DataType::Int32, (0..5_u32).prop_map(Value::Int).boxed()),
        of(DataType::UInt64, any::<u64>().prop_map(Value::Long).boxed()),
        of(DataType::DateTime, any::<u64>().prop_map(Value::Long).boxed()),
        of(DataType::Boolean, any::<bool>().prop_map(Value::Boolean).boxed()),
        of(DataType::String, "\\PC{0,5}|on|off".prop_map(Value::String).boxed()),
        of(DataType::Bytes, vec(any::<u8>(), 0..9).prop_map(Value::Bytes).boxed()),
    ]
    .boxed()
}

fn world() -> impl Strategy<Value = World> {
    let key = ("(G|H\\*)", "(Line[1-4]|Other)", proptest::option::of("(D1|D2|Press \\?)"));
    let key = key.prop_map(|(group, node, device)| {
        (group.replace("\\", ""), node, device.map(|device| device.replace("\\", "")))
    });
    // Few things, so that several entities are the same thing.
    let things = vec(btree_map(name(), series(), 0..9), 1..3);
    things.prop_flat_map(move |things| {
        let thing = proptest::sample::select(things);
        btree_map(key.clone(), thing, 1..8)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_draft_admits_what_was_learnt_and_nothing_of_others(world in world()) {
        let records = play(&world, 15);
        let seen = observe(&records);
        let draft = draft(&seen, &Options::default());
        let file = SourceFile::new("draft.toml", draft.text.clone());
        let (learnt, cases, warnings) = cases::read(&[file])
            .unwrap_or_else(|problems| panic!("{problems}\n{}", draft.text));
        if draft.rules > 0 {
            prop_assert!(warnings.is_empty(), "{}\n{}", warnings, draft.text);
        }
        cases_pass(&learnt, &cases, &draft.text);

        // Through the pipeline: every value that was promised, and no other.
        let mut trial = Trial::new(learnt.clone(), &draft.promised, None);
        records.iter().for_each(|record| trial.learn(record));
        let report = trial.report();
        prop_assert!(report.is_sound(), "{:?}\n{}", report, draft.text);
        prop_assert_eq!(&report.metrics, &draft.promised);

        // By the language: of each entity exactly the promised metrics, of others nothing.
        let strangers = [
            ("G", "Line5", None), ("G", "Line", None), ("X", "Line1", None),
            ("H1", "Line1", None), ("G", "Line1", Some("D3")), ("G", "Line1", Some("Press 1")),
        ];
        let strangers = strangers.map(|(g, n, d)| (g.to_owned(), n.to_owned(), d.map(str::to_owned)));
        let all: Vec<(&String, DataType)> = world
            .values()
            .flat_map(|thing| thing.iter().map(|(name, (datatype, _))| (name, *datatype)))
            .collect();
        for key in strangers.iter().filter(|key| !world.contains_key(*key)) {
            let entity = Entity { group: &key.0, edge_node: &key.1, device: key.2.as_deref() };
            for (name, datatype) in &all {
                let verdict = learnt.judge(entity, name, Some(*datatype));
                prop_assert!(!matches!(verdict, Verdict::Forward { .. }), "{entity} {name}");
            }
        }
        for (key, thing) in &world {
            let entity = Entity { group: &key.0, edge_node: &key.1, device: key.2.as_deref() };
            for (name, (datatype, _)) in thing {
                let forwards =
                    matches!(learnt.judge(entity, name, Some(*datatype)), Verdict::Forward { .. });
                let promised = draft.promised.contains(&(entity.to_string(), name.clone()));
                prop_assert_eq!(forwards, promised, "{} {}\n{}", entity, name, draft.text);
            }
        }

        // A second run with the draft has nothing more to propose but what is undecided.
        let again = super::draft(&seen, &Options { existing: Some(&learnt), ..Options::default() });
        prop_assert_eq!(again.rules, 0, "{}", again.text);
        prop_assert_eq!(again.known, draft.promised.len());

        // What is behind `#` is a policy as well, and its cases hold.
        let text = decided(&draft.text);
        if draft.rules > 0 || draft.undecided_rules > 0 {
            let (decided, cases) = policy(&text);
            cases_pass(&decided, &cases, &text);
        }
    }
}

/// Three equal lines with a filler each, a line that differs, and the plant's power.
fn realistic() -> Vec<Record> {
    let floats = |low: f32, high: f32| -> Series {
        let values = (0..30_u8).map(|n| low + (high - low) * f32::from(n % 10) / 9.0);
        (DataType::Float, values.map(Value::Float).collect())
    };
    let counter: Series = (DataType::UInt32, (100..190).step_by(3).map(Value::Int).collect());
    let states = |values: &[bool]| -> Series {
        (DataType::Boolean, values.iter().copied().map(Value::Boolean).collect())
    };
    let texts = |values: &[&str]| -> Series {
        let values = values.iter().map(|text| Value::String((*text).to_owned()));
        (DataType::String, values.collect())
    };
    let thing = |metrics: &[(&str, Series)]| -> Thing {
        metrics.iter().map(|(name, series)| ((*name).to_owned(), series.clone())).collect()
    };
    let line = thing(&[
        ("Temperature/Oil", floats(55.0, 65.0)),
        ("Temperature/Water", floats(15.0, 16.0)),
        ("Temperature/Air", floats(20.0, 21.0)),
        ("Counter/Bottles", counter.clone()),
        ("Running", states(&[true, false])),
        ("Alarm/OilHot", states(&[false, false, true])),
        (
            "Energy_kWh",
            (DataType::Double, (0..30).map(|n| Value::Double(f64::from(n) * 0.25)).collect()),
        ),
        ("Target", (DataType::Float, vec![Value::Float(7.0)])),
        ("State", texts(&["Idle", "Run"])),
        ("Setpoint/Speed", floats(100.0, 120.0)),
        ("Recipe/Name", texts(&["secret sauce"])),
        ("Blob", (DataType::Bytes, vec![Value::Bytes(vec![7; 100])])),
    ]);
    let filler = thing(&[
        ("Zone1/Pressure", floats(2.9, 3.1)),
        ("Zone2/Pressure", floats(2.9, 3.1)),
        ("Zone3/Pressure", floats(2.9, 3.1)),
        ("Valve/Open", states(&[false])),
    ]);
    let mut packer = line.clone();
    packer.insert("Jams".to_owned(), counter);
    let mut world = World::new();
    for name in ["Line1", "Line2", "Line3"] {
        world.insert(("Plant1".into(), name.into(), None), line.clone());
        world.insert(("Plant1".into(), name.into(), Some("Filler".into())), filler.clone());
    }
    world.insert(("Plant1".into(), "Packer".into(), None), packer);
    world.insert(
        ("Plant1".into(), "Utilities".into(), None),
        thing(&[("Power (kW)", floats(50.0, 70.0))]),
    );
    // Longer than an hour.
    play_every(150_000, &world, 30)
}

#[test]
fn the_draft_of_a_realistic_plant_is_the_one_that_was_reviewed() {
    let records = realistic();
    let options = Options { source: "a recording".to_owned(), ..Options::default() };
    let draft = draft(&observe(&records), &options);
    let (learnt, cases) = policy(&draft.text);
    cases_pass(&learnt, &cases, &draft.text);
    let mut trial = Trial::new(learnt, &draft.promised, None);
    records.iter().for_each(|record| trial.learn(record));
    assert!(trial.report().is_sound());
    assert!(!draft.text.contains("secret sauce"));
    let (with_proposals, cases) = policy(&decided(&draft.text));
    cases_pass(&with_proposals, &cases, &draft.text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/learn/plant.toml");
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    if draft.text != reviewed {
        let new = std::env::temp_dir().join("sparkdiode-learn-plant.toml");
        std::fs::write(&new, &draft.text).unwrap();
        panic!("{} isn't what is drafted now: {}", path.display(), new.display());
    }
}

/// What is proposed of a short recording, of counters and of what hardly changes stays out of the
/// way of the next values: nothing of it becomes null.
#[test]
fn values_that_go_on_as_they_did_cross_under_a_draft() {
    let thing: Thing = [
        (
            "Hours".to_owned(),
            (DataType::Double, (0..60).map(|n| Value::Double(f64::from(n) / 3.6)).collect()),
        ),
        (
            "x".to_owned(),
            (DataType::Float, (0..60_u8).map(|n| Value::Float(f32::from(n))).collect()),
        ),
        ("Level".to_owned(), (DataType::Int32, (0..60).map(|n| Value::Int(n % 7 + n)).collect())),
        (
            "Target".to_owned(),
            (
                DataType::Float,
                (0..60_u8).map(|n| Value::Float(if n < 40 { 7.0 } else { 90.0 })).collect(),
            ),
        ),
    ]
    .into();
    let world: World = [(("G".to_owned(), "E".to_owned(), None), thing)].into();
    for every_ms in [1_000, 200_000] {
        let all = play_every(every_ms, &world, 60);
        let (seen, _) = all.split_at(all.len() - 20);
        let draft = draft(&observe(seen), &Options::default());
        let (learnt, _) = policy(&draft.text);
        let mut dry_run = DryRun::new(learnt, all[0].at_ms);
        let mut crossed = 0;
        for record in &all {
            let _ = dry_run.pass_until(record.at_ms);
            let outcome = dry_run.receive(Received {
                topic: &record.topic,
                payload: &record.payload,
                retain: false,
                dup: false,
                assured: false,
            });
            for metric in outcome.metrics {
                let MetricFate::Forwarded { arrives, .. } = metric.fate else { continue };
                assert_eq!(arrives.value, metric.sent, "{} {}", metric.name, draft.text);
                crossed += 1;
            }
        }
        assert!(crossed > 200, "{crossed}");
    }
}

#[test]
fn alarms_come_first_and_have_no_rate() {
    let draft = draft(&observe(&realistic()), &Options::default());
    let (learnt, _) = policy(&draft.text);
    let alarms = learnt.rules().iter().find(|rule| rule.name().ends_with("-alarms")).unwrap();
    assert_eq!((alarms.priority(), alarms.rate()), (Priority::High, None));
    let others = learnt.rules().iter().filter(|rule| rule.name() != alarms.name());
    assert!(others.clone().any(|rule| rule.rate().is_some()));
    let verdict =
        learnt.judge(Entity::node("Plant1", "Line1"), "Alarm/OilHot", Some(DataType::Boolean));
    let Verdict::Forward { rule, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(learnt.rule(rule).unwrap().priority(), Priority::High);
}

#[test]
fn a_second_run_proposes_only_what_is_new() {
    let records = realistic();
    let seen = observe(&records);
    let deny = "[[rule]]\nname = \"no\"\naction = \"deny\"\ngroup = \"*\"\n\
                deny-metrics = [\"Setpoint/**\", \"Recipe/**\", \"Blob\", \"State\"]\n";
    let first_text = draft(&seen, &Options::default()).text;
    let (existing, _) = policy(&format!("{first_text}\n{deny}"));
    let options = Options { existing: Some(&existing), ..Options::default() };
    let again = draft(&seen, &options);
    assert_eq!((again.rules, again.undecided_rules), (0, 0), "{}", again.text);
    assert_eq!(again.known, draft(&seen, &Options::default()).promised.len());

    // A new metric at one of three equal nodes, and a new node.
    let mut player = Player::new();
    player.pass(100_000);
    let new: Thing = [(
        "Vibration".to_owned(),
        (DataType::Double, (0..12).map(|n| Value::Double(f64::from(n))).collect()),
    )]
    .into();
    for node in ["Line2", "Line9"] {
        player.birth(Entity::node("Plant1", node), &new);
    }
    for turn in 0..12 {
        player.pass(1_000);
        for node in ["Line2", "Line9"] {
            player.data(Entity::node("Plant1", node), &new, turn);
        }
    }
    let mut seen = observe(&records);
    player.records.iter().for_each(|record| seen.learn(record));
    let third = draft(&seen, &options);
    let promised: Vec<(String, String)> = third.promised.iter().cloned().collect();
    let wanted = ["Plant1/Line2", "Plant1/Line9"].map(|node| (node.into(), "Vibration".into()));
    assert_eq!(promised, wanted, "{}", third.text);
    assert!(third.known > 0);
}

#[test]
fn redacted_recordings_teach_names_and_no_values() {
    let records = realistic();
    let options = Options { redacted: true, ..Options::default() };
    let draft = draft(&observe(&records), &options);
    let (learnt, cases) = policy(&draft.text);
    cases_pass(&learnt, &cases, &draft.text);
    for word in ["min = ", "max = ", "allowed = ", "max-length"] {
        assert!(!draft.text.contains(word), "{word}\n{}", draft.text);
    }
}

#[test]
fn what_a_property_calls_writable_is_a_decision() {
    let mut player = Player::new();
    let entity = Entity::node("G", "E");
    let writable = PropertySet {
        keys: vec!["readOnly".into()],
        values: vec![PropertyValue {
            r#type: Some(11),
            is_null: None,
            value: Some(Property::Boolean(false)),
        }],
    };
    let plain = metric("Speed", DataType::Float, Some(Value::Float(1.0)));
    let set = Metric {
        properties: Some(Box::new(writable)),
        ..metric("Target", DataType::Float, Some(Value::Float(1.0)))
    };
    player.send(EntityTopic::birth(entity), vec![plain, set]);
    let draft = draft(&observe(&player.records), &Options::default());
    assert_eq!(draft.promised.len(), 1);
    assert_eq!((draft.rules, draft.undecided_rules), (1, 1), "{}", draft.text);
    assert!(draft.text.contains("a property says that hosts may write them"), "{}", draft.text);
}

#[test]
fn nodes_without_a_birth_are_named_and_not_proposed() {
    let records: Vec<Record> =
        realistic().into_iter().filter(|record| !record.topic.contains("BIRTH")).collect();
    let draft = draft(&observe(&records), &Options::default());
    assert_eq!((draft.rules, draft.undecided_rules), (0, 0));
    assert_eq!(draft.unborn.len(), 5);
    assert!(draft.text.contains("Plant1/Line1: nothing of it is proposed"), "{}", draft.text);
}

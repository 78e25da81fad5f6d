//! The short way of data against the long one.

use account::{NodeSlot, Origin};
use journal_format::Body;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use prost::Message;
use sparkplug::{DataType, Entity, Metric, Payload, PropertySet, Value};

use super::bench::{ALL, Bench, bd_seq, by_alias, by_name, policy, typed};
use crate::Received;

const POLICIES: [&str; 6] = [
    ALL,
    r#"
    [[rule]]
    name = "denies"
    action = "forward"
    group = "G"
    deny-metrics = ["float", "text"]

    [[rule]]
    name = "watches"
    action = "deny"
    group = "G"
    deny-metrics = "long"
    mode = "observe"
    "#,
    r#"
    [[rule]]
    name = "ages"
    action = "forward"
    group = "G"
    device = "D"
    allow-metrics = ["long", "switch"]
    [rule.shape]
    max-age-s = 10

    [[rule]]
    name = "shapes"
    action = "forward"
    group = "G"
    allow-metrics = ["double", "byte"]
    [rule.shape]
    deadband = 5
    min = 0
    max = 1000
    out-of-range = "null"

    [[rule]]
    name = "others"
    action = "forward"
    group = "G"
    [rule.shape]
    max-length = 2
    "#,
    r#"
    [[rule]]
    name = "limits"
    action = "forward"
    group = "G"
    allow-metrics = ["double", "float"]
    rate = { messages-per-s = 2, burst-messages = 2 }

    [[rule]]
    name = "others"
    action = "forward"
    group = "G"
    "#,
    r#"
    [[rule]]
    name = "redacts"
    action = "redact"
    group = "G"
    redact-metrics = ["switch"]

    [[rule]]
    name = "renames"
    action = "forward"
    group = "G"
    add-prefix = "North/"

    [rename.edge-node]
    "G/E" = "North"
    "#,
    "",
];

/// Metrics of the births, by alias.
const BORN: [(&str, DataType); 8] = [
    ("byte", DataType::Int8),
    ("int", DataType::Int32),
    ("wide", DataType::UInt32),
    ("long", DataType::Int64),
    ("float", DataType::Float),
    ("double", DataType::Double),
    ("switch", DataType::Boolean),
    ("text", DataType::String),
];

#[derive(Clone, Debug)]
enum Step {
    Birth { device: bool, null: bool },
    Death { device: bool },
    Data { device: bool, payload: Vec<u8>, lost: bool, dup: bool },
    Pass { ms: u64 },
    Reload { policy: usize },
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0_u32..300).prop_map(Value::Int),
        any::<u32>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Long),
        any::<f32>().prop_map(Value::Float),
        (-10.0..1100.0).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "[a-z]{0,3}".prop_map(Value::String),
    ]
}

/// Mostly news of a born metric.
fn metric() -> impl Strategy<Value = Metric> {
    let fitting = (0..BORN.len(), any::<u32>()).prop_map(|(number, bits)| {
        let value = match BORN[number].1 {
            DataType::Int8 => Value::Int(bits % 128),
            DataType::Int32 => Value::Int(bits),
            DataType::UInt32 if bits % 2 == 0 => Value::Long(bits.into()),
            DataType::UInt32 => Value::Int(bits),
            DataType::Int64 => Value::Long(u64::from(bits) << (bits % 32)),
            DataType::Float => Value::Float(f32::from_bits(bits)),
            DataType::Double => Value::Double(f64::from(bits % 1200)),
            DataType::Boolean => Value::Boolean(bits % 2 == 0),
            _ => Value::String(bits.to_string()),
        };
        (number, value)
    });
    let odd = (0..=BORN.len(), value());
    let what = prop_oneof![12 => fitting, 1 => odd];
    let flag = || weighted(0.1, any::<bool>());
    let by = (weighted(0.7, any::<bool>()), any::<bool>(), weighted(0.1, 0_u32..14));
    let rest = (of(0..20_000_u64), flag(), flag(), flag(), weighted(0.02, Just(())));
    (what, by, rest).prop_map(|((number, value), (named, aliased, datatype), rest)| {
        let name = BORN.get(number).map_or("unborn", |(name, _)| *name);
        let metric = match (named, aliased) {
            (None, _) => by_alias(number as u64, value),
            (Some(_), false) => by_name(name, value),
            (Some(_), true) => Metric { alias: Some(number as u64), ..by_name(name, value) },
        };
        let (age, is_historical, is_transient, is_null, properties) = rest;
        Metric {
            datatype,
            timestamp: age.map(|age| 1_700_000_010_000 - age),
            is_historical,
            is_transient,
            is_null,
            properties: properties.map(|()| Box::new(PropertySet::default())),
            ..metric
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let data = (any::<bool>(), vec(metric(), 0..6), of(any::<u8>()), any::<bool>());
    let odds = (proptest::bool::weighted(0.03), proptest::bool::weighted(0.03));
    let data = (data, odds).prop_map(|((device, metrics, timestamp, reversed), (lost, dup))| {
        let timestamp = timestamp.map(|age| 1_700_000_000_000 + u64::from(age));
        let mut payload = Payload { timestamp, metrics, ..Payload::default() };
        if reversed {
            payload.metrics.reverse();
        }
        Step::Data { device, payload: payload.encode_to_vec(), lost, dup }
    });
    prop_oneof![
        30 => data,
        2 => (any::<bool>(), any::<bool>()).prop_map(|(device, null)| Step::Birth { device, null }),
        1 => any::<bool>().prop_map(|device| Step::Death { device }),
        2 => (0..3000_u64).prop_map(|ms| Step::Pass { ms }),
        1 => (0..POLICIES.len()).prop_map(|policy| Step::Reload { policy }),
    ]
}

fn born(null: bool) -> Vec<Metric> {
    let metric = |(alias, (name, datatype)): (usize, &(&str, DataType))| {
        let value = match datatype {
            DataType::Int64 => Value::Long(1),
            DataType::Float => Value::Float(1.0),
            DataType::Double => Value::Double(1.0),
            DataType::Boolean => Value::Boolean(true),
            DataType::String => Value::String("on".into()),
            _ => Value::Int(1),
        };
        let metric = Metric { alias: Some(alias as u64), ..typed(name, *datatype, value) };
        if null { Metric { value: None, is_null: Some(true), ..metric } } else { metric }
    };
    BORN.iter().enumerate().map(metric).collect()
}

fn run(bench: &mut Bench, step: &Step) {
    match step {
        Step::Birth { device: false, null } => {
            let mut metrics = born(*null);
            metrics.push(bd_seq(0));
            bench.node("NBIRTH", metrics);
        }
        Step::Birth { device: true, null } => {
            bench.node("DBIRTH/D", born(*null));
        }
        Step::Death { device: false } => {
            bench.node("NDEATH", vec![bd_seq(0)]);
        }
        Step::Death { device: true } => {
            bench.node("DDEATH/D", vec![]);
        }
        Step::Data { device, payload, lost, dup } => {
            if *lost {
                bench.lose();
            }
            let mut payload = payload.clone();
            prost::encoding::uint64::encode(3, &bench.seq, &mut payload);
            bench.seq = (bench.seq + 1) % 256;
            let topic = if *device { "spBv1.0/G/DDATA/E/D" } else { "spBv1.0/G/NDATA/E" };
            let received =
                Received { topic, payload: &payload, retain: false, dup: *dup, assured: false };
            bench.receive(received);
        }
        Step::Pass { ms } => {
            bench.pass(*ms);
            bench.tick();
        }
        Step::Reload { policy } => {
            bench.reload(POLICIES[*policy]);
        }
    }
}

/// What a pipeline did, and what it would do next.
fn state(bench: &Bench) -> (Vec<u8>, String) {
    let mut bytes = Vec::new();
    for body in &bench.journal {
        body.encode(&mut bytes);
    }
    for body in bench.pipeline.keyframes(bench.now) {
        body.encode(&mut bytes);
    }
    bench.pipeline.store(0).encode(&mut bytes).unwrap();
    let matches: Vec<_> = bench.pipeline.rule_matches().1.collect();
    let account = (bench.pipeline.account(), bench.pipeline.counters(), matches);
    (bytes, format!("{account:?} {:?}", bench.pipeline.ledger()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_short_way_does_what_the_long_one_does(
        first in 0..POLICIES.len(), steps in vec(step(), 0..80),
    ) {
        let [mut short, mut long] = [true, false].map(|takes_shortcuts| {
            let mut bench = Bench::new(POLICIES[first]);
            bench.pipeline.takes_shortcuts = takes_shortcuts;
            run(&mut bench, &Step::Birth { device: false, null: false });
            run(&mut bench, &Step::Birth { device: true, null: false });
            bench
        });
        for step in &steps {
            run(&mut short, step);
            run(&mut long, step);
            if short.journal != long.journal {
                // NaN isn't itself.
                assert_eq!(state(&short).0, state(&long).0, "{step:?}");
            }
        }
        assert_eq!(state(&short), state(&long));
    }
}

#[test]
fn plain_data_takes_the_short_way_and_other_data_does_not() {
    let mut bench = Bench::new(ALL);
    run(&mut bench, &Step::Birth { device: false, null: false });
    let takes = |bench: &Bench, metrics: Vec<Metric>| {
        let payload = Payload { metrics, seq: Some(1), ..Payload::default() }.encode_to_vec();
        let entity = Entity::node("G", "E");
        let received = Received {
            topic: "spBv1.0/G/NDATA/E",
            payload: &payload,
            retain: false,
            dup: false,
            assured: false,
        };
        let origin = Origin { entity: Some(entity), node: Some(NodeSlot(0)) };
        bench.pipeline.prepare(bench.now, entity, received, &origin).is_some()
    };
    let double = || by_name("double", Value::Double(1.0));
    assert!(takes(&bench, vec![double()]));
    assert!(takes(&bench, vec![by_alias(5, Value::Double(1.0)), by_alias(0, Value::Int(1))]));
    assert!(takes(&bench, vec![Metric { datatype: Some(10), alias: Some(5), ..double() }]));
    let others = [
        by_name("text", Value::String("a".into())),
        by_name("unborn", Value::Int(1)),
        by_alias(99, Value::Int(1)),
        by_name("double", Value::Int(1)),
        Metric { datatype: Some(9), ..double() },
        Metric { is_null: Some(true), ..double() },
        Metric { is_historical: Some(true), ..double() },
        Metric { properties: Some(Box::default()), ..double() },
        Metric { value: None, ..double() },
    ];
    for other in others {
        assert!(!takes(&bench, vec![double(), other.clone()]), "{other:?}");
    }
    assert!(!takes(&bench, vec![]));
    let policies = [
        POLICIES[2],
        POLICIES[3],
        "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\n\
         [limits.link]\nbytes-per-s = 500\n",
        "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\ndeny-metrics = \"double\"\n",
    ];
    for text in policies {
        let mut out: Vec<Body> = Vec::new();
        bench.pipeline.reload(bench.now, policy(text), &mut out);
        assert!(!takes(&bench, vec![double()]), "{text}");
    }
}

//! The fast path of data against the long way.

use account::Reason;
use journal_format::Body;
use policy::Verdict;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use prost::Message;
use sparkplug::{Caps, DataType, Metric, Payload, PropertySet, Value, decode_borrowed};

use super::bench::{ALL, Bench, bd_seq, by_alias, by_name, policy, typed};
use crate::Received;
use crate::pipeline::decode::{Decoded, MetricRoom, reason_of};

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
    for body in bench.pipeline.keyframes(bench.now).map(Body::from) {
        body.encode(&mut bytes);
    }
    bench.pipeline.store(0).encode(&mut bytes).unwrap();
    let matches: Vec<_> = bench.pipeline.rule_matches().1.collect();
    let account = (bench.pipeline.account(), bench.pipeline.counters(), matches);
    (bytes, format!("{account:?} {:?}", bench.pipeline.ledger()))
}

/// Payloads of scalars become the model that the reader has of them; other payloads are left to it.
#[test]
fn what_was_read_as_scalars_becomes_the_model_without_being_read_again() {
    let metrics = vec![
        by_name("double", Value::Double(1.5)),
        by_alias(3, Value::Long(u64::MAX)),
        Metric { is_transient: Some(true), timestamp: Some(7), ..by_alias(0, Value::Int(1)) },
        Metric { datatype: Some(11), is_null: Some(false), ..by_name("", Value::Boolean(true)) },
    ];
    let payload = Payload { timestamp: Some(5), metrics, seq: Some(9), ..Payload::default() };
    let bytes = payload.encode_to_vec();
    let (mut inflated, mut again) = (Vec::new(), Vec::new());
    let decoded =
        Decoded::data(&bytes, &mut inflated, &mut MetricRoom::default(), &Caps::DEFAULT).unwrap();
    assert!(matches!(decoded, Decoded::Scalars(_)));
    assert_eq!(decoded.seq(), Some(9));
    let mut model = decoded.into_model();
    let mut read = decode_borrowed(&bytes, &mut again, &Caps::DEFAULT).unwrap();
    // An empty name and none mean the same.
    for metric in model.metrics.iter_mut().chain(&mut read.metrics) {
        metric.name = metric.name.filter(|name| !name.is_empty());
    }
    assert_eq!(model, read);
    let text = Payload { metrics: vec![by_name("text", Value::String("a".into()))], ..payload };
    let text = text.encode_to_vec();
    let mut inflated = Vec::new();
    let decoded =
        Decoded::data(&text, &mut inflated, &mut MetricRoom::default(), &Caps::DEFAULT).unwrap();
    assert!(matches!(decoded, Decoded::Model(_)));
}

/// A message that can't be read doesn't count in the node's order, however late that is found.
#[test]
fn a_message_with_a_name_that_is_not_utf_8_is_refused_and_takes_its_number() {
    let mut bench = Bench::new(ALL);
    run(&mut bench, &Step::Birth { device: false, null: false });
    let next = |bench: &Bench| bench.pipeline.plant.nodes()[0].sequence.next();
    let metrics = vec![by_name("double", Value::Double(1.0))];
    let mut payload = Payload { metrics, seq: Some(1), ..Payload::default() }.encode_to_vec();
    let at = payload.windows(6).position(|bytes| bytes == b"double").unwrap();
    payload[at] = 0xff;
    let (mut inflated, topic) = (Vec::new(), "spBv1.0/G/NDATA/E");
    let refused =
        Decoded::data(&payload, &mut inflated, &mut MetricRoom::default(), &Caps::DEFAULT);
    let reason = refused.err().as_ref().map(reason_of);
    assert_eq!(reason, Some(Reason::MalformedPayload));
    bench.receive(Received { topic, payload: &payload, retain: false, dup: false, assured: true });
    assert_eq!(next(&bench), Some(2));
}

/// Late data goes the long way: it may be older than what is current.
#[test]
fn late_data_does_not_take_the_fast_path() {
    let mut bench = Bench::new(ALL);
    run(&mut bench, &Step::Birth { device: false, null: false });
    let send = |bench: &mut Bench, seq: u64, timestamp: u64, value: f64| {
        let metric = Metric { timestamp: Some(timestamp), ..by_alias(5, Value::Double(value)) };
        let payload = Payload { metrics: vec![metric], seq: Some(seq), ..Payload::default() };
        let (topic, payload) = ("spBv1.0/G/NDATA/E", payload.encode_to_vec());
        let received =
            Received { topic, payload: &payload, retain: false, dup: false, assured: true };
        bench.receive(received);
    };
    let next = u64::from(bench.pipeline.plant.nodes()[0].sequence.next().unwrap());
    send(&mut bench, next + 1, u64::MAX - 1, 2.0);
    send(&mut bench, next, u64::MAX - 2, 1.0);
    let slot = bench.pipeline.plant.nodes()[0].own.layout.slot(5).unwrap();
    assert_eq!(slot.current.value, Some(Value::Double(2.0)), "what is late is history");
}

/// Every change of what decides about the fast path is followed by the bit that says so.
fn assert_bits(bench: &Bench) {
    for node in bench.pipeline.plant.nodes() {
        for state in std::iter::once(&node.own).chain(node.devices.values().map(|state| &**state)) {
            for slot in &state.layout.slots {
                let limited = match slot.verdict() {
                    Verdict::Forward { rule, .. } => bench.pipeline.limiter.limits(rule),
                    Verdict::Redact { .. } | Verdict::Drop { .. } => true,
                };
                let is_eligible = matches!(slot.verdict(), Verdict::Forward { .. })
                    && !limited
                    && slot.is_born()
                    && slot.held().is_none()
                    && !slot.is_nulled()
                    && slot.shaper().is_none_or(|shaper| !shaper.looks());
                assert_eq!(slot.is_eligible(), is_eligible, "{slot:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn the_fast_path_does_what_the_long_way_does(
        first in 0..POLICIES.len(), steps in vec(step(), 0..80),
    ) {
        // The fast path or not, by places or by names.
        let ways = [(true, false), (false, false), (true, true), (false, true)];
        let [mut fast, others @ ..] = ways.map(|(takes_fast_path, by_names)| {
            let mut bench = Bench::new(POLICIES[first]);
            bench.pipeline.takes_fast_path = takes_fast_path;
            if by_names {
                bench.pipeline.tell_by_names();
            }
            run(&mut bench, &Step::Birth { device: false, null: false });
            run(&mut bench, &Step::Birth { device: true, null: false });
            bench
        });
        let mut others = others;
        for step in &steps {
            run(&mut fast, step);
            assert_bits(&fast);
            for other in &mut others {
                run(other, step);
                if fast.journal != other.journal {
                    // NaN isn't itself.
                    assert_eq!(state(&fast).0, state(other).0, "{step:?}");
                }
            }
        }
        for other in &others {
            assert_eq!(state(&fast), state(other));
        }
        // By places where it can be.
        let [long, fast_named, long_named] = &others;
        assert_eq!(fast.told, long.told);
        assert_eq!((fast_named.told, long_named.told), ((0, 0), (0, 0)));
    }
}

#[test]
fn plain_data_takes_the_fast_path_and_other_data_does_not() {
    let mut bench = Bench::new(ALL);
    run(&mut bench, &Step::Birth { device: false, null: false });
    let takes = |bench: &mut Bench, metrics: Vec<Metric>| {
        let payload = Payload { metrics, seq: Some(1), ..Payload::default() }.encode_to_vec();
        let (mut inflated, mut out) = (Vec::new(), Vec::new());
        let decoded =
            Decoded::data(&payload, &mut inflated, &mut MetricRoom::default(), &Caps::DEFAULT)
                .unwrap();
        let (mut step, plant) = bench.pipeline.step(bench.now, &mut out);
        let mut node = plant.nodes()[0].clone();
        match &decoded {
            Decoded::Scalars(scalars) => step.fast_path(&mut node, None, scalars).is_some(),
            Decoded::Model(_) => false,
        }
    };
    let double = || by_name("double", Value::Double(1.0));
    assert!(takes(&mut bench, vec![double()]));
    assert!(takes(&mut bench, vec![by_alias(5, Value::Double(1.0)), by_alias(0, Value::Int(1))]));
    assert!(takes(&mut bench, vec![Metric { datatype: Some(10), alias: Some(5), ..double() }]));
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
        assert!(!takes(&mut bench, vec![double(), other.clone()]), "{other:?}");
    }
    assert!(!takes(&mut bench, vec![]));
    let policies = [
        POLICIES[2],
        POLICIES[3],
        "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\n\
         [limits.link]\nbytes-per-s = 500\n",
        "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\ndeny-metrics = \"double\"\n",
    ];
    for text in policies {
        let mut out = Vec::new();
        bench.pipeline.reload(bench.now, policy(text), &mut out);
        assert!(!takes(&mut bench, vec![double()]), "{text}");
    }
}

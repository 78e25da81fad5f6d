//! What doesn't fit where it stands, or can't be read beside a value, stays behind by name and reason:
//! nothing of a message vanishes without a count and a line.

use account::{LedgerEntry, Reason};
use sparkplug::{
    DataType, MetaData, Metric, Parameter, ParameterValue, Payload, Property, PropertySet,
    PropertySetList, PropertyValue, Template, Value,
};
use telemetry::Record;
use telemetry::capture::capture;

use super::bench::{ALL, Bench, aliased, bd_seq, by_name, names_of, payload, typed, verbs};

const OPEN: &str = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n\
                    [rule.shape]\nproperties = [\"**\"]\nparameters = [\"**\"]\n";

fn number(name: &str, value: u32) -> Metric {
    typed(name, DataType::Int32, Value::Int(value))
}

fn of_property(datatype: DataType, value: Property) -> PropertyValue {
    PropertyValue { r#type: Some(datatype.code()), is_null: None, value: Some(value) }
}

fn set(key: &str, value: PropertyValue) -> PropertySet {
    PropertySet { keys: vec![key.into()], values: vec![value] }
}

fn sets_in_sets(depth: usize) -> PropertySet {
    let mut inner = set("leaf", of_property(DataType::Int32, Property::Int(1)));
    for _ in 0..depth {
        inner = set("k", of_property(DataType::PropertySet, Property::Set(inner)));
    }
    inner
}

fn lists_in_lists(depth: usize) -> PropertySet {
    let mut inner = set("leaf", of_property(DataType::Int32, Property::Int(1)));
    for _ in 0..depth {
        let list = PropertySetList { sets: vec![inner] };
        inner = set("k", of_property(DataType::PropertySetList, Property::SetList(list)));
    }
    inner
}

fn with(metric: Metric, properties: PropertySet) -> Metric {
    Metric { properties: Some(Box::new(properties)), ..metric }
}

fn template(name: &str, template: Template) -> Metric {
    typed(name, DataType::Template, Value::Template(Box::new(template)))
}

fn definition(name: &str, metrics: Vec<Metric>) -> Metric {
    template(name, Template { metrics, is_definition: Some(true), ..Template::default() })
}

fn instance(name: &str, reference: &str, metrics: Vec<Metric>) -> Metric {
    let reference = Some(reference.into());
    template(name, Template { metrics, template_ref: reference, ..Template::default() })
}

fn members(metric: &Metric) -> Vec<(&str, Option<&Value>)> {
    let Some(Value::Template(template)) = &metric.value else { panic!("{metric:?}") };
    template
        .metrics
        .iter()
        .map(|member| (member.name.as_deref().unwrap(), member.value.as_ref()))
        .collect()
}

/// The lines about refused metrics.
fn lines(told: &[Record]) -> Vec<String> {
    told.iter().map(Record::message).filter(|line| line.starts_with("metric refused")).collect()
}

/// Sends data, of which the value crosses; what is said of it.
#[track_caller]
fn said_of_data(metric: Metric, reason: Reason) -> String {
    let mut bench = Bench::new(OPEN);
    bench.node("NBIRTH", vec![bd_seq(0), number("x", 1), number("y", 1)]);
    let mut crossed = Vec::new();
    let told = capture(|| crossed = bench.node("NDATA", vec![metric, by_name("y", Value::Int(2))]));
    assert_eq!(names_of(&payload(&crossed[0])), ["x", "y"]);
    assert_eq!(payload(&crossed[0]).metrics[0].value, Some(Value::Int(2)));
    assert_eq!((bench.dropped_metrics(reason), bench.dropped(reason)), (1, 0));
    let lines = lines(&told);
    assert_eq!(lines.len(), 1, "{told:?}");
    lines[0].clone()
}

#[test]
fn properties_that_are_nested_too_deeply_are_counted_and_told_in_data_as_in_births() {
    let wanted = "metric=x reason=over_cap got=\"more than 16 levels of nesting\" \
                  wanted=\"at most 16\" key=limits.nesting metrics=1";
    for deep in [sets_in_sets(17), lists_in_lists(17)] {
        let line = said_of_data(with(by_name("x", Value::Int(2)), deep.clone()), Reason::OverCap);
        assert!(line.contains("node=G/E topic=spBv1.0/G/NDATA/E "), "{line}");
        assert!(line.contains(wanted), "{line}");
        let mut bench = Bench::new(OPEN);
        let told = capture(|| {
            bench.node("NBIRTH", vec![bd_seq(0), with(number("x", 1), deep)]);
        });
        assert!(lines(&told)[0].contains(wanted), "{told:?}");
        assert_eq!(bench.dropped_metrics(Reason::OverCap), 1);
    }
}

#[test]
fn properties_that_are_not_nested_too_deeply_cross_as_they_are() {
    let mut bench = Bench::new(OPEN);
    bench.node("NBIRTH", vec![bd_seq(0), number("x", 1)]);
    for kept in [sets_in_sets(15), lists_in_lists(7)] {
        let data = with(by_name("x", Value::Int(2)), kept.clone());
        let crossed = bench.node("NDATA", vec![data]);
        assert_eq!(payload(&crossed[0]).metrics[0].properties.as_deref(), Some(&kept));
    }
    assert_eq!(bench.dropped_metrics(Reason::OverCap), 0);
}

#[test]
fn metadata_that_cannot_be_read_is_counted_and_told_in_data() {
    let description = Some("d".repeat(300_000));
    let metadata = Some(Box::new(MetaData { description, ..MetaData::default() }));
    let metric = Metric { metadata, ..by_name("x", Value::Int(2)) };
    let line = said_of_data(metric, Reason::OverCap);
    assert!(line.contains("got=\"300000 of 262144 bytes in a text\""), "{line}");
    assert!(line.contains("key=limits.text-bytes"), "{line}");
}

#[test]
fn what_is_beside_the_value_of_a_new_or_refused_metric_is_counted_too() {
    let mut bench = Bench::new(OPEN);
    bench.node("NBIRTH", vec![bd_seq(0), number("x", 1)]);
    let deep = || sets_in_sets(17);
    let unknown = Metric { alias: Some(99), value: Some(Value::Int(1)), ..Metric::default() };
    let all = vec![with(number("new", 1), deep()), with(unknown, deep())];
    bench.pass(2_000);
    bench.node("NDATA", all);
    assert_eq!(bench.dropped_metrics(Reason::OverCap), 2);
    assert_eq!(bench.dropped_metrics(Reason::UnknownMetric), 1);
}

#[test]
fn a_property_with_too_long_a_path_is_told_and_not_left_out_in_silence() {
    let long = || "k".repeat(1_000);
    let mut inner = set(&long(), of_property(DataType::Int32, Property::Int(1)));
    for _ in 0..5 {
        inner = set(&long(), of_property(DataType::PropertySet, Property::Set(inner)));
    }
    let line = said_of_data(with(by_name("x", Value::Int(2)), inner), Reason::OverCap);
    assert!(line.contains("got=\"5004 bytes in the name of a property"), "{line}");
    assert!(line.contains("wanted=\"at most 4096\""), "{line}");
}

#[test]
fn properties_of_members_are_mended_as_those_of_metrics_are() {
    let mut bench = Bench::new(OPEN);
    let odd = set("k", of_property(DataType::Int32, Property::String("7".into())));
    let member = with(number("rpm", 1), odd);
    let birth = vec![
        bd_seq(0),
        definition("Motor", vec![number("rpm", 0)]),
        instance("M", "Motor", vec![member]),
    ];
    let told = capture(|| {
        bench.node("NBIRTH", birth);
    });
    assert_eq!(bench.dropped_metrics(Reason::TypeMismatch), 1);
    assert!(lines(&told)[0].contains("metric=M reason=type_mismatch"), "{told:?}");
}

/// Members that the definition lacks, that are of another type, that are left out, that come
/// twice.
#[test]
fn what_is_taken_out_of_an_instance_is_counted_by_its_name_and_reason() {
    let mut bench = Bench::new(ALL);
    let motor = vec![number("rpm", 0), typed("amps", DataType::Double, Value::Double(0.0))];
    let text = |name: &str| typed(name, DataType::String, Value::String("much".into()));
    bench.pipeline.watch();
    let mut birth = Vec::new();
    let told = capture(|| {
        birth = bench.node(
            "NBIRTH",
            vec![
                bd_seq(0),
                definition("Motor", motor),
                instance("M1", "Motor", vec![number("rpm", 5), text("amps"), number("extra", 7)]),
                instance("M2", "Motor", vec![number("rpm", 6), number("rpm", 7)]),
            ],
        );
    });
    let birth = payload(&birth[0]);
    let of = |name: &str| {
        let found = birth.metrics.iter().find(|metric| metric.name.as_deref() == Some(name));
        members(found.unwrap())
    };
    assert_eq!(of("M1"), [("rpm", Some(&Value::Int(5))), ("amps", None)]);
    // A birth has all members.
    assert_eq!(of("M2"), [("rpm", Some(&Value::Int(6))), ("amps", None)]);
    let of_metric = |entry| match entry {
        LedgerEntry::Dropped { metric, reason, .. } => Some((metric, reason)),
        LedgerEntry::Settled(_) => None,
    };
    let (entries, _) = bench.pipeline.take_watched();
    let mut dropped: Vec<(String, Reason)> = entries.into_iter().filter_map(of_metric).collect();
    dropped.sort();
    assert_eq!(
        dropped,
        [
            ("M1/amps".to_owned(), Reason::TypeMismatch),
            ("M1/extra".to_owned(), Reason::UnknownMetric),
            ("M2/rpm".to_owned(), Reason::MalformedPayload),
        ]
    );
    let lines = lines(&told);
    assert!(
        lines[0].ends_with(
            "metric=M1/amps reason=type_mismatch got=string_value wanted=Double metrics=3"
        ),
        "{lines:?}"
    );
}

#[test]
fn data_of_members_that_the_definition_lacks_is_no_empty_instance() {
    let mut bench = Bench::new(ALL);
    bench.node(
        "NBIRTH",
        vec![
            bd_seq(0),
            definition("Motor", vec![number("rpm", 0)]),
            instance("M1", "Motor", vec![number("rpm", 5)]),
        ],
    );
    let told = capture(|| {
        let data = instance("M1", "Motor", vec![number("extra", 8)]);
        assert_eq!(bench.node("NDATA", vec![data]), []);
    });
    assert_eq!(bench.dropped(Reason::UnknownMetric), 1);
    assert_eq!(bench.dropped_metrics(Reason::UnknownMetric), 1);
    assert!(
        lines(&told)[0].contains(
            "metric=M1/extra reason=unknown_metric got=\"a new name\" \
             wanted=\"a member or parameter of the definition\""
        ),
        "{told:?}"
    );
    // What it had before holds.
    bench.pass(60_000);
    bench.tick();
    let data = instance("M1", "Motor", vec![number("rpm", 6), number("extra", 9)]);
    let data = bench.node("NDATA", vec![data]);
    assert_eq!(members(&payload(&data[0]).metrics[0]), [("rpm", Some(&Value::Int(6)))]);
}

#[test]
fn members_beyond_those_with_names_are_counted_by_number() {
    let mut bench = Bench::new(ALL);
    let birth = vec![bd_seq(0), definition("T", vec![number("a", 0)]), instance("x", "T", vec![])];
    bench.node("NBIRTH", birth);
    let others = (0..200).map(|place| number(&format!("n{place}"), 1)).collect();
    bench.node("NDATA", vec![instance("x", "T", others)]);
    assert_eq!(bench.dropped_metrics(Reason::UnknownMetric), 200);
}

#[test]
fn a_member_that_births_lack_comes_by_a_birth_before_data_has_it() {
    let mut bench = Bench::new(OPEN);
    let motor = || {
        let inner = instance("in", "Inner", vec![number("a", 0)]);
        let parameter = Parameter {
            name: Some("make".into()),
            r#type: Some(DataType::String.code()),
            value: Some(ParameterValue::String("x".into())),
        };
        let Metric { name, value, .. } = definition(
            "Motor",
            vec![number("rpm", 0), typed("amps", DataType::Double, Value::Double(0.0)), inner],
        );
        let Some(Value::Template(mut motor)) = value else { panic!() };
        motor.parameters.push(parameter);
        typed(&name.unwrap(), DataType::Template, Value::Template(motor))
    };
    let inner = || definition("Inner", vec![number("a", 0), number("b", 0)]);
    let whole = instance("in", "Inner", vec![number("a", 1)]);
    bench.node(
        "NBIRTH",
        vec![bd_seq(0), inner(), motor(), instance("M", "Motor", vec![number("rpm", 5), whole])],
    );
    let amps = || typed("amps", DataType::Double, Value::Double(1.5));
    let deeper = || instance("in", "Inner", vec![number("b", 2)]);
    for (more, then) in [(vec![amps()], "NDATA"), (vec![deeper()], "NDATA")] {
        bench.pass(2_000);
        let crossed = bench.node("NDATA", vec![instance("M", "Motor", more.clone())]);
        assert_eq!(verbs(&crossed), "NBIRTH", "{more:?}");
        let crossed = bench.node("NDATA", vec![instance("M", "Motor", more)]);
        assert_eq!(verbs(&crossed), then);
    }
}

#[test]
fn definitions_that_cannot_be_used_are_counted_and_told() {
    let mut bench = Bench::new(ALL);
    let untyped = Metric { name: Some("untyped".into()), ..Metric::default() };
    let told = capture(|| {
        bench.node(
            "NBIRTH",
            vec![
                bd_seq(0),
                definition("Loop", vec![instance("in", "Loop", vec![])]),
                definition("Twice", vec![number("a", 0), number("a", 1)]),
                definition("Good", vec![number("a", 0), untyped]),
                instance("l", "Loop", vec![]),
                instance("g", "Good", vec![number("a", 1)]),
                instance("n", "Nothing", vec![]),
            ],
        );
    });
    // The definition and its instance.
    assert_eq!(bench.dropped_metrics(Reason::OverCap), 2);
    assert_eq!(bench.dropped_metrics(Reason::MalformedPayload), 1);
    // A member of `Good`, and the instance of nothing.
    assert_eq!(bench.dropped_metrics(Reason::TypeMismatch), 2);
    let lines = lines(&told);
    assert!(lines[0].contains("metric=Loop reason=over_cap"), "{lines:?}");
    assert!(lines[0].contains("more than 16 levels"), "{lines:?}");
    assert!(lines[0].contains("key=limits.nesting metrics=3"), "{lines:?}");
    assert!(lines[1].contains("metric=l reason=over_cap"), "{lines:?}");
}

#[test]
fn names_and_aliases_of_two_metrics_are_counted_and_told() {
    let mut bench = Bench::new(ALL);
    let told = capture(|| {
        bench.node(
            "NBIRTH",
            vec![
                bd_seq(0),
                number("a", 1),
                number("a", 2),
                aliased("b", 7, DataType::Int32, Value::Int(1)),
                aliased("c", 7, DataType::Int32, Value::Int(1)),
            ],
        );
    });
    assert_eq!(bench.dropped_metrics(Reason::MalformedPayload), 2);
    let line = &lines(&told)[0];
    assert!(line.contains("metric=a reason=malformed_payload"), "{line}");
    assert!(line.contains("got=\"its name a second time\""), "{line}");
    assert!(line.ends_with("metrics=2"), "{line}");
}

#[test]
fn a_number_of_a_session_that_is_none_is_told() {
    let mut bench = Bench::new(ALL);
    let zero = typed("bdSeq", DataType::String, Value::String("zero".into()));
    let told = capture(|| {
        bench.node("NBIRTH", vec![zero, number("a", 1)]);
    });
    let line = &lines(&told)[0];
    assert!(line.contains("metric=bdSeq reason=type_mismatch"), "{line}");
    assert!(line.contains("wanted=Int64"), "{line}");
    assert_eq!(bench.dropped_metrics(Reason::TypeMismatch), 1);
}

#[test]
fn metrics_of_deaths_are_counted_and_told() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(0), number("a", 1)]);
    bench.node("DBIRTH/D", vec![number("a", 1)]);
    let told = capture(|| {
        bench.node("DDEATH/D", vec![number("last", 1)]);
        bench.node("NDEATH", vec![bd_seq(0), number("last", 1), number("words", 1)]);
    });
    assert_eq!(bench.dropped_metrics(Reason::UnknownMetric), 3);
    let lines = lines(&told);
    assert!(lines[0].contains("topic=spBv1.0/G/DDEATH/E/D metric=last"), "{lines:?}");
    assert!(lines[1].contains("topic=spBv1.0/G/NDEATH/E metric=last"), "{lines:?}");
    assert!(lines[1].ends_with("metrics=2"), "{lines:?}");
}

#[test]
fn a_definition_by_the_name_of_another_metric_is_unusable() {
    let mut bench = Bench::new(ALL);
    let metrics = vec![definition("x", vec![]), number("x", 1), instance("Motor1", "x", vec![])];
    let born = bench.node("NBIRTH", metrics);
    assert_eq!(names_of(&payload(&born[0])), ["x"]);
    assert_eq!(bench.dropped_metrics(Reason::MalformedPayload), 2);
}

#[test]
fn a_node_that_leaves_its_numbers_out_is_told_once() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(0), number("a", 1)]);
    let told = capture(|| {
        for value in 0..40 {
            let metrics = vec![by_name("a", Value::Int(value))];
            let timestamp = Some(bench.now.wall_ms);
            let payload = Payload { timestamp, metrics, ..Payload::default() };
            bench.send("spBv1.0/G/NDATA/E", &payload);
            bench.pass(10);
        }
    });
    let lines: Vec<String> = told.iter().map(Record::message).collect();
    assert_eq!(lines, ["the edge node does not count its messages by seq node=G/E"]);
    assert_eq!(bench.pipeline.counters().gaps, 0);
}

/// The message that is too much for the bounds of what waits is counted before it makes room.
#[test]
fn large_messages_out_of_order_are_accounted_for() {
    let mut bench = Bench::new(ALL);
    let texts = |round: u64| {
        let long = format!("{round}{}", "t".repeat(30_000));
        let text =
            |at: u64| typed(&format!("t{at}"), DataType::String, Value::String(long.clone()));
        (0..10).map(text).collect::<Vec<_>>()
    };
    bench.node("NBIRTH", vec![bd_seq(0)]);
    for round in 0..40_u64 {
        for at in 0..3 {
            let (seq, timestamp) = (Some((round * 7 + 10 + at * 2) % 256), Some(bench.now.wall_ms));
            let metrics = texts(round * 3 + at);
            let payload = Payload { timestamp, seq, metrics, ..Payload::default() };
            // The account is looked at behind each message.
            bench.send("spBv1.0/G/NDATA/E", &payload);
        }
        bench.pass(20);
        bench.tick();
    }
}

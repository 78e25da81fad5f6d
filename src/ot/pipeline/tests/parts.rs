//! Messages of which a part is bad: that part stays behind, is counted and told, and readers doubt
//! what they had of it. The rest crosses.

use account::Reason;
use sparkplug::{
    Caps, Cell, CellValue, DataSet, DataType, Metric, Payload, Property, PropertySet,
    PropertyValue, Row, Value,
};
use telemetry::capture::{capture, triggered};
use telemetry::{Event, Record};

use super::bench::{ALL, Bench, aliased, bd_seq, by_alias, by_name, payload, settings, typed};
use crate::{PipelineSettings, Received};

fn text(name: &str, value: &str) -> Metric {
    typed(name, DataType::String, Value::String(value.into()))
}

fn number(name: &str, value: u32) -> Metric {
    typed(name, DataType::Int32, Value::Int(value))
}

/// Sends a message with `metrics`, in which each `@@` becomes bytes that aren't UTF-8.
fn send(bench: &mut Bench, verb: &str, metrics: Vec<Metric>) -> Vec<Metric> {
    use prost::Message;
    let seq = if verb == "NBIRTH" { 0 } else { bench.seq };
    bench.seq = (seq + 1) % 256;
    let sent = Payload {
        timestamp: Some(bench.now.wall_ms),
        metrics,
        seq: Some(seq),
        ..Payload::default()
    };
    let mut bytes = sent.encode_to_vec();
    while let Some(place) = bytes.windows(2).position(|window| window == b"@@") {
        bytes[place..][..2].copy_from_slice(b"\xfc\xfc");
    }
    let topic = format!("spBv1.0/G/{verb}/E");
    let received =
        Received { topic: &topic, payload: &bytes, retain: false, dup: false, assured: false };
    let bodies = bench.receive(received);
    assert_eq!(bench.pipeline.check_account(), Ok(()));
    let relayed = super::bench::relayed(&bodies);
    relayed.iter().flat_map(|relayed| payload(relayed).metrics).collect()
}

fn find<'a>(metrics: &'a [Metric], name: &str) -> &'a Metric {
    metrics.iter().find(|metric| metric.name.as_deref() == Some(name)).unwrap()
}

fn quality(metric: &Metric) -> Option<u32> {
    let set = metric.properties.as_deref()?;
    let place = set.keys.iter().position(|key| key == "Quality")?;
    match set.values[place].value {
        Some(Property::Int(quality)) => Some(quality),
        _ => None,
    }
}

/// Whether readers are told that the value isn't known.
#[track_caller]
fn assert_doubted(metric: &Metric) {
    assert_eq!((&metric.value, metric.is_null), (&None, Some(true)), "{metric:?}");
    assert_eq!(quality(metric), Some(0), "{metric:?}");
}

fn line(told: &[Record]) -> String {
    let lines: Vec<String> = told
        .iter()
        .map(Record::message)
        .filter(|line| line.starts_with("metric refused"))
        .collect();
    assert_eq!(lines.len(), 1, "{told:?}");
    lines[0].clone()
}

#[test]
fn a_text_that_is_not_utf8_is_null_in_a_birth_and_the_rest_is_as_it_was() {
    let mut bench = Bench::new(ALL);
    let mut born = Vec::new();
    let told = capture(|| {
        born = send(&mut bench, "NBIRTH", vec![bd_seq(0), text("a", "K@@hler"), number("x", 1)]);
    });
    let bad = find(&born, "a");
    assert_eq!((&bad.value, bad.is_null, bad.datatype), (&None, Some(true), Some(12)));
    assert_eq!(find(&born, "x").value, Some(Value::Int(1)));
    assert_eq!(bench.dropped_metrics(Reason::MalformedPayload), 1);
    triggered(&told, Event::MetricRefused);
    assert_eq!(
        line(&told),
        "metric refused node=G/E topic=spBv1.0/G/NBIRTH/E metric=a reason=malformed_payload \
         got=\"a text that isn't UTF-8\" wanted=\"a value that can be read\" metrics=1"
    );
    // The next value is one like any other.
    let data = send(&mut bench, "NDATA", vec![by_name("a", Value::String("b".into()))]);
    assert_eq!(data[0].value, Some(Value::String("b".into())));
}

#[test]
fn data_that_cannot_be_read_takes_the_value_back_that_readers_have() {
    let mut bench = Bench::new(ALL);
    send(&mut bench, "NBIRTH", vec![bd_seq(0), text("a", "good"), number("x", 1)]);
    let data = send(
        &mut bench,
        "NDATA",
        vec![by_name("a", Value::String("@@".into())), by_name("x", Value::Int(2))],
    );
    assert_eq!(find(&data, "x").value, Some(Value::Int(2)));
    assert_doubted(find(&data, "a"));
    assert_eq!(bench.dropped_metrics(Reason::MalformedPayload), 1);
    // Said once, however often the plant repeats it.
    let again = send(&mut bench, "NDATA", vec![by_name("a", Value::String("@@".into()))]);
    assert_eq!(again, []);
    assert_eq!(bench.dropped(Reason::MalformedPayload), 1);
    // What can be read is good again, and says so.
    let data = send(&mut bench, "NDATA", vec![by_name("a", Value::String("new".into()))]);
    assert_eq!(find(&data, "a").value, Some(Value::String("new".into())));
    assert_eq!(quality(find(&data, "a")), Some(192));
    let data = send(&mut bench, "NDATA", vec![by_name("a", Value::String("newer".into()))]);
    assert_eq!(quality(find(&data, "a")), None);
}

#[test]
fn a_value_of_another_datatype_takes_the_value_back_too() {
    for (datatype, good, bad) in [
        (DataType::Int32, Value::Int(1), Value::Long(1)),
        (DataType::Double, Value::Double(1.0), Value::Float(1.0)),
        (DataType::Boolean, Value::Boolean(true), Value::Int(1)),
        (DataType::UInt8, Value::Int(1), Value::Int(256)),
        (DataType::String, Value::String("a".into()), Value::Bytes(vec![1])),
    ] {
        let mut bench = Bench::new(ALL);
        send(&mut bench, "NBIRTH", vec![bd_seq(0), aliased("v", 7, datatype, good.clone())]);
        let mut data = Vec::new();
        let told = capture(|| data = send(&mut bench, "NDATA", vec![by_alias(7, bad)]));
        assert_doubted(find(&data, "v"));
        assert!(line(&told).contains("metric=v reason=type_mismatch got="), "{told:?}");
        assert!(line(&told).ends_with(&format!("wanted={datatype} metrics=1")), "{told:?}");
        let data = send(&mut bench, "NDATA", vec![by_alias(7, good.clone())]);
        assert_eq!((&find(&data, "v").value, quality(&data[0])), (&Some(good), Some(192)));
    }
}

#[test]
fn the_same_number_under_another_datatype_is_the_value() {
    let cases = [
        (DataType::DateTime, DataType::Int64, Value::Long(1_700_000_000_000), true),
        (DataType::UInt64, DataType::Int64, Value::Long(7), true),
        (DataType::UInt64, DataType::Int64, Value::Long(u64::MAX), false),
        (DataType::Int32, DataType::Int8, Value::Int(5), true),
        (DataType::Int32, DataType::Int8, Value::Int(255), false),
        (DataType::Text, DataType::String, Value::String("x".into()), true),
        (DataType::Int32, DataType::String, Value::String("5".into()), false),
    ];
    for (born, said, value, crosses) in cases {
        let mut bench = Bench::new(ALL);
        let null = Metric { value: None, ..typed("v", born, value.clone()) };
        send(&mut bench, "NBIRTH", vec![bd_seq(0), null]);
        let data = send(&mut bench, "NDATA", vec![typed("v", said, value.clone())]);
        let told = data.first().and_then(|metric| metric.value.clone());
        assert_eq!(told, crosses.then_some(value), "{said} for {born}");
        assert_eq!(bench.dropped(Reason::TypeMismatch), u64::from(!crosses));
    }
}

#[test]
fn of_a_bad_and_a_good_value_in_one_message_the_last_one_counts() {
    let good = || by_name("a", Value::String("good".into()));
    let bad = || by_name("a", Value::String("@@".into()));
    for (metrics, is_doubted) in [(vec![good(), bad()], true), (vec![bad(), good()], false)] {
        let mut bench = Bench::new(ALL);
        send(&mut bench, "NBIRTH", vec![bd_seq(0), text("a", "before")]);
        let data = send(&mut bench, "NDATA", metrics);
        let last = data.last().unwrap();
        assert_eq!(last.value.is_none(), is_doubted, "{data:?}");
        assert_eq!(data.len(), if is_doubted { 2 } else { 1 });
    }
}

#[test]
fn what_is_late_or_historical_doubts_nothing() {
    let mut bench = Bench::new(ALL);
    send(&mut bench, "NBIRTH", vec![bd_seq(0), text("a", "good")]);
    let old = Metric { is_historical: Some(true), ..by_name("a", Value::String("@@".into())) };
    assert_eq!(send(&mut bench, "NDATA", vec![old]), []);
    assert_eq!(bench.dropped(Reason::MalformedPayload), 1);
}

#[test]
fn a_doubt_holds_over_births_of_the_relay_and_restarts() {
    let mut bench = Bench::new(ALL);
    send(&mut bench, "NBIRTH", vec![bd_seq(0), text("a", "good"), number("x", 1)]);
    let stored = bench.pipeline.store(1);
    send(&mut bench, "NDATA", vec![by_name("a", Value::String("@@".into()))]);
    // A metric that comes late makes a birth of the relay's own.
    bench.pass(2_000);
    let born = send(&mut bench, "NDATA", vec![number("late", 1)]);
    assert_doubted(find(&born, "a"));
    let (later, at) = (bench.pipeline.store(1), bench.journal.len());
    for (stored, at) in [(stored, 1), (later, at)] {
        let mut again = restarted(&bench, stored, at);
        let data = send(&mut again, "NDATA", vec![by_name("a", Value::String("new".into()))]);
        assert_eq!(quality(find(&data, "a")), Some(192), "{at}");
    }
}

fn restarted(bench: &Bench, stored: crate::plant::StoredPlant, at: usize) -> Bench {
    let mut again = Bench::new(ALL);
    again.journal.clone_from(&bench.journal);
    bench.journal.iter().for_each(|body| again.reader.read(body));
    again.seq = bench.seq;
    again.now = bench.now;
    again.restart(stored, at, ALL);
    again
}

#[test]
fn a_metric_that_is_denied_is_no_less_so_when_it_is_bad() {
    const ONE: &str = "[[rule]]\nname = \"one\"\naction = \"forward\"\ngroup = \"G\"\n\
                       deny-metrics = [\"secret\"]\n";
    let mut bench = Bench::new(ONE);
    let born =
        send(&mut bench, "NBIRTH", vec![bd_seq(0), text("secret", "K@@hler"), number("x", 1)]);
    assert!(born.iter().all(|metric| metric.name.as_deref() != Some("secret")));
    assert_eq!(send(&mut bench, "NDATA", vec![by_name("secret", Value::String("@@".into()))]), []);
    assert!(!bench.leaks("secret"));
}

#[test]
fn a_bad_name_is_one_of_the_message() {
    for bad in [text("K@@hler", "x"), text(&"n".repeat(1_025), "x")] {
        let mut bench = Bench::with(PipelineSettings { caps: Caps::default(), ..settings() }, ALL);
        let told = capture(|| {
            let born = send(&mut bench, "NBIRTH", vec![bd_seq(0), bad.clone(), number("x", 1)]);
            assert_eq!(born, []);
        });
        triggered(&told, Event::PayloadRefused);
    }
}

#[test]
fn a_refusal_says_how_many_of_how_many_and_which_key_raises_it() {
    let caps = Caps { metrics: 20, text_bytes: 10, ..Caps::default() };
    let mut bench = Bench::with(PipelineSettings { caps, ..settings() }, ALL);
    let many = (0..25).map(|place| number(&format!("m{place}"), 1)).collect();
    let told = capture(|| {
        send(&mut bench, "NBIRTH", many);
    });
    let said = told[0].message();
    assert!(
        said.ends_with(
            "problem=\"25 of 20 metrics in a payload\" limit=20 key=limits.metrics-per-payload"
        ),
        "{said}"
    );
    let told = capture(|| {
        send(&mut bench, "NBIRTH", vec![bd_seq(0), text("long", "01234567890")]);
    });
    assert!(
        line(&told).contains(
            "metric=long reason=over_cap got=\"11 of 10 bytes in a text\" wanted=\"at most 10\" \
             key=limits.text-bytes"
        ),
        "{told:?}"
    );
}

#[test]
fn more_metrics_than_an_entity_may_have_are_refused_one_by_one() {
    let caps = Caps { metrics: 3, ..Caps::default() };
    let mut bench = Bench::with(PipelineSettings { caps, ..settings() }, ALL);
    send(&mut bench, "NBIRTH", vec![bd_seq(0), number("a", 1), number("b", 1)]);
    bench.pass(2_000);
    send(&mut bench, "NDATA", vec![number("c", 1)]);
    bench.pass(2_000);
    let told = capture(|| {
        send(&mut bench, "NDATA", vec![number("d", 1)]);
    });
    assert_eq!(bench.dropped(Reason::OverCapacity), 1);
    assert!(line(&told).contains("key=limits.metrics-per-payload"), "{told:?}");
}

#[test]
fn properties_that_no_host_could_read_stay_behind() {
    let property = |code, value| PropertyValue { r#type: code, is_null: None, value: Some(value) };
    let set = PropertySet {
        keys: vec!["engUnit".into(), "engHigh".into(), "engLow".into()],
        values: vec![
            property(None, Property::String("°C".into())),
            property(Some(3), Property::String("150".into())),
            property(Some(10), Property::Double(-40.0)),
        ],
    };
    let mut bench = Bench::new(ALL);
    let metric = Metric { properties: Some(Box::new(set)), ..number("x", 1) };
    let born = send(&mut bench, "NBIRTH", vec![bd_seq(0), metric.clone()]);
    let told = find(&born, "x").properties.clone().unwrap();
    assert_eq!(told.keys, ["engUnit", "engLow"]);
    assert_eq!(told.values[0].r#type, Some(DataType::String.code()));
    assert_eq!(bench.dropped_metrics(Reason::TypeMismatch), 1);
    let data = send(&mut bench, "NDATA", vec![Metric { datatype: None, ..metric }]);
    assert_eq!(data[0].properties.as_ref().unwrap().keys, ["engUnit", "engLow"]);
}

#[test]
fn a_cell_that_is_not_of_its_column_makes_the_table_null() {
    let table = |cell| {
        let table = DataSet {
            num_of_columns: Some(1),
            columns: vec!["a".into()],
            types: vec![DataType::Int32.code()],
            rows: vec![Row { elements: vec![Cell { value: Some(cell) }] }],
        };
        typed("t", DataType::DataSet, Value::DataSet(Box::new(table)))
    };
    let mut bench = Bench::new(
        "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n\
         [rule.shape]\ncolumns = [\"**\"]\n",
    );
    let born = send(&mut bench, "NBIRTH", vec![bd_seq(0), table(CellValue::Int(1))]);
    assert!(find(&born, "t").value.is_some());
    let data = send(&mut bench, "NDATA", vec![table(CellValue::String("1".into()))]);
    assert_doubted(find(&data, "t"));
    assert_eq!(bench.dropped(Reason::TypeMismatch), 1);
}

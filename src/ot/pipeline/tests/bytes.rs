//! What data takes in the journal, per metric.

use journal_format::{Body, frame};
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Property, PropertySet, PropertyValue, Value};

use super::bench::{ALL, Bench, bd_seq, payload, value_of};
use crate::Received;

/// As long as names are in plants.
fn name(number: usize) -> String {
    format!("Line4/Press{number:03}/Hydraulics/Pressure")
}

/// Bytes that one message of these metrics takes in a journal, with all that is around it.
struct Journal {
    bench: Bench,
    seq: u64,
}

impl Journal {
    fn new(metrics: usize, datatype: DataType, value: &Value) -> Journal {
        let mut bench = Bench::new(ALL);
        let born = |number: usize| Metric {
            name: Some(name(number)),
            alias: Some(number as u64),
            datatype: Some(datatype.code()),
            value: Some(value.clone()),
            ..Metric::default()
        };
        let metrics = std::iter::once(bd_seq(3)).chain((0..metrics).map(born)).collect();
        bench.node("NBIRTH", metrics);
        Journal { bench, seq: 1 }
    }

    /// Bytes by places and by names.
    fn of(&mut self, metrics: Vec<Metric>) -> [usize; 2] {
        self.bench.pass(10);
        let seq = Some(self.seq);
        self.seq += 1;
        let timestamp = Some(self.bench.now.wall_ms - 3);
        let payload = Payload { timestamp, metrics, seq, ..Payload::default() };
        let payload = payload.encode_to_vec();
        let topic = "spBv1.0/G/NDATA/E";
        let received =
            Received { topic, payload: &payload, retain: false, dup: false, assured: true };
        let mut out = Vec::new();
        self.bench.pipeline.handle(self.bench.now, received, &mut out);
        assert_eq!(out.len(), 1);
        let body = Body::from(out.pop().unwrap());
        assert!(matches!(body, Body::Data(_)), "{body:?}");
        let named = self.bench.layouts.by_names(body.clone(), usize::MAX).unwrap();
        let bytes = |body: &Body| {
            let mut bytes = Vec::new();
            // After half a billion frames.
            frame::append(7, 500_000_000, self.bench.now.wall_ms, body, &mut bytes).unwrap();
            bytes.len()
        };
        [bytes(&body), bytes(&named)]
    }
}

fn by_alias(number: usize, value: Value) -> Metric {
    Metric { alias: Some(number as u64), value: Some(value), ..Metric::default() }
}

/// Bytes per metric of a message of so many, in tenths, by places and by names.
fn per_metric(
    count: usize,
    (datatype, value): (DataType, Value),
    change: impl Fn(usize, &mut Metric),
) -> [usize; 2] {
    let mut journal = Journal::new(count, datatype, &value);
    let metric = |number: usize| {
        let mut metric = by_alias(number, value.clone());
        change(number, &mut metric);
        metric
    };
    journal.of((0..count).map(metric).collect()).map(|bytes| bytes * 10 / count)
}

fn double() -> (DataType, Value) {
    (DataType::Double, Value::Double(13.37))
}

#[test]
fn a_double_takes_no_more_than_sixteen_bytes() {
    let plain = |_: usize, _: &mut Metric| {};
    let dated = |number: usize, metric: &mut Metric| {
        metric.timestamp = Some(1_700_000_000_000 - 90 * number as u64 % 1_000);
    };
    let flagged = |_: usize, metric: &mut Metric| {
        metric.is_historical = Some(true);
        metric.is_transient = Some(false);
    };
    let null = |_: usize, metric: &mut Metric| {
        (metric.value, metric.is_null) = (None, Some(true));
    };
    let quality = |_: usize, metric: &mut Metric| {
        let value = Some(Property::Int(192));
        let value = PropertyValue { r#type: Some(3), value, ..PropertyValue::default() };
        let (keys, values) = (vec!["Quality".into()], vec![value]);
        metric.properties = Some(Box::new(PropertySet { keys, values }));
    };
    let text = (DataType::String, Value::String("RUNNING".into()));
    let got = [
        // The frame around it is that of one metric alone.
        ("1", per_metric(1, double(), plain)),
        ("10", per_metric(10, double(), plain)),
        ("100", per_metric(100, double(), plain)),
        ("10 with times", per_metric(10, double(), dated)),
        ("100 with times", per_metric(100, double(), dated)),
        ("historical", per_metric(100, double(), flagged)),
        ("null", per_metric(100, double(), null)),
        ("with quality", per_metric(100, double(), quality)),
        ("text", per_metric(100, text, plain)),
    ];
    let wanted = [
        ("1", [460, 1180]),
        ("10", [127, 606]),
        ("100", [93, 546]),
        ("10 with times", [146, 606]),
        ("100 with times", [113, 546]),
        ("historical", [103, 586]),
        ("null", [13, 476]),
        ("with quality", [363, 726]),
        ("text", [93, 546]),
    ];
    assert_eq!(got, wanted);
}

#[test]
fn metrics_in_any_order_take_one_byte_more() {
    let mut journal = Journal::new(100, DataType::Double, &Value::Double(0.0));
    let shuffled = |number: usize| by_alias(number * 37 % 100, Value::Double(number as f64));
    let [bytes, _] = journal.of((0..100).map(shuffled).collect());
    assert_eq!(bytes * 10 / 100, 103);
}

#[test]
fn what_takes_few_bytes_is_the_same_by_names() {
    let mut bench = Bench::new(ALL);
    let born = |number| Metric {
        name: Some(name(number)),
        alias: Some(number as u64),
        datatype: Some(DataType::Double.code()),
        value: Some(Value::Double(0.0)),
        ..Metric::default()
    };
    bench.node("NBIRTH", vec![bd_seq(3), born(0), born(1)]);
    let told = bench.told;
    let got = bench.node("NDATA", vec![by_alias(1, Value::Double(7.0))]);
    assert_eq!(value_of(&payload(&got[0]), &name(1)), Some(Value::Double(7.0)));
    assert!(bench.told.0 - told.0 < bench.told.1 - told.1);
}

//! The short look at a keyframe: what it takes for known is what the long way finds no difference
//! in.

use proptest::prelude::*;
use prost::Message;
use sparkplug::{
    Caps, DataType, Metric, Payload, PropertySet, Value, decode, decode_borrowed, names,
};

use crate::mirror::layout::Layout;

fn metric(name: &str, datatype: DataType, value: Option<Value>) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        timestamp: Some(5),
        datatype: Some(datatype.code()),
        is_null: value.is_none().then_some(true),
        value,
        ..Metric::default()
    }
}

fn birth() -> Payload {
    let metrics = vec![
        metric(names::BD_SEQ, DataType::Int64, Some(Value::Long(3))),
        metric("int", DataType::Int32, Some(Value::Int(1))),
        metric("real", DataType::Double, Some(Value::Double(f64::NAN))),
        metric("text", DataType::String, Some(Value::String("a".to_owned()))),
        metric("flag", DataType::Boolean, Some(Value::Boolean(true))),
        metric("none", DataType::Int64, None),
    ];
    Payload { timestamp: Some(5), metrics, ..Payload::default() }
}

/// What the short look says of `newer`, and what the long way does.
fn looks(birth: &Payload, newer: &Payload) -> (bool, bool) {
    let decoded = |payload: &Payload| {
        let bytes = payload.encode_to_vec();
        decode(&bytes, &Caps::default()).ok().map(|decoded| (decoded.payload, bytes))
    };
    let (Some((birth, _)), Some((newer, bytes))) = (decoded(birth), decoded(newer)) else {
        return (false, false);
    };
    let (layout, _) = Layout::from_birth(birth, 1);
    let mut inflated = Vec::new();
    let borrowed = decode_borrowed(&bytes, &mut inflated, &Caps::default()).unwrap();
    let short = layout.is_repeated_by(&borrowed, &[]);
    let (newer, refused) = Layout::from_birth(newer, 1);
    let long = refused == 0 && layout.same_shape(&newer) && layout.differences(&newer).is_empty();
    (short, long)
}

#[test]
fn a_repetition_is_seen_and_only_its_times_may_differ() {
    assert_eq!(looks(&birth(), &birth()), (true, true));
    let mut later = birth();
    later.timestamp = Some(9);
    later.metrics.iter_mut().for_each(|metric| metric.timestamp = Some(9));
    assert_eq!(looks(&birth(), &later), (true, true));
}

#[test]
fn every_difference_is_seen() {
    type Change = fn(&mut Vec<Metric>);
    let changes: [(&str, Change); 9] = [
        ("value", |metrics| metrics[1].value = Some(Value::Int(2))),
        ("text", |metrics| metrics[3].value = Some(Value::String("b".to_owned()))),
        ("null", |metrics| metrics[1].is_null = Some(true)),
        ("no value", |metrics| metrics[1].value = None),
        ("a value", |metrics| metrics[5].value = Some(Value::Long(0))),
        ("datatype", |metrics| metrics[1].datatype = Some(DataType::Int16.code())),
        ("properties", |metrics| {
            let set = PropertySet { keys: vec!["k".to_owned()], ..PropertySet::default() };
            metrics[1].properties = Some(Box::new(set));
        }),
        ("more", |metrics| metrics.push(metric("new", DataType::Int32, Some(Value::Int(1))))),
        ("less", |metrics| {
            metrics.pop();
        }),
    ];
    for (what, change) in changes {
        let mut newer = birth();
        change(&mut newer.metrics);
        assert!(!looks(&birth(), &newer).0, "{what}");
    }
}

proptest! {
    #[test]
    fn what_the_short_look_takes_for_known_is_known(
        birth in sparkplug::arbitrary::payload(),
        other in sparkplug::arbitrary::payload(),
        at in any::<prop::sample::Index>(),
    ) {
        let (short, long) = looks(&birth, &birth);
        prop_assert!(long || !short);
        let mut newer = birth.clone();
        if let Some(metric) = other.metrics.first().filter(|_| !newer.metrics.is_empty()) {
            let place = at.index(newer.metrics.len());
            let name = newer.metrics[place].name.clone();
            newer.metrics[place] = Metric { name, ..metric.clone() };
        }
        let (short, long) = looks(&birth, &newer);
        prop_assert!(long || !short);
    }
}

//! Shaping in the pipeline: what crosses of values, births that repeat what was forwarded, values
//! that wait for their interval, and bytes that must be nowhere.

use account::Reason;
use policy::shape::PseudonymKey;
use sparkplug::{
    Cell, CellValue, DataSet, DataType, MetaData, Metric, Parameter, ParameterValue, Payload,
    Property, PropertySet, PropertyValue, Row, Template, Value,
};

use super::bench::{
    Bench, aliased, bd_seq, by_alias, by_name, keyframed, names_of, payload, policy, relayed,
    typed, value_of,
};

fn shaped(rest: &str) -> String {
    format!("[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\n{rest}")
}

fn double(value: f64) -> Value {
    Value::Double(value)
}

fn birth(bench: &mut Bench, value: f64) -> Payload {
    let metrics = vec![bd_seq(0), aliased("T", 1, DataType::Double, double(value))];
    payload(&bench.node("NBIRTH", metrics)[0])
}

fn told(bench: &mut Bench, value: f64) -> Option<Metric> {
    let frames = bench.node("NDATA", vec![by_alias(1, double(value))]);
    frames.first().map(|frame| payload(frame).metrics[0].clone())
}

/// The value that keyframes have.
fn repeated(bench: &Bench) -> Option<Value> {
    let bodies: Vec<_> =
        bench.pipeline.keyframes(bench.now).map(journal_format::Body::from).collect();
    let payload: Payload = prost::Message::decode(&*keyframed(&bodies)[0].payload).unwrap();
    value_of(&payload, "T")
}

fn quality(metric: &Metric) -> Option<u32> {
    let set = metric.properties.as_ref()?;
    let place = set.keys.iter().position(|key| key == "Quality")?;
    match set.values[place].value {
        Some(Property::Int(quality)) => Some(quality),
        _ => None,
    }
}

fn property(key: &str, value: Property) -> (String, PropertyValue) {
    (key.into(), PropertyValue { r#type: Some(12), is_null: None, value: Some(value) })
}

fn set(pairs: Vec<(String, PropertyValue)>) -> Option<Box<PropertySet>> {
    let (keys, values) = pairs.into_iter().unzip();
    Some(Box::new(PropertySet { keys, values }))
}

#[test]
fn births_have_null_where_data_would_be_dropped_and_the_next_good_value_restores_quality() {
    let mut bench = Bench::new(&shaped("[[rule.metric]]\nnames = \"T\"\nmin = 0\nmax = 10"));
    let born = birth(&mut bench, 99.0);
    let metric = born.metrics.iter().find(|metric| metric.name.as_deref() == Some("T")).unwrap();
    assert_eq!(
        (metric.value.as_ref(), metric.is_null, quality(metric)),
        (None, Some(true), Some(0))
    );
    assert_eq!(bench.dropped_metrics(Reason::OutOfRange), 1);
    let metric = told(&mut bench, 5.0).unwrap();
    assert_eq!((metric.value.clone(), quality(&metric)), (Some(double(5.0)), Some(192)));
    let metric = told(&mut bench, 6.0).unwrap();
    assert_eq!((metric.value.clone(), quality(&metric)), (Some(double(6.0)), None));
    assert!(told(&mut bench, f64::NAN).is_none());
    assert!(told(&mut bench, 10.5).is_none());
    assert_eq!(bench.dropped(Reason::OutOfRange), 2);
    assert_eq!(repeated(&bench), Some(double(6.0)), "what was dropped isn't repeated");
}

#[test]
fn values_out_of_range_can_be_null_and_are_null_in_keyframes() {
    let text = shaped("[rule.shape]\nmin = 0\nmax = 10\nout-of-range = \"null\"\ndeadband = 1");
    let mut bench = Bench::new(&text);
    birth(&mut bench, 5.0);
    let metric = told(&mut bench, 50.0).unwrap();
    assert_eq!((metric.value.clone(), quality(&metric)), (None, Some(0)));
    assert_eq!(repeated(&bench), None);
    assert!(told(&mut bench, 60.0).is_none(), "null again is no change");
    let metric = told(&mut bench, 5.0).unwrap();
    assert_eq!((metric.value.clone(), quality(&metric)), (Some(double(5.0)), Some(192)));
    // The stored plant has the value as it came; after a kill the journal has to do.
    told(&mut bench, 50.0);
    let stored_at = bench.journal.len();
    let stored = bench.pipeline.store(stored_at as u64);
    bench.restart(stored, stored_at, &text);
    assert_eq!(repeated(&bench), None);
    let metric = told(&mut bench, 6.0).unwrap();
    assert_eq!((metric.value.clone(), quality(&metric)), (Some(double(6.0)), Some(192)));
}

#[test]
fn deadband_compares_with_what_was_forwarded_and_keyframes_do_not_jump() {
    let mut bench = Bench::new(&shaped("[rule.shape]\ndeadband = 1"));
    birth(&mut bench, 5.0);
    for (value, crosses) in
        [(5.9, false), (6.0, false), (6.1, true), (5.2, false), (7.2, true), (7.2, false)]
    {
        assert_eq!(told(&mut bench, value).is_some(), crosses, "{value}");
    }
    assert_eq!(repeated(&bench), Some(double(7.2)));
    assert!(told(&mut bench, 7.9).is_none());
    assert_eq!(repeated(&bench), Some(double(7.2)), "as readers have it");
    // After a loss readers doubt: whatever comes next is told.
    bench.lose();
    assert!(told(&mut bench, 7.9).is_none(), "the missing one may yet come");
    bench.pass(3_000);
    let forwarded = relayed(&bench.tick());
    assert_eq!(payload(&forwarded[0]).metrics[0].value, Some(double(7.9)));
    assert!(told(&mut bench, 7.8).is_none());
    assert_eq!(bench.dropped(Reason::Deadband), 6);
}

#[test]
fn a_change_of_quality_passes_the_deadband() {
    let mut bench = Bench::new(&shaped("[rule.shape]\ndeadband = 1"));
    birth(&mut bench, 5.0);
    let bad = Metric {
        properties: set(vec![property("Quality", Property::Int(0))]),
        ..by_alias(1, double(5.0))
    };
    assert_eq!(bench.node("NDATA", vec![bad.clone()]).len(), 1);
    assert!(bench.node("NDATA", vec![bad]).is_empty());
}

#[test]
fn a_value_that_waits_when_its_node_dies_is_counted_with_its_name() {
    let mut bench = Bench::new(
        "[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"G\"\n\
         [[rule.metric]]\nnames = [\"T\"]\nmin-interval-ms = 1000\n",
    );
    let both = |value| ["T", "other"].map(|name| typed(name, DataType::Double, double(value)));
    bench.node("NBIRTH", [vec![bd_seq(0)], both(0.0).into()].concat());
    bench.node("NDATA", both(1.0).into());
    // Of these one is forwarded, and one waits.
    bench.node("NDATA", both(2.0).into());
    assert_eq!(
        (bench.pipeline.account().waiting, bench.dropped_metrics(Reason::UnknownMetric)),
        (0, 0)
    );
    bench.node("NDEATH", vec![bd_seq(0)]);
    assert_eq!(bench.dropped_metrics(Reason::UnknownMetric), 1);
}

#[test]
fn the_last_value_always_follows_when_the_interval_is_over() {
    let mut bench = Bench::new(&shaped("[rule.shape]\nmin-interval-ms = 1000"));
    birth(&mut bench, 0.0);
    assert!(told(&mut bench, 1.0).is_some());
    for value in [2.0, 3.0, 4.0] {
        bench.pass(100);
        assert!(told(&mut bench, value).is_none());
        assert!(relayed(&bench.tick()).is_empty());
        assert_eq!(repeated(&bench), Some(double(1.0)));
    }
    assert_eq!(bench.pipeline.account().waiting, 1);
    bench.pass(700);
    let frames = relayed(&bench.tick());
    assert_eq!(value_of(&payload(&frames[0]), "T"), Some(double(4.0)));
    assert_eq!(bench.dropped(Reason::Interval), 2, "those that newer ones replaced");
    assert_eq!(bench.pipeline.account().waiting, 0);
    bench.pass(500);
    assert!(told(&mut bench, 5.0).is_none(), "the interval begins with what was flushed");
    bench.pass(500);
    assert_eq!(relayed(&bench.tick()).len(), 1);
    bench.pass(5_000);
    assert!(relayed(&bench.tick()).is_empty(), "nothing is told twice");
    assert!(told(&mut bench, 6.0).is_some());
}

#[test]
fn times_are_limited_and_births_are_not_too_old() {
    let mut bench = Bench::new(&shaped("[rule.shape]\nmax-age-s = 60\nmax-future-s = 5"));
    let now = bench.now.wall_ms;
    let at = |timestamp: u64, value: f64| Metric {
        timestamp: Some(timestamp),
        ..by_alias(1, double(value))
    };
    let old = Metric {
        timestamp: Some(now - 3_600_000),
        ..aliased("T", 1, DataType::Double, double(1.0))
    };
    let ahead = Metric {
        timestamp: Some(now + 3_600_000),
        ..aliased("U", 2, DataType::Double, double(1.0))
    };
    let born = payload(&bench.node("NBIRTH", vec![old, ahead])[0]);
    assert_eq!(value_of(&born, "T"), Some(double(1.0)));
    assert_eq!(value_of(&born, "U"), None);
    assert_eq!(born.metrics[1].timestamp, Some(now), "not a time that is yet to come");
    assert!(bench.node("NDATA", vec![at(now - 61_000, 2.0)]).is_empty());
    assert!(bench.node("NDATA", vec![at(now + 6_000, 2.0)]).is_empty());
    let history = Metric { is_historical: Some(true), ..at(now - 61_000, 2.0) };
    assert!(bench.node("NDATA", vec![history]).is_empty());
    assert_eq!(bench.node("NDATA", vec![at(now - 60_000, 2.0)]).len(), 1);
    assert_eq!((bench.dropped(Reason::TooOld), bench.dropped(Reason::Future)), (2, 1));
}

#[test]
fn redacted_metrics_are_null_in_births_and_never_in_data() {
    let text = shaped("redact-metrics = \"Recipe*\"");
    let mut bench = Bench::new(&text);
    let recipe = Metric {
        properties: set(vec![property("engUnit", Property::String("SecretUnit".into()))]),
        metadata: Some(Box::new(MetaData {
            description: Some("SecretDescription".into()),
            ..MetaData::default()
        })),
        ..aliased("Recipe", 2, DataType::String, Value::String("SecretRecipe".into()))
    };
    let born = payload(&bench.node("NBIRTH", vec![recipe])[0]);
    assert_eq!(names_of(&born), ["Recipe"]);
    assert_eq!((born.metrics[0].value.clone(), born.metrics[0].is_null), (None, Some(true)));
    assert!(bench.node("NDATA", vec![by_alias(2, Value::String("SecretToo".into()))]).is_empty());
    let late = Metric {
        name: Some("Recipe2".into()),
        ..typed("Recipe2", DataType::String, Value::String("SecretLate".into()))
    };
    bench.node("NDATA", vec![late]);
    bench.pass(2_000);
    bench.tick();
    assert!(bench.leaks("Recipe2"), "IT knows that it exists");
    assert!(!bench.leaks("Secret"));
    // Another policy tells what the plant says from then on, and takes it back.
    let frames = bench.reload(&shaped(""));
    assert_eq!(value_of(&payload(&frames[0]), "Recipe"), None);
    let frames = bench.node("NDATA", vec![by_alias(2, Value::String("SecretToo".into()))]);
    assert_eq!(value_of(&payload(&frames[0]), "Recipe"), Some(Value::String("SecretToo".into())));
    let frames = bench.reload(&text);
    assert_eq!(value_of(&payload(&frames[0]), "Recipe"), None);
}

#[test]
fn what_is_disarmed_is_nowhere_in_the_journal() {
    let text = shaped("[[rule.metric]]\nnames = \"Table\"\ncolumns = [\"rpm\"]");
    let mut bench = Bench::new(&text);
    let beside = |metric: Metric| Metric {
        properties: set(vec![
            property("engUnit", Property::String("degC".into())),
            property("Vendor_Secret", Property::String("x".into())),
            property("Serial", Property::String("SecretSerial".into())),
            property("description", Property::String("S".repeat(2_000) + "SecretLong")),
            property(
                "Range",
                Property::Set(
                    *set(vec![property("a", Property::String("SecretSet".into()))]).unwrap(),
                ),
            ),
        ]),
        metadata: Some(Box::new(MetaData {
            description: Some("oil".into()),
            file_name: Some("SecretFile".into()),
            file_type: Some("SecretType".into()),
            md5: Some("SecretSum".into()),
            content_type: Some("SecretContent".into()),
            ..MetaData::default()
        })),
        ..metric
    };
    let cell = |text: &str| Cell { value: Some(CellValue::String(text.into())) };
    let table = DataSet {
        num_of_columns: Some(2),
        columns: vec!["SecretColumn".into(), "rpm".into()],
        types: vec![12, 12],
        rows: vec![Row { elements: vec![cell("SecretCell"), cell("fast")] }],
    };
    let instance = |of: Option<&str>| Template {
        metrics: vec![
            beside(typed("Speed", DataType::Int32, Value::Int(1))),
            typed("Blob", DataType::Bytes, Value::Bytes(b"SecretBlob".to_vec())),
        ],
        parameters: vec![Parameter {
            name: Some("SecretParameter".into()),
            r#type: Some(12),
            value: Some(ParameterValue::String("SecretValue".into())),
        }],
        template_ref: of.map(str::to_owned),
        is_definition: Some(of.is_none()),
        ..Template::default()
    };
    let metrics = || {
        vec![
            beside(aliased("T", 1, DataType::Double, double(1.0))),
            typed("Table", DataType::DataSet, Value::DataSet(Box::new(table.clone()))),
            typed("Shut", DataType::DataSet, Value::DataSet(Box::new(table.clone()))),
            typed("Raw", DataType::Bytes, Value::Bytes(b"SecretBytes".to_vec())),
            typed("Doc", DataType::File, Value::Bytes(b"SecretDoc".to_vec())),
            beside(typed("Motor", DataType::Template, Value::Template(Box::new(instance(None))))),
            beside(typed(
                "M1",
                DataType::Template,
                Value::Template(Box::new(instance(Some("Motor")))),
            )),
        ]
    };
    let born = payload(&bench.node("NBIRTH", metrics())[0]);
    assert_eq!(names_of(&born), ["Motor", "T", "Table", "M1"]);
    assert_eq!(bench.dropped_metrics(Reason::Opaque), 3);
    let data = metrics()
        .into_iter()
        .filter(|metric| metric.name.as_deref() != Some("Motor"))
        .map(|metric| Metric { datatype: None, alias: None, ..metric })
        .collect();
    let frames = bench.node("NDATA", data);
    assert_eq!(names_of(&payload(&frames[0])), ["T", "Table", "M1"]);
    bench.pass(60_000);
    bench.tick();
    assert!(bench.leaks("degC") && bench.leaks("oil") && bench.leaks("fast"));
    assert!(!bench.leaks("Secret"));
}

#[test]
fn files_cross_by_size_and_content_type_and_their_parts_in_order() {
    let text =
        shaped("[[rule.metric]]\nnames = \"Doc\"\nmax-bytes = 10\ncontent-types = [\"text/csv\"]");
    let mut bench = Bench::new(&text);
    let file = |bytes: &[u8], metadata: MetaData| Metric {
        metadata: Some(Box::new(metadata)),
        ..by_name("Doc", Value::Bytes(bytes.to_vec()))
    };
    let of = |content_type: &str| MetaData {
        content_type: Some(content_type.into()),
        file_name: Some("SecretName".into()),
        ..MetaData::default()
    };
    let part = |seq: u64| MetaData { is_multi_part: Some(true), seq: Some(seq), ..of("text/csv") };
    let first = Metric { datatype: Some(18), ..file(b"a,b", of("text/csv")) };
    let born = payload(&bench.node("NBIRTH", vec![first])[0]);
    assert_eq!(value_of(&born, "Doc"), Some(Value::Bytes(b"a,b".to_vec())));
    let mut crosses = |metric: Metric| !bench.node("NDATA", vec![metric]).is_empty();
    assert!(crosses(file(b"c,d", of("TEXT/csv"))));
    assert!(!crosses(file(b"SecretPdf", of("application/pdf"))));
    assert!(!crosses(by_name("Doc", Value::Bytes(b"SecretBare".to_vec()))));
    assert!(!crosses(file(b"SecretTooLong", of("text/csv"))));
    assert!(!crosses(file(b"Secret", part(1_000))), "a part of what didn't begin");
    assert!(crosses(file(b"12345", part(0))));
    assert!(crosses(file(b"67890", part(1))));
    assert!(!crosses(file(b"S", part(2))), "more than `max-bytes` in all");
    assert!(!crosses(file(b"S", part(3))), "nor what follows");
    assert!(crosses(file(b"12345", part(0))), "another file");
    assert_eq!(bench.dropped(Reason::NotAllowed), 4);
    assert_eq!(bench.dropped(Reason::TooLong), 2);
    let bodies: Vec<_> =
        bench.pipeline.keyframes(bench.now).map(journal_format::Body::from).collect();
    let again: Payload = prost::Message::decode(&*keyframed(&bodies)[0].payload).unwrap();
    assert_eq!(value_of(&again, "Doc"), Some(Value::Bytes(b"c,d".to_vec())), "parts are no state");
    assert!(!bench.leaks("Secret"));
}

#[test]
fn pseudonyms_replace_identifiers_everywhere_and_stay_the_same() {
    let text = shaped("[[rule.metric]]\nnames = \"Operator\"\npseudonym = true");
    let keyed = || {
        let mut policy = policy(&text);
        policy.set_pseudonym_key(PseudonymKey::new(&[5; 32]).unwrap());
        policy
    };
    let mut bench = Bench::new(&text);
    bench.pipeline.reload(bench.now, keyed(), &mut Vec::new());
    let name = |text: &str| aliased("Operator", 1, DataType::String, Value::String(text.into()));
    let born = payload(&bench.node("NBIRTH", vec![name("SecretMiller")])[0]);
    let Some(Value::String(pseudonym)) = value_of(&born, "Operator") else { panic!("{born:?}") };
    assert!(pseudonym.starts_with("pn-"));
    let frames = bench.node("NDATA", vec![by_alias(1, Value::String("SecretMeier".into()))]);
    assert_ne!(value_of(&payload(&frames[0]), "Operator"), Some(Value::String(pseudonym.clone())));
    let frames = bench.node("NDATA", vec![by_alias(1, Value::String("SecretMiller".into()))]);
    assert_eq!(value_of(&payload(&frames[0]), "Operator"), Some(Value::String(pseudonym.clone())));
    // A birth after a kill is made from the journal, where the pseudonym is.
    bench.restart(crate::plant::StoredPlant::default(), 0, &text);
    bench.pipeline.reload(bench.now, keyed(), &mut Vec::new());
    let bodies: Vec<_> =
        bench.pipeline.keyframes(bench.now).map(journal_format::Body::from).collect();
    for keyframe in keyframed(&bodies) {
        let again: Payload = prost::Message::decode(&*keyframe.payload).unwrap();
        assert_eq!(value_of(&again, "Operator"), Some(Value::String(pseudonym.clone())));
    }
    assert!(!bench.leaks("Secret"));
}

#[test]
fn state_of_shaping_is_small() {
    let state = std::mem::size_of::<crate::plant::Shaper>();
    println!("bytes beside the current value of a shaped metric: {state}, and of any other: 0");
    assert!(state <= 88, "{state}");
}

//! What people and tools get to see of a journal that a writer made.

use std::fs;

use journal_format::{Body, Dropped, Heartbeat, Keyframe, Relayed, Start};
use journal_write::{Durability, Writer, WriterOptions};
use prost::Message as _;
use sparkplug::{DataType, Metric, Payload, PropertySet, PropertyValue, Value};

use super::*;

fn metric(name: &str, datatype: Option<DataType>, value: Value) -> Metric {
    Metric {
        name: Some(name.into()),
        datatype: datatype.map(DataType::code),
        value: Some(value),
        ..Metric::default()
    }
}

fn relayed(topic: &str, metrics: Vec<Metric>) -> Body {
    let payload = Payload { timestamp: Some(77), metrics, ..Payload::default() };
    Body::Relayed(Relayed {
        source: "line4".into(),
        topic: topic.into(),
        payload: payload.encode_to_vec(),
        received_ms: 1_764_756_672_000,
        ..Relayed::default()
    })
}

/// Frames: 1 start, 2 keyframe, 3 data, 4 data of another node, 5 heartbeat, 6 not a payload.
fn journal(dir: &Path) {
    let options = WriterOptions {
        dir: dir.to_path_buf(),
        relay_name: "relay".into(),
        segment_bytes: 1 << 20,
        retain_bytes: 1 << 30,
        retain_age: None,
        durability: Durability::Process,
    };
    let now_ms = 1_764_756_672_345;
    let mut writer = Writer::open(options, now_ms).unwrap();
    let birth = Payload {
        metrics: vec![
            metric("level", Some(DataType::Int8), Value::Int(0)),
            metric("bad\n\u{1b}[31mname", Some(DataType::Double), Value::Double(1.5)),
        ],
        ..Payload::default()
    };
    let head = vec![
        Body::Start(Start {
            relay_name: "relay".into(),
            epoch: writer.epoch(),
            version: "0.1.0".into(),
            ..Start::default()
        }),
        Body::Keyframe(Keyframe {
            source: "line4".into(),
            topic: "spBv1.0/g/NBIRTH/n".into(),
            payload: birth.encode_to_vec(),
            devices: vec!["d".into()],
            ..Keyframe::default()
        }),
    ];
    writer.begin_segment(now_ms, head.into_iter()).unwrap();
    let level = metric("level", None, Value::Int(0xff));
    let name = metric("bad\n\u{1b}[31mname", None, Value::Double(f64::NAN));
    let bodies = [
        relayed("spBv1.0/g/NDATA/n", vec![level.clone(), name]),
        relayed("spBv1.0/g/NDATA/other", vec![level]),
        Body::Heartbeat(Heartbeat {
            ot_away_ms: 3,
            received: 5,
            dropped: vec![Dropped { reason: "no_rule".into(), messages: 1, metrics: 2 }],
            ..Heartbeat::default()
        }),
        Body::Relayed(Relayed {
            topic: "spBv1.0/g/NDATA/n".into(),
            payload: vec![0xff, 0xff],
            ..Relayed::default()
        }),
    ];
    for body in &bodies {
        writer.push(now_ms, body).unwrap();
    }
    writer.commit().unwrap();
}

fn cat_text(dir: &Path, options: &CatOptions) -> (String, bool) {
    let mut out = Vec::new();
    let sound = cat(dir, options, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), sound)
}

#[test]
fn cat_prints_one_escaped_line_per_frame_with_datatypes_from_births() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let (text, sound) = cat_text(dir.path(), &CatOptions::default());
    let expected = r#"1 2025-12-03T10:11:12.345Z start relay="relay" epoch=1764756672345 version=0.1.0 policy= keyframe-every=0s
2 2025-12-03T10:11:12.345Z keyframe spBv1.0/g/NBIRTH/n "line4" device="d" "level":Int8=0 "bad\n\u{1b}[31mname":Double=1.5
3 2025-12-03T10:11:12.345Z message spBv1.0/g/NDATA/n "line4" "level":Int8=-1 "bad\n\u{1b}[31mname":Double=NaN
4 2025-12-03T10:11:12.345Z message spBv1.0/g/NDATA/other "line4" "level"=255
5 2025-12-03T10:11:12.345Z heartbeat away received=5 forwarded=0 waiting=0 nodes=0 away-ms=3 no_rule=1/2
6 2025-12-03T10:11:12.345Z message spBv1.0/g/NDATA/n "" undecodable: "#;
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(text.lines().count(), 6);
    assert!(sound);
}

#[test]
fn cat_selects_by_number_and_topic_and_still_knows_the_datatypes() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let options = CatOptions { from_seq: Some(3), to_seq: Some(5), ..CatOptions::default() };
    let (text, _) = cat_text(dir.path(), &options);
    assert!(text.contains("Int8=-1"), "{text}");
    let numbers = |text: &str| -> Vec<char> {
        text.lines().map(|line| line.chars().next().unwrap()).collect()
    };
    assert_eq!(numbers(&text), ['3', '4', '5']);
    let options = CatOptions { topic: Some("/other".into()), ..CatOptions::default() };
    assert_eq!(numbers(&cat_text(dir.path(), &options).0), ['4']);
}

#[test]
fn cat_selects_by_time_and_by_metric() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let at = 1_764_756_672_345;
    let lines = |options: &CatOptions| cat_text(dir.path(), options).0.lines().count();
    for (since, until, wanted) in [
        (Some(at), None, 6),
        (Some(at + 1), None, 0),
        (None, Some(at), 0),
        (Some(at), Some(at + 1), 6),
    ] {
        let options = CatOptions { since, until, ..CatOptions::default() };
        assert_eq!(lines(&options), wanted, "{since:?} {until:?}");
    }
    let options = CatOptions { metric: Some("leve".into()), ..CatOptions::default() };
    let (text, _) = cat_text(dir.path(), &options);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("\"level\":Int8=-1\n") && !text.contains("bad"), "{text}");
    let options = CatOptions { metric: Some("none".into()), ..CatOptions::default() };
    assert_eq!(lines(&options), 0);
}

#[test]
fn json_has_one_object_per_line_with_typed_values() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let (text, _) = cat_text(dir.path(), &CatOptions { json: true, ..CatOptions::default() });
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0]["kind"], "start");
    assert_eq!(lines[2]["seq"], 3);
    assert_eq!(lines[2]["time"], "2025-12-03T10:11:12.345Z");
    assert_eq!(lines[2]["payload"]["metrics"][0]["value"], -1);
    assert_eq!(lines[2]["payload"]["metrics"][1]["value"], "NaN");
    assert_eq!(lines[2]["payload"]["metrics"][1]["name"], "bad\n\u{1b}[31mname");
    assert_eq!(lines[4]["dropped"][0]["reason"], "no_rule");
    assert_eq!(lines[5]["payload"], "ffff");
}

/// Not only what JSON itself escapes: C1 controls, DEL, and what turns text around.
#[test]
fn json_and_text_have_nothing_in_them_that_a_terminal_obeys() {
    let dir = tempfile::tempdir().unwrap();
    let hostile = "\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\u{85}\u{202e}\u{2028}\u{e0041}";
    let options = WriterOptions {
        dir: dir.path().to_path_buf(),
        relay_name: hostile.into(),
        segment_bytes: 1 << 20,
        retain_bytes: 1 << 30,
        retain_age: None,
        durability: Durability::Process,
    };
    let mut writer = Writer::open(options, 1_764_756_672_345).unwrap();
    let start = Start {
        relay_name: hostile.into(),
        epoch: writer.epoch(),
        version: hostile.into(),
        policy_digest: hostile.into(),
        policy_signers: vec![hostile.into()],
        ..Start::default()
    };
    writer.begin_segment(1_764_756_672_345, std::iter::once(Body::Start(start))).unwrap();
    let value = metric(hostile, Some(DataType::String), Value::String(hostile.into()));
    let bodies = [
        relayed(&format!("spBv1.0/g/NBIRTH/{hostile}"), vec![value]),
        Body::Keyframe(Keyframe {
            source: hostile.into(),
            topic: hostile.into(),
            devices: vec![hostile.into()],
            ..Keyframe::default()
        }),
        Body::Heartbeat(Heartbeat {
            policy_digest: hostile.into(),
            dropped: vec![Dropped { reason: hostile.into(), messages: 1, metrics: 2 }],
            ..Heartbeat::default()
        }),
    ];
    for body in &bodies {
        writer.push(1_764_756_672_345, body).unwrap();
    }
    writer.commit().unwrap();
    for json in [false, true] {
        let (text, sound) = cat_text(dir.path(), &CatOptions { json, ..CatOptions::default() });
        assert!(sound && text.lines().count() == 4, "{text}");
        for line in text.lines() {
            assert!(!line.chars().any(::text::is_treacherous), "{line:?}");
        }
        if json {
            let birth: serde_json::Value =
                serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
            assert_eq!(birth["payload"]["metrics"][0]["value"], hostile, "it means the same");
        }
    }
}

#[test]
fn json_shows_every_kind_of_content() {
    use sparkplug::{Cell, CellValue, DataSet, Property, Row, Template};
    let table = DataSet {
        num_of_columns: Some(2),
        columns: vec!["a".into(), "b".into()],
        types: vec![DataType::Int32.code(), DataType::Double.code()],
        rows: vec![Row {
            elements: vec![Cell { value: Some(CellValue::Int(4)) }, Cell { value: None }],
        }],
    };
    let template = Template {
        template_ref: Some("motor".into()),
        metrics: vec![metric("rpm", Some(DataType::Float), Value::Float(0.1))],
        ..Template::default()
    };
    let mut quality = metric("q", Some(DataType::Bytes), Value::Bytes(vec![1, 254]));
    quality.properties = Some(Box::new(PropertySet {
        keys: vec!["Quality".into()],
        values: vec![PropertyValue {
            r#type: Some(DataType::Int32.code()),
            is_null: None,
            value: Some(Property::Int(500)),
        }],
    }));
    let metrics = vec![
        metric("t", Some(DataType::DataSet), Value::DataSet(Box::new(table))),
        metric("m", Some(DataType::Template), Value::Template(Box::new(template))),
        quality,
    ];
    let frame = Frame {
        seq: 1,
        epoch: 1,
        appended_ms: 1,
        body: Some(relayed("spBv1.0/g/NBIRTH/n", metrics)),
        in_head: false,
        layout: None,
    };
    let mut layouts = Layouts::default();
    let message = layouts.learn(&frame);
    let shown = json::frame(&frame, message.as_ref(), false);
    let metrics = &shown["payload"]["metrics"];
    assert_eq!(
        metrics[0]["value"],
        serde_json::json!({"columns": ["a", "b"], "types": ["Int32", "Double"], "rows": [[4, null]]})
    );
    assert_eq!(metrics[1]["value"]["template_ref"], "motor");
    assert_eq!(metrics[1]["value"]["metrics"][0]["value"], 0.1);
    assert_eq!(metrics[2]["value"], "01fe");
    assert_eq!(
        metrics[2]["properties"],
        serde_json::json!([{"key": "Quality", "datatype": "Int32", "value": 500}])
    );
}

#[test]
fn damage_is_shown_and_told_by_both_commands() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path());
    let path = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "sdj"))
        .unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(5).position(|window| window == b"other").unwrap();
    bytes[place] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (text, sound) = cat_text(dir.path(), &CatOptions::default());
    assert!(!sound && text.contains("\n4 to 4 LOST 1 frame: damage\n"), "{text}");
    let later = CatOptions { from_seq: Some(5), ..CatOptions::default() };
    assert!(cat_text(dir.path(), &later).1);
    let mut out = Vec::new();
    assert!(!verify(dir.path(), &mut out).unwrap());
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains(": frame 4 is unreadable (") && text.ends_with("1 frame lost\n"),
        "{text}"
    );
}

#[test]
fn a_journal_that_is_not_there_is_an_error_for_both_commands() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("absent");
    let error = cat(&dir, &CatOptions::default(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().starts_with("cannot open `"), "{error}");
    assert!(verify(&dir, &mut Vec::new()).is_err());
}

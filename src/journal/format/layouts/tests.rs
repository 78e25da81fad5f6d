//! Layouts that are given, given again and forgotten, and data against them.

use alloc::vec;

use super::*;
use crate::compact::CompactWriter;
use crate::{Keyframe, Start};

/// A birth of these metrics, each with a datatype.
fn payload(names: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0x08, 7];
    for name in names {
        bytes.extend_from_slice(&[0x12, u8::try_from(name.len() + 4).unwrap(), 0x0a]);
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&[0x20, 10]);
    }
    bytes
}

fn birth(layout: u64, topic: &str, names: &[&str]) -> Body {
    let (source, topic) = ("line".into(), topic.into());
    Body::Relayed(Relayed { source, topic, payload: payload(names), layout, ..Relayed::default() })
}

fn data(layout: u64, places: &[u32]) -> Body {
    let mut writer = CompactWriter::new(9, 0);
    for place in places {
        let value = CompactValue::Boolean(true);
        let (is_historical, is_transient) = (None, Some(true));
        let metric = CompactMetric { timestamp: 9, is_historical, is_transient, value };
        writer.metric(*place, &metric);
    }
    let metrics = writer.finish();
    Body::Data(Data { layout, timestamp: 9, received_after: -2, metrics, ..Data::default() })
}

/// Topic and payload of data by names.
fn named(layouts: &mut Layouts, body: Body) -> Option<(String, Vec<u8>)> {
    match layouts.by_names(body, 1_000)? {
        Body::Relayed(Relayed { topic, payload, source, received_ms, .. }) => {
            assert_eq!((&*source, received_ms), ("line", 7));
            Some((topic, payload))
        }
        other => panic!("{other:?}"),
    }
}

/// What data of these metrics is by names.
fn by_names(names: &[&str]) -> Vec<u8> {
    let mut bytes = vec![0x08, 9];
    for name in names {
        let length = u8::try_from(name.len()).unwrap();
        bytes.extend_from_slice(&[0x12, length + 8, 0x0a, length]);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&[0x18, 9, 0x30, 1, 0x70, 1]);
    }
    bytes
}

#[test]
fn data_has_the_names_of_the_layout_that_it_refers_to() {
    let mut layouts = Layouts::new(usize::MAX);
    assert!(layouts.by_names(birth(1, "spBv1.0/G/NBIRTH/E", &["bdSeq", "a"]), 1_000).is_some());
    assert!(layouts.by_names(birth(2, "spBv1.0/G/DBIRTH/E/D", &["x", "y"]), 1_000).is_some());
    let got = named(&mut layouts, data(1, &[1])).unwrap();
    assert_eq!(got, ("spBv1.0/G/NDATA/E".into(), by_names(&["a"])));
    let got = named(&mut layouts, data(2, &[1, 0])).unwrap();
    assert_eq!(got, ("spBv1.0/G/DDATA/E/D".into(), by_names(&["y", "x"])));
    assert_eq!(named(&mut layouts, data(2, &[2])), None, "a place that it hasn't");
    assert_eq!(named(&mut layouts, data(3, &[0])), None, "a layout that wasn't given");
    assert_eq!(named(&mut layouts, data(0, &[0])), None);
}

#[test]
fn a_layout_that_is_given_again_is_the_same_and_another_one_ends_it() {
    let mut layouts = Layouts::new(usize::MAX);
    let known =
        |layouts: &Layouts, layout| layouts.of(&Data { layout, ..Data::default() }).cloned();
    layouts.learn(&birth(1, "spBv1.0/G/NBIRTH/E", &["a"]));
    let first = known(&layouts, 1).unwrap();
    let (topic, payload) = ("spBv1.0/G/NBIRTH/E".into(), payload(&["a"]));
    let keyframe =
        Keyframe { source: "line".into(), topic, payload, layout: 1, ..Keyframe::default() };
    layouts.learn(&Body::Keyframe(keyframe));
    assert_eq!(known(&layouts, 1).unwrap().id(), first.id());
    layouts.learn(&birth(2, "spBv1.0/G/NBIRTH/E", &["a", "b"]));
    assert!(known(&layouts, 1).is_none());
    assert_ne!(known(&layouts, 2).unwrap().id(), first.id());
    // A birth that gives none, and what is none at all, leave it.
    layouts.learn(&birth(0, "spBv1.0/G/NBIRTH/E", &["c"]));
    layouts.learn(&birth(3, "spBv1.0/G/NDEATH/E", &[]));
    layouts.learn(&Body::Start(Start::default()));
    assert_eq!(known(&layouts, 2).unwrap().name(1), Some("b"));
    assert!(known(&layouts, 3).is_none());
}

/// No writer does that. Who does gets no data under the names of another layout.
#[test]
fn a_number_that_is_given_to_several_means_the_last_of_them() {
    let mut layouts = Layouts::new(usize::MAX);
    for node in ["E", "F", "E"] {
        layouts.learn(&birth(1, &alloc::format!("spBv1.0/G/NBIRTH/{node}"), &["a"]));
        let (topic, _) = named(&mut layouts, data(1, &[0])).unwrap();
        assert_eq!(topic, alloc::format!("spBv1.0/G/NDATA/{node}"));
    }
}

#[test]
fn layouts_live_as_long_as_segments_give_them() {
    let mut layouts = Layouts::new(usize::MAX);
    layouts.begin_segment(5);
    layouts.learn(&birth(1, "spBv1.0/G/NBIRTH/E", &["a"]));
    layouts.learn(&birth(2, "spBv1.0/G/NBIRTH/F", &["a"]));
    let bytes = layouts.bytes;
    layouts.begin_segment(5);
    // The keyframe of one of them can't be read.
    layouts.learn(&birth(2, "spBv1.0/G/NBIRTH/F", &["a"]));
    assert!(named(&mut layouts, data(1, &[0])).is_some());
    layouts.begin_segment(5);
    assert!(named(&mut layouts, data(1, &[0])).is_none());
    assert!(named(&mut layouts, data(2, &[0])).is_some());
    assert_eq!(layouts.bytes, bytes / 2);
    // Another run of the writer numbers anew.
    layouts.begin_segment(6);
    assert!(named(&mut layouts, data(2, &[0])).is_none());
    assert_eq!(layouts.bytes, 0);
}

#[test]
fn what_is_held_and_what_is_made_of_little_has_a_bound() {
    let long = "n".repeat(100);
    let mut layouts = Layouts::new(1_000);
    for number in 1..20 {
        layouts.learn(&birth(number, &alloc::format!("spBv1.0/G/NBIRTH/{number}"), &[&long]));
        assert!(layouts.bytes <= 1_000);
    }
    assert!(named(&mut layouts, data(1, &[0])).is_some());
    assert!(named(&mut layouts, data(19, &[0])).is_none());
    // Two bytes of it become more than 100 by names.
    assert!(named(&mut layouts, data(1, &[0; 50])).is_none());
    // One number for two: what the first gave goes with it, and takes nothing of the other.
    let mut layouts = Layouts::new(usize::MAX);
    layouts.learn(&birth(1, "spBv1.0/G/NBIRTH/E", &["a"]));
    layouts.learn(&birth(1, "spBv1.0/G/NBIRTH/F", &["b"]));
    layouts.learn(&birth(2, "spBv1.0/G/NBIRTH/E", &["a"]));
    assert_eq!(named(&mut layouts, data(1, &[0])).unwrap().1, by_names(&["b"]));
}

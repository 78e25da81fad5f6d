//! Births of gateways with very many tags, and the keys that let them cross.

use sparkplug::{DataType, Metric, Value};
use telemetry::Event;

use crate::checker::Excuse;
use crate::metrics::{int, metric, string, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};

/// Tags with names of the length that SCADA gateways give them, aliases and times: 80 bytes each.
fn tags(number: u32) -> Vec<Metric> {
    let tag = |tag: u32| Metric {
        alias: Some(u64::from(tag)),
        ..metric(
            &format!("Area{:02}/Line/Machine/Measurement/Tag{tag:06}/Value", tag % 100),
            DataType::Double,
            Value::Double(f64::from(tag)),
        )
    };
    (0..number).map(tag).collect()
}

#[test]
fn a_birth_of_200_000_metrics_and_16_mib_crosses_with_two_keys_raised() {
    let variation = Variation {
        ot_connection: "max-packet-bytes = 16777216".into(),
        it_connection: "max-packet-bytes = 33554432".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "Large");
    let mut tags = tags(200_000);
    tags.push(int("count", 0));
    edge.nbirth(&tags).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/Large", 1);
    edge.ndata(&[untyped(int("count", 1))]).unwrap();
    rig.wait_for_value("Plant/Large", "count", 1);
    let births = rig.it.payloads("spBv1.0/Plant/NBIRTH/Large");
    assert_eq!(births.len(), 1);
    // And bdSeq and Rebirth of the mirror's own session.
    assert_eq!(births[0].metrics.len(), tags.len() + 2);
    rig.judge(Excuse::default());
}

#[test]
fn a_birth_over_a_limit_says_which_one_and_what_raises_it() {
    let variation = Variation {
        ot_extra: "[limits]\nmetrics-per-payload = 1000\n".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "Large");
    edge.nbirth(&tags(1_500)).unwrap();
    let words = [
        "node=Plant/Large",
        "reason=over_cap",
        "problem=\"1502 of 1000 metrics in a payload\"",
        "limit=1000",
        "key=limits.metrics-per-payload",
    ];
    rig.relay.wait_for_event(Half::Ot, Event::PayloadRefused, &words);
    let mut tags = tags(900);
    tags.push(string("document", &"x".repeat(300_000)));
    edge.nbirth(&tags).unwrap();
    let words = [
        "node=Plant/Large",
        "metric=document",
        "got=\"300000 of 262144 bytes in a text\"",
        "key=limits.text-bytes",
    ];
    rig.relay.wait_for_event(Half::Ot, Event::MetricRefused, &words);
    rig.wait_for("spBv1.0/Plant/NBIRTH/Large", 1);
    rig.judge(Excuse::default());
}

//! Messages that are larger than a half takes: they are dropped, acknowledged and told, and nobody
//! but their sender loses anything.

use prost::Message;
use sparkplug::Payload;
use telemetry::Event;

use crate::checker::Excuse;
use crate::client::Client;
use crate::metrics::{int, string, untyped};
use crate::packet::Packet;
use crate::peers::raw_edge::RawEdge;
use crate::peers::srad_host::SradHost;
use crate::relay::Half;
use crate::rig::{EVERYTHING, Rig, Variation};

/// What the OT half takes by default is 1 MiB.
fn large() -> Vec<u8> {
    let metrics = vec![string("file", &"x".repeat(1_500_000))];
    Payload { metrics, seq: Some(0), ..Payload::default() }.encode_to_vec()
}

#[test]
fn messages_that_are_too_large_cost_nobody_else_anything() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let mut big = Client::plain(rig.ot_address(), "big");
    // What the broker has stored comes with every subscription.
    let stored = "$sparkplug/certificates/spBv1.0/Elsewhere/NBIRTH/Stored";
    big.publish(stored, large(), 1, true).unwrap();
    big.publish("spBv1.0/Plant/NBIRTH/Retained", large(), 1, true).unwrap();
    rig.start_both();
    let host = SradHost::start(rig.it_address(), "enterprise");
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "Good");
    edge.nbirth(&[int("count", 0)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/Good", 1);
    for number in 1..=40_u32 {
        let topic = format!("spBv1.0/Plant/NDATA/Big{}", number % 4);
        if number % 4 == 0 {
            for qos in [0, 1] {
                big.publish(&topic, large(), qos, false).unwrap();
            }
        }
        edge.ndata(&[untyped(int("count", number))]).unwrap();
    }
    host.wait_for("Plant/Good", "count", 40);
    // A birth of a node that is known.
    edge.publish("spBv1.0/Plant/NBIRTH/Good", large(), false);
    let key = "key=broker.max-packet-bytes";
    let limit = "limit=1048576";
    for topic in [stored, "spBv1.0/Plant/NBIRTH/Retained"] {
        let topic = format!("topic={topic}");
        let words = [topic.as_str(), limit, key, "retained=true"];
        rig.relay.wait_for_event(Half::Ot, Event::MessageTooLarge, &words);
    }
    let words = ["topic=spBv1.0/Plant/NBIRTH/Good", limit, key, "retained=false"];
    rig.relay.wait_for_event(Half::Ot, Event::MessageTooLarge, &words);

    assert_eq!(host.live("Plant/Good", "count"), (0..=40).collect::<Vec<_>>());
    assert_eq!(host.births("Plant/Good"), 1);
    let connects = rig.ot_proxy.count(|record| matches!(record.sent(), Some(Packet::Connect(_))));
    assert_eq!(connects, 1, "the session went on");
    // Each of those at QoS 1 was acknowledged: none comes again.
    let delivered = |wanted: u8| {
        rig.ot_proxy.count(|record| match record.received() {
            Some(Packet::Publish(publish)) => publish.qos == wanted,
            _ => false,
        })
    };
    let acknowledged =
        rig.ot_proxy.count(|record| matches!(record.sent(), Some(Packet::PubAck(_))));
    assert_eq!(acknowledged, delivered(1));
    assert_eq!(delivered(2), 0, "it subscribes at QoS 1");
    rig.judge(Excuse::default());
}

#[test]
fn a_command_that_is_too_large_is_refused_and_its_node_comes_up() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let mut attacker = Client::plain(rig.it_address(), "attacker");
    let topic = "spBv1.0/Plant/NCMD/E";
    attacker.publish(topic, large(), 1, true).unwrap();
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    let words = ["topic=spBv1.0/Plant/NCMD/E", "limit=65536", "retained=true"];
    rig.relay.wait_for_event(Half::It, Event::MessageTooLarge, &words);
    rig.relay.wait_for_event(Half::It, Event::CommandRefused, &["topic=spBv1.0/Plant/NCMD/E"]);
    for number in 2..10 {
        attacker.publish(topic, large(), 0, false).unwrap();
        edge.ndata(&[untyped(int("count", number))]).unwrap();
        rig.wait_for_value("Plant/E", "count", number.into());
    }
    assert_eq!(rig.it.count("spBv1.0/Plant/NBIRTH/E"), 1, "its session went on");
    rig.no_command_on_ot();
    rig.judge(Excuse::default());
}

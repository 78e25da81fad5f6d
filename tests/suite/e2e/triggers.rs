//! Events that no other end-to-end test ends in: each is made to happen in a half that runs.

use std::fs;
use std::os::unix::fs::chown;
use std::time::Duration;

use journal_format::{Body, Heartbeat, Start};
use journal_write::{Durability, Writer, WriterOptions};
use rustix::process::Signal;
use sparkplug::Value;
use telemetry::Event;
use text::format_utc_ms;

use super::tls::{Authority, settings};
use crate::broker::{Broker, Options};
use crate::checker::Excuse;
use crate::client::Client;
use crate::metrics::{command, int, rebirth_command, string, untyped};
use crate::packet::{Connect, Packet};
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, Link, Relay, is_root};
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::{holds_within, now_ms, wait_until};

#[test]
fn what_a_policy_and_the_topics_keep_back_is_told_with_node_topic_and_reason() {
    let policy = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"Plant\"\n\
                  [[rule]]\nname = \"no-vault\"\naction = \"deny\"\ngroup = \"Plant\"\n\
                  edge-node = \"Vault\"\n\
                  [rename.edge-node]\n\"Plant/Line4\" = \"packaging\"\n";
    let Some(rig) = Rig::start(policy) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let relay = &rig.relay;
    // What the relay subscribes to lets in little that is no Sparkplug topic.
    edge.publish("spBv1.0/Plant/NDATA/", b"x".to_vec(), false);
    relay.wait_for_event(Half::Ot, Event::TopicRefused, &["topic=spBv1.0/Plant/NDATA/ "]);
    edge.ndata(&[untyped(int("count", 1))]).unwrap();
    relay.wait_for_event(
        Half::Ot,
        Event::BirthMissing,
        &["node=Plant/E", "reason=data_before_birth"],
    );
    // Nobody is born: how that is mended is in the line, and in the status.
    let command = "| base64 -d | mosquitto_pub -h 127.0.0.1 -p ";
    relay.wait_for_event(Half::Ot, Event::NodesUnborn, &["nodes=1", "node=Plant/E", command]);
    let mut vault = RawEdge::connect(rig.ot_address(), "Plant", "Vault");
    vault.nbirth(&[int("count", 1)]).unwrap();
    let denied = &["node=Plant/Vault", "/NBIRTH/", "reason=denied", "rule=no-vault"];
    relay.wait_for_event(Half::Ot, Event::PolicyDrop, denied);
    vault.leave();
    // The same again is counted, and told within the hour.
    relay.wait_for_event(Half::Ot, Event::NodeDied, &["node=Plant/Vault"]);
    assert_eq!(relay.count_events(Half::Ot, Event::PolicyDrop), 1);
    let mut taken = RawEdge::connect(rig.ot_address(), "Plant", "packaging");
    taken.nbirth(&[int("count", 1)]).unwrap();
    relay.wait_for_event(Half::Ot, Event::NameCollision, &["node=Plant/packaging"]);
}

#[test]
fn a_rule_that_comes_into_force_by_the_clock_is_told() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    // Again where the machine was so slow that the window was open before it was read.
    let told = (0..10).any(|_| {
        let opens = format_utc_ms(now_ms() + 1_500);
        rig.relay.write_policy(&format!(
            "[[rule]]\nname = \"shift\"\naction = \"forward\"\ngroup = \"Plant\"\n\
             not-before = {opens}\n"
        ));
        rig.relay.signal(Half::Ot, Signal::HUP);
        let told = || rig.relay.log(Half::Ot).contains(Event::PolicyWindow.msgid());
        holds_within(Duration::from_secs(5), told)
    });
    assert!(told, "{}", rig.relay.log(Half::Ot));
    rig.relay.wait_for_event(Half::Ot, Event::PolicyWindow, &["rule=shift", "open=true"]);
}

#[test]
fn bounds_of_the_configuration_that_are_reached_are_told_by_both_halves() {
    let variation = Variation {
        ot_extra: "[relay]\nmax-nodes = 2\n".into(),
        mirror: "max-nodes = 1".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edges = Vec::new();
    for name in ["A", "B", "C"] {
        let mut edge = RawEdge::connect(rig.ot_address(), "Plant", name);
        edge.nbirth(&[int("count", 1)]).unwrap();
        edges.push(edge);
    }
    rig.relay.wait_for_event(Half::Ot, Event::CapacityReached, &["limit=relay.max-nodes"]);
    rig.relay.wait_for_event(Half::It, Event::CapacityReached, &["limit=mirror.max-nodes"]);
}

/// What FRAME_TOO_LARGE is the last resort against: such a birth is refused before.
#[test]
fn a_birth_over_a_limit_is_refused_and_told() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let path = rig.relay.path("ot.toml");
    let text = fs::read_to_string(&path).unwrap();
    let text = text.replace("[broker]\n", "[broker]\nmax-packet-bytes = 16777216\n");
    let text = format!("{text}\n[limits]\nmetrics-per-payload = 5000\n");
    fs::write(&path, text).unwrap();
    rig.start_ot();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    let filler = "x".repeat(1_024);
    let metrics: Vec<_> =
        (0..5 * 1_024).map(|number| string(&format!("m{number}"), &filler)).collect();
    edge.nbirth(&metrics).unwrap();
    rig.relay.wait_for_event(
        Half::Ot,
        Event::PayloadRefused,
        &["node=Plant/E", "reason=over_cap", "key=limits.metrics-per-payload"],
    );
}

#[test]
fn a_broker_that_refuses_subscriptions_is_told() {
    let acl = |topic: &str| {
        format!(
            "{{\"defaultACLAccess\":{{\"publishClientSend\":true,\"publishClientReceive\":true,\
             \"subscribe\":false,\"unsubscribe\":true}},\"clients\":[],\
             \"anonymousGroup\":\"all\",\
             \"groups\":[{{\"groupname\":\"all\",\"roles\":[{{\"rolename\":\"r\"}}]}}],\
             \"roles\":[{{\"rolename\":\"r\",\"acls\":[\
             {{\"acltype\":\"subscribePattern\",\"topic\":\"{topic}\",\"allow\":true}}]}}]}}"
        )
    };
    for (allowed, births) in [("$sparkplug/#", true), ("spBv1.0/#", false)] {
        let options = Options { access: Some(acl(allowed)), ..Options::default() };
        let Some(broker) = Broker::start(options) else { return };
        let link = Link::Plain(broker.address);
        let mut relay = Relay::new(&settings(link.clone(), link));
        relay.start(Half::Ot);
        let of_broker = &["broker=127.0.0.1:"];
        let absent = if births {
            relay.wait_for_event(Half::Ot, Event::SubscriptionRefused, of_broker);
            relay.wait_for_event(Half::Ot, Event::HostStatesRefused, of_broker);
            Event::StoredBirthsRefused
        } else {
            relay.wait_for_event(Half::Ot, Event::StoredBirthsRefused, of_broker);
            Event::SubscriptionRefused
        };
        assert!(relay.terminate(Half::Ot).success());
        let log = relay.log(Half::Ot);
        assert!(!log.contains(absent.msgid()), "the other one was granted:\n{log}");
    }
}

#[test]
fn what_hosts_and_strangers_do_on_it_is_told() {
    let variation = Variation { mirror: "primary-host = \"scada\"".into(), ..Variation::default() };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    let mut host = Client::plain(rig.it_address(), "host");
    let state =
        |online: bool| format!("{{\"online\":{online},\"timestamp\":{}}}", now_ms()).into_bytes();
    host.publish("spBv1.0/STATE/scada", state(true), 1, true).unwrap();
    rig.relay.wait_for_event(Half::It, Event::PrimaryHost, &["online=true"]);
    rig.wait_for("spBv1.0/Plant/NBIRTH/E", 1);
    rig.relay.wait_for_event(Half::It, Event::NodeBorn, &["node=Plant/E", "bd_seq="]);
    host.publish("spBv1.0/Plant/NCMD/E", rebirth_command(), 1, false).unwrap();
    rig.relay.wait_for_event(Half::It, Event::RebirthAnswered, &["node=Plant/E"]);
    host.publish("spBv1.0/Plant/NCMD/E", command("Pump", Value::Int(1)), 1, false).unwrap();
    rig.relay.wait_for_event(Half::It, Event::CommandRefused, &["metrics=Pump"]);
    // Somebody with the client identifier of the node's session: the broker ends ours.
    let mut id = None;
    wait_until("the node's session", || {
        id = rig.it_proxy.records().iter().find_map(|record| match record.sent() {
            Some(Packet::Connect(connect)) => Some(connect.client_id.clone()),
            _ => None,
        });
        id.is_some()
    });
    let thief = Connect { client_id: id.unwrap(), clean_session: true, ..Connect::default() };
    let _thief = Client::connect(rig.it_address(), thief).unwrap();
    rig.relay.wait_for_event(Half::It, Event::SessionLost, &["node=Plant/E"]);
}

#[test]
fn a_frame_that_the_copy_of_the_policy_does_not_allow_is_told() {
    let narrower = "[[rule]]\nname = \"n\"\naction = \"forward\"\ngroup = \"Plant\"\n\
                    edge-node = \"Other\"\n";
    let variation = Variation {
        mirror: "[policies]\npaths = [\"it-policies\"]\n".to_owned(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    fs::create_dir(rig.relay.path("it-policies")).unwrap();
    fs::write(rig.relay.path("it-policies/policy.toml"), narrower).unwrap();
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.nbirth(&[int("count", 1)]).unwrap();
    rig.relay.wait_for_event(Half::It, Event::FrameRefused, &["entity=Plant/E", "reason=recheck"]);
}

#[test]
fn missed_values_whose_device_is_gone_are_told() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.qos = 1;
    edge.nbirth(&[int("count", 1)]).unwrap();
    edge.dbirth("D", &[int("level", 1)]).unwrap();
    rig.wait_for("spBv1.0/Plant/DBIRTH/E/D", 1);
    assert!(rig.relay.terminate(Half::It).success());
    edge.ddata("D", &[untyped(int("level", 2))]).unwrap();
    edge.ddeath("D").unwrap();
    edge.ndata(&[untyped(int("count", 2))]).unwrap();
    rig.relay.start(Half::It);
    rig.wait_for_value("Plant/E", "count", 2);
    rig.relay.wait_for_event(Half::It, Event::ValuesUnplaceable, &["first=", "frames=1"]);
    rig.judge(Excuse::default());
}

/// The test is the OT half here, one whose clock is an hour behind.
#[test]
fn a_journal_in_which_everything_is_old_is_told() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let options = WriterOptions {
        dir: rig.relay.path("journal"),
        relay_name: "relay".into(),
        segment_bytes: 1 << 20,
        retain_bytes: 1 << 26,
        retain_age: None,
        durability: Durability::Process,
    };
    let behind_ms = now_ms() - 3_600_000;
    let mut writer = Writer::open(options, behind_ms).unwrap();
    let start = Body::Start(Start { relay_name: "relay".into(), ..Start::default() });
    writer.begin_segment(behind_ms, [start].into_iter()).unwrap();
    if is_root() {
        // As the OT half itself would have made them.
        for entry in fs::read_dir(rig.relay.path("journal")).unwrap() {
            let path = entry.unwrap().path();
            chown(path, Some(Half::Ot.user()), Some(Half::It.user())).unwrap();
        }
    }
    rig.relay.start(Half::It);
    let heartbeat = Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() });
    wait_until("old frames are told", || {
        writer.push(behind_ms, &heartbeat).unwrap();
        writer.commit().unwrap();
        rig.relay.log(Half::It).contains(&format!(": {} ", Event::OldFrames.msgid()))
    });
    rig.relay.wait_for_event(Half::It, Event::OldFrames, &["behind_ms="]);
}

#[test]
fn a_status_that_cannot_be_written_is_told_once_and_so_is_its_return() {
    let variation = Variation {
        mirror: "[status]\nevery-s = 1\n".into(),
        ot_extra: "[status]\nevery-s = 1\n".into(),
        ..Variation::default()
    };
    let Some(mut rig) = Rig::prepare(EVERYTHING, &variation) else { return };
    for state in ["ot-state", "it-state"] {
        // In the way of the new file.
        fs::create_dir(rig.relay.path(&format!("{state}/status.json.new"))).unwrap();
    }
    rig.start_both();
    for (half, state) in [(Half::Ot, "ot-state"), (Half::It, "it-state")] {
        let line = rig.relay.wait_for_event(half, Event::StatusUnwritten, &["status.json.new"]);
        assert!(line.contains(" WARN ") && line.contains("s a directory"), "{line}");
        fs::remove_dir(rig.relay.path(&format!("{state}/status.json.new"))).unwrap();
        rig.relay.wait_for_event(half, Event::DiskOk, &["what=status"]);
        let told = format!(": {} ", Event::StatusUnwritten.msgid());
        assert_eq!(rig.relay.log(half).matches(&told).count(), 1, "told once");
    }
}

#[test]
fn lines_that_a_syslog_target_never_got_are_told_with_their_number() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    // A port at which nobody is.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let target = format!(
        "[[syslog]]\nname = \"gone\"\nto = \"tcp\"\naddress = \"127.0.0.1:{port}\"\n\
         queue-lines = 16\n"
    );
    rig.relay.add_syslog(Half::Ot, &target, rig.relay.path("").as_path());
    rig.start_ot();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.qos = 1;
    for number in 0..40 {
        edge.publish(&format!("spBv1.0/Plant/NDATA/Ghost{number}"), b"\xff".to_vec(), false);
    }
    rig.relay.wait_for_event(Half::Ot, Event::PayloadRefused, &["Ghost39"]);
    assert!(rig.relay.terminate(Half::Ot).success());
    let line = rig.relay.wait_for_event(Half::Ot, Event::LogLost, &["target=gone"]);
    let lost = line.split(' ').find_map(|word| word.strip_prefix("lost=")).unwrap();
    // Everything that was told: nothing of it arrived.
    let told = rig.relay.log(Half::Ot).lines().filter(|one| *one != line).count();
    assert_eq!(lost.parse::<usize>().unwrap(), told, "{}", rig.relay.log(Half::Ot));
}

#[test]
fn the_certificate_of_a_broker_is_warned_about_before_it_ends() {
    let left = Duration::from_secs(5 * 86_400);
    let authority = Authority::with_broker_for("ot", left);
    let Some(broker) = authority.broker() else { return };
    let link = authority.link(&broker, &authority);
    let mut settings = settings(link.clone(), link);
    settings.ot_extra = "[status]\nevery-s = 1\n".into();
    settings.mirror = "[status]\nevery-s = 1\n".into();
    let mut relay = Relay::new(&settings);
    relay.start(Half::Ot);
    relay.start(Half::It);
    let mut edge = RawEdge::connect(broker.address, "Plant", "E");
    edge.qos = 1;
    wait_until("a node is mirrored", || {
        edge.nbirth(&[int("count", 1)]).unwrap();
        relay.log(Half::It).contains(" BROKER_UP ")
    });
    for half in [Half::Ot, Half::It] {
        let line = relay.wait_for_event(half, Event::CertExpires, &["of the server"]);
        assert!(line.contains("certificate=\"of the server `localhost`\" expires="), "{line}");
        assert!(line.ends_with("days_left=4") || line.ends_with("days_left=5"), "{line}");
        let state = format!("{}-state/status.json", half.name());
        let mut status = serde_json::Value::Null;
        wait_until(&format!("{half:?}: the status has the broker's certificate"), || {
            let text = fs::read(relay.path(&state)).unwrap_or_default();
            status = serde_json::from_slice(&text).unwrap_or_default();
            status["certificate"]["file"] == "of the server `localhost`"
        });
        let days = status["certificate"]["days_left"].as_i64().unwrap();
        assert!((4..=5).contains(&days), "{status}");
        let reasons = status["health"]["reasons"].to_string();
        assert!(reasons.contains("certificate of the server `localhost` ends in"), "{reasons}");
    }
    relay.signal(Half::It, Signal::TERM);
    let _ = relay.wait(Half::It);
}

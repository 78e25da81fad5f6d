//! Every event of the catalogue arrives at rsyslog and at syslog-ng over UDP, TCP and TLS, in
//! order, with its structured data intact.

use std::collections::BTreeMap;

use telemetry::Event;

use super::daemon::{Daemon, Kind, rsyslog, syslog_ng};
use super::record::Line;
use super::sender::{VALUE, configuration, plain, send_once, tls};

#[test]
fn every_event_arrives_at_rsyslog_in_order_and_whole() {
    let Some(daemon) = Daemon::start(Kind::Rsyslog, rsyslog) else { return };
    send_to(&daemon);
    for name in ["udp", "tcp", "tls"] {
        let raw = arrived(&daemon, name);
        // What rsyslog itself made of the line is the line.
        let parsed = parsed(&daemon, name, raw.len());
        for (raw, parsed) in raw.iter().zip(parsed.lines().map(Line::parse)) {
            assert_eq!(*raw, parsed, "{name}");
        }
    }
}

#[test]
fn every_event_arrives_at_syslog_ng_in_order_and_whole() {
    let Some(daemon) = Daemon::start(Kind::SyslogNg, syslog_ng) else { return };
    send_to(&daemon);
    for name in ["udp", "tcp", "tls"] {
        let raw = arrived(&daemon, name);
        let parsed = parsed(&daemon, name, raw.len());
        for (raw, json) in raw.iter().zip(parsed.lines()) {
            let json: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(json["msgid"], raw.msgid.as_str());
            assert_eq!(json["app"], raw.app.as_str());
            let data: BTreeMap<String, BTreeMap<String, String>> =
                serde_json::from_value(json["_SDATA"].clone()).unwrap();
            assert_eq!(data, raw.data, "{name}");
        }
    }
}

fn send_to(daemon: &Daemon) {
    let ports = daemon.ports;
    let targets =
        [plain("udp", ports.udp, ""), plain("tcp", ports.tcp, ""), tls(ports.tls, "")].concat();
    configuration(daemon.dir.path(), &targets);
    let (said, complete) = send_once(daemon.dir.path());
    assert!(complete, "{said}");
}

/// What the server made of the lines of one target, one a line.
fn parsed(daemon: &Daemon, name: &str, lines: usize) -> String {
    let file = format!("{name}.parsed");
    daemon.wait_for(&file, "parsed", |text| text.lines().count() >= lines);
    daemon.read(&file)
}

/// The lines of one target, after it was seen that every event is among them, once, in order.
pub(super) fn arrived(daemon: &Daemon, name: &str) -> Vec<Line> {
    let is_test = |line: &&Line| line.field("test") == Some("1");
    daemon.wait_for(name, "every event", |text| {
        text.lines().filter(|line| line.contains(" test=\"1\"")).count() >= Event::ALL.len()
    });
    let lines: Vec<Line> = daemon.read(name).lines().map(Line::parse).collect();
    let msgids: Vec<&str> = lines.iter().filter(is_test).map(|line| line.msgid.as_str()).collect();
    let wanted: Vec<&str> = Event::ALL.iter().map(|event| event.msgid()).collect();
    assert_eq!(msgids, wanted, "{name}");
    let sequence: Vec<u64> = lines.iter().map(Line::sequence).collect();
    let counted: Vec<u64> = (1..=lines.len() as u64).collect();
    assert_eq!(sequence, counted, "{name}: a hole, or out of order");
    for line in lines.iter().filter(is_test) {
        let event = Event::from_msgid(&line.msgid).unwrap();
        assert_eq!(line.app, "sparkdiode-ot");
        assert_eq!(line.field("half"), Some("ot"));
        for field in event.entry().fields {
            assert_eq!(
                line.field(field.name),
                Some(VALUE),
                "{name}: {} {}",
                line.msgid,
                field.name
            );
        }
        assert_eq!(line.data["origin"]["software"], "sparkdiode");
        assert_eq!(line.data["timeQuality"]["tzKnown"], "1");
        assert!(line.message.starts_with(&line.msgid), "{line:?}");
    }
    lines
}

//! Local targets: rsyslog's socket with its default parser and without, journald's protocol.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;

use telemetry::Event;

use super::daemon::{Daemon, Kind};
use super::record::Line;
use super::sender::{VALUE, configuration, send_once};

#[test]
fn the_local_daemon_reads_the_default_form_with_its_default_parser() {
    let make = |_: &_, dir: &std::path::Path| {
        let dir = dir.display();
        format!(
            r#"global(workDirectory="{dir}")
module(load="imuxsock" SysSock.Use="off")
template(name="t" type="string" string="%app-name%|%procid%|%syslogfacility-text%|%syslogseverity-text%|%msg%\n")
template(name="raw" type="string" string="%rawmsg%\n")
ruleset(name="classic") {{ action(type="omfile" file="{dir}/classic" template="t") }}
ruleset(name="modern") {{ action(type="omfile" file="{dir}/modern" template="raw") }}
input(type="imuxsock" socket="{dir}/log" ruleset="classic")
input(type="imuxsock" socket="{dir}/log5424" useSpecialParser="off" ruleset="modern")
"#
        )
    };
    let Some(daemon) = Daemon::start(Kind::Rsyslog, make) else { return };
    crate::waiting::wait_until("the sockets are there", || {
        daemon.path("log").exists() && daemon.path("log5424").exists()
    });
    configuration(
        daemon.dir.path(),
        "[[syslog]]\nto = \"local\"\npath = \"log\"\nfacility = \"local3\"\n\
         [[syslog]]\nto = \"local\"\nname = \"modern\"\npath = \"log5424\"\nformat = \"rfc5424\"\n",
    );
    let (said, complete) = send_once(daemon.dir.path());
    assert!(complete, "{said}");
    let wanted = Event::ALL.len();
    for name in ["classic", "modern"] {
        daemon.wait_for(name, "every event", |text| {
            text.lines().filter(|line| line.contains("test=")).count() >= wanted
        });
    }
    let classic = daemon.read("classic");
    for (line, event) in classic.lines().filter(|line| line.contains("test=1")).zip(Event::ALL) {
        let parts: Vec<&str> = line.splitn(5, '|').collect();
        assert_eq!(parts[0], "sparkdiode-ot", "{line}");
        assert!(parts[1].parse::<u32>().is_ok(), "{line}");
        assert_eq!(parts[2], "local3", "{line}");
        let message = format!(" {} {} test=1", event.msgid(), event.entry().text);
        assert!(parts[4].starts_with(&message), "{line}");
    }
    let modern = daemon.read("modern");
    let tests = modern.lines().map(Line::parse).filter(|line| line.field("test") == Some("1"));
    for (line, event) in tests.zip(Event::ALL) {
        assert_eq!(line.msgid, event.msgid());
        for field in event.entry().fields {
            assert_eq!(line.field(field.name), Some(VALUE));
        }
    }
}

#[test]
fn journald_gets_every_event_with_a_field_for_each_field() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UnixDatagram::bind(dir.path().join("socket")).unwrap();
    configuration(dir.path(), "[[syslog]]\nto = \"journald\"\npath = \"socket\"\n");
    let path = dir.path().to_owned();
    let sender = std::thread::spawn(move || send_once(&path));
    let mut seen = 0;
    while seen < Event::ALL.len() {
        let mut buffer = [0; 65_536];
        let length = socket.recv(&mut buffer).unwrap();
        let entry = std::str::from_utf8(&buffer[..length]).unwrap();
        let fields: BTreeMap<&str, &str> =
            entry.lines().map(|line| line.split_once('=').unwrap()).collect();
        if fields.get("SPARKDIODE_TEST") != Some(&"1") {
            continue;
        }
        let event = Event::ALL[seen];
        assert_eq!(fields["SPARKDIODE_MSGID"], event.msgid());
        assert_eq!(fields["PRIORITY"], (event.entry().severity as u8).to_string());
        assert_eq!(fields["SYSLOG_IDENTIFIER"], "sparkdiode-ot");
        assert!(fields["MESSAGE"].starts_with(event.msgid()));
        for field in event.entry().fields {
            let name = format!("SPARKDIODE_{}", field.name.to_uppercase());
            assert_eq!(fields[name.as_str()], VALUE, "{}", event.msgid());
        }
        seen += 1;
    }
    let (said, complete) = sender.join().unwrap();
    assert!(complete, "{said}");
}

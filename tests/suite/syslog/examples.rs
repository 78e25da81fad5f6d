//! The examples of the manual's page `syslog`, run with the tools that they are for.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use telemetry::{Event, Severity};

use super::daemon::{Daemon, Kind, Ports, rsyslog};
use super::sender::{VALUE, configuration, plain, send_once, tls};
use crate::broker::skipped;

/// The block of this language on the page.
fn example(language: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("src/manual/syslog.md")).unwrap();
    let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("\n```").unwrap().0.to_owned() + "\n"
}

/// The example with this test's paths and port, and on loopback alone.
fn adapted(language: &str, ports: &Ports, dir: &Path) -> String {
    let dir = dir.display().to_string();
    example(language)
        .replace("/etc/rsyslog.d/log-ca.pem", &format!("{dir}/certs/it-ca.pem"))
        .replace("/etc/rsyslog.d/log-server", &format!("{dir}/certs/it-server"))
        .replace("/etc/syslog-ng/log-ca.pem", &format!("{dir}/certs/it-ca.pem"))
        .replace("/etc/syslog-ng/log-server", &format!("{dir}/certs/it-server"))
        .replace("/var/log", &dir)
        .replace("port=\"6514\"", &format!("port=\"{}\" address=\"127.0.0.1\"", ports.tls))
        .replace("ip(\"0.0.0.0\") port(6514)", &format!("ip(\"127.0.0.1\") port({})", ports.tls))
}

#[test]
fn the_rsyslog_example_makes_json_of_every_event_and_alarms_of_some() {
    let make = |ports: &Ports, dir: &Path| adapted("rsyslog", ports, dir);
    let Some(daemon) = Daemon::start(Kind::Rsyslog, make) else { return };
    check_json(&daemon, |json, name| json["data"]["sparkdiode@32473"][name].clone());
}

#[test]
fn the_syslog_ng_example_makes_json_of_every_event_and_alarms_of_some() {
    let make = |ports: &Ports, dir: &Path| adapted("syslog-ng", ports, dir);
    let Some(daemon) = Daemon::start(Kind::SyslogNg, make) else { return };
    check_json(&daemon, |json, name| json["_SDATA"]["sparkdiode@32473"][name].clone());
}

fn check_json(daemon: &Daemon, field: impl Fn(&serde_json::Value, &str) -> serde_json::Value) {
    configuration(daemon.dir.path(), &tls(daemon.ports.tls, ""));
    let (said, complete) = send_once(daemon.dir.path());
    assert!(complete, "{said}");
    let alarms = Event::ALL.iter().filter(|event| event.entry().severity <= Severity::Warning);
    for (file, wanted) in [
        ("sparkdiode.json", Event::ALL.to_vec()),
        ("sparkdiode-alarms.json", alarms.copied().collect()),
    ] {
        let test = |json: &serde_json::Value| field(json, "test") == "1";
        let read = || -> Vec<serde_json::Value> {
            let text = daemon.read(file);
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).filter(&test).collect()
        };
        daemon.wait_for(file, "every event", |_| read().len() >= wanted.len());
        for (json, event) in read().iter().zip(wanted) {
            assert_eq!(json["msgid"], event.msgid());
            assert_eq!(json["app"], "sparkdiode-ot");
            for spec in event.entry().fields {
                assert_eq!(field(json, spec.name), VALUE, "{}: {}", event.msgid(), spec.name);
            }
        }
    }
}

/// Splunk isn't in Debian: its two regular expressions are run by Python, on lines that rsyslog
/// received.
#[test]
fn the_splunk_expressions_read_every_field_of_every_event() {
    let Some(daemon) = Daemon::start(Kind::Rsyslog, rsyslog) else { return };
    configuration(daemon.dir.path(), &plain("tcp", daemon.ports.tcp, ""));
    let (said, complete) = send_once(daemon.dir.path());
    assert!(complete, "{said}");
    daemon.wait_for("tcp", "every event", |text| {
        text.lines().filter(|line| line.contains(" test=\"1\"")).count() >= Event::ALL.len()
    });
    let splunk = example("splunk");
    let expressions: Vec<&str> =
        splunk.lines().filter_map(|line| line.strip_prefix("REGEX = ")).collect();
    let [header, fields] = expressions[..] else { panic!("{expressions:?}") };
    let script = r#"
import json, re, sys
job = json.load(sys.stdin)
python = lambda regex: re.compile(regex.replace("(?<", "(?P<"))
header, fields = python(job["header"]), python(job["fields"])
for line in job["lines"]:
    match = header.match(line)
    found = {m["_KEY_1"]: m["_VAL_1"] for m in fields.finditer(match["sd"])}
    print(json.dumps({"msgid": match["msgid"], "half": match["half"], "fields": found}))
"#;
    let text = daemon.read("tcp");
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(" test=\"1\"")).collect();
    let job = serde_json::json!({ "header": header, "fields": fields, "lines": lines });
    let python = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut python) = python else { return skipped("python3 is not installed") };
    python.stdin.take().unwrap().write_all(job.to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let found = String::from_utf8(output.stdout).unwrap();
    // Splunk leaves the escapes of RFC 5424 in the value.
    let escaped = VALUE.replace('\\', "\\\\").replace('"', "\\\"").replace(']', "\\]");
    assert_eq!(found.lines().count(), Event::ALL.len());
    for (line, event) in found.lines().zip(Event::ALL) {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&json["msgid"], &json["half"]), (&event.msgid().into(), &"ot".into()));
        for spec in event.entry().fields {
            assert_eq!(json["fields"][spec.name], escaped.as_str(), "{}", event.msgid());
        }
    }
}

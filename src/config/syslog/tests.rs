//! Tables `[[syslog]]`: what is taken, and what is said of what isn't.

use std::path::Path;
use std::time::UNIX_EPOCH;

use diagnostic::{Diagnostics, SourceFile};

use super::*;
use crate::OtConfig;
use crate::reader::Environment;

const OT: &str = r#"name = "plant-a"
[broker]
address = "127.0.0.1:1883"
plaintext = true
[policies]
paths = ["policies"]
[journal]
path = "journal"
[state]
path = "ot"
"#;

fn read(tables: &str) -> Result<(Vec<SyslogConfig>, Diagnostics), String> {
    let file = SourceFile::new("/etc/sparkdiode/ot.toml", format!("{OT}{tables}"));
    let environment = Environment {
        credentials_directory: None,
        checking: true,
        unit_dirs: Vec::new(),
        now: UNIX_EPOCH,
    };
    match OtConfig::read(Reader::new(file, environment)) {
        Ok((config, warnings)) => Ok((config.syslog, warnings)),
        Err(problems) => Err(problems.to_string()),
    }
}

#[test]
fn targets_have_the_documented_defaults() {
    let (targets, _) = read("[[syslog]]\nto = \"journald\"\n[[syslog]]\nto = \"local\"\n").unwrap();
    assert_eq!(targets[0].name, "journald");
    assert_eq!(targets[0].to, SyslogTo::Journald { path: JOURNALD.into() });
    let format = LocalFormat::Rfc3164;
    assert_eq!(targets[1].to, SyslogTo::Local { path: DEV_LOG.into(), format });
    for target in targets {
        assert_eq!(target.min_severity, Severity::Info);
        assert_eq!(target.selection, Selection::All);
        assert_eq!(target.facility, Facility::Daemon);
        assert_eq!((target.enterprise, target.queue_lines), (32_473, 2_048));
        assert!(!target.time_synced);
    }
    assert_eq!(read("").unwrap().0, []);
}

#[test]
fn every_key_is_taken_over() {
    let (targets, warnings) = read(
        "[[syslog]]\nto = \"tcp\"\naddress = \"siem:514\"\nname = \"siem\"\n\
         min-severity = \"warning\"\nevents = [\"LINK_STALE\", \"COMMAND_REFUSED\"]\n\
         facility = \"local3\"\nenterprise-number = 4711\ntime-synced = true\nqueue-lines = 16\n\
         [[syslog]]\nto = \"local\"\npath = \"log\"\nformat = \"rfc5424\"\n\
         except-events = [\"REBIRTH_ANSWERED\"]\n",
    )
    .unwrap();
    let wanted = SyslogConfig {
        name: "siem".into(),
        to: SyslogTo::Tcp(Address { host: "siem".into(), port: 514 }),
        min_severity: Severity::Warning,
        selection: Selection::Only(vec![Event::LinkStale, Event::CommandRefused]),
        facility: Facility::Local3,
        enterprise: 4_711,
        time_synced: true,
        queue_lines: 16,
    };
    assert_eq!(targets[0], wanted);
    let path = Path::new("/etc/sparkdiode/log").to_owned();
    assert_eq!(targets[1].to, SyslogTo::Local { path, format: LocalFormat::Rfc5424 });
    assert_eq!(targets[1].selection, Selection::Except(vec![Event::RebirthAnswered]));
    // One for the broker, one for the log.
    assert_eq!(warnings.to_string().matches("neither encrypted nor authenticated").count(), 2);
}

#[test]
fn addresses_of_ipv6_are_in_brackets_and_name_the_server_too() {
    let target = "[[syslog]]\nto = \"udp\"\naddress = \"[fd00:0::9]:514\"\n\
                  [[syslog]]\nto = \"tls\"\naddress = \"[::1]:6514\"\n\
                  [syslog.tls]\nca-file = \"${CREDENTIALS_DIRECTORY}/ca\"\n";
    let (targets, _) = read(target).unwrap();
    assert_eq!(targets[0].name, "udp:[fd00::9]:514");
    assert_eq!(targets[0].to, SyslogTo::Udp(Address { host: "fd00::9".into(), port: 514 }));
    let SyslogTo::Tls(address, tls) = &targets[1].to else { panic!("{targets:?}") };
    assert_eq!((address.host.as_str(), tls.server_name.as_str()), ("::1", "::1"));
    assert_eq!(targets[1].to.to_string(), "[::1]:6514 by TLS");
}

#[test]
fn mistakes_are_named_with_what_was_wanted() {
    for (table, wanted) in [
        ("", "missing key: `to` in `[syslog]`"),
        ("to = \"tsl\"", "unknown value of `to`: `tsl`"),
        ("to = \"udp\"", "missing key: `address`"),
        ("to = \"tls\"\naddress = \"siem:6514\"", "missing key: `tls`"),
        ("to = \"udp\"\naddress = \"siem\"", "bad value of `address`: `siem`"),
        ("to = \"udp\"\naddress = \"::1:514\"", "wanted an IPv6 address in brackets"),
        ("to = \"tcp\"\naddress = \"[::1]\"", "wanted a port of 1 to 65535 after the brackets"),
        ("to = \"tcp\"\naddress = \"[::1\"", "wanted `]` after the IPv6 address"),
        ("to = \"tcp\"\naddress = \"[::g]:514\"", "wanted an IPv6 address in the brackets"),
        ("to = \"tcp\"\naddress = \"[fe80::1%eth0]:514\"", "wanted an IPv6 address without a zone"),
        ("to = \"tcp\"\naddress = \"[10.0.0.1]:514\"", "wanted an IPv6 address in the brackets"),
        ("to = \"udp\"\naddress = \"a:1\"\npath = \"x\"", "`path` doesn't go with `to = \"udp\"`"),
        ("to = \"local\"\naddress = \"a:1\"", "`address` doesn't go with `to = \"local\"`"),
        ("to = \"journald\"\nformat = \"rfc5424\"", "`format` doesn't go with"),
        ("to = \"tcp\"\naddress = \"a:1\"\ntls = {}", "`tls` doesn't go with `to = \"tcp\"`"),
        ("to = \"local\"\nformat = \"5424\"", "unknown value of `format`: `5424`"),
        ("to = \"local\"\nmin-severity = \"warn\"", "unknown value of `min-severity`: `warn`"),
        ("to = \"local\"\nfacility = \"local8\"", "unknown value of `facility`: `local8`"),
        ("to = \"local\"\nevents = [\"LINK_STAL\"]", "unknown event in `events`: `LINK_STAL`"),
        ("to = \"local\"\nexcept-events = [\"X\"]", "unknown event in `except-events`: `X`"),
        (
            "to = \"local\"\nevents = [\"STARTED\"]\nexcept-events = [\"STOPPED\"]",
            "`events` and `except-events` exclude each other",
        ),
        ("to = \"local\"\nqueue-lines = 15", "`queue-lines` is out of range: 15"),
        ("to = \"local\"\nenterprise-number = 0", "`enterprise-number` is out of range: 0"),
        ("to = \"local\"\nname = \"a b\"", "bad value of `name`: `a b`"),
        ("to = \"local\"\n[[syslog]]\nto = \"local\"", "two syslog targets are called `local`"),
        ("to = \"local\"\nqueue-lines = \"1\"", "wrong type of `syslog.queue-lines`"),
    ] {
        let problems = read(&format!("[[syslog]]\n{table}\n")).unwrap_err();
        assert!(problems.contains(wanted), "lacks {wanted:?}:\n{problems}");
    }
    let problems = read("[[syslog]]\nto = \"local\"\nevents = [\"LINK_STAL\"]\n").unwrap_err();
    assert!(problems.contains("did you mean `LINK_STALE`?"), "{problems}");
}

#[test]
fn the_targets_of_the_samples_are_valid() {
    for name in ["ot.toml", "it.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd").join(name);
        let text = std::fs::read_to_string(path).unwrap();
        let tables: String = text
            .lines()
            .filter_map(|line| line.strip_prefix("#   "))
            .fold(String::new(), |tables, line| tables + line + "\n");
        let (targets, _) = read(&tables).unwrap();
        assert_eq!(targets.len(), 2, "{name}");
    }
}

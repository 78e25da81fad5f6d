//! What Prometheus gets of a running relay: Debian's node_exporter reads the textfiles of both halves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use telemetry::status::{FAMILIES, Kind};

use super::tls::{Authority, settings};
use crate::broker::skipped;
use crate::metrics::{int, untyped};
use crate::monitoring;
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, Relay};
use crate::waiting::wait_until;

const EXPORTER: &str = "/usr/bin/prometheus-node-exporter";

const POLICY: &str = r#"
[[rule]]
name = "counters"
action = "forward"
group = "Plant"
deny-metrics = ["Secret"]
not-after = 2100-01-01T00:00:00Z

[[rule]]
name = "tried"
action = "deny"
group = "Plant"
deny-metrics = ["Counter"]
mode = "observe"
"#;

/// node_exporter with nothing but its textfile collector.
struct Exporter {
    address: SocketAddr,
    child: Child,
}

impl Exporter {
    fn start(directories: &Path) -> Option<Exporter> {
        if !Path::new(EXPORTER).exists() {
            skipped("no node_exporter; install `prometheus-node-exporter`");
            return None;
        }
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let child = Command::new(EXPORTER)
            .args(["--collector.disable-defaults", "--collector.textfile"])
            .arg(format!("--collector.textfile.directory={}", directories.display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Exporter { address, child })
    }

    /// `/metrics`, once it answers.
    fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        assert!(head.starts_with("HTTP/1.0 200"), "{head}");
        Some(body.to_owned())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn node_exporter_exposes_every_family_of_both_halves_and_dashboard_and_alerts_name_no_other() {
    let (ot_side, it_side) = (Authority::new("ot"), Authority::new("it"));
    let Some(ot_broker) = ot_side.broker() else { return };
    let Some(it_broker) = it_side.broker() else { return };
    let mut settings =
        settings(ot_side.link(&ot_broker, &ot_side), it_side.link(&it_broker, &it_side));
    settings.policy = POLICY.to_owned();
    let tables = |half: &str| {
        format!("[status]\nevery-s = 1\n[metrics]\ntextfile = \"{half}-state/{half}.prom\"\n")
    };
    settings.ot_extra = tables("ot") + "[relay]\nshard = \"1/1\"\n";
    settings.mirror = tables("it") + "[policies]\npaths = [\"policies\"]\n";
    let mut relay = Relay::new(&settings);
    let config = fs::read_to_string(relay.path("ot.toml")).unwrap();
    let observing = config.replacen("[policies]\n", "[policies]\nobserve = [\"policies\"]\n", 1);
    fs::write(relay.path("ot.toml"), observing).unwrap();
    relay.start(Half::Ot);
    relay.start(Half::It);
    // Both are read, as by one agent: here it's the test's.
    let Some(exporter) = Exporter::start(&relay.path("*-state")) else { return };
    let mut edge = RawEdge::connect(ot_broker.address, "Plant", "E");
    let mut text = String::new();
    wait_until("both halves have counted something, and the exporter has read it", || {
        edge.nbirth(&[int("Counter", 1), int("Secret", 7)]).unwrap();
        edge.ndata(&[untyped(int("Secret", 8))]).unwrap();
        text = exporter.metrics().unwrap_or_default();
        let sample = |start: &str| text.lines().any(|line| line.starts_with(start));
        sample("sparkdiode_rule_dropped_messages_total{")
            && sample("sparkdiode_ot_report_time_seconds{half=\"it\"")
            && sample("sparkdiode_certificate_expiry_time_seconds{half=\"it\"")
    });

    assert!(text.contains("\nnode_textfile_scrape_error 0\n"), "{text}");
    let mut exposed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("sparkdiode_")) {
        let (name, rest) = line.split_once('{').unwrap();
        let names = rest.split_once('}').unwrap().0.split("\",").map(|label| label.split('='));
        let names = names.filter_map(|mut label| label.next()).map(str::to_owned);
        exposed.entry(name.to_owned()).or_default().extend(names);
    }
    for family in FAMILIES {
        let kind = if family.kind == Kind::Counter { "counter" } else { "gauge" };
        let head = format!("# HELP {0} {1}\n# TYPE {0} {kind}\n{0}{{", family.name, family.help);
        assert!(text.contains(&head), "lacks {head}:\n{text}");
        assert!(exposed[family.name].is_superset(&["half", "relay"].map(str::to_owned).into()));
    }
    assert_eq!(exposed.len(), FAMILIES.len(), "{:?}", exposed.keys());
    monitoring::all_named_in(&exposed);
    for half in ["ot", "it"] {
        let path = relay.path(&format!("{half}-state/{half}.prom"));
        assert!(text.contains(&format!("file=\"{}\"", path.display())), "{text}");
        assert!(fs::metadata(path).is_ok());
    }
}

//! A broker that moves: `sparkdiode resolve` finds its new address outside of the seal, and the half goes
//! there without a restart; what isn't a file of addresses is refused, and the half stays where it was.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use telemetry::Event;

use super::brokers::{any, broker_at};
use super::tls::settings;
use crate::broker::{Broker, skipped};
use crate::metrics::int;
use crate::peers::raw_edge::RawEdge;
use crate::relay::{BINARY, Half, Link, Relay, is_root};
use crate::waiting::wait_until;

const NAME: &str = "broker.test";
/// Where the broker moves to.
const MOVED_TO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A relay whose half is at `address`, by its name.
struct Moving {
    relay: Relay,
    half: Half,
}

impl Moving {
    fn new(half: Half, ot: SocketAddr, it: SocketAddr) -> Moving {
        let relay = Relay::new(&settings(Link::Plain(ot), Link::Plain(it)));
        let address = if half == Half::Ot { ot } else { it };
        let names = relay.path("names");
        fs::create_dir(&names).unwrap();
        fs::set_permissions(&names, fs::Permissions::from_mode(0o755)).unwrap();
        let config = relay.path(&format!("{}.toml", half.name()));
        let text = fs::read_to_string(&config).unwrap();
        let port = address.port();
        let named = format!(
            "address = \"{NAME}:{port}\"\naddresses-file = \"{}\"",
            names.join("broker").display()
        );
        let text = text.replace(&format!("address = \"{address}\""), &named);
        assert!(text.contains(NAME), "{text}");
        fs::write(&config, text).unwrap();
        Moving { relay, half }
    }

    /// Looks the name up where the hosts file has it at these addresses.
    fn resolve(&self, hosts: &[Ipv4Addr]) -> String {
        let file = self.relay.path("hosts");
        let lines: Vec<String> = hosts.iter().map(|host| format!("{host} {NAME}\n")).collect();
        fs::write(&file, lines.concat()).unwrap();
        let config = self.relay.path(&format!("{}.toml", self.half.name()));
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c"])
            .arg("mount --bind \"$0\" /etc/hosts && exec \"$1\" resolve --config \"$2\"")
            .args([file.as_os_str(), BINARY.as_ref(), config.as_os_str()])
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Exchanges the file for something else, as whoever may write the directory could.
    fn put(&self, text: &str) {
        let new = self.relay.path("names/new");
        fs::write(&new, text).unwrap();
        fs::rename(&new, self.relay.path("names/broker")).unwrap();
    }

    fn status(&self) -> String {
        let name = format!("{}-state/status.json", self.half.name());
        fs::read_to_string(self.relay.path(&name)).unwrap_or_default()
    }
}

/// The sessions that a broker at the new address has taken.
fn moved_to(port: u16) -> Arc<AtomicUsize> {
    let sessions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sessions);
    broker_at((MOVED_TO, port).into(), move |connection| {
        connection.connack(0)?;
        counted.fetch_add(1, Ordering::Relaxed);
        connection.ordinary(any)
    });
    sessions
}

/// Bind mounts take root.
fn may_mount() -> bool {
    let may = is_root() && Command::new("unshare").args(["--mount", "true"]).output().is_ok();
    if !may {
        skipped("only root has a hosts file of its own");
    }
    may
}

#[test]
fn a_broker_that_moves_is_found_by_the_sealed_ot_half() {
    if !may_mount() {
        return;
    }
    let Some(mut old) = Broker::plain() else { return };
    let port = old.address.port();
    let sessions = moved_to(port);
    let mut moving = Moving::new(Half::Ot, old.address, old.address);
    let said = moving.resolve(&[Ipv4Addr::LOCALHOST]);
    assert_eq!(said, "broker.test: 127.0.0.1\n");
    moving.relay.start(Half::Ot);
    moving.relay.wait_for_event(Half::Ot, Event::BrokerUp, &["broker=broker.test"]);
    assert_eq!(moving.resolve(&[Ipv4Addr::LOCALHOST]), "broker.test: 127.0.0.1, as before\n");
    let said = moving.resolve(&[MOVED_TO]);
    assert_eq!(said, "broker.test: 127.0.0.2; before: 127.0.0.1\n");
    moving.relay.signal(Half::Ot, Signal::HUP);
    let words = ["addresses=127.0.0.2", "before=127.0.0.1"];
    moving.relay.wait_for_event(Half::Ot, Event::BrokerAddresses, &words);
    // The session that stands is left alone.
    assert_eq!(sessions.load(Ordering::Relaxed), 0);
    old.kill();
    wait_until("it is at the new address", || sessions.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_broker_that_moves_is_found_by_the_sealed_it_half_without_anybody_asking() {
    if !may_mount() {
        return;
    }
    let Some(ot) = Broker::plain() else { return };
    let Some(mut old) = Broker::plain() else { return };
    let sessions = moved_to(old.address.port());
    let mut moving = Moving::new(Half::It, ot.address, old.address);
    moving.resolve(&[Ipv4Addr::LOCALHOST]);
    moving.relay.start(Half::Ot);
    moving.relay.start(Half::It);
    moving.relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
    let mut edge = RawEdge::connect(ot.address, "Plant", "E");
    wait_until("the node has a session", || {
        edge.nbirth(&[int("count", 1)]).unwrap();
        moving.relay.count_events(Half::It, Event::BrokerUp) > 0
    });
    old.kill();
    moving.relay.wait_for_event(Half::It, Event::BrokerDown, &["broker=broker.test"]);
    moving.resolve(&[Ipv4Addr::LOCALHOST, MOVED_TO]);
    moving.relay.wait_for_event(Half::It, Event::BrokerAddresses, &["127.0.0.2"]);
    wait_until("it is at the new address", || sessions.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_file_that_is_none_of_addresses_is_refused_and_the_half_stays_where_it_was() {
    let Some(mut old) = Broker::plain() else { return };
    let sessions = moved_to(old.address.port());
    let good = |host: &str| {
        format!(
            "sparkdiode addresses 1\nhost {NAME}\nlooked-up 2026-11-28T12:00:00.000Z\n\
             address {host}\n"
        )
    };
    let mut moving = Moving::new(Half::Ot, old.address, old.address);
    moving.put(&good("127.0.0.1"));
    moving.relay.start(Half::Ot);
    moving.relay.wait_for_event(Half::Ot, Event::BrokerUp, &[]);
    // A good line first: the file is refused as a whole.
    moving.put(&(good("127.0.0.2") + "address 127.0.0.2:22\n"));
    moving.relay.signal(Half::Ot, Signal::HUP);
    let words = ["names/broker:5: no address: got `address 127.0.0.2:22`; wanted: `address`"];
    moving.relay.wait_for_event(Half::Ot, Event::BrokerAddressesRefused, &words);
    wait_until("health has it", || {
        moving.status().contains("the file of the broker's addresses isn't used")
    });
    // What would be written to a terminal, and a link to somewhere else.
    moving.put(&good("\u{1b}[2J"));
    let words = ["got `address \\\\u{1b}[2J`"];
    moving.relay.wait_for_event(Half::Ot, Event::BrokerAddressesRefused, &words);
    fs::write(moving.relay.path("elsewhere"), good("127.0.0.2")).unwrap();
    std::os::unix::fs::symlink(moving.relay.path("elsewhere"), moving.relay.path("names/new"))
        .unwrap();
    fs::rename(moving.relay.path("names/new"), moving.relay.path("names/broker")).unwrap();
    moving.relay.wait_for_event(Half::Ot, Event::BrokerAddressesRefused, &["symbolic link"]);
    let before = moving.relay.count_events(Half::Ot, Event::BrokerUp);
    old.kill();
    old.restart();
    wait_until("it is where it was", || {
        moving.relay.count_events(Half::Ot, Event::BrokerUp) > before
    });
    assert_eq!(sessions.load(Ordering::Relaxed), 0, "no address of a refused file is used");
    moving.put(&good("127.0.0.2"));
    moving.relay.wait_for_event(Half::Ot, Event::BrokerAddresses, &["addresses=127.0.0.2"]);
    old.kill();
    wait_until("it is at the new address", || sessions.load(Ordering::Relaxed) > 0);
    wait_until("health has it no more", || {
        !moving.status().contains("the file of the broker's addresses isn't used")
    });
}

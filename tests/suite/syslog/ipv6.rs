//! Targets with an IPv6 address: UDP, TCP and TLS, whose certificate has to carry the address.

use std::net::{Ipv6Addr, UdpSocket};

use super::catalogue::arrived;
use super::daemon::{Daemon, Kind, Ports, rsyslog};
use super::sender::{configuration, send_once};
use crate::broker::skipped;

/// rsyslog at `::1`; `None` where this machine has no such address, which is reported loudly.
fn daemon() -> Option<Daemon> {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        skipped("this machine has no ::1");
        return None;
    }
    Daemon::start_at(Ipv6Addr::LOCALHOST.into(), Kind::Rsyslog, |ports, dir| {
        rsyslog(ports, dir).replace("127.0.0.1", "::1")
    })
}

/// A target by TLS. Without `more` the server's name is the address that is dialled.
fn tls(port: u16, more: &str) -> String {
    format!(
        "[[syslog]]\nto = \"tls\"\naddress = \"[::1]:{port}\"\nname = \"tls\"\n\
         [syslog.tls]\nca-file = \"certs/it-ca.pem\"\ncertificate-file = \"certs/it-client.pem\"\n\
         key-file = \"certs/it-client.key\"\n{more}"
    )
}

#[test]
fn every_event_arrives_over_ipv6_in_order_and_whole() {
    let Some(daemon) = daemon() else { return };
    let Ports { udp, tcp, tls: port } = daemon.ports;
    let plain = |to: &str, port| format!("[[syslog]]\nto = \"{to}\"\naddress = \"[::1]:{port}\"\n");
    let targets = [plain("udp", udp), plain("tcp", tcp), tls(port, "")].concat();
    configuration(daemon.dir.path(), &targets);
    let (said, complete) = send_once(daemon.dir.path());
    assert!(complete, "{said}");
    assert!(said.contains(&format!("  udp:[::1]:{udp}: everything was sent")), "{said}");
    for name in ["udp", "tcp", "tls"] {
        arrived(&daemon, name);
    }
}

#[test]
fn a_server_whose_certificate_lacks_the_address_gets_nothing() {
    let Some(daemon) = daemon() else { return };
    // The certificate has ::1 and localhost.
    configuration(daemon.dir.path(), &tls(daemon.ports.tls, "server-name = \"fd00::5\"\n"));
    let (said, complete) = send_once(daemon.dir.path());
    assert!(!complete, "{said}");
    assert!(said.contains("could not be sent"), "{said}");
    assert_eq!(daemon.read("tls"), "");
}

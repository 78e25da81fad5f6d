//! Syslog targets of a half: from the configuration to what logging takes, and what `check` says
//! about them.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use config::{Address, BrokerConfig, SyslogConfig, SyslogTo};
use diagnostic::{Diagnostic, Diagnostics};
use rustls_pki_types::ServerName;
use telemetry::syslog::{Selection, Target, Transport};
use tls::Source;

use super::lookup::resolve;
use super::{Exit, Failure};

/// Reads certificates and keys, and resolves names: once, before the half is sealed. With the
/// targets come the files of their connections.
///
/// # Errors
/// A file that can't be used, or a name without an address.
pub(super) fn targets(
    configs: &[SyslogConfig],
) -> Result<(Vec<Target>, Vec<Arc<Source>>), Failure> {
    let mut sources = Vec::new();
    let targets: Result<Vec<Target>, Failure> =
        configs.iter().map(|config| target(config, &mut sources)).collect();
    Ok((targets?, sources))
}

fn target(config: &SyslogConfig, sources: &mut Vec<Arc<Source>>) -> Result<Target, Failure> {
    let transport = match &config.to {
        SyslogTo::Journald { path } => Transport::Journald { path: path.clone() },
        SyslogTo::Local { path, format } => {
            Transport::Local { path: path.clone(), format: *format }
        }
        SyslogTo::Udp(address) => Transport::Udp { addresses: resolve(address)? },
        SyslogTo::Tcp(address) => Transport::Tcp { addresses: resolve(address)? },
        SyslogTo::Tls(address, tls) => {
            let source = Source::open(tls.clone(), telemetry::emit_peer_expiry)?;
            let source = Arc::new(source);
            sources.push(Arc::clone(&source));
            Transport::Tls {
                addresses: resolve(address)?,
                source,
                server_name: ServerName::try_from(tls.server_name.clone())
                    .map_err(|error| Failure::new(Exit::Config, error.to_string()))?,
            }
        }
    };
    Ok(Target {
        name: config.name.clone(),
        transport,
        min_severity: config.min_severity,
        selection: config.selection.clone(),
        facility: config.facility,
        enterprise: config.enterprise,
        time_synced: config.time_synced,
        queue_lines: config.queue_lines,
    })
}

/// What a target gets, in words.
pub(super) fn describe(config: &SyslogConfig) -> String {
    let mut text = config.to.to_string();
    // Writing to a `String` can't fail.
    let _ = write!(text, ": events of severity {} or worse", config.min_severity);
    let _ = match &config.selection {
        Selection::All => Ok(()),
        Selection::Only(events) => {
            let names: Vec<&str> = events.iter().map(|event| event.msgid()).collect();
            write!(text, ", of {} alone", names.join(", "))
        }
        Selection::Except(events) => {
            let names: Vec<&str> = events.iter().map(|event| event.msgid()).collect();
            write!(text, ", but {}", names.join(", "))
        }
    };
    text
}

/// One half, as far as its log can cross the boundary.
pub(super) struct Side<'a> {
    pub(super) path: &'a Path,
    pub(super) name: &'static str,
    pub(super) broker: &'a BrokerConfig,
    pub(super) syslog: &'a [SyslogConfig],
}

/// Warns about targets on the other half's side: a log is a way for data, and with TCP and TLS one
/// for signals back.
pub(super) fn crossings(ot: &Side<'_>, it: &Side<'_>, warnings: &mut Diagnostics) {
    let mut warn =
        |side: &Side<'_>, title: String| {
            warnings.push(Diagnostic::file_warning("C111", side.path, title).help(
                "each half logs on its own side, or locally: the log may not become a bridge",
            ));
        };
    for (own, other) in [(ot, it), (it, ot)] {
        for address in addresses(own) {
            let is_there = |broker: &&Address| same_host(address, broker);
            if let Some(broker) = other.broker.servers.addresses().find(is_there) {
                warn(
                    own,
                    format!(
                        "the {} half logs to `{address}`, the host of the {} broker `{broker}`",
                        own.name, other.name
                    ),
                );
            }
        }
    }
    for address in addresses(ot) {
        let same = addresses(it).find(|other| *other == address || same_host(address, other));
        if let Some(other) = same {
            let title = if other == address {
                format!("both halves log to `{address}`")
            } else {
                format!("both halves log to one host: `{address}` and `{other}`")
            };
            warn(it, title);
        }
    }
}

fn addresses<'a>(side: &'a Side<'_>) -> impl Iterator<Item = &'a Address> {
    side.syslog.iter().filter_map(|target| target.to.address())
}

/// Loopback is another host in each half's network namespace; names are compared as they are
/// written, since nobody may be there to resolve them.
fn same_host(left: &Address, right: &Address) -> bool {
    let loopback = |host: &str| {
        host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    left.host.eq_ignore_ascii_case(&right.host) && !loopback(&left.host)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use telemetry::Severity as EventSeverity;
    use telemetry::syslog::Facility;

    use super::*;

    fn broker(host: &str) -> BrokerConfig {
        BrokerConfig {
            servers: config::ServersConfig {
                first: config::ServerConfig {
                    address: Address { host: host.to_owned(), port: 8883 },
                    server_name: None,
                },
                others: Vec::new(),
                order: config::ServerOrder::InOrder,
                return_after: None,
            },
            addresses_file: None,
            credentials: None,
            client_id_form: config::ClientIdForm::Auto,
            protocol: config::Protocol::Three,
            five: config::FiveConfig {
                session_expiry: Duration::ZERO,
                announces_packet_limit: false,
                topic_aliases: false,
            },
            keep_alive: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            max_packet_bytes: 65_536,
            profile: None,
            tls: None,
        }
    }

    fn udp(host: &str, port: u16) -> SyslogConfig {
        SyslogConfig {
            name: "x".into(),
            to: SyslogTo::Udp(Address { host: host.to_owned(), port }),
            min_severity: EventSeverity::Info,
            selection: Selection::All,
            facility: Facility::Daemon,
            enterprise: 1,
            time_synced: false,
            queue_lines: 16,
        }
    }

    fn found(ot_log: &[SyslogConfig], it_log: &[SyslogConfig]) -> Vec<String> {
        let (ot_broker, it_broker) = (broker("10.10.0.5"), broker("broker.example"));
        let side = |name, broker, syslog| Side { path: Path::new("x.toml"), name, broker, syslog };
        let mut warnings = Diagnostics::new();
        crossings(&side("OT", &ot_broker, ot_log), &side("IT", &it_broker, it_log), &mut warnings);
        warnings.iter().map(|problem| problem.title.clone()).collect()
    }

    #[test]
    fn targets_on_the_other_side_are_seen() {
        let none: Vec<String> = Vec::new();
        assert_eq!(found(&[udp("10.10.0.9", 514)], &[udp("10.20.0.9", 514)]), none);
        assert_eq!(found(&[udp("10.10.0.5", 514)], &[]), none, "its own broker's host");
        assert_eq!(
            found(&[udp("Broker.example", 514)], &[]),
            ["the OT half logs to `Broker.example:514`, the host of the IT broker \
              `broker.example:8883`"]
        );
        assert_eq!(
            found(&[], &[udp("10.10.0.5", 514)]),
            ["the IT half logs to `10.10.0.5:514`, the host of the OT broker `10.10.0.5:8883`"]
        );
        assert_eq!(
            found(&[udp("siem", 514)], &[udp("siem", 514)]),
            ["both halves log to `siem:514`"]
        );
        assert_eq!(
            found(&[udp("siem", 514)], &[udp("siem", 6514)]),
            ["both halves log to one host: `siem:514` and `siem:6514`"]
        );
        assert_eq!(
            found(&[udp("127.0.0.1", 514)], &[udp("127.0.0.1", 514)]),
            ["both halves log to `127.0.0.1:514`"]
        );
        assert_eq!(found(&[udp("127.0.0.1", 514)], &[udp("127.0.0.1", 515)]), none);
    }
}

//! What starting either half has in common: logging, the policy, secrets, and how it ends.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use broker::{
    BrokerSettings, ClientIdForm, Credentials, FiveSettings, Order, Protocol, ReadPassword, Server,
    Servers, TlsSettings,
};
use bytes::Bytes;
use clap::Args;
use config::{Address, BrokerConfig, SandboxConfig, StatusConfig, SyslogConfig};
use diagnostic::file::FileError;
use diagnostic::{Diagnostic, Diagnostics, SecretFile};
use journal_write::Durability;
use sandbox::Layer;
use signature::SignedPolicy;
use telemetry::logging::{self, Logging};
use telemetry::status::{BrokerName, ReportError, StatusSettings};
use telemetry::{Notifier, event};
use tls::{TlsConfig, TlsError};

use super::policy_source::ClaimedSource;
use super::{Exit, Failure, addresses, syslog};

/// Problems that are named in a log line; the rest is counted.
const MAX_NAMED: usize = 3;
/// Options of both halves.
#[derive(Args, Debug)]
pub(super) struct HalfArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a list such as
    /// `info,rumqttc=debug`. Without it the variable SPARKDIODE_LOG is asked, then `info` taken.
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<String>,
}

/// Sets logging up for the half, or end of a link, called `half`, to stderr and the targets of its configuration, and
/// logs the warnings about its files.
pub(super) fn begin(
    half: &'static str,
    arguments: &HalfArgs,
    broker: Option<&BrokerSettings>,
    syslog: &[SyslogConfig],
    warnings: impl IntoIterator<Item = Diagnostic>,
) -> Result<Logging, Failure> {
    let (targets, sources) = syslog::targets(syslog)?;
    let mut logging = logging::init(half, arguments.log.as_deref(), targets)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let of_broker = broker.map(tls_sources).unwrap_or_default();
    of_broker.into_iter().chain(sources).for_each(|source| logging.watch_source(source));
    if let Some(look) = broker.and_then(addresses::regular) {
        logging.watch(look);
    }
    log_warnings(warnings);
    Ok(logging)
}

/// Logs what is odd about configuration and policy.
pub(super) fn log_warnings(warnings: impl IntoIterator<Item = Diagnostic>) {
    for warning in warnings {
        event!(ConfigWarning, place = place(&warning), problem = warning.title);
    }
}

/// Starts the thread of the log; in a half, once it is sealed.
pub(super) fn start_log(logging: &mut Logging) -> Result<(), Failure> {
    logging
        .start()
        .map_err(|error| Failure::new(Exit::Io, format!("cannot start a thread: {error}")))
}

/// Logs how a half ended, and makes a failure of an error.
pub(super) fn ended<E: std::error::Error>(
    result: Result<(), E>,
    exit: impl FnOnce(&E) -> Exit,
) -> Result<Exit, Failure> {
    match result {
        Ok(()) => {
            event!(Stopped);
            Ok(Exit::Ok)
        }
        Err(error) => Err(failed(exit(&error), &error)),
    }
}

/// Logs an error that ends a half, and makes a failure of it.
pub(super) fn failed(exit: Exit, error: &impl std::error::Error) -> Failure {
    event!(Failed, exit = exit as u8, error = %error);
    Failure::new(exit, error.to_string())
}

/// Reads the policy again, for a half that is running: what is wrong comes in one line.
pub(super) fn read_policy_again(source: &ClaimedSource) -> Result<SignedPolicy, String> {
    match source.read() {
        Ok((policy, warnings)) => {
            log_warnings(warnings);
            Ok(policy)
        }
        Err(problems) => Err(in_one_line(&problems)),
    }
}

/// How to reach a broker: secrets and certificates are read now.
pub(super) fn broker_settings(
    broker: &BrokerConfig,
    client_id: String,
) -> Result<BrokerSettings, Failure> {
    let credentials = match broker.credentials.clone() {
        Some(config::Credentials { user, password }) => {
            // What can't be read is said now, not when the broker asks.
            password.as_ref().map(SecretFile::read_line).transpose()?;
            Some(Credentials { user, password: password.map(password_reader) })
        }
        None => None,
    };
    let (mut first, mut others) = (None, Vec::new());
    let mut opened: Vec<TlsSettings> = Vec::new();
    for (server, addresses) in broker.servers.iter().zip(addresses::of_broker(broker)?) {
        let tls = match broker.tls.as_ref().zip(server.server_name.as_ref()) {
            Some((tls, name)) => Some(tls_settings(tls, name, &mut opened)?),
            None => None,
        };
        let Address { host, port } = server.address.clone();
        let server = Server { host, port, addresses, tls };
        match first {
            None => first = Some(server),
            Some(_) => others.push(server),
        }
    }
    let order = match broker.servers.order {
        config::ServerOrder::InOrder => Order::InOrder,
        config::ServerOrder::Rotating => Order::Rotating,
    };
    let first = first.ok_or_else(|| Failure::new(Exit::Config, "the broker has no server"))?;
    Ok(BrokerSettings {
        servers: Arc::new(Servers::new(first, others, order)),
        client_id,
        client_id_form: match broker.client_id_form {
            config::ClientIdForm::Auto => ClientIdForm::Auto,
            config::ClientIdForm::Short => ClientIdForm::Short,
            config::ClientIdForm::Readable => ClientIdForm::Readable,
        },
        protocol: match broker.protocol {
            config::Protocol::Three => Protocol::Three,
            config::Protocol::Five => Protocol::Five,
        },
        five: FiveSettings {
            session_expiry: broker.five.session_expiry,
            announces_max_packet: broker.five.announces_packet_limit,
            has_topic_aliases: broker.five.topic_aliases,
        },
        credentials,
        keep_alive: broker.keep_alive,
        connect_within: broker.connect_timeout,
        answer_within: broker.answer_timeout,
        max_packet_bytes: usize::try_from(broker.max_packet_bytes).unwrap_or(usize::MAX),
        publishes_per_s: broker
            .profile
            .and_then(|profile| profile.publishes_per_s)
            .and_then(|figure| NonZeroU32::new(u32::try_from(figure.value).ok()?)),
        return_after: broker.servers.return_after,
    })
}

/// TLS with a server of this name; those of one name share it, with what they know of the files.
fn tls_settings(
    tls: &TlsConfig,
    name: &str,
    opened: &mut Vec<TlsSettings>,
) -> Result<TlsSettings, Failure> {
    if let Some(known) = opened.iter().find(|known| known.server_name == name) {
        return Ok(known.clone());
    }
    let server_name = name.to_owned();
    let config = TlsConfig { server_name: server_name.clone(), ..tls.clone() };
    let source = Arc::new(tls::Source::open(config, telemetry::emit_peer_expiry)?);
    let settings = TlsSettings { source, server_name };
    opened.push(settings.clone());
    Ok(settings)
}

/// What is known of the files of TLS connections with a broker.
fn tls_sources(broker: &BrokerSettings) -> Vec<Arc<tls::Source>> {
    let mut sources: Vec<Arc<tls::Source>> = Vec::new();
    for tls in broker.servers.iter().filter_map(|server| server.tls.as_ref()) {
        if sources.iter().all(|known| !Arc::ptr_eq(known, &tls.source)) {
            sources.push(Arc::clone(&tls.source));
        }
    }
    sources
}

/// Reads a password for each connection.
fn password_reader(file: SecretFile) -> ReadPassword {
    Arc::new(move || match file.read_line() {
        Ok(password) => Ok(Bytes::copy_from_slice(password.expose().as_bytes())),
        Err(error) => Err(error.to_string()),
    })
}

/// What the half says of itself.
pub(super) fn status_settings(
    status: StatusConfig,
    broker: &BrokerSettings,
    sandbox: &SandboxConfig,
    logging: &Logging,
) -> StatusSettings {
    StatusSettings {
        every: status.every,
        summary_every: status.summary_every,
        textfile: status.textfile,
        broker_name: BrokerName::new({
            let servers = Arc::clone(&broker.servers);
            move || servers.in_use().server.address()
        }),
        certificates: logging.certificates().clone(),
        concern: addresses::concern(broker),
        any_owner: sandbox.waived.contains(&Layer::User),
    }
}

/// The way to the service manager, if one started this process.
pub(super) fn notifier() -> Result<Notifier, Failure> {
    Notifier::from_environment().map_err(|error| {
        Failure::new(
            Exit::Io,
            format!("cannot reach the service manager at NOTIFY_SOCKET: {error}"),
        )
    })
}

/// How long what is written survives.
pub(super) fn durability(configured: config::Durability) -> Durability {
    match configured {
        config::Durability::Process => Durability::Process,
        config::Durability::Power => Durability::Power,
    }
}

/// Whose fault it is that nothing can be said.
pub(super) fn report_exit(error: &ReportError) -> Exit {
    match error {
        ReportError::Os { .. } => Exit::Io,
        ReportError::Directory { .. } => Exit::Config,
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        let failure = Failure::new(Exit::Config, error.to_string());
        error.hint().into_iter().fold(failure, Failure::hint)
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Failure {
        let failure = Failure::new(Exit::Config, error.to_string());
        error.hint().into_iter().fold(failure, Failure::hint)
    }
}

/// `policies/line4.toml:12:9: unknown key: …`, and how many more there are.
pub(super) fn in_one_line(problems: &Diagnostics) -> String {
    let named: Vec<String> = problems
        .iter()
        .take(MAX_NAMED)
        .map(|problem| format!("{}: {}", place(problem), problem.title))
        .collect();
    let more = problems.len().saturating_sub(named.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", named.join("; "))
}

/// `policies/line4.toml:12:9`.
fn place(problem: &Diagnostic) -> String {
    let path = problem.path.display();
    match problem.position() {
        Some((line, column)) => format!("{path}:{line}:{column}"),
        None => path.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use policy::Policy;

    use super::super::policy_source::PolicySource;
    use super::*;

    #[test]
    fn a_refused_policy_is_named_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        std::fs::write(&path, "[[rule]]\nname = 1\n[[rool]]\n").unwrap();
        let source = PolicySource::new(vec![path], None, directory.path());
        let policy = Policy::parse(&[]).unwrap().0.into();
        let line = read_policy_again(&source.claim(&policy).unwrap()).unwrap_err();
        assert!(line.contains("a.toml:2:"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

//! What sealing either half has in common: whose files it needs, what it may reach afterwards.

use std::io::{PipeReader, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use broker::BrokerSettings;
use config::{BrokerConfig, SandboxConfig, SyslogConfig, SyslogTo};
use diagnostic::SecretFile;
use sandbox::{
    Confined, Demoted, Grants, Identity, Layer, Need, Owned, Role, SandboxError, Start, Unowned,
};
use telemetry::event;
use tls::{Certificates, TlsConfig};

use super::startup::failed;
use super::{Exit, Failure, addresses};

/// Files and sockets of a tool: one connection, what it writes, and reserve.
const TOOL_DESCRIPTORS: u64 = 64;

/// Time for the log's threads to send what was said last.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Gives up what a half doesn't need, before anything else is done.
pub(super) fn start(role: Role) -> Result<Start, Failure> {
    Start::new(role).map_err(|error| Failure::new(Exit::Sandbox, error.to_string()))
}

/// Becomes the half's user, and checks that nobody else can write what it reads and writes, and read
/// what is secret.
pub(super) fn demote(
    start: Start,
    sandbox: &SandboxConfig,
    owned: &[Owned],
    secrets: &[Owned],
) -> Result<Demoted, Failure> {
    // While root can still look at them: a half needn't be able to read again what it has read.
    let user = sandbox.user.as_ref();
    start.require_own(user, &sandbox.waived, secrets).map_err(not_confined)?;
    // The crypto library seeds itself at first use; once sealed it could open no source of it.
    let _ = aws_lc_rs::rand::fill(&mut [0; 32]);
    let demoted = start.become_user(user, &sandbox.waived);
    let demoted = demoted.map_err(not_confined)?;
    demoted.require_own(owned).map_err(not_confined)?;
    Ok(demoted)
}

/// The same for a tool that connects to the broker of a half as that half does. Who isn't root runs it
/// as himself, and is sealed all the same.
pub(super) fn demote_tool(
    start: Start,
    config_path: &Path,
    broker: &BrokerConfig,
    sandbox: &SandboxConfig,
) -> Result<Demoted, Failure> {
    let mut sandbox = sandbox.clone();
    if Identity::current().uid != 0 {
        sandbox.user = None;
        sandbox.waived.push(Layer::User);
    }
    let owned = [Owned::new("configuration", config_path)];
    demote(start, &sandbox, &owned, &secrets(broker, &[], None, None))
}

/// What such a tool may reach once it is sealed.
pub(super) fn tool_grants(broker: &BrokerConfig) -> Grants {
    let mut grants = Grants {
        tcp_ports: broker.servers.ports(),
        descriptors: TOOL_DESCRIPTORS,
        ..Grants::default()
    };
    grants.read.extend(password_directory(broker));
    grants.read.extend(certificate_directories(broker, &[]));
    grants
}

/// Logs why a half can't be confined.
pub(super) fn not_confined(error: SandboxError) -> Failure {
    let failure = failed(Exit::Sandbox, &error);
    error.hint().into_iter().fold(failure, Failure::hint)
}

/// Has files that are exchanged later checked as those at the start were, by the half as it is then.
pub(super) fn guard(
    demoted: &Demoted,
    sandbox: &SandboxConfig,
    certificates: &Certificates,
    secrets: &[Owned],
) {
    if sandbox.waived.contains(&Layer::User) {
        return;
    }
    let identity = demoted.identity();
    for source in &certificates.sources {
        let paths = source.paths();
        let mut own: Vec<Owned> =
            secrets.iter().filter(|owned| paths.contains(&owned.path)).cloned().collect();
        for owned in &mut own {
            // A sealed half can't ask in which directory it is.
            owned.path = std::path::absolute(&owned.path).unwrap_or_else(|_| owned.path.clone());
        }
        source.guard(move || {
            own.iter().try_for_each(|owned| {
                sandbox::require_own(identity, owned).map_err(|error| error.to_string())
            })
        });
    }
}

/// Checks the way to the directory in which somebody else keeps the broker's addresses.
pub(super) fn require_way(demoted: &Demoted, broker: &BrokerSettings) -> Result<(), Failure> {
    let files = broker.servers.iter().filter_map(|server| server.addresses.file());
    for file in files {
        let directory = directory_of_addresses(file.directory());
        demoted.require_way(&directory).map_err(not_confined)?;
    }
    Ok(())
}

/// The directory in which somebody else keeps the broker's addresses.
pub(super) fn addresses_directory(broker: &BrokerConfig) -> Option<Unowned> {
    // All files are in one.
    let files = addresses::files_of(broker);
    files.first().map(|file| directory_of_addresses(file.directory()))
}

fn directory_of_addresses(path: &Path) -> Unowned {
    Unowned { what: "directory of addresses", path: path.to_owned() }
}

/// Files that a half, or an end of a link, owns, by what they are called.
pub(super) fn owned(config: &Path, policies: &[PathBuf], state: &Path) -> Vec<Owned> {
    let mut owned = vec![Owned::new("configuration", config), Owned::new("state directory", state)];
    owned.extend(policies.iter().map(|path| Owned::new("policy", path)));
    owned
}

/// Files of both halves from which passwords, keys, and whom to trust are read, with the directories
/// that they lie in. Credentials that the service manager hands out are left out where it hasn't.
pub(super) fn secrets<'a>(
    broker: &'a BrokerConfig,
    syslog: &'a [SyslogConfig],
    signature: Option<&'a Path>,
    pseudonym_key: Option<&'a SecretFile>,
) -> Vec<Owned> {
    let mut secrets = Vec::new();
    for tls in tls_of(broker, syslog) {
        secrets.push(Owned::new("authorities", &tls.ca_file));
        if let Some(identity) = &tls.identity {
            secrets.push(Owned::new("certificate", &identity.certificate_file));
            secrets.push(Owned::secret("private key", identity.key_file.path()));
        }
    }
    if let Some(config::Credentials { password: Some(password), .. }) = &broker.credentials {
        secrets.push(Owned::secret("password", password.path()));
    }
    secrets.extend(signature.map(|path| Owned::new("signature", path)));
    secrets.extend(pseudonym_key.map(|key| Owned::secret("key for pseudonyms", key.path())));
    secrets.retain(|owned| !owned.path.starts_with(config::CREDENTIALS_VARIABLE));
    secrets
}

/// What both halves may reach once they are sealed.
pub(super) fn grants(
    broker: &BrokerConfig,
    syslog: &[SyslogConfig],
    policies: &[PathBuf],
    state: &Path,
) -> Grants {
    let mut grants = Grants {
        write: vec![state.to_owned()],
        tcp_ports: broker.servers.ports(),
        ..Grants::default()
    };
    grants.read.extend(policies.iter().map(|path| replaceable(path)));
    grants.read.extend(password_directory(broker));
    grants.read.extend(addresses_directory(broker).map(|directory| directory.path));
    grants.read.extend(certificate_directories(broker, syslog));
    for target in syslog {
        match &target.to {
            SyslogTo::Journald { path } | SyslogTo::Local { path, .. } => {
                grants.needs.push(Need::UnixDatagrams);
                grants.sockets.push(path.clone());
            }
            SyslogTo::Udp(address) => {
                grants.needs.push(Need::SyslogUdp);
                grants.udp_ports.push(address.port);
            }
            SyslogTo::Tcp(address) | SyslogTo::Tls(address, _) => {
                grants.tcp_ports.push(address.port);
            }
        }
    }
    grants
}

/// Where certificates and keys lie, which are exchanged while a half runs; behind links too, as far
/// as the half can look there.
fn certificate_directories(broker: &BrokerConfig, syslog: &[SyslogConfig]) -> Vec<PathBuf> {
    let files = tls_of(broker, syslog).flat_map(|tls| {
        let identity = tls.identity.iter();
        let own = identity.flat_map(|own| [&*own.certificate_file, own.key_file.path()]);
        own.chain([&*tls.ca_file])
    });
    let mut directories: Vec<PathBuf> = files
        .flat_map(|file| {
            let real = std::fs::canonicalize(file).ok();
            [Some(file.to_owned()), real].into_iter().flatten().map(|file| replaceable(&file))
        })
        .filter(|directory| directory.metadata().is_ok())
        .collect();
    directories.sort();
    directories.dedup();
    directories
}

/// Every TLS connection of a half.
fn tls_of<'a>(
    broker: &'a BrokerConfig,
    syslog: &'a [SyslogConfig],
) -> impl Iterator<Item = &'a TlsConfig> {
    let log_tls = syslog.iter().filter_map(|target| match &target.to {
        SyslogTo::Tls(_, tls) => Some(tls),
        _ => None,
    });
    broker.tls.iter().chain(log_tls)
}

/// Where the password lies, which is read again at each connection.
fn password_directory(broker: &BrokerConfig) -> Option<PathBuf> {
    let password = broker.credentials.as_ref()?.password.as_ref()?;
    Some(replaceable(password.path()))
}

/// A file is replaced by renaming another one onto it: what must be readable then is its
/// directory.
pub(super) fn replaceable(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !path.is_dir() && parent != Path::new("") => parent.to_owned(),
        Some(_) if !path.is_dir() => PathBuf::from("."),
        _ => path.to_owned(),
    }
}

/// Seals the half, and says how, and what it goes without.
pub(super) fn seal(demoted: Demoted, grants: &Grants) -> Result<Confined, Failure> {
    let mut confined = demoted.seal(grants).map_err(not_confined)?;
    for layer in confined.waived() {
        event!(SandboxWaived, layer = layer.name());
    }
    let limits = confined.limits();
    if limits.descriptors < limits.wanted {
        event!(DescriptorsFew, limit = limits.descriptors, wanted = limits.wanted);
    }
    let (Identity { uid, gid }, level) = (confined.identity(), confined.level());
    event!(
        Sealed,
        user = uid,
        group = gid,
        level = level.name(),
        landlock = level.abi(),
        waived = confined.waived().len()
    );
    if let Some(dialler) = confined.take_dialler() {
        std::thread::Builder::new()
            .name("dialler's end".to_owned())
            .spawn(move || end_with(dialler))
            .map_err(|error| Failure::new(Exit::Io, format!("cannot start a thread: {error}")))?;
    }
    Ok(confined)
}

/// Waits for the end of the dialling process, and ends this one: it could make no connection any more,
/// and a service manager starts both anew. What isn't confirmed comes again, as after any other end.
fn end_with(mut dialler: PipeReader) {
    let _ = dialler.read(&mut [0]);
    let why = "the dialling process has ended, so this half can make no connection any more";
    event!(Failed, exit = Exit::Io as u8, error = why);
    std::thread::sleep(LAST_WORDS);
    std::process::exit(Exit::Io as i32);
}

//! What sealing either half has in common: whose files it needs, what it may reach afterwards.

use std::path::{Path, PathBuf};

use config::{BrokerConfig, SandboxConfig, SyslogConfig, SyslogTo};
use sandbox::{Confined, Demoted, Grants, Identity, Need, Owned, Role, SandboxError, Start};
use telemetry::event;

use super::startup::failed;
use super::{Exit, Failure};

/// Gives up what a half doesn't need, before anything else is done.
pub(super) fn start(role: Role) -> Result<Start, Failure> {
    Start::new(role).map_err(|error| Failure::new(Exit::Sandbox, error.to_string()))
}

/// Becomes the half's user, and checks that nobody else can write what it reads and writes.
pub(super) fn demote(
    start: Start,
    sandbox: &SandboxConfig,
    owned: &[Owned],
) -> Result<Demoted, Failure> {
    // The crypto library seeds itself at first use; once sealed it could open no source of it.
    let _ = aws_lc_rs::rand::fill(&mut [0; 32]);
    let demoted = start.become_user(sandbox.user.as_ref(), &sandbox.waived);
    let demoted = demoted.map_err(not_confined)?;
    demoted.require_own(owned).map_err(not_confined)?;
    Ok(demoted)
}

/// Logs why a half can't be confined.
pub(super) fn not_confined(error: SandboxError) -> Failure {
    let failure = failed(Exit::Sandbox, &error);
    error.hint().into_iter().fold(failure, Failure::hint)
}

/// Files that both halves own, by what they are called.
pub(super) fn owned(config: &Path, policies: &[PathBuf], state: &Path) -> Vec<Owned> {
    let mut owned = vec![
        Owned { what: "configuration", path: config.to_owned() },
        Owned { what: "state directory", path: state.to_owned() },
    ];
    owned.extend(policies.iter().map(|path| Owned { what: "policy", path: path.clone() }));
    owned
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
        tcp_ports: vec![broker.address.port],
        ..Grants::default()
    };
    grants.read.extend(policies.iter().map(|path| replaceable(path)));
    if let Some(config::Credentials { password, .. }) = &broker.credentials {
        grants.read.push(replaceable(password.path()));
    }
    for target in syslog {
        match &target.to {
            SyslogTo::Journald { .. } | SyslogTo::Local { .. } => {
                grants.needs.push(Need::UnixDatagrams);
            }
            SyslogTo::Udp(_) => grants.needs.push(Need::SyslogUdp),
            SyslogTo::Tcp(address) | SyslogTo::Tls(address, _) => {
                grants.tcp_ports.push(address.port);
            }
        }
    }
    grants
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

/// Seals the half, and says what it goes without.
pub(super) fn seal(demoted: Demoted, grants: &Grants) -> Result<Confined, Failure> {
    let confined = demoted.seal(grants).map_err(not_confined)?;
    for layer in confined.waived() {
        event!(SandboxWaived, layer = layer.name());
    }
    let limits = confined.limits();
    if limits.descriptors < limits.wanted {
        event!(DescriptorsFew, limit = limits.descriptors, wanted = limits.wanted);
    }
    let Identity { uid, gid } = confined.identity();
    event!(Sealed, user = uid, group = gid, waived = confined.waived().len());
    Ok(confined)
}

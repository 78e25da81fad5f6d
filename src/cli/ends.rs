//! What both ends of a link between two boxes have in common when they are started: secrets,
//! what they may reach, and how they tell how they are.

mod telling;

use std::path::{Path, PathBuf};

use clock::Clock;
use config::{SandboxConfig, StatusConfig, SyslogConfig, SyslogTo};
use diagnostic::SecretFile;
use sandbox::{Confined, Demoted, Grants, Layer, Need, Owned};
use telemetry::Notifier;
use telemetry::logging::Logging;
use telemetry::status::{BrokerName, Concern, ReportError, StatusSettings};
use tls::Certificates;

pub(super) use self::telling::{Growth, Telling, Trouble, counts_per_s, key_id, milliseconds};
use super::{Failure, sealing, startup};

/// Files and sockets of an end: paths, segments, state files; the rest is reserve.
const DESCRIPTORS: u64 = 256;

/// Files from which link keys are read. Credentials that the service manager hands out are left out
/// where it hasn't.
pub(super) fn secrets<'a>(keys: impl IntoIterator<Item = &'a SecretFile>) -> Vec<Owned> {
    let secrets = keys.into_iter().map(|key| Owned::secret("link key", key.path()));
    secrets.filter(|owned| !owned.path.starts_with(config::CREDENTIALS_VARIABLE)).collect()
}

/// What an end may reach once it is sealed, besides its journal.
pub(super) fn grants<'a>(
    state: &Path,
    status: &StatusConfig,
    syslog: &[SyslogConfig],
    keys: impl IntoIterator<Item = &'a SecretFile>,
) -> Grants {
    let mut grants = Grants {
        read: keys.into_iter().map(|key| sealing::replaceable(key.path())).collect(),
        write: vec![state.to_owned()],
        descriptors: DESCRIPTORS,
        ..Grants::default()
    };
    grants.write.extend(status.textfile_directory());
    for target in syslog {
        if let SyslogTo::Journald { path } | SyslogTo::Local { path, .. } = &target.to {
            grants.needs.push(Need::UnixDatagrams);
            grants.sockets.push(path.clone());
        }
    }
    grants
}

/// Seals an end that has claimed its state, and has its log and its status told from now on.
pub(super) fn seal(
    end: &'static str,
    demoted: Demoted,
    grants: &Grants,
    logging: &mut Logging,
    (status, state_dir, notifier): (StatusSettings, PathBuf, Notifier),
) -> Result<(Confined, Telling), Failure> {
    let refused = |error: ReportError| startup::failed(startup::report_exit(&error), &error);
    status.check(&state_dir).map_err(refused)?;
    let confined = sealing::seal(demoted, grants)?;
    startup::start_log(logging)?;
    let now = Clock::start().now();
    let telling = Telling::start(end, status, state_dir, notifier, now).map_err(refused)?;
    Ok((confined, telling))
}

/// What an end says of itself.
pub(super) fn status_settings(status: StatusConfig, sandbox: &SandboxConfig) -> StatusSettings {
    StatusSettings {
        every: status.every,
        summary_every: status.summary_every,
        textfile: status.textfile,
        broker_name: BrokerName::default(),
        certificates: Certificates::default(),
        concern: Concern::default(),
        any_owner: sandbox.waived.contains(&Layer::User),
    }
}

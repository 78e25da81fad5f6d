//! What the configuration of a half, or of an end of a link, needs of this machine: its user, and files that are its own or the
//! other's. For those who look before a half starts.

use std::path::{Path, PathBuf};

use config::{
    BrokerConfig, ItConfig, OtConfig, ReceiveConfig, SandboxConfig, SendConfig, SyslogConfig,
};
use sandbox::{Identity, Owned, Role, Unowned};

use super::{ends, sealing};

/// One half's.
#[derive(Debug)]
pub(super) struct HalfFiles {
    pub(super) role: Role,
    /// `None`: an end of a link, which has none.
    pub(super) broker: Option<BrokerConfig>,
    pub(super) sandbox: SandboxConfig,
    pub(super) syslog: Vec<SyslogConfig>,
    pub(super) state: PathBuf,
    pub(super) journal: PathBuf,
    /// Directory of the textfile for Prometheus.
    pub(super) textfile: Option<PathBuf>,
    pub(super) owned: Vec<Owned>,
    pub(super) unowned: Vec<Unowned>,
    /// Directory of the broker's addresses, which another user may own.
    pub(super) names: Option<Unowned>,
}

impl HalfFiles {
    pub(super) fn of_ot(path: &Path, config: OtConfig) -> HalfFiles {
        let mut owned = sealing::owned(path, &config.policy_paths, &config.state_dir);
        let signature = config.require_signature.as_ref().map(|one| one.file.as_path());
        let key = config.pseudonym_key.as_ref();
        owned.extend(sealing::secrets(&config.broker, &config.syslog, signature, key));
        owned.push(Owned::new("journal", &config.journal.path));
        HalfFiles {
            role: Role::Ot,
            names: sealing::addresses_directory(&config.broker),
            broker: Some(config.broker),
            sandbox: config.sandbox,
            syslog: config.syslog,
            state: config.state_dir,
            journal: config.journal.path,
            textfile: config.status.textfile_directory(),
            owned,
            unowned: Vec::new(),
        }
    }

    pub(super) fn of_it(path: &Path, config: ItConfig) -> HalfFiles {
        let mut owned = sealing::owned(path, &config.policy_paths, &config.state_dir);
        let signature = config.require_signature.as_ref().map(|one| one.file.as_path());
        owned.extend(sealing::secrets(&config.broker, &config.syslog, signature, None));
        let journal = Unowned { what: "journal", path: config.journal_path.clone() };
        HalfFiles {
            role: Role::It,
            names: sealing::addresses_directory(&config.broker),
            broker: Some(config.broker),
            sandbox: config.sandbox,
            syslog: config.syslog,
            state: config.state_dir,
            journal: config.journal_path,
            textfile: config.status.textfile_directory(),
            owned,
            unowned: vec![journal],
        }
    }

    pub(super) fn of_send(path: &Path, config: SendConfig) -> HalfFiles {
        let mut owned = sealing::owned(path, &[], &config.state_dir);
        owned.extend(ends::secrets([&config.key]));
        let journal = Unowned { what: "journal", path: config.journal_path.clone() };
        HalfFiles {
            role: Role::Send,
            names: None,
            broker: None,
            sandbox: config.sandbox,
            syslog: config.syslog,
            state: config.state_dir,
            journal: config.journal_path,
            textfile: config.status.textfile_directory(),
            owned,
            unowned: vec![journal],
        }
    }

    pub(super) fn of_receive(path: &Path, config: ReceiveConfig) -> HalfFiles {
        let mut owned = sealing::owned(path, &[], &config.state_dir);
        owned.extend(ends::secrets(config.key_files()));
        owned.push(Owned::new("journal", &config.journal.path));
        HalfFiles {
            role: Role::Receive,
            names: None,
            broker: None,
            sandbox: config.sandbox,
            syslog: config.syslog,
            state: config.state_dir,
            journal: config.journal.path,
            textfile: config.status.textfile_directory(),
            owned,
            unowned: Vec::new(),
        }
    }

    /// Who the half would be.
    pub(super) fn identity(&self) -> Result<Identity, String> {
        let identity = match &self.sandbox.user {
            Some(user) => user.resolve().map_err(|error| error.to_string())?,
            None => Identity::current(),
        };
        if identity.uid == 0 || identity.gid == 0 {
            return Err(format!(
                "`sparkdiode {}` doesn't run as root, and no other user is named",
                self.role
            ));
        }
        Ok(identity)
    }
}

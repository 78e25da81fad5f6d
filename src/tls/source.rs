//! Files of a TLS connection that are taken up while the process runs: looked at again and again,
//! and used from the next connection on if they are whole, a pair, and nobody else's. What is in
//! force stays until then.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use diagnostic::{FileError, os_error};
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use text::format_date;

use crate::certificates::{CertificateEnd, PeerCertificate, PeerShown};
use crate::client::{build, ends, peer_of};
use crate::error::TlsError;
use crate::material::Material;
use crate::settings::TlsConfig;

/// Certificate and key are exchanged one after the other: a pair that doesn't fit, or a file that is
/// half written, is complained about if it stays so for this long.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);
/// What isn't mended is said again after this time.
const REPEATS_AFTER: Duration = Duration::from_secs(60 * 60);

/// Why it is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Time has passed.
    Regular,
    /// Somebody asks for it, and wants to know at once.
    Asked,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Other certificates are in force.
    Renewed {
        /// Files that are others than before.
        files: Vec<PathBuf>,
        /// The first end among them.
        expires: Option<SystemTime>,
    },
    /// What is in the files can't be used; what was in force stays.
    Refused { error: String, hint: Option<String> },
    /// What was refused is mended: the files are those in force.
    Mended,
    /// The files can't be read any more, by the half as it is: renewed ones need a restart.
    Unreadable { file: PathBuf, error: String },
}

/// Whether the files are nobody else's; an error says whose.
type Guard = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The files of one connection, and what was made of them.
pub struct Source {
    config: TlsConfig,
    peer_shown: PeerShown,
    peer: Arc<PeerCertificate>,
    guard: OnceLock<Guard>,
    state: Mutex<State>,
}

struct State {
    client: Arc<ClientConfig>,
    ends: Vec<CertificateEnd>,
    /// The certificates that are in force, by file. A key is the one that belongs to ours.
    certificates: Vec<Vec<CertificateDer<'static>>>,
    /// The files whose content is in force.
    files: Vec<FileState>,
    /// Since it was looked for the first time: files that the half can't read, and why.
    unreadable: Option<Vec<(PathBuf, String)>>,
    trouble: Option<Trouble>,
}

/// What was read.
struct Read {
    client: Arc<ClientConfig>,
    ends: Vec<CertificateEnd>,
    certificates: Vec<Vec<CertificateDer<'static>>>,
}

/// What is wrong with what is in the files now.
struct Trouble {
    error: String,
    since: SystemTime,
    told: Option<SystemTime>,
}

/// What a file is, by its outside: other content has another one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileState {
    path: PathBuf,
    /// Device, inode, size, times of content and of inode; `None`: it can't be looked at.
    outside: Option<[i64; 7]>,
}

impl Source {
    /// Reads the files.
    ///
    /// # Errors
    /// As [`crate::client_config`].
    pub fn open(config: TlsConfig, peer_shown: PeerShown) -> Result<Source, TlsError> {
        let peer = peer_of(&config)?;
        // Before they are read: what is exchanged meanwhile is another one then.
        let files = look_at(&config);
        let Read { client, ends, certificates } =
            made_of(Material::read(&config)?, peer_shown, &peer)?;
        let unreadable = None;
        let state = State { client, ends, certificates, files, unreadable, trouble: None };
        Ok(Source { config, peer_shown, peer, guard: OnceLock::new(), state: Mutex::new(state) })
    }

    /// Whose the files must be; asked before others are taken up. Only the first one counts.
    pub fn guard(&self, guard: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        let _ = self.guard.set(Box::new(guard));
    }

    /// The files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.state().files.iter().map(|file| file.path.clone()).collect()
    }

    /// What connections are made with, from now on.
    pub fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.state().client)
    }

    /// The server's certificate, as it shows it.
    pub fn peer(&self) -> &Arc<PeerCertificate> {
        &self.peer
    }

    /// When the certificates end that are in force.
    pub fn ends(&self) -> Vec<CertificateEnd> {
        self.state().ends.clone()
    }

    /// Why what is in the files isn't in force, once that was told.
    pub fn trouble(&self) -> Option<String> {
        let state = self.state();
        let trouble = state.trouble.as_ref()?;
        trouble.told.map(|_| trouble.error.clone())
    }

    /// Looks whether the files are others now, and takes them up.
    pub fn look(&self, why: Look, now: SystemTime) -> Option<Change> {
        let mut state = self.state();
        let mut files = look_at(&self.config);
        let is_first = state.unreadable.is_none();
        let unreadable = state.unreadable.get_or_insert_with(|| unreadable(&files)).clone();
        // What can't even be looked at from the start can't be another one.
        for file in &mut files {
            if file.outside.is_none() && unreadable.iter().any(|(path, _)| *path == file.path) {
                let known = state.files.iter().find(|known| known.path == file.path);
                file.outside = known.and_then(|known| known.outside);
            }
        }
        if files == state.files {
            if let Some((file, error)) = unreadable.into_iter().next()
                && (is_first || why == Look::Asked)
            {
                return Some(Change::Unreadable { file, error });
            }
            return state.mended();
        }
        match self.read(now) {
            Ok(Read { certificates, .. }) if certificates == state.certificates => {
                state.files = files;
                state.mended()
            }
            Ok(Read { client, ends, certificates }) => {
                let changed = |file: &&FileState| !state.files.contains(file);
                let renewed = files.iter().filter(changed).map(|file| file.path.clone()).collect();
                let expires = ends.iter().map(|end| end.not_after).min();
                let unreadable = Some(unreadable);
                *state = State { client, ends, certificates, files, unreadable, trouble: None };
                Some(Change::Renewed { files: renewed, expires })
            }
            Err(error) => {
                let hint = remedy(&error);
                let told = state.refuse(&error.to_string(), why, now)?;
                Some(Change::Refused { error: told, hint })
            }
        }
    }

    fn read(&self, now: SystemTime) -> Result<Read, TlsError> {
        if let Some(guard) = self.guard.get() {
            guard().map_err(|detail| TlsError::Guard { detail })?;
        }
        made_of(Material::read_valid(&self.config, now)?, self.peer_shown, &self.peer)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is written whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn made_of(
    material: Material<'_>,
    peer_shown: PeerShown,
    peer: &Arc<PeerCertificate>,
) -> Result<Read, TlsError> {
    let client = build(&material, peer_shown, peer)?;
    let ends = ends(&material);
    Ok(Read { client, ends, certificates: material.into_certificates() })
}

fn remedy(error: &TlsError) -> Option<String> {
    match error {
        TlsError::File(FileError::Os { source, .. }) if is_denied(source) => {
            Some("let the half's user read it, or restart the half".to_owned())
        }
        error => error.hint(),
    }
}

impl State {
    /// The files are those in force.
    fn mended(&mut self) -> Option<Change> {
        let was = self.trouble.take()?;
        was.told.map(|_| Change::Mended)
    }

    /// Remembers what is wrong; `Some`: it is to be told now.
    fn refuse(&mut self, error: &str, why: Look, now: SystemTime) -> Option<String> {
        let same = self.trouble.take().filter(|known| known.error == error);
        let mut trouble =
            same.unwrap_or_else(|| Trouble { error: error.to_owned(), since: now, told: None });
        // A clock that was set back counts as time that has passed.
        let passed = |since: SystemTime, at_least: Duration| {
            now.duration_since(since).map_or(true, |passed| passed >= at_least)
        };
        let due = match trouble.told {
            _ if why == Look::Asked => true,
            None => passed(trouble.since, SETTLES_WITHIN),
            Some(told) => passed(told, REPEATS_AFTER),
        };
        if due {
            trouble.told = Some(now);
        }
        self.trouble = Some(trouble);
        due.then(|| error.to_owned())
    }
}

/// Without keys.
impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Source").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Change {
    /// When the first of the certificates that are in force now ends, as a date.
    pub fn expires_on(&self) -> Option<String> {
        match self {
            Change::Renewed { expires, .. } => expires.map(format_date),
            _ => None,
        }
    }
}

fn look_at(config: &TlsConfig) -> Vec<FileState> {
    let mut paths = vec![config.ca_file.as_path()];
    if let Some(identity) = &config.identity {
        paths.push(&identity.certificate_file);
        paths.push(identity.key_file.path());
    }
    paths
        .into_iter()
        .map(|path| FileState { path: path.to_owned(), outside: outside(path) })
        .collect()
}

fn outside(path: &Path) -> Option<[i64; 7]> {
    let of = fs::metadata(path).ok()?;
    let number = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
    Some([
        number(of.dev()),
        number(of.ino()),
        number(of.size()),
        of.mtime(),
        of.mtime_nsec(),
        of.ctime(),
        of.ctime_nsec(),
    ])
}

/// The files that can't be opened, and why.
fn unreadable(files: &[FileState]) -> Vec<(PathBuf, String)> {
    let denied = files.iter().filter_map(|file| match fs::File::open(&file.path) {
        Err(error) if is_denied(&error) => Some((file.path.clone(), os_error(&error))),
        _ => None,
    });
    denied.collect()
}

fn is_denied(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

#[cfg(test)]
mod tests;

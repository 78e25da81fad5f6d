//! Worker that writes what a half says of itself: the status file, the textfile for Prometheus and
//! the service manager's line. It has a thread of its own, so that neither a slow disk nor a full
//! one can hold up messages; a status that comes while it writes is left out.
//!
//! Each half writes into its own directories, and reads nothing of this. Files have the mode 0640;
//! a directory in which another user could put a file of the same name is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, TrySendError};

use super::{Level, Status, textfile};
use crate::{Notifier, event};

/// Name of the status file in the half's state directory.
pub const STATUS_FILE: &str = "status.json";
/// The half's own user writes, its group reads.
const FILE_MODE: u32 = 0o640;

/// Where the reporter writes.
#[derive(Clone, Debug)]
pub struct ReporterSettings {
    /// The half's state directory.
    pub state_dir: PathBuf,
    /// File for node_exporter's textfile collector.
    pub textfile: Option<PathBuf>,
}

/// Why a report can't be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The operating system refused.
    #[error("cannot {verb} `{}`: {source}", path.display())]
    Os { verb: &'static str, path: PathBuf, source: io::Error },
    /// Another user can put files there.
    #[error("directory `{}` {fault}", path.display())]
    Directory { path: PathBuf, fault: String },
}

/// The way to the worker.
#[derive(Debug)]
pub struct Reporter {
    statuses: Option<Sender<Status>>,
    worker: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Starts the worker.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(settings: ReporterSettings, notifier: Notifier) -> Result<Reporter, ReportError> {
        let (statuses, queue) = crossbeam_channel::bounded::<Status>(1);
        let worker = std::thread::Builder::new()
            .name("status".into())
            .spawn(move || {
                let mut trouble = false;
                for status in queue {
                    notifier.status(&line(&status));
                    note(write(&settings, &status), &mut trouble);
                }
            })
            .map_err(os("start a thread for", &PathBuf::from(STATUS_FILE)))?;
        Ok(Reporter { statuses: Some(statuses), worker: Some(worker) })
    }

    /// Hands a status over, unless an earlier one is still being written.
    pub fn report(&self, status: Status) {
        if let Some(statuses) = &self.statuses {
            match statuses.try_send(status) {
                // The next one says all of it and more.
                Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
            }
        }
    }
}

/// What was handed over is written.
impl Drop for Reporter {
    fn drop(&mut self) {
        self.statuses = None;
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

/// Reports that writing fails, and that it works again; each once.
fn note(written: Result<(), ReportError>, trouble: &mut bool) {
    match written {
        Ok(()) => {
            if std::mem::take(trouble) {
                event!(DiskOk, what = "status");
            }
        }
        Err(error) => {
            if !std::mem::replace(trouble, true) {
                event!(StatusUnwritten, %error);
            }
        }
    }
}

fn write(settings: &ReporterSettings, status: &Status) -> Result<(), ReportError> {
    let path = settings.state_dir.join(STATUS_FILE);
    let mut text =
        serde_json::to_vec_pretty(status).map_err(io::Error::from).map_err(os("encode", &path))?;
    text.push(b'\n');
    replace(&path, &text)?;
    if let Some(path) = &settings.textfile {
        replace(path, textfile::render(status).as_bytes())?;
    }
    Ok(())
}

/// Replaces a file in one step: who reads it sees the old one or the new one. It needs no sync:
/// after a loss of power nobody wants to know the state before it.
fn replace(path: &Path, content: &[u8]) -> Result<(), ReportError> {
    // The collector reads `*.prom` alone, and so never this.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(FILE_MODE);
    options.custom_flags(libc::O_NOFOLLOW);
    let mut file: File = options.open(&new).map_err(os("create", &new))?;
    file.write_all(content).map_err(os("write", &new))?;
    fs::rename(&new, path).map_err(os("rename", &new))
}

impl ReporterSettings {
    /// Refuses directories in which another user could put or exchange files.
    ///
    /// # Errors
    /// Such a directory, or one that can't be looked at.
    pub fn check(&self) -> Result<(), ReportError> {
        let textfile = self.textfile.as_deref().and_then(Path::parent);
        [Some(self.state_dir.as_path()), textfile]
            .into_iter()
            .flatten()
            .try_for_each(check_directory)
    }
}

/// Refuses a directory in which another user (root aside) could put or exchange files.
fn check_directory(path: &Path) -> Result<(), ReportError> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let metadata = fs::metadata(path).map_err(os("look at directory", path))?;
    let refuse = |fault: String| ReportError::Directory { path: path.to_owned(), fault };
    if !metadata.is_dir() {
        return Err(refuse("is no directory".to_owned()));
    }
    let own = rustix::process::geteuid().as_raw();
    if metadata.uid() != own && metadata.uid() != 0 {
        return Err(refuse(format!(
            "belongs to user {}; wanted: user {own}, as whom this half runs, or root",
            metadata.uid()
        )));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(refuse(format!(
            "may be written by others (mode {mode:04o}); wanted: 0755 or less"
        )));
    }
    Ok(())
}

/// The line that `systemctl status` shows.
fn line(status: &Status) -> String {
    let account = &status.account;
    let of_end = [
        status.send.as_ref().map(|send| ("sent", send.rates)),
        status.receive.as_ref().map(|receive| ("received", receive.rates)),
    ];
    let shard = status.ot.as_ref().and_then(|ot| ot.shard.as_ref());
    let shard = shard.map_or(String::new(), |shard| format!("shard {shard}, "));
    let of_half = || {
        format!(
            "{}: {shard}{} of {} nodes, {:.0} messages/s in, {:.0}/s out, {:.0}/s dropped",
            status.health.level.name(),
            status.nodes.alive,
            status.nodes.known,
            account.rates.received_per_s,
            account.rates.forwarded_per_s,
            account.rates.dropped_per_s,
        )
    };
    let mut line = match of_end.into_iter().flatten().next() {
        Some((done, rates)) => format!(
            "{}: {:.0} frames/s and {:.0} datagrams/s {done}",
            status.health.level.name(),
            rates.frames_per_s,
            rates.datagrams_per_s,
        ),
        None => of_half(),
    };
    if status.health.level != Level::Ok {
        line = format!("{line}; {}", status.health.reasons.join("; "));
    }
    // One line, whatever a reason quotes.
    line.replace(['\n', '\r'], " ")
}

fn os(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ReportError {
    let path = path.to_owned();
    move |source| ReportError::Os { verb, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Event;
    use crate::capture::{capture, triggered};

    fn settings(directory: &Path) -> ReporterSettings {
        ReporterSettings {
            state_dir: directory.to_owned(),
            textfile: Some(directory.join("ot.prom")),
        }
    }

    #[test]
    fn what_was_reported_is_in_the_files_when_the_reporter_ends() {
        let directory = tempfile::tempdir().unwrap();
        settings(directory.path()).check().unwrap();
        let reporter = Reporter::start(settings(directory.path()), Notifier::none()).unwrap();
        let status = Status { half: "ot".to_owned(), pid: 77, ..Status::default() };
        reporter.report(status.clone());
        drop(reporter);
        let path = directory.path().join(STATUS_FILE);
        let read: Status = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read, status);
        for path in [path, directory.path().join("ot.prom")] {
            let mode = fs::metadata(&path).unwrap().mode() & 0o7777;
            assert_eq!(mode & !0o640, 0, "{}: {mode:o}", path.display());
            assert!(!directory.path().join(format!("{}.new", path.display())).exists());
        }
    }

    #[test]
    fn a_directory_that_others_may_write_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let open = directory.path().join("open");
        fs::create_dir(&open).unwrap();
        for mode in [0o777, 0o775, 0o1777] {
            fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
            let error = settings(&open).check().unwrap_err();
            assert!(error.to_string().contains("may be written by others"), "{error}");
        }
        let missing = ReporterSettings {
            textfile: Some(directory.path().join("gone/ot.prom")),
            ..settings(directory.path())
        };
        let error = missing.check().unwrap_err();
        assert!(error.to_string().starts_with("cannot look at directory `"), "{error}");
    }

    #[test]
    fn the_line_says_what_is_wrong() {
        let mut status = Status::default();
        assert!(line(&status).starts_with("ok: 0 of 0 nodes, 0 messages/s in"));
        status.health.add(Level::Critical, "broker\naway");
        assert!(line(&status).starts_with("critical: "));
        assert!(line(&status).ends_with("; broker away"));
    }

    #[test]
    fn a_status_that_cannot_be_written_is_told_once_and_so_is_its_return() {
        let mut trouble = false;
        let fails = || Err(os("write", &PathBuf::from("status.json"))(io::Error::other("full")));
        let emitted = capture(|| {
            note(fails(), &mut trouble);
            note(fails(), &mut trouble);
        });
        triggered(&emitted, Event::StatusUnwritten);
        assert_eq!(emitted.len(), 1);
        let emitted = capture(|| note(Ok(()), &mut trouble));
        triggered(&emitted, Event::DiskOk);
    }
}

//! `sparkdiode status`: how a half is, from the file that it writes.

mod shown;
mod size;
mod view;

use std::io::IsTerminal;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use foreign::ForeignError;
use sandbox::UserSpec;
pub(super) use shown::Shown;
pub(super) use size::Size;
use telemetry::status::{FORMAT, STATUS_FILE, Status};
use text::escape_json;

use super::report::{output_to_reader, paint};
use super::{Exit, Failure};

/// A status file is some tens of kilobytes; what is far larger isn't one.
const MAX_STATUS_BYTES: u64 = 4 * 1024 * 1024;
/// Between two looks with `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Show how a half is: session, account, rates, top talkers, drops, journal, link.
///
/// Reads the file `status.json` that the half writes into its state directory; nothing is asked
/// of the half, which has no socket to ask. A PATH is an `ot.toml`, an `it.toml`, a `send.toml`, a `receive.toml`, or a state
/// directory; without one it is those of /etc/sparkdiode, or else of this directory. Who runs this must be allowed to read that directory: root, or the half's group.
/// Nothing but a regular file of that directory's owner is read.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode status\n  sparkdiode status --watch\n  \
                  sparkdiode status --watch /var/lib/sparkdiode/it\n  \
                  sparkdiode status --json /var/lib/sparkdiode/it | jq .account")]
pub(super) struct StatusArgs {
    /// Configuration files or state directories.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Show it again every second, until it is ended by Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// The file as it is: JSON, one document for each PATH. Characters that a terminal would obey are
    /// escaped as JSON does it.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &StatusArgs) -> Result<Exit, Failure> {
    let paths = match arguments.paths.as_slice() {
        [] => usual_paths()?,
        paths => paths.to_vec(),
    };
    repeated(arguments.watch, arguments.json, |size| {
        let mut text = String::new();
        for path in &paths {
            let place = Place::of(path)?;
            let json = place.read()?;
            let status = place.parse(&json)?;
            if arguments.json {
                text.push_str(&escape_json(&json));
            } else {
                let size = size.share(paths.len());
                // What was cut to its share of the rows doesn't end its last line.
                if !text.is_empty() && !text.ends_with('\n') {
                    text.push('\n');
                }
                text.push_str(&view::render(&status, clock::wall_ms(), paint(), size));
            }
        }
        Ok(text)
    })
}

/// Where configurations are looked for that nobody names.
fn usual_paths() -> Result<Vec<PathBuf>, Failure> {
    let found = [Path::new("/etc/sparkdiode"), Path::new("")].into_iter().find_map(|directory| {
        let files = ["ot.toml", "it.toml", "send.toml", "receive.toml"];
        let files = files.map(|name| directory.join(name));
        let found: Vec<PathBuf> = files.into_iter().filter(|path| path.is_file()).collect();
        (!found.is_empty()).then_some(found)
    });
    found.ok_or_else(|| {
        let message =
            "no ot.toml, it.toml, send.toml or receive.toml, neither in /etc/sparkdiode nor here";
        Failure::new(Exit::Usage, message)
            .hint("name one, or a state directory: sparkdiode status /var/lib/sparkdiode/ot")
    })
}

/// Prints a text, once or for as long as somebody watches and reads. Who watches on a terminal sees what
/// fits on it.
pub(super) fn repeated(
    watch: bool,
    json: bool,
    text: impl Fn(Size) -> Result<String, Failure>,
) -> Result<Exit, Failure> {
    let on_screen = watch && std::io::stdout().is_terminal() && !json;
    loop {
        // The terminal may have another size now.
        let size = Size::of_stdout(on_screen);
        let mut text = text(size)?;
        if on_screen {
            // To the upper left corner, and clear what was there.
            text = format!("\x1b[H\x1b[J{}", size.fit(&text));
        }
        let is_read = output_to_reader(&text)?;
        if !watch || !is_read {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

/// The status that a half wrote last; `path` is its configuration file or state directory.
pub(super) fn read(path: &Path) -> Result<Shown, Failure> {
    let place = Place::of(path)?;
    place.parse(&place.read()?)
}

/// The status that a half has written last into its state directory; `None` where there is none that
/// can be read.
pub(super) fn peek(directory: &Path) -> Option<impl Deref<Target = Status>> {
    let place = Place { directory: directory.to_owned(), user: None };
    place.parse(&place.read().ok()?).ok()
}

/// Where the status file of a half lies, which belongs to a configuration file or a state directory.
pub(super) struct Place {
    pub(super) directory: PathBuf,
    /// Whom the configuration names as the half's user, besides the directory's owner.
    user: Option<u32>,
}

impl Place {
    pub(super) fn of(path: &Path) -> Result<Place, Failure> {
        if path.is_dir() {
            return Ok(Place { directory: path.to_owned(), user: None });
        }
        let text = diagnostic::file::read_text(path).map_err(|error| {
            let is_missing = error.is_not_found();
            let failure = Failure::from(error);
            match is_missing {
                true => failure
                    .hint("wanted a configuration file of a half or an end, or a state directory"),
                false => failure,
            }
        })?;
        // Whoever looks at the status may not be allowed to read the half's secrets, so nothing but
        // these keys is looked at.
        let config = text.parse::<toml::Table>().unwrap_or_default();
        let key = |table: &str, key: &str| Some(config.get(table)?.get(key)?.as_str()?.to_owned());
        let Some(state) = key("state", "path") else {
            let message = format!("no `[state] path` in `{}`", path.display());
            return Err(Failure::new(Exit::Config, message)
                .hint("wanted a configuration file of a half or an end, or a state directory"));
        };
        let user = key("sandbox", "user")
            .and_then(|user| UserSpec { user, group: key("sandbox", "group") }.resolve().ok());
        Ok(Place {
            directory: path.parent().unwrap_or(Path::new("")).join(state),
            user: user.map(|user| user.uid),
        })
    }

    fn file(&self) -> PathBuf {
        self.directory.join(STATUS_FILE)
    }

    /// What the half has written, which may have been taken over since.
    fn read(&self) -> Result<String, Failure> {
        let fail = |error: ForeignError| {
            let failure = Failure::new(Exit::Io, error.to_string());
            match error.os().map(std::io::Error::kind) {
                Some(std::io::ErrorKind::NotFound) => {
                    failure.hint("the half writes it when it runs; has it been started?")
                }
                Some(std::io::ErrorKind::PermissionDenied) => {
                    failure.hint("root and the half's group may read it")
                }
                _ => error.hint().into_iter().fold(failure, Failure::hint),
            }
        };
        let bytes =
            foreign::read(&self.directory, STATUS_FILE, self.user.as_slice(), MAX_STATUS_BYTES);
        String::from_utf8(bytes.map_err(fail)?).map_err(|error| self.not_one(&error.to_string()))
    }

    fn parse(&self, json: &str) -> Result<Shown, Failure> {
        let status = Shown::parse(json).map_err(|error| self.not_one(&error.to_string()))?;
        if status.format != FORMAT {
            let detail = format!("format {}, wanted {FORMAT}", status.format);
            return Err(self
                .not_one(&detail)
                .hint("it was written by another version of sparkdiode"));
        }
        Ok(status)
    }

    fn not_one(&self, detail: &str) -> Failure {
        let message = format!("not a status file: `{}`: {detail}", self.file().display());
        Failure::new(Exit::Data, message)
    }
}

#[cfg(test)]
mod tests;

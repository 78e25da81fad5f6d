//! `sparkdiode status`: how a half is, from the file that it writes.

mod view;

use std::fs::OpenOptions;
use std::io::{IsTerminal, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use telemetry::status::{FORMAT, STATUS_FILE, Status};

use super::report::{output, paint};
use super::{Exit, Failure};

/// A status file is some tens of kilobytes; what is far larger isn't one.
const MAX_STATUS_BYTES: u64 = 16 * 1024 * 1024;
/// Between two looks with `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Show how a half is: session, account, rates, top talkers, drops, journal, link.
///
/// Reads the file `status.json` that the half writes into its state directory; nothing is asked
/// of the half, which has no socket to ask. A PATH is an `ot.toml`, an `it.toml`, or a state
/// directory. Who runs this must be allowed to read that directory: root, or the half's group.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode status /etc/sparkdiode/ot.toml\n  \
                  sparkdiode status --watch /var/lib/sparkdiode/it\n  \
                  sparkdiode status --json /var/lib/sparkdiode/it | jq .account")]
pub(super) struct StatusArgs {
    /// Configuration files or state directories.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Show it again every second, until it is ended by Ctrl-C.
    #[arg(long)]
    watch: bool,
    /// The file as it is: JSON, one document for each PATH.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &StatusArgs) -> Result<Exit, Failure> {
    loop {
        let mut text = String::new();
        for path in &arguments.paths {
            let file = status_file(path)?;
            let bytes = read(&file)?;
            let status = parse(&file, &bytes)?;
            if arguments.json {
                text.push_str(&String::from_utf8_lossy(&bytes));
            } else {
                text.push_str(&view::render(&status, clock::wall_ms(), paint()));
            }
        }
        if arguments.watch && std::io::stdout().is_terminal() && !arguments.json {
            // To the upper left corner, and clear what was there.
            text = format!("\x1b[H\x1b[J{text}");
        }
        output(&text)?;
        if !arguments.watch {
            return Ok(Exit::Ok);
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

/// The status file that belongs to a configuration file or a state directory.
fn status_file(path: &Path) -> Result<PathBuf, Failure> {
    if path.is_dir() {
        return Ok(path.join(STATUS_FILE));
    }
    let text = diagnostic::file::read_text(path)?;
    // Whoever looks at the status may not be allowed to read the half's secrets, so nothing but
    // the one key is looked at.
    let state = text
        .parse::<toml::Table>()
        .ok()
        .and_then(|table| Some(table.get("state")?.get("path")?.as_str()?.to_owned()));
    let Some(state) = state else {
        let message = format!("no `[state] path` in `{}`", path.display());
        return Err(Failure::new(Exit::Config, message)
            .hint("wanted an `ot.toml`, an `it.toml`, or a state directory"));
    };
    Ok(path.parent().unwrap_or(Path::new("")).join(state).join(STATUS_FILE))
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let fail = |error: std::io::Error| {
        let message = format!("cannot read `{}`: {error}", file.display());
        let failure = Failure::new(Exit::Io, message);
        match error.kind() {
            std::io::ErrorKind::NotFound => {
                failure.hint("the half writes it when it runs; has it been started?")
            }
            std::io::ErrorKind::PermissionDenied => {
                failure.hint("root and the half's group may read it")
            }
            _ => failure,
        }
    };
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut bytes = Vec::new();
    let opened = options.open(file).map_err(fail)?;
    opened.take(MAX_STATUS_BYTES).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Status, Failure> {
    let not_one = |detail: String| {
        let message = format!("not a status file: `{}`: {detail}", file.display());
        Failure::new(Exit::Data, message)
    };
    let status: Status =
        serde_json::from_slice(bytes).map_err(|error| not_one(error.to_string()))?;
    if status.format != FORMAT {
        let detail = format!("format {}, wanted {FORMAT}", status.format);
        return Err(not_one(detail).hint("it was written by another version of sparkdiode"));
    }
    Ok(status)
}

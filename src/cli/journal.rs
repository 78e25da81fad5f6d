//! `sparkdiode journal cat|verify`: a journal as people and auditors want to see it.

mod json;
mod layout;
mod text;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use journal_format::Frame;
use journal_read::{Item, JournalError, Lost, Reader, SETTLED_POLLS};

use self::layout::Layouts;
use super::{Exit, Failure, units};

/// How long `cat --follow` waits when there is nothing new.
const FOLLOW_PAUSE: Duration = Duration::from_millis(50);

/// Look into a journal.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sparkdiode journal cat /var/lib/sparkdiode/journal --topic \
                        /Line4\n  sparkdiode journal cat --since 2h --until 30m --metric Temperature \
                        /var/lib/sparkdiode/journal\n  sparkdiode journal cat --json --from-seq 4711 --to-seq 5000 \
                        /var/lib/sparkdiode/journal\n  sparkdiode journal verify \
                        /var/lib/sparkdiode/journal\n  sparkdiode journal verify --against /mnt/ot/journal \
                        /var/lib/sparkdiode/journal")]
pub(super) struct JournalArgs {
    #[command(subcommand)]
    command: JournalCommand,
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Print the frames, one line each.
    Cat(CatArgs),
    /// Check every frame and segment, and say what is damaged where; or compare with another journal.
    Verify {
        /// Directory of the journal.
        dir: PathBuf,
        /// Compare with this journal instead, frame by frame: that of the other box of a link, say.
        #[arg(long, value_name = "DIR")]
        against: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct CatArgs {
    /// Directory of the journal.
    dir: PathBuf,
    #[command(flatten)]
    options: CatOptions,
}

/// What `cat` prints.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct CatOptions {
    /// Go on with what is appended, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Number of the first frame.
    #[arg(long, value_name = "SEQ")]
    from_seq: Option<u64>,
    /// Number of the last frame.
    #[arg(long, value_name = "SEQ")]
    to_seq: Option<u64>,
    /// One JSON object per line, with everything.
    #[arg(long)]
    json: bool,
    /// Only messages and keyframes whose topic contains this.
    #[arg(long, value_name = "TEXT")]
    topic: Option<String>,
    /// Only messages and keyframes with a metric whose name contains this, and of those only such metrics.
    #[arg(long, value_name = "TEXT")]
    metric: Option<String>,
    /// Only what was appended then or later: `2026-11-22T13:27` in UTC, `2026-11-22T14:27+01:00`, or so
    /// long ago: `90s`, `10m`, `2h`, `1d`. A date alone is its midnight in UTC.
    #[arg(long, value_name = "TIME", value_parser = units::moment)]
    since: Option<u64>,
    /// Only what was appended before then.
    #[arg(long, value_name = "TIME", value_parser = units::moment)]
    until: Option<u64>,
}

/// Why a journal couldn't be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum JournalCommandError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

/// Does what the arguments say, on stdout. That the reader of the output goes away (`… | head`)
/// isn't a failure.
pub(super) fn run(arguments: &JournalArgs) -> Result<Exit, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let done = match &arguments.command {
        JournalCommand::Cat(arguments) => cat(&arguments.dir, &arguments.options, &mut out),
        JournalCommand::Verify { dir, against: None } => verify(dir, &mut out),
        JournalCommand::Verify { dir, against: Some(other) } => compare(dir, other, &mut out),
    };
    let done = done.and_then(|sound| {
        out.flush()?;
        Ok(sound)
    });
    match done {
        Ok(true) => Ok(Exit::Ok),
        Ok(false) => Ok(Exit::Data),
        Err(JournalCommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Ok(Exit::Ok)
        }
        Err(error) => Err(Failure::new(Exit::Io, error.to_string())),
    }
}

/// Prints the frames of the journal in `dir`. `false`: frames in the range asked for are lost to
/// damage.
///
/// # Errors
/// The journal can't be read, or the output not be written.
pub(super) fn cat(
    dir: &Path,
    options: &CatOptions,
    out: &mut impl Write,
) -> Result<bool, JournalCommandError> {
    std::fs::metadata(dir).map_err(|source| JournalError::Os {
        verb: "open",
        path: dir.to_path_buf(),
        source,
    })?;
    let from_seq = options.from_seq.unwrap_or(1);
    // From the head of its segment on: data carry no datatypes, the keyframes do.
    let mut reader = match options.from_seq {
        Some(seq) => Reader::open_at_segment_of(dir, seq)?,
        None => Reader::open(dir, journal_read::From::Oldest)?,
    };
    let to_seq = options.to_seq.unwrap_or(u64::MAX);
    let mut layouts = Layouts::default();
    let mut sound = true;
    let mut nothing = 0;
    while reader.position().seq <= to_seq {
        let Some(item) = reader.next()? else {
            if options.follow {
                out.flush()?;
                std::thread::sleep(FOLLOW_PAUSE);
                continue;
            }
            nothing = u32::saturating_add(nothing, 1);
            if nothing >= SETTLED_POLLS {
                break;
            }
            continue;
        };
        nothing = 0;
        let is_late = matches!(item, Item::Late(_));
        match item {
            Item::Frame(frame) | Item::Late(frame) => {
                // What came late says nothing of what is now.
                let mut message =
                    if is_late { layouts.message(&frame) } else { layouts.learn(&frame) };
                if frame.seq < from_seq || frame.seq > to_seq || !selected(&frame, options) {
                    continue;
                }
                if let Some(wanted) = &options.metric
                    && !message.as_mut().is_some_and(|message| message.keep_only(wanted))
                {
                    continue;
                }
                if options.json {
                    json_line(out, &json::frame(&frame, message.as_ref(), is_late))?;
                } else {
                    text::frame(out, &frame, message.as_ref(), is_late)?;
                }
            }
            Item::Lost(lost) => {
                let lost =
                    Lost { first: lost.first.max(from_seq), last: lost.last.min(to_seq), ..lost };
                if lost.first > lost.last {
                    continue;
                }
                sound &= lost.cause != journal_read::LostCause::Damage;
                if options.json {
                    json_line(out, &json::lost(&lost))?;
                } else {
                    text::lost(out, &lost)?;
                }
            }
        }
    }
    Ok(sound)
}

/// Names and values come from the network: what moves a terminal's cursor or turns text around is
/// escaped as JSON does it, so that tools read the same as without.
fn json_line(out: &mut impl Write, object: &serde_json::Value) -> io::Result<()> {
    writeln!(out, "{}", ::text::escape_json(&object.to_string()))
}

/// Checks the journal in `dir` and prints what was found. `false`: it is damaged.
///
/// # Errors
/// The journal can't be read, or the output not be written.
pub(super) fn verify(dir: &Path, out: &mut impl Write) -> Result<bool, JournalCommandError> {
    let verification = journal_read::verify(dir)?;
    write!(out, "{verification}")?;
    Ok(verification.is_sound())
}

/// Compares two journals and prints what differs. `false`: something does, of what both could have.
///
/// # Errors
/// A journal can't be read, or the output not be written.
fn compare(dir: &Path, other: &Path, out: &mut impl Write) -> Result<bool, JournalCommandError> {
    let comparison = journal_read::compare(dir, other)?;
    write!(out, "{comparison}")?;
    Ok(comparison.is_equal())
}

fn selected(frame: &Frame, options: &CatOptions) -> bool {
    let is_late = options.until.is_some_and(|until| frame.appended_ms >= until);
    if is_late || options.since.is_some_and(|since| frame.appended_ms < since) {
        return false;
    }
    let Some(wanted) = &options.topic else { return true };
    frame.message().is_some_and(|(topic, _)| topic.contains(wanted))
}

#[cfg(test)]
mod tests;

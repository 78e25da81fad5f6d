//! `sparkdiode resend`: has the sending end of a link send a stretch of its journal once more.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use config::{SendConfig, file_diagnostic};
use diagnostic::file::read_text;
use diagnostic::{Diagnostics, SourceFile};
use journal_read::{From, Item, JournalError, Reader};
use text::{counted_grouped, format_utc_ms, grouped};

use super::{Exit, Failure, report, units};

/// How long it is waited for the sending end to take the request up; it looks once a second.
const WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Have the sending end of a link send a stretch of its journal once more.
///
/// For frames that LINK_LOSS on the receiving box names, or a stretch of time. `sparkdiode send` takes the
/// request up while it runs, and sends the frames with what the second pass may use of the link, once;
/// what the receiver has already it drops. IT gets them as historical data. The request is a file
/// in the sending end's state directory: only its user and root can ask. A start in between doesn't
/// forget it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode resend --from 4711 --to 5000\n  \
                  sparkdiode resend --from 2026-11-22T13:27 --to 10m --config /etc/sparkdiode/send.toml")]
pub(super) struct ResendArgs {
    /// Configuration file of the sending end.
    #[arg(long, value_name = "FILE", default_value = "/etc/sparkdiode/send.toml")]
    config: PathBuf,
    /// The first frame: its number, or a time: `2026-11-22T13:27` in UTC, `2026-11-22T14:27+01:00`, or so
    /// long ago: `90s`, `10m`, `2h`, `1d`.
    #[arg(long, value_name = "FRAME", value_parser = bound)]
    from: Bound,
    /// The last frame, in the same way; of a time, the last one before it.
    #[arg(long, value_name = "FRAME", value_parser = bound)]
    to: Bound,
}

/// One end of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Number(u64),
    /// In milliseconds since the epoch.
    Time(u64),
}

fn bound(text: &str) -> Result<Bound, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
        let number = text.parse().ok().filter(|number| (1..u64::MAX).contains(number));
        return number.map(Bound::Number).ok_or_else(|| "wanted: a number from 1 on".to_owned());
    }
    units::moment(text)
        .map(Bound::Time)
        .map_err(|wanted| format!("wanted: a number, or a time; {wanted}"))
}

pub(super) fn run(arguments: &ResendArgs) -> Result<Exit, Failure> {
    let path = &arguments.config;
    let text = read_text(path).map_err(|error| Diagnostics::from(file_diagnostic(path, &error)))?;
    // The key isn't needed, and systemd's copy of it is the sending end's alone.
    let (config, _) = SendConfig::check(SourceFile::new(path, text))?;
    let stretch = stretch(&config.journal_path, arguments.from, arguments.to)?;
    let (first, last) = (*stretch.start(), *stretch.end());
    let line = format!("{first} {last}\n");
    let asked = state::request(&config.state_dir, send::REQUEST, line.as_bytes());
    let is_first = asked.map_err(|error| {
        Failure::new(Exit::Io, error.to_string())
            .hint("the user of the sending end and root may ask; has it run before?")
    })?;
    if !is_first {
        return Err(waiting(&config.state_dir, "an earlier request waits"));
    }
    let mut waited = Duration::ZERO;
    while config.state_dir.join(send::REQUEST).symlink_metadata().is_ok() {
        if waited >= WITHIN {
            return Err(waiting(&config.state_dir, "the request waits"));
        }
        std::thread::sleep(LOOK_EVERY);
        waited = waited.saturating_add(LOOK_EVERY);
    }
    let frames = last.saturating_sub(first).saturating_add(1);
    report::output(&format!(
        "taken up: frames {} to {}, {} at most; `sparkdiode status` shows how many still wait\n",
        grouped(first),
        grouped(last),
        counted_grouped(frames, "frame")
    ))?;
    Ok(Exit::Ok)
}

fn waiting(directory: &Path, what: &str) -> Failure {
    let path = directory.join(send::REQUEST);
    Failure::new(Exit::Io, format!("{what} in `{}`", path.display())).hint(
        "`sparkdiode send` takes it up when it runs; deleting the file takes it back until then",
    )
}

/// The numbers that are meant.
fn stretch(journal: &Path, from: Bound, to: Bound) -> Result<RangeInclusive<u64>, Failure> {
    let failed = |error: JournalError| Failure::new(Exit::Io, error.to_string());
    let first = match from {
        Bound::Number(number) => number,
        Bound::Time(at_ms) => {
            let found = first_at(journal, at_ms).map_err(failed)?;
            found
                .ok_or_else(|| nothing(&format!("no frame of {} or later", format_utc_ms(at_ms))))?
        }
    };
    let last = match to {
        Bound::Number(number) => number,
        Bound::Time(at_ms) => match first_at(journal, at_ms).map_err(failed)? {
            Some(next) => next.saturating_sub(1),
            None => last(journal).map_err(failed)?.ok_or_else(|| nothing("no frame"))?,
        },
    };
    if first > last {
        let message = format!("no frame is from {first} to {last}");
        return Err(Failure::new(Exit::Usage, message).hint("`--from` comes before `--to`"));
    }
    Ok(first..=last)
}

fn nothing(what: &str) -> Failure {
    Failure::new(Exit::Usage, format!("the journal has {what}"))
}

/// The first frame that was appended then or later.
fn first_at(journal: &Path, at_ms: u64) -> Result<Option<u64>, JournalError> {
    let mut reader = Reader::open(journal, From::Oldest)?;
    while let Some(item) = reader.next_settled()? {
        if let Item::Frame(frame) = item
            && frame.appended_ms >= at_ms
        {
            return Ok(Some(frame.seq));
        }
    }
    Ok(None)
}

/// The newest frame.
fn last(journal: &Path) -> Result<Option<u64>, JournalError> {
    let mut reader = Reader::open(journal, From::Newest)?;
    let mut last = None;
    while let Some(item) = reader.next_settled()? {
        if let Item::Frame(frame) = item {
            last = Some(frame.seq);
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use journal_format::{Body, Heartbeat, Start};
    use journal_write::{Durability, Writer, WriterOptions};

    use super::*;

    /// Frames 1 to 20, of which each is a second younger than the one before.
    fn journal(dir: &Path) {
        let options = WriterOptions {
            dir: dir.to_path_buf(),
            relay_name: "plant".into(),
            segment_bytes: 4_096,
            retain_bytes: 1 << 20,
            retain_age: None,
            durability: Durability::Process,
        };
        let mut writer = Writer::open(options, 1).unwrap();
        writer.begin_segment(1_000, std::iter::once(Body::Start(Start::default()))).unwrap();
        for number in 2..=20_u64 {
            writer
                .push(number.saturating_mul(1_000), &Body::Heartbeat(Heartbeat::default()))
                .unwrap();
        }
        writer.commit().unwrap();
    }

    #[test]
    fn a_stretch_is_named_by_numbers_or_by_times() {
        use Bound::{Number, Time};
        let dir = tempfile::tempdir().unwrap();
        journal(dir.path());
        for (from, to, wanted) in [
            (Number(5), Number(7), 5..=7),
            (Time(4_500), Number(7), 5..=7),
            (Time(5_000), Time(7_000), 5..=6),
            (Number(3), Time(999_000), 3..=20),
            (Time(0), Time(7_001), 1..=7),
        ] {
            assert_eq!(stretch(dir.path(), from, to).unwrap(), wanted, "{from:?} {to:?}");
        }
        for (from, to, exit) in [
            (Number(7), Number(5), Exit::Usage),
            (Time(21_000), Number(99), Exit::Usage),
            (Time(7_000), Time(7_000), Exit::Usage),
        ] {
            assert_eq!(stretch(dir.path(), from, to).unwrap_err().exit(), exit, "{from:?} {to:?}");
        }
        let gone = dir.path().join("gone");
        assert!(stretch(&gone, Time(0), Number(5)).is_err());
    }

    #[test]
    fn a_bound_is_a_number_or_a_time() {
        assert_eq!(bound("4711"), Ok(Bound::Number(4_711)));
        assert_eq!(bound("1970-01-01T00:00:05Z"), Ok(Bound::Time(5_000)));
        assert!(matches!(bound("10m"), Ok(Bound::Time(_))));
        for wrong in ["0", "18446744073709551615", "99999999999999999999", "-1", "", "soon"] {
            assert!(bound(wrong).unwrap_err().starts_with("wanted: "), "{wrong}");
        }
    }
}

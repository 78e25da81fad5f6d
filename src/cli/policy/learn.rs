//! `sparkdiode policy learn`: a draft of a policy from what the plant says.

use std::fs;
use std::io::{BufRead, BufReader, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use config::policies::load_sources;
use diagnostic::SourceFile;
use policy::Policy;
use sandbox::{Role, Start};
use text::{counted, counted_grouped, escape};
use tools::capture::{Header, Reader, create_file};
use tools::cases::read_policy;
use tools::learn::{Draft, Observation, Options, Trial, TrialReport, draft};

use super::super::capture::{DEFAULT_MAX_BYTES, client_id};
use super::super::outputs::Outputs;
use super::super::recorder::{Recorder, Recording, Tally, Watching, all_entities};
use super::super::startup::HalfArgs;
use super::super::{Exit, Failure, report, sealing, units};
use super::files::{create_new, failed_to};

/// Of a draft: it shows what the plant's values are.
const DRAFT_MODE: u32 = 0o640;

/// Learn a draft of a policy from what the plant says.
///
/// Records the OT broker's traffic as `sparkdiode capture` does (nothing is published, a relay that
/// runs isn't disturbed), or takes a recording, and writes rules for exactly the edge nodes and
/// devices that were seen: equal ones together, metrics by globs where those match nothing else,
/// with ranges, rates, and cases. Setpoints, recipes, texts, files and the like stand behind `#`
/// until somebody decides. Then the draft is tried on the recording, through the relay's own
/// pipeline. With --policy only what that policy doesn't deal with is proposed.
///
/// A draft is no policy: somebody has to go through it.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode policy learn --config /etc/sparkdiode/ot.toml --for 1h -o \
                  draft.toml\n  sparkdiode policy learn --capture plant.capture -o draft.toml\n  \
                  sparkdiode policy learn --capture plant.capture --policy policies -o new.toml"
)]
pub(super) struct LearnArgs {
    /// The draft; it must not exist.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Learn from a recording of `sparkdiode capture`.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "config",
        required_unless_present = "config"
    )]
    capture: Option<PathBuf>,
    /// Propose only what this policy neither forwards nor denies. May be given several times.
    #[arg(long = "policy", value_name = "PATH")]
    policies: Vec<PathBuf>,
    /// Learn from the OT broker of this `ot.toml`.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long to watch the broker (`90s`, `10m`, `1h`); otherwise Ctrl-C ends it.
    #[arg(long = "for", value_name = "TIME", value_parser = units::time, requires = "config")]
    run_for: Option<Duration>,
    /// Keep what was recorded from the broker, for `policy explain` and `policy diff`.
    #[arg(long, value_name = "FILE", requires = "config")]
    keep_capture: Option<PathBuf>,
    /// Record at most this much (`64MiB`, `1GiB`).
    #[arg(long, value_name = "SIZE", default_value = DEFAULT_MAX_BYTES, value_parser = units::size)]
    max_bytes: u64,
    /// MQTT client identifier, where a broker admits only certain ones.
    #[arg(long, value_name = "ID", value_parser = client_id, requires = "config")]
    client_id: Option<String>,
    /// What is logged while the broker is watched; see `sparkdiode ot --help`.
    #[arg(long, value_name = "FILTER", requires = "config")]
    log: Option<String>,
}

pub(super) fn run(arguments: &LearnArgs) -> Result<Exit, Failure> {
    // First of all where the network is about to be heard.
    let start = match &arguments.config {
        Some(_) => Some(sealing::start(Role::Ot)?),
        None => None,
    };
    if arguments.output.exists() {
        return Err(exists(&arguments.output));
    }
    let existing = match arguments.policies.as_slice() {
        [] => Vec::new(),
        paths => load_sources(paths)?,
    };
    let policy = match existing.as_slice() {
        [] => None,
        sources => Some(read_policy(sources)?.0),
    };
    match (&arguments.capture, &arguments.config, start) {
        (Some(path), ..) => {
            let open = || Ok(Reader::open(path)?);
            learn(arguments, open, &existing, policy.as_ref(), |text| {
                write(&arguments.output, text)
            })
        }
        (None, Some(config), Some(start)) => {
            watch(arguments, config, start, &existing, policy.as_ref())
        }
        (None, ..) => Err(Failure::new(Exit::Usage, "neither `--capture` nor `--config`")),
    }
}

/// Places of what is written.
const DRAFT: usize = 0;
const RECORDING: usize = 1;

/// Records the broker's traffic, and learns from it; all of it sealed, in files that are open before.
fn watch(
    arguments: &LearnArgs,
    config: &Path,
    start: Start,
    existing: &[SourceFile],
    policy: Option<&Policy>,
) -> Result<Exit, Failure> {
    let path = arguments.keep_capture.clone().unwrap_or_else(|| {
        let mut name = arguments.output.clone().into_os_string();
        name.push(format!(".{}.capture", std::process::id()));
        PathBuf::from(name)
    });
    let recorded = create_file(&path)?;
    let draft = match create_new(&arguments.output, DRAFT_MODE) {
        Ok(draft) => draft,
        Err(failure) => {
            // It is empty.
            let _ = fs::remove_file(&path);
            return Err(failure);
        }
    };
    let made = vec![(arguments.output.clone(), draft), (path.clone(), recorded)];
    let mut outputs = Outputs::of(&start, made)?;
    let half = HalfArgs { config: config.to_owned(), log: arguments.log.clone() };
    let watching = Watching {
        tool: "learn",
        client_id: arguments.client_id.as_deref(),
        filters: all_entities(),
        run_for: arguments.run_for,
    };
    let recorder = Recorder::seal(start, &half, watching)?;
    let max_bytes = arguments.max_bytes;
    let recording = Recording { path: &path, redact: false, max_bytes, place: RECORDING };
    let recorded = recorder.record(&recording, &mut outputs);
    if arguments.keep_capture.is_none() {
        // Its owner alone could read it, and it isn't needed any more once this is over.
        outputs.give_up(RECORDING);
    }
    say_recorded(&recorded?.tally)?;
    let mut written = false;
    let learnt = {
        let file = outputs.file(RECORDING)?;
        let open = || {
            let mut input = file;
            input.rewind().map_err(|error| failed_to("read", &path, &error))?;
            Ok(Reader::new(&path, BufReader::new(input))?)
        };
        learn(arguments, open, existing, policy, |text| {
            let mut draft = outputs.file(DRAFT)?;
            let done = draft.write_all(text.as_bytes());
            done.map_err(|error| failed_to("write", &arguments.output, &error))?;
            written = true;
            Ok(())
        })
    };
    if written {
        outputs.keep(DRAFT);
    }
    learnt
}

fn say_recorded(tally: &Tally) -> Result<(), Failure> {
    let mut text = format!("recorded {}\n", tally.counted());
    tally.describe(&mut text);
    report::output(&text)
}

/// Learns from the recording that `open` opens, twice, and has the draft written.
fn learn<R: BufRead>(
    arguments: &LearnArgs,
    open: impl Fn() -> Result<Reader<R>, Failure>,
    existing: &[SourceFile],
    policy: Option<&Policy>,
    write: impl FnOnce(&str) -> Result<(), Failure>,
) -> Result<Exit, Failure> {
    let mut seen = Observation::new();
    let header = each(open()?, |record| seen.learn(record))?;
    let options = Options {
        existing: policy,
        redacted: header.redacted,
        source: match header.relay.as_str() {
            "" => "a recording".to_owned(),
            relay => format!("the OT broker {} of relay {relay}", header.broker),
        },
    };
    let draft = draft(&seen, &options);
    if draft.promised.is_empty() && draft.undecided_rules == 0 {
        if draft.known == 0 && draft.denied == 0 {
            return Err(nothing_learnt(&draft));
        }
        report::output(&nothing_new(&draft))?;
        return Ok(Exit::Ok);
    }
    let name = arguments.output.file_name().map(Path::new).unwrap_or(&arguments.output);
    let mut sources = existing.to_vec();
    sources.push(SourceFile::new(name, draft.text.clone()));
    // What can't be read would be a mistake of ours; so it says which.
    let (tried, _) = read_policy(&sources)?;
    let mut trial = Trial::new(tried, &draft.promised, policy);
    each(open()?, |record| trial.learn(record))?;
    let report = trial.report();
    write(&draft.text)?;
    report::output(&summary(&arguments.output, &draft, &report))?;
    Ok(if report.is_sound() { Exit::Ok } else { Exit::Failed })
}

/// Hands every record of the recording over.
fn each<R: BufRead>(
    mut reader: Reader<R>,
    mut take: impl FnMut(&tools::capture::Record),
) -> Result<Header, Failure> {
    for record in reader.by_ref() {
        take(&record?);
    }
    Ok(reader.header().clone())
}

fn nothing_new(draft: &Draft) -> String {
    let mut text = format!(
        "nothing to propose, and nothing was written\n  left out     {}\n",
        left_out(draft)
    );
    unborn(&mut text, draft);
    text
}

fn nothing_learnt(draft: &Draft) -> Failure {
    match draft.unborn.first() {
        Some(first) => Failure::new(
            Exit::Data,
            format!(
                "nothing could be learnt: no birth was seen of {}, such as {}",
                counted(draft.unborn.len(), "edge node"),
                escape(first)
            ),
        )
        .hint(
            "births say what the data means: have a host in the plant request them (Node \
             Control/Rebirth) while this runs, or watch for longer",
        ),
        None => Failure::new(Exit::Data, "nothing could be learnt: no edge node was seen"),
    }
}

fn left_out(draft: &Draft) -> String {
    let (crosses, is) = match (draft.known, draft.denied) {
        (1, 1) => ("crosses", "is"),
        (1, _) => ("crosses", "are"),
        (_, 1) => ("cross", "is"),
        _ => ("cross", "are"),
    };
    format!("{} {crosses} already, {} {is} denied", counted(draft.known, "metric"), draft.denied)
}

fn summary(path: &Path, draft: &Draft, report: &TrialReport) -> String {
    let mut text = format!(
        "wrote {}\n  proposed     {} for {}, with {}\n",
        path.display(),
        counted(draft.rules, "rule"),
        counted(draft.promised.len(), "metric"),
        counted(draft.cases, "case"),
    );
    if draft.undecided_rules > 0 {
        text.push_str(&format!(
            "  to decide    {} for {}, behind `#`\n",
            counted(draft.undecided_rules, "rule"),
            counted(draft.undecided_metrics, "metric")
        ));
    }
    if draft.known > 0 || draft.denied > 0 {
        text.push_str(&format!("  left out     {}\n", left_out(draft)));
    }
    unborn(&mut text, draft);
    text.push_str(&format!(
        "  tried        {} of {} of these metrics {}",
        counted_grouped(report.crossed, "value"),
        report.metrics.len(),
        if report.crossed == 1 { "crosses" } else { "cross" }
    ));
    if report.is_sound() {
        text.push_str("; nothing else does\n");
    } else {
        text.push('\n');
        for (what, count) in &report.held_back {
            text.push_str(&format!(
                "  HELD BACK    {} ({})\n",
                escape(what),
                counted(*count, "time")
            ));
        }
        for (what, count) in &report.unmeant {
            text.push_str(&format!(
                "  UNMEANT      {} crosses ({})\n",
                escape(what),
                counted(*count, "time")
            ));
        }
    }
    text.push_str(&format!(
        "Go through it, then: sparkdiode policy test --strict {}\n",
        path.display()
    ));
    text
}

fn unborn(text: &mut String, draft: &Draft) {
    if let Some(first) = draft.unborn.first() {
        text.push_str(&format!(
            "  no birth     of {}, such as {}: nothing of them is proposed\n",
            counted(draft.unborn.len(), "edge node"),
            escape(first)
        ));
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = create_new(path, DRAFT_MODE)?;
    file.write_all(text.as_bytes()).map_err(|error| failed_to("write", path, &error))
}

fn exists(path: &Path) -> Failure {
    let title = format!("cannot create `{}`: file exists (17)", path.display());
    Failure::new(Exit::Io, title).hint("it is kept as it is; name another file")
}

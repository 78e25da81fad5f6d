//! `sparkdiode policy learn`: a draft of a policy from what the plant says.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use config::OtConfig;
use config::policies::load_sources;
use diagnostic::SourceFile;
use diagnostic::file::os_error;
use policy::Policy;
use text::{counted, escape, grouped};
use tools::capture::{Header, Reader};
use tools::cases::read_policy;
use tools::learn::{Draft, Observation, Options, Trial, TrialReport, draft};

use super::super::capture::{
    DEFAULT_MAX_BYTES, Recording, Tally, all_entities, client_id, record, watching_broker,
};
use super::super::startup::{self, HalfArgs};
use super::super::{Exit, Failure, report, units};

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
    match (&arguments.capture, &arguments.config) {
        (Some(path), _) => learn(arguments, path, &existing, policy.as_ref()),
        (None, Some(config)) => {
            let recorded = watch(arguments, config)?;
            let learnt = learn(arguments, &recorded, &existing, policy.as_ref());
            if arguments.keep_capture.is_none() {
                // Its owner alone could read it, and it isn't needed any more.
                let _ = fs::remove_file(&recorded);
            }
            learnt
        }
        (None, None) => Err(Failure::new(Exit::Usage, "neither `--capture` nor `--config`")),
    }
}

/// Records the broker's traffic; where.
fn watch(arguments: &LearnArgs, config: &Path) -> Result<PathBuf, Failure> {
    let (config, warnings) = OtConfig::load(config)?;
    let broker = watching_broker(&config, arguments.client_id.as_deref(), "learn")?;
    let half = HalfArgs { config: PathBuf::new(), log: arguments.log.clone() };
    let mut logging = startup::begin("learn", &half, &config.broker, &[], warnings)?;
    startup::start_log(&mut logging)?;
    let path = arguments.keep_capture.clone().unwrap_or_else(|| {
        let mut name = arguments.output.clone().into_os_string();
        name.push(format!(".{}.capture", std::process::id()));
        PathBuf::from(name)
    });
    let recording = Recording {
        path: &path,
        run_for: arguments.run_for,
        redact: false,
        max_bytes: arguments.max_bytes,
    };
    let (tally, ..) = record(&config, broker, all_entities(), &recording)?;
    say_recorded(&tally)?;
    Ok(path)
}

fn say_recorded(tally: &Tally) -> Result<(), Failure> {
    let mut text = format!("recorded {}\n", tally.counted());
    tally.describe(&mut text);
    report::output(&text)
}

/// Learns from the recording at `path`.
fn learn(
    arguments: &LearnArgs,
    path: &Path,
    existing: &[SourceFile],
    policy: Option<&Policy>,
) -> Result<Exit, Failure> {
    let mut seen = Observation::new();
    let header = each(path, |record| seen.learn(record))?;
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
    each(path, |record| trial.learn(record))?;
    let report = trial.report();
    write(&arguments.output, &draft.text)?;
    report::output(&summary(&arguments.output, &draft, &report))?;
    Ok(if report.is_sound() { Exit::Ok } else { Exit::Failed })
}

/// Hands every record of the recording over.
fn each(path: &Path, mut take: impl FnMut(&tools::capture::Record)) -> Result<Header, Failure> {
    let mut reader = Reader::open(path)?;
    for record in reader.by_ref() {
        take(&record?);
    }
    Ok(reader.header().clone())
}

fn nothing_new(draft: &Draft) -> String {
    let mut text = format!(
        "nothing to propose, and nothing was written\n  left out     {} metrics cross already, {} are \
         denied\n",
        draft.known, draft.denied
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

fn summary(path: &Path, draft: &Draft, report: &TrialReport) -> String {
    let mut text = format!(
        "wrote {}\n  proposed     {} for {} metrics, with {}\n",
        path.display(),
        counted(draft.rules, "rule"),
        draft.promised.len(),
        counted(draft.cases, "case"),
    );
    if draft.undecided_rules > 0 {
        text.push_str(&format!(
            "  to decide    {} for {} metrics, behind `#`\n",
            counted(draft.undecided_rules, "rule"),
            draft.undecided_metrics
        ));
    }
    if draft.known > 0 || draft.denied > 0 {
        text.push_str(&format!(
            "  left out     {} metrics cross already, {} are denied\n",
            draft.known, draft.denied
        ));
    }
    unborn(&mut text, draft);
    text.push_str(&format!(
        "  tried        {} values of {} of these metrics cross",
        grouped(report.crossed),
        report.metrics.len()
    ));
    if report.is_sound() {
        text.push_str("; nothing else does\n");
    } else {
        text.push('\n');
        for (what, count) in &report.held_back {
            text.push_str(&format!("  HELD BACK    {} ({count} times)\n", escape(what)));
        }
        for (what, count) in &report.unmeant {
            text.push_str(&format!("  UNMEANT      {} crosses ({count} times)\n", escape(what)));
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
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(DRAFT_MODE).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return exists(path);
        }
        Failure::new(Exit::Io, format!("cannot write `{}`: {}", path.display(), os_error(&error)))
    })
}

fn exists(path: &Path) -> Failure {
    let title = format!("cannot create `{}`: file exists (17)", path.display());
    Failure::new(Exit::Io, title).hint("it is kept as it is; name another file")
}

//! Command line of the benchmark.

use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: cargo bench --bench bench -- [PART]... [OPTIONS]
parts: micro, journal, side-by-side, scale, all of these (default: all);
       capacity, fleet, fold, large-birth, logs, attackers, slow-link (as root, 28 minutes), two-boxes
       (as root, 8 minutes; 10 with --through), link and repair-code, which aren't in all
  --rounds N        interleaved rounds, of which the median is told (default: 3)
  --seconds S       length of one measured stretch (default: 2)
  --quick           1 round of 1.5 s: some 4 minutes for all parts instead of 10
  --hang S          logs: how long a log server hangs (default: 60; --quick: 6); at least 3 rounds
  --case WORD       micro, side-by-side, capacity, fleet, attackers, slow-link, two-boxes: cases with this in their names, as \"10 metrics\";
                    repeatable
  --route WORD      side-by-side: routes with this in their names, as \"relay\"; repeatable
  --aliases         side-by-side: data by alias instead of by name
  --rate N          side-by-side: latency at N messages/s instead of half of what a route takes
  --gather-ms N     capacity, fleet, fold: `gather-ms` of both halves (default: by the rate)
  --large           scale: also 10,000 nodes
  --through         two-boxes: from edge nodes at one broker to hosts at another, instead of from journal to journal
  --binary FILE     relay to measure instead of this build's, to compare versions
  --json FILE       default: target/bench/bench.json
  --svg FILE        default: target/bench/comparison.svg";

/// What is measured, and how long.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) parts: Vec<Part>,
    pub(crate) rounds: usize,
    /// Length of one measured stretch.
    pub(crate) stretch: Duration,
    /// How long a log server hangs.
    pub(crate) hang: Duration,
    /// Words of which a case has at least one in its name; empty: all.
    cases: Vec<String>,
    /// The same for routes.
    routes: Vec<String>,
    pub(crate) aliases: bool,
    /// Messages/s at which latency is measured; `None`: half of what a route takes.
    pub(crate) rate: Option<f64>,
    pub(crate) gather_ms: u64,
    pub(crate) large: bool,
    pub(crate) through: bool,
    /// The relay.
    pub(crate) binary: PathBuf,
    pub(crate) json: PathBuf,
    pub(crate) svg: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Micro,
    Journal,
    SideBySide,
    Capacity,
    Scale,
    Fleet,
    Fold,
    LargeBirth,
    Logs,
    Attackers,
    SlowLink,
    Link,
    RepairCode,
    TwoBoxes,
}

/// All but those that take their time.
const ALL: [Part; 4] = [Part::Micro, Part::Journal, Part::SideBySide, Part::Scale];

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let output = output_dir();
        let mut options = Options {
            parts: Vec::new(),
            rounds: 3,
            stretch: Duration::from_secs(2),
            hang: Duration::from_secs(60),
            cases: Vec::new(),
            routes: Vec::new(),
            aliases: false,
            rate: None,
            gather_ms: 0,
            large: false,
            through: false,
            binary: PathBuf::from(env!("CARGO_BIN_EXE_sparkdiode")),
            json: output.join("bench.json"),
            svg: output.join("comparison.svg"),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("`{argument}` wants a value"));
            let mut number = || {
                let text = value()?;
                let number = text.parse::<f64>().ok().filter(|number| *number > 0.0);
                number.ok_or(format!("`{argument}` wants a number above 0, not `{text}`"))
            };
            match argument.as_str() {
                "micro" => options.parts.push(Part::Micro),
                "journal" => options.parts.push(Part::Journal),
                "side-by-side" => options.parts.push(Part::SideBySide),
                "capacity" => options.parts.push(Part::Capacity),
                "scale" => options.parts.push(Part::Scale),
                "fleet" => options.parts.push(Part::Fleet),
                "fold" => options.parts.push(Part::Fold),
                "large-birth" => options.parts.push(Part::LargeBirth),
                "logs" => options.parts.push(Part::Logs),
                "attackers" => options.parts.push(Part::Attackers),
                "slow-link" => options.parts.push(Part::SlowLink),
                "link" => options.parts.push(Part::Link),
                "two-boxes" => options.parts.push(Part::TwoBoxes),
                "repair-code" => options.parts.push(Part::RepairCode),
                "all" => options.parts.extend(ALL),
                "--rounds" => options.rounds = (number()? as usize).max(1),
                "--seconds" => options.stretch = Duration::from_secs_f64(number()?),
                "--hang" => options.hang = Duration::from_secs_f64(number()?),
                "--quick" => {
                    options.hang = Duration::from_secs(6);
                    options.rounds = 1;
                    options.stretch = Duration::from_millis(1_500);
                }
                "--case" => options.cases.push(value()?),
                "--route" => options.routes.push(value()?),
                "--rate" => options.rate = Some(number()?),
                "--gather-ms" => options.gather_ms = number()? as u64,
                "--aliases" => options.aliases = true,
                "--large" => options.large = true,
                "--through" => options.through = true,
                "--binary" => options.binary = absolute(&value()?),
                "--json" => options.json = absolute(&value()?),
                "--svg" => options.svg = absolute(&value()?),
                // Cargo says that it is a benchmark.
                "--bench" => {}
                other => return Err(format!("unknown argument: `{other}`")),
            }
        }
        if options.parts.is_empty() {
            options.parts.extend(ALL);
        }
        Ok(options)
    }

    /// Whether the case with this name is wanted.
    pub(crate) fn wants_case(&self, name: &str) -> bool {
        is_wanted(&self.cases, name)
    }

    /// Whether the route with this name is wanted.
    pub(crate) fn wants_route(&self, name: &str) -> bool {
        is_wanted(&self.routes, name)
    }
}

fn is_wanted(words: &[String], name: &str) -> bool {
    words.is_empty() || words.iter().any(|word| name.contains(word.as_str()))
}

/// `target/bench`, beside the benchmark's own binary.
pub(crate) fn output_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench")
}

fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap()
}

//! All attackers at once and the good node beside them, on two brokers with a relay in between that
//! somebody else started: the long run of tests/package/attackers.sh.
//!
//! ```text
//! attackers --ot BROKER --it BROKER [--seconds N] [--pace-ms N] [--only WORD] [before|policy|list]
//! ```
//!
//! A broker is `IP:PORT` or the path of a socket. `before` does what attackers do before the relay
//! is there; `policy` prints the policy that the relay should have. Prints what became of the good
//! node; exit code 1 if it lost anything, was born again or died.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints what it found")]

use std::process::ExitCode;
use std::time::Duration;

use attackers::{Address, Attacker, Figures, POLICY, Scene, all, before, percentile};

struct Options {
    ot: Option<Address>,
    it: Option<Address>,
    length: Duration,
    pace: Duration,
    only: String,
    task: Option<String>,
}

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::from(64)
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        ot: None,
        it: None,
        length: Duration::from_secs(30),
        pace: Duration::from_millis(500),
        only: String::new(),
        task: None,
    };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("`{argument}` wants a value"));
        let number = |text: String| {
            text.parse::<u64>().map_err(|_| format!("`{argument}` wants a number, not `{text}`"))
        };
        match argument.as_str() {
            "--ot" => options.ot = Some(value()?.parse()?),
            "--it" => options.it = Some(value()?.parse()?),
            "--seconds" => options.length = Duration::from_secs(number(value()?)?),
            "--pace-ms" => options.pace = Duration::from_millis(number(value()?)?),
            "--only" => options.only = value()?,
            "before" | "policy" | "list" => options.task = Some(argument),
            _ => return Err(format!("unknown argument: `{argument}`")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<bool, String> {
    let attackers: Vec<Attacker> =
        all().into_iter().filter(|one| one.name.contains(&options.only)).collect();
    match options.task.as_deref() {
        Some("policy") => {
            print!("{POLICY}");
            return Ok(true);
        }
        Some("list") => {
            attackers.iter().for_each(|attacker| println!("{attacker:?}"));
            return Ok(true);
        }
        _ => {}
    }
    let (Some(ot), Some(it)) = (&options.ot, &options.it) else {
        return Err("--ot and --it are wanted".to_owned());
    };
    if options.task.as_deref() == Some("before") {
        before(&attackers, ot, it);
        return Ok(true);
    }
    let mut scene = Scene::start(ot, it);
    let figures = scene.run(&attackers, options.pace, options.length);
    scene.leave();
    println!("{}", report(&figures, attackers.len()));
    // Rebirths are asked for among all of that; what isn't asked for is another session.
    Ok(figures.lost == 0 && figures.deaths == 0)
}

fn report(figures: &Figures, attackers: usize) -> String {
    let Figures { said, lost, late, births, deaths, whole_ms, relay_ms, steps, refused } = figures;
    format!(
        "good node: {said} messages, {lost} lost, {late} behind a birth that was asked for, {births} births asked for, {deaths} deaths, \
         p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms (of the relay p99 {:.1} ms); \
         {attackers} attackers, {steps} steps, {refused} connections refused by a broker",
        percentile(whole_ms, 0.5),
        percentile(whole_ms, 0.99),
        percentile(whole_ms, 1.0),
        percentile(relay_ms, 0.99),
    )
}

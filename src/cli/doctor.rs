//! `sparkdiode doctor`: tries what the halves need of this machine and of their brokers, and says in one
//! line each what is wrong and what to do.

mod finding;
mod heard;
mod network;
mod places;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use config::{ItConfig, OtConfig, SyslogTo};
use diagnostic::Diagnostics;
use finding::{Finding, Verdict, of_diagnostics};
use sandbox::{Finding as Probed, Layer};
use text::counted;

use super::check::{self, Kind, recognise};
use super::half_files::HalfFiles;
use super::lookup::resolve;
use super::policy_source::PolicySource;
use super::sandbox::takes_datagrams;
use super::{Exit, Failure, capture, report};

/// Sessions that are tried at the enterprise broker.
const SESSIONS: u16 = 20;
/// How long it is listened to what comes, in seconds.
const LISTEN_S: u16 = 3;

/// Try what a relay needs of this machine and of its brokers, and say what is wrong and what to do.
///
/// For each CONFIG: the file itself and its policy, the layers of the seal, users, files, directories
/// and disk; then the broker: name, TCP, TLS, login, the rights that it grants, how many sessions it
/// lets stand (IT), and the clock beside that of what comes from there. Nothing is published, no session
/// of a relay that runs is disturbed, and nothing is left behind at the broker. Each broker is asked by a
/// process of its own, which is sealed as the half is before it connects. Exits with 0, or with 1 where
/// something is wrong.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode doctor ot.toml it.toml\n  sudo sparkdiode doctor \
                        /etc/sparkdiode/ot.toml\n\nEvery line is one thing: `ok`, `look` (it works, and \
                        somebody should look), or `FAULT`, with what to do behind it.")]
pub(super) struct DoctorArgs {
    /// Configuration files of halves.
    #[arg(required_unless_present = "network", value_name = "CONFIG")]
    configs: Vec<PathBuf>,
    /// MQTT client identifier of the visit, where a broker admits only certain ones. Never that of a
    /// relay that runs: its session would be ended.
    #[arg(long, value_name = "ID", value_parser = capture::client_id)]
    client_id: Option<String>,
    /// Sessions that are tried at once at the enterprise broker; best as many as there are edge nodes.
    #[arg(long, value_name = "NUMBER", default_value_t = SESSIONS,
          value_parser = clap::value_parser!(u16).range(1..=10_000))]
    sessions: u16,
    /// How long it is listened to what comes, in seconds.
    #[arg(long = "listen", value_name = "SECONDS", default_value_t = LISTEN_S,
          value_parser = clap::value_parser!(u16).range(0..=600))]
    listen_s: u16,
    /// Ask the broker of this configuration, in this process.
    #[arg(long, value_name = "CONFIG", hide = true, conflicts_with = "configs")]
    network: Option<PathBuf>,
    /// A layer that this kernel was found to lack.
    #[arg(long, value_name = "LAYER", hide = true)]
    missing: Vec<String>,
}

pub(super) fn run(arguments: &DoctorArgs) -> Result<Exit, Failure> {
    if let Some(path) = &arguments.network {
        return network::run(path, arguments);
    }
    let probed = sandbox::probe();
    let mut seen = Seen::default();
    let mut all = Vec::new();
    // Who reads the journal is in the other half's file.
    let journal_group = arguments.configs.iter().find_map(|path| group_of_it(path));
    for path in &arguments.configs {
        let findings = match recognise(path) {
            Ok((Kind::Send | Kind::Receive | Kind::Policy, _)) => {
                let message = format!("not the configuration of a half: `{}`", path.display());
                let hint = "`sparkdiode check` explains a policy; this wants ot.toml and it.toml";
                return Err(Failure::new(Exit::Usage, message).hint(hint));
            }
            Ok((Kind::Ot, file)) => match OtConfig::check(file) {
                Ok((config, warnings)) => {
                    let mut findings = of_file(&warnings);
                    findings.extend(of_policy(&config));
                    let disk = places::disk(&config.journal.path, config.journal.retain_bytes);
                    seen.ot = Some((path.clone(), config.clone()));
                    let half = HalfFiles::of_ot(path, config);
                    findings.extend(places::kernel(&probed, &half.sandbox.waived));
                    findings.extend(places::level());
                    findings.extend(places::files(&half, journal_group.as_deref()));
                    findings.push(disk);
                    findings.extend(outside(path, &half, &probed, arguments));
                    findings
                }
                Err(problems) => of_diagnostics("file", &problems),
            },
            Ok((Kind::It, file)) => match ItConfig::check(file) {
                Ok((config, warnings)) => {
                    let mut findings = of_file(&warnings);
                    seen.it = Some((path.clone(), config.clone()));
                    let half = HalfFiles::of_it(path, config);
                    findings.extend(places::kernel(&probed, &half.sandbox.waived));
                    findings.extend(places::level());
                    findings.extend(places::files(&half, journal_group.as_deref()));
                    findings.extend(outside(path, &half, &probed, arguments));
                    findings
                }
                Err(problems) => of_diagnostics("file", &problems),
            },
            Err(problems) => of_diagnostics("file", &problems),
        };
        show(&path.display().to_string(), &findings)?;
        all.extend(findings);
    }
    if let Some(findings) = seen.beside() {
        show("both halves", &findings)?;
        all.extend(findings);
    }
    let count = |verdict| all.iter().filter(|finding| finding.verdict == verdict).count();
    let (faults, odd) = (count(Verdict::Bad), count(Verdict::Odd));
    let faults_said = if faults == 0 { "no fault".to_owned() } else { counted(faults, "fault") };
    let odd_said = match odd {
        0 => String::new(),
        _ => format!("; {} to look at", counted(odd, "line")),
    };
    report::output(&format!("\n{faults_said}{odd_said}\n"))?;
    Ok(if faults == 0 { Exit::Ok } else { Exit::Failed })
}

fn show(head: &str, findings: &[Finding]) -> Result<(), Failure> {
    let paint = report::paint();
    let mut text = format!("\n{}\n", paint.strong(head));
    findings.iter().for_each(|finding| text.push_str(&finding.line(paint)));
    report::output(&text)
}

/// The file itself.
fn of_file(warnings: &Diagnostics) -> Vec<Finding> {
    if warnings.is_empty() {
        return vec![Finding::good("file", "every key is one, and means something")];
    }
    of_diagnostics("file", warnings)
}

fn of_policy(config: &OtConfig) -> Vec<Finding> {
    let paths = config.policy_paths.clone();
    let source = PolicySource::new(paths, config.require_signature.clone(), &config.state_dir)
        .making_pseudonyms(config.pseudonym_key.clone());
    match source.read() {
        Ok((policy, warnings)) => {
            let rules = counted(policy.policy.rules().len(), "rule");
            let mut findings = vec![Finding::good("policy", rules)];
            findings.extend(of_diagnostics("policy", &warnings));
            findings
        }
        Err(problems) => of_diagnostics("policy", &problems),
    }
}

/// The group that the IT half has, if this is its file.
fn group_of_it(path: &Path) -> Option<String> {
    let (Kind::It, file) = recognise(path).ok()? else { return None };
    let user = ItConfig::check(file).ok()?.0.sandbox.user?;
    Some(user.group.unwrap_or(user.user))
}

/// What is beyond this machine: log servers by name, and the broker.
fn outside(
    path: &Path,
    half: &HalfFiles,
    probed: &[Probed],
    arguments: &DoctorArgs,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = half.syslog.iter().map(|target| log(&target.to)).collect();
    if network::needs_systemd(&half.broker) {
        let role = half.role;
        let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        findings.push(Finding::odd(
            "network",
            "the broker wasn't asked: systemd alone hands over the credentials",
            format!(
                "sparkdiode-tool {role} doctor {}, by root: as the half runs, with its credentials and \
                 in its network",
                shown.display()
            ),
        ));
        return findings;
    }
    findings.extend(ask_broker(path, probed, arguments));
    findings
}

fn log(to: &SyslogTo) -> Finding {
    let remedy = "correct the target; `sparkdiode events --send` tries all of them";
    let named = match to {
        SyslogTo::Journald { path } | SyslogTo::Local { path, .. } => takes_datagrams(path),
        SyslogTo::Udp(address) | SyslogTo::Tcp(address) | SyslogTo::Tls(address, _) => {
            resolve(address)
                .map(|_| format!("{address} is named; `sparkdiode events --send` tries it"))
                .map_err(|failure| failure.words().0)
        }
    };
    match named {
        Ok(words) => Finding::good("log", words),
        Err(words) => Finding::bad("log", words, remedy),
    }
}

/// Has the broker asked by a process of its own.
fn ask_broker(path: &Path, probed: &[Probed], arguments: &DoctorArgs) -> Vec<Finding> {
    let asked = || -> std::io::Result<std::process::Output> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["doctor", "--network"]).arg(path);
        command.args(["--sessions", &arguments.sessions.to_string()]);
        command.args(["--listen", &arguments.listen_s.to_string()]);
        if let Some(id) = &arguments.client_id {
            command.args(["--client-id", id]);
        }
        for Probed { layer, .. } in probed.iter().filter(|found| found.result.is_err()) {
            command.args(["--missing", Layer::name(*layer)]);
        }
        command.stdin(Stdio::null()).output()
    };
    let output = match asked() {
        Ok(output) => output,
        Err(error) => {
            let words = format!("nobody could be sent to the broker: {error}");
            return vec![Finding::odd("network", words, "try again")];
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut findings: Vec<Finding> = text
        .lines()
        .filter_map(|line| Finding::from_json(&serde_json::from_str(line).ok()?))
        .collect();
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let words = format!("who asked the broker ended with {}: {}", output.status, said.trim());
        findings.push(Finding::bad("network", words, "report this: it is a mistake of ours"));
    }
    findings
}

/// Both configurations, where both were given.
#[derive(Default)]
struct Seen {
    ot: Option<(PathBuf, OtConfig)>,
    it: Option<(PathBuf, ItConfig)>,
}

impl Seen {
    /// What is wrong with them beside each other.
    fn beside(&self) -> Option<Vec<Finding>> {
        let ((ot_path, ot), (it_path, it)) = self.ot.as_ref().zip(self.it.as_ref())?;
        let (mut warnings, mut errors) = (Diagnostics::new(), Diagnostics::new());
        check::compare(ot_path, ot, it_path, it, false, (&mut warnings, &mut errors));
        let mut findings = of_diagnostics("halves", &errors);
        findings.extend(of_diagnostics("halves", &warnings));
        if findings.is_empty() {
            findings
                .push(Finding::good("halves", "they belong together, and share the journal alone"));
        }
        Some(findings)
    }
}

//! `sparkdiode doctor`: tries what the halves need of this machine and of their brokers, and says in one
//! line each what is wrong and what to do.

mod finding;
mod heard;
mod link;
mod network;
mod places;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use config::{ItConfig, OtConfig, ReceiveConfig, SendConfig, SyslogTo};
use diagnostic::Diagnostics;
use finding::{Finding, Verdict, of_diagnostics};
use sandbox::{Finding as Probed, Layer};
use text::counted;

use super::check::{self, Ends, Kind, recognise};
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
/// process of its own, which is sealed as the half is before it connects. Of an end of a link
/// (`send.toml`, `receive.toml`) it is the interfaces instead: that they carry, that datagrams fit, the
/// pace, the buffer, and that nobody is asked for an address. Exits with 0, or with 1 where something is
/// wrong.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  sparkdiode doctor ot.toml it.toml\n  sudo sparkdiode doctor \
                        /etc/sparkdiode/ot.toml\n\nEvery line is one thing: `ok`, `look` (it works, and \
                        somebody should look), or `FAULT`, with what to do behind it.")]
pub(super) struct DoctorArgs {
    /// Configuration files of halves, and of ends of a link.
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
    // Who reads a journal is in the file of its reader: with a link the OT half's is read by its sending
    // end.
    let group_of = |kind| arguments.configs.iter().find_map(|path| group_of(path, kind));
    let (of_it, of_send) = (group_of(Kind::It), group_of(Kind::Send));
    let journal_group = of_send.as_ref().or(of_it.as_ref());
    for path in &arguments.configs {
        let findings = match recognise(path) {
            Ok((Kind::Send, file)) => match SendConfig::check(file) {
                Ok((config, warnings)) => {
                    let mut findings = of_file(&warnings);
                    let machine = link::Machine::this().send(&config);
                    seen.ends.add_send(path, config.clone());
                    let end = HalfFiles::of_send(path, config);
                    findings.extend(here(&end, &probed, of_send.as_deref()));
                    findings.extend(machine);
                    findings
                }
                Err(problems) => of_diagnostics("file", &problems),
            },
            Ok((Kind::Receive, file)) => match ReceiveConfig::check(file) {
                Ok((config, warnings)) => {
                    let mut findings = of_file(&warnings);
                    let machine = link::Machine::this().receive(&config);
                    let disk = places::disk(&config.journal.path, config.journal.retain_bytes);
                    seen.ends.add_receive(path, config.clone());
                    let end = HalfFiles::of_receive(path, config);
                    findings.extend(here(&end, &probed, of_it.as_deref()));
                    findings.push(disk);
                    findings.extend(machine);
                    findings
                }
                Err(problems) => of_diagnostics("file", &problems),
            },
            Ok((Kind::Policy, _)) => {
                let message = format!("not the configuration of a half: `{}`", path.display());
                let hint = "`sparkdiode check` explains a policy; this wants ot.toml and it.toml, or send.toml and receive.toml";
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
                    findings.extend(places::files(&half, journal_group.map(String::as_str)));
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
                    findings.extend(places::files(&half, of_it.as_deref()));
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
        show(if seen.ends.number() == 0 { "both halves" } else { "together" }, &findings)?;
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

/// The group that the reader of a journal has, if this is its file.
fn group_of(path: &Path, wanted: Kind) -> Option<String> {
    let (kind, file) = recognise(path).ok()?;
    let user = match kind {
        _ if kind != wanted => None,
        Kind::It => ItConfig::check(file).ok()?.0.sandbox.user,
        Kind::Send => SendConfig::check(file).ok()?.0.sandbox.user,
        _ => None,
    };
    user.map(|user| user.group.unwrap_or(user.user))
}

/// What an end of a link needs of this machine besides its interfaces.
fn here(end: &HalfFiles, probed: &[Probed], journal_group: Option<&str>) -> Vec<Finding> {
    let mut findings = places::kernel(probed, &end.sandbox.waived);
    findings.extend(places::level());
    findings.extend(places::files(end, journal_group));
    findings.extend(end.syslog.iter().map(|target| log(&target.to)));
    findings
}

/// What is beyond this machine: log servers by name, and the broker.
fn outside(
    path: &Path,
    half: &HalfFiles,
    probed: &[Probed],
    arguments: &DoctorArgs,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = half.syslog.iter().map(|target| log(&target.to)).collect();
    if half.broker.as_ref().is_some_and(network::needs_systemd) {
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

/// All configurations that were given.
#[derive(Default)]
struct Seen {
    ot: Option<(PathBuf, OtConfig)>,
    it: Option<(PathBuf, ItConfig)>,
    ends: Ends,
}

impl Seen {
    /// What is wrong with them beside each other; `None` where only one was given.
    fn beside(&self) -> Option<Vec<Finding>> {
        let (ot, it) = (self.ot.as_ref(), self.it.as_ref());
        let given = [ot.is_some(), it.is_some()].into_iter().filter(|given| *given).count();
        if given.saturating_add(self.ends.number()) < 2 {
            return None;
        }
        let (mut warnings, mut errors) = (Diagnostics::new(), Diagnostics::new());
        if let (Some((ot_path, ot)), Some((it_path, it))) = (ot, it) {
            let linked = self.ends.number() > 0;
            check::compare(ot_path, ot, it_path, it, linked, (&mut warnings, &mut errors));
        }
        let ot = ot.map(|(path, config)| (path.as_path(), config));
        let it = it.map(|(path, config)| (path.as_path(), config));
        self.ends.compare(ot, it, &mut warnings, &mut errors);
        let mut findings = of_diagnostics("halves", &errors);
        findings.extend(of_diagnostics("halves", &warnings));
        if findings.is_empty() {
            let words = match self.ends.number() {
                0 => "they belong together, and share the journal alone",
                _ => "they belong together",
            };
            findings.push(Finding::good("halves", words));
        }
        Some(findings)
    }
}

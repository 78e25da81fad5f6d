//! What starting either half has in common: logging, the policy, secrets.

use clap::Args;

use std::path::PathBuf;

use super::{Exit, Failure};
use crate::config::diagnostic::{Diagnostic, Diagnostics};
use crate::config::file::FileError;
use crate::config::tls::TlsError;
use crate::config::{Credentials, Secret, policies};
use crate::policy::Policy;
use crate::telemetry::logging;

/// Problems that are named in a log line; the rest is counted.
const MAX_NAMED: usize = 3;

/// Options of both halves.
#[derive(Args, Debug)]
pub(super) struct HalfArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a list such as
    /// `info,rumqttc=debug`. Without it the variable SPARKDIODE_LOG is asked, then `info` taken.
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// Sets logging up for the half called `half`, and logs the warnings about its files.
pub(super) fn begin(
    half: &'static str,
    arguments: &HalfArgs,
    warnings: impl IntoIterator<Item = Diagnostic>,
) -> Result<(), Failure> {
    logging::init(half, arguments.log.as_deref())
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    for warning in warnings {
        tracing::warn!(place = place(&warning), "{}", warning.title);
    }
    Ok(())
}

/// Reads the policy from files and directories.
pub(super) fn read_policy(paths: &[PathBuf]) -> Result<(Policy, Diagnostics), Diagnostics> {
    Policy::parse(&policies::load_sources(paths)?)
}

/// Reads the policy again, for a half that is running: what is wrong comes in one line.
pub(super) fn read_policy_again(paths: &[PathBuf]) -> Result<Policy, String> {
    match read_policy(paths) {
        Ok((policy, warnings)) => {
            for warning in warnings {
                tracing::warn!(place = place(&warning), "{}", warning.title);
            }
            Ok(policy)
        }
        Err(problems) => Err(in_one_line(&problems)),
    }
}

/// User and password, read now.
pub(super) fn read_credentials(
    credentials: Option<&Credentials>,
) -> Result<Option<(String, Secret)>, Failure> {
    credentials
        .map(|credentials| Ok((credentials.user.clone(), credentials.password.read()?)))
        .transpose()
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Failure {
        let failure = Failure::new(Exit::Config, error.to_string());
        error.hint().into_iter().fold(failure, Failure::hint)
    }
}

impl From<TlsError> for Failure {
    fn from(error: TlsError) -> Failure {
        let failure = Failure::new(Exit::Config, error.to_string());
        error.hint().into_iter().fold(failure, Failure::hint)
    }
}

/// `policies/line4.toml:12:9: unknown key: …`, and how many more there are.
fn in_one_line(problems: &Diagnostics) -> String {
    let named: Vec<String> = problems
        .iter()
        .take(MAX_NAMED)
        .map(|problem| format!("{}: {}", place(problem), problem.title))
        .collect();
    let more = problems.len().saturating_sub(named.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", named.join("; "))
}

/// `policies/line4.toml:12:9`.
fn place(problem: &Diagnostic) -> String {
    let path = problem.path.display();
    match problem.position() {
        Some((line, column)) => format!("{path}:{line}:{column}"),
        None => path.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_policy_is_named_in_one_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.toml");
        std::fs::write(&path, "[[rule]]\nname = 1\n[[rool]]\n").unwrap();
        let line = read_policy_again(&[path]).unwrap_err();
        assert!(line.contains("a.toml:2:"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}

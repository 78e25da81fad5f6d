//! `sparkdiode policy`: the tools that make a policy, try it, explain it and compare it.

mod paint;
mod test;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Exit, Failure, half, report};
use crate::config::diagnostic::Diagnostics;
use crate::policy::Policy;

/// Try a policy before it is live: test it, have it explained, compare it.
///
/// A policy is a file, or several files and directories together. None of these commands needs
/// a broker, a configuration or a running relay, and none changes a file.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Begin with a policy file and `sparkdiode check FILE`, which says in words what it does.\n\
                  Give it cases, and run them whenever it changes:\n  \
                  sparkdiode policy test --strict policies/line4.toml\n\
                  `man sparkdiode-policies` is the reference of the language."
)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Test(test::TestArgs),
}

/// Does what the arguments say.
pub(super) fn run(arguments: &PolicyArgs) -> Result<Exit, Failure> {
    match &arguments.command {
        PolicyCommand::Test(arguments) => test::run(arguments),
    }
}

/// Reads a policy, and prints its warnings.
fn read(paths: &[PathBuf]) -> Result<Policy, Failure> {
    let (policy, warnings): (Policy, Diagnostics) = half::read_policy(paths)?;
    report::warnings(&warnings);
    Ok(policy)
}

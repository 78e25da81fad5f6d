//! `sparkdiode policy`: the tools that make a policy, try it, explain it, compare it and sign it.

mod acl;
mod diff;
mod explain;
mod files;
mod history;
mod hits;
mod json;
mod learn;
mod lines;
mod recording;
mod sign;
mod test;
mod why;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use config::policies;
use policy::Policy;
use policy::rule::moment;
use tools::cases::{self, Case};

use super::{Exit, Failure, report};

/// The language in short: enough to write a policy with cases.
const LANGUAGE: &str = include_str!("policy/language.txt");

/// Make a policy, try it before it is live, and sign it.
///
/// A policy is a file, or several files and directories together. None of these commands disturbs a relay
/// that runs, and none but `rollback` changes a policy file.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "Begin with a policy file (`sparkdiode policy learn` drafts one) and `sparkdiode check FILE`,\n\
                  which says in words what it does.\n\
                  Give it cases, and run them whenever it changes:\n  \
                  sparkdiode policy test --strict policies/line4.toml\n\
                  How a policy is written: `sparkdiode policy --help` in short, `sparkdiode help policy` whole;\n\
                  step by step and with all keys of cases: `sparkdiode help policies`; one key: `sparkdiode explain KEY`.",
    after_long_help = LANGUAGE
)]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Test(test::TestArgs),
    Explain(explain::ExplainArgs),
    Diff(diff::DiffArgs),
    Hits(hits::HitsArgs),
    Learn(learn::LearnArgs),
    Acl(acl::AclArgs),
    History(history::HistoryArgs),
    Rollback(history::RollbackArgs),
    Keygen(sign::KeygenArgs),
    Sign(sign::SignArgs),
    Verify(sign::VerifyArgs),
    Why(why::WhyArgs),
}

/// Does what the arguments say.
pub(super) fn run(arguments: &PolicyArgs) -> Result<Exit, Failure> {
    match &arguments.command {
        PolicyCommand::Test(arguments) => test::run(arguments),
        PolicyCommand::Explain(arguments) => explain::run(arguments),
        PolicyCommand::Diff(arguments) => diff::run(arguments),
        PolicyCommand::Hits(arguments) => hits::run(arguments),
        PolicyCommand::Learn(arguments) => learn::run(arguments),
        PolicyCommand::Acl(arguments) => acl::run(arguments),
        PolicyCommand::History(arguments) => history::run(arguments),
        PolicyCommand::Rollback(arguments) => history::rollback(arguments),
        PolicyCommand::Keygen(arguments) => sign::keygen(arguments),
        PolicyCommand::Sign(arguments) => sign::sign(arguments),
        PolicyCommand::Verify(arguments) => sign::verify(arguments),
        PolicyCommand::Why(arguments) => why::run(arguments),
    }
}

/// Reads a policy, and prints its warnings.
fn read(paths: &[PathBuf]) -> Result<Policy, Failure> {
    Ok(read_with_cases(paths)?.0)
}

/// Reads a policy and the cases in its files, and prints its warnings.
fn read_with_cases(paths: &[PathBuf]) -> Result<(Policy, Vec<Case>), Failure> {
    let (policy, cases, warnings) = cases::read(&policies::load_sources(paths)?)?;
    report::warnings(&warnings);
    Ok((policy, cases))
}

/// Says which moment was meant by `--at`, for people.
fn say_at(at_ms: Option<u64>) -> Result<(), Failure> {
    match at_ms {
        Some(at_ms) => report::output(&format!("at {}\n", moment::show_moment(at_ms))),
        None => Ok(()),
    }
}

//! `sparkdiode policy …`: tools for policies, one file per tool.

mod sign;

use clap::{Args, Subcommand};

use super::{Exit, Failure};

/// Tools for policies: sign, verify.
#[derive(Args, Debug)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Examples:\n  sparkdiode policy keygen -o alice.key --name alice\n  \
                  sparkdiode policy sign --key alice.key --version 7 policies\n  \
                  sparkdiode policy verify --key 'ed25519:… alice' policies")]
pub(super) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    Keygen(sign::KeygenArgs),
    Sign(sign::SignArgs),
    Verify(sign::VerifyArgs),
}

pub(super) fn run(arguments: &PolicyArgs) -> Result<Exit, Failure> {
    match &arguments.command {
        PolicyCommand::Keygen(arguments) => sign::keygen(arguments),
        PolicyCommand::Sign(arguments) => sign::sign(arguments),
        PolicyCommand::Verify(arguments) => sign::verify(arguments),
    }
}

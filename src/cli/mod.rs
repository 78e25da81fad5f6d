//! The command line: one file per subcommand. [`report`] is the only one that prints.

mod addresses;
mod awaiting;
mod capture;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod doctor;
mod ends;
mod events;
mod exit;
mod explain;
mod half_files;
mod help;
mod init;
mod it;
mod journal;
mod lab_certs;
mod link_key;
mod lookup;
mod new_files;
mod ot;
mod outputs;
mod policy;
mod policy_history;
mod policy_source;
mod receive;
mod recorder;
#[cfg(feature = "reference")]
mod reference;
mod relay_node;
pub mod report;
mod resend;
mod resolve;
mod sandbox;
mod sealing;
mod send;
mod startup;
mod status;
mod syslog;
mod units;

use std::ffi::OsString;

use clap::{Parser, Subcommand};
pub use exit::Exit;
pub use report::Failure;

#[cfg(feature = "demo")]
macro_rules! begin {
    () => {
        "Begin with `sparkdiode demo`, which shows all of it, then `sparkdiode init lab`.\n"
    };
}
#[cfg(not(feature = "demo"))]
macro_rules! begin {
    () => {
        "Begin with `sparkdiode init --appliance DIR`, then `sparkdiode doctor ot.toml it.toml`.\n"
    };
}
const AFTER_HELP: &str = concat!(
    begin!(),
    "Pages of the manual: `sparkdiode help`; codes of errors and of the log: `sparkdiode explain CODE`.\n\
     Exit codes: 0 done, 1 a check or a case failed, 64 usage, 65 damaged journal, 70 our mistake, \
     74 operating system, 77 not confined, 78 configuration."
);

/// A one-way relay for Sparkplug B over MQTT, at Purdue level 3.5.
///
/// Sparkplug traffic of the level-3 broker, as far as a policy allows it, appears on the
/// enterprise broker as faithful mirrors of the edge nodes. Nothing flows back.
#[derive(Debug, Parser)]
#[command(
    name = "sparkdiode",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    Init(init::InitArgs),
    Check(check::CheckArgs),
    Doctor(doctor::DoctorArgs),
    Ot(ot::OtArgs),
    It(it::ItArgs),
    Send(send::SendArgs),
    Receive(receive::ReceiveArgs),
    Resend(resend::ResendArgs),
    Status(status::StatusArgs),
    Policy(policy::PolicyArgs),
    Events(events::EventsArgs),
    Capture(capture::CaptureArgs),
    Journal(journal::JournalArgs),
    Resolve(resolve::ResolveArgs),
    Sandbox(sandbox::SandboxArgs),
    LabCerts(lab_certs::LabCertsArgs),
    LinkKey(link_key::LinkKeyArgs),
    Explain(explain::ExplainArgs),
    Help(help::HelpArgs),
    #[cfg(feature = "reference")]
    #[command(hide = true)]
    Reference(reference::ReferenceArgs),
}

/// Does what the arguments (with the program's name first) say, prints, and returns the exit
/// code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    report::measure();
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return report::usage(&error),
    };
    let result = match cli.command {
        Command::Ot(arguments) => ot::run(&arguments),
        Command::It(arguments) => it::run(&arguments),
        Command::Send(arguments) => send::run(&arguments),
        Command::Receive(arguments) => receive::run(&arguments),
        Command::Resend(arguments) => resend::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Policy(arguments) => policy::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Capture(arguments) => capture::run(&arguments),
        Command::Journal(arguments) => journal::run(&arguments),
        Command::Resolve(arguments) => resolve::run(&arguments),
        Command::Sandbox(arguments) => sandbox::run(&arguments),
        Command::LabCerts(arguments) => lab_certs::run(&arguments),
        Command::LinkKey(arguments) => link_key::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Help(arguments) => help::run(&arguments),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments),
        #[cfg(feature = "reference")]
        Command::Reference(arguments) => reference::run(&arguments),
    };
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            report::failure(&failure);
            failure.exit()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_help_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name}");
            let example = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains(&format!("sparkdiode {name}")), "{name}: {example}");
        }
    }
}

//! The exit codes, in one table. Numbers from 64 on are those of `sysexits.h`, which service
//! managers and monitoring know.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Ok = 0,
    /// A check of the demo or a case of a policy failed, or two policies differ.
    Failed = 1,
    /// A usage error: an unknown subcommand or option, a missing argument (`EX_USAGE`).
    Usage = 64,
    /// What was looked at is damaged: a journal that fails its checks (`EX_DATAERR`).
    Data = 65,
    /// A mistake of ours (`EX_SOFTWARE`).
    Software = 70,
    /// The operating system refused: a file, a directory, a socket (`EX_IOERR`).
    Io = 74,
    /// The process can't be confined as the configuration wants it; a restart can't help
    /// (`EX_NOPERM`).
    Sandbox = 77,
    /// The configuration or a policy is wrong; a restart can't help (`EX_CONFIG`).
    Config = 78,
}

impl Exit {
    /// All of them, by number.
    pub const ALL: [Exit; 8] = [
        Exit::Ok,
        Exit::Failed,
        Exit::Usage,
        Exit::Data,
        Exit::Software,
        Exit::Io,
        Exit::Sandbox,
        Exit::Config,
    ];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

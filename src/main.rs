//! argv → role → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    sparkdiode::cli::main(std::env::args_os()).into()
}

//! `sparkdiode reference`: man pages and shell completions, made from the commands themselves.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, Exit, Failure};
use crate::manual;

/// Write man pages and shell completions.
///
/// Makes `man/man1` (one page for every command), `man/man5` and `man/man7` (the manual, in Markdown
/// for `go-md2man`) and `completions` below DIRECTORY.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sparkdiode reference target/package")]
pub(super) struct ReferenceArgs {
    /// Directory to write to; it is made if it isn't there.
    directory: PathBuf,
}

pub(super) fn run(arguments: &ReferenceArgs) -> Result<Exit, Failure> {
    write(&arguments.directory).map_err(|error| {
        let place = arguments.directory.display();
        Failure::new(Exit::Io, format!("cannot write below `{place}`: {error}"))
    })?;
    Ok(Exit::Ok)
}

fn write(directory: &Path) -> io::Result<()> {
    let commands = directory.join("man/man1");
    let section = |section: u8| directory.join(format!("man/man{section}"));
    let completions = directory.join("completions");
    for directory in [&commands, &section(5), &section(7), &completions] {
        fs::create_dir_all(directory)?;
    }
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &commands)?;
    for page in manual::PAGES {
        let name = format!("sparkdiode-{}.{}.md", page.name, page.section);
        fs::write(section(page.section).join(name), page.as_man_markdown())?;
    }
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "sparkdiode", &completions)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_every_page_of_the_manual_is_written() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path()).unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        let command = Cli::command();
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            let page = read(&format!("man/man1/sparkdiode-{}.1", command.get_name()));
            assert!(page.contains(".SH SYNOPSIS"), "{page}");
        }
        for page in manual::PAGES {
            let (name, section) = (page.name, page.section);
            let text = read(&format!("man/man{section}/sparkdiode-{name}.{section}.md"));
            assert!(text.starts_with("% sparkdiode-"), "{text}");
        }
        assert!(read("completions/sparkdiode.bash").contains("journal"));
    }
}

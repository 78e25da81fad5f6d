//! `sparkdiode help`: the pages of the manual, and the help of commands.

use std::fmt::Write;
use std::io::{self, IsTerminal};

use clap::{Args, CommandFactory};
use diagnostic::closest;
use text::escape;

use super::{Cli, Exit, Failure, report};
use crate::manual::{PAGES, Page, for_terminal};

/// Lines are no wider than this where there is room: longer ones are hard to read.
const WIDEST: usize = 100;
/// Where nobody says how wide the terminal is.
const USUAL: usize = 80;
const NARROWEST: usize = 40;

/// Print a page of the manual, or the help of a command.
///
/// Without a topic: the commands, and the pages that there are. With the package the same pages are
/// man pages, `man sparkdiode-policy`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode help\n  sparkdiode help policy\n  sparkdiode help ot.toml\n  \
                        sparkdiode help policy test      the help of that command"
)]
pub(super) struct HelpArgs {
    /// A page, or a command.
    #[arg(value_name = "TOPIC")]
    topic: Vec<String>,
    /// The page as it is written, in Markdown.
    #[arg(long)]
    markdown: bool,
}

pub(super) fn run(arguments: &HelpArgs) -> Result<Exit, Failure> {
    let words = &arguments.topic[..];
    let found = match words {
        [name] => page(name),
        _ => None,
    };
    let text = match (words, found) {
        ([], _) => overview(),
        (_, Some(page)) if arguments.markdown => page.text.to_owned(),
        (_, Some(page)) => whole(page),
        (words, None) => command(words).ok_or_else(|| unknown(words))?,
    };
    report::output(&text)?;
    Ok(Exit::Ok)
}

/// The page that is called so: `policy`, `sparkdiode-policy`, `policy.md`, `policy(5)`.
fn page(name: &str) -> Option<&'static Page> {
    let name = name.to_lowercase();
    let name = name.split('(').next().unwrap_or_default();
    let name = name.strip_prefix("sparkdiode-").unwrap_or(name);
    Page::named(name).or_else(|| Page::named(name.strip_suffix(".md")?))
}

/// The page, and where there is a command of the same name, that there is.
fn whole(page: &Page) -> String {
    let mut text = shown(page.text);
    if Cli::command().find_subcommand(page.name).is_some() {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "\n`sparkdiode {} --help` is about the command.", page.name);
    }
    text
}

/// The help of a command, given by its words.
fn command(words: &[String]) -> Option<String> {
    let mut command = Cli::command().bin_name("sparkdiode");
    command.build();
    for word in words {
        command = command.find_subcommand(word)?.clone();
    }
    Some(command.render_long_help().to_string())
}

fn overview() -> String {
    let mut text = Cli::command().render_help().to_string();
    text.push_str("\nPages of the manual (`sparkdiode help PAGE`, or `man sparkdiode-PAGE`):\n");
    for page in PAGES {
        let _ = writeln!(text, "  {:<14} {}", page.name, page.heading());
    }
    text
}

/// Markdown for whoever reads stdout.
pub(super) fn shown(markdown: &str) -> String {
    for_terminal(markdown, width(), report::paint())
}

fn width() -> usize {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let usual = if io::stdout().is_terminal() { USUAL } else { WIDEST };
    said.unwrap_or(usual).clamp(NARROWEST, WIDEST)
}

fn unknown(words: &[String]) -> Failure {
    let topic = words.join(" ");
    let failure = Failure::new(
        Exit::Usage,
        format!("no page of the manual and no command is called `{}`", escape(&topic)),
    );
    let cli = Cli::command();
    let commands = cli.get_subcommands().map(clap::Command::get_name);
    let names = PAGES.iter().map(|page| page.name).chain(commands);
    let failure = match closest(&topic, names) {
        Some(near) => failure.hint(format!("did you mean `{near}`?")),
        None => failure,
    };
    failure.hint("`sparkdiode help` lists both; `sparkdiode explain` is about codes of errors and of the log")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn pages_are_found_by_any_of_their_names() {
        for name in ["policy", "sparkdiode-policy", "policy(5)", "Policy", "policy.md"] {
            assert_eq!(page(name).map(|page| page.name), Some("policy"), "{name}");
        }
        assert_eq!(page("ot.toml").map(|page| page.section), Some(5));
        assert!(page("polcy").is_none());
        assert!(whole(Page::named("policy").unwrap()).ends_with("is about the command.\n"));
    }

    #[test]
    fn commands_have_their_help_by_all_of_their_words() {
        let told = command(&words("policy test")).unwrap();
        assert!(told.contains("sparkdiode policy test"), "{told}");
        assert!(command(&words("policy tset")).is_none());
        for page in PAGES {
            assert!(overview().contains(page.heading()), "{}", page.name);
        }
    }

    #[test]
    fn the_nearest_is_suggested() {
        for (asked, near) in [("polcy", "policy"), ("hardning", "hardening"), ("staus", "status")] {
            let told = format!("{:?}", unknown(&words(asked)));
            assert!(told.contains(&format!("did you mean `{near}`?")), "{told}");
        }
    }
}

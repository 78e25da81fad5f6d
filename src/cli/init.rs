//! `sparkdiode init`: the files and directories that a relay begins with, so that nothing is typed from
//! a page.

mod appliance;
mod installed;
mod lab;
mod samples;
mod two_boxes;

use std::path::{Path, PathBuf};

use clap::Args;
use config::{parse_address, relay_name_fault};
use text::is_treacherous;

use super::new_files::{NewFile, write_all};
use super::{Exit, Failure, report};

/// More is no name that people give.
const MAX_LEVEL_BYTES: usize = 200;
const POLICY: &str = include_str!("init/policy.toml");

/// Write configurations, a first policy and the directories of a relay.
///
/// For a laboratory on this machine (`--lab`, which is what it does without a word) everything is below
/// DIR: both configurations, a policy with its cases, throw-away certificates, configurations of two
/// mosquitto brokers, and an edge node to look at. For an appliance (`--appliance`) DIR gets the
/// commented configurations of both halves and a policy, and the directories below /var/lib/sparkdiode
/// are made, or the commands printed that make them. For two boxes and a fibre between them
/// (`--two-boxes`) DIR gets a directory for each box. Nothing is ever overwritten: where the package is
/// installed, `--appliance /etc/sparkdiode` says what is there, makes what isn't, and names the next
/// commands.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode init lab\n  sparkdiode init --appliance --ot-broker \
                        10.10.0.5:8883 --it-broker broker.example.com:8883 /etc/sparkdiode\n\nThen: \
                        `sparkdiode doctor ot.toml it.toml` says what is still missing."
)]
pub(super) struct InitArgs {
    /// Directory for the files; made if it doesn't exist.
    #[arg(value_name = "DIR", value_parser = directory)]
    directory: PathBuf,
    /// A laboratory on this machine, under your own user.
    #[arg(long, conflicts_with = "in_plant")]
    lab: bool,
    /// The configuration of an appliance, where each half has a user of its own.
    #[arg(long, group = "in_plant")]
    appliance: bool,
    /// The configurations of two boxes with a one-way link between them.
    #[arg(long, group = "in_plant")]
    two_boxes: bool,
    /// Name of the relay, and of the link between two boxes.
    #[arg(long, value_name = "NAME", value_parser = relay_name)]
    name: Option<String>,
    /// Sparkplug group of the first policy.
    #[arg(long, value_name = "GROUP", default_value = "Plant1", value_parser = level)]
    group: String,
    /// Edge node of the first policy.
    #[arg(long, value_name = "NODE", default_value = "Line4", value_parser = level)]
    edge_node: String,
    /// The level-3 broker of an appliance, or of the plant's box.
    #[arg(long, value_name = "HOST:PORT", requires = "in_plant", value_parser = address)]
    ot_broker: Option<String>,
    /// The enterprise broker of an appliance, or of the enterprise's box.
    #[arg(long, value_name = "HOST:PORT", requires = "in_plant", value_parser = address)]
    it_broker: Option<String>,
    /// First of the four ports that the brokers of a laboratory listen on.
    #[arg(long, value_name = "PORT", conflicts_with = "in_plant", default_value_t = lab::FIRST_PORT,
          value_parser = clap::value_parser!(u16).range(1_024..=65_532))]
    ports: u16,
}

pub(super) fn run(arguments: &InitArgs) -> Result<Exit, Failure> {
    let said = match (arguments.appliance, arguments.two_boxes) {
        (true, _) => appliance::make(arguments)?,
        (_, true) => two_boxes::make(arguments)?,
        _ => lab::make(arguments)?,
    };
    report::output(&said)?;
    Ok(Exit::Ok)
}

/// The first policy.
fn policy(arguments: &InitArgs, name: &str) -> NewFile {
    let text = filled(POLICY, &[("GROUP", &arguments.group), ("EDGE_NODE", &arguments.edge_node)]);
    NewFile::public(name, text)
}

/// A name that can stand in a configuration and in a command.
fn directory(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() || text.contains(is_treacherous) || text.contains("${") {
        return Err("wanted: a path, without `${` and without characters that control a terminal"
            .to_owned());
    }
    Ok(PathBuf::from(text))
}

fn relay_name(text: &str) -> Result<String, String> {
    relay_name_fault(text).map_or_else(|| Ok(text.to_owned()), Err)
}

fn address(text: &str) -> Result<String, String> {
    parse_address(text).map(|_| text.to_owned()).map_err(str::to_owned)
}

/// A name of Sparkplug that stands in a topic and means nothing else in a policy.
fn level(text: &str) -> Result<String, String> {
    let means_more = |letter: char| letter.is_control() || "/+#*?[]{}\"\\@".contains(letter);
    if text.is_empty() || text.len() > MAX_LEVEL_BYTES || text.contains(means_more) {
        return Err(
            "wanted: one level of a topic, without `/`, `+`, `#`, `*`, `?`, brackets, quotes, \
                    `@` and backslashes"
                .to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// The text with `@NAME@` replaced.
fn filled(text: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("@{name}@"), value))
}

/// One word of a command, as a shell takes it.
fn shell_word(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:=@%".contains(letter);
    let text = if text.starts_with('-') { format!("./{text}") } else { text.to_owned() };
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// `made in /path: a, b, c`, one line each.
fn listed(directory: &Path, files: &[(&str, &str)]) -> String {
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let mut text = format!("made in {}:\n", absolute.display());
    for (name, what) in files {
        text.push_str(&format!("  {name:<22}{what}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_file_is_looked_at_first() {
        for good in ["Plant1", "Line 4", "Grüße", "a.b_c-d"] {
            assert_eq!(level(good), Ok(good.to_owned()));
        }
        for bad in ["", "a/b", "+", "#", "a*", "a\"b", "a\\b", "a\nb", "@"] {
            assert!(level(bad).is_err(), "{bad:?}");
        }
        assert!(address("b:8883").is_ok() && address("[fd00::5]:1").is_ok());
        assert!(address("mqtts://b:8883").is_err() && address("b").is_err());
        assert!(relay_name("plant-a").is_ok() && relay_name("plant a").is_err());
    }

    #[test]
    fn paths_are_words_of_a_shell() {
        for (path, word) in [
            ("/etc/sparkdiode", "/etc/sparkdiode"),
            ("my lab", "'my lab'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("~", "'~'"),
            ("-x", "./-x"),
            ("Grüße", "'Grüße'"),
        ] {
            assert_eq!(shell_word(path), word);
        }
        assert!(directory("Grüße und mehr").is_ok());
        for bad in ["", "a\nb", "a\u{202e}b", "${HOME}/x"] {
            assert!(directory(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_value_that_looks_like_another_name_is_not_filled_in_again() {
        assert_eq!(filled("@A@ @B@", &[("A", "x"), ("B", "y")]), "x y");
    }
}

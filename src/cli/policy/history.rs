//! `sparkdiode policy history` and `rollback`: the policies that were in force at a half.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use config::{ItConfig, OtConfig};
use diagnostic::SourceFile;
use policy::Policy;
use serde_json::json;
use text::{counted, escape, format_utc_ms};

use super::files::{io, replace};
use super::lines::line;
use crate::cli::check::{Kind, recognise};
use crate::cli::policy_history::{History, Kept, KeptFile};
use crate::cli::policy_source::DIRECTORY;
use crate::cli::status::Place;
use crate::cli::{Exit, Failure, report};

/// Digits of a digest that are printed.
const SHOWN_DIGITS: usize = 16;
/// Digits by which somebody may name a policy.
const LEAST_DIGITS: usize = 8;

/// Show the policies that were in force at a half: digest, signers, since when.
///
/// A half keeps the last ten in its state directory, with their files. `policy diff --in-force` compares
/// the newest of them with another one, `policy rollback` puts an earlier one back.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  sparkdiode policy history /etc/sparkdiode/ot.toml")]
pub(super) struct HistoryArgs {
    /// An `ot.toml`, an `it.toml`, or a state directory.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// One JSON object, with the files.
    #[arg(long)]
    json: bool,
}

/// Put the files of an earlier policy back in their places.
///
/// Nothing comes into force by that: send the half SIGHUP. A file that didn't belong to that policy, in a
/// directory with one that did, is renamed to `….rolled-back`. Where signatures are required, the policy
/// has to be signed anew with a higher version: an old signature would be a rollback, which halves refuse.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        sparkdiode policy rollback /etc/sparkdiode/ot.toml\n  \
                        sparkdiode policy rollback /etc/sparkdiode/ot.toml --to 3fa9c2d1 -o old-policy")]
pub(super) struct RollbackArgs {
    /// The half's `ot.toml` or `it.toml`, which says where its policies are; with `-o` also its state
    /// directory.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The first eight digits of its digest, or more; without it the policy before the one in force.
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
    /// Writes the files into this new directory, and leaves all others alone.
    #[arg(short, long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

/// Prints what was in force, newest first.
pub(super) fn run(arguments: &HistoryArgs) -> Result<Exit, Failure> {
    let history = read(&arguments.path)?;
    if arguments.json {
        let policies = history.policies.iter().rev().map(|kept| {
            let files =
                kept.files.iter().map(|file| json!({ "path": file.path, "text": file.text }));
            json!({
                "digest": kept.digest,
                "since_ms": kept.since_ms,
                "version": (kept.version > 0).then_some(kept.version),
                "signers": kept.signers,
                "files": files.collect::<Vec<_>>(),
                "intact": kept.sources().is_some(),
            })
        });
        report::json(&json!({ "policies": policies.collect::<Vec<_>>() }))?;
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    let mut until = None;
    for kept in history.policies.iter().rev() {
        let digest = kept.digest.get(..SHOWN_DIGITS).unwrap_or(&kept.digest);
        let since = format_utc_ms(kept.since_ms);
        let end =
            until.map_or_else(|| "in force".to_owned(), |end| format!("to {}", format_utc_ms(end)));
        line(&mut text, &format!("{}  since {since}, {end}", escape(digest)));
        if kept.version > 0 {
            let signers: Vec<String> =
                kept.signers.iter().map(|signer| escape(signer).to_string()).collect();
            line(
                &mut text,
                &format!("    version {}, signed by {}", kept.version, signers.join(", ")),
            );
        }
        match kept.sources() {
            None => line(&mut text, "    its files weren't kept"),
            Some(sources) => {
                let rules = Policy::parse(&sources).map(|(policy, _)| policy.rules().len());
                let rules = rules.map_or_else(
                    |_| String::new(),
                    |rules| format!(", {}", counted(rules, "rule")),
                );
                line(&mut text, &format!("    {}{rules}", counted(sources.len(), "file")));
            }
        }
        until = Some(kept.since_ms);
    }
    report::output(&text)?;
    Ok(Exit::Ok)
}

/// The files of the policy in force at a half.
pub(super) fn in_force(path: &Path) -> Result<Vec<SourceFile>, Failure> {
    let history = read(path)?;
    let newest = history.policies.last().ok_or_else(|| empty(path))?;
    newest.sources().ok_or_else(|| not_kept(newest))
}

/// Writes the files of an earlier policy.
pub(super) fn rollback(arguments: &RollbackArgs) -> Result<Exit, Failure> {
    let history = read(&arguments.path)?;
    let newest = history.policies.last().ok_or_else(|| empty(&arguments.path))?;
    let kept = choose(&history, newest, arguments.to.as_deref())?;
    let sources = kept.sources().ok_or_else(|| not_kept(kept))?;
    let mut text = String::new();
    match &arguments.output {
        Some(directory) => {
            fs::create_dir(directory).map_err(io("make", directory))?;
            for source in &sources {
                let name = source.path.file_name().unwrap_or_default();
                let path = directory.join(name);
                fs::write(&path, source.text.as_bytes()).map_err(io("write", &path))?;
                line(&mut text, &format!("wrote {}", path.display()));
            }
        }
        None => {
            let places = places(&arguments.path)?;
            belong(kept.files.iter().chain(&newest.files), &places)?;
            let others = put_aside(newest, kept)?;
            for source in &sources {
                replace(&source.path, &source.text)?;
                line(&mut text, &format!("wrote {}", source.path.display()));
            }
            for path in others {
                line(&mut text, &format!("renamed {} to ….rolled-back", path.display()));
            }
            line(&mut text, "nothing is in force by that: send the half SIGHUP");
        }
    }
    if kept.version > 0 || newest.version > 0 {
        let next = newest.version.max(kept.version).saturating_add(1);
        line(
            &mut text,
            &format!("sign it anew, with version {next} or higher: `sparkdiode policy sign`"),
        );
    }
    report::output(&text)?;
    Ok(Exit::Ok)
}

fn choose<'h>(
    history: &'h History,
    newest: &Kept,
    wanted: Option<&str>,
) -> Result<&'h Kept, Failure> {
    let Some(wanted) = wanted else {
        // What was reloaded in between by mistake isn't what somebody wants back.
        let before = history.policies.iter().rev().find(|kept| kept.digest != newest.digest);
        return before.ok_or_else(|| {
            Failure::new(Exit::Data, "no other policy was in force, as far as the half remembers")
        });
    };
    if wanted.len() < LEAST_DIGITS {
        let message =
            format!("wanted {LEAST_DIGITS} digits of a digest or more: `{}`", escape(wanted));
        return Err(Failure::new(Exit::Usage, message));
    }
    let digests: BTreeSet<&str> = history
        .policies
        .iter()
        .map(|kept| kept.digest.as_str())
        .filter(|digest| digest.starts_with(wanted))
        .collect();
    let found = history.policies.iter().rev().find(|kept| kept.digest.starts_with(wanted));
    match (found, digests.len()) {
        (Some(kept), 1) => Ok(kept),
        (Some(_), _) => Err(Failure::new(Exit::Usage, "several digests begin like this")),
        (None, _) => {
            let message =
                format!("no policy with such a digest was in force: `{}`", escape(wanted));
            Err(Failure::new(Exit::Data, message).hint("`sparkdiode policy history` lists them"))
        }
    }
}

/// Renames the files that belong to the policy in force, and not to the other one.
fn put_aside(newest: &Kept, kept: &Kept) -> Result<Vec<PathBuf>, Failure> {
    let mut renamed = Vec::new();
    let stay: BTreeSet<&str> = kept.files.iter().map(|file| file.path.as_str()).collect();
    for file in newest.files.iter().filter(|file| !stay.contains(file.path.as_str())) {
        let path = PathBuf::from(&file.path);
        let mut aside = path.clone().into_os_string();
        aside.push(".rolled-back");
        if path.exists() {
            fs::rename(&path, &aside).map_err(io("rename", &path))?;
            renamed.push(path);
        }
    }
    Ok(renamed)
}

/// Where the policies of a half are, by its configuration.
fn places(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let hint = "name the half's configuration, which says where its policies are, or a new directory \
                with `-o`";
    if path.is_dir() {
        let message = format!("not a configuration: `{}`", path.display());
        return Err(Failure::new(Exit::Usage, message).hint(hint));
    }
    Ok(match recognise(path)? {
        (Kind::Ot, file) => OtConfig::check(file)?.0.policy_paths,
        (Kind::It, file) => ItConfig::check(file)?.0.policy_paths,
        (Kind::Send | Kind::Receive | Kind::Policy, _) => {
            let message = format!("not a configuration with policies: `{}`", path.display());
            return Err(Failure::new(Exit::Usage, message).hint(hint));
        }
    })
}

/// That the files lie where the policies of the half are. The record of them is the half's own, and who
/// puts them back may write everywhere.
fn belong<'k>(
    mut files: impl Iterator<Item = &'k KeptFile>,
    places: &[PathBuf],
) -> Result<(), Failure> {
    let belongs = |file: &KeptFile| {
        let path = Path::new(&file.path);
        let is_policy = path.extension().is_some_and(|ending| ending == "toml");
        let in_directory = path
            .parent()
            .is_some_and(|parent| places.iter().any(|place| place == parent && place.is_dir()));
        places.iter().any(|place| place == path && !place.is_dir()) || (is_policy && in_directory)
    };
    match files.find(|file| !belongs(file)) {
        None => Ok(()),
        Some(file) => {
            let message = format!(
                "`{}` isn't where the policies of this half are; nothing was written",
                escape(&file.path)
            );
            Err(Failure::new(Exit::Data, message)
                .hint("`-o DIRECTORY` writes the files elsewhere, to be looked at"))
        }
    }
}

fn read(path: &Path) -> Result<History, Failure> {
    let place = Place::of(path)?;
    let history = History::read(&place.directory, DIRECTORY)
        .map_err(|error| Failure::new(Exit::Io, error.to_string()))?;
    history.filter(|history| !history.policies.is_empty()).ok_or_else(|| empty(path))
}

fn empty(path: &Path) -> Failure {
    let message = format!("no policy was in force, as far as `{}` tells", path.display());
    Failure::new(Exit::Data, message).hint("the half keeps it when it starts; has it been started?")
}

fn not_kept(kept: &Kept) -> Failure {
    let digest = kept.digest.get(..SHOWN_DIGITS).unwrap_or(&kept.digest);
    Failure::new(Exit::Data, format!("the files of `{}` weren't kept", escape(digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(directory: &Path, files: &[(&str, &str)], since_ms: u64) -> Kept {
        let source = |(name, text): &(&str, &str)| SourceFile::new(directory.join(name), *text);
        let sources: Vec<SourceFile> = files.iter().map(source).collect();
        Kept::new(&sources, None, since_ms)
    }

    #[test]
    fn an_earlier_policy_comes_back_with_its_files_alone() {
        let lab = tempfile::tempdir().unwrap();
        let old = kept(lab.path(), &[("a.toml", "# old"), ("b.toml", "# b")], 1);
        let new = kept(lab.path(), &[("a.toml", "# new"), ("c.toml", "# c")], 2);
        for KeptFile { path, text } in &new.files {
            fs::write(path, text).unwrap();
        }
        let history = History { policies: vec![old.clone(), new.clone()] };
        let chosen = choose(&history, &new, None).unwrap();
        assert_eq!(chosen, &old);
        let renamed = put_aside(&new, chosen).unwrap();
        assert_eq!(renamed, [lab.path().join("c.toml")]);
        for source in chosen.sources().unwrap() {
            replace(&source.path, &source.text).unwrap();
        }
        let read = |name: &str| fs::read_to_string(lab.path().join(name)).ok();
        assert_eq!(read("a.toml").as_deref(), Some("# old"));
        assert_eq!(read("b.toml").as_deref(), Some("# b"));
        assert_eq!((read("c.toml"), read("c.toml.rolled-back").as_deref()), (None, Some("# c")));
    }

    #[test]
    fn files_elsewhere_are_not_put_back() {
        let lab = tempfile::tempdir().unwrap();
        let (policies, other) = (lab.path().join("policies"), lab.path().join("other"));
        for directory in [&policies, &other] {
            fs::create_dir(directory).unwrap();
        }
        let places = [policies.clone(), lab.path().join("extra.toml")];
        let belongs = |path: PathBuf| {
            let file = KeptFile { path: path.display().to_string(), text: String::new() };
            belong([&file].into_iter(), &places).is_ok()
        };
        assert!(belongs(policies.join("a.toml")) && belongs(lab.path().join("extra.toml")));
        for elsewhere in [
            other.join("a.toml"),
            policies.join("passwd"),
            policies.join("../other/a.toml"),
            policies.join("deep/a.toml"),
            policies.clone(),
            PathBuf::from("/etc/passwd"),
            PathBuf::from("a.toml"),
        ] {
            assert!(!belongs(elsewhere.clone()), "{}", elsewhere.display());
        }
    }

    #[test]
    fn a_policy_is_named_by_its_digest() {
        let lab = tempfile::tempdir().unwrap();
        let policies = vec![
            kept(lab.path(), &[("a.toml", "# 1")], 1),
            kept(lab.path(), &[("a.toml", "# 2")], 2),
            kept(lab.path(), &[("a.toml", "# 1")], 3),
        ];
        let history = History { policies };
        let newest = history.policies.last().unwrap();
        let digest = &history.policies[1].digest;
        assert_eq!(choose(&history, newest, Some(&digest[..8])).unwrap().since_ms, 2);
        // The one before, and not the same once more.
        assert_eq!(choose(&history, newest, None).unwrap().since_ms, 2);
        assert!(choose(&history, newest, Some("00")).is_err());
        assert!(choose(&history, newest, Some("zzzzzzzzzz")).is_err());
    }
}

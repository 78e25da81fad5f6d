//! `sparkdiode check`: what configuration and policies mean, in plain words.

mod apart;
mod compare;
mod describe;
mod ends;
mod grants;
mod limits;
mod lines;
mod memory;
mod policy;
mod recognise;
mod rule_counters;
mod shadow;
mod shards;
mod taken;

use std::path::{Path, PathBuf};

use ::policy::Policy;
use clap::Args;
use compare::beside_relay_node;
pub(super) use compare::compare;
use config::{Half, ItConfig, OtConfig};
use describe::{describe_it, describe_ot};
use diagnostic::{Diagnostic, Diagnostics, SecretFile, Severity};
pub(super) use ends::{Ends, scaled};
use policy::describe_policy;
pub(super) use recognise::{Kind, recognise};
use text::counted;

use super::policy_source::missing_key;
use super::{Exit, Failure, report};

/// Check configuration and policies, and say in plain words what they do.
///
/// A PATH is an `ot.toml`, an `it.toml`, a `send.toml` or `receive.toml` of a link between two boxes, a
/// policy file, or a directory of policies; which one, is seen from its content. Policy files that are
/// named together are one policy. Certificates and keys are looked at as well; credentials that only
/// systemd hands out are reported as not seen.
/// Of relays that share a plant (`[relay] shard`) the files of all are named together: whether each
/// edge node is of exactly one of them is proved. Exits with 0, or with 78 if anything is wrong.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode check /etc/sparkdiode/ot.toml /etc/sparkdiode/it.toml\n  \
                        sparkdiode check ot.toml send.toml receive.toml it.toml\n  sparkdiode check policies"
)]
pub(super) struct CheckArgs {
    /// Configuration files, policy files, directories of policies.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(super) fn run(arguments: &CheckArgs) -> Result<Exit, Failure> {
    let mut text = String::new();
    let mut warnings = Diagnostics::new();
    let mut errors = Diagnostics::new();
    let mut policy_paths = Vec::new();
    let (mut of_ot, mut of_it) = (Vec::new(), Vec::new());
    let mut ends = Ends::default();
    for path in &arguments.paths {
        match recognise(path) {
            Ok((Kind::Policy, _)) => policy_paths.push(path.clone()),
            Ok((Kind::Ot, file)) => match OtConfig::check(file) {
                Ok((config, found)) => {
                    warnings.extend(found);
                    describe_ot(&mut text, path, &config);
                    apart_ot(path, &config, &mut warnings, &mut errors);
                    let signed =
                        config.require_signature.as_ref().map(|one| (one, &*config.state_dir));
                    let paths = &config.policy_paths;
                    let found =
                        describe_policy(&mut text, paths, signed, true, &mut warnings, &mut errors);
                    let shadow =
                        shadow::describe(&mut text, path, &config, found.as_ref(), &mut warnings);
                    if let Some(policy) = &found {
                        let state_dir = &config.state_dir;
                        grants::describe(
                            &mut text,
                            path,
                            policy,
                            &shadow,
                            state_dir,
                            &mut warnings,
                        );
                    }
                    rule_counters::describe(&mut text, paths, &config.state_dir, &mut warnings);
                    let terms = memory::of_ot(&config);
                    let unit = "sparkdiode-ot.service";
                    memory::describe(&mut text, unit, path, &terms, &mut warnings);
                    if config.pseudonym_key.is_none() {
                        errors.extend(found.as_ref().and_then(missing_key));
                    }
                    taken::of_ot(&mut text, path, &config, found.as_ref(), &mut warnings);
                    of_ot.push(Checked { path, config, policy: found });
                }
                Err(problems) => errors.extend(problems),
            },
            Ok((Kind::It, file)) => match ItConfig::check(file) {
                Ok((config, found)) => {
                    warnings.extend(found);
                    describe_it(&mut text, path, &config);
                    apart_it(path, &config, &mut warnings, &mut errors);
                    let mut copy = None;
                    if !config.policy_paths.is_empty() {
                        let signed =
                            config.require_signature.as_ref().map(|one| (one, &*config.state_dir));
                        let paths = &config.policy_paths;
                        copy = describe_policy(
                            &mut text,
                            paths,
                            signed,
                            false,
                            &mut warnings,
                            &mut errors,
                        );
                    }
                    let terms = memory::of_it(&config);
                    let unit = "sparkdiode-it.service";
                    memory::describe(&mut text, unit, path, &terms, &mut warnings);
                    of_it.push(Checked { path, config, policy: copy });
                }
                Err(problems) => errors.extend(problems),
            },
            Ok((Kind::Send, file)) => {
                ends.check_send(path, file, &mut text, (&mut warnings, &mut errors));
            }
            Ok((Kind::Receive, file)) => {
                ends.check_receive(path, file, &mut text, (&mut warnings, &mut errors));
            }
            Err(problems) => errors.extend(problems),
        }
    }
    if !policy_paths.is_empty() {
        let _ = describe_policy(&mut text, &policy_paths, None, true, &mut warnings, &mut errors);
    }
    let (relays, links) = if shards::are_shared(&of_ot) {
        let (mut links, unclear) = ends.of_relays(&of_ot);
        errors.extend(unclear);
        let found = (&mut warnings, &mut errors);
        let relays = shards::describe(&mut text, &of_ot, &of_it, &links, found);
        let its: Vec<_> = relays.iter().map(|(_, it)| it.map(|it| (it.path, &it.config))).collect();
        errors.extend(ends.by_readers(&mut links, &its));
        (relays, links)
    } else {
        errors.extend(seconds(Half::Ot, of_ot.iter().map(|one| one.path)));
        errors.extend(seconds(Half::It, of_it.iter().map(|one| one.path)));
        errors.extend(ends.seconds());
        (vec![(of_ot.last(), of_it.last())], vec![ends.only()])
    };
    for ((ot, it), link) in relays.into_iter().zip(links) {
        let halves = (ot.map(|ot| (ot.path, &ot.config)), it.map(|it| (it.path, &it.config)));
        link.compare(halves.0, halves.1, &mut warnings, &mut errors);
        if let Some(it) = it {
            let policy = ot.and_then(|ot| ot.policy.as_ref()).or(it.policy.as_ref());
            taken::of_it(&mut text, it.path, &it.config, policy, &mut warnings);
        }
        if let (Some(ot), Some(it)) = (ot, it) {
            let found = (&mut warnings, &mut errors);
            compare(ot.path, &ot.config, it.path, &it.config, link.is_there(), found);
        }
        for found in beside_relay_node(ot, it) {
            if found.severity == Severity::Error { &mut errors } else { &mut warnings }.push(found);
        }
    }
    report::output(text.trim_start_matches('\n'))?;
    errors.once();
    warnings.once();
    if errors.has_errors() {
        warnings.extend(errors);
        return Err(warnings.into());
    }
    report::warnings(&warnings);
    let found = match warnings.len() {
        0 => "no problem found".to_owned(),
        number => format!("usable, with {}", counted(number, "warning")),
    };
    report::output(&format!("\n{found}\n"))?;
    Ok(Exit::Ok)
}

/// What an OT half reads where it writes.
fn apart_ot(path: &Path, config: &OtConfig, warnings: &mut Diagnostics, errors: &mut Diagnostics) {
    let written = [("state directory", &*config.state_dir), ("journal", &*config.journal.path)];
    let policies = config.policy_paths.iter().chain(&config.observed_paths);
    let policies: Vec<&Path> = policies.map(PathBuf::as_path).collect();
    let mut trusted = apart::trusted(&config.broker);
    trusted.extend(config.pseudonym_key.as_ref().map(SecretFile::path));
    apart::own_directories(path, &written, &policies, &trusted, (warnings, errors));
    apart::root(path, config.sandbox.user.as_ref(), &config.sandbox.waived, errors);
}

/// The same of an IT half.
fn apart_it(path: &Path, config: &ItConfig, warnings: &mut Diagnostics, errors: &mut Diagnostics) {
    let written = [("state directory", &*config.state_dir)];
    let policies: Vec<&Path> = config.policy_paths.iter().map(PathBuf::as_path).collect();
    let trusted = apart::trusted(&config.broker);
    apart::own_directories(path, &written, &policies, &trusted, (warnings, errors));
    apart::root(path, config.sandbox.user.as_ref(), &config.sandbox.waived, errors);
}

/// The file of a half, and its policy, or its copy of one.
pub(super) struct Checked<'a, C> {
    path: &'a Path,
    config: C,
    policy: Option<Policy>,
}

/// What there is to say of further files of one half.
fn seconds<'a>(half: Half, mut paths: impl Iterator<Item = &'a Path>) -> Vec<Diagnostic> {
    let Some(first) = paths.next() else { return Vec::new() };
    paths.map(|path| second(half, first, path)).collect()
}

/// What there is to say of a second file of one half.
fn second(half: Half, first: &Path, path: &Path) -> Diagnostic {
    let title = format!("a second time {}: `{}` is one already", half.file(), first.display());
    let help = "one file of each half at a time: what is compared are two halves of one relay";
    Diagnostic::file_error("C113", path, title).help(help).help(
        "relays that share a plant have each its part of it: `[relay] shard` in each `ot.toml`",
    )
}

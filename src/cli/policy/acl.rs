//! `sparkdiode policy acl`: the broker's access list that follows from policy and configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use config::{BrokerConfig, ItConfig, OtConfig, file_diagnostic};
use diagnostic::file::read_text;
use diagnostic::{Diagnostics, SourceFile};
use policy::Policy;
use tools::acl::{self, Grant};

use crate::cli::policy_source::read_policy;
use crate::cli::{Exit, Failure, report};

/// Print the access list that a broker needs for a half: no more than that, as far as topics can say it.
///
/// A second lock beside the relay: the OT broker lets the OT half read what the policy forwards and
/// write nothing, the IT broker lets the IT half write that under its names on IT, and read commands.
/// Lists of other clients stand beside it in the same file; a client for whom the file has no line may
/// do nothing. Make it anew whenever the policy changes: what it has more before the halves take the policy
/// up, what it has less after that, as the IT half then says that what crosses no more is dead.
///
/// Only mosquitto's syntax is made. For EMQX, HiveMQ and others write the lines over: `topic read` is
/// the right to subscribe to this filter, `topic write` the right to publish under what it matches, and
/// everything else is denied; `sparkdiode help policy` has them side by side.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        sparkdiode policy acl --mosquitto ot /etc/sparkdiode/ot.toml\n  \
                        sparkdiode policy acl --mosquitto it /etc/sparkdiode/it.toml -p /etc/sparkdiode/policies")]
pub(super) struct AclArgs {
    /// For a mosquitto broker (`acl_file`): that of which half.
    #[arg(long, value_name = "HALF")]
    mosquitto: Side,
    /// The half's configuration: `ot.toml` or `it.toml`.
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// The policy, a file or a directory, instead of the one that the configuration names; an
    /// `it.toml` without a copy of the policy needs it.
    #[arg(short, long, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Whom the broker knows the half as; else `user` of `[broker]`.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Side {
    Ot,
    It,
}

pub(super) fn run(arguments: &AclArgs) -> Result<Exit, Failure> {
    let read = |own: &[PathBuf]| -> Result<Policy, Failure> {
        let paths = if arguments.policy.is_empty() { own } else { &arguments.policy };
        if paths.is_empty() {
            let message = "the file names no policy from which a list could follow";
            return Err(Failure::new(Exit::Usage, message).hint("name one with `--policy PATH`"));
        }
        super::read(paths)
    };
    let path = &arguments.config;
    let text = read_text(path).map_err(|error| Diagnostics::from(file_diagnostic(path, &error)))?;
    let file = SourceFile::new(path, text);
    let (grants, broker, policy) = match arguments.mosquitto {
        Side::Ot => {
            let (config, _) = OtConfig::check(file)?;
            let policy = read(&config.policy_paths)?;
            let mut grants = acl::of_ot(&policy);
            // Without a signature where one is required, what is in shadow widens nothing.
            let observes = !config.observed_paths.is_empty() && config.require_signature.is_none();
            if observes && let Ok((observed, _)) = read_policy(&config.observed_paths) {
                grants.extend(acl::of_ot(&observed));
            }
            (grants, config.broker, policy)
        }
        Side::It => {
            let (config, _) = ItConfig::check(file)?;
            let policy = read(&config.policy_paths)?;
            let own = config.health.as_ref();
            let own = own.map(|own| (own.group.as_str(), own.edge_node.as_deref()));
            let host = config.mirror.primary_host.as_deref();
            let fold = config.mirror.fold.as_deref();
            (acl::of_it(&policy, own, host, fold), config.broker, policy)
        }
    };
    print(arguments, &grants, &broker, &policy)?;
    Ok(Exit::Ok)
}

fn print(
    arguments: &AclArgs,
    grants: &BTreeSet<Grant>,
    broker: &BrokerConfig,
    policy: &Policy,
) -> Result<(), Failure> {
    let user = arguments.user.as_deref();
    let user = user.or(broker.credentials.as_ref().map(|credentials| credentials.user.as_str()));
    if user.is_some_and(|user| user.is_empty() || user.contains(['\n', '\r', '\0'])) {
        return Err(Failure::new(Exit::Usage, "not a name of a user: `--user`"));
    }
    let half = match arguments.mosquitto {
        Side::Ot => "OT",
        Side::It => "IT",
    };
    let mut comments = vec![
        format!(
            "What the {half} half of sparkdiode needs at {}, as far as topics can say it.",
            broker.servers
        ),
        format!("Follows from the policy {}.", policy.digest()),
        "Made by `sparkdiode policy acl`; made anew whenever the policy changes.".to_owned(),
    ];
    comments.extend(acl::wider(policy, clock::wall_ms()));
    if user.is_none() {
        comments.push(
            "No user is named (`--user`): these lines are for clients without a name, and stand \
             before the first `user`."
                .to_owned(),
        );
    }
    report::output(&acl::mosquitto(grants, user, &comments))
}

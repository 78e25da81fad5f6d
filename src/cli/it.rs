//! `sparkdiode it`: the IT half.

use std::num::NonZeroU32;
use std::path::Path;

use clap::Args;
use config::{DataQos, ItConfig, MirrorConfig};
use diagnostic::Diagnostics;
use it::mirror::{self, MirrorSettings, Qos};
use it::{FirstStart, HealthSettings, ItError, PolicyLoader, Settings};
use policy::Policy;
use sandbox::{Role, Unowned};
use signature::SignedPolicy;
use sparkplug::{Budget, Caps};
use telemetry::policy_loaded;

use super::policy_source::PolicySource;
use super::relay_node::RelayNode;
use super::startup::{self, HalfArgs};
use super::{Exit, Failure, addresses, awaiting, sealing};

/// Files and sockets besides one connection per mirrored node.
const RESERVE: u64 = 256;

/// Run the IT half: journal → enterprise broker.
///
/// Tails the journal that the OT half writes and is, on the enterprise broker, a mirror of every
/// edge node in it. SIGTERM stops it after the death of every mirrored node was published; SIGHUP
/// reads the copy of the policies again, if there is one.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sparkdiode it --config /etc/sparkdiode/it.toml")]
pub(super) struct ItArgs {
    #[command(flatten)]
    half: HalfArgs,
}

pub(super) fn run(arguments: &ItArgs) -> Result<Exit, Failure> {
    let start = sealing::start(Role::It)?;
    let (config, mut warnings) = ItConfig::load(&arguments.half.config)?;
    let copy = read_policy_copy(&config, &mut warnings)?;
    let beside_relay_node = relay_node_check(&config, &arguments.half.config);
    if let Some((policy, _)) = &copy {
        warnings.extend(beside_relay_node(&policy.policy)?);
    }
    let broker = startup::broker_settings(&config.broker, config.client_id_prefix)?;
    let mut logging =
        startup::begin("it", &arguments.half, Some(&broker), &config.syslog, warnings)?;
    let notifier = startup::notifier()?;
    let owned = sealing::owned(&arguments.half.config, &config.policy_paths, &config.state_dir);
    let signature = copy.as_ref().and_then(|(_, source)| source.signature());
    let secrets = sealing::secrets(&config.broker, &config.syslog, signature, None);
    let demoted = sealing::demote(start, &config.sandbox, &owned, &secrets)?;
    sealing::guard(&demoted, &config.sandbox, logging.certificates(), &secrets);
    awaiting::journal(&config.journal_path, &notifier)?;
    let journal = Unowned { what: "journal", path: config.journal_path.clone() };
    demoted.require_foreign(&[journal]).map_err(sealing::not_confined)?;
    sealing::require_way(&demoted, &broker)?;
    let mut grants =
        sealing::grants(&config.broker, &config.syslog, &config.policy_paths, &config.state_dir);
    grants.read.push(config.journal_path.clone());
    grants.write.extend(config.status.textfile_directory());
    let policy: Option<(SignedPolicy, PolicyLoader)> = match copy {
        Some((policy, source)) => {
            grants.read.extend(source.signature().map(sealing::replaceable));
            let source = source.claim(&policy)?;
            let load: PolicyLoader = Box::new(move || {
                let policy = startup::read_policy_again(&source)?;
                let odd = beside_relay_node(&policy.policy)
                    .map_err(|problems| startup::in_one_line(&problems))?;
                startup::log_warnings(odd);
                Ok(policy)
            });
            Some((policy, load))
        }
        None => None,
    };
    grants.descriptors = RESERVE.saturating_add(config.mirror.max_nodes as u64);
    let status = startup::status_settings(config.status, &broker, &config.sandbox, &logging);
    if let Some((loaded, _)) = &policy {
        let SignedPolicy { policy, .. } = loaded;
        policy_loaded(policy.digest(), policy.rules().len(), loaded.signature());
    }
    let look_again = addresses::asked(&broker);
    let settings = Settings {
        broker,
        journal_dir: config.journal_path,
        state_dir: config.state_dir,
        first_start: match config.first_start {
            config::FirstStart::Oldest => FirstStart::Oldest,
            config::FirstStart::Newest => FirstStart::Newest,
        },
        connects_per_s: config.mirror.connects_per_s.map(at_least_one),
        bytes_per_s: config.link_bytes_per_s.and_then(NonZeroU32::new),
        backfill_per_s: at_least_one(config.backfill.messages_per_s),
        gather: config.mirror.gather,
        mirror: mirror_settings(config.mirror, config.backfill.enabled, config.limits),
        policy: policy.map(|(loaded, load)| (loaded.policy, load)),
        look_again,
        status,
        health: config.health.map(|health| HealthSettings {
            group: health.group,
            edge_node: health.edge_node,
            every: health.every,
        }),
        notifier,
    };
    let opened = it::open(settings).map_err(|error| startup::failed(exit(&error), &error))?;
    let confined = sealing::seal(demoted, &grants)?;
    startup::start_log(&mut logging)?;
    startup::ended(it::run(opened, &confined), exit)
}

fn exit(error: &ItError) -> Exit {
    match error {
        ItError::State(_) | ItError::Journal(_) | ItError::Start(_) => Exit::Io,
        ItError::Report(error) => startup::report_exit(error),
    }
}

/// Looks for the name of the relay's own edge node in the copy of the policy.
fn relay_node_check(
    config: &ItConfig,
    it_path: &Path,
) -> impl Fn(&Policy) -> Result<Diagnostics, Diagnostics> + Send + 'static {
    let (health, paths) = (config.health.clone(), config.policy_paths.clone());
    let it_path = it_path.to_owned();
    // A folded node of the plant is a device, and none of those has the name of an edge node.
    let health = health.filter(|_| config.mirror.fold.is_none());
    move |policy| match &health {
        Some(health) => {
            RelayNode { health, relay: None, it_path: &it_path, paths: &paths }.require(policy)
        }
        None => Ok(Diagnostics::new()),
    }
}

/// The copy of the policy, and how it is read again.
fn read_policy_copy(
    config: &ItConfig,
    warnings: &mut Diagnostics,
) -> Result<Option<(SignedPolicy, PolicySource)>, Failure> {
    if config.policy_paths.is_empty() {
        return Ok(None);
    }
    let paths = config.policy_paths.clone();
    let source = PolicySource::new(paths, config.require_signature.clone(), &config.state_dir);
    let (policy, found) = source.read()?;
    warnings.extend(found);
    Ok(Some((policy, source)))
}

fn mirror_settings(mirror: MirrorConfig, backfill: bool, limits: Caps) -> MirrorSettings {
    MirrorSettings {
        stale_after: mirror.stale_after,
        on_gap: match mirror.on_gap {
            config::OnGap::Mark => mirror::OnGap::Mark,
            config::OnGap::Death => mirror::OnGap::Death,
            config::OnGap::Ignore => mirror::OnGap::Ignore,
        },
        rebirth_min_interval: mirror.rebirth_min_interval,
        primary_host: mirror.primary_host,
        confirm_every: mirror.confirm_every,
        data_qos: match mirror.data_qos {
            DataQos::AtMostOnce => Qos::AtMostOnce,
            DataQos::AtLeastOnce => Qos::AtLeastOnce,
        },
        fold: mirror.fold.map(Into::into),
        compress_births_above: mirror.compress_births_above,
        aliases: match mirror.aliases {
            config::Aliases::AsPlant => mirror::Aliases::AsPlant,
            config::Aliases::Always => mirror::Aliases::Always,
            config::Aliases::Never => mirror::Aliases::Never,
        },
        data_datatypes: match mirror.data_datatypes {
            config::DataDatatypes::AsPlant => mirror::DataDatatypes::AsPlant,
            config::DataDatatypes::Always => mirror::DataDatatypes::Always,
            config::DataDatatypes::Never => mirror::DataDatatypes::Never,
        },
        max_nodes: mirror.max_nodes,
        max_devices_per_node: mirror.max_devices_per_node,
        budget: Budget { node_bytes: mirror.max_node_bytes, plant_bytes: mirror.max_plant_bytes },
        backfill,
        // What can't be published needs no decoding.
        caps: limits,
    }
}

/// The configuration's ranges begin at 1.
fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

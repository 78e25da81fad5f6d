//! `sparkdiode ot`: the OT half.

mod shadow;

use clap::Args;
use config::{JournalConfig, OtConfig};
use diagnostic::Diagnostics;
use journal_write::WriterOptions;
use ot::{Loaded, OtError, PipelineSettings, Settings};
use sandbox::{Owned, Role};
use sparkplug::Budget;
use telemetry::{event, policy_loaded};

use super::policy_source::PolicySource;
use super::startup::{self, HalfArgs};
use super::{Exit, Failure, addresses, sealing};

/// Files and sockets: one connection, a few segments and state files; the rest is reserve.
const DESCRIPTORS: u64 = 256;

/// Run the OT half: OT broker → policy → journal.
///
/// Subscribes on the level-3 broker to what the policies allow, and appends it to the journal.
/// SIGTERM stops it after everything that was received is in the journal; SIGHUP reads the
/// policies again, and keeps the old ones if the new ones are wrong.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sparkdiode ot --config /etc/sparkdiode/ot.toml")]
pub(super) struct OtArgs {
    #[command(flatten)]
    half: HalfArgs,
}

pub(super) fn run(arguments: &OtArgs) -> Result<Exit, Failure> {
    let start = sealing::start(Role::Ot)?;
    let (config, mut warnings) = OtConfig::load(&arguments.half.config)?;
    let paths = config.policy_paths.clone();
    let source = PolicySource::new(paths, config.require_signature, &config.state_dir)
        .making_pseudonyms(config.pseudonym_key.clone())
        .observing(config.observed_paths.clone());
    let (policy, found) = source.read()?;
    warnings.extend(found);
    let observed = source.read_observed().map(|read| shadow::taken(read, &mut warnings));
    let broker = startup::broker_settings(&config.broker, config.client_id)?;
    let mut logging =
        startup::begin("ot", &arguments.half, Some(&broker), &config.syslog, warnings)?;
    let notifier = startup::notifier()?;
    policy_loaded(policy.policy.digest(), policy.policy.rules().len(), policy.signature());
    let mut owned = sealing::owned(&arguments.half.config, &config.policy_paths, &config.state_dir);
    owned.push(Owned::new("journal", &config.journal.path));
    let secrets = sealing::secrets(
        &config.broker,
        &config.syslog,
        source.signature(),
        config.pseudonym_key.as_ref(),
    );
    let demoted = sealing::demote(start, &config.sandbox, &owned, &secrets)?;
    sealing::guard(&demoted, &config.sandbox, logging.certificates(), &secrets);
    sealing::require_way(&demoted, &broker)?;
    if let Some(problem) = demoted.unreadable(&config.journal.path) {
        let place = config.journal.path.display().to_string();
        event!(ConfigWarning, place = place, problem = problem.to_string());
    }
    let own = shadow::owned(&demoted, &config.sandbox, &config.observed_paths);
    let observed = observed.map(|read| own().and(read));
    let mut grants =
        sealing::grants(&config.broker, &config.syslog, &config.policy_paths, &config.state_dir);
    grants.read.extend(source.signature().map(sealing::replaceable));
    grants.read.extend(shadow::readable(&config.observed_paths));
    grants.write.push(config.journal.path.clone());
    grants.read.extend(config.pseudonym_key.iter().map(|key| sealing::replaceable(key.path())));
    grants.write.extend(config.status.textfile_directory());
    grants.descriptors = DESCRIPTORS;
    let status = startup::status_settings(config.status, &broker, &config.sandbox, &logging);
    let source = source.claim(&policy)?;
    let look_again = addresses::asked(&broker);
    let settings = Settings {
        pipeline: PipelineSettings {
            source: config.name.clone(),
            keyframe_every: config.relay.keyframe_every,
            reorder_timeout: config.relay.reorder_timeout,
            doubt_after: config.relay.doubt_after,
            max_nodes: config.relay.max_nodes,
            max_devices_per_node: config.relay.max_devices_per_node,
            budget: Budget {
                node_bytes: config.relay.max_node_bytes,
                plant_bytes: config.relay.max_plant_bytes,
            },
            caps: config.limits,
        },
        shard: config.relay.shard,
        gather: config.relay.gather,
        journal: writer_options(config.journal, config.name.clone()),
        relay_name: config.name,
        broker,
        share_sessions: config.share_sessions,
        state_dir: config.state_dir,
        policy: Loaded { policy, observed },
        policy_loader: Box::new(move || {
            let policy = startup::read_policy_again(&source)?;
            let mut warnings = Diagnostics::new();
            let taken = |read| own().and(shadow::taken(read, &mut warnings));
            let observed = source.read_observed().map(taken);
            startup::log_warnings(warnings);
            Ok(Loaded { policy, observed })
        }),
        look_again,
        status,
        notifier,
    };
    let opened = ot::open(settings).map_err(|error| startup::failed(exit(&error), &error))?;
    let confined = sealing::seal(demoted, &grants)?;
    startup::start_log(&mut logging)?;
    startup::ended(ot::run(opened, &confined), exit)
}

fn exit(error: &OtError) -> Exit {
    match error {
        OtError::State(_) | OtError::Journal(_) | OtError::Start(_) | OtError::StoppedShort => {
            Exit::Io
        }
        OtError::Report(error) => startup::report_exit(error),
        OtError::Panicked => Exit::Software,
    }
}

fn writer_options(journal: JournalConfig, relay_name: String) -> WriterOptions {
    WriterOptions {
        dir: journal.path,
        relay_name,
        segment_bytes: journal.segment_bytes,
        retain_bytes: journal.retain_bytes,
        retain_age: Some(journal.retain_age),
        durability: startup::durability(journal.durability),
    }
}

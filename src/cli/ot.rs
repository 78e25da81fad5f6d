//! `sparkdiode ot`: the OT half.

use clap::Args;

use super::half::{self, HalfArgs};
use super::{Exit, Failure};
use crate::config::OtConfig;
use crate::policy::Policy;

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
    let (config, mut warnings) = OtConfig::load(&arguments.half.config)?;
    let (policy, found) = half::read_policy(&config.policy_paths)?;
    warnings.extend(found);
    half::begin("ot", &arguments.half, warnings)?;
    start(config, policy)
}

/// Hands over to the OT half.
fn start(config: OtConfig, policy: Policy) -> Result<Exit, Failure> {
    let _ = (config, policy);
    Err(Failure::new(Exit::Software, "this build has no OT half yet"))
}

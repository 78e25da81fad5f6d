//! The copy of the policy, read again.

use std::sync::Arc;

use signature::SignedPolicy;
use telemetry::status::ReloadRefused;
use telemetry::{event, policy_loaded};

use super::{Driver, Now};
use crate::pool::Pool;

impl<P: Pool> Driver<P> {
    /// Reads the policy again; what is wrong with it, if it is refused.
    pub(super) fn reload(&mut self, now: Now) -> Option<ReloadRefused> {
        let Some(load) = &self.settings.policy_loader else {
            if !self.settings.reloads_else {
                event!(ReloadIgnored);
            }
            return None;
        };
        match load() {
            Ok(SignedPolicy { policy, signed }) => {
                policy_loaded(
                    policy.digest(),
                    policy.rules().len(),
                    signed.map(|signed| (signed.version, signed.names())),
                );
                self.mirror.reload_policy(now, Some(Arc::new(policy)));
                None
            }
            Err(error) => {
                event!(PolicyRefused, error = error.as_str());
                Some(ReloadRefused { at_ms: now.wall_ms, error })
            }
        }
    }
}

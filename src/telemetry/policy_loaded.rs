//! A policy that comes into force: told in one way, at the start and after SIGHUP, by both halves.

use crate::event;
use crate::policy::Policy;
use crate::signature::Signed;

/// Tells that `policy` is in force.
pub fn tell_policy(policy: &Policy) {
    event!(
        PolicyLoaded,
        policy = policy.digest(),
        rules = policy.rules().len(),
        version = policy.signed().map(|signed| signed.version),
        signers = policy.signed().map(Signed::names)
    );
}

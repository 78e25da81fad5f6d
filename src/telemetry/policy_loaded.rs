//! A policy that comes into force: reported in one way, at the start and after SIGHUP, by both
//! halves.

use crate::event;

/// Reports that the policy with this digest is in force; `signature`: its version, and who signed
/// it.
pub fn policy_loaded(digest: &str, rules: usize, signature: Option<(u64, String)>) {
    let (version, signers) = signature.unzip();
    event!(PolicyLoaded, policy = digest, rules, version, signers);
}

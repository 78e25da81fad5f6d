//! A policy together with what its signatures say of it.

use policy::Policy;

use super::verify::Signed;

/// A policy that was read, and, where signatures are required, checked.
#[derive(Clone, Debug)]
pub struct SignedPolicy {
    pub policy: Policy,
    /// `None`: signatures aren't required.
    pub signed: Option<Signed>,
}

impl SignedPolicy {
    /// Version and signers, as events have them.
    pub fn signature(&self) -> Option<(u64, String)> {
        self.signed.as_ref().map(|signed| (signed.version, signed.names()))
    }
}

/// A policy that needs no signature.
impl From<Policy> for SignedPolicy {
    fn from(policy: Policy) -> SignedPolicy {
        SignedPolicy { policy, signed: None }
    }
}

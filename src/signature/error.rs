//! Why a policy isn't taken for a signed one.

use std::path::PathBuf;

use text::escape;

use super::manifest::ManifestError;

/// One reason. Codes are in the order of the checks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature file.
    #[error("the policy isn't signed: there is no `{}`", .0.display())]
    Missing(PathBuf),
    /// It isn't a signature file.
    #[error("unusable signature file: {0}")]
    Malformed(ManifestError),
    /// The name of one of the policy files can't be in a manifest.
    #[error("{0}")]
    Unsignable(ManifestError),
    /// A signature that a listed key didn't make: somebody changed the signature file.
    #[error("bad signature of {0}: the signature file was changed after it was signed")]
    Bad(String),
    /// Nobody whose key is listed has signed.
    #[error("signed by none of the listed keys, but by: {}", .0.join(", "))]
    UnknownKeys(Vec<String>),
    /// Signed, but by too few.
    #[error("signed by {} of the listed keys, {wanted} are required: {}", signers.len(),
        signers.join(", "))]
    TooFew { signers: Vec<String>, wanted: usize },
    /// For another relay.
    #[error("signed for the relay `{}`, not for `{relay}`", escape(signed_for))]
    OtherRelay { signed_for: String, relay: String },
    /// The content of a file isn't the signed one.
    #[error("`{}` was changed after it was signed", escape(.0))]
    Changed(String),
    /// A file that nobody signed.
    #[error("`{}` isn't among the signed files", escape(.0))]
    Added(String),
    /// A signed file that isn't there.
    #[error("`{}` was signed, but isn't there", escape(.0))]
    Removed(String),
    /// The digest of the set isn't the signed one though every file is: our bug.
    #[error("the digest of the policy isn't the signed one: {0}")]
    Digest(String),
    /// An older policy than one that was in force.
    #[error("version {found} was signed before version {accepted}, which was in force already")]
    Rollback { found: u64, accepted: u64 },
    /// Another policy under the same version.
    #[error("another policy with version {0} was in force already")]
    SameVersion(u64),
}

impl SignatureError {
    /// Code of the diagnostic.
    pub const fn code(&self) -> &'static str {
        match self {
            SignatureError::Missing(_) => "S001",
            SignatureError::Malformed(_) => "S002",
            SignatureError::Unsignable(_) => "S003",
            SignatureError::Bad(_) => "S004",
            SignatureError::UnknownKeys(_) => "S005",
            SignatureError::TooFew { .. } => "S006",
            SignatureError::OtherRelay { .. } => "S007",
            SignatureError::Changed(_)
            | SignatureError::Added(_)
            | SignatureError::Removed(_)
            | SignatureError::Digest(_) => "S008",
            SignatureError::Rollback { .. } | SignatureError::SameVersion(_) => "S009",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            SignatureError::Missing(_) => Some(
                "`sparkdiode policy sign --key KEY --version N PATH…`, on the machine that has \
                 the key",
            ),
            SignatureError::UnknownKeys(_) => {
                Some("the listed keys are under `keys` of `[policies.require-signature]`")
            }
            SignatureError::TooFew { .. } => {
                Some("another holder of a key adds a signature with `sparkdiode policy sign`")
            }
            SignatureError::Changed(_) | SignatureError::Added(_) | SignatureError::Removed(_) => {
                Some("look at what changed before you sign it")
            }
            SignatureError::Rollback { .. } | SignatureError::SameVersion(_) => {
                Some("to go back to an earlier policy, sign it again with a higher version")
            }
            _ => None,
        }
    }
}

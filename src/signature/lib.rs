//! Signatures over a policy: which files with which contents, as which version, for which relay.
//! A leaf without I/O and without a clock: files come in as text, keys as text.
//!
//! A signature file lies beside the policy files:
//!
//! ```text
//! sparkdiode-policy-signature 1
//! version 7
//! relay plant-a
//! signed 2026-11-24T10:16:09.000Z
//! digest 6e9c4f83010b3dc7f5d75138df470bb43ebe5f6a0803e9d5219706cb87c5f759
//! file 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 line4.toml
//!
//! signature ed25519:mC5jhSdQ…= kXk5Uf3B…==
//! ```
//!
//! Signed (Ed25519, RFC 8032) is the text above the empty line, to its last byte; the first line
//! keeps a signature over something else from being taken for one of these. `relay` may be
//! absent. Each signature carries its public key, so that an unknown signer can be named.

mod error;
mod key;
mod manifest;
mod signed_policy;
mod verify;

pub use error::SignatureError;
pub use key::{KeyError, NamedKey, PublicKey, SigningKey};
pub use manifest::{Manifest, ManifestError, SignatureFile};
pub use signed_policy::SignedPolicy;
pub use verify::{Accepted, Requirement, Signed, check_rollback, verify};

/// Name of the signature file, in the directory of the policies.
pub const FILE_NAME: &str = "policy.sig";

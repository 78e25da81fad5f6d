//! Codes of the problems in `ot.toml` and `it.toml`.

/// The file can't be read, or isn't text.
pub(super) const FILE: &str = "C001";
/// Others may write the file.
pub(super) const PERMISSIONS: &str = "C002";
/// Not TOML.
pub(super) const SYNTAX: &str = "C003";
/// A key that doesn't exist.
pub(super) const UNKNOWN_KEY: &str = "C004";
/// A value of another type.
pub(super) const TYPE: &str = "C005";
/// A required key isn't there.
pub(super) const MISSING: &str = "C006";
/// A number that is too small or too large.
pub(super) const RANGE: &str = "C007";
/// A value that breaks its grammar.
pub(super) const VALUE: &str = "C008";
/// Keys that need or exclude each other.
pub(super) const COMBINATION: &str = "C009";
/// A secret file that can't be used.
pub(super) const SECRET: &str = "C010";
/// A certificate or key that can't be used.
pub(super) const CERTIFICATE: &str = "C011";
/// Warning: the connection is neither encrypted nor authenticated.
pub(super) const PLAINTEXT: &str = "C101";
/// Warning: a credential couldn't be looked at, since there is no credentials directory.
pub(super) const UNSEEN_CREDENTIAL: &str = "C102";
/// Warning: a certificate that is, or soon will be, out of its validity.
pub(super) const VALIDITY: &str = "C103";

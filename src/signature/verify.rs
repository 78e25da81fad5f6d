//! Decides whether a policy is signed as the configuration requires it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use diagnostic::SourceFile;
use policy::digest_of;

use super::error::SignatureError;
use super::key::NamedKey;
use super::manifest::{SignatureFile, hashes};

/// What the configuration requires: `[policies.require-signature]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// No key is in it twice.
    pub keys: Vec<NamedKey>,
    /// From 1 to the number of keys.
    pub threshold: usize,
    /// The signature file.
    pub file: PathBuf,
    /// Name of this relay. `None`: it isn't known here, and every one will do.
    pub relay: Option<String>,
}

/// What a good signature says of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    pub version: u64,
    /// When it was signed first.
    pub at: String,
    /// The listed keys that signed it, as they are listed.
    pub signers: Vec<String>,
}

impl Signed {
    /// The signers in one line.
    pub fn names(&self) -> String {
        self.signers.join(", ")
    }
}

/// The highest version that was in force, and the digest of its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub version: u64,
    pub digest: String,
}

/// Checks that enough of the listed keys signed exactly the policy in `sources`, for this relay.
/// `signature` is the text of the signature file, if there is one.
/// Nothing of the manifest is believed before its signatures are.
///
/// # Errors
/// All reasons of the first check that fails.
pub fn verify(
    signature: Option<&str>,
    sources: &[SourceFile],
    requirement: &Requirement,
) -> Result<Signed, Vec<SignatureError>> {
    let missing = || vec![SignatureError::Missing(requirement.file.clone())];
    let text = signature.ok_or_else(missing)?;
    let file =
        SignatureFile::parse(text).map_err(|error| vec![SignatureError::Malformed(error)])?;
    let signers = signers(&file, requirement)?;
    let manifest = &file.manifest;
    if let (Some(signed_for), Some(relay)) = (&manifest.relay, &requirement.relay)
        && signed_for != relay
    {
        let (signed_for, relay) = (signed_for.clone(), relay.clone());
        return Err(vec![SignatureError::OtherRelay { signed_for, relay }]);
    }
    let found = hashes(sources).map_err(|error| vec![SignatureError::Unsignable(error)])?;
    let changes = changes(&manifest.files, &found);
    if !changes.is_empty() {
        return Err(changes);
    }
    let digest = digest_of(sources);
    if manifest.digest != digest {
        return Err(vec![SignatureError::Digest(digest)]);
    }
    Ok(Signed { version: manifest.version, at: manifest.signed.clone(), signers })
}

/// Checks that no later policy, and no other one with the same version, was in force before.
///
/// # Errors
/// [`SignatureError::Rollback`], [`SignatureError::SameVersion`].
pub fn check_rollback(
    version: u64,
    digest: &str,
    accepted: Option<&Accepted>,
) -> Result<(), SignatureError> {
    match accepted {
        Some(accepted) if version < accepted.version => {
            Err(SignatureError::Rollback { found: version, accepted: accepted.version })
        }
        Some(accepted) if version == accepted.version && digest != accepted.digest => {
            Err(SignatureError::SameVersion(version))
        }
        _ => Ok(()),
    }
}

/// The listed keys that signed, each once.
fn signers(
    file: &SignatureFile,
    requirement: &Requirement,
) -> Result<Vec<String>, Vec<SignatureError>> {
    let (mut good, mut bad, mut unknown) = (BTreeSet::new(), Vec::new(), Vec::new());
    for (key, is_good) in file.signers() {
        let listed = requirement.keys.iter().position(|listed| listed.key == key);
        match (listed, is_good) {
            (Some(at), true) => {
                good.insert(at);
            }
            (Some(_), false) => bad.push(key),
            (None, _) => unknown.push(key.to_string()),
        }
    }
    let name = |at: &usize| requirement.keys.get(*at).map(ToString::to_string);
    let signers: Vec<String> = good.iter().filter_map(name).collect();
    if !bad.is_empty() {
        let named = |key| requirement.keys.iter().find(|listed| listed.key == key);
        let names = bad.into_iter().filter_map(named);
        return Err(names.map(|key| SignatureError::Bad(key.to_string())).collect());
    }
    if signers.is_empty() && !unknown.is_empty() {
        return Err(vec![SignatureError::UnknownKeys(unknown)]);
    }
    // The threshold is at least 1: a file without signatures fails here.
    if signers.len() < requirement.threshold.max(1) {
        return Err(vec![SignatureError::TooFew { signers, wanted: requirement.threshold }]);
    }
    Ok(signers)
}

/// Which of the files that were found aren't those that were signed.
fn changes(signed: &[(String, String)], found: &[(String, String)]) -> Vec<SignatureError> {
    let hash_of = |files: &[(String, String)], name: &str| {
        files.iter().find(|(other, _)| other == name).map(|(_, hash)| hash.clone())
    };
    let mut changes = Vec::new();
    for (name, hash) in found {
        match hash_of(signed, name) {
            None => changes.push(SignatureError::Added(name.clone())),
            Some(signed) if signed != *hash => changes.push(SignatureError::Changed(name.clone())),
            Some(_) => {}
        }
    }
    for (name, _) in signed {
        if hash_of(found, name).is_none() {
            changes.push(SignatureError::Removed(name.clone()));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, SigningKey};
    use super::*;

    fn sources(text: &str) -> Vec<SourceFile> {
        vec![SourceFile::new("p/a.toml", text), SourceFile::new("p/b.toml", "b")]
    }

    fn keys(count: usize) -> (Vec<SigningKey>, Requirement) {
        let keys: Vec<SigningKey> = (0..count).map(|_| SigningKey::generate().unwrap()).collect();
        let named = |(at, key): (usize, &SigningKey)| NamedKey {
            key: key.public().unwrap(),
            name: format!("signer-{at}"),
        };
        let requirement = Requirement {
            keys: keys.iter().enumerate().map(named).collect(),
            threshold: 1,
            file: "p/policy.sig".into(),
            relay: Some("plant-a".into()),
        };
        (keys, requirement)
    }

    fn signed(keys: &[SigningKey], relay: Option<&str>) -> String {
        let relay = relay.map(str::to_owned);
        let manifest = Manifest::of(&sources("a"), 7, relay, "2026".into()).unwrap();
        let mut file = SignatureFile::new(manifest);
        for key in keys {
            file.sign(key).unwrap();
        }
        file.render()
    }

    #[test]
    fn a_policy_that_enough_listed_keys_signed_is_taken() {
        let (keys, mut requirement) = keys(3);
        for relay in [None, Some("plant-a")] {
            let text = signed(&keys[1..2], relay);
            let found = verify(Some(&text), &sources("a"), &requirement).unwrap();
            assert_eq!((found.version, found.signers.len()), (7, 1));
            assert!(found.signers[0].ends_with(" signer-1"));
        }
        requirement.threshold = 2;
        let text = signed(&keys[1..], None);
        assert_eq!(verify(Some(&text), &sources("a"), &requirement).unwrap().signers.len(), 2);
        requirement.relay = None;
        let text = signed(&keys, Some("elsewhere"));
        assert!(verify(Some(&text), &sources("a"), &requirement).is_ok());
    }

    #[track_caller]
    fn refused(text: &str, sources: &[SourceFile], requirement: &Requirement, wanted: &str) {
        let errors = verify(Some(text), sources, requirement).unwrap_err();
        assert!(errors.iter().any(|error| error.to_string().contains(wanted)), "{errors:?}");
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let (listed, mut requirement) = keys(2);
        let (unlisted, _) = keys(1);
        let good = signed(&listed[..1], None);
        let missing = verify(None, &sources("a"), &requirement);
        assert_eq!(missing, Err(vec![SignatureError::Missing("p/policy.sig".into())]));
        refused("x", &sources("a"), &requirement, "not a signature file");
        refused(&good, &sources("A"), &requirement, "`a.toml` was changed after it was signed");
        refused(&good, &sources("a")[..1], &requirement, "`b.toml` was signed, but isn't there");
        let more = [sources("a"), vec![SourceFile::new("p/c.toml", "")]].concat();
        refused(&good, &more, &requirement, "`c.toml` isn't among the signed files");
        refused(&signed(&unlisted, None), &sources("a"), &requirement, "none of the listed keys");
        refused(&signed(&[], None), &sources("a"), &requirement, "signed by 0 of");
        let changed = good.replace("version 7", "version 8");
        refused(&changed, &sources("a"), &requirement, "bad signature of ed25519:");
        let other = signed(&listed, Some("plant-b"));
        refused(&other, &sources("a"), &requirement, "for the relay `plant-b`, not for `plant-a`");
        requirement.threshold = 2;
        refused(&good, &sources("a"), &requirement, "signed by 1 of the listed keys, 2 are");
        // The same signature twice is one signer.
        let line = good.lines().last().unwrap();
        let twice = format!("{good}{line}\n");
        refused(&twice, &sources("a"), &requirement, "signed by 1 of the listed keys, 2 are");
        // A good one doesn't make up for a bad one.
        requirement.threshold = 1;
        let both = signed(&listed, None);
        let (head, last) = both.trim_end().rsplit_once(' ').unwrap();
        let mut letters: Vec<char> = last.chars().collect();
        letters[5] = if letters[5] == 'A' { 'B' } else { 'A' };
        let tampered = format!("{head} {}\n", letters.into_iter().collect::<String>());
        refused(&tampered, &sources("a"), &requirement, "bad signature of ed25519:");
    }

    #[test]
    fn versions_only_grow() {
        let accepted = Accepted { version: 7, digest: "d".into() };
        for (version, digest, fits) in
            [(6, "d", false), (7, "d", true), (7, "e", false), (8, "e", true)]
        {
            assert_eq!(check_rollback(version, digest, Some(&accepted)).is_ok(), fits);
            assert!(check_rollback(version, digest, None).is_ok());
        }
    }
}

//! The signature file: a manifest and the signatures over it. What is parsed is rendered again
//! and compared, so that every manifest has exactly one text.

use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use diagnostic::SourceFile;
use policy::digest_of;
use text::escape;

use super::key::{KeyError, PublicKey, SigningKey};

const FIRST_LINE: &str = "sparkdiode-policy-signature 1";
/// Signatures of one file; a threshold is two or three.
const MAX_SIGNATURES: usize = 64;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Grows with every policy that is signed; from 1.
    pub version: u64,
    /// The only relay that may take it.
    pub relay: Option<String>,
    /// When it was signed first, RFC 3339.
    pub signed: String,
    /// Digest of the policy, as in logs and in the journal.
    pub digest: String,
    /// Names (without directories) and SHA-256 in lower-case hex, in the order of names.
    pub files: Vec<(String, String)>,
}

/// A manifest, its text, and the signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFile {
    pub manifest: Manifest,
    text: String,
    signatures: Vec<(PublicKey, Vec<u8>)>,
}

/// Why there is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A signature file that isn't one.
    #[error("line {line}: {what}")]
    Malformed { line: usize, what: &'static str },
    /// A later version of the format, or another file.
    #[error("not a signature file: it begins with `{}`", escape(.0))]
    Other(String),
    /// A policy file whose name has no place in a line of text.
    #[error("policy file with an unusual name: `{}`", escape(.0))]
    Name(String),
    /// Two policy files of one name in two directories: the manifest couldn't tell them apart.
    #[error("two policy files are named `{}`", escape(.0))]
    SameName(String),
}

impl Manifest {
    /// Describes the policy in `sources`.
    ///
    /// # Errors
    /// [`ManifestError::Name`], [`ManifestError::SameName`].
    pub fn of(
        sources: &[SourceFile],
        version: u64,
        relay: Option<String>,
        signed: String,
    ) -> Result<Manifest, ManifestError> {
        let files = hashes(sources)?;
        Ok(Manifest { version, relay, signed, digest: digest_of(sources), files })
    }

    fn render(&self) -> String {
        let mut text = format!("{FIRST_LINE}\nversion {}\n", self.version);
        // Writing to a `String` can't fail.
        if let Some(relay) = &self.relay {
            let _ = writeln!(text, "relay {relay}");
        }
        let _ = writeln!(text, "signed {}\ndigest {}", self.signed, self.digest);
        for (name, hash) in &self.files {
            let _ = writeln!(text, "file {hash} {name}");
        }
        text
    }

    fn parse(text: &str) -> Result<Manifest, ManifestError> {
        let mut lines = (1_usize..).zip(text.lines()).peekable();
        let fault = |line, what| ManifestError::Malformed { line, what };
        match lines.next() {
            Some((_, FIRST_LINE)) => {}
            first => {
                let first = first.map_or("", |(_, line)| line);
                return Err(ManifestError::Other(first.to_owned()));
            }
        }
        let mut end = 1;
        let mut take = |key: &str| {
            let (_, value) = lines.next_if(|(_, line)| word(line, key).is_some())?;
            end = usize::saturating_add(end, 1);
            word(value, key).map(str::to_owned)
        };
        let version = take("version").and_then(|version| version.parse().ok());
        let relay = take("relay");
        let signed = take("signed");
        let digest = take("digest");
        let (Some(version @ 1..), Some(signed), Some(digest)) = (version, signed, digest) else {
            return Err(fault(end, "wanted `version`, `relay` (or not), `signed` and `digest`"));
        };
        let mut files = Vec::new();
        for (line, text) in lines {
            let entry = word(text, "file").and_then(|entry| entry.split_once(' '));
            let (hash, name) = entry.ok_or_else(|| fault(line, "wanted `file HASH NAME`"))?;
            files.push((name.to_owned(), hash.to_owned()));
        }
        let manifest = Manifest { version, relay, signed, digest, files };
        match manifest.render() == text {
            true => Ok(manifest),
            false => Err(fault(1, "not as this program writes it")),
        }
    }
}

impl SignatureFile {
    /// A manifest that nobody has signed yet.
    pub fn new(manifest: Manifest) -> SignatureFile {
        SignatureFile { text: manifest.render(), manifest, signatures: Vec::new() }
    }

    /// Reads a signature file. No signature is checked.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(text: &str) -> Result<SignatureFile, ManifestError> {
        let (above, below) = text.split_once("\n\n").unwrap_or((text.trim_end_matches('\n'), ""));
        let above = format!("{above}\n");
        let manifest = Manifest::parse(&above)?;
        let first = above.lines().count().saturating_add(2);
        let mut signatures = Vec::new();
        for (line, text) in (first..).zip(below.lines()) {
            let fault = |what| ManifestError::Malformed { line, what };
            let entry = word(text, "signature").and_then(|entry| entry.split_once(' '));
            let (key, signature) = entry.ok_or_else(|| fault("wanted `signature KEY BASE64`"))?;
            let key = key.parse().map_err(|_: KeyError| fault("not a public key"))?;
            let signature = STANDARD.decode(signature).map_err(|_| fault("not Base64"))?;
            signatures.push((key, signature));
            if signatures.len() > MAX_SIGNATURES {
                return Err(fault("more signatures than anybody needs"));
            }
        }
        Ok(SignatureFile { manifest, text: above, signatures })
    }

    /// Adds a signature; one of the same key gives way.
    ///
    /// # Errors
    /// As [`SigningKey::public`].
    pub fn sign(&mut self, key: &SigningKey) -> Result<PublicKey, KeyError> {
        let public = key.public()?;
        self.signatures.retain(|(signer, _)| *signer != public);
        self.signatures.push((public, key.sign(self.text.as_bytes())));
        Ok(public)
    }

    /// The keys that its signatures name, and whether the signatures are theirs.
    pub fn signers(&self) -> impl Iterator<Item = (PublicKey, bool)> + '_ {
        self.signatures
            .iter()
            .map(|(key, signature)| (*key, key.has_signed(self.text.as_bytes(), signature)))
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let mut text = format!("{}\n", self.text);
        for (key, signature) in &self.signatures {
            let _ = writeln!(text, "signature {key} {}", STANDARD.encode(signature));
        }
        text
    }
}

/// Names and SHA-256 of the files, in the order of names.
pub(super) fn hashes(sources: &[SourceFile]) -> Result<Vec<(String, String)>, ManifestError> {
    let mut files = Vec::with_capacity(sources.len());
    for source in sources {
        let name = source.path.file_name().unwrap_or_default();
        let usable = |name: &&str| !name.is_empty() && !name.chars().any(char::is_control);
        let Some(name) = name.to_str().filter(usable) else {
            return Err(ManifestError::Name(name.to_string_lossy().into_owned()));
        };
        files.push((name.to_owned(), sha256(source.text.as_bytes())));
    }
    files.sort();
    let twice = files.windows(2).find(|pair| matches!(pair, [left, right] if left.0 == right.0));
    match twice.and_then(<[_]>::first) {
        Some((name, _)) => Err(ManifestError::SameName(name.clone())),
        None => Ok(files),
    }
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// What follows the word `key` and a space.
fn word<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    line.strip_prefix(key)?.strip_prefix(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Vec<SourceFile> {
        vec![SourceFile::new("b/y z.toml", "y"), SourceFile::new("a/x.toml", "x")]
    }

    fn manifest() -> Manifest {
        let signed = "2026-11-24T10:16:09.000Z".to_owned();
        Manifest::of(&sources(), 7, Some("plant-a".into()), signed).unwrap()
    }

    #[test]
    fn a_signature_file_is_read_as_it_was_written() {
        let mut file = SignatureFile::new(manifest());
        let keys: Vec<_> = (0..2).map(|_| SigningKey::generate().unwrap()).collect();
        for key in keys.iter().chain(&keys) {
            file.sign(key).unwrap();
        }
        let text = file.render();
        assert!(text.contains("\nversion 7\nrelay plant-a\nsigned 2026-"), "{text}");
        assert!(text.contains(" y z.toml\n\nsignature ed25519:"), "{text}");
        let again = SignatureFile::parse(&text).unwrap();
        assert_eq!(again, file);
        assert_eq!(again.signers().map(|(_, good)| good).collect::<Vec<_>>(), [true, true]);
        let unsigned = SignatureFile::new(Manifest { relay: None, ..manifest() });
        assert_eq!(SignatureFile::parse(&unsigned.render()), Ok(unsigned));
    }

    #[test]
    fn every_byte_of_the_manifest_is_signed() {
        let mut file = SignatureFile::new(manifest());
        file.sign(&SigningKey::generate().unwrap()).unwrap();
        let text = file.render();
        let end = text.find("\n\n").unwrap();
        for at in 0..=end {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if let Ok(changed) = SignatureFile::parse(&text) {
                assert!(changed.signers().all(|(_, good)| !good), "byte {at}: {text}");
            }
        }
    }

    #[test]
    fn other_spellings_of_a_manifest_are_refused() {
        let mut file = SignatureFile::new(manifest());
        file.sign(&SigningKey::generate().unwrap()).unwrap();
        let text = file.render();
        for (from, to) in [
            ("version 7", "version 07"),
            ("version 7", "version +7"),
            ("version 7", "version 0"),
            ("version 7\n", "version 7\r\n"),
            ("version 7\n", ""),
            ("signature 1\n", "signature 2\n"),
            ("file ", "fil "),
            ("\nsignature ", "\nsignature  "),
            ("\nsignature ed25519:", "\nsignature ed25519:A"),
            ("\nsignature ", "\nx "),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text);
            assert!(SignatureFile::parse(&other).is_err(), "{other}");
        }
        for text in ["", "\n", "\n\n\n", "[[rule]]"] {
            assert!(matches!(SignatureFile::parse(text), Err(ManifestError::Other(_))));
        }
    }

    #[test]
    fn names_that_would_confuse_are_not_signed() {
        let of = |sources: &[SourceFile]| Manifest::of(sources, 1, None, String::new());
        let line = [SourceFile::new("a/x\nfile.toml", "")];
        assert!(matches!(of(&line), Err(ManifestError::Name(_))));
        let twice = [SourceFile::new("a/x.toml", "1"), SourceFile::new("b/x.toml", "2")];
        assert_eq!(of(&twice), Err(ManifestError::SameName("x.toml".into())));
    }
}

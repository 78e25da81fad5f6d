//! Ed25519 keys as operators handle them: the public one as a short text, the private one as
//! PKCS #8 in PEM, which `openssl genpkey -algorithm ed25519` makes too.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use text::escape;

const PREFIX: &str = "ed25519:";
const PEM_LABEL: &str = "PRIVATE KEY";
/// Characters of a line of PEM (RFC 7468).
const PEM_WIDTH: usize = 64;
/// Characters of a name.
const MAX_NAME: usize = 64;

/// Why a text isn't a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `ed25519:` and Base64 of 32 bytes.
    #[error("not a public key: `{}`", escape(.0))]
    Public(String),
    /// A name with control characters, or a long one.
    #[error("not a name of at most {MAX_NAME} printable characters: `{}`", escape(.0))]
    Name(String),
    /// Not an Ed25519 key in PKCS #8, PEM.
    #[error("not an Ed25519 private key (PKCS #8, PEM)")]
    Private,
    /// The crypto library refused; nobody knows why.
    #[error("cannot make a key")]
    Make,
}

/// A public key: `ed25519:` and Base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Whether `signature` was made over `message` with the private key.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<PublicKey, KeyError> {
        let bytes = text.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let key = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        key.map(PublicKey).ok_or_else(|| KeyError::Public(text.to_owned()))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

/// A public key, and whose it is: `ed25519:… alice`, as in an `authorized_keys` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedKey {
    pub key: PublicKey,
    /// Empty if nobody said it.
    pub name: String,
}

impl FromStr for NamedKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<NamedKey, KeyError> {
        let text = text.trim();
        let (key, name) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let name = name.trim();
        if name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(KeyError::Name(name.to_owned()));
        }
        Ok(NamedKey { key: key.parse()?, name: name.to_owned() })
    }
}

/// As it is read.
impl fmt::Display for NamedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => write!(formatter, "{}", self.key),
            name => write!(formatter, "{} {name}", self.key),
        }
    }
}

/// A private key. Its `Debug` doesn't show it.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// A new key.
    ///
    /// # Errors
    /// [`KeyError::Make`].
    pub fn generate() -> Result<SigningKey, KeyError> {
        Ed25519KeyPair::generate().map(SigningKey).map_err(|_| KeyError::Make)
    }

    /// Reads PKCS #8 in PEM.
    ///
    /// # Errors
    /// [`KeyError::Private`].
    pub fn from_pem(pem: &[u8]) -> Result<SigningKey, KeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| KeyError::Private)?;
        // OpenSSL writes version 1, which lacks the public key.
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map(SigningKey)
            .map_err(|_| KeyError::Private)
    }

    /// PKCS #8 in PEM, without a passphrase.
    ///
    /// # Errors
    /// [`KeyError::Make`].
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let der = self.0.to_pkcs8v1().map_err(|_| KeyError::Make)?;
        let text = STANDARD.encode(der.as_ref());
        let lines = text.as_bytes().chunks(PEM_WIDTH);
        let lines: String =
            lines.map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect();
        Ok(format!("-----BEGIN {PEM_LABEL}-----\n{lines}-----END {PEM_LABEL}-----\n"))
    }

    /// The public key that belongs to it.
    ///
    /// # Errors
    /// [`KeyError::Make`] if the crypto library's key isn't one of 32 bytes: it always is.
    pub fn public(&self) -> Result<PublicKey, KeyError> {
        let bytes = self.0.public_key().as_ref();
        bytes.try_into().map(PublicKey).map_err(|_| KeyError::Make)
    }

    /// A signature over `message`.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_their_texts() {
        let key = SigningKey::generate().unwrap();
        let public = key.public().unwrap();
        assert_eq!(public.to_string().parse(), Ok(public));
        let named: NamedKey = format!(" {public}\talice of OT ").parse().unwrap();
        assert_eq!((named.key, named.name.as_str()), (public, "alice of OT"));
        assert_eq!(named.to_string().parse(), Ok(named));
        let again = SigningKey::from_pem(key.to_pem().unwrap().as_bytes()).unwrap();
        assert_eq!(again.public(), Ok(public));
        assert!(public.has_signed(b"text", &again.sign(b"text")));
        assert!(!public.has_signed(b"test", &again.sign(b"text")));
        assert!(!format!("{key:?}").contains(&key.to_pem().unwrap()[40..60]));
    }

    /// RFC 8032 §7.1, test 2: another implementation's key and signature.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let hex = |text: &str| -> Vec<u8> {
            let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
            (0..text.len()).step_by(2).map(digit).collect()
        };
        let seed = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let public = hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let key = SigningKey(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap());
        assert_eq!(key.public().unwrap().0.to_vec(), public);
        let signature = hex("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00");
        assert_eq!(key.sign(&[0x72]), signature);
    }

    #[test]
    fn a_key_of_openssl_is_taken() {
        // openssl genpkey -algorithm ed25519; made for this test, used nowhere.
        let der = {
            let mut der =
                vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
            der.extend([7_u8; 32]);
            der
        };
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            STANDARD.encode(der)
        );
        assert!(SigningKey::from_pem(pem.as_bytes()).is_ok());
    }

    #[test]
    fn other_texts_are_no_keys() {
        let short = format!("ed25519:{}", STANDARD.encode([1; 31]));
        for text in [
            "",
            "ed25519:",
            "ed25519:*",
            &short,
            "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
        ] {
            assert!(text.parse::<PublicKey>().is_err(), "{text}");
        }
        let public = SigningKey::generate().unwrap().public().unwrap();
        assert!(format!("{public} a\u{1b}[2J").parse::<NamedKey>().is_err());
        for pem in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(matches!(SigningKey::from_pem(pem.as_bytes()), Err(KeyError::Private)));
        }
    }
}

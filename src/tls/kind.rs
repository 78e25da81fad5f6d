//! What kind of key it is that the library refuses, in a key file or in a certificate, and what to make in
//! its place.

use std::path::Path;

use crate::der::{BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE, dotted, element, next};

/// What a key must be.
pub(crate) const KEYS: &str =
    "wanted RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, or Ed25519";
/// Makes one.
const NEW: &str = "make a new key and ask the authority for a certificate of it: openssl req -new -newkey ec \
                   -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout KEY -out REQUEST";
/// Parameters of a SEC1 key.
const SEC1_PARAMETERS: u8 = 0xa0;

/// How the content of a key file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Pkcs8,
    Pkcs1,
    Sec1,
}

/// A kind of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    Rsa {
        bits: usize,
    },
    /// RSA that signs in one way alone.
    RsaPss,
    /// On a curve with this identifier.
    Ec(&'a [u8]),
    /// On a curve that is written out.
    EcExplicit,
    /// Of another algorithm.
    Other(&'a [u8]),
}

const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const EC: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// P-256, P-384, P-521.
const CURVES: [&[u8]; 3] = [
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7],
    &[0x2b, 0x81, 4, 0, 0x22],
    &[0x2b, 0x81, 4, 0, 0x23],
];
/// Others, by what people call them.
const OTHER_CURVES: [(&str, &str); 9] = [
    ("1.2.840.10045.3.1.1", "P-192"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.2.156.10197.1.301", "SM2"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.8", "brainpoolP256t1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.12", "brainpoolP384t1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
];
const OTHER_ALGORITHMS: [(&str, &str); 8] = [
    ("1.3.101.113", "an Ed448 key"),
    ("1.3.101.110", "an X25519 key, which signs nothing"),
    ("1.3.101.111", "an X448 key, which signs nothing"),
    ("1.2.840.10040.4.1", "a DSA key"),
    ("1.2.840.113549.1.3.1", "a Diffie-Hellman key, which signs nothing"),
    ("2.16.840.1.101.3.4.3.17", "an ML-DSA key"),
    ("2.16.840.1.101.3.4.3.18", "an ML-DSA key"),
    ("2.16.840.1.101.3.4.3.19", "an ML-DSA key"),
];
/// Sizes of RSA keys that are taken, in bits.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

impl<'a> Kind<'a> {
    /// Of a private key; `None`: it isn't one.
    pub(crate) fn of_private(der: &'a [u8], encoding: Encoding) -> Option<Kind<'a>> {
        let (key, _) = element(der, SEQUENCE)?;
        let (_, rest) = element(key, INTEGER)?;
        match encoding {
            Encoding::Pkcs1 => Some(Kind::Rsa { bits: bits_of(element(rest, INTEGER)?.0) }),
            Encoding::Sec1 => {
                let (_, rest) = element(rest, OCTET_STRING)?;
                let (parameters, _) = element(rest, SEC1_PARAMETERS)?;
                Some(Kind::on(parameters))
            }
            Encoding::Pkcs8 => {
                let (algorithm, rest) = element(rest, SEQUENCE)?;
                let (key, _) = element(rest, OCTET_STRING)?;
                let modulus = || {
                    let (numbers, _) = element(key, SEQUENCE)?;
                    let (_, rest) = element(numbers, INTEGER)?;
                    Some(element(rest, INTEGER)?.0)
                };
                Kind::of(algorithm, modulus)
            }
        }
    }

    /// Of a public one (`SubjectPublicKeyInfo`, or its content).
    pub(crate) fn of_public(key: &'a [u8]) -> Option<Kind<'a>> {
        let key = match element(key, SEQUENCE) {
            // The content begins with a sequence too, and isn't over behind it.
            Some((content, [])) => content,
            _ => key,
        };
        let (algorithm, rest) = element(key, SEQUENCE)?;
        let modulus = || {
            let (bits, _) = element(rest, BIT_STRING)?;
            let (numbers, _) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
            Some(element(numbers, INTEGER)?.0)
        };
        Kind::of(algorithm, modulus)
    }

    fn of(algorithm: &'a [u8], modulus: impl Fn() -> Option<&'a [u8]>) -> Option<Kind<'a>> {
        let (id, parameters) = element(algorithm, OID)?;
        Some(match id {
            RSA => Kind::Rsa { bits: bits_of(modulus()?) },
            RSA_PSS => Kind::RsaPss,
            EC => Kind::on(parameters),
            id => Kind::Other(id),
        })
    }

    fn on(parameters: &'a [u8]) -> Kind<'a> {
        match next(parameters) {
            Some(one) if one.tag == OID => Kind::Ec(one.content),
            _ => Kind::EcExplicit,
        }
    }

    /// What is wrong with it, and what to do about it; `None`: nothing is. `file` has the private key,
    /// where that is what it is about.
    pub(crate) fn refused(self, file: Option<&Path>) -> Option<(String, String)> {
        let new = || NEW.to_owned();
        let name = |known: &[(&'static str, &'static str)], id: &[u8]| {
            let id = dotted(id);
            known.iter().find(|(known, _)| *known == id).map_or(Err(id), |(_, name)| Ok(*name))
        };
        match self {
            Kind::Rsa { bits } if RSA_BITS.contains(&bits) => None,
            Kind::Rsa { bits } => {
                let which = if bits < *RSA_BITS.start() { "too short" } else { "too long" };
                Some((format!("an RSA key of {bits} bits, which is {which}"), new()))
            }
            Kind::RsaPss => {
                let words = "an RSA-PSS key, which signs in that way alone".to_owned();
                Some((words, format!("an ordinary RSA key signs in this way, too; {NEW}")))
            }
            Kind::Ec(curve) if CURVES.contains(&curve) => None,
            Kind::Ec(curve) => {
                let curve = name(&OTHER_CURVES, curve).map_or_else(|id| id, str::to_owned);
                Some((format!("a key on the curve {curve}, which isn't taken"), new()))
            }
            Kind::EcExplicit => {
                let words = "a key whose curve is written out instead of named".to_owned();
                let again = "a certificate of such a key has it so as well, and has to be made anew from it";
                Some((
                    words,
                    match file {
                        Some(file) => format!(
                            "openssl ec -in {} -param_enc named_curve -out …; {again}",
                            file.display()
                        ),
                        None => {
                            format!("openssl ec -in KEY -param_enc named_curve -out …; {again}")
                        }
                    },
                ))
            }
            Kind::Other(ED25519) => None,
            Kind::Other(id) => {
                let words = name(&OTHER_ALGORITHMS, id)
                    .map_or_else(|id| format!("a key of the algorithm {id}"), str::to_owned);
                Some((words, new()))
            }
        }
    }
}

/// Of a number as DER has it: an octet in front says that it is positive.
fn bits_of(number: &[u8]) -> usize {
    let number = number.iter().position(|byte| *byte != 0).and_then(|from| number.get(from..));
    let Some(number) = number else { return 0 };
    let first = number.first().map_or(0, |byte| byte.leading_zeros());
    let first = usize::try_from(first).unwrap_or(0);
    number.len().saturating_mul(8).saturating_sub(first)
}

#[cfg(test)]
mod tests;

//! Reads of an X.509 certificate (RFC 5280 §4.1) what people need to be told when it is refused:
//! rustls shows none of it, and decides without what is read here.
//!
//! ```text
//! Certificate ::= SEQUENCE { tbsCertificate SEQUENCE {
//!     [0] version OPTIONAL, serialNumber INTEGER, signature SEQUENCE, issuer SEQUENCE,
//!     validity SEQUENCE { notBefore Time, notAfter Time }, subject SEQUENCE,
//!     subjectPublicKeyInfo SEQUENCE, …, [3] extensions OPTIONAL }, … }
//! ```

use std::net::IpAddr;

use text::escape;

use crate::der::{
    BIT_STRING, BOOLEAN, INTEGER, OCTET_STRING, OID, SEQUENCE, SET, dotted, element, elements, next,
};
use crate::validity::Validity;

const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;

const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];
const UNIT: &[u8] = &[0x55, 0x04, 0x0b];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 17];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 19];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
/// Those that the verifier knows: key usage, alternative name, basic constraints, name
/// constraints, distribution points, extended key usage.
const KNOWN: [&[u8]; 6] = [
    &[0x55, 0x1d, 15],
    ALTERNATIVE_NAME,
    BASIC_CONSTRAINTS,
    &[0x55, 0x1d, 30],
    &[0x55, 0x1d, 31],
    EXTENDED_KEY_USAGE,
];
/// The beginning of the identifiers of purposes, and their names by what follows it.
const PURPOSES: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3];
const PURPOSE_NAMES: [(u8, &str); 6] = [
    (1, "serverAuth"),
    (2, "clientAuth"),
    (3, "codeSigning"),
    (4, "emailProtection"),
    (8, "timeStamping"),
    (9, "OCSPSigning"),
];

/// What of a certificate is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct X509<'a> {
    /// 1 to 3, as people count them.
    pub(crate) version: u8,
    /// Content of the name of who signed it.
    pub(crate) issuer: &'a [u8],
    pub(crate) validity: Validity,
    /// Content of its name.
    pub(crate) subject: &'a [u8],
    /// `SubjectPublicKeyInfo`, whole.
    pub(crate) key: &'a [u8],
    extensions: &'a [u8],
    signature_algorithm: &'a [u8],
}

/// A host that a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Address(IpAddr),
}

impl<'a> X509<'a> {
    /// `None`: it isn't a certificate.
    pub(crate) fn read(certificate: &'a [u8]) -> Option<X509<'a>> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (tbs, after_tbs) = element(certificate, SEQUENCE)?;
        let (algorithm, _) = element(after_tbs, SEQUENCE)?;
        let (signature_algorithm, _) = element(algorithm, OID)?;
        let (version, rest) = match element(tbs, VERSION) {
            Some((number, rest)) => {
                let (number, _) = element(number, INTEGER)?;
                (number.first()?.saturating_add(1), rest)
            }
            None => (1, tbs),
        };
        let (_, rest) = element(rest, INTEGER)?;
        let (_, rest) = element(rest, SEQUENCE)?;
        let (issuer, rest) = element(rest, SEQUENCE)?;
        let (validity, rest) = element(rest, SEQUENCE)?;
        let validity = Validity::read(validity)?;
        let (subject, rest) = element(rest, SEQUENCE)?;
        let key = next(rest).filter(|key| key.tag == SEQUENCE)?;
        let extensions = elements(key.rest).find(|one| one.tag == EXTENSIONS);
        let extensions = match extensions {
            Some(wrapped) => element(wrapped.content, SEQUENCE)?.0,
            None => &[],
        };
        Some(X509 {
            version,
            issuer,
            validity,
            subject,
            key: key.whole,
            extensions,
            signature_algorithm,
        })
    }

    /// Its name for people.
    pub(crate) fn name(&self) -> String {
        name(self.subject)
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    pub(crate) fn has_alternative_names(&self) -> bool {
        self.extension(ALTERNATIVE_NAME).is_some()
    }

    /// The hosts that it is for, and nothing else that stands among them.
    pub(crate) fn hosts(&self) -> Vec<Host> {
        const DNS_NAME: u8 = 0x82;
        const IP_ADDRESS: u8 = 0x87;
        let list = self.extension(ALTERNATIVE_NAME).and_then(|value| element(value, SEQUENCE));
        let names = elements(list.map_or(&[][..], |(list, _)| list));
        let host = |tag: u8, content: &[u8]| match (tag, content.len()) {
            (DNS_NAME, _) => Some(Host::Name(String::from_utf8_lossy(content).into_owned())),
            (IP_ADDRESS, 4) => {
                let bytes: [u8; 4] = content.try_into().ok()?;
                Some(Host::Address(IpAddr::from(bytes)))
            }
            (IP_ADDRESS, 16) => {
                let bytes: [u8; 16] = content.try_into().ok()?;
                Some(Host::Address(IpAddr::from(bytes)))
            }
            _ => None,
        };
        names.filter_map(|name| host(name.tag, name.content)).collect()
    }

    /// Whether it says that it is an authority's; `None`: it says nothing.
    pub(crate) fn is_authority(&self) -> Option<bool> {
        let (constraints, _) = element(self.extension(BASIC_CONSTRAINTS)?, SEQUENCE)?;
        // The default is `FALSE`.
        Some(element(constraints, BOOLEAN).is_some_and(|(value, _)| value != [0]))
    }

    /// What it is for, by the names that openssl gives; empty: it doesn't say.
    pub(crate) fn purposes(&self) -> Vec<String> {
        let Some(value) = self.extension(EXTENDED_KEY_USAGE) else { return Vec::new() };
        let Some((list, _)) = element(value, SEQUENCE) else { return Vec::new() };
        elements(list).map(|one| purpose(one.content)).collect()
    }

    /// The first critical extension that the verifier doesn't know.
    pub(crate) fn unknown_critical(&self) -> Option<String> {
        let unknown = self
            .each_extension()
            .find(|(id, critical, _)| *critical && !KNOWN.contains(id))
            .map(|(id, _, _)| id)?;
        Some(dotted(unknown))
    }

    /// The hash of its signature, where that one is too weak to be taken.
    pub(crate) fn weak_hash(&self) -> Option<&'static str> {
        match *self.signature_algorithm {
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5]
            | [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1]
            | [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3]
            | [0x2b, 0x0e, 3, 2, 29] => Some("SHA-1"),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 4] => Some("MD5"),
            [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 2] => Some("MD2"),
            _ => None,
        }
    }

    pub(crate) fn signature_algorithm(&self) -> String {
        dotted(self.signature_algorithm)
    }

    fn extension(&self, wanted: &[u8]) -> Option<&'a [u8]> {
        self.each_extension().find(|(id, _, _)| *id == wanted).map(|(_, _, value)| value)
    }

    /// Identifier, whether it is critical, value.
    fn each_extension(&self) -> impl Iterator<Item = (&'a [u8], bool, &'a [u8])> {
        elements(self.extensions).filter_map(|extension| {
            let (id, rest) = element(extension.content, OID)?;
            let (critical, rest) = match element(rest, BOOLEAN) {
                Some((value, rest)) => (value != [0], rest),
                None => (false, rest),
            };
            let (value, _) = element(rest, OCTET_STRING)?;
            Some((id, critical, value))
        })
    }
}

/// When a certificate in DER is valid; `None` if it isn't one.
pub(crate) fn validity_of(certificate: &[u8]) -> Option<Validity> {
    X509::read(certificate).map(|read| read.validity)
}

/// Bits of an RSA key; `None`: it is of another kind. `key` is a `SubjectPublicKeyInfo`, or its
/// content.
pub(crate) fn rsa_bits(key: &[u8]) -> Option<usize> {
    let content = match element(key, SEQUENCE) {
        // The content begins with a sequence too, and isn't over behind it.
        Some((content, [])) => content,
        _ => key,
    };
    let (algorithm, rest) = element(content, SEQUENCE)?;
    element(algorithm, OID).filter(|(id, _)| *id == RSA)?;
    let (bits, _) = element(rest, BIT_STRING)?;
    let (numbers, _) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
    let (modulus, _) = element(numbers, INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    let significant = modulus.get(zeros..)?;
    let first = significant.first()?;
    let unused = usize::try_from(first.leading_zeros()).ok()?;
    significant.len().checked_mul(8)?.checked_sub(unused)
}

/// A purpose as openssl calls it.
pub(crate) fn purpose(oid: &[u8]) -> String {
    let known = oid.strip_prefix(PURPOSES).and_then(|last| match last {
        [last] => PURPOSE_NAMES.iter().find(|(number, _)| number == last).map(|(_, name)| *name),
        _ => None,
    });
    match known {
        Some(known) => known.to_owned(),
        None if *oid == [0x55, 0x1d, 37, 0] => "anyExtendedKeyUsage".to_owned(),
        None => dotted(oid),
    }
}

/// A name for people: the common name, or else unit or organisation.
pub(crate) fn name(content: &[u8]) -> String {
    let field = |wanted: &[u8]| {
        elements(content).filter(|set| set.tag == SET).find_map(|set| {
            elements(set.content).find_map(|pair| {
                let (id, rest) = element(pair.content, OID)?;
                let value = next(rest)?;
                (id == wanted).then(|| text_of(value.tag, value.content))
            })
        })
    };
    let found = [COMMON_NAME, UNIT, ORGANISATION].into_iter().find_map(field);
    found.map_or_else(|| "(without a name)".to_owned(), |name| escape(&name).to_string())
}

/// Text of any of ASN.1's many types of strings.
fn text_of(tag: u8, content: &[u8]) -> String {
    const BMP_STRING: u8 = 0x1e;
    if tag != BMP_STRING {
        return String::from_utf8_lossy(content).into_owned();
    }
    let units = content.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
    char::decode_utf16(units).map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

#[cfg(test)]
mod tests;

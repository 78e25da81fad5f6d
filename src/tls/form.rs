//! What a file is that isn't the PEM which is wanted: other forms of certificates and keys, by what
//! they are, with the line that converts them.

use std::path::Path;

use crate::der::{BIT_STRING, INTEGER, OCTET_STRING, OID, SEQUENCE, element, next};
use crate::x509::X509;

/// What is wanted of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Certificate,
    Key,
}

/// A form that isn't taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What it is: `PKCS#12`.
    pub is: &'static str,
    /// What to do about it.
    pub remedy: String,
}

const PKCS7: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
const JAVA_KEY_STORES: [&[u8]; 2] = [&[0xfe, 0xed, 0xfe, 0xed], &[0xce, 0xce, 0xce, 0xce]];
const UTF_16: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];

/// What a file without a PEM section is; `None`: nothing that is known.
pub(crate) fn of_file(bytes: &[u8], path: &Path, wanted: Wanted) -> Option<Form> {
    let file = path.display();
    if UTF_16.iter().any(|mark| bytes.starts_with(mark)) {
        let remedy = format!("iconv -f UTF-16 -t UTF-8 {file} > …");
        return Some(Form { is: "text in UTF-16", remedy });
    }
    if JAVA_KEY_STORES.iter().any(|magic| bytes.starts_with(magic)) {
        let remedy = format!(
            "keytool -importkeystore -srckeystore {file} -destkeystore x.p12 -deststoretype PKCS12, \
             then openssl pkcs12 -in x.p12 -nodes -out …"
        );
        return Some(Form { is: "a Java key store", remedy });
    }
    if bytes.starts_with(b"PuTTY-User-Key-File") {
        let remedy =
            format!("puttygen {file} -O private-openssh -o x, then ssh-keygen -p -m PEM -f x");
        return Some(Form { is: "a key of PuTTY", remedy });
    }
    if let Some(form) = of_text(bytes, path, wanted) {
        return Some(form);
    }
    // An old packet of a public or secret key, of version 4.
    if let [0x95 | 0x99, _, _, 4, ..] = bytes {
        return Some(openpgp(wanted));
    }
    // PKCS#12 is often written with lengths that DER doesn't have.
    if bytes.starts_with(&[SEQUENCE, 0x80, INTEGER, 1, 3]) {
        return Some(pkcs12(path, wanted));
    }
    let (content, _) = element(bytes, SEQUENCE)?;
    if X509::read(bytes).is_some() {
        let remedy = format!("openssl x509 -inform der -in {file} -out …");
        return Some(Form { is: "a certificate in DER", remedy });
    }
    let first = next(content)?;
    let second = next(first.rest).map(|second| second.tag);
    let key = |is, options: &str| {
        Some(Form { is, remedy: format!("openssl pkey -inform der {options}-in {file} -out …") })
    };
    match (first.tag, first.content, second) {
        (INTEGER, [3], Some(SEQUENCE)) => Some(pkcs12(path, wanted)),
        (INTEGER, [0 | 1], Some(SEQUENCE | INTEGER | OCTET_STRING)) => {
            key("a private key in DER", "")
        }
        (OID, PKCS7, _) => {
            Some(Form { is: "PKCS#7 in DER", remedy: pkcs7(path, wanted, "-inform der ") })
        }
        (SEQUENCE, inner, Some(OCTET_STRING)) if element(inner, OID).is_some() => {
            key("an encrypted private key in DER", "")
        }
        (SEQUENCE, inner, Some(BIT_STRING)) if element(inner, OID).is_some() => {
            Some(Form { is: "a public key in DER", remedy: public_key(wanted) })
        }
        // The request's own version is 0, with the name behind it.
        (SEQUENCE, inner, Some(SEQUENCE)) if inner.starts_with(&[INTEGER, 1, 0, SEQUENCE]) => {
            Some(Form { is: "a certificate request in DER", remedy: request(wanted) })
        }
        (SEQUENCE, inner, Some(SEQUENCE)) if is_revocation_list(inner) => {
            Some(Form { is: "a revocation list in DER", remedy: revocation_list(wanted) })
        }
        _ => None,
    }
}

fn request(wanted: Wanted) -> String {
    match wanted {
        Wanted::Certificate => {
            "what is wanted is the certificate that the authority made of it: have it signed there"
        }
        Wanted::Key => {
            "what is wanted is the private key of what the authority made of it, which openssl req \
             wrote to another file (-keyout)"
        }
    }
    .to_owned()
}

fn public_key(wanted: Wanted) -> String {
    match wanted {
        Wanted::Certificate => "what is wanted is the certificate that the authority made for it",
        Wanted::Key => "what is wanted is the private key that belongs to it",
    }
    .to_owned()
}

fn pkcs7(path: &Path, wanted: Wanted, der: &str) -> String {
    let command = format!("openssl pkcs7 {der}-print_certs -in {}", path.display());
    match wanted {
        Wanted::Certificate => format!("{command} -out …"),
        Wanted::Key => format!(
            "there are certificates in it ({command}) and no key, which is in the file that openssl \
             req wrote when the certificate was asked for (-keyout)"
        ),
    }
}

fn revocation_list(wanted: Wanted) -> String {
    match wanted {
        Wanted::Certificate => {
            "it says which certificates are void; what is wanted is a certificate, which the authority \
             has beside it"
        }
        Wanted::Key => "it says which certificates are void; what is wanted is a private key",
    }
    .to_owned()
}

fn openpgp(wanted: Wanted) -> Form {
    let remedy = match wanted {
        Wanted::Certificate => {
            "TLS takes none of them: ask the authority for an X.509 certificate in PEM"
        }
        Wanted::Key => "TLS takes none of them: openssl genpkey -algorithm ed25519 -out …",
    };
    Form { is: "a key of OpenPGP", remedy: remedy.to_owned() }
}

/// A list of certificates that are void: version 2 or none, algorithm, name, time.
fn is_revocation_list(inner: &[u8]) -> bool {
    let rest = element(inner, INTEGER).map_or(inner, |(_, rest)| rest);
    let time = element(rest, SEQUENCE).and_then(|(_, rest)| element(rest, SEQUENCE));
    time.is_some_and(|(_, rest)| matches!(rest, [0x17 | 0x18, ..]))
}

/// Texts that aren't PEM.
fn of_text(bytes: &[u8], path: &Path, wanted: Wanted) -> Option<Form> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let file = path.display();
    let begins = |words: &[&[u8]]| words.iter().any(|word| text.starts_with(word));
    if begins(&[b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-", b"---- BEGIN SSH2 PUBLIC KEY"]) {
        return Some(Form { is: "a public key of OpenSSH", remedy: public_key(wanted) });
    }
    if begins(&[b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML", b"<?xml"]) {
        let remedy = "a page was downloaded instead of the file".to_owned();
        return Some(Form { is: "a page of the web", remedy });
    }
    // A long element of DER in base64.
    if begins(&[b"MII"])
        && text.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
    {
        let label = match wanted {
            Wanted::Certificate => "CERTIFICATE",
            Wanted::Key => "PRIVATE KEY",
        };
        let remedy = format!(
            "(echo -----BEGIN {label}-----; cat {file}; echo; echo -----END {label}-----) > …"
        );
        return Some(Form { is: "base64 without the lines of PEM around it", remedy });
    }
    None
}

fn pkcs12(path: &Path, wanted: Wanted) -> Form {
    let options = match wanted {
        Wanted::Certificate => "-nokeys",
        Wanted::Key => "-nocerts -nodes",
    };
    let remedy = format!("openssl pkcs12 -in {} {options} -out …", path.display());
    Form { is: "PKCS#12", remedy }
}

/// What a section is whose label isn't wanted, where that explains why nothing else is there.
pub(crate) fn of_section(label: &str, path: &Path, wanted: Wanted) -> Option<Form> {
    let file = path.display();
    let form = |is, remedy: String| Some(Form { is, remedy });
    match label {
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            form("a certificate request", request(wanted))
        }
        "PKCS7" | "PKCS #7 SIGNED DATA" => form("PKCS#7", pkcs7(path, wanted, "")),
        "CMS" if wanted == Wanted::Certificate => form(
            "CMS",
            format!("openssl cms -cmsout -inform pem -print -in {file} shows what is in it"),
        ),
        "X509 CRL" => form("a revocation list", revocation_list(wanted)),
        "OPENSSH PRIVATE KEY" if wanted == Wanted::Certificate => form(
            "a private key of OpenSSH",
            "what is wanted is a certificate, which an authority makes for a key".to_owned(),
        ),
        "PGP PUBLIC KEY BLOCK" | "PGP PRIVATE KEY BLOCK" | "PGP MESSAGE" | "PGP SIGNATURE" => {
            Some(openpgp(wanted))
        }
        "DH PARAMETERS" | "X9.42 DH PARAMETERS" | "EC PARAMETERS" | "DSA PARAMETERS"
            if wanted == Wanted::Key =>
        {
            form(
                "parameters of a key, without one",
                format!("for a key by them: openssl genpkey -paramfile {file} -out …"),
            )
        }
        "OPENSSH PRIVATE KEY" => form(
            "a key of OpenSSH",
            format!(
                "RSA and ECDSA: on a copy of it, ssh-keygen -p -N \"\" -m PEM -f {file}; Ed25519 has no \
                 other form there: make a new key, openssl genpkey -algorithm ed25519 -out …"
            ),
        ),
        "DSA PRIVATE KEY" => {
            form("a DSA key", "TLS has none of them any more: RSA, ECDSA, Ed25519".to_owned())
        }
        "PUBLIC KEY" | "RSA PUBLIC KEY" | "SSH2 PUBLIC KEY" => {
            form("a public key", public_key(wanted))
        }
        "TSS2 PRIVATE KEY" => form(
            "a key that is held by a TPM",
            "a sealed half reaches no TPM; wanted a key in the file itself".to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

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
            let remedy = format!("openssl pkcs7 -inform der -print_certs -in {file} -out …");
            Some(Form { is: "PKCS#7 in DER", remedy })
        }
        (SEQUENCE, inner, Some(OCTET_STRING)) if element(inner, OID).is_some() => {
            key("an encrypted private key in DER", "")
        }
        (SEQUENCE, inner, Some(BIT_STRING)) if element(inner, OID).is_some() => {
            Some(Form { is: "a public key in DER", remedy: NO_PUBLIC_KEY.to_owned() })
        }
        // The request's own version is 0, with the name behind it.
        (SEQUENCE, inner, Some(SEQUENCE)) if inner.starts_with(&[INTEGER, 1, 0, SEQUENCE]) => {
            Some(Form { is: "a certificate request in DER", remedy: REQUEST.to_owned() })
        }
        _ => None,
    }
}

const REQUEST: &str = "what is wanted is the certificate that the authority made of it";
const NO_PUBLIC_KEY: &str = "what is wanted is the private key that belongs to it";

fn pkcs12(path: &Path, wanted: Wanted) -> Form {
    let options = match wanted {
        Wanted::Certificate => "-nokeys",
        Wanted::Key => "-nocerts -nodes",
    };
    let remedy = format!("openssl pkcs12 -in {} {options} -out …", path.display());
    Form { is: "PKCS#12", remedy }
}

/// What a section is whose label isn't wanted, where that explains why nothing else is there.
pub(crate) fn of_section(label: &str, path: &Path) -> Option<Form> {
    let file = path.display();
    let form = |is, remedy: String| Some(Form { is, remedy });
    match label {
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            form("a certificate request", REQUEST.to_owned())
        }
        "PKCS7" | "PKCS #7 SIGNED DATA" | "CMS" => {
            form("PKCS#7", format!("openssl pkcs7 -print_certs -in {file} -out …"))
        }
        "X509 CRL" => form("a revocation list", "what is wanted is a certificate".to_owned()),
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
        "PUBLIC KEY" | "RSA PUBLIC KEY" => form("a public key", NO_PUBLIC_KEY.to_owned()),
        "TSS2 PRIVATE KEY" => form(
            "a key that is held by a TPM",
            "a sealed half reaches no TPM; wanted a key in the file itself".to_owned(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

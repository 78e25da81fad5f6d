//! Why a server's certificate was refused, in words and with the remedy: what comes behind `the
//! broker's certificate`. The verifier's word alone is often no more than `unknown issuer`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::{CertificateError, OtherError, RootCertStore};
use rustls_pki_types::CertificateDer;
use text::{escape, format_date};
use webpki::Error as Webpki;

use crate::der::{SEQUENCE, element};
use crate::kind::{KEYS, Kind};
use crate::x509::{Host, X509, name, rsa_bits};

/// Below that no signature is taken.
const MIN_RSA_BITS: usize = 2_048;

/// What a server has shown, and who is trusted.
pub(crate) struct Shown<'a> {
    pub(crate) end_entity: &'a CertificateDer<'a>,
    pub(crate) intermediates: &'a [CertificateDer<'a>],
    pub(crate) roots: &'a RootCertStore,
}

/// What is wrong; `None`: what the verifier says is all that is known.
pub(crate) fn why_refused(why: &CertificateError, shown: &Shown<'_>) -> Option<String> {
    let own = X509::read(shown.end_entity)?;
    match why {
        CertificateError::NotValidForNameContext { .. } if !own.has_alternative_names() => {
            Some(format!(
                "has no subjectAltName; its common name `{}` doesn't count (RFC 9525): have it \
                 issued again with subjectAltName=DNS:… or IP:…",
                own.name()
            ))
        }
        CertificateError::NotValidForNameContext { expected, .. } => {
            Some(other_hosts(&own.hosts(), &expected.to_str()))
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            let end = at(not_after.as_secs())?;
            let signer = shown.signers().find(|signer| signer.validity.not_after == end)?;
            if own.validity.not_after == end {
                return None;
            }
            Some(format!(
                "was signed by `{}`, whose own certificate expired on {}: the broker must show a \
                 newer one with it",
                signer.name(),
                format_date(end)
            ))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let begin = at(not_before.as_secs())?;
            let signer = shown.signers().find(|signer| signer.validity.not_before == begin)?;
            if own.validity.not_before == begin {
                return None;
            }
            Some(format!(
                "was signed by `{}`, whose own certificate is not valid before {}",
                signer.name(),
                format_date(begin)
            ))
        }
        CertificateError::UnknownIssuer => Some(unknown_issuer(&own, shown)),
        CertificateError::BadSignature => Some(bad_signature(&own, shown)),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            Some(bad_algorithm(&own, shown))
        }
        CertificateError::InvalidPurposeContext { .. } => {
            let is_wrong = |one: &X509<'_>| {
                let purposes = one.purposes();
                !purposes.is_empty() && !purposes.iter().any(|one| one == "serverAuth")
            };
            let remedy = "have it issued again with serverAuth, or without extendedKeyUsage";
            if is_wrong(&own) {
                let purposes = own.purposes().join(", ");
                return Some(format!(
                    "isn't for servers: its extendedKeyUsage is {purposes}; {remedy}"
                ));
            }
            let signer = shown.signers().find(is_wrong)?;
            Some(format!(
                "was signed by `{}`, which may not sign for servers: the extendedKeyUsage of that \
                 authority is {}; {remedy}",
                signer.name(),
                signer.purposes().join(", ")
            ))
        }
        CertificateError::UnhandledCriticalExtension => unknown_critical(&own, shown),
        CertificateError::BadEncoding => Some("can't be read: its encoding is damaged".to_owned()),
        CertificateError::Other(OtherError(inner)) => {
            inner.downcast_ref::<Webpki>().map(|inner| webpki(inner, &own, shown))
        }
        _ => None,
    }
}

/// What the verifier has no word of TLS for.
fn webpki(why: &Webpki, own: &X509<'_>, shown: &Shown<'_>) -> String {
    match why {
        Webpki::UnsupportedCertVersion => match shown.first(|one| one.version < 3) {
            Some((one, whose)) if one.subject != own.subject => format!(
                "{whose} X.509 version {}: an authority's needs version 3 with \
                 basicConstraints=critical,CA:TRUE; have it signed again",
                one.version
            ),
            Some((one, whose)) => format!(
                "{whose} X.509 version {}, which has no subjectAltName: have it signed again with \
                 extensions (openssl x509 -req … -extfile san.cnf, or openssl ca with \
                 x509_extensions)",
                one.version
            ),
            None => "is of a version of X.509 that isn't known".to_owned(),
        },
        Webpki::CaUsedAsEndEntity => format!(
            "is an authority's (CA:TRUE, `{}`), and a server can't have one: make the broker a \
             certificate of its own, signed by that authority (CA:FALSE, subjectAltName)",
            own.name()
        ),
        Webpki::EndEntityUsedAsCa => {
            match shown.signers().find(|one| one.is_authority() != Some(true)) {
                Some(signer) => format!(
                    "was signed by `{}`, which isn't an authority (its certificate lacks CA:TRUE)",
                    signer.name()
                ),
                None => format!("was signed by `{}`, which isn't an authority", name(own.issuer)),
            }
        }
        Webpki::NameConstraintViolation => "has a name that the name constraints of its authority \
                                            don't allow"
            .to_owned(),
        Webpki::PathLenConstraintViolated => "was signed by an authority below another that may \
                                              have none below it (pathlen)"
            .to_owned(),
        Webpki::UnsupportedCriticalExtension => unknown_critical(own, shown)
            .unwrap_or_else(|| "has a critical extension that isn't known".to_owned()),
        Webpki::ExtensionValueInvalid | Webpki::MalformedExtensions => {
            "has extensions that aren't well-formed".to_owned()
        }
        Webpki::SignatureAlgorithmMismatch => {
            "names two different algorithms of its signature".to_owned()
        }
        Webpki::InvalidSerialNumber => "has a serial number that isn't well-formed".to_owned(),
        Webpki::EmptyEkuExtension => "has an empty extendedKeyUsage".to_owned(),
        Webpki::MaximumPathDepthExceeded
        | Webpki::MaximumPathBuildCallsExceeded
        | Webpki::MaximumSignatureChecksExceeded
        | Webpki::MaximumNameConstraintComparisonsExceeded => {
            "comes with more other certificates than are looked through".to_owned()
        }
        // The library's own word, apart.
        other => format!("is refused ({})", apart(&format!("{other:?}"))),
    }
}

/// Where the chain that was shown comes to its end: the name of who has signed that.
fn top<'a>(own: &X509<'a>, shown: &Shown<'a>) -> X509<'a> {
    let mut top = *own;
    for _ in 0..shown.intermediates.len() {
        match shown.signers().find(|signer| signer.subject == top.issuer) {
            Some(signer) if !signer.is_self_issued() => top = signer,
            _ => break,
        }
    }
    top
}

fn unknown_issuer(own: &X509<'_>, shown: &Shown<'_>) -> String {
    let top = top(own, shown);
    if own.is_self_issued() {
        return format!(
            "is self-signed (`{}`), and isn't in `ca-file`: put it there if it is the broker's, or \
             the certificate of the authority that is to sign it",
            own.name()
        );
    }
    if shown.has_itself(own) {
        return format!(
            "stands in `ca-file` itself, where that of the authority `{}` is wanted, which has signed it",
            name(own.issuer)
        );
    }
    let signed = if top.subject == own.subject {
        format!("isn't trusted: it was signed by `{}`", clipped(&name(top.issuer), 40))
    } else {
        format!("isn't trusted: its chain ends at `{}`", clipped(&name(top.issuer), 40))
    };
    if shown.is_root(top.issuer) {
        return format!(
            "{signed}; `ca-file` has an authority of that name with another key: is it an older or \
             a newer one?"
        );
    }
    // An event keeps 256 bytes of it: what is to be done must be among them.
    let known = shown.roots.roots.first().map(|root| clipped(&name(&root.subject), 32));
    let more = if shown.roots.roots.len() > 1 { ", …" } else { "" };
    format!(
        "{signed}, which is neither in `ca-file` (there: `{}`{more}) nor shown: `ca-file` is another's, \
         or an intermediate authority isn't shown",
        known.unwrap_or_default()
    )
}

/// The hosts of a certificate, of which the one that is wanted is none.
fn other_hosts(hosts: &[Host], wanted: &str) -> String {
    const MAX_NAMED: usize = 3;
    if hosts.iter().any(|host| matches!(host, Host::Name(name) if name == wanted))
        && wanted.parse::<std::net::IpAddr>().is_ok()
    {
        return format!(
            "has `{wanted}` as a DNS name, wanted: as an IP address (subjectAltName=IP:{wanted}); have \
             it issued again"
        );
    }
    let names: Vec<String> = hosts
        .iter()
        .take(MAX_NAMED)
        .map(|host| match host {
            Host::Name(name) => format!("`{}`", clipped(&escape(name).to_string(), 40)),
            Host::Address(address) => format!("`{address}`"),
        })
        .collect();
    let more = match hosts.len().saturating_sub(names.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match names.is_empty() {
        true => format!("names no host, wanted: `{wanted}`"),
        false => format!("is of {}{more}, wanted: `{wanted}`", names.join(", ")),
    }
}

/// No more than so many characters.
fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn bad_signature(own: &X509<'_>, shown: &Shown<'_>) -> String {
    if let Some((signer, bits)) = shown.weak_signer() {
        return format!(
            "was signed by `{signer}` with an RSA key of {bits} bits; {MIN_RSA_BITS} is the least \
             that is taken: that authority needs a new key"
        );
    }
    let issuer = top(own, shown).issuer;
    if shown.is_root(issuer) {
        return format!(
            "isn't trusted: it was signed with another key than that of the authority `{}` in \
             `ca-file`; is that an older or a newer one of the same name?",
            name(issuer)
        );
    }
    "has a signature that is wrong: it was damaged, or isn't by whom it names".to_owned()
}

fn bad_algorithm(own: &X509<'_>, shown: &Shown<'_>) -> String {
    if let Some((signer, what)) =
        shown.signer_that(|key| Some(Kind::of_public(key)?.refused(None)?.0))
    {
        return format!(
            "was signed by `{signer}`, an authority with {what}; {KEYS}: that authority needs another \
             key"
        );
    }
    if let Some((one, whose)) = shown.first(|one| one.weak_hash().is_some()) {
        return format!(
            "{whose} signed with {}, which is broken: have it signed again with SHA-256",
            one.weak_hash().unwrap_or_default()
        );
    }
    format!(
        "has a signature of a kind that isn't taken ({}): RSA with SHA-256 or better, ECDSA on \
         P-256, P-384 or P-521, and Ed25519 are",
        own.signature_algorithm()
    )
}

fn unknown_critical(own: &X509<'_>, shown: &Shown<'_>) -> Option<String> {
    let (one, _) = shown.first(|one| one.unknown_critical().is_some())?;
    let id = one.unknown_critical()?;
    let whose = match one.subject == own.subject {
        true => String::new(),
        false => format!("was signed by `{}`, which ", one.name()),
    };
    Some(format!(
        "{whose}has a critical extension that isn't known ({id}): have it issued again without it, or \
         not critical"
    ))
}

/// What is wrong with the key of a certificate.
pub(crate) fn weak_key(certificate: &CertificateDer<'_>) -> Option<String> {
    let key = X509::read(certificate)?.key;
    let Some(bits) = rsa_bits(key).filter(|bits| *bits < MIN_RSA_BITS) else {
        let (what, _) = Kind::of_public(key)?.refused(None)?;
        return Some(format!("is for {what}; {KEYS}: the broker needs a new key and certificate"));
    };
    Some(format!(
        "has an RSA key of {bits} bits; {MIN_RSA_BITS} is the least that is taken: the broker needs a \
         new key and certificate"
    ))
}

impl<'a> Shown<'a> {
    /// Certificates that came with the server's.
    fn signers(&self) -> impl Iterator<Item = X509<'a>> {
        self.intermediates.iter().filter_map(|one| X509::read(one))
    }

    /// The first of which `test` holds, and how a sentence about it begins.
    fn first(&self, test: impl Fn(&X509<'_>) -> bool) -> Option<(X509<'a>, String)> {
        let own = X509::read(self.end_entity)?;
        if test(&own) {
            return Some((own, "is".to_owned()));
        }
        let signer = self.signers().find(|signer| test(signer))?;
        Some((signer, format!("comes with that of `{}`, which is", signer.name())))
    }

    /// Whether the certificate is one of those that it should have been signed by.
    fn has_itself(&self, own: &X509<'_>) -> bool {
        let key = element(own.key, SEQUENCE).map(|(content, _)| content);
        let mut roots = self.roots.roots.iter();
        roots.any(|root| {
            root.subject.as_ref() == own.subject
                && Some(root.subject_public_key_info.as_ref()) == key
        })
    }

    fn is_root(&self, subject: &[u8]) -> bool {
        self.roots.roots.iter().any(|root| root.subject.as_ref() == subject)
    }

    /// Who signed one of them with a key that is too small.
    fn weak_signer(&self) -> Option<(String, usize)> {
        self.signer_that(|key| rsa_bits(key).filter(|bits| *bits < MIN_RSA_BITS))
    }

    /// Who signed one of them with a key of which `test` says something, and that.
    fn signer_that<T>(&self, test: impl Fn(&[u8]) -> Option<T>) -> Option<(String, T)> {
        let mut issuers = X509::read(self.end_entity).into_iter().chain(self.signers());
        issuers.find_map(|one| {
            let of_root =
                self.roots.roots.iter().filter(|root| root.subject.as_ref() == one.issuer);
            let of_root = of_root.filter_map(|root| test(&root.subject_public_key_info)).next();
            let shown = self.signers().find(|signer| signer.subject == one.issuer);
            let said = of_root.or_else(|| shown.and_then(|signer| test(signer.key)))?;
            Some((name(one.issuer), said))
        })
    }
}

fn at(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// `invalid cert validity` of `InvalidCertValidity`.
fn apart(word: &str) -> String {
    let mut text = String::new();
    for letter in word.chars() {
        if letter.is_ascii_uppercase() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push(letter.to_ascii_lowercase());
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests;

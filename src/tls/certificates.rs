//! When certificates end: those of files, and the one that a server shows.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use text::format_date;

/// How many days before its end a certificate is warned about: a month is what people need to get
/// a new one in a plant.
pub const EXPIRY_WARNING_DAYS: i64 = 30;

const DAY_S: u64 = 24 * 60 * 60;

/// Whole days from `now` to the end of a certificate; negative once it has ended.
pub fn days_left(not_after: SystemTime, now: SystemTime) -> i64 {
    let days = |span: Duration| i64::try_from(span.as_secs() / DAY_S).unwrap_or(i64::MAX);
    match not_after.duration_since(now) {
        Ok(left) => days(left),
        // The day on which it ended is the first that isn't left.
        Err(over) => days(over.duration()).saturating_neg().saturating_sub(1),
    }
}

/// When a certificate ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateEnd {
    /// Its file, with its number and name where there are several, or ``of the server `…` ``.
    pub certificate: String,
    /// A server's, who has shown it.
    pub is_peers: bool,
    /// In the file of our own certificate, behind it: a broker may need it, or not.
    pub is_behind_own: bool,
    pub not_after: SystemTime,
}

/// The certificate of a server, as its handshakes show it. Shared by who verifies it, who warns
/// of its end, and who says how the half is.
#[derive(Debug)]
pub struct PeerCertificate {
    certificate: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    not_after: Option<SystemTime>,
    /// What was warned of last: the day, and the end.
    warned: Option<(String, SystemTime)>,
}

impl PeerCertificate {
    /// Of the server called `name`, which hasn't shown one yet.
    pub fn new(name: &str) -> PeerCertificate {
        PeerCertificate { certificate: format!("of the server `{name}`"), known: Mutex::default() }
    }

    /// What events call it.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The server has shown a certificate that ends then, and is the server.
    pub fn accept(&self, not_after: SystemTime) {
        self.known().not_after = Some(not_after);
    }

    /// Its end, once the server has shown it.
    pub fn end(&self) -> Option<CertificateEnd> {
        let not_after = self.known().not_after?;
        Some(CertificateEnd {
            certificate: self.certificate.clone(),
            is_peers: true,
            is_behind_own: false,
            not_after,
        })
    }

    /// Whether it is to be looked at: once a day (UTC), and whenever the server shows another one.
    /// The answer is taken for done.
    pub fn is_due(&self, now: SystemTime, not_after: SystemTime) -> bool {
        let shown = Some((format_date(now), not_after));
        let mut known = self.known();
        let is_due = known.warned != shown;
        known.warned = shown;
        is_due
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // Each field is written whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called with the certificate that a server shows, its end and the time, before it is verified.
pub type PeerShown = fn(&PeerCertificate, SystemTime, SystemTime);

//! Certificates that end: an event before they do, and every day.

use std::time::SystemTime;

use text::format_date;
use tls::{EXPIRY_WARNING_DAYS, PeerCertificate, days_left};

use crate::event;

/// Emits that this certificate ends within [`EXPIRY_WARNING_DAYS`] of `now`, or has ended.
pub fn emit_expiry(certificate: &str, not_after: SystemTime, now: SystemTime) {
    let expires = format_date(not_after);
    match days_left(not_after, now) {
        ..0 => event!(CertExpired, certificate, expires),
        left @ 0..EXPIRY_WARNING_DAYS => {
            event!(CertExpires, certificate, expires, days_left = left)
        }
        _ => {}
    }
}

/// Emits the same of the certificate of a server, once a day and when the server shows another.
pub fn emit_peer_expiry(peer: &PeerCertificate, not_after: SystemTime, now: SystemTime) {
    if peer.is_due(now, not_after) {
        emit_expiry(peer.certificate(), not_after, now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::Event;
    use crate::capture::{capture, triggered};

    #[test]
    fn a_certificate_is_warned_about_for_a_month_and_then_called_expired() {
        let end = UNIX_EPOCH.checked_add(Duration::from_secs(1_795_354_043)).unwrap();
        let before = |days: u64| end.checked_sub(Duration::from_secs(days * 86_400)).unwrap();
        assert!(capture(|| emit_expiry("a.pem", end, before(31))).is_empty());
        let emitted = capture(|| emit_expiry("a.pem", end, before(29)));
        triggered(&emitted, Event::CertExpires);
        let line = emitted[0].message();
        assert!(line.ends_with("certificate=a.pem expires=2026-11-22 days_left=29"), "{line}");
        let after = end.checked_add(Duration::from_secs(1)).unwrap();
        triggered(&capture(|| emit_expiry("a.pem", end, after)), Event::CertExpired);
    }
}

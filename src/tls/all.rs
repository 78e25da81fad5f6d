//! All certificates that a process uses: those of files, and those that servers show.

use std::sync::Arc;

use crate::certificates::{CertificateEnd, PeerCertificate};
use crate::source::Source;

/// All certificates that a half uses.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// Of files, read at the start.
    pub ends: Vec<CertificateEnd>,
    /// Of servers.
    pub peers: Vec<Arc<PeerCertificate>>,
    /// Of files that are taken up while the process runs.
    pub sources: Vec<Arc<Source>>,
}

impl Certificates {
    /// The one that ends first, as far as they are known.
    pub fn first_end(&self) -> Option<CertificateEnd> {
        let peers = self.peers.iter().filter_map(|peer| peer.end());
        let renewed = self.sources.iter().flat_map(|source| source.ends());
        self.ends.iter().cloned().chain(renewed).chain(peers).min_by_key(|end| end.not_after)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn a_peers_certificate_counts_once_it_was_shown_and_is_due_once_a_day_or_when_it_changes() {
        let at = |days: u64| UNIX_EPOCH + Duration::from_secs(days * 86_400);
        let peer = Arc::new(PeerCertificate::new("broker"));
        let file =
            CertificateEnd { certificate: "ca.pem".into(), is_peers: false, not_after: at(100) };
        let all = Certificates {
            ends: vec![file.clone()],
            peers: vec![Arc::clone(&peer)],
            sources: Vec::new(),
        };
        assert_eq!(all.first_end(), Some(file));
        peer.accept(at(50));
        assert_eq!(all.first_end().unwrap().certificate, "of the server `broker`");
        assert!(peer.is_due(at(7), at(50)) && !peer.is_due(at(7), at(50)));
        assert!(peer.is_due(at(7), at(60)), "another certificate");
        assert!(peer.is_due(at(8), at(60)) && !peer.is_due(at(8), at(60)));
    }
}

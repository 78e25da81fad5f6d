//! All certificates that a process uses: those of files, and those that servers show.

use std::sync::Arc;

use crate::certificates::CertificateEnd;
use crate::source::Source;

/// All certificates that a half uses.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    /// The files of each connection, with what its server has shown.
    pub sources: Vec<Arc<Source>>,
}

impl Certificates {
    /// The one that ends first, as far as they are known, of those without which there is no connection.
    pub fn first_end(&self) -> Option<CertificateEnd> {
        let peers = self.sources.iter().filter_map(|source| source.peer().end());
        let files = self.sources.iter().flat_map(|source| source.ends());
        files.filter(|end| !end.is_behind_own).chain(peers).min_by_key(|end| end.not_after)
    }

    /// Of those that stand behind our own in its file, the one that ends first.
    pub fn first_end_behind_own(&self) -> Option<CertificateEnd> {
        let files = self.sources.iter().flat_map(|source| source.ends());
        files.filter(|end| end.is_behind_own).min_by_key(|end| end.not_after)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::TlsConfig;
    use crate::lab::Lab;

    #[test]
    fn a_peers_certificate_counts_once_it_was_shown_and_is_due_once_a_day_or_when_it_changes() {
        let at = |days: u64| UNIX_EPOCH + Duration::from_secs(days * 86_400);
        let lab = Lab::new();
        let (authority, _) = lab.issue("ca", (1970, 1, 1), (1970, 4, 11));
        lab.write("ca.pem", authority, 0o644);
        let config = TlsConfig { identity: None, ..lab.config("broker") };
        let file = CertificateEnd {
            certificate: config.ca_file.display().to_string(),
            is_peers: false,
            is_behind_own: false,
            not_after: at(100),
        };
        let source = Arc::new(Source::open(config, |_, _, _| {}).unwrap());
        let peer = Arc::clone(source.peer());
        let all = Certificates { sources: vec![source] };
        assert_eq!(all.first_end(), Some(file));
        peer.accept(at(50));
        assert_eq!(all.first_end().unwrap().certificate, "of the server `broker`");
        assert!(peer.is_due(at(7), at(50)) && !peer.is_due(at(7), at(50)));
        assert!(peer.is_due(at(7), at(60)), "another certificate");
        assert!(peer.is_due(at(8), at(60)) && !peer.is_due(at(8), at(60)));
    }
}

//! Certificates that are exchanged while they are in use: an event for each change.

use std::path::{Path, PathBuf};

use tls::{Certificates, Change, Look};

use crate::event;

/// Takes up files that are others now, and emits what came of it. Whether others are in force.
pub fn take_up(certificates: &Certificates, why: Look) -> bool {
    let now = clock::wall();
    let mut renewed = false;
    for source in &certificates.sources {
        if let Some(change) = source.look(why, now) {
            renewed |= matches!(change, Change::Renewed { .. });
            emit(&change, &source.paths());
        }
    }
    renewed
}

fn emit(change: &Change, all: &[PathBuf]) {
    match change {
        Change::Renewed { files, .. } => {
            let expires = change.expires_on();
            event!(CertRenewed, files = names(files), expires = expires.as_deref());
        }
        Change::Mended => event!(CertRenewed, files = names(all)),
        Change::Refused { error, hint } => {
            event!(CertNotRenewed, error, hint = hint.as_deref());
        }
        Change::Unreadable { file, error } => {
            event!(CertNeedsRestart, file = file.display().to_string(), error);
        }
    }
}

fn names(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| shown(file)).collect();
    names.join(" ")
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;
    use crate::capture::{capture, triggered};

    #[test]
    fn each_change_is_an_event() {
        let file = PathBuf::from("client.pem");
        let emitted = |change: &Change| capture(|| emit(change, &[PathBuf::from("ca.pem")]));
        let change = Change::Renewed {
            files: vec![file.clone()],
            expires: Some(std::time::SystemTime::UNIX_EPOCH),
        };
        triggered(&emitted(&change), Event::CertRenewed);
        let line = emitted(&change)[0].message();
        assert!(line.ends_with("files=client.pem expires=1970-01-01"), "{line}");
        triggered(&emitted(&Change::Mended), Event::CertRenewed);
        let refused = Change::Refused { error: "why".into(), hint: Some("what".into()) };
        triggered(&emitted(&refused), Event::CertNotRenewed);
        let hidden = Change::Unreadable { file, error: "permission denied (13)".into() };
        triggered(&emitted(&hidden), Event::CertNeedsRestart);
    }
}

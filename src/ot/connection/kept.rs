//! At which server of the broker the session is kept. What another one kept of an earlier session is older
//! than what has come since: it is thrown away before the relay subscribes there, so that nothing old comes
//! as new. Known over a restart, since a server keeps its sessions over ours.

use std::fmt;

use prost::Message;
use state::{StateDir, StateError, StateFile, Stored};
use telemetry::event;

const SERVER: StateFile = StateFile { name: "server.state", magic: *b"SPKDSRV1" };

#[derive(Clone, PartialEq, Eq, Message)]
struct StoredServer {
    /// `host:port`, as it is configured.
    #[prost(string, tag = "1")]
    address: String,
}

/// Where the session is kept.
pub(crate) struct Kept {
    /// `None`: nobody knows of any server.
    address: Option<String>,
    state: StateDir,
    /// All servers keep the same.
    is_shared: bool,
}

impl Kept {
    /// As it is stored. `is_shared`: what one server keeps, all of them have.
    ///
    /// # Errors
    /// The operating system refuses, or something else lies in the file's place.
    pub(crate) fn open(state: StateDir, is_shared: bool) -> Result<Kept, StateError> {
        let address = match state.load::<StoredServer>(SERVER)? {
            Stored::Found(stored) => Some(stored.address),
            Stored::Absent => None,
            Stored::Damaged { moved_to } => {
                let moved_to = moved_to.display();
                event!(StateDamaged, what = "server", why = "damaged", moved_to = %moved_to);
                // Some server, and none of those that are configured.
                Some(String::new())
            }
        };
        Ok(Kept { address, state, is_shared })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Option<&str> {
        self.address.as_deref()
    }

    /// Whether what the server at `address` may keep for us is of an earlier time.
    pub(super) fn is_stale_at(&self, address: &str) -> bool {
        !self.is_shared && self.address.as_deref().is_some_and(|kept| kept != address)
    }

    /// From now on it is there. Where that can't be stored, a restart throws away what is kept.
    pub(super) fn is_at(&mut self, address: String) {
        if self.address.as_ref() == Some(&address) {
            return;
        }
        let stored = StoredServer { address };
        if let Err(error) = self.state.save(SERVER, &stored) {
            event!(DiskError, what = "state", error = %error);
        }
        self.address = Some(stored.address);
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kept").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(directory: &std::path::Path, is_shared: bool) -> Kept {
        Kept::open(StateDir::open(directory).unwrap(), is_shared).unwrap()
    }

    #[test]
    fn what_another_server_keeps_is_stale_over_a_restart_too() {
        let directory = tempfile::tempdir().unwrap();
        let mut first = kept(directory.path(), false);
        assert!(!first.is_stale_at("a:1") && !first.is_stale_at("b:1"), "nothing is known");
        first.is_at("a:1".to_owned());
        assert!(!first.is_stale_at("a:1") && first.is_stale_at("b:1"));
        drop(first);
        let mut second = kept(directory.path(), false);
        assert_eq!(second.address(), Some("a:1"));
        assert!(second.is_stale_at("b:1"));
        second.is_at("b:1".to_owned());
        assert!(second.is_stale_at("a:1") && !second.is_stale_at("b:1"));
        drop(second);
        assert!(!kept(directory.path(), true).is_stale_at("a:1"), "they share it");
    }

    #[test]
    fn of_a_damaged_file_every_server_is_another_one() {
        let directory = tempfile::tempdir().unwrap();
        kept(directory.path(), false).is_at("a:1".to_owned());
        std::fs::write(directory.path().join("server.state"), b"SPKDSRV1 and no more").unwrap();
        let kept = kept(directory.path(), false);
        assert!(kept.is_stale_at("a:1") && kept.is_stale_at("b:1"));
    }
}

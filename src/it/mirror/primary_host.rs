//! What is known of the IT primary host, whose STATE births may wait for.

use super::Mirror;

/// STATE of the primary host (Sparkplug 3.0 §5.4): the newest that was accepted.
#[derive(Debug, Default)]
pub(super) struct PrimaryHost {
    pub(super) online: bool,
    pub(super) timestamp: u64,
}

impl Mirror {
    /// Whether births wait for the primary host.
    pub fn waits_for_host(&self) -> bool {
        self.settings.primary_host.is_some() && !self.host.online
    }

    /// All sessions go to another server of the broker. What the host said at the one before says nothing
    /// of this one, where its STATE may be of an earlier time: it has a session with each of them.
    pub fn server_changed(&mut self) {
        self.host = PrimaryHost::default();
    }
}

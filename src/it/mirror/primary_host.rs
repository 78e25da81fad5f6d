//! What is known of the IT primary host, whose STATE births may wait for.

/// STATE of the primary host (Sparkplug 3.0 §5.4): the newest that was accepted.
#[derive(Debug, Default)]
pub(super) struct PrimaryHost {
    pub(super) online: bool,
    pub(super) timestamp: u64,
}

//! Where the nodes stand with a link that is full.

/// Where the nodes stand with the link.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Overload {
    /// Data of high priority waits for the link: no other data passes it by.
    pub(super) alarms: bool,
    /// The node whose turn it is.
    pub(super) next: usize,
}

//! What a node keeps of its publications that the broker isn't known to hold, and of frames that it
//! missed.

/// What the broker is known to hold of the live publications.
#[derive(Debug, Default)]
pub(super) struct Confirm {
    /// Lowest published frame that isn't confirmed. While there is one, `Timer::ConfirmLive`
    /// runs, until the session begins to close.
    pub(super) pending: Option<u64>,
    /// Highest published frame.
    pub(super) published: u64,
    /// Highest published frame when the unanswered barrier was sent.
    pub(super) barrier: Option<u64>,
    /// The lowest number of those published since then that aren't behind it by their number.
    pub(super) again: Option<u64>,
}

/// Frames `from..to` of a node that were not published live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MissedRange {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Everything below was published as historical by the current pass, or isn't this node's.
    pub(super) sent_to: u64,
    /// The unanswered barrier covers up to here.
    pub(super) barrier_to: u64,
    /// The current backfill pass covers this range from its start.
    pub(super) in_pass: bool,
}

impl MissedRange {
    /// What was sent of it counts no more.
    pub(super) fn start_over(&mut self) {
        self.sent_to = self.from;
        self.in_pass = false;
    }
}

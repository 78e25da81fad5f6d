//! How long, and when last, an edge node was heard that is new since this start.

use std::time::Duration;

/// When an edge node that is new since this start was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Since when it is followed.
    pub(crate) since: Duration,
    /// Its last data.
    pub(crate) last_data: Option<Duration>,
}

//! How many bytes of memory a node has counted.

/// What a node has counted.
#[derive(Debug, Default)]
pub(super) struct NodeMemory {
    /// What it and its devices take, as it was counted last.
    pub(super) bytes: usize,
    /// What of that its own metrics take.
    pub(super) own: usize,
    /// What of it the list has counted.
    pub(super) listed: usize,
}

impl NodeMemory {
    /// Another node takes the place in the list.
    pub(super) fn replace(&mut self, former: &NodeMemory) {
        self.listed = former.listed;
    }

    /// A device is gone of which so many bytes were counted.
    pub(super) fn forget(&mut self, counted: usize) {
        self.bytes = self.bytes.saturating_sub(counted);
    }
}

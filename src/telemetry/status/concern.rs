//! Something that somebody should look at, asked for whenever it is said how the half is.

use std::fmt;
use std::sync::Arc;

/// Asks whether something is wrong, and what, in words.
type Ask = dyn Fn() -> Option<String> + Send + Sync;

/// What may be wrong; by default nothing can.
#[derive(Clone, Default)]
pub struct Concern(Option<Arc<Ask>>);

impl Concern {
    pub fn new(ask: impl Fn() -> Option<String> + Send + Sync + 'static) -> Concern {
        Concern(Some(Arc::new(ask)))
    }

    /// What is wrong now.
    pub(super) fn words(&self) -> Option<String> {
        self.0.as_ref().and_then(|ask| ask())
    }
}

impl fmt::Debug for Concern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Concern").field(&self.0.is_some()).finish()
    }
}

//! How the server is called that a half uses: of several, that may be another one at any time.

use std::fmt;
use std::sync::Arc;

type Ask = dyn Fn() -> String + Send + Sync;

/// Asked for each status.
#[derive(Clone, Default)]
pub struct BrokerName(Option<Arc<Ask>>);

impl BrokerName {
    pub fn new(ask: impl Fn() -> String + Send + Sync + 'static) -> BrokerName {
        BrokerName(Some(Arc::new(ask)))
    }

    /// What it is now; empty where there is no broker.
    pub(super) fn now(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |ask| ask())
    }
}

impl fmt::Debug for BrokerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("BrokerName").field(&self.now()).finish()
    }
}

//! What the connections of one broker share: the way into the router, who is connected, the
//! filters of persistent sessions, and the count of what each client sent.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rumqttd::Notification;
use rumqttd::local::{LinkRx, LinkTx};
use tokio::sync::oneshot;

use super::Sent;

type Link = (LinkTx, LinkRx, Notification);

/// Connects a client (escaped identifier, clean session) to the router.
type Connect = dyn Fn(&str, bool) -> Option<Link> + Send + Sync;

/// What all connections of one broker share.
pub(super) struct Shared {
    pub(super) connect: Box<Connect>,
    /// Live connections by client identifier.
    pub(super) sessions: Mutex<HashMap<String, Live>>,
    /// Filters of persistent sessions, connected or not.
    pub(super) filters: Mutex<HashMap<String, Vec<String>>>,
    pub(super) witness: Arc<Mutex<BTreeMap<String, Sent>>>,
}

/// The way to end a connection that another one takes over.
pub(super) struct Live {
    pub(super) end: oneshot::Sender<()>,
    /// Closed once the old session has published its will and left the router.
    pub(super) ended: oneshot::Receiver<()>,
}

impl Shared {
    pub(super) fn lock_sessions(&self) -> MutexGuard<'_, HashMap<String, Live>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn filters(&self, client_id: &str) -> Option<Vec<String>> {
        let filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        filters.get(client_id).cloned()
    }

    pub(super) fn keep_filters(&self, client_id: &str, kept: Vec<String>, clean: bool) {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if clean {
            filters.remove(client_id);
        } else {
            filters.insert(client_id.to_owned(), kept);
        }
    }

    pub(super) fn count(&self, client_id: &str, add: impl FnOnce(&mut Sent)) {
        let mut witness = self.witness.lock().unwrap_or_else(PoisonError::into_inner);
        match witness.get_mut(client_id) {
            Some(sent) => add(sent),
            None => add(witness.entry(client_id.to_owned()).or_default()),
        }
    }
}

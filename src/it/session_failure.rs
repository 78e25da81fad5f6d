//! How a session on the IT broker ended that wasn't closed.

use std::sync::Arc;

use broker::ConnectFailure;

use crate::mirror::NodeId;

/// A session that failed.
#[derive(Clone, Debug)]
pub(super) struct SessionFailure {
    pub(super) node: NodeId,
    /// `group/edge_node`.
    pub(super) name: String,
    pub(super) client_id: Arc<str>,
    pub(super) failure: ConnectFailure,
    /// Its words where sessions of others stand, if they are others then.
    pub(super) beside: Option<String>,
    pub(super) ended: Ended,
}

/// Where it was, and by whom it was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The broker never took it.
    BeforeSession,
    /// It took it, and didn't answer the subscription.
    AtSubscribe,
    /// It stood, and the broker ended it.
    ByBroker,
    /// It stood, and the network or we ended it.
    Otherwise,
}

//! What fuzz targets and the simulation ask of the IT half beyond what runs: its state as bytes, a
//! mirror without the fast path, one conversation with a broker, the half by hand.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker::BrokerSettings;
use prost::Message;

use crate::DriverEvent;
use crate::connection::Sessions;
pub use crate::driver::by_hand::{Half, HalfSettings};
use crate::mirror::{Mirror, MirrorSnapshot, NodeId, Qos, SessionEvent, SessionSpec};
pub use crate::place_teller::PlaceTeller;
use crate::pool::Pool;

/// Largest packet that a session hands on.
pub const MAX_INCOMING_BYTES: usize = crate::connection::MAX_INCOMING_BYTES;

/// Lets data take the fast path, or not.
pub fn take_fast_path(mirror: &mut Mirror, takes: bool) {
    mirror.takes_fast_path = takes;
}

/// The mirror as it would be stored. Once for a mirror: a second one has only what changed.
pub fn snapshot(mirror: &mut Mirror) -> Vec<u8> {
    mirror.begin_snapshot();
    let mut nodes = BTreeMap::new();
    loop {
        let part = mirror.take_snapshot_part(1_000);
        nodes.extend(part.nodes.iter().map(|node| (node.id(), node.encode())));
        if let Some(head) = part.head {
            let pieces = nodes.into_values().flatten();
            return head.encode_to_vec().into_iter().chain(pieces).collect();
        }
    }
}

/// Restores a new mirror; false: `stored` can't be read.
pub fn restore(mirror: &mut Mirror, stored: &[u8], bd_seqs: Vec<(String, u8)>) -> bool {
    let Ok(stored) = MirrorSnapshot::decode(stored) else { return false };
    mirror.restore(stored, bd_seqs);
    true
}

/// Holds one session until it ends: once it is ready it publishes `publications`, asks for a
/// barrier, and closes if `closes`. Returns what it said; `None`: it goes on after `within`.
pub async fn converse(
    broker: BrokerSettings,
    spec: SessionSpec,
    publications: Vec<(Arc<str>, Vec<u8>, Qos)>,
    closes: bool,
    within: Duration,
) -> Option<Vec<SessionEvent>> {
    const NODE: NodeId = NodeId(0);
    let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
    let mut sessions = Sessions::new(broker, None, tokio::runtime::Handle::current(), sender);
    sessions.open(NODE, spec);
    let mut publications = Some(publications);
    let mut told = Vec::new();
    let listening = async {
        while let Some(next) = events.recv().await {
            let DriverEvent::Session { event, .. } = next else { continue };
            told.push(event.clone());
            match event {
                SessionEvent::Lost { .. } | SessionEvent::Closed => return,
                SessionEvent::Received { .. }
                | SessionEvent::TooLarge { .. }
                | SessionEvent::Impossible { .. } => {
                    sessions.commands_taken(event.published_bytes());
                }
                SessionEvent::Confirmed => {}
                SessionEvent::Ready => {
                    for (topic, payload, qos) in publications.take().unwrap_or_default() {
                        sessions.publish(NODE, topic, payload, qos);
                    }
                    sessions.barrier(NODE, Qos::AtMostOnce);
                    if closes {
                        sessions.close(NODE);
                    }
                }
            }
        }
    };
    tokio::time::timeout(within, listening).await.ok()?;
    Some(told)
}

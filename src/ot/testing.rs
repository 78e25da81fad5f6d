//! What tests and fuzz targets ask of the OT half beyond what runs: its state as bytes, a pipeline
//! without the fast path, one conversation with a broker, a reader of its journal, the half by hand.

mod reader;

use std::cell::RefCell;
use std::time::Duration;

use broker::BrokerSettings;
use bytes::Bytes;
use journal_format::Body;
use prost::Message;
pub use reader::Reader;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;

use crate::Now;
use crate::connection::{self, Delivered, Receipt, SessionEvent, Sink};
use crate::decisions::Decisions;
use crate::pipeline::Pipeline;
use crate::plant::StoredPlant;
use crate::rule_counters::RuleMatches;
pub use crate::worker::by_hand::{Half, HalfSettings, Message as Delivery};

/// Lets data take the fast path, or not.
pub fn take_fast_path(pipeline: &mut Pipeline, takes: bool) {
    pipeline.takes_fast_path = takes;
}

/// The plant as it would be stored.
pub fn store(pipeline: &Pipeline) -> Vec<u8> {
    pipeline.store(0).encode_to_vec()
}

/// The same after so many restarts, without what each of them adds: it counts as a loss of every
/// node.
pub fn store_after(pipeline: &Pipeline, restarts: u64) -> Vec<u8> {
    pipeline.store(0).before_restarts(restarts).encode_to_vec()
}

/// Restores a new pipeline; false: `stored` can't be read.
pub fn restore(
    pipeline: &mut Pipeline,
    now: Now,
    stored: &[u8],
    later: Vec<Body>,
    out: &mut Vec<Body>,
) -> bool {
    let Ok(stored) = StoredPlant::decode(stored) else { return false };
    let mut entries = Vec::new();
    pipeline.restore(now, stored, later.into_iter(), &mut entries);
    out.extend(entries.into_iter().map(Body::from));
    true
}

/// The drops that are remembered, as they would be stored.
pub fn decisions(pipeline: &Pipeline, now_ms: u64) -> Decisions {
    Decisions::of(pipeline, now_ms)
}

/// What each rule of the policy in shadow would have decided; none where no policy is.
pub fn shadow_hits(pipeline: &Pipeline) -> Vec<RuleMatches> {
    pipeline.shadow().map(|shadow| shadow.hits().collect()).unwrap_or_default()
}

/// What a session said, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The broker took the session.
    Connected { present: bool },
    /// A message came; `is_unread`: nothing but its topic is here.
    Message { topic: Bytes, payload: Bytes, retain: bool, dup: bool, qos: u8, is_unread: bool },
    /// The connection ended.
    Lost,
}

/// Holds a session until its connection ends, and acknowledges everything that comes. Runs on a
/// `LocalSet`; `None`: it goes on after `within`.
pub async fn converse(
    broker: &BrokerSettings,
    filters: Vec<String>,
    within: Duration,
) -> Option<Vec<Told>> {
    let (session, handle) = connection::session(broker, filters, None, None);
    let (receipts, released) = tokio::sync::mpsc::unbounded_channel();
    let acknowledging = tokio::task::spawn_local(handle.acknowledge(released));
    let listener = Listener { told: RefCell::default(), receipts, lost: Notify::new() };
    let ended = tokio::select! {
        () = session.run(&listener) => true,
        () = listener.lost.notified() => true,
        () = tokio::time::sleep(within) => false,
    };
    acknowledging.abort();
    ended.then(|| listener.told.into_inner())
}

struct Listener {
    told: RefCell<Vec<Told>>,
    receipts: UnboundedSender<Vec<Receipt>>,
    lost: Notify,
}

impl Sink for Listener {
    async fn put(&self, event: SessionEvent) {
        let messages = match event {
            SessionEvent::Connected { present } => {
                self.told.borrow_mut().push(Told::Connected { present });
                return;
            }
            SessionEvent::Lost => {
                self.told.borrow_mut().push(Told::Lost);
                self.lost.notify_one();
                return;
            }
            SessionEvent::Subscribed(_) => return,
            SessionEvent::Messages(messages) => messages,
        };
        for message in messages {
            let qos = message.qos();
            let Delivered { topic, payload, retain, dup, unread, receipt, .. } = message;
            let is_unread = unread.is_some();
            let told = Told::Message { topic, payload, retain, dup, qos, is_unread };
            self.told.borrow_mut().push(told);
            let _ = self.receipts.send(receipt.into_iter().collect());
        }
        // The acknowledgements leave before more is read.
        tokio::task::yield_now().await;
    }
}

//! One step of the mirror: what handling one frame, session event or tick may touch beside the
//! node that it is about.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use account::{Dropped, Ledger, Origin, Reason, What};
use policy::Policy;
use sparkplug::{DecodeError, Room};
use text::clean;

use super::Link;
use super::breath::Breath;
use super::fold::Folds;
use super::guard::Guard;
use super::node::Node;
use super::notice::{Notice, Notices, Tally};
use super::outgoing::{NodeId, Outgoing, Qos};
use super::primary_host::PrimaryHost;
use super::settings::{DataDatatypes, MirrorSettings};
use super::unread::Unread;
use crate::Now;

/// Bytes of a refused topic that are kept for the event about it.
const MAX_REFUSED_BYTES: usize = 256;

/// The parts of the mirror beside its nodes.
#[derive(Debug)]
pub(super) struct StepContext<'a> {
    pub(super) now: Now,
    pub(super) settings: &'a MirrorSettings,
    pub(super) policy: Option<&'a Policy>,
    pub(super) ledger: &'a mut Ledger,
    pub(super) tally: &'a mut Tally,
    /// Who sends and can't be shown.
    pub(super) unread: &'a mut Option<Unread>,
    pub(super) folds: &'a mut Folds,
    pub(super) host: &'a mut PrimaryHost,
    pub(super) out: &'a mut VecDeque<Outgoing>,
    pub(super) notices: &'a mut Notices,
    pub(super) link: Link,
    pub(super) stopping: bool,
    /// Some session with the broker stands.
    pub(super) broker_stands: bool,
    /// The next frame of the journal.
    pub(super) position: u64,
    /// Frames that were in the journal before the first start.
    pub(super) first_stretch: Option<(u64, u64)>,
    /// What may be remembered of the node that a frame is of.
    pub(super) room: Room,
    /// What was published, in bytes.
    pub(super) work: &'a mut u64,
    pub(super) breath: &'a mut Breath,
    pub(super) guard: &'a mut Guard,
    #[cfg(any(test, feature = "testing"))]
    pub(super) takes_fast_path: bool,
}

impl StepContext<'_> {
    pub(super) fn publish(&mut self, node: NodeId, topic: Arc<str>, payload: Vec<u8>) {
        let qos = self.settings.data_qos;
        self.work(payload.len());
        self.out.push_back(Outgoing::Publish { node, topic, payload, qos });
    }

    /// A stage of a birth is over.
    pub(super) fn breathe(&mut self) {
        self.breath.draw();
    }

    /// So much was done, in bytes that are published.
    pub(super) fn work(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        *self.work = self.work.saturating_add(bytes);
    }

    /// Whether data names datatypes; `typed`: the plant's does.
    pub(super) fn names_datatypes(&self, typed: bool) -> bool {
        match self.settings.data_datatypes {
            DataDatatypes::AsPlant => typed,
            DataDatatypes::Always => true,
            DataDatatypes::Never => false,
        }
    }

    /// Deaths are QoS 1, whatever the data is.
    pub(super) fn publish_assured(&mut self, node: NodeId, topic: Arc<str>, payload: Vec<u8>) {
        let qos = Qos::AtLeastOnce;
        self.work(payload.len());
        self.out.push_back(Outgoing::Publish { node, topic, payload, qos });
    }

    /// When the broker is asked to confirm what is published now.
    pub(super) fn confirm_by(&self) -> Duration {
        self.now.mono.saturating_add(self.settings.confirm_every)
    }

    /// Notes that frames `oldest..=newest` of a node are published live.
    pub(super) fn published(&self, node: &mut Node, oldest: u64, newest: u64) {
        node.published(self.confirm_by(), oldest, newest);
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.notices.push(notice);
    }

    /// Says that a frame isn't what an honest OT half writes, or not by limits that are ours too.
    #[cold]
    pub(super) fn refuse_frame(&mut self, topic: &str, payload: &[u8]) {
        let over = match sparkplug::decode(payload, &self.settings.caps) {
            Err(DecodeError::OverCap(over) | DecodeError::Bomb(over)) => Some(over),
            _ => None,
        };
        let (entity, reason) = (clean(topic, MAX_REFUSED_BYTES), Reason::BadFrame.name());
        self.notify(Notice::FrameRefused { entity, reason, over });
    }

    /// Counts metrics of which no more than the number is known.
    pub(super) fn drop_metrics(&mut self, origin: Origin<'_>, metrics: u64, reason: Reason) {
        self.ledger.drop(Dropped { origin, what: What::Metrics(metrics), reason, rule: None });
    }
}

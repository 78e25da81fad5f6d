//! Settings of the mirror.

use std::sync::Arc;
use std::time::Duration;

use sparkplug::{Budget, Caps};

use super::Qos;

/// Settings of the mirror.
#[derive(Debug, Clone)]
pub struct MirrorSettings {
    /// Silence of the journal, or absence of the OT half from its broker, after which every
    /// node is declared dead.
    pub stale_after: Duration,
    pub on_gap: OnGap,
    /// Shortest time between two birth sequences of a node that hosts ask for.
    pub rebirth_min_interval: Duration,
    /// Host application whose STATE births wait for (Sparkplug 3.0 §5.4).
    pub primary_host: Option<String>,
    /// Longest time that publications stay unconfirmed by the broker.
    pub confirm_every: Duration,
    /// QoS of births and data; Sparkplug's is 0.
    pub data_qos: Qos,
    pub data_datatypes: DataDatatypes,
    pub aliases: Aliases,
    /// All nodes of a group are devices of one edge node of this name on IT; `None`: each has a
    /// session of its own.
    pub fold: Option<Arc<str>>,
    /// Births of more bytes are compressed, where that makes them shorter.
    pub compress_births_above: Option<usize>,
    pub max_nodes: usize,
    pub max_devices_per_node: usize,
    /// What is remembered of the plant at most.
    pub budget: Budget,
    /// Read missed frames again and publish them as historical.
    pub backfill: bool,
    pub caps: Caps,
}

/// Whether data names the datatypes of its metrics. The specification prefers that it doesn't, and
/// some hosts can't read it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataDatatypes {
    /// Where the plant's does.
    AsPlant,
    Always,
    Never,
}

/// Which metrics have an alias on IT: a number of the relay's own, which their births say and by
/// which alone data names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Aliases {
    #[default]
    Never,
    /// Those that have one in the plant.
    AsPlant,
    Always,
}

/// What to do when messages of a node were lost before they reached the OT half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// New births with Quality 500 (stale) on every metric not seen since.
    Mark,
    /// NDEATH until the next real birth.
    Death,
    /// Count it.
    Ignore,
}

impl MirrorSettings {
    /// Topic of the primary host's STATE.
    pub(super) fn host_topic(&self) -> Option<String> {
        self.primary_host.as_ref().map(|host| format!("spBv1.0/STATE/{host}"))
    }
}

/// Bounds on what a writer may claim as its keyframe interval.
const KEYFRAME_EVERY_S: std::ops::RangeInclusive<u64> = 1..=86_400;

/// A writer's keyframe interval in seconds, within bounds.
pub(super) fn keyframe_interval(seconds: u64) -> Duration {
    Duration::from_secs(seconds.clamp(*KEYFRAME_EVERY_S.start(), *KEYFRAME_EVERY_S.end()))
}

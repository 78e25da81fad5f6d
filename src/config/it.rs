//! Configuration of the IT half (`it.toml`).

use std::path::PathBuf;
use std::time::Duration;

use super::BrokerConfig;

/// `client-id-prefix`: each mirrored edge node has an MQTT session of its own; this begins its
/// client identifier.
const DEFAULT_CLIENT_ID_PREFIX: &str = "sparkdiode";
/// `stale-after-s`: ten heartbeats. Shorter would turn a restart of the OT half into deaths,
/// longer would show false GOOD.
const DEFAULT_STALE_AFTER_S: u64 = 10;
/// `rebirth-min-interval-ms`: a host that asks again while the birth is on its way gets one
/// birth, not two; Sparkplug 3.0 gives five seconds for the answer.
const DEFAULT_REBIRTH_MIN_INTERVAL_MS: u64 = 1_000;
/// `confirm-every-ms`: what a kill of the IT half or its broker can make us repeat.
const DEFAULT_CONFIRM_EVERY_MS: u64 = 2_000;
/// `connects-per-s`: a thousand mirrored nodes come up in two seconds, and a broker that was
/// just restarted isn't knocked over by TLS handshakes.
const DEFAULT_CONNECTS_PER_S: u64 = 500;
/// `max-nodes`: as many as the OT half follows by default.
const DEFAULT_MAX_NODES: u64 = 10_000;
/// `[backfill] messages-per-s`: history arrives an order of magnitude faster than a usual
/// plant makes it, and leaves the broker room for live data.
const DEFAULT_BACKFILL_MESSAGES_PER_S: u64 = 1_000;

/// Everything that `sparkdiode it` is told. A value that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItConfig {
    /// Begins the MQTT client identifier of every mirrored edge node.
    pub client_id_prefix: String,
    pub broker: BrokerConfig,
    /// Directory of the journal that the OT half writes; only ever read.
    pub journal_path: PathBuf,
    /// Directory that this IT half alone may write.
    pub state_dir: PathBuf,
    /// A copy of the policy, against which frames are checked again. Empty: no copy.
    pub policy_paths: Vec<PathBuf>,
    pub mirror: MirrorConfig,
    pub backfill: BackfillConfig,
}

/// `[mirror]`: how the plant is shown on the IT broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorConfig {
    /// Heartbeat silence after which every node is declared dead. 3 s to 1 h.
    pub stale_after: Duration,
    pub on_gap: OnGap,
    /// Rebirth requests of IT hosts are answered at most this often per node. 100 ms to 10 min.
    pub rebirth_min_interval: Duration,
    /// Host application whose STATE gates every session; `None`: sessions don't wait.
    pub primary_host: Option<String>,
    /// How often the cursor is moved by a confirmed barrier. 100 ms to 60 s.
    pub confirm_every: Duration,
    pub data_qos: DataQos,
    /// New MQTT sessions per second. 1 to 10,000.
    pub connects_per_s: u32,
    /// Edge nodes that are mirrored; further ones are refused and counted. 1 to 100,000.
    pub max_nodes: usize,
}

/// What a gap in the plant's own sequence does to the mirrored node (`on-gap`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnGap {
    /// A new birth with Quality 500 (STALE) on every metric not seen since.
    Mark,
    /// NDEATH until the plant's next birth.
    Death,
    /// Only counted.
    Ignore,
}

/// QoS of NDATA and DDATA on the IT broker (`data-qos`); births and deaths follow Sparkplug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataQos {
    /// 0, as Sparkplug 3.0 §6.4 wants it.
    AtMostOnce,
    /// 1: every message is confirmed by the broker, which Sparkplug does not foresee.
    AtLeastOnce,
}

/// `[backfill]`: history after an outage of IT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillConfig {
    pub enabled: bool,
    /// Pace of historical messages. 1 to 1,000,000 per second.
    pub messages_per_s: u32,
}

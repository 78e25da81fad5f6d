//! Configuration of the OT half (`ot.toml`).

use std::path::PathBuf;
use std::time::Duration;

use super::{BrokerConfig, JournalConfig};

/// `keyframe-every-s`: after any loss the mirror is whole again within this time. A minute
/// costs a 300-metric birth per node and minute, a few per cent of usual data.
const DEFAULT_KEYFRAME_EVERY_S: u64 = 60;
/// `reorder-timeout-ms`: how long a gap in `seq` may be explained by messages that overtook
/// each other on different topics. Brokers that reorder at all do so within milliseconds.
const DEFAULT_REORDER_TIMEOUT_MS: u64 = 2_000;
/// `max-nodes`: bounds memory against invented edge nodes; ten times a large plant.
const DEFAULT_MAX_NODES: u64 = 10_000;
/// `max-devices-per-node`: bounds memory against invented devices; a gateway has some dozens.
const DEFAULT_MAX_DEVICES_PER_NODE: u64 = 1_000;

/// Everything that `sparkdiode ot` is told. A value that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtConfig {
    /// Name of this relay: 1 to 64 of `A–Z a–z 0–9 . _ -`. It is in the journal's `Start`
    /// frames.
    pub name: String,
    /// MQTT client identifier at the OT broker; it names the persistent session there.
    pub client_id: String,
    pub broker: BrokerConfig,
    /// Policy files, and directories of them; never empty. See [`super::policies`].
    pub policy_paths: Vec<PathBuf>,
    pub journal: JournalConfig,
    /// Directory that the OT half alone may write.
    pub state_dir: PathBuf,
    pub relay: RelayConfig,
}

/// `[relay]`: how the OT half follows the plant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Every live edge node and device is repeated in the journal this often. 5 s to 1 h.
    pub keyframe_every: Duration,
    /// How long a message that is out of order waits for the missing ones. 0 to 60 s.
    pub reorder_timeout: Duration,
    /// Edge nodes that are followed; further ones are refused and counted. 1 to 100,000.
    pub max_nodes: usize,
    /// Devices per edge node; further ones are refused and counted. 1 to 100,000.
    pub max_devices_per_node: usize,
}

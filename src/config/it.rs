//! Configuration of the IT half (`it.toml`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::{Diagnostics, SourceFile};
use serde::Deserialize;
use signature::Requirement;
use toml::Spanned;

use super::broker::{DEFAULT_IT_MAX_PACKET_BYTES, RawBroker};
use super::journal::{self, RawJournalSource};
use super::reader::{Environment, Reader, Section, code};
use super::sandbox::{RawSandbox, SandboxConfig};
use super::status::{HealthConfig, RawHealth, RawMetrics, RawStatus, StatusConfig};
use super::syslog::RawSyslog;
use super::{
    BrokerConfig, Policies, RawPolicies, RawState, SyslogConfig, read_policies, read_state,
};

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
/// `connects-per-s`: without it the pace begins with this, and is measured by the broker.
const FIRST_CONNECTS_PER_S: u32 = 500;
/// `max-nodes`: as many as the OT half follows by default.
const DEFAULT_MAX_NODES: u64 = 10_000;
/// `max-devices-per-node`: as many as the OT half follows by default.
const DEFAULT_MAX_DEVICES_PER_NODE: u64 = 1_000;
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
    pub first_start: FirstStart,
    /// Directory that this IT half alone may write.
    pub state_dir: PathBuf,
    /// Where events go besides stderr.
    pub syslog: Vec<SyslogConfig>,
    /// A copy of the policy, against which frames are checked again. Empty: no copy.
    pub policy_paths: Vec<PathBuf>,
    /// Whose signatures that copy needs; `None`: nobody's.
    pub require_signature: Option<Requirement>,
    pub mirror: MirrorConfig,
    pub backfill: BackfillConfig,
    pub status: StatusConfig,
    /// The relay's own edge node on IT; `None`: there is none.
    pub health: Option<HealthConfig>,
    pub sandbox: SandboxConfig,
}

/// Where an IT half without stored state begins to read the journal (`first-start`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// With the oldest frame: what came before the newest segment is sent as history.
    Oldest,
    /// With the newest segment.
    Newest,
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
    /// New MQTT sessions per second, 1 to 10,000; `None`: as fast as the broker takes them.
    pub connects_per_s: Option<u32>,
    /// Edge nodes that are mirrored; further ones are refused and counted. 1 to 100,000.
    pub max_nodes: usize,
    /// Devices per mirrored edge node; further ones are refused and counted. 1 to 100,000.
    pub max_devices_per_node: usize,
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

/// QoS of births and data on the IT broker (`data-qos`); deaths are always QoS 1.
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

/// `it.toml` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawIt {
    broker: Option<Spanned<RawBroker>>,
    journal: Option<Spanned<RawJournalSource>>,
    state: Option<Spanned<RawState>>,
    syslog: Option<Vec<Spanned<RawSyslog>>>,
    policies: Option<Spanned<RawPolicies>>,
    mirror: Option<Spanned<RawMirror>>,
    backfill: Option<Spanned<RawBackfill>>,
    status: Option<Spanned<RawStatus>>,
    health: Option<Spanned<RawHealth>>,
    metrics: Option<Spanned<RawMetrics>>,
    sandbox: Option<Spanned<RawSandbox>>,
}

/// `[mirror]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawMirror {
    stale_after_s: Option<Spanned<i64>>,
    on_gap: Option<Spanned<String>>,
    rebirth_min_interval_ms: Option<Spanned<i64>>,
    primary_host: Option<Spanned<String>>,
    confirm_every_ms: Option<Spanned<i64>>,
    data_qos: Option<Spanned<i64>>,
    connects_per_s: Option<Spanned<i64>>,
    max_nodes: Option<Spanned<i64>>,
    max_devices_per_node: Option<Spanned<i64>>,
}

/// `[backfill]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawBackfill {
    enabled: Option<Spanned<bool>>,
    messages_per_s: Option<Spanned<i64>>,
}

impl ItConfig {
    /// Reads `it.toml` and looks at the files that it names. Returns warnings beside the
    /// configuration.
    ///
    /// # Errors
    /// Every problem of the file, and of the secrets and certificates that it names. Policies
    /// are read by [`super::policies::load_sources`].
    pub fn load(path: &Path) -> Result<(ItConfig, Diagnostics), Diagnostics> {
        ItConfig::read(Reader::open(path, Environment::starting())?)
    }

    /// As [`ItConfig::load`], for a person who checks a text that was read before: where
    /// systemd's credentials don't exist yet, that is a warning.
    pub fn check(file: SourceFile) -> Result<(ItConfig, Diagnostics), Diagnostics> {
        ItConfig::read(Reader::new(file, Environment::checking()))
    }

    pub(super) fn read(mut reader: Reader) -> Result<(ItConfig, Diagnostics), Diagnostics> {
        let config = reader.raw::<RawIt>().and_then(|raw| ItConfig::typed(&mut reader, raw));
        reader.finish(config)
    }

    fn typed(reader: &mut Reader, raw: RawIt) -> Option<ItConfig> {
        let (section, mut broker) = Section::of("broker", raw.broker);
        if let Some(id) = broker.client_id.take() {
            let problem = reader
                .error(code::COMBINATION, id.span(), "`client-id` belongs into `ot.toml`")
                .label("the IT half has a session per edge node: `client-id-prefix`");
            reader.push(problem);
        }
        let prefix = reader.text("client-id-prefix", broker.client_id_prefix.take(), prefix_fault);
        let broker = BrokerConfig::read(reader, &section, broker, DEFAULT_IT_MAX_PACKET_BYTES);
        let (section, source) = Section::of("journal", raw.journal);
        let journal_path = journal::read_path(reader, &section, source.path);
        let words = [("oldest", FirstStart::Oldest), ("newest", FirstStart::Newest)];
        // By default nothing that was acknowledged to the OT broker is left out.
        let first_start =
            reader.word("first-start", source.first_start.as_ref(), &words, FirstStart::Oldest);
        let (section, state) = Section::of("state", raw.state);
        let state_dir = read_state(reader, &section, state, "\"/var/lib/sparkdiode/it\"");
        let syslog = SyslogConfig::read_all(reader, raw.syslog);
        let policies = match raw.policies {
            Some(policies) => {
                let (section, mut policies) = Section::of("policies", Some(policies));
                if let Some(key) = policies.pseudonym_key_file.take() {
                    let title = "`pseudonym-key-file` belongs into `ot.toml`";
                    let problem = reader
                        .error(code::COMBINATION, key.span(), title)
                        .label("this half must not be able to find out who is who")
                        .help("it knows pseudonyms by their form");
                    reader.push(problem);
                }
                read_policies(reader, &section, policies, None)
            }
            None => Some(Policies::default()),
        };
        let (_, mirror) = Section::of("mirror", raw.mirror);
        let mirror = MirrorConfig::read(reader, mirror);
        let (_, backfill) = Section::of("backfill", raw.backfill);
        let messages_per_s = reader.number(
            "messages-per-s",
            backfill.messages_per_s.as_ref(),
            1..=1_000_000,
            DEFAULT_BACKFILL_MESSAGES_PER_S,
        );
        let status = StatusConfig::read(reader, raw.status, raw.metrics);
        let health = HealthConfig::read(reader, raw.health);
        let policies = policies?;
        let (_, sandbox) = Section::of("sandbox", raw.sandbox);
        let sandbox = SandboxConfig::read(reader, sandbox);
        Some(ItConfig {
            client_id_prefix: prefix.unwrap_or_else(|| DEFAULT_CLIENT_ID_PREFIX.to_owned()),
            broker: broker?,
            journal_path: journal_path?,
            first_start,
            state_dir: state_dir?,
            syslog: syslog?,
            policy_paths: policies.paths,
            require_signature: policies.require_signature,
            mirror,
            backfill: BackfillConfig {
                enabled: backfill.enabled.is_none_or(Spanned::into_inner),
                messages_per_s: bounded(messages_per_s),
            },
            status,
            health,
            sandbox,
        })
    }
}

impl MirrorConfig {
    fn read(reader: &mut Reader, raw: RawMirror) -> MirrorConfig {
        let stale_after_s = reader.number(
            "stale-after-s",
            raw.stale_after_s.as_ref(),
            3..=3_600,
            DEFAULT_STALE_AFTER_S,
        );
        let words = [("mark", OnGap::Mark), ("death", OnGap::Death), ("ignore", OnGap::Ignore)];
        let on_gap = reader.word("on-gap", raw.on_gap.as_ref(), &words, OnGap::Mark);
        let rebirth_min_interval_ms = reader.number(
            "rebirth-min-interval-ms",
            raw.rebirth_min_interval_ms.as_ref(),
            100..=600_000,
            DEFAULT_REBIRTH_MIN_INTERVAL_MS,
        );
        let confirm_every_ms = reader.number(
            "confirm-every-ms",
            raw.confirm_every_ms.as_ref(),
            100..=60_000,
            DEFAULT_CONFIRM_EVERY_MS,
        );
        let data_qos = match reader.number("data-qos", raw.data_qos.as_ref(), 0..=1, 0) {
            0 => DataQos::AtMostOnce,
            _ => DataQos::AtLeastOnce,
        };
        let connects_per_s = raw.connects_per_s.as_ref().map(|per_s| {
            let first = u64::from(FIRST_CONNECTS_PER_S);
            bounded(reader.number("connects-per-s", Some(per_s), 1..=10_000, first))
        });
        let count = 1..=100_000;
        let max_nodes =
            reader.number("max-nodes", raw.max_nodes.as_ref(), count.clone(), DEFAULT_MAX_NODES);
        let max_devices_per_node = reader.number(
            "max-devices-per-node",
            raw.max_devices_per_node.as_ref(),
            count,
            DEFAULT_MAX_DEVICES_PER_NODE,
        );
        MirrorConfig {
            stale_after: Duration::from_secs(stale_after_s),
            on_gap,
            rebirth_min_interval: Duration::from_millis(rebirth_min_interval_ms),
            primary_host: reader.text("primary-host", raw.primary_host, host_id_fault),
            confirm_every: Duration::from_millis(confirm_every_ms),
            data_qos,
            connects_per_s,
            // Both were bounded above, far below any `usize`.
            max_nodes: usize::try_from(max_nodes).unwrap_or(usize::MAX),
            max_devices_per_node: usize::try_from(max_devices_per_node).unwrap_or(usize::MAX),
        }
    }
}

/// A number whose range was checked and lies far below any `u32`.
fn bounded(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The rest of a client identifier is made from the edge node's name; with this bound it stays
/// below what brokers take.
fn prefix_fault(prefix: &str) -> Option<String> {
    let fits = (1..=32).contains(&prefix.len())
        && prefix.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    (!fits).then(|| "wanted 1 to 32 of `A-Z a-z 0-9 . _ -`".to_owned())
}

/// A host application's identifier is one topic level (Sparkplug 3.0 §4.1.5).
fn host_id_fault(id: &str) -> Option<String> {
    let fits = (1..=256).contains(&id.len())
        && !id.chars().any(|letter| "+#/".contains(letter) || letter.is_control());
    (!fits).then(|| "wanted the identifier of a host application, without `+`, `#`, `/`".to_owned())
}

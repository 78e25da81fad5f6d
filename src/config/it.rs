//! Configuration of the IT half (`it.toml`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::{Diagnostics, Section, SourceFile};
use signature::Requirement;
use sparkplug::Caps;

use super::broker::{BROKER_KEYS, DEFAULT_IT_MAX_PACKET_BYTES, packet_bytes};
use super::ot::read_remembered;
use super::profile::Figure;
use super::reader::{Environment, Reader};
use super::status::level_fault;
use super::{
    BrokerConfig, Half, HealthConfig, POLICIES_KEYS, Policies, SandboxConfig, StatusConfig,
    SyslogConfig, code, journal, limits, read_policies, read_state,
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
/// What messages gather for at most where they come fast and no key says how long.
const GATHERED_MS: u64 = 5;
/// `bytes-per-s`: taken where what is written can't be read, which is an error anyway.
const FIRST_BYTES_PER_S: u64 = 64_000;
/// `connects-per-s`: without it the pace begins with this, and is measured by the broker.
const FIRST_CONNECTS_PER_S: u32 = 500;
/// `max-nodes`: as many as the OT half follows by default.
const DEFAULT_MAX_NODES: u64 = 10_000;
/// `fold-edge-node`: what it shows.
const DEFAULT_FOLD_EDGE_NODE: &str = "plant";
/// `max-devices-per-node`: as many as the OT half follows by default.
const DEFAULT_MAX_DEVICES_PER_NODE: u64 = 1_000;
/// `[backfill] messages-per-s`: history arrives an order of magnitude faster than a usual
/// plant makes it, and leaves the broker room for live data.
const DEFAULT_BACKFILL_MESSAGES_PER_S: u64 = 1_000;

/// The sections of the file.
const KEYS: &[&str] = &[
    "broker", "link", "journal", "state", "syslog", "policies", "mirror", "backfill", "limits",
    "status", "health", "metrics", "sandbox",
];
const MIRROR_KEYS: &[&str] = &[
    "stale-after-s",
    "on-gap",
    "rebirth-min-interval-ms",
    "primary-host",
    "confirm-every-ms",
    "gather-ms",
    "data-qos",
    "data-datatypes",
    "aliases",
    "fold",
    "fold-edge-node",
    "compress-births-above-bytes",
    "connects-per-s",
    "max-nodes",
    "max-devices-per-node",
    "max-node-bytes",
    "max-plant-bytes",
];

/// Everything that `sparkdiode it` is told. A value that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItConfig {
    /// Begins the MQTT client identifier of every mirrored edge node.
    pub client_id_prefix: String,
    pub broker: BrokerConfig,
    /// `[link] bytes-per-s`: what all sessions together may send; 1,200 to 1,000,000,000. `None`: as
    /// much as the link takes.
    pub link_bytes_per_s: Option<u32>,
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
    /// How large the parts of one message of the journal may be.
    pub limits: Caps,
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
    pub data_datatypes: DataDatatypes,
    pub aliases: Aliases,
    /// All edge nodes of a group are devices of one edge node of this name; `None`: each has a session
    /// of its own.
    pub fold: Option<String>,
    /// Births of more bytes are compressed; `None`: none. 1 B to 64 MiB.
    pub compress_births_above: Option<usize>,
    /// How long messages gather before they are sent together; zero: at most half a millisecond; `None`:
    /// by the rate at which they come.
    /// Up to 1 s.
    pub gather: Option<Duration>,
    /// New MQTT sessions per second, 1 to 10,000; `None`: as fast as the broker takes them.
    pub connects_per_s: Option<u32>,
    /// Edge nodes that are mirrored; further ones are refused and counted. 1 to 100,000.
    pub max_nodes: usize,
    /// Devices per mirrored edge node; further ones are refused and counted. 1 to 100,000.
    pub max_devices_per_node: usize,
    /// What is remembered of the plant; births and values beyond it are refused and counted.
    /// 1 MiB to 1 TiB each.
    pub max_node_bytes: usize,
    pub max_plant_bytes: usize,
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

/// Whether data on the IT broker names the datatypes of its metrics (`data-datatypes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataDatatypes {
    /// Where the plant's data does.
    AsPlant,
    Always,
    /// As Sparkplug 3.0 §6.4.6 prefers it.
    Never,
}

/// Which metrics have an alias on the IT broker (`aliases`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aliases {
    /// Those that have one in the plant.
    AsPlant,
    Always,
    Never,
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

    pub(super) fn read(reader: Reader) -> Result<(ItConfig, Diagnostics), Diagnostics> {
        reader.read(Some(Half::It), ItConfig::typed)
    }

    fn typed(reader: &mut Reader, top: Section<'_, '_>) -> Option<ItConfig> {
        let top = &mut top.with_keys(KEYS);
        let broker = &mut reader.table(top, "broker", BROKER_KEYS);
        if let Some(id) = broker.string("client-id", &mut reader.problems) {
            let problem = reader
                .error(code::COMBINATION, id.span, "`client-id` belongs into `ot.toml`")
                .label("the IT half has a session per edge node: `client-id-prefix`");
            reader.push(problem);
        }
        if let Some(span) = broker.key_span("session-expiry-s") {
            let problem = reader
                .error(code::COMBINATION, span, "`session-expiry-s` belongs into `ot.toml`")
                .label("sessions of edge nodes end with their connections, as Sparkplug has it");
            reader.push(problem);
        }
        let prefix = reader.text(broker, "client-id-prefix", prefix_fault);
        let broker = BrokerConfig::read(reader, broker, DEFAULT_IT_MAX_PACKET_BYTES);
        let link = &mut reader.table(top, "link", &["bytes-per-s"]);
        let link_bytes_per_s = link.key_span("bytes-per-s").map(|_| {
            bounded(reader.number(link, "bytes-per-s", 1_200..=1_000_000_000, FIRST_BYTES_PER_S))
        });
        reader.close(link);
        let source = &mut reader.table(top, "journal", &["path", "first-start"]);
        let journal_path = journal::read_path(reader, source);
        let words = [("oldest", FirstStart::Oldest), ("newest", FirstStart::Newest)];
        // By default nothing that was acknowledged to the OT broker is left out.
        let first_start = reader.word(source, "first-start", &words, FirstStart::Oldest);
        reader.close(source);
        let state_dir =
            read_state(reader, top, "\"/var/lib/sparkdiode/it\"", journal_path.as_deref());
        let syslog = SyslogConfig::read_all(reader, top);
        let policies = match top.table("policies", "policies", &mut reader.problems) {
            Some(policies) => {
                let mut policies = policies.with_keys(POLICIES_KEYS);
                if let Some(key) = policies.string("pseudonym-key-file", &mut reader.problems) {
                    let title = "`pseudonym-key-file` belongs into `ot.toml`";
                    let problem = reader
                        .error(code::COMBINATION, key.span, title)
                        .label("this half must not be able to find out who is who")
                        .help("it knows pseudonyms by their form");
                    reader.push(problem);
                }
                if let Some(observe) = policies.key_span("observe") {
                    let _ = policies.list("observe", &mut reader.problems);
                    let problem = reader
                        .error(code::COMBINATION, observe, "`observe` belongs into `ot.toml`")
                        .label("a policy looks on where the plant's traffic is judged");
                    reader.push(problem);
                }
                read_policies(reader, policies, None)
            }
            None => Some(Policies::default()),
        };
        let health = HealthConfig::read(reader, top);
        let mirror = MirrorConfig::read(reader, top, broker.as_ref(), health.as_ref());
        let backfill = BackfillConfig::read(reader, top);
        let defaults = Caps::of_journal(packet_bytes(broker.as_ref()));
        let limits = limits::read(reader, top, &defaults, false);
        let status = StatusConfig::read(reader, top);
        let sandbox = SandboxConfig::read(reader, top);
        reader.close(top);
        let policies = policies?;
        Some(ItConfig {
            client_id_prefix: prefix.unwrap_or_else(|| DEFAULT_CLIENT_ID_PREFIX.to_owned()),
            broker: broker?,
            link_bytes_per_s,
            journal_path: journal_path?,
            first_start,
            state_dir: state_dir?,
            syslog: syslog?,
            policy_paths: policies.paths,
            require_signature: policies.require_signature,
            mirror,
            backfill,
            limits,
            status,
            health,
            sandbox,
        })
    }
}

impl MirrorConfig {
    fn read(
        reader: &mut Reader,
        top: &mut Section<'_, '_>,
        broker: Option<&BrokerConfig>,
        health: Option<&HealthConfig>,
    ) -> MirrorConfig {
        let section = &mut reader.table(top, "mirror", MIRROR_KEYS);
        let stale_after_s =
            reader.number(section, "stale-after-s", 3..=3_600, DEFAULT_STALE_AFTER_S);
        let words = [("mark", OnGap::Mark), ("death", OnGap::Death), ("ignore", OnGap::Ignore)];
        let on_gap = reader.word(section, "on-gap", &words, OnGap::Mark);
        let rebirth_min_interval_ms = reader.number(
            section,
            "rebirth-min-interval-ms",
            100..=600_000,
            DEFAULT_REBIRTH_MIN_INTERVAL_MS,
        );
        let confirm_every_ms =
            reader.number(section, "confirm-every-ms", 100..=60_000, DEFAULT_CONFIRM_EVERY_MS);
        let data_qos = match reader.number(section, "data-qos", 0..=1, 0) {
            0 => DataQos::AtMostOnce,
            _ => DataQos::AtLeastOnce,
        };
        let words = [
            ("as-plant", DataDatatypes::AsPlant),
            ("always", DataDatatypes::Always),
            ("never", DataDatatypes::Never),
        ];
        let data_datatypes = reader.word(section, "data-datatypes", &words, DataDatatypes::Never);
        let words = [
            ("as-plant", Aliases::AsPlant),
            ("always", Aliases::Always),
            ("never", Aliases::Never),
        ];
        let aliases = reader.word(section, "aliases", &words, Aliases::Never);
        let fold = read_fold(reader, section, health);
        let most = Caps::MOST_BYTES as u64;
        let compressed_bytes = reader.number(section, "compress-births-above-bytes", 0..=most, 0);
        // It was bounded above, far below any `usize`.
        let compress_births_above =
            usize::try_from(compressed_bytes).ok().filter(|bytes| *bytes > 0);
        let gather = section.key_span("gather-ms").map(|_| {
            Duration::from_millis(reader.number(section, "gather-ms", 0..=1_000, GATHERED_MS))
        });
        let connects_per_s = section.key_span("connects-per-s").map(|_| {
            let first = u64::from(FIRST_CONNECTS_PER_S);
            bounded(reader.number(section, "connects-per-s", 1..=10_000, first))
        });
        // A folded node has no session.
        let default_max_nodes = match fold {
            None => default_max_nodes(broker, health),
            Some(_) => DEFAULT_MAX_NODES,
        };
        let max_nodes = reader.number(section, "max-nodes", 1..=100_000, default_max_nodes);
        let max_devices_per_node = reader.number(
            section,
            "max-devices-per-node",
            1..=100_000,
            DEFAULT_MAX_DEVICES_PER_NODE,
        );
        let (max_node_bytes, max_plant_bytes) = read_remembered(reader, section);
        let primary_host = reader.text(section, "primary-host", host_id_fault);
        reader.close(section);
        MirrorConfig {
            stale_after: Duration::from_secs(stale_after_s),
            on_gap,
            rebirth_min_interval: Duration::from_millis(rebirth_min_interval_ms),
            primary_host,
            confirm_every: Duration::from_millis(confirm_every_ms),
            data_qos,
            data_datatypes,
            aliases,
            fold,
            compress_births_above,
            gather,
            connects_per_s,
            // Both were bounded above, far below any `usize`.
            max_nodes: usize::try_from(max_nodes).unwrap_or(usize::MAX),
            max_devices_per_node: usize::try_from(max_devices_per_node).unwrap_or(usize::MAX),
            max_node_bytes,
            max_plant_bytes,
        }
    }
}

impl BackfillConfig {
    fn read(reader: &mut Reader, top: &mut Section<'_, '_>) -> BackfillConfig {
        let section = &mut reader.table(top, "backfill", &["enabled", "messages-per-s"]);
        let enabled = reader.boolean(section, "enabled", true);
        let messages_per_s = reader.number(
            section,
            "messages-per-s",
            1..=1_000_000,
            DEFAULT_BACKFILL_MESSAGES_PER_S,
        );
        reader.close(section);
        BackfillConfig { enabled, messages_per_s: bounded(messages_per_s) }
    }
}

/// As many as the OT half follows by default, or as the broker has sessions for, beside that of the
/// relay's own edge node.
fn default_max_nodes(broker: Option<&BrokerConfig>, health: Option<&HealthConfig>) -> u64 {
    let sessions = broker.and_then(|broker| broker.profile?.sessions);
    let for_nodes = |sessions: Figure| sessions.value.saturating_sub(health.is_some().into());
    sessions.map_or(DEFAULT_MAX_NODES, |sessions| for_nodes(sessions).clamp(1, DEFAULT_MAX_NODES))
}

/// `fold`, and the name that it gives.
fn read_fold(
    reader: &mut Reader,
    section: &mut Section<'_, '_>,
    health: Option<&HealthConfig>,
) -> Option<String> {
    let is_folded = reader.word(section, "fold", &[("none", false), ("group", true)], false);
    let key = section.key_span("fold-edge-node");
    let name = reader.text(section, "fold-edge-node", level_fault);
    if !is_folded {
        if let Some(span) = key {
            let title = "`fold-edge-node` without `fold = \"group\"`";
            reader.push(reader.error(code::COMBINATION, span, title).label("nothing is folded"));
        }
        return None;
    }
    let name = name.unwrap_or_else(|| DEFAULT_FOLD_EDGE_NODE.to_owned());
    let own = health.and_then(|health| health.edge_node.as_deref());
    // Nor may it differ by case alone (Sparkplug 3.0, case-sensitivity-sparkplug-ids).
    if own.is_some_and(|own| own.to_lowercase() == name.to_lowercase())
        && let Some(span) = key.or_else(|| section.key_span("fold"))
    {
        let title = format!("the folded edge nodes and the relay's own have one name: `{name}`");
        let problem = reader
            .error(code::COMBINATION, span, &title)
            .help("give one of them another: `fold-edge-node`, or `edge-node` of `[health]`");
        reader.push(problem);
    }
    Some(name)
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

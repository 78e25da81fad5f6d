//! Configuration of the OT half (`ot.toml`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::{Diagnostics, SecretFile, Section, SourceFile};
use policy::shape::PseudonymKey;
use signature::Requirement;
use sparkplug::{Caps, Shard};

use super::broker::{BROKER_KEYS, DEFAULT_OT_MAX_PACKET_BYTES, packet_bytes};
use super::reader::{Environment, Reader};
use super::servers::refuse_alone;
use super::{
    BrokerConfig, Half, JournalConfig, POLICIES_KEYS, SandboxConfig, StatusConfig, SyslogConfig,
    code, limits, read_policies, read_state,
};

/// `keyframe-every-s`: after any loss the mirror is whole again within this time. A minute
/// costs a 300-metric birth per node and minute, a few per cent of usual data.
const DEFAULT_KEYFRAME_EVERY_S: u64 = 60;
/// `reorder-timeout-ms`: how long a gap in `seq` may be explained by messages that overtook
/// each other on different topics. Brokers that reorder at all do so within milliseconds.
const DEFAULT_REORDER_TIMEOUT_MS: u64 = 2_000;
/// `doubt-after-s`: a node that died while the relay was away, and whose will was lost, is dead on IT
/// within this time. Long enough for nodes that send once in a few minutes.
const DEFAULT_DOUBT_AFTER_S: u64 = 300;
/// What messages gather for at most where they come fast and no key says how long.
const GATHERED_MS: u64 = 2;
/// `max-nodes`: bounds memory against invented edge nodes; ten times a large plant.
const DEFAULT_MAX_NODES: u64 = 10_000;
/// `max-devices-per-node`: bounds memory against invented devices; a gateway has some dozens.
const DEFAULT_MAX_DEVICES_PER_NODE: u64 = 1_000;

/// `max-node-bytes`: what some 200,000 tags take with their names and values.
pub(super) const DEFAULT_MAX_NODE_BYTES: u64 = 128 * 1024 * 1024;
/// `max-plant-bytes`: what 10,000 edge nodes with some dozens of metrics take, and a few with very many.
pub(super) const DEFAULT_MAX_PLANT_BYTES: u64 = 320 * 1024 * 1024;
/// Less doesn't hold one edge node with some hundreds of metrics; more is no limit.
pub(super) const REMEMBERED_BYTES: std::ops::RangeInclusive<u64> = 1_048_576..=1_099_511_627_776;

/// The sections of the file, and its own key.
const KEYS: &[&str] = &[
    "name", "broker", "policies", "journal", "state", "syslog", "relay", "limits", "status",
    "metrics", "sandbox",
];
const RELAY_KEYS: &[&str] = &[
    "keyframe-every-s",
    "reorder-timeout-ms",
    "doubt-after-s",
    "gather-ms",
    "max-nodes",
    "max-devices-per-node",
    "max-node-bytes",
    "max-plant-bytes",
    "shard",
];

/// Everything that `sparkdiode ot` is told. A value that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtConfig {
    /// Name of this relay: 1 to 64 of `A–Z a–z 0–9 . _ -`. It is in the journal's `Start`
    /// frames.
    pub name: String,
    /// MQTT client identifier at the OT broker; it names the persistent session there.
    pub client_id: String,
    pub broker: BrokerConfig,
    /// What one of several servers keeps of the session, all of them have, as the nodes of a cluster do.
    pub share_sessions: bool,
    /// Policy files, and directories of them; never empty. See [`super::policies`].
    pub policy_paths: Vec<PathBuf>,
    /// A policy that looks on and decides nothing: files and directories. Empty: none does.
    pub observed_paths: Vec<PathBuf>,
    /// Key for the pseudonyms that policies ask for.
    pub pseudonym_key: Option<SecretFile>,
    /// Whose signatures the policy needs; `None`: nobody's.
    pub require_signature: Option<Requirement>,
    pub journal: JournalConfig,
    /// Directory that the OT half alone may write.
    pub state_dir: PathBuf,
    /// Where events go besides stderr.
    pub syslog: Vec<SyslogConfig>,
    pub relay: RelayConfig,
    /// How large the parts of one message may be.
    pub limits: Caps,
    pub status: StatusConfig,
    pub sandbox: SandboxConfig,
}

/// `[relay]`: how the OT half follows the plant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Every live edge node and device is repeated in the journal this often. 5 s to 1 h.
    pub keyframe_every: Duration,
    /// How long a message that is out of order waits for the missing ones. 0 to 60 s.
    pub reorder_timeout: Duration,
    /// How long an edge node of which nothing is heard since the relay was away is held for alive.
    /// 5 s to 1 week.
    pub doubt_after: Duration,
    /// How long messages gather before they are taken together; zero: at most 0.3 ms. Up to 100 ms;
    /// `None`: by the rate at which they come.
    pub gather: Option<Duration>,
    /// Edge nodes that are followed; further ones are refused and counted. 1 to 100,000.
    pub max_nodes: usize,
    /// Devices per edge node; further ones are refused and counted. 1 to 100,000.
    pub max_devices_per_node: usize,
    /// What is remembered of the plant; births and values beyond it are refused and counted.
    /// 1 MiB to 1 TiB each.
    pub max_node_bytes: usize,
    pub max_plant_bytes: usize,
    /// Which part of the edge nodes is this relay's, where several share the plant; `None`: all.
    pub shard: Option<Shard>,
}

impl OtConfig {
    /// Reads `ot.toml` and looks at the files that it names. Returns warnings beside the
    /// configuration.
    ///
    /// # Errors
    /// Every problem of the file, and of the secrets and certificates that it names. Policies
    /// are read by [`super::policies::load_sources`].
    pub fn load(path: &Path) -> Result<(OtConfig, Diagnostics), Diagnostics> {
        OtConfig::read(Reader::open(path, Environment::starting())?)
    }

    /// As [`OtConfig::load`], for a person who checks a text that was read before: where
    /// systemd's credentials don't exist yet, that is a warning.
    pub fn check(file: SourceFile) -> Result<(OtConfig, Diagnostics), Diagnostics> {
        OtConfig::read(Reader::new(file, Environment::checking()))
    }

    pub(super) fn read(reader: Reader) -> Result<(OtConfig, Diagnostics), Diagnostics> {
        reader.read(Some(Half::Ot), OtConfig::typed)
    }

    fn typed(reader: &mut Reader, top: Section<'_, '_>) -> Option<OtConfig> {
        let top = &mut top.with_keys(KEYS);
        reader.required(top, "name", "\"plant-a-relay\"");
        let name = reader.text(top, "name", relay_name_fault);
        let broker = &mut reader.table(top, "broker", BROKER_KEYS);
        if let Some(prefix) = broker.string("client-id-prefix", &mut reader.problems) {
            let title = "`client-id-prefix` belongs into `it.toml`";
            let problem = reader
                .error(code::COMBINATION, prefix.span, title)
                .label("the OT half has a single session: `client-id`");
            reader.push(problem);
        }
        if let Some(span) = broker.key_span("topic-aliases") {
            let problem = reader
                .error(code::COMBINATION, span, "`topic-aliases` belongs into `it.toml`")
                .label("the OT half publishes nothing");
            reader.push(problem);
        }
        let client_id = reader.text(broker, "client-id", client_id_fault);
        let share_sessions = reader.boolean(broker, "share-sessions", false);
        if broker.key_span("address").is_some() {
            refuse_alone(reader, broker, "share-sessions");
        }
        let broker = BrokerConfig::read(reader, broker, DEFAULT_OT_MAX_PACKET_BYTES);
        let mut policies = reader.table(top, "policies", POLICIES_KEYS);
        let pseudonym_key = read_pseudonym_key(reader, &mut policies);
        let observed_paths = read_observed(reader, &mut policies);
        let policies = read_policies(reader, policies, name.as_deref());
        let journal = JournalConfig::read(reader, top);
        let journal_path = journal.as_ref().map(|journal| journal.path.as_path());
        let example = "\"/var/lib/sparkdiode/ot\"";
        let state_dir = read_state(reader, top, example, journal_path);
        let syslog = SyslogConfig::read_all(reader, top);
        let relay = RelayConfig::read(reader, top);
        let defaults = Caps::of_payloads(packet_bytes(broker.as_ref()));
        let limits = limits::read(reader, top, &defaults, true);
        let status = StatusConfig::read(reader, top);
        let sandbox = SandboxConfig::read(reader, top);
        reader.close(top);
        let (name, policies) = (name?, policies?);
        Some(OtConfig {
            client_id: client_id.unwrap_or_else(|| format!("sparkdiode-ot-{name}")),
            name,
            broker: broker?,
            share_sessions,
            policy_paths: policies.paths,
            observed_paths: observed_paths?,
            require_signature: policies.require_signature,
            pseudonym_key,
            journal: journal?,
            state_dir: state_dir?,
            syslog: syslog?,
            relay,
            limits,
            status,
            sandbox,
        })
    }
}

impl RelayConfig {
    fn read(reader: &mut Reader, top: &mut Section<'_, '_>) -> RelayConfig {
        let section = &mut reader.table(top, "relay", RELAY_KEYS);
        let keyframe_every_s =
            reader.number(section, "keyframe-every-s", 5..=3_600, DEFAULT_KEYFRAME_EVERY_S);
        let reorder_timeout_ms =
            reader.number(section, "reorder-timeout-ms", 0..=60_000, DEFAULT_REORDER_TIMEOUT_MS);
        let doubt_after_s =
            reader.number(section, "doubt-after-s", 5..=604_800, DEFAULT_DOUBT_AFTER_S);
        let gather = section.key_span("gather-ms").map(|_| {
            Duration::from_millis(reader.number(section, "gather-ms", 0..=100, GATHERED_MS))
        });
        let max_nodes = reader.number(section, "max-nodes", 1..=100_000, DEFAULT_MAX_NODES);
        let max_devices_per_node = reader.number(
            section,
            "max-devices-per-node",
            1..=100_000,
            DEFAULT_MAX_DEVICES_PER_NODE,
        );
        let (max_node_bytes, max_plant_bytes) = read_remembered(reader, section);
        let shard = read_shard(reader, section);
        reader.close(section);
        RelayConfig {
            keyframe_every: Duration::from_secs(keyframe_every_s),
            reorder_timeout: Duration::from_millis(reorder_timeout_ms),
            doubt_after: Duration::from_secs(doubt_after_s),
            gather,
            // Both were bounded above, far below any `usize`.
            max_nodes: usize::try_from(max_nodes).unwrap_or(usize::MAX),
            max_devices_per_node: usize::try_from(max_devices_per_node).unwrap_or(usize::MAX),
            max_node_bytes,
            max_plant_bytes,
            shard,
        }
    }
}

/// What a half remembers of the plant in bytes: of one edge node, and of all.
pub(super) fn read_remembered(
    reader: &mut Reader,
    section: &mut Section<'_, '_>,
) -> (usize, usize) {
    let mut bytes = |key: &'static str, default: u64| {
        let bytes = reader.number(section, key, REMEMBERED_BYTES, default);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    };
    let node = bytes("max-node-bytes", DEFAULT_MAX_NODE_BYTES);
    (node, bytes("max-plant-bytes", DEFAULT_MAX_PLANT_BYTES))
}

/// `shard`: `2/4`.
fn read_shard(reader: &mut Reader, section: &mut Section<'_, '_>) -> Option<Shard> {
    let text = section.string("shard", &mut reader.problems)?;
    match Shard::parse(&text.value) {
        Ok(shard) => Some(shard),
        Err(wanted) => {
            let title = format!("bad value of `shard`: `{}`", text.value);
            let problem = reader
                .error(code::VALUE, text.span, title)
                .label(wanted)
                .help("for example, in the second of four relays: shard = \"2/4\"")
                .help("without the key this relay has all edge nodes");
            reader.push(problem);
            None
        }
    }
}

/// `observe`: where the policy in shadow is; `None` if something in it was reported.
fn read_observed(reader: &mut Reader, policies: &mut Section<'_, '_>) -> Option<Vec<PathBuf>> {
    if policies.key_span("observe").is_none() {
        return Some(Vec::new());
    }
    let paths = policies.list("observe", &mut reader.problems)?;
    if paths.value.is_empty() {
        let problem = reader
            .error(code::VALUE, paths.span, "`observe` names no policy")
            .help("without the key no policy is in shadow; name a file or a directory");
        reader.push(problem);
        return None;
    }
    Some(paths.value.iter().map(|path| reader.path("observe", path).path).collect())
}

fn read_pseudonym_key(reader: &mut Reader, policies: &mut Section<'_, '_>) -> Option<SecretFile> {
    let file = reader.path_under(policies, "pseudonym-key-file")?;
    let key = SecretFile::new(&file.path);
    if file.visible {
        match key.read() {
            Err(error) => {
                let problem = reader.error(code::SECRET, file.span, error.to_string());
                let problem =
                    error.hint().into_iter().fold(problem, |problem, hint| problem.help(hint));
                reader.push(problem);
            }
            Ok(secret) => {
                if let Err(error) = PseudonymKey::new(secret.expose().as_bytes()) {
                    let problem = reader
                        .error(code::SECRET, file.span, error.to_string())
                        .help("`openssl rand -hex 32` makes one");
                    reader.push(problem);
                }
            }
        }
    }
    Some(key)
}

/// What is wrong with the name of a relay; `None`: nothing.
pub fn relay_name_fault(name: &str) -> Option<String> {
    let fits = (1..=64).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    (!fits).then(|| "wanted 1 to 64 of `A-Z a-z 0-9 . _ -`".to_owned())
}

/// Brokers must take 23 letters and digits (MQTT 3.1.1 §3.1.3.1) and commonly take more, and
/// other characters; wildcards and separators confuse access control lists that use `%c`.
fn client_id_fault(id: &str) -> Option<String> {
    let fits = (1..=128).contains(&id.len())
        && id.chars().all(|letter| letter.is_ascii_graphic() && !"+#/".contains(letter));
    (!fits).then(|| "wanted 1 to 128 visible ASCII characters without `+`, `#`, `/`".to_owned())
}

#[cfg(test)]
mod tests;

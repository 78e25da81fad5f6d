//! Configuration of the OT half (`ot.toml`).

use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::{Diagnostics, SecretFile, SourceFile};
use policy::shape::PseudonymKey;
use serde::Deserialize;
use signature::Requirement;
use toml::Spanned;

use super::broker::{DEFAULT_OT_MAX_PACKET_BYTES, RawBroker};
use super::journal::RawJournal;
use super::reader::{Environment, Reader, Section, code};
use super::sandbox::{RawSandbox, SandboxConfig};
use super::status::{RawMetrics, RawStatus, StatusConfig};
use super::syslog::RawSyslog;
use super::{
    BrokerConfig, JournalConfig, RawPolicies, RawState, SyslogConfig, read_policies, read_state,
};

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
    /// Edge nodes that are followed; further ones are refused and counted. 1 to 100,000.
    pub max_nodes: usize,
    /// Devices per edge node; further ones are refused and counted. 1 to 100,000.
    pub max_devices_per_node: usize,
}

/// `ot.toml` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawOt {
    name: Option<Spanned<String>>,
    broker: Option<Spanned<RawBroker>>,
    policies: Option<Spanned<RawPolicies>>,
    journal: Option<Spanned<RawJournal>>,
    state: Option<Spanned<RawState>>,
    syslog: Option<Vec<Spanned<RawSyslog>>>,
    relay: Option<Spanned<RawRelay>>,
    status: Option<Spanned<RawStatus>>,
    metrics: Option<Spanned<RawMetrics>>,
    sandbox: Option<Spanned<RawSandbox>>,
}

/// `[relay]` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawRelay {
    keyframe_every_s: Option<Spanned<i64>>,
    reorder_timeout_ms: Option<Spanned<i64>>,
    max_nodes: Option<Spanned<i64>>,
    max_devices_per_node: Option<Spanned<i64>>,
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

    pub(super) fn read(mut reader: Reader) -> Result<(OtConfig, Diagnostics), Diagnostics> {
        let config = reader.raw::<RawOt>().and_then(|raw| OtConfig::typed(&mut reader, raw));
        reader.finish(config)
    }

    fn typed(reader: &mut Reader, raw: RawOt) -> Option<OtConfig> {
        let name = reader.required(&Section::top(), "name", raw.name, "\"plant-a-relay\"");
        let name = reader.text("name", name, name_fault);
        let (section, mut broker) = Section::of("broker", raw.broker);
        if let Some(prefix) = broker.client_id_prefix.take() {
            let title = "`client-id-prefix` belongs into `it.toml`";
            let problem = reader
                .error(code::COMBINATION, prefix.span(), title)
                .label("the OT half has a single session: `client-id`");
            reader.push(problem);
        }
        let client_id = reader.text("client-id", broker.client_id.take(), client_id_fault);
        let broker = BrokerConfig::read(reader, &section, broker, DEFAULT_OT_MAX_PACKET_BYTES);
        let (section, mut policies) = Section::of("policies", raw.policies);
        let pseudonym_key = read_pseudonym_key(reader, policies.pseudonym_key_file.take());
        let policies = read_policies(reader, &section, policies, name.as_deref());
        let (section, journal) = Section::of("journal", raw.journal);
        let journal = JournalConfig::read(reader, &section, journal);
        let (section, state) = Section::of("state", raw.state);
        let state_dir = read_state(reader, &section, state, "\"/var/lib/sparkdiode/ot\"");
        let syslog = SyslogConfig::read_all(reader, raw.syslog);
        let (_, relay) = Section::of("relay", raw.relay);
        let relay = RelayConfig::read(reader, &relay);
        let status = StatusConfig::read(reader, raw.status, raw.metrics);
        let (_, sandbox) = Section::of("sandbox", raw.sandbox);
        let sandbox = SandboxConfig::read(reader, sandbox);
        let (name, policies) = (name?, policies?);
        Some(OtConfig {
            client_id: client_id.unwrap_or_else(|| format!("sparkdiode-ot-{name}")),
            name,
            broker: broker?,
            policy_paths: policies.paths,
            require_signature: policies.require_signature,
            pseudonym_key,
            journal: journal?,
            state_dir: state_dir?,
            syslog: syslog?,
            relay,
            status,
            sandbox,
        })
    }
}

impl RelayConfig {
    fn read(reader: &mut Reader, raw: &RawRelay) -> RelayConfig {
        let keyframe_every_s = reader.number(
            "keyframe-every-s",
            raw.keyframe_every_s.as_ref(),
            5..=3_600,
            DEFAULT_KEYFRAME_EVERY_S,
        );
        let reorder_timeout_ms = reader.number(
            "reorder-timeout-ms",
            raw.reorder_timeout_ms.as_ref(),
            0..=60_000,
            DEFAULT_REORDER_TIMEOUT_MS,
        );
        let count = 1..=100_000;
        let max_nodes =
            reader.number("max-nodes", raw.max_nodes.as_ref(), count.clone(), DEFAULT_MAX_NODES);
        let max_devices_per_node = reader.number(
            "max-devices-per-node",
            raw.max_devices_per_node.as_ref(),
            count,
            DEFAULT_MAX_DEVICES_PER_NODE,
        );
        RelayConfig {
            keyframe_every: Duration::from_secs(keyframe_every_s),
            reorder_timeout: Duration::from_millis(reorder_timeout_ms),
            // Both were bounded above, far below any `usize`.
            max_nodes: usize::try_from(max_nodes).unwrap_or(usize::MAX),
            max_devices_per_node: usize::try_from(max_devices_per_node).unwrap_or(usize::MAX),
        }
    }
}

fn read_pseudonym_key(reader: &mut Reader, file: Option<Spanned<String>>) -> Option<SecretFile> {
    let file = reader.path("pseudonym-key-file", &file?);
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

fn name_fault(name: &str) -> Option<String> {
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

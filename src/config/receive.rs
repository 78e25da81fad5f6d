//! Configuration of a link's receiving end (`receive.toml`).

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::{Diagnostics, SecretFile, Section, SourceFile};
use link::{LinkName, ReceiverOptions};

use super::journal::ReceivedJournalConfig;
use super::link_end::{Link, PathEnd, read_key, read_paths, size};
use super::reader::{Environment, Reader};
use super::{Half, SandboxConfig, StatusConfig, SyslogConfig, code, read_state};

/// `reorder-ms`: more than the sender's blocks are open and their repair symbols spread, by default.
const DEFAULT_REORDER_MS: u64 = 500;
const DEFAULT_MAX_BLOCKS: u64 = 256;
const DEFAULT_MAX_BYTES: u64 = 64 * 1024 * 1024;
/// `max-delay-ms`: a heartbeat that was held back for longer says nothing of now.
const DEFAULT_MAX_DELAY_MS: u64 = 2_000;
/// `path-down-after-ms`: ten heartbeats.
const DEFAULT_PATH_DOWN_AFTER_MS: u64 = 1_000;
/// `receive-buffer-bytes`: a seventh of a second at a gigabit, while the process waits for its turn.
const DEFAULT_BUFFER_BYTES: u64 = 16 * 1024 * 1024;
/// The longest time of a link.
const MOST_MS: u64 = 120_000;

const KEYS: &[&str] =
    &["link", "path", "repair", "journal", "state", "syslog", "status", "metrics", "sandbox"];
const LINK_KEYS: &[&str] = &[
    "name",
    "key-file",
    "second-key-file",
    "datagram-bytes",
    "max-frame-bytes",
    "max-delay-ms",
    "path-down-after-ms",
    "receive-buffer-bytes",
];
const PATH_KEYS: &[&str] = &["listen", "interface", "name"];
const REPAIR_KEYS: &[&str] = &["reorder-ms", "max-blocks", "max-bytes"];
/// Of the other end's file.
const SEND: &str = "send.toml";
const TOP_OF_SEND: &[&str] = &["pacing", "second-pass"];
const PATH_OF_SEND: &[&str] = &["to", "from", "broadcast"];
const REPAIR_OF_SEND: &[&str] =
    &["overhead-percent", "min-repair", "block-symbols", "close-after-ms", "spread-ms"];

/// Everything that `sparkdiode receive` is told. A value that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiveConfig {
    /// Both ends have the same.
    pub link: LinkName,
    /// See [`read_link_key`](super::read_link_key).
    pub key: SecretFile,
    /// The other key, while the link's key is changed.
    pub second_key: Option<SecretFile>,
    pub options: ReceiverOptions,
    /// What each socket may hold. 64 KiB to 1 GiB.
    pub buffer_bytes: usize,
    /// 1 to 8; whichever brings a datagram first counts.
    pub paths: Vec<ReceivePath>,
    /// The journal that this end writes and the IT half reads.
    pub journal: ReceivedJournalConfig,
    /// Directory that this end alone may write.
    pub state_dir: PathBuf,
    /// Where events go besides stderr: on this machine.
    pub syslog: Vec<SyslogConfig>,
    pub status: StatusConfig,
    pub sandbox: SandboxConfig,
}

/// `[[path]]` of a receiving end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivePath {
    /// Names it in events; unique.
    pub name: String,
    /// What comes by another interface isn't taken.
    pub interface: Option<String>,
    pub listen: SocketAddrV4,
}

impl ReceiveConfig {
    /// The files of its keys.
    pub fn key_files(&self) -> impl Iterator<Item = &SecretFile> {
        std::iter::once(&self.key).chain(&self.second_key)
    }

    /// Reads `receive.toml` and looks at the keys that it names. Returns warnings beside the
    /// configuration.
    ///
    /// # Errors
    /// Every problem of the file and of the keys.
    pub fn load(path: &Path) -> Result<(ReceiveConfig, Diagnostics), Diagnostics> {
        ReceiveConfig::read(Reader::open(path, Environment::starting())?)
    }

    /// As [`ReceiveConfig::load`], for a person who checks a text that was read before.
    pub fn check(file: SourceFile) -> Result<(ReceiveConfig, Diagnostics), Diagnostics> {
        ReceiveConfig::read(Reader::new(file, Environment::checking()))
    }

    pub(super) fn read(reader: Reader) -> Result<(ReceiveConfig, Diagnostics), Diagnostics> {
        reader.read(Some(Half::Receive), ReceiveConfig::typed)
    }

    fn typed(reader: &mut Reader, top: Section<'_, '_>) -> Option<ReceiveConfig> {
        let top = &mut top.with_keys(KEYS);
        let section = &mut reader.table(top, "link", LINK_KEYS);
        let link = Link::read(reader, section);
        let second_key = read_second_key(reader, section, link.as_ref());
        let milliseconds = |reader: &mut Reader, section: &mut Section<'_, '_>, key, default| {
            Duration::from_millis(reader.number(section, key, 10..=MOST_MS, default))
        };
        let max_delay = milliseconds(reader, section, "max-delay-ms", DEFAULT_MAX_DELAY_MS);
        let path_down_after =
            milliseconds(reader, section, "path-down-after-ms", DEFAULT_PATH_DOWN_AFTER_MS);
        let buffer_bytes = reader.number(
            section,
            "receive-buffer-bytes",
            65_536..=1_073_741_824,
            DEFAULT_BUFFER_BYTES,
        );
        reader.close_beside(section, &["heartbeat-ms"], SEND);
        let keys = ("listen", PATH_KEYS, (PATH_OF_SEND, SEND));
        let paths = read_paths(reader, top, keys, |reader, section, end| {
            let PathEnd { name, interface, address } = end;
            if address.ip().is_unspecified() && interface.is_none() {
                let span = section.value_span("listen").unwrap_or_default();
                let problem = reader
                    .warning(code::COMBINATION, span, "this path takes what comes by any interface")
                    .help("`interface` names the one that the link comes by");
                reader.push(problem);
            }
            let way = (interface.clone(), address);
            Some((ReceivePath { name, interface, listen: address }, way))
        });
        let section = &mut reader.table(top, "repair", REPAIR_KEYS);
        let reorder = milliseconds(reader, section, "reorder-ms", DEFAULT_REORDER_MS);
        let max_blocks = reader.number(section, "max-blocks", 1..=4_096, DEFAULT_MAX_BLOCKS);
        let max_bytes =
            reader.number(section, "max-bytes", 1_048_576..=68_719_476_736, DEFAULT_MAX_BYTES);
        reader.close_beside(section, REPAIR_OF_SEND, SEND);
        let journal = ReceivedJournalConfig::read(reader, top);
        let journal_path = journal.as_ref().map(|journal| journal.path.as_path());
        let state_dir = read_state(reader, top, "\"/var/lib/sparkdiode/receive\"", journal_path);
        let syslog = SyslogConfig::read_local(reader, top);
        let status = StatusConfig::read(reader, top);
        let sandbox = SandboxConfig::read_of_end(reader, top);
        reader.close_beside(top, TOP_OF_SEND, SEND);
        let (link, paths) = (link?, paths?);
        Some(ReceiveConfig {
            link: link.name,
            key: link.key,
            second_key,
            options: ReceiverOptions {
                datagram_bytes: link.datagram_bytes,
                paths: paths.len(),
                reorder,
                max_blocks: size(max_blocks),
                max_bytes: size(max_bytes),
                max_frame_bytes: link.max_frame_bytes,
                max_delay,
                path_down_after,
            },
            buffer_bytes: size(buffer_bytes),
            paths,
            journal: journal?,
            state_dir: state_dir?,
            syslog: syslog?,
            status,
            sandbox,
        })
    }
}

/// The second key, which is another than the first one.
fn read_second_key(
    reader: &mut Reader,
    section: &mut Section<'_, '_>,
    link: Option<&Link>,
) -> Option<SecretFile> {
    let (second, span, key) = read_key(reader, section, "second-key-file")?;
    let first = link.and_then(|link| super::read_link_key(&link.key).ok());
    if let (Some(first), Some(key)) = (first, key)
        && first.id() == key.id()
    {
        let title = format!("both key files have one key: {:08x}", key.id());
        let problem = reader
            .error(code::COMBINATION, span, title)
            .help("while a key is changed the old one and the new one are taken; afterwards one");
        reader.push(problem);
    }
    Some(second)
}

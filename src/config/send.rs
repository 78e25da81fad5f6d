//! Configuration of a link's sending end (`send.toml`).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diagnostic::{Diagnostics, SecretFile, Section, SourceFile};
use link::{BlockOptions, LinkName, Rates, SecondPassOptions, SenderOptions};

use super::link_end::{Link, PathEnd, read_paths, size};
use super::reader::{Environment, Reader};
use super::{
    FirstStart, Half, SandboxConfig, StatusConfig, SyslogConfig, code, journal, read_state,
};

/// `bytes-per-s` and `packets-per-s`: four fifths of a gigabit.
const DEFAULT_BYTES_PER_S: u64 = 100_000_000;
const DEFAULT_PACKETS_PER_S: u64 = 100_000;
/// `heartbeat-ms`: a receiver knows within a moment that the sender is there.
const DEFAULT_HEARTBEAT_MS: u64 = 100;
/// Why these are what they are, `link::BlockOptions` says.
const DEFAULT_OVERHEAD_PERCENT: u64 = 25;
const DEFAULT_MIN_REPAIR: u64 = 2;
const DEFAULT_BLOCK_SYMBOLS: u64 = 1_024;
const DEFAULT_CLOSE_AFTER_MS: u64 = 250;
const DEFAULT_SPREAD_MS: u64 = 100;
/// The second pass: what an outage of some ten seconds took is there again within two minutes.
const DEFAULT_SHARE_PERCENT: u64 = 20;
const DEFAULT_AFTER_S: u64 = 15;
const DEFAULT_WINDOW_S: u64 = 100;
const DEFAULT_WINDOW_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// A heartbeat as a UDP payload: header, kind, five numbers, tag.
const HEARTBEAT_BYTES: u64 = 40 + 1 + 40 + 16;

const KEYS: &[&str] = &[
    "link",
    "path",
    "pacing",
    "repair",
    "second-pass",
    "journal",
    "state",
    "syslog",
    "status",
    "metrics",
    "sandbox",
];
const LINK_KEYS: &[&str] =
    &["name", "key-file", "datagram-bytes", "max-frame-bytes", "heartbeat-ms"];
const PATH_KEYS: &[&str] = &["to", "interface", "from", "broadcast", "name"];
const REPAIR_KEYS: &[&str] =
    &["overhead-percent", "min-repair", "block-symbols", "close-after-ms", "spread-ms"];
const SECOND_PASS_KEYS: &[&str] = &["share-percent", "after-s", "window-s", "window-bytes"];
/// Of the other end's file.
const RECEIVE: &str = "receive.toml";
const LINK_OF_RECEIVE: &[&str] =
    &["second-key-file", "path-down-after-ms", "max-delay-ms", "receive-buffer-bytes"];
const REPAIR_OF_RECEIVE: &[&str] = &["reorder-ms", "max-blocks", "max-bytes"];
const JOURNAL_OF_WRITERS: &[&str] =
    &["segment-bytes", "retain-bytes", "retain-age-h", "durability"];

/// Everything that `sparkdiode send` is told. A value that exists is valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendConfig {
    /// Both ends have the same.
    pub link: LinkName,
    /// See [`read_link_key`](super::read_link_key).
    pub key: SecretFile,
    pub options: SenderOptions,
    /// Longer frames don't cross, and are counted. 64 KiB to 129 MiB.
    pub max_frame_bytes: usize,
    /// 1 to 8; each carries all datagrams.
    pub paths: Vec<SendPath>,
    /// Directory of the journal that the OT half writes; only ever read.
    pub journal_path: PathBuf,
    /// Where an end without stored state begins.
    pub first_start: FirstStart,
    /// Directory that this end alone may write.
    pub state_dir: PathBuf,
    /// Where events go besides stderr: on this machine.
    pub syslog: Vec<SyslogConfig>,
    pub status: StatusConfig,
    pub sandbox: SandboxConfig,
}

/// `[[path]]` of a sending end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendPath {
    /// Names it in events; unique.
    pub name: String,
    /// What it leaves by, whatever routes say.
    pub interface: Option<String>,
    /// The address that it comes from.
    pub from: Option<Ipv4Addr>,
    pub to: SocketAddrV4,
    /// `to` is a broadcast address.
    pub broadcast: bool,
}

impl SendConfig {
    /// Reads `send.toml` and looks at the key that it names. Returns warnings beside the
    /// configuration.
    ///
    /// # Errors
    /// Every problem of the file and of the key.
    pub fn load(path: &Path) -> Result<(SendConfig, Diagnostics), Diagnostics> {
        SendConfig::read(Reader::open(path, Environment::starting())?)
    }

    /// As [`SendConfig::load`], for a person who checks a text that was read before.
    pub fn check(file: SourceFile) -> Result<(SendConfig, Diagnostics), Diagnostics> {
        SendConfig::read(Reader::new(file, Environment::checking()))
    }

    pub(super) fn read(reader: Reader) -> Result<(SendConfig, Diagnostics), Diagnostics> {
        reader.read(Some(Half::Send), SendConfig::typed)
    }

    fn typed(reader: &mut Reader, top: Section<'_, '_>) -> Option<SendConfig> {
        let top = &mut top.with_keys(KEYS);
        let section = &mut reader.table(top, "link", LINK_KEYS);
        let link = Link::read(reader, section);
        let heartbeat_ms =
            reader.number(section, "heartbeat-ms", 10..=10_000, DEFAULT_HEARTBEAT_MS);
        reader.close_beside(section, LINK_OF_RECEIVE, RECEIVE);
        let keys = ("to", PATH_KEYS, (&["listen"][..], RECEIVE));
        let paths = read_paths(reader, top, keys, read_path);
        let rates = read_pacing(reader, top, heartbeat_ms);
        let blocks = read_repair(reader, top);
        let second_pass = read_second_pass(reader, top);
        let source = &mut reader.table(top, "journal", &["path", "first-start"]);
        let journal_path = journal::read_path(reader, source);
        let words = [("oldest", FirstStart::Oldest), ("newest", FirstStart::Newest)];
        let first_start = reader.word(source, "first-start", &words, FirstStart::Oldest);
        reader.close_beside(source, JOURNAL_OF_WRITERS, "ot.toml");
        let example = "\"/var/lib/sparkdiode/send\"";
        let state_dir = read_state(reader, top, example, journal_path.as_deref());
        let syslog = SyslogConfig::read_local(reader, top);
        let status = StatusConfig::read(reader, top);
        let sandbox = SandboxConfig::read_of_end(reader, top);
        reader.close(top);
        let link = link?;
        Some(SendConfig {
            link: link.name,
            key: link.key,
            options: SenderOptions {
                datagram_bytes: link.datagram_bytes,
                blocks,
                rates,
                second_pass,
                heartbeat_every: Duration::from_millis(heartbeat_ms),
                ..SenderOptions::default()
            },
            max_frame_bytes: link.max_frame_bytes,
            paths: paths?,
            journal_path: journal_path?,
            first_start,
            state_dir: state_dir?,
            syslog: syslog?,
            status,
            sandbox,
        })
    }
}

/// What no two paths share: interface, address of this end, address of the other one.
type Way = (Option<String>, Option<Ipv4Addr>, SocketAddrV4);

/// The rest of a path, and where it leads.
fn read_path(
    reader: &mut Reader,
    section: &mut Section<'_, '_>,
    end: PathEnd,
) -> Option<(SendPath, Way)> {
    let wrong = |text: &str| {
        let fits = text.parse::<Ipv4Addr>().is_ok_and(|from| {
            !from.is_unspecified() && !from.is_multicast() && !from.is_broadcast()
        });
        (!fits)
            .then(|| "wanted the IPv4 address of the interface, such as `192.168.77.1`".to_owned())
    };
    let from = reader.text(section, "from", wrong).and_then(|text| text.parse().ok());
    let broadcast = reader.boolean(section, "broadcast", false);
    let span = section.value_span("to").unwrap_or_default();
    if end.address.ip().is_unspecified() {
        let title = format!("`to` is no address: `{}`", end.address);
        let problem = reader.error(code::VALUE, span, title);
        reader.push(problem.label("wanted the address of the receiving end"));
        return None;
    }
    if end.address.ip().is_broadcast() && !broadcast {
        let title = format!("`to` is a broadcast address: `{}`", end.address);
        let problem = reader.error(code::COMBINATION, span, title);
        reader.push(problem.label("wanted `broadcast = true` beside it"));
    }
    let PathEnd { name, interface, address } = end;
    let way = (interface.clone(), from, address);
    Some((SendPath { name, interface, from, to: address, broadcast }, way))
}

fn read_pacing(reader: &mut Reader, top: &mut Section<'_, '_>, heartbeat_ms: u64) -> Rates {
    let section = &mut reader.table(top, "pacing", &["bytes-per-s", "packets-per-s"]);
    let bytes_per_s =
        reader.number(section, "bytes-per-s", 1_200..=12_500_000_000, DEFAULT_BYTES_PER_S);
    let packets_per_s =
        reader.number(section, "packets-per-s", 20..=100_000_000, DEFAULT_PACKETS_PER_S);
    reader.close(section);
    // Signs of life go before all others: more than a tenth is no pace for what they are signs of.
    let heartbeats = 1_000_u64.div_ceil(heartbeat_ms.max(1));
    let needed = [
        ("bytes-per-s", heartbeats.saturating_mul(HEARTBEAT_BYTES), bytes_per_s),
        ("packets-per-s", heartbeats, packets_per_s),
    ];
    for (key, takes, has) in needed {
        if takes.saturating_mul(10) > has {
            let title = format!("`{key}` is too little for this link: {has}");
            let label = format!("{heartbeats} heartbeats a second take {takes} of it");
            let span = section.value_span(key).unwrap_or_default();
            let problem = reader.error(code::COMBINATION, span, title).label(label);
            reader.push(problem.help("a larger `[link] heartbeat-ms`, or more `[pacing]`"));
        }
    }
    Rates { bytes_per_s, packets_per_s }
}

fn read_repair(reader: &mut Reader, top: &mut Section<'_, '_>) -> BlockOptions {
    let section = &mut reader.table(top, "repair", REPAIR_KEYS);
    let percent = reader.number(section, "overhead-percent", 0..=200, DEFAULT_OVERHEAD_PERCENT);
    let min_repair = reader.number(section, "min-repair", 0..=64, DEFAULT_MIN_REPAIR);
    let symbols = reader.number(section, "block-symbols", 1..=1_024, DEFAULT_BLOCK_SYMBOLS);
    let close_after_ms =
        reader.number(section, "close-after-ms", 1..=60_000, DEFAULT_CLOSE_AFTER_MS);
    let spread_ms = reader.number(section, "spread-ms", 0..=60_000, DEFAULT_SPREAD_MS);
    reader.close_beside(section, REPAIR_OF_RECEIVE, RECEIVE);
    BlockOptions {
        symbols: size(symbols),
        close_after: Duration::from_millis(close_after_ms),
        overhead_permille: u32::try_from(percent.saturating_mul(10)).unwrap_or(u32::MAX),
        min_repair: size(min_repair),
        spread: Duration::from_millis(spread_ms),
        ..BlockOptions::default()
    }
}

fn read_second_pass(reader: &mut Reader, top: &mut Section<'_, '_>) -> SecondPassOptions {
    let section = &mut reader.table(top, "second-pass", SECOND_PASS_KEYS);
    let percent = reader.number(section, "share-percent", 0..=90, DEFAULT_SHARE_PERCENT);
    let after_s = reader.number(section, "after-s", 1..=86_400, DEFAULT_AFTER_S);
    let window_s = reader.number(section, "window-s", 2..=604_800, DEFAULT_WINDOW_S);
    let window_bytes =
        reader.number(section, "window-bytes", 1_048_576..=1 << 50, DEFAULT_WINDOW_BYTES);
    reader.close(section);
    if after_s >= window_s {
        let span = section.value_span("window-s").or(section.value_span("after-s"));
        let title = "the second pass would begin when its window has ended";
        let problem = reader
            .error(code::COMBINATION, span.unwrap_or_default(), title)
            .label(format!("`after-s` is {after_s}, `window-s` is {window_s}"))
            .help("what is `after-s` old is sent again until it is `window-s` old");
        reader.push(problem);
    }
    SecondPassOptions {
        share_percent: u32::try_from(percent).unwrap_or(u32::MAX),
        after: Duration::from_secs(after_s),
        window: Duration::from_secs(window_s),
        window_bytes,
    }
}

//! The files of a link's ends: what is taken, and what is said of what isn't.

use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use diagnostic::{Diagnostics, SourceFile};
use link::{Keys, LinkKey, Receiver, ReceiverState, Sender, SenderState};

use super::{assert_all, environment};
use crate::reader::Reader;
use crate::{FirstStart, Half, ReceiveConfig, SendConfig, half_of, read_link_key};

const SEND: &str = r#"[link]
name = "plant-a"
key-file = "link.key"
[[path]]
to = "192.168.77.2:7400"
[pacing]
[repair]
[second-pass]
[journal]
path = "journal"
[state]
path = "send"
[status]
[metrics]
[sandbox]
"#;

const RECEIVE: &str = r#"[link]
name = "plant-a"
key-file = "link.key"
[[path]]
listen = "192.168.77.2:7400"
[repair]
[journal]
path = "journal"
[state]
path = "receive"
[status]
[metrics]
[sandbox]
"#;

/// 32 bytes that no two keys of a test share.
pub(super) fn key(seed: u8) -> String {
    (0..32_u8).map(|at| format!("{:02x}", at.wrapping_mul(7).wrapping_add(seed))).collect()
}

/// A directory with two keys, in which relative paths begin.
struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Lab {
        let lab = Lab(tempfile::tempdir().unwrap());
        lab.key("link.key", &key(1), 0o400);
        lab.key("other.key", &key(2), 0o640);
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn key(&self, name: &str, content: &str, mode: u32) {
        fs::write(self.path(name), content).unwrap();
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    fn reader(&self, name: &str, text: &str) -> Reader {
        Reader::new(SourceFile::new(self.path(name), text), environment(None, false))
    }

    fn send(&self, text: &str) -> Result<(SendConfig, Diagnostics), Diagnostics> {
        SendConfig::read(self.reader("send.toml", text))
    }

    fn receive(&self, text: &str) -> Result<(ReceiveConfig, Diagnostics), Diagnostics> {
        ReceiveConfig::read(self.reader("receive.toml", text))
    }

    /// What is said of the file with one text in it replaced.
    fn said(&self, text: &str, from: &str, to: &str) -> String {
        assert!(text.contains(from), "{from}");
        let text = text.replacen(from, to, 1);
        match text.contains("listen =") || text.contains("reorder-ms") && !text.contains("[pacing]")
        {
            true => self.receive(&text).map(|(_, warnings)| warnings),
            false => self.send(&text).map(|(_, warnings)| warnings),
        }
        .unwrap_or_else(|problems| problems)
        .to_string()
    }
}

#[test]
fn minimal_files_have_the_documented_defaults_which_are_those_of_the_link() {
    let lab = Lab::new();
    let (send, warnings) = lab.send(SEND).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(send.options, link::SenderOptions::default());
    assert_eq!(send.max_frame_bytes, link::MAX_ITEM_BYTES);
    assert_eq!(send.first_start, FirstStart::Oldest);
    assert_eq!(send.journal_path, lab.path("journal"));
    assert_eq!(send.state_dir, lab.path("send"));
    let path = &send.paths[0];
    assert_eq!((path.name.as_str(), path.interface.as_deref()), ("192.168.77.2:7400", None));
    assert_eq!((path.from, path.broadcast), (None, false));
    let (receive, warnings) = lab.receive(RECEIVE).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(receive.options, link::ReceiverOptions::default());
    assert_eq!(receive.second_key, None);
    assert_eq!(receive.buffer_bytes, 16_777_216);
    assert_eq!(receive.journal.retain_bytes, 10_737_418_240);
    assert_eq!(receive.journal.retain_age, Duration::from_secs(168 * 3_600));
    assert_eq!(receive.paths[0].listen.to_string(), "192.168.77.2:7400");
    assert_eq!(send.link, receive.link);
    let id = read_link_key(&send.key).unwrap().id();
    assert_eq!(id, read_link_key(&receive.key).unwrap().id());
}

#[test]
fn every_key_reaches_its_option() {
    let lab = Lab::new();
    let text = r#"[link]
name = "x"
key-file = "link.key"
datagram-bytes = 8972
max-frame-bytes = 65536
heartbeat-ms = 50
[[path]]
to = "10.1.1.255:7"
broadcast = true
interface = "eth1"
from = "10.1.1.1"
[[path]]
name = "second"
to = "10.1.2.2:7"
[pacing]
bytes-per-s = 5000000
packets-per-s = 6000
[repair]
overhead-percent = 33
min-repair = 3
block-symbols = 64
close-after-ms = 5
spread-ms = 7
[second-pass]
share-percent = 30
after-s = 8
window-s = 9
window-bytes = 1048577
[journal]
path = "j"
first-start = "newest"
[state]
path = "s"
[[syslog]]
to = "journald"
"#;
    let (send, _) = lab.send(text).unwrap();
    let options = send.options;
    assert_eq!((options.datagram_bytes, send.max_frame_bytes), (8_972, 65_536));
    assert_eq!(options.heartbeat_every, Duration::from_millis(50));
    assert_eq!((options.rates.bytes_per_s, options.rates.packets_per_s), (5_000_000, 6_000));
    let blocks = options.blocks;
    assert_eq!((blocks.overhead_permille, blocks.min_repair, blocks.symbols), (330, 3, 64));
    assert_eq!(blocks.close_after, Duration::from_millis(5));
    assert_eq!(blocks.spread, Duration::from_millis(7));
    let again = options.second_pass;
    assert_eq!((again.share_percent, again.window_bytes), (30, 1_048_577));
    assert_eq!((again.after, again.window), (Duration::from_secs(8), Duration::from_secs(9)));
    assert_eq!(send.first_start, FirstStart::Newest);
    let [first, second] = &send.paths[..] else { panic!("{:?}", send.paths) };
    assert_eq!((first.name.as_str(), first.interface.as_deref()), ("eth1", Some("eth1")));
    assert_eq!((first.from, first.broadcast), (Some(Ipv4Addr::new(10, 1, 1, 1)), true));
    assert_eq!(second.name, "second");
    assert_eq!(send.syslog.len(), 1);
    let text = r#"[link]
name = "x"
key-file = "link.key"
second-key-file = "other.key"
datagram-bytes = 8972
max-frame-bytes = 65537
max-delay-ms = 11
path-down-after-ms = 12
receive-buffer-bytes = 65537
[[path]]
listen = "0.0.0.0:7"
interface = "eth1"
[[path]]
listen = "10.1.2.2:7"
[repair]
reorder-ms = 13
max-blocks = 14
max-bytes = 1048578
[journal]
path = "j"
retain-bytes = 262145
retain-age-h = 2
durability = "power"
[state]
path = "s"
"#;
    let (receive, warnings) = lab.receive(text).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    let options = receive.options;
    assert_eq!((options.datagram_bytes, options.max_frame_bytes), (8_972, 65_537));
    assert_eq!((options.paths, options.max_blocks, options.max_bytes), (2, 14, 1_048_578));
    assert_eq!(options.max_delay, Duration::from_millis(11));
    assert_eq!(options.path_down_after, Duration::from_millis(12));
    assert_eq!(options.reorder, Duration::from_millis(13));
    assert_eq!((receive.buffer_bytes, receive.journal.retain_bytes), (65_537, 262_145));
    assert_eq!(receive.journal.durability, crate::Durability::Power);
    let second = read_link_key(receive.second_key.as_ref().unwrap()).unwrap();
    assert_eq!(second.id(), LinkKey::new(&std::array::from_fn(|at| at as u8 * 7 + 2)).id());
}

#[test]
fn whatever_the_files_may_say_the_link_takes() {
    let lab = Lab::new();
    for (table, key, least, most, of_send) in [
        ("[link]", "datagram-bytes", 256_u64, 65_507_u64, true),
        ("[link]", "max-frame-bytes", 65_536, 135_266_304, true),
        ("[link]", "heartbeat-ms", 10, 10_000, true),
        ("[pacing]", "bytes-per-s", 9_700, 12_500_000_000, true),
        ("[pacing]", "packets-per-s", 100, 100_000_000, true),
        ("[repair]", "overhead-percent", 0, 200, true),
        ("[repair]", "min-repair", 0, 64, true),
        ("[repair]", "block-symbols", 1, 1_024, true),
        ("[repair]", "close-after-ms", 1, 60_000, true),
        ("[repair]", "spread-ms", 0, 60_000, true),
        ("[second-pass]", "share-percent", 0, 90, true),
        ("[second-pass]", "after-s", 1, 99, true),
        ("[second-pass]", "window-s", 16, 604_800, true),
        ("[link]", "datagram-bytes", 256, 65_507, false),
        ("[link]", "max-delay-ms", 10, 120_000, false),
        ("[link]", "path-down-after-ms", 10, 120_000, false),
        ("[link]", "receive-buffer-bytes", 65_536, 1 << 30, false),
        ("[repair]", "reorder-ms", 10, 120_000, false),
        ("[repair]", "max-blocks", 1, 4_096, false),
        ("[repair]", "max-bytes", 1_048_576, 68_719_476_736, false),
    ] {
        let fits = |number: u64| {
            let line = format!("{table}\n{key} = {number}");
            if of_send {
                let (config, _) = lab.send(&SEND.replacen(table, &line, 1)).ok()?;
                let key = read_link_key(&config.key).unwrap();
                let state = SenderState { session: 1 };
                Sender::new(config.options, &config.link, &key, state, [0; 8], Duration::ZERO)
                    .unwrap_or_else(|error| panic!("{key:?} {number}: {error}"));
            } else {
                let (config, _) = lab.receive(&RECEIVE.replacen(table, &line, 1)).ok()?;
                let keys = Keys::new(read_link_key(&config.key).unwrap(), None).unwrap();
                let state = ReceiverState::default();
                Receiver::new(config.options, &config.link, keys, state, Duration::ZERO)
                    .unwrap_or_else(|error| panic!("{key:?} {number}: {error}"));
            }
            Some(())
        };
        assert!(fits(least).is_some() && fits(most).is_some(), "{key}");
        assert!(fits(most + 1).is_none() && (least == 0 || fits(least - 1).is_none()), "{key}");
    }
}

#[test]
fn what_is_wrong_with_a_path_is_said() {
    let lab = Lab::new();
    let to = "to = \"192.168.77.2:7400\"";
    for (instead, wanted) in [
        ("to = \"192.168.77.2\"", "the port is missing"),
        ("to = \"192.168.77.2:0\"", "wanted a port from 1 to 65535"),
        ("to = \"receiver:7400\"", "nobody is there to answer"),
        ("to = \"[fd00::2]:7400\"", "the link is IPv4"),
        ("to = \"239.1.1.1:7400\"", "the receiving end says nothing"),
        ("to = \"0.0.0.0:7400\"", "`to` is no address"),
        ("to = \"255.255.255.255:7400\"", "wanted `broadcast = true` beside it"),
        ("", "missing key: `to` in `[path]`"),
        ("to = 7", "wrong type of `path.to`: got integer `7`"),
        ("listen = \"1.2.3.4:5\"\nto = \"1.2.3.4:5\"", "`listen` belongs into `receive.toml`"),
        ("to = \"1.2.3.4:5\"\ninterface = \"no interface at all\"", "bad value of `interface`"),
        ("to = \"1.2.3.4:5\"\nfrom = \"fd00::1\"", "bad value of `from`: `fd00::1`"),
        ("to = \"1.2.3.4:5\"\nname = \"a b\"", "bad value of `name`: `a b`"),
        ("to = \"1.2.3.4:5\"\n[[path]]\nto = \"1.2.3.4:5\"", "two paths lead the same way"),
        (
            "to = \"1.2.3.4:5\"\nname = \"a\"\n[[path]]\nto = \"1.2.3.4:6\"\nname = \"a\"",
            "two paths are called `a`",
        ),
    ] {
        let text = SEND.replacen(to, instead, 1);
        let said = lab.send(&text).unwrap_err().to_string();
        assert!(said.contains(wanted), "lacks {wanted:?}:\n{said}");
    }
    let none = SEND.replacen(&format!("[[path]]\n{to}\n"), "", 1);
    assert_all(&lab.send(&none).unwrap_err(), &["missing: a path, `[[path]]`"]);
    let nine: String = (0..9).map(|at| format!("[[path]]\nto = \"10.0.0.{at}:1\"\n")).collect();
    let nine = SEND.replacen(&format!("[[path]]\n{to}\n"), &nine, 1);
    assert_all(&lab.send(&nine).unwrap_err(), &["more than 8 paths"]);
    let any = RECEIVE.replacen("192.168.77.2", "0.0.0.0", 1);
    assert_all(&lab.receive(&any).unwrap().1, &["takes what comes by any interface"]);
}

#[test]
fn keys_of_other_files_and_unknown_ones_are_named() {
    let lab = Lab::new();
    for (text, after, key, wanted) in [
        (SEND, "[link]", "second-key-file = \"x\"", "belongs into `receive.toml`"),
        (SEND, "[repair]", "reorder-ms = 1", "belongs into `receive.toml`"),
        (SEND, "[journal]", "retain-bytes = 1", "belongs into `ot.toml`"),
        (RECEIVE, "[link]", "heartbeat-ms = 1", "belongs into `send.toml`"),
        (RECEIVE, "[repair]", "overhead-percent = 1", "belongs into `send.toml`"),
        (RECEIVE, "[journal]", "segment-bytes = 1", "of `ot.toml`"),
        (RECEIVE, "[status]", "[pacing]", "`pacing` belongs into `send.toml`"),
        (RECEIVE, "[[path]]", "to = \"1.2.3.4:5\"", "`to` belongs into `send.toml`"),
        (SEND, "[link]", "naem = 1", "unknown key: `naem` in `[link]`"),
        (SEND, "[pacing]", "byte-per-s = 1", "did you mean `bytes-per-s`?"),
        (SEND, "[status]", "[mirror]", "unknown key: `mirror` in the file"),
        (SEND, "[sandbox]", "waive = [\"one-broker\"]", "unknown layer: `one-broker`"),
        (SEND, "[status]", "[[syslog]]\nto = \"tls\"\naddress = \"a:1\"", "can't log to `tls`"),
        (SEND, "[status]", "[[syslog]]\nto = \"journal\"", "wanted `journald` or `local`"),
    ] {
        let said = lab.said(
            text,
            after,
            &match key.starts_with('[') {
                true => format!("{key}\n{after}"),
                false => format!("{after}\n{key}"),
            },
        );
        assert!(said.contains(wanted), "lacks {wanted:?}:\n{said}");
    }
    let tls = SEND.replace("[status]", "[[syslog]]\nto = \"udp\"\naddress = \"a:1\"\n[status]");
    assert_all(&lab.send(&tls).unwrap_err(), &["an end of a link can't log to `udp`"]);
}

#[test]
fn keys_and_what_doesnt_go_together_are_looked_at() {
    let lab = Lab::new();
    lab.key("open.key", &key(3), 0o604);
    lab.key("short.key", "secret", 0o600);
    lab.key("same.key", &key(1), 0o600);
    for (text, from, to, wanted) in [
        (SEND, "link.key", "open.key", "secret open to everybody"),
        (SEND, "link.key", "short.key", "got 6 characters, wanted 64 hexadecimal digits"),
        (SEND, "link.key", "none.key", "`sparkdiode link-key "),
        (
            RECEIVE,
            "[[path]]",
            "second-key-file = \"same.key\"\n[[path]]",
            "both key files have one key: ",
        ),
        (
            SEND,
            "[second-pass]",
            "[second-pass]\nwindow-s = 15",
            "`after-s` is 15, `window-s` is 15",
        ),
        (SEND, "[pacing]", "[pacing]\nbytes-per-s = 2000", "10 heartbeats a second take 970 of it"),
        (SEND, "path = \"send\"", "path = \"journal\"", "the state directory is the same"),
    ] {
        let said = lab.said(text, from, to);
        assert!(said.contains(wanted), "lacks {wanted:?}:\n{said}");
        assert!(!said.contains(&key(1)) && !said.contains("secret\n"), "{said}");
    }
}

#[test]
fn a_file_is_known_by_its_content_before_its_name() {
    let half = |name: &str, text: &str| {
        let (document, _) = toml::de::DeTable::parse_recoverable(text);
        half_of(document.get_ref(), name)
    };
    for name in ["x.toml", "ot.toml", "receive.toml"] {
        assert_eq!(half(name, SEND), Some(Half::Send), "{name}");
    }
    for name in ["x.toml", "it.toml", "send.toml"] {
        assert_eq!(half(name, RECEIVE), Some(Half::Receive), "{name}");
    }
    assert_eq!(half("send-b.toml", "[link]\nname = \"a\""), Some(Half::Send));
    assert_eq!(half("receive.toml", "[[path]]"), Some(Half::Receive));
    assert_eq!(half("x.toml", "[link]\nname = \"a\""), None);
    // The IT half has a link to its broker.
    assert_eq!(half("x.toml", "[link]\nbytes-per-s = 64000"), Some(Half::It));
    assert_eq!(half("x.toml", "[broker]\n[link]\nname = \"a\""), Some(Half::It));
    let lab = Lab::new();
    let said = lab.send(RECEIVE).unwrap_err().to_string();
    assert!(said.contains("the file of a link's receiving end, where"), "{said}");
    assert!(said.contains("`sparkdiode receive` reads it"), "{said}");
}

#[test]
fn nothing_panics_on_any_prefix() {
    let lab = Lab::new();
    for text in [SEND, RECEIVE] {
        for length in 0..text.len() {
            let (text, _) = text.split_at(length);
            let _ = lab.send(text).map_err(|problems| problems.to_string());
            let _ = lab.receive(text).map_err(|problems| problems.to_string());
        }
    }
}

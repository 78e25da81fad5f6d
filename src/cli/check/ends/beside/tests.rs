//! Planted faults between the ends of a link, and between an end and its half.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use config::{ItConfig, OtConfig, ReceiveConfig, SendConfig};
use diagnostic::{Diagnostics, SourceFile};

use super::super::Ends;

const SEND: &str = r#"[link]
name = "plant-a"
key-file = "a.key"
[[path]]
to = "192.168.77.2:7400"
[pacing]
[repair]
[second-pass]
[journal]
path = "journal"
[state]
path = "send"
[sandbox]
user = "64011"
"#;
const RECEIVE: &str = r#"[link]
name = "plant-a"
key-file = "a.key"
[[path]]
listen = "192.168.77.2:7400"
[repair]
[journal]
path = "received"
[state]
path = "receive"
[sandbox]
user = "64012"
"#;
const OT: &str = r#"name = "plant-a"
[broker]
address = "127.0.0.1:1"
plaintext = true
[policies]
paths = ["policies"]
[journal]
path = "journal"
[state]
path = "ot"
[sandbox]
user = "64013"
"#;
const IT: &str = r#"[broker]
address = "127.0.0.1:2"
plaintext = true
[mirror]
[journal]
path = "received"
[state]
path = "it"
[sandbox]
user = "64014"
"#;

/// What is said of the four files; each replacement is in the file whose number it has.
fn said(replacements: &[(usize, &str, &str)]) -> (String, String) {
    let lab = tempfile::tempdir().unwrap();
    for (name, seed) in [("a.key", 1_u8), ("b.key", 2), ("c.key", 3)] {
        let hex: String =
            (0..32_u8).map(|at| format!("{:02x}", at.wrapping_mul(7).wrapping_add(seed))).collect();
        fs::write(lab.path().join(name), hex).unwrap();
        fs::set_permissions(lab.path().join(name), Permissions::from_mode(0o400)).unwrap();
    }
    let mut texts = [SEND, RECEIVE, OT, IT].map(str::to_owned);
    for (file, from, to) in replacements {
        let text = &mut texts[*file];
        assert!(text.contains(from), "{from}");
        *text = text.replacen(from, to, 1);
    }
    let file = |name: &str, at: usize| SourceFile::new(lab.path().join(name), texts[at].as_str());
    let path = |name: &str| -> PathBuf { lab.path().join(name) };
    let mut ends = Ends::default();
    ends.add_send(&path("send.toml"), SendConfig::check(file("send.toml", 0)).unwrap().0);
    ends.add_receive(
        &path("receive.toml"),
        ReceiveConfig::check(file("receive.toml", 1)).unwrap().0,
    );
    let (ot, _) = OtConfig::check(file("ot.toml", 2)).unwrap();
    let (it, _) = ItConfig::check(file("it.toml", 3)).unwrap();
    let (mut warnings, mut errors) = (Diagnostics::new(), Diagnostics::new());
    let halves = (Some((Path::new("ot.toml"), &ot)), Some((Path::new("it.toml"), &it)));
    ends.compare(halves.0, halves.1, &mut warnings, &mut errors);
    let show = |problems: Diagnostics| match problems.is_empty() {
        true => String::new(),
        false => problems.to_string(),
    };
    (show(warnings), show(errors))
}

#[test]
fn files_that_fit_together_are_not_complained_of() {
    assert_eq!(said(&[]), (String::new(), String::new()));
    // A receiver takes longer datagrams, and the old key beside the new one.
    let second = "second-key-file = \"b.key\"\n[[path]]";
    for fine in [
        &[(1, "[[path]]", "datagram-bytes = 9000\n[[path]]")][..],
        &[(1, "[[path]]", second), (0, "a.key", "b.key")],
        &[(1, "192.168.77.2", "0.0.0.0")],
    ] {
        assert_eq!(said(fine), (String::new(), String::new()), "{fine:?}");
    }
}

#[test]
fn each_planted_fault_is_named() {
    let second = "second-key-file = \"b.key\"\n[[path]]";
    for (planted, wanted) in [
        (&[(1, "plant-a", "plant-b")][..], "different links: `plant-a` and `plant-b`"),
        (&[(1, "a.key", "b.key")], "the sending end has the key "),
        (&[(1, "[[path]]", second), (0, "a.key", "c.key")], "the sending end has the key "),
        (&[(0, "[[path]]", "datagram-bytes = 8972\n[[path]]")], "datagrams of 8972 bytes are sent"),
        (
            &[(1, "[[path]]", "max-frame-bytes = 65536\n[[path]]")],
            "frames of up to 135266304 bytes are sent, and taken up to 65536",
        ),
        (&[(1, ":7400", ":7401")], "nobody listens at 192.168.77.2:7400"),
        (&[(1, "192.168.77.2", "192.168.77.3")], "nobody listens at 192.168.77.2:7400"),
        (
            &[(1, "\"received\"", "\"journal\""), (3, "\"received\"", "\"journal\"")],
            "that the sending end reads",
        ),
        (&[(2, "\"journal\"", "\"other\"")], "the sending end reads another journal"),
        (&[(3, "\"received\"", "\"other\"")], "the IT half reads another journal"),
        (&[(0, "\"send\"", "\"ot\"")], "is the same directory as"),
        (&[(1, "\"receive\"", "\"it\"")], "is the same directory as"),
        (&[(1, "\"receive\"", "\"send/more\"")], "is inside of"),
        (&[(1, "64012", "64014")], "runs as the same user: `64014`"),
        (&[(0, "64011", "64013")], "runs as the same user: `64013`"),
        (&[(1, "64012", "64011")], "runs as the same user: `64011`"),
    ] {
        let (_, errors) = said(planted);
        assert!(errors.contains(wanted) && errors.contains("error[C117]"), "{wanted}: {errors}");
    }
    for (planted, wanted) in [
        (
            &[(1, "[repair]", "[repair]\nreorder-ms = 350")][..],
            "holes are waited for 350 ms, and repaired up to 350 ms later",
        ),
        (
            &[(1, "[[path]]", "path-down-after-ms = 299\n[[path]]")],
            "`[link] path-down-after-ms` is 299 ms, and a heartbeat comes every 100 ms",
        ),
        (&[(1, "[repair]", "[repair]\nmax-bytes = 1048576")], "`[repair] max-bytes` holds 1.0 MiB"),
        (
            &[(1, "[[path]]", "receive-buffer-bytes = 65536\n[[path]]")],
            "`[link] receive-buffer-bytes` holds 64.0 KiB",
        ),
        (
            &[(1, "[journal]", "[[path]]\nlisten = \"10.0.0.1:1\"\n[journal]")],
            "1 paths are sent by",
        ),
        (
            &[
                (0, "[second-pass]", "[second-pass]\nwindow-s = 604800"),
                (2, "[journal]", "[journal]\nretain-age-h = 1"),
            ],
            "is to be sent again, and the journal keeps",
        ),
        (&[(1, "[journal]", "[journal]\nretain-bytes = 262144")], "fewer than four segments of"),
    ] {
        let (warnings, errors) = said(planted);
        assert!(warnings.contains(wanted), "{wanted}: {warnings}");
        assert_eq!(errors, "", "{wanted}");
    }
}

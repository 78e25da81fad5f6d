//! Both configuration files: what is taken, and what is said of what isn't.

mod bounds;
mod ends;
mod mirrored;
mod observed;
mod servers;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diagnostic::{Diagnostics, SourceFile};

use super::reader::{Environment, Reader};
use super::{DataDatatypes, DataQos, Durability, FirstStart, ItConfig, OnGap, OtConfig};

const OT: &str = r#"name = "plant-a"
[broker]
address = "127.0.0.1:1883"
plaintext = true
[policies]
paths = ["policies", "/etc/extra.toml"]
[journal]
path = "journal"
[state]
path = "ot"
[status]
[metrics]
[relay]
[limits]
[sandbox]
"#;

const IT: &str = r#"[broker]
address = "127.0.0.1:2883"
plaintext = true
[journal]
path = "journal"
[state]
path = "it"
[policies]
paths = ["policies"]
[status]
[metrics]
[health]
[mirror]
[backfill]
[limits]
[sandbox]
"#;

fn environment(credentials_directory: Option<&Path>, checking: bool) -> Environment {
    Environment {
        credentials_directory: credentials_directory.map(PathBuf::from),
        unit_dirs: Vec::new(),
        checking,
        now: now(),
    }
}

/// 2026-11-22.
fn now() -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(1_795_354_043)).unwrap()
}

fn ot(text: &str) -> Result<(OtConfig, Diagnostics), Diagnostics> {
    let file = SourceFile::new("/etc/sparkdiode/ot.toml", text);
    OtConfig::read(Reader::new(file, environment(None, false)))
}

fn it(text: &str) -> Result<(ItConfig, Diagnostics), Diagnostics> {
    let file = SourceFile::new("/etc/sparkdiode/it.toml", text);
    ItConfig::read(Reader::new(file, environment(None, false)))
}

#[track_caller]
fn assert_all(problems: &Diagnostics, wanted: &[&str]) {
    let text = problems.to_string();
    for wanted in wanted {
        assert!(text.contains(wanted), "lacks {wanted:?}:\n{text}");
    }
    assert_eq!(problems.len(), wanted.len(), "{text}");
}

#[test]
fn a_minimal_ot_file_has_the_documented_defaults() {
    let (config, warnings) = ot(OT).unwrap();
    assert_eq!(config.name, "plant-a");
    assert_eq!(config.client_id, "sparkdiode-ot-plant-a");
    assert_eq!(config.broker.servers.to_string(), "127.0.0.1:1883");
    assert_eq!(config.broker.keep_alive, Duration::from_secs(30));
    assert_eq!(config.broker.max_packet_bytes, 1_048_576);
    assert_eq!((config.broker.tls, config.broker.credentials), (None, None));
    let policies = ["/etc/sparkdiode/policies", "/etc/extra.toml"].map(PathBuf::from);
    assert_eq!(config.policy_paths, policies);
    assert_eq!(config.journal.path, Path::new("/etc/sparkdiode/journal"));
    assert_eq!(config.journal.segment_bytes, 67_108_864);
    assert_eq!(config.journal.retain_bytes, 10_737_418_240);
    assert_eq!(config.journal.retain_age, Duration::from_secs(168 * 3_600));
    assert_eq!(config.journal.durability, Durability::Process);
    assert_eq!(config.state_dir, Path::new("/etc/sparkdiode/ot"));
    assert_eq!(config.relay.keyframe_every, Duration::from_secs(60));
    assert_eq!(config.relay.reorder_timeout, Duration::from_millis(2_000));
    assert_eq!(config.relay.doubt_after, Duration::from_secs(300));
    assert_eq!((config.relay.max_nodes, config.relay.max_devices_per_node), (10_000, 1_000));
    assert_all(&warnings, &["neither encrypted nor authenticated"]);
}

#[test]
fn a_minimal_it_file_has_the_documented_defaults() {
    let (config, _) = it(IT).unwrap();
    assert_eq!(config.client_id_prefix, "sparkdiode");
    assert_eq!(config.broker.max_packet_bytes, 4_194_304);
    assert_eq!(config.journal_path, Path::new("/etc/sparkdiode/journal"));
    assert_eq!(config.mirror.stale_after, Duration::from_secs(10));
    assert_eq!((config.mirror.on_gap, config.mirror.primary_host), (OnGap::Mark, None));
    assert_eq!(config.mirror.data_datatypes, DataDatatypes::Never);
    assert_eq!(config.mirror.rebirth_min_interval, Duration::from_secs(1));
    assert_eq!(config.mirror.confirm_every, Duration::from_secs(2));
    assert_eq!(config.mirror.data_qos, DataQos::AtMostOnce);
    assert_eq!((config.mirror.connects_per_s, config.mirror.max_nodes), (None, 10_000));
    assert_eq!(config.mirror.max_devices_per_node, 1_000);
    assert_eq!(config.first_start, FirstStart::Oldest);
    assert!(config.backfill.enabled);
    assert_eq!(config.backfill.messages_per_s, 1_000);
    let without_policies = IT.replace("[policies]\npaths = [\"policies\"]\n", "");
    assert!(it(&without_policies).unwrap().0.policy_paths.is_empty());
}

/// The public key of RFC 8032 §7.1, test 1.
const KEY: &str = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

#[test]
fn required_signatures_have_the_documented_defaults() {
    let table = format!("[policies.require-signature]\nkeys = [\"{KEY} alice\"]\n");
    let (config, _) = ot(&format!("{OT}\n{table}")).unwrap();
    let required = config.require_signature.unwrap();
    assert_eq!(required.keys[0].to_string(), format!("{KEY} alice"));
    assert_eq!(required.threshold, 1);
    // Nothing is there to tell whether the path is that of a directory.
    assert_eq!(required.file, Path::new("/etc/sparkdiode/policy.sig"));
    assert_eq!(required.relay.as_deref(), Some("plant-a"));
    let more = "threshold = 1\nfile = \"x.sig\"\nrelay = \"plant-b\"\n";
    let (config, _) = it(&format!("{IT}\n{table}{more}")).unwrap();
    let required = config.require_signature.unwrap();
    assert_eq!(required.file, Path::new("/etc/sparkdiode/x.sig"));
    assert_eq!(required.relay.as_deref(), Some("plant-b"));
    let (config, _) = it(&format!("{IT}\n{table}")).unwrap();
    assert_eq!(config.require_signature.unwrap().relay, None);
}

#[test]
fn required_signatures_that_nobody_could_give_are_errors() {
    for (table, wanted) in [
        ("", "missing key: `keys` in `[policies.require-signature]`"),
        ("keys = []", "`keys` names no key"),
        ("keys = [\"ssh-ed25519 AAAA\"]", "not a public key: `ssh-ed25519`"),
        ("keys = [\"KEY a\", \"KEY b\"]", "a key is listed twice: `KEY`"),
        ("keys = [\"KEY\"]\nthreshold = 2", "`threshold` is out of range: 2"),
        ("keys = [\"KEY\"]\nthreshold = 0", "`threshold` is out of range: 0"),
    ] {
        let text = format!("{OT}\n[policies.require-signature]\n{table}").replace("KEY", KEY);
        assert_problem(ot(&text), &wanted.replace("KEY", KEY));
    }
}

#[track_caller]
fn assert_problem(read: Result<(OtConfig, Diagnostics), Diagnostics>, wanted: &str) {
    let problems = read.unwrap_err().to_string();
    assert!(problems.contains(wanted), "lacks {wanted:?}:\n{problems}");
}

#[test]
fn every_table_refuses_an_unknown_key() {
    let tls =
        OT.replace("plaintext = true", "[broker.tls]\nca-file = \"${CREDENTIALS_DIRECTORY}/a\"");
    let syslog =
        format!("{OT}[[syslog]]\nto = \"tls\"\naddress = \"a:1\"\n[syslog.tls]\nca-file = \"x\"\n");
    let signed = format!("{OT}\n[policies.require-signature]\nkeys = [\"{KEY}\"]");
    let cases = [
        (OT, "name = \"plant-a\"", "the file", true),
        (OT, "[broker]", "`[broker]`", true),
        (&*tls, "[broker.tls]", "`[broker.tls]`", true),
        (OT, "[policies]", "`[policies]`", true),
        (&*signed, "[policies.require-signature]", "`[policies.require-signature]`", true),
        (OT, "[journal]", "`[journal]`", true),
        (OT, "[state]", "`[state]`", true),
        (OT, "[status]", "`[status]`", true),
        (OT, "[metrics]", "`[metrics]`", true),
        (OT, "[relay]", "`[relay]`", true),
        (OT, "[limits]", "`[limits]`", true),
        (OT, "[sandbox]", "`[sandbox]`", true),
        (IT, "[broker]", "`[broker]`", false),
        (IT, "[journal]", "`[journal]`", false),
        (IT, "[state]", "`[state]`", false),
        (IT, "[policies]", "`[policies]`", false),
        (IT, "[status]", "`[status]`", false),
        (IT, "[metrics]", "`[metrics]`", false),
        (IT, "[health]", "`[health]`", false),
        (IT, "[mirror]", "`[mirror]`", false),
        (IT, "[backfill]", "`[backfill]`", false),
        (IT, "[limits]", "`[limits]`", false),
        (IT, "[sandbox]", "`[sandbox]`", false),
        (&*syslog, "[[syslog]]", "`[syslog]`", true),
        (&*syslog, "[syslog.tls]", "`[syslog.tls]`", true),
    ];
    for (text, after, place, is_ot) in cases {
        let text = text.replacen(after, &format!("{after}\nbogus = 1"), 1);
        let problems =
            if is_ot { ot(&text).unwrap_err() } else { it(&text).unwrap_err() }.to_string();
        let wanted = format!("unknown key: `bogus` in {place}");
        assert!(problems.contains(&wanted), "lacks {wanted:?}:\n{problems}");
    }
    let problems = it(&format!("bogus = 1\n{IT}")).unwrap_err();
    assert!(problems.to_string().contains("unknown key: `bogus` in the file"), "{problems}");
    let segment = IT.replace("[journal]", "[journal]\nsegment-bytes = 1");
    assert!(it(&segment).is_err());
}

#[test]
fn all_problems_of_a_file_are_found_in_one_run_with_place_and_hint() {
    let text = r#"name = "plant a"
[broker]
adress = "10.0.0.5:1883"
keep-alive-s = "30"
max-packet-bytes = 100
user = "relay"
client-id-prefix = "x"
[policies]
paths = ["a.toml", 3]
[journal]
segment-bytes = 1048576
retain-bytes = 2097152
durability = "powr"
[relay]
max-nodes = -5
"#;
    let problems = ot(text).unwrap_err();
    assert_all(
        &problems,
        &[
            "ot.toml:1:8\n",
            "unknown key: `adress` in `[broker]`",
            "wrong type of `broker.keep-alive-s`: got string \"30\", wanted an integer",
            "`max-packet-bytes` is out of range: 100",
            "`client-id-prefix` belongs into `it.toml`",
            "no `[broker.tls]`, and plain TCP wasn't asked for",
            "wrong type of `policies.paths`: got integer `3`, wanted a string",
            "missing key: `path` in `[journal]`",
            "the journal would hold fewer than four segments",
            "unknown value of `durability`: `powr`",
            "missing key: `path` in `[state]`",
            "`max-nodes` is out of range: -5",
        ],
    );
    let text = problems.to_string();
    for wanted in ["hint: did you mean `address`?", "wanted 1 to 100000", "did you mean `power`?"] {
        assert!(text.contains(wanted), "lacks {wanted:?}:\n{text}");
    }
    assert!(!text.contains("missing key: `address`"), "{text}");
}

#[test]
fn tables_where_values_belong_and_values_where_tables_belong_are_named() {
    let text = "name = [1]\nbroker = 3\n[policies.paths]\nx = 1\n[journal]\npath = \"j\"\n\
                [state.path]\n[relay]\nmax-nodes = { a = 1 }\n";
    assert_all(
        &ot(text).unwrap_err(),
        &[
            "wrong type of `name`: got an array, wanted a string",
            "wrong type of `broker`: got integer `3`, wanted a table",
            "wrong type of `policies.paths`: got a table, wanted an array",
            "wrong type of `state.path`: got a table, wanted a string",
            "wrong type of `relay.max-nodes`: got a table, wanted an integer",
        ],
    );
}

#[test]
fn every_syntax_error_is_reported_and_nothing_panics_on_any_prefix() {
    let problems = ot("name = \n[broker\naddress = 'x\n").unwrap_err();
    assert!(problems.len() >= 2, "{problems}");
    assert!(problems.to_string().contains("error[C003]"), "{problems}");
    for text in [OT, IT] {
        for length in 0..text.len() {
            let (text, _) = text.split_at(length);
            let _ = ot(text).map_err(|problems| problems.to_string());
            let _ = it(text).map_err(|problems| problems.to_string());
        }
    }
    let many: String = (0..500).map(|number| format!("x{number} = 1\n")).collect();
    assert!(ot(&many).is_err());
}

#[test]
fn limits_follow_from_the_largest_packet_and_keys_override_them() {
    let large = |text: &str| text.replacen("[broker]", "[broker]\nmax-packet-bytes = 33554432", 1);
    let (small, _) = ot(OT).unwrap();
    assert_eq!((small.limits.metrics, small.limits.payload_bytes), (50_000, 1_048_576));
    assert_eq!((small.limits.name_bytes, small.limits.text_bytes), (1_024, 262_144));
    let (raised, _) = ot(&large(OT)).unwrap();
    assert_eq!((raised.limits.metrics, raised.limits.inflated_bytes), (1_048_576, 33_554_432));
    let (raised, _) = it(&large(IT)).unwrap();
    assert_eq!((raised.limits.metrics, raised.limits.name_bytes), (1_048_576, 4_096));
    let (small, _) = it(IT).unwrap();
    assert_eq!((small.limits.metrics, small.limits.payload_bytes), (131_072, 4_194_304));
    let text = large(OT).replacen("[limits]", "[limits]\nmetrics-per-payload = 70000", 1);
    assert_eq!(ot(&text).unwrap().0.limits.metrics, 70_000);
    // Nothing in a journal is compressed.
    let inflates = IT.replacen("[limits]", "[limits]\ninflated-bytes = 20000", 1);
    assert!(it(&inflates).unwrap_err().to_string().contains("unknown key: `inflated-bytes`"));
}

#[test]
fn plain_tcp_must_be_asked_for_and_excludes_tls() {
    let silent = OT.replace("plaintext = true\n", "");
    assert_all(&ot(&silent).unwrap_err(), &["no `[broker.tls]`, and plain TCP wasn't asked for"]);
    let no = OT.replace("plaintext = true", "plaintext = false");
    assert!(ot(&no).is_err());
    let both = OT.replace("[policies]", "[broker.tls]\nca-file = \"/nonexistent\"\n[policies]");
    let problems = ot(&both).unwrap_err().to_string();
    assert!(problems.contains("`plaintext` and `[broker.tls]` exclude each other"), "{problems}");
    assert!(problems.contains("cannot open `/nonexistent`"), "{problems}");
}

#[test]
fn a_user_needs_no_password_and_a_password_needs_a_user() {
    let alone = OT.replace("plaintext = true", "plaintext = true\nuser = \"relay\"");
    let credentials = ot(&alone).unwrap().0.broker.credentials.unwrap();
    assert_eq!((credentials.user.as_str(), credentials.password), ("relay", None));
    for (line, wanted) in [
        ("password-file = \"x\"", "`password-file` without `user`"),
        ("user = \"\"", "bad value of `user`"),
    ] {
        let text = OT.replace("plaintext = true", &format!("plaintext = true\n{line}"));
        let problems = ot(&text).unwrap_err().to_string();
        assert!(problems.contains(wanted), "{problems}");
    }
}

#[test]
fn credentials_come_from_systemds_directory_and_must_be_private() {
    let directory = tempfile::tempdir().unwrap();
    let password = directory.path().join("ot-password");
    fs::write(&password, "hunter2\n").unwrap();
    fs::set_permissions(&password, Permissions::from_mode(0o600)).unwrap();
    let text = OT.replace(
        "plaintext = true",
        "plaintext = true\nuser = \"relay\"\npassword-file = \"${CREDENTIALS_DIRECTORY}/ot-password\"",
    );
    let read = |directory: Option<&Path>, checking| {
        let file = SourceFile::new("/etc/sparkdiode/ot.toml", &*text);
        OtConfig::read(Reader::new(file, environment(directory, checking)))
    };
    let (config, _) = read(Some(directory.path()), false).unwrap();
    let credentials = config.broker.credentials.as_ref().unwrap();
    assert_eq!(credentials.password.as_ref().unwrap().read().unwrap().expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));

    let problems = read(None, false).unwrap_err().to_string();
    assert!(problems.contains("`CREDENTIALS_DIRECTORY` is not set"), "{problems}");
    assert!(read(None, true).unwrap().1.to_string().contains("not looked at: `ot-password`"));

    fs::set_permissions(&password, Permissions::from_mode(0o644)).unwrap();
    let problems = read(Some(directory.path()), false).unwrap_err().to_string();
    assert!(problems.contains("secret open to everybody"), "{problems}");
    assert!(problems.contains("ot.toml:6:17"), "{problems}");
}

#[test]
fn only_the_credentials_variable_is_expanded_and_only_to_a_plain_name() {
    for path in ["${HOME}/x", "a/${CREDENTIALS_DIRECTORY}/x", "${CREDENTIALS_DIRECTORY}", ""] {
        let text = OT.replace("path = \"ot\"", &format!("path = \"{path}\""));
        assert!(ot(&text).is_err(), "{path}");
    }
    let text = OT.replace("path = \"ot\"", "path = \"${CREDENTIALS_DIRECTORY}/../x\"");
    assert!(ot(&text).unwrap_err().to_string().contains("/NAME"));
}

#[test]
fn names_and_identifiers_keep_to_their_alphabets() {
    for (key, bad) in [
        ("name = \"plant-a\"", "name = \"\""),
        ("name = \"plant-a\"", "name = \"pl\u{e4}nt\""),
        ("[broker]", "[broker]\nclient-id = \"a/b\""),
        ("[broker]", "[broker]\nclient-id = \"\""),
    ] {
        assert!(ot(&OT.replacen(key, bad, 1)).is_err(), "{bad}");
    }
    for (key, bad) in [
        ("[broker]", "[broker]\nclient-id-prefix = \"a b\""),
        ("[broker]", "[broker]\nclient-id = \"x\""),
        ("[mirror]", "[mirror]\nprimary-host = \"a/b\""),
        ("[journal]", "[journal]\nfirst-start = \"new\""),
        ("[mirror]", "[mirror]\non-gap = \"Mark\""),
    ] {
        assert!(it(&IT.replacen(key, bad, 1)).is_err(), "{bad}");
    }
}

#[test]
fn the_shipped_samples_are_valid_and_their_commented_keys_are_the_defaults() {
    for name in ["ot.toml", "it.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd").join(name);
        let text = fs::read_to_string(&path).unwrap();
        let with_defaults: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.split(' ').nth(1) == Some("=") => rest,
                _ => line,
            })
            .fold(String::new(), |text, line| text + line + "\n");
        let read = |text: &str| {
            let file = SourceFile::new(&path, text);
            let reader = Reader::new(file, environment(None, true));
            if name == "ot.toml" {
                let (mut config, _) = OtConfig::read(reader).unwrap_or_else(|e| panic!("{e}"));
                config.broker.credentials = None;
                config.broker.addresses_file = None;
                config.status.textfile = None;
                config.observed_paths.clear();
                config.relay.gather = None;
                if let Some(tls) = &mut config.broker.tls {
                    tls.server_name.clear();
                }
                config.broker.servers.first.server_name = None;
                format!("{config:#?}")
            } else {
                let (mut config, _) = ItConfig::read(reader).unwrap_or_else(|e| panic!("{e}"));
                config.broker.credentials = None;
                config.broker.addresses_file = None;
                config.status.textfile = None;
                config.policy_paths.clear();
                config.mirror.primary_host = None;
                config.mirror.connects_per_s = None;
                config.mirror.gather = None;
                if let Some(health) = &mut config.health {
                    health.edge_node = None;
                }
                format!("{config:#?}")
            }
        };
        assert_ne!(text, with_defaults);
        assert_eq!(read(&text), read(&with_defaults));
    }
}

#[test]
fn a_file_that_cannot_be_read_or_that_everybody_may_write_is_fatal() {
    let problems = OtConfig::load(Path::new("/nonexistent/ot.toml")).unwrap_err().to_string();
    assert!(problems.contains("error[C001]: cannot open `/nonexistent/ot.toml`"), "{problems}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("it.toml");
    fs::write(&path, IT).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let problems = ItConfig::load(&path).unwrap_err().to_string();
    assert!(problems.contains("error[C002]: writable by everybody"), "{problems}");
}

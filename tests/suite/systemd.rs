//! The units that the package ships: right in systemd's own eyes, tight, and without a hold on
//! each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broker::skipped;

const UNITS: &[&str] = &["sparkdiode-ot.service", "sparkdiode-it.service"];
/// The ends of a link between two boxes.
const ENDS: &[&str] = &["sparkdiode-send.service", "sparkdiode-receive.service"];
/// Looks up the name of either half's broker.
const RESOLVE: &str = "sparkdiode-resolve@.service";
/// Exposure that `systemd-analyze security` may find, in tenths.
const MAX_EXPOSURE: &str = "9";

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(shipped(name)).unwrap()
}

/// Runs `systemd-analyze`; `None` where there is none.
fn analyze(arguments: &[&str]) -> Option<(bool, String)> {
    let Ok(output) = Command::new("systemd-analyze").args(arguments).output() else {
        skipped("no `systemd-analyze`");
        return None;
    };
    let text = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn exposure_of_each_unit_is_at_most_nine_tenths() {
    for unit in UNITS.iter().chain(ENDS).chain(&[RESOLVE]) {
        let path = shipped(unit);
        let threshold = format!("--threshold={MAX_EXPOSURE}");
        let arguments =
            ["security", "--no-pager", "--offline=true", &threshold, path.to_str().unwrap()];
        let Some((within, text)) = analyze(&arguments) else { return };
        assert!(within, "{unit}: {text}");
        assert!(text.contains("Overall exposure level"), "{text}");
    }
}

#[test]
fn a_unit_that_is_less_tight_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparkdiode-ot.service");
    let loose = read("sparkdiode-ot.service").replace("PrivateNetwork=yes", "PrivateNetwork=no");
    fs::write(&path, loose.replace("ProtectSystem=strict", "ProtectSystem=no")).unwrap();
    let threshold = format!("--threshold={MAX_EXPOSURE}");
    let arguments =
        ["security", "--no-pager", "--offline=true", &threshold, path.to_str().unwrap()];
    let Some((within, text)) = analyze(&arguments) else { return };
    assert!(!within, "{text}");
}

#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    // The binary and the script aren't installed where the units look for them.
    let dir = tempfile::tempdir().unwrap();
    let netns = shipped("netns");
    let others = [
        "sparkdiode.target",
        "sparkdiode-netns@.service",
        "sparkdiode-resolve@.service",
        "sparkdiode-resolve@.timer",
    ];
    let names = [UNITS, ENDS, &others[..]].concat();
    for name in &names {
        let text = read(name)
            .replace("/usr/bin/sparkdiode", env!("CARGO_BIN_EXE_sparkdiode"))
            .replace("/usr/lib/sparkdiode/netns", netns.to_str().unwrap());
        fs::write(dir.path().join(name), text).unwrap();
    }
    let paths: Vec<String> =
        names.iter().map(|name| dir.path().join(name).display().to_string()).collect();
    let mut arguments = vec!["verify", "--man=no"];
    arguments.extend(paths.iter().map(String::as_str));
    let Some((_, text)) = analyze(&arguments) else { return };
    // Complaints about units of the host aren't ours.
    let ours: Vec<&str> = text.lines().filter(|line| line.contains("sparkdiode")).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

/// Whatever answers both halves would be a way from one to the other.
#[test]
fn a_unit_shows_a_half_three_sockets_of_run_and_nothing_else() {
    for unit in UNITS.iter().chain(ENDS) {
        let text = read(unit);
        let of = |key: &str| -> Vec<&str> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            lines.flat_map(str::split_whitespace).collect()
        };
        assert_eq!(
            of("BindReadOnlyPaths"),
            [
                "/run/systemd/notify",
                "-/run/systemd/journal/socket",
                "-/run/systemd/journal/dev-log"
            ],
            "{unit}"
        );
        let emptied: Vec<&str> =
            of("TemporaryFileSystem").iter().filter_map(|one| one.split(':').next()).collect();
        assert_eq!(emptied, ["/run", "/dev/shm"], "{unit}");
        assert!(of("TemporaryFileSystem").iter().all(|one| one.contains(":ro,")), "{unit}");
        for private in ["PrivateTmp", "PrivateNetwork", "PrivateIPC", "PrivateMounts"] {
            assert_eq!(of(private), ["yes"], "{unit}");
        }
        for more in ["BindPaths", "RuntimeDirectory", "JoinsNamespaceOf"] {
            assert!(of(more).is_empty(), "{unit}: {more}");
        }
    }
}

#[test]
fn the_units_let_the_shipped_configuration_have_what_it_may_take() {
    let output = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
        .arg("check")
        .args(["ot.toml", "it.toml", "send.toml", "receive.toml"].map(shipped))
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let computed: Vec<u64> = computed_mib(&text).collect();
    assert_eq!(computed.len(), 4, "{text}");
    for (unit, computed) in UNITS.iter().chain(ENDS).zip(computed) {
        let unit = read(unit);
        let max = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")).unwrap();
        let max: u64 = max.strip_suffix('G').unwrap().parse().unwrap();
        assert!(computed > 512, "{text}");
        assert!(computed <= max * 1024, "{computed} MiB do not fit into {max} GiB\n{text}");
    }
}

/// What `check` says that the halves may take, in MiB.
pub(crate) fn computed_mib(text: &str) -> impl Iterator<Item = u64> + '_ {
    text.lines().filter_map(|line| {
        let all = line.trim().strip_prefix("memory")?.trim().strip_suffix("M at most:")?;
        Some(all.parse().unwrap())
    })
}

/// What asks name servers is neither half: it has a user and a directory of its own, and its instances
/// share no user.
#[test]
fn what_looks_names_up_has_nothing_of_a_half_and_of_the_other_side() {
    let text = read(RESOLVE);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for wanted in [
        "User=sparkdiode-%i-names",
        "Group=sparkdiode-%i-names",
        "ReadWritePaths=/var/lib/sparkdiode/%i-names",
        "InaccessiblePaths=-/var/lib/sparkdiode/ot -/var/lib/sparkdiode/it \
         -/var/lib/sparkdiode/journal -/etc/sparkdiode/credentials",
        "NetworkNamespacePath=/run/netns/sparkdiode-%i",
    ] {
        assert!(lines.contains(&wanted), "{wanted}: {text}");
    }
    for more in ["LoadCredential", "SupplementaryGroups", "BindPaths", "BindReadOnlyPaths"] {
        assert!(!lines.iter().any(|line| line.starts_with(more)), "{more}: {text}");
    }
    for (half, other) in [("ot", "it"), ("it", "ot")] {
        let unit = read(&format!("sparkdiode-{half}.service"));
        assert!(unit.contains(&format!("After=sparkdiode-resolve@{half}.service\n")), "{unit}");
        assert!(unit.contains(&format!(" -/var/lib/sparkdiode/{other}-names ")), "{unit}");
    }
    let tmpfiles = read("sparkdiode.tmpfiles");
    for half in ["ot", "it"] {
        let user = format!("sparkdiode-{half}-names");
        let line = format!("/var/lib/sparkdiode/{half}-names  0755 {user} {user} -");
        assert!(tmpfiles.contains(&line), "{tmpfiles}");
        assert!(read("sparkdiode.sysusers").contains(&user), "{user}");
    }
}

#[test]
fn no_unit_of_one_half_names_the_other() {
    for (unit, other) in
        [("sparkdiode-ot.service", "sparkdiode-it"), ("sparkdiode-it.service", "sparkdiode-ot")]
    {
        let text = read(unit);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 40, "{unit}");
        for line in lines {
            assert!(!line.contains(other), "{unit}: {line}");
        }
    }
    let target = read("sparkdiode.target");
    for hold in ["Requires=", "BindsTo=", "PartOf=", "Requisite=", "Upholds=", "Conflicts="] {
        assert!(!target.contains(hold), "{hold} ties the halves together");
    }
}

/// An end of a link has a user, a network and a directory of its own, sees nothing of the halves but the
/// journal of its side, and starts only where somebody enables it.
#[test]
fn the_ends_of_a_link_have_what_is_theirs_and_start_with_nothing() {
    let target = read("sparkdiode.target");
    for (end, other, journal) in [
        ("send", "receive", "ReadOnlyPaths=/var/lib/sparkdiode/journal"),
        (
            "receive",
            "send",
            "ReadWritePaths=/var/lib/sparkdiode/received /var/lib/sparkdiode/receive",
        ),
    ] {
        let unit = read(&format!("sparkdiode-{end}.service"));
        let lines: Vec<&str> = unit.lines().filter(|line| !line.starts_with('#')).collect();
        for wanted in [
            &format!("ExecStart=/usr/bin/sparkdiode {end} --config /etc/sparkdiode/{end}.toml")[..],
            &format!("User=sparkdiode-{end}"),
            &format!("Group=sparkdiode-{end}"),
            &format!("LoadCredential={end}:/etc/sparkdiode/credentials/{end}"),
            &format!("NetworkNamespacePath=/run/netns/sparkdiode-{end}"),
            &format!("Requires=sparkdiode-netns@{end}.service"),
            "CapabilityBoundingSet=",
            "IPAddressDeny=any",
            "RestrictAddressFamilies=AF_UNIX AF_INET",
            journal,
        ] {
            assert!(lines.contains(&wanted), "{end}: {wanted}");
        }
        let hidden = lines.iter().find(|line| line.starts_with("InaccessiblePaths=")).unwrap();
        let own = format!("-/etc/sparkdiode/{end}.toml");
        assert!(!hidden.split([' ', '=']).any(|path| path == own), "{end}: {hidden}");
        for secret in ["ot.toml", "it.toml", &format!("{other}.toml"), "credentials"] {
            let path = format!("-/etc/sparkdiode/{secret}");
            assert!(hidden.split([' ', '=']).any(|hidden| hidden == path), "{end}: {secret}");
        }
        assert!(!target.contains(&format!("sparkdiode-{end}")), "the target starts {end}");
        assert!(read("sparkdiode.sysusers").contains(&format!("u     sparkdiode-{end} ")), "{end}");
        let tmpfiles = read("sparkdiode.tmpfiles");
        let state = format!("/var/lib/sparkdiode/{end} ");
        let state = tmpfiles.lines().find(|line| line.contains(&state)).unwrap();
        let words: Vec<&str> = state.split_whitespace().collect();
        let user = format!("sparkdiode-{end}");
        assert_eq!(words[2..5], ["0750", &user[..], &user[..]], "{state}");
    }
}

#[test]
fn no_file_of_one_half_is_writable_by_the_other() {
    let tmpfiles = read("sparkdiode.tmpfiles");
    let mut directories = 0;
    for line in tmpfiles.lines().filter(|line| line.starts_with('d')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (path, mode, user) = (fields[1], fields[2], fields[3]);
        let group_and_others = u32::from_str_radix(mode, 8).unwrap() & 0o027;
        assert_eq!(group_and_others & 0o022, 0, "{line}");
        if path.ends_with("/journal") || path.ends_with("/ot") && !path.contains("credentials") {
            assert_eq!(user, "sparkdiode-ot", "{line}");
        }
        directories += 1;
    }
    assert!(directories >= 7, "{tmpfiles}");
    let it = read("sparkdiode-it.service");
    assert!(it.contains("ReadOnlyPaths=/var/lib/sparkdiode/journal"), "{it}");
    assert!(it.contains("ReadWritePaths=/var/lib/sparkdiode/it\n"), "{it}");
}

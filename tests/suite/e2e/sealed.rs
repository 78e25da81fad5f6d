//! The seal around both halves: what the kernel says about it, what must work under it, and what
//! keeps a half from starting. Every other end-to-end test runs under it too.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rustix::process::Signal;

use crate::broker::{Broker, Options, skipped};
use crate::packet::Packet;
use crate::relay::{Half, Link, Relay, Settings, is_root, sandbox};
use crate::rig::{EVERYTHING, Rig};
use crate::waiting::wait_until;
use crate::wire::Proxy;

const HALVES: [Half; 2] = [Half::Ot, Half::It];

/// A field of `/proc/PID/status`.
fn field(status: &str, name: &str) -> String {
    let line = status.lines().find_map(|line| line.strip_prefix(&format!("{name}:")));
    line.unwrap_or_else(|| panic!("no {name}")).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_kernel_says_that_every_thread_is_sealed() {
    let Some(mut rig) = Rig::start(EVERYTHING) else { return };
    rig.relay.wait_for_log(Half::It, &["it: STARTED"]);
    for half in HALVES {
        let proc = Path::new("/proc").join(rig.relay.pid(half).to_string());
        let threads: Vec<_> = fs::read_dir(proc.join("task")).unwrap().collect();
        assert!(threads.len() >= 2, "{half:?}: worker or mirror is missing");
        for thread in threads {
            let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
            let is =
                |name: &str, wanted: &str| assert_eq!(field(&status, name), wanted, "{status}");
            is("NoNewPrivs", "1");
            is("Seccomp", "2");
            // With an older kernel comes one of the test's own.
            is("Seccomp_filters", if rig.relay.landlock.is_some() { "3" } else { "2" });
            if is_root() {
                let four = [half.user().to_string().as_str(); 4].join(" ");
                is("Uid", &four);
                is("Gid", &four);
                is("Groups", "");
                for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
                    is(set, "0000000000000000");
                }
            }
        }
        let limits = fs::read_to_string(proc.join("limits")).unwrap();
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
    }
}

/// Policies are read again, a password that was replaced is taken at the next connection, and
/// segments come and go.
#[test]
fn reload_passwords_and_retention_work_under_the_seal() {
    let user = Some(("relay".to_owned(), "right".to_owned()));
    let Some(ot) = Broker::start(Options { user, ..Options::default() }) else { return };
    let Some(it) = Broker::plain() else { return };
    let proxy = Proxy::start(ot.address);
    let mut relay = Relay::new(&Settings {
        ot: Link::Plain(proxy.address),
        it: Link::Plain(it.address),
        policy: EVERYTHING.to_owned(),
        ot_broker: "user = \"relay\"\npassword-file = \"password\"".into(),
        it_broker: String::new(),
        ot_extra: String::new(),
        mirror: format!("[policies]\npaths = [\"{}\"]", "policies"),
        journal: "durability = \"power\"".into(),
        journal_source: String::new(),
    });
    relay.write_secret(Half::Ot, "password", "wrong\n");
    relay.start(Half::Ot);
    relay.wait_for_log(Half::Ot, &["not connected", "not authorised"]);
    // As a tool for secrets does it: another file under the same name.
    relay.write_secret(Half::Ot, "password.new", "right\n");
    fs::rename(relay.path("password.new"), relay.path("password")).unwrap();
    wait_until("the relay is in", || {
        proxy.count(|record| matches!(record.received(), Some(Packet::SubAck { .. }))) > 0
    });
    relay.start(Half::It);
    relay.wait_for_log(Half::It, &["it: STARTED"]);
    // A file under another name, and the old one gone.
    let new = EVERYTHING.replace("\"everything\"", "\"all\"");
    fs::write(relay.path("policies/new.toml"), new).unwrap();
    fs::remove_file(relay.path("policies/policy.toml")).unwrap();
    for half in HALVES {
        relay.signal(half, Signal::HUP);
        wait_until("the policy is loaded again", || {
            let log = relay.log(half);
            assert!(!log.contains("POLICY_REFUSED"), "{log}");
            log.matches("POLICY_LOADED").count() == 2
        });
        assert!(relay.terminate(half).success(), "{half:?}");
    }
}

#[test]
fn root_is_refused() {
    if !is_root() {
        return skipped("only root can be refused for being root");
    }
    let mut relay = unreachable_relay();
    for half in HALVES {
        let said = start_to_fail(&mut relay, half, "[sandbox]\n");
        assert!(said.contains("doesn't run as root"), "{said}");
        assert!(said.contains("hint: name a user of its own: [sandbox] user ="), "{said}");
        let said = start_to_fail(&mut relay, half, "[sandbox]\nuser = \"root\"\n");
        assert!(said.contains("doesn't run as root"), "{said}");
    }
}

#[test]
fn what_somebody_else_can_write_is_refused() {
    if !is_root() {
        return skipped("only root can give files to other users");
    }
    let mut relay = unreachable_relay();
    let (ot, it) = (Half::Ot.user(), Half::It.user());
    let own = |half: Half| format!("[sandbox]\nuser = \"{0}\"\ngroup = \"{0}\"\n", half.user());
    let restore = |relay: &Relay| {
        for (name, user, group, mode) in [
            ("journal", ot, it, 0o2750),
            ("ot-state", ot, ot, 0o700),
            ("policies", 0, 0, 0o755),
            ("policies/policy.toml", 0, 0, 0o644),
        ] {
            chown(relay.path(name), Some(user), Some(group)).unwrap();
            fs::set_permissions(relay.path(name), Permissions::from_mode(mode)).unwrap();
        }
    };
    for (half, name, user, group, mode, wanted) in [
        (Half::Ot, "policies/policy.toml", it, it, 0o644, "belongs to user 64002"),
        (Half::Ot, "policies", 0, it, 0o775, "is writable by group 64002"),
        (Half::Ot, "ot-state", ot, it, 0o770, "is writable by group 64002"),
        (Half::Ot, "journal", it, it, 0o755, "belongs to user 64002"),
        (Half::Ot, "journal", ot, it, 0o2770, "is writable by group 64002"),
        (Half::It, "journal", it, it, 0o700, "belongs to this half"),
        (Half::It, "journal", ot, it, 0o2770, "is writable for this half"),
    ] {
        restore(&relay);
        chown(relay.path(name), Some(user), Some(group)).unwrap();
        fs::set_permissions(relay.path(name), Permissions::from_mode(mode)).unwrap();
        let said = start_to_fail(&mut relay, half, &own(half));
        assert!(said.contains(name) && said.contains(wanted), "{half:?}, {name}: {said}");
    }
}

#[test]
fn what_is_trusted_and_somebody_else_can_change_or_secret_and_he_can_read_is_refused() {
    if !is_root() {
        return skipped("only root can give files to other users");
    }
    let certs = tempfile::tempdir().unwrap();
    let path = |name: &str| certs.path().join(name);
    let mut relay = relay_with(|half| Link::Tls {
        address: "127.0.0.1:9".parse().unwrap(),
        ca: path(&format!("certs/{half}-ca.pem")),
        certificate: path(&format!("certs/{half}-client.pem")),
        key: path(&format!("certs/{half}-client.key")),
    });
    let made = relay.run(&["lab-certs", path("certs").to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    let (ot, it) = (Half::Ot.user(), Half::It.user());
    let own = |half: Half| format!("[sandbox]\nuser = \"{0}\"\ngroup = \"{0}\"\n", half.user());
    for (half, name, user, group, mode, wanted, help) in [
        (Half::Ot, "ot-ca.pem", 0, it, 0o664, "is writable by group 64002: mode 0664", "chmod g-w"),
        (Half::Ot, "ot-ca.pem", it, it, 0o644, "belongs to user 64002", "chown root"),
        (Half::Ot, "ot-client.pem", 0, it, 0o664, "is writable by group 64002", "chmod g-w"),
        (Half::Ot, "ot-client.key", 0, it, 0o640, "is readable by group 64002", "chmod 0600"),
        (Half::Ot, "ot-client.key", it, ot, 0o600, "belongs to user 64002", "chown root"),
        (Half::Ot, "", 0, it, 0o775, "is writable by group 64002", "chmod g-w"),
        (Half::It, "it-ca.pem", 0, ot, 0o664, "is writable by group 64001", "chmod g-w"),
        (Half::It, "it-client.key", 0, ot, 0o640, "is readable by group 64001", "chmod 0600"),
    ] {
        let place = path(&format!("certs/{name}"));
        let before = fs::metadata(&place).unwrap();
        chown(&place, Some(user), Some(group)).unwrap();
        fs::set_permissions(&place, Permissions::from_mode(mode)).unwrap();
        let said = start_to_fail(&mut relay, half, &own(half));
        for wanted in
            [place.to_str().unwrap().trim_end_matches('/'), wanted, "wanted: user 0 or ", help]
        {
            assert!(said.contains(wanted), "{half:?}, {name}, no `{wanted}`: {said}");
        }
        chown(&place, Some(0), Some(0)).unwrap();
        fs::set_permissions(&place, before.permissions()).unwrap();
    }
    // As they should be: root's, or the half's own.
    for name in ["ot-ca.pem", "ot-client.key"] {
        chown(path(&format!("certs/{name}")), Some(ot), Some(ot)).unwrap();
    }
    set_sandbox(&relay, Half::Ot, &own(Half::Ot));
    relay.start(Half::Ot);
    relay.wait_for_log(Half::Ot, &["SEALED"]);
    let checked = relay.run(&["sandbox", "check", "ot.toml"]);
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
    fs::set_permissions(path("certs/ot-client.key"), Permissions::from_mode(0o644)).unwrap();
    let checked = relay.run(&["sandbox", "check", "ot.toml"]);
    assert_ne!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn a_journal_that_nobody_else_could_read_is_said() {
    if !is_root() {
        return skipped("only root can give files to other users");
    }
    let mut relay = unreachable_relay();
    relay.start(Half::Ot);
    relay.wait_for_log(Half::Ot, &["STARTED"]);
    assert!(!relay.log(Half::Ot).contains("gives no other group"));
    relay.kill(Half::Ot);
    // Segments would get the OT half's own group.
    fs::set_permissions(relay.path("journal"), Permissions::from_mode(0o750)).unwrap();
    relay.start(Half::Ot);
    relay.wait_for_log(Half::Ot, &["CONFIG_WARNING", "gives no other group its segments"]);
    let checked = relay.run(&["sandbox", "check", "ot.toml"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(77), "{said}");
    assert!(said.contains("readers            NO   journal `"), "{said}");
    fs::set_permissions(relay.path("journal"), Permissions::from_mode(0o2750)).unwrap();
    let checked = relay.run(&["sandbox", "check", "ot.toml", "it.toml"]);
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains("readers            yes  group 64002 can read"), "{said}");
}

#[test]
fn a_journal_that_is_not_there_yet_is_waited_for() {
    let mut relay = unreachable_relay();
    let journal = relay.path("journal");
    let (place, before) = (relay.path("later"), fs::metadata(&journal).unwrap());
    fs::rename(&journal, &place).unwrap();
    relay.start(Half::It);
    let wanted =
        format!("no journal yet: `{}`; waiting up to 45 s for the OT half", journal.display());
    relay.wait_for_log(Half::It, &[&wanted]);
    assert!(!relay.has_ended(Half::It));
    fs::rename(&place, &journal).unwrap();
    assert_eq!(fs::metadata(&journal).unwrap().permissions(), before.permissions());
    relay.wait_for_log(Half::It, &["STARTED"]);
}

#[test]
fn a_directory_that_cannot_be_entered_is_said_with_what_to_do() {
    if !is_root() {
        return skipped("only root can give files to other users");
    }
    let mut relay = unreachable_relay();
    let state = relay.path("it-journal-parent");
    fs::create_dir(&state).unwrap();
    fs::rename(relay.path("journal"), state.join("journal")).unwrap();
    std::os::unix::fs::symlink(state.join("journal"), relay.path("journal")).unwrap();
    fs::set_permissions(&state, Permissions::from_mode(0o700)).unwrap();
    let said = start_to_fail(&mut relay, Half::It, "");
    assert!(said.contains("hint: the user that this runs as may not enter"), "{said}");
    assert!(said.contains("namei -l "), "{said}");
}

#[test]
fn what_is_waived_is_said_at_every_start() {
    let mut relay = unreachable_relay();
    let waived = "[sandbox]\nwaive = [\"user\", \"landlock-files\", \"landlock-tcp\", \
                  \"landlock-scopes\", \"seccomp\"]\n";
    for half in HALVES {
        // Its directories are those of its user all the same.
        let user = sandbox(half).replace("[sandbox]\n", "").replace("waive = [\"user\"]\n", "");
        set_sandbox(&relay, half, &format!("{waived}{user}"));
        relay.start(half);
        for layer in ["user", "landlock-files", "landlock-tcp", "landlock-scopes", "seccomp"] {
            relay.wait_for_log(half, &["sandbox layer waived", &format!("layer={layer}")]);
        }
        relay.kill(half);
    }
}

/// Brokers aren't needed where nothing connects.
fn unreachable_relay() -> Relay {
    relay_with(|_| Link::Plain("127.0.0.1:9".parse().unwrap()))
}

/// With links to the brokers of `ot` and `it`.
fn relay_with(link: impl Fn(&str) -> Link) -> Relay {
    Relay::new(&Settings {
        ot: link("ot"),
        it: link("it"),
        policy: EVERYTHING.to_owned(),
        ot_broker: String::new(),
        it_broker: String::new(),
        ot_extra: String::new(),
        mirror: String::new(),
        journal: String::new(),
        journal_source: String::new(),
    })
}

/// Replaces `[sandbox]`, which is the last table.
fn set_sandbox(relay: &Relay, half: Half, sandbox: &str) {
    let path = relay.path(&format!("{}.toml", half.name()));
    let text = fs::read_to_string(&path).unwrap();
    let (rest, _) = text.split_once("[sandbox]").unwrap();
    fs::write(&path, format!("{rest}{sandbox}")).unwrap();
}

/// Starts a half that can't start, and returns what it said.
#[track_caller]
fn start_to_fail(relay: &mut Relay, half: Half, sandbox: &str) -> String {
    if !sandbox.is_empty() {
        set_sandbox(relay, half, sandbox);
    }
    let before = relay.log(half).len();
    relay.start(half);
    assert_eq!(relay.wait(half).code(), Some(77), "{}", relay.log(half));
    relay.log(half)[before..].to_owned()
}

//! Files that are exchanged while they are in use.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::lab::{Lab, handshake};

const START: SystemTime = SystemTime::UNIX_EPOCH;

/// 2026-11-22, and so many seconds.
fn at(seconds: u64) -> SystemTime {
    let since = Duration::from_secs(1_795_354_043).saturating_add(Duration::from_secs(seconds));
    START.checked_add(since).unwrap()
}

fn open(lab: &Lab) -> Source {
    let source = Source::open(lab.config("broker.plant"), |_, _, _| {}).unwrap();
    assert_eq!(source.look(Look::Regular, at(0)), None);
    source
}

/// By rename, as those do who renew certificates.
fn replace(lab: &Lab, name: &str, content: &str, mode: u32) {
    lab.write("new", content, mode);
    fs::rename(lab.directory.path().join("new"), lab.directory.path().join(name)).unwrap();
}

fn connects(source: &Source, lab: &Lab) -> bool {
    handshake(source.client(), lab.server("broker.plant"), "broker.plant").is_ok()
}

#[track_caller]
fn refused(change: Option<Change>, wanted: &str) {
    match change {
        Some(Change::Refused { error, .. }) => assert!(error.contains(wanted), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_renewed_pair_is_in_force_at_the_next_look_and_its_end_is_known() {
    let lab = Lab::new();
    let source = open(&lab);
    let before = source.client();
    let (certificate, key) = lab.issue("client", (2026, 1, 1), (2027, 1, 1));
    replace(&lab, "client.pem", &certificate, 0o644);
    assert_eq!(source.look(Look::Regular, at(1)), None, "the key may follow");
    assert!(Arc::ptr_eq(&before, &source.client()));
    replace(&lab, "client.key", &key, 0o600);
    let change = source.look(Look::Regular, at(2)).unwrap();
    assert_eq!(change.expires_on().as_deref(), Some("2027-01-01"));
    let Change::Renewed { files, .. } = change else { panic!("{change:?}") };
    assert_eq!(files.len(), 2, "{files:?}");
    assert!(!Arc::ptr_eq(&before, &source.client()) && connects(&source, &lab));
    assert!(source.ends().iter().any(|end| format_date(end.not_after) == "2027-01-01"));
    assert_eq!(source.look(Look::Asked, at(3)), None);
}

#[test]
fn other_authorities_are_taken_up_too() {
    let (lab, other) = (Lab::new(), Lab::new());
    let source = open(&lab);
    let strange = || handshake(source.client(), other.server("broker.plant"), "broker.plant");
    assert!(strange().unwrap_err().to_string().contains("signed with another key"));
    let both = format!("{}{}", lab.authority.pem(), other.authority.pem());
    replace(&lab, "ca.pem", &both, 0o644);
    assert!(matches!(source.look(Look::Regular, at(1)), Some(Change::Renewed { .. })));
    // It is the other one that doesn't know us, now.
    assert!(!strange().unwrap_err().to_string().contains("signed with"));
    assert!(connects(&source, &lab));
}

#[test]
fn what_is_wrong_is_told_once_it_stays_so_and_again_until_it_is_mended() {
    let lab = Lab::new();
    let source = open(&lab);
    let (before, certificate) = (source.client(), lab.read("client.pem"));
    let (other, other_key) = lab.issue("client", (2026, 1, 1), (2027, 1, 1));
    replace(&lab, "client.pem", &other, 0o644);
    assert_eq!(source.look(Look::Regular, at(1)), None);
    assert_eq!(source.trouble(), None);
    refused(source.look(Look::Regular, at(6)), "doesn't belong to the certificate");
    assert!(source.trouble().unwrap().contains("client.key"));
    assert_eq!(source.look(Look::Regular, at(7)), None, "said already");
    refused(source.look(Look::Asked, at(8)), "doesn't belong");
    assert_eq!(source.look(Look::Regular, at(3_600)), None);
    refused(source.look(Look::Regular, at(3_700)), "doesn't belong");
    assert!(Arc::ptr_eq(&before, &source.client()) && connects(&source, &lab));
    // Back, as it was.
    replace(&lab, "client.pem", &certificate, 0o644);
    assert_eq!(source.look(Look::Regular, at(3_701)), Some(Change::Mended));
    assert_eq!((source.trouble(), source.look(Look::Asked, at(3_702))), (None, None));
    // Or onwards.
    replace(&lab, "client.pem", &other, 0o644);
    refused(source.look(Look::Asked, at(3_703)), "doesn't belong");
    replace(&lab, "client.key", &other_key, 0o600);
    assert!(matches!(source.look(Look::Regular, at(3_704)), Some(Change::Renewed { .. })));
    assert_eq!(source.trouble(), None);
}

#[test]
fn every_unusable_file_is_refused_and_what_was_in_force_stays() {
    let lab = Lab::new();
    let source = open(&lab);
    let before = source.client();
    let files = ["ca.pem", "client.pem", "client.key"].map(|name| (name, lab.read(name)));
    let key = &files[2].1;
    let expired = lab.issue("client", (2025, 1, 1), (2026, 1, 1));
    let early = lab.issue("client", (2027, 1, 1), (2028, 1, 1));
    for (pem, key_pem, mode, wanted) in [
        ("", &**key, 0o600, "no certificate in"),
        (&expired.0, &expired.1, 0o600, "expired on 2026-01-01"),
        (&early.0, &early.1, 0o600, "is not valid before 2027-01-01"),
        (&files[1].1, "", 0o600, "empty secret file"),
        (&files[1].1, key, 0o644, "secret open to everybody"),
        (&files[1].1, &key[..60], 0o600, "a section has no end"),
    ] {
        replace(&lab, "client.pem", pem, 0o644);
        replace(&lab, "client.key", key_pem, mode);
        refused(source.look(Look::Asked, at(1)), wanted);
        assert!(Arc::ptr_eq(&before, &source.client()));
    }
    replace(&lab, "client.pem", &files[1].1, 0o644);
    replace(&lab, "client.key", key, 0o600);
    assert_eq!(source.look(Look::Regular, at(2)), Some(Change::Mended));
    fs::remove_file(lab.directory.path().join("ca.pem")).unwrap();
    refused(source.look(Look::Asked, at(3)), "no such file");
    assert!(connects(&source, &lab));
}

#[test]
fn files_that_are_somebody_elses_are_not_taken_up() {
    let lab = Lab::new();
    let source = open(&lab);
    let foreign = Arc::new(AtomicBool::new(true));
    let asked = Arc::clone(&foreign);
    source.guard(move || match asked.load(Ordering::Relaxed) {
        true => Err("private key belongs to user 7".to_owned()),
        false => Ok(()),
    });
    let (certificate, key) = lab.issue("client", (2026, 1, 1), (2027, 1, 1));
    replace(&lab, "client.pem", &certificate, 0o644);
    replace(&lab, "client.key", &key, 0o600);
    refused(source.look(Look::Asked, at(1)), "belongs to user 7");
    foreign.store(false, Ordering::Relaxed);
    assert!(matches!(source.look(Look::Regular, at(2)), Some(Change::Renewed { .. })));
}

#[test]
fn links_are_followed_and_what_was_only_touched_is_the_same() {
    let lab = Lab::new();
    let path = |name: &str| lab.directory.path().join(name);
    fs::create_dir(path("v1")).unwrap();
    fs::rename(path("client.pem"), path("v1/client.pem")).unwrap();
    fs::rename(path("client.key"), path("v1/client.key")).unwrap();
    symlink("v1", path("now")).unwrap();
    symlink("now/client.pem", path("client.pem")).unwrap();
    symlink("now/client.key", path("client.key")).unwrap();
    let source = open(&lab);
    // Another mode, and the same content once more.
    fs::set_permissions(path("v1/client.key"), Permissions::from_mode(0o400)).unwrap();
    let same = lab.read("client.pem");
    replace(&lab, "v1/client.pem", &same, 0o644);
    assert_eq!(source.look(Look::Asked, at(1)), None);
    // As Kubernetes exchanges a secret: both at once.
    let (certificate, key) = lab.issue("client", (2026, 1, 1), (2027, 1, 1));
    fs::create_dir(path("v2")).unwrap();
    lab.write("v2/client.pem", &certificate, 0o644);
    lab.write("v2/client.key", &key, 0o600);
    symlink("v2", path("then")).unwrap();
    fs::rename(path("then"), path("now")).unwrap();
    assert!(matches!(source.look(Look::Regular, at(2)), Some(Change::Renewed { .. })));
    assert!(connects(&source, &lab));
}

#[test]
fn of_several_faults_the_same_is_always_told_first() {
    let lab = Lab::new();
    let source = open(&lab);
    let files = ["ca.pem", "client.pem", "client.key"].map(|name| (name, lab.read(name)));
    let (expired, _) = lab.issue("client", (2025, 1, 1), (2026, 1, 1));
    let told_of = |error: &str| {
        let named = files.each_ref().map(|(name, _)| error.contains(name));
        named.iter().position(|named| *named).unwrap()
    };
    let opened = || {
        let config = lab.config("broker.plant");
        let inspected = crate::inspect(&config, at(1)).unwrap_err().to_string();
        let error = Source::open(config, |_, _, _| {}).unwrap_err().to_string();
        assert_eq!(inspected, error);
        told_of(&error)
    };
    for (name, _) in &files {
        replace(&lab, name, "", 0o600);
    }
    assert_eq!(opened(), 0, "authorities");
    refused(source.look(Look::Asked, at(1)), "no certificate in `");
    let looked = || told_of(&source.trouble().unwrap());
    assert_eq!(looked(), 1, "our certificate");
    replace(&lab, "client.pem", &expired, 0o644);
    refused(source.look(Look::Asked, at(2)), "expired on 2026-01-01");
    assert_eq!((opened(), looked()), (0, 1), "authorities, or its end");
    replace(&lab, "client.pem", &files[1].1, 0o644);
    refused(source.look(Look::Asked, at(3)), "no certificate in `");
    assert_eq!((opened(), looked()), (0, 0), "authorities");
    replace(&lab, "ca.pem", &files[0].1, 0o644);
    refused(source.look(Look::Asked, at(4)), "empty secret file");
    assert_eq!((opened(), looked()), (2, 2), "the key");
    replace(&lab, "client.pem", "", 0o644);
    assert_eq!(opened(), 1, "our certificate");
}

#[test]
fn what_is_exchanged_while_it_is_read_is_in_force_after_the_next_look() {
    let labs = [Lab::new(), Lab::new()];
    let authorities = labs.each_ref().map(|lab| lab.read("ca.pem"));
    let config = TlsConfig { identity: None, ..labs[0].config("broker.plant") };
    for delay in 0..200 {
        replace(&labs[0], "ca.pem", &authorities[0], 0o644);
        let source = std::thread::scope(|scope| {
            let opened = scope.spawn(|| Source::open(config.clone(), |_, _, _| {}).unwrap());
            std::thread::sleep(Duration::from_micros(delay));
            replace(&labs[0], "ca.pem", &authorities[1], 0o644);
            opened.join().unwrap()
        });
        source.look(Look::Asked, at(1));
        // Neither knows us: what counts is whom we trust.
        let trusts = |lab: &Lab| {
            let shaken = handshake(source.client(), lab.server("broker.plant"), "broker.plant");
            !shaken.unwrap_err().to_string().contains("signed with another key")
        };
        assert_eq!(labs.each_ref().map(trusts), [false, true], "after {delay} µs");
    }
}

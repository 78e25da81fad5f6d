//! Addresses that are exchanged while a half runs.

use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::UNIX_EPOCH;

use super::*;

fn at(number: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, number], 8883))
}

fn after(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap()
}

struct Kept {
    directory: tempfile::TempDir,
    addresses: Addresses,
}

impl Kept {
    /// Begins with the first address, looked up; there is no file yet.
    fn new() -> Kept {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let file = AddressFile::new(&directory.path().join("broker"), "b", 8883);
        Kept { addresses: Addresses::kept_in(file, vec![at(1)], None), directory }
    }

    /// As `sparkdiode resolve` does it.
    fn write(&self, numbers: &[u8]) {
        let hosts: Vec<IpAddr> = numbers.iter().map(|number| at(*number).ip()).collect();
        self.put(&AddressFile::text("b", &hosts, UNIX_EPOCH));
    }

    fn put(&self, text: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o644)).unwrap();
        fs::rename(new, self.directory.path().join("broker")).unwrap();
    }
}

#[test]
fn another_file_is_taken_up_without_being_asked_for() {
    let kept = Kept::new();
    let look = || kept.addresses.look(Look::Regular, after(0));
    assert_eq!(look(), None, "there is no file, and nobody asked");
    kept.write(&[2, 3]);
    let changed = AddressChange::Changed { before: vec![at(1)], now: vec![at(2), at(3)] };
    assert_eq!(look(), Some(changed));
    assert_eq!(kept.addresses.in_turn(), [at(2), at(3)]);
    assert_eq!(look(), None);
    // Another order is no change, and the order stays.
    kept.write(&[3, 2]);
    assert_eq!(look(), None);
    assert_eq!(kept.addresses.in_turn(), [at(2), at(3)]);
}

#[test]
fn the_address_that_answered_stays_the_first_one_as_long_as_it_is_there() {
    let kept = Kept::new();
    kept.write(&[2, 3, 4]);
    let look = || kept.addresses.look(Look::Asked, after(0)).is_some();
    assert!(look());
    kept.addresses.found(at(3));
    assert_eq!(kept.addresses.in_turn(), [at(3), at(4), at(2)], "tried first the next time");
    kept.write(&[5, 3]);
    assert!(look());
    assert_eq!(kept.addresses.in_turn(), [at(3), at(5)]);
    kept.addresses.turn();
    assert_eq!(kept.addresses.in_turn(), [at(5), at(3)], "it was no good broker");
    kept.write(&[6, 7]);
    assert!(look());
    assert_eq!(kept.addresses.in_turn(), [at(6), at(7)]);
    // Of an attempt that began before.
    kept.addresses.found(at(3));
    assert_eq!(kept.addresses.in_turn(), [at(6), at(7)]);
}

#[test]
fn a_refused_file_leaves_the_addresses_is_told_once_an_hour_and_then_mended() {
    let kept = Kept::new();
    let look = |why, seconds| kept.addresses.look(why, after(seconds));
    kept.put("nonsense");
    let Some(AddressChange::Refused { error, hint }) = look(Look::Regular, 0) else { panic!() };
    assert!(error.contains("broker:1: not a file of addresses: got `nonsense`"), "{error}");
    assert!(hint.is_some());
    assert_eq!(kept.addresses.in_turn(), [at(1)]);
    assert_eq!(kept.addresses.trouble(), Some(error));
    assert_eq!(look(Look::Regular, 3_599), None);
    assert!(matches!(look(Look::Asked, 3_599), Some(AddressChange::Refused { .. })));
    assert_eq!(look(Look::Regular, 7_000), None);
    assert!(matches!(look(Look::Regular, 7_200), Some(AddressChange::Refused { .. })));
    // Something else is wrong with it: that is news.
    kept.put("other nonsense");
    assert!(matches!(look(Look::Regular, 7_201), Some(AddressChange::Refused { .. })));
    kept.write(&[1]);
    assert_eq!(look(Look::Regular, 7_202), Some(AddressChange::Mended));
    assert_eq!((look(Look::Regular, 7_203), kept.addresses.trouble()), (None, None));
}

#[test]
fn a_file_that_is_gone_is_told_to_whoever_asks() {
    let kept = Kept::new();
    kept.write(&[2]);
    assert!(kept.addresses.look(Look::Regular, after(0)).is_some());
    fs::remove_file(kept.directory.path().join("broker")).unwrap();
    assert_eq!(kept.addresses.look(Look::Regular, after(1)), None);
    let told = kept.addresses.look(Look::Asked, after(2));
    assert!(matches!(told, Some(AddressChange::Refused { .. })), "{told:?}");
    assert_eq!(kept.addresses.in_turn(), [at(2)]);
}

#[test]
fn fixed_addresses_stay_whatever_is_asked() {
    let fixed = Addresses::fixed(vec![at(1)]);
    assert_eq!(fixed.look(Look::Asked, after(0)), None);
    fixed.turn();
    assert_eq!(fixed.in_turn(), [at(1)]);
    let none = Addresses::fixed(Vec::new());
    none.turn();
    assert!(none.in_turn().is_empty());
}

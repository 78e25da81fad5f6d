//! What is written is read again, and everything else is refused by what it is.

use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::UNIX_EPOCH;

use super::*;

/// A directory with such a file.
fn place(content: &[u8]) -> (tempfile::TempDir, AddressFile) {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("broker");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let file = AddressFile::new(&path, "broker.example", 8883);
    (directory, file)
}

fn text(addresses: &[&str]) -> String {
    let addresses: Vec<IpAddr> = addresses.iter().map(|one| one.parse().unwrap()).collect();
    AddressFile::text("broker.example", &addresses, UNIX_EPOCH)
}

/// What is said of a file with this content, behind its path.
fn said(content: &[u8]) -> String {
    let (_directory, file) = place(content);
    let error = file.read().unwrap_err().to_string();
    let path = file.path().display().to_string();
    assert!(error.contains(&path), "{error}");
    error.replace(&path, "")
}

#[test]
fn what_is_written_is_read_in_its_order_and_with_the_port_of_the_configuration() {
    let content = text(&["10.20.0.6", "fd00::5", "10.20.0.5"]);
    assert_eq!(
        content,
        "sparkdiode addresses 1\nhost broker.example\nlooked-up 1970-01-01T00:00:00.000Z\n\
         address 10.20.0.6\naddress fd00::5\naddress 10.20.0.5\n"
    );
    let (_directory, file) = place(content.as_bytes());
    let found: Vec<String> = file.read().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(found, ["10.20.0.6:8883", "[fd00::5]:8883", "10.20.0.5:8883"]);
}

#[test]
fn as_many_addresses_as_may_be_fit_and_one_more_does_not() {
    let longest = |last: usize| format!("fd00:1111:2222:3333:4444:5555:6666:{last:04x}");
    let many: Vec<String> = (0x1000..0x1000 + MAX_ADDRESSES).map(longest).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let host = "h".repeat(253);
    let content = text(&many).replace("broker.example", &host);
    let (_directory, file) = place(content.as_bytes());
    let file = AddressFile::new(file.path(), &host, 1);
    assert_eq!(file.read().unwrap().len(), MAX_ADDRESSES);
    let more = text(&[&many[..], &["10.0.0.1"]].concat());
    let error = said(more.as_bytes());
    assert!(error.starts_with(":68: too many addresses: got `address 10.0.0.1`"), "{error}");
}

#[test]
fn each_line_that_is_not_as_it_should_be_is_named_with_what_stands_there_and_what_was_wanted() {
    let good = text(&["10.20.0.5"]);
    let cases: &[(String, &str)] = &[
        (String::new(), ":1: not a file of addresses: got ``; wanted: `sparkdiode addresses 1`"),
        (good.replace(" 1\n", " 2\n"), ":1: not a file of addresses: got `sparkdiode addresses 2`"),
        (
            good.replace("broker.", "other."),
            ":2: addresses of another host: got `host other.example`; \
          wanted: `host broker.example`, as `address` of the configuration",
        ),
        (good.replace("host ", "host  "), ":2: addresses of another host"),
        (
            good.replace("looked-up 1970", "looked-up 19x0"),
            ":3: no time of looking up: got `looked-up 19x0",
        ),
        (good.replace("looked-up", "looked up"), ":3: no time of looking up"),
        (
            good.replace("address 10.20.0.5\n", ""),
            ":4: no address: got ``; wanted: `address` and an IPv4 or IPv6 address",
        ),
        (good.replace(".0.5", ".0.5:8883"), ":4: no address: got `address 10.20.0.5:8883`"),
        (
            good.replace("10.20.0.5", "broker.example"),
            ":4: no address: got `address broker.example`",
        ),
        (good.replace("10.20.0.5", "fe80::1%eth0"), ":4: no address: got `address fe80::1%eth0`"),
        (good.replace("10.20.0.5", "10.20.0.5 "), ":4: no address: got `address 10.20.0.5 `"),
        (
            good.replace("10.20.0.5", "0.0.0.0"),
            ":4: the address of nobody: got `address 0.0.0.0`; wanted: an address of one host",
        ),
        (good.replace("10.20.0.5", "::"), ":4: the address of nobody"),
        (good.replace("10.20.0.5", "::ffff:0.0.0.0"), ":4: the address of nobody"),
        (good.replace("10.20.0.5", "224.0.0.1"), ":4: an address of many"),
        (good.replace("10.20.0.5", "255.255.255.255"), ":4: an address of many"),
        (good.replace("10.20.0.5", "ff02::1"), ":4: an address of many"),
        (good.replace("10.20.0.5", "fe80::1"), ":4: an address of one link"),
        (good.clone() + "\n", ":5: no address: got ``"),
        (good.clone() + "\naddress 10.20.0.6\n", ":5: no address: got ``"),
        (good.clone() + "port 1\n", ":5: no address: got `port 1`"),
        (good.clone() + "address 10.20.0.6", ":6: cut off: got ``; wanted: a line feed at the end"),
        (
            good.replace('\n', "\r\n"),
            ":1: not a file of addresses: got `sparkdiode addresses 1\\r`",
        ),
        // What would change a terminal, or a record of a log, is escaped.
        (
            good.replace("10.20.0.5", "\u{1b}[2J\u{202e}\0"),
            ":4: no address: got `address \\u{1b}[2J\\u{202e}\\u{0}`",
        ),
        (good.replace("10.20.0.5", &"x".repeat(4_000)), ":4: no address: got `address xxxx"),
    ];
    for (content, begin) in cases {
        let error = said(content.as_bytes());
        assert!(error.starts_with(begin), "{content:?}: {error}");
        assert!(error.chars().count() < 400 && !error.contains('\n'), "{error}");
    }
    let error = said(&[&good.as_bytes()[..good.len() - 1], b"\xff\n"].concat());
    assert!(error.starts_with(":4: no address: got `address 10.20.0.5\u{fffd}`"), "{error}");
}

#[test]
fn a_file_that_somebody_else_could_write_is_refused() {
    for mode in [0o664, 0o646, 0o666] {
        let (_directory, file) = place(text(&["10.20.0.5"]).as_bytes());
        fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
        let error = file.read().unwrap_err();
        let word = format!("has mode {mode:04o}; wanted: mode 0644 or less");
        assert!(error.to_string().ends_with(&word), "{error}");
        assert!(error.hint().unwrap().starts_with("chmod go-w /"), "{error}");
    }
    for mode in [0o775, 0o757, 0o1777] {
        let (directory, file) = place(text(&["10.20.0.5"]).as_bytes());
        fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
        let error = file.read().unwrap_err();
        let word = format!("has mode {mode:04o}; wanted: mode 0755 or less");
        assert!(error.to_string().ends_with(&word), "{error}");
    }
}

#[test]
fn what_is_no_regular_file_or_too_large_is_refused_and_waited_for_by_nobody() {
    let (directory, file) = place(b"");
    let path = file.path().to_owned();
    let refused = |word: &str| {
        let error = file.read().unwrap_err();
        assert!(error.to_string().contains(word), "{word}: {error}");
        fs::remove_file(&path).or_else(|_| fs::remove_dir(&path)).unwrap();
    };
    fs::write(&path, vec![b'a'; 9_000]).unwrap();
    refused("file too large");
    fs::write(directory.path().join("other"), text(&["10.20.0.5"])).unwrap();
    symlink(directory.path().join("other"), &path).unwrap();
    refused("is a symbolic link");
    fs::create_dir(&path).unwrap();
    refused("is a directory");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    refused("is a FIFO");
    let error = file.read().unwrap_err();
    assert!(
        error.is_not_found() && error.hint().unwrap().contains("sparkdiode resolve"),
        "{error}"
    );
}

#[test]
fn only_what_reaches_one_host_is_an_address_of_a_broker() {
    for good in ["10.0.0.1", "127.0.0.1", "::1", "fd00::5", "2001:db8::1", "192.0.2.255"] {
        assert_eq!(usable(good.parse().unwrap()), Ok(()), "{good}");
    }
    assert!(usable(Ipv4Addr::UNSPECIFIED.into()).is_err());
}

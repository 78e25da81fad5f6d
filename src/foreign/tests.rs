//! What somebody can put into a directory of his own, and what then is opened.

use std::os::unix::fs::{chown, symlink};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

const LIMIT: u64 = 1_000;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Directory {
        Directory(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Fails where the reading waits for somebody.
    fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let (done, result) = mpsc::channel();
        let (directory, name) = (self.0.path().to_owned(), name.to_owned());
        std::thread::spawn(move || {
            let read = read(&directory, name, &[], LIMIT);
            done.send(read.map_err(|error| error.to_string()))
        });
        result.recv_timeout(Duration::from_secs(20)).expect("it waits for somebody")
    }

    #[track_caller]
    fn refuses(&self, name: &str, wanted: &str) {
        let error = self.read(name).unwrap_err();
        assert!(error.contains(wanted) && error.contains(name), "{error}");
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_regular_file_is_read_by_one_name_and_below_directories() {
    let directory = Directory::new();
    directory.write("status", "fine");
    fs::create_dir_all(directory.path("a/b")).unwrap();
    directory.write("a/b/state", "deep");
    assert_eq!(directory.read("status").unwrap(), b"fine");
    assert_eq!(directory.read("a/b/state").unwrap(), b"deep");
}

#[test]
fn no_link_is_followed_at_the_end_or_on_the_way() {
    let directory = Directory::new();
    fs::create_dir_all(directory.path("real")).unwrap();
    directory.write("real/secret", "secret");
    symlink("real/secret", directory.path("link")).unwrap();
    symlink("real", directory.path("way")).unwrap();
    symlink("nowhere", directory.path("dangling")).unwrap();
    directory.refuses("link", "is a symbolic link");
    directory.refuses("dangling", "is a symbolic link");
    let error = directory.read("way/secret").unwrap_err();
    assert!(error.contains("way` is a symbolic link"), "{error}");
    // The directory itself is the reader's own word.
    let elsewhere = Directory::new();
    symlink(directory.path("real"), elsewhere.path("state")).unwrap();
    assert_eq!(read(&elsewhere.path("state"), "secret", &[], LIMIT).unwrap(), b"secret");
}

#[test]
fn nothing_leads_out_of_the_directory() {
    let directory = Directory::new();
    fs::create_dir(directory.path("inner")).unwrap();
    directory.write("outer", "outer");
    for name in ["../outer", "/etc/passwd", "./../outer", ""] {
        assert!(read(&directory.path("inner"), name, &[], LIMIT).is_err(), "{name}");
    }
}

#[test]
fn nothing_is_waited_for() {
    let directory = Directory::new();
    fs::create_dir(directory.path("way")).unwrap();
    fifo(&directory.path("pipe"));
    fifo(&directory.path("way/pipe"));
    directory.refuses("pipe", "is a FIFO");
    directory.refuses("way/pipe", "is a FIFO");
    let _listener = std::os::unix::net::UnixListener::bind(directory.path("socket")).unwrap();
    directory.refuses("socket", "is a socket");
    directory.refuses("way", "is a directory");
    // A device, under a name that is no link.
    let error = open(Path::new("/dev"), "zero", &[], LIMIT).unwrap_err();
    assert!(error.to_string().contains("is a device"), "{error}");
}

#[test]
fn sizes_are_capped_before_anything_is_read() {
    let directory = Directory::new();
    let huge = File::create(directory.path("huge")).unwrap();
    huge.set_len(1 << 40).unwrap();
    directory.refuses("huge", "has 1099511627776 bytes or more, at most 1000");
    directory.write("whole", &"x".repeat(1_000));
    assert_eq!(directory.read("whole").unwrap().len(), 1_000);
}

#[test]
fn files_of_other_users_are_refused() {
    if !is_root() {
        return;
    }
    let directory = Directory::new();
    let error = |name: &str, also: &[u32]| {
        read(directory.0.path(), name, also, LIMIT).unwrap_err().to_string()
    };
    fs::create_dir(directory.path("way")).unwrap();
    for name in ["theirs", "way/theirs"] {
        directory.write(name, "x");
    }
    chown(directory.path("theirs"), Some(64_001), None).unwrap();
    chown(directory.path("way"), Some(64_001), None).unwrap();
    assert!(error("theirs", &[]).contains("belongs to user 64001; wanted: user 0"));
    assert!(error("theirs", &[64_002]).contains("belongs to user 64001"));
    assert!(error("way/theirs", &[]).contains("way` belongs to user 64001"));
    assert_eq!(read(directory.0.path(), "theirs", &[64_001], LIMIT).unwrap(), b"x");
    // Root's own file in somebody else's directory isn't his either.
    chown(directory.0.path(), Some(64_001), None).unwrap();
    directory.write("roots", "x");
    assert!(error("roots", &[]).contains("belongs to user 0; wanted: user 64001"));
    assert_eq!(read(directory.0.path(), "theirs", &[], LIMIT).unwrap(), b"x");
}

#[test]
fn a_file_that_a_person_names_may_be_the_readers_own() {
    let directory = Directory::new();
    directory.write("mine", "x");
    assert!(open_named(&directory.path("mine"), LIMIT).is_ok());
    symlink("mine", directory.path("link")).unwrap();
    let error = open_named(&directory.path("link"), LIMIT).unwrap_err();
    assert!(error.hint().unwrap().contains("name or put there the file itself"), "{error}");
    fifo(&directory.path("pipe"));
    assert!(open_named(&directory.path("pipe"), LIMIT).is_err());
    assert!(open_named(Path::new("/"), LIMIT).is_err());
    if is_root() {
        chown(directory.0.path(), Some(64_001), None).unwrap();
        assert!(open_named(&directory.path("mine"), LIMIT).is_ok());
        chown(directory.path("mine"), Some(64_002), None).unwrap();
        assert!(open_named(&directory.path("mine"), LIMIT).is_err());
    }
}

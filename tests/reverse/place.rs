//! What both halves have around them: a journal that OT writes and IT reads, and a state
//! directory for each; and the same once more elsewhere, for an IT half behind a link.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Users that no system has.
pub(crate) const OT_USER: u32 = 64_001;
pub(crate) const IT_USER: u32 = 64_002;
/// The receiving end of a link, which writes the journal that the IT half reads.
pub(crate) const FAR_WRITER: u32 = 64_004;
/// An old segment, which isn't written any more.
const OLD_BYTES: usize = 4 << 20;
/// Ends the log daemon.
const END: &[u8] = b"end";
/// What it takes for a line.
const LINE: Duration = Duration::from_micros(20);

pub(crate) struct Place {
    dir: tempfile::TempDir,
    /// What the IT half has where a link lies between the halves: nothing of it is on a file system or a
    /// disk that the OT half has to do with.
    far: tempfile::TempDir,
}

/// A file system of its own, on every machine that has one disk only.
const FAR: &str = "/dev/shm";

impl Place {
    /// On the file system of the build directory: on a tmpfs, access times and pages behave
    /// differently.
    pub(crate) fn new() -> Place {
        let parent = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let place = Place {
            dir: tempfile::tempdir_in(parent).unwrap(),
            far: tempfile::tempdir_in(FAR).unwrap(),
        };
        place.paths().furnish(OT_USER);
        place.far_paths().furnish(FAR_WRITER);
        std::os::unix::fs::symlink(place.paths().log(), place.far_paths().log()).unwrap();
        let socket = UnixDatagram::bind(place.paths().log()).unwrap();
        fs::set_permissions(place.paths().log(), Permissions::from_mode(0o666)).unwrap();
        std::thread::spawn(move || read_log(&socket));
        place
    }

    pub(crate) fn at(dir: &str) -> Paths {
        Paths { dir: PathBuf::from(dir) }
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.dir.path()
    }

    fn paths(&self) -> Paths {
        Paths { dir: self.dir.path().to_path_buf() }
    }

    pub(crate) fn far_path(&self) -> &std::path::Path {
        self.far.path()
    }

    fn far_paths(&self) -> Paths {
        Paths { dir: self.far.path().to_path_buf() }
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.paths().journal()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let socket = UnixDatagram::unbound().unwrap();
        let _ = socket.send_to(END, self.paths().log());
    }
}

/// A log daemon that is quicker with a line than any real one.
fn read_log(socket: &UnixDatagram) {
    let mut line = [0; 256];
    while let Ok(bytes) = socket.recv(&mut line) {
        if line[..bytes] == *END {
            return;
        }
        let until = Instant::now() + LINE;
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
}

/// The same places as the ends find them.
pub(crate) struct Paths {
    dir: PathBuf,
}

impl Paths {
    /// A journal of `writer`'s that the IT half reads, and states.
    fn furnish(&self, writer: u32) {
        fs::set_permissions(&self.dir, Permissions::from_mode(0o755)).unwrap();
        for (path, user, group, mode) in [
            (self.journal(), writer, IT_USER, 0o2750),
            (self.state("ot"), writer, writer, 0o750),
            (self.state("it"), IT_USER, IT_USER, 0o750),
        ] {
            fs::create_dir(&path).unwrap();
            chown(&path, Some(user), Some(group)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        for (path, bytes) in [(self.growing(), 1), (self.old(), OLD_BYTES)] {
            fs::write(&path, vec![1; bytes]).unwrap();
            chown(&path, Some(writer), Some(IT_USER)).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        }
        fs::File::open(self.old()).unwrap().sync_all().unwrap();
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    pub(crate) fn state(&self, half: &str) -> PathBuf {
        self.dir.join(half)
    }

    /// Where the log daemon of both listens.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// The segment that OT appends to.
    pub(crate) fn growing(&self) -> PathBuf {
        self.journal().join("00000000000000000002")
    }

    /// A segment that is full.
    pub(crate) fn old(&self) -> PathBuf {
        self.journal().join("00000000000000000001")
    }
}

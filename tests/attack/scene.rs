//! The place of an attack: files of both halves as an installation lays them out, a half to be
//! attacked, sockets of its side, and the intruder's own ground.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sandbox::Role;
use serde_json::{Value, json};

use crate::third::Third;

const SEGMENT: &str = "00000000000000000001.sdj";

pub(crate) fn user(role: Role) -> u32 {
    match role {
        Role::Ot => 64_011,
        Role::It => 64_012,
        Role::Send => 64_013,
        Role::Receive => 64_014,
    }
}

/// Who writes a journal, and who reads it, where `role` is one of them.
fn pair(role: Role) -> (Role, Role) {
    match role {
        Role::Ot | Role::It => (Role::Ot, Role::It),
        Role::Send => (Role::Ot, Role::Send),
        Role::Receive => (Role::Receive, Role::It),
    }
}

/// Whom an intruder with the rights of `role` attacks.
fn other(role: Role) -> Role {
    let (writer, reader) = pair(role);
    if role == writer { reader } else { writer }
}

/// Listeners of the side that is attacked, and of the intruder's own; they live as long as the
/// whole test.
pub(crate) struct Sockets {
    _theirs: TcpListener,
    _own: TcpListener,
    _udp: UdpSocket,
    in_the_abstract: UnixDatagram,
    pub(crate) their_port: u16,
    pub(crate) own_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) abstract_name: String,
    pub(crate) third: Third,
}

impl Sockets {
    pub(crate) fn open() -> Sockets {
        let theirs = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let abstract_name = format!("sparkdiode-attack-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let in_the_abstract = UnixDatagram::bind_addr(&address).unwrap();
        in_the_abstract.set_nonblocking(true).unwrap();
        Sockets {
            their_port: theirs.local_addr().unwrap().port(),
            own_port: own.local_addr().unwrap().port(),
            udp_port: udp.local_addr().unwrap().port(),
            _theirs: theirs,
            _own: own,
            _udp: udp,
            in_the_abstract,
            abstract_name,
            third: Third::start(),
        }
    }
}

impl Sockets {
    /// Takes what earlier attempts have left: behind a full queue the next one would wait for ever.
    pub(crate) fn catch_up(&self) {
        while self.in_the_abstract.recv(&mut [0; 8]).is_ok() {}
        self.third.catch_up();
    }
}

/// Everything of one attempt; made anew for each, since some attempts destroy it.
pub(crate) struct Scene {
    _dir: tempfile::TempDir,
    victim: Child,
    _path_socket: UnixListener,
    place: Place,
}

/// What an intruder knows: where things are.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) role: Role,
    /// The half that is attacked.
    pub(crate) other: Role,
    pub(crate) victim: i32,
    pub(crate) their_port: u16,
    pub(crate) own_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) abstract_name: String,
    /// Where third processes listen.
    pub(crate) third_directory: PathBuf,
    pub(crate) third_abstract: String,
    /// The file system of the other half's /dev/shm.
    pub(crate) shared_memory: u64,
}

impl Place {
    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    pub(crate) fn segment(&self) -> PathBuf {
        self.journal().join(SEGMENT)
    }

    pub(crate) fn state(&self, role: Role) -> PathBuf {
        self.dir.join(format!("{role}-state"))
    }

    /// The intruder's own state.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.state(self.role).join(name)
    }

    /// State of the half that is attacked.
    pub(crate) fn their_state(&self) -> PathBuf {
        self.state(self.other).join("some.state")
    }

    pub(crate) fn their_key(&self) -> PathBuf {
        self.dir.join(format!("{}.key", self.other))
    }

    pub(crate) fn path_socket(&self) -> PathBuf {
        self.dir.join("socket")
    }

    /// The socket of a third process.
    pub(crate) fn third(&self, name: &str) -> PathBuf {
        self.third_directory.join(name)
    }

    /// What is left for the other half at a third process; another one in each attempt.
    pub(crate) fn word(&self) -> String {
        format!("word-{}", self.victim)
    }

    /// As the other half sees it, which was taken over too.
    pub(crate) fn of_the_other(&self) -> Place {
        Place { role: self.other, other: self.role, ..self.clone() }
    }

    /// A file in `/proc` of the half that is attacked.
    pub(crate) fn proc(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.victim.to_string()).join(name)
    }

    pub(crate) fn to_json(&self) -> String {
        json!({
            "dir": self.dir, "role": self.role.name(), "other": self.other.name(), "victim": self.victim,
            "their_port": self.their_port, "own_port": self.own_port,
            "udp_port": self.udp_port, "abstract_name": self.abstract_name,
            "third_directory": self.third_directory, "third_abstract": self.third_abstract,
            "shared_memory": self.shared_memory,
        })
        .to_string()
    }

    pub(crate) fn from_json(text: &str) -> Place {
        let value: Value = serde_json::from_str(text).unwrap();
        let port = |name: &str| u16::try_from(value[name].as_u64().unwrap()).unwrap();
        Place {
            dir: PathBuf::from(value["dir"].as_str().unwrap()),
            role: role(value["role"].as_str().unwrap()),
            other: role(value["other"].as_str().unwrap()),
            victim: i32::try_from(value["victim"].as_i64().unwrap()).unwrap(),
            their_port: port("their_port"),
            own_port: port("own_port"),
            udp_port: port("udp_port"),
            abstract_name: value["abstract_name"].as_str().unwrap().to_owned(),
            third_directory: PathBuf::from(value["third_directory"].as_str().unwrap()),
            third_abstract: value["third_abstract"].as_str().unwrap().to_owned(),
            shared_memory: value["shared_memory"].as_u64().unwrap(),
        }
    }
}

pub(crate) fn role(name: &str) -> Role {
    Role::ALL.into_iter().find(|role| role.name() == name).unwrap()
}

impl Scene {
    /// The intruder has the rights of `role`.
    pub(crate) fn set(role: Role, sockets: &Sockets) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        give(dir.path(), 0, 0, 0o711);
        let (writer, reader) = pair(role);
        let (writes, reads) = (user(writer), user(reader));
        let of = |role: Role, what: &str| format!("{role}{what}");
        for (name, user, group, mode) in [
            ("journal", writes, reads, 0o2750),
            (of(writer, "-state").as_str(), writes, writes, 0o700),
            (of(reader, "-state").as_str(), reads, reads, 0o700),
            ("policies", 0, 0, 0o755),
        ] {
            fs::create_dir(dir.path().join(name)).unwrap();
            give(&dir.path().join(name), user, group, mode);
        }
        let segment = format!("journal/{SEGMENT}");
        for (name, user, group, mode) in [
            ("journal/00000000000000000000.sdj", writes, reads, 0o640),
            (segment.as_str(), writes, reads, 0o640),
            (of(writer, "-state/some.state").as_str(), writes, writes, 0o600),
            (of(reader, "-state/some.state").as_str(), reads, reads, 0o600),
            (of(writer, ".key").as_str(), writes, writes, 0o600),
            (of(reader, ".key").as_str(), reads, reads, 0o600),
            ("policies/policy.toml", 0, 0, 0o644),
        ] {
            fs::write(dir.path().join(name), [b'x'; 4_096]).unwrap();
            give(&dir.path().join(name), user, group, mode);
        }
        let path_socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        let other = other(role);
        give(&dir.path().join("socket"), user(other), user(other), 0o777);
        let victim = start_victim(other, dir.path());
        let place = Place {
            dir: dir.path().to_owned(),
            role,
            other,
            victim: i32::try_from(victim.id()).unwrap(),
            their_port: sockets.their_port,
            own_port: sockets.own_port,
            udp_port: sockets.udp_port,
            abstract_name: sockets.abstract_name.clone(),
            third_directory: sockets.third.directory.clone(),
            third_abstract: sockets.third.abstract_name.clone(),
            shared_memory: fs::metadata("/dev/shm").unwrap().dev(),
        };
        Scene { _dir: dir, victim, _path_socket: path_socket, place }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It may be what the attack has ended.
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        // Whatever was mounted over it in the one attempt without any layer.
        while rustix::mount::unmount(self.place.journal(), rustix::mount::UnmountFlags::DETACH)
            .is_ok()
        {}
        let _ = fs::remove_file(format!("/dev/shm/sparkdiode-attack-{}", self.place.victim));
        // An attempt may have made it immutable.
        let segment = self.place.segment();
        if let Ok(file) = File::open(&segment) {
            let none = rustix::fs::IFlags::empty();
            let _ = rustix::fs::ioctl_setflags(&file, none);
        }
    }
}

fn give(path: &Path, user: u32, group: u32, mode: u32) {
    chown(path, Some(user), Some(group)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// The half that is attacked: its user, sealed like it, with a key and a segment open.
fn start_victim(role: Role, dir: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", role.name()])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n", "the half that is to be attacked didn't start");
    child
}

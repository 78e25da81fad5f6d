//! Third processes that both halves may be able to reach: a message bus with Debian's stock rules, and
//! stand-ins for whatever else listens on a socket of the machine. Each keeps a word that one half
//! leaves, and tells it to whoever asks.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::scene::user;

/// What asks for the word that was left.
pub(crate) const ASK: &[u8] = b"?";
/// Names of the sockets below the directory of [`Third`].
pub(crate) const BUS: &str = "bus";
pub(crate) const STREAM: &str = "stream";
pub(crate) const PACKETS: &str = "packets";
/// A log daemon's; unlike that of a real one it answers. The units let a half see it.
pub(crate) const LOG: &str = "log";
/// A log daemon's that is behind with reading. The units let a half see it.
pub(crate) const BUSY_LOG: &str = "busy-log";

/// Debian's rules for the system bus (`/usr/share/dbus-1/system.conf`).
const STOCK_RULES: &str = r#"<policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>"#;

type Word = Arc<Mutex<Vec<u8>>>;

/// They live as long as the whole test, in a directory of their own below /run, as on a machine.
pub(crate) struct Third {
    pub(crate) directory: PathBuf,
    pub(crate) abstract_name: String,
    bus: Option<Child>,
    busy_log: UnixDatagram,
}

impl Third {
    pub(crate) fn start() -> Third {
        let directory = PathBuf::from(format!("/run/sparkdiode-attack-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        let abstract_name = format!("sparkdiode-attack-third-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for listener in [
            UnixListener::bind(directory.join(STREAM)).unwrap(),
            UnixListener::bind_addr(&address).unwrap(),
        ] {
            let word = Word::default();
            std::thread::spawn(move || {
                for connection in listener.incoming() {
                    converse(connection.unwrap(), &word);
                }
            });
        }
        listen_for_packets(&directory.join(PACKETS));
        answer_datagrams(UnixDatagram::bind(directory.join(LOG)).unwrap());
        let busy_log = UnixDatagram::bind(directory.join(BUSY_LOG)).unwrap();
        busy_log.set_nonblocking(true).unwrap();
        let bus = start_bus(&directory);
        for socket in fs::read_dir(&directory).unwrap() {
            let _ = fs::set_permissions(socket.unwrap().path(), Permissions::from_mode(0o666));
        }
        Third { directory, abstract_name, bus, busy_log }
    }

    /// Whether there is a message bus.
    pub(crate) fn has_bus(&self) -> bool {
        self.bus.is_some()
    }

    /// The busy log daemon has caught up.
    pub(crate) fn catch_up(&self) {
        while self.busy_log.recv(&mut [0; 16]).is_ok() {}
    }
}

impl Drop for Third {
    fn drop(&mut self) {
        if let Some(bus) = &mut self.bus {
            let _ = bus.kill();
            let _ = bus.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Keeps what it is sent, until somebody asks.
fn answer(word: &Word, said: &[u8]) -> Option<Vec<u8>> {
    let mut word = word.lock().unwrap();
    if said == ASK {
        return Some(word.clone());
    }
    *word = said.to_vec();
    None
}

/// With each of those who come, at the same time.
fn converse(mut connection: UnixStream, word: &Word) {
    let word = Arc::clone(word);
    std::thread::spawn(move || {
        let mut said = [0; 256];
        while let Ok(bytes @ 1..) = connection.read(&mut said) {
            // Whoever leaves a word waits until it is there.
            let answer = answer(&word, &said[..bytes]).unwrap_or_else(|| b"kept".to_vec());
            let _ = connection.write_all(&answer);
        }
    });
}

fn listen_for_packets(path: &Path) {
    let listener = rustix::net::socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::bind(&listener, &SocketAddrUnix::new(path).unwrap()).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    std::thread::spawn(move || {
        let word = Word::default();
        while let Ok(connection) = rustix::net::accept_with(&listener, SocketFlags::CLOEXEC) {
            // Reading and writing are the same as those of a stream.
            converse(UnixStream::from(connection), &word);
        }
    });
}

fn answer_datagrams(socket: UnixDatagram) {
    std::thread::spawn(move || {
        let word = Word::default();
        let mut said = [0; 256];
        while let Ok((bytes, from)) = socket.recv_from(&mut said) {
            if let Some(answer) = answer(&word, &said[..bytes]) {
                // An address without a name can't be answered.
                let _ = socket.send_to_addr(&answer, &from);
            }
        }
    });
}

/// Starts a real message bus; `None` where none is installed.
fn start_bus(directory: &Path) -> Option<Child> {
    let config = directory.join("bus.conf");
    let socket = directory.join(BUS);
    let text = format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n<busconfig>\n  \
         <type>system</type>\n  <auth>EXTERNAL</auth>\n  <listen>unix:path={}</listen>\n  \
         {STOCK_RULES}\n</busconfig>\n",
        socket.display()
    );
    fs::write(&config, text).unwrap();
    // It wants to know who speaks to it, and a machine knows the users of its halves.
    for (name, kind) in [("passwd", ":/:/bin/false"), ("group", "")] {
        let mut text = fs::read_to_string(Path::new("/etc").join(name)).unwrap();
        for user in sandbox::Role::ALL.map(user) {
            let own = if name == "passwd" { format!("{user}:") } else { String::new() };
            text.push_str(&format!("attack-{user}:x:{user}:{own}{kind}\n"));
        }
        fs::write(directory.join(name), text).unwrap();
    }
    let mut bus = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-euc"])
        .arg(
            "for name in passwd group; do mount --bind \"$0/$name\" /etc/$name; done; \
             exec dbus-daemon --config-file=\"$0/bus.conf\" --nofork --nopidfile --nosyslog \
             --print-address",
        )
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut address = String::new();
    BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
    if !address.starts_with("unix:path=") {
        let _ = bus.wait();
        return None;
    }
    Some(bus)
}

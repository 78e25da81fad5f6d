//! A real mosquitto on 127.0.0.1, started, killed and restarted by the tests.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::waiting::{DEADLINE, holds_within, wait_until};

const MOSQUITTO: &str = "/usr/sbin/mosquitto";

/// How often another port is tried when the chosen one was taken in between.
const PORT_ATTEMPTS: usize = 5;

/// What a test may vary; the default is a plaintext listener that anyone may use.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Sessions and queued messages are saved after every change, so that they survive a kill.
    pub persistence: bool,
    /// A second listener with TLS that demands a client certificate.
    pub tls: Option<TlsFiles>,
    /// The only user and password that the plaintext listener takes.
    pub user: Option<(String, String)>,
    /// Configuration of mosquitto's dynamic security, for the plaintext listener: what clients
    /// may subscribe to.
    pub access: Option<String>,
    /// A second plaintext listener, where an access list holds; see [`List`].
    pub list: bool,
    /// Largest packet that it takes; it ends the session that sends a larger one.
    pub max_packet_bytes: Option<u32>,
}

/// PEM files of the TLS listener.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

pub struct Broker {
    pub address: SocketAddr,
    /// Of the TLS listener.
    pub tls_address: Option<SocketAddr>,
    /// Of the listener under an access list.
    pub list_address: Option<SocketAddr>,
    pid: Arc<AtomicI32>,
    dir: tempfile::TempDir,
    options: Options,
    child: Option<Child>,
}

impl Broker {
    /// `None` when mosquitto isn't installed; that is reported loudly, see [`skipped`].
    pub fn start(options: Options) -> Option<Broker> {
        if !Path::new(MOSQUITTO).exists() {
            skipped(&format!("{MOSQUITTO} is not installed"));
            return None;
        }
        if options.access.is_some() && dynamic_security().is_none() {
            skipped("mosquitto comes without its plugin for dynamic security");
            return None;
        }
        for _ in 0..PORT_ATTEMPTS {
            let mut broker = Broker {
                address: free_port(),
                tls_address: options.tls.is_some().then(free_port),
                list_address: options.list.then(free_port),
                pid: Arc::default(),
                dir: tempfile::tempdir().unwrap(),
                options: options.clone(),
                child: None,
            };
            if broker.try_restart() {
                return Some(broker);
            }
        }
        panic!("mosquitto didn't start on any of {PORT_ATTEMPTS} ports");
    }

    /// The access list of its second listener.
    pub fn list(&self) -> List {
        List { dir: self.dir.path().to_owned(), pid: Arc::clone(&self.pid) }
    }

    /// A broker with default options.
    pub fn plain() -> Option<Broker> {
        Broker::start(Options::default())
    }

    /// SIGKILL; everything that wasn't saved is gone.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGSTOP: its connections stand, and nothing is answered any more.
    pub fn freeze(&self) {
        let pid = i32::try_from(self.child.as_ref().unwrap().id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
    }

    /// Starts it again after [`Broker::kill`], on the same ports.
    pub fn restart(&mut self) {
        wait_until("mosquitto is back on its port", || self.try_restart());
    }

    /// What mosquitto logged, for a failing test.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn try_restart(&mut self) -> bool {
        let config = self.dir.path().join("mosquitto.conf");
        fs::write(&config, self.config()).unwrap();
        let log = self.dir.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut child = Command::new(MOSQUITTO)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut ended = false;
        // As long as nobody listens, a client can be given that very port and meet itself.
        let accepts = |address: SocketAddr| {
            TcpStream::connect(address).is_ok_and(|it| it.local_addr().unwrap() != address)
        };
        let started = holds_within(DEADLINE, || {
            ended = child.try_wait().unwrap().is_some();
            let others = [self.tls_address, self.list_address];
            ended || (accepts(self.address) && others.into_iter().flatten().all(accepts))
        });
        if ended || !started {
            let _ = child.kill();
            let _ = child.wait();
            return false;
        }
        self.pid.store(child.id().try_into().unwrap(), Ordering::Relaxed);
        self.child = Some(child);
        true
    }

    fn config(&self) -> String {
        let dir = self.dir.path().display();
        let mut text = String::from(
            "per_listener_settings true\n\
             queue_qos0_messages true\n\
             max_queued_messages 0\n\
             max_inflight_messages 0\n\
             set_tcp_nodelay true\n\
             log_dest stdout\n\
             log_type all\n\
             log_timestamp_format %H:%M:%S\n",
        );
        if let Some(bytes) = self.options.max_packet_bytes {
            writeln!(text, "max_packet_size {bytes}").unwrap();
        }
        if self.options.persistence {
            writeln!(
                text,
                "persistence true\npersistence_location {dir}/\n\
                 autosave_interval 1\nautosave_on_changes true"
            )
            .unwrap();
        } else {
            text.push_str("persistence false\n");
        }
        // When started by root it gives up its privileges, but not in a directory of root's.
        text.push_str("user root\n");
        writeln!(text, "listener {} 127.0.0.1", self.address.port()).unwrap();
        if let Some((user, password)) = &self.options.user {
            let file = self.dir.path().join("passwords");
            fs::write(&file, format!("{user}:{password}\n")).unwrap();
            let hashed = Command::new("mosquitto_passwd").arg("-U").arg(&file).output().unwrap();
            assert!(hashed.status.success(), "{hashed:?}");
            writeln!(text, "allow_anonymous false\npassword_file {}", file.display()).unwrap();
        } else {
            text.push_str("allow_anonymous true\n");
        }
        if let (Some(access), Some(plugin)) = (&self.options.access, dynamic_security()) {
            let file = self.dir.path().join("access.json");
            fs::write(&file, access).unwrap();
            let (plugin, file) = (plugin.display(), file.display());
            writeln!(text, "plugin {plugin}\nplugin_opt_config_file {file}").unwrap();
        }
        if let (Some(tls), Some(address)) = (&self.options.tls, self.tls_address) {
            writeln!(
                text,
                "listener {} 127.0.0.1\nallow_anonymous true\ncafile {}\ncertfile {}\n\
                 keyfile {}\nrequire_certificate true",
                address.port(),
                tls.ca.display(),
                tls.certificate.display(),
                tls.key.display(),
            )
            .unwrap();
        }
        if let Some(address) = self.list_address {
            let file = self.list().file();
            if !file.exists() {
                fs::write(&file, "").unwrap();
            }
            // What goes to stdout is there at its end only.
            writeln!(text, "log_dest file {}", self.list().log().display()).unwrap();
            let (port, file) = (address.port(), file.display());
            writeln!(text, "listener {port} 127.0.0.1\nallow_anonymous true\nacl_file {file}")
                .unwrap();
        }
        text
    }
}

/// The access list of a broker's second listener. Without a line nobody may do anything there.
#[derive(Clone, Debug)]
pub struct List {
    dir: PathBuf,
    pid: Arc<AtomicI32>,
}

impl List {
    fn file(&self) -> PathBuf {
        self.dir.join("list")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("reloads")
    }

    /// Adds to it, and waits until the broker has taken it up: what a narrower policy needs no more is
    /// taken away when the halves have it, as they still have to say that its nodes are dead.
    pub fn add(&self, list: &[u8]) {
        let reloads = || {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            log.matches("Reloading config").count()
        };
        let before = reloads();
        let before_it = fs::read(self.file()).unwrap();
        fs::write(self.file(), [&before_it, list].concat()).unwrap();
        let pid = Pid::from_raw(self.pid.load(Ordering::Relaxed)).unwrap();
        kill_process(pid, Signal::HUP).unwrap();
        wait_until("the broker has the access list", || reloads() > before);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Says loudly that a test was skipped: on the real stderr (the test runner captures only the
/// print macros) and, for CI, which must fail then, in the file named by `SPARKDIODE_SKIP_LOG`.
pub fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let line = format!("SKIPPED: {name}: {why}\n");
    io::stderr().lock().write_all(line.as_bytes()).unwrap();
    if let Some(path) = std::env::var_os("SPARKDIODE_SKIP_LOG") {
        let mut file = fs::File::options().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
}

/// Mosquitto's plugin, in the library directory of whatever architecture this is.
fn dynamic_security() -> Option<PathBuf> {
    let directories = fs::read_dir("/usr/lib").ok()?;
    let plugins =
        directories.flatten().map(|entry| entry.path().join("mosquitto_dynamic_security.so"));
    plugins.into_iter().find(|path| path.exists())
}

fn free_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Client;
    use crate::packet::Connect;

    #[test]
    fn a_persistent_session_survives_the_kill_of_its_broker() {
        let options = Options { persistence: true, ..Options::default() };
        let Some(mut broker) = Broker::start(options) else { return };
        let session = Connect { client_id: "keeper".into(), ..Connect::default() };
        let mut keeper = Client::connect(broker.address, session.clone()).unwrap();
        keeper.subscribe(&[("kept/#", 1)]);
        drop(keeper);
        let mut publisher = Client::plain(broker.address, "publisher");
        publisher.publish("kept/1", b"queued".to_vec(), 1, false).unwrap();
        let saved = broker.dir.path().join("mosquitto.db");
        wait_until("the queued message is saved", || {
            fs::read(&saved).is_ok_and(|bytes| bytes.windows(6).any(|window| window == b"queued"))
        });
        broker.kill();
        broker.restart();
        let keeper = Client::connect(broker.address, session).unwrap();
        wait_until("the queued message arrives", || {
            keeper.look(|arrivals| arrivals.iter().any(|one| one.publish.payload == b"queued"))
        });
    }

    #[test]
    fn a_wrong_password_is_refused() {
        let user = Some(("plant".to_owned(), "secret".to_owned()));
        let Some(broker) = Broker::start(Options { user, ..Options::default() }) else { return };
        let connect = |password: &str| Connect {
            client_id: "c".into(),
            clean_session: true,
            user: Some("plant".into()),
            password: Some(password.into()),
            ..Connect::default()
        };
        assert!(Client::connect(broker.address, connect("wrong")).is_err());
        Client::connect(broker.address, connect("secret")).unwrap();
    }
}

//! Brokers other than mosquitto, as processes that are started, killed and restarted: rumqttd as the crate
//! has it (with its own listener, which the demo's broker replaces), aedes (Node.js) and amqtt (Python).

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::broker::skipped;
use crate::waiting::{DEADLINE, holds_within};

/// What `.ci/run` installs; a test without it is skipped, loudly.
const AEDES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/aedes");
const AMQTT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/amqtt");
const AEDES_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/aedes_broker.js");
const AMQTT_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/amqtt_broker.py");
/// Tells the process of a test which is a broker, and no test, where to listen.
const LISTEN: &str = "SPARKDIODE_TEST_RUMQTTD";
/// How often another port is tried when the chosen one was taken in between.
const PORT_ATTEMPTS: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Rumqttd,
    Aedes,
    Amqtt,
}

impl Kind {
    /// The command that listens at `address`; `None`: it isn't installed, which is said.
    fn command(self, address: SocketAddr) -> Option<Command> {
        let port = address.port().to_string();
        match self {
            Kind::Rumqttd => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--ignored", "--exact", "other_brokers::rumqttd", "--nocapture"]);
                command.env(LISTEN, address.to_string());
                Some(command)
            }
            Kind::Aedes => {
                let modules = installed("SPARKDIODE_AEDES", AEDES, "node_modules/aedes")?;
                let mut command = Command::new("node");
                command.arg(AEDES_SCRIPT).arg(port).env("NODE_PATH", modules.parent().unwrap());
                Some(command)
            }
            Kind::Amqtt => {
                let python = installed("SPARKDIODE_AMQTT", AMQTT, "bin/python")?;
                let mut command = Command::new(python);
                command.arg(AMQTT_SCRIPT).arg(port);
                Some(command)
            }
        }
    }
}

/// What lies below the directory of a variable, or below the usual one.
fn installed(variable: &str, usual: &str, name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os(variable).map_or_else(|| PathBuf::from(usual), PathBuf::from);
    let path = directory.join(name);
    if !path.exists() {
        skipped(&format!("no {} (`{variable}`; `.ci/run` installs it)", path.display()));
        return None;
    }
    Some(path)
}

/// Such a broker.
pub(crate) struct OtherBroker {
    kind: Kind,
    pub(crate) address: SocketAddr,
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl OtherBroker {
    /// `None` where it isn't installed.
    pub(crate) fn start(kind: Kind) -> Option<OtherBroker> {
        for _ in 0..PORT_ATTEMPTS {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let dir = tempfile::tempdir().unwrap();
            let mut broker = OtherBroker { kind, address, dir, child: None };
            if broker.try_start()? {
                return Some(broker);
            }
            println!("{kind:?} didn't start: {}", broker.log());
        }
        panic!("{kind:?} didn't start on any of {PORT_ATTEMPTS} ports");
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again on its port, with nothing of what it knew.
    pub(crate) fn restart(&mut self) {
        let back = holds_within(DEADLINE, || self.try_start().unwrap());
        assert!(back, "{:?} isn't back: {}", self.kind, self.log());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Whether it listens.
    fn try_start(&mut self) -> Option<bool> {
        let log = self.dir.path().join("log");
        let log = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut child = self
            .kind
            .command(self.address)?
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut ended = false;
        let started = holds_within(DEADLINE, || {
            ended = child.try_wait().unwrap().is_some();
            ended || TcpStream::connect(self.address).is_ok()
        });
        if ended || !started {
            let _ = child.kill();
            let _ = child.wait();
            return Some(false);
        }
        self.child = Some(child);
        Some(true)
    }
}

impl Drop for OtherBroker {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let mut last = String::new();
            for line in log.lines().rev().take(40).collect::<Vec<_>>().into_iter().rev() {
                writeln!(last, "{line}").unwrap();
            }
            println!("--- end of {:?}'s log:\n{last}", self.kind);
        }
    }
}

/// No test, but the process of one: rumqttd with its own listener.
#[test]
#[ignore = "a broker that tests start"]
fn rumqttd() {
    let Ok(listen) = std::env::var(LISTEN) else { return };
    let connections = rumqttd::ConnectionSettings {
        connection_timeout_ms: 5_000,
        max_payload_size: 4 << 20,
        max_inflight_count: 500,
        auth: None,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = rumqttd::ServerSettings {
        name: "v4".into(),
        listen: listen.parse().unwrap(),
        tls: None,
        next_connection_delay_ms: 1,
        connections,
    };
    let config = rumqttd::Config {
        id: 0,
        router: rumqttd::RouterConfig {
            max_connections: 1_000,
            max_outgoing_packet_count: 200,
            max_segment_size: 4 << 20,
            max_segment_count: 10,
            ..rumqttd::RouterConfig::default()
        },
        v4: Some([("1".to_owned(), server)].into()),
        ..rumqttd::Config::default()
    };
    rumqttd::Broker::new(config).start().unwrap();
}

/// Where something is installed, tests don't skip it by a wrong name.
#[test]
fn what_is_installed_is_found() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("bin")).unwrap();
    fs::write(dir.path().join("bin/python"), "").unwrap();
    let usual = dir.path().to_str().unwrap();
    let found = installed("SPARKDIODE_TEST_NOWHERE", usual, "bin/python").unwrap();
    assert_eq!(found, Path::new(usual).join("bin/python"));
}

//! Syslog daemons under test, on ports from the operating system, in a directory of their own.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::broker::skipped;
use crate::waiting::{DEADLINE, holds_within, wait_until};

const RSYSLOG: &str = "/usr/sbin/rsyslogd";
/// Debian's packages of rsyslog and syslog-ng exclude each other: `.ci/run` unpacks the latter
/// there, without installing it.
const SYSLOG_NG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/syslog-ng");

/// Which daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Rsyslog,
    SyslogNg,
}

/// Where it listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ports {
    pub(super) udp: u16,
    pub(super) tcp: u16,
    pub(super) tls: u16,
}

/// A running daemon. What it receives is in files of its directory.
pub(super) struct Daemon {
    pub(super) kind: Kind,
    host: IpAddr,
    pub(super) ports: Ports,
    pub(super) dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Daemon {
    /// Starts one with the configuration that `make` writes for its ports and directory. `None`
    /// when it isn't installed, which is reported loudly.
    pub(super) fn start(kind: Kind, make: impl Fn(&Ports, &Path) -> String) -> Option<Daemon> {
        Daemon::start_at(Ipv4Addr::LOCALHOST.into(), kind, make)
    }

    /// The same, where it listens at `host`.
    pub(super) fn start_at(
        host: IpAddr,
        kind: Kind,
        make: impl Fn(&Ports, &Path) -> String,
    ) -> Option<Daemon> {
        let there = match kind {
            Kind::Rsyslog => Path::new(RSYSLOG).exists(),
            Kind::SyslogNg => Path::new(SYSLOG_NG).join("usr/sbin/syslog-ng").exists(),
        };
        if !there {
            skipped(&format!("{kind:?} is not installed; .ci/run does it"));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        certificates(dir.path());
        let ports = Ports { udp: free_udp(host), tcp: free_tcp(host), tls: free_tcp(host) };
        fs::write(dir.path().join("daemon.conf"), make(&ports, dir.path())).unwrap();
        let mut daemon = Daemon { kind, host, ports, dir, child: None };
        daemon.restart();
        Some(daemon)
    }

    /// A file in its directory.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What it wrote to a file so far.
    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGSTOP: the kernel still takes connections and lines for it, and it reads nothing.
    pub(super) fn hang(&self) {
        let child = self.child.as_ref().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
    }

    /// Starts it, again or for the first time, and waits until it listens.
    pub(super) fn restart(&mut self) {
        let dir = self.dir.path().to_owned();
        let file = |name: &str| dir.join(name).display().to_string();
        let mut command = match self.kind {
            Kind::Rsyslog => {
                let mut command = Command::new(RSYSLOG);
                command.args(["-n", "-f", &file("daemon.conf"), "-i", &file("pid")]);
                command
            }
            Kind::SyslogNg => {
                let root = Path::new(SYSLOG_NG);
                let mut command = Command::new(root.join("usr/sbin/syslog-ng"));
                let libraries: Vec<String> = [
                    "usr/lib/x86_64-linux-gnu",
                    "lib/x86_64-linux-gnu",
                    "usr/lib/syslog-ng",
                    "usr/lib/aarch64-linux-gnu",
                    "lib/aarch64-linux-gnu",
                ]
                .map(|part| root.join(part).display().to_string())
                .to_vec();
                let modules = fs::read_dir(root.join("usr/lib/syslog-ng"))
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .find(|path| path.is_dir() && path.join("libsyslogformat.so").exists())
                    .expect("the modules of syslog-ng");
                command
                    .env("LD_LIBRARY_PATH", libraries.join(":"))
                    .args(["-F", "--no-caps", "-f", &file("daemon.conf")])
                    .arg("--module-path")
                    .arg(modules)
                    .args(["-R", &file("persist"), "-p", &file("pid"), "-c", &file("control")]);
                command
            }
        };
        let log =
            fs::File::options().create(true).append(true).open(self.path("daemon.log")).unwrap();
        // After a kill it would take its old pid file for another instance.
        let _ = fs::remove_file(self.path("pid"));
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let ports = self.ports;
        let config = self.read("daemon.conf");
        let listens = |port: u16| {
            !config.contains(&port.to_string()) || TcpStream::connect((self.host, port)).is_ok()
        };
        let up = holds_within(DEADLINE, || {
            listens(ports.tcp)
                && listens(ports.tls)
                && (!config.contains(&ports.udp.to_string()) || udp_taken(self.host, ports.udp))
        });
        assert!(up, "{:?} doesn't listen:\n{}", self.kind, self.read("daemon.log"));
    }

    /// Waits until a file of it satisfies `condition`.
    #[track_caller]
    pub(super) fn wait_for(&self, name: &str, what: &str, condition: impl Fn(&str) -> bool) {
        wait_until(&format!("{:?}: {what}", self.kind), || condition(&self.read(name)));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            println!("--- {:?}:\n{}", self.kind, self.read("daemon.log"));
        }
    }
}

/// Certificates of the laboratory: `certs/it-*.pem` and `certs/it-*.key`.
fn certificates(dir: &Path) {
    let made = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
        .args(["lab-certs", "certs"])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn free_tcp(host: IpAddr) -> u16 {
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().port()
}

fn free_udp(host: IpAddr) -> u16 {
    UdpSocket::bind((host, 0)).unwrap().local_addr().unwrap().port()
}

/// Whether somebody has the UDP port: then it can't be bound.
fn udp_taken(host: IpAddr, port: u16) -> bool {
    UdpSocket::bind(SocketAddr::from((host, port))).is_err()
}

/// rsyslog on UDP, TCP and TLS; each line as it came in `udp`, `tcp` and `tls`, and what rsyslog
/// read of it as JSON in `tls.json`.
pub(super) fn rsyslog(ports: &Ports, dir: &Path) -> String {
    let dir = dir.display();
    let Ports { udp, tcp, tls } = ports;
    let mut text = format!(
        r#"global(workDirectory="{dir}" net.enableDNS="off"
  DefaultNetstreamDriverCAFile="{dir}/certs/it-ca.pem"
  DefaultNetstreamDriverCertFile="{dir}/certs/it-server.pem"
  DefaultNetstreamDriverKeyFile="{dir}/certs/it-server.key")
module(load="imudp") module(load="imptcp")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
template(name="raw" type="string" string="%rawmsg%\n")
template(name="parsed" type="list") {{
  constant(value="<") property(name="pri") constant(value=">1 ")
  property(name="timereported" dateFormat="rfc3339") constant(value=" ")
  property(name="hostname") constant(value=" ") property(name="app-name") constant(value=" ")
  property(name="procid") constant(value=" ") property(name="msgid") constant(value=" ")
  property(name="structured-data") constant(value=" ") property(name="msg")
  constant(value="\n")
}}
"#
    );
    for (name, input, port) in
        [("udp", "imudp", udp), ("tcp", "imptcp", tcp), ("tls", "imtcp", tls)]
    {
        text.push_str(&format!(
            r#"ruleset(name="{name}") {{
  action(type="omfile" file="{dir}/{name}" template="raw" asyncWriting="off" flushOnTXEnd="on")
  action(type="omfile" file="{dir}/{name}.parsed" template="parsed")
}}
input(type="{input}" port="{port}" address="127.0.0.1" ruleset="{name}")
"#
        ));
    }
    text
}

/// syslog-ng with the same files; the parsed ones are JSON.
pub(super) fn syslog_ng(ports: &Ports, dir: &Path) -> String {
    let dir = dir.display();
    let Ports { udp, tcp, tls } = ports;
    let mut text = format!(
        r#"@version: 3.38
options {{ keep-hostname(yes); use-dns(no); dns-cache(no); stats-freq(0); flush-lines(1); log-fifo-size(200000); }};
source s_udp {{ syslog(ip("127.0.0.1") port({udp}) transport("udp") flags(store-raw-message)); }};
source s_tcp {{ syslog(ip("127.0.0.1") port({tcp}) transport("tcp") flags(store-raw-message)); }};
source s_tls {{ syslog(ip("127.0.0.1") port({tls}) transport("tls") flags(store-raw-message)
  tls(key-file("{dir}/certs/it-server.key") cert-file("{dir}/certs/it-server.pem")
      ca-file("{dir}/certs/it-ca.pem") peer-verify(required-trusted))); }};
"#
    );
    for name in ["udp", "tcp", "tls"] {
        text.push_str(&format!(
            "destination d_{name} {{ file(\"{dir}/{name}\" template(\"${{RAWMSG}}\\n\"));\n  \
             file(\"{dir}/{name}.parsed\" template(\"$(format-json msgid=$MSGID app=$PROGRAM --key .SDATA.*)\\n\")); }};\n\
             log {{ source(s_{name}); destination(d_{name}); }};\n"
        ));
    }
    text
}

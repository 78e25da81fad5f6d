//! `sparkdiode events --send`: every event of the catalogue through the relay's own logging.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// What an event's fields carry, and what a receiver must read back: the escapes are the relay's,
/// for the characters `\` and line feed.
pub(super) const VALUE: &str = "a \"test\" [ü] \\\\ \\n";

/// An `ot.toml` with these targets, in `dir`.
pub(super) fn configuration(dir: &Path, syslog: &str) {
    let text = format!(
        "name = \"relay\"\n[broker]\naddress = \"127.0.0.1:1\"\nplaintext = true\n\
         [policies]\npaths = [\"policies\"]\n[journal]\npath = \"journal\"\n\
         [state]\npath = \"state\"\n{syslog}"
    );
    fs::write(dir.join("ot.toml"), text).unwrap();
}

/// A target by TLS with the laboratory's client certificate.
pub(super) fn tls(port: u16, more: &str) -> String {
    format!(
        "[[syslog]]\nto = \"tls\"\naddress = \"127.0.0.1:{port}\"\nname = \"tls\"\n{more}\n\
         [syslog.tls]\nca-file = \"certs/it-ca.pem\"\ncertificate-file = \"certs/it-client.pem\"\n\
         key-file = \"certs/it-client.key\"\nserver-name = \"localhost\"\n"
    )
}

/// A plain target.
pub(super) fn plain(to: &str, port: u16, more: &str) -> String {
    format!("[[syslog]]\nto = \"{to}\"\naddress = \"127.0.0.1:{port}\"\nname = \"{to}\"\n{more}\n")
}

/// A sender that runs.
pub(super) struct Sender {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Sender {
    pub(super) fn start(dir: &Path, rounds: u32) -> Sender {
        Sender::with(dir, rounds, &[])
    }

    /// One that takes its time, and waits long for its targets at the end.
    pub(super) fn patient(dir: &Path, rounds: u32, per_second: u32) -> Sender {
        Sender::with(dir, rounds, &["--per-second", &per_second.to_string(), "--wait", "120"])
    }

    fn with(dir: &Path, rounds: u32, more: &[&str]) -> Sender {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
            .args(["events", "--send", "ot.toml", "--rounds", &rounds.to_string()])
            .args(more)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Sender { child, out }
    }

    /// Waits until every event was offered to every target: `N events for M targets`.
    pub(super) fn offered(&mut self) -> u64 {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{line:?}"))
    }

    /// Waits for the end: what it says of its targets, and whether they got everything.
    pub(super) fn end(mut self) -> (String, bool) {
        let mut text = String::new();
        self.out.read_to_string(&mut text).unwrap();
        (text, self.child.wait().unwrap().success())
    }
}

/// Sends the catalogue once, to the end.
pub(super) fn send_once(dir: &Path) -> (String, bool) {
    let mut sender = Sender::start(dir, 1);
    sender.offered();
    sender.end()
}

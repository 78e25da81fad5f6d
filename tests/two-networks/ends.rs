//! Both ends as processes, with files as an installation lays them out.

use std::fmt::Write;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::network::Network;

pub(crate) const SEND: u32 = 64_023;
const RECEIVE: u32 = 64_024;
pub(crate) const IT: u32 = 64_022;
/// Clock ticks per second in `/proc`: 100 on every Linux that Rust runs on.
const TICKS_PER_S: f64 = 100.0;
/// How long an end may take to start or stop.
const WITHIN: Duration = Duration::from_secs(60);

/// Lines of the configuration beside what every link has.
#[derive(Clone, Debug)]
pub struct Options {
    pub overhead_percent: u32,
    pub share_percent: u32,
    pub bytes_per_s: u64,
    pub packets_per_s: u64,
    /// More keys of tables of `send.toml`, by table.
    pub send: &'static [(&'static str, &'static str)],
    /// The same of `receive.toml`.
    pub receive: &'static [(&'static str, &'static str)],
}

impl Default for Options {
    fn default() -> Options {
        Options {
            overhead_percent: 25,
            share_percent: 0,
            bytes_per_s: 100_000_000,
            packets_per_s: 100_000,
            send: &[],
            receive: &[],
        }
    }
}

/// Everything of one link.
#[derive(Debug)]
pub struct Files {
    dir: tempfile::TempDir,
    pub(crate) binary: PathBuf,
}

impl Files {
    /// For a program of ours.
    pub fn new(binary: &Path, network: &Network, paths: usize, options: &Options) -> Files {
        let files = Files { dir: tempfile::tempdir().unwrap(), binary: binary.to_owned() };
        give(files.dir.path(), 0, 0, 0o711);
        for (name, user, group, mode) in [
            ("journal", 0, SEND, 0o2750),
            ("received", RECEIVE, IT, 0o2750),
            ("send", SEND, SEND, 0o750),
            ("receive", RECEIVE, RECEIVE, 0o750),
        ] {
            fs::create_dir(files.path(name)).unwrap();
            give(&files.path(name), user, group, mode);
        }
        for (name, user) in [("send.key", SEND), ("receive.key", RECEIVE)] {
            // As good as random: an end refuses one that isn't.
            let key = (0..32).map(|at| format!("{:02x}", (at * 151 + 43) % 256));
            fs::write(files.path(name), key.collect::<String>()).unwrap();
            give(&files.path(name), user, user, 0o400);
        }
        files.write_send(network, paths, options);
        files.write_receive(network, paths, options);
        files
    }

    fn write_send(&self, network: &Network, paths: usize, options: &Options) {
        let mut text = "[link]\nname = \"bench\"\nkey-file = \"send.key\"\n".to_owned();
        for path in 0..paths {
            let (to, name) = (network.to(path), format!("a{path}"));
            write!(text, "[[path]]\nname = \"{name}\"\ninterface = \"{name}\"\nto = \"{to}\"\n")
                .unwrap();
        }
        let Options { overhead_percent, share_percent, bytes_per_s, packets_per_s, .. } = options;
        let tables = [
            ("pacing", format!("bytes-per-s = {bytes_per_s}\npackets-per-s = {packets_per_s}")),
            ("repair", format!("overhead-percent = {overhead_percent}")),
            ("second-pass", format!("share-percent = {share_percent}")),
            ("journal", "path = \"journal\"\nfirst-start = \"oldest\"".to_owned()),
            ("state", "path = \"send\"".to_owned()),
            ("status", "every-s = 1".to_owned()),
            ("sandbox", format!("user = \"{SEND}\"\ngroup = \"{SEND}\"")),
        ];
        self.write("send.toml", text, &tables, options.send);
    }

    fn write_receive(&self, network: &Network, paths: usize, options: &Options) {
        let mut text = "[link]\nname = \"bench\"\nkey-file = \"receive.key\"\n".to_owned();
        for path in 0..paths {
            let (listen, name) = (network.listen(path), format!("b{path}"));
            write!(
                text,
                "[[path]]\nname = \"{name}\"\ninterface = \"{name}\"\nlisten = \"{listen}\"\n"
            )
            .unwrap();
        }
        let tables = [
            ("repair", String::new()),
            ("journal", "path = \"received\"".to_owned()),
            ("state", "path = \"receive\"".to_owned()),
            ("status", "every-s = 1".to_owned()),
            ("sandbox", format!("user = \"{RECEIVE}\"\ngroup = \"{RECEIVE}\"")),
        ];
        self.write("receive.toml", text, &tables, options.receive);
    }

    fn write(
        &self,
        name: &str,
        mut text: String,
        tables: &[(&str, String)],
        more: &[(&str, &str)],
    ) {
        for (table, keys) in tables {
            writeln!(text, "[{table}]\n{keys}").unwrap();
            for (_, keys) in more.iter().filter(|(of, _)| of == table) {
                writeln!(text, "{keys}").unwrap();
            }
        }
        fs::write(self.path(name), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The sending end, once it runs.
    pub fn start_send(&self, network: &Network) -> End {
        self.start("send", network.at_plant(&self.binary))
    }

    /// The receiving end, once it runs.
    pub fn start_receive(&self, network: &Network) -> End {
        self.start("receive", network.at_office(&self.binary))
    }

    pub(crate) fn start(&self, name: &'static str, mut command: Command) -> End {
        let log = self.path(&format!("{name}.log"));
        let before = fs::read_to_string(&log).unwrap_or_default().len();
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let config = self.path(&format!("{name}.toml"));
        command.arg(name).arg("--config").arg(config).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
        let mut end = End { name, child, log };
        let begin = Instant::now();
        while !end.said(before).contains("STARTED") {
            let is_running = end.child.try_wait().unwrap().is_none();
            assert!(is_running && begin.elapsed() < WITHIN, "{name}: {}", end.said(before));
            std::thread::sleep(Duration::from_millis(5));
        }
        end
    }

    /// What an end has said so far.
    pub fn log(&self, end: &str) -> String {
        fs::read_to_string(self.path(&format!("{end}.log"))).unwrap_or_default()
    }

    /// A field of an end's `status.json`, by its place.
    pub fn status(&self, end: &str, place: &str) -> Value {
        let text = fs::read_to_string(self.path(&format!("{end}/status.json"))).unwrap();
        serde_json::from_str::<Value>(&text).unwrap().pointer(place).cloned().unwrap_or_default()
    }
}

/// One end that runs. It ends with this value.
#[derive(Debug)]
pub struct End {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl End {
    fn said(&self, before: usize) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().split_off(before)
    }

    /// Seconds of user and system time of all threads so far.
    pub fn cpu_s(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name in brackets may hold spaces.
        let (_, fields) = text.rsplit_once(')').unwrap();
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_PER_S
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{}: {status}: {}", self.name, self.said(0));
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn give(path: &Path, user: u32, group: u32, mode: u32) {
    chown(path, Some(user), Some(group)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

//! Child processes, and what the kernel says that they take.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Clock ticks per second in `/proc`: 100 on every Linux that Rust runs on.
const TICKS_PER_S: f64 = 100.0;

/// A child that ends with this value.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) name: &'static str,
    child: Child,
}

/// Memory of a process, in MiB.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) now: f64,
    /// Resident at its highest.
    pub(crate) peak: f64,
}

impl Process {
    /// Starts `command`, which logs into `log`.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Process {
        let file = fs::File::options().create(true).append(true).open(log).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Process { name, child }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Seconds of user and system time of all threads so far.
    pub(crate) fn cpu_s(&self) -> f64 {
        cpu_s(self.child.id())
    }

    /// Bytes that it has read so far, from sockets for the most part.
    pub(crate) fn read_bytes(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/io", self.child.id())).unwrap();
        let read = text.lines().find_map(|line| line.strip_prefix("rchar: "));
        read.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
    }

    pub(crate) fn memory(&self) -> Memory {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let mib = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
            kib.unwrap_or(0.0) / 1024.0
        };
        Memory { now: mib("VmRSS:"), peak: mib("VmHWM:") }
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let _ = self.child.wait();
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// Seconds of CPU that this process took so far: generator and sink.
pub(crate) fn own_cpu_s() -> f64 {
    cpu_s(std::process::id())
}

fn cpu_s(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in brackets may hold spaces.
    let (_, fields) = text.rsplit_once(')').unwrap();
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / TICKS_PER_S
}

//! A process of its own that ends the halves where the demo can't: one that is killed outright gets to do
//! nothing more, and the halves have left its process group. It waits for the end of a pipe that the demo
//! alone holds open.

use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// What the demo says through the pipe, one to a line.
const HALF: &str = "half ";
const DIRECTORY: &str = "directory ";
const DONE: &str = "done";
/// How long a half may take to stop, and how often it is looked.
const STOP_WITHIN: Duration = Duration::from_secs(8);
const STOP_POLL: Duration = Duration::from_millis(50);

/// The demo's end of it.
#[derive(Debug)]
pub(super) struct Reaper {
    child: Child,
    pipe: Option<ChildStdin>,
}

impl Reaper {
    /// Starts it, out of reach of what ends the demo.
    pub(super) fn start() -> io::Result<Reaper> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["demo", "--reap"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let pipe = child.stdin.take();
        Ok(Reaper { child, pipe })
    }

    /// A half runs.
    pub(super) fn half(&self, pid: u32) {
        self.tell(&format!("{HALF}{pid}"));
    }

    /// Everything that is written lies here.
    pub(super) fn directory(&self, path: &Path) {
        self.tell(&format!("{DIRECTORY}{}", path.display()));
    }

    fn tell(&self, line: &str) {
        if let Some(mut pipe) = self.pipe.as_ref() {
            // Where nobody reaps, the demo goes on.
            let _ = writeln!(pipe, "{line}");
        }
    }
}

/// The demo ends in order, and has cleared up.
impl Drop for Reaper {
    fn drop(&mut self) {
        self.tell(DONE);
        self.pipe = None;
        let _ = self.child.wait();
    }
}

/// Waits for the end of the demo, and clears up behind one that was killed.
pub fn reap(from_demo: impl BufRead) {
    let mut halves: Vec<(u32, Option<String>)> = Vec::new();
    let mut directory = None;
    for line in from_demo.lines() {
        let Ok(line) = line else { break };
        if line == DONE {
            return;
        }
        if let Some(pid) = line.strip_prefix(HALF).and_then(|pid| pid.parse().ok()) {
            halves.push((pid, started(pid)));
        }
        if let Some(path) = line.strip_prefix(DIRECTORY) {
            directory = Some(PathBuf::from(path));
        }
    }
    // Another process may have the identifier of a half that ended before.
    let runs = |(pid, since): &(u32, Option<String>)| since.is_some() && started(*pid) == *since;
    halves.iter().filter(|half| runs(half)).for_each(|(pid, _)| terminate(*pid));
    let mut waited = Duration::ZERO;
    while halves.iter().any(runs) && waited < STOP_WITHIN {
        std::thread::sleep(STOP_POLL);
        waited = waited.saturating_add(STOP_POLL);
    }
    if let Some(directory) = directory {
        let _ = fs::remove_dir_all(directory);
    }
}

/// Asks a process to end, if it runs.
pub(super) fn terminate(pid: u32) {
    if let Some(pid) = pid.try_into().ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// When a process was started, in the kernel's ticks: with the identifier that is one process and no
/// other. `None`: there is none, or it has ended and nobody has asked how.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name is in brackets and may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    // Field 22 of proc(5), of which three are gone.
    fields.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_reaped_is_a_process_and_no_other_with_its_number() {
        let own = started(std::process::id()).unwrap();
        assert!(own.parse::<u64>().unwrap() > 0, "{own}");
        assert_eq!(started(u32::MAX), None);
    }

    #[test]
    fn behind_a_demo_that_was_killed_the_halves_end_and_the_directory_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("demo");
        fs::create_dir(&directory).unwrap();
        let mut half = Command::new("sleep").arg("1000").spawn().unwrap();
        let said = format!("directory {}\nhalf {}\n", directory.display(), half.id());
        // It isn't ours to wait for where it is reaped, so somebody has to.
        let waiting = std::thread::spawn(move || half.wait().unwrap());
        reap(said.as_bytes());
        assert!(!waiting.join().unwrap().success());
        assert!(!directory.exists());
    }

    #[test]
    fn a_demo_that_ended_in_order_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("demo");
        fs::create_dir(&directory).unwrap();
        let own = std::process::id();
        reap(format!("directory {}\nhalf {own}\ndone\n", directory.display()).as_bytes());
        assert!(directory.exists());
    }
}

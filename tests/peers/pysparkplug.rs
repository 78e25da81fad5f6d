//! Runs `pysparkplug_edge.py`: an edge node of the library that PyPI users have.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use crate::broker::skipped;

const REQUIREMENT: &str = "pysparkplug==0.6.1";
/// Created once, beside the build's own files, and kept between runs.
const VENV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/pysparkplug-venv");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pysparkplug_edge.py");

pub struct PysparkplugEdge {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl PysparkplugEdge {
    /// Starts and connects it; `None` (and a loud word) when there is no Python that has the
    /// library and none can be made.
    pub fn start(broker: SocketAddr, group: &str, node: &str) -> Option<PysparkplugEdge> {
        static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let python = match PYTHON.get_or_init(python) {
            Ok(python) => python,
            Err(why) => {
                skipped(why);
                return None;
            }
        };
        let mut child = Command::new(python)
            .arg(SCRIPT)
            .args([&broker.ip().to_string(), &broker.port().to_string(), group, node])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let commands = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut edge = PysparkplugEdge { child, commands, answers };
        edge.answer("connected");
        Some(edge)
    }

    /// `count` updates of the counter of the node and of each device; the last value is the sum
    /// of all counts so far.
    pub fn data(&mut self, count: usize) {
        self.command(&format!("data {count}"));
    }

    pub fn deregister(&mut self, device: &str) {
        self.command(&format!("deregister {device}"));
    }

    pub fn register(&mut self, device: &str) {
        self.command(&format!("register {device}"));
    }

    /// A clean stop: NDEATH and DISCONNECT.
    pub fn leave(mut self) {
        self.command("leave");
        assert!(self.child.wait().unwrap().success());
    }

    /// Ends without a word: the broker sends the will.
    pub fn die(mut self) {
        writeln!(self.commands.as_mut().unwrap(), "die").unwrap();
        self.child.wait().unwrap();
    }

    fn command(&mut self, command: &str) {
        writeln!(self.commands.as_mut().unwrap(), "{command}").unwrap();
        self.answer("done");
    }

    fn answer(&mut self, wanted: &str) {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(line.starts_with(wanted), "`{line}`, not `{wanted}`");
    }
}

impl Drop for PysparkplugEdge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The interpreter of `SPARKDIODE_PYTHON`, or of a virtual environment with the library.
fn python() -> Result<PathBuf, String> {
    if let Some(python) = std::env::var_os("SPARKDIODE_PYTHON") {
        let python = PathBuf::from(python);
        return if has_library(&python) {
            Ok(python)
        } else {
            Err(format!("`{}` has no {REQUIREMENT}", python.display()))
        };
    }
    let python = Path::new(VENV).join("bin/python");
    if has_library(&python) {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv", VENV]))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", REQUIREMENT]))?;
    Ok(python)
}

fn has_library(python: &Path) -> bool {
    let program = "import pysparkplug as p; assert p.__version__ == '0.6.1', p.__version__";
    Command::new(python)
        .args(["-c", program])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

//! Transcripts of a console, run and compared: `$ ` begins a command (with its here-documents),
//! what follows is its output, and `[exit 1]` says how it ended if not with 0. The same is done
//! to the examples of the README and of the manual.
//!
//! Transcripts lie in `tests/data/console/*.txt`; what they read lies beside them. Set
//! `SPARKDIODE_BLESS=1` to write them anew, and read the difference before it is committed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One command, as written, and what it printed.
pub struct Ran {
    pub command: String,
    pub expected: String,
    pub printed: String,
}

/// Runs the commands of a transcript in `directory`, one after the other.
pub fn run(transcript: &str, directory: &Path) -> Vec<Ran> {
    let mut ran = Vec::new();
    let mut lines = transcript.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix("$ ") else { continue };
        let mut command = first.to_owned();
        if first.contains("<<'END'") {
            for line in lines.by_ref() {
                command.push('\n');
                command.push_str(line);
                if line == "END" {
                    break;
                }
            }
        }
        while command.ends_with('\\') {
            command.push('\n');
            command.push_str(lines.next().expect("a line after a backslash"));
        }
        let mut expected = String::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
            expected.push_str(line);
            expected.push('\n');
        }
        let printed = execute(&command, directory);
        ran.push(Ran { command, expected, printed });
    }
    ran
}

fn execute(command: &str, directory: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_sparkdiode"));
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("{command}\n")])
        .current_dir(directory)
        .env("PATH", format!("{}:{path}", binary.parent().unwrap().display()))
        .env_remove("SPARKDIODE_LOG")
        .env_remove("CREDENTIALS_DIRECTORY")
        .env("COLUMNS", "100")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let mut printed = String::from_utf8(output.stdout).unwrap();
    printed.push_str(&String::from_utf8(output.stderr).unwrap());
    // Where this is checked out is nobody's matter.
    printed = printed.replace(directory.to_str().unwrap(), "DIRECTORY");
    if !printed.is_empty() && !printed.ends_with('\n') {
        printed.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => printed.push_str(&format!("[exit {code}]\n")),
        None => printed.push_str("[killed]\n"),
    }
    printed
}

/// The transcript with what was printed in the place of what was expected.
pub fn written_anew(ran: &[Ran]) -> String {
    ran.iter().map(|ran| format!("$ {}\n{}", ran.command, ran.printed)).collect()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/console")
}

#[test]
fn transcripts_are_what_the_console_shows() {
    let bless = std::env::var_os("SPARKDIODE_BLESS").is_some();
    let entries = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut transcripts: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    transcripts.sort();
    assert!(transcripts.len() > 1, "{transcripts:?}");
    let mut different = Vec::new();
    for path in transcripts {
        let ran = run(&fs::read_to_string(&path).unwrap(), &directory());
        assert!(!ran.is_empty(), "{}", path.display());
        if bless {
            fs::write(&path, written_anew(&ran)).unwrap();
            continue;
        }
        for ran in ran.iter().filter(|ran| ran.expected != ran.printed) {
            let name = path.file_name().unwrap().to_str().unwrap();
            different.push(format!("{name}: $ {}\n{}", ran.command, ran.printed));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

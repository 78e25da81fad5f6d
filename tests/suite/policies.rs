//! Policies as files: the shipped ones do what their cases say, the bad ones are refused in words
//! that a person can act on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn sparkdiode(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_shipped_policy_passes_its_cases_and_every_rule_has_them() {
    let root = Path::new(ROOT);
    let (code, stdout, stderr) =
        sparkdiode(root, &["policy", "test", "--strict", "--each", "policies"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.ends_with(" cases: all passed\n"), "{stdout}");
    for entry in fs::read_dir(root.join("policies")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(stdout.contains(&format!("policies/{name}\n")), "{name} has no case");
        }
    }
}

/// The snapshots are `tests/data/policies-bad/*.stderr`; see `tools::cases::bad_policies`.
#[test]
fn bad_policies_are_refused_with_exit_code_and_output_as_in_their_snapshots() {
    let directory = Path::new(ROOT).join("tests/data/policies-bad");
    let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let policies: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    assert!(policies.len() > 50, "only {}", policies.len());
    for path in policies {
        let name = path.file_name().unwrap().to_str().unwrap();
        let snapshot = fs::read_to_string(path.with_extension("stderr")).unwrap();
        let (errors, warnings) = (count(&snapshot, "error"), count(&snapshot, "warning"));
        let usable = name.starts_with("warnings-only-");
        let arguments = if usable { &["check", name][..] } else { &["policy", "test", name] };
        let (code, stdout, stderr) = sparkdiode(&directory, arguments);
        if usable {
            assert_eq!((code, stderr), (Some(0), snapshot), "{name}: {stdout}");
        } else {
            let mut summary = counted(errors, "error");
            if warnings > 0 {
                summary = format!("{summary}, {}", counted(warnings, "warning"));
            }
            let wanted = format!("{snapshot}\nsparkdiode: {summary}\n");
            assert_eq!((code, stdout.as_str(), stderr), (Some(78), "", wanted), "{name}");
        }
    }
}

fn count(snapshot: &str, kind: &str) -> usize {
    snapshot.lines().filter(|line| line.starts_with(&format!("{kind}["))).count()
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

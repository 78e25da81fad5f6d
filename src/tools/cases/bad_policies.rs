//! Snapshots of what an operator sees for each kind of mistake: `tests/data/policies-bad/*.toml`
//! with the expected text in `*.stderr`. Set `SPARKDIODE_BLESS=1` to write them anew, and read
//! the difference before it is committed.

use std::fs;
use std::path::{Path, PathBuf};

use diagnostic::SourceFile;

use super::read_policy;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/policies-bad")
}

fn files_ending(end: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    files.sort();
    files
}

#[test]
fn bad_policies_are_reported_as_expected() {
    let bless = std::env::var_os("SPARKDIODE_BLESS").is_some();
    let mut different = Vec::new();
    let policies = files_ending(".toml");
    assert!(policies.len() >= 64, "only {} snapshots", policies.len());
    for path in &policies {
        let name = path.file_name().unwrap().to_str().unwrap();
        let source = SourceFile::new(name, fs::read_to_string(path).unwrap());
        let problems = match read_policy(&[source]) {
            Ok((_, warnings)) if name.starts_with("warnings-only-") => warnings,
            Ok(_) => panic!("{name} was accepted"),
            Err(problems) => problems,
        };
        assert!(!problems.is_empty(), "{name} gives no warning");
        let text = problems.to_string();
        let expected = path.with_extension("stderr");
        if bless {
            fs::write(&expected, &text).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != text {
            different.push(format!("{name} now gives:\n{text}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn every_snapshot_belongs_to_a_policy() {
    for path in files_ending(".stderr") {
        assert!(path.with_extension("toml").exists(), "{} is left over", path.display());
    }
}

#[test]
fn every_problem_has_a_place_in_its_file() {
    for path in files_ending(".toml") {
        let source = SourceFile::new("a.toml", fs::read_to_string(&path).unwrap());
        let text = source.text.clone();
        let problems = match read_policy(&[source]) {
            Ok((_, problems)) | Err(problems) => problems,
        };
        for problem in &problems {
            let span = problem.span.clone().unwrap();
            assert!(text.get(span).is_some(), "{}: {problem:?}", path.display());
        }
    }
}

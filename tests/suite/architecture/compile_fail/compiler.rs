//! Compiles text as a crate of this repository would be compiled: with that crate's dependencies
//! and no others, from what Cargo has built for this very test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use super::super::source::{packages, room_of, root};

/// What a crate may name: names of its dependencies, as Cargo resolved them, and their files.
type Externs = Vec<(String, PathBuf)>;

/// An error of the compiler: file, line, code (`E0432`, or the name of a lint).
pub(super) type Found = (String, usize, String);

static EXTERNS: LazyLock<BTreeMap<String, Externs>> = LazyLock::new(externs);

/// Compiles `text` as the whole of a crate that has the dependencies of crate `room`; returns the
/// compiler's errors.
pub(super) fn compile(room: &str, text: &str) -> Vec<Found> {
    let directory = scratch(room);
    let file = directory.path().join("lib.rs");
    fs::write(&file, text).unwrap();
    rustc(room, "case", directory.path(), &file)
}

/// Compiles a copy of crate `room` with each text at the end of its file; returns the compiler's
/// errors, with lines counted from the beginning of the text.
pub(super) fn compile_with(room: &str, planted: &[(&str, &str)]) -> Vec<Found> {
    let directory = scratch(room);
    let package = packages()
        .into_iter()
        .find(|package| package["name"].as_str().is_some_and(|name| room_of(name) == room));
    let package = package.unwrap_or_else(|| panic!("no crate {room}"));
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    copy(manifest.parent().unwrap(), directory.path());
    let mut before = BTreeMap::new();
    for (at, text) in planted {
        let file = directory.path().join(at);
        let own = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file:?}: {error}"));
        fs::write(&file, format!("{own}{text}")).unwrap();
        before.insert(*at, own.lines().count());
    }
    let library = directory.path().join("lib.rs");
    let mut found = rustc(room, &room.replace('-', "_"), directory.path(), &library);
    for (file, line, _) in &mut found {
        let before = before.get(file.as_str()).unwrap_or(&0);
        *line = line.checked_sub(*before).unwrap_or_else(|| panic!("an error in {file}:{line}"));
    }
    found.sort();
    found
}

fn scratch(room: &str) -> tempfile::TempDir {
    let prefix = format!("compile-fail-{room}-");
    tempfile::Builder::new().prefix(&prefix).tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            fs::create_dir(&to).unwrap();
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn rustc(room: &str, name: &str, directory: &Path, file: &Path) -> Vec<Found> {
    let output = directory.join("output");
    fs::create_dir(&output).unwrap();
    let built = std::env::current_exe().unwrap();
    let mut command = Command::new("rustc");
    command
        .current_dir(root())
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "metadata"])
        .args(["--error-format", "json", "--crate-name", name, "--cap-lints", "forbid"])
        // What the lint table of the workspace says, and other tests say of each crate.
        .args(["-F", "unsafe_code", "-A", "warnings"])
        .arg("-L")
        .arg(format!("dependency={}", built.parent().unwrap().display()))
        .arg("--out-dir")
        .arg(output)
        .env("CARGO_PKG_VERSION", env!("CARGO_PKG_VERSION"));
    for (name, library) in EXTERNS.get(room).unwrap_or_else(|| panic!("no crate {room}")) {
        command.arg("--extern").arg(format!("{name}={}", library.display()));
    }
    let output = command.arg(file).output().unwrap();
    let messages = String::from_utf8(output.stderr).unwrap();
    let mut found = Vec::new();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{messages}"));
        if message["level"] == "error" && !message["spans"].as_array().unwrap().is_empty() {
            let spans = message["spans"].as_array().unwrap();
            let span = spans.iter().find(|span| span["is_primary"] == true).unwrap();
            let file = Path::new(span["file_name"].as_str().unwrap());
            let file = file.strip_prefix(directory).unwrap_or(file).display().to_string();
            let line = usize::try_from(span["line_start"].as_u64().unwrap()).unwrap();
            let code = message["code"]["code"].as_str().unwrap_or("none").to_owned();
            found.push((file, line, code));
        }
    }
    assert_eq!(output.status.success(), found.is_empty(), "{messages}");
    found
}

/// Dependencies of every crate of ours, without those that its tests have besides.
fn externs() -> BTreeMap<String, Externs> {
    let libraries = libraries();
    let target = Command::new("rustc").args(["-vV"]).current_dir(root()).output().unwrap();
    let target = String::from_utf8(target.stdout).unwrap();
    let target = target.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--format-version", "1", "--filter-platform", target];
    let metadata = cargo(&arguments);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let ours: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package["source"].is_null())
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let mut all = BTreeMap::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        let Some(name) = ours.get(node["id"].as_str().unwrap()) else { continue };
        let mut externs = Vec::new();
        for dependency in node["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"].is_null()) {
                let package = dependency["pkg"].as_str().unwrap();
                let files = libraries.get(package).cloned().unwrap_or_default();
                // Two would be one for build scripts too: then nobody knows which is meant.
                assert_eq!(files.len(), 1, "built as {files:?}: {package}");
                let name = dependency["name"].as_str().unwrap().to_owned();
                externs.extend(files.into_iter().map(|file| (name.clone(), file)));
            }
        }
        all.insert(room_of(name).to_owned(), externs);
    }
    all
}

/// Libraries that this test was built with, by package.
fn libraries() -> BTreeMap<String, BTreeSet<PathBuf>> {
    let mut arguments = vec!["test", "--no-run", "--test", "suite", "--message-format", "json"];
    // As this test was built: then all of it is there, and nothing is built.
    if !cfg!(debug_assertions) {
        arguments.push("--release");
    }
    arguments.push("--no-default-features");
    for (feature, on) in
        [("demo", cfg!(feature = "demo")), ("reference", cfg!(feature = "reference"))]
    {
        if on {
            arguments.extend(["--features", feature]);
        }
    }
    let mut libraries: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for line in cargo(&arguments).lines() {
        let message: Value = serde_json::from_str(line).unwrap();
        let kinds = message["target"]["kind"].as_array();
        let library = kinds.is_some_and(|kinds| {
            kinds.iter().any(|kind| ["lib", "proc-macro"].contains(&kind.as_str().unwrap()))
        });
        if message["reason"] == "compiler-artifact"
            && library
            && message["profile"]["test"] == false
        {
            let file = message["filenames"][0].as_str().unwrap();
            let package = message["package_id"].as_str().unwrap().to_owned();
            libraries.entry(package).or_default().insert(file.into());
        }
    }
    libraries
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .args(["--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

//! The Rust source of the repository, parsed: files by crate and module, and the names in them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use super::words::{Declared, Word, lines_with, words};

/// Every file that some crate of the repository is compiled from; parsed once.
pub(super) static FILES: LazyLock<Vec<File>> = LazyLock::new(files);

/// One file of one crate.
#[derive(Debug)]
pub(super) struct File {
    /// The package, without `sparkdiode-`; the root package's targets besides its library by
    /// their own names (`suite`, `bench`, …).
    pub(super) room: String,
    /// From the top of the repository.
    pub(super) path: PathBuf,
    /// Of the module that the file is; empty for the crate's root.
    pub(super) module: Vec<String>,
    /// Compiled for tests only.
    pub(super) test: bool,
    pub(super) words: Vec<Word>,
    /// Lines with `unsafe` or `unsafe_code` in them.
    pub(super) unsafe_lines: Vec<usize>,
    pub(super) declared: Vec<Declared>,
    /// Its first attribute is `#![no_std]`.
    pub(super) no_std: bool,
}

impl File {
    /// Parses the text of a file.
    pub(super) fn new(
        room: &str,
        path: &Path,
        module: Vec<String>,
        test: bool,
        text: &str,
    ) -> File {
        let (mut words, declared) =
            words(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        words.iter_mut().for_each(|word| word.test |= test);
        let unsafe_lines = lines_with(text, &["unsafe", "unsafe_code"]);
        let mut code = text.lines().filter(|line| !line.starts_with("//"));
        let no_std = code.next() == Some("#![no_std]");
        let (room, path) = (room.to_owned(), path.to_owned());
        File { room, path, module, test, words, unsafe_lines, declared, no_std }
    }

    /// What is compiled into the product.
    pub(super) fn product(&self) -> impl Iterator<Item = &Word> {
        self.words.iter().filter(|word| !word.test)
    }

    /// Where a word is, for a message.
    pub(super) fn place(&self, word: &Word) -> String {
        format!("{}:{}: `{}`", self.path.display(), word.line, word.path.join("::"))
    }
}

/// Where the repository is.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What cargo knows of the workspace's own packages.
pub(super) fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// Name of a package of ours, as the directories below `src` have it.
pub(super) fn room_of(package: &str) -> &str {
    package.strip_prefix("sparkdiode-").unwrap_or(package)
}

/// Every Rust file of the repository, whoever compiles it.
pub(super) fn rust_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for top in ["src", "tests"] {
        collect(&root().join(top), &mut found);
    }
    found.sort();
    found
}

fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        // The fuzzers are a workspace of their own: three lines each, and no more.
        let is_ours = !path.ends_with("target") && !path.ends_with("fuzz_targets");
        if path.is_dir() && is_ours {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.strip_prefix(root()).unwrap().to_owned());
        }
    }
}

fn files() -> Vec<File> {
    let mut files = Vec::new();
    for package in packages() {
        for target in package["targets"].as_array().unwrap() {
            let kind = target["kind"][0].as_str().unwrap();
            let package = room_of(package["name"].as_str().unwrap());
            let room = match kind {
                "lib" => package,
                _ => target["name"].as_str().unwrap(),
            };
            let main = Path::new(target["src_path"].as_str().unwrap());
            let room = if kind == "bin" { format!("{room} (bin)") } else { room.to_owned() };
            let test = matches!(kind, "test" | "bench");
            add(&room, main, Vec::new(), main.parent().unwrap(), test, &mut files);
        }
    }
    files
}

/// Adds the file and those of its modules. `below` is the directory of its modules.
fn add(
    room: &str,
    path: &Path,
    module: Vec<String>,
    below: &Path,
    test: bool,
    files: &mut Vec<File>,
) {
    let text = fs::read_to_string(path).unwrap();
    let file = File::new(room, path.strip_prefix(root()).unwrap(), module, test, &text);
    let mut modules = Vec::new();
    for Declared { names, test: for_tests, path: elsewhere } in &file.declared {
        let (name, inside) = names.split_last().unwrap();
        let mut directory = below.to_owned();
        directory.extend(inside);
        let candidates = match elsewhere {
            Some(elsewhere) => vec![path.parent().unwrap().join(elsewhere)],
            None => {
                vec![directory.join(format!("{name}.rs")), directory.join(name).join("mod.rs")]
            }
        };
        let found = candidates.into_iter().find(|candidate| candidate.exists());
        let found = found.unwrap_or_else(|| panic!("no file for `mod {name}` of {path:?}"));
        let module = [&file.module[..], names].concat();
        modules.push((found, module, directory.join(name), test || *for_tests));
    }
    files.push(file);
    for (found, module, below, test) in modules {
        add(room, &found, module, &below, test, files);
    }
}

#[test]
fn every_file_belongs_to_a_crate() {
    let known: Vec<&PathBuf> = FILES.iter().map(|file| &file.path).collect();
    let strays: Vec<PathBuf> =
        rust_files().into_iter().filter(|file| !known.contains(&file)).collect();
    // Whatever no crate compiles would be looked at by nobody.
    assert!(strays.is_empty(), "no crate has these files: {strays:#?}");
}

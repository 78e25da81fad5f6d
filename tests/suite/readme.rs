//! What the README says is true, as far as a test can tell.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use sparkdiode::cli::Exit;
use sparkdiode::config::diagnostic::SourceFile;
use sparkdiode::policy::Policy;
use sparkdiode::telemetry::Reason;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

/// Rows of Markdown tables, cell by cell.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let table = text.lines().filter_map(|line| line.strip_prefix("| "));
    table.map(|row| row.split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect()).collect()
}

/// The text between two headings.
fn part<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("\n{from}\n")).unwrap();
    rest.split_once(&format!("\n{to}")).unwrap().0
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sparkdiode"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap()
}

#[test]
fn the_files_of_the_quick_start_pass_the_check_without_a_warning() {
    let readme = readme();
    let lab = tempfile::tempdir().unwrap();
    fs::create_dir(lab.path().join("policies")).unwrap();
    let mut names = Vec::new();
    for block in readme.split("$ cat > ").skip(1) {
        let (name, rest) = block.split_once(" <<'END'\n").unwrap();
        let (content, _) = rest.split_once("\nEND\n").unwrap();
        fs::write(lab.path().join(name), content).unwrap();
        names.push(name);
    }
    assert_eq!(names, ["ot-broker.conf", "policies/line4.toml", "ot.toml", "it.toml", "edge.py"]);
    assert!(run(lab.path(), &["lab-certs", "certs"]).status.success());
    let checked = run(lab.path(), &["check", "ot.toml", "it.toml"]);
    let said = String::from_utf8([checked.stdout, checked.stderr].concat()).unwrap();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.ends_with("\nno problem found\n"), "{said}");
    let conf = fs::read_to_string(lab.path().join("ot-broker.conf")).unwrap();
    for file in conf.lines().filter_map(|line| line.split_once(" certs/")) {
        assert!(lab.path().join("certs").join(file.1).exists(), "{file:?}");
    }
}

#[test]
fn the_policy_examples_are_policies() {
    let readme = readme();
    let examples: Vec<&str> =
        readme.split("```toml\n").skip(1).map(|block| block.split_once("```").unwrap().0).collect();
    assert!(!examples.is_empty());
    for example in examples {
        match Policy::parse(&[SourceFile::new("README.md", example)]) {
            Ok((policy, warnings)) => {
                assert!(!policy.rules().is_empty());
                assert!(warnings.is_empty(), "{warnings}");
            }
            Err(problems) => panic!("{problems}"),
        }
    }
}

#[test]
fn every_key_of_the_samples_is_in_the_reference_with_its_default() {
    let readme = readme();
    for (name, section) in [
        ("ot.toml", part(&readme, "### `ot.toml`", "### ")),
        ("it.toml", part(&readme, "### `it.toml`", "### ")),
    ] {
        let both = part(&readme, "### `[broker]`, both halves", "### `ot.toml`");
        let seal = part(&readme, "### `[sandbox]`, both halves", "## ");
        let rows: Vec<_> = [section, both, seal].into_iter().flat_map(rows).collect();
        let sample = fs::read_to_string(Path::new(ROOT).join("systemd").join(name)).unwrap();
        let mut keys = 0;
        for line in sample.lines() {
            let commented = line.starts_with("# ");
            let Some((key, value)) = line.trim_start_matches("# ").split_once(" = ") else {
                continue;
            };
            if key.contains(' ') {
                continue;
            }
            let is_row = |row: &&Vec<&str>| row[0].contains(&format!("`{key}`"));
            let row =
                rows.iter().find(is_row).unwrap_or_else(|| panic!("{name}: no row of `{key}`"));
            let default = row.last().unwrap();
            let is_example = [
                "user",
                "group",
                "waive",
                "password-file",
                "primary-host",
                "paths",
                "server-name",
                "client-id",
                "textfile",
                "edge-node",
            ];
            if commented && !is_example.contains(&key) {
                let value = value.trim_matches('"');
                assert!(default.contains(value), "{name}: `{key}` is {value}, not {default}");
            }
            keys += 1;
        }
        assert!(keys > 15, "{name}: {keys}");
    }
}

#[test]
fn every_reason_and_every_exit_code_is_listed() {
    let readme = readme();
    let reasons = part(&readme, "## What it says", "## Promises");
    let listed: Vec<_> =
        rows(reasons).into_iter().skip(1).map(|row| row[0].trim_matches('`').to_owned()).collect();
    let known: Vec<_> = Reason::ALL.iter().map(|reason| reason.name().to_owned()).collect();
    assert_eq!(listed, known);
    let exits = part(&readme, "## Exit codes", "## Tests");
    let listed: Vec<u8> =
        rows(exits).into_iter().skip(1).map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(listed, Exit::ALL.map(|exit| exit as u8));
}

#[test]
fn the_tests_that_the_promises_name_exist() {
    let readme = readme();
    let section = readme.split("## Promises").nth(1).unwrap().split("**Not promised**").next();
    let page = Path::new(ROOT).join("src/manual/threat-model.md");
    let page = fs::read_to_string(page).unwrap();
    let names = [section.unwrap(), &page].map(|text| text.split('`').skip(1).step_by(2));
    let names = names.into_iter().flatten().filter(|name| name.contains("::"));
    let mut found = 0;
    for name in names {
        let parts: Vec<&str> = name.split("::").filter(|part| !part.is_empty()).collect();
        let path = parts.join("/");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let exists = ["src", "tests/suite"].iter().any(|base| {
            let at = root.join(base).join(&path);
            at.is_dir() || at.with_extension("rs").is_file()
        });
        assert!(exists, "no module `{name}` with tests");
        found += 1;
    }
    assert!(found > 40, "{found} names");
}

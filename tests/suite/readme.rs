//! What the README says is true, as far as a test can tell.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use account::Reason;
use diagnostic::SourceFile;
use sparkdiode::cli::Exit;

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
        match tools::cases::read_policy(&[SourceFile::new("README.md", example)]) {
            Ok((policy, warnings)) => {
                assert!(!policy.rules().is_empty());
                assert!(warnings.is_empty(), "{warnings}");
            }
            Err(problems) => panic!("{problems}"),
        }
    }
}

/// Writes the files that the examples name in their first line, and runs the commands of every
/// block that needs nothing but policies and a recording; `…` stands for any lines, or for the
/// rest of one. The number of commands.
fn run_examples(text: &str, lab: &Path) -> usize {
    let mut commands = 0;
    let fenced = text.split("\n```").skip(1).step_by(2);
    for block in fenced {
        let Some((language, content)) = block.split_once('\n') else { continue };
        let content = format!("{content}\n");
        if language == "toml" {
            let first = content.lines().next().unwrap_or_default();
            if let Some(name) = first.strip_prefix("# ").filter(|name| name.ends_with(".toml")) {
                let path = lab.join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, &content).unwrap();
            }
        }
        let offline = ["sparkdiode policy test", "sparkdiode policy explain", "sparkdiode check"];
        let offline = offline.iter().chain(&["sparkdiode policy diff", "sed "]);
        let named =
            |line: &str| offline.clone().any(|start| line.starts_with(&format!("$ {start}")));
        let mut lines = content.lines().filter(|line| line.starts_with("$ "));
        if language != "console" || !lines.all(|line| named(line) && !line.contains("ot.toml")) {
            continue;
        }
        for ran in crate::console::run(&content, lab) {
            assert!(
                fits(&ran.expected, &ran.printed),
                "$ {}\nprinted:\n{}\nand not:\n{}",
                ran.command,
                ran.printed,
                ran.expected
            );
            commands += 1;
        }
    }
    commands
}

fn fits(expected: &str, printed: &str) -> bool {
    let mut rest = printed;
    let mut parts = expected.split('…').peekable();
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    while let Some(part) = parts.next() {
        // The last part has to be the end; `…` at the end takes all.
        let found = match parts.peek() {
            None if part.trim().is_empty() => Some(rest.len()),
            None => rest.strip_suffix(part).map(|_| rest.len()),
            Some(_) => rest.find(part).map(|at| at + part.len()),
        };
        let Some(end) = found else { return false };
        rest = &rest[end..];
    }
    rest.is_empty()
}

#[test]
fn the_examples_of_policy_tools_print_what_the_readme_says() {
    let lab = tempfile::tempdir().unwrap();
    let readme = readme();
    let chapter = part(&readme, "## Policies", "## Configuration");
    assert!(run_examples(chapter, lab.path()) >= 4);
}

#[test]
fn the_examples_of_the_policy_manual_print_what_it_says() {
    let lab = tempfile::tempdir().unwrap();
    let recording = Path::new(ROOT).join("tests/data/console/plant.capture");
    fs::copy(recording, lab.path().join("plant.capture")).unwrap();
    let text = fs::read_to_string(Path::new(ROOT).join("src/manual/policies.md")).unwrap();
    assert!(run_examples(&text, lab.path()) >= 8);
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
        let exists = ["src", "tests/suite", "tests/simulation"].iter().any(|base| {
            let at = root.join(base).join(&path);
            at.is_dir() || at.with_extension("rs").is_file()
        });
        assert!(exists, "no module `{name}` with tests");
        found += 1;
    }
    assert!(found > 40, "{found} names");
}

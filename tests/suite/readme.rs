//! What the README and the manual say is true, as far as a test can tell.

use std::fs;
use std::path::Path;

use account::Reason;
use diagnostic::SourceFile;
use sparkdiode::cli::Exit;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn readme() -> String {
    fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap()
}

/// A page of the manual.
fn page(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(format!("src/manual/{name}.md"))).unwrap()
}

/// Rows of Markdown tables, cell by cell.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let table = text.lines().filter_map(|line| line.strip_prefix("| "));
    table.map(|row| row.split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect()).collect()
}

#[test]
fn the_policy_examples_are_policies() {
    let texts = [readme(), page("policy")];
    let blocks = texts.iter().flat_map(|text| text.split("```toml\n").skip(1));
    let examples: Vec<&str> = blocks.map(|block| block.split_once("```").unwrap().0).collect();
    assert!(examples.len() >= 4, "{examples:?}");
    for example in examples {
        match tools::cases::read(&[SourceFile::new("policy.md", example)]) {
            Ok((policy, cases, warnings)) => {
                assert!(!policy.rules().is_empty());
                assert!(warnings.is_empty(), "{warnings}");
                for one in &cases {
                    let report = tools::dry_run::case::run(&policy, one);
                    assert!(report.passed(), "{}: {report:?}", one.name());
                }
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
fn the_examples_of_policy_tools_print_what_the_manual_says() {
    let lab = tempfile::tempdir().unwrap();
    assert!(run_examples(&page("policy"), lab.path()) >= 4);
}

#[test]
fn the_examples_of_the_policy_manual_print_what_it_says() {
    let lab = tempfile::tempdir().unwrap();
    let recording = Path::new(ROOT).join("tests/data/console/plant.capture");
    fs::copy(recording, lab.path().join("plant.capture")).unwrap();
    assert!(run_examples(&page("policies"), lab.path()) >= 8);
}

/// Keys of a sample that are commented and have another value than the default.
const EXAMPLES: &[&str] = &[
    "user",
    "group",
    "waive",
    "password-file",
    "primary-host",
    "paths",
    "observe",
    "server-name",
    "addresses-file",
    "client-id",
    "textfile",
    "edge-node",
    "interface",
    "from",
    "name",
    "second-key-file",
    // Of a log target, which is no default at all.
    "to",
    "address",
    "min-severity",
    "facility",
    "ca-file",
    "certificate-file",
    "key-file",
];

#[test]
fn every_key_of_the_samples_is_in_the_reference_with_its_default() {
    for name in ["ot.toml", "it.toml", "send.toml", "receive.toml"] {
        let page = page(name);
        let sample = fs::read_to_string(Path::new(ROOT).join("systemd").join(name)).unwrap();
        let mut heading = "The file itself".to_owned();
        let mut keys = 0;
        for line in sample.lines() {
            let commented = line.starts_with('#');
            let line = line.trim_start_matches(['#', ' ']);
            if line.starts_with('[') && line.ends_with(']') {
                heading = format!("`{line}`");
                continue;
            }
            let Some((key, value)) = line.split_once(" = ").filter(|(key, _)| !key.contains(' '))
            else {
                continue;
            };
            let section = page.split("\n## ").find(|section| section.starts_with(&heading));
            let section = section.unwrap_or_else(|| panic!("{name}: no section {heading}"));
            let rows = rows(section);
            let row = rows.iter().find(|row| row[0] == format!("`{key}`"));
            let row = row.unwrap_or_else(|| panic!("{name}: no row of `{key}` in {heading}"));
            let default = row.last().unwrap();
            if commented && !EXAMPLES.contains(&key) {
                let value = value.trim_matches('"');
                assert!(default.contains(value), "{name}: `{key}` is {value}, not {default}");
            }
            keys += 1;
        }
        assert!(keys > 15, "{name}: {keys}");
    }
}

/// The keys that a policy's reader lists where it meets an unknown one in `text`.
fn known_keys(text: &str) -> Vec<String> {
    let problems = tools::cases::read_policy(&[SourceFile::new("a.toml", text)]).unwrap_err();
    let help = problems.iter().flat_map(|problem| &problem.help);
    let lists = help.filter_map(|line| line.strip_prefix("the keys of ")?.split_once(" are "));
    let keys: Vec<&str> = lists.flat_map(|(_, keys)| keys.split(", ")).collect();
    assert!(!keys.is_empty(), "{problems}");
    keys.iter().map(|key| key.trim_matches('`').to_owned()).collect()
}

#[test]
fn every_key_of_a_rule_and_of_a_shape_is_in_the_reference() {
    let page = page("policy");
    let cells: String = rows(&page).iter().map(|row| row[0]).collect();
    let rule = "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\n";
    let mut keys = 0;
    for (table, known) in [
        ("[[rule]]", known_keys(&format!("{rule}no-such-key = 1\n"))),
        ("[rule.shape]", known_keys(&format!("{rule}[rule.shape]\nno-such-key = 1\n"))),
        ("[[rule.metric]]", known_keys(&format!("{rule}[[rule.metric]]\nno-such-key = 1\n"))),
    ] {
        for key in known {
            // Tables of a rule have rows of their own, and `names` and `inherit` belong to the text.
            let table_of_its_own = [format!("`[rule.{key}]`"), format!("`[[rule.{key}]]`")];
            let there = cells.contains(&format!("`{key}`"))
                || table_of_its_own.iter().any(|name| cells.contains(name))
                || ["names", "inherit"].contains(&&*key) && page.contains(&format!("`{key}"));
            assert!(there, "{table}: `{key}`");
            keys += 1;
        }
    }
    assert!(keys > 40, "{keys}");
}

#[test]
fn every_reason_and_every_exit_code_is_listed() {
    let reasons = page("reasons");
    let listed: Vec<_> =
        rows(&reasons).into_iter().skip(1).map(|row| row[0].trim_matches('`').to_owned()).collect();
    let known: Vec<_> = Reason::ALL.iter().map(|reason| reason.name().to_owned()).collect();
    assert_eq!(listed, known);
    let log = page("log");
    let (_, exits) = log.split_once("\n## Exit codes\n").unwrap();
    let listed: Vec<u8> =
        rows(exits).into_iter().skip(1).map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(listed, Exit::ALL.map(|exit| exit as u8));
}

/// The table of P1 to P9.
fn promises(text: &str) -> Vec<Vec<&str>> {
    let is_promise = |row: &Vec<&str>| row[0].starts_with('P') && row[0].len() == 2;
    rows(text).into_iter().filter(is_promise).collect()
}

#[test]
fn the_tests_that_the_promises_name_exist() {
    let texts = [readme(), page("promises"), page("threat-model"), page("compliance")];
    let names = texts.iter().flat_map(|text| text.split('`').skip(1).step_by(2));
    let mut found = 0;
    for name in names.filter(|name| name.contains("::")) {
        let parts: Vec<&str> = name.split("::").filter(|part| !part.is_empty()).collect();
        let path = parts.join("/");
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let exists = ["src", "tests/suite", "tests/peers", "tests/simulation"].iter().any(|base| {
            let at = root.join(base).join(&path);
            at.is_dir() || at.with_extension("rs").is_file()
        });
        assert!(exists, "no module `{name}` with tests");
        found += 1;
    }
    assert!(found > 80, "{found} names");
}

#[test]
fn the_front_page_has_every_promise_with_a_test_that_the_full_table_has_too() {
    let (readme, page) = (readme(), page("promises"));
    let (short, full) = (promises(&readme), promises(&page));
    assert_eq!(short.len(), 9);
    assert_eq!(full.len(), 9);
    for (short, full) in short.iter().zip(&full) {
        assert_eq!(short[0], full[0]);
        let tests: Vec<&str> = short[2].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{short:?}");
        for test in tests.iter().filter(|test| test.contains("::")) {
            assert!(full[2].contains(test), "{}: {test}", short[0]);
        }
    }
}

#[test]
fn the_front_page_stays_one() {
    let bytes = readme().len();
    assert!((12_000..=18_000).contains(&bytes), "{bytes} bytes: what is more belongs on a page");
}

//! How files look: none is too long to be read at once, and each says in its first line what it is.

use std::fs;

use super::source::{root, rust_files};

/// Lines of a file at most.
const MAX_LINES: usize = 500;
/// Files that are longer still. The list only gets shorter.
const LONGER: &[&str] = &[
    "src/cli/check.rs",
    "src/cli/policy/explain.rs",
    "src/demo/broker.rs",
    "src/demo/driver.rs",
    "src/demo/host.rs",
    "src/it/connection.rs",
    "src/it/driver.rs",
    "src/it/mirror/frames.rs",
    "src/it/mirror/layout.rs",
    "src/journal/write/model.rs",
    "src/ot/connection.rs",
    "src/ot/pipeline/mod.rs",
    "src/ot/pipeline/overload.rs",
    "src/ot/plant/templates.rs",
    "src/ot/worker.rs",
    "src/policy/case_reader.rs",
    "src/policy/filter.rs",
    "src/policy/glob.rs",
    "src/policy/limiter.rs",
    "src/policy/lint.rs",
    "src/policy/plan.rs",
    "src/policy/rename.rs",
    "src/policy/rule_reader.rs",
    "src/policy/shape/naive.rs",
    "src/policy/shape/reader.rs",
    "src/telemetry/logging.rs",
    "src/tools/dry_run/case.rs",
    "src/tools/learn/draft.rs",
];
/// Files whose first line doesn't say what they are. The list only gets shorter.
const WITHOUT_DOC: &[&str] = &[
    "src/config/syslog/tests.rs",
    "src/config/tests.rs",
    "src/it/mirror/direct/tests.rs",
    "src/ot/worker/tests.rs",
    "src/tls/client/tests.rs",
];

#[test]
fn no_file_is_longer_than_500_lines() {
    compare("more than 500 lines", LONGER, |text| text.lines().count() > MAX_LINES);
}

#[test]
fn the_first_line_of_each_file_says_what_it_is() {
    compare("no `//!` in its first line", WITHOUT_DOC, |text| !text.starts_with("//! "));
}

/// Fails for files that are `bad` and not in `known`, and for those in it that aren't bad.
fn compare(what: &str, known: &[&str], bad: fn(&str) -> bool) {
    let mut bad_ones = Vec::new();
    for path in rust_files() {
        if bad(&fs::read_to_string(root().join(&path)).unwrap()) {
            bad_ones.push(path.display().to_string());
        }
    }
    let new: Vec<&String> =
        bad_ones.iter().filter(|path| !known.contains(&path.as_str())).collect();
    assert!(new.is_empty(), "{what}: {new:#?}");
    let cured: Vec<&&str> =
        known.iter().filter(|path| !bad_ones.iter().any(|bad| bad == **path)).collect();
    assert!(cured.is_empty(), "not any more: {what}; take them from the list: {cured:#?}");
}

//! How files look: none is too long to be read at once, and each says in its first line what it is.

use std::fs;

use super::source::{root, rust_files};

/// Lines of a file at most.
const MAX_LINES: usize = 500;
/// Files that are longer still. The list only gets shorter.
const LONGER: &[&str] = &[];
/// Files whose first line doesn't say what they are. The list only gets shorter.
const WITHOUT_DOC: &[&str] = &[
    "src/config/syslog/tests.rs",
    "src/config/tests.rs",
    "src/it/mirror/fast_path/tests.rs",
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

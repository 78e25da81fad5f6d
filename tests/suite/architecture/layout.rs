//! How files look: none is too long to be read at once, and each says in its first line what it is.

use std::fs;

use super::source::{root, rust_files};

/// Lines of a file at most.
const MAX_LINES: usize = 500;

#[test]
fn no_file_is_longer_than_500_lines() {
    compare("more than 500 lines", |text| text.lines().count() > MAX_LINES);
}

#[test]
fn the_first_line_of_each_file_says_what_it_is() {
    compare("no `//!` in its first line", |text| !text.starts_with("//! "));
}

/// Fails for files that are `bad`.
fn compare(what: &str, bad: fn(&str) -> bool) {
    let bad_ones: Vec<String> = rust_files()
        .into_iter()
        .filter(|path| bad(&fs::read_to_string(root().join(path)).unwrap()))
        .map(|path| path.display().to_string())
        .collect();
    assert!(bad_ones.is_empty(), "{what}: {bad_ones:#?}");
}

//! Lines of what `check` says, and how they are set.

use std::fmt::Write;

pub(super) fn line(text: &mut String, content: &str) {
    // Writing to a `String` can't fail.
    let _ = writeln!(text, "{content}");
}

pub(super) fn item(text: &mut String, name: &str, content: &str) {
    line(text, &format!("  {name:<11} {content}"));
}

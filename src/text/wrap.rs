//! Lines broken between words, for terminals: what goes on stands below where the text of the line began.

use crate::paint::Escapes;

/// The text of a line doesn't begin further right than this.
const MAX_INDENT: usize = 32;
/// What goes on is indented so much deeper than a line without columns.
const DEEPER: usize = 2;

/// Breaks the lines of a text that are wider than a terminal, which would break them within words. Colours
/// have no width.
pub fn wrap_painted(text: &str, columns: usize) -> String {
    let mut wrapped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        wrap_line(&mut wrapped, line, columns);
        wrapped.push_str(end);
    }
    wrapped
}

fn wrap_line(wrapped: &mut String, line: &str, columns: usize) {
    if width(line) <= columns {
        wrapped.push_str(line);
        return;
    }
    let indent = indent_of(line, columns.checked_div(2).unwrap_or(0).min(MAX_INDENT));
    let mut at = 0_usize;
    // A word with the spaces before it: those between columns stay.
    let mut rest = line;
    while !rest.is_empty() {
        let spaces = rest.len().saturating_sub(rest.trim_start_matches(' ').len());
        let (before, after) = rest.split_at(spaces);
        let end = after.find(' ').unwrap_or(after.len());
        let (word, behind) = after.split_at(end);
        let wide = width(word);
        let fits = at.saturating_add(spaces).saturating_add(wide) <= columns;
        if fits || at <= indent {
            wrapped.push_str(before);
            at = at.saturating_add(spaces);
        } else {
            wrapped.push('\n');
            wrapped.push_str(&" ".repeat(indent));
            at = indent;
        }
        wrapped.push_str(word);
        at = at.saturating_add(wide);
        rest = behind;
    }
}

/// Where the text of a line begins: behind the last of its columns, which two spaces set apart.
/// `most`: no column further right counts.
fn indent_of(line: &str, most: usize) -> usize {
    let (mut column, mut spaces) = (0_usize, 0_usize);
    let (mut leading, mut found) = (true, None);
    let (mut first, mut escapes) = (0, Escapes::default());
    for letter in line.chars().filter(|letter| escapes.shows(*letter)) {
        if letter == ' ' {
            spaces = spaces.saturating_add(1);
        } else {
            if leading {
                first = column;
            } else if spaces >= 2 && column <= most {
                found = Some(column);
            }
            (leading, spaces) = (false, 0);
        }
        column = column.saturating_add(1);
    }
    found.unwrap_or(first.min(most).saturating_add(DEEPER))
}

fn width(text: &str) -> usize {
    let mut escapes = Escapes::default();
    text.chars().filter(|letter| escapes.shows(*letter)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_stands_below_where_the_text_began() {
        let text = "  ok     tcp          one two three four five six\n";
        assert_eq!(
            wrap_painted(text, 45),
            "  ok     tcp          one two three four five\n                      six\n"
        );
        assert_eq!(
            wrap_painted(text, 34),
            "  ok     tcp          one two\n         three four five six\n"
        );
        assert_eq!(
            wrap_painted("    rule forwards all\n", 14),
            "    rule\n      forwards\n      all\n"
        );
        assert_eq!(wrap_painted("short\n\nlines", 14), "short\n\nlines");
    }

    #[test]
    fn colours_have_no_width_and_long_words_stay_whole() {
        let painted = "  \u{1b}[32mok\u{1b}[0m  abc def";
        assert_eq!(wrap_painted(painted, 13), painted);
        assert_eq!(wrap_painted(painted, 12), "  \u{1b}[32mok\u{1b}[0m  abc\n      def");
        let path = "x  /a/path/that/is/longer/than/the/terminal and more";
        assert_eq!(
            wrap_painted(path, 20),
            "x  /a/path/that/is/longer/than/the/terminal\n   and more"
        );
    }

    #[test]
    fn nothing_but_spaces_is_lost_at_any_width() {
        let text = "  ok     tcp          one  two `three four` (five)\n    six seven\n\n";
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        for columns in 1..80 {
            assert_eq!(words(&wrap_painted(text, columns)), words(text), "{columns}");
        }
    }
}

//! How much room there is: the size of the terminal, and text cut to it.

use std::io::{self, IsTerminal};

use text::cut_painted;

/// Where nobody says how wide it is.
const COLUMNS: usize = 100;
/// Narrower than any table can be.
const MIN_COLUMNS: usize = 80;
const MAX_COLUMNS: usize = 200;
const MIN_ROWS: usize = 8;

/// Columns, and rows where what has no room would scroll away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Size {
    pub(in crate::cli) columns: usize,
    pub(in crate::cli) rows: Option<usize>,
}

impl Size {
    /// Of standard output; rows count for somebody who watches.
    pub(super) fn of_stdout(watch: bool) -> Size {
        let stdout = io::stdout();
        let size = rustix::termios::tcgetwinsize(&stdout).ok();
        match size.filter(|size| stdout.is_terminal() && size.ws_col > 0 && size.ws_row > 0) {
            None => Size { columns: COLUMNS, rows: None },
            Some(size) => Size {
                columns: usize::from(size.ws_col).clamp(MIN_COLUMNS, MAX_COLUMNS),
                rows: watch.then(|| usize::from(size.ws_row).max(MIN_ROWS)),
            },
        }
    }

    /// A part of the rows, for one of `parts` that are shown below each other.
    pub(super) fn share(self, parts: usize) -> Size {
        let rows = self.rows.map(|rows| rows.checked_div(parts).unwrap_or(rows).max(MIN_ROWS));
        Size { rows, ..self }
    }

    /// The text as it fits: no line is wider, and what has no row is counted in the last one. The first
    /// lines stay.
    pub(super) fn fit(self, text: &str) -> String {
        let Some(rows) = self.rows else { return text.to_owned() };
        let lines: Vec<&str> = text.lines().collect();
        // A line feed behind the last row would scroll the first one away.
        let shown = if lines.len() > rows { rows.saturating_sub(1) } else { lines.len() };
        let mut fitted: Vec<String> =
            lines.iter().take(shown).map(|line| cut_painted(line, self.columns)).collect();
        let more = lines.len().saturating_sub(shown);
        if more > 0 {
            fitted.push(format!(" … {more} more: a taller terminal, or without --watch"));
        }
        fitted.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_stay_and_nothing_is_wider() {
        let size = Size { columns: 80, rows: Some(24) };
        let text: String = (0..30).map(|number| format!("{number} {}\n", "x".repeat(99))).collect();
        let fitted = size.fit(&text);
        let lines: Vec<&str> = fitted.lines().collect();
        assert_eq!(lines.len(), 24);
        assert!(lines[0].starts_with("0 x") && lines.iter().all(|line| line.len() <= 80));
        assert!(lines[23].contains("7 more"), "{}", lines[23]);
        assert!(!fitted.ends_with('\n'));
        let short = size.fit("a\nb\n");
        assert_eq!(short, "a\nb");
        let all = Size { columns: 80, rows: None };
        assert_eq!(all.fit(&text), text);
    }

    #[test]
    fn colours_have_no_width_and_end() {
        assert_eq!(cut_painted("\u{1b}[31mabcdef\u{1b}[0m", 3), "\u{1b}[31mabc\u{1b}[0m");
    }

    #[test]
    fn two_halves_share_the_rows() {
        let size = Size { columns: 80, rows: Some(50) };
        assert_eq!(size.share(2).rows, Some(25));
        assert_eq!(size.share(0).rows, Some(50));
        assert_eq!(size.share(99).rows, Some(MIN_ROWS));
    }
}

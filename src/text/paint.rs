//! Colours of text for people, on a terminal that wants them.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// What a colour says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What begins something.
    Strong,
    /// What is said beside.
    Faint,
    /// What crosses, what is as it should be.
    Good,
    /// What deserves a look.
    Odd,
    /// What is dropped, what isn't as it should be.
    Bad,
    /// What is bad and must not be passed over.
    Alarming,
}

impl Tone {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Tone::Strong => Style::new().bold(),
            Tone::Faint => Style::new().dimmed(),
            Tone::Good => colour(AnsiColor::Green),
            Tone::Odd => colour(AnsiColor::Yellow),
            Tone::Bad => colour(AnsiColor::Red),
            Tone::Alarming => colour(AnsiColor::Red).bold(),
        }
    }
}

/// Paints text, or doesn't.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    coloured: bool,
}

impl Paint {
    /// For a stream that wants colours, or doesn't.
    pub const fn new(coloured: bool) -> Paint {
        Paint { coloured }
    }

    /// `text` in this tone. Text from outside is escaped before.
    pub fn paint(self, tone: Tone, text: impl Display) -> String {
        let style = if self.coloured { tone.style() } else { Style::new() };
        format!("{style}{text}{style:#}")
    }

    /// [`Tone::Good`].
    pub fn good(self, text: impl Display) -> String {
        self.paint(Tone::Good, text)
    }

    /// [`Tone::Bad`].
    pub fn bad(self, text: impl Display) -> String {
        self.paint(Tone::Bad, text)
    }

    /// [`Tone::Odd`].
    pub fn odd(self, text: impl Display) -> String {
        self.paint(Tone::Odd, text)
    }

    /// [`Tone::Strong`].
    pub fn strong(self, text: impl Display) -> String {
        self.paint(Tone::Strong, text)
    }

    /// [`Tone::Faint`].
    pub fn faint(self, text: impl Display) -> String {
        self.paint(Tone::Faint, text)
    }
}

/// Tells letters from those of colours (ANSI escapes).
#[derive(Default)]
pub(crate) struct Escapes {
    inside: bool,
}

impl Escapes {
    /// Whether a terminal shows the next letter of a text.
    pub(crate) fn shows(&mut self, letter: char) -> bool {
        if self.inside {
            self.inside = !letter.is_ascii_alphabetic();
            return false;
        }
        self.inside = letter == '\u{1b}';
        !self.inside
    }
}

/// The beginning of a line that has colours in it, so many columns wide. Colours end as they did.
pub fn cut_painted(line: &str, columns: usize) -> String {
    let mut kept = String::new();
    let (mut width, mut escapes) = (0_usize, Escapes::default());
    for letter in line.chars() {
        if escapes.shows(letter) {
            if width >= columns {
                continue;
            }
            width = width.saturating_add(1);
        }
        kept.push(letter);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tones_are_ansi_colours_where_they_are_wanted() {
        let coloured = Paint::new(true);
        assert_eq!(coloured.good("ok"), "\x1b[32mok\x1b[0m");
        assert_eq!(coloured.bad("x"), "\x1b[31mx\x1b[0m");
        assert_eq!(coloured.odd("x"), "\x1b[33mx\x1b[0m");
        assert_eq!(coloured.strong("x"), "\x1b[1mx\x1b[0m");
        assert_eq!(coloured.faint("x"), "\x1b[2mx\x1b[0m");
        assert_eq!(coloured.paint(Tone::Alarming, "x"), "\x1b[1m\x1b[31mx\x1b[0m");
        assert_eq!(Paint::new(false).bad("x"), "x");
    }
}

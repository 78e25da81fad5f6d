//! Colours of the policy tools' output, on a terminal that wants them.

use std::fmt::Display;
use std::io;

use telemetry::logging::colours;

/// Paints text, or doesn't.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    coloured: bool,
}

impl Paint {
    /// As standard output wants it.
    pub(super) fn for_stdout() -> Paint {
        Paint { coloured: colours(&io::stdout()) }
    }

    /// What crosses, what is as it should be.
    pub(super) fn good(self, text: impl Display) -> String {
        self.with("32", text)
    }

    /// What is dropped, what isn't as it should be.
    pub(super) fn bad(self, text: impl Display) -> String {
        self.with("31", text)
    }

    /// What deserves a look.
    pub(super) fn odd(self, text: impl Display) -> String {
        self.with("33", text)
    }

    /// What begins something.
    pub(super) fn strong(self, text: impl Display) -> String {
        self.with("1", text)
    }

    /// What is said beside.
    pub(super) fn faint(self, text: impl Display) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: impl Display) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

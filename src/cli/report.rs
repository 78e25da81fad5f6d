//! The only place that prints to a person. Results go to stdout, everything else to stderr.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;

use diagnostic::{Diagnostics, Severity};
use telemetry::logging::colours;
use text::{Paint, counted, escape_json, is_treacherous, wrap_painted};

use super::exit::Exit;

/// Why a subcommand didn't do what was asked.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    what: What,
}

#[derive(Debug)]
enum What {
    Problems(Diagnostics),
    Message { message: String, hints: Vec<String> },
}

impl Failure {
    /// A failure in one sentence: lower case, no final period.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, what: What::Message { message: message.into(), hints: Vec::new() } }
    }

    /// With one more hint; diagnostics have their own.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        if let What::Message { hints, .. } = &mut self.what {
            hints.push(hint.into());
        }
        self
    }

    /// What it says in one line, and the first hint.
    pub(super) fn words(&self) -> (String, Option<String>) {
        match &self.what {
            What::Message { message, hints } => (message.clone(), hints.first().cloned()),
            What::Problems(problems) => {
                let first = problems.iter().next();
                let words = first.map(|one| format!("{}: {}", one.path.display(), one.title));
                (words.unwrap_or_default(), first.and_then(|one| one.help.first().cloned()))
            }
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

/// Wrong configuration or policy.
impl From<Diagnostics> for Failure {
    fn from(problems: Diagnostics) -> Failure {
        Failure { exit: Exit::Config, what: What::Problems(problems) }
    }
}

/// Columns of the terminals that results and failures go to, if they go to one.
struct Columns {
    out: Option<usize>,
    err: Option<usize>,
}

static COLUMNS: OnceLock<Columns> = OnceLock::new();

/// Looks how wide the terminal is. To be called at the start: who is sealed may not ask.
pub(super) fn measure() {
    fn of(stream: impl AsFd + IsTerminal) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(&stream).ok().filter(|_| stream.is_terminal());
        size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
    }
    COLUMNS.get_or_init(|| Columns { out: of(io::stdout()), err: of(io::stderr()) });
}

/// Columns of the terminal that results go to; `None`: they go to something else.
pub(super) fn columns() -> Option<usize> {
    COLUMNS.get().and_then(|columns| columns.out)
}

/// Prints a result as one line of JSON, in which what would change a terminal or the order of a line
/// has JSON's own escapes.
///
/// # Errors
/// stdout can't be written.
pub fn json(object: &serde_json::Value) -> Result<(), Failure> {
    output_to_reader(&format!("{}\n", escape_json(&object.to_string()))).map(drop)
}

/// Prints a result; on a terminal lines that are wider are broken between words. That the reader went away
/// (`sparkdiode … | head`) is no failure.
///
/// # Errors
/// stdout can't be written.
pub fn output(text: &str) -> Result<(), Failure> {
    match columns() {
        Some(columns) => output_to_reader(&wrap_painted(text, columns)).map(drop),
        None => output_to_reader(text).map(drop),
    }
}

/// The same; false if nobody reads it any more.
///
/// # Errors
/// stdout can't be written.
pub(super) fn output_to_reader(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(Exit::Io, format!("cannot write to stdout: {error}"))),
    }
}

/// Prints what people should know while a command goes on.
pub(super) fn note(line: &str) {
    to_stderr(&format!("sparkdiode: {}\n", Lines(line)));
}

/// Prints problems that don't stop anything.
pub fn warnings(problems: &Diagnostics) {
    if !problems.is_empty() {
        to_stderr(&problems.render(colours(&io::stderr())));
    }
}

/// Prints why a subcommand failed; called once, at the end.
pub fn failure(failure: &Failure) {
    match &failure.what {
        What::Problems(problems) => {
            let errors =
                problems.iter().filter(|problem| problem.severity == Severity::Error).count();
            let warnings = problems.len().saturating_sub(errors);
            to_stderr(&problems.render(colours(&io::stderr())));
            let mut summary = counted(errors, "error");
            if warnings > 0 {
                summary = format!("{summary}, {}", counted(warnings, "warning"));
            }
            to_stderr(&format!("\nsparkdiode: {summary}\n"));
        }
        What::Message { message, hints } => {
            let mut text = format!("sparkdiode: {}\n", Lines(message));
            for hint in hints {
                text.push_str(&format!("hint: {}\n", Lines(hint)));
            }
            match COLUMNS.get().and_then(|columns| columns.err) {
                Some(columns) => to_stderr(&wrap_painted(&text, columns)),
                None => to_stderr(&text),
            }
        }
    }
}

/// A message as it is, but for what a terminal would obey: it may quote what somebody else wrote, and
/// what quotes it should have escaped it.
struct Lines<'a>(&'a str);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if character != '\n' && is_treacherous(character) {
                write!(formatter, "\\u{{{:x}}}", u32::from(character))?;
            } else {
                formatter.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// Prints what clap has to say: help and version on stdout, usage errors on stderr.
pub fn usage(error: &clap::Error) -> Exit {
    // Where even that can't be printed there is nobody to say it to.
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Ok }
}

/// Paints what goes to standard output, if that wants colours.
pub(super) fn paint() -> Paint {
    Paint::new(colours(&io::stdout()))
}

fn to_stderr(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

//! What codes mean that a person meets in an error or in the log: for each diagnostic and each reason
//! what it says, what to do, and an example. `sparkdiode explain` prints them, the pages
//! `diagnostics.md` and `reasons.md` are made of them, and the tests put the examples through the
//! readers that give the codes.

macro_rules! codes {
    ($($code:literal $title:literal: $meaning:literal $action:literal $kind:ident $example:literal;)+) => {
        &[$(Code {
            code: $code,
            title: $title,
            meaning: $meaning,
            action: $action,
            example: Example::$kind($example),
        },)+]
    };
}

mod cases;
mod configuration;
mod events;
mod policy;
mod reasons;
mod rules;
mod shapes;
mod signatures;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use account::Reason;
pub use reasons::advice;
use telemetry::Event;

/// The entry of a diagnostic.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    pub code: &'static str,
    /// As it stands in a list: lower case, no final period.
    pub title: &'static str,
    pub meaning: &'static str,
    pub action: &'static str,
    pub example: Example,
}

/// What brings a code about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// A policy of which this is said, or with a case that is dropped for the reason.
    Policy(&'static str),
    /// What stands in an `ot.toml` of which this is said.
    Ot(&'static str),
    /// What stands in an `it.toml` of which this is said.
    It(&'static str),
    /// What is seen on a console.
    Console(&'static str),
    /// A line of the log, with values of some fields; a field without a value isn't in it.
    Line(Event, &'static [(&'static str, &'static str)]),
    /// A story.
    Words(&'static str),
}

impl Example {
    /// As Markdown.
    fn markdown(self) -> String {
        let (language, text) = match self {
            Example::Policy(text) | Example::Ot(text) | Example::It(text) => ("toml", text.into()),
            Example::Console(text) => ("text", text.into()),
            Example::Line(event, values) => ("text", events::line(event, values)),
            Example::Words(text) => return format!("**Example**: {text}\n"),
        };
        format!("**Example**\n\n```{language}\n{}\n```\n", text.trim_matches('\n'))
    }
}

/// What to do, and an example.
type Parts = (&'static str, Example);

/// What to do about a reason, and what brings it about.
#[derive(Clone, Copy, Debug)]
pub struct Advice {
    pub action: &'static str,
    pub example: Example,
}

/// The kinds of diagnostics, as the manual has them.
const CHAPTERS: [(&str, &[Code]); 6] = [
    ("Configuration: `ot.toml` and `it.toml`", configuration::CODES),
    ("Both files together, and the running half", configuration::TOGETHER),
    ("Policies", policy::CODES),
    ("Shapes", shapes::CODES),
    ("Cases", cases::CODES),
    ("Signatures", signatures::CODES),
];

/// All diagnostics, in the order of the manual.
pub fn codes() -> impl Iterator<Item = &'static Code> {
    CHAPTERS.iter().flat_map(|(_, codes)| codes.iter())
}

/// The entry of a diagnostic, in Markdown.
pub fn code_entry(entry: &Code) -> String {
    entry_of(entry.code, entry.title, entry.meaning, entry.action, entry.example)
}

/// The entry of a reason, in Markdown.
pub fn reason_entry(reason: Reason) -> String {
    let Advice { action, example } = advice(reason);
    let said = "A reason for which something doesn't cross";
    entry_of(&format!("`{}`", reason.name()), said, reason.meaning(), action, example)
}

/// The entry of an event, in Markdown.
pub fn event_entry(event: Event) -> String {
    let entry = event.entry();
    let said = format!("{} ({})", entry.text, entry.severity);
    let example = Example::Line(event, &[]);
    let mut text = entry_of(entry.msgid, &said, entry.meaning, entry.action, example);
    for (at, field) in entry.fields.iter().enumerate() {
        let head = if at == 0 { "\n" } else { "" };
        let optional = if field.optional { " (not always there)" } else { "" };
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "{head}- `{}`: {}{optional}", field.name, field.meaning);
    }
    text
}

fn entry_of(name: &str, title: &str, meaning: &str, action: &str, example: Example) -> String {
    let example = example.markdown();
    format!("### {name}\n\n*{title}.* {meaning}\n\n**What to do**: {action}\n\n{example}")
}

/// The page `src/manual/diagnostics.md`.
pub fn diagnostics_page() -> String {
    let mut page = String::from(
        "# Diagnostics: what is wrong with a file\n\n\
         Every error and warning about a configuration or a policy has a code, which never changes its meaning within a\n\
         major version. `sparkdiode explain P112` prints one entry. Codes from 100 on are warnings, but for `C110` to\n\
         `C114`, `C116` and `C117`, which are either, and `P2…`, which are about cases. This page is made from the code.\n",
    );
    for (chapter, codes) in CHAPTERS {
        let _ = write!(page, "\n## {chapter}\n\n| code | |\n|---|---|\n");
        for entry in codes {
            let anchor = entry.code.to_lowercase();
            let _ = writeln!(page, "| [`{}`](#{anchor}) | {} |", entry.code, entry.title);
        }
        for entry in codes {
            let _ = write!(page, "\n{}", code_entry(entry));
        }
    }
    page
}

/// The page `src/manual/reasons.md`.
pub fn reasons_page() -> String {
    let mut page = String::from(
        "# Reasons: why something doesn't cross\n\n\
         Every message that isn't forwarded, and every metric of one that is, is counted under one of a closed list of\n\
         reasons: the same words in the log, in `status`, in the journal's heartbeats, in metrics and in cases of policies.\n\
         `sparkdiode explain over_cap` prints one entry, `sparkdiode policy why` says for which of them something didn't\n\
         arrive, and [what becomes of what is refused](refusals.md) which of them IT can see. This page is made from the\n\
         code.\n\n\
         | reason | meaning |\n|---|---|\n",
    );
    for reason in Reason::ALL {
        let meaning = reason.meaning().trim_end_matches('.');
        let _ = writeln!(page, "| `{}` | {meaning} |", reason.name());
    }
    for reason in Reason::ALL {
        let _ = write!(page, "\n{}", reason_entry(*reason));
    }
    page
}

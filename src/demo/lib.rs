//! `sparkdiode demo`: the whole thing on one machine. What it shows is measured, and its summary
//! is a list of checks that can fail.
//!
//! ```text
//!  plant ──> OT broker ──> sparkdiode ot ──> journal ──> sparkdiode it ──> IT broker ──> host
//!  (threads of this process)    (child)                      (child)                   intruder
//! ```
//!
//! With two boxes, `sparkdiode send`, a cable and `sparkdiode receive` are between two journals.
//!
//! | module | what it is |
//! |---|---|
//! | `broker` | an MQTT broker inside this process |
//! | `plant` | simulated edge nodes |
//! | `reaper` | ends the halves where the demo was killed |
//! | `relay` | both halves as child processes, and a view of their journal |
//! | `enterprise` | the IT side: host and intruder |
//! | `host` | the strict host that judges what arrives |
//! | `attempts` | what is tried from IT |
//! | `driver` | the script, and everything together |
//! | `interrupts` | signals that end it |
//! | `keys` | keys that are pressed meanwhile |
//! | `two_boxes` | two boxes on one machine, and the cable between them |
//! | `downtime` | a death in the plant, and when IT showed it |
//! | `screen`, `view` | the live table |
//! | `at_rest` | both sides compared at the end |
//! | `summary` | the checks |

mod at_rest;
mod attempts;
mod broker;
mod downtime;
mod driver;
mod enterprise;
mod host;
mod interrupts;
mod keys;
mod plant;
mod reaper;
mod relay;
mod screen;
mod summary;
mod two_boxes;
mod view;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use driver::Demo;
use interrupts::Interrupts;
use journal_read::JournalError;
pub use reaper::reap;

/// How the demo is to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Ends by itself after this time; otherwise by Ctrl-C.
    pub run_for: Option<Duration>,
    /// Draws on the terminal; otherwise a line is printed now and then.
    pub screen: bool,
    pub colour: bool,
    /// Both halves on boxes of their own, with a link between them.
    pub two_boxes: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Plain text for people.
    pub summary: String,
    /// Every check holds.
    pub passed: bool,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot {verb} `{}`: {source}", path.display())]
    File { verb: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot start the {what}: {source}")]
    Thread { what: &'static str, source: io::Error },
    #[error("cannot start `sparkdiode {name}`: {source}")]
    Start { name: &'static str, source: io::Error },
    /// A half ended, or didn't get ready; with the end of its log.
    #[error("{what}\n{log}")]
    Half { what: String, log: String },
    #[error("cannot read the demo's journal: {0}")]
    Journal(#[from] JournalError),
    /// What is missing here for two boxes.
    #[error("two boxes can't be shown here: {0}")]
    TwoBoxes(String),
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    /// SIGINT or SIGTERM before there was anything to see.
    #[error("interrupted before it began")]
    Interrupted,
}

/// Runs the demo to its end. `say` prints a line of progress.
///
/// # Errors
/// The demo can't be set up; that a check fails is no error but an [`Outcome`].
pub fn run(options: Options, say: &mut dyn FnMut(&str)) -> Result<Outcome, DemoError> {
    end_children_on_panic();
    let thread = |what| move |source| DemoError::Thread { what, source };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(thread("event loop"))?;
    runtime.block_on(async {
        let mut interrupts = Interrupts::new().map_err(thread("signal handlers"))?;
        let mut demo = Demo::set_up(options, &mut interrupts, say).await?;
        demo.run(&mut interrupts, say).await?;
        demo.finish(&mut interrupts, say).await
    })
}

/// With `panic = "abort"` nothing is dropped: the hook gives the terminal back and ends the
/// children.
fn end_children_on_panic() {
    let earlier = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        relay::end_all_at_once();
        screen::restore();
        keys::restore();
        earlier(info);
    }));
}

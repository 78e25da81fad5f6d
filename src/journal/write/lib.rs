//! The writer of the journal: the OT half's end of the one-way pipe. It reads its own journal
//! when it starts, to go on where it ended, and knows of no reader.

mod directory;
#[cfg(test)]
mod model;
mod options;
mod recovery;
mod replay;
mod writer;

pub use journal_segment::JournalError;
pub use options::{Durability, WriterOptions};
pub use recovery::Recovered;
pub use replay::Replay;
pub use writer::{Head, Retained, Writer};

//! The writer of the journal: the OT half's end of the one-way pipe. It reads its own journal
//! when it starts, to go on where it ended, and knows of no reader.

#[cfg(test)]
mod model;
mod recovery;
mod writer;

pub use journal_segment::JournalError;
pub use recovery::Recovered;
pub use writer::{Durability, Head, Replay, Retained, Writer, WriterOptions};

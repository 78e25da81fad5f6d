//! The writer of the journal: the OT half's end of the one-way pipe. It reads its own journal
//! when it starts, to go on where it ended, and knows of no reader.
//!
//! The writer of a journal that is received over a link is another one: it takes what the sender wrote,
//! and says nothing of its own about the plant.

mod directory;
#[cfg(test)]
mod model;
mod options;
mod received;
mod recovery;
mod replay;
mod writer;

pub use journal_segment::JournalError;
pub use options::{Durability, WriterOptions};
pub use received::{Origin, Pushed, ReceivedFound, ReceivedOptions, ReceivedWriter, Refusal};
pub use recovery::Recovered;
pub use replay::Replay;
pub use writer::{Head, Retained, Writer};

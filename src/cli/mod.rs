//! (being written)
pub mod it;
pub mod journal;

//! (being written)

pub mod diagnostic;

//! (being written)
pub mod it;

//! Learns a least-privilege draft of a policy from a recording, and tries it on the recording.
//!
//! ```text
//!  records ──> observe ──> group ──> draft ──> text of a policy
//!              what is     classes,  rules,        │
//!              there       globs     cases         v
//!  records ──────────────────────────────────> trial (the real pipeline): what was
//!                                              promised crosses, and nothing else does
//! ```
//!
//! Without I/O and without a clock: records come in, text goes out.

mod draft;
mod group;
mod kind;
mod observe;
mod range;

#[cfg(test)]
mod tests;
mod toml_text;
mod trial;

pub use draft::{Draft, Options, draft};
pub use observe::Observation;
pub use trial::{Trial, TrialReport};

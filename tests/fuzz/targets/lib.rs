//! Bodies of the fuzz targets: what must hold for any bytes from outside, as functions that panic
//! where it doesn't. `cargo test` runs them over `tests/fuzz/corpus`, and `tests/fuzz/run` lets
//! libFuzzer look for more. It may know every crate, and nothing of the product knows it.
//!
//! | from outside | targets |
//! |---|---|
//! | the plant, over the OT broker | `ot_connection`, `ot_connection_five`, `topic`, `payload`, `pipeline`, `ot_fast_path` |
//! | an OT half that is taken over, or a broken disk | `journal_segment`, `mirror`, `it_fast_path`, `state_files` |
//! | the IT broker and hosts | `it_connection`, `it_connection_five`, `mirror` |
//! | the link between two boxes, and whoever has its key | `link_datagrams`, `link_window`, `link_blocks` |
//! | people | `policy_text`, `configuration`, `capture` |

#![cfg(any(test, feature = "fuzzing"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a target says by a panic that something doesn't hold"
)]

mod broker;
mod capture;
mod configuration;
mod connections;
mod diagnostics;
mod five;
mod follower;
mod frames;
mod host;
pub mod input;
mod journal;
mod link;
mod mirror;
pub mod mqtt;
mod payload;
mod pipeline;
pub mod plant;
mod policy;
mod segment;
mod setup;
mod state_files;
mod topic;

pub use capture::capture;
pub use configuration::configuration;
pub use connections::{it_connection, ot_connection};
pub use five::{it_connection_five, ot_connection_five};
pub use link::{link_blocks, link_datagrams, link_window};
pub use mirror::{it_fast_path, mirror};
pub use payload::payload;
pub use pipeline::{ot_fast_path, pipeline};
pub use policy::policy_text;
pub use segment::journal_segment;
pub use setup::settings as mirror_settings;
pub use state_files::state_files;
pub use topic::topic;

/// The body of a target.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const TARGETS: [(&str, Target); 18] = [
    ("capture", capture),
    ("configuration", configuration),
    ("it_connection", it_connection),
    ("it_connection_five", it_connection_five),
    ("it_fast_path", it_fast_path),
    ("journal_segment", journal_segment),
    ("link_blocks", link_blocks),
    ("link_datagrams", link_datagrams),
    ("link_window", link_window),
    ("mirror", mirror),
    ("ot_connection", ot_connection),
    ("ot_connection_five", ot_connection_five),
    ("ot_fast_path", ot_fast_path),
    ("payload", payload),
    ("pipeline", pipeline),
    ("policy_text", policy_text),
    ("state_files", state_files),
    ("topic", topic),
];

#[cfg(test)]
mod tests;

//! What the relay stands between, for the suite and the benchmark: real brokers, edge nodes of three
//! libraries on OT, hosts on IT; a proxy that records what is said, and a checker that judges the recording.
//! MQTT is read and written here by hand: nothing that the product speaks it with also judges it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_debug_implementations,
    reason = "for tests: a failure is a panic, and it drives real time; nobody prints a peer"
)]

pub mod broker;
pub mod checker;
pub mod client;
pub mod metrics;
pub mod observer;
pub mod packet;
pub mod pysparkplug;
pub mod raw_edge;
pub mod srad_edge;
pub mod srad_host;
pub mod unfolded;
pub mod waiting;
pub mod wire;

//! The test crate that drives the real binary with real brokers and real Sparkplug clients.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test crate: a failure is a panic, and it drives real time"
)]

mod architecture;
mod attackers;
mod broker;
mod checker;
mod client;
mod command_line;
mod console;
#[cfg(feature = "demo")]
mod demo;
mod e2e;
mod events;
mod links;
mod metrics;
mod monitoring;
mod networks;
mod other_brokers;
mod packet;
mod peers;
mod picture;
mod policies;
mod quick_start;
mod readme;
mod relay;
mod rig;
mod supply_chain;
mod syslog;
mod systemd;
mod two_boxes;
mod waiting;
mod wire;

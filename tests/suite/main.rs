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

// Brokers, edge nodes and hosts, and who records and judges what is said: the benchmark has them too.
use ::peers::{broker, checker, client, metrics, packet, waiting, wire};
mod peers {
    pub(crate) use ::peers::{observer, pysparkplug, raw_edge, srad_edge, srad_host, unfolded};
}

mod architecture;
mod attackers;
mod command_line;
mod console;
#[cfg(feature = "demo")]
mod demo;
mod e2e;
mod events;
mod links;
mod monitoring;
mod networks;
mod other_brokers;
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

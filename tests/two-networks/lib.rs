//! Both ends of a link between two boxes, as real processes under their seals, each in a network of its
//! own, with a cable between them that can be cut, loses, reorders, doubles and flips.
//!
//! ```text
//!  plant ── journal ── sparkdiode send ═╤═ a0 ══════════ b0 ═╤═ sparkdiode receive ── journal ── tail
//!                                       └─ a1 ═ … cable … b1 ┘
//!             network of the plant      │  what comes back   │      network of the office:
//!                                       │  is counted here   │      its way out is closed
//! ```
//!
//! [`Through`] has the whole relay around it, with a real broker at either end:
//!
//! ```text
//!  edge nodes ── broker ── ot ── journal ── send ══════════ receive ── journal ── it ── broker ── hosts
//!             network of the plant                │               network of the office
//! ```
//!
//! Needs root, `ip` and `nft`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    missing_debug_implementations,
    reason = "for tests: a failure is a panic, and nobody prints them"
)]

mod ends;
mod halves;
mod line;
mod network;
mod plant;
mod shown;
mod tail;
mod through;
mod wire;

pub use ends::{End, Files, Options};
pub use halves::Way;
pub use network::Network;
pub use plant::Plant;
pub use tail::{Found, Tail};
pub use through::{Judged, Outage, Through};
pub use wire::{Faults, Forwarded, Wire};

/// Why it can't be had on this machine.
pub fn is_missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("networks of their own need root".to_owned());
    }
    ["ip", "nft"].into_iter().find_map(|program| {
        let run = std::process::Command::new(program).arg("-V").output();
        run.is_err().then(|| format!("there is no `{program}`"))
    })
}

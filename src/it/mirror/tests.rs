//! The mirror on a virtual clock, against a journal in memory and a strict host on IT.
#![allow(clippy::arithmetic_side_effects, reason = "tests count small numbers")]

mod aliases;
mod both;
mod doubts;
mod folded;
mod footprint;
mod gaps;
mod history;
mod host;
mod keyframes;
mod late;
mod link;
mod memory;
mod random;
mod repetition;
mod sessions;
mod set_aside;
mod snapshots;
mod steps;
mod templates;
mod tightened;
mod turns;
mod world;

pub(crate) use world::settings;

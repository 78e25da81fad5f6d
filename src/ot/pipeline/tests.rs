//! The pipeline on a virtual clock.
#![expect(clippy::arithmetic_side_effects, reason = "a test: an overflow is a failure")]

mod account;
mod bench;
mod beside;
mod bytes;
mod captured;
mod changed_parts;
mod crowds;
mod evasion;
mod fast_path;
mod filters;
mod footprint;
mod healing;
mod hold_births;
mod hostile;
mod limits;
mod memory;
mod names;
mod notify;
mod numbers;
mod observed;
mod output;
mod overload;
mod overtaken;
mod parts;
mod random;
mod reorder;
mod restarts;
mod schedules;
mod sessions;
mod shaping;
mod snapshot_probe;
mod steps;
mod storm;
mod turns;
mod unfit;

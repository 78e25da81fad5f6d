//! The pipeline on a virtual clock.

mod bench;
mod captured;
mod filters;
mod healing;
mod random;
mod sessions;

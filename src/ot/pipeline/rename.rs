//! Names: things go by those of the plant in this half, and cross by those that the policy gives.

mod assign;
mod replay;

pub(super) use replay::{Names, Resolved};

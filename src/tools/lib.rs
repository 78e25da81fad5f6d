//! Tools for people who write and review policies: recordings of real traffic, drafts of policies
//! from them, and dry runs of a policy through the OT half's pipeline. No running half links them.

pub mod capture;
pub mod dry_run;
pub mod learn;

//! Tools for people who write and review policies: cases, lint, comparison, explanation, recordings
//! of real traffic, drafts of policies from them, and dry runs of a policy through the OT half's
//! pipeline. No half links them.

pub mod acl;
pub mod capture;
pub mod cases;
pub mod compare;
pub mod dry_run;
pub mod explain;
pub mod learn;
pub mod lint;

//! Both halves between two brokers on virtual time, driven by one seed.
//!
//! ```text
//!  plant ──> ot_broker ──> OT half ──> journal ──> IT half ──> it_broker ──> host
//!    │                     (worker, pipeline)      (driver, mirror)            │
//!    └───────────────────────────── oracle ────────────────────────────────────┘
//! ```
//!
//! Halves, journal and state are those that run, on files in memory; what waits for network, time
//! and threads is done by hand (`ot::testing::Half`, `it::testing::Half`). The rest is written
//! here, and knows nothing of how the halves do it.

pub mod accounts;
pub mod faults;
pub mod habits;
pub mod host;
pub mod it_broker;
pub mod journal;
pub mod many;
pub mod oracle;
pub mod ot_broker;
pub mod plan;
pub mod plant;
pub mod policies;
pub mod random;
pub mod run;
pub mod shrink;
pub mod waits;
pub mod world;

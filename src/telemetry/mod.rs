//! What the relay says about itself: the catalogue of events and how they are told, drop reasons,
//! the account.
//!
//! ```text
//!  event!(…) ──> tracing ──> hub ──> flood ──> record ──┬──> stderr
//!  at the place             one layer  limits   cleans  └──> syslog, one queue and thread a target
//! ```

mod account;
#[cfg(test)]
pub(crate) mod capture;
mod escape;
mod event;
mod expiry;
mod flood;
mod grouped;
mod hub;
mod ledger;
pub mod logging;
mod notify;
mod policy_loaded;
mod reason;
mod record;
pub mod status;
mod stderr;
pub mod syslog;
mod timestamp;

pub use account::Account;
pub use escape::{Escaped, MAX_SHOWN, clean, escape, escape_to};
pub use event::{Entry, Event, FieldSpec, Halves, Limit, Severity, TARGET as EVENT_TARGET};
pub use event::{json as events_json, manual as events_manual};
pub use expiry::{EXPIRY_WARNING, tell_expiry, tell_peer_expiry};
pub use grouped::grouped;
pub use ledger::{
    DropList, Dropped, Drops, Fate, Imbalance, Ledger, LedgerEntry, NodeAccount, NodeSlot, Origin,
    RuleAccount, What,
};
pub use notify::Notifier;
pub use policy_loaded::tell_policy;
pub use reason::Reason;
pub use record::Record;
pub use timestamp::{format_date, format_utc, format_utc_ms};

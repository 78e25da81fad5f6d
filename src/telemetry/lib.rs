//! What the relay says of itself: the catalogue of events and how they are emitted, and the status
//! of a half. It knows no policy, no journal and no MQTT.
//!
//! ```text
//!  event!(…) ──> tracing ──> hub ──> flood ──> record ──┬──> stderr
//!  at the place             one layer  limits   cleans  └──> syslog, one queue and thread a target
//! ```

mod broker_error;
#[cfg(any(test, feature = "testing"))]
pub mod capture;
mod event;
mod expiry;
mod flood;
mod hub;
pub mod logging;
mod mistakes;
mod notify;
mod policy_loaded;
mod record;
mod recovery;
mod renewal;
pub mod status;
mod stderr;
mod style;
pub mod syslog;

pub use event::{
    Entry, Event, FieldSpec, Halves, Limit, Severity, TARGET as EVENT_TARGET, json as events_json,
    manual as events_manual,
};
pub use expiry::{emit_expiry, emit_peer_expiry};
pub use notify::Notifier;
pub use policy_loaded::policy_loaded;
pub use record::Record;
pub use renewal::take_up;
/// For [`event!`] in crates that don't depend on it.
#[doc(hidden)]
pub use tracing;

//! What the relay says about itself: drop reasons, the account, logging.

mod account;
mod reason;
mod timestamp;

pub use account::Account;
pub use reason::Reason;
pub use timestamp::{format_date, format_utc};

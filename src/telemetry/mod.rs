//! What the relay says about itself: drop reasons, the account, logging.

mod account;
mod reason;

pub use account::Account;
pub use reason::Reason;

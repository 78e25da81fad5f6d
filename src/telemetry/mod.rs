//! What the relay says about itself: drop reasons, the account, logging.

mod account;
mod escape;
mod ledger;
pub mod logging;
mod notify;
mod reason;
pub mod status;
mod timestamp;

pub use account::Account;
pub use escape::{Escaped, MAX_SHOWN, escape, escape_to};
pub use ledger::{
    DropList, Dropped, Drops, Fate, Imbalance, Ledger, NodeAccount, NodeSlot, Origin, RuleAccount,
    What,
};
pub use notify::Notifier;
pub use reason::Reason;
pub use timestamp::{format_date, format_utc, format_utc_ms};

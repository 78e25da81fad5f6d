//! What the relay says about itself: drop reasons, the account, logging.

mod account;
mod escape;
mod ledger;
pub mod logging;
mod reason;
mod timestamp;

pub use account::Account;
pub use escape::{Escaped, MAX_SHOWN, escape, escape_to};
pub use ledger::{
    DropList, Dropped, Drops, Entry, Fate, Imbalance, Ledger, NodeAccount, NodeSlot, Origin,
    RuleAccount, What,
};
pub use reason::Reason;
pub use timestamp::{format_date, format_utc};

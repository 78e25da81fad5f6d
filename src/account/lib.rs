//! The account that always balances: reasons for which something doesn't cross, the numbers of
//! rules, and the ledger of messages by edge node and rule. A leaf: it knows no policy, only the
//! names of its rules, and it is built without the standard library: no clock, no files.
#![no_std]

extern crate alloc;

mod consequence;
mod counts;
mod dropped;
mod ledger;
mod reason;
mod recent;
mod rule_id;

pub use consequence::{Consequence, Refused, table as consequences};
pub use counts::{Account, Drops};
pub use dropped::{Dropped, NodeSlot, Origin, What};
pub use ledger::{DropList, Fate, Imbalance, Ledger, LedgerEntry, NodeAccount, RuleAccount};
pub use reason::Reason;
pub use recent::{KEPT, LastDrop};
pub use rule_id::RuleId;

//! The account that always balances: reasons for which something doesn't cross, the numbers of
//! rules, and the ledger of messages by edge node and rule. A leaf: it knows no policy, only the
//! names of its rules.

mod counts;
mod ledger;
mod reason;
mod rule_id;

pub use counts::Account;
pub use ledger::{
    DropList, Dropped, Drops, Fate, Imbalance, Ledger, LedgerEntry, NodeAccount, NodeSlot, Origin,
    RuleAccount, What,
};
pub use reason::Reason;
pub use rule_id::RuleId;

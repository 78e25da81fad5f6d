//! Configuration: one type per role. Files are read in two stages: raw (serde, private, every
//! key known, every value with its place in the file), then typed. A typed value that exists is
//! valid; what can't be made valid is a diagnostic with file, line, column, what was found,
//! what was wanted, and a hint. All problems are found in one run, and any of them is fatal.

mod broker;
pub mod diagnostic;
mod it;
mod journal;
mod ot;
mod secret;

pub use broker::{Address, BrokerConfig, Credentials, TlsConfig, TlsIdentity};
pub use it::{BackfillConfig, DataQos, ItConfig, MirrorConfig, OnGap};
pub use journal::{Durability, JournalConfig};
pub use ot::{OtConfig, RelayConfig};
pub use secret::{Secret, SecretFile};

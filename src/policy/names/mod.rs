//! Other names on IT: groups, edge nodes and devices by tables of the policy, metrics by the
//! prefixes of rules. Rules and everything else on the OT side name things as the plant does;
//! the journal has the new names only.
//!
//! Two things of the plant never share a name on IT, not even but for capitals. What the tables
//! and the rules spell out is proved when the policy is loaded. A name that only a glob lets in
//! can't be known then: where it is one that the tables give to something else, it is refused
//! when it appears ([`Collision`]), so that the map is injective over all that crosses and
//! [`Renames::original`] undoes it.

mod prefixes;
mod rename;
mod rename_reader;
mod reserved_names;
#[cfg(test)]
mod tests;

pub(crate) use self::prefixes::read_prefixes;
pub use self::prefixes::{Prefixes, is_reserved};
pub use self::rename::{Collision, Renames, fold};
pub(crate) use self::rename_reader::RenamesReader;
pub use self::reserved_names::ReservedNameUse;

/// Bytes of a new name, or of a prefix.
const MAX_NAME_BYTES: usize = 1024;

//! Text for people and for logs: the one escape, times in UTC, numbers. A leaf.

mod escape;
mod grouped;
mod utc;

pub use escape::{Escaped, MAX_SHOWN, clean, escape, escape_to, is_treacherous};
pub use grouped::grouped;
pub use utc::{format_date, format_utc, format_utc_ms, unix_s, weekday};

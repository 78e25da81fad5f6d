//! Text for people and for logs: the one escape, times in UTC, numbers and units, colours. A leaf:
//! it knows nothing of the relay.

mod escape;
mod numbers;
mod paint;
mod units;
mod utc;
mod wrap;

pub use escape::{Escaped, MAX_SHOWN, clean, escape, escape_json, escape_to, is_treacherous};
pub use numbers::{counted, counted_grouped, grouped};
pub use paint::{Paint, Tone, cut_painted};
pub use units::{exact_size, parse_size, parse_time, rough_size, show_time, span};
pub use utc::{format_date, format_utc, format_utc_ms, parse_utc_ms, unix_s, weekday};
pub use wrap::wrap_painted;

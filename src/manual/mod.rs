//! The manual: longer texts than the README holds, for the people who run the relay. Each page
//! is a Markdown file beside this one.

#[doc = include_str!("events.md")]
pub mod events {}

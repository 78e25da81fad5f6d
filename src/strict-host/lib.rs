//! A host application that forgives nothing: judges what an edge node says by the rules that bind
//! it (Sparkplug 3.0). It knows messages only: no MQTT, no clock, no files, and of the relay
//! nothing but the payload structs, to decode.
//!
//! Two observers judge with it. The end-to-end suite stands on the wire and adds what only the
//! wire shows: CONNECT and will, subscriptions, quality of service, answers to commands. The demo
//! subscribes behind the broker and adds what only it knows: what the plant published, what the
//! policy denies.
//!
//! ```text
//! topic ──> Address ──┐
//!                     ├──> Session::judge ──> Findings, Payload
//! bytes ──────────────┘      (entity, value, template)
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `rules` | the table of rules that can be found broken |
//! | `findings` | what was found broken, and where |
//! | `address` | who says what: group, message type, edge node, device |
//! | `session` | one session of an edge node: births, sequence numbers, deaths |
//! | `entity` | births and data of one edge node or device |
//! | `value`, `template` | what values and properties must look like |
#![no_std]

extern crate alloc;

mod address;
mod entity;
mod findings;
mod rules;
mod session;
mod template;
mod value;

pub use address::{Address, MessageType, NodeId};
pub use entity::{Entity, REBIRTH};
pub use findings::{Finding, Findings, report_equal_in_lower_case};
pub use rules::{Level, RULES, level};
pub use session::{NodeHistory, Session, bd_seq, is_only_bd_seq};
pub use template::Definitions;

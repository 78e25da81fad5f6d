//! The one-way pipe: an append-only journal of segment files. A leaf: it knows frames, not
//! Sparkplug.

mod body;

pub use body::{Body, Dropped, Envelope, Heartbeat, Keyframe, Relayed, Start};

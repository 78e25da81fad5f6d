//! What the relay stands between: edge nodes of three libraries on OT, hosts on IT.

pub(crate) mod observer;
pub(crate) mod pysparkplug;
pub(crate) mod raw_edge;
pub(crate) mod srad_edge;
pub(crate) mod srad_host;
pub(crate) mod unfolded;

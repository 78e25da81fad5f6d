//! demo
mod broker;
mod clock;
mod host;
mod plant;

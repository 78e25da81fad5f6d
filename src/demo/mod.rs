//! demo
mod broker;

//! End to end: real edge nodes, the relay's two processes, a strict host.

mod brokers;
mod capture;
mod commands;
mod doubts;
mod faults;
mod filters;
mod flow;
mod healing;
mod hostile;
mod incidents;
mod kills;
mod large;
mod learn;
mod memory;
mod networks;
mod oversize;
mod prometheus;
mod reload;
mod sealed;
mod set_aside;
mod signed;
mod stale;
mod tls;
mod tools;
mod triggers;
mod watched;

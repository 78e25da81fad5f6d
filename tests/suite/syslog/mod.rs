//! Events at real syslog daemons: Debian's rsyslog and syslog-ng on loopback.

mod catalogue;
mod daemon;
mod examples;
mod ipv6;
mod local;
mod outages;
mod record;
mod sender;

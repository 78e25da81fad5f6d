//! Names of hosts become addresses, before a half is sealed.

use std::net::{SocketAddr, ToSocketAddrs};

use config::Address;

use super::{Exit, Failure};

/// Names are resolved now: a sealed half can ask nobody.
pub(super) fn resolve(address: &Address) -> Result<Vec<SocketAddr>, Failure> {
    let found = (address.host.as_str(), address.port).to_socket_addrs();
    let found: Vec<SocketAddr> = found.map(Iterator::collect).map_err(|error| {
        let message = format!("cannot resolve `{}`: {error}", address.host);
        Failure::new(Exit::Io, message)
            .hint("names are resolved before the half is sealed; an IP address needs no resolver")
    })?;
    if found.is_empty() {
        return Err(Failure::new(Exit::Io, format!("`{}` has no address", address.host)));
    }
    Ok(found)
}

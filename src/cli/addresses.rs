//! Addresses of a half's broker: looked up before the half is sealed, or those of the file that
//! `sparkdiode resolve` keeps, which is looked at again while the half runs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use broker::{AddressChange, AddressFile, Addresses, BrokerSettings};
use config::{Address, BrokerConfig};
use telemetry::event;
use telemetry::status::Concern;
use tls::Look;

use super::lookup::resolve;
use super::{Exit, Failure};

/// Something that is looked at, and told of.
type LookAgain = Box<dyn Fn() + Send>;

/// The file with the addresses of a broker, if its name is one that may get others.
pub(super) fn file_of(address: &Address, path: Option<&Path>) -> Option<AddressFile> {
    let is_name = address.host.parse::<std::net::IpAddr>().is_err();
    path.filter(|_| is_name).map(|path| AddressFile::new(path, &address.host, address.port))
}

/// Where the broker is: as the file has it, if there is one, or else as the name is looked up now.
pub(super) fn of_broker(broker: &BrokerConfig) -> Result<Arc<Addresses>, Failure> {
    let Some(file) = file_of(&broker.address, broker.addresses_file.as_deref()) else {
        return Ok(Arc::new(Addresses::fixed(resolve(&broker.address)?)));
    };
    let directory = file.directory();
    if !directory.is_dir() {
        let message = format!("no directory for `addresses-file`: `{}`", directory.display());
        return Err(Failure::new(Exit::Config, message)
            .hint(format!("install -d -m 0755 {}", directory.display()))
            .hint("a half that is sealed can see only directories that are there before"));
    }
    // Before it is read: what is exchanged meanwhile is another one then.
    let outside = file.outside();
    let (all, outside) = match file.read() {
        Ok(all) => (all, outside),
        // It is told when it is looked at next, at once.
        Err(error) => {
            let found = resolve(&broker.address);
            let also = || format!("nor are there addresses in the file: {error}");
            (found.map_err(|failure| failure.hint(also()))?, None)
        }
    };
    Ok(Arc::new(Addresses::kept_in(file, all, outside)))
}

/// What is to be done where somebody asks for the file to be looked at; `None`: there is none.
pub(super) fn asked(broker: &BrokerSettings) -> Option<LookAgain> {
    look(broker, Look::Asked)
}

/// What is to be done every second.
pub(super) fn regular(broker: &BrokerSettings) -> Option<LookAgain> {
    look(broker, Look::Regular)
}

fn look(broker: &BrokerSettings, why: Look) -> Option<LookAgain> {
    broker.addresses.file()?;
    let (addresses, name) = (Arc::clone(&broker.addresses), broker.address());
    Some(Box::new(move || {
        if let Some(change) = addresses.look(why, clock::wall()) {
            emit(&name, &change, &addresses.in_turn());
        }
    }))
}

/// What health has of the file.
pub(super) fn concern(addresses: &Arc<Addresses>) -> Concern {
    let addresses = Arc::clone(addresses);
    Concern::new(move || {
        addresses.trouble().map(|error| {
            format!("what is in the file of the broker's addresses isn't used: {error}")
        })
    })
}

fn emit(broker: &str, change: &AddressChange, all: &[SocketAddr]) {
    match change {
        AddressChange::Changed { before, now } => {
            event!(BrokerAddresses, broker, addresses = joined(now), before = joined(before));
        }
        AddressChange::Mended => event!(BrokerAddresses, broker, addresses = joined(all)),
        AddressChange::Refused { error, hint } => {
            event!(BrokerAddressesRefused, broker, error, hint = hint.as_deref());
        }
    }
}

/// Without the port, which is the same for all.
fn joined(addresses: &[SocketAddr]) -> String {
    let each: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    each.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_one_already_needs_no_file() {
        let at = |host: &str| Address { host: host.to_owned(), port: 8883 };
        let file = Path::new("/var/lib/names/broker");
        let path = Some(file);
        assert!(file_of(&at("10.20.0.5"), path).is_none());
        assert!(file_of(&at("fd00::5"), path).is_none());
        assert!(file_of(&at("broker.example"), None).is_none());
        assert_eq!(file_of(&at("broker.example"), path).unwrap().path(), file);
    }
}

//! Addresses of a half's broker: looked up before the half is sealed, or those of the file that
//! `sparkdiode resolve` keeps, which is looked at again while the half runs.

use std::net::SocketAddr;
use std::sync::Arc;

use broker::{AddressChange, AddressFile, Addresses, BrokerSettings};
use config::{Address, AddressesPath, BrokerConfig};
use telemetry::event;
use telemetry::status::Concern;
use tls::Look;

use super::lookup::resolve;
use super::{Exit, Failure};

/// Something that is looked at, and told of.
type LookAgain = Box<dyn Fn() + Send>;

/// The file with the addresses of a broker, if its name is one that may get others.
pub(super) fn file_of(address: &Address, path: Option<&AddressesPath>) -> Option<AddressFile> {
    let is_name = address.host.parse::<std::net::IpAddr>().is_err();
    let path = path.filter(|_| is_name)?.of_host(&address.host);
    Some(AddressFile::new(&path, &address.host, address.port))
}

/// The files of all servers of a broker, each once.
pub(super) fn files_of(broker: &BrokerConfig) -> Vec<AddressFile> {
    let mut files: Vec<AddressFile> = Vec::new();
    let of = |address| file_of(address, broker.addresses_file.as_ref());
    for file in broker.servers.addresses().filter_map(of) {
        if files.iter().all(|known| known.path() != file.path()) {
            files.push(file);
        }
    }
    files
}

/// Where each server of the broker is, in their order. Of several, one whose name has no address is no
/// reason to do without the others: it is told when it is tried.
pub(super) fn of_broker(broker: &BrokerConfig) -> Result<Vec<Arc<Addresses>>, Failure> {
    let of = |address| of_server(address, broker.addresses_file.as_ref());
    let found: Vec<Result<_, Failure>> = broker.servers.addresses().map(of).collect();
    if found.iter().any(Result::is_ok) {
        let none = || Arc::new(Addresses::fixed(Vec::new()));
        return Ok(found.into_iter().map(|one| one.unwrap_or_else(|_| none())).collect());
    }
    // All have failed: the first failure is told.
    found.into_iter().collect()
}

/// Where a server is: as the file has it, if there is one, or else as the name is looked up now.
pub(super) fn of_server(
    address: &Address,
    path: Option<&AddressesPath>,
) -> Result<Arc<Addresses>, Failure> {
    let Some(file) = file_of(address, path) else {
        return Ok(Arc::new(Addresses::fixed(resolve(address)?)));
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
            let found = resolve(address);
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
    let servers = Arc::clone(&broker.servers);
    servers.iter().find(|server| server.addresses.file().is_some())?;
    Some(Box::new(move || {
        for server in servers.iter() {
            if let Some(change) = server.addresses.look(why, clock::wall()) {
                emit(&server.address(), &change, &server.addresses.in_turn());
            }
        }
    }))
}

/// What health has of the files, and of names without addresses.
pub(super) fn concern(broker: &BrokerSettings) -> Concern {
    let servers = Arc::clone(&broker.servers);
    Concern::new(move || {
        if let Some(error) = servers.iter().find_map(|server| server.addresses.trouble()) {
            return Some(format!(
                "what is in the file of the broker's addresses isn't used: {error}"
            ));
        }
        // Only of several: a half whose only server has none doesn't start.
        let unknown = servers.iter().find(|server| server.addresses.in_turn().is_empty())?;
        Some(format!("`{}` had no address when this half was started", unknown.address()))
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
        let file = std::path::Path::new("/var/lib/names/broker");
        let text =
            format!("[broker]\naddress = \"b:1\"\naddresses-file = \"{}\"\n", file.display());
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("it.toml");
        std::fs::write(&config, text).unwrap();
        let path = config::BrokerAt::load(&config).unwrap().addresses_file;
        let path = path.as_ref();
        assert!(file_of(&at("10.20.0.5"), path).is_none());
        assert!(file_of(&at("fd00::5"), path).is_none());
        assert!(file_of(&at("broker.example"), None).is_none());
        assert_eq!(file_of(&at("broker.example"), path).unwrap().path(), file);
    }
}

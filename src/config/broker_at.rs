//! Where the broker of a half is, and where its addresses are kept: all that somebody may know of the
//! half's file who looks up its name.

use std::path::Path;

use diagnostic::{Diagnostics, Section};

use super::address::Address;
use super::broker::BROKER_KEYS;
use super::reader::{Environment, Reader};
use super::servers::{AddressesPath, read_named};

/// `address` or `addresses`, and `addresses-file`, of `[broker]` in `ot.toml` or `it.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAt {
    /// Never empty.
    pub servers: Vec<Address>,
    /// Where what their names are is kept.
    pub addresses_file: Option<AddressesPath>,
}

impl BrokerAt {
    /// Reads these and nothing else: neither the rest of the file nor what it names.
    ///
    /// # Errors
    /// The file can't be read, is no TOML, or one of them is wrong.
    pub fn load(path: &Path) -> Result<BrokerAt, Diagnostics> {
        let reader = Reader::open(path, Environment::checking())?;
        reader.read(None, BrokerAt::typed).map(|(at, _)| at)
    }

    fn typed(reader: &mut Reader, mut top: Section<'_, '_>) -> Option<BrokerAt> {
        let section = &mut reader.table(&mut top, "broker", BROKER_KEYS);
        let named = read_named(reader, section);
        let file = reader.path_under(section, "addresses-file");
        let (servers, file) = (named?, file.map(|file| file.path));
        let addresses_file = file.map(|file| AddressesPath::new(file, &servers));
        Some(BrokerAt { servers: servers.all().to_vec(), addresses_file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<BrokerAt, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it.toml");
        std::fs::write(&path, text).unwrap();
        let loaded = BrokerAt::load(&path).map_err(|problems| problems.to_string());
        loaded.map(|at| BrokerAt {
            addresses_file: at.addresses_file.map(|file| file.below(directory.path())),
            ..at
        })
    }

    #[test]
    fn what_else_is_in_the_file_is_neither_looked_at_nor_judged() {
        let text = "[broker]\naddress = \"broker.example:8883\"\naddresses-file = \"names/it\"\n\
                    user = \"a\"\npassword-file = \"/nowhere\"\nodd = 1\n[other]\n";
        let at = load(text).unwrap();
        assert_eq!(at.servers[0].to_string(), "broker.example:8883");
        let file = at.addresses_file.unwrap();
        assert_eq!(file.of_host("broker.example"), Path::new("names/it"));
        let without = load("[broker]\naddress = \"b:1\"\n").unwrap();
        assert_eq!(without.addresses_file, None);
    }

    #[test]
    fn several_names_have_a_file_each() {
        let text = "[broker]\naddresses = [\"a.example:1\", \"b.example:2\"]\naddresses-file = \"names/it\"\n";
        let at = load(text).unwrap();
        assert_eq!(at.servers.len(), 2);
        let file = at.addresses_file.unwrap();
        assert_eq!(file.of_host("b.example"), Path::new("names/it.b.example"));
    }

    #[test]
    fn a_file_without_a_broker_and_one_that_is_no_toml_are_refused() {
        for (text, word) in [
            ("", "address"),
            ("[broker]\naddress = \"b\"\n", "address"),
            ("[broker]\naddress = \"b:1\"\naddresses-file = 7\n", "addresses-file"),
            ("[broker\n", "it.toml"),
        ] {
            let problems = load(text).unwrap_err();
            assert!(problems.contains(word), "{text}: {problems}");
        }
    }
}

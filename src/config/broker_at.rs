//! Where the broker of a half is, and where its addresses are kept: all that somebody may know of the
//! half's file who looks up its name.

use std::path::{Path, PathBuf};

use diagnostic::{Diagnostics, Section};

use super::broker::{Address, BROKER_KEYS, read_address};
use super::reader::{Environment, Reader};

/// `address` and `addresses-file` of `[broker]` in `ot.toml` or `it.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAt {
    pub address: Address,
    /// Where its addresses are kept.
    pub addresses_file: Option<PathBuf>,
}

impl BrokerAt {
    /// Reads these two and nothing else: neither the rest of the file nor what it names.
    ///
    /// # Errors
    /// The file can't be read, is no TOML, or one of the two is wrong.
    pub fn load(path: &Path) -> Result<BrokerAt, Diagnostics> {
        let reader = Reader::open(path, Environment::checking())?;
        reader.read(None, BrokerAt::typed).map(|(at, _)| at)
    }

    fn typed(reader: &mut Reader, mut top: Section<'_, '_>) -> Option<BrokerAt> {
        let section = &mut reader.table(&mut top, "broker", BROKER_KEYS);
        reader.required(section, "address", "\"10.10.0.5:8883\"");
        let address = section.string("address", &mut reader.problems);
        let address = address.and_then(|text| read_address(reader, &text));
        let file = reader.path_under(section, "addresses-file");
        Some(BrokerAt { address: address?, addresses_file: file.map(|file| file.path) })
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
            addresses_file: at.addresses_file.map(|file| {
                file.strip_prefix(directory.path()).map_or(file.clone(), Path::to_owned)
            }),
            ..at
        })
    }

    #[test]
    fn what_else_is_in_the_file_is_neither_looked_at_nor_judged() {
        let text = "[broker]\naddress = \"broker.example:8883\"\naddresses-file = \"names/it\"\n\
                    user = \"a\"\npassword-file = \"/nowhere\"\nodd = 1\n[other]\n";
        let at = load(text).unwrap();
        assert_eq!((at.address.host.as_str(), at.address.port), ("broker.example", 8883));
        assert_eq!(at.addresses_file.unwrap(), Path::new("names/it"));
        let without = load("[broker]\naddress = \"b:1\"\n").unwrap();
        assert_eq!(without.addresses_file, None);
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

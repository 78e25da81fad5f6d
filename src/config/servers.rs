//! Servers of a half's broker: one, or several of which one is used at a time, in which order they are
//! tried, and when the first is used again.

use std::fmt;
#[cfg(test)]
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use diagnostic::{Placed, Section};

use super::address::{Address, parse_address};
use super::code;
use super::reader::Reader;

/// More than a site has that are one broker; each is tried in turn, and takes its time.
const MAX_SERVERS: usize = 16;
const EXAMPLE: &str = "\"10.10.0.5:8883\"";

/// The servers, of which there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServersConfig {
    pub first: ServerConfig,
    pub others: Vec<ServerConfig>,
    pub order: ServerOrder,
    /// How long the first has to be reachable until it is used again. 1 s to 1 day; `None`: it isn't
    /// preferred to one that works.
    pub return_after: Option<Duration>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    pub address: Address,
    /// Name that its certificate must carry; `None`: no TLS.
    pub server_name: Option<String>,
}

/// Which one is tried after one that can't be used (`order`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerOrder {
    /// The first of those that weren't tried yet.
    InOrder,
    /// The one behind it.
    Rotating,
}

impl ServersConfig {
    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &ServerConfig> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Their addresses, in their order.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.iter().map(|server| &server.address)
    }

    pub fn are_several(&self) -> bool {
        !self.others.is_empty()
    }

    /// The ports of all of them, each once.
    pub fn ports(&self) -> Vec<u16> {
        let mut ports: Vec<u16> = self.addresses().map(|address| address.port).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

/// `a:8883, b:8883`.
impl fmt::Display for ServersConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.first.address)?;
        self.others.iter().try_for_each(|server| write!(formatter, ", {}", server.address))
    }
}

/// Where what the names of servers are is kept (`addresses-file`): a file, or one for each name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressesPath {
    path: PathBuf,
    is_one: bool,
}

impl AddressesPath {
    pub(super) fn new(path: PathBuf, named: &Named) -> AddressesPath {
        AddressesPath { path, is_one: matches!(named, Named::One(_)) }
    }

    /// The file of this name: the path itself, or, where there are `addresses`, with the name behind it.
    pub fn of_host(&self, host: &str) -> PathBuf {
        if self.is_one {
            return self.path.clone();
        }
        let mut path = self.path.clone().into_os_string();
        path.push(".");
        path.push(host);
        path.into()
    }

    #[cfg(test)]
    pub(super) fn below(self, directory: &Path) -> AddressesPath {
        let path = self.path.strip_prefix(directory).map_or(self.path.clone(), Path::to_owned);
        AddressesPath { path, ..self }
    }
}

/// `address` or `addresses` as they stand in the file.
#[derive(Debug)]
pub(super) enum Named {
    /// `address`.
    One(Address),
    /// `addresses`.
    Several(Vec<Address>),
}

impl Named {
    pub(super) fn all(&self) -> &[Address] {
        match self {
            Named::One(address) => std::slice::from_ref(address),
            Named::Several(all) => all,
        }
    }
}

/// The addresses of the servers; `None` if something was reported.
pub(super) fn read_named(reader: &mut Reader, section: &mut Section<'_, '_>) -> Option<Named> {
    if let Some(several) = section.list("addresses", &mut reader.problems) {
        if let Some(one) = section.string("address", &mut reader.problems) {
            let title = "`address` and `addresses` exclude each other";
            let problem = reader
                .error(code::COMBINATION, one.span, title)
                .label("one server")
                .also(several.span, "several")
                .help("`addresses` alone has all servers, the first one first");
            reader.push(problem);
            return None;
        }
        return read_several(reader, &several).map(Named::Several);
    }
    if !section.is_excused("addresses") {
        reader.required(section, "address", EXAMPLE);
    }
    let text = section.string("address", &mut reader.problems)?;
    read_address(reader, "address", &text).map(Named::One)
}

fn read_several(
    reader: &mut Reader,
    several: &Placed<Vec<Placed<String>>>,
) -> Option<Vec<Address>> {
    let mut all: Vec<Address> = Vec::new();
    let mut is_whole = true;
    for text in &several.value {
        match read_address(reader, "addresses", text) {
            Some(address) if all.contains(&address) => {
                let title = format!("`{address}` stands twice in `addresses`");
                let problem = reader.error(code::VALUE, text.span.clone(), title);
                reader.push(problem.label("wanted each server once"));
                is_whole = false;
            }
            Some(address) => all.push(address),
            None => is_whole = false,
        }
    }
    if is_whole && (all.is_empty() || all.len() > MAX_SERVERS) {
        let title = format!("bad number of `addresses`: {}", all.len());
        let wanted = format!("wanted 1 to {MAX_SERVERS} servers");
        let problem = reader.error(code::VALUE, several.span.clone(), title).label(wanted);
        reader.push(problem);
        return None;
    }
    is_whole.then_some(all)
}

/// `key`: where it stands.
pub(super) fn read_address(
    reader: &mut Reader,
    key: &str,
    text: &Placed<String>,
) -> Option<Address> {
    match parse_address(&text.value) {
        Ok(address) => Some(address),
        Err(wanted) => {
            let title = format!("bad value of `{key}`: `{}`", text.value);
            let problem = reader
                .error(code::VALUE, text.span.clone(), title)
                .label(wanted)
                .help("for example: \"10.10.0.5:8883\", \"broker.plant:8883\", \"[fd00::5]:8883\"");
            reader.push(problem);
            None
        }
    }
}

/// How several servers are used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Use {
    order: ServerOrder,
    return_after: Option<Duration>,
}

/// What there is to say of several servers, which is an error where there is one.
pub(super) fn read_use(
    reader: &mut Reader,
    section: &mut Section<'_, '_>,
    named: Option<&Named>,
) -> Use {
    if matches!(named, Some(Named::One(_))) {
        for key in ["order", "return-to-first-after-s"] {
            refuse_alone(reader, section, key);
        }
    }
    let orders = [("in-order", ServerOrder::InOrder), ("rotating", ServerOrder::Rotating)];
    let order = reader.word(section, "order", &orders, ServerOrder::InOrder);
    let return_after_s = reader.number(section, "return-to-first-after-s", 0..=86_400, 0);
    let return_after = (return_after_s > 0).then(|| Duration::from_secs(return_after_s));
    Use { order, return_after }
}

/// Reports a key that says something of several servers, where there is one.
pub(super) fn refuse_alone(reader: &mut Reader, section: &Section<'_, '_>, key: &str) {
    let Some(span) = section.key_span(key) else { return };
    let problem = reader
        .error(code::COMBINATION, span, format!("`{key}` without `addresses`"))
        .label("says how several servers are used")
        .help("`addresses = [\"a:8883\", \"b:8883\"]` instead of `address`");
    reader.push(problem);
}

/// The servers with the names that their certificates must carry; no names: no TLS.
pub(super) fn typed(named: Named, names: Option<Vec<String>>, how: Use) -> Option<ServersConfig> {
    let all = match named {
        Named::One(address) => vec![address],
        Named::Several(all) => all,
    };
    let mut names = names.map(Vec::into_iter);
    let mut servers = all.into_iter().map(|address| {
        let server_name = names.as_mut().and_then(Iterator::next);
        ServerConfig { address, server_name }
    });
    let first = servers.next()?;
    let others = servers.collect();
    let Use { order, return_after } = how;
    Some(ServersConfig { first, others, order, return_after })
}

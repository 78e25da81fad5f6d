//! What the files of both ends of a link have: the link's name and keys, and where its paths lead.

use std::net::{Ipv4Addr, SocketAddrV4, SocketAddrV6};
use std::ops::{Range, RangeInclusive};

use diagnostic::{Diagnostic, Placed, SecretFile, Section};
use link::{LinkKey, LinkName, MAX_ITEM_BYTES, MAX_PATHS};

use super::reader::Reader;
use super::{code, relay_name_fault};

mod key;

pub use key::{LinkKeyError, read_link_key};

/// `datagram-bytes`: what an MTU of 1,500 leaves below IPv4 and UDP.
const DEFAULT_DATAGRAM_BYTES: u64 = 1_472;
/// UDP's longest payload over IPv4, and what has more header than content.
const DATAGRAM_BYTES: RangeInclusive<u64> = 256..=65_507;
/// `max-frame-bytes`: the longest frame that a journal has.
const MAX_FRAME_BYTES: u64 = MAX_ITEM_BYTES as u64;
const FRAME_BYTES: RangeInclusive<u64> = 65_536..=MAX_FRAME_BYTES;
/// Of the name of an interface, as Linux has them.
const MAX_INTERFACE_BYTES: usize = 15;

/// `[link]`, as far as both ends have it.
pub(super) struct Link {
    pub(super) name: LinkName,
    pub(super) key: SecretFile,
    pub(super) datagram_bytes: usize,
    pub(super) max_frame_bytes: usize,
}

impl Link {
    /// `None` if something in it was reported.
    pub(super) fn read(reader: &mut Reader, section: &mut Section<'_, '_>) -> Option<Link> {
        reader.required(section, "name", "\"plant-a\"");
        let name = reader.text(section, "name", relay_name_fault);
        reader.required(section, "key-file", "\"/etc/sparkdiode/credentials/send/link.key\"");
        let key = read_key(reader, section, "key-file").map(|(key, ..)| key);
        let datagram_bytes =
            reader.number(section, "datagram-bytes", DATAGRAM_BYTES, DEFAULT_DATAGRAM_BYTES);
        let max_frame_bytes =
            reader.number(section, "max-frame-bytes", FRAME_BYTES, MAX_FRAME_BYTES);
        Some(Link {
            name: LinkName::new(&name?).ok()?,
            key: key?,
            datagram_bytes: size(datagram_bytes),
            max_frame_bytes: size(max_frame_bytes),
        })
    }
}

/// The file under `key`, where it is written, and the link key in it if it may be looked at.
pub(super) fn read_key(
    reader: &mut Reader,
    section: &mut Section<'_, '_>,
    key: &'static str,
) -> Option<(SecretFile, Range<usize>, Option<LinkKey>)> {
    let file = reader.path_under(section, key)?;
    let secret = SecretFile::new(&file.path);
    let mut found = None;
    if file.visible {
        match read_link_key(&secret) {
            Ok(key) => found = Some(key),
            Err(error) => {
                let problem = reader.error(code::SECRET, file.span.clone(), error.to_string());
                reader.push(error.hints().into_iter().fold(problem, Diagnostic::help));
            }
        }
    }
    Some((secret, file.span, found))
}

/// What both ends say of a path.
pub(super) struct PathEnd {
    pub(super) name: String,
    pub(super) interface: Option<String>,
    pub(super) address: SocketAddrV4,
}

/// Reads every `[[path]]`; `None` if something in one of them was reported. `place` is the key of the
/// address, `typed` makes a path of it, and its value says where it leads: no two lead the same way.
pub(super) fn read_paths<T, K: PartialEq>(
    reader: &mut Reader,
    top: &mut Section<'_, '_>,
    (place, keys, others): (&'static str, &'static [&'static str], (&[&str], &str)),
    typed: impl Fn(&mut Reader, &mut Section<'_, '_>, PathEnd) -> Option<(T, K)>,
) -> Option<Vec<T>> {
    if !top.is_excused("path") {
        let example = format!("[[path]] {place} = \"192.168.77.2:7400\"");
        let problem =
            Diagnostic::file_error(code::MISSING, &reader.file.path, "missing: a path, `[[path]]`");
        reader.push(problem.help(format!("for example: {example}")));
    }
    let sections = top.tables("path", "path", &mut reader.problems);
    let mut complete = !sections.is_empty();
    let mut paths: Vec<(T, K, String, Range<usize>)> = Vec::new();
    for (at, section) in sections.into_iter().enumerate() {
        let mut section = section.with_keys(keys);
        reader.required(&section, place, "\"192.168.77.2:7400\"");
        let address = section.string(place, &mut reader.problems);
        let address = address.and_then(|text| read_place(reader, place, &text));
        let interface = reader.text(&mut section, "interface", interface_fault);
        let name = reader.text(&mut section, "name", path_name_fault);
        let path = address.and_then(|address| {
            let named = name.or_else(|| interface.clone()).unwrap_or_else(|| address.to_string());
            let end = PathEnd { name: named.clone(), interface, address };
            typed(reader, &mut section, end).map(|(path, way)| (path, way, named))
        });
        reader.close_beside(&section, others.0, others.1);
        let span = section.header();
        if at == MAX_PATHS {
            let title = format!("more than {MAX_PATHS} paths");
            let problem = reader.error(code::VALUE, span.clone(), title);
            reader.push(problem.help("a path is an interface, and all of them carry the same"));
        }
        let Some((path, way, name)) = path else {
            complete = false;
            continue;
        };
        let same = paths.iter().find_map(|(_, known, called, first)| match () {
            () if *known == way => Some(("two paths lead the same way".to_owned(), first)),
            () if *called == name => Some((format!("two paths are called `{name}`"), first)),
            () => None,
        });
        if let Some((title, first)) = same {
            let problem = reader
                .error(code::COMBINATION, span.clone(), title)
                .also(first.clone(), "the first one")
                .help("each path has an interface of its own");
            reader.push(problem);
        }
        paths.push((path, way, name, span));
    }
    complete.then(|| paths.into_iter().map(|(path, ..)| path).collect())
}

/// An address with its port. Nothing is looked up, and IPv6 isn't there: both would speak.
fn read_place(
    reader: &mut Reader,
    key: &'static str,
    text: &Placed<String>,
) -> Option<SocketAddrV4> {
    let value = text.value.as_str();
    let refuse = |reader: &mut Reader, wanted: &str, why: Option<&str>| {
        let title = format!("bad value of `{key}`: `{value}`");
        let problem = reader.error(code::VALUE, text.span.clone(), title).label(wanted);
        reader.push(why.into_iter().fold(problem, Diagnostic::help));
        None
    };
    let usual = "wanted `ADDRESS:PORT`, such as `192.168.77.2:7400`";
    let Ok(place) = value.parse::<SocketAddrV4>() else {
        let is_ipv6 = value.parse::<SocketAddrV6>().is_ok();
        let why = match is_ipv6 {
            true => Some(
                "the link is IPv4: IPv6 speaks by itself (neighbour discovery, multicast listeners), and is off on its interface",
            ),
            false if value.parse::<Ipv4Addr>().is_ok() => Some("the port is missing"),
            false => Some("a name is looked up by asking, and nobody is there to answer"),
        };
        return refuse(reader, usual, why);
    };
    if place.port() == 0 {
        return refuse(reader, "wanted a port from 1 to 65535", None);
    }
    if place.ip().is_multicast() {
        let why = "who takes part in multicast says so to the network, and the receiving end says nothing: use the address of the other end, or a broadcast address";
        return refuse(reader, usual, Some(why));
    }
    Some(place)
}

fn interface_fault(name: &str) -> Option<String> {
    let fits = (1..=MAX_INTERFACE_BYTES).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.chars().all(|letter| letter.is_ascii_graphic() && !"/:".contains(letter));
    (!fits).then(|| "wanted the name of an interface, such as `eth1`".to_owned())
}

fn path_name_fault(name: &str) -> Option<String> {
    let fits = (1..=32).contains(&name.len())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-".contains(letter));
    (!fits).then(|| "wanted 1 to 32 of `A-Z a-z 0-9 . _ -`".to_owned())
}

/// A number whose range was checked and lies below any `usize`.
pub(super) fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

//! The file of a broker's addresses: made by `sparkdiode resolve`, which may ask name servers, and read
//! by a half that is sealed and can ask nobody. It is the only thing that passes between them, and the
//! half takes it for hostile.
//!
//! ```text
//! sparkdiode addresses 1
//! host broker.example.com
//! looked-up 2026-11-28T12:00:00.000Z
//! address 10.20.0.5
//! address fd00::5
//! ```
//!
//! The port isn't in it: that is the configuration's, and the seal lets nothing out to another one.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use foreign::ForeignError;
use text::{escape, format_utc};

/// The first line: what it is, and the version of its form.
const HEADER: &str = "sparkdiode addresses 1";
/// More than any name has that is meant for one broker.
pub const MAX_ADDRESSES: usize = 64;
/// A host name of 253 characters, and as many addresses as there may be, have fewer.
const MAX_BYTES: u64 = 8 * 1024;
/// Permission to write for anybody but the owner.
const WRITABLE: u32 = 0o022;

/// Where the addresses of one broker are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressFile {
    path: PathBuf,
    host: String,
    port: u16,
}

/// What a file is, by its outside: other content has another one. Device, inode, size, times of
/// content and of inode.
pub type Outside = [i64; 7];

/// Why the addresses in a file aren't used.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Not a file that is read from somebody else's directory.
    #[error(transparent)]
    Foreign(#[from] ForeignError),
    /// Somebody could change it whose file it isn't.
    #[error("writable by others than its owner: `{}` has mode {mode:04o}; wanted: {wanted}", path.display())]
    Writable { path: PathBuf, mode: u32, wanted: &'static str },
    /// What stands there isn't what should.
    #[error("{}:{line}: {what}: got {got}; wanted: {wanted}", path.display())]
    Content { path: PathBuf, line: usize, what: &'static str, got: String, wanted: String },
}

impl AddressError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            AddressError::Foreign(error) if error.is_not_found() => Some(
                "`sparkdiode resolve --config FILE` looks the name up and writes it".to_owned(),
            ),
            AddressError::Foreign(error) => error.hint(),
            AddressError::Writable { path, .. } => Some(format!("chmod go-w {}", path.display())),
            AddressError::Content { .. } => Some(
                "`sparkdiode resolve --config FILE` writes it anew; find out who wrote this"
                    .to_owned(),
            ),
        }
    }

    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, AddressError::Foreign(error) if error.is_not_found())
    }
}

impl AddressFile {
    /// The file at `path` with the addresses of `host`; connections are made to `port`.
    pub fn new(path: &Path, host: &str, port: u16) -> AddressFile {
        // A sealed half can't ask in which directory it is.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        AddressFile { path, host: host.to_owned(), port }
    }

    /// Whose addresses they are.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory, which has to be there before a half is sealed.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("/"))
    }

    /// How it looks from outside; `None`: it can't be looked at.
    pub fn outside(&self) -> Option<Outside> {
        let of = fs::symlink_metadata(&self.path).ok()?;
        let number = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
        let (modified, changed) = ((of.mtime(), of.mtime_nsec()), (of.ctime(), of.ctime_nsec()));
        let (device, inode, size) = (number(of.dev()), number(of.ino()), number(of.size()));
        Some([device, inode, size, modified.0, modified.1, changed.0, changed.1])
    }

    /// Reads the addresses: of a regular file, that belongs to its directory's owner or to root, that
    /// nobody else may write, and in which everything is as it should be.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn read(&self) -> Result<Vec<SocketAddr>, AddressError> {
        let os = |source| ForeignError::Os { verb: "read", path: self.path.clone(), source };
        let directory = fs::metadata(self.directory()).map_err(os)?;
        check_mode(self.directory(), &directory, "mode 0755 or less")?;
        let name = self.path.file_name().unwrap_or_default();
        let file = foreign::open(self.directory(), name, &[0], MAX_BYTES)?;
        check_mode(&self.path, &file.metadata().map_err(os)?, "mode 0644 or less")?;
        let mut bytes = Vec::new();
        // It may grow meanwhile.
        file.take(MAX_BYTES.saturating_add(1)).read_to_end(&mut bytes).map_err(os)?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > MAX_BYTES {
            let path = self.path.clone();
            return Err(ForeignError::TooLarge { path, bytes: length, limit: MAX_BYTES }.into());
        }
        self.parse(&bytes)
    }

    /// The addresses in the text of such a file.
    fn parse(&self, bytes: &[u8]) -> Result<Vec<SocketAddr>, AddressError> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.split('\n');
        let mut next = || lines.next().unwrap_or_default();
        let header = next();
        if header != HEADER {
            return Err(self.wrong(1, "not a file of addresses", header, format!("`{HEADER}`")));
        }
        let host = next();
        if host.strip_prefix("host ") != Some(self.host.as_str()) {
            let wanted = format!("`host {}`, as `address` of the configuration", self.host);
            return Err(self.wrong(2, "addresses of another host", host, wanted));
        }
        let time = next();
        if !time.strip_prefix("looked-up ").is_some_and(is_time) {
            let wanted = "a time such as `looked-up 2026-11-28T12:00:00.000Z`".to_owned();
            return Err(self.wrong(3, "no time of looking up", time, wanted));
        }
        let mut found: Vec<SocketAddr> = Vec::new();
        for line in 4_usize.. {
            let Some(text) = lines.next() else {
                let wanted = "a line feed at the end".to_owned();
                return Err(self.wrong(line, "cut off", "", wanted));
            };
            // What follows the last line feed.
            if text.is_empty() && !found.is_empty() && lines.clone().next().is_none() {
                break;
            }
            found.push(self.address(line, text)?);
            if found.len() > MAX_ADDRESSES {
                let wanted = format!("at most {MAX_ADDRESSES} addresses");
                return Err(self.wrong(line, "too many addresses", text, wanted));
            }
        }
        Ok(found)
    }

    fn address(&self, line: usize, text: &str) -> Result<SocketAddr, AddressError> {
        let address = text.strip_prefix("address ").and_then(|text| text.parse::<IpAddr>().ok());
        let Some(address) = address else {
            let wanted = "`address` and an IPv4 or IPv6 address, without port and zone".to_owned();
            return Err(self.wrong(line, "no address", text, wanted));
        };
        match usable(address) {
            Ok(()) => Ok(SocketAddr::new(address, self.port)),
            Err(what) => Err(self.wrong(line, what, text, "an address of one host".to_owned())),
        }
    }

    fn wrong(&self, line: usize, what: &'static str, got: &str, wanted: String) -> AddressError {
        let got = format!("`{}`", escape(got));
        AddressError::Content { path: self.path.clone(), line, what, got, wanted }
    }

    /// The text of such a file: the addresses of `host`, as they were found at `now`.
    pub fn text(host: &str, addresses: &[IpAddr], now: SystemTime) -> String {
        let mut text = format!("{HEADER}\nhost {host}\nlooked-up {}\n", format_utc(now));
        for address in addresses {
            // Writing to a `String` can't fail.
            let _ = writeln!(text, "address {address}");
        }
        text
    }
}

/// Whether somebody can be reached at it; an error says what it is instead.
///
/// # Errors
/// What it is.
pub fn usable(address: IpAddr) -> Result<(), &'static str> {
    match address.to_canonical() {
        address if address.is_unspecified() => Err("the address of nobody"),
        address if address.is_multicast() => Err("an address of many"),
        IpAddr::V4(address) if address.is_broadcast() => Err("an address of many"),
        // It means nothing without an interface.
        IpAddr::V6(address) if address.is_unicast_link_local() => Err("an address of one link"),
        _ => Ok(()),
    }
}

/// Whether it looks like one; nobody reckons with it.
fn is_time(text: &str) -> bool {
    const FORM: &str = "0000-00-00T00:00:00.000Z";
    let fits = |(character, form): (char, char)| match form {
        '0' => character.is_ascii_digit(),
        form => character == form,
    };
    text.len() == FORM.len() && text.chars().zip(FORM.chars()).all(fits)
}

fn check_mode(path: &Path, of: &fs::Metadata, wanted: &'static str) -> Result<(), AddressError> {
    let mode = of.mode() & 0o7777;
    match mode & WRITABLE {
        0 => Ok(()),
        _ => Err(AddressError::Writable { path: path.to_owned(), mode, wanted }),
    }
}

#[cfg(test)]
mod tests;

//! Files in a directory that somebody else writes, opened by whoever may do more than he: root who looks
//! at a half's status, an auditor who reads a journal, a half before it has given up root. The one
//! place for it.
//!
//! The directory is the reader's own word, however it is reached. Below it no link is followed, and
//! nothing is opened but a regular file, of the directory's owner, of a size that the caller expects.
//! Nothing is waited for: neither the other end of a FIFO nor a lease. What was checked is what is
//! read, since it is looked at again on the open descriptor.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Never follows, waits, or becomes the terminal of this process.
const FLAGS: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Why a file of somebody else isn't read.
#[derive(Debug, thiserror::Error)]
pub enum ForeignError {
    /// The operating system refuses.
    #[error("cannot {verb} `{}`: {source}", path.display())]
    Os { verb: &'static str, path: PathBuf, source: io::Error },
    /// It, or a directory on the way to it, leads somewhere else.
    #[error("not a regular file: `{}` is a symbolic link", path.display())]
    Link { path: PathBuf },
    /// A FIFO, a device, a socket, a directory.
    #[error("not a regular file: `{}` is {kind}", path.display())]
    NotRegular { path: PathBuf, kind: &'static str },
    /// Somebody has put it there whose directory it isn't.
    #[error(
        "`{}` belongs to user {is}; wanted: user {wanted}, whose directory it is in",
        path.display()
    )]
    Owner { path: PathBuf, is: u32, wanted: u32 },
    /// Over the cap.
    #[error("file too large: `{}` has {bytes} bytes or more, at most {limit}", path.display())]
    TooLarge { path: PathBuf, bytes: u64, limit: u64 },
}

impl ForeignError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ForeignError::Link { .. } => Some(
                "links aren't followed here: whoever writes that directory chooses where they \
                      lead; name or put there the file itself"
                    .to_owned(),
            ),
            ForeignError::Owner { path, wanted, .. } => {
                Some(format!("if it is what it should be: chown {wanted} {}", path.display()))
            }
            ForeignError::Os { .. }
            | ForeignError::NotRegular { .. }
            | ForeignError::TooLarge { .. } => None,
        }
    }

    /// What the operating system said, if it refused.
    pub fn os(&self) -> Option<&io::Error> {
        match self {
            ForeignError::Os { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Whether there is no such file.
    pub fn is_not_found(&self) -> bool {
        self.os().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }
}

/// Opens `name`, one name or more below `directory`, for reading. Its owner, and that of each
/// directory in between, is that of `directory` or one of `also`.
///
/// With one name it makes no call that a sealed half can't make.
///
/// # Errors
/// [`ForeignError`].
pub fn open(
    directory: &Path,
    name: impl AsRef<Path>,
    also: &[u32],
    max_bytes: u64,
) -> Result<File, ForeignError> {
    let owner = fs::metadata(directory).map_err(os("look at", directory))?.uid();
    let trusted = Trusted { owner, also };
    let mut names = name.as_ref().components().peekable();
    let mut path = directory.to_owned();
    let mut place: Option<OwnedFd> = None;
    // Terminates: every turn takes a name.
    while let Some(component) = names.next() {
        let Component::Normal(component) = component else {
            let source = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(ForeignError::Os { verb: "open", path: path.join(name), source });
        };
        path.push(component);
        if names.peek().is_some() {
            place = Some(enter(place.as_ref(), &path, component.as_ref(), &trusted)?);
            continue;
        }
        let file = match &place {
            Some(place) => File::from(open_at(place.as_fd(), component.as_ref(), &path)?),
            None => open_by_path(&path)?,
        };
        return checked(file, path, &trusted, max_bytes);
    }
    Err(ForeignError::NotRegular { path, kind: "a directory" })
}

/// Reads the whole of such a file.
///
/// # Errors
/// [`ForeignError`].
pub fn read(
    directory: &Path,
    name: impl AsRef<Path>,
    also: &[u32],
    max_bytes: u64,
) -> Result<Vec<u8>, ForeignError> {
    let path = directory.join(&name);
    let file = open(directory, name, also, max_bytes)?;
    let mut bytes = Vec::new();
    // It may grow meanwhile.
    let read = file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes);
    let read = u64::try_from(read.map_err(os("read", &path))?).unwrap_or(u64::MAX);
    if read > max_bytes {
        return Err(ForeignError::TooLarge { path, bytes: read, limit: max_bytes });
    }
    Ok(bytes)
}

/// Opens a file that a person has named by its path, in whoever's directory it lies: it may belong to
/// that directory's owner, to whoever reads it, or to root.
///
/// # Errors
/// [`ForeignError`].
pub fn open_named(path: &Path, max_bytes: u64) -> Result<File, ForeignError> {
    let also = [rustix::process::geteuid().as_raw(), 0];
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    match path.file_name() {
        Some(name) => open(directory, name, &also, max_bytes),
        None => Err(ForeignError::NotRegular { path: path.to_owned(), kind: "a directory" }),
    }
}

/// Users whose files are taken.
struct Trusted<'a> {
    owner: u32,
    also: &'a [u32],
}

impl Trusted<'_> {
    fn require(&self, path: &Path, is: u32) -> Result<(), ForeignError> {
        if is == self.owner || self.also.contains(&is) {
            return Ok(());
        }
        Err(ForeignError::Owner { path: path.to_owned(), is, wanted: self.owner })
    }
}

/// By path, which is what a sealed half can do. What it is, is seen before it is opened too: the
/// opening of a FIFO tells its other end, and that of a device may do more.
fn open_by_path(path: &Path) -> Result<File, ForeignError> {
    let metadata = fs::symlink_metadata(path).map_err(os("open", path))?;
    require_regular(path, &metadata)?;
    let mut options = OpenOptions::new();
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    options.read(true).custom_flags(flags);
    options.open(path).map_err(|error| refused(error, path))
}

fn open_at(place: BorrowedFd<'_>, name: &Path, path: &Path) -> Result<OwnedFd, ForeignError> {
    rustix::fs::openat(place, name, FLAGS, Mode::empty())
        .map_err(|error| refused(error.into(), path))
}

/// Enters a directory on the way.
fn enter(
    place: Option<&OwnedFd>,
    path: &Path,
    name: &Path,
    trusted: &Trusted<'_>,
) -> Result<OwnedFd, ForeignError> {
    let flags = FLAGS | OFlags::DIRECTORY;
    let opened = match place {
        Some(place) => rustix::fs::openat(place, name, flags, Mode::empty()),
        None => rustix::fs::open(path, flags, Mode::empty()),
    };
    let opened = opened.map_err(|error| {
        // The kernel says so of links too when a directory is asked for.
        let is_link = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
        if is_link {
            ForeignError::Link { path: path.to_owned() }
        } else {
            refused(error.into(), path)
        }
    })?;
    let directory = File::from(opened);
    let metadata = directory.metadata().map_err(os("look at", path))?;
    trusted.require(path, metadata.uid())?;
    Ok(directory.into())
}

fn checked(
    file: File,
    path: PathBuf,
    trusted: &Trusted<'_>,
    max_bytes: u64,
) -> Result<File, ForeignError> {
    let metadata = file.metadata().map_err(os("look at", &path))?;
    require_regular(&path, &metadata)?;
    trusted.require(&path, metadata.uid())?;
    let bytes = metadata.len();
    if bytes > max_bytes {
        return Err(ForeignError::TooLarge { path, bytes, limit: max_bytes });
    }
    Ok(file)
}

fn require_regular(path: &Path, metadata: &Metadata) -> Result<(), ForeignError> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return Err(ForeignError::Link { path: path.to_owned() });
    }
    let kind = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => "a directory",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_block_device() || kind.is_char_device() => "a device",
        _ => "something else",
    };
    Err(ForeignError::NotRegular { path: path.to_owned(), kind })
}

/// What the kernel says of what `O_NOFOLLOW` and `O_NONBLOCK` refuse.
fn refused(error: io::Error, path: &Path) -> ForeignError {
    match error.raw_os_error() {
        Some(libc::ELOOP) => ForeignError::Link { path: path.to_owned() },
        Some(libc::ENXIO) => ForeignError::NotRegular { path: path.to_owned(), kind: "a socket" },
        _ => os("open", path)(error),
    }
}

fn os(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ForeignError {
    let path = path.to_owned();
    move |source| ForeignError::Os { verb, path, source }
}

#[cfg(test)]
mod tests;

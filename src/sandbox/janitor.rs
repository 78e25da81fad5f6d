//! A process that stays behind when a tool is sealed, and removes files of the tool that nothing came of:
//! a sealed process can't, and to let it would be to let it remove whatever else lies there.
//!
//! It is left before the tool has read a secret or heard of a network, knows the files by name and
//! inode, and obeys one byte: which of them to remove.

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::SandboxError;
use super::error::os;
use super::process;

/// Files that one byte can name.
const MAX_FILES: usize = 8;

/// A file that the tool has made.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    device: u64,
    inode: u64,
}

/// The way to the process that stays behind. It ends when this is dropped.
#[derive(Debug)]
pub struct Janitor {
    orders: PipeWriter,
    done: PipeReader,
}

impl Janitor {
    /// Leaves the process. There must be one thread.
    pub(super) fn leave(files: &[(&Path, &fs::File)]) -> Result<Janitor, SandboxError> {
        process::require_single_thread()?;
        let mut made = Vec::new();
        for (path, file) in files.iter().take(MAX_FILES) {
            let metadata = file.metadata().map_err(os("look at a file"))?;
            // Whatever becomes the current directory.
            let path = std::path::absolute(path).map_err(os("ask for the directory"))?;
            made.push(Made { path, device: metadata.dev(), inode: metadata.ino() });
        }
        let (ordered, orders) = std::io::pipe().map_err(os("make a pipe"))?;
        let (done, doing) = std::io::pipe().map_err(os("make a pipe"))?;
        // SAFETY: there is one thread, so no lock of another is held in the copy; the copy goes on
        // with plain Rust and never returns.
        #[expect(unsafe_code, reason = "no safe call makes a process that runs no other program")]
        let child = unsafe { libc::fork() };
        match child {
            -1 => Err(os("make a process")(std::io::Error::last_os_error())),
            0 => {
                drop((orders, done));
                serve(ordered, doing, &made)
            }
            _ => Ok(Janitor { orders, done }),
        }
    }

    /// Removes the files whose bits are set, the first that was named being the lowest; when this
    /// returns they are gone.
    pub fn remove(mut self, files: u8) {
        // Where it has died there is nobody to tell.
        if self.orders.write_all(&[files]).is_ok() {
            let _ = self.done.read(&mut [0]);
        }
    }
}

/// The process that stays behind.
fn serve(mut ordered: PipeReader, doing: PipeWriter, files: &[Made]) -> ! {
    // Ctrl-C is for the tool; and who reads its output waits for the tool alone.
    let _ = rustix::process::setsid();
    // SAFETY: nothing of this process uses the standard streams any more.
    #[expect(unsafe_code, reason = "no safe call closes descriptors that nobody owns")]
    let _ = unsafe { libc::close_range(0, 2, 0) };
    let mut order = [0];
    if let Ok(1) = ordered.read(&mut order) {
        let [order] = order;
        for (bit, file) in files.iter().enumerate() {
            if order.checked_shr(u32::try_from(bit).unwrap_or(u32::MAX)).unwrap_or(0) & 1 == 1 {
                file.remove();
            }
        }
    }
    drop(doing);
    std::process::exit(0)
}

impl Made {
    /// Removes it, unless something else has its name by now.
    fn remove(&self) {
        let is_same = fs::symlink_metadata(&self.path)
            .is_ok_and(|metadata| metadata.dev() == self.device && metadata.ino() == self.inode);
        if is_same {
            let _ = fs::remove_file(&self.path);
        }
    }
}

//! Signals of a process that waits by itself, without a runtime: SIGTERM and SIGINT ask it to end,
//! SIGHUP to read something again. A leaf.
//!
//! A runtime wakes itself over a pair of sockets. The two ends of a link have no system call that
//! receives from a socket, or none that sends to one; so here it is a pipe, which a handler writes to,
//! and whoever waits reads.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// What came, and how it wakes whoever waits.
#[derive(Debug)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    hang_up: Arc<AtomicBool>,
    woken: PipeReader,
}

impl Signals {
    /// Catches them from now on. To be called before the process is sealed.
    ///
    /// # Errors
    /// The operating system refuses a pipe or a handler.
    pub fn catch() -> io::Result<Signals> {
        let (stop, hang_up) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let (woken, wakes) = io::pipe()?;
        for (signal, asked) in [(SIGTERM, &stop), (SIGINT, &stop), (SIGHUP, &hang_up)] {
            // In this order: who is woken finds out why.
            flag::register(signal, Arc::clone(asked))?;
            low_level::pipe::register(signal, wakes.try_clone()?)?;
        }
        Ok(Signals { stop, hang_up, woken })
    }

    /// Whether the process is to end.
    pub fn is_stop_asked(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Whether something is to be read again, since this was asked last.
    pub fn take_hang_up(&self) -> bool {
        self.hang_up.swap(false, Ordering::SeqCst)
    }

    /// Waits until a signal has come, one of `sources` can be read, or the time is over. It may come
    /// back for nothing.
    ///
    /// # Errors
    /// The operating system refuses to wait.
    pub fn wait(&self, sources: &[BorrowedFd<'_>], most: Duration) -> io::Result<()> {
        let own = PollFd::from_borrowed_fd(self.woken.as_fd(), PollFlags::IN);
        let others = sources.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN));
        let mut waited: Vec<PollFd<'_>> = std::iter::once(own).chain(others).collect();
        let most = Timespec::try_from(most).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        match poll(&mut waited, Some(&most)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        if waited.first().is_some_and(|own| own.revents().contains(PollFlags::IN)) {
            // What it says is in the flags. There is something, so this doesn't wait.
            let _ = (&self.woken).read(&mut [0; 64])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// One test, since signals are the process's.
    #[test]
    fn a_signal_wakes_whoever_waits_and_says_what_it_asks_for() {
        let signals = Signals::catch().unwrap();
        assert!(!signals.is_stop_asked() && !signals.take_hang_up());
        low_level::raise(SIGHUP).unwrap();
        signals.wait(&[], LONG).unwrap();
        assert!(signals.take_hang_up() && !signals.take_hang_up() && !signals.is_stop_asked());
        // Many wake once, and nothing is left that would wake again.
        for _ in 0..10 {
            low_level::raise(SIGHUP).unwrap();
        }
        signals.wait(&[], LONG).unwrap();
        assert!(signals.take_hang_up());
        signals.wait(&[], Duration::ZERO).unwrap();
        low_level::raise(SIGTERM).unwrap();
        signals.wait(&[], LONG).unwrap();
        assert!(signals.is_stop_asked() && signals.is_stop_asked());
        // What came before anybody waited isn't missed, and something to be read wakes as well.
        let (read, mut write) = io::pipe().unwrap();
        write.write_all(b"x").unwrap();
        signals.wait(&[read.as_fd()], LONG).unwrap();
    }
}

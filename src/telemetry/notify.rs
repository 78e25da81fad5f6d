//! The service manager (systemd's `Type=notify` and `WatchdogSec=`): readiness, reloads, stops,
//! the line in `systemctl status`, and the watchdog. The socket is opened at the start, before
//! the half is sealed; the words are those of the crate `sd-notify`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// The watchdog is fed this many times within the time in which it wants to be fed once.
const FEEDS: u32 = 4;
/// At least this often, however long it would wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The way to the service manager, or to nobody where there is none.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    socket: Option<Arc<UnixDatagram>>,
    watchdog: Option<Duration>,
    /// Nothing is said before the half is ready.
    is_ready: Arc<AtomicBool>,
}

impl Notifier {
    /// To whom `NOTIFY_SOCKET` says.
    ///
    /// # Errors
    /// There is such a variable, and no such socket.
    pub fn from_environment() -> io::Result<Notifier> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Notifier::to(&name, sd_notify::watchdog_enabled()),
            _ => Ok(Notifier::none()),
        }
    }

    /// To nobody.
    pub fn none() -> Notifier {
        Notifier::default()
    }

    /// To the socket `name`, a path or `@` and an abstract name.
    pub fn to(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Notifier> {
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        // A service manager that doesn't read holds nothing up.
        socket.set_nonblocking(true)?;
        Ok(Notifier { socket: Some(Arc::new(socket)), watchdog, is_ready: Arc::default() })
    }

    /// How often the data path has to show that it moves; `None`: nobody watches.
    pub fn feed_every(&self) -> Option<Duration> {
        let every = self.watchdog?.checked_div(FEEDS)?;
        Some(every.min(LONGEST_PAUSE))
    }

    /// The half works.
    pub fn ready(&self) {
        self.notify(&[NotifyState::Ready]);
        self.is_ready.store(true, Ordering::Release);
    }

    /// A reload begins; [`Notifier::ready`] ends it.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.notify(&[NotifyState::Reloading, now]),
            Err(_) => self.notify(&[NotifyState::Reloading]),
        }
    }

    /// The half is about to end.
    pub fn stopping(&self) {
        self.notify(&[NotifyState::Stopping]);
    }

    /// What is going on, in one line.
    pub fn status(&self, line: &str) {
        if self.is_ready.load(Ordering::Acquire) {
            self.notify(&[NotifyState::Status(line)]);
        }
    }

    /// The data path moves.
    pub fn feed_watchdog(&self) {
        if self.watchdog.is_some() {
            self.notify(&[NotifyState::Watchdog]);
        }
    }

    /// A sign of life for whoever works on one thing for longer than a turn, to be called between its
    /// stages: given where it is due by itself, some seconds after the last one.
    pub fn breath(&self) -> Box<dyn FnMut() + Send> {
        let (notifier, mut last) = (self.clone(), clock::steady());
        let every = self.feed_every();
        Box::new(move || {
            let now = clock::steady();
            if every.is_some_and(|every| now.saturating_duration_since(last) >= every) {
                last = now;
                notifier.feed_watchdog();
            }
        })
    }

    fn notify(&self, states: &[NotifyState<'_>]) {
        if let Some(socket) = &self.socket {
            let message: String = states.iter().map(|state| format!("{state}\n")).collect();
            // Nobody to report it to but the service manager itself.
            let _ = rustix::io::write(socket, message.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 1024];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn words_arrive_over_paths_and_abstract_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("@sparkdiode-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let sockets = [
            (path.as_os_str(), UnixDatagram::bind(&path).unwrap()),
            (OsStr::new(&name), UnixDatagram::bind_addr(&abstract_name).unwrap()),
        ];
        for (name, socket) in sockets {
            let notifier = Notifier::to(name, Some(Duration::from_secs(20))).unwrap();
            // Nobody hears how a half is that isn't ready yet.
            notifier.status("ok: too early");
            notifier.ready();
            assert_eq!(received(&socket), "READY=1\n");
            notifier.reloading();
            let words = received(&socket);
            assert!(words.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{words}");
            notifier.status("ok: all of it");
            assert_eq!(received(&socket), "STATUS=ok: all of it\n");
            notifier.feed_watchdog();
            assert_eq!(received(&socket), "WATCHDOG=1\n");
            assert_eq!(notifier.feed_every(), Some(Duration::from_secs(5)));
        }
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error_and_a_full_one_holds_nothing_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        assert!(Notifier::to(path.as_os_str(), None).is_err());
        let _socket = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str(), None).unwrap();
        (0..10_000).for_each(|_| notifier.ready());
        Notifier::none().ready();
    }
}

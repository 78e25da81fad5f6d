//! Keys that are pressed while the screen is drawn, one letter each, without Enter.

use std::io::{self, Read};
use std::sync::Mutex;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use tokio::sync::mpsc;

/// How the terminal was, for whoever gives it back.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// The keyboard.
#[derive(Debug)]
pub(super) struct Keys {
    pressed: mpsc::UnboundedReceiver<u8>,
}

impl Keys {
    /// Listens, where stdin is a terminal and ours; [`Drop`] gives it back.
    pub(super) fn listen() -> Option<Keys> {
        let stdin = io::stdin();
        // In the background, reading would stop the demo.
        if tcgetpgrp(&stdin).ok()? != rustix::process::getpgrp() {
            return None;
        }
        let before = tcgetattr(&stdin).ok()?;
        let mut letters = before.clone();
        // Signals stay: Ctrl-C ends it.
        letters.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&stdin, OptionalActions::Now, &letters).ok()?;
        *BEFORE.lock().ok()? = Some(before);
        let (sender, pressed) = mpsc::unbounded_channel();
        // It waits for a key until the process ends.
        let thread = std::thread::Builder::new().name("keys".into()).spawn(move || {
            let mut stdin = io::stdin().lock();
            let mut letter = [0; 1];
            while stdin.read_exact(&mut letter).is_ok() && sender.send(letter[0]).is_ok() {}
        });
        if thread.is_err() {
            restore();
            return None;
        }
        Some(Keys { pressed })
    }

    /// The next one that was pressed.
    pub(super) fn next(&mut self) -> Option<char> {
        self.pressed.try_recv().ok().map(char::from)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was, if it was taken.
pub(super) fn restore() {
    if let Ok(mut before) = BEFORE.try_lock()
        && let Some(before) = before.take()
    {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
}

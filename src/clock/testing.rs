//! A time that a test sets: what the clocks of drivers show on its thread.

use std::cell::Cell;

use crate::Now;

thread_local! {
    static SHOWN: Cell<Option<Now>> = const { Cell::new(None) };
}

/// From now on every [`Clock`](crate::Clock) shows this on this thread, wherever it was started.
pub fn show(now: Now) {
    SHOWN.set(Some(now));
}

/// Clocks show the time again.
pub fn run_on() {
    SHOWN.set(None);
}

/// What clocks show, if a test has set it.
pub(crate) fn shown() -> Option<Now> {
    SHOWN.get()
}

//! Steps: how often anything was looked at for a message, counted and not timed, so that a test can
//! say that no message costs more than its size allows. Built for tests; else it does nothing.
//!
//! Whoever walks over what messages can make long (metrics, members, properties, devices) takes
//! a step for each.

#[cfg(any(test, feature = "testing"))]
std::thread_local! {
    static TAKEN: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Takes so many steps.
#[cfg(any(test, feature = "testing"))]
pub fn take(steps: usize) {
    let steps = u64::try_from(steps).unwrap_or(u64::MAX);
    TAKEN.set(TAKEN.get().saturating_add(steps));
}

/// Takes so many steps.
#[cfg(not(any(test, feature = "testing")))]
#[inline(always)]
pub const fn take(_: usize) {}

/// Steps that this thread has taken.
#[cfg(any(test, feature = "testing"))]
pub fn taken() -> u64 {
    TAKEN.get()
}

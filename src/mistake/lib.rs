//! Mistakes of ours: states that can't be, counted by the place in the code that met them. A leaf:
//! it knows nothing of the relay, and not who reads the counts.
//!
//! ```text
//!  mistake!("…") ──> Place, a static at each use ──> register of places met ──> take()
//! ```
//!
//! A relay must not end because of a mistake of ours: whoever can cause it could stop the relay.
//! So the code that meets a state that can't be gives up the one thing at hand, as a silent
//! `else { return }` did, but says so here. Telemetry reports it as an event, with file and line.
//! With debug assertions, that is in all tests, it is a panic.
//!
//! Memory is bounded by the number of uses in the program: every use has one counter, of its own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts that the code got where it can't get: `return mistake!("a node without a birth")`.
///
/// The words say which state it is. The value is `()`. With debug assertions it panics.
#[macro_export]
macro_rules! mistake {
    ($words:literal) => {{
        static PLACE: $crate::Place = $crate::Place::new(file!(), line!(), $words);
        PLACE.met()
    }};
}

/// A place in the code that can't be reached, and how often it was. [`mistake!`] makes it.
#[derive(Debug)]
pub struct Place {
    file: &'static str,
    line: u32,
    words: &'static str,
    /// Since the start of the process.
    count: AtomicU64,
    /// The count at the last [`take`].
    taken: AtomicU64,
}

/// What is known of a place that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// As the compiler names it: from the top of the source.
    pub file: &'static str,
    pub line: u32,
    pub words: &'static str,
    /// How often since the start of the process.
    pub count: u64,
}

/// Places that were reached, each once.
static MET: Mutex<Vec<&'static Place>> = Mutex::new(Vec::new());

impl Place {
    /// For [`mistake!`]; not counted yet.
    pub const fn new(file: &'static str, line: u32, words: &'static str) -> Place {
        Place { file, line, words, count: AtomicU64::new(0), taken: AtomicU64::new(0) }
    }

    /// Counts it, and panics with debug assertions.
    #[cold]
    #[track_caller]
    #[expect(clippy::panic, reason = "tests must not pass over a mistake")]
    pub fn met(&'static self) {
        self.note();
        if cfg!(debug_assertions) {
            panic!("a state that can't be, at {}:{}: {}", self.file, self.line, self.words);
        }
    }

    /// Counts it, and nothing else: for tests of whoever reports mistakes.
    #[cold]
    pub fn note(&'static self) {
        // Only the first time takes the lock.
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            register().push(self);
        }
    }

    /// Its count, if it grew since the last time.
    fn take(&self) -> Option<Mistake> {
        let count = self.count.load(Ordering::Relaxed);
        let before = self.taken.swap(count, Ordering::Relaxed);
        let Place { file, line, words, .. } = *self;
        (count != before).then_some(Mistake { file, line, words, count })
    }
}

/// The places that were reached since the last call, in the order of the first time; for one
/// reader.
pub fn take() -> Vec<Mistake> {
    // The vector that is returned takes no memory while there are no mistakes.
    register().iter().filter_map(|place| place.take()).collect()
}

fn register() -> MutexGuard<'static, Vec<&'static Place>> {
    // A thread that panicked in between has pushed its place, or hasn't.
    MET.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes those of one test: all tests of a process share the register.
    fn take_of(words: &str) -> Vec<Mistake> {
        static TAKEN: Mutex<Vec<Mistake>> = Mutex::new(Vec::new());
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        taken.extend(take());
        taken.extract_if(.., |mistake| mistake.words == words).collect()
    }

    #[test]
    fn a_place_is_taken_once_for_every_time_that_its_count_grew() {
        static PLACE: Place = Place::new("src/a.rs", 7, "counted");
        let mistake = |count| Mistake { file: "src/a.rs", line: 7, words: "counted", count };
        assert_eq!(take_of("counted"), []);
        PLACE.note();
        PLACE.note();
        assert_eq!(take_of("counted"), [mistake(2)]);
        assert_eq!(take_of("counted"), []);
        PLACE.note();
        assert_eq!(take_of("counted"), [mistake(3)]);
    }

    #[test]
    fn counts_of_many_threads_are_exact() {
        static PLACE: Place = Place::new("src/b.rs", 1, "threads");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| PLACE.note()));
            }
        });
        assert_eq!(take_of("threads").last().map(|mistake| mistake.count), Some(4_000));
    }

    #[test]
    #[should_panic(expected = "lib.rs:")]
    fn a_mistake_is_a_panic_in_tests_that_names_its_place() {
        mistake!("a square circle");
    }
}

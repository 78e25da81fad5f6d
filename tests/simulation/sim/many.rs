//! Many seeds, on all cores.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::run::{Done, Failure, Options, run};

/// Carries out `count` seeds from `first` on; the failures with the lowest seeds, at most `most`,
/// and what the others came to.
pub fn run_many(first: u64, count: u64, options: &Options, most: usize) -> (Vec<Failure>, Done) {
    let next = AtomicU64::new(0);
    let enough = AtomicBool::new(false);
    let found = Mutex::new((Vec::<Failure>::new(), Done::default()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let result = run(first + number, options);
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    match result {
                        Ok(done) => {
                            found.1.runs += 1;
                            found.1.ops += done.ops;
                            found.1.sent += done.sent;
                            found.1.shown += done.shown;
                        }
                        Err(failure) => found.0.push(failure),
                    }
                    enough.fetch_or(found.0.len() >= most, Ordering::Relaxed);
                }
            });
        }
    });
    let (mut failures, done) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|failure| failure.seed);
    (failures, done)
}

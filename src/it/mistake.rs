//! What can't be, and would be a mistake of ours: loud in tests, and passed over otherwise.

/// Marks a place that is never reached, with what was impossible.
macro_rules! mistake {
    ($words:literal) => {
        debug_assert!(false, $words)
    };
}

pub(crate) use mistake;

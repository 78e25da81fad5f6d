//! When something that the broker owes an answer to has left: the time for the answer counts from then, and
//! not from when it was asked, on a link that takes its time.

/// Looks at each end of a wait whether it counts.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// It hadn't left when that was looked at last.
    unsent: bool,
}

impl Leaving {
    /// A wait is over, at whose end it `has_left` or not; true: it had left when the wait began.
    pub(super) fn has_waited(&mut self, has_left: bool) -> bool {
        let counts = has_left && !self.unsent;
        self.unsent = !has_left;
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_counts_once_it_began_with_everything_sent() {
        let mut leaving = Leaving::default();
        assert!(leaving.has_waited(true), "nothing waited at all");
        for _ in 0..100 {
            assert!(!leaving.has_waited(false));
        }
        assert!(!leaving.has_waited(true), "it left some time within this wait");
        assert!(leaving.has_waited(true));
    }
}

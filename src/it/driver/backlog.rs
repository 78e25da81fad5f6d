//! The end of what the journal held when the IT half came.

use journal_read::{Item, SETTLED_POLLS};

/// Finds the end of what the journal held when we came. One poll that returns nothing isn't it:
/// the reader may stand before a missing stretch, with years of frames behind that.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// Polls in a row that returned nothing.
    idle: u32,
}

impl Backlog {
    /// Takes what a poll returned; true if everything before it is read, that is, before `item`
    /// is handed on.
    pub(super) fn ends_before(&mut self, item: Option<&Item>) -> bool {
        match item {
            None => {
                self.idle = self.idle.saturating_add(1);
                self.idle >= SETTLED_POLLS
            }
            // The next one in sequence, and a moment ago it wasn't there. Without this a busy
            // writer would never leave us the polls that it takes to settle.
            Some(Item::Frame(_)) => std::mem::take(&mut self.idle) > 0,
            Some(Item::Lost(_)) => {
                self.idle = 0;
                false
            }
            // It stands anywhere, and comes at any time.
            Some(Item::Late(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use journal_format::{Body, Frame, Heartbeat};
    use journal_read::{Lost, LostCause};

    use super::*;

    fn frame(seq: u64) -> Item {
        let body = Some(Body::Heartbeat(Heartbeat::default()));
        Item::Frame(Frame { seq, epoch: 1, appended_ms: 0, body, in_head: false, layout: None })
    }

    #[test]
    fn a_backlog_ends_with_settled_polls_and_not_before_a_missing_stretch() {
        let mut backlog = Backlog::default();
        assert!(!backlog.ends_before(Some(&frame(1))));
        for _ in 1..SETTLED_POLLS {
            assert!(!backlog.ends_before(None));
        }
        let lost = Lost { first: 2, last: 9, cause: LostCause::Damage };
        assert!(!backlog.ends_before(Some(&Item::Lost(lost))));
        assert!(!backlog.ends_before(Some(&frame(10))));
        for _ in 1..SETTLED_POLLS {
            assert!(!backlog.ends_before(None));
        }
        assert!(backlog.ends_before(None));
    }

    #[test]
    fn a_backlog_ends_before_a_frame_that_was_appended_while_we_watched() {
        let mut backlog = Backlog::default();
        assert!(!backlog.ends_before(Some(&frame(1))));
        assert!(!backlog.ends_before(None));
        assert!(backlog.ends_before(Some(&frame(2))));
    }
}

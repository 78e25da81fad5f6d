//! What was dropped lately, for whoever asks why something doesn't arrive.

use account::{Fate, Origin};

use super::{Now, Pipeline};
use crate::decisions::RecentDrops;

impl Pipeline {
    /// What was dropped lately, by metric.
    pub(crate) fn recent_drops(&self) -> &RecentDrops {
        &self.recent_drops
    }

    /// Whether anything was dropped since this was asked last.
    pub(crate) fn take_drops_changed(&mut self) -> bool {
        self.recent_drops.take_changed()
    }

    /// Takes note of a message that was dropped as a whole.
    pub(super) fn note_fate(&mut self, now: Now, origin: Origin<'_>, fate: Fate) {
        let cause = match fate {
            Fate::Dropped(reason) => (reason, None),
            Fate::DroppedBy(reason, rule) => (reason, rule),
            Fate::Forwarded | Fate::Waiting => return,
        };
        if let Some(entity) = origin.entity {
            self.recent_drops.note(entity, "", cause, now.wall_ms);
        }
    }
}

//! What comes of an edge node or device whose birth isn't known here, so that nothing of it is shown:
//! people have to hear of it. One is remembered, since one is enough.

use std::time::Duration;

use sparkplug::Entity;

use super::{Mirror, Now};

/// Its birth may be on its way, or a keyframe.
const GRACE: Duration = Duration::from_secs(5);
/// It counts for so long after its last message.
const RECENT: Duration = Duration::from_secs(60);

/// An edge node or device that can't be shown.
#[derive(Debug)]
pub(super) struct Unread {
    /// `group/edge node[/device]`.
    name: String,
    first: Duration,
    last: Duration,
}

impl Unread {
    /// A message of the entity came that couldn't be read.
    pub(super) fn note(unread: &mut Option<Unread>, entity: Entity<'_>, now: Duration) {
        match unread {
            Some(known) if known.is_of(entity) => known.last = now,
            Some(known) if now.saturating_sub(known.last) < RECENT => {}
            _ => *unread = Some(Unread { name: entity.to_string(), first: now, last: now }),
        }
    }

    /// A message of the entity was read.
    pub(super) fn clear(unread: &mut Option<Unread>, entity: Option<Entity<'_>>) {
        if unread.as_ref().zip(entity).is_some_and(|(known, entity)| known.is_of(entity)) {
            *unread = None;
        }
    }

    fn is_of(&self, entity: Entity<'_>) -> bool {
        self.name == entity.to_string()
    }
}

impl Mirror {
    /// An edge node or device whose messages come, and can't be shown.
    pub fn unread(&self, now: Now) -> Option<&str> {
        let unread = self.unread.as_ref()?;
        let counts = unread.last.saturating_sub(unread.first) >= GRACE
            && now.mono.saturating_sub(unread.last) < RECENT;
        counts.then_some(&*unread.name)
    }
}

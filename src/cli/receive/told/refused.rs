//! Datagrams and frames that aren't taken: what grew is told, in one line a second and cause.

use clock::Now;
use receive::Seen;
use telemetry::event;

use crate::cli::ends::Growth;

/// Causes for which a datagram is none of this link.
const FOREIGN: [&str; 6] = ["length", "protocol", "version", "link", "key", "forged"];
/// Causes for which one of this link isn't taken.
const REPLAYED: [&str; 3] = ["duplicate", "too_old", "old_session"];
/// Causes for which a frame isn't.
const FRAMES: [&str; 4] = ["too_large", "unknown", "old_epoch", "malformed"];

/// What was counted of each cause.
#[derive(Debug, Default)]
pub(super) struct Refused {
    foreign: [Growth; 6],
    replayed: [Growth; 3],
    frames: [Growth; 4],
    malformed: Growth,
}

impl Refused {
    pub(super) fn look(&mut self, now: Now, seen: &Seen<'_>) {
        let account = seen.turn.receiver.account();
        let landed = seen.turn.landing.counts();
        let by = account.foreign_by;
        let foreign = [by.length, by.protocol, by.version, by.link, by.key, by.forged];
        for ((cause, growth), count) in FOREIGN.iter().zip(&mut self.foreign).zip(foreign) {
            let datagrams = growth.grow(now.mono, count);
            if datagrams > 0 {
                event!(LinkForeign, cause = *cause, datagrams);
            }
        }
        let datagrams = self.malformed.grow(now.mono, account.malformed);
        if datagrams > 0 {
            event!(LinkForeign, cause = "malformed", datagrams);
        }
        let replayed = [account.duplicates, account.too_old, account.old_session];
        for ((cause, growth), count) in REPLAYED.iter().zip(&mut self.replayed).zip(replayed) {
            let datagrams = growth.grow(now.mono, count);
            if datagrams > 0 {
                event!(LinkReplay, cause = *cause, datagrams);
            }
        }
        let frames =
            [account.frames_too_large, account.frames_unknown, landed.old_epoch, landed.malformed];
        for ((reason, growth), count) in FRAMES.iter().zip(&mut self.frames).zip(frames) {
            let frames = growth.grow(now.mono, count);
            if frames > 0 {
                event!(LinkFramesRefused, reason = *reason, frames);
            }
        }
    }

    /// Whether datagrams came lately that aren't of this link.
    pub(super) fn is_foreign_lately(&self, now: Now) -> bool {
        let all = self.foreign.iter().chain([&self.malformed]);
        all.into_iter().any(|growth| growth.is_recent(now.mono))
    }

    /// Whether frames of an earlier journal of the sender came lately.
    pub(super) fn is_old_epoch_lately(&self, now: Now) -> bool {
        self.frames.get(2).is_some_and(|growth| growth.is_recent(now.mono))
    }
}

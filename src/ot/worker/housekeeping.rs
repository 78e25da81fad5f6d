//! Housekeeping of the journal: new segments, and retention.

use std::time::Duration;

use journal_format::Start;
use journal_write::{JournalError, Retained};
use telemetry::event;

use super::{LAST_PAUSE, Worker};
use crate::Now;
use crate::entry::Entry;

/// Retention by age works even where no segment ends.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

impl Worker {
    /// New segments, and retention.
    pub(super) fn keep_house(&mut self, now: Now) {
        let mut retain = self.next_retain <= now.mono;
        // One head after the other: of two segments, one has a whole one.
        // Nor behind frames that refer to layouts of this one and are yet to be written.
        let is_free = !self.pipeline.has_news() && !self.pipeline.has_unsent();
        if self.writer.wants_segment() && self.next_segment <= now.mono && is_free {
            retain = true;
            if let Err(error) = self.next_segment(now) {
                self.next_segment = now.mono.saturating_add(LAST_PAUSE);
                self.segment_trouble = true;
                event!(DiskError, what = "segment", error = %error);
            } else if std::mem::take(&mut self.segment_trouble) {
                event!(DiskOk, what = "segment");
            }
        }
        if retain {
            self.next_retain = now.mono.saturating_add(RETAIN_EVERY);
            self.watch_limit();
            match self.writer.retain(retention_ms(self.started, now)) {
                Ok(retained) if retained.segments > 0 => {
                    let Retained { segments, frames, bytes } = retained;
                    event!(JournalTrimmed, segments, frames, bytes);
                }
                Ok(_) => {}
                Err(error) => event!(DiskError, what = "retention", error = %error),
            }
        }
    }

    /// Tells, once, that the journal has come near its limit: what is deleted then is younger
    /// than it should get.
    fn watch_limit(&mut self) {
        let (bytes, limit) = (self.writer.bytes(), self.writer.retain_bytes());
        let near = limit.saturating_sub(limit / 10);
        let far = limit.saturating_sub(limit / 5);
        if bytes >= near && !std::mem::replace(&mut self.near_limit, true) {
            event!(JournalNearLimit, bytes, limit);
        } else if bytes < far {
            self.near_limit = false;
        }
    }

    pub(super) fn start(&self) -> Start {
        let every = self.settings.keyframe_every.as_secs();
        let signed = self.settings.signed.as_ref();
        Start {
            relay_name: self.settings.relay_name.clone(),
            epoch: self.writer.epoch(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            policy_digest: self.pipeline.policy().digest().to_owned(),
            keyframe_every_s: u32::try_from(every).unwrap_or(u32::MAX),
            renames: !self.pipeline.policy().renames().is_empty(),
            renames_metrics: self.pipeline.policy().renames_metrics(),
            policy_version: signed.map(|signed| signed.version),
            policy_signers: signed.map(|signed| signed.signers.clone()).unwrap_or_default(),
            tightened_seq: self.tightened_seq,
            spread: false,
        }
    }

    /// Begins the segment that follows. Its head is spread: each node is shown in it before anything
    /// else of the node, and all of them before the next heartbeat.
    pub(super) fn next_segment(&mut self, now: Now) -> Result<(), JournalError> {
        // What is left of an earlier time belongs to the segment before.
        let mut out = Vec::new();
        self.pipeline.take_unsent(&mut out);
        let _ = self.push(now, &mut out);
        let begun = self.writer.begin_segment(now.wall_ms, std::iter::empty());
        if begun.is_err() && self.writer.wants_segment() {
            return begun.map(|_| ());
        }
        let start = Start { spread: true, ..self.start() };
        if let Err(error) = self.writer.append(now.wall_ms, Entry::Start(start)) {
            event!(FrameTooLarge, error = %error);
        }
        self.pipeline.segment_began();
        self.head_open = true;
        self.storing.want();
        // The last step may have failed, which the next commit repeats.
        begun.map(|_| ())
    }

    /// Begins the first segment of this run, with a whole head: nothing waits for it yet.
    pub(super) fn begin_segment(&mut self, now: Now) -> Result<(), JournalError> {
        let start = Entry::Start(self.start());
        let head = std::iter::once(start).chain(self.pipeline.head(now));
        let head = self.writer.begin_segment(now.wall_ms, head)?;
        if head.oversized > 0 {
            event!(FrameTooLarge, keyframes = head.oversized);
        }
        // The plant is to be found again from what the journal keeps: each segment has a stored
        // plant in it, or in the one before it.
        self.storing.want();
        Ok(())
    }
}

/// The time by which segments grow old. A clock that jumps forward by a year while we run must not
/// take away what IT hasn't read yet: what counts is the clock of the start, and the time since.
pub(super) fn retention_ms(started: Now, now: Now) -> u64 {
    let elapsed = now.mono.saturating_sub(started.mono).as_millis();
    let elapsed_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
    now.wall_ms.min(started.wall_ms.saturating_add(elapsed_ms))
}

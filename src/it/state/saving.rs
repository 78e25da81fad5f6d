//! When the mirror is stored: in turns of the driver that are short, and no oftener than is worth
//! it.

use std::time::Duration;

use state::StateError;
use telemetry::event;

use crate::mirror::{Mirror, Now};
use crate::state::state_writer::{Saved, StateWriter};

/// What lies between a snapshot and a kill is published a second time.
const EVERY: Duration = Duration::from_secs(10);
/// Longest time between two snapshots. Until then there is none where nothing but heartbeats and
/// keyframes came: a restart reads these again, and publishes nothing of them.
const WITHIN: Duration = Duration::from_secs(60);
/// Between two snapshots, this many times what one takes goes by.
const SHARE: u32 = 20;
/// So many bytes are written per second, on average: every snapshot is a whole file, and disks
/// wear out.
const BYTES_PER_S: u64 = 1024 * 1024;
/// Nodes whose snapshot is taken in one turn: some 0.1 ms.
const NODES_PER_TURN: usize = 256;

/// Where the next snapshot stands.
#[derive(Debug)]
pub(crate) struct Saving {
    state_writer: StateWriter,
    next: Duration,
    under_way: Option<UnderWay>,
    /// How far the mirror was when it was stored last, and when that was.
    saved: Option<Progress>,
    saved_at: Duration,
    trouble: bool,
}

/// Messages received and backfilled.
type Progress = (u64, u64);

#[derive(Debug)]
struct UnderWay {
    began: Duration,
    progress: Progress,
    /// Every node has been taken.
    complete: bool,
}

impl Saving {
    pub(crate) fn new(state_writer: StateWriter) -> Saving {
        Saving {
            state_writer,
            next: EVERY,
            under_way: None,
            saved: None,
            saved_at: Duration::ZERO,
            trouble: false,
        }
    }

    /// Goes on with the current snapshot, or begins one that is due.
    pub(crate) fn tick(&mut self, now: Now, mirror: &mut Mirror) {
        if self.under_way.is_none() && now.mono >= self.next {
            let progress = progress(mirror);
            let is_old = now.mono >= self.saved_at.saturating_add(WITHIN);
            if self.saved == Some(progress) && !is_old {
                self.next = now.mono.saturating_add(EVERY);
                return;
            }
            mirror.begin_snapshot();
            self.under_way = Some(UnderWay { began: now.mono, progress, complete: false });
        }
        if let Some(under_way) = self.under_way.as_mut().filter(|under_way| !under_way.complete)
            && self.state_writer.has_room()
        {
            let part = mirror.take_snapshot_part(NODES_PER_TURN);
            under_way.complete = part.head.is_some();
            self.state_writer.write_part(part);
        }
    }

    /// Whether [`Saving::save_bd_seqs`] wouldn't wait for the disk.
    pub(crate) fn has_room(&self) -> bool {
        self.state_writer.has_room()
    }

    /// Has the next bdSeq of every node written.
    pub(crate) fn save_bd_seqs(&self, mirror: &Mirror) {
        self.state_writer.save_bd_seqs(mirror.bd_seqs().collect());
    }

    /// Takes how the writing of `what` ended.
    pub(crate) fn saved(&mut self, now: Now, what: Saved, result: &Result<(), StateError>) {
        if let Err(error) = result {
            self.trouble = true;
            event!(DiskError, what = "state", error = %error);
        }
        let Saved::Snapshot { bytes } = what else { return };
        let Some(UnderWay { began, progress, .. }) = self.under_way.take() else {
            return mistake::mistake!("a snapshot was written that nobody began");
        };
        let took = now.mono.saturating_sub(began);
        let worth = Duration::from_secs(bytes.checked_div(BYTES_PER_S).unwrap_or_default());
        let pause = took.saturating_mul(SHARE).max(worth).clamp(EVERY, WITHIN);
        self.next = now.mono.saturating_add(pause);
        if result.is_ok() {
            self.saved = Some(progress);
            self.saved_at = began;
            if std::mem::take(&mut self.trouble) {
                event!(DiskOk, what = "state");
            }
        }
    }

    /// Stores everything as it is now, however long that takes. The writer reports how it ended, as
    /// ever, with [`DriverEvent::Saved`](crate::DriverEvent::Saved).
    pub(crate) fn finish(mut self, mirror: &mut Mirror) {
        self.save_bd_seqs(mirror);
        if self.under_way.take().is_some_and(|under_way| !under_way.complete) {
            self.take_all(mirror);
        }
        mirror.begin_snapshot();
        self.take_all(mirror);
        self.state_writer.finish();
    }

    fn take_all(&self, mirror: &mut Mirror) {
        loop {
            let part = mirror.take_snapshot_part(NODES_PER_TURN);
            let complete = part.head.is_some();
            self.state_writer.write_part(part);
            if complete {
                return;
            }
        }
    }
}

fn progress(mirror: &Mirror) -> Progress {
    (mirror.account().received, mirror.tally().backfilled)
}

#[cfg(test)]
mod tests;

//! When the plant is stored, and which receipts wait for it: births and deaths are owed to the
//! stored plant before they are acknowledged. The snapshot is taken in turns of the worker that
//! are short; another thread writes it.

pub(crate) mod state_writer;

use std::time::Duration;

use crossbeam_channel::Receiver;
use mistake::mistake;
use state::StateError;
use telemetry::event;

use self::state_writer::StateWriter;
use super::connection::Receipt;
use super::pipeline::Pipeline;
use crate::Now;

/// Values are stored this often; the journal has what came since.
pub(super) const STORE_EVERY: Duration = Duration::from_secs(30);
/// Between two snapshots of the plant, this many times what one takes goes by, so that storing
/// takes a small part of the time while births go on …
const STORE_SHARE: u32 = 10;
/// … but not more than this: receipts of births wait for it, and a broker has few messages in
/// flight.
const LONGEST_HOLD: Duration = Duration::from_secs(1);
/// Pause after a disk that refused.
const ERROR_PAUSE: Duration = Duration::from_secs(5);
/// Bytes that one turn makes of nodes, at least one node: some 1 ms.
const BYTES_PER_TURN: usize = 64 * 1024;

/// Where storing stands.
#[derive(Debug)]
pub(super) struct Storing {
    state_writer: StateWriter,
    under_way: Option<UnderWay>,
    /// Births or deaths came that no snapshot has.
    owed: bool,
    /// A snapshot is wanted soon, and no receipt waits for it: a segment began.
    wanted: bool,
    /// Receipts of messages that are journalled and, if it is owed, stored.
    ready: Vec<Receipt>,
    /// Of those that came since the snapshot under way began; these are only journalled.
    receipts: Vec<Receipt>,
    next: Duration,
    trouble: bool,
}

/// A snapshot that isn't written yet.
#[derive(Debug)]
struct UnderWay {
    began: Duration,
    /// Every node has been taken.
    complete: bool,
    /// Receipts of messages that it has.
    receipts: Vec<Receipt>,
}

impl Storing {
    pub(super) fn new(state_writer: StateWriter, now: Duration) -> Storing {
        Storing {
            state_writer,
            under_way: None,
            owed: false,
            wanted: false,
            ready: Vec::new(),
            receipts: Vec::new(),
            next: now,
            trouble: false,
        }
    }

    /// Takes note of what was journalled: whether births or deaths were among it, and the receipts.
    pub(super) fn journalled(&mut self, structure_changed: bool, receipts: &mut Vec<Receipt>) {
        self.owed |= structure_changed;
        self.receipts.append(receipts);
    }

    /// Has a snapshot taken soon, whatever was journalled.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    /// The broker delivers again what is unacknowledged.
    pub(super) fn forget_receipts(&mut self) {
        self.ready.clear();
        self.receipts.clear();
        if let Some(under_way) = &mut self.under_way {
            under_way.receipts.clear();
        }
    }

    /// When [`Storing::tick`] has something to do; `None`: nothing is owed.
    pub(super) fn due(&self) -> Option<Duration> {
        match &self.under_way {
            Some(under_way) if under_way.complete || !self.state_writer.has_room() => None,
            Some(_) => Some(Duration::ZERO),
            None => (self.owed || self.wanted).then_some(self.next),
        }
    }

    /// Where the writer reports that the snapshot under way is written, for [`Storing::saved`].
    pub(super) fn saved_by(&self) -> Option<&Receiver<Result<(), StateError>>> {
        self.under_way.as_ref().map(|_| self.state_writer.saved())
    }

    /// Goes on with the snapshot under way, or begins one that is due. `journal_seq` is the number
    /// of the next frame.
    pub(super) fn tick(&mut self, now: Now, pipeline: &mut Pipeline, journal_seq: u64) {
        if let Some(result) = self.saved_by().and_then(|saved| saved.try_recv().ok()) {
            self.saved(now, &result);
        }
        let due = self.next <= now.mono && (self.owed || self.wanted);
        let overdue = self.next.saturating_add(STORE_EVERY) <= now.mono;
        // A stored plant goes by one policy.
        let may = self.under_way.is_none() && !pipeline.is_between_policies();
        if may && (due || overdue) {
            self.begin(now, pipeline, journal_seq);
        }
        if let Some(under_way) = self.under_way.as_mut().filter(|under_way| !under_way.complete)
            && self.state_writer.has_room()
        {
            let part = pipeline.take_snapshot(BYTES_PER_TURN);
            under_way.complete = part.head.is_some();
            self.state_writer.write_part(part);
        }
    }

    fn begin(&mut self, now: Now, pipeline: &mut Pipeline, journal_seq: u64) {
        pipeline.begin_snapshot(journal_seq);
        self.owed = false;
        self.wanted = false;
        let receipts = std::mem::take(&mut self.receipts);
        self.under_way = Some(UnderWay { began: now.mono, complete: false, receipts });
    }

    /// The snapshot under way is written, or couldn't be.
    pub(super) fn saved(&mut self, now: Now, result: &Result<(), StateError>) {
        let Some(UnderWay { began, mut receipts, .. }) = self.under_way.take() else {
            return mistake!("a snapshot was written that nobody took");
        };
        match result {
            Ok(()) => {
                self.ready.append(&mut receipts);
                let took = now.mono.saturating_sub(began);
                let pause = took.saturating_mul(STORE_SHARE).min(LONGEST_HOLD);
                self.next = now.mono.saturating_add(pause);
                if std::mem::take(&mut self.trouble) {
                    event!(DiskOk, what = "plant");
                }
            }
            Err(error) => {
                self.owed = true;
                self.wanted = true;
                // Receipts go out in the order of their messages.
                receipts.append(&mut self.receipts);
                self.receipts = receipts;
                self.next = now.mono.saturating_add(ERROR_PAUSE);
                if !std::mem::replace(&mut self.trouble, true) {
                    event!(DiskError, what = "plant", error = %error);
                }
            }
        }
    }

    /// The receipts that wait for nothing any more, in order.
    pub(super) fn released(&mut self) -> Vec<Receipt> {
        if !self.owed && self.under_way.is_none() {
            self.ready.append(&mut self.receipts);
        }
        std::mem::take(&mut self.ready)
    }

    /// Whether births or deaths came that no written snapshot has.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn owes(&self) -> bool {
        self.owed || self.under_way.is_some()
    }

    /// The thread that writes.
    pub(super) fn state_writer(&self) -> &StateWriter {
        &self.state_writer
    }

    /// Stores everything as it is now, however long that takes; the receipts that wait for nothing
    /// any more.
    pub(super) fn finish(
        mut self,
        now: Now,
        pipeline: &mut Pipeline,
        journal_seq: u64,
    ) -> Vec<Receipt> {
        if let Some(mut under_way) = self.under_way.take() {
            if !under_way.complete {
                self.take_all(pipeline);
            }
            under_way.receipts.append(&mut self.receipts);
            self.receipts = under_way.receipts;
        }
        let mut receipts = std::mem::take(&mut self.ready);
        receipts.append(&mut self.receipts);
        self.begin(now, pipeline, journal_seq);
        pipeline.end_snapshots();
        self.take_all(pipeline);
        let Storing { state_writer, trouble, .. } = self;
        match state_writer.finish() {
            Some(Ok(())) => receipts,
            Some(Err(error)) => {
                if !trouble {
                    event!(DiskError, what = "plant", error = %error);
                }
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    fn take_all(&self, pipeline: &mut Pipeline) {
        loop {
            let part = pipeline.take_snapshot(BYTES_PER_TURN);
            let complete = part.head.is_some();
            self.state_writer.write_part(part);
            if complete {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;

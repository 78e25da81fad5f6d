//! Worker that owns pipeline and journal: takes what the session received, in batches, appends,
//! commits, and only then releases the receipts.
//!
//! The order is what the promise "acknowledged is journalled" rests on: push, commit, store the
//! plant (on a thread of its own) if births or deaths were among it, acknowledge. A commit that
//! fails is repeated; until it succeeds nothing is taken from the session and nothing is
//! acknowledged.

mod housekeeping;
mod in_work;
mod receipts;
mod saving;
mod shed;
mod taking;
mod turn;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clock::Clock;
use crossbeam_channel::Receiver;
use journal_format::Body;
use journal_write::JournalError;
use signature::Signed;
use state::{Marks, StateDir, StateError, Stored};
use telemetry::event;
use tokio::sync::mpsc::UnboundedSender;

use self::receipts::Window;
use super::connection::{Delivered, Receipt};
use super::entry::{Entry, Journal};
use super::handoff::{Shared, Work};
use super::pipeline::{Pipeline, Received};
use super::plant::StoredPlant;
use super::rule_counters::RuleCounts;
use super::status_reporter::{Seen, StatusReporter};
use super::storing::Storing;
use super::storing::state_writer::{PLANT, StateWriter};
use crate::{Loaded, Now};

/// Messages of one batch: one commit, and one wake-up of the network for its receipts.
const BATCH_MESSAGES: usize = 1_024;
/// Bytes of messages in a batch: what a message takes goes by its bytes, and signs of life and saving
/// wait for the batch.
const BATCH_BYTES: usize = 512 * 1024;
/// Bytes for the journal above which a batch is committed before its end.
pub(super) const PENDING_BYTES: usize = 16 * 1024 * 1024;
/// Entries for which there is always room.
const ENTRIES: usize = 1_024;
/// Timers of the pipeline.
const TICK_EVERY: Duration = Duration::from_millis(100);
/// Pauses while the journal refuses.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// What the worker needs besides pipeline and journal.
#[derive(Debug)]
pub(super) struct WorkerSettings {
    pub(super) relay_name: String,
    pub(super) keyframe_every: Duration,
    /// What the policy's signatures say, where they are required.
    pub(super) signed: Option<Signed>,
}

/// The worker.
pub(super) struct Worker {
    settings: WorkerSettings,
    pipeline: Pipeline,
    writer: Journal,
    storing: Storing,
    marks: Marks,
    work: Receiver<Work>,
    receipts: UnboundedSender<Vec<Receipt>>,
    shared: Arc<Shared>,
    clock: Clock,
    /// Receipts of what isn't journalled.
    unreleased: Vec<Receipt>,
    /// Receipts that wait for messages which wait for their turn, with the numbers of their own.
    waiting: VecDeque<(u64, Receipt)>,
    /// When the broker sent something that wants a receipt last.
    last_assured: Duration,
    /// Receipts wait for messages which wait for their turn.
    waits: bool,
    window: Window,
    next_counts: Duration,
    next_decisions: Duration,
    next_tick: Duration,
    next_retain: Duration,
    /// The frame with which the policy became tighter last; 0: none.
    tightened_seq: u64,
    /// The time by whose windows what is handled is judged.
    windows_at: Now,
    started: Now,
    /// Not before then, after an error.
    next_segment: Duration,
    status_reporter: Option<StatusReporter>,
    segment_trouble: bool,
    near_limit: bool,
    /// Births or deaths came that admission doesn't know of.
    births_changed: bool,
    /// A policy that waits until all nodes have heard earlier news.
    next_policy: Option<Box<Loaded>>,
    /// Not every node is in the segment that is written.
    head_open: bool,
}

impl Worker {
    /// Loads the stored plant, brings it up to date from the journal, and begins a segment.
    ///
    /// # Errors
    /// State or journal can't be read or written.
    #[expect(clippy::too_many_arguments, reason = "called once, by `run`")]
    pub(super) fn new(
        settings: WorkerSettings,
        make_pipeline: impl FnOnce(Now) -> Pipeline,
        writer: Journal,
        (state, make_writer): (StateDir, impl FnOnce(StateDir) -> io::Result<StateWriter>),
        work: Receiver<Work>,
        receipts: UnboundedSender<Vec<Receipt>>,
        shared: Arc<Shared>,
        clock: Clock,
    ) -> Result<Worker, WorkerError> {
        let now = clock.now();
        let marks = Marks::new(state.in_work()?);
        if !in_work::begin_stored(&marks) {
            let moved_to = state.set_aside(PLANT)?;
            let kept = moved_to.map_or_else(String::new, |path| path.display().to_string());
            event!(SetAside, topic = "", bytes = 0, kept);
        }
        let stored = match state.load::<StoredPlant>(PLANT)? {
            Stored::Found(stored) => stored,
            Stored::Absent => StoredPlant::default(),
            Stored::Damaged { moved_to } => {
                let moved_to = moved_to.display();
                event!(StateDamaged, what = "plant", why = "damaged", moved_to = %moved_to);
                StoredPlant::default()
            }
        };
        let wanted = (stored.journal_seq > 0).then_some(stored.journal_seq);
        let mut replay = writer.replay(wanted);
        let mut later = Vec::new();
        let (mut first_replayed, mut next) = (None, None);
        let mut is_whole = true;
        // What the journal was written by until now.
        let mut former = None;
        while let Some(frame) = replay.next()? {
            first_replayed.get_or_insert(frame.seq);
            is_whole &= next.is_none_or(|next| next == frame.seq);
            next = Some(frame.seq.saturating_add(1));
            if let Some(Body::Start(start)) = &frame.body {
                former = Some((start.policy_digest.clone(), start.tightened_seq));
            }
            if frame.seq >= stored.journal_seq && frame.body.is_some() {
                later.push(frame);
            }
        }
        // Births may have come in what can't be read any more: aliases of the stored plant could
        // mean other metrics by now.
        let is_too_old = first_replayed.is_some_and(|first| first > stored.journal_seq);
        let stored = match stored.journal_seq {
            0 => stored,
            _ if is_too_old || !is_whole => {
                let why = if is_too_old { "too old for the journal" } else { "journal damaged" };
                event!(StateDamaged, what = "plant", why);
                StoredPlant::default()
            }
            _ => stored,
        };
        let mut pipeline = make_pipeline(now);
        pipeline.set_guard(in_work::guard(marks.clone()));
        let mut out = Vec::new();
        let later = later.into_iter().filter_map(|frame| in_work::replayed(&marks, frame, clock));
        pipeline.restore(now, stored, later, &mut out);
        let mut worker = Worker {
            settings,
            pipeline,
            writer,
            marks,
            storing: Storing::new(make_writer(state)?, now.mono),
            work,
            receipts,
            shared,
            clock,
            unreleased: Vec::new(),
            waiting: VecDeque::new(),
            last_assured: now.mono,
            waits: false,
            window: Window::default(),
            next_counts: now.mono,
            next_decisions: now.mono,
            next_tick: now.mono,
            next_retain: now.mono,
            tightened_seq: 0,
            windows_at: now,
            started: now,
            next_segment: now.mono,
            status_reporter: None,
            segment_trouble: false,
            near_limit: false,
            births_changed: true,
            next_policy: None,
            head_open: false,
        };
        worker.tightened_seq = match former {
            Some((digest, seq)) if digest == worker.pipeline.policy().digest() => seq,
            // Whether another policy lets all cross that the one before did, nobody knows any more.
            Some(_) => worker.writer.next_seq(),
            None if next.is_none() => 0,
            None => worker.writer.next_seq(),
        };
        // Until the plant is stored, the next start reads this run's frames too.
        worker.begin_segment(now)?;
        worker.pipeline.drop_unshown(now, &mut out);
        worker.work_done();
        let _ = worker.push(now, &mut out);
        worker.writer.commit()?;
        Ok(worker)
    }

    /// Lets people see how it is.
    pub(super) fn with_status_reporter(mut self, status_reporter: StatusReporter) -> Worker {
        self.pipeline.set_breath(status_reporter.breath());
        self.status_reporter = Some(status_reporter);
        self
    }

    /// Runs until [`Work::Stop`].
    pub(super) fn run(mut self) {
        let _ = self.shared.worker.set(std::thread::current());
        let mut batch = VecDeque::new();
        let mut out = Vec::new();
        let mut stop = false;
        loop {
            if !stop && batch.is_empty() {
                stop = self.take(&mut batch);
            }
            let now = self.clock.now();
            if !self.work_off(now, &mut batch, stop, &mut out) || !self.commit() {
                return;
            }
            self.journalled();
            if stop && batch.is_empty() {
                self.finish(now);
                return;
            }
            self.settle(now);
        }
    }

    /// Everything so far is committed.
    fn journalled(&mut self) {
        self.release_waiting();
        let structure_changed = self.pipeline.take_structure_changed();
        self.births_changed |= structure_changed;
        self.storing.journalled(structure_changed, &mut self.unreleased);
    }

    /// What follows a commit: the plant is stored, receipts are released, people are shown how it
    /// is, segments end.
    fn settle(&mut self, now: Now) {
        self.store(now);
        self.show(now, false);
        self.keep_house(now);
    }

    fn handle(&mut self, now: Now, work: Work, out: &mut Vec<Entry>) {
        match work {
            Work::Connected { present } => self.pipeline.session(now, present),
            Work::Lost => {
                // The broker delivers again what is unacknowledged.
                self.unreleased.clear();
                self.waiting.clear();
                self.storing.forget_receipts();
                self.pipeline.disconnected(now);
            }
            Work::Policy(loaded) => {
                self.next_policy = Some(loaded);
                self.take_policy(now, out);
            }
            Work::PolicyRefused(refused) => {
                if let Some(status_reporter) = &mut self.status_reporter {
                    status_reporter.reload_refused(*refused);
                }
            }
            Work::Subscribed(subscribed) => {
                if let Some(status_reporter) = &mut self.status_reporter {
                    status_reporter.session_subscribed(subscribed);
                }
            }
            Work::WatchdogRequest => {
                if let Some(status_reporter) = &mut self.status_reporter {
                    status_reporter.watchdog_requested();
                }
            }
            Work::Messages { .. } | Work::Stop => {}
        }
    }

    /// Shows people and the service manager how it is.
    fn show(&mut self, now: Now, refuses: bool) {
        let Some(status_reporter) = &mut self.status_reporter else { return };
        if refuses {
            status_reporter.refused();
        } else {
            status_reporter.feed();
        }
        let surroundings = status_reporter.tick(&Seen {
            now,
            pipeline: &self.pipeline,
            writer: &self.writer,
            shared: &self.shared,
            refuses,
        });
        if let Some(surroundings) = surroundings {
            self.pipeline.set_surroundings(surroundings);
        }
    }

    /// Stores the plant for good, and shows how it was.
    fn finish(mut self, now: Now) {
        self.storing.state_writer().save_rule_counts(RuleCounts::of(&self.pipeline, now.wall_ms));
        let released = self.storing.finish(now, &mut self.pipeline, self.writer.next_seq());
        if !released.is_empty() {
            // The network is gone only when the process ends.
            let _ = self.receipts.send(released);
        }
        let Some(status_reporter) = &mut self.status_reporter else { return };
        status_reporter.feed();
        status_reporter.finish(&Seen {
            now,
            pipeline: &self.pipeline,
            writer: &self.writer,
            shared: &self.shared,
            refuses: false,
        });
    }

    fn handle_message(&mut self, now: Now, delivered: Delivered, out: &mut Vec<Entry>) {
        let bytes = delivered.bytes();
        // A topic that isn't UTF-8 is none of ours; it is counted as such.
        let topic = std::str::from_utf8(&delivered.topic).unwrap_or_default();
        let received = Received {
            topic,
            payload: &delivered.payload,
            retain: delivered.retain,
            dup: delivered.dup,
            assured: delivered.receipt.is_some(),
        };
        match delivered.unread {
            _ if delivered.of_other_shard => self.pipeline.leave_to_other_shard(),
            Some(reason) => self.pipeline.unread(topic, delivered.retain, reason),
            None => self.pipeline.handle(now, received, out),
        }
        if delivered.receipt.is_some() {
            self.assured(now.mono);
        }
        self.taken(bytes, delivered.receipt);
    }

    /// A message of so many bytes left the way to here.
    fn taken(&mut self, bytes: usize, receipt: Option<Receipt>) {
        self.take_receipts(receipt);
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.shared.taken.fetch_add(1, Ordering::Relaxed);
    }

    /// Appends what came of something; false if there is no more time to write it.
    fn push(&mut self, now: Now, entries: &mut Vec<Entry>) -> bool {
        for entry in entries.drain(..) {
            let before = self.writer.pending_bytes();
            if let Err(error) = self.writer.append(now.wall_ms, entry) {
                // Larger than any frame may be. Data is lost alone; without a birth, readers
                // refuse the data that follows.
                event!(FrameTooLarge, error = %error);
            }
            if self.head_open {
                let bytes = self.writer.pending_bytes().saturating_sub(before);
                self.writer.count_to_head(bytes);
            }
            // Births of all nodes may come of one message, and a name of each alias.
            if self.writer.pending_bytes() > PENDING_BYTES {
                // The disk may refuse for long: a kill then isn't the message's fault.
                self.work_done();
                if !self.commit() {
                    return false;
                }
            }
        }
        self.head_open &= self.pipeline.has_news();
        // What births of all nodes took isn't kept.
        entries.shrink_to(ENTRIES);
        true
    }

    /// Commits, for as long as it takes; false if there is no more time.
    fn commit(&mut self) -> bool {
        let mut pause = FIRST_PAUSE;
        let mut trouble = false;
        loop {
            match self.writer.commit() {
                Ok(()) => {
                    if trouble {
                        event!(DiskOk, what = "journal");
                    }
                    return true;
                }
                Err(error) => {
                    if !std::mem::replace(&mut trouble, true) {
                        event!(DiskError, what = "journal", error = %error);
                    }
                }
            }
            if self.shared.give_up.load(Ordering::Relaxed) {
                return false;
            }
            self.show(self.clock.now(), true);
            std::thread::sleep(pause);
            pause = pause.saturating_mul(2).min(LAST_PAUSE);
        }
    }
}

/// Why the worker can't start.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No thread can be had.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

#[cfg(any(test, feature = "testing"))]
pub(crate) mod by_hand;
#[cfg(test)]
mod tests;

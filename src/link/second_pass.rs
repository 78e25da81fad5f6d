//! The second pass: what was sent is sent again, later, with what bandwidth is left. It decides what
//! and when; the driver reads the frames from the journal again.
//!
//! ```text
//!  sent ──> runs of numbers, with their time ──> due after `after`, skipped when older than `window`
//!  resend (the operator's, or after a restart) ──> due at once, when none of these is
//!  what went again ──> due once more, each two times `after`, when nothing else is
//! ```
//!
//! Each frame goes once more, when it is `after` old: an outage that took it the first time has ended
//! by then, if it was shorter. Where the share doesn't keep up, what got too old is skipped and
//! counted, so that what goes again is never older than the window. Where the share has more to give,
//! frames go again until the window ends: what takes a frame twice (a receiver that is killed now and
//! then) hardly takes it each time.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use crate::pacing::Bucket;

/// Frames of a run: what a driver reads again at once.
const RUN_FRAMES: u64 = 64;
/// Bytes of a run.
const RUN_BYTES: u64 = 64 << 10;
/// A run is no longer than this, so that its time says enough.
const RUN_TIME: Duration = Duration::from_millis(100);
/// Runs that are remembered, whatever the window is: 2 MiB of them.
const MAX_RUNS: usize = 65_536;
/// Stretches that an operator may have waiting.
const MAX_STRETCHES: usize = 64;
/// What the share may use at once after a pause.
const BURST: Duration = Duration::from_millis(50);

/// How much goes again, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondPassOptions {
    /// Of the link's bytes per second; 0: nothing goes again but what an operator asks for, which
    /// then has one percent.
    pub share_percent: u32,
    /// Age at which a frame goes again.
    pub after: Duration,
    /// Age above which it doesn't any more.
    pub window: Duration,
    /// Bytes of frames that may wait.
    pub window_bytes: u64,
}

impl Default for SecondPassOptions {
    fn default() -> SecondPassOptions {
        SecondPassOptions {
            share_percent: 20,
            after: Duration::from_secs(15),
            window: Duration::from_secs(100),
            window_bytes: 4 << 30,
        }
    }
}

/// Frames that were sent one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    numbers: Range<u64>,
    bytes: u64,
    sent: Duration,
    due: Duration,
}

/// What was sent and has to go again.
#[derive(Debug)]
pub(crate) struct SecondPass {
    options: SecondPassOptions,
    runs: VecDeque<Run>,
    /// Those that went again, and may once more.
    repeated: VecDeque<Run>,
    run_bytes: u64,
    stretches: VecDeque<Range<u64>>,
    share: Bucket,
    /// What the driver reads at the moment.
    reading: bool,
    skipped: u64,
}

/// More stretches than may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MAX_STRETCHES} stretches wait to be sent again already")]
pub struct TooManyStretches;

impl SecondPass {
    pub(crate) fn new(options: SecondPassOptions, bytes_per_s: u64) -> SecondPass {
        let percent = u64::from(options.share_percent.clamp(1, 100));
        let share = bytes_per_s.saturating_mul(percent).checked_div(100).unwrap_or(0);
        SecondPass {
            options,
            runs: VecDeque::new(),
            repeated: VecDeque::new(),
            run_bytes: 0,
            stretches: VecDeque::new(),
            share: Bucket::new(share, BURST),
            reading: false,
            skipped: 0,
        }
    }

    /// A frame was sent for the first time.
    pub(crate) fn sent(&mut self, now: Duration, number: u64, bytes: usize) {
        if self.options.share_percent == 0 {
            return;
        }
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let end = number.saturating_add(1);
        self.run_bytes = self.run_bytes.saturating_add(bytes);
        if let Some(run) = self.runs.back_mut() {
            let frames = run.numbers.end.saturating_sub(run.numbers.start);
            let goes_on = run.numbers.end == number
                && frames < RUN_FRAMES
                && run.bytes < RUN_BYTES
                && now.saturating_sub(run.sent) < RUN_TIME;
            if goes_on {
                run.numbers.end = end;
                run.bytes = run.bytes.saturating_add(bytes);
                return self.bound();
            }
        }
        let due = now.saturating_add(self.options.after);
        self.runs.push_back(Run { numbers: number..end, bytes, sent: now, due });
        self.bound();
    }

    fn bound(&mut self) {
        let count = |pass: &SecondPass| pass.runs.len().saturating_add(pass.repeated.len());
        while self.run_bytes > self.options.window_bytes || count(self) > MAX_RUNS {
            // What went again is given up first.
            let is_repeated = self.forget_first();
            if !is_repeated && !self.skip_first() {
                return;
            }
        }
    }

    fn forget_first(&mut self) -> bool {
        let Some(run) = self.repeated.pop_front() else { return false };
        self.run_bytes = self.run_bytes.saturating_sub(run.bytes);
        true
    }

    fn skip_first(&mut self) -> bool {
        let Some(run) = self.runs.pop_front() else { return false };
        self.run_bytes = self.run_bytes.saturating_sub(run.bytes);
        let frames = run.numbers.end.saturating_sub(run.numbers.start);
        self.skipped = self.skipped.saturating_add(frames);
        true
    }

    /// Frames that were too old, or too many, to go again.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// These go again too, when there is room.
    pub(crate) fn resend(&mut self, numbers: Range<u64>) -> Result<(), TooManyStretches> {
        if self.stretches.len() >= MAX_STRETCHES {
            return Err(TooManyStretches);
        }
        if !numbers.is_empty() {
            self.stretches.push_back(numbers);
        }
        Ok(())
    }

    /// What of those wasn't polled yet.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.stretches.iter().cloned()
    }

    /// The lowest number that is to go again.
    pub(crate) fn lowest(&self) -> Option<u64> {
        let runs = self.runs.iter().chain(&self.repeated).map(|run| run.numbers.start);
        runs.chain(self.stretches.iter().map(|stretch| stretch.start)).min()
    }

    /// When the next numbers are due, if any are.
    pub(crate) fn due_at(&self) -> Option<Duration> {
        if self.reading {
            return None;
        }
        let due = |runs: &VecDeque<Run>| runs.front().map(|run| run.due);
        let stretch = (!self.stretches.is_empty()).then_some(Duration::ZERO);
        let first = [due(&self.runs), stretch, due(&self.repeated)].into_iter().flatten().min()?;
        Some(first.max(self.share.ready_at()))
    }

    /// Numbers to be read and sent again now. Until [`done`](Self::done), there are no others.
    pub(crate) fn poll(&mut self, now: Duration) -> Option<Range<u64>> {
        let options = self.options;
        let too_old = |run: &Run| run.sent.saturating_add(options.window) < now;
        while self.runs.front().is_some_and(too_old) {
            self.skip_first();
        }
        while self.repeated.front().is_some_and(too_old) {
            self.forget_first();
        }
        if self.due_at()? > now {
            return None;
        }
        self.reading = true;
        let is_due = |run: &Run| run.due <= now;
        if self.runs.front().is_some_and(is_due) {
            let run = self.runs.pop_front()?;
            return Some(self.repeat(now, run));
        }
        if let Some(stretch) = self.stretches.front_mut() {
            let begin = stretch.start;
            let end = begin.saturating_add(RUN_FRAMES).min(stretch.end);
            stretch.start = end;
            if stretch.is_empty() {
                self.stretches.pop_front();
            }
            return Some(begin..end);
        }
        let run = self.repeated.pop_front()?;
        Some(self.repeat(now, run))
    }

    /// The numbers of a run, which goes once more later, if it isn't too old then.
    fn repeat(&mut self, now: Duration, run: Run) -> Range<u64> {
        let numbers = run.numbers.clone();
        let due = now.saturating_add(self.options.after.saturating_mul(2));
        if due <= run.sent.saturating_add(self.options.window) {
            self.repeated.push_back(Run { due, ..run });
        } else {
            self.run_bytes = self.run_bytes.saturating_sub(run.bytes);
        }
        numbers
    }

    /// What was polled is through.
    pub(crate) fn done(&mut self) {
        self.reading = false;
    }

    /// A datagram of it went.
    pub(crate) fn took(&mut self, now: Duration, bytes: usize) {
        self.share.take(now, u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// When a datagram of it may go.
    pub(crate) fn ready_at(&self) -> Duration {
        self.share.ready_at()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.runs.is_empty()
            && self.repeated.is_empty()
            && self.stretches.is_empty()
            && !self.reading
    }
}

#[cfg(test)]
mod tests;

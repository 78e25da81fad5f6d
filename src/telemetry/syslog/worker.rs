//! Worker that takes lines from one queue to one target: connects, and connects again with
//! growing pauses; sends again what a broken connection may have swallowed; reports what was lost
//! once the target is back.
//!
//! What was written to a stream is somewhere between here and the server's program, and no
//! protocol of syslog says where. But a server that has read everything ends a connection whose
//! other side has ended, and its kernel turns that end into a reset if anything was left unread.
//! So the worker ends a connection now and then, waits for that answer and connects anew: what
//! was written before is then known to be read. What isn't known to be read is kept, all of it,
//! and sent again after a break. Nothing gets lost on a stream without being counted.
//!
//! ```text
//!            queue ──> pending ──> written ──> read by the server ──> forgotten a little later
//!  full: counted as lost   ^──────────┴────────────────┘
//!                                 the connection breaks
//! ```

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::steady;
use crossbeam_channel::{Receiver, TryRecvError, select};
use mistake::mistake;
use text::format_utc;

use super::Target;
use super::carrier::{Carrier, explain};
use super::line::{Identity, Lines, Numbered};
use super::queue::{Lost, Queue, Queued, Waiting};
use super::transport::carrier;
use crate::event;
use crate::event::Event;
use crate::record::Record;

/// How often an idle connection is looked at.
const IDLE: Duration = Duration::from_secs(1);
/// What may be unread at most this long before the server is asked, by the end of the connection.
/// It is also how soon a server that hangs is noticed that is sent very little.
const ASK_AFTER: Duration = Duration::from_secs(300);
/// Lines that may be unread before the server is asked: some megabytes of memory at most.
const UNREAD_LINES: usize = 4_096;
/// How long the server may take for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked for the answer, so that a stop is seen.
const ANSWER_STEP: Duration = Duration::from_millis(100);
/// Silence to this many questions, by a server that has never answered, means that it never will.
const MAX_SILENCES: u32 = 3;
/// What the server has read may still be in its memory, and die with it. So it is kept this long
/// after that, and sent again if the connection breaks; receivers see that by `resent`.
const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// Of a server that doesn't answer, what was written this long ago is taken for read.
const PRESUMED_AFTER: Duration = Duration::from_secs(120);
/// A connection that held for this long was none that only seemed to be one.
const HELD: Duration = Duration::from_secs(60);
/// A loss is reported when the queue is empty, so that its line has its place among the others. While
/// lines come without a pause, it is reported after this time all the same.
const REPORT_LOSS_AFTER: Duration = Duration::from_secs(5);

/// Emits a record to the other outputs.
pub type EmitToOthers = Box<dyn Fn(&Arc<Record>) + Send>;

/// What a target didn't get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortfall {
    /// Lines that were never sent.
    pub lost: u64,
    /// Lines that were sent, of which nobody knows whether the server has read them.
    pub unconfirmed: u64,
}

/// The worker of one target.
pub struct Worker {
    name: String,
    carrier: Box<dyn Carrier>,
    waiting: Waiting,
    stop: Receiver<()>,
    emit_to_others: EmitToOthers,
    /// To be sent next, before anything from the queue, and whether it was sent before.
    pending: VecDeque<(Queued, bool)>,
    /// Written to a stream, and not known to be read. At most [`Limits::unread_lines`].
    written: VecDeque<(Instant, Queued)>,
    /// Known to be read since then. Bounded as `written` is.
    read: VecDeque<(Instant, Queued)>,
    link: Link,
    /// When the connection was made, and breaks since the last one that held.
    up_since: Option<Instant>,
    breaks: u32,
    answers: Answers,
    /// Once the stop has come, everything is to be over by then.
    end_by: Option<Instant>,
    limits: Limits,
    /// When it was seen that something is lost that isn't reported yet.
    loss_seen: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    first_pause: Duration,
    last_pause: Duration,
    unread_lines: usize,
    ask_after: Duration,
    answer_within: Duration,
    settled_after: Duration,
}

const LIMITS: Limits = Limits {
    first_pause: Duration::from_millis(500),
    last_pause: Duration::from_secs(30),
    unread_lines: UNREAD_LINES,
    ask_after: ASK_AFTER,
    answer_within: ANSWER_WITHIN,
    settled_after: SETTLED_AFTER,
};

#[derive(Clone, Copy, Debug)]
enum Link {
    Up,
    /// The server is asked whether it has read everything.
    Asking {
        until: Option<Instant>,
    },
    Down {
        attempts: u32,
        not_before: Option<Instant>,
        reported: Reported,
    },
}

/// What was reported of a target that there is no connection to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reported {
    Nothing,
    Down,
    /// The connection was ended by us, and is made anew without a word.
    Up,
}

/// Whether a server ends a connection when it has read everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// So many questions had no answer.
    Unknown(u32),
    Yes,
    No,
}

impl Worker {
    /// A queue for `target`, and the worker behind it. It ends when the other end of `stop` is
    /// dropped, at the latest `stop_within` after that.
    pub fn new(
        target: &Target,
        identity: &Identity,
        stop: Receiver<()>,
        emit_to_others: EmitToOthers,
    ) -> (Queue, Worker) {
        let (queue, waiting) = Queue::bounded(target.queue_lines);
        let carrier = carrier(target, Lines::new(target, identity));
        (queue, Worker::with_carrier(target.name.clone(), carrier, waiting, stop, emit_to_others))
    }

    pub(super) fn with_carrier(
        name: String,
        carrier: Box<dyn Carrier>,
        waiting: Waiting,
        stop: Receiver<()>,
        emit_to_others: EmitToOthers,
    ) -> Worker {
        Worker {
            name,
            carrier,
            waiting,
            stop,
            emit_to_others,
            pending: VecDeque::new(),
            written: VecDeque::new(),
            read: VecDeque::new(),
            link: Link::Down { attempts: 0, not_before: None, reported: Reported::Nothing },
            up_since: None,
            breaks: 0,
            answers: Answers::Unknown(0),
            end_by: None,
            limits: LIMITS,
            loss_seen: None,
        }
    }

    /// Runs until the stop; returns what the target didn't get.
    pub fn run(mut self, stop_within: Duration) -> Shortfall {
        loop {
            self.see_stop(stop_within);
            let over = self.end_by.is_some_and(|by| steady() >= by);
            if over || (self.end_by.is_some() && self.is_done()) {
                break;
            }
            match self.link {
                Link::Down { not_before, .. } => match not_before.map(left) {
                    Some(wait) if !wait.is_zero() => self.pause(wait),
                    _ => self.connect(),
                },
                Link::Up if self.is_question_due() => self.ask(),
                Link::Up => self.work(),
                Link::Asking { until } => self.await_answer(until),
            }
        }
        self.carrier.close();
        let mut shortfall = Shortfall {
            lost: count(self.waiting.receiver.len()).saturating_add(self.waiting.lost_so_far()),
            unconfirmed: count(self.written.len()),
        };
        for (queued, resent) in &self.pending {
            let (lost, unconfirmed) = match (queued.losses, resent) {
                (0, false) => (1, 0),
                (0, true) => (0, 1),
                // The line itself is no loss.
                (losses, _) => (losses, 0),
            };
            shortfall.lost = shortfall.lost.saturating_add(lost);
            shortfall.unconfirmed = shortfall.unconfirmed.saturating_add(unconfirmed);
        }
        shortfall
    }

    fn see_stop(&mut self, stop_within: Duration) {
        if self.end_by.is_none() && self.stop.try_recv() == Err(TryRecvError::Disconnected) {
            self.end_by = steady().checked_add(stop_within);
            // One more attempt, at once.
            if let Link::Down { not_before, .. } = &mut self.link {
                *not_before = None;
            }
        }
    }

    /// Whether there is nothing left to do.
    fn is_done(&self) -> bool {
        self.is_sent() && (self.written.is_empty() || self.answers == Answers::No)
    }

    /// Whether there is nothing left to send.
    fn is_sent(&self) -> bool {
        self.pending.is_empty()
            && self.waiting.receiver.is_empty()
            && self.waiting.lost_so_far() == 0
    }

    /// Waits, but not beyond a stop that comes or is under way.
    fn pause(&self, wait: Duration) {
        match self.end_by {
            // The channel is closed by now and would not wait.
            Some(by) => std::thread::sleep(wait.min(left(by))),
            None => {
                let _ = self.stop.recv_timeout(wait);
            }
        }
    }

    fn connect(&mut self) {
        let Link::Down { attempts, reported, .. } = self.link else {
            return mistake!("a connection is made that is there already");
        };
        match self.carrier.connect() {
            Ok(()) => {
                self.link = Link::Up;
                self.up_since = Some(steady());
                if reported != Reported::Up {
                    event!(LogTargetUp, target = self.name, lost = self.waiting.lost_so_far());
                }
            }
            Err(error) => {
                if reported != Reported::Down {
                    event!(LogTargetDown, target = self.name, error = explain(&error));
                }
                let not_before = self.next_attempt(attempts);
                let attempts = attempts.saturating_add(1);
                self.link = Link::Down { attempts, not_before, reported: Reported::Down };
            }
        }
    }

    /// When to connect after so many vain attempts.
    fn next_attempt(&self, attempts: u32) -> Option<Instant> {
        let factor = 1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX);
        let pause = self.limits.first_pause.saturating_mul(factor).min(self.limits.last_pause);
        steady().checked_add(pause)
    }

    /// Whether it is time to ask the server what it has read: before more is unread than is kept,
    /// now and then, and when everything is sent before the end.
    fn is_question_due(&self) -> bool {
        let Some((since, _)) = self.written.front() else { return false };
        self.answers != Answers::No
            && (self.written.len() >= self.limits.unread_lines
                || since.elapsed() >= self.limits.ask_after
                || (self.end_by.is_some() && self.is_sent()))
    }

    fn ask(&mut self) {
        match self.carrier.end() {
            Ok(()) => {
                let until = steady().checked_add(self.limits.answer_within);
                self.link = Link::Asking { until };
            }
            Err(error) => self.broke(&error),
        }
    }

    fn await_answer(&mut self, until: Option<Instant>) {
        match self.carrier.has_ended(ANSWER_STEP) {
            Ok(true) => {
                self.carrier.close();
                self.answers = Answers::Yes;
                self.breaks = 0;
                let now = steady();
                self.read.extend(self.written.drain(..).map(|(_, queued)| (now, queued)));
                self.forget();
                self.link = Link::Down { attempts: 0, not_before: None, reported: Reported::Up };
            }
            Ok(false) if until.is_some_and(|until| left(until).is_zero()) => self.had_no_answer(),
            Ok(false) => {}
            Err(error) => self.broke(&error),
        }
    }

    /// The server hangs, or is one that never answers.
    fn had_no_answer(&mut self) {
        let error = std::io::Error::new(
            ErrorKind::TimedOut,
            "the server doesn't read what it was sent, or doesn't end a connection when it has",
        );
        let answers = match self.answers {
            Answers::Unknown(silences) if silences.saturating_add(1) >= MAX_SILENCES => {
                event!(LogUnconfirmed, target = self.name, lines = None::<u64>);
                Answers::No
            }
            Answers::Unknown(silences) => Answers::Unknown(silences.saturating_add(1)),
            known => known,
        };
        self.broke(&error);
        self.answers = answers;
    }

    /// Sends one line, or waits for one.
    fn work(&mut self) {
        if self.waiting.lost_so_far() > 0 {
            let seen = *self.loss_seen.get_or_insert_with(steady);
            let idle = self.pending.is_empty() && self.waiting.receiver.is_empty();
            if idle || seen.elapsed() >= REPORT_LOSS_AFTER {
                self.loss_seen = None;
                let line = self.waiting.take_lost().map(|lost| self.loss_line(lost));
                if let Some(line) = line {
                    self.pending.push_front((line, false));
                }
            }
        }
        if self.pending.is_empty() {
            match self.next() {
                Some(queued) => self.pending.push_back((queued, false)),
                None => {
                    if let Err(error) = self.carrier.check() {
                        self.broke(&error);
                    }
                    return;
                }
            }
        }
        let Some((queued, resent)) = self.pending.front() else {
            return mistake!("no line to send after one was put there");
        };
        let line = Numbered { record: &queued.record, sequence: queued.sequence, resent: *resent };
        let sent = self.carrier.check().and_then(|()| self.carrier.send(line));
        match sent {
            Ok(()) => {
                let Some((mut queued, _)) = self.pending.pop_front() else {
                    return mistake!("no line left of the one that was sent");
                };
                if std::mem::take(&mut queued.losses) > 0 {
                    (self.emit_to_others)(&queued.record);
                }
                self.remember(queued);
            }
            Err(error) => {
                if let Some((_, resent)) = self.pending.front_mut() {
                    *resent = self.carrier.is_stream();
                }
                self.broke(&error);
            }
        }
    }

    /// The next line of the queue. Waits a moment for one, but not beyond a stop.
    fn next(&mut self) -> Option<Queued> {
        let queue = &self.waiting.receiver;
        if self.end_by.is_some() {
            // What was queued before the stop is there already.
            return queue.try_recv().ok();
        }
        select! {
            recv(queue) -> queued => {
                if queued.is_err() {
                    // Nobody can say anything any more: the process ends.
                    self.end_by = Some(steady());
                }
                queued.ok()
            }
            recv(self.stop) -> _ => None,
            default(IDLE) => None,
        }
    }

    /// The line that says how many lines the target didn't get.
    fn loss_line(&self, lost: Lost) -> Queued {
        Queued {
            record: Arc::new(loss_record(&self.name, lost)),
            sequence: self.waiting.next_sequence(),
            losses: lost.count,
        }
    }

    /// Keeps what may have to be sent again.
    fn remember(&mut self, queued: Queued) {
        if self.carrier.is_stream() {
            self.written.push_back((steady(), queued));
            self.forget();
        }
    }

    /// Forgets what is past being lost.
    fn forget(&mut self) {
        let settled = |(since, _): &(Instant, Queued)| since.elapsed() >= self.limits.settled_after;
        while self.read.len() > self.limits.unread_lines || self.read.front().is_some_and(settled) {
            self.read.pop_front();
        }
        if self.answers == Answers::No {
            let presumed = |(since, _): &(Instant, Queued)| since.elapsed() > PRESUMED_AFTER;
            while self.written.len() > self.limits.unread_lines
                || self.written.front().is_some_and(presumed)
            {
                self.written.pop_front();
            }
        }
    }

    fn broke(&mut self, error: &std::io::Error) {
        self.forget();
        // In the order in which they were written, before what was to come next.
        let again = self.read.drain(..).chain(self.written.drain(..));
        let rest = std::mem::take(&mut self.pending);
        self.pending = again.map(|(_, queued)| (queued, true)).chain(rest).collect();
        // Whoever is there next may be another.
        if self.answers == Answers::No {
            self.answers = Answers::Unknown(0);
        }
        self.carrier.close();
        event!(LogTargetDown, target = self.name, error = explain(error));
        // A server that hangs takes one connection after the other, and with each what it had.
        let held = self.up_since.take().is_some_and(|since| since.elapsed() >= HELD);
        self.breaks = if held { 0 } else { self.breaks };
        let (attempts, not_before) = (self.breaks, self.next_attempt(self.breaks));
        self.breaks = self.breaks.saturating_add(1);
        self.link = Link::Down { attempts, not_before, reported: Reported::Down };
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn loss_record(name: &str, lost: Lost) -> Record {
    let mut record = Record::new(clock::wall(), Event::LogLost);
    record.add("target", name);
    record.add("lost", &lost.count.to_string());
    record.add("first_at", &format_utc(lost.first));
    record.add("last_at", &format_utc(lost.last));
    record
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(steady())
}

#[cfg(test)]
mod tests;

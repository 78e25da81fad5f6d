//! Worker that takes lines from one queue to one target: connects, and connects again with
//! growing pauses; sends again what a broken connection may have swallowed; tells what was lost
//! once the target is back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError};

use super::Target;
use super::carrier::{Carrier, carrier};
use super::line::{Identity, Lines, Numbered};
use super::queue::{Lost, Queue, Queued, Waiting};
use crate::event;
use crate::telemetry::event::Event;
use crate::telemetry::record::Record;
use crate::telemetry::timestamp::format_utc;

/// Pauses between attempts to connect: they double.
const PAUSES: Pauses = Pauses { first: Duration::from_millis(500), last: Duration::from_secs(30) };
/// How often an idle connection is looked at.
const IDLE: Duration = Duration::from_secs(1);
/// What was written to a stream within this time may be unread by the server when it dies, and is
/// sent again; receivers see that by `resent`. A server that reads at all reads within that time.
const RESEND_WITHIN: Duration = Duration::from_secs(120);
/// Lines of it that are kept: more than the buffers of both kernels hold.
const RESEND_LINES: usize = 4_096;
/// A loss is told when the queue is empty, so that its line has its place among the others. While
/// lines come without a pause, it is told after this time all the same.
const TELL_LOSS_AFTER: Duration = Duration::from_secs(5);

/// Tells the other outputs.
pub type TellOthers = Box<dyn Fn(&Arc<Record>) + Send>;

/// The worker of one target.
pub struct Worker {
    name: String,
    carrier: Box<dyn Carrier>,
    waiting: Waiting,
    stop: Receiver<()>,
    tell_others: TellOthers,
    /// To be sent next, before anything from the queue, and whether it was sent before.
    pending: VecDeque<(Queued, bool)>,
    /// Written lately to a stream.
    written: VecDeque<(Instant, Queued)>,
    link: Link,
    /// Once the stop has come, everything is to be over by then.
    end_by: Option<Instant>,
    pauses: Pauses,
    /// When it was seen that something is lost that isn't told yet.
    loss_seen: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Pauses {
    first: Duration,
    last: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Link {
    Up,
    /// `told`: people were told that it is down.
    Down {
        attempts: u32,
        not_before: Option<Instant>,
        told: bool,
    },
}

impl Worker {
    /// A queue for `target`, and the worker behind it. It ends when the other end of `stop` is
    /// dropped, at the latest `stop_within` after that.
    pub fn new(
        target: &Target,
        identity: &Identity,
        stop: Receiver<()>,
        tell_others: TellOthers,
    ) -> (Queue, Worker) {
        let (queue, waiting) = Queue::bounded(target.queue_lines);
        let carrier = carrier(target, Lines::new(target, identity));
        (queue, Worker::with_carrier(target.name.clone(), carrier, waiting, stop, tell_others))
    }

    pub(super) fn with_carrier(
        name: String,
        carrier: Box<dyn Carrier>,
        waiting: Waiting,
        stop: Receiver<()>,
        tell_others: TellOthers,
    ) -> Worker {
        Worker {
            name,
            carrier,
            waiting,
            stop,
            tell_others,
            pending: VecDeque::new(),
            written: VecDeque::new(),
            link: Link::Down { attempts: 0, not_before: None, told: false },
            end_by: None,
            pauses: PAUSES,
            loss_seen: None,
        }
    }

    /// Runs until the stop; returns how many lines the target didn't get.
    pub fn run(mut self, stop_within: Duration) -> u64 {
        loop {
            self.see_stop(stop_within);
            let over = self.end_by.is_some_and(|by| now() >= by);
            if over || (self.end_by.is_some() && self.is_done()) {
                break;
            }
            match self.link {
                Link::Down { not_before, .. } => match not_before.map(left) {
                    Some(wait) if !wait.is_zero() => self.pause(wait),
                    _ => self.connect(),
                },
                Link::Up => self.work(),
            }
        }
        self.carrier.close();
        let waiting = self.pending.len().saturating_add(self.waiting.receiver.len());
        u64::try_from(waiting).unwrap_or(u64::MAX).saturating_add(self.waiting.lost_so_far())
    }

    fn see_stop(&mut self, stop_within: Duration) {
        if self.end_by.is_none() && self.stop.try_recv() == Err(TryRecvError::Disconnected) {
            self.end_by = now().checked_add(stop_within);
            // One more attempt, at once.
            if let Link::Down { not_before, .. } = &mut self.link {
                *not_before = None;
            }
        }
    }

    /// Whether there is nothing left to send.
    fn is_done(&self) -> bool {
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
        let Link::Down { attempts, told, .. } = self.link else { return };
        match self.carrier.connect() {
            Ok(()) => {
                self.link = Link::Up;
                event!(LogTargetUp, target = self.name, lost = self.waiting.lost_so_far());
            }
            Err(error) => {
                if !told {
                    event!(LogTargetDown, target = self.name, error = %error);
                }
                let factor = 1_u32.checked_shl(attempts.min(16)).unwrap_or(u32::MAX);
                let pause = self.pauses.first.saturating_mul(factor).min(self.pauses.last);
                self.link = Link::Down {
                    attempts: attempts.saturating_add(1),
                    not_before: now().checked_add(pause),
                    told: true,
                };
            }
        }
    }

    /// Sends one line, or waits for one.
    fn work(&mut self) {
        if self.waiting.lost_so_far() > 0 {
            let seen = *self.loss_seen.get_or_insert_with(now);
            let idle = self.pending.is_empty() && self.waiting.receiver.is_empty();
            if idle || seen.elapsed() >= TELL_LOSS_AFTER {
                return self.tell_loss();
            }
        }
        if self.pending.is_empty() {
            match self.waiting.receiver.recv_timeout(self.idle()) {
                Ok(queued) => self.pending.push_back((queued, false)),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.carrier.check() {
                        self.broke(&error);
                    }
                    return;
                }
                // Nobody can say anything any more: the process ends.
                Err(RecvTimeoutError::Disconnected) => {
                    self.end_by = Some(now());
                    return;
                }
            }
        }
        let Some((queued, resent)) = self.pending.front() else { return };
        let line = Numbered { record: &queued.record, sequence: queued.sequence, resent: *resent };
        let sent = self.carrier.check().and_then(|()| self.carrier.send(line));
        match sent {
            Ok(()) => {
                let sent = self.pending.pop_front();
                self.remember(sent.map(|(queued, _)| queued));
            }
            Err(error) => {
                if let Some((_, resent)) = self.pending.front_mut() {
                    *resent = self.carrier.is_stream();
                }
                self.broke(&error);
            }
        }
    }

    /// How long to wait for a line.
    fn idle(&self) -> Duration {
        // What was queued before a stop is there already.
        if self.end_by.is_some() { Duration::ZERO } else { IDLE }
    }

    /// Tells the target, and the others, how many lines it didn't get.
    fn tell_loss(&mut self) {
        let Some(lost) = self.waiting.take_lost() else { return };
        let record = Arc::new(loss_record(&self.name, lost));
        let queued = Queued { record, sequence: self.waiting.next_sequence() };
        let line = Numbered { record: &queued.record, sequence: queued.sequence, resent: false };
        match self.carrier.check().and_then(|()| self.carrier.send(line)) {
            Ok(()) => {
                self.loss_seen = None;
                (self.tell_others)(&queued.record);
                self.remember(Some(queued));
            }
            Err(error) => {
                // The number of the line that failed is a hole of its own, and isn't a loss; it
                // stays in the line that is sent instead.
                self.waiting.put_back_lost(lost);
                self.broke(&error);
            }
        }
    }

    /// Keeps what may have to be sent again.
    fn remember(&mut self, queued: Option<Queued>) {
        if !self.carrier.is_stream() {
            return;
        }
        let now = now();
        let old = |written: &(Instant, Queued)| now.duration_since(written.0) > RESEND_WITHIN;
        while self.written.len() >= RESEND_LINES || self.written.front().is_some_and(old) {
            self.written.pop_front();
        }
        self.written.extend(queued.map(|queued| (now, queued)));
    }

    fn broke(&mut self, error: &std::io::Error) {
        let now = now();
        // In the order in which they were written, before what was to come next.
        for (at, queued) in std::mem::take(&mut self.written).into_iter().rev() {
            if now.duration_since(at) <= RESEND_WITHIN {
                self.pending.push_front((queued, true));
            }
        }
        self.carrier.close();
        event!(LogTargetDown, target = self.name, error = %error);
        let not_before = now.checked_add(self.pauses.first);
        self.link = Link::Down { attempts: 0, not_before, told: true };
    }
}

fn loss_record(name: &str, lost: Lost) -> Record {
    let mut record = Record::new(wall_clock(), Event::LogLost);
    record.add("target", name);
    record.add("lost", &lost.count.to_string());
    record.add("first_at", &format_utc(lost.first));
    record.add("last_at", &format_utc(lost.last));
    record
}

#[expect(clippy::disallowed_methods, reason = "a worker is a driver")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "a worker is a driver")]
fn wall_clock() -> SystemTime {
    SystemTime::now()
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(now())
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;

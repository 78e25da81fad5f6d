//! Driver of the IT half: tails the journal, feeds the mirror and carries out what it asks. It
//! owns the clocks, the state files and the pace; the mirror owns the rules. The sessions run on
//! its thread, between its turns.

mod backlog;
#[cfg(feature = "testing")]
pub(crate) mod by_hand;
mod carrying;
mod in_work;
mod link;
mod polling;
mod reload;
mod second_reading;
mod session_events;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use backlog::Backlog;
use clock::Clock;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use journal_format::Frame;
use journal_read::{From, Item, Position, Reader};
use polling::{GATHER, Looked, Polling};
use second_reading::SecondReading;
use state::{Marks, Stored};
use telemetry::event;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::births_under_way::BirthsUnderWay;
use crate::broker_watch::BrokerWatch;
use crate::connect_queue::ConnectQueue;
use crate::connection::Sessions;
use crate::failover::Failover;
use crate::link_pace::LinkPace;
use crate::mirror::{Mirror, MirrorSnapshot, Notice, Now, Qos};
use crate::pool::Pool;
use crate::state::ItState;
use crate::state::saving::Saving;
use crate::state::state_writer::{Saved, StateWriter};
use crate::status_reporter::StatusReporter;
use crate::{DriverEvent, FirstStart, ItError, PolicyLoader, notices};

/// Frames taken before session events, timers, saving and signs of life get their turn.
const FRAMES_PER_TURN: usize = 1_024;
/// Bytes of frames taken before that: what a frame takes goes by its bytes, and so many are some
/// 20 ms on a small box. A frame that is larger has a turn of its own.
const BYTES_PER_TURN: usize = 512 * 1024;
/// Events of sessions taken before that.
const EVENTS_PER_TURN: usize = 1_024;
/// Bytes that events, frames, or timers make the mirror publish before that, each: a session that is
/// ready brings all births of its node, and so may a small frame.
const PUBLISHED_PER_TURN: u64 = 512 * 1024;
/// Timers of the mirror.
const TICK_EVERY: Duration = Duration::from_millis(50);
/// From here on it is worth asking in the same turn whether more follows.
const WHOLE_READ: usize = 64;
/// Shorter waits block the thread: the timers of the runtime have this resolution.
const COARSE: Duration = Duration::from_millis(1);
/// Pause after an error of the journal.
const ERROR_PAUSE: Duration = Duration::from_secs(1);
/// How long a stop waits for the broker to take the deaths.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Settings of the driver.
pub(super) struct DriverSettings {
    pub(super) journal_dir: PathBuf,
    /// Larger frames are lost.
    pub(super) most_frame_bytes: usize,
    /// What is held of the layouts that data of the journal is told against.
    pub(super) most_layout_bytes: usize,
    pub(super) first_start: FirstStart,
    pub(super) data_qos: Qos,
    pub(super) connects_per_s: Option<std::num::NonZeroU32>,
    /// What all sessions together may send.
    pub(super) bytes_per_s: Option<std::num::NonZeroU32>,
    pub(super) backfill_per_s: std::num::NonZeroU32,
    /// How long messages gather; `None`: as [`Polling`] finds fit.
    pub(super) gather: Option<Duration>,
    pub(super) policy_loader: Option<PolicyLoader>,
    /// SIGHUP has something to do beside the policy.
    pub(super) reloads_else: bool,
}

/// The running IT half.
pub(super) struct Driver<P = Sessions> {
    settings: DriverSettings,
    mirror: Mirror,
    sessions: P,
    saving: Saving,
    events: UnboundedReceiver<DriverEvent>,
    reader: Reader,
    /// Items that were read with an earlier one.
    read_ahead: VecDeque<Item>,
    marks: Marks,
    backlog: Backlog,
    backfill: Option<SecondReading>,
    connect_queue: ConnectQueue,
    history: DefaultDirectRateLimiter,
    broker: BrokerWatch,
    failover: Failover,
    link_pace: LinkPace,
    births: BirthsUnderWay,
    /// `None`: nobody is told how it is.
    status_reporter: Option<StatusReporter>,
    /// A session failed during the stop.
    unconfirmed: bool,
    clock: Clock,
    next_tick: Duration,
    polling: Polling,
    /// Not before then: after an error of the journal.
    read_after: Duration,
    backfill_after: Duration,
    /// A stop was asked for; it is over by then.
    stop_by: Option<Duration>,
}

/// What a turn came to.
struct Turn {
    /// When it looked into the journal.
    began: Duration,
    /// Something happened in it.
    busy: bool,
    /// Frames of the journal that were read.
    frames: usize,
    /// Something is to be done at once.
    is_behind: bool,
    /// A stop is carried out.
    is_last: bool,
}

impl<P: Pool> Driver<P> {
    /// Loads the state and finds the place in the journal.
    pub(super) fn new(
        settings: DriverSettings,
        mut mirror: Mirror,
        sessions: P,
        (state, make_writer): (ItState, impl FnOnce(ItState) -> io::Result<StateWriter>),
        events: UnboundedReceiver<DriverEvent>,
        (broker, failover): (BrokerWatch, Failover),
        make_status_reporter: impl FnOnce(Now) -> Result<Option<StatusReporter>, ItError>,
    ) -> Result<Driver<P>, ItError> {
        let clock = Clock::start();
        let status_reporter = make_status_reporter(clock.now())?;
        if let Some(status_reporter) = &status_reporter {
            mirror.set_breath(status_reporter.breath());
        }
        let bd_seqs = match state.load_bd_seqs()? {
            Stored::Found(bd_seqs) => bd_seqs,
            Stored::Absent => Vec::new(),
            Stored::Damaged { moved_to } => {
                let moved_to = moved_to.display();
                event!(StateDamaged, what = "bdSeq", why = "damaged", moved_to = %moved_to);
                Vec::new()
            }
        };
        let marks = Marks::new(state.in_work()?);
        mirror.set_guard(in_work::guard(marks.clone()));
        if !in_work::begin_stored(&marks) {
            let moved_to = state.set_snapshot_aside()?;
            let kept = moved_to.map_or_else(String::new, |path| path.display().to_string());
            event!(SetAside, topic = "", bytes = 0, kept);
        }
        let reader = match state.load_snapshot()? {
            Stored::Found(snapshot) => {
                let MirrorSnapshot { epoch, position, .. } = snapshot;
                mirror.restore(snapshot, bd_seqs);
                Reader::open(&settings.journal_dir, From::At(Position { epoch, seq: position }))?
                    .taking(settings.most_frame_bytes)
                    .as_written(settings.most_layout_bytes)
                    .by_own_clock()
            }
            stored => {
                if let Stored::Damaged { moved_to } = stored {
                    let moved_to = moved_to.display();
                    event!(StateDamaged, what = "mirror", why = "damaged", moved_to = %moved_to);
                }
                mirror.restore(MirrorSnapshot::default(), bd_seqs);
                Self::first_start(&settings, &mut mirror, &state)?
            }
        };
        marks.in_work().end();
        let connect_queue = ConnectQueue::new(settings.connects_per_s);
        let link_pace = LinkPace::new(settings.bytes_per_s);
        let births = BirthsUnderWay::new(settings.bytes_per_s);
        let history = RateLimiter::direct(Quota::per_second(settings.backfill_per_s));
        let gather = settings.gather;
        Ok(Driver {
            settings,
            mirror,
            sessions,
            saving: Saving::new(make_writer(state)?),
            events,
            reader,
            read_ahead: VecDeque::new(),
            marks,
            backlog: Backlog::default(),
            backfill: None,
            connect_queue,
            history,
            broker,
            failover,
            link_pace,
            births,
            status_reporter,
            unconfirmed: false,
            clock,
            next_tick: Duration::ZERO,
            polling: Polling::new(gather),
            read_after: Duration::ZERO,
            backfill_after: Duration::ZERO,
            stop_by: None,
        })
    }

    /// The mirror starts with the newest segment, whose head shows every live node; what is
    /// older is history, for those who want it.
    fn first_start(
        settings: &DriverSettings,
        mirror: &mut Mirror,
        state: &ItState,
    ) -> Result<Reader, ItError> {
        let dir = &settings.journal_dir;
        // Before the writer's first frame everything is still to come.
        let newest =
            Reader::first_frame(dir, From::Newest)?.unwrap_or(Position { epoch: 0, seq: 1 });
        match settings.first_start {
            FirstStart::Oldest => {
                let oldest = Reader::first_frame(dir, From::Oldest)?.unwrap_or(newest);
                mirror.set_first_stretch(oldest.seq, newest.seq);
            }
            // A kill before the first snapshot must not make the next start a first one again:
            // by then a later segment may be the newest.
            FirstStart::Newest => {
                let Position { epoch, seq: position } = newest;
                let empty = MirrorSnapshot { epoch, position, ..MirrorSnapshot::default() };
                state.save_snapshot(&empty)?;
            }
        }
        let reader = Reader::open(dir, From::At(newest))?.taking(settings.most_frame_bytes);
        Ok(reader.as_written(settings.most_layout_bytes).by_own_clock())
    }

    /// Runs until a [`DriverEvent::Stop`] is carried out.
    pub(super) async fn run(mut self) -> Result<(), ItError> {
        loop {
            let turn = self.turn();
            if turn.is_last {
                return self.finish();
            }
            if turn.is_behind {
                // What was asked of sessions until now is written meanwhile.
                tokio::task::yield_now().await;
            } else {
                self.wait(turn).await;
            }
        }
    }

    /// Takes what happened, reads on, and carries out what the mirror asks.
    fn turn(&mut self) -> Turn {
        let mut busy = self.handle_events();
        let mut frames = 0;
        let now = self.clock.now();
        // What was asked for is carried out before more is.
        if self.stop_by.is_none() && !self.mirror.has_outgoing() {
            frames = self.read_journal(now);
            busy |= frames > 0;
            busy |= self.read_backfill(now);
            self.work_done();
        }
        if now.mono >= self.next_tick || self.mirror.is_behind() {
            self.next_tick = now.mono.saturating_add(TICK_EVERY);
            self.mirror.handle_tick(now);
            if self.stop_by.is_none()
                && let Some(moved) = self.failover.look(now.mono, self.mirror.waits_for_host())
            {
                self.moved(&moved);
            }
            let waiting = self.sessions.queued_bytes();
            self.link_pace.look(now.mono, waiting, self.sessions.taken_bytes());
        }
        busy |= self.carry_out(now);
        self.work_done();
        self.saving.tick(now, &mut self.mirror);
        self.show(now);
        while let Some(notice) = self.mirror.poll_notice() {
            notices::emit(&notice);
            if let Notice::SessionLost { node, births: Some(births) } = &notice {
                self.broker.births_ended(now.mono, node, births.times);
            }
        }
        if let Some(status_reporter) = &mut self.status_reporter {
            status_reporter.feed();
        }
        let is_last = self.stop_by.is_some_and(|by| self.mirror.is_stopped() || now.mono >= by);
        let is_behind = self.mirror.has_outgoing() || self.mirror.is_behind();
        Turn { began: now.mono, busy, frames, is_behind, is_last }
    }

    /// Takes what happened meanwhile; true if anything did. What is left waits for the next turn.
    fn handle_events(&mut self) -> bool {
        let end = self.mirror.work().saturating_add(PUBLISHED_PER_TURN);
        for taken in 0..EVENTS_PER_TURN {
            if self.mirror.work() >= end {
                break;
            }
            let Ok(event) = self.events.try_recv() else { return taken > 0 };
            self.handle(event);
        }
        true
    }

    fn handle(&mut self, event: DriverEvent) {
        let now = self.clock.now();
        match event {
            DriverEvent::Session { node, generation, event } => {
                self.session_event(now, node, generation, event);
            }
            DriverEvent::Offered(offers) => self.broker.offered(offers),
            DriverEvent::Subscribed { node, refused } => self.broker.subscribed(node, refused),
            DriverEvent::SessionFailed(failed) => {
                // A session that fails now hasn't confirmed its death.
                self.unconfirmed |= self.stop_by.is_some();
                self.broker.failed(now.mono, &failed);
            }
            DriverEvent::BrokerSilent(error) => self.broker.silent(&error),
            DriverEvent::SecretUnreadable(error) => BrokerWatch::secret_unreadable(&error),
            DriverEvent::Saved { what, result } => {
                if what == Saved::BdSeqs {
                    self.connect_queue.saved(now.mono, result.is_ok());
                }
                self.saving.saved(now, what, &result);
            }
            DriverEvent::Stop if self.stop_by.is_none() => {
                self.stop_by = Some(now.mono.saturating_add(STOP_WITHIN));
                self.mirror.stop(now);
                self.drop_unopened(now);
            }
            DriverEvent::Stop => {}
            DriverEvent::Reload => {
                self.sessions.ask_again();
                let refused = self.reload(now);
                if let Some(status_reporter) = &mut self.status_reporter {
                    status_reporter.reloaded(refused);
                }
            }
            DriverEvent::ReturnToFirst if self.stop_by.is_none() => {
                if let Some(moved) = self.failover.return_to_first() {
                    self.moved(&moved);
                }
            }
            DriverEvent::ReturnToFirst => {}
            DriverEvent::WatchdogRequested => {
                if let Some(status_reporter) = &mut self.status_reporter {
                    status_reporter.watchdog_requested();
                }
            }
        }
    }

    /// Reads on in the journal; how much came.
    fn read_journal(&mut self, now: Now) -> usize {
        if now.mono < self.read_after || self.polling.is_gathering(now.mono) || self.is_behind() {
            return 0;
        }
        let mut bytes = 0_usize;
        let end = self.mirror.work().saturating_add(PUBLISHED_PER_TURN);
        for taken in 0..FRAMES_PER_TURN {
            if bytes >= BYTES_PER_TURN || self.mirror.work() >= end {
                break;
            }
            // What little came since the last turn came with one read. That nothing follows it is
            // found out in the next turn, if at all: it takes three system calls.
            let few = 1..WHOLE_READ;
            let item = if let Some(item) = self.read_ahead.pop_front() {
                Ok(Some(item))
            } else if few.contains(&taken) && !self.mirror.is_catching_up() {
                Ok(self.reader.next_at_hand())
            } else {
                self.reader.next()
            };
            let item = match item {
                Ok(item) => item,
                Err(error) => {
                    self.read_after = now.mono.saturating_add(ERROR_PAUSE);
                    event!(JournalUnreadable, error = %error);
                    return taken;
                }
            };
            if self.mirror.is_catching_up() && self.backlog.ends_before(item.as_ref()) {
                self.mirror.caught_up();
            }
            match item {
                Some(item) => {
                    if let Item::Frame(frame) | Item::Late(frame) = &item {
                        bytes = bytes.saturating_add(bytes_of(frame));
                    }
                    self.take_item(now, item);
                }
                // A few polls more at once, and the backlog is known to end here.
                None if self.mirror.is_catching_up() => {}
                None => return taken,
            }
        }
        FRAMES_PER_TURN
    }

    /// Lets the sessions run, then waits.
    async fn wait(&mut self, Turn { began, busy, frames, .. }: Turn) {
        // Everything that waits to be written is written before this comes back, and what has
        // arrived is seen.
        tokio::task::yield_now().await;
        let is_whole = frames < FRAMES_PER_TURN;
        let now = self.clock.now().mono;
        let wait = self.polling.wait(now, Looked { began, busy, frames, is_whole });
        let is_short = wait < COARSE || wait <= GATHER && self.polling.is_gathering(now);
        if is_short {
            if self.events.is_empty() && is_whole {
                // The timers of the runtime are too coarse for this.
                std::thread::sleep(wait);
            }
        } else if let Ok(Some(event)) = timeout(wait, self.events.recv()).await {
            self.handle(event);
        }
    }

    fn finish(mut self) -> Result<(), ItError> {
        if self.unconfirmed || !self.mirror.is_stopped() {
            event!(DeathsUnconfirmed);
        }
        self.sessions.abort();
        self.saving.finish(&mut self.mirror);
        if let Some(mut status_reporter) = self.status_reporter {
            status_reporter.finish(self.clock.now(), &self.mirror);
        }
        // The state is written for good; what went wrong before was reported then.
        let mut last = (Ok(()), Ok(()));
        while let Ok(event) = self.events.try_recv() {
            match event {
                DriverEvent::Saved { what: Saved::BdSeqs, result } => last.0 = result,
                DriverEvent::Saved { what: Saved::Snapshot { .. }, result } => last.1 = result,
                _ => {}
            }
        }
        Ok(last.0.and(last.1)?)
    }
}

/// Bytes of a frame that are work: those of what it relays.
fn bytes_of(frame: &Frame) -> usize {
    frame.message().map_or(0, |(_, payload)| payload.len())
}

#[cfg(test)]
mod tests;

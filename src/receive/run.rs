//! The receiving end as a process: it waits for datagrams, is asked to end and to read its keys again,
//! and goes on where it was.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::{Clock, Now};
use journal_write::{Durability, JournalError, ReceivedOptions, ReceivedWriter};
use link::{Keys, LinkName, Receiver, ReceiverOptions, ReceiverOptionsError, ReceiverState};
use sandbox::Confined;
use signals::Signals;
use state::StateError;

use crate::ends::Noted;
use crate::kept::Kept;
use crate::landing::Landing;
use crate::losses::Losses;
use crate::ports::Ports;
use crate::silence::Silence;
use crate::turn::{ReceiveError, Turn};

/// The longest wait, for whoever watches.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// How long a disk that refuses is left alone.
const ERROR_PAUSE: Duration = Duration::from_millis(250);
/// How often the journal's retention is looked at.
const RETAIN_EVERY: Duration = Duration::from_secs(1);
/// Stretches of lost frames that are told at once.
const MAX_STRETCHES: usize = 20;
/// How long a stop waits for what has arrived to be in the journal.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Reads the link keys again; an error is told to the operator, and the old ones stay.
pub type LoadKeys = Box<dyn Fn() -> Result<Keys, String>>;

/// Everything that the receiving end needs.
pub struct Settings {
    pub name: LinkName,
    pub keys: Keys,
    /// Called on SIGHUP.
    pub load_keys: LoadKeys,
    pub options: ReceiverOptions,
    pub ports: Ports,
    /// Names of the paths, in the order of the ports.
    pub path_names: Vec<String>,
    pub journal: ReceivedOptions,
    /// Directory of the receiving end's own state.
    pub state_dir: PathBuf,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("keys", &self.keys)
            .field("options", &self.options)
            .field("journal", &self.journal)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

/// What is told to whoever watches.
#[derive(Debug)]
pub enum Happening<'a> {
    /// It works.
    Ready,
    /// A state file was damaged, and is now there.
    StateDamaged {
        moved_to: &'a Path,
    },
    /// The journal or what was seen can't be written: nothing more is read until it can.
    Unwritten(&'a ReceiveError),
    Written,
    /// What is beyond the retention can't be deleted.
    Unretained(&'a JournalError),
    /// Frames that don't come any more by themselves, of which nobody was told before. Where there are many
    /// stretches, those behind the first ones are only counted.
    Lost {
        first: u64,
        last: u64,
    },
    /// SIGHUP came.
    Reloading,
    /// The keys were read again: others or the same, or what is wrong.
    Reloaded {
        keys: &'a Keys,
        result: Result<bool, &'a str>,
    },
    /// It is about to end.
    Stopping,
}

/// Whoever watches, and tells people.
pub trait Watch {
    fn happened(&mut self, now: Now, happening: Happening<'_>);

    /// After each turn: how it is.
    fn look(&mut self, now: Now, seen: &mut Seen<'_>);

    /// How it is at its end: nothing follows.
    fn end(&mut self, now: Now, seen: &mut Seen<'_>);
}

/// How it is.
#[derive(Debug)]
pub struct Seen<'a> {
    pub turn: &'a mut Turn,
    pub keys: &'a Keys,
    pub silence: &'a Silence,
    pub losses: &'a Losses,
    /// The journal or what was seen can't be written.
    pub is_unwritten: bool,
}

/// Why the receiving end ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Options(#[from] ReceiverOptionsError),
    /// The operating system refuses a handler of signals, or to wait.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// What had arrived isn't in the journal; a second pass brings it.
    #[error("stopped while the disk refused: {0}")]
    StoppedShort(#[source] ReceiveError),
}

/// A receiving end that has claimed its journal and its state, before it is sealed: what takes a lock
/// is done here.
#[derive(Debug)]
pub struct Opened {
    settings: Settings,
    signals: Signals,
    clock: Clock,
    kept: Kept,
    stored: ReceiverState,
    damaged: Vec<PathBuf>,
    losses: Losses,
    writer: ReceivedWriter,
}

/// Claims state and journal, and brings the journal's end in order.
///
/// # Errors
/// Another process has them, or the operating system refuses.
pub fn open(settings: Settings) -> Result<Opened, RunError> {
    let signals = Signals::catch()?;
    let is_safe = settings.journal.durability == Durability::Power;
    let (kept, stored, mut damaged) = Kept::open(&settings.state_dir, is_safe)?;
    let losses = Losses::new(kept.told(&mut damaged)?);
    let writer = ReceivedWriter::open(settings.journal.clone())?;
    let clock = Clock::start();
    Ok(Opened { settings, signals, clock, kept, stored, damaged, losses, writer })
}

/// Runs until SIGTERM or SIGINT: then what has arrived is journalled. SIGHUP reads the keys again.
///
/// # Errors
/// [`RunError`]; what isn't in the journal then is missing there, and a second pass brings it.
pub fn run(opened: Opened, _sealed: &Confined, watch: &mut dyn Watch) -> Result<(), RunError> {
    let Opened { settings, signals, clock, kept, stored, damaged, losses, writer } = opened;
    let mut running = Running::new(settings, (kept, stored, losses), writer, clock.now())?;
    for moved_to in &damaged {
        watch.happened(clock.now(), Happening::StateDamaged { moved_to });
    }
    watch.happened(clock.now(), Happening::Ready);
    while !signals.is_stop_asked() {
        let now = clock.now();
        if signals.take_hang_up() {
            running.reload(now, watch);
        }
        let next = running.turn(now, watch);
        let wait = next.saturating_sub(clock.elapsed()).min(LONGEST_WAIT);
        if wait > Duration::ZERO {
            signals.wait(&running.sources(), wait)?;
        }
    }
    watch.happened(clock.now(), Happening::Stopping);
    let end = clock.elapsed().saturating_add(STOP_WITHIN);
    loop {
        let now = clock.now();
        let next = running.turn(now, watch);
        if now.mono >= end || (running.refusal.is_none() && next > now.mono) {
            return running.finish(clock.now(), watch);
        }
        std::thread::sleep(next.saturating_sub(clock.elapsed()).min(LONGEST_WAIT));
    }
}

/// While it runs.
struct Running {
    turn: Turn,
    kept: Kept,
    keys: Keys,
    load_keys: LoadKeys,
    losses: Losses,
    silence: Silence,
    noted: Noted,
    next_retain: Duration,
    /// Why the last turn didn't come to its end.
    refusal: Option<ReceiveError>,
}

impl Running {
    fn new(
        settings: Settings,
        (kept, stored, losses): (Kept, ReceiverState, Losses),
        writer: ReceivedWriter,
        now: Now,
    ) -> Result<Running, RunError> {
        let Settings { name, keys, load_keys, options, ports, path_names, .. } = settings;
        let receiver = Receiver::new(options, &name, keys.clone(), stored, now.mono)?;
        let turn = Turn::new(receiver, ports, Landing::new(writer));
        Ok(Running {
            turn,
            kept,
            keys,
            load_keys,
            losses,
            silence: Silence::new(now.mono),
            noted: Noted::new(path_names),
            next_retain: now.mono,
            refusal: None,
        })
    }

    /// What is waited for.
    fn sources(&self) -> Vec<BorrowedFd<'_>> {
        match self.refusal {
            // Nothing is read, so there is nothing to wait for but time.
            Some(_) => Vec::new(),
            None => self.turn.ports.fds().collect(),
        }
    }

    /// Reads the keys again.
    fn reload(&mut self, now: Now, watch: &mut dyn Watch) {
        watch.happened(now, Happening::Reloading);
        match (self.load_keys)() {
            Ok(keys) => {
                let is_other = !keys.ids().eq(self.keys.ids());
                if is_other {
                    self.turn.receiver.set_keys(keys.clone());
                    self.keys = keys;
                }
                self.reloaded(now, watch, Ok(is_other));
            }
            Err(error) => self.reloaded(now, watch, Err(&error)),
        }
    }

    fn reloaded(&self, now: Now, watch: &mut dyn Watch, result: Result<bool, &str>) {
        watch.happened(now, Happening::Reloaded { keys: &self.keys, result });
    }

    /// Does what there is to do; when to come again at the latest.
    fn turn(&mut self, now: Now, watch: &mut dyn Watch) -> Duration {
        let kept = &mut self.kept;
        let store = |state: &ReceiverState| kept.store(now.mono, state).map_err(io::Error::other);
        let next = match self.turn.take(now.mono, now.wall_ms, store) {
            Ok(next) => {
                if self.refusal.take().is_some() {
                    watch.happened(now, Happening::Written);
                }
                next.unwrap_or(Duration::MAX)
            }
            Err(error) => {
                watch.happened(now, Happening::Unwritten(&error));
                self.refusal = Some(error);
                now.mono.saturating_add(ERROR_PAUSE)
            }
        };
        if self.next_retain <= now.mono {
            self.next_retain = now.mono.saturating_add(RETAIN_EVERY);
            if let Err(error) = self.turn.landing.retain(now.wall_ms) {
                watch.happened(now, Happening::Unretained(&error));
            }
        }
        self.silence.look(now.mono, &self.turn.receiver);
        self.look_for_losses(now, watch);
        let Running { turn, silence, losses, noted, .. } = self;
        noted.look(now.mono, now.wall_ms, turn, silence, losses);
        watch.look(now, &mut self.seen());
        next
    }

    fn seen(&mut self) -> Seen<'_> {
        let Running { turn, keys, silence, losses, refusal, .. } = self;
        Seen { turn, keys, silence, losses, is_unwritten: refusal.is_some() }
    }

    /// Tells of missing frames that don't come any more, and stores that it did.
    fn look_for_losses(&mut self, now: Now, watch: &mut dyn Watch) {
        let settled = self.turn.receiver.settled(now.mono);
        let writer = self.turn.landing.writer();
        let Some(lost) = self.losses.look(now.mono, now.wall_ms, settled, writer) else { return };
        for (first, last) in lost.into_iter().take(MAX_STRETCHES) {
            watch.happened(now, Happening::Lost { first, last });
        }
        if let Err(error) = self.kept.store_told(self.losses.told()) {
            let error = ReceiveError::State(io::Error::other(error));
            watch.happened(now, Happening::Unwritten(&error));
            self.refusal = Some(error);
        }
    }

    fn finish(mut self, now: Now, watch: &mut dyn Watch) -> Result<(), RunError> {
        watch.end(now, &mut self.seen());
        if let Some(refusal) = self.refusal {
            return Err(RunError::StoppedShort(refusal));
        }
        Ok(self.kept.settle(&self.turn.receiver.state_at_end())?)
    }
}

#[cfg(test)]
mod tests;

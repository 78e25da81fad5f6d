//! The sending end as a process: it waits, is asked to end and to read its key again, and goes on
//! where it was.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clock::{Clock, Now};
use journal_read::{From, JournalError, Reader};
use link::{LinkKey, LinkName, Sender, SenderOptions, SenderOptionsError, SessionsExhausted};
use sandbox::Confined;
use signals::Signals;
use state::StateError;

use crate::feed::Feed;
use crate::kept::{Begin, Kept};
use crate::paths::Paths;
use crate::turn::{SendError, Turn};

/// How often it is stored up to where the journal was read.
const STEP_EVERY: Duration = Duration::from_millis(200);
/// How often an operator's request is looked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait, for whoever watches.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// How long a journal that can't be read is left alone.
const ERROR_PAUSE: Duration = Duration::from_millis(250);
/// How long a stop waits for what was read to leave.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// How far a start reaches back where nothing goes again by itself: what was in flight.
const LEAST_BACK: Duration = Duration::from_secs(2);

/// Reads the link key again; an error is told to the operator, and the old key stays.
pub type LoadKey = Box<dyn Fn() -> Result<LinkKey, String>>;

/// Where a first start begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// All that the journal has.
    Oldest,
    /// What is there from the newest segment on.
    Newest,
}

/// Everything that the sending end needs.
pub struct Settings {
    pub name: LinkName,
    pub key: LinkKey,
    /// Called on SIGHUP.
    pub load_key: LoadKey,
    pub options: SenderOptions,
    /// Frames of more bytes don't cross.
    pub most_frame_bytes: usize,
    pub paths: Paths,
    /// Directory of the journal; only ever read.
    pub journal_dir: PathBuf,
    /// Directory of the sending end's own state.
    pub state_dir: PathBuf,
    pub first_start: FirstStart,
    /// Bytes of the operating system's source of randomness.
    pub random: fn() -> io::Result<[u8; 8]>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Settings")
            .field("key", &self.key)
            .field("options", &self.options)
            .field("paths", &self.paths)
            .field("journal_dir", &self.journal_dir)
            .field("state_dir", &self.state_dir)
            .finish_non_exhaustive()
    }
}

/// What is told to whoever watches.
#[derive(Debug)]
pub enum Happening<'a> {
    /// It works.
    Ready,
    /// A session begins, by the key with this id.
    Session {
        number: u64,
        key: u32,
    },
    /// A state file was damaged, and is now there.
    StateDamaged {
        moved_to: &'a Path,
    },
    /// The journal can't be read; it is tried again.
    JournalUnreadable(&'a JournalError),
    JournalReadable,
    /// What was sent can't be stored: a start would send more again than it needs to.
    Unstored(&'a StateError),
    Stored,
    /// SIGHUP came.
    Reloading,
    /// The key was read again: another one or the same, or what is wrong.
    Reloaded(Result<bool, &'a str>),
    /// An operator asked for it, and it will go again; nothing, where the journal has none of it.
    Again {
        asked: Range<u64>,
        taken: Range<u64>,
    },
    /// He did, and it can't be.
    AgainRefused(&'a str),
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
    pub session: u64,
    pub key: u32,
    /// The journal can't be read.
    pub is_unreadable: bool,
}

/// Why the sending end ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Options(#[from] SenderOptionsError),
    #[error(transparent)]
    Sessions(#[from] SessionsExhausted),
    /// The operating system refuses a handler of signals, randomness, or to wait.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
}

/// A sending end that has claimed its state, before it is sealed: what takes a lock is done here.
#[derive(Debug)]
pub struct Opened {
    settings: Settings,
    signals: Signals,
    clock: Clock,
    kept: Kept,
    begin: Begin,
    damaged: Vec<PathBuf>,
}

/// Claims the state.
///
/// # Errors
/// Another process has it, or the operating system refuses.
pub fn open(settings: Settings) -> Result<Opened, RunError> {
    let signals = Signals::catch()?;
    let second_pass = settings.options.second_pass;
    let back = match second_pass.share_percent {
        0 => LEAST_BACK,
        _ => second_pass.window.max(LEAST_BACK),
    };
    let (kept, begin, damaged) = Kept::open(&settings.state_dir, back)?;
    Ok(Opened { settings, signals, clock: Clock::start(), kept, begin, damaged })
}

/// Runs until SIGTERM or SIGINT: then what was read leaves, and up to where is stored. SIGHUP reads the
/// key again.
///
/// # Errors
/// [`RunError`]; the next start sends again what may not have crossed.
pub fn run(opened: Opened, _sealed: &Confined, watch: &mut dyn Watch) -> Result<(), RunError> {
    let Opened { settings, signals, clock, kept, begin, damaged } = opened;
    let mut running = Running::new(settings, kept, begin, clock.now(), watch)?;
    for moved_to in &damaged {
        watch.happened(clock.now(), Happening::StateDamaged { moved_to });
    }
    watch.happened(clock.now(), Happening::Ready);
    while !signals.is_stop_asked() {
        let now = clock.now();
        if signals.take_hang_up() {
            running.reload(now, watch)?;
        }
        let next = running.turn(now, watch)?;
        let wait = next.saturating_sub(clock.elapsed()).min(LONGEST_WAIT);
        if wait > Duration::ZERO {
            signals.wait(&[], wait)?;
        }
    }
    watch.happened(clock.now(), Happening::Stopping);
    let end = clock.elapsed().saturating_add(STOP_WITHIN);
    while let Some(next) = running.leave(clock.now(), end)? {
        signals_pause(next.saturating_sub(clock.elapsed()));
    }
    running.finish(clock.now(), watch)
}

/// A pause that a second signal doesn't cut short.
fn signals_pause(pause: Duration) {
    std::thread::sleep(pause.min(LONGEST_WAIT));
}

/// While it runs.
struct Running {
    turn: Turn,
    kept: Kept,
    name: LinkName,
    key: LinkKey,
    load_key: LoadKey,
    options: SenderOptions,
    journal_dir: PathBuf,
    random: fn() -> io::Result<[u8; 8]>,
    session: u64,
    next_step: Duration,
    next_ask: Duration,
    read_after: Duration,
    is_unreadable: bool,
    is_unstored: bool,
}

impl Running {
    fn new(
        settings: Settings,
        mut kept: Kept,
        begin: Begin,
        now: Now,
        watch: &mut dyn Watch,
    ) -> Result<Running, RunError> {
        let Settings { name, key, load_key, options, most_frame_bytes, paths, random, .. } =
            settings;
        let Settings { journal_dir, first_start, .. } = settings;
        let (from, again) = where_to(&journal_dir, begin, first_start)?;
        let feed = Feed::open(&journal_dir, from, most_frame_bytes)?;
        kept.begin(now.mono, feed.position(), &again);
        let (sender, session) = begin_session(&mut kept, &name, &key, options, random, now)?;
        let mut running = Running {
            turn: Turn::new(sender, feed, paths),
            kept,
            name,
            key,
            load_key,
            options,
            journal_dir,
            random,
            session,
            next_step: now.mono,
            next_ask: now.mono,
            read_after: now.mono,
            is_unreadable: false,
            is_unstored: false,
        };
        running.began(now, watch, &again);
        Ok(running)
    }

    /// Tells of the session, and has these sent again.
    fn began(&mut self, now: Now, watch: &mut dyn Watch, again: &[Range<u64>]) {
        for stretch in again {
            // There are fewer than may wait.
            let _ = self.turn.sender.resend(stretch.clone());
        }
        let key = self.key.id();
        watch.happened(now, Happening::Session { number: self.session, key });
    }

    /// Another session: by another key, or since the nonces of this one are used up.
    fn begin_anew(&mut self, now: Now, watch: &mut dyn Watch) -> Result<(), RunError> {
        let position = self.turn.feed.position();
        let again = self.kept.again(position);
        let Running { kept, name, key, options, random, .. } = self;
        let (sender, session) = begin_session(kept, name, key, *options, *random, now)?;
        (self.turn.sender, self.session) = (sender, session);
        self.kept.begin(now.mono, position, &again);
        self.began(now, watch, &again);
        Ok(())
    }

    /// Reads the key again.
    fn reload(&mut self, now: Now, watch: &mut dyn Watch) -> Result<(), RunError> {
        watch.happened(now, Happening::Reloading);
        match (self.load_key)() {
            Ok(key) => {
                let is_other = key.id() != self.key.id();
                if is_other {
                    self.key = key;
                    self.begin_anew(now, watch)?;
                }
                watch.happened(now, Happening::Reloaded(Ok(is_other)));
            }
            Err(error) => watch.happened(now, Happening::Reloaded(Err(&error))),
        }
        Ok(())
    }

    /// Does what there is to do; when to come again.
    fn turn(&mut self, now: Now, watch: &mut dyn Watch) -> Result<Duration, RunError> {
        let reads = self.read_after <= now.mono;
        let taken = match reads {
            true => self.turn.take(now.mono, now.wall_ms),
            false => self.turn.send(now.mono, now.wall_ms).map_err(SendError::from),
        };
        let next = match taken {
            Ok(next) => {
                if reads && std::mem::take(&mut self.is_unreadable) {
                    watch.happened(now, Happening::JournalReadable);
                }
                next
            }
            Err(SendError::Journal(error)) => {
                self.is_unreadable = true;
                self.read_after = now.mono.saturating_add(ERROR_PAUSE);
                watch.happened(now, Happening::JournalUnreadable(&error));
                now.mono
            }
            Err(SendError::Counter(_)) => {
                self.begin_anew(now, watch)?;
                now.mono
            }
        };
        self.keep(now, watch);
        let Running { turn, session, is_unreadable, .. } = self;
        let (session, is_unreadable, key) = (*session, *is_unreadable, self.key.id());
        watch.look(now, &mut Seen { turn, session, key, is_unreadable });
        Ok(next)
    }

    /// Stores how far it is, and looks for requests.
    fn keep(&mut self, now: Now, watch: &mut dyn Watch) {
        if self.next_ask <= now.mono {
            self.next_ask = now.mono.saturating_add(ASK_EVERY);
            self.look_for_request(now, watch);
        }
        if now.mono < self.next_step {
            return;
        }
        self.next_step = now.mono.saturating_add(STEP_EVERY);
        let Turn { feed, sender, .. } = &self.turn;
        match self.kept.step(now.mono, feed.position(), sender.stretches()) {
            Ok(()) => {
                if std::mem::take(&mut self.is_unstored) {
                    watch.happened(now, Happening::Stored);
                }
            }
            Err(error) => {
                self.is_unstored = true;
                watch.happened(now, Happening::Unstored(&error));
            }
        }
    }

    fn look_for_request(&mut self, now: Now, watch: &mut dyn Watch) {
        match self.kept.take_request() {
            Ok(None) => {}
            Ok(Some(Ok(asked))) => self.send_again(now, asked, watch),
            Ok(Some(Err(problem))) => watch.happened(now, Happening::AgainRefused(&problem)),
            Err(error) => watch.happened(now, Happening::AgainRefused(&error.to_string())),
        }
    }

    fn send_again(&mut self, now: Now, asked: Range<u64>, watch: &mut dyn Watch) {
        let position = self.turn.feed.position();
        let oldest = match Reader::first_frame(&self.journal_dir, From::Oldest) {
            Ok(oldest) => oldest.map_or(position.seq, |oldest| oldest.seq),
            Err(error) => {
                return watch.happened(now, Happening::AgainRefused(&error.to_string()));
            }
        };
        let taken = asked.start.max(oldest)..asked.end.min(position.seq);
        match self.turn.sender.resend(taken.clone()) {
            Ok(()) => {
                self.kept.add(&taken);
                watch.happened(now, Happening::Again { asked, taken });
            }
            Err(error) => watch.happened(now, Happening::AgainRefused(&error.to_string())),
        }
    }

    /// At the end: what was read leaves. When to come again; `None`: it has left, or there is no more
    /// time.
    fn leave(&mut self, now: Now, end: Duration) -> Result<Option<Duration>, RunError> {
        if now.mono >= end || self.turn.sender.is_live_idle() {
            return Ok(None);
        }
        match self.turn.send(now.mono, now.wall_ms) {
            Ok(next) => Ok(Some(next.min(end))),
            // The next start begins another session, and sends it again.
            Err(_) => Ok(None),
        }
    }

    fn finish(mut self, now: Now, watch: &mut dyn Watch) -> Result<(), RunError> {
        let position = self.turn.feed.position();
        let (session, key) = (self.session, self.key.id());
        let (turn, is_unreadable) = (&mut self.turn, self.is_unreadable);
        watch.end(now, &mut Seen { turn, session, key, is_unreadable });
        Ok(self.kept.settle(position)?)
    }
}

fn begin_session(
    kept: &mut Kept,
    name: &LinkName,
    key: &LinkKey,
    options: SenderOptions,
    random: fn() -> io::Result<[u8; 8]>,
    now: Now,
) -> Result<(Sender, u64), RunError> {
    let state = kept.next_session(now.wall_ms)??;
    let sender = Sender::new(options, name, key, state, random()?, now.mono)?;
    Ok((sender, state.session))
}

/// Where reading begins, and what goes again.
fn where_to(
    journal: &Path,
    begin: Begin,
    first_start: FirstStart,
) -> Result<(From, Vec<Range<u64>>), JournalError> {
    let oldest = Reader::first_frame(journal, From::Oldest)?;
    Ok(match begin {
        Begin::First => match first_start {
            FirstStart::Oldest => (From::Oldest, Vec::new()),
            FirstStart::Newest => (From::Newest, Vec::new()),
        },
        // The receiver has most of it. What is new goes first, and all the rest beside it.
        Begin::Unknown => match Reader::first_frame(journal, From::Newest)? {
            None => (From::Oldest, Vec::new()),
            Some(newest) => {
                let all = oldest.map_or(newest.seq, |oldest| oldest.seq)..newest.seq;
                (From::At(newest), vec![all])
            }
        },
        Begin::At { position, mut again } => {
            let oldest = oldest.map_or(u64::MAX, |oldest| oldest.seq);
            again.iter_mut().for_each(|stretch| stretch.start = stretch.start.max(oldest));
            again.retain(|stretch| !stretch.is_empty());
            (From::At(position), again)
        }
    })
}

#[cfg(test)]
mod tests;

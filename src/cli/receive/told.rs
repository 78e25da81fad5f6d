//! What people are told of the receiving end: events and status. Health is in `judge`.

mod judge;
mod refused;

use std::time::Duration;

use clock::Now;
use config::ReceiveConfig;
use receive::{Happening, LastLoss, Seen, Watch};
use telemetry::event;
use telemetry::status::{DatagramsStatus, ReceivePathStatus, ReceiveStatus, Status};

use self::judge::judge;
use self::refused::Refused;
use crate::cli::ends::{Growth, Telling, Trouble, counts_per_s, key_id, milliseconds};

/// How often it is looked what was refused, lost or dropped.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Stretches of missing frames that the status shows.
const MAX_STRETCHES: usize = 20;

/// Tells people.
pub(super) struct Told {
    telling: Telling,
    paths: Vec<PathTold>,
    limit_bytes: u64,
    reorder: Duration,
    next_look: Duration,
    session: Option<u64>,
    is_silent: bool,
    is_short: bool,
    unwritten: Trouble,
    unretained: Trouble,
    refused: Refused,
    loss: Option<Loss>,
    before: Option<(Duration, [u64; 3])>,
    bytes: u64,
}

/// What is known of a path.
pub(super) struct PathTold {
    name: String,
    listen: String,
    is_down: bool,
    overflow: Growth,
    error: Option<String>,
}

/// Frames that don't come any more.
#[derive(Debug)]
struct Loss {
    last: LastLoss,
    /// All of them that are still missing.
    frames: u64,
}

impl Told {
    /// The paths of a configuration.
    pub(super) fn named(config: &ReceiveConfig) -> Vec<PathTold> {
        let named = |path: &config::ReceivePath| PathTold {
            name: path.name.clone(),
            listen: path.listen.to_string(),
            is_down: false,
            overflow: Growth::default(),
            error: None,
        };
        config.paths.iter().map(named).collect()
    }

    pub(super) fn new(
        telling: Telling,
        paths: Vec<PathTold>,
        limit_bytes: u64,
        reorder: Duration,
    ) -> Told {
        Told {
            telling,
            paths,
            limit_bytes,
            reorder,
            next_look: Duration::ZERO,
            session: None,
            is_silent: false,
            is_short: false,
            unwritten: Trouble::default(),
            unretained: Trouble::default(),
            refused: Refused::default(),
            loss: None,
            before: None,
            bytes: 0,
        }
    }

    fn look_at_sender(&mut self, seen: &Seen<'_>) {
        let receiver = &seen.turn.receiver;
        let session = receiver.session().map(|(session, _)| session.number);
        if session != self.session {
            // What is stored of the session before a start isn't heard yet.
            let is_heard = receiver.account().sessions > 0 || receiver.account().taken > 0;
            if let Some(session) = session.filter(|_| is_heard) {
                event!(LinkSession, session);
                self.session = Some(session);
            }
        }
        let silence = seen.silence.lasts();
        let is_silent = seen.silence.is_too_long();
        if is_silent != self.is_silent {
            self.is_silent = is_silent;
            match is_silent {
                true => event!(LinkSilent, silent_ms = milliseconds(silence)),
                false => event!(LinkBack),
            }
        }
        if let Some(made) = receiver.announcement() {
            let needed = u64::from(made.close_after_ms).saturating_add(u64::from(made.spread_ms));
            let is_short = milliseconds(self.reorder) <= needed;
            if is_short && !self.is_short {
                let reorder_ms = milliseconds(self.reorder);
                event!(LinkReorderShort, reorder_ms, needed_ms = needed);
            }
            self.is_short = is_short;
        }
    }

    fn look_at_paths(&mut self, now: Now, seen: &mut Seen<'_>) {
        for (place, told) in self.paths.iter_mut().enumerate() {
            let is_down = seen.turn.receiver.is_path_down(place);
            if is_down != told.is_down {
                told.is_down = is_down;
                let path = told.name.as_str();
                match is_down {
                    true => event!(PathDown, path),
                    false => event!(PathUp, path),
                }
            }
        }
        for (port, told) in seen.turn.ports.iter_mut().zip(&mut self.paths) {
            told.error = port.take_trouble().map(|error| error.to_string());
            let datagrams = told.overflow.grow(now.mono, port.dropped());
            if datagrams > 0 {
                event!(LinkOverflow, path = told.name.as_str(), datagrams);
            }
        }
    }

    fn status(&mut self, now: Now, seen: &mut Seen<'_>) -> Status {
        let mut status = self.telling.status(now);
        let receiver = &seen.turn.receiver;
        let (account, freshness) = (receiver.account(), receiver.freshness());
        let (writer, landed) = (seen.turn.landing.writer(), seen.turn.landing.counts());
        let missing: Vec<(u64, u64)> = writer.missing().ranges().collect();
        let newest = missing.len().saturating_sub(MAX_STRETCHES);
        let frames = seen.losses.still_missing(writer);
        self.loss = seen.losses.last().map(|last| Loss { last, frames });
        let frames = account.frames.saturating_add(account.frames_late);
        let counts = [frames, account.datagrams(), self.bytes];
        let receive = ReceiveStatus {
            session: self.session,
            keys: seen.keys.ids().map(key_id).collect(),
            silent_ms: freshness.silent_for(now.mono).map(milliseconds),
            clock_ahead_ms: freshness.ahead_ms(),
            sent_seq: freshness.newest().map(|newest| newest.highest_frame),
            journal_seq: writer.next_seq(),
            journal_epoch: writer.epoch(),
            journal_bytes: writer.bytes(),
            journal_limit_bytes: self.limit_bytes,
            journal_refuses: seen.is_unwritten,
            frames: landed.in_order.saturating_add(landed.rewound),
            frames_late: landed.late,
            frames_missing: missing.iter().fold(0, |sum, (first, last)| {
                sum.saturating_add(last.saturating_sub(*first).saturating_add(1))
            }),
            missing: missing.get(newest..).unwrap_or_default().to_vec(),
            frames_lost: seen.losses.frames(),
            frames_too_large: account.frames_too_large,
            frames_unknown: account.frames_unknown,
            frames_refused: landed.old_epoch.saturating_add(landed.malformed),
            datagrams: datagrams(&account),
            datagrams_missing: receiver.datagrams_missing(),
            repaired: account.repaired,
            unrepaired: account.symbols_lost,
            overflowed: self.paths.iter().map(|path| path.overflow.count()).sum(),
            rates: counts_per_s(&mut self.before, now.mono, counts),
            paths: self
                .paths
                .iter()
                .zip(receiver.paths())
                .map(|(told, path)| ReceivePathStatus {
                    name: told.name.clone(),
                    listen: told.listen.clone(),
                    datagrams: path.seen,
                    first: path.first,
                    duplicates: path.duplicates,
                    foreign: path.foreign,
                    overflowed: told.overflow.count(),
                    down: told.is_down,
                    silent_ms: path.last.map(|last| milliseconds(now.mono.saturating_sub(last))),
                    error: told.error.clone(),
                })
                .collect(),
        };
        judge(&mut status, &receive, self, now);
        status.receive = Some(receive);
        status
    }
}

fn datagrams(account: &link::ReceiverAccount) -> DatagramsStatus {
    let by = account.foreign_by;
    DatagramsStatus {
        received: account.datagrams(),
        taken: account.taken,
        other_path: account.other_path,
        duplicates: account.duplicates,
        too_old: account.too_old,
        old_session: account.old_session,
        malformed: account.malformed,
        foreign: account.foreign,
        foreign_length: by.length,
        foreign_protocol: by.protocol,
        foreign_version: by.version,
        foreign_link: by.link,
        foreign_key: by.key,
        foreign_forged: by.forged,
    }
}

impl Watch for Told {
    fn happened(&mut self, now: Now, happening: Happening<'_>) {
        match happening {
            Happening::Ready => {
                event!(Started, version = env!("CARGO_PKG_VERSION"));
                self.telling.ready();
            }
            Happening::StateDamaged { moved_to } => {
                let moved_to = moved_to.display();
                event!(StateDamaged, what = "link", why = "damaged", moved_to = %moved_to);
            }
            Happening::Unwritten(error) => {
                if self.unwritten.goes_on(now.mono) {
                    event!(DiskError, what = "journal", error = %error);
                }
            }
            Happening::Written => {
                if self.unwritten.is_over() {
                    event!(DiskOk, what = "journal");
                }
            }
            Happening::Unretained(error) => {
                if self.unretained.goes_on(now.mono) {
                    event!(DiskError, what = "retention", error = %error);
                }
            }
            Happening::Lost { first, last } => {
                let frames = last.saturating_sub(first).saturating_add(1);
                event!(LinkLoss, first, last, frames);
            }
            Happening::Reloading => self.telling.reloading(),
            Happening::Reloaded { keys, result } => {
                match result {
                    Ok(true) => {
                        let keys: Vec<String> = keys.ids().map(key_id).collect();
                        event!(LinkKeys, keys = keys.join(" "));
                    }
                    Ok(false) => {}
                    Err(error) => event!(SecretUnreadable, error),
                }
                self.telling.ready();
            }
            Happening::Stopping => self.telling.stopping(),
        }
    }

    fn look(&mut self, now: Now, seen: &mut Seen<'_>) {
        self.look_at_sender(seen);
        let is_status_due = self.telling.turn(now);
        if self.next_look <= now.mono || is_status_due {
            self.next_look = now.mono.saturating_add(LOOK_EVERY);
            self.look_at_paths(now, seen);
            self.refused.look(now, seen);
        }
        if is_status_due {
            let status = self.status(now, seen);
            self.telling.emit(now, status);
        }
    }

    fn end(&mut self, now: Now, seen: &mut Seen<'_>) {
        self.telling.end();
        self.look(now, seen);
    }
}

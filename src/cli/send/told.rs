//! What people are told of the sending end: events, status, health.

use std::time::Duration;

use clock::Now;
use config::SendConfig;
use send::{Happening, Seen, Watch};
use telemetry::event;
use telemetry::status::{Level, SendPathStatus, SendStatus, Status};
use text::{counted_grouped, rough_size};

use crate::cli::ends::{Growth, Telling, Trouble, counts_per_s, key_id};

/// A path whose last refusal is so long ago is in order.
const REFUSES_FOR: Duration = Duration::from_secs(10);
/// Seconds at full pace above which somebody should look at the backlog.
const BACKLOG_WARNING_S: u64 = 10;

/// Tells people.
pub(super) struct Told {
    telling: Telling,
    paths: Vec<PathTold>,
    limit_bytes_per_s: u64,
    unreadable: Trouble,
    unstored: Trouble,
    too_large: Growth,
    lost: Growth,
    before: Option<(Duration, [u64; 3])>,
}

/// What is known of a path.
pub(super) struct PathTold {
    name: String,
    to: String,
    trouble: Trouble,
    /// What the system said last, and when.
    refused: Option<(String, Duration)>,
}

impl Told {
    /// The paths of a configuration.
    pub(super) fn named(config: &SendConfig) -> Vec<PathTold> {
        let named = |path: &config::SendPath| PathTold {
            name: path.name.clone(),
            to: path.to.to_string(),
            trouble: Trouble::default(),
            refused: None,
        };
        config.paths.iter().map(named).collect()
    }

    pub(super) fn new(telling: Telling, paths: Vec<PathTold>, limit_bytes_per_s: u64) -> Told {
        Told {
            telling,
            paths,
            limit_bytes_per_s,
            unreadable: Trouble::default(),
            unstored: Trouble::default(),
            too_large: Growth::default(),
            lost: Growth::default(),
            before: None,
        }
    }

    /// Looks what the operating system refused.
    fn look_at_paths(&mut self, now: Now, seen: &mut Seen<'_>) {
        for (path, told) in seen.turn.paths.iter_mut().zip(&mut self.paths) {
            match path.take_trouble() {
                Some(error) => {
                    let error = error.to_string();
                    if told.trouble.goes_on(now.mono) {
                        event!(PathRefused, path = told.name.as_str(), error = error.as_str());
                    }
                    told.refused = Some((error, now.mono));
                }
                None => {
                    let is_past = |(_, at): &mut (String, Duration)| {
                        now.mono.saturating_sub(*at) >= REFUSES_FOR
                    };
                    if told.refused.take_if(is_past).is_some() && told.trouble.is_over() {
                        event!(PathUp, path = told.name.as_str());
                    }
                }
            }
        }
    }

    /// Tells of frames that don't cross.
    fn look_at_frames(&mut self, now: Now, seen: &Seen<'_>) {
        let counts = seen.turn.feed.counts();
        let of_each = [
            (&mut self.too_large, counts.too_large, "too_large"),
            (&mut self.lost, counts.lost, "lost"),
        ];
        for (growth, count, reason) in of_each {
            let frames = growth.grow(now.mono, count);
            if frames > 0 {
                event!(LinkFramesRefused, reason, frames);
            }
        }
    }

    fn status(&mut self, now: Now, seen: &mut Seen<'_>) -> Status {
        let mut status = self.telling.status(now);
        let turn = &mut *seen.turn;
        let (account, feed) = (turn.sender.account(), turn.feed.counts());
        let position = turn.feed.position();
        let waiting = turn.sender.stretches().map(|range| range.end.saturating_sub(range.start));
        let waiting = waiting.fold(0, u64::saturating_add);
        let paths: Vec<SendPathStatus> = turn
            .paths
            .iter_mut()
            .zip(&self.paths)
            .map(|(path, told)| {
                let counts = path.counts();
                SendPathStatus {
                    name: told.name.clone(),
                    to: told.to.clone(),
                    datagrams: counts.datagrams,
                    bytes: counts.bytes,
                    refused: counts.refused,
                    error: told.refused.as_ref().map(|(error, _)| error.clone()),
                }
            })
            .collect();
        let bytes = account.source_bytes.saturating_add(account.repair_bytes);
        let bytes = bytes.saturating_add(account.again_bytes);
        let counts = [account.frames, turn.sender.datagrams(), bytes];
        let send = SendStatus {
            session: seen.session,
            key: key_id(seen.key),
            journal_seq: position.seq,
            journal_epoch: position.epoch,
            journal_unreadable: seen.is_unreadable,
            backlog_bytes: turn.feed.backlog_bytes().ok(),
            frames: account.frames,
            frames_again: account.frames_again,
            frames_skipped: account.skipped,
            frames_waiting: waiting,
            frames_too_large: feed.too_large,
            frames_lost: feed.lost,
            datagrams: turn.sender.datagrams(),
            source: account.source,
            repair: account.repair,
            again: account.again,
            signs: account.signs,
            source_bytes: account.source_bytes,
            repair_bytes: account.repair_bytes,
            again_bytes: account.again_bytes,
            limit_bytes_per_s: self.limit_bytes_per_s,
            rates: counts_per_s(&mut self.before, now.mono, counts),
            paths,
        };
        judge(&mut status, &send);
        status.send = Some(send);
        status
    }
}

/// What of it is a reason to look.
fn judge(status: &mut Status, send: &SendStatus) {
    let health = &mut status.health;
    if send.journal_unreadable {
        health.add(Level::Critical, "send: the journal can't be read, so nothing new is sent");
    }
    let refused = send.paths.iter().filter_map(|path| Some((path, path.error.as_ref()?)));
    let count = refused.clone().count();
    for (path, error) in refused {
        let (level, what) = match count == send.paths.len() {
            true => (Level::Critical, "what goes there is lost"),
            false => (Level::Warning, "the other paths carry it"),
        };
        let words = format!(
            "send: the system refused datagrams of path `{}` in the last 10 s, {what}: {error}",
            path.name
        );
        health.add(level, words);
    }
    let most = send.limit_bytes_per_s.saturating_mul(BACKLOG_WARNING_S);
    if let Some(backlog) = send.backlog_bytes.filter(|backlog| *backlog > most) {
        let words = format!(
            "send: {} of the journal aren't sent yet, more than the link takes in {BACKLOG_WARNING_S} s",
            rough_size(backlog)
        );
        health.add(Level::Warning, words);
    }
    if send.frames_lost > 0 {
        let words = format!(
            "send: the journal had lost {} before they were read, since the start",
            counted_grouped(send.frames_lost, "frame")
        );
        health.add(Level::Warning, words);
    }
    if send.frames_too_large > 0 {
        let words = format!(
            "send: {} larger than `max-frame-bytes` did not cross since the start",
            counted_grouped(send.frames_too_large, "frame")
        );
        health.add(Level::Warning, words);
    }
}

impl Watch for Told {
    fn happened(&mut self, now: Now, happening: Happening<'_>) {
        match happening {
            Happening::Ready => {
                event!(Started, version = env!("CARGO_PKG_VERSION"));
                self.telling.ready();
            }
            Happening::Session { number, key } => {
                event!(LinkSession, session = number, key = key_id(key));
            }
            Happening::StateDamaged { moved_to } => {
                let moved_to = moved_to.display();
                event!(StateDamaged, what = "link", why = "damaged", moved_to = %moved_to);
            }
            Happening::JournalUnreadable(error) => {
                if self.unreadable.goes_on(now.mono) {
                    event!(JournalUnreadable, error = %error);
                }
            }
            Happening::JournalReadable => {
                let _ = self.unreadable.is_over();
            }
            Happening::Unstored(error) => {
                if self.unstored.goes_on(now.mono) {
                    event!(DiskError, what = "state", error = %error);
                }
            }
            Happening::Stored => {
                if self.unstored.is_over() {
                    event!(DiskOk, what = "state");
                }
            }
            Happening::Reloading => self.telling.reloading(),
            Happening::Reloaded(result) => {
                if let Err(error) = result {
                    event!(SecretUnreadable, error);
                }
                self.telling.ready();
            }
            Happening::Again { asked, taken } => {
                let frames = taken.end.saturating_sub(taken.start);
                event!(LinkResend, first = asked.start, last = asked.end.saturating_sub(1), frames);
            }
            Happening::AgainRefused(error) => event!(LinkResendRefused, error),
            Happening::Stopping => self.telling.stopping(),
        }
    }

    fn look(&mut self, now: Now, seen: &mut Seen<'_>) {
        self.look_at_paths(now, seen);
        if self.telling.turn(now) {
            self.look_at_frames(now, seen);
            let status = self.status(now, seen);
            self.telling.emit(now, status);
        }
    }

    fn end(&mut self, now: Now, seen: &mut Seen<'_>) {
        self.telling.end();
        self.look(now, seen);
    }
}

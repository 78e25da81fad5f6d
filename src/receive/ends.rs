//! What the journal is told of the link, for the IT half: it reads nothing else of this end.

use std::time::Duration;

use journal_format::note::{Ends, PathEnd};

use crate::losses::Losses;
use crate::silence::Silence;
use crate::turn::Turn;

/// Silence, a path that is down and a loss are noted when they are seen, counts not as often; and all of it
/// once in a while, for a reader that begins.
const NOTE_EVERY: Duration = Duration::from_secs(1);
const COUNTS_EVERY: Duration = Duration::from_secs(5);
const REPEAT_EVERY: Duration = Duration::from_secs(10);

/// What was noted last.
#[derive(Debug)]
pub(crate) struct Noted {
    names: Vec<String>,
    last: Option<(Duration, Ends)>,
}

impl Noted {
    /// Of paths with these names.
    pub(crate) fn new(names: Vec<String>) -> Noted {
        Noted { names, last: None }
    }

    /// Notes how the link is, where that is worth it; it leaves with the next turn.
    pub(crate) fn look(
        &mut self,
        now: Duration,
        wall_ms: u64,
        turn: &mut Turn,
        silence: &Silence,
        losses: &Losses,
    ) {
        let since = self.last.as_ref().map(|(at, _)| now.saturating_sub(*at));
        if since.is_some_and(|since| since < NOTE_EVERY) {
            return;
        }
        let ends = self.ends(wall_ms, turn, silence, losses);
        let is_due = match (&self.last, since) {
            (Some((_, noted)), Some(since)) => {
                since >= REPEAT_EVERY
                    || states(noted) != states(&ends)
                    || (since >= COUNTS_EVERY && counts(noted) != counts(&ends))
            }
            _ => true,
        };
        // Before the first frame there is nowhere to note it.
        if is_due && turn.landing.note_ends(wall_ms, ends.clone()) {
            self.last = Some((now, ends));
        }
    }

    fn ends(&self, wall_ms: u64, turn: &Turn, silence: &Silence, losses: &Losses) -> Ends {
        let (receiver, writer) = (&turn.receiver, turn.landing.writer());
        let newest = receiver.freshness().newest();
        let lasts = u64::try_from(silence.lasts().as_millis()).unwrap_or(u64::MAX);
        let lost = losses.still_missing(writer);
        Ends {
            heard_ms: newest.map(|_| wall_ms.saturating_sub(lasts)),
            is_silent: silence.is_too_long(),
            missing: writer.missing().numbers().saturating_sub(lost),
            lost,
            behind: newest.map_or(0, |newest| {
                newest.highest_frame.saturating_add(1).saturating_sub(writer.next_seq())
            }),
            paths: self
                .names
                .iter()
                .enumerate()
                .map(|(place, name)| PathEnd {
                    name: name.clone(),
                    is_down: receiver.is_path_down(place),
                })
                .collect(),
        }
    }
}

fn states(ends: &Ends) -> (bool, u64, &[PathEnd]) {
    (ends.is_silent, ends.lost, &ends.paths)
}

fn counts(ends: &Ends) -> (u64, u64) {
    (ends.missing, ends.behind)
}

//! What of the authentic datagrams the receiver takes: the highest session's, each once, whichever of
//! several paths brings it first.
//!
//! Each path has a window of its own besides, so that the second copy of a datagram that comes on
//! another path differs from one that comes twice on the same.

use std::time::Duration;

use crate::datagram::{Header, SessionId};
use crate::protect::Keys;
use crate::replay::{Seen, Window};
use crate::session::{Edge, ReceiverState};

/// The edge is stored so far ahead of what was seen, at the pace of late.
const AHEAD: Duration = Duration::from_millis(50);
/// The least of it, in datagrams.
const MIN_AHEAD: u64 = 32;
/// The most of it: where a session is counted faster than any link is.
const MAX_AHEAD: u64 = 1 << 16;

/// What an authentic datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// The first of a session above all before.
    NewSession,
    /// Not seen before.
    New,
    /// The same came before on another path, and not on this one.
    OtherPath,
    /// The same came before on this path.
    Duplicate,
    /// Below the window, or what the receiver before this one may have seen.
    TooOld,
    /// Of a session that ended, or of another with the same number.
    OldSession,
}

impl Passed {
    /// Whether what it says counts.
    pub(crate) fn is_new(self) -> bool {
        matches!(self, Passed::New | Passed::NewSession)
    }
}

/// Sessions and windows.
#[derive(Debug)]
pub(crate) struct Gate {
    /// As it was stored last.
    stored: ReceiverState,
    paths: usize,
    current: Option<Current>,
    /// When the edge was stored last, and what was the highest then.
    last_store: Option<(Duration, u64)>,
}

/// The highest session.
#[derive(Debug)]
struct Current {
    key: u32,
    session: SessionId,
    window: Window,
    by_path: Vec<Window>,
    /// Counters that are expected from here on.
    lowest: u64,
    /// Of these, those that came.
    came: u64,
}

impl Current {
    fn new(key: u32, session: SessionId, lowest: u64, paths: usize) -> Current {
        let window = Window::new(lowest);
        Current { key, session, by_path: vec![window.clone(); paths], window, lowest, came: 0 }
    }
}

impl Gate {
    /// Goes on where the stored state ends; keys that aren't valid any more count for nothing.
    pub(crate) fn new(mut stored: ReceiverState, keys: &Keys, paths: usize) -> Gate {
        stored.retain(|key| keys.has(key));
        let current = stored.highest().map(|known| {
            Current::new(known.key, known.session, known.edge.saturating_add(1), paths)
        });
        Gate { stored, paths, current, last_store: None }
    }

    /// What a datagram is that was authentic; from now on it was seen.
    pub(crate) fn see(&mut self, path: usize, header: &Header) -> Passed {
        let is_higher = match &self.current {
            Some(current) if header.session.number < current.session.number => {
                return Passed::OldSession;
            }
            Some(current) if header.session.number == current.session.number => {
                if (current.session, current.key) != (header.session, header.key) {
                    return Passed::OldSession;
                }
                false
            }
            _ => true,
        };
        if is_higher {
            self.current = Some(Current::new(header.key, header.session, 0, self.paths));
            self.last_store = None;
        }
        let Some(current) = &mut self.current else {
            mistake::mistake!("a session that isn't there");
            return Passed::TooOld;
        };
        let on_path = match current.by_path.get_mut(path) {
            Some(window) => window.see(header.counter),
            None => {
                mistake::mistake!("a path that isn't configured");
                return Passed::TooOld;
            }
        };
        let seen = current.window.see(header.counter);
        current.came = current.came.saturating_add(u64::from(seen == Seen::New));
        match (seen, on_path) {
            (Seen::New, _) if is_higher => Passed::NewSession,
            (Seen::New, _) => Passed::New,
            (Seen::TooOld, _) => Passed::TooOld,
            (Seen::Before, Seen::New) => Passed::OtherPath,
            (Seen::Before, _) => Passed::Duplicate,
        }
    }

    /// Session and highest counter that was seen.
    pub(crate) fn highest(&self) -> Option<(SessionId, u64)> {
        let current = self.current.as_ref()?;
        Some((current.session, current.window.highest()?))
    }

    /// Counters up to the highest that haven't come.
    pub(crate) fn missing(&self) -> u64 {
        let Some(current) = &self.current else { return 0 };
        let Some(highest) = current.window.highest() else { return 0 };
        let all = highest.saturating_sub(current.lowest).saturating_add(1);
        all.saturating_sub(current.came)
    }

    /// Whether all that was seen is below the stored edge.
    pub(crate) fn is_stored(&self) -> bool {
        let Some(current) = &self.current else { return true };
        let Some(highest) = current.window.highest() else { return true };
        self.stored.edges().iter().any(|known| {
            known.key == current.key && known.session == current.session && highest <= known.edge
        })
    }

    /// The state that has to be stored before anything of what was seen may be used.
    pub(crate) fn to_store(&self, now: Duration) -> Option<ReceiverState> {
        if self.is_stored() {
            return None;
        }
        let current = self.current.as_ref()?;
        let highest = current.window.highest()?;
        let mut state = self.stored.clone();
        let edge = highest.saturating_add(self.ahead(now, highest));
        state.set(Edge { key: current.key, session: current.session, edge });
        Some(state)
    }

    /// The state of a receiver that ends: nothing more is seen, so nothing is ahead.
    pub(crate) fn at_end(&self) -> ReceiverState {
        let mut state = self.stored.clone();
        let highest = self.current.as_ref().and_then(|current| {
            let edge = current.window.highest()?;
            Some(Edge { key: current.key, session: current.session, edge })
        });
        if let Some(edge) = highest {
            state.set(edge);
        }
        state
    }

    /// That state is stored.
    pub(crate) fn stored(&mut self, now: Duration, state: ReceiverState) {
        self.stored = state;
        self.last_store = self.highest().map(|(_, highest)| (now, highest));
    }

    fn ahead(&self, now: Duration, highest: u64) -> u64 {
        let counted = self.last_store.and_then(|(then, before)| {
            let counted = u128::from(highest.saturating_sub(before));
            let elapsed = now.saturating_sub(then).as_micros().max(1);
            counted.saturating_mul(AHEAD.as_micros()).checked_div(elapsed)
        });
        let ahead = u64::try_from(counted.unwrap_or(0)).unwrap_or(MAX_AHEAD);
        ahead.clamp(MIN_AHEAD, MAX_AHEAD)
    }
}

#[cfg(test)]
mod tests;

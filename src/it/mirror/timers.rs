//! Timers of the mirror: one name for everything that happens because time passes, and a table of
//! when each is due. A node whose table is empty has nothing to wait for.

use std::time::Duration;

/// Something that happens when time has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// Of the mirror: the journal was silent for too long. Every fresh frame sets it anew.
    LinkStale,
    /// The node is declared dead: frames were lost, and no keyframe has confirmed it since.
    ConfirmBy,
    /// Births of another shape are published; no data goes out until then.
    RebirthDue,
    /// Births that say anew what was lost, or that a host asked for, are published; data goes out
    /// meanwhile.
    MarksDue,
    /// The broker is asked whether it holds what was published live.
    ConfirmLive,
    /// The broker is asked whether it holds what was published as historical.
    ConfirmHistory,
    /// Missed frames of the node may be read again.
    Backfill,
    /// The next attempt to connect, after one that failed.
    Connect,
}

/// When the timers are due, as time since the same start as [`Now::at`](super::Now).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Timers([Option<Duration>; 8]);

impl Timers {
    /// Starts a timer, or sets it anew.
    pub(super) fn set(&mut self, timer: Timer, due: Duration) {
        *self.entry(timer) = Some(due);
    }

    /// Has a timer due at the next tick, or stops it.
    pub(super) fn set_now_if(&mut self, timer: Timer, wanted: bool) {
        *self.entry(timer) = wanted.then_some(Duration::ZERO);
    }

    pub(super) fn stop(&mut self, timer: Timer) {
        *self.entry(timer) = None;
    }

    pub(super) fn is_set(&self, timer: Timer) -> bool {
        self.due(timer).is_some()
    }

    pub(super) fn is_due(&self, timer: Timer, at: Duration) -> bool {
        self.due(timer).is_some_and(|due| at >= due)
    }

    /// Some timer is due.
    pub(super) fn any_due(&self, at: Duration) -> bool {
        self.0.iter().flatten().any(|due| at >= *due)
    }

    /// No timer runs.
    pub(super) fn is_idle(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    fn due(&self, timer: Timer) -> Option<Duration> {
        let [stale, confirm, rebirth, marks, live, history, backfill, connect] = self.0;
        match timer {
            Timer::LinkStale => stale,
            Timer::ConfirmBy => confirm,
            Timer::RebirthDue => rebirth,
            Timer::MarksDue => marks,
            Timer::ConfirmLive => live,
            Timer::ConfirmHistory => history,
            Timer::Backfill => backfill,
            Timer::Connect => connect,
        }
    }

    fn entry(&mut self, timer: Timer) -> &mut Option<Duration> {
        let [stale, confirm, rebirth, marks, live, history, backfill, connect] = &mut self.0;
        match timer {
            Timer::LinkStale => stale,
            Timer::ConfirmBy => confirm,
            Timer::RebirthDue => rebirth,
            Timer::MarksDue => marks,
            Timer::ConfirmLive => live,
            Timer::ConfirmHistory => history,
            Timer::Backfill => backfill,
            Timer::Connect => connect,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Timer; 8] = [
        Timer::LinkStale,
        Timer::ConfirmBy,
        Timer::RebirthDue,
        Timer::MarksDue,
        Timer::ConfirmLive,
        Timer::ConfirmHistory,
        Timer::Backfill,
        Timer::Connect,
    ];

    #[test]
    fn every_timer_has_a_place_of_its_own() {
        let second = Duration::from_secs(1);
        for timer in ALL {
            let mut timers = Timers::default();
            assert!(timers.is_idle());
            timers.set(timer, second);
            assert!(!timers.is_idle());
            for other in ALL {
                assert_eq!(timers.is_set(other), other == timer);
                assert_eq!(timers.is_due(other, second), other == timer);
                assert!(!timers.is_due(other, Duration::ZERO));
            }
            timers.stop(timer);
            assert!(timers.is_idle());
        }
    }
}

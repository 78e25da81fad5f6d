//! Pulse of a connection: when a PINGREQ is due, and when there is no sign of life any more. Whatever
//! moves is a sign of life: a byte that comes, and room for bytes that had to wait. So a large packet
//! on a slow link, in either direction, isn't taken for silence. Sans-IO: time comes in.

use std::time::Duration;

use tokio::time::Instant;

use crate::silence::CONNECT_KEY;

/// Key of the configuration for keep alive.
const KEEP_ALIVE_KEY: &str = "keep-alive-s";

/// A PINGREQ follows something urgent after this, where nothing else does: only by what comes behind
/// it a broker's TCP sees that it was lost on its way, and says so within one round trip. Else it takes
/// two or more until it is sent again.
const PROBE_AFTER: Duration = Duration::from_millis(60);

/// When signs of life are asked for, and how long they may be missing.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The keep alive that the broker is told.
    pub keep_alive: Duration,
    /// Longest wait for the CONNACK.
    pub connack: Duration,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing until then.
    Wait(Instant),
    /// A PINGREQ is due.
    Ping,
    /// The connection is dead.
    Dead(String),
}

/// One connection's.
#[derive(Debug)]
pub(crate) struct Pulse {
    patience: Patience,
    began: Instant,
    /// A byte came last; `None`: not even the CONNACK's.
    heard: Option<Instant>,
    /// Something was sent last.
    sent: Instant,
    /// Since when a PINGREQ is out to which nothing came.
    asked: Option<Instant>,
    /// Since when bytes wait, and none was taken.
    stuck: Option<Instant>,
    /// When a PINGREQ is due behind something urgent.
    probe: Option<Instant>,
}

impl Pulse {
    pub(crate) fn new(patience: Patience, now: Instant) -> Pulse {
        Pulse {
            patience,
            began: now,
            heard: None,
            sent: now,
            asked: None,
            stuck: None,
            probe: None,
        }
    }

    /// The broker asks for this keep alive (MQTT 5 §3.2.2.3.14); zero: for none. One that is longer than ours changes
    /// nothing: a client may always speak sooner.
    pub(crate) fn keep_alive(&mut self, wanted: Duration) {
        if !wanted.is_zero() {
            self.patience.keep_alive = self.patience.keep_alive.min(wanted);
        }
    }

    /// No byte came yet.
    pub(crate) fn is_unheard(&self) -> bool {
        self.heard.is_none()
    }

    /// A byte came; true: it is the first one.
    pub(crate) fn heard(&mut self, now: Instant) -> bool {
        self.asked = None;
        self.heard.replace(now).is_none()
    }

    /// Bytes were sent, and none waits.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.sent = now;
        // Room for what had waited is a sign of life.
        if self.stuck.take().is_some() {
            self.asked = self.asked.map(|_| now);
        }
    }

    /// Bytes wait; `moved`: others of them were taken just now.
    pub(crate) fn waits(&mut self, now: Instant, moved: bool) {
        if moved || self.stuck.is_none() {
            self.stuck = Some(now);
            self.sent = now;
        }
    }

    /// Something urgent was sent.
    pub(crate) fn hurried(&mut self, now: Instant) {
        self.probe = now.checked_add(PROBE_AFTER);
    }

    /// A PINGREQ was sent.
    pub(crate) fn pinged(&mut self, now: Instant) {
        self.probe = None;
        self.asked.get_or_insert(now);
    }

    pub(crate) fn look(&self, now: Instant) -> Look {
        let Patience { keep_alive, connack } = self.patience;
        let Some(heard) = self.heard else {
            return match after(self.began, connack, now) {
                Ok(until) => Look::Wait(until),
                Err(()) => {
                    let seconds = connack.as_secs();
                    Look::Dead(format!("no CONNACK within {seconds} s (`{CONNECT_KEY}`)"))
                }
            };
        };
        let seconds = keep_alive.as_secs();
        if let Some(stuck) = self.stuck {
            return match after(stuck.max(heard), keep_alive, now) {
                Ok(until) => Look::Wait(until),
                Err(()) => Look::Dead(format!(
                    "the broker took no byte and sent none for {seconds} s (`{KEEP_ALIVE_KEY}`)"
                )),
            };
        }
        // What waits, and so follows, does the same.
        if let Some(probe) = self.probe {
            return if probe <= now { Look::Ping } else { Look::Wait(probe) };
        }
        if let Some(asked) = self.asked {
            return match after(asked, keep_alive, now) {
                Ok(until) => Look::Wait(until),
                Err(()) => Look::Dead(format!(
                    "no byte came for {seconds} s after a PINGREQ (`{KEEP_ALIVE_KEY}`)"
                )),
            };
        }
        match after(self.sent.min(heard), keep_alive, now) {
            Ok(until) => Look::Wait(until),
            Err(()) => Look::Ping,
        }
    }
}

/// When `pause` after `since` is over; `Err`: it is.
fn after(since: Instant, pause: Duration, now: Instant) -> Result<Instant, ()> {
    let until = since.checked_add(pause).unwrap_or(since);
    if until > now { Ok(until) } else { Err(()) }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { keep_alive: Duration::from_secs(10), connack: Duration::from_secs(30) };

    struct Clock(Instant);

    impl Clock {
        fn at(&self, seconds: u64) -> Instant {
            self.0 + Duration::from_secs(seconds)
        }
    }

    fn connected() -> (Pulse, Clock) {
        let clock = Clock(Instant::now());
        let mut pulse = Pulse::new(PATIENCE, clock.at(0));
        pulse.heard(clock.at(0));
        (pulse, clock)
    }

    #[test]
    fn a_connack_may_be_late_and_not_missing() {
        let clock = Clock(Instant::now());
        let pulse = Pulse::new(PATIENCE, clock.at(0));
        assert_eq!(pulse.look(clock.at(29)), Look::Wait(clock.at(30)));
        let Look::Dead(why) = pulse.look(clock.at(30)) else { panic!() };
        assert_eq!(why, "no CONNACK within 30 s (`connect-timeout-s`)");
    }

    #[test]
    fn one_that_is_asked_and_says_nothing_is_dead() {
        let (mut pulse, clock) = connected();
        assert_eq!(pulse.look(clock.at(9)), Look::Wait(clock.at(10)));
        assert_eq!(pulse.look(clock.at(10)), Look::Ping);
        pulse.sent(clock.at(10));
        pulse.pinged(clock.at(10));
        assert_eq!(pulse.look(clock.at(19)), Look::Wait(clock.at(20)));
        let Look::Dead(why) = pulse.look(clock.at(20)) else { panic!() };
        assert_eq!(why, "no byte came for 10 s after a PINGREQ (`keep-alive-s`)");
        pulse.heard(clock.at(20));
        assert_eq!(pulse.look(clock.at(20)), Look::Ping, "nothing was sent since the last one");
    }

    #[test]
    fn a_broker_that_wants_to_hear_more_often_does() {
        for (wanted, pings_at) in [(4, 4), (60, 10), (0, 10)] {
            let (mut pulse, clock) = connected();
            pulse.keep_alive(Duration::from_secs(wanted));
            assert_eq!(pulse.look(clock.at(pings_at - 1)), Look::Wait(clock.at(pings_at)));
            assert_eq!(pulse.look(clock.at(pings_at)), Look::Ping, "{wanted}");
        }
    }

    #[test]
    fn one_that_only_takes_is_asked_as_well() {
        let (mut pulse, clock) = connected();
        for second in 1..10 {
            pulse.sent(clock.at(second));
        }
        assert_eq!(pulse.look(clock.at(10)), Look::Ping, "nothing was heard");
    }

    #[test]
    fn bytes_that_come_slowly_are_signs_of_life() {
        let (mut pulse, clock) = connected();
        pulse.sent(clock.at(10));
        pulse.pinged(clock.at(10));
        // The answer is behind a packet that takes 40 s.
        for second in 11..50 {
            pulse.heard(clock.at(second));
            assert!(!matches!(pulse.look(clock.at(second)), Look::Dead(_)));
        }
    }

    #[test]
    fn bytes_that_are_taken_slowly_are_signs_of_life_and_bytes_that_are_not_taken_are_none() {
        let (mut pulse, clock) = connected();
        for second in 1..100 {
            pulse.waits(clock.at(second), second % 9 == 0);
            assert!(matches!(pulse.look(clock.at(second)), Look::Wait(_)), "{second}");
        }
        pulse.waits(clock.at(100), false);
        let Look::Dead(why) = pulse.look(clock.at(109)) else { panic!() };
        assert_eq!(why, "the broker took no byte and sent none for 10 s (`keep-alive-s`)");
        pulse.sent(clock.at(109));
        assert_eq!(pulse.look(clock.at(109)), Look::Ping);
    }

    #[test]
    fn something_urgent_has_a_ping_behind_it() {
        let (mut pulse, clock) = connected();
        pulse.sent(clock.at(1));
        pulse.hurried(clock.at(1));
        let due = clock.at(1) + PROBE_AFTER;
        assert_eq!(pulse.look(clock.at(1)), Look::Wait(due));
        assert_eq!(pulse.look(due), Look::Ping);
        pulse.pinged(due);
        pulse.sent(due);
        pulse.heard(clock.at(2));
        assert_eq!(pulse.look(clock.at(2)), Look::Wait(due + Duration::from_secs(10)));
        let mut early = Pulse::new(PATIENCE, clock.at(0));
        early.hurried(clock.at(0));
        assert_eq!(early.look(clock.at(1)), Look::Wait(clock.at(30)), "there is no session yet");
    }
}

//! From which number on frames may still come by themselves: what is missing below that is lost for
//! good, unless an operator has it sent again.
//!
//! The sender knows what its second pass has before it; what it has read and handed over leaves within
//! moments, so it says each time what was so a while ago. The receiver waits for another while, in which
//! what is on the way is restored or given up.

use std::collections::VecDeque;
use std::time::Duration;

/// What the sender knows, as it was a while ago.
#[derive(Debug)]
pub(crate) struct Settling {
    lag: Duration,
    samples: VecDeque<(Duration, u64)>,
}

impl Settling {
    /// What is handed over has left after `lag`.
    pub(crate) fn new(lag: Duration) -> Settling {
        Settling { lag, samples: VecDeque::new() }
    }

    /// Frames below `lowest` aren't to go again now; below which number nothing is under way either.
    pub(crate) fn sample(&mut self, now: Duration, lowest: u64) -> u64 {
        self.samples.push_back((now, lowest));
        let is_old = |(at, _): &(Duration, u64)| now.saturating_sub(*at) >= self.lag;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
        // What is asked for meanwhile counts at once.
        let oldest = self.samples.front().filter(|sample| is_old(sample));
        oldest.map_or(0, |_| self.samples.iter().map(|(_, lowest)| *lowest).min().unwrap_or(0))
    }
}

/// What the receiver has heard of it.
#[derive(Debug)]
pub(crate) struct Settled {
    wait: Duration,
    settled: u64,
    next: Option<(Duration, u64)>,
}

impl Settled {
    /// What was on the way when something was heard is here or given up after `wait`.
    pub(crate) fn new(wait: Duration) -> Settled {
        Settled { wait, settled: 0, next: None }
    }

    /// The sender says so.
    pub(crate) fn hear(&mut self, now: Duration, again_from: u64) {
        self.advance(now);
        if again_from < self.settled {
            // An operator's stretch, or a start that goes back.
            (self.settled, self.next) = (again_from, None);
        } else if again_from > self.settled && self.next.is_none_or(|(_, next)| again_from < next) {
            self.next = Some((now, again_from));
        }
    }

    /// Below which number frames don't come by themselves any more.
    pub(crate) fn at(&mut self, now: Duration) -> u64 {
        self.advance(now);
        self.settled
    }

    fn advance(&mut self, now: Duration) {
        let is_past = |(at, _): &mut (Duration, u64)| now.saturating_sub(*at) >= self.wait;
        if let Some((_, next)) = self.next.take_if(is_past) {
            self.settled = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_sender_says_what_was_so_a_while_ago_and_what_is_asked_for_at_once() {
        let mut settling = Settling::new(at(1_000));
        assert_eq!(settling.sample(at(0), 5), 0, "nothing is known yet");
        assert_eq!(settling.sample(at(500), 8), 0);
        assert_eq!(settling.sample(at(1_000), 20), 5);
        assert_eq!(settling.sample(at(1_600), 30), 8);
        assert_eq!(settling.sample(at(1_700), 2), 2);
        assert_eq!(settling.sample(at(2_699), 40), 2);
        assert_eq!(settling.sample(at(3_700), 41), 40);
    }

    #[test]
    fn a_receiver_waits_for_what_is_on_the_way() {
        let mut settled = Settled::new(at(1_000));
        settled.hear(at(0), 10);
        assert_eq!(settled.at(at(999)), 0);
        // What is heard meanwhile doesn't put it off.
        settled.hear(at(900), 12);
        assert_eq!(settled.at(at(1_000)), 10);
        settled.hear(at(1_100), 13);
        assert_eq!((settled.at(at(2_099)), settled.at(at(2_100))), (10, 13));
        settled.hear(at(2_200), 4);
        assert_eq!((settled.at(at(2_200)), settled.at(at(9_000))), (4, 4));
    }
}

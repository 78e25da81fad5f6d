//! The good node beside attackers, by the clock: for the benchmark and the long run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::attacker::{Attacker, Side};
use crate::clock::micros;
use crate::edge::Edge;
use crate::good::{GROUP, Good};
use crate::hand::Hand;
use crate::witness::Witness;

/// Time between two messages of the good node: 20 a second.
pub const STEP: Duration = Duration::from_millis(50);
/// How long a birth may take until it is on IT.
const BORN_WITHIN: Duration = Duration::from_secs(30);
/// How often a birth is repeated until somebody hears it.
const BIRTH_EVERY: Duration = Duration::from_millis(1_500);
/// How long what is under way may take after the last message.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);

/// The two brokers, what publishes beside the attackers, and who hears it.
#[derive(Debug)]
pub struct Scene {
    ot: Address,
    it: Address,
    good: Good,
    /// Another node that is mirrored.
    other: (Hand, Edge),
    on_ot: Witness,
    on_it: Witness,
}

/// What became of the good node.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Messages that it sent.
    pub said: u64,
    /// Numbers of these that IT never heard.
    pub lost: u64,
    /// Numbers that IT heard as historical data alone.
    pub late: u64,
    /// Births and deaths on IT.
    pub births: u64,
    pub deaths: u64,
    /// From when a message was due to its arrival on IT, in milliseconds, sorted.
    pub whole_ms: Vec<f64>,
    /// The same from its arrival at a subscriber of the plant's broker: what the relay takes.
    pub relay_ms: Vec<f64>,
    /// Steps that the attackers did.
    pub steps: u64,
    /// Connections of attackers that the broker ended.
    pub refused: u64,
}

/// What an attacker does before anybody is there.
pub fn before(attackers: &[Attacker], ot: &Address, it: &Address) {
    for attacker in attackers {
        let shots = (attacker.before)(&mut attacker.edge());
        hand(attacker, ot, it).fire(shots);
    }
}

fn hand(attacker: &Attacker, ot: &Address, it: &Address) -> Hand {
    let address = match attacker.side {
        Side::Ot => ot,
        Side::It => it,
    };
    Hand::new(address, &attacker.client_id())
}

impl Scene {
    /// The good node and another one, born and on IT.
    ///
    /// # Panics
    /// They don't get there.
    pub fn start(ot: &Address, it: &Address) -> Scene {
        let (on_ot, on_it) = (Witness::start(ot), Witness::start(it));
        let begin = Instant::now();
        let mut good = Good::born(ot);
        let mut other = (Hand::new(ot, "the-other-node"), Edge::new(GROUP, "Other", 1));
        loop {
            let birth = other.1.small_birth();
            other.0.fire(vec![birth]);
            if on_it.wait(BIRTH_EVERY, |seen| seen.births > 0) {
                break;
            }
            assert!(begin.elapsed() < BORN_WITHIN, "the good node isn't on IT");
            good.born_again();
        }
        // Births that were repeated, and are still on their way.
        let mut births = on_it.seen().births;
        loop {
            thread::sleep(Duration::from_millis(300));
            let now = on_it.seen().births;
            if now == std::mem::replace(&mut births, now) {
                break;
            }
        }
        Scene { ot: ot.clone(), it: it.clone(), good, other, on_ot, on_it }
    }

    /// Has all `attackers` go on for `length`, each with a step every `pace`, while the good node
    /// says 20 numbers a second.
    pub fn run(&mut self, attackers: &[Attacker], pace: Duration, length: Duration) -> Figures {
        let (before, born, dead) = {
            let seen = self.on_it.seen();
            (self.good.said(), seen.births, seen.deaths)
        };
        let (stop, steps, refused) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for attacker in attackers {
                let mut hand = hand(attacker, &self.ot, &self.it);
                let (stop, steps, refused) = (&stop, &steps, &refused);
                scope.spawn(move || {
                    let mut edge = attacker.edge();
                    let mut due = Instant::now();
                    let mut step = 0;
                    while !stop.load(Ordering::Relaxed) {
                        hand.fire((attacker.step)(&mut edge, step));
                        step += 1;
                        steps.fetch_add(1, Ordering::Relaxed);
                        // Whoever is held up goes on as soon as the broker lets it.
                        due = (due + pace).max(Instant::now());
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                    }
                    refused.fetch_add(hand.refused, Ordering::Relaxed);
                });
            }
            let begin = Instant::now();
            let start_us = micros();
            let count = (length.as_micros() / STEP.as_micros()) as u64;
            for number in 0..count {
                let due = STEP * u32::try_from(number).unwrap();
                thread::sleep(due.saturating_sub(begin.elapsed()));
                self.good.say(start_us + due.as_micros() as u64);
            }
            stop.store(true, Ordering::Relaxed);
        });
        self.figures(before, (born, dead), (&steps, &refused))
    }

    fn figures(
        &mut self,
        before: u64,
        (born, dead): (u64, u64),
        (steps, refused): (&AtomicU64, &AtomicU64),
    ) -> Figures {
        let last = self.good.said();
        self.on_it.wait(DRAIN_WITHIN, |seen| {
            let is_heard = |count| seen.heard.contains_key(&count) || seen.late.contains(&count);
            (before + 1..=last).rev().all(is_heard)
        });
        let (on_ot, on_it) = (self.on_ot.seen(), self.on_it.seen());
        let said = before + 1..=last;
        let mut figures = Figures {
            said: last - before,
            births: on_it.births - born,
            deaths: on_it.deaths - dead,
            steps: steps.load(Ordering::Relaxed),
            refused: refused.load(Ordering::Relaxed),
            ..Figures::default()
        };
        for count in said {
            let Some(heard) = on_it.heard.get(&count) else {
                let is_late = on_it.late.contains(&count);
                figures.late += u64::from(is_late);
                figures.lost += u64::from(!is_late);
                continue;
            };
            figures.whole_ms.push(heard.since_sent_us as f64 / 1e3);
            if let Some(at_ot) = on_ot.heard.get(&count) {
                let relay_us = heard.at_us.saturating_sub(at_ot.at_us);
                figures.relay_ms.push(relay_us as f64 / 1e3);
            }
        }
        figures.whole_ms.sort_by(f64::total_cmp);
        figures.relay_ms.sort_by(f64::total_cmp);
        figures
    }

    /// The other node dies as it should.
    pub fn leave(mut self) {
        let death = self.other.1.death();
        self.other.0.fire(vec![death]);
    }
}

/// The value below which `share` (0 to 1) of `sorted` lies; 0 of nothing.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let at = (sorted.len().saturating_sub(1) as f64 * share).round() as usize;
    sorted.get(at).copied().unwrap_or(0.0)
}

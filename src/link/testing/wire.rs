//! The wire between both ends: paths, each with its faults.

use std::collections::BTreeMap;
use std::time::Duration;

/// Time on the wire.
const DELAY: Duration = Duration::from_micros(50);

/// What a path does to datagrams.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Of ten thousand, those that are lost, each by chance.
    pub lost: u64,
    /// Everything is lost for so long, once in each second, at a time that chance says.
    pub burst: Duration,
    /// From when to when everything is lost.
    pub cut: Vec<(Duration, Duration)>,
    /// By how many others one may be overtaken: up to so many, by chance.
    pub reorder: u64,
    /// Of ten thousand, those that come twice.
    pub doubled: u64,
    /// Of ten thousand, those of which a bit is flipped.
    pub flipped: u64,
    /// All of it comes so much later.
    pub slower: Duration,
}

/// xorshift.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end.max(1)
    }
}

/// All paths.
pub(super) struct Wire {
    paths: Vec<Path>,
    /// By the time when they come.
    under_way: BTreeMap<(Duration, u64), (usize, Vec<u8>)>,
    number: u64,
    pub(super) flipped: u64,
    pub(super) arrived: u64,
}

struct Path {
    faults: Faults,
    random: Random,
    /// Second, and when in it everything is lost.
    burst: (u64, Duration),
    /// By the number of the datagram that they have to let pass.
    held: BTreeMap<(u64, u64), Vec<u8>>,
    carried: u64,
}

impl Wire {
    pub(super) fn new(faults: &[Faults], seed: u64) -> Wire {
        let path = |(number, faults): (u64, &Faults)| Path {
            faults: faults.clone(),
            random: Random(seed.wrapping_mul(977) + number * 13 + 1),
            burst: (u64::MAX, Duration::ZERO),
            held: BTreeMap::new(),
            carried: 0,
        };
        Wire {
            paths: (0..).zip(faults).map(path).collect(),
            under_way: BTreeMap::new(),
            number: 0,
            flipped: 0,
            arrived: 0,
        }
    }

    pub(super) fn carry(&mut self, now: Duration, datagram: &[u8]) {
        for (number, path) in self.paths.iter_mut().enumerate() {
            let slower = path.faults.slower;
            for bytes in path.carry(now, datagram, &mut self.flipped) {
                self.number += 1;
                self.under_way.insert((now + DELAY + slower, self.number), (number, bytes));
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.under_way.first_key_value().map(|((due, _), _)| *due)
    }

    pub(super) fn next(&mut self, now: Duration) -> Option<(usize, Vec<u8>)> {
        if self.next_due()? > now {
            return None;
        }
        self.arrived += 1;
        self.under_way.pop_first().map(|(_, datagram)| datagram)
    }
}

impl Path {
    /// What comes out when this goes in.
    fn carry(&mut self, now: Duration, datagram: &[u8], flipped: &mut u64) -> Vec<Vec<u8>> {
        self.carried += 1;
        let random = &mut self.random;
        let faults = &self.faults;
        if self.burst.0 != now.as_secs() {
            let room = 1_000_000 - faults.burst.as_micros() as u64;
            self.burst = (now.as_secs(), Duration::from_micros(random.below(room)));
        }
        let begin = Duration::from_secs(self.burst.0) + self.burst.1;
        let is_lost = random.below(10_000) < faults.lost
            || (begin..begin + faults.burst).contains(&now)
            || faults.cut.iter().any(|(from, to)| (*from..*to).contains(&now));
        let copies = if is_lost { 0 } else { 1 + u64::from(random.below(10_000) < faults.doubled) };
        for copy in 0..copies {
            let mut bytes = datagram.to_vec();
            if random.below(10_000) < faults.flipped {
                *flipped += 1;
                let bit = random.below(bytes.len() as u64 * 8) as usize;
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            let behind = self.carried + random.below(faults.reorder + 1);
            self.held.insert((behind, self.carried * 2 + copy), bytes);
        }
        let later = self.held.split_off(&(self.carried + 1, 0));
        std::mem::replace(&mut self.held, later).into_values().collect()
    }
}

//! A link in virtual time: both ends, and between them a wire that loses, delays, doubles and damages
//! by a seed. For tests and the benchmark.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "for tests"
)]

mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

pub use wire::Faults;
use wire::{Random, Wire};

use crate::{
    Keys, LinkKey, LinkName, Output, Receiver, ReceiverAccount, ReceiverOptions, ReceiverState,
    Segment, Sender, SenderAccount, SenderOptions, SenderState,
};

/// How often the sender's driver looks for frames.
const LOOK: Duration = Duration::from_micros(200);
/// How often it stores up to where it has read.
const STORE_CURSOR: Duration = Duration::from_millis(100);
/// How far back a sender that begins again has frames sent again.
const BACK: u64 = 20_000;

/// What is sent over which wire.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub frames: u64,
    pub frame_bytes: usize,
    pub frames_per_s: u64,
    pub sender: SenderOptions,
    pub receiver: ReceiverOptions,
    /// One for each path.
    pub faults: Vec<Faults>,
    /// When the sender is killed and begins again, ascending.
    pub sender_killed: Vec<Duration>,
    /// The same for the receiver.
    pub receiver_killed: Vec<Duration>,
    pub seed: u64,
}

impl Default for Scenario {
    fn default() -> Scenario {
        let mut sender = SenderOptions::default();
        sender.second_pass.share_percent = 0;
        Scenario {
            frames: 20_000,
            frame_bytes: 300,
            frames_per_s: 20_000,
            sender,
            receiver: ReceiverOptions::default(),
            faults: vec![Faults::default()],
            sender_killed: Vec::new(),
            receiver_killed: Vec::new(),
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Frames that never came.
    pub lost: u64,
    /// Frames that came in their order, and those that came late.
    pub in_order: u64,
    pub late: u64,
    /// Frames that came though they had come.
    pub twice: u64,
    /// Frames that came as others than they went, or in another order though they weren't late.
    pub wrong: u64,
    /// Frames that the receiver says are missing, at the end.
    pub told_missing: u64,
    pub sender: SenderAccount,
    pub receiver: ReceiverAccount,
    /// Datagrams with a flipped bit that arrived.
    pub flipped: u64,
    /// Datagrams that arrived.
    pub arrived: u64,
    /// From a frame's being pushed to its coming out, of those in order, ascending; in microseconds.
    pub delays_us: Vec<u64>,
    /// Until when it took.
    pub took: Duration,
    /// Longest time without a sign of life.
    pub longest_silence: Duration,
    pub paths_down: Vec<bool>,
}

impl Figures {
    /// Bytes of repair symbols per byte of source symbols, all headers included.
    pub fn overhead(&self) -> f64 {
        self.sender.repair_bytes as f64 / self.sender.source_bytes.max(1) as f64
    }

    /// Of the delays; 0.5 is the median.
    pub fn delay_us(&self, quantile: f64) -> u64 {
        let last = self.delays_us.len().saturating_sub(1);
        self.delays_us.get((last as f64 * quantile) as usize).copied().unwrap_or(0)
    }
}

/// The bytes of a frame: none is like another.
fn frame(number: u64, bytes: usize, out: &mut Vec<u8>) {
    out.clear();
    let mut random = Random(number.wrapping_mul(2) + 1);
    while out.len() < bytes {
        out.extend_from_slice(&random.next().to_be_bytes());
    }
    out.truncate(bytes);
}

/// The segment that it stands in: of 5,000 frames each.
fn segment(number: u64) -> Segment {
    let first_seq = (number - 1) / 5_000 * 5_000 + 1;
    let relay_name = "plant".to_owned();
    Segment { epoch: 1, first_seq, created_ms: first_seq * 7, relay_name, ..Segment::default() }
}

/// Runs it to its end.
pub fn run(scenario: &Scenario) -> Figures {
    Run::new(scenario).finish()
}

struct Run<'a> {
    scenario: &'a Scenario,
    name: LinkName,
    key: LinkKey,
    now: Duration,
    sender: Sender,
    sender_state: SenderState,
    /// The next frame to be read, and up to where that is stored.
    cursor: u64,
    stored_cursor: u64,
    cursor_stored_at: Duration,
    receiver: Receiver,
    receiver_state: ReceiverState,
    wire: Wire,
    /// Numbers that the receiver's journal has.
    journal: BTreeSet<u64>,
    last_in_order: u64,
    pushed_at: Vec<Duration>,
    figures: Figures,
    buffer: Vec<u8>,
    datagram: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario) -> Run<'a> {
        let name = LinkName::new("simulated").unwrap();
        let key = LinkKey::new(&[5; 32]);
        let sender_state = SenderState::next(None, 0).unwrap();
        let options = scenario.sender;
        let now = Duration::ZERO;
        let sender = Sender::new(options, &name, &key, sender_state, [1; 8], now).unwrap();
        let mut run = Run {
            scenario,
            receiver: receiver(scenario, &name, &key, ReceiverState::default(), now),
            name,
            key,
            now,
            sender,
            sender_state,
            cursor: 1,
            stored_cursor: 1,
            cursor_stored_at: now,
            receiver_state: ReceiverState::default(),
            wire: Wire::new(&scenario.faults, scenario.seed),
            journal: BTreeSet::new(),
            last_in_order: 0,
            pushed_at: Vec::new(),
            figures: Figures::default(),
            buffer: Vec::new(),
            datagram: Vec::new(),
        };
        run.step();
        run
    }

    fn finish(mut self) -> Figures {
        let sending = Duration::from_secs_f64(
            self.scenario.frames as f64 / self.scenario.frames_per_s as f64,
        );
        let mut sender_killed = self.scenario.sender_killed.iter().peekable();
        let mut receiver_killed = self.scenario.receiver_killed.iter().peekable();
        let mut look = Duration::ZERO;
        // Behind the last frame: blocks close, holes are given up, the second pass ends.
        let mut end = None;
        loop {
            let idle = self.now >= sending && self.cursor > self.scenario.frames;
            if idle && self.sender.is_idle() {
                let settle = Duration::from_secs(1) + self.scenario.receiver.reorder;
                if self.now >= *end.get_or_insert(self.now + settle) {
                    break;
                }
            }
            let mut next = self.sender.next_due();
            next = next.min(self.receiver.next_due().unwrap_or(next));
            next = next.min(look);
            next = next.min(self.wire.next_due().unwrap_or(next));
            self.now = self.now.max(next);
            if sender_killed.next_if(|at| **at <= self.now).is_some() {
                self.kill_sender();
            }
            if receiver_killed.next_if(|at| **at <= self.now).is_some() {
                self.kill_receiver();
            }
            if self.now >= look {
                look = self.now + LOOK;
                self.look();
            }
            self.step();
        }
        self.figures.took = self.now;
        self.figures.sender = self.sender.account();
        self.figures.receiver = self.receiver.account();
        self.figures.told_missing = self.receiver.missing_frames();
        let came = u64::try_from(self.journal.len()).unwrap();
        self.figures.lost = self.scenario.frames - came;
        self.figures.flipped = self.wire.flipped;
        self.figures.arrived = self.wire.arrived;
        self.figures.delays_us.sort_unstable();
        let paths = 0..self.scenario.faults.len();
        self.figures.paths_down = paths.map(|path| self.receiver.is_path_down(path)).collect();
        self.figures
    }

    /// The driver of the sender reads what the journal has by now.
    fn look(&mut self) {
        let there = (self.now.as_secs_f64() * self.scenario.frames_per_s as f64) as u64;
        let there = there.min(self.scenario.frames);
        while self.cursor <= there && self.sender.room(self.now) {
            frame(self.cursor, self.scenario.frame_bytes, &mut self.buffer);
            self.sender.push(self.now, &segment(self.cursor), self.cursor, &self.buffer).unwrap();
            if self.pushed_at.len() < usize::try_from(self.cursor).unwrap() {
                self.pushed_at.push(self.now);
            }
            self.cursor += 1;
        }
        self.sender.flush(self.now);
        if self.now >= self.cursor_stored_at + STORE_CURSOR {
            self.cursor_stored_at = self.now;
            self.stored_cursor = self.cursor;
        }
    }

    /// The driver reads what goes again.
    fn look_again(&mut self) {
        if let Some(numbers) = self.sender.poll_again(self.now) {
            for number in numbers {
                frame(number, self.scenario.frame_bytes, &mut self.buffer);
                self.sender.push_again(self.now, &segment(number), number, &self.buffer).unwrap();
            }
            self.sender.again_done(self.now);
        }
    }

    /// What is due on both sides and between.
    fn step(&mut self) {
        self.look_again();
        let wall_ms = 1_000_000 + self.now.as_millis() as u64;
        while self.sender.poll_datagram(self.now, wall_ms, &mut self.datagram).unwrap() {
            assert!(self.datagram.len() <= self.scenario.sender.datagram_bytes);
            self.wire.carry(self.now, &self.datagram);
        }
        while let Some((path, mut datagram)) = self.wire.next(self.now) {
            self.receiver.handle_datagram(self.now, wall_ms + 77, path, &mut datagram);
        }
        self.receiver.tick(self.now);
        if let Some(state) = self.receiver.state_to_store(self.now) {
            assert_eq!(self.receiver.poll_output(), None, "before it is stored");
            self.receiver_state = ReceiverState::decode(&state.encode()).unwrap();
            self.receiver.state_stored(self.now, state);
        }
        while let Some(output) = self.receiver.poll_output() {
            self.came(output);
        }
        let silence = self.receiver.freshness().silent_for(self.now).unwrap_or_default();
        self.figures.longest_silence = self.figures.longest_silence.max(silence);
    }

    fn came(&mut self, output: Output) {
        let Output::Frame { segment, number, bytes, late } = output else { return };
        frame(number, self.scenario.frame_bytes, &mut self.buffer);
        if bytes != self.buffer
            || number == 0
            || number > self.scenario.frames
            || *segment != self::segment(number)
        {
            self.figures.wrong += 1;
            return;
        }
        if !self.journal.insert(number) {
            self.figures.twice += 1;
            return;
        }
        if late {
            self.figures.late += 1;
            return;
        }
        if number <= self.last_in_order {
            self.figures.wrong += 1;
        }
        self.last_in_order = number;
        self.figures.in_order += 1;
        let pushed = self.pushed_at[usize::try_from(number).unwrap() - 1];
        self.figures.delays_us.push((self.now - pushed).as_micros() as u64);
    }

    fn kill_sender(&mut self) {
        let stored = SenderState::decode(&self.sender_state.encode()).unwrap();
        self.sender_state = SenderState::next(Some(stored), 0).unwrap();
        let random = self.now.as_nanos() as u64;
        self.sender = Sender::new(
            self.scenario.sender,
            &self.name,
            &self.key,
            self.sender_state,
            random.to_be_bytes(),
            self.now,
        )
        .unwrap();
        self.cursor = self.stored_cursor;
        self.sender.resend(self.cursor.saturating_sub(BACK).max(1)..self.cursor).unwrap();
    }

    fn kill_receiver(&mut self) {
        let (name, key) = (&self.name, &self.key);
        let state = self.receiver_state.clone();
        self.receiver = receiver(self.scenario, name, key, state, self.now);
        if let (Some(first), Some(last)) = (self.journal.first(), self.journal.last()) {
            let missing = (*first..*last).filter(|number| !self.journal.contains(number));
            let segments = (1..=*last).step_by(5_000).map(segment);
            self.receiver.resume(
                1,
                *first..last + 1,
                missing.map(|number| number..number + 1),
                segments,
            );
        }
    }
}

fn receiver(
    scenario: &Scenario,
    name: &LinkName,
    key: &LinkKey,
    state: ReceiverState,
    now: Duration,
) -> Receiver {
    let options = ReceiverOptions { paths: scenario.faults.len(), ..scenario.receiver };
    let keys = Keys::new(key.clone(), None).unwrap();
    Receiver::new(options, name, keys, state, now).unwrap()
}

#[cfg(test)]
mod tests;

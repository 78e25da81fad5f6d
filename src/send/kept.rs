//! What a start goes on with: the number of the session, up to where the journal was read, and what
//! may not have crossed yet.
//!
//! What was read isn't sent, and what was sent isn't there. So beside the position stands the first
//! frame that is younger than the second pass reaches back, and stretches that wait to be sent again:
//! a start has all of it sent again, and the receiver takes of it what it is missing.

use std::collections::VecDeque;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use journal_read::Position;
use link::{SenderState, SessionsExhausted};
use state::{StateDir, StateError, StateFile, Steps};

/// Stored at the start of each session, before anything of it is sent.
const SESSION: StateFile = StateFile { name: "session.state", magic: *b"SPKDSESS" };
/// The same with positions, which are stored many times in a second.
const POSITION: StateFile = StateFile { name: "position.state", magic: *b"SPKDSPOS" };
const SAFE_POSITION: StateFile = StateFile { name: "position-safe.state", magic: *b"SPKDSPOS" };
/// What an operator asks to be sent again: `FIRST LAST`, numbers of frames.
pub const REQUEST: &str = "resend.request";
/// What was handed over to be sent has left, or is lost, after so long.
const IN_FLIGHT: Duration = Duration::from_secs(2);
/// Between two samples of what waits to be sent again.
const SAMPLE_EVERY: Duration = Duration::from_millis(250);
/// Samples of positions in the time that a start reaches back.
const SAMPLES: u32 = 64;
/// Stretches that are stored; what is beyond is joined.
const MAX_STRETCHES: usize = 32;

#[derive(Clone, PartialEq, prost::Message)]
struct Record {
    #[prost(uint64, tag = "1")]
    session: u64,
    /// The next frame that wasn't read.
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    seq: u64,
    /// The first frame that a start has sent again.
    #[prost(uint64, tag = "4")]
    from: u64,
    /// Stretches that were to be sent again: begin and end of each.
    #[prost(uint64, repeated, tag = "5")]
    stretches: Vec<u64>,
}

/// Where a start goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// Nothing was ever read.
    First,
    /// Something was, and nobody knows up to where.
    Unknown,
    At {
        position: Position,
        again: Vec<Range<u64>>,
    },
}

/// The state of the sending end.
#[derive(Debug)]
pub(crate) struct Kept {
    directory: StateDir,
    steps: Steps,
    /// As it was stored last.
    record: Record,
    /// First frames of moments of the time that a start reaches back, oldest first.
    positions: VecDeque<(Duration, u64)>,
    /// What waited to be sent again at moments of the last two seconds, oldest first.
    waiting: VecDeque<(Duration, Vec<Range<u64>>)>,
    back: Duration,
}

impl Kept {
    /// Claims the directory and reads what is stored; what was damaged is moved aside. `back`: how far
    /// a start reaches back.
    pub(crate) fn open(
        directory: &Path,
        back: Duration,
    ) -> Result<(Kept, Begin, Vec<PathBuf>), StateError> {
        let directory = StateDir::open(directory)?;
        let steps = Steps::new(POSITION, SAFE_POSITION);
        let sessions = Steps::new(SESSION, SESSION).load::<Record>(&directory)?;
        let mut found = steps.load::<Record>(&directory)?;
        found.damaged.splice(..0, sessions.damaged);
        let positions = found.states;
        let session = positions.iter().chain(&sessions.states).map(|record| record.session).max();
        let last =
            positions.into_iter().max_by_key(|known| (known.session, known.epoch, known.seq));
        let begin = match &last {
            Some(last) if last.seq > 0 => Begin::At {
                position: Position { epoch: last.epoch, seq: last.seq },
                again: last.again(),
            },
            // A session was there, so something may have been read; or the file that says it is gone.
            _ if session.is_some() || !found.damaged.is_empty() => Begin::Unknown,
            _ => Begin::First,
        };
        let record = Record { session: session.unwrap_or(0), ..last.unwrap_or_default() };
        let (positions, waiting) = (VecDeque::new(), VecDeque::new());
        let kept = Kept { directory, steps, record, positions, waiting, back };
        Ok((kept, begin, found.damaged))
    }

    /// The next session; its number is stored.
    pub(crate) fn next_session(
        &mut self,
        wall_ms: u64,
    ) -> Result<Result<SenderState, SessionsExhausted>, StateError> {
        let stored = (self.record.session > 0).then_some(self.record.session);
        let stored = stored.map(|session| SenderState { session });
        let next = match SenderState::next(stored, wall_ms) {
            Ok(next) => next,
            Err(exhausted) => return Ok(Err(exhausted)),
        };
        let record = Record { session: next.session, ..self.record.clone() };
        self.directory.save(SESSION, &record)?;
        self.record = record;
        Ok(Ok(next))
    }

    /// From here on frames are read, and these go again.
    pub(crate) fn begin(&mut self, now: Duration, position: Position, again: &[Range<u64>]) {
        self.positions = VecDeque::from([(now, position.seq)]);
        self.waiting = VecDeque::from([(now, again.to_vec())]);
    }

    /// An operator asks for it too.
    pub(crate) fn add(&mut self, numbers: &Range<u64>) {
        // At once, whatever waited two seconds ago.
        self.waiting.iter_mut().for_each(|(_, waiting)| waiting.push(numbers.clone()));
    }

    /// What is to be sent again if this session ends now.
    pub(crate) fn again(&self, position: Position) -> Vec<Range<u64>> {
        let from = self.positions.front().map_or(position.seq, |(_, from)| *from);
        let waiting = self.waiting.front().map_or(&[][..], |(_, waiting)| waiting);
        joined(
            waiting
                .iter()
                .cloned()
                .chain(iter::once(from.min(position.seq)..position.seq))
                .collect(),
        )
    }

    /// Stores how far it is, if that is another than it was.
    pub(crate) fn step(
        &mut self,
        now: Duration,
        position: Position,
        waiting: impl Iterator<Item = Range<u64>>,
    ) -> Result<(), StateError> {
        self.sample(now, position.seq, waiting);
        let record = self.record_at(position);
        if record != self.record {
            self.steps.step(&self.directory, now, &record)?;
            self.record = record;
        }
        Ok(())
    }

    /// Stores it for good.
    pub(crate) fn settle(&mut self, position: Position) -> Result<(), StateError> {
        let record = self.record_at(position);
        self.steps.settle(&self.directory, &record)?;
        self.record = record;
        Ok(())
    }

    fn record_at(&self, position: Position) -> Record {
        let mut again = self.again(position);
        // The last one ends where reading goes on, if frames are younger than it reaches back.
        let from = match again.pop_if(|last| last.end == position.seq) {
            Some(last) => last.start,
            None => position.seq,
        };
        Record {
            session: self.record.session,
            epoch: position.epoch,
            seq: position.seq,
            from,
            stretches: again.iter().flat_map(|range| [range.start, range.end]).collect(),
        }
    }

    fn sample(&mut self, now: Duration, seq: u64, waiting: impl Iterator<Item = Range<u64>>) {
        if self.positions.back().is_some_and(|(_, last)| seq < *last) {
            // The journal was made anew: what it has was sent since.
            self.positions = VecDeque::from([(now, 1)]);
        }
        let every = self.back.checked_div(SAMPLES).unwrap_or_default();
        let is_due = |last: Option<Duration>, every| {
            last.is_none_or(|last| now.saturating_sub(last) >= every)
        };
        if is_due(self.positions.back().map(|(at, _)| *at), every) {
            self.positions.push_back((now, seq));
        }
        keep(&mut self.positions, now, self.back);
        if is_due(self.waiting.back().map(|(at, _)| *at), SAMPLE_EVERY) {
            self.waiting.push_back((now, waiting.collect()));
        }
        keep(&mut self.waiting, now, IN_FLIGHT);
    }

    /// What an operator asks for, if he does.
    pub(crate) fn take_request(&self) -> Result<Option<Result<Range<u64>, String>>, StateError> {
        let request = self.directory.take_request(REQUEST)?;
        Ok(request.map(|bytes| asked(&bytes)))
    }
}

impl Record {
    fn again(&self) -> Vec<Range<u64>> {
        let (pairs, _) = self.stretches.as_chunks::<2>();
        let stretches = pairs.iter().map(|[start, end]| *start..*end);
        joined(stretches.chain(iter::once(self.from.min(self.seq)..self.seq)).collect())
    }
}

/// Forgets samples that a later one, which is old enough too, replaces.
fn keep<T>(samples: &mut VecDeque<(Duration, T)>, now: Duration, age: Duration) {
    while samples.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= age) {
        samples.pop_front();
    }
}

/// Stretches without overlaps, ascending, few of them.
fn joined(mut stretches: Vec<Range<u64>>) -> Vec<Range<u64>> {
    stretches.retain(|stretch| !stretch.is_empty());
    stretches.sort_unstable_by_key(|stretch| stretch.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
            _ => joined.push(stretch),
        }
    }
    while joined.len() > MAX_STRETCHES {
        // What lies between the two nearest goes again as well.
        let gap = |pair: &[Range<u64>]| match pair {
            [first, second] => second.start.saturating_sub(first.end),
            _ => u64::MAX,
        };
        let nearest = joined.windows(2).enumerate().min_by_key(|(_, pair)| gap(pair));
        let Some((at, _)) = nearest else { break };
        let second = joined.remove(at.saturating_add(1));
        if let Some(first) = joined.get_mut(at) {
            first.end = second.end;
        }
    }
    joined
}

/// The numbers of a request, the last one included in it.
fn asked(bytes: &[u8]) -> Result<Range<u64>, String> {
    let refused = || format!("wanted `FIRST LAST`, got `{}`", bytes.escape_ascii());
    let text = std::str::from_utf8(bytes).map_err(|_| refused())?;
    let mut words = text.split_ascii_whitespace().map(str::parse::<u64>);
    match (words.next(), words.next(), words.next()) {
        (Some(Ok(first)), Some(Ok(last)), None) if 0 < first && first <= last => {
            Ok(first..last.saturating_add(1))
        }
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests;

//! Sans-IO state of the receiving end: datagrams in, frames out.
//!
//! ```text
//!  protect ──> gate ──> body ──> lanes (blocks, order, packing) ──> segments, missing ──> frames
//!  foreign     seen        └───> heartbeat ──> freshness
//! ```
//!
//! # How to use a [`Receiver`]
//!
//! - **What comes in** goes to [`Receiver::handle_datagram`], with the path that it came by. Behind each
//!   batch, and at [`Receiver::next_due`], [`Receiver::tick`].
//! - **What has to be stored** is asked of [`Receiver::state_to_store`]. While there is something,
//!   nothing comes out; [`Receiver::state_stored`] says that it is stored. So nothing has left a
//!   receiver that another, which begins where this one ended, would take again.
//! - **What comes out** is asked of [`Receiver::poll_output`], until there is nothing more.
//!
//! In this order, after each batch. Times never go backwards. Each byte is hostile until it is known to
//! be authentic, and what is authentic is bounded all the same: whoever sends it may be taken over.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::account::{PathAccount, ReceiverAccount, add};
use crate::datagram::{
    Announcement, Body, Foreign, Heartbeat, Lane, MAX_BYTES, MIN_BYTES, SessionId,
};
use crate::gate::{Gate, Passed};
use crate::heartbeat::{Freshness, Sign};
use crate::lane::{LaneCounts, LaneReceiver, Limits};
use crate::missing::{Came, Missing};
use crate::packing::{MAX_ITEM_BYTES, Unpacked};
use crate::protect::{Keys, LinkName, Opener};
use crate::segments::{Known, Segment};
use crate::session::ReceiverState;
use crate::settled::Settled;

/// Paths of a link.
pub const MAX_PATHS: usize = 8;

/// How a link is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverOptions {
    /// UDP payload of the longest datagram that is taken.
    pub datagram_bytes: usize,
    /// 1 to [`MAX_PATHS`].
    pub paths: usize,
    /// How long a hole is waited for: longer than the sender's blocks are open and their repair
    /// symbols spread, together.
    pub reorder: Duration,
    /// Blocks that may be open, of each lane.
    pub max_blocks: usize,
    /// Bytes that they may hold, and as many what waits for others; of each lane.
    pub max_bytes: usize,
    /// The longest frame that is taken.
    pub max_frame_bytes: usize,
    /// A heartbeat that was held back for longer is no sign of life.
    pub max_delay: Duration,
    /// A path is down when it has brought nothing for so long and another has.
    pub path_down_after: Duration,
}

impl Default for ReceiverOptions {
    fn default() -> ReceiverOptions {
        ReceiverOptions {
            datagram_bytes: 1_472,
            paths: 1,
            reorder: Duration::from_millis(500),
            max_blocks: 256,
            max_bytes: 64 << 20,
            max_frame_bytes: MAX_ITEM_BYTES,
            max_delay: Duration::from_secs(2),
            path_down_after: Duration::from_secs(1),
        }
    }
}

/// Options that no link works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiverOptionsError {
    #[error("datagrams have {MIN_BYTES} to {MAX_BYTES} bytes, not {0}")]
    DatagramBytes(usize),
    #[error("a link has 1 to {MAX_PATHS} paths, not {0}")]
    Paths(usize),
    #[error("a time of the link is at most two minutes")]
    Times,
    #[error("1 to 4096 blocks may be open, not {0}")]
    Blocks(usize),
}

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It says something new.
    Taken,
    /// Another path brought it before.
    OtherPath,
    /// This path brought it before.
    Duplicate,
    /// It is older than what is remembered, or a receiver before this one may have seen it.
    TooOld,
    /// Of a session that ended.
    OldSession,
    /// Not of this link.
    Foreign(Foreign),
    /// Authentic, and without sense.
    Malformed,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A frame of the sender's journal, with its number there and the segment that it stands in. Late:
    /// its number is below one that came before. Those that aren't late have growing numbers, but
    /// where the journal was made anew.
    Frame { segment: Arc<Segment>, number: u64, bytes: Vec<u8>, late: bool },
    /// The sender began a session.
    Session(SessionId),
    /// A sign of life.
    Heartbeat(Heartbeat),
}

/// What hasn't come out yet.
#[derive(Debug)]
enum Waiting {
    Output(Output),
    Item(Unpacked),
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver {
    options: ReceiverOptions,
    opener: Opener,
    gate: Gate,
    live: LaneReceiver,
    again: LaneReceiver,
    /// Of lanes that ended with their sessions.
    ended: LaneCounts,
    missing: Missing,
    settled: Settled,
    freshness: Freshness,
    announcement: Option<Announcement>,
    outputs: VecDeque<Waiting>,
    segments: Known,
    /// The highest start of the sender's writer that a frame was of.
    epoch: u64,
    notes_malformed: u64,
    start: Duration,
    paths: Vec<PathAccount>,
    account: ReceiverAccount,
}

impl Receiver {
    /// Goes on where the stored state ends.
    pub fn new(
        options: ReceiverOptions,
        name: &LinkName,
        keys: Keys,
        stored: ReceiverState,
        now: Duration,
    ) -> Result<Receiver, ReceiverOptionsError> {
        let times = [options.reorder, options.max_delay, options.path_down_after];
        if !(MIN_BYTES..=MAX_BYTES).contains(&options.datagram_bytes) {
            return Err(ReceiverOptionsError::DatagramBytes(options.datagram_bytes));
        }
        if !(1..=MAX_PATHS).contains(&options.paths) {
            return Err(ReceiverOptionsError::Paths(options.paths));
        }
        if times.iter().any(|time| *time > Duration::from_secs(120)) {
            return Err(ReceiverOptionsError::Times);
        }
        if !(1..=4_096).contains(&options.max_blocks) {
            return Err(ReceiverOptionsError::Blocks(options.max_blocks));
        }
        Ok(Receiver {
            gate: Gate::new(stored, &keys, options.paths),
            opener: Opener::new(name, keys),
            live: new_lane(&options),
            again: new_lane(&options),
            ended: LaneCounts::default(),
            missing: Missing::default(),
            settled: Settled::new(options.reorder.saturating_add(Duration::from_secs(1))),
            freshness: Freshness::new(options.max_delay),
            announcement: None,
            outputs: VecDeque::new(),
            segments: Known::default(),
            epoch: 0,
            notes_malformed: 0,
            start: now,
            paths: vec![PathAccount::default(); options.paths],
            account: ReceiverAccount::default(),
            options,
        })
    }

    /// Takes these keys from now on, while they are changed. What a session's key has opened stays.
    pub fn set_keys(&mut self, keys: Keys) {
        self.opener.set_keys(keys);
    }

    /// A datagram that came by a path; it is opened in place. `wall_ms` is the receiver's wall clock.
    pub fn handle_datagram(
        &mut self,
        now: Duration,
        wall_ms: u64,
        path: usize,
        datagram: &mut [u8],
    ) -> Verdict {
        let Some(on_path) = self.paths.get_mut(path) else {
            mistake::mistake!("a path that isn't configured");
            return Verdict::Foreign(Foreign::Link);
        };
        let opened = if datagram.len() > self.options.datagram_bytes {
            Err(Foreign::Long)
        } else {
            self.opener.open(datagram)
        };
        let (header, plain) = match opened {
            Ok(opened) => opened,
            Err(cause) => {
                add(&mut on_path.foreign, 1);
                self.account.count_foreign(cause);
                return Verdict::Foreign(cause);
            }
        };
        let passed = self.gate.see(path, &header);
        let (count, verdict) = match passed {
            Passed::OldSession => (&mut self.account.old_session, Verdict::OldSession),
            Passed::TooOld => (&mut self.account.too_old, Verdict::TooOld),
            Passed::Duplicate => {
                add(&mut on_path.duplicates, 1);
                (&mut self.account.duplicates, Verdict::Duplicate)
            }
            Passed::OtherPath => {
                add(&mut on_path.seen, 1);
                on_path.last = Some(now);
                (&mut self.account.other_path, Verdict::OtherPath)
            }
            Passed::New | Passed::NewSession => {
                add(&mut on_path.seen, 1);
                add(&mut on_path.first, 1);
                on_path.last = Some(now);
                (&mut self.account.taken, Verdict::Taken)
            }
        };
        if !passed.is_new() {
            add(count, 1);
            return verdict;
        }
        if passed == Passed::NewSession {
            self.begin_session(header.session);
        }
        let taken = Body::decode(plain)
            .and_then(|body| self.handle_body(now, wall_ms, header.session, &body));
        if taken.is_err() {
            add(&mut self.account.malformed, 1);
            return Verdict::Malformed;
        }
        add(&mut self.account.taken, 1);
        Verdict::Taken
    }

    /// Whatever waits of the session before comes out first.
    fn begin_session(&mut self, session: SessionId) {
        add(&mut self.account.sessions, 1);
        let outputs = &mut self.outputs;
        for lane in [&mut self.live, &mut self.again] {
            lane.end(&mut |item| outputs.push_back(Waiting::Item(item)));
            self.ended = sum(self.ended, lane.counts());
            *lane = new_lane(&self.options);
        }
        self.outputs.push_back(Waiting::Output(Output::Session(session)));
    }

    fn handle_body(
        &mut self,
        now: Duration,
        wall_ms: u64,
        session: SessionId,
        body: &Body<'_>,
    ) -> Result<(), crate::datagram::Malformed> {
        let outputs = &mut self.outputs;
        match body {
            Body::Source(source) => {
                let mut out = |item| outputs.push_back(Waiting::Item(item));
                let lane = match source.lane {
                    Lane::Live => &mut self.live,
                    Lane::Again => &mut self.again,
                };
                lane.source(now, source.number, source.index, source.bytes, &mut out)
            }
            Body::Repair(repair) => {
                let mut out = |item| outputs.push_back(Waiting::Item(item));
                let lane = match repair.lane {
                    Lane::Live => &mut self.live,
                    Lane::Again => &mut self.again,
                };
                lane.repair(now, repair, &mut out)
            }
            Body::Announcement(announcement) => {
                self.announcement = Some(*announcement);
                Ok(())
            }
            Body::Heartbeat(heartbeat) => {
                match self.freshness.hear(now, wall_ms, session, *heartbeat) {
                    Sign::Fresh => {
                        add(&mut self.account.heartbeats, 1);
                        self.settled.hear(now, heartbeat.again_from);
                        outputs.push_back(Waiting::Output(Output::Heartbeat(*heartbeat)));
                    }
                    Sign::Late => add(&mut self.account.heartbeats_late, 1),
                    Sign::Overtaken => {}
                }
                Ok(())
            }
        }
    }

    /// Gives up what is waited for in vain.
    pub fn tick(&mut self, now: Duration) {
        let outputs = &mut self.outputs;
        self.live.tick(now, &mut |item| outputs.push_back(Waiting::Item(item)));
        self.again.tick(now, &mut |item| outputs.push_back(Waiting::Item(item)));
    }

    /// When to [`tick`](Self::tick) at the latest; `None`: when something came.
    pub fn next_due(&self) -> Option<Duration> {
        [self.live.next_due(), self.again.next_due()].into_iter().flatten().min()
    }

    /// What has to be stored now. Nothing comes out before that.
    pub fn state_to_store(&self, now: Duration) -> Option<ReceiverState> {
        self.gate.to_store(now)
    }

    /// What a receiver stores that ends in order, when all has come out: its successor loses nothing.
    pub fn state_at_end(&self) -> ReceiverState {
        self.gate.at_end()
    }

    /// It is stored.
    pub fn state_stored(&mut self, now: Duration, state: ReceiverState) {
        self.gate.stored(now, state);
    }

    /// What comes out next. A frame whose number came before doesn't.
    pub fn poll_output(&mut self) -> Option<Output> {
        if !self.gate.is_stored() {
            return None;
        }
        loop {
            match self.outputs.pop_front()? {
                Waiting::Output(output) => return Some(output),
                Waiting::Item(Unpacked::Note(note)) => {
                    let is_malformed = self.segments.note(&note).is_err();
                    self.notes_malformed =
                        self.notes_malformed.saturating_add(u64::from(is_malformed));
                }
                Waiting::Item(Unpacked::Frame { number, tag, bytes }) => {
                    if let Some(output) = self.frame(number, tag, bytes) {
                        return Some(output);
                    }
                }
            }
        }
    }

    fn frame(&mut self, number: u64, tag: u32, bytes: Vec<u8>) -> Option<Output> {
        let Some(segment) = self.segments.find(tag).cloned() else {
            // Another pass brings it with its note.
            add(&mut self.account.frames_unknown, 1);
            return None;
        };
        if segment.epoch > self.epoch {
            // A start of the writer goes on above what was, or the journal was made anew.
            if self.missing.is_below_next(number) && self.epoch != 0 {
                self.missing.begin_anew(segment.first_seq);
            }
            self.epoch = segment.epoch;
        }
        let is_replaced = segment.epoch < self.epoch && self.missing.is_replaced(number);
        let came = if is_replaced { Came::Again } else { self.missing.came(number) };
        let (count, late) = match came {
            Came::Next => (&mut self.account.frames, false),
            Came::Late => (&mut self.account.frames_late, true),
            Came::Again => {
                add(&mut self.account.frames_known, 1);
                return None;
            }
        };
        add(count, 1);
        Some(Output::Frame { segment, number, bytes, late })
    }

    /// Numbers of frames that are missing between those that came, ascending.
    pub fn missing(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.missing.ranges()
    }

    /// Below which number frames don't come by themselves any more, as the sender says.
    pub fn settled(&mut self, now: Duration) -> u64 {
        self.settled.at(now)
    }

    /// How many they are, with those that are too long ago to be told.
    pub fn missing_frames(&self) -> u64 {
        self.missing.count()
    }

    /// What the journal has already: the writer's start that its last frame is of, numbers from where
    /// to where, what is missing between, and its segments, oldest first. So nothing that it has comes
    /// out again, by the second pass or because a block that was open is restored, and frames of its
    /// segments are understood at once.
    pub fn resume(
        &mut self,
        epoch: u64,
        known: Range<u64>,
        missing: impl IntoIterator<Item = Range<u64>>,
        segments: impl IntoIterator<Item = Segment>,
    ) {
        for segment in segments {
            self.segments.note(&segment.encode()).unwrap_or_default();
        }
        self.epoch = epoch;
        self.missing.resume(known, missing.into_iter());
    }

    /// Whether the sender is alive.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// How the sender makes its blocks, by its last announcement.
    pub fn announcement(&self) -> Option<Announcement> {
        self.announcement
    }

    /// Session of the sender, and the highest of its datagrams that was seen.
    pub fn session(&self) -> Option<(SessionId, u64)> {
        self.gate.highest()
    }

    /// Datagrams of the session up to the highest seen that no path has brought.
    pub fn datagrams_missing(&self) -> u64 {
        self.gate.missing()
    }

    /// What was counted so far.
    pub fn account(&self) -> ReceiverAccount {
        let lanes = sum(self.ended, sum(self.live.counts(), self.again.counts()));
        ReceiverAccount {
            repaired: lanes.repaired,
            symbols_lost: lanes.lost,
            symbols_malformed: lanes.malformed.saturating_add(self.notes_malformed),
            blocks_given_up: lanes.given_up,
            frames_too_large: lanes.too_large,
            ..self.account
        }
    }

    /// What each path brought.
    pub fn paths(&self) -> &[PathAccount] {
        &self.paths
    }

    /// Whether a path has brought nothing for too long while another did.
    pub fn is_path_down(&self, path: usize) -> bool {
        let last = |path: &PathAccount| path.last.unwrap_or(self.start);
        let newest = self.paths.iter().map(last).max().unwrap_or_default();
        self.paths
            .get(path)
            .is_some_and(|path| newest.saturating_sub(last(path)) > self.options.path_down_after)
    }
}

fn new_lane(options: &ReceiverOptions) -> LaneReceiver {
    LaneReceiver::new(Limits {
        patience: options.reorder,
        max_blocks: options.max_blocks,
        max_bytes: options.max_bytes,
        max_frame_bytes: options.max_frame_bytes,
    })
}

fn sum(one: LaneCounts, other: LaneCounts) -> LaneCounts {
    LaneCounts {
        repaired: one.repaired.saturating_add(other.repaired),
        lost: one.lost.saturating_add(other.lost),
        malformed: one.malformed.saturating_add(other.malformed),
        given_up: one.given_up.saturating_add(other.given_up),
        too_large: one.too_large.saturating_add(other.too_large),
    }
}

#[cfg(test)]
mod tests;

//! What the mirror has to say to people, and what it counts beside the account.

use std::collections::VecDeque;

use journal_read::LostCause;
use sparkplug::Exceeded;

/// Notices that may wait: a driver that doesn't take them loses words, not memory.
const MAX_NOTICES: usize = 100_000;

/// Something that a person should know; the driver logs it.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// The journal fell silent, or the OT half is away from its broker: all nodes are dead.
    LinkStale { away_ms: u64, why: &'static str },
    /// The journal lives again.
    LinkAlive,
    /// Frames come, but they were appended so long ago that they prove no life: a backlog, or
    /// the clocks of the two halves differ.
    OldFrames { behind_ms: u64 },
    /// Journal sequence numbers `first..=last` can't be had any more.
    FramesLost { first: u64, last: u64, cause: LostCause },
    /// Frames came late over a link, which were lost before; of so many what they say was used, or
    /// nobody needs it any more.
    LateFrames { first: u64, last: u64, frames: u64, used: u64 },
    /// What a backfill could not publish: `frames` frames among `first..=last` held values that
    /// no birth of today has a place for.
    Unplaceable { first: u64, last: u64, frames: u64 },
    /// Missed frames of before the policy became tighter, which may not leave by it.
    Withheld { first: u64, last: u64, frames: u64 },
    /// A command of an IT host was refused; nothing of it crossed.
    CommandRefused { topic: String, metrics: Vec<String>, reason: &'static str },
    /// A rebirth request was answered from the mirror.
    RebirthAnswered { node: String },
    /// Values of this node may be out of date: messages were lost or refused on the OT side, or may
    /// have been.
    ValuesDoubted { node: String },
    /// A node's births are published.
    NodeBorn { node: String, devices: usize, bd_seq: u8 },
    /// A node is dead on IT.
    NodeDead { node: String, why: &'static str },
    /// The session of a node broke; it is opened again. `births`: the broker hadn't confirmed them.
    SessionLost { node: String, births: Option<Unconfirmed> },
    /// The birth of a node, or of a device of it, ended the session of its group twice: it waits for so
    /// long, and the others go on without it.
    BirthHeld { node: String, bytes: usize, wait_s: u64 },
    /// A frame, or metrics of it, isn't what an honest OT half under our copy of the policy writes.
    /// `over`: it is over a limit of this half, and may be what an honest one writes by larger limits.
    FrameRefused { entity: String, reason: &'static str, over: Option<Exceeded> },
    /// A node of the plant has the name of the relay's own edge node, and isn't mirrored.
    OwnNameUsed { node: String },
    /// A bound of the configuration was reached.
    OverCapacity { what: &'static str },
    /// More than may be remembered.
    MemoryRefused {
        node: String,
        device: Option<String>,
        bytes: usize,
        budget: usize,
        limit: &'static str,
    },
    /// A segment began: who writes it, by which policy.
    JournalStart { relay: String, epoch: u64, version: String, policy_digest: String },
    /// The primary host came or went.
    PrimaryHost { online: bool },
}

/// Births that the broker hadn't confirmed when their session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unconfirmed {
    /// All of them, in bytes.
    pub bytes: usize,
    /// The largest, in bytes.
    pub largest: usize,
    /// Sessions in a row that ended like this.
    pub times: u32,
}

/// What the mirror counts beside the account.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Frames lost on the way: by retention, damage or a rewound journal. What a second
    /// reading for the backfill misses counts too.
    pub frames_lost: u64,
    /// Of frames that were lost on a link between two boxes, those that came late.
    pub late: u64,
    /// Bodies that this version doesn't know.
    pub unknown_bodies: u64,
    /// Keyframes that could not be used.
    pub keyframes_refused: u64,
    /// Differences that keyframes healed: an audit of the link.
    pub healed: u64,
    /// Sequence gaps on the OT side that frames reported.
    pub gaps: u64,
    /// Rebirth requests of IT hosts that were answered from here.
    pub rebirths_answered: u64,
    /// Other commands of IT hosts: somebody tried to write to the plant.
    pub commands_refused: u64,
    /// Frames of a missed stretch that were published as historical.
    pub backfilled: u64,
    /// Frames of a missed stretch with values that have no place on IT any more: the device
    /// died, or the birth of today has no such metric.
    pub unplaceable: u64,
    /// Missed frames that stand before the mark of a tighter policy, and weren't published.
    pub withheld: u64,
}

/// Notices that wait for the driver.
#[derive(Debug, Default)]
pub(super) struct Notices(VecDeque<Notice>);

impl Notices {
    pub(super) fn push(&mut self, notice: Notice) {
        if self.0.len() < MAX_NOTICES {
            self.0.push_back(notice);
        }
    }

    pub(super) fn pop(&mut self) -> Option<Notice> {
        self.0.pop_front()
    }
}

/// One more.
pub(super) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

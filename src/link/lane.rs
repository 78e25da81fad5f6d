//! A lane of the receiver: symbols in, items out.
//!
//! ```text
//!  source ──┬────────────────────────> order ──> unpack ──> items
//!           └─> blocks ──> restored ─────^  └──> unpack each by itself ──> late items
//!  repair ────> blocks
//! ```

use std::sync::Arc;
use std::time::Duration;

use crate::datagram::{Malformed, Repair};
use crate::order::{Order, Place};
use crate::packing::{Unpacked, Unpacker};
use crate::repair::{Blocks, Restored};

/// What may be held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) patience: Duration,
    pub(crate) max_blocks: usize,
    /// For blocks, and as much for symbols that wait for others.
    pub(crate) max_bytes: usize,
    pub(crate) max_frame_bytes: usize,
}

/// What was counted in a lane.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LaneCounts {
    pub(crate) repaired: u64,
    pub(crate) lost: u64,
    pub(crate) malformed: u64,
    pub(crate) given_up: u64,
    pub(crate) too_large: u64,
}

/// A stream of symbols, of the receiver.
#[derive(Debug)]
pub(crate) struct LaneReceiver {
    max_frame_bytes: usize,
    blocks: Blocks,
    order: Order,
    unpacker: Unpacker,
    /// Without what `blocks` and `unpacker` count.
    counts: LaneCounts,
}

impl LaneReceiver {
    pub(crate) fn new(limits: Limits) -> LaneReceiver {
        LaneReceiver {
            max_frame_bytes: limits.max_frame_bytes,
            blocks: Blocks::new(limits.patience, limits.max_blocks, limits.max_bytes),
            order: Order::new(limits.patience, limits.max_bytes),
            unpacker: Unpacker::new(limits.max_frame_bytes),
            counts: LaneCounts::default(),
        }
    }

    pub(crate) fn counts(&self) -> LaneCounts {
        let (given_up, too_large) = (self.blocks.given_up(), self.unpacker.too_large());
        let too_large = self.counts.too_large.saturating_add(too_large);
        LaneCounts { given_up, too_large, ..self.counts }
    }

    /// A source symbol; its index is at most its number.
    pub(crate) fn source(
        &mut self,
        now: Duration,
        number: u64,
        index: u16,
        bytes: &[u8],
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), Malformed> {
        let bytes: Arc<[u8]> = Arc::from(bytes);
        let first = number.checked_sub(u64::from(index)).ok_or(Malformed)?;
        let restored = self.blocks.source(now, first, index, &bytes);
        // A symbol that doesn't fit into its block is of no use beside it.
        let restored = restored?;
        self.place(now, first, number, bytes, out);
        self.place_restored(now, first, restored, out);
        self.drain(out);
        Ok(())
    }

    /// A repair symbol.
    pub(crate) fn repair(
        &mut self,
        now: Duration,
        repair: &Repair<'_>,
        out: &mut impl FnMut(Unpacked),
    ) -> Result<(), Malformed> {
        let restored = self.blocks.repair(now, repair)?;
        self.place_restored(now, repair.first, restored, out);
        self.drain(out);
        Ok(())
    }

    fn place_restored(
        &mut self,
        now: Duration,
        first: u64,
        restored: Restored,
        out: &mut impl FnMut(Unpacked),
    ) {
        let count = u64::try_from(restored.len()).unwrap_or(u64::MAX);
        self.counts.repaired = self.counts.repaired.saturating_add(count);
        for (number, bytes) in restored {
            self.place(now, first, number, bytes, out);
        }
    }

    fn place(
        &mut self,
        now: Duration,
        first: u64,
        number: u64,
        bytes: Arc<[u8]>,
        out: &mut impl FnMut(Unpacked),
    ) {
        if self.order.place(now, first, number, bytes.clone()) == Place::Late {
            // What begins and ends in it is whole.
            let mut unpacker = Unpacker::new(self.max_frame_bytes);
            let taken = unpacker.symbol(&bytes, &mut *out);
            self.counts.malformed = self.counts.malformed.saturating_add(u64::from(taken.is_err()));
            self.counts.too_large = self.counts.too_large.saturating_add(unpacker.too_large());
            self.counts.lost = self.counts.lost.saturating_sub(1);
        }
    }

    /// Hands over what is in order.
    fn drain(&mut self, out: &mut impl FnMut(Unpacked)) {
        while let Some(bytes) = self.order.poll() {
            let taken = self.unpacker.symbol(&bytes, &mut *out);
            if taken.is_err() {
                self.counts.malformed = self.counts.malformed.saturating_add(1);
            }
        }
    }

    /// Gives up what is too old, or too much.
    pub(crate) fn tick(&mut self, now: Duration, out: &mut impl FnMut(Unpacked)) {
        self.blocks.tick(now);
        while let Some(hole) = self.order.give_up(now) {
            self.lost(&hole, out);
        }
    }

    fn lost(&mut self, hole: &std::ops::Range<u64>, out: &mut impl FnMut(Unpacked)) {
        self.counts.lost = self.counts.lost.saturating_add(crate::account::length(hole));
        self.unpacker.gap();
        self.drain(out);
    }

    /// The session has ended: nothing is waited for.
    pub(crate) fn end(&mut self, out: &mut impl FnMut(Unpacked)) {
        while let Some(hole) = self.order.skip() {
            self.lost(&hole, out);
        }
    }

    /// When [`tick`](Self::tick) has something to do.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        [self.blocks.deadline(), self.order.deadline()].into_iter().flatten().min()
    }
}

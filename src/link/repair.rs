//! Blocks of a lane at the receiver: what is missing of them is restored as soon as as many symbols
//! are there as the block has.
//!
//! A block is open until all of it is there, or nothing of it came for a time, or newer ones need its
//! room. How many may be open and what they may hold is bounded, and looked at before a symbol is
//! kept. A symbol is kept for the block alone while others have it too; it is counted all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::code::{Decoder, MAX_REPAIR_SYMBOLS, MAX_SOURCE_SYMBOLS};
use crate::datagram::{Malformed, Repair};

/// Blocks that ended and are remembered, so that what still comes of them is known.
const MAX_ENDED: usize = 4_096;

/// A symbol that was restored: its number and bytes.
pub(crate) type Restored = Vec<(u64, Arc<[u8]>)>;

/// What repair symbols say of their block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    source: usize,
    repair: usize,
    /// Of a repair symbol.
    bytes: usize,
}

/// A block of which something is missing, as far as is known.
#[derive(Debug, Default)]
struct Block {
    shape: Option<Shape>,
    /// By index, as far as they came.
    source: Vec<Option<Arc<[u8]>>>,
    /// How many of them are there.
    present: usize,
    repair: BTreeMap<u16, Arc<[u8]>>,
    bytes: usize,
    /// When something of it came last.
    last: Duration,
}

impl Block {
    /// Whether something of it is known to be missing.
    fn is_incomplete(&self) -> bool {
        self.present < self.shape.map_or(self.source.len(), |shape| shape.source)
    }

    fn is_complete(&self) -> bool {
        self.shape.is_some_and(|shape| self.present >= shape.source)
    }
}

/// Open blocks.
#[derive(Debug)]
pub(crate) struct Blocks {
    patience: Duration,
    max_blocks: usize,
    max_bytes: usize,
    /// By the number of their first symbol.
    open: BTreeMap<u64, Block>,
    bytes: usize,
    ended: BTreeSet<u64>,
    /// Blocks below it ended longer ago than is remembered.
    floor: u64,
    decoder: Decoder,
    given_up: u64,
}

impl Blocks {
    /// So many blocks, with so many bytes in all; a block is given up after `patience` without a
    /// symbol of it.
    pub(crate) fn new(patience: Duration, max_blocks: usize, max_bytes: usize) -> Blocks {
        Blocks {
            patience,
            max_blocks: max_blocks.max(1),
            max_bytes,
            open: BTreeMap::new(),
            bytes: 0,
            ended: BTreeSet::new(),
            floor: 0,
            decoder: Decoder::default(),
            given_up: 0,
        }
    }

    /// Blocks that were given up with symbols missing.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up
    }

    /// A source symbol of the block that begins at `first`; what it helped to restore.
    pub(crate) fn source(
        &mut self,
        now: Duration,
        first: u64,
        index: u16,
        bytes: &Arc<[u8]>,
    ) -> Result<Restored, Malformed> {
        let index = usize::from(index);
        if index >= MAX_SOURCE_SYMBOLS {
            return Err(Malformed);
        }
        if self.has_ended(first) {
            return Ok(Vec::new());
        }
        if index == 0 {
            self.end_before(first);
        }
        let block = self.open(now, first);
        if block.shape.is_some_and(|shape| index >= shape.source) {
            return Err(Malformed);
        }
        if block.source.len() <= index {
            block.source.resize(index.saturating_add(1), None);
        }
        let Some(place) = block.source.get_mut(index) else {
            mistake::mistake!("a block without a place");
            return Ok(Vec::new());
        };
        if place.is_none() {
            *place = Some(bytes.clone());
            block.present = block.present.saturating_add(1);
            block.bytes = block.bytes.saturating_add(bytes.len());
            self.bytes = self.bytes.saturating_add(bytes.len());
        }
        let restored = self.try_restore(first);
        self.bound();
        restored
    }

    /// A repair symbol; what it helped to restore.
    pub(crate) fn repair(
        &mut self,
        now: Duration,
        repair: &Repair<'_>,
    ) -> Result<Restored, Malformed> {
        let shape = Shape {
            source: usize::from(repair.source),
            repair: usize::from(repair.repair),
            bytes: repair.bytes.len(),
        };
        if shape.source > MAX_SOURCE_SYMBOLS || shape.repair > MAX_REPAIR_SYMBOLS {
            return Err(Malformed);
        }
        let first = repair.first;
        if self.has_ended(first) {
            return Ok(Vec::new());
        }
        let block = self.open(now, first);
        let is_other = block.shape.is_some_and(|known| known != shape);
        if is_other || block.source.len() > shape.source {
            return Err(Malformed);
        }
        block.shape = Some(shape);
        if !block.is_complete() && !block.repair.contains_key(&repair.index) {
            block.repair.insert(repair.index, Arc::from(repair.bytes));
            block.bytes = block.bytes.saturating_add(shape.bytes);
            self.bytes = self.bytes.saturating_add(shape.bytes);
        }
        let restored = self.try_restore(first);
        self.bound();
        restored
    }

    fn has_ended(&self, first: u64) -> bool {
        first < self.floor || self.ended.contains(&first)
    }

    fn open(&mut self, now: Duration, first: u64) -> &mut Block {
        let block = self.open.entry(first).or_default();
        block.last = now;
        block
    }

    /// A block begins: the one before it, if all up to there has come, has ended.
    fn end_before(&mut self, first: u64) {
        let before = self.open.range(..first).next_back();
        let ended = before.filter(|(before, block)| {
            let end =
                u64::try_from(block.source.len()).ok().and_then(|len| before.checked_add(len));
            !block.is_incomplete() && end == Some(first)
        });
        if let Some((&before, _)) = ended {
            self.end(before);
        }
    }

    fn try_restore(&mut self, first: u64) -> Result<Restored, Malformed> {
        let Some(block) = self.open.get_mut(&first) else { return Ok(Vec::new()) };
        let Some(shape) = block.shape else { return Ok(Vec::new()) };
        if block.is_complete() {
            self.end(first);
            return Ok(Vec::new());
        }
        if block.present.saturating_add(block.repair.len()) < shape.source {
            return Ok(Vec::new());
        }
        block.source.resize(shape.source, None);
        let repair: Vec<(u16, Arc<[u8]>)> =
            block.repair.iter().map(|(index, bytes)| (*index, bytes.clone())).collect();
        let decoded = self.decoder.decode(&block.source, shape.repair, &repair);
        self.end(first);
        let decoded = decoded.map_err(|_| {
            self.given_up = self.given_up.saturating_add(1);
            Malformed
        })?;
        let number = |index| u64::try_from(index).ok().and_then(|index| first.checked_add(index));
        let restored = decoded
            .into_iter()
            .filter_map(|(index, bytes)| Some((number(index)?, Arc::from(bytes))));
        Ok(restored.collect())
    }

    fn end(&mut self, first: u64) {
        let Some(block) = self.open.remove(&first) else { return };
        self.bytes = self.bytes.saturating_sub(block.bytes);
        self.ended.insert(first);
        if self.ended.len() > MAX_ENDED
            && let Some(lowest) = self.ended.pop_first()
        {
            self.floor = self.floor.max(lowest.saturating_add(1));
        }
    }

    fn give_up(&mut self, first: u64) {
        let is_incomplete = self.open.get(&first).is_some_and(Block::is_incomplete);
        self.given_up = self.given_up.saturating_add(u64::from(is_incomplete));
        self.end(first);
    }

    /// Gives up the oldest, by number, until the rest may be there.
    fn bound(&mut self) {
        while self.open.len() > self.max_blocks || self.bytes > self.max_bytes {
            let Some((&oldest, _)) = self.open.first_key_value() else { return };
            self.give_up(oldest);
        }
    }

    /// Gives up blocks of which nothing came for a time.
    pub(crate) fn tick(&mut self, now: Duration) {
        let is_over = |block: &Block| block.last.saturating_add(self.patience) <= now;
        let over = self.open.iter().filter(|(_, block)| is_over(block));
        let over: Vec<u64> = over.map(|(first, _)| *first).collect();
        for first in over {
            self.give_up(first);
        }
    }

    /// When the next is given up.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.open.values().map(|block| block.last.saturating_add(self.patience)).min()
    }
}

#[cfg(test)]
mod tests;

//! A lane of the sender: items to source symbols, and of each block of them repair symbols.
//!
//! ```text
//!  push ──> packing ──> symbol n, n+1, … ──> at once
//!                            │
//!                            v block: closes by size or time
//!                       code ──> repair symbols, each with the time when it goes
//! ```
//!
//! Repair symbols of a block are spread over a time behind its end, between the symbols of the blocks
//! behind it, so that a burst shorter than that costs a block only a part of what protects it.
//!
//! How long a block takes decides how much loss an overhead mends, since chance is mild with large
//! numbers. A block of 10 symbols with one for repair, which 2 ms of 20,000 frames/s are, loses more
//! than that once in 190 at 1 % loss. So a block closes after 1,024 symbols or 250 ms: a frame that
//! was lost comes that much later, with those behind it; where nothing is lost nothing waits. With a
//! smaller time and a larger overhead, lost frames come sooner.
//!
//! | loss, each by itself | overhead | of 1,024 symbols more are lost | of a million frames of 300 bytes anything |
//! |---|---|---|---|
//! | 1 % | 3.9 % | 8 · 10^-13 | 2 · 10^-10 |
//! | 5 % | 9.8 % | 1 · 10^-8 | 2 · 10^-6 |
//! | 20 % | 39.5 % | 2 · 10^-14 | 4 · 10^-12 |
//! | 40 % | 99 % | 2 · 10^-19 | 5 · 10^-17 |
//!
//! `cargo bench --bench bench -- link` measures the same: nothing was lost. A burst of 50 ms a second at
//! 10,000 frames/s takes an overhead of 47 %: it may take all of a block's repair symbols and a part of
//! the block, or a fifth of the block.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::code::{Encoder, MAX_REPAIR_SYMBOLS, MAX_SOURCE_SYMBOLS};
use crate::datagram::{Body, Lane, Repair, Source};
use crate::packing::{Item, Packer, TooLarge};

/// How blocks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockOptions {
    /// Source symbols after which a block closes.
    pub symbols: usize,
    /// Age after which it closes.
    pub close_after: Duration,
    /// Repair symbols per thousand source symbols, rounded up.
    pub overhead_permille: u32,
    /// Repair symbols of the smallest block.
    pub min_repair: usize,
    /// Time over which the repair symbols of a block are spread.
    pub spread: Duration,
    /// A symbol that isn't full waits so long after the one before it for more: at high rates symbols
    /// are full, and below one symbol in this time nothing waits.
    pub linger: Duration,
}

impl Default for BlockOptions {
    fn default() -> BlockOptions {
        BlockOptions {
            symbols: 1_024,
            close_after: Duration::from_millis(250),
            overhead_permille: 250,
            min_repair: 2,
            spread: Duration::from_millis(100),
            linger: Duration::from_micros(500),
        }
    }
}

impl BlockOptions {
    /// Repair symbols of a block of so many source symbols.
    pub fn repair_symbols(&self, source: usize) -> usize {
        let overhead = usize::try_from(self.overhead_permille).unwrap_or(usize::MAX);
        let share = source.saturating_mul(overhead).div_ceil(1_000);
        share.max(self.min_repair).min(MAX_REPAIR_SYMBOLS)
    }
}

/// A source symbol that waits.
#[derive(Clone, Debug)]
struct WaitingSource {
    number: u64,
    index: u16,
    bytes: Arc<[u8]>,
}

/// A repair symbol that waits for its time.
#[derive(Clone, Debug)]
struct WaitingRepair {
    first: u64,
    source: u16,
    repair: u16,
    index: u16,
    bytes: Vec<u8>,
}

/// A stream of symbols, of the sender.
#[derive(Debug)]
pub(crate) struct LaneSender {
    lane: Lane,
    options: BlockOptions,
    packer: Packer,
    encoder: Encoder,
    /// Number of the next symbol.
    next: u64,
    /// Symbols of the block that is open, from `next - block.len()` on.
    block: Vec<Arc<[u8]>>,
    /// When the block's first item came.
    opened: Option<Duration>,
    /// Whether an item begins in the block.
    has_item: bool,
    /// When a symbol was made last, and when one that isn't full goes as it is.
    last_symbol: Option<Duration>,
    flush_due: Option<Duration>,
    sources: VecDeque<WaitingSource>,
    /// By the time when they go, and a number that makes that unique.
    repairs: BTreeMap<(Duration, u64), WaitingRepair>,
    repair_number: u64,
}

impl LaneSender {
    /// `symbol_bytes`: the longest symbol.
    pub(crate) fn new(lane: Lane, options: BlockOptions, symbol_bytes: usize) -> LaneSender {
        LaneSender {
            lane,
            options: BlockOptions {
                symbols: options.symbols.clamp(1, MAX_SOURCE_SYMBOLS),
                ..options
            },
            packer: Packer::new(symbol_bytes),
            encoder: Encoder::default(),
            next: 0,
            block: Vec::new(),
            opened: None,
            has_item: false,
            last_symbol: None,
            flush_due: None,
            sources: VecDeque::new(),
            repairs: BTreeMap::new(),
            repair_number: 0,
        }
    }

    /// Symbols so far.
    pub(crate) fn symbols(&self) -> u64 {
        self.next
    }

    /// Whether the next item is the first that begins in its block.
    pub(crate) fn begins_block(&self) -> bool {
        !self.has_item
    }

    /// Source symbols that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.sources.len()
    }

    /// Repair symbols whose time has come.
    pub(crate) fn overdue(&self, now: Duration) -> usize {
        self.repairs.range(..=(now, u64::MAX)).take(MAX_REPAIR_SYMBOLS).count()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.sources.is_empty()
            && self.repairs.is_empty()
            && self.block.is_empty()
            && self.packer.is_empty()
    }

    /// Takes an item.
    pub(crate) fn push(&mut self, now: Duration, item: Item<'_>) -> Result<(), TooLarge> {
        let mut full = Vec::new();
        self.packer.push(item, |symbol| full.push(symbol))?;
        self.opened.get_or_insert(now);
        self.has_item = true;
        for symbol in full {
            self.add(now, symbol);
        }
        Ok(())
    }

    /// Nothing more comes now: the symbol that isn't full goes as it is, once it has waited for more.
    pub(crate) fn flush(&mut self, now: Duration) {
        if self.packer.is_empty() {
            return;
        }
        let linger = self.options.linger;
        let due = self.last_symbol.map_or(now, |last| last.saturating_add(linger));
        self.flush_due = Some(due);
        self.work(now);
    }

    /// When [`work`](Self::work) has something to do.
    pub(crate) fn work_due(&self) -> Option<Duration> {
        // While others wait before it, a symbol gains nothing by going as it is.
        let flush_due = self.flush_due.filter(|_| self.sources.is_empty());
        [flush_due, self.closes_at()].into_iter().flatten().min()
    }

    /// Does what is due: sends a symbol that isn't full, closes the block.
    pub(crate) fn work(&mut self, now: Duration) {
        if self.work_due().is_none_or(|due| due > now) {
            return;
        }
        let is_closing = self.closes_at().is_some_and(|at| at <= now);
        if is_closing || self.sources.is_empty() {
            self.flush_due = None;
            if let Some(symbol) = self.packer.flush() {
                self.add(now, symbol);
            }
        }
        if is_closing {
            self.close(now);
        }
    }

    /// When the open block closes by its age.
    fn closes_at(&self) -> Option<Duration> {
        Some(self.opened?.saturating_add(self.options.close_after))
    }

    fn add(&mut self, now: Duration, symbol: Vec<u8>) {
        let bytes: Arc<[u8]> = symbol.into();
        let Ok(index) = u16::try_from(self.block.len()) else {
            return mistake::mistake!("a block above its cap");
        };
        self.sources.push_back(WaitingSource { number: self.next, index, bytes: bytes.clone() });
        self.last_symbol = Some(now);
        self.flush_due = None;
        // What goes on from the block before is of this one, too.
        self.opened.get_or_insert(now);
        self.block.push(bytes);
        self.next = self.next.saturating_add(1);
        if self.block.len() >= self.options.symbols {
            self.close(now);
        }
    }

    fn close(&mut self, now: Duration) {
        let block = std::mem::take(&mut self.block);
        // What waits in the packer begins the next block.
        self.opened = (!self.packer.is_empty()).then_some(now);
        self.has_item = false;
        if block.is_empty() {
            return;
        }
        let repair = self.options.repair_symbols(block.len());
        let counts = u16::try_from(block.len()).ok().zip(u16::try_from(repair).ok());
        let encoded = self.encoder.encode(&block, repair).ok().zip(counts);
        let Some((symbols, (source, repair))) = encoded else {
            return mistake::mistake!("a block that can't be coded");
        };
        let first = self.next.saturating_sub(u64::from(source));
        let parts = u32::from(repair).max(1);
        for (index, bytes) in (0_u16..).zip(symbols) {
            let step = self.options.spread.saturating_mul(u32::from(index)).checked_div(parts);
            let due = now.saturating_add(step.unwrap_or_default());
            let symbol = WaitingRepair { first, source, repair, index, bytes };
            self.repairs.insert((due, self.repair_number), symbol);
            self.repair_number = self.repair_number.saturating_add(1);
        }
    }

    /// When the next repair symbol goes.
    pub(crate) fn repair_due(&self) -> Option<Duration> {
        self.repairs.first_key_value().map(|((due, _), _)| *due)
    }

    /// Gives the next source symbol to `send`, and takes it away if that takes it.
    pub(crate) fn send_source<E>(
        &mut self,
        send: impl FnOnce(&Body<'_>) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let symbol = self.sources.front()?;
        let WaitingSource { number, index, bytes } = symbol;
        let (number, index) = (*number, *index);
        let result = send(&Body::Source(Source { lane: self.lane, number, index, bytes }));
        if result.is_ok() {
            self.sources.pop_front();
        }
        Some(result)
    }

    /// The same with the next repair symbol, whether its time has come or not.
    pub(crate) fn send_repair<E>(
        &mut self,
        send: impl FnOnce(&Body<'_>) -> Result<(), E>,
    ) -> Option<Result<(), E>> {
        let entry = self.repairs.first_entry()?;
        let WaitingRepair { first, source, repair, index, bytes } = entry.get();
        let body = Body::Repair(Repair {
            lane: self.lane,
            first: *first,
            source: *source,
            repair: *repair,
            index: *index,
            bytes,
        });
        let result = send(&body);
        if result.is_ok() {
            entry.remove();
        }
        Some(result)
    }
}

#[cfg(test)]
mod tests;

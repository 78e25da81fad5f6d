//! Items one behind the other in symbols, and back. An item may span symbols.
//!
//! | offset | bytes | a symbol |
//! |---|---|---|
//! | 0 | 2 | where its first item begins, counted from offset 2; 65,535: none begins in it |
//! | 2 | … | items, or their parts |
//!
//! | bytes | an item |
//! |---|---|
//! | 1 | 0: a note, 1: a frame |
//! | 1 to 4 | its length, as a varint of protobuf |
//! | 1 to 10 | of a frame alone: its number, as such a varint |
//! | 4 | of a frame alone: the tag of its segment |
//! | length | its bytes |
//!
//! The reader takes each byte as hostile: an item's memory grows as its bytes come, up to a cap, never
//! by its length; what is longer is passed over. Where symbols are missing it goes on with the next
//! item that begins.

use crate::datagram::Malformed;

/// No item begins in a symbol.
const NONE: u16 = u16::MAX;
/// Of a symbol.
const START_BYTES: usize = 2;
const NOTE: u8 = 0;
const FRAME: u8 = 1;
/// Of a segment's tag.
const TAG_BYTES: usize = 4;
/// Cap of an item, whatever is configured: what a frame of the journal may have, and some.
pub const MAX_ITEM_BYTES: usize = 129 << 20;
/// The most that stands before an item's bytes.
const MAX_PREFIX_BYTES: usize = 1 + 4 + 10 + TAG_BYTES;

/// What is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// What frames are of.
    Note(&'a [u8]),
    /// A frame of the journal, with its number there and the tag of its segment.
    Frame { number: u64, tag: u32, bytes: &'a [u8] },
}

impl Item<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Item::Note(bytes) | Item::Frame { bytes, .. } => bytes,
        }
    }
}

/// What was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unpacked {
    Note(Vec<u8>),
    Frame { number: u64, tag: u32, bytes: Vec<u8> },
}

/// An item above the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item of {bytes} bytes; the link takes at most {MAX_ITEM_BYTES}")]
pub struct TooLarge {
    pub bytes: usize,
}

/// Packs items into symbols.
#[derive(Debug)]
pub struct Packer {
    symbol_bytes: usize,
    /// Start and items so far; empty before the first.
    current: Vec<u8>,
}

impl Packer {
    /// Symbols of at most so many bytes; at least three.
    pub fn new(symbol_bytes: usize) -> Packer {
        Packer {
            symbol_bytes: symbol_bytes.max(START_BYTES.saturating_add(1)),
            current: Vec::new(),
        }
    }

    /// Whether nothing waits for a symbol to be full.
    pub fn is_empty(&self) -> bool {
        self.current.is_empty()
    }

    /// Packs an item; symbols that are full go to `full`.
    pub fn push(&mut self, item: Item<'_>, mut full: impl FnMut(Vec<u8>)) -> Result<(), TooLarge> {
        let bytes = item.bytes();
        if bytes.len() > MAX_ITEM_BYTES {
            return Err(TooLarge { bytes: bytes.len() });
        }
        let mut prefix = Vec::with_capacity(MAX_PREFIX_BYTES);
        prefix.push(if matches!(item, Item::Note(_)) { NOTE } else { FRAME });
        put_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), &mut prefix);
        if let Item::Frame { number, tag, .. } = item {
            put_varint(number, &mut prefix);
            prefix.extend_from_slice(&tag.to_be_bytes());
        }
        self.begin_item();
        for mut rest in [&prefix[..], bytes] {
            while !rest.is_empty() {
                let room = self.symbol_bytes.saturating_sub(self.current.len());
                let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
                self.current.extend_from_slice(now);
                rest = later;
                if self.current.len() >= self.symbol_bytes {
                    full(std::mem::take(&mut self.current));
                    if !rest.is_empty() {
                        self.current.extend_from_slice(&NONE.to_be_bytes());
                    }
                }
            }
            // The bytes go on where the prefix ended, also in the next symbol.
            if self.current.is_empty() && !bytes.is_empty() {
                self.current.extend_from_slice(&NONE.to_be_bytes());
            }
        }
        if self.current.len() == START_BYTES {
            self.current.clear();
        }
        Ok(())
    }

    /// The symbol that isn't full yet, if there is one.
    pub fn flush(&mut self) -> Option<Vec<u8>> {
        (!self.current.is_empty()).then(|| std::mem::take(&mut self.current))
    }

    /// Notes where the first item of a symbol begins.
    fn begin_item(&mut self) {
        if self.current.is_empty() {
            self.current.extend_from_slice(&NONE.to_be_bytes());
        }
        let at = self.current.len().saturating_sub(START_BYTES);
        if let Some(start) = self.current.first_chunk_mut::<START_BYTES>()
            && *start == NONE.to_be_bytes()
        {
            *start = u16::try_from(at).unwrap_or(NONE).to_be_bytes();
        }
    }
}

/// Unpacks symbols that come in order.
#[derive(Debug)]
pub struct Unpacker {
    max_bytes: usize,
    state: State,
    /// Items above the cap that were passed over.
    too_large: u64,
}

#[derive(Debug)]
enum State {
    /// Until an item begins.
    Lost,
    /// What stands before an item's bytes, as far as it came.
    Prefix(Vec<u8>),
    /// The bytes so far, and how many are to come.
    Bytes { frame: Option<(u64, u32)>, bytes: Vec<u8>, missing: usize },
    /// So many bytes of an item above the cap are to come.
    Over { missing: usize },
}

impl Unpacker {
    /// Items of at most so many bytes.
    pub fn new(max_bytes: usize) -> Unpacker {
        Unpacker { max_bytes: max_bytes.min(MAX_ITEM_BYTES), state: State::Lost, too_large: 0 }
    }

    /// Symbols are missing before the next.
    pub fn gap(&mut self) {
        self.state = State::Lost;
    }

    /// Items above the cap since the start.
    pub fn too_large(&self) -> u64 {
        self.too_large
    }

    /// Bytes that an unfinished item holds.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Bytes { bytes, .. } => bytes.len(),
            _ => 0,
        }
    }

    /// The next symbol; items that it ends go to `out`. An error: it makes no sense, and the reader
    /// goes on with the next item that begins in a later one.
    pub fn symbol(
        &mut self,
        symbol: &[u8],
        mut out: impl FnMut(Unpacked),
    ) -> Result<(), Malformed> {
        let result = self.walk(symbol, &mut out);
        if result.is_err() {
            self.state = State::Lost;
        }
        result
    }

    fn walk(&mut self, symbol: &[u8], out: &mut impl FnMut(Unpacked)) -> Result<(), Malformed> {
        let (start, content) = symbol.split_first_chunk::<START_BYTES>().ok_or(Malformed)?;
        let start = match u16::from_be_bytes(*start) {
            NONE => None,
            start if usize::from(start) < content.len() => Some(usize::from(start)),
            _ => return Err(Malformed),
        };
        let mut rest = content;
        let mut is_first = true;
        if matches!(self.state, State::Lost) {
            let Some(start) = start else { return Ok(()) };
            rest = content.get(start..).ok_or(Malformed)?;
            self.state = State::Prefix(Vec::new());
            is_first = false;
        }
        // Each turn takes at least one byte, or ends an item of which at least two were taken.
        loop {
            if is_first && self.is_between_items() && !rest.is_empty() {
                // Both ways to find the first item have to agree.
                let at = content.len().checked_sub(rest.len());
                if at != start {
                    return Err(Malformed);
                }
                is_first = false;
            }
            match &mut self.state {
                State::Lost => return Ok(()),
                State::Prefix(prefix) => {
                    let Some((byte, later)) = rest.split_first() else { break };
                    prefix.push(*byte);
                    rest = later;
                    let parsed = parse_prefix(prefix)?;
                    if let Some((frame, length)) = parsed {
                        self.begin(frame, length);
                    }
                }
                State::Bytes { bytes, missing, .. } => {
                    let (now, later) = rest.split_at_checked(*missing).unwrap_or((rest, &[]));
                    bytes.extend_from_slice(now);
                    *missing = missing.saturating_sub(now.len());
                    rest = later;
                }
                State::Over { missing } => {
                    let passed = rest.len().min(*missing);
                    rest = rest.get(passed..).unwrap_or(&[]);
                    *missing = missing.saturating_sub(passed);
                }
            }
            self.end(out);
            if rest.is_empty() {
                break;
            }
        }
        // An item that begins in it has to have been met.
        if is_first && start.is_some() { Err(Malformed) } else { Ok(()) }
    }

    fn is_between_items(&self) -> bool {
        matches!(&self.state, State::Prefix(prefix) if prefix.is_empty())
    }

    fn begin(&mut self, frame: Option<(u64, u32)>, length: usize) {
        self.state = if length > self.max_bytes {
            self.too_large = self.too_large.saturating_add(1);
            State::Over { missing: length }
        } else {
            State::Bytes { frame, bytes: Vec::new(), missing: length }
        };
    }

    /// Hands over an item that is complete.
    fn end(&mut self, out: &mut impl FnMut(Unpacked)) {
        match &mut self.state {
            State::Bytes { frame, bytes, missing: 0 } => {
                let bytes = std::mem::take(bytes);
                out(match *frame {
                    Some((number, tag)) => Unpacked::Frame { number, tag, bytes },
                    None => Unpacked::Note(bytes),
                });
            }
            State::Over { missing: 0 } => {}
            _ => return,
        }
        self.state = State::Prefix(Vec::new());
    }
}

/// A frame's number and tag, and the length, once all of them are there.
type Prefix = (Option<(u64, u32)>, usize);

fn parse_prefix(prefix: &[u8]) -> Result<Option<Prefix>, Malformed> {
    let Some((kind, rest)) = prefix.split_first() else { return Ok(None) };
    if *kind > FRAME {
        return Err(Malformed);
    }
    let Some((length, rest)) = varint(rest)? else { return Ok(None) };
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_ITEM_BYTES);
    let length = length.ok_or(Malformed)?;
    if *kind == NOTE {
        return Ok(Some((None, length)));
    }
    let Some((number, rest)) = varint(rest)? else { return Ok(None) };
    let tag = rest.first_chunk().copied().map(u32::from_be_bytes);
    Ok(tag.map(|tag| (Some((number, tag)), length)))
}

/// A varint and what is behind it; `None`: it goes on.
fn varint(bytes: &[u8]) -> Result<Option<(u64, &[u8])>, Malformed> {
    let mut value = 0_u64;
    let mut rest = bytes;
    for shift in (0..u64::BITS).step_by(7) {
        let Some((byte, later)) = rest.split_first() else { return Ok(None) };
        rest = later;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has one bit.
        if shift == 63 && bits > 1 {
            return Err(Malformed);
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(Some((value, rest)));
        }
    }
    Err(Malformed)
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

#[cfg(test)]
mod tests;

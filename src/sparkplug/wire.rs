//! Cursor over one message of the protobuf wire format. It borrows from its input, allocates
//! nothing and doesn't recurse.

use super::{Cap, Exceeded};

/// Why decoding stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// `at` counts from the start of the innermost message.
    Malformed {
        what: &'static str,
        at: usize,
    },
    OverCap(Exceeded),
}

impl Fault {
    /// Whether it is a fault of the payload, and not only of the part in which it was found.
    pub(super) fn is_of_payload(self) -> bool {
        matches!(self, Fault::OverCap(Exceeded { cap: Cap::Metrics | Cap::Properties, .. }))
    }
}

/// Wire types of the protobuf encoding: the low three bits of a key.
mod wire_type {
    pub(super) const VARINT: u64 = 0;
    pub(super) const FIXED64: u64 = 1;
    pub(super) const LENGTH: u64 = 2;
    pub(super) const GROUP_START: u64 = 3;
    pub(super) const GROUP_END: u64 = 4;
    pub(super) const FIXED32: u64 = 5;
}

/// Largest field number of protobuf.
const MAX_FIELD: u64 = (1 << 29) - 1;

const CUT_SHORT: &str = "a field cut short";
pub(super) const WRONG_WIRE_TYPE: &str = "a field with the wrong wire type";

/// The unread rest of one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes, length: bytes.len() }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[cold]
    pub(super) fn fault(&self, what: &'static str) -> Fault {
        Fault::Malformed { what, at: self.length.saturating_sub(self.rest.len()) }
    }

    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let Some((taken, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.fault(CUT_SHORT));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.fault(CUT_SHORT));
        };
        self.rest = rest;
        Ok(*taken)
    }

    /// What hasn't been read.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn fixed32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Fault> {
        // Keys, lengths and small numbers.
        match self.rest.split_first() {
            Some((&byte, rest)) if byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    /// Numbers of two to eight bytes, times above all, are taken at once where that many bytes
    /// are left.
    #[inline]
    fn long_varint(&mut self) -> Result<u64, Fault> {
        const LAST: u64 = 0x8080_8080_8080_8080;
        let Some(chunk) = self.rest.first_chunk::<8>() else { return self.any_varint() };
        let word = u64::from_le_bytes(*chunk);
        // The lowest byte without the bit that says that more follow is the last one.
        let last = (!word & LAST).trailing_zeros();
        let Some(unused) = 63_u32.checked_sub(last) else { return self.any_varint() };
        let bytes = last.wrapping_add(1) >> 3;
        let Some(rest) = usize::try_from(bytes).ok().and_then(|bytes| self.rest.get(bytes..))
        else {
            return Err(self.fault(CUT_SHORT));
        };
        self.rest = rest;
        // Seven bits of each byte: pairs are joined, then pairs of pairs, then the halves.
        let bits = (u64::MAX.wrapping_shr(unused)) & word & !LAST;
        let bits = (bits & 0x007f_007f_007f_007f) | ((bits & 0x7f00_7f00_7f00_7f00) >> 1);
        let bits = (bits & 0x0000_3fff_0000_3fff) | ((bits & 0x3fff_0000_3fff_0000) >> 2);
        Ok((bits & 0x0fff_ffff) | ((bits & 0x0fff_ffff_0000_0000) >> 4))
    }

    /// At most ten bytes; bits beyond the 64th are an error, as in prost.
    #[cold]
    fn any_varint(&mut self) -> Result<u64, Fault> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte] = self.array()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.fault("a varint of more than 64 bits"))
    }

    /// The low 32 bits of a varint, as protobuf has it.
    #[inline]
    pub(super) fn varint32(&mut self) -> Result<u32, Fault> {
        self.varint().map(low_half)
    }

    #[inline]
    pub(super) fn boolean(&mut self) -> Result<bool, Fault> {
        self.varint().map(|value| value != 0)
    }

    /// Field number and wire type in one: `number << 3 | wire type`.
    #[inline]
    pub(super) fn key(&mut self) -> Result<u64, Fault> {
        let key = self.varint()?;
        if key >> 3 == 0 || key >> 3 > MAX_FIELD {
            return Err(self.fault("a field number out of range"));
        }
        Ok(key)
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.varint()?;
        match usize::try_from(length) {
            Ok(length) => self.take(length),
            Err(_) => Err(self.fault(CUT_SHORT)),
        }
    }

    /// A field that this program has no use for, whose key was read: an unknown one is stepped
    /// over, one of the schema (numbers up to `known`) has the wrong wire type. Groups can nest;
    /// their end is found without recursion by keeping the open field numbers in a small fixed
    /// stack.
    #[cold]
    pub(super) fn skip(&mut self, key: u64, known: u64) -> Result<(), Fault> {
        if key >> 3 <= known {
            return Err(self.fault(WRONG_WIRE_TYPE));
        }
        self.step_over(key)
    }

    /// Steps over a field whose key was read, whatever it is.
    #[cold]
    pub(super) fn step_over(&mut self, key: u64) -> Result<(), Fault> {
        const MAX_GROUPS: usize = 8;
        let mut open = [0_u64; MAX_GROUPS];
        let mut depth = 0_usize;
        let mut key = key;
        loop {
            let number = key >> 3;
            match key & 7 {
                wire_type::VARINT => {
                    self.varint()?;
                }
                wire_type::FIXED64 => {
                    self.fixed64()?;
                }
                wire_type::LENGTH => {
                    self.bytes()?;
                }
                wire_type::FIXED32 => {
                    self.fixed32()?;
                }
                wire_type::GROUP_START => {
                    let slot = open
                        .get_mut(depth)
                        .ok_or(Fault::OverCap(Cap::Groups.passed(MAX_GROUPS)))?;
                    *slot = number;
                    depth = depth.saturating_add(1);
                }
                wire_type::GROUP_END => {
                    depth = depth
                        .checked_sub(1)
                        .filter(|&depth| open.get(depth) == Some(&number))
                        .ok_or_else(|| self.fault("a group end without its start"))?;
                }
                _ => return Err(self.fault("an unknown wire type")),
            }
            if depth == 0 {
                return Ok(());
            }
            key = self.key()?;
        }
    }
}

fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

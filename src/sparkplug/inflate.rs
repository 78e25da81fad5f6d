//! Compressed bodies, inflated from memory into memory under a cap: zlib (RFC 1950) and gzip
//! (RFC 1952, one member). What follows the compressed data is left alone.

use alloc::vec::Vec;

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// How a body is wrapped; the data in it is DEFLATE (RFC 1951) either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// What Sparkplug calls DEFLATE: zlib.
    Deflate,
    Gzip,
}

/// Why a body can't be inflated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InflateError {
    /// It isn't what it says, ends too early, or its checksum is another.
    Damaged,
    /// It inflates to more bytes than the cap.
    OverCap,
}

/// Room for the first bytes; it doubles with what comes.
const FIRST_BYTES: usize = 4 * 1024;
/// Bytes of a name or comment in the header of gzip at most; nobody needs either.
const MAX_HEADER_TEXT_BYTES: usize = 65_535;

/// Inflates `body` into `inflated`, whose former content goes.
///
/// # Errors
/// [`InflateError`]; what is in `inflated` may not be used then. It has at most `cap` + 1 bytes.
pub(super) fn inflate(
    body: &[u8],
    algorithm: Algorithm,
    cap: usize,
    inflated: &mut Vec<u8>,
) -> Result<(), InflateError> {
    inflated.clear();
    match algorithm {
        Algorithm::Deflate => {
            // It verifies the checksum itself.
            fill(&mut Decompress::new(true), body, cap, inflated)?;
        }
        Algorithm::Gzip => {
            let data = gzip_data(body).ok_or(InflateError::Damaged)?;
            let rest = fill(&mut Decompress::new(false), data, cap, inflated)?;
            let (checksum, rest) = rest.split_first_chunk::<4>().ok_or(InflateError::Damaged)?;
            let length = rest.first_chunk::<4>().ok_or(InflateError::Damaged)?;
            let mut crc = Crc::new();
            crc.update(inflated);
            if crc.sum() != u32::from_le_bytes(*checksum)
                || crc.amount() != u32::from_le_bytes(*length)
            {
                return Err(InflateError::Damaged);
            }
        }
    }
    Ok(())
}

/// Inflates until the data says that it ends; returns what follows.
fn fill<'a>(
    decompress: &mut Decompress,
    mut data: &'a [u8],
    cap: usize,
    inflated: &mut Vec<u8>,
) -> Result<&'a [u8], InflateError> {
    // One byte more than allowed is asked for, to tell "at the cap" from "over it".
    let limit = cap.saturating_add(1);
    loop {
        let before = inflated.len();
        let room = before.max(FIRST_BYTES).min(limit.saturating_sub(before));
        if room == 0 {
            return Err(InflateError::OverCap);
        }
        inflated.resize(before.saturating_add(room), 0);
        let (taken, given) = (decompress.total_in(), decompress.total_out());
        let into = inflated.get_mut(before..).unwrap_or_default();
        let status = decompress.decompress(data, into, FlushDecompress::None);
        let difference = |now: u64, before: u64| usize::try_from(now.saturating_sub(before));
        let (Ok(taken), Ok(given)) =
            (difference(decompress.total_in(), taken), difference(decompress.total_out(), given))
        else {
            return Err(InflateError::Damaged);
        };
        inflated.truncate(before.saturating_add(given));
        data = data.get(taken..).unwrap_or_default();
        match status {
            Ok(Status::StreamEnd) if inflated.len() > cap => return Err(InflateError::OverCap),
            Ok(Status::StreamEnd) => return Ok(data),
            // Ends since each turn takes or gives something: the data ends, or the cap comes.
            Ok(Status::Ok | Status::BufError) if taken > 0 || given > 0 => {}
            Ok(Status::Ok | Status::BufError) | Err(_) => return Err(InflateError::Damaged),
        }
    }
}

/// What follows the header of a gzip member.
fn gzip_data(body: &[u8]) -> Option<&[u8]> {
    const CRC: u8 = 1 << 1;
    const EXTRA: u8 = 1 << 2;
    const NAME: u8 = 1 << 3;
    const COMMENT: u8 = 1 << 4;
    const RESERVED: u8 = 0b1110_0000;
    // Identification, method (8 is DEFLATE), flags; time, extra flags and system don't matter.
    let ([0x1f, 0x8b, 8, flags, _, _, _, _, _, _], mut rest) = body.split_first_chunk::<10>()?
    else {
        return None;
    };
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (length, more) = rest.split_first_chunk::<2>()?;
        rest = more.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let text = rest.iter().take(MAX_HEADER_TEXT_BYTES).take_while(|byte| **byte != 0);
            let length = text.count();
            let (0, more) = rest.get(length..)?.split_first()? else { return None };
            rest = more;
        }
    }
    if flags & CRC != 0 {
        let header = body.get(..body.len().saturating_sub(rest.len()))?;
        let (stored, more) = rest.split_first_chunk::<2>()?;
        let mut crc = Crc::new();
        crc.update(header);
        let [low, high, ..] = crc.sum().to_le_bytes();
        if *stored != [low, high] {
            return None;
        }
        rest = more;
    }
    Some(rest)
}

#[cfg(test)]
mod tests;

//! Writes one frame: prefix, envelope, and what fills a long one up.

use alloc::vec::Vec;

use prost::encoding::{encoded_len_varint, uint64};

use crate::Body;
use crate::prefix::{FILLER_KEY, LONG, MAX_BODY_BYTES, PREFIX_BYTES, TooLarge, UNIT, low_byte};

/// Appends one frame to `out`. On an error `out` is as before.
///
/// # Errors
/// The body is over [`MAX_BODY_BYTES`].
pub fn append(
    salt: u32,
    seq: u64,
    appended_ms: u64,
    body: &Body,
    out: &mut Vec<u8>,
) -> Result<(), TooLarge> {
    let time_bytes =
        if appended_ms == 0 { 0 } else { encoded_len_varint(appended_ms).saturating_add(1) };
    let bytes = encoded_len_varint(seq)
        .saturating_add(1)
        .saturating_add(time_bytes)
        .saturating_add(body.encoded_len());
    let filler = filler(bytes);
    let opened = open_frame(salt, bytes, filler, out)?;
    // As prost writes an `Envelope`, but without owning the body. The sequence number is
    // written even if it were 0: readers find it by its place.
    uint64::encode(1, &seq, out);
    if appended_ms != 0 {
        uint64::encode(2, &appended_ms, out);
    }
    body.encode(out);
    fill_up(filler, out);
    close_frame(&opened, out);
    Ok(())
}

/// Appends one frame with an envelope that is encoded already. On an error `out` is as before.
///
/// # Errors
/// The envelope is over [`MAX_BODY_BYTES`].
pub fn append_envelope(salt: u32, envelope: &[u8], out: &mut Vec<u8>) -> Result<(), TooLarge> {
    let filler = filler(envelope.len());
    let opened = open_frame(salt, envelope.len(), filler, out)?;
    out.extend_from_slice(envelope);
    fill_up(filler, out);
    close_frame(&opened, out);
    Ok(())
}

/// The beginning of a frame whose envelope is to follow.
struct OpenFrame {
    start: usize,
    length_crc: u32,
}

/// Appends length and room for the checksum.
fn open_frame(
    salt: u32,
    bytes: usize,
    filler: usize,
    out: &mut Vec<u8>,
) -> Result<OpenFrame, TooLarge> {
    let too_large = TooLarge { bytes, cap: MAX_BODY_BYTES };
    if bytes > MAX_BODY_BYTES {
        return Err(too_large);
    }
    let bytes = bytes.saturating_add(filler);
    let length = if bytes < LONG { bytes } else { LONG | (bytes / UNIT) };
    let Ok(length) = u32::try_from(length) else { return Err(too_large) };
    let [low, middle, high, _] = length.to_le_bytes();
    let length_crc = crc32c::crc32c_append(salt, &[low, middle, high]);
    let start = out.len();
    out.reserve(bytes.saturating_add(PREFIX_BYTES));
    out.extend_from_slice(&[low, middle, high, low_byte(length_crc)]);
    out.extend_from_slice(&[0; 4]);
    Ok(OpenFrame { start, length_crc })
}

fn fill_up(filler: usize, out: &mut Vec<u8>) {
    if let Some(content) = filler.checked_sub(2) {
        // Below 34 bytes, so that its length takes one.
        out.extend_from_slice(&[FILLER_KEY, low_byte(u32::try_from(content).unwrap_or(0))]);
        out.resize(out.len().saturating_add(content), 0);
    }
}

/// Enters the checksum over what follows the prefix.
fn close_frame(opened: &OpenFrame, out: &mut [u8]) {
    let envelope_start = opened.start.saturating_add(PREFIX_BYTES);
    let envelope = out.get(envelope_start..).unwrap_or_default();
    let crc = crc32c::crc32c_append(opened.length_crc, envelope);
    let crc_place = opened.start.saturating_add(4)..envelope_start;
    if let Some(place) = out.get_mut(crc_place) {
        place.copy_from_slice(&crc.to_le_bytes());
    }
}

/// Bytes that fill an envelope of so many bytes up to a whole number of units: none, or the two at
/// least that a field takes.
fn filler(bytes: usize) -> usize {
    if bytes < LONG {
        return 0;
    }
    match bytes.next_multiple_of(UNIT).saturating_sub(bytes) {
        1 => UNIT.saturating_add(1),
        filler => filler,
    }
}

//! Payloads in the wrapper of those that are compressed: a payload whose `body` is the real one,
//! whose `uuid` says so, and whose one metric names the algorithm. A convention of several libraries.

use alloc::vec::Vec;

use flate2::{Compress, Compression, FlushCompress, Status};

use super::decode::{DecodeError, inflated};
use super::names::{ALGORITHM, COMPRESSED_UUID};
use super::{Caps, DataType, Metric, PayloadWriter, Value};

/// Room for the wrapper.
const WRAPPER_BYTES: usize = 96;

/// Wraps a payload with this timestamp (milliseconds since the epoch) and this `seq`, which the wrapper
/// repeats: some hosts read them there, others in the payload. `None`: it would be no shorter.
pub fn compress(payload: &[u8], timestamp: u64, seq: u64) -> Option<Vec<u8>> {
    let room = payload.len().checked_sub(WRAPPER_BYTES)?;
    let mut body = Vec::with_capacity(room);
    // The fastest level: births repeat names and types, which it sees as well, and nothing else
    // happens meanwhile. What doesn't fit into the room isn't worth it.
    let mut deflate = Compress::new(Compression::fast(), true);
    let status = deflate.compress_vec(payload, &mut body, FlushCompress::Finish);
    if !matches!(status, Ok(Status::StreamEnd)) {
        return None;
    }
    let mut writer = PayloadWriter::new(Some(timestamp), body.len().saturating_add(WRAPPER_BYTES));
    let algorithm = Metric {
        timestamp: Some(timestamp),
        datatype: Some(DataType::String.code()),
        value: Some(Value::String("DEFLATE".into())),
        ..Metric::default()
    };
    writer.metric(Some(ALGORITHM), &algorithm);
    let wrapper = writer.finish_with_body(seq, COMPRESSED_UUID, &body);
    (wrapper.len() < payload.len()).then_some(wrapper)
}

/// The payload in a wrapper; `None` where it isn't in one.
///
/// # Errors
/// It is damaged, or over a cap.
pub fn unwrap(wrapper: &[u8], caps: &Caps) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut payload = Vec::new();
    Ok(inflated(wrapper, &mut payload, caps)?.then_some(payload))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::super::{Payload, arbitrary, decode};
    use super::*;

    proptest! {
        #[test]
        fn what_is_wrapped_is_unwrapped_and_shorter(
            payload in arbitrary::payload(), copies in 1..40_usize, seq in 0..256_u64,
        ) {
            let copies = std::iter::repeat_n(&payload.metrics, copies);
            let metrics = copies.flatten();
            let payload = Payload {
                timestamp: Some(7), metrics: metrics.cloned().collect(), seq: Some(seq), ..payload
            };
            let plain = Payload { uuid: None, body: None, ..payload }.encode_to_vec();
            let caps = Caps::of_payloads(64 * 1024 * 1024);
            if let Some(wrapper) = compress(&plain, 7, seq) {
                prop_assert!(wrapper.len() < plain.len());
                prop_assert_eq!(unwrap(&wrapper, &caps).unwrap(), Some(plain.clone()));
                let outer = Payload::decode(&wrapper[..]).unwrap();
                prop_assert_eq!((outer.timestamp, outer.seq), (Some(7), Some(seq)));
                prop_assert_eq!(outer.uuid.as_deref(), Some(COMPRESSED_UUID));
                prop_assert_eq!(outer.metrics[0].name.as_deref(), Some(ALGORITHM));
                if let Ok(decoded) = decode(&plain, &caps) {
                    let through = decode(&wrapper, &caps).unwrap();
                    prop_assert!(through.was_compressed);
                    // As bytes: NaN is no equal of itself.
                    let bytes = |payload: Payload| payload.encode_to_vec();
                    prop_assert_eq!(bytes(through.payload), bytes(decoded.payload));
                }
            }
            prop_assert_eq!(unwrap(&plain, &caps).ok().flatten(), None);
        }
    }

    #[test]
    fn what_is_short_or_like_noise_is_not_wrapped_and_what_repeats_is() {
        assert_eq!(compress(&[7; 50], 1, 0), None);
        let mut noise = 1_u32;
        let random: Vec<u8> = (0..4_000)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                noise.to_be_bytes()[0]
            })
            .collect();
        assert_eq!(compress(&random, 1, 0), None);
        assert!(compress(&[7; 4_000], 1, 0).is_some_and(|wrapper| wrapper.len() < 200));
    }
}

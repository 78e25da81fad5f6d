//! Payloads from the plant: the three decoders, and the encoder.

use prost::Message;
use sparkplug::{Caps, Metric, Payload, Scalars, decode, decode_borrowed};

/// Encoded again, a payload is at most so many times as long: packed numbers become single ones,
/// and lengths around longer content grow.
const GROWTH: usize = 4;

/// Decodes any bytes as a payload of the plant.
///
/// - What was decoded, encoded and decoded again is the same, and nothing in it is unknown.
/// - The caps hold, whatever the bytes say.
/// - An uncompressed payload decodes as prost has it.
/// - The decoder that borrows names, and the one of scalars alone, say the same.
pub fn payload(input: &[u8]) {
    let caps = Caps { metrics: 200, depth: 6, name_bytes: 512, text_bytes: 512, ..Caps::default() };
    let mut inflated = Vec::new();
    let borrowed = decode_borrowed(input, &mut inflated, &caps);
    let decoded = match decode(input, &caps) {
        Ok(decoded) => decoded,
        Err(error) => {
            assert!(borrowed.is_err(), "only one decoder refuses: {error}");
            assert!(metrics_of_scalars(input, &caps).is_none(), "{error}");
            return;
        }
    };
    let borrowed = borrowed.expect("only one decoder refuses");
    assert_eq!(borrowed.was_compressed, decoded.was_compressed);
    assert_eq!(borrowed.unknown_fields, decoded.unknown_fields);

    let encoded = decoded.payload.encode_to_vec();
    assert_eq!(borrowed.into_payload().encode_to_vec(), encoded);
    assert!(decoded.payload.uuid.is_none() && decoded.payload.body.is_none());
    let outer = if decoded.was_compressed { caps.payload_bytes } else { input.len() };
    assert!(encoded.len() <= outer * GROWTH, "{} bytes of {outer}", encoded.len());
    assert!(metrics(&decoded.payload.metrics, &caps, 0) <= caps.metrics);

    // Encoded, it may be longer than what it was decoded from.
    let roomy = Caps { payload_bytes: caps.payload_bytes * GROWTH, ..caps.clone() };
    let again = decode(&encoded, &roomy).expect("what was encoded decodes");
    assert_eq!((again.unknown_fields, again.was_compressed), (0, false));
    assert_eq!(again.payload.encode_to_vec(), encoded, "decoding again differs");

    if !decoded.was_compressed {
        let mut prost = Payload::decode(input).expect("prost accepts what the reader accepts");
        (prost.uuid, prost.body) = (None, None);
        assert_eq!(prost.encode_to_vec(), encoded, "prost reads it otherwise");
    }
    if let Some((timestamp, seq, metrics)) = metrics_of_scalars(input, &caps) {
        let scalars = Payload { timestamp, metrics, seq, ..Payload::default() };
        let mut wanted = decoded.payload;
        for metric in &mut wanted.metrics {
            // It doesn't tell an empty name from none.
            metric.name.take_if(|name| name.is_empty());
        }
        let (scalars, wanted) = (scalars.encode_to_vec(), wanted.encode_to_vec());
        assert_eq!(scalars, wanted, "the reader of scalars says otherwise");
        assert_eq!(decoded.unknown_fields, 0);
    }
}

/// The metrics and those within their templates; checks the caps of each.
fn metrics(metrics_of: &[Metric], caps: &Caps, depth: usize) -> usize {
    assert!(depth <= caps.depth, "templates within templates");
    let inner = |metric: &Metric| {
        assert!(metric.name.as_ref().is_none_or(|name| name.len() <= caps.name_bytes));
        match &metric.value {
            Some(sparkplug::Value::Template(template)) => {
                metrics(&template.metrics, caps, depth + 1)
            }
            Some(sparkplug::Value::String(text)) => {
                assert!(text.len() <= caps.text_bytes);
                0
            }
            _ => 0,
        }
    };
    metrics_of.len() + metrics_of.iter().map(inner).sum::<usize>()
}

/// Timestamp, `seq` and metrics as the fast path reads them; `None`: it leaves the payload alone.
fn metrics_of_scalars(
    input: &[u8],
    caps: &Caps,
) -> Option<(Option<u64>, Option<u64>, Vec<Metric>)> {
    let mut scalars = Scalars::new(input, caps).ok()?;
    let mut metrics = Vec::new();
    while let Some(metric) = scalars.next().ok()? {
        let name = match metric.name {
            [] => None,
            name => Some(String::from_utf8(name.to_vec()).ok()?),
        };
        assert!(
            metric.encoded_len() <= caps.payload_bytes && metric.is_historical != Some(true),
            "{metric:?}"
        );
        metrics.push(Metric {
            name,
            alias: metric.alias,
            timestamp: metric.timestamp,
            datatype: metric.datatype,
            is_historical: metric.is_historical,
            is_transient: metric.is_transient,
            is_null: metric.is_null,
            value: Some(metric.value.into()),
            ..Metric::default()
        });
    }
    Some((scalars.timestamp(), scalars.seq(), metrics))
}

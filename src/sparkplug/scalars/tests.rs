//! Payloads of scalars read as the reader reads them, and everything else is left to it.

use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use prost::Message;

use super::*;
use crate::{Metric, Payload, PayloadWriter, Value, arbitrary, decode_borrowed};

/// Metrics as data has them mostly.
fn metric() -> impl Strategy<Value = Metric> {
    let value = prop_oneof![
        any::<u32>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::Long),
        any::<f32>().prop_map(Value::Float),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        // Refused.
        "[a-z]{0,2}".prop_map(Value::String),
    ];
    let number = || prop_oneof![0..300_u64, any::<u64>(), Just(1_700_000_000_000)];
    let flag = || weighted(0.2, any::<bool>());
    (
        of("[a-c/é]{0,6}"),
        of(number()),
        of(number()),
        of(0_u32..400),
        (flag(), flag(), flag()),
        value,
    )
        .prop_map(|(name, alias, timestamp, datatype, flags, value)| Metric {
            name,
            alias,
            timestamp,
            datatype,
            is_historical: flags.0,
            is_transient: flags.1,
            is_null: flags.2,
            value: Some(value),
            ..Metric::default()
        })
}

fn payload() -> impl Strategy<Value = Payload> {
    let metrics = prop_oneof![9 => vec(metric(), 0..4), 1 => vec(arbitrary::metric(), 0..4)];
    (of(any::<u64>()), metrics, of(0..256_u64)).prop_map(|(timestamp, metrics, seq)| Payload {
        timestamp,
        metrics,
        seq,
        ..Payload::default()
    })
}

fn all<'a>(bytes: &'a [u8]) -> Result<(Scalars<'a>, Vec<ScalarMetric<'a>>), NotScalars> {
    let mut scalars = Scalars::new(bytes, &Caps::default())?;
    let mut metrics = Vec::new();
    while let Some(metric) = scalars.next()? {
        metrics.push(metric);
    }
    Ok((scalars, metrics))
}

/// What is read as scalars is what the reader has; and where it is canonical, what the writer
/// writes.
fn as_the_reader_has_it(bytes: &[u8]) {
    let Ok((scalars, metrics)) = all(bytes) else { return };
    let mut inflated = Vec::new();
    let Ok(read) = decode_borrowed(bytes, &mut inflated, &Caps::default()) else {
        // Whoever finds a metric by its name has found one that is UTF-8.
        assert!(metrics.iter().any(|metric| std::str::from_utf8(metric.name).is_err()));
        return;
    };
    assert_eq!((read.unknown_fields, read.was_compressed), (0, false));
    assert_eq!((scalars.timestamp(), scalars.seq()), (read.timestamp, read.seq));
    assert_eq!(metrics.len(), read.metrics.len());
    let mut writer = PayloadWriter::new(None, 0);
    for (ours, theirs) in metrics.iter().zip(&read.metrics) {
        assert_eq!(ours.name, theirs.name.unwrap_or_default().as_bytes());
        let ours = Metric {
            name: None,
            alias: ours.alias,
            timestamp: ours.timestamp,
            datatype: ours.datatype,
            is_historical: ours.is_historical,
            is_transient: ours.is_transient,
            is_null: ours.is_null,
            value: Some(ours.value.into()),
            ..Metric::default()
        };
        // As bytes: NaN is itself then.
        assert_eq!(ours.encode_to_vec(), theirs.metric.encode_to_vec());
        writer.metric(theirs.name.filter(|name| !name.is_empty()), &theirs.metric);
    }
    let lengths: usize = metrics.iter().map(ScalarMetric::encoded_len).sum();
    assert_eq!(lengths, writer.written(), "the length is told right");
    let in_order = metrics.iter().all(|metric| metric.in_order);
    if in_order && lengths == scalars.section().len() {
        assert_eq!(writer.finish(None), scalars.section(), "canonical, and yet not the same");
    }
}

proptest! {
    #[test]
    fn payloads_read_as_the_reader_has_them(payload in payload()) {
        let bytes = payload.encode_to_vec();
        as_the_reader_has_it(&bytes);
        let plain = payload.metrics.iter().all(|metric| {
            let Metric { metadata, properties, value, is_historical, is_null, .. } = metric;
            let has_more = metadata.is_some() || properties.is_some();
            let is_news = *is_historical != Some(true) && *is_null != Some(true);
            !has_more && is_news && matches!(value,
                Some(Value::Int(_) | Value::Long(_) | Value::Float(_) | Value::Double(_)
                    | Value::Boolean(_)))
        });
        prop_assert_eq!(all(&bytes).is_ok(), plain);
        if let Ok((scalars, _)) = all(&bytes) {
            // What a protobuf library writes is canonical, but for empty names.
            let metrics = payload.metrics.iter().map(|metric| {
                let mut bytes = Vec::new();
                prost::encoding::message::encode(2, metric, &mut bytes);
                bytes
            });
            prop_assert_eq!(scalars.section(), metrics.collect::<Vec<_>>().concat());
        }
    }

    #[test]
    fn mutated_payloads_read_as_the_reader_has_them(
        bytes in arbitrary::mutated(payload().prop_map(|payload| payload.encode_to_vec())),
    ) {
        as_the_reader_has_it(&bytes);
    }

    /// Fields in any order, and twice.
    #[test]
    fn metrics_in_pieces_read_as_the_reader_has_them(first in metric(), second in metric()) {
        let pieces = [second.encode_to_vec(), first.encode_to_vec()].concat();
        let mut bytes = Vec::new();
        prost::encoding::bytes::encode(2, &pieces, &mut bytes);
        as_the_reader_has_it(&bytes);
    }

    #[test]
    fn scalars_are_written_as_metrics_are(metric in metric(), name in "[a-cé]{0,200}") {
        let bytes = Payload { metrics: vec![metric], ..Payload::default() }.encode_to_vec();
        let Ok((_, metrics)) = all(&bytes) else { return Ok(()) };
        let metric = metrics[0];
        let mut ours = PayloadWriter::new(None, 0);
        ours.scalar(&name, 77, &metric);
        let mut wanted = PayloadWriter::new(None, 0);
        wanted.metric(Some(&name), &Metric {
            timestamp: Some(77),
            is_historical: metric.is_historical,
            is_transient: metric.is_transient,
            value: Some(metric.value.into()),
            ..Metric::default()
        });
        prop_assert_eq!(ours.finish(None), wanted.finish(None));
    }
}

#[test]
fn caps_hold() {
    let metric = |name: &str| Metric {
        name: Some(name.into()),
        value: Some(Value::Boolean(true)),
        ..Metric::default()
    };
    let bytes =
        Payload { metrics: vec![metric("ab"), metric("c")], ..Payload::default() }.encode_to_vec();
    let count = |caps: &Caps| {
        let mut scalars = Scalars::new(&bytes, caps)?;
        let mut count = 0;
        while scalars.next()?.is_some() {
            count += 1;
        }
        Ok(count)
    };
    let caps = Caps { metrics: 2, name_bytes: 2, payload_bytes: bytes.len(), ..Caps::DEFAULT };
    assert_eq!(count(&caps), Ok(2));
    assert_eq!(count(&Caps { metrics: 1, ..caps.clone() }), Err(NotScalars));
    assert_eq!(count(&Caps { name_bytes: 1, ..caps.clone() }), Err(NotScalars));
    assert_eq!(count(&Caps { payload_bytes: bytes.len() - 1, ..caps }), Err(NotScalars));
}

#[test]
fn compressed_and_unknown_payloads_are_none() {
    let plain = Payload {
        timestamp: Some(1),
        metrics: vec![Metric { value: Some(Value::Int(1)), ..Metric::default() }],
        seq: Some(1),
        ..Payload::default()
    };
    assert!(all(&plain.encode_to_vec()).is_ok());
    for payload in [
        Payload { uuid: Some("SPBV1.0_COMPRESSED".into()), ..plain.clone() },
        Payload { body: Some(vec![1]), ..plain.clone() },
    ] {
        assert_eq!(all(&payload.encode_to_vec()).err(), Some(NotScalars));
    }
    let unknown = [plain.encode_to_vec(), vec![0x30, 1]].concat();
    assert_eq!(all(&unknown).err(), Some(NotScalars));
}

#[test]
fn a_metric_with_two_names_is_left_to_the_reader() {
    // The first name isn't UTF-8.
    let payload = b"\x12\x08\x0a\x01\xff\x0a\x01a\x58\x01";
    assert_eq!(all(payload).map(drop), Err(NotScalars));
}

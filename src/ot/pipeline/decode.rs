//! Reading of payloads, once for each message: data of nothing but numbers, times and truth
//! values as what it is, everything else as the model.
//!
//! Nothing is decided here: how a message goes on is chosen behind the sequence check, and a
//! payload of scalars becomes the model without being read again.

use account::Reason;
use sparkplug::{
    BadPart, Borrowed, Caps, DecodeError, Metric, NamedMetric, NotScalars, Payload, ScalarMetric,
    Scalars, decode_parts,
};

use super::encode::METRIC_BYTES;

/// A payload as it was read.
#[derive(Debug)]
pub(super) enum Decoded<'a> {
    /// Metrics with scalar values alone, each of them news.
    Scalars(ScalarPayload<'a>),
    Model(Borrowed<'a>),
}

/// A birth, and what was left out of it.
#[derive(Debug)]
pub(super) struct Birth {
    pub(super) payload: Payload,
    /// By the places of its metrics.
    pub(super) bad: Vec<BadPart>,
}

/// The word of the list of reasons.
pub(super) fn reason_of(error: &DecodeError) -> Reason {
    match error {
        DecodeError::Malformed(_) => Reason::MalformedPayload,
        DecodeError::OverCap(_) => Reason::OverCap,
        DecodeError::BadCompression(_) | DecodeError::Bomb(_) => Reason::BadCompression,
    }
}

impl<'a> Decoded<'a> {
    /// Reads data. `inflated` takes what a compressed payload holds, `room` is for its metrics.
    ///
    /// # Errors
    /// Why nothing of it may be used.
    pub(super) fn data(
        bytes: &'a [u8],
        inflated: &'a mut Vec<u8>,
        room: &mut MetricRoom,
        caps: &Caps,
    ) -> Result<Decoded<'a>, DecodeError> {
        match ScalarPayload::read(bytes, room, caps) {
            Ok(scalars) => Ok(Decoded::Scalars(scalars)),
            Err(NotScalars) => Decoded::any(bytes, inflated, caps),
        }
    }

    /// Reads any payload as the model.
    ///
    /// # Errors
    /// Why nothing of it may be used.
    pub(super) fn any(
        bytes: &'a [u8],
        inflated: &'a mut Vec<u8>,
        caps: &Caps,
    ) -> Result<Decoded<'a>, DecodeError> {
        decode_parts(bytes, inflated, caps).map(Decoded::Model)
    }

    pub(super) fn seq(&self) -> Option<u64> {
        match self {
            Decoded::Scalars(scalars) => scalars.seq,
            Decoded::Model(payload) => payload.seq,
        }
    }

    /// In milliseconds since the epoch (UTC).
    pub(super) fn timestamp(&self) -> Option<u64> {
        match self {
            Decoded::Scalars(scalars) => scalars.timestamp,
            Decoded::Model(payload) => payload.timestamp,
        }
    }

    /// The model of it.
    pub(super) fn into_model(self) -> Borrowed<'a> {
        match self {
            Decoded::Scalars(scalars) => scalars.into_model(),
            Decoded::Model(payload) => payload,
        }
    }

    /// The model of a birth.
    pub(super) fn into_birth(self) -> Birth {
        let mut model = self.into_model();
        let bad = std::mem::take(&mut model.bad);
        Birth { payload: model.into_payload(), bad }
    }
}

/// Room for the metrics of one message, which the next one takes again.
#[derive(Debug, Default)]
pub(super) struct MetricRoom(Vec<ScalarMetric<'static>>);

impl MetricRoom {
    /// So many metrics are kept room for.
    const KEPT: usize = 1_024;

    fn take<'a>(&mut self, metrics: usize) -> Vec<ScalarMetric<'a>> {
        let mut room = emptied(std::mem::take(&mut self.0));
        room.reserve(metrics);
        room
    }

    /// Takes back the room of metrics that are done with.
    pub(super) fn put_back(&mut self, metrics: Vec<ScalarMetric<'_>>) {
        if metrics.capacity() <= MetricRoom::KEPT {
            self.0 = emptied(metrics);
        }
    }
}

/// The memory of a list for another one. Collecting from a list into one of the same layout takes
/// the memory of the first.
#[expect(clippy::unnecessary_filter_map, reason = "a list of another type comes of it")]
fn emptied<'b>(metrics: Vec<ScalarMetric<'_>>) -> Vec<ScalarMetric<'b>> {
    metrics.into_iter().filter_map(|_| None).collect()
}

/// A data payload of scalars alone.
#[derive(Debug)]
pub(super) struct ScalarPayload<'a> {
    /// In milliseconds since the epoch (UTC).
    pub(super) timestamp: Option<u64>,
    /// Names are UTF-8.
    pub(super) metrics: Vec<ScalarMetric<'a>>,
    /// Of the payload as it came.
    pub(super) bytes: usize,
    seq: Option<u64>,
}

impl<'a> ScalarPayload<'a> {
    fn read(
        bytes: &'a [u8],
        room: &mut MetricRoom,
        caps: &Caps,
    ) -> Result<ScalarPayload<'a>, NotScalars> {
        let mut scalars = Scalars::new(bytes, caps)?;
        let mut metrics = room.take(bytes.len() / METRIC_BYTES);
        while let Some(metric) = scalars.next()? {
            // Nearly all names are ASCII, which costs less to find.
            if !metric.name.is_ascii() && std::str::from_utf8(metric.name).is_err() {
                return Err(NotScalars);
            }
            metrics.push(metric);
        }
        let (timestamp, seq) = (scalars.timestamp(), scalars.seq());
        Ok(ScalarPayload { timestamp, metrics, bytes: bytes.len(), seq })
    }

    fn into_model(self) -> Borrowed<'a> {
        let metric = |metric: ScalarMetric<'a>| NamedMetric {
            name: std::str::from_utf8(metric.name).ok(),
            metric: Metric {
                name: None,
                alias: metric.alias,
                timestamp: metric.timestamp,
                datatype: metric.datatype,
                is_historical: metric.is_historical,
                is_transient: metric.is_transient,
                is_null: metric.is_null,
                value: Some(metric.value.into()),
                ..Metric::default()
            },
        };
        Borrowed {
            timestamp: self.timestamp,
            metrics: self.metrics.into_iter().map(metric).collect(),
            seq: self.seq,
            unknown_fields: 0,
            was_compressed: false,
            bad: Vec::new(),
        }
    }
}

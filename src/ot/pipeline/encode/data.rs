//! Payloads of data: by the places that the journal knows, or else by names. Which of the two it is
//! changes nothing else, what a message may take included: whoever reads it has it by names.

use journal_format::compact::{CompactMetric, CompactValue, CompactWriter};
use prost::encoding::encoded_len_varint;
use sparkplug::{Metric, PayloadWriter, Scalar, ScalarMetric, Value, put_fields, steps};

/// Bytes of a metric in data beside its name, mostly.
pub(in crate::pipeline) const METRIC_BYTES: usize = 32;
/// Bytes of a metric that is told by its place, mostly.
const PLACED_BYTES: usize = 14;

/// What a data message says.
#[derive(Debug)]
pub(in crate::pipeline) enum DataPayload {
    /// A Sparkplug payload.
    Named(Vec<u8>),
    /// Metrics by their places in a layout that the journal was given.
    Compact {
        layout: u64,
        timestamp: u64,
        metrics: Vec<u8>,
        /// What it takes by names.
        named_bytes: usize,
    },
}

impl DataPayload {
    /// What it takes as a Sparkplug payload.
    pub(in crate::pipeline) fn named_bytes(&self) -> usize {
        match self {
            DataPayload::Named(payload) => payload.len(),
            DataPayload::Compact { named_bytes, .. } => *named_bytes,
        }
    }
}

/// A data message under construction, metric by metric.
#[derive(Debug)]
pub(in crate::pipeline) struct DataWriter {
    form: Form,
    has_metrics: bool,
    most_bytes: usize,
}

/// What [`DataPayload`] is written as.
#[derive(Debug)]
pub(in crate::pipeline) enum Form {
    Named(PayloadWriter),
    Compact(Places),
}

impl Form {
    /// By the places of the layout of this number; by names, with room for so many bytes, where there
    /// is none.
    pub(in crate::pipeline) fn new(
        layout: Option<u64>,
        timestamp: u64,
        metrics: usize,
        room: usize,
    ) -> Form {
        match layout {
            Some(layout) => Form::Compact(Places::new(layout, timestamp, metrics)),
            None => Form::Named(PayloadWriter::new(Some(timestamp), room)),
        }
    }

    pub(in crate::pipeline) fn finish(self) -> DataPayload {
        match self {
            Form::Named(payload) => DataPayload::Named(payload.finish(None)),
            Form::Compact(places) => places.finish(),
        }
    }
}

impl DataWriter {
    /// `timestamp` is in milliseconds since the epoch, `metrics` how many are to come, `most_bytes`
    /// what the payload may have by names. `layout`: number of the layout that has a place for each of
    /// them.
    pub(in crate::pipeline) fn new(
        timestamp: u64,
        metrics: usize,
        most_bytes: usize,
        layout: Option<u64>,
    ) -> DataWriter {
        let metrics = metrics.saturating_add(1);
        let room = metrics.saturating_mul(METRIC_BYTES.saturating_mul(2));
        let form = Form::new(layout, timestamp, metrics, room);
        DataWriter { form, has_metrics: false, most_bytes }
    }

    /// Appends what crosses of a metric, which [`data_metric`](super::data_metric) and its shape were
    /// applied to. False: there is no room for it. A few bytes of alias become a name each time; the
    /// sum has a bound.
    #[must_use]
    pub(in crate::pipeline) fn metric(
        &mut self,
        (name, place): (&str, Option<u32>),
        metric: &Metric,
    ) -> bool {
        steps::take(name.len().div_ceil(64));
        let most_bytes = self.most_bytes;
        let fits = match &mut self.form {
            Form::Named(payload) => {
                let before = payload.written();
                if before.saturating_add(name.len()) > most_bytes {
                    return false;
                }
                payload.metric(Some(name), metric);
                let fits = payload.written() <= most_bytes;
                if !fits {
                    payload.take_back(before);
                }
                fits
            }
            Form::Compact(places) => {
                let Some(place) = place else {
                    mistake::mistake!("a metric without a place in a layout that has all");
                    return false;
                };
                places.metric(place, name, metric, most_bytes)
            }
        };
        self.has_metrics |= fits;
        fits
    }

    /// The payload; `None` where not one metric fits.
    pub(in crate::pipeline) fn finish(self) -> Option<DataPayload> {
        self.has_metrics.then(|| self.form.finish())
    }
}

/// Metrics by their places, and what they take by names.
#[derive(Debug)]
pub(in crate::pipeline) struct Places {
    layout: u64,
    timestamp: u64,
    writer: CompactWriter,
    named_bytes: usize,
}

impl Places {
    /// Places in the layout of this number, with room for so many metrics.
    fn new(layout: u64, timestamp: u64, metrics: usize) -> Places {
        let room = metrics.saturating_mul(PLACED_BYTES);
        let writer = CompactWriter::new(timestamp, room);
        Places { layout, timestamp, writer, named_bytes: number(timestamp) }
    }

    /// Appends a metric with a value without parts. What all of them take by names.
    #[inline]
    pub(in crate::pipeline) fn put(
        &mut self,
        place: u32,
        name: &str,
        metric: &CompactMetric<'_>,
    ) -> usize {
        self.writer.metric(place, metric);
        self.named_bytes = self.named_bytes.saturating_add(named(name, fields_bytes(metric)));
        self.named_bytes
    }

    /// Appends any metric; false: by names they would take more than `most_bytes`.
    fn metric(&mut self, place: u32, name: &str, metric: &Metric, most_bytes: usize) -> bool {
        let (mark, before) = (self.writer.mark(), self.named_bytes);
        if let Some(metric) = compact(metric) {
            self.put(place, name, &metric);
        } else {
            let mut fields = Vec::new();
            put_fields(&mut fields, metric.alias, metric);
            self.writer.fields(place, &fields);
            self.named_bytes = before.saturating_add(named(name, fields.len()));
        }
        let fits = self.named_bytes <= most_bytes;
        if !fits {
            self.writer.rewind(mark);
            self.named_bytes = before;
        }
        fits
    }

    fn finish(self) -> DataPayload {
        let Places { layout, timestamp, writer, named_bytes } = self;
        DataPayload::Compact { layout, timestamp, metrics: writer.finish(), named_bytes }
    }
}

/// What data tells of a metric without alias, datatype and null flag, dated `timestamp`.
#[inline]
pub(in crate::pipeline) fn scalar(
    timestamp: u64,
    metric: &ScalarMetric<'_>,
) -> CompactMetric<'static> {
    let value = match metric.value {
        Scalar::Int(value) => CompactValue::Int(value),
        Scalar::Long(value) => CompactValue::Long(value),
        Scalar::Float(value) => CompactValue::Float(value),
        Scalar::Double(value) => CompactValue::Double(value),
        Scalar::Boolean(value) => CompactValue::Boolean(value),
    };
    let ScalarMetric { is_historical, is_transient, .. } = *metric;
    CompactMetric { timestamp, is_historical, is_transient, value }
}

/// A metric that has nothing but time, flags and a value without parts.
fn compact(metric: &Metric) -> Option<CompactMetric<'_>> {
    let Metric {
        name: _,
        alias: None,
        timestamp: Some(timestamp),
        datatype: None,
        is_historical,
        is_transient,
        is_null,
        metadata: None,
        properties: None,
        value,
    } = metric
    else {
        return None;
    };
    let value = match (value, is_null) {
        (None, Some(true)) => CompactValue::Null,
        (Some(Value::Int(value)), None) => CompactValue::Int(*value),
        (Some(Value::Long(value)), None) => CompactValue::Long(*value),
        (Some(Value::Float(value)), None) => CompactValue::Float(*value),
        (Some(Value::Double(value)), None) => CompactValue::Double(*value),
        (Some(Value::Boolean(value)), None) => CompactValue::Boolean(*value),
        (Some(Value::String(text)), None) => CompactValue::Text(text.as_bytes()),
        _ => return None,
    };
    let (is_historical, is_transient) = (*is_historical, *is_transient);
    Some(CompactMetric { timestamp: *timestamp, is_historical, is_transient, value })
}

/// What a metric takes in a payload, with its name and so many bytes of other fields.
#[inline]
fn named(name: &str, fields: usize) -> usize {
    let name = number(name.len() as u64).saturating_add(name.len());
    let metric = name.saturating_add(fields);
    number(metric as u64).saturating_add(metric)
}

#[inline]
fn fields_bytes(metric: &CompactMetric<'_>) -> usize {
    let flag = |flag: Option<bool>| if flag.is_some() { 2_usize } else { 0 };
    let value = match metric.value {
        CompactValue::Int(value) => number(value.into()),
        CompactValue::Long(value) => number(value),
        CompactValue::Float(_) => 5,
        CompactValue::Double(_) => 9,
        CompactValue::Boolean(_) | CompactValue::Null => 2,
        CompactValue::Text(text) => number(text.len() as u64).saturating_add(text.len()),
    };
    let flags = flag(metric.is_historical).saturating_add(flag(metric.is_transient));
    number(metric.timestamp).saturating_add(flags).saturating_add(value)
}

/// A key of one byte and a varint.
#[inline]
fn number(number: u64) -> usize {
    encoded_len_varint(number).saturating_add(1)
}

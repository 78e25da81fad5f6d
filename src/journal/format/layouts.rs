//! The layouts that a journal has given so far: which metric data means that names none.
//!
//! A birth or keyframe may give its layout a number. Data refers to that number, and to the metrics
//! by their places in the birth. A number means one layout for as long as the writer runs; each
//! segment gives a layout anew before it has data of it, so that the segment is read without those
//! before. A reader that comes from there knows them already, and loses nothing if a keyframe is
//! unreadable that says the same again.
//!
//! Of Sparkplug this knows which bytes of a birth are names, and which topic data of it has.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use prost::encoding::{decode_varint, encode_varint, encoded_len_varint};

use crate::compact::{CompactMetric, CompactValue, Entries, Entry};
use crate::{Body, Data, Relayed};

/// What a layout takes beside its names, roughly.
const LAYOUT_BYTES: usize = 256;

/// The names of a birth, by place.
#[derive(Debug)]
pub struct Layout {
    id: u64,
    source: Box<str>,
    topic: Box<str>,
    names: Box<str>,
    /// Where each name ends.
    ends: Box<[u32]>,
}

impl Layout {
    /// Tells it from every other one in this process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Topic of the data that refers to it: NDATA or DDATA.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Number of places.
    pub fn places(&self) -> usize {
        self.ends.len()
    }

    /// The name at a place; empty where the birth has none.
    #[inline]
    pub fn name(&self, place: u32) -> Option<&str> {
        let place = usize::try_from(place).ok()?;
        let end = usize::try_from(*self.ends.get(place)?).ok()?;
        let begin = match place.checked_sub(1) {
            Some(before) => usize::try_from(*self.ends.get(before)?).ok()?,
            None => 0,
        };
        self.names.get(begin..end)
    }

    /// What it takes on the heap.
    fn bytes(&self) -> usize {
        let ends = self.ends.len().saturating_mul(size_of::<u32>());
        let texts = self.names.len().saturating_add(self.topic.len().saturating_mul(2));
        texts.saturating_add(ends).saturating_add(self.source.len()).saturating_add(LAYOUT_BYTES)
    }

    /// The layout of a birth; `None`: it isn't what our writers write.
    fn of(source: &str, topic: &str, payload: &[u8]) -> Option<Layout> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let (mut names, mut ends) = (String::new(), Vec::new());
        let mut metrics = Metrics { rest: payload };
        while let Some(name) = metrics.next()? {
            names.push_str(name);
            ends.push(u32::try_from(names.len()).ok()?);
        }
        Some(Layout {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            source: source.into(),
            topic: topic.into(),
            names: names.into(),
            ends: ends.into(),
        })
    }

    /// Whether a birth has this layout.
    fn is_of(&self, source: &str, payload: &[u8]) -> bool {
        let mut metrics = Metrics { rest: payload };
        let mut place = 0_u32;
        let mut all = || {
            while let Some(name) = metrics.next()? {
                if self.name(place)? != name {
                    return None;
                }
                place = place.checked_add(1)?;
            }
            Some(())
        };
        all().is_some() && usize::try_from(place) == Ok(self.ends.len()) && *self.source == *source
    }

    /// Data as it is by names: what it would have been without a layout. `None`: it isn't what our
    /// writers write, or becomes larger than `most_bytes`.
    pub fn by_names(&self, data: &Data, most_bytes: usize) -> Option<Relayed> {
        let room = data.metrics.len().saturating_mul(4).min(most_bytes);
        let mut payload = Vec::with_capacity(room);
        payload.push(0x08);
        encode_varint(data.timestamp, &mut payload);
        let mut fields = Vec::new();
        let mut entries = Entries::new(data.timestamp, &data.metrics);
        while let Some(entry) = entries.next().ok()? {
            let (place, fields) = match entry {
                Entry::Fields(place, fields) => (place, fields),
                Entry::Metric(place, metric) => {
                    fields.clear();
                    put(&metric, &mut fields);
                    (place, &*fields)
                }
            };
            let name = self.name(place)?;
            let named = encoded_len_varint(name.len() as u64).saturating_add(1);
            let length = named.saturating_add(name.len()).saturating_add(fields.len());
            if payload.len().saturating_add(length) > most_bytes {
                return None;
            }
            payload.push(0x12);
            encode_varint(length as u64, &mut payload);
            payload.push(0x0a);
            encode_varint(name.len() as u64, &mut payload);
            payload.extend_from_slice(name.as_bytes());
            payload.extend_from_slice(fields);
        }
        (payload.len() <= most_bytes).then(|| Relayed {
            source: (*self.source).to_owned(),
            topic: (*self.topic).to_owned(),
            payload,
            received_ms: data.received_ms(),
            loss_before: data.loss_before,
            synthetic: data.synthetic,
            losses: data.losses,
            aliased: false,
            typed: data.typed,
            outdated: data.outdated,
            urgent: data.urgent,
            withdrawn: String::new(),
            given_aliases: Vec::new(),
            layout: 0,
        })
    }
}

/// Each is itself alone.
impl PartialEq for Layout {
    fn eq(&self, other: &Layout) -> bool {
        self.id == other.id
    }
}

/// The fields of a metric, but for its name.
fn put(metric: &CompactMetric<'_>, fields: &mut Vec<u8>) {
    let number = |key: u8, number: u64, fields: &mut Vec<u8>| {
        fields.push(key);
        encode_varint(number, fields);
    };
    number(0x18, metric.timestamp, fields);
    for (key, flag) in [(0x28, metric.is_historical), (0x30, metric.is_transient)] {
        if let Some(flag) = flag {
            fields.extend_from_slice(&[key, flag.into()]);
        }
    }
    match metric.value {
        CompactValue::Int(value) => number(0x50, value.into(), fields),
        CompactValue::Long(value) => number(0x58, value, fields),
        CompactValue::Float(value) => {
            fields.push(0x65);
            fields.extend_from_slice(&value.to_le_bytes());
        }
        CompactValue::Double(value) => {
            fields.push(0x69);
            fields.extend_from_slice(&value.to_le_bytes());
        }
        CompactValue::Boolean(value) => fields.extend_from_slice(&[0x70, value.into()]),
        CompactValue::Null => fields.extend_from_slice(&[0x38, 1]),
        CompactValue::Text(text) => {
            number(0x7a, text.len() as u64, fields);
            fields.extend_from_slice(text);
        }
    }
}

/// The names of a birth's metrics, in their order.
struct Metrics<'a> {
    rest: &'a [u8],
}

impl<'a> Metrics<'a> {
    /// The next one, empty where it has none; `Some(None)` at the end, `None`: the bytes aren't
    /// a birth.
    fn next(&mut self) -> Option<Option<&'a str>> {
        while !self.rest.is_empty() {
            let (key, metric) = field(&mut self.rest)?;
            if key != 0x12 {
                continue;
            }
            let (mut rest, mut name) = (metric, "");
            // Its name comes first, as we write it.
            if rest.first() == Some(&0x0a) {
                let (_, text) = field(&mut rest)?;
                name = core::str::from_utf8(text).ok()?;
            }
            return Some(Some(name));
        }
        Some(None)
    }
}

/// Takes one field: its key, and its content where it has a length.
fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let key = decode_varint(rest).ok()?;
    let fixed = match key & 7 {
        0 => {
            decode_varint(rest).ok()?;
            return Some((key, &[]));
        }
        1 => 8,
        2 => usize::try_from(decode_varint(rest).ok()?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(fixed)?;
    *rest = after;
    Some((key, content))
}

/// A layout that was given last of its topic.
#[derive(Debug)]
struct Given {
    number: u64,
    layout: Arc<Layout>,
    /// In the segment that is read.
    anew: bool,
}

/// What a reader has learned of the layouts of a journal, by reading all of the segment up to its
/// place. Holds no more than it is told to.
#[derive(Debug)]
pub struct Layouts {
    by_number: BTreeMap<u64, Arc<Layout>>,
    by_topic: BTreeMap<Box<str>, Given>,
    epoch: u64,
    bytes: usize,
    most_bytes: usize,
}

impl Layouts {
    /// Knows none; those that take more than `most_bytes` together aren't learned.
    pub fn new(most_bytes: usize) -> Layouts {
        let (by_number, by_topic) = (BTreeMap::new(), BTreeMap::new());
        Layouts { by_number, by_topic, epoch: 0, bytes: 0, most_bytes }
    }

    /// A segment of this epoch begins. What the last one hasn't given any more is forgotten.
    pub fn begin_segment(&mut self, epoch: u64) {
        if epoch != self.epoch {
            self.by_number.clear();
            self.by_topic.clear();
            self.bytes = 0;
            self.epoch = epoch;
        }
        let former = core::mem::take(&mut self.by_topic);
        for (topic, given) in former {
            if given.anew {
                self.by_topic.insert(topic, Given { anew: false, ..given });
            } else {
                self.forget(&given);
            }
        }
    }

    /// Learns what a body gives, and gives data by names. `None`: nobody can know what it means, or it
    /// becomes larger than `most_bytes`.
    pub fn by_names(&mut self, body: Body, most_bytes: usize) -> Option<Body> {
        if let Body::Data(data) = &body {
            return Some(Body::Relayed(self.of(data)?.by_names(data, most_bytes)?));
        }
        self.learn(&body);
        Some(body)
    }

    /// Learns the layout that a body gives, if it does.
    pub fn learn(&mut self, body: &Body) {
        let (number, source, topic, payload) = match body {
            Body::Relayed(relayed) => {
                (relayed.layout, &relayed.source, &relayed.topic, &relayed.payload)
            }
            Body::Keyframe(keyframe) => {
                (keyframe.layout, &keyframe.source, &keyframe.topic, &keyframe.payload)
            }
            Body::Start(_) | Body::Heartbeat(_) | Body::Data(_) => return,
        };
        let Some(topic) = data_topic(topic).filter(|_| number > 0) else { return };
        if let Some(given) = self.by_topic.get_mut(&*topic)
            && given.number == number
            && given.layout.is_of(source, payload)
            && self.by_number.get(&number).is_some_and(|own| Arc::ptr_eq(own, &given.layout))
        {
            given.anew = true;
            return;
        }
        if let Some(given) = self.by_topic.remove(&*topic) {
            self.forget(&given);
        }
        let Some(layout) = Layout::of(source, &topic, payload) else { return };
        let bytes = self.bytes.saturating_add(layout.bytes());
        if bytes > self.most_bytes {
            return;
        }
        self.bytes = bytes;
        let layout = Arc::new(layout);
        self.by_number.insert(number, Arc::clone(&layout));
        self.by_topic.insert(topic.into(), Given { number, layout, anew: true });
    }

    /// The layout that data refers to.
    pub fn of(&self, data: &Data) -> Option<&Arc<Layout>> {
        self.by_number.get(&data.layout)
    }

    fn forget(&mut self, given: &Given) {
        self.bytes = self.bytes.saturating_sub(given.layout.bytes());
        let is_own = |known: &Arc<Layout>| Arc::ptr_eq(known, &given.layout);
        if self.by_number.get(&given.number).is_some_and(is_own) {
            self.by_number.remove(&given.number);
        }
    }
}

/// The topic of data, from that of the birth.
fn data_topic(topic: &str) -> Option<String> {
    let mut parts = topic.splitn(4, '/');
    let (namespace, group) = (parts.next()?, parts.next()?);
    let verb = match parts.next()? {
        "NBIRTH" => "NDATA",
        "DBIRTH" => "DDATA",
        _ => return None,
    };
    Some([namespace, group, verb, parts.next()?].join("/"))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests count small numbers")]
mod tests;

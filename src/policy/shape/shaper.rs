//! What becomes of one value. Deciding looks and doesn't change; applying makes of an admitted
//! metric what crosses. Applying twice is applying once, so that the IT half can repeat it.

use std::time::Duration;

use account::Reason;
use sparkplug::{
    DataType, MetaData, Metric, Places, Property, PropertySet, PropertyValue, Value, steps,
};

use super::disarm::QUALITY;
use super::numbers::{Number, OutOfRange, Placed, number, to_value};
use super::pseudonym::Pseudonyms;
use super::{Refusal, Shape, is_text};

/// The property value that says that a value is bad (Sparkplug 3.0 §6.4.8).
const BAD: u32 = 0;

/// What becomes of a value that data brought.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaped {
    /// It crosses, as [`Shape::apply`] makes it.
    Forward,
    /// It waits, as the newest of its metric, until the interval is over.
    Hold { until: Duration },
    /// It doesn't cross. The rule is the one that forwards the metric.
    Drop { reason: Reason },
}

/// What applying a shape changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Rounded to its step.
    Quantised,
    /// Brought to the nearest end of its range.
    Clamped,
    /// Made null, with Quality 0.
    Null(Reason),
    /// Its identifiers were replaced.
    Pseudonymised,
    /// Something beside or inside of it was taken out.
    Disarmed,
}

/// The changes of one metric, in the order of the steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    number: Option<Change>,
    text: Option<Change>,
    disarmed: bool,
}

/// What is known of a metric's earlier values beside the one that was forwarded last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShapeState {
    /// When a value was forwarded last.
    pub forwarded: Option<Duration>,
    /// How often the node had lost messages by then.
    pub losses: u64,
    /// The file that is being forwarded in parts.
    part: Option<Part>,
}

/// Where a file of several parts is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    next_seq: u64,
    bytes: u64,
}

/// What surrounds a value of data.
#[derive(Clone, Copy, Debug)]
pub struct Last<'a> {
    /// The metric as it was forwarded last, before it was shaped; `None` where readers don't have
    /// it, or something newer waits for its turn.
    pub metric: Option<&'a Metric>,
    /// How often the node has lost messages by now.
    pub losses: u64,
    /// Since any fixed start.
    pub mono: Duration,
    /// Milliseconds since the epoch.
    pub wall_ms: u64,
}

/// What the steps up to `allowed` make of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Keep,
    Number(Number, Change),
    Null(Reason),
    Drop(Reason),
}

impl ShapeState {
    /// Nothing was forwarded yet, in a node that had lost messages this often.
    pub fn new(losses: u64) -> ShapeState {
        ShapeState { losses, ..ShapeState::default() }
    }
}

impl Changes {
    /// Whether anything changed.
    pub fn any(self) -> bool {
        self != Changes::default()
    }

    /// Why the value was made null.
    pub fn null(self) -> Option<Reason> {
        [self.number, self.text].into_iter().flatten().find_map(|change| match change {
            Change::Null(reason) => Some(reason),
            _ => None,
        })
    }

    pub fn iter(self) -> impl Iterator<Item = Change> {
        let disarmed = self.disarmed.then_some(Change::Disarmed);
        [self.number, self.text, disarmed].into_iter().flatten()
    }
}

impl Change {
    /// In words: what was done to the value.
    pub fn words(self) -> &'static str {
        match self {
            Change::Quantised => "rounded to its step",
            Change::Clamped => "brought into its range",
            Change::Null(_) => "made null with Quality 0",
            Change::Pseudonymised => "replaced by a pseudonym",
            Change::Disarmed => "disarmed: properties, metadata or columns taken out",
        }
    }
}

impl Shape {
    /// Why a value of this time, in milliseconds since the epoch, doesn't cross.
    fn refuses_time(&self, timestamp: Option<u64>, wall_ms: u64) -> Option<Reason> {
        let timestamp = timestamp?;
        let over = |limit: Option<Duration>, distance_ms: u64| {
            limit.is_some_and(|limit| u128::from(distance_ms) > limit.as_millis())
        };
        if over(self.max_age, wall_ms.saturating_sub(timestamp)) {
            return Some(Reason::TooOld);
        }
        self.refuses_future(timestamp, wall_ms)
    }

    fn refuses_future(&self, timestamp: u64, wall_ms: u64) -> Option<Reason> {
        let ahead = u128::from(timestamp.saturating_sub(wall_ms));
        let over = self.max_future.is_some_and(|limit| ahead > limit.as_millis());
        over.then_some(Reason::Future)
    }

    /// Decides about a value of data, dated and not yet shaped.
    pub fn data(
        &self,
        datatype: DataType,
        metric: &Metric,
        state: &ShapeState,
        last: Last<'_>,
    ) -> Shaped {
        if let Some(reason) = self.refuses_time(metric.timestamp, last.wall_ms) {
            return Shaped::Drop { reason };
        }
        let fate = self.fate(datatype, metric.value.as_ref(), metric.metadata.as_deref());
        if let Fate::Drop(reason) = fate {
            return Shaped::Drop { reason };
        }
        if is_part(metric)
            && let Err(reason) = self.part(metric, state.part)
        {
            return Shaped::Drop { reason };
        }
        if metric.is_historical == Some(true) {
            return Shaped::Forward;
        }
        let doubted = state.losses != last.losses;
        if let Some(forwarded) = last.metric.filter(|_| !doubted)
            && self.is_near(datatype, fate, metric, forwarded)
        {
            return Shaped::Drop { reason: Reason::Deadband };
        }
        match (self.interval(datatype), state.forwarded) {
            (Some(interval), Some(forwarded)) => {
                let until = forwarded.saturating_add(interval);
                if last.mono < until { Shaped::Hold { until } } else { Shaped::Forward }
            }
            _ => Shaped::Forward,
        }
    }

    /// Whether the interval since the last value is over.
    pub fn is_due(&self, datatype: DataType, state: &ShapeState, mono: Duration) -> bool {
        match (self.interval(datatype), state.forwarded) {
            (Some(interval), Some(forwarded)) => mono >= forwarded.saturating_add(interval),
            _ => true,
        }
    }

    /// Enters into `state` that the value was forwarded.
    pub fn forwarded(&self, metric: &Metric, state: &mut ShapeState, last: Last<'_>) {
        if is_part(metric) {
            state.part = self.part(metric, state.part).ok();
        }
        if metric.is_historical != Some(true) {
            state.forwarded = Some(last.mono);
            state.losses = last.losses;
        }
    }

    /// Makes of an admitted metric, or of one in a birth, what crosses. What data would drop is
    /// null with Quality 0.
    pub fn apply(&self, datatype: DataType, metric: &mut Metric, how: Pseudonyms<'_>) -> Changes {
        let mut changes = Changes::default();
        match self.checked(datatype, metric, how) {
            Fate::Keep => {}
            Fate::Number(number, change) => {
                metric.value =
                    metric.value.take().and_then(|like| to_value(datatype, number, &like));
                changes.number = Some(change);
            }
            Fate::Null(reason) | Fate::Drop(reason) => {
                metric.value = None;
                changes.number = Some(Change::Null(reason));
            }
        }
        if let (Some(pseudonym), Some(Value::String(text))) = (&self.pseudonym, &mut metric.value)
            && is_text(datatype)
        {
            match pseudonym.replace(datatype, text, how) {
                Ok(None) => {}
                Ok(Some(replaced)) => {
                    *text = replaced;
                    changes.text = Some(Change::Pseudonymised);
                }
                Err(_) => {
                    metric.value = None;
                    changes.text = Some(Change::Null(Reason::NotAllowed));
                }
            }
        }
        changes.disarmed = self.disarm(datatype, metric, how);
        if changes.null().is_some() {
            metric.is_null = Some(true);
            set_quality(metric, BAD);
        }
        changes
    }

    /// The same for a metric of a birth. A part of a file is no state that a birth could tell.
    pub fn apply_to_birth(
        &self,
        datatype: DataType,
        metric: &mut Metric,
        how: Pseudonyms<'_>,
    ) -> Changes {
        if is_part(metric) {
            metric.value = None;
        }
        let changes = self.apply(datatype, metric, how);
        metric.is_null = metric.value.is_none().then_some(true);
        changes
    }

    /// Whether a value in a birth is dated in the future, beyond what is allowed.
    pub fn refuses_birth_time(&self, timestamp: Option<u64>, wall_ms: u64) -> Option<Reason> {
        self.refuses_future(timestamp?, wall_ms)
    }

    /// Why the value of a metric is null in a birth.
    pub fn nulls(
        &self,
        datatype: DataType,
        metric: &Metric,
        how: Pseudonyms<'_>,
    ) -> Option<Reason> {
        match self.checked(datatype, metric, how) {
            Fate::Null(reason) | Fate::Drop(reason) => Some(reason),
            Fate::Keep | Fate::Number(..) => None,
        }
    }

    /// Whether readers have null with Quality 0 for `forwarded`, since this shape made it so.
    pub fn made_null(&self, datatype: DataType, forwarded: &Metric, how: Pseudonyms<'_>) -> bool {
        self.nulls(datatype, forwarded, how).is_some()
    }

    /// [`Reason`] for which data with this value doesn't cross: the IT half's second look, at what
    /// was shaped already. `None` for what can be told, though [`Shape::apply`] may change it.
    pub fn refuses_again(&self, datatype: DataType, metric: &Metric) -> Option<Reason> {
        if let Fate::Drop(reason) = self.checked(datatype, metric, Pseudonyms::Check) {
            return Some(reason);
        }
        let (Some(pseudonym), Some(Value::String(text))) = (&self.pseudonym, &metric.value) else {
            return None;
        };
        let found =
            is_text(datatype) && pseudonym.replace(datatype, text, Pseudonyms::Check).is_err();
        found.then_some(Reason::NotAllowed)
    }

    /// The steps up to `allowed`. They look at texts as the plant sent them: a pseudonym isn't
    /// what they are about, and whether a text is one, only the key's owner knows.
    fn checked(&self, datatype: DataType, metric: &Metric, how: Pseudonyms<'_>) -> Fate {
        let Some(value) = metric.value.as_ref() else { return Fate::Keep };
        if let (Some(pseudonym), Value::String(text)) = (&self.pseudonym, value)
            && is_text(datatype)
        {
            let replaced = match how {
                Pseudonyms::Check => true,
                Pseudonyms::Make(key) => pseudonym.is_replaced(datatype, text, key),
            };
            if replaced {
                return Fate::Keep;
            }
        }
        self.fate(datatype, Some(value), metric.metadata.as_deref())
    }

    fn fate(&self, datatype: DataType, value: Option<&Value>, metadata: Option<&MetaData>) -> Fate {
        let Some(value) = value else { return Fate::Keep };
        let refuse = |otherwise: Refusal, reason| match otherwise {
            Refusal::Drop => Fate::Drop(reason),
            Refusal::Null => Fate::Null(reason),
        };
        let mut fate = Fate::Keep;
        if let Some(raw) = number(datatype, value) {
            let mut shaped = raw;
            if let Some(step) = self.step {
                shaped = step.round(datatype, raw);
                if !shaped.is(raw) {
                    fate = Fate::Number(shaped, Change::Quantised);
                }
            }
            if let Some(range) = self.range
                && let Placed::Outside { nearest } = range.place(shaped, self.step)
            {
                let fits = |nearest: &Number| to_value(datatype, *nearest, value).is_some();
                match (range.otherwise, nearest.filter(fits)) {
                    (OutOfRange::Drop, _) => return Fate::Drop(Reason::OutOfRange),
                    (OutOfRange::Null, _) | (OutOfRange::Clamp, None) => {
                        return Fate::Null(Reason::OutOfRange);
                    }
                    (OutOfRange::Clamp, Some(nearest)) => {
                        shaped = nearest;
                        fate = Fate::Number(shaped, Change::Clamped);
                    }
                }
            }
            if let Some(allowed) = &self.allowed {
                let shaped = to_value(datatype, shaped, value);
                if !shaped.is_some_and(|shaped| allowed.allows(datatype, &shaped)) {
                    return refuse(allowed.otherwise, Reason::NotAllowed);
                }
            }
            return fate;
        }
        if let Some(length) = &self.length
            && let Some(reason) = length.refuses(datatype, value, metadata)
        {
            return refuse(length.otherwise, reason);
        }
        if let Some(allowed) = &self.allowed
            && !allowed.allows(datatype, value)
        {
            return refuse(allowed.otherwise, Reason::NotAllowed);
        }
        fate
    }

    /// Whether the value is too near to the one that was told last.
    fn is_near(&self, datatype: DataType, fate: Fate, metric: &Metric, forwarded: &Metric) -> bool {
        let Some(deadband) = self.deadband else { return false };
        if !super::is_number(datatype) || self.changes_properties(metric, forwarded) {
            return false;
        }
        let shaped = |fate: Fate, metric: &Metric| match fate {
            Fate::Number(number, _) => Some(number),
            Fate::Keep => metric.value.as_ref().and_then(|value| number(datatype, value)),
            Fate::Null(_) | Fate::Drop(_) => None,
        };
        let forwarded_fate =
            self.fate(datatype, forwarded.value.as_ref(), forwarded.metadata.as_deref());
        match (shaped(forwarded_fate, forwarded), shaped(fate, metric)) {
            (Some(forwarded), Some(new)) => deadband.holds_back(forwarded, new),
            (None, None) => true,
            _ => false,
        }
    }

    /// Whether the metric brings a property that may cross and that readers don't have.
    fn changes_properties(&self, metric: &Metric, forwarded: &Metric) -> bool {
        let Some(properties) = metric.properties.as_deref() else { return false };
        let crossing = self.crossing_properties(properties);
        let Some(forwarded) = forwarded.properties.as_deref() else {
            return !crossing.keys.is_empty();
        };
        let mut places = Places::default();
        let mut is_told = |(place, (key, value)): (usize, (&String, &PropertyValue))| {
            steps::take(1);
            // Most come in the order in which they were told.
            let place = match forwarded.keys.get(place) {
                Some(known) if known == key => Some(place),
                _ => places.property(forwarded, key),
            };
            place.and_then(|place| forwarded.values.get(place)) == Some(value)
        };
        !crossing.keys.iter().zip(&crossing.values).enumerate().all(&mut is_told)
    }

    /// Where a file is after this part.
    fn part(&self, metric: &Metric, before: Option<Part>) -> Result<Part, Reason> {
        let seq = metric.metadata.as_deref().and_then(|metadata| metadata.seq);
        let seq = seq.ok_or(Reason::NotAllowed)?;
        let bytes = match &metric.value {
            Some(Value::Bytes(bytes)) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            _ => 0,
        };
        let so_far = match before {
            Some(part) if part.next_seq == seq => part.bytes,
            // Libraries count from either.
            _ if seq <= 1 => 0,
            // A part of a file whose beginning didn't cross.
            _ => return Err(Reason::NotAllowed),
        };
        let bytes = so_far.saturating_add(bytes);
        let cap = self.length.as_ref().and_then(|length| length.max_bytes);
        if cap.is_some_and(|cap| bytes > cap) {
            return Err(Reason::TooLong);
        }
        Ok(Part { next_seq: seq.saturating_add(1), bytes })
    }
}

/// Whether the value is a part of a larger one.
pub fn is_part(metric: &Metric) -> bool {
    metric.metadata.as_deref().is_some_and(|metadata| metadata.is_multi_part == Some(true))
}

/// Gives a value the quality that was known before the relay made the metric null, where the
/// value brings none of its own: without it readers would go on taking it for bad.
pub fn restore_quality(metric: &mut Metric, forwarded: &Metric) {
    const GOOD: u32 = 192;
    if property(metric.properties.as_deref(), QUALITY).is_some() {
        return;
    }
    let before = property(forwarded.properties.as_deref(), QUALITY);
    match before.and_then(|before| before.value.as_ref()) {
        Some(Property::Int(quality)) => set_quality(metric, *quality),
        _ => set_quality(metric, GOOD),
    }
}

/// Marks a metric as null and bad.
pub fn set_bad(metric: &mut Metric) {
    metric.value = None;
    metric.is_null = Some(true);
    set_quality(metric, BAD);
}

/// Whether a metric is null with Quality 0.
pub fn is_bad_null(metric: &Metric) -> bool {
    let quality = property(metric.properties.as_deref(), QUALITY);
    metric.value.is_none()
        && matches!(quality, Some(PropertyValue { value: Some(Property::Int(BAD)), .. }))
}

fn property<'a>(set: Option<&'a PropertySet>, key: &str) -> Option<&'a PropertyValue> {
    let set = set?;
    steps::take(set.keys.len());
    let place = set.keys.iter().position(|known| known == key)?;
    set.values.get(place)
}

fn set_quality(metric: &mut Metric, quality: u32) {
    let set = metric.properties.get_or_insert_default();
    let value = PropertyValue {
        r#type: Some(DataType::Int32.code()),
        is_null: None,
        value: Some(Property::Int(quality)),
    };
    steps::take(set.keys.len());
    let place = set.keys.iter().position(|key| key == QUALITY);
    match place.and_then(|place| set.values.get_mut(place)) {
        Some(known) => *known = value,
        None => {
            set.keys.push(QUALITY.to_owned());
            set.values.push(value);
        }
    }
}

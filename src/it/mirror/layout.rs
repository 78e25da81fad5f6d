//! What a mirrored edge node or device looks like: the metrics of its birth with their current
//! values. Births are built from it, data is folded into it, keyframes are compared with it.

mod aliases;
mod bytes;
mod marks;
mod metric;
mod places;
mod slot;

use std::borrow::Cow;
use std::collections::HashMap;
use std::num::NonZeroU32;

pub(super) use aliases::{AliasNumbers, with_given};
use metric::{
    QUALITY, QUALITY_GOOD, QUALITY_STALE, as_data, fits, has_all_members, merge_properties,
    merge_value, quality_of, same_members, same_value, set_quality, take_others,
};
pub(super) use metric::{is_definition, normalise, same_definition};
use places::JournalPlaces;
use policy::shape::is_part;
use sparkplug::footprint::{Footprint, Growth};
use sparkplug::{
    Borrowed, Cap, DataType, Metric, NameIndex, NamedMetric, Payload, Places, Scalar, ScalarMetric,
    TemplatePlaces, Value, names, steps, value,
};

use crate::mirror::Aliases;
use crate::mirror::policy_recheck::{PolicyRecheck, Refusals};

/// The metrics of one entity.
#[derive(Debug, Default, Clone)]
pub(super) struct Layout {
    slots: Vec<Slot>,
    index: NameIndex<foldhash::fast::RandomState>,
    /// What it takes on the heap, as it was counted last and has grown since.
    bytes: usize,
    /// How often all were marked as not seen since a loss.
    losses: u64,
    /// The plant's data of it names datatypes, as far as it was seen.
    pub(super) is_typed: bool,
    /// The OT half's count of doubts of this device alone that was acted upon last; 0: none is in
    /// force.
    pub(super) doubts: u64,
    /// Which metrics have an alias on IT.
    pub(super) aliases: Aliases,
    /// Where its metrics stand in the journal.
    journal: JournalPlaces,
}

/// One metric: its birth with the value seen last.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Its `alias` says only that the plant gave it one.
    pub(super) metric: Metric,
    /// Not seen since messages were lost on the OT side; published with Quality 500.
    /// As of the number of [`Layout::losses`] in `as_of`; since more of them it is.
    stale: bool,
    as_of: u64,
    /// What the mirror's own copy of the policy says of it; `None` without a copy.
    recheck: Option<Box<PolicyRecheck>>,
    /// Numbers and truth values of it may take the fast path: nothing has to be said about them.
    /// Follows from the two above.
    is_eligible: bool,
    /// By which IT knows it, where it is to have an alias.
    number: Option<NonZeroU32>,
    /// Where what is in the metric, for data that brings parts of it.
    places: Option<Box<SlotPlaces>>,
}

/// Where the properties of a metric are, and the members of its value.
#[derive(Debug, Default, Clone)]
struct SlotPlaces {
    members: TemplatePlaces,
    properties: Places,
}

/// The same for one look at many metrics of a layout that isn't changed.
#[derive(Debug, Default)]
pub(super) struct LayoutPlaces(HashMap<usize, TemplatePlaces, foldhash::fast::RandomState>);

/// What folding a message into a layout did with one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Folded {
    /// The metric is in the layout; its value is now current (or it is historical).
    Known,
    /// The metric was marked stale and is good again.
    Refreshed,
    /// The layout has no such metric.
    Unknown,
    /// The value doesn't fit the metric's datatype.
    Mismatch,
    /// The mirror's own copy of the policy doesn't let the value through.
    Refused,
    /// There is no room for the value.
    OverMemory,
}

impl Layout {
    /// Takes the metrics of a birth of the journal. `fallback_ms` dates metrics without a
    /// timestamp. The journal is hostile input: metrics that a birth of ours may not have
    /// (nameless, untyped, of a value that the datatype hasn't, twice, control metrics) are left out; their number is
    /// returned too. Their `alias` says only that the plant gave them one.
    pub(super) fn from_birth(birth: Payload, fallback_ms: u64) -> (Layout, u64) {
        let date = birth.timestamp.unwrap_or(fallback_ms);
        let mut layout = Layout::default();
        let mut refused: u64 = 0;
        steps::take(birth.metrics.len());
        for metric in birth.metrics {
            // bdSeq and Rebirth are the session's, and ours is a session of our own.
            if matches!(metric.name.as_deref(), Some(names::BD_SEQ | names::REBIRTH)) {
                continue;
            }
            if !layout.add(metric, date) {
                refused = refused.saturating_add(1);
            }
        }
        layout.count_bytes();
        (layout, refused)
    }

    fn add(&mut self, mut metric: Metric, date: u64) -> bool {
        let Some(name) = metric.name.clone() else { return false };
        let datatype = metric.datatype.and_then(DataType::from_code);
        let typed = datatype.is_some_and(|datatype| {
            metric.value.as_ref().is_none_or(|value| value::fits(datatype, value))
        });
        if name.is_empty() || !typed || names::is_control(&name) || self.at(&name).is_some() {
            return false;
        }
        metric.alias = metric.alias.map(|_| 0);
        metric.is_historical = None;
        metric.timestamp.get_or_insert(date);
        normalise(&mut metric);
        if !self.enter_name(&name) {
            return false;
        }
        self.slots.push(Slot {
            metric,
            stale: false,
            as_of: self.losses,
            recheck: None,
            is_eligible: true,
            number: None,
            places: None,
        });
        true
    }

    /// Has a metric of data name its datatype.
    pub(super) fn name_datatype(&self, name: &str, metric: &mut Metric) {
        metric.datatype = self.metric(name).and_then(|born| born.datatype);
    }

    /// The metric of this name.
    pub(super) fn metric(&self, name: &str) -> Option<&Metric> {
        let at = self.at(name)?;
        self.slots.get(at).map(|slot| &slot.metric)
    }

    /// Number of metrics.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Keeps the metrics for which `keep` says so; true when any went.
    pub(super) fn retain(&mut self, keep: impl FnMut(&mut Slot) -> bool) -> bool {
        let before = self.slots.len();
        self.slots.retain_mut(keep);
        if self.slots.len() == before {
            return false;
        }
        self.enter_all_names();
        true
    }

    /// Whether births of both would name the same metrics with the same datatypes and, for
    /// templates, the same members: then data can say all that differs. A definition that
    /// differs at all is another shape, since only an NBIRTH may have it (Sparkplug 3.0
    /// §6.4.13). Nor may other metrics have an alias.
    pub(super) fn same_shape(&self, other: &Layout) -> bool {
        steps::take(self.slots.len());
        self.slots.len() == other.slots.len()
            && self.slots.iter().all(|slot| {
                other.find(&slot.metric).is_some_and(|theirs| {
                    let is_given = theirs.metric.alias.is_some();
                    slot.metric.datatype == theirs.metric.datatype
                        && self.has_aliases_of(&slot.metric, is_given)
                        && same_members(&slot.metric, &theirs.metric)
                        && same_definition(&slot.metric, &theirs.metric)
                })
            })
    }

    /// Whether a birth has these metrics in this order, and says of them what is known; `false`
    /// also where only a closer look could tell. `given`: which of them have an alias in the plant.
    pub(super) fn is_repeated_by(&self, birth: &Borrowed<'_>, given: &[u8]) -> bool {
        let is_own =
            |named: &NamedMetric<'_>| matches!(named.name, Some(names::BD_SEQ | names::REBIRTH));
        let mut slots = self.slots.iter();
        birth.metrics.iter().enumerate().filter(|(_, named)| !is_own(named)).all(|(at, named)| {
            let same = |slot: &Slot| {
                slot.metric.name.as_deref() == named.name
                    && self.has_aliases_of(&slot.metric, journal_format::has_alias(given, at))
                    && slot.metric.datatype == named.metric.datatype
                    && slot.is_repeated_by(&named.metric)
            };
            slots.next().is_some_and(same)
        }) && slots.next().is_none()
    }

    /// Metrics of `newer` whose value, null flag, properties or stale mark differ from ours, as
    /// data metrics. Both have the same shape.
    pub(super) fn differences(&self, newer: &Layout) -> Vec<Metric> {
        let mut differences = Vec::new();
        steps::take(newer.slots.len());
        for (place, slot) in newer.slots.iter().enumerate() {
            let ours = self.find(&slot.metric);
            let was_stale = ours.is_some_and(|ours| ours.is_stale(self.losses));
            let is_stale = slot.is_stale(newer.losses);
            let same = ours.is_some_and(|ours| {
                same_value(&ours.metric, &slot.metric)
                    && ours.metric.is_null == slot.metric.is_null
                    && ours.metric.properties == slot.metric.properties
                    && was_stale == is_stale
            });
            if same {
                continue;
            }
            let mut metric = as_data(&slot.metric, newer.alias(place));
            if is_stale {
                set_quality(metric.properties.get_or_insert_default(), QUALITY_STALE);
            } else if was_stale {
                let quality = quality_of(&metric).unwrap_or(QUALITY_GOOD);
                set_quality(metric.properties.get_or_insert_default(), quality);
            }
            differences.push(metric);
        }
        differences
    }

    /// Folds one metric of a data message in, by its name, and makes it fit for publication: dated,
    /// with the alias that its birth gave it, typed by its birth alone, and good again if it was stale, as long as it isn't `outdated`.
    /// Historical values change nothing.
    pub(super) fn fold(
        &mut self,
        name: Option<&str>,
        metric: &mut Metric,
        date: u64,
        outdated: bool,
        most_properties: usize,
        refusals: &mut Refusals,
    ) -> Folded {
        steps::take(1);
        let at = name.and_then(|name| self.at(name));
        let alias = at.and_then(|at| self.alias(at));
        let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) else {
            return Folded::Unknown;
        };
        if !fits(&slot.metric, metric) {
            return Folded::Mismatch;
        }
        let is_template = matches!(metric.value, Some(Value::Template(_)));
        let mut is_whole = true;
        if let Some(recheck) = &slot.recheck {
            let mut none = TemplatePlaces::default();
            let members = match is_template {
                true => &mut slot.places.get_or_insert_default().members,
                false => &mut none,
            };
            if !recheck.recheck(&slot.metric, metric, refusals, members) {
                return Folded::Refused;
            }
        }
        if let (Some(Value::Template(born)), Some(Value::Template(instance))) =
            (&slot.metric.value, &mut metric.value)
        {
            let members = &mut slot.places.get_or_insert_default().members;
            let mut first = None;
            let others = take_others(born, instance, members, &mut first);
            if let Some(first) = first {
                refusals.1.take_out(name.unwrap_or_default(), &first, others);
                if instance.metrics.is_empty() && instance.parameters.is_empty() {
                    return Folded::Refused;
                }
            }
            is_whole = !slot.is_stale(self.losses) || has_all_members(born, instance);
        }
        metric.alias = alias;
        metric.datatype = None;
        metric.timestamp.get_or_insert(date);
        normalise(metric);
        if metric.is_historical == Some(true) {
            return Folded::Known;
        }
        if is_part(metric) {
            // A part of a file is no state that a birth could have.
            return Folded::Known;
        }
        let mut growth = Growth::default();
        let current = &mut slot.metric;
        current.timestamp = metric.timestamp;
        current.is_null = metric.is_null;
        current.is_transient = metric.is_transient;
        if is_template {
            let places = slot.places.get_or_insert_default();
            merge_value(
                &mut current.value,
                metric.value.as_ref(),
                &mut places.members,
                &mut growth,
            );
        } else {
            if let Some(places) = &mut slot.places {
                places.members = TemplatePlaces::default();
            }
            growth.replace(&mut current.value, metric.value.as_ref());
        }
        if let Some(newer) = &metric.properties {
            growth.gain(bytes::first_properties(current.properties.is_none(), &slot.places));
            let places = slot.places.get_or_insert_default();
            let properties = current.properties.get_or_insert_default();
            let places = &mut places.properties;
            let left_out =
                merge_properties(properties, newer, places, most_properties, &mut growth);
            if left_out > 0 {
                let got = most_properties.saturating_add(left_out);
                let over = Cap::MetricProperties.exceeded(most_properties, got);
                refusals.1.leave_out(name.unwrap_or_default(), over);
            }
        }
        if let Some(newer) = &metric.metadata {
            growth.lose(current.metadata.heap_bytes());
            current.metadata = Some(newer.clone());
            growth.gain(current.metadata.heap_bytes());
        }
        self.bytes = growth.of(self.bytes);
        if !slot.is_stale(self.losses) {
            return Folded::Known;
        }
        let properties = metric.properties.get_or_insert_default();
        // Where the members that it doesn't have may be others by now, the instance stays in doubt.
        if outdated || !is_whole {
            set_quality(properties, QUALITY_STALE);
            return Folded::Known;
        }
        if !properties.keys.iter().any(|key| key == QUALITY) {
            let quality = quality_of(&slot.metric).unwrap_or(QUALITY_GOOD);
            set_quality(properties, quality);
        }
        slot.set_stale(false, self.losses);
        Folded::Refreshed
    }

    /// The slot of a metric of data that changes nothing but value, times and flags there, and
    /// crosses as it is; `None`: it isn't eligible for the fast path. `likely` is tried first.
    #[inline]
    pub(super) fn find_eligible(&self, metric: &ScalarMetric<'_>, likely: usize) -> Option<usize> {
        let is_likely = |slot: &&Slot| {
            slot.metric.name.as_ref().is_some_and(|name| name.as_bytes() == metric.name)
        };
        let (place, slot) = match self.slots.get(likely).filter(is_likely) {
            Some(slot) => (likely, slot),
            None => {
                let place = self.at(std::str::from_utf8(metric.name).ok()?)?;
                (place, self.slots.get(place)?)
            }
        };
        let datatype = DataType::from_code(slot.metric.datatype?)?;
        let is_eligible = slot.is_eligible && slot.as_of == self.losses;
        (is_eligible && metric.value.fits(datatype)).then_some(place)
    }

    /// Enters news of a metric that [`Layout::find_eligible`] found.
    #[inline]
    pub(super) fn set(
        &mut self,
        place: usize,
        timestamp: u64,
        is_transient: Option<bool>,
        value: Scalar,
    ) {
        let Some(slot) = self.slots.get_mut(place) else {
            return mistake::mistake!("a metric was found and isn't there");
        };
        slot.metric.timestamp = Some(timestamp);
        slot.metric.is_null = None;
        slot.metric.is_transient = is_transient;
        slot.metric.value = Some(value.into());
    }

    /// The metric as the mirror's own copy of the policy lets it through; whether it does.
    pub(super) fn recheck(
        &self,
        metric: &mut Metric,
        refusals: &mut Refusals,
        places: &mut LayoutPlaces,
    ) -> bool {
        let at = metric.name.as_deref().and_then(|name| self.at(name));
        let Some((at, slot)) = at.and_then(|at| Some((at, self.slots.get(at)?))) else {
            return true;
        };
        let members = places.0.entry(at).or_default();
        slot.recheck
            .as_ref()
            .is_none_or(|recheck| recheck.recheck(&slot.metric, metric, refusals, members))
    }

    /// Whether the layout has this metric, and its value fits.
    pub(super) fn takes(&self, metric: &Metric) -> bool {
        self.find(metric).is_some_and(|slot| fits(&slot.metric, metric))
    }

    /// Whether `metric` says what the layout holds already (same time, same value).
    pub(super) fn is_current(&self, metric: &Metric) -> bool {
        self.find(metric).is_some_and(|slot| {
            slot.metric.timestamp == metric.timestamp
                && same_value(&slot.metric, metric)
                && slot.metric.is_null.unwrap_or(false) == metric.is_null.unwrap_or(false)
        })
    }

    /// Whether `node`, the layout of the edge node, defines every template that instances of
    /// this layout refer to.
    pub(super) fn is_defined_by(&self, node: &Layout) -> bool {
        self.slots.iter().all(|slot| node.defines_all_of(&slot.metric))
    }

    /// Whether this layout, of the edge node, defines every template that the metric refers to. Some
    /// libraries name a definition `_types_/X` and refer to it as `X`.
    pub(super) fn defines_all_of(&self, metric: &Metric) -> bool {
        steps::take(1);
        let Some(Value::Template(template)) = &metric.value else { return true };
        let reference = template.template_ref.as_deref();
        reference.is_none_or(|reference| self.defines(reference))
            && template.metrics.iter().all(|member| self.defines_all_of(member))
    }

    fn defines(&self, reference: &str) -> bool {
        let bare = reference.strip_prefix(names::TYPES_PREFIX).unwrap_or(reference);
        [bare, &format!("{}{bare}", names::TYPES_PREFIX)].into_iter().any(|name| {
            let slot = self.at(name).and_then(|at| self.slots.get(at));
            slot.is_some_and(|slot| is_definition(&slot.metric))
        })
    }

    /// The metrics as a birth of ours has them: every one with name, datatype, timestamp, and
    /// a value or `is_null`.
    pub(super) fn birth_metrics(&self) -> impl Iterator<Item = Cow<'_, Metric>> {
        steps::take(self.slots.len());
        self.slots.iter().map(|slot| {
            let mut metric = Cow::Borrowed(&slot.metric);
            if slot.is_stale(self.losses) {
                let properties = &mut metric.to_mut().properties;
                set_quality(properties.get_or_insert_default(), QUALITY_STALE);
            }
            metric
        })
    }

    /// The metrics and their stale marks, for the snapshot.
    pub(super) fn slots(&self) -> impl Iterator<Item = (&Metric, bool)> {
        self.slots.iter().map(|slot| (&slot.metric, slot.is_stale(self.losses)))
    }

    /// Restores what [`Layout::slots`] gave.
    pub(super) fn restore(slots: impl Iterator<Item = (Metric, bool)>) -> Layout {
        let mut layout = Layout::default();
        for (metric, stale) in slots {
            if layout.add(metric, 0)
                && let Some(slot) = layout.slots.last_mut()
            {
                slot.set_stale(stale, layout.losses);
            }
        }
        layout.count_bytes();
        layout
    }

    fn find(&self, metric: &Metric) -> Option<&Slot> {
        let at = self.at(metric.name.as_deref()?)?;
        self.slots.get(at)
    }
}

#[cfg(test)]
mod tests;

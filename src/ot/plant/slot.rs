//! One metric of an entity: its current value, and what the policy makes of the next one.

mod limited;
mod merge;

use std::sync::Arc;

use account::{Reason, RuleId};
use policy::Verdict;
use policy::shape::{Pseudonyms, Shape, ShapeState};
use sparkplug::footprint::{Footprint, Growth, allocation, value_bytes};
use sparkplug::{DataType, Metric, Scalar, Template, TemplatePlaces, Value, steps};

use super::Held;
use crate::shadow::Mark;
pub(crate) use merge::take_over;
use merge::{lacks_members, length};

/// One metric of a birth.
///
/// What decides whether its data takes the fast path is private: each method that changes any of
/// it computes [`Slot::is_eligible`] anew.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    /// As a birth shows it: with name, datatype, timestamp and value or `is_null`, without
    /// alias. The value is the one that took effect last. Of a metric whose values no rule ever
    /// forwards there is name and datatype alone, and no timestamp either.
    pub(crate) current: Metric,
    pub(crate) datatype: DataType,
    /// The birth had a text without a datatype: it may be any kind of text.
    pub(crate) inferred: bool,
    /// It came with an alias.
    pub(crate) has_alias: bool,
    /// Metric name of the template definition whose instances the metric has. Another one takes
    /// another birth.
    pub(crate) definition: Option<Box<str>>,
    /// The rule that would decide about it, were it not only to observe.
    pub(crate) observed: Option<RuleId>,
    /// Where it is counted for the policy in shadow.
    pub(crate) beside: Option<Mark>,
    /// Its name as readers know it, where that isn't its own.
    pub(crate) exported_as: Option<Box<str>>,
    verdict: Verdict,
    /// The policy forwards values of it, now or at some time.
    keeps: bool,
    is_limited: bool,
    is_born: bool,
    /// It has a value that no birth and no data had yet.
    awaits_birth: bool,
    held: Option<Box<Held>>,
    shaper: Option<Box<Shaper>>,
    is_nulled: bool,
    is_eligible: bool,
    /// Whether its shape made null of the current value, where that was asked for: a long text is
    /// read for it, and data may ask again and again.
    told_null: Option<bool>,
    /// Where what is, in an instance that data brought members of.
    places: Option<Box<TemplatePlaces>>,
    /// Its place in the layout that the journal was given last; [`NOWHERE`]: it isn't there.
    place: u32,
}

const NOWHERE: u32 = u32::MAX;

/// How the values of a metric are shaped.
#[derive(Clone, Debug)]
pub(crate) struct Shaper {
    shape: Arc<Shape>,
    looks: bool,
    pub(crate) state: ShapeState,
}

impl Shaper {
    pub(crate) fn new(shape: Arc<Shape>, datatype: DataType, state: ShapeState) -> Shaper {
        Shaper { looks: shape.shapes(datatype), shape, state }
    }

    pub(crate) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Whether values have to be looked at before they cross.
    pub(crate) fn looks(&self) -> bool {
        self.looks
    }
}

impl Slot {
    /// A metric that no policy was asked about yet. `current` is as a birth shows it.
    pub(crate) fn new(current: Metric, datatype: DataType) -> Slot {
        Slot {
            current,
            datatype,
            inferred: false,
            has_alias: false,
            definition: None,
            observed: None,
            beside: None,
            exported_as: None,
            verdict: Verdict::Drop { reason: Reason::NoRule, rule: None },
            keeps: true,
            is_limited: false,
            is_born: false,
            awaits_birth: false,
            held: None,
            shaper: None,
            is_nulled: false,
            is_eligible: false,
            told_null: None,
            places: None,
            place: NOWHERE,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.current.name.as_deref().unwrap_or_default()
    }

    /// Its name as readers know it.
    pub(crate) fn exported_name(&self) -> &str {
        self.exported_as.as_deref().unwrap_or_else(|| self.name())
    }

    /// The datatype to judge by: none where there is doubt.
    pub(crate) fn judged_datatype(&self) -> Option<DataType> {
        (!self.inferred).then_some(self.datatype)
    }

    /// The policy's word, from when the birth arrived or the policy was loaded.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes over the policy's word. `keeps`: values of it are forwarded, if not now, then at some
    /// time. `is_limited`: the rule that forwards it has a limit of its own. `shaper`: what becomes
    /// of its values, where a rule shapes them.
    pub(crate) fn judge(
        &mut self,
        verdict: Verdict,
        keeps: bool,
        is_limited: bool,
        shaper: Option<Box<Shaper>>,
    ) {
        self.verdict = verdict;
        self.keeps = keeps || self.is_forwarded();
        self.is_limited = is_limited;
        self.shaper = shaper;
        if !self.keeps {
            self.blank();
        }
        self.refresh();
    }

    /// It doesn't cross, whatever the policy said.
    pub(crate) fn refuse(&mut self, reason: Reason, rule: Option<RuleId>) {
        self.verdict = Verdict::Drop { reason, rule };
        // No policy lets it cross.
        self.beside = None;
        self.forget_values();
    }

    /// No rule forwards values of it: none is remembered.
    pub(crate) fn forget_values(&mut self) {
        self.keeps = false;
        self.blank();
        self.refresh();
    }

    /// Whether values of it are remembered.
    pub(crate) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Forgets all of the metric but what it is called and typed. What waits is settled otherwise.
    fn blank(&mut self) {
        let Metric { name, datatype, .. } = std::mem::take(&mut self.current);
        self.current = Metric { name, datatype, is_null: Some(true), ..Metric::default() };
        self.places = None;
        self.is_nulled = false;
    }

    /// No value of it is known: none was kept as long as no rule forwarded any.
    pub(crate) fn is_blank(&self) -> bool {
        self.current.timestamp.is_none()
    }

    /// Whether its values cross.
    pub(crate) fn is_forwarded(&self) -> bool {
        matches!(self.verdict, Verdict::Forward { .. })
    }

    /// Whether births have it, be it without a value.
    pub(crate) fn is_exported(&self) -> bool {
        matches!(self.verdict, Verdict::Forward { .. } | Verdict::Redact { .. })
    }

    /// Part of the birth that was journalled last.
    pub(crate) fn is_born(&self) -> bool {
        self.is_born
    }

    pub(crate) fn set_born(&mut self, is_born: bool) {
        self.is_born = is_born;
        self.awaits_birth &= !is_born;
        if !is_born {
            self.place = NOWHERE;
        }
        self.refresh();
    }

    /// Its place in the layout that the journal was given last.
    #[inline]
    pub(crate) fn place(&self) -> Option<u32> {
        (self.place != NOWHERE).then_some(self.place)
    }

    pub(crate) fn set_place(&mut self, place: Option<u32>) {
        self.place = place.unwrap_or(NOWHERE);
    }

    /// Data brought its value, which no birth has yet.
    pub(crate) fn awaits_birth(&self) -> bool {
        self.awaits_birth
    }

    /// The value that waited for a birth doesn't cross by it; whether one did.
    pub(crate) fn ends_waiting(&mut self) -> bool {
        std::mem::take(&mut self.awaits_birth)
    }

    /// The current value waits for a birth; whether one before it does.
    pub(crate) fn wait_for_birth(&mut self) -> bool {
        std::mem::replace(&mut self.awaits_birth, true)
    }

    /// Whether readers know an instance that hasn't all the members and parameters that this one
    /// has, since it waits for a birth, or has brought none of them yet.
    pub(crate) fn lacks_members_of(&mut self, newer: &Template) -> bool {
        match &self.current.value {
            Some(Value::Template(current)) if self.is_born => {
                let places = self.places.get_or_insert_default();
                self.awaits_birth || lacks_members(current, newer, places)
            }
            _ => false,
        }
    }

    /// The time of the newest value that came, in milliseconds since the epoch: the current one's, or
    /// that of one which waits.
    pub(crate) fn newest_ms(&self) -> Option<u64> {
        let held = self.held.as_ref().and_then(|held| held.metric.timestamp);
        self.current.timestamp.max(held)
    }

    /// The newest value that a rate limit or an interval held back; it waits for its turn.
    pub(crate) fn held(&self) -> Option<&Held> {
        self.held.as_deref()
    }

    /// Holds a value back. What was held before must have been taken.
    pub(super) fn hold(&mut self, held: Held) {
        self.held = Some(Box::new(held));
        self.refresh();
    }

    /// The value that was held back, which isn't any more.
    pub(super) fn take_held(&mut self) -> Option<Box<Held>> {
        let held = self.held.take();
        self.refresh();
        held
    }

    /// What becomes of its values; `None` where no rule shapes them.
    pub(crate) fn shaper(&self) -> Option<&Shaper> {
        self.shaper.as_deref()
    }

    /// What its shape has to remember, where its values have to be looked at.
    pub(crate) fn shape_state_mut(&mut self) -> Option<(&Shape, &mut ShapeState)> {
        let Shaper { shape, looks, state } = self.shaper.as_deref_mut()?;
        looks.then_some((&**shape, state))
    }

    /// The current value is null since the relay made it so, or knows none: births have it with
    /// Quality 0.
    pub(crate) fn is_nulled(&self) -> bool {
        self.is_nulled || self.is_blank()
    }

    /// Whether the newest value is such a null.
    pub(crate) fn is_nulled_newest(&self) -> bool {
        self.is_nulled && self.held.is_none()
    }

    /// The current value is a null that the relay made, and not the plant.
    pub(crate) fn mark_nulled(&mut self) {
        self.is_nulled = true;
        self.refresh();
    }

    /// Whether readers have null with Quality 0 for the current value, which isn't.
    pub(crate) fn is_told_null(&mut self, how: Pseudonyms<'_>) -> bool {
        if self.is_nulled() {
            return true;
        }
        if let Some(told_null) = self.told_null {
            return told_null;
        }
        let Some(shaper) = self.shaper.as_deref().filter(|shaper| shaper.looks) else {
            return false;
        };
        steps::take(length(self.current.value.as_ref()));
        let told_null = shaper.shape.made_null(self.datatype, &self.current, how);
        self.told_null = Some(told_null);
        told_null
    }

    /// Data of it that is a scalar crosses as it is: a rule forwards it, readers know the metric,
    /// and neither limit nor shape nor anything that came before has a word on it.
    #[inline]
    pub(crate) fn is_eligible(&self) -> bool {
        self.is_eligible
    }

    /// What [`Slot::is_eligible`] has to be.
    pub(crate) fn computes_eligible(&self) -> bool {
        self.is_forwarded()
            && !self.is_limited
            && self.is_born
            && self.held.is_none()
            && !self.is_nulled()
            && self.shaper.as_ref().is_none_or(|shaper| !shaper.looks)
    }

    fn refresh(&mut self) {
        self.told_null = None;
        self.is_eligible = self.computes_eligible();
    }

    /// What becomes of its values, and of what is beside and inside of them.
    pub(crate) fn shape(&self) -> &Shape {
        match &self.shaper {
            Some(shaper) => &shaper.shape,
            None => Shape::unshaped(),
        }
    }

    /// [`Slot::update`] of a slot that is eligible, with data that has nothing but a scalar.
    #[inline]
    pub(crate) fn set(&mut self, timestamp: u64, is_transient: Option<bool>, value: Scalar) {
        let current = &mut self.current;
        current.timestamp = Some(timestamp);
        current.is_transient = is_transient;
        current.value = Some(value.into());
        current.is_null = None;
        self.told_null = None;
    }

    /// What it takes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        let parts = [
            value_bytes(&self.current),
            self.definition.heap_bytes(),
            self.exported_as.heap_bytes(),
            self.shaper.as_ref().map_or(0, |_| allocation(size_of::<Shaper>())),
            self.held_bytes(),
        ];
        parts.into_iter().fold(0, usize::saturating_add)
    }

    /// What the value that is held back takes, with its entry in the list of messages that wait.
    pub(super) fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes())
    }

    /// Takes over a newer state; whoever holds a value back settles that first.
    /// Of the properties those stay that the newer one doesn't have, and the metadata where it has
    /// none. By how many bytes what it takes on the heap has changed.
    pub(super) fn update(&mut self, newer: &Metric) -> Growth {
        let mut growth = Growth::default();
        take_over(&mut self.current, newer, &mut self.places, &mut growth);
        self.is_nulled = false;
        self.refresh();
        growth
    }
}

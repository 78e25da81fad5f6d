//! Stale marks: which metrics weren't seen since messages of their entity were lost or refused.

use sparkplug::{Metric, steps};

use super::metric::{QUALITY_GOOD, QUALITY_STALE, as_data, is_definition, quality_of, set_quality};
use super::{Layout, Slot};
use crate::mirror::OnGap;

impl Layout {
    /// Marks every metric as not seen since a loss. Takes no longer where there are many:
    /// losses may come with each message.
    pub(in crate::mirror) fn mark_stale(&mut self) {
        self.losses = self.losses.wrapping_add(1);
    }

    /// The device is dead until its next birth, since it is doubted for itself.
    pub(in crate::mirror) fn is_suspended(&self, on_gap: OnGap) -> bool {
        self.doubts > 0 && on_gap == OnGap::Death
    }

    /// The same; the metrics that weren't marked yet, as data that says so.
    pub(in crate::mirror) fn doubt(&mut self) -> Vec<Metric> {
        steps::take(self.slots.len());
        let losses = self.losses;
        let is_good = |slot: &Slot| !slot.is_stale(losses) && !is_definition(&slot.metric);
        self.mark(is_good, true, |_| QUALITY_STALE)
    }

    /// Takes all stale marks away; the metrics that had one, as data that says that they are
    /// good.
    pub(in crate::mirror) fn refresh(&mut self) -> Vec<Metric> {
        steps::take(self.slots.len());
        let losses = self.losses;
        let good = |metric: &Metric| quality_of(metric).unwrap_or(QUALITY_GOOD);
        self.mark(|slot| slot.is_stale(losses), false, good)
    }

    /// Marks these metrics, or takes their marks away: they, as data with a quality.
    fn mark(
        &mut self,
        which: impl Fn(&Slot) -> bool,
        stale: bool,
        quality: impl Fn(&Metric) -> u32,
    ) -> Vec<Metric> {
        let losses = self.losses;
        let mut marked = Vec::new();
        for place in 0..self.slots.len() {
            let alias = self.alias(place);
            let Some(slot) = self.slots.get_mut(place).filter(|slot| which(slot)) else { continue };
            slot.set_stale(stale, losses);
            let mut metric = as_data(&slot.metric, alias);
            let quality = quality(&metric);
            set_quality(metric.properties.get_or_insert_default(), quality);
            marked.push(metric);
        }
        marked
    }

    /// Copies the stale marks of an older layout of the same entity. What is new beside it has one
    /// if it `is_doubted`.
    pub(in crate::mirror) fn keep_stale_marks_of(&mut self, older: &Layout, is_doubted: bool) {
        steps::take(self.slots.len());
        self.doubts = older.doubts;
        for slot in &mut self.slots {
            let is_stale = |theirs: &Slot| theirs.is_stale(older.losses);
            let is_stale = older.find(&slot.metric).map_or(is_doubted, is_stale);
            // What was no definition there may be one here, which has no quality.
            slot.set_stale(is_stale && !is_definition(&slot.metric), self.losses);
        }
    }
}

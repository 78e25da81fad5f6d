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
        let is_good = |slot: &&mut Slot| !slot.is_stale(losses) && !is_definition(&slot.metric);
        let marked = self.slots.iter_mut().filter(is_good).map(|slot| {
            slot.set_stale(true, losses);
            let mut metric = as_data(slot.metric.clone());
            set_quality(metric.properties.get_or_insert_default(), QUALITY_STALE);
            metric
        });
        marked.collect()
    }

    /// Takes all stale marks away; the metrics that had one, as data that says that they are
    /// good.
    pub(in crate::mirror) fn refresh(&mut self) -> Vec<Metric> {
        steps::take(self.slots.len());
        let losses = self.losses;
        let stale = self.slots.iter_mut().filter(|slot| slot.is_stale(losses));
        stale
            .map(|slot| {
                slot.set_stale(false, losses);
                let mut metric = as_data(slot.metric.clone());
                let quality = quality_of(&metric).unwrap_or(QUALITY_GOOD);
                set_quality(metric.properties.get_or_insert_default(), quality);
                metric
            })
            .collect()
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

//! The last drops, for people: what, whose, and why. A list with a bound for each reason, so that
//! what is dropped all the time doesn't hide what is dropped now and then; and taking note costs
//! next to nothing where there is much of it.

use alloc::borrow::ToOwned;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Reason;
use super::dropped::{Dropped, What};

/// Drops of one reason that are kept.
pub const KEPT: usize = 8;
/// So many of one reason are taken note of within [`WINDOW_MS`], the first ones.
const EACH_WINDOW: u32 = 4;
const WINDOW_MS: u64 = 1_000;
/// Characters of a name or topic.
const SHOWN_CHARS: usize = 200;

/// A drop as people see it. There are no values in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastDrop {
    /// In milliseconds since the epoch.
    pub at_ms: u64,
    /// The topic of the message, or, of what was dropped later than its message came, the entity.
    pub topic: String,
    /// The metric; `None` where it is the message, or where only a number is known.
    pub metric: Option<String>,
    /// The rule that ordered it, by its name.
    pub rule: Option<String>,
    /// What came and what was wanted, where that is known.
    pub fault: Option<(String, String)>,
}

/// The last drops by reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    /// In milliseconds since the epoch, as it was told last.
    now_ms: u64,
    reasons: Vec<OfReason>,
    /// The one that was taken note of last, until something else is dropped.
    last: Option<Reason>,
    /// The message of some of them isn't over yet.
    any_open: bool,
}

#[derive(Clone, Debug, Default)]
struct OfReason {
    since_ms: u64,
    taken: u32,
    kept: VecDeque<LastDrop>,
    /// Of those, counted from the last one, the message isn't over yet.
    open: usize,
}

impl Recent {
    /// A message, or a tick, begins.
    pub(super) fn begin(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.last = None;
        if core::mem::take(&mut self.any_open) {
            self.reasons.iter_mut().for_each(|of_reason| of_reason.open = 0);
        }
    }

    /// The same at the same time.
    pub(super) fn begin_another(&mut self) {
        self.begin(self.now_ms);
    }

    /// The message that was begun last had this topic.
    pub(super) fn end(&mut self, topic: &str) {
        if !core::mem::take(&mut self.any_open) {
            return;
        }
        for of_reason in &mut self.reasons {
            let open = core::mem::take(&mut of_reason.open);
            let kept = of_reason.kept.iter_mut().rev().take(open);
            kept.for_each(|drop| drop.topic = shown(topic));
        }
    }

    /// `rule`: the name of the rule that ordered it.
    pub(super) fn note(&mut self, dropped: &Dropped<'_>, rule: Option<&str>) {
        self.last = None;
        let place = dropped.reason as usize;
        if self.reasons.len() <= place {
            self.reasons.resize_with(place.saturating_add(1), OfReason::default);
        }
        let now_ms = self.now_ms;
        let Some(of_reason) = self.reasons.get_mut(place) else { return };
        // A clock that was set back begins another window.
        if now_ms.wrapping_sub(of_reason.since_ms) >= WINDOW_MS {
            (of_reason.since_ms, of_reason.taken) = (now_ms, 0);
        }
        if of_reason.taken >= EACH_WINDOW {
            return;
        }
        of_reason.taken = of_reason.taken.saturating_add(1);
        let metric = match dropped.what {
            What::Metric(name) => Some(shown(name)),
            What::Message | What::Metrics(_) => None,
        };
        let entity = dropped.origin.entity.map(|entity| shown(&entity.to_string()));
        if of_reason.kept.len() >= KEPT {
            of_reason.kept.pop_front();
        }
        of_reason.kept.push_back(LastDrop {
            at_ms: now_ms,
            topic: entity.unwrap_or_default(),
            metric,
            rule: rule.map(shown),
            fault: None,
        });
        of_reason.open = of_reason.open.saturating_add(1).min(KEPT);
        self.any_open = true;
        self.last = Some(dropped.reason);
    }

    /// Whether the last drop was taken note of, and so may be explained.
    pub(super) fn wants_fault(&self) -> bool {
        self.last.is_some()
    }

    /// What came, and what was wanted, of what was dropped last.
    pub(super) fn explain(&mut self, got: &str, wanted: &str) {
        let last = self.last.take().and_then(|reason| self.reasons.get_mut(reason as usize));
        if let Some(drop) = last.and_then(|of_reason| of_reason.kept.back_mut()) {
            drop.fault = Some((shown(got), shown(wanted)));
        }
    }

    /// All of them, the last one first.
    pub(super) fn all(&self) -> Vec<(Reason, &LastDrop)> {
        let mut all: Vec<(Reason, &LastDrop)> = Vec::new();
        for (reason, of_reason) in Reason::ALL.iter().zip(&self.reasons) {
            all.extend(of_reason.kept.iter().rev().map(|drop| (*reason, drop)));
        }
        // A stable sort: of the same time the reasons stay in their order.
        all.sort_by_key(|(_, drop)| core::cmp::Reverse(drop.at_ms));
        all
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        None => text.to_owned(),
        Some((at, _)) => {
            let mut cut = text.get(..at).unwrap_or_default().to_owned();
            cut.push('…');
            cut
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use sparkplug::Entity;

    use super::*;
    use crate::dropped::Origin;

    fn dropped<'a>(metric: &'a str, reason: Reason) -> Dropped<'a> {
        let entity = Some(Entity::node("G", "E"));
        let origin = Origin { entity, node: None };
        Dropped { origin, what: What::Metric(metric), reason, rule: None }
    }

    #[test]
    fn the_last_ones_of_each_reason_are_kept_and_a_flood_hides_nothing() {
        let mut recent = Recent::default();
        recent.begin(5_000);
        recent.note(&dropped("rare", Reason::TypeMismatch), None);
        assert!(recent.wants_fault());
        recent.explain("string_value", "Int32");
        recent.end("spBv1.0/G/NDATA/E");
        for second in 6..100_u64 {
            recent.begin(second * 1_000);
            for at in 0..1_000 {
                recent.note(&dropped(&format!("m{at}"), Reason::NoRule), Some("rule"));
            }
            recent.end("spBv1.0/G/NDATA/F");
        }
        let all = recent.all();
        assert_eq!(all.len(), KEPT + 1);
        assert_eq!(all[0].0, Reason::NoRule);
        assert_eq!(all[0].1.metric.as_deref(), Some("m3"));
        assert_eq!(all[0].1.at_ms, 99_000);
        assert_eq!(all[0].1.rule.as_deref(), Some("rule"));
        let (reason, rare) = all[KEPT];
        assert_eq!((reason, rare.at_ms), (Reason::TypeMismatch, 5_000));
        assert_eq!(rare.topic, "spBv1.0/G/NDATA/E");
        assert_eq!(rare.fault, Some(("string_value".into(), "Int32".into())));
    }

    #[test]
    fn what_is_dropped_behind_its_message_has_the_entity() {
        let mut recent = Recent::default();
        recent.begin(1_000);
        recent.note(&dropped("held", Reason::Conflated), None);
        recent.begin(2_000);
        let all = recent.all();
        assert_eq!(all[0].1.topic, "G/E");
    }

    #[test]
    fn long_names_are_cut_and_what_is_not_noted_is_not_explained() {
        let mut recent = Recent::default();
        recent.begin(1_000);
        for _ in 0..EACH_WINDOW {
            recent.note(&dropped(&"ü".repeat(1_000), Reason::OverCap), None);
        }
        recent.note(&dropped("more", Reason::OverCap), None);
        assert!(!recent.wants_fault());
        recent.explain("got", "wanted");
        let all = recent.all();
        assert_eq!(all.len(), 4);
        assert!(all.iter().all(|(_, drop)| drop.fault.is_none()));
        let name = all[0].1.metric.as_deref().unwrap();
        assert_eq!(name.chars().count(), SHOWN_CHARS + 1);
    }
}

//! What limits have to do with a metric: whether they are about it, and what it shows while its value
//! has to wait.

use std::time::Duration;

use sparkplug::Metric;

use super::{Shaper, Slot};

impl Slot {
    /// The value that was seen last: the one that waits, if there is one.
    pub(crate) fn newest(&self) -> Metric {
        match &self.held {
            None => self.current.clone(),
            Some(held) => {
                let mut newest = Slot { held: None, ..self.clone() };
                let _ = newest.update(&held.metric);
                newest.current
            }
        }
    }

    /// Whether its data is subject to limits: of its rule, of its node or of the link (`shared`), or by
    /// interval and deadband.
    pub(crate) fn obeys_limits(&self, shared: bool) -> bool {
        let spaces = |shaper: &Shaper| shaper.shape.spaces(self.datatype);
        self.is_forwarded()
            && (shared || self.is_limited || self.shaper.as_deref().is_some_and(spaces))
    }

    /// What readers have isn't repeated, since it may be out of date: they are told null with Quality 0.
    pub(crate) fn take_back(&mut self) {
        let Metric { name, datatype, .. } = std::mem::take(&mut self.current);
        self.current = Metric { name, datatype, is_null: Some(true), ..Metric::default() };
        self.places = None;
        self.mark_nulled();
    }

    /// Goes on with what readers have, and what is known of it; without a value where nothing is. What
    /// it had instead, but for its name. An interval begins at `now` where it isn't known when one did.
    pub(crate) fn repeat(&mut self, known: Option<&Slot>, now: Duration) -> Metric {
        let mut newest = std::mem::take(&mut self.current);
        let (name, datatype) = (newest.name.take(), newest.datatype.take());
        self.current = match known {
            Some(known) => Metric { name, datatype, ..known.current.clone() },
            None => Metric { name, datatype, is_null: Some(true), ..Metric::default() },
        };
        self.places = None;
        self.is_nulled = known.is_some_and(|known| known.is_nulled);
        if let Some(own) = self.shaper.as_deref_mut() {
            if let Some(known) = known.and_then(|known| known.shaper.as_deref()) {
                own.state = known.state;
            }
            own.state.forwarded.get_or_insert(now);
        }
        self.refresh();
        newest
    }
}

//! Who gives way when there are as many edge nodes as may be, and another one is born: whoever
//! invents nodes must not keep out those that there are, nor take their place.
//!
//! | edge node | gives way |
//! |---|---|
//! | dead, or nothing that readers may know | at once, the dead first |
//! | new, and sent no data since | once it is silent for [`AT_FIRST`], the oldest first |
//! | new, heard for less than [`HEARD_FOR`] | once it is silent for [`SILENT`], the oldest first |
//! | known by what the broker stored, not seen yet | at once |
//! | any other | once it is silent for [`LONG_SILENT`], the youngest first |
//!
//! One is new for [`NEW`]. What a rule spells out never gives way, and has the place of whatever is
//! hardly heard or [`SILENT`].

use std::cmp::Reverse;
use std::time::Duration;

use super::{Life, Node, Plant};

/// Ten minutes: from then on an edge node isn't new any more, whatever it sends.
pub(crate) const NEW: Duration = Duration::from_secs(600);
/// A tenth of a second: its first data may be on the way.
pub(crate) const AT_FIRST: Duration = Duration::from_millis(100);
/// A minute of data: whoever sends that long isn't invented for a moment.
pub(crate) const HEARD_FOR: Duration = Duration::from_secs(60);
/// A minute.
pub(crate) const SILENT: Duration = Duration::from_secs(60);
/// An hour: gateways that report by exception say something within it, if nothing else an alarm or
/// a value that wanders.
pub(crate) const LONG_SILENT: Duration = Duration::from_secs(3_600);

/// What comes first gives way first.
type Order = (u8, Duration, Reverse<Duration>);

impl Node {
    /// It is of no use to readers, and has nothing that is.
    fn is_spare(&self) -> bool {
        let is_known = self.own.life.is_announced() || self.own.life == Life::Known;
        !is_known && self.early.is_empty()
    }

    /// Whether, and in which order, it gives way to an edge node that is born, and `is_named` if a
    /// rule spells that out.
    fn gives_way(&self, now: Duration, is_named: bool) -> Option<Order> {
        if self.is_spare() || !self.early.is_empty() || self.is_named {
            return None;
        }
        if self.own.life == Life::Known {
            return Some((2, self.last_seen, Reverse(Duration::ZERO)));
        }
        let silent = now.saturating_sub(self.last_seen);
        let since = self.heard.map(|heard| heard.since);
        let is_new = since.is_some_and(|since| now.saturating_sub(since) < NEW);
        let heard_for = self.heard.map(|heard| {
            heard.last_data.map_or(Duration::ZERO, |last| last.saturating_sub(heard.since))
        });
        let was_heard = self.heard.is_none_or(|heard| heard.last_data.is_some());
        let since = since.unwrap_or_default();
        if is_new && !was_heard && (silent >= AT_FIRST || is_named) {
            return Some((0, since, Reverse(Duration::ZERO)));
        }
        let is_hardly_heard = is_new && heard_for.is_some_and(|heard_for| heard_for < HEARD_FOR);
        if is_hardly_heard && (silent >= SILENT || is_named) {
            return Some((1, since, Reverse(Duration::ZERO)));
        }
        let long = if is_named { SILENT } else { LONG_SILENT };
        (silent >= long).then_some((3, Duration::ZERO, Reverse(since)))
    }
}

impl Plant {
    /// There is room for another edge node, without that one that readers know gives way.
    pub(crate) fn has_place(&self) -> bool {
        self.nodes.len() < self.max_nodes || self.nodes.iter().any(Node::is_spare)
    }

    /// The edge node of use to readers that gives way to one that is born.
    pub(crate) fn gives_way(&self, now: Duration, is_named: bool) -> Option<usize> {
        let order = |(index, node): (usize, &Node)| Some((node.gives_way(now, is_named)?, index));
        self.nodes.iter().enumerate().filter_map(order).min().map(|(_, index)| index)
    }
}

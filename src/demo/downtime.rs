//! One death of the mortal edge node, and how long IT took to show it.

use std::time::Duration;

use super::host::NodeView;
use super::plant::NodeReport;

/// From the plant's death to its new birth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Downtime {
    pub(super) died_at: Option<Duration>,
    pub(super) death_seen_after: Option<Duration>,
    /// The plant's new births.
    born_at: Option<Duration>,
    pub(super) birth_seen_after: Option<Duration>,
    /// The cable between two boxes was cut before IT had seen all of it.
    pub(super) is_disturbed: bool,
}

impl Downtime {
    /// From now on IT sees nothing: if it hasn't seen all of this, no time counts.
    pub(super) fn cable_was_cut(&mut self) {
        self.is_disturbed |= self.birth_seen_after.is_none();
    }

    /// Takes what the plant reports of the node now, and what the host sees of it.
    pub(super) fn follow(&mut self, report: &NodeReport, seen: &NodeView) {
        if self.died_at.is_none() && !report.alive {
            self.died_at = report.died_at;
        }
        let Some(died_at) = self.died_at else { return };
        if self.death_seen_after.is_none() && !seen.alive {
            self.death_seen_after = seen.died_at.map(|at| at.saturating_sub(died_at));
        }
        if self.born_at.is_none() && report.alive {
            self.born_at = report.born_at;
        }
        if let Some(born_at) = self.born_at
            && self.birth_seen_after.is_none()
            && seen.alive
        {
            self.birth_seen_after =
                seen.born_at.filter(|at| *at >= died_at).map(|at| at.saturating_sub(born_at));
        }
    }
}

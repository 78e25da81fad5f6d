//! What was lost: frames on the way from the OT half, which leave every node in doubt, and
//! messages on the OT side, which leave values that may be out of date.

use std::sync::Arc;
use std::time::Duration;

use journal_read::Lost;
use telemetry::status::LossStatus;

use super::node::{Announced, Life, Node, Trust};
use super::notice::{Notice, count};
use super::settings::OnGap;
use super::step::StepContext;
use super::timers::Timer;
use super::{Mirror, Now};

/// A node is doubted for this many keyframe intervals after frames were lost.
const DOUBT_INTERVALS: u32 = 2;

impl Mirror {
    /// After a loss every node is in doubt until its next keyframe.
    pub(super) fn frames_lost(&mut self, now: Now, lost: Lost) {
        let Lost { first, last, cause } = lost;
        let lost_frames = last.saturating_sub(first).saturating_add(1);
        self.tally.frames_lost = self.tally.frames_lost.saturating_add(lost_frames);
        self.position = last.saturating_add(1);
        // A head that was torn doesn't show which nodes live.
        self.head = None;
        let by = self.doubt_ends(now);
        self.nodes.for_each(|node| {
            if node.is_alive() && !node.is_relay() {
                node.change().set_doubted(Some(by));
            }
        });
        let at_ms = now.wall_ms;
        self.last_loss = Some(LossStatus { first, last, cause: cause.name().to_owned(), at_ms });
        self.notices.push(Notice::FramesLost { first, last, cause });
    }

    /// Gives doubts that a restart left without a date the full time to be resolved.
    pub(super) fn date_doubts(&mut self, now: Now) {
        if !std::mem::take(&mut self.undated_doubts) {
            return;
        }
        let by = self.doubt_ends(now);
        self.nodes.for_each(|node| {
            if node.life() == Life::Doubted && !node.timers.is_set(Timer::ConfirmBy) {
                node.change().set_doubted(Some(by));
            }
        });
    }

    pub(super) fn doubt_ends(&self, now: Now) -> Duration {
        now.mono.saturating_add(self.keyframe_every.saturating_mul(DOUBT_INTERVALS))
    }
}

impl StepContext<'_> {
    /// Messages of this node were lost on the OT side.
    pub(super) fn gap(&mut self, node: &mut Node) {
        count(&mut self.tally.gaps);
        self.doubt_values(node, "messages were lost on OT");
    }

    /// Every value of this node may be out of date; what that means is for `on-gap` to say.
    pub(super) fn doubt_values(&mut self, node: &mut Node, why: &'static str) {
        // The keyframes that follow say the same until a birth: once is enough.
        node.trust = node.trust.max(Trust::Uncertain);
        match self.settings.on_gap {
            OnGap::Ignore => {}
            OnGap::Mark => {
                let devices = node.devices.values_mut().map(|device| &mut device.layout);
                for layout in std::iter::once(&mut node.layout).chain(devices) {
                    Arc::make_mut(layout).mark_stale();
                }
                if node.publishes() {
                    self.publish_births_anew(node, false);
                }
            }
            OnGap::Death => {
                node.trust = Trust::Suspended;
                self.reconcile(node, why);
            }
        }
        self.notify(Notice::ValuesDoubted { node: node.key() });
    }

    /// A birth that shows doubted values is of a session that isn't known: all of its values are. Nothing
    /// of it was published that would have to be taken back.
    pub(super) fn doubt_unknown(&self, node: &mut Node, bd_seq: Option<u8>, losses: u64) {
        if node.is_alive() && node.ot_bd_seq == bd_seq {
            return;
        }
        node.losses = losses;
        node.trust = match self.settings.on_gap {
            OnGap::Ignore | OnGap::Mark => Trust::Uncertain,
            OnGap::Death => Trust::Suspended,
        };
    }

    /// The OT half's word on how often the values of a device had to be doubted for themselves.
    pub(super) fn compare_doubts(&mut self, node: &mut Node, name: &str, seq: u64, doubts: u64) {
        let is_certain = node.trust == Trust::Certain;
        let Some(layout) = node.layout_of_mut(Some(name)) else { return };
        if layout.doubts == doubts {
            return;
        }
        let layout = Arc::make_mut(layout);
        layout.doubts = doubts;
        let marks = match (self.settings.on_gap, doubts > 0) {
            (OnGap::Ignore, _) => Vec::new(),
            (OnGap::Mark, true) => layout.doubt(),
            (OnGap::Mark, false) if is_certain => layout.refresh(),
            (OnGap::Mark, false) => Vec::new(),
            (OnGap::Death, true) => {
                self.suspend_device(node, name, seq);
                Vec::new()
            }
            (OnGap::Death, false) => {
                self.release_devices(node, seq);
                Vec::new()
            }
        };
        if doubts > 0 {
            self.notify(Notice::ValuesDoubted { node: node.key() });
        }
        if !marks.is_empty() && node.publishes() {
            self.published(node, seq, seq);
            self.publish_data(node, Some(name), marks);
        }
    }

    /// The device is dead on IT until its next birth; what is known of it stays.
    fn suspend_device(&mut self, node: &mut Node, name: &str, seq: u64) {
        let Some(device) = node.devices.get_mut(name) else { return };
        let topic = Arc::clone(&device.topics.death);
        let was_born = device.is_born();
        device.announced = Announced::Unborn;
        if was_born && node.is_born() {
            self.published(node, seq, seq);
            self.publish_device_death(node, topic);
        }
    }

    /// Nothing was lost after all: what was marked stale is good, and said to be.
    pub(super) fn verified(&mut self, node: &mut Node, seq: u64) {
        node.trust = Trust::Certain;
        let mut refreshed = vec![(None, Arc::make_mut(&mut node.layout).refresh())];
        // A device that is doubted for itself stays so.
        let devices = node.devices.iter_mut().filter(|(_, device)| device.layout.doubts == 0);
        for (name, device) in devices {
            let metrics = Arc::make_mut(&mut device.layout).refresh();
            // The births to come say it of the others.
            if device.is_born() {
                refreshed.push((Some(name.clone()), metrics));
            }
        }
        refreshed.retain(|(_, metrics)| !metrics.is_empty());
        if !node.publishes() {
            // The births to come say it.
            return;
        }
        if !refreshed.is_empty() {
            self.published(node, seq, seq);
        }
        for (device, metrics) in refreshed {
            self.publish_data(node, device.as_deref(), metrics);
        }
    }
}

//! What of the journal the broker isn't known to hold: publications that wait for a confirmation,
//! and stretches of frames that a node missed and that are read again.

use std::time::Duration;

use super::confirm::{Confirm, MissedRange};
use super::node::{Device, Node};
use super::timers::Timer;

/// Ranges of missed frames kept per node; more are merged into their hull, which repeats some
/// frames but loses none.
const MAX_RANGES: usize = 8;

impl Node {
    /// Missed frames could be read again now.
    pub(super) fn is_behind(&self) -> bool {
        self.is_born() && self.ranges.iter().any(|range| range.sent_to < range.to)
    }

    /// Sets the timers that follow from the ranges and the session; to be called where either
    /// changed.
    pub(super) fn set_range_timers(&mut self) {
        let sent = self.is_born() && self.ranges.iter().any(|range| range.sent_to > range.from);
        let behind = self.is_behind();
        self.timers.set_now_if(Timer::ConfirmHistory, sent);
        self.timers.set_now_if(Timer::Backfill, behind);
    }

    /// Stops what only a session with births waits for.
    pub(super) fn stop_session_timers(&mut self) {
        self.timers.stop(Timer::RebirthDue);
        self.timers.stop(Timer::MarksDue);
        self.timers.stop(Timer::ConfirmLive);
        self.set_range_timers();
    }

    /// Notes that birth frame `seq` of the node or of `device` is held and not published. It
    /// replaces what was held of that entity, which then is part of what was missed.
    pub(super) fn miss_birth(&mut self, device: Option<&str>, seq: u64) {
        if let Some(held) = self.held_birth(device).and_then(|held| held.replace(seq)) {
            self.miss_frame(held);
        }
    }

    /// Notes that data frame `seq` was folded in and not published. The birth that it changed
    /// is missed too, if that one was never published as it came.
    pub(super) fn miss_data(&mut self, device: Option<&str>, seq: u64) {
        let held = self.held_birth(device).and_then(Option::take);
        self.miss_frame(held.unwrap_or(seq).min(seq));
    }

    /// Notes that frame `seq` wasn't published.
    pub(super) fn miss_frame(&mut self, seq: u64) {
        self.missed_from = Some(self.missed_from.map_or(seq, |from| from.min(seq)));
    }

    fn held_birth(&mut self, device: Option<&str>) -> Option<&mut Option<u64>> {
        match device {
            None => Some(&mut self.unpublished_birth),
            Some(name) => self.devices.get_mut(name).map(|device| &mut device.unpublished_birth),
        }
    }

    /// Takes the lowest birth frame that is held and not published, of the node and all its
    /// devices: they are published now.
    pub(super) fn take_held_births(&mut self) -> Option<u64> {
        let devices =
            self.devices.values_mut().filter_map(|device| device.unpublished_birth.take());
        self.unpublished_birth.take().into_iter().chain(devices).min()
    }

    /// Removes a device; a birth of it that was never published is missed.
    pub(super) fn forget_device(&mut self, name: &str) -> Option<Device> {
        let device = self.devices.remove(name)?;
        self.memory.forget(device.counted);
        if let Some(held) = device.unpublished_birth {
            self.miss_frame(held);
        }
        Some(device)
    }

    /// Removes all devices.
    pub(super) fn forget_devices(&mut self) {
        for (_, device) in std::mem::take(&mut self.devices) {
            self.memory.forget(device.counted);
            if let Some(held) = device.unpublished_birth {
                self.miss_frame(held);
            }
        }
    }

    /// Notes that this node's frames `oldest..=newest` were published live; the broker is to
    /// confirm them by `confirm_by`, if nothing older waits for that.
    pub(super) fn published(&mut self, confirm_by: Duration, oldest: u64, newest: u64) {
        self.confirm.published = self.confirm.published.max(newest);
        if self.confirm.pending.is_none() {
            self.confirm.pending = Some(oldest);
            self.timers.set(Timer::ConfirmLive, confirm_by);
        }
    }

    /// What was published last has the number of a frame that an unanswered barrier may cover, and
    /// isn't covered by it.
    pub(super) fn confirm_again(&mut self, seq: u64) {
        if self.confirm.barrier.is_some() {
            self.confirm.again.get_or_insert(seq);
        }
    }

    /// The births of a session that has just begun are to be confirmed by `confirm_by`: what follows them
    /// waits for that on a link that is full.
    pub(super) fn hasten_confirmation(&mut self, confirm_by: Duration) {
        if self.confirm.barrier.is_none() {
            self.timers.set(Timer::ConfirmLive, confirm_by);
        }
    }

    /// Everything published so far is behind the barrier that is sent now.
    pub(super) fn begin_barrier(&mut self) {
        self.confirm.barrier = Some(self.confirm.published);
        self.line.cover_births();
        for range in &mut self.ranges {
            range.barrier_to = range.sent_to;
        }
    }

    /// The broker holds everything before the barrier; what came behind it is to be confirmed by
    /// `confirm_by`. False: no barrier was unanswered.
    pub(super) fn end_barrier(&mut self, confirm_by: Duration) -> bool {
        let Some(upto) = self.confirm.barrier.take() else { return false };
        if self.line.confirm_births() {
            self.birth_ends = 0;
        }
        let after = (self.confirm.published > upto).then(|| upto.saturating_add(1));
        let unconfirmed = after.into_iter().chain(self.confirm.again.take()).min();
        self.confirm.pending = unconfirmed;
        // Of a session that closes already nothing more is asked.
        if unconfirmed.is_some() && self.is_born() {
            self.timers.set(Timer::ConfirmLive, confirm_by);
        } else {
            self.timers.stop(Timer::ConfirmLive);
        }
        for range in &mut self.ranges {
            range.from = range.from.max(range.barrier_to);
        }
        self.ranges.retain(|range| range.from < range.to);
        self.set_range_timers();
        true
    }

    /// The session ended without a confirmation: what it may not have delivered is missed.
    pub(super) fn lose_unconfirmed(&mut self) {
        if let Some(seq) = self.confirm.pending.take() {
            self.miss_frame(seq);
        }
        self.confirm = Confirm::default();
        for range in &mut self.ranges {
            range.start_over();
            range.barrier_to = range.from;
        }
    }

    /// The broker holds everything published on this session.
    pub(super) fn confirm_all(&mut self) {
        self.confirm = Confirm::default();
        for range in &mut self.ranges {
            range.from = range.sent_to.max(range.from);
            range.in_pass = false;
        }
        self.ranges.retain(|range| range.from < range.to);
    }

    /// Closes the stretch of missed frames at `position` (the next frame): the births now carry
    /// the current values, and what came before them is read again.
    pub(super) fn close_missed(&mut self, position: u64) {
        if let Some(from) = self.missed_from.take() {
            self.add_range(from, position);
        }
    }

    pub(super) fn add_range(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let (mut from, mut to) = (from, to);
        // Overlapping ranges are one, or the pass would publish the overlap twice.
        self.ranges.retain(|range| {
            let apart = range.to < from || to < range.from || range.in_pass;
            if !apart {
                from = from.min(range.from);
                to = to.max(range.to);
            }
            apart
        });
        if self.ranges.len() >= MAX_RANGES {
            for range in self.ranges.drain(..) {
                from = from.min(range.from);
                to = to.max(range.to);
            }
        }
        let range = MissedRange { from, to, sent_to: from, barrier_to: from, in_pass: false };
        self.ranges.push(range);
        self.set_range_timers();
    }

    /// The lowest frame that the broker isn't known to hold, if any.
    pub(super) fn oldest_open(&self) -> Option<u64> {
        self.ranges.iter().map(|range| range.from).chain(self.unconfirmed_from()).min()
    }

    /// The same without those that are read again.
    pub(super) fn unconfirmed_from(&self) -> Option<u64> {
        [self.confirm.pending, self.missed_from].into_iter().flatten().min()
    }

    /// Frames that the broker isn't known to hold, where the next one is `position`.
    pub(super) fn open_ranges(&self, position: u64) -> Vec<(u64, u64)> {
        let open = self.unconfirmed_from().map(|from| (from, position));
        self.ranges.iter().map(|range| (range.from, range.to)).chain(open).collect()
    }
}

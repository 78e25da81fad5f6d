//! One turn of the worker: what came is handled, as far as a turn goes, and what is due is done.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use signature::SignedPolicy;
use telemetry::policy_loaded;

use super::{TICK_EVERY, Work, Worker};
use crate::entry::Entry;
use crate::{Now, tell_shadow};

/// What a turn does with messages, in bytes that are read or written: few bytes of aliases make many
/// bytes of names, and a small message may bring all births of its node.
const TURN_WORK: u64 = 512 * 1024;
impl Worker {
    /// Handles what came, as far as a turn goes, and what is due. Everything of it waits to be
    /// committed. False: there is no more time.
    pub(super) fn work_off(
        &mut self,
        now: Now,
        batch: &mut VecDeque<Work>,
        stop: bool,
        out: &mut Vec<Entry>,
    ) -> bool {
        let end = self.pipeline.work().saturating_add(TURN_WORK);
        while self.pipeline.work() < end
            && let Some(work) = batch.pop_front()
        {
            let Work::Messages { arrived, messages } = work else {
                if !batch.iter().any(|work| matches!(work, Work::Messages { .. })) {
                    self.turn_windows(now);
                }
                self.handle(now, work, out);
                if !self.push(now, out) {
                    return false;
                }
                continue;
            };
            self.judge_as_of(arrived);
            let names = self.names(&messages);
            let mut messages = messages.into_iter();
            let mut place = 0_usize;
            while self.pipeline.work() < end
                && let Some(delivered) = messages.next()
            {
                if self.begin(names.get(place..).unwrap_or_default(), &delivered) {
                    self.handle_message(now, delivered, out);
                } else {
                    self.set_aside(now, delivered);
                }
                place = place.saturating_add(1);
                if !self.push(now, out) {
                    return false;
                }
            }
            if messages.len() > 0 {
                let messages = messages.collect();
                batch.push_front(Work::Messages { arrived, messages });
            }
        }
        self.work_done();
        if stop && batch.is_empty() {
            // What was refused unread is counted, and doubted by the last tick.
            self.count_shed();
            self.next_tick = now.mono;
            self.pipeline.finish_waiting(now, out);
            self.pipeline.finish_news(now, out);
        }
        self.take_policy(now, out);
        self.hurry(now, out);
        if self.next_tick <= now.mono || self.pipeline.is_behind() {
            if batch.is_empty() {
                self.turn_windows(now);
            }
            self.pipeline.tick(now, out);
            self.count_shed();
            if std::mem::take(&mut self.births_changed) {
                self.shared.set_born(self.pipeline.born());
            }
            self.next_tick = now.mono.saturating_add(TICK_EVERY);
            self.work_done();
        }
        self.push(now, out)
    }

    /// The windows of rules are those of now, unless messages that came earlier are yet to be judged.
    pub(super) fn turn_windows(&mut self, now: Now) {
        if !self.shared.arriving.load(Ordering::SeqCst) && self.work.is_empty() {
            self.judge_as_of(now);
        }
    }

    /// The windows of rules are those of this time.
    fn judge_as_of(&mut self, at: Now) {
        // The wall clock may be set back, and then is believed.
        if at.mono >= self.windows_at.mono {
            self.windows_at = at;
        }
        self.pipeline.judge_as_of(self.windows_at.wall_ms);
    }

    /// Takes over the policy that waits, if all nodes have heard earlier news.
    pub(super) fn take_policy(&mut self, now: Now, out: &mut Vec<Entry>) {
        if self.pipeline.has_news() {
            return;
        }
        let Some(loaded) = self.next_policy.take() else { return };
        let (SignedPolicy { policy, signed }, shadow, shadow_refused) = loaded.apart();
        policy_loaded(
            policy.digest(),
            policy.rules().len(),
            signed.as_ref().map(|signed| (signed.version, signed.names())),
        );
        tell_shadow(shadow.as_ref(), shadow_refused.as_ref());
        self.settings.signed = signed;
        let before = out.len();
        if !policy.keeps_all_of(self.pipeline.policy()) {
            // The next frame behind what waits to be written is the mark.
            let waiting = u64::try_from(before).unwrap_or(u64::MAX);
            self.tightened_seq = self.writer.next_seq().saturating_add(waiting);
        }
        self.pipeline.reload_beside(now, policy, shadow, out);
        out.insert(before, Entry::Start(self.start()));
        if let Some(status_reporter) = &mut self.status_reporter {
            status_reporter.reloaded(shadow_refused);
        }
    }
}

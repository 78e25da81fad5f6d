//! What is to be done for a folded edge node after an input: its session is brought where its members
//! want it, and asks the broker for confirmations.

use super::Asked;
use crate::mirror::membership::FoldId;
use crate::mirror::node::{Node, Session};
use crate::mirror::nodes::Nodes;
use crate::mirror::outgoing::{Outgoing, SessionEvent};
use crate::mirror::step::StepContext;
use crate::mirror::timers::Timer;
use crate::mirror::{Mirror, Now};

impl Mirror {
    /// Does what an input left to do for folded edge nodes.
    pub(in crate::mirror) fn settle(&mut self, now: Now) {
        // Each turn moves a session on, and none goes round without an answer of the broker.
        while !self.folds.is_settled() {
            let dirty = self.folds.take_dirty();
            let (mut step, nodes) = self.step(now);
            for fold in dirty {
                step.settle_fold(nodes, fold);
            }
        }
    }

    /// Takes what happened on the session of a folded edge node.
    pub(in crate::mirror) fn folded_session(
        &mut self,
        now: Now,
        fold: FoldId,
        event: SessionEvent,
    ) {
        let (mut step, nodes) = self.step(now);
        let Some(mut folded) = step.folds.take_folded(fold) else {
            return mistake::mistake!("an event of a fold that a step works on");
        };
        let host_topic = step.settings.host_topic();
        let is_state = |topic: &str| host_topic.as_deref() == Some(topic);
        let mut host_changed = false;
        match event {
            SessionEvent::Received { topic, payload, .. } if is_state(&topic) => {
                if let Some(online) = step.accept_state(&payload) {
                    host_changed = step.host_said(&mut folded, online);
                }
            }
            // What an earlier STATE said stays so.
            SessionEvent::TooLarge { topic } | SessionEvent::Impossible { topic }
                if is_state(&topic) => {}
            SessionEvent::Received { topic, payload, retain } => {
                let said = step.read_command(&folded, topic, &payload, retain);
                if said.asks_rebirth
                    && let Some(due) = step.rebirth_due(&folded)
                {
                    step.answer_rebirth(&mut folded, due);
                }
                step.refuse_command(said);
            }
            SessionEvent::TooLarge { topic } => {
                step.command_unread(topic, "larger than any command");
            }
            SessionEvent::Impossible { topic } => {
                step.command_unread(topic, "not a message that MQTT allows");
            }
            SessionEvent::Ready => step.session_ready(&mut folded),
            SessionEvent::Confirmed => step.fold_confirmed(nodes, fold, &mut folded),
            SessionEvent::Lost { connect_sent } => {
                let births = step.folds.births_out(fold, &folded);
                step.session_lost(&mut folded, connect_sent);
                if let Some(births) = births {
                    step.hold(nodes, fold, &folded, births);
                }
                step.fold_ended(nodes, fold, false);
            }
            SessionEvent::Closed => {
                step.fold_ended(nodes, fold, true);
                step.expect_births(nodes, fold);
                step.session_closed(&mut folded);
            }
        }
        step.folds.put_folded(fold, folded);
        if host_changed {
            self.host_changed(now);
        }
    }
}

impl StepContext<'_> {
    fn settle_fold(&mut self, nodes: &mut Nodes, fold: FoldId) {
        let Some(mut folded) = self.folds.take_folded(fold) else { return };
        self.folds.set_clean(fold);
        self.settle_session(nodes, fold, &mut folded);
        let may = self.settings.primary_host.is_none() || self.host.online;
        if may && self.births_are_due(fold, &mut folded) {
            self.bear_fold(nodes, fold, &mut folded);
        }
        let is_born = folded.is_born();
        self.folds.put_folded(fold, folded);
        if is_born {
            self.bear_joined(nodes, fold);
            self.send_barrier(fold);
        }
    }

    fn settle_session(&mut self, nodes: &mut Nodes, fold: FoldId, folded: &mut Node) {
        let at = self.now.mono;
        if folded.is_born()
            && (folded.timers.is_due(Timer::RebirthDue, at)
                || folded.timers.is_due(Timer::MarksDue, at))
        {
            self.folds.want_births(fold);
        }
        if folded.timers.is_due(Timer::Connect, at) {
            folded.timers.stop(Timer::Connect);
        }
        let host_is_gone = self.settings.primary_host.is_some() && !self.host.online;
        let why = match (host_is_gone, self.stopping, self.folds.is_wanted(folded)) {
            (true, _, _) => "the primary host went offline",
            (false, true, _) => "the relay stops",
            (false, false, false) => "no node of its group is alive",
            (false, false, true) => "",
        };
        // A relay that stops has every member leave first.
        if folded.is_born() && (host_is_gone || !self.folds.is_wanted(folded)) {
            return self.kill_fold(nodes, fold, folded, why);
        }
        if folded.session == Session::Closed {
            self.expect_births(nodes, fold);
        }
        self.reconcile(folded, why);
    }

    /// Counts what the births of all members take: the session has to take them at once.
    fn expect_births(&mut self, nodes: &mut Nodes, fold: FoldId) {
        let members = self.folds.members(fold);
        let births = members.into_iter().filter_map(|id| {
            let node = nodes.get(id)?;
            node.is_alive().then(|| node.birth_bytes())
        });
        let bytes = births.fold(0, usize::saturating_add);
        self.folds.expect(fold, bytes);
    }

    /// NDEATH of a folded edge node, with which its members are dead.
    fn kill_fold(&mut self, nodes: &mut Nodes, fold: FoldId, folded: &mut Node, why: &'static str) {
        self.kill(folded, why);
        for id in self.folds.members(fold) {
            if let Some(node) = nodes.get(id).filter(|node| node.is_born()) {
                let node = node.change();
                // Nothing more may be said of it.
                node.hide_all();
                self.leave(node, fold, why);
            }
        }
    }

    /// The session of a folded edge node is over: that of its members is. `is_whole`: the broker holds
    /// all that was published.
    fn fold_ended(&mut self, nodes: &mut Nodes, fold: FoldId, is_whole: bool) {
        self.folds.forget_barriers(fold);
        for id in self.folds.members(fold) {
            let Some(node) = nodes.get(id) else { continue };
            if !matches!(node.session, Session::Born { .. } | Session::Closing) {
                continue;
            }
            let node = node.change();
            node.hide_all();
            self.folds.part(fold, id);
            if is_whole {
                self.session_closed(node);
            } else {
                node.session = Session::Closed;
                node.lose_unconfirmed();
                node.stop_session_timers();
                node.unannounce_devices();
                self.reconcile(node, "");
            }
        }
    }

    fn fold_confirmed(&mut self, nodes: &mut Nodes, fold: FoldId, folded: &mut Node) {
        let (asked, has_births) = self.folds.barrier_answered(fold);
        if has_births {
            folded.birth_ends = 0;
            self.release(nodes, fold);
        }
        for (id, asked) in asked {
            let Some(node) = nodes.get(id) else { continue };
            match asked {
                Asked::Confirm => self.session_confirmed(node.change()),
                Asked::Close if node.session == Session::Closing => {
                    self.session_closed(node.change());
                }
                Asked::Close => {}
            }
        }
    }

    /// One barrier for all that wait for one, behind all that was published.
    fn send_barrier(&mut self, fold: FoldId) {
        if let Some(node) = self.folds.begin_barrier(fold) {
            self.out.push_back(Outgoing::Barrier { node });
        }
    }
}

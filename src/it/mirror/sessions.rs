//! Sessions of mirrored nodes on the IT broker: when they open and close, when they are born and
//! when the broker is asked to confirm what was published.

use std::sync::Arc;
use std::time::Duration;

use super::line::BirthsOut;
use super::node::{Node, Role, Session};
use super::nodes::NodeRef;
use super::notice::{Notice, Unconfirmed, count};
use super::outgoing::{NodeId, Outgoing, SessionEvent};
use super::step::StepContext;
use super::timers::Timer;
use super::{Link, encode};

/// Wait after the first failed attempt to connect; doubled with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// Longest wait between two attempts while nobody has a session: a broker that comes back is found.
const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// The same while others have one, or where sessions end at their births: it is this node's affair,
/// and its attempts cost the broker and the link.
const BACKOFF_OWN_MAX: Duration = Duration::from_secs(120);
/// Sessions in a row that ended at their births, before they are taken for the cause.
const BIRTH_ENDS: u32 = 12;

/// A node that was born for so long has a session that lasts.
const LASTING: Duration = Duration::from_secs(10);

/// What opening a session takes, as so many bytes that are published.
const OPEN_WORK: usize = 1024;

/// What brings a session where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Open,
    Bear,
    Kill,
}

impl StepContext<'_> {
    /// Takes what happened on the session of a node.
    pub(super) fn session_event(&mut self, node: NodeRef<'_>, event: SessionEvent) {
        match event {
            SessionEvent::Ready => self.session_ready(node.change()),
            SessionEvent::Lost { connect_sent } => self.session_lost(node.change(), connect_sent),
            SessionEvent::Closed => self.session_closed(node.change()),
            SessionEvent::Confirmed => self.session_confirmed(node.change()),
            SessionEvent::Received { topic, payload, retain } => {
                self.command(node, topic, &payload, retain);
            }
            SessionEvent::TooLarge { topic } => {
                self.command_unread(topic, "larger than any command");
            }
            SessionEvent::Impossible { topic } => {
                self.command_unread(topic, "not a message that MQTT allows");
            }
        }
    }

    /// Does what is due for a node; whether missed frames of it wait to be read again.
    pub(super) fn tick(&mut self, node: NodeRef<'_>) -> bool {
        let at = self.now.mono;
        let is_due = |timer| node.timers.is_due(timer, at);
        // Only what has to change is asked for to be changed.
        if is_due(Timer::ConfirmBy) {
            let node = node.change();
            node.set_dead();
            count(&mut self.tally.healed);
            self.reconcile(node, "no keyframe confirmed it after frames were lost");
            return node.is_behind();
        }
        let rebirth_is_due = is_due(Timer::RebirthDue);
        if rebirth_is_due || (is_due(Timer::MarksDue) && node.publishes()) {
            let node = node.change();
            if rebirth_is_due {
                self.publish_births(node);
            } else {
                self.publish_births_anew(node, false);
            }
            return node.is_behind();
        }
        if node.confirm.barrier.is_none()
            && (is_due(Timer::ConfirmLive) || is_due(Timer::ConfirmHistory))
        {
            let node = node.change();
            match node.membership() {
                Some(membership) => self.ask_barrier(node, membership.fold),
                None => {
                    node.begin_barrier();
                    self.out.push_back(Outgoing::Barrier { node: node.id });
                }
            }
            return node.is_behind();
        }
        if is_due(Timer::Connect) {
            let node = node.change();
            node.timers.stop(Timer::Connect);
            self.reconcile(node, "");
            return false;
        }
        node.is_behind()
    }

    /// Brings the session of a node where it should be.
    pub(super) fn reconcile(&mut self, node: &mut Node, why: &'static str) {
        if let Some(wanted) = self.due_move(node) {
            self.make_move(node, wanted, why);
        }
    }

    /// The same; the node is changed only where its session isn't where it should be.
    pub(super) fn reconcile_found(&mut self, node: NodeRef<'_>, why: &'static str) {
        if let Some(wanted) = self.due_move(&node) {
            self.make_move(node.change(), wanted, why);
        }
    }

    fn due_move(&self, node: &Node) -> Option<Move> {
        let linked = self.link == Link::Alive;
        let wanted = match node.role {
            Role::Folded(_) => self.folds.is_wanted(node),
            Role::Relay => node.is_presentable(),
            Role::Plant | Role::Member(_) => linked && node.is_presentable(),
        } && !self.stopping;
        match node.session {
            Session::Closed => {
                let waits = node.timers.is_set(Timer::Connect)
                    && !node.timers.is_due(Timer::Connect, self.now.mono);
                (wanted && !waits).then_some(Move::Open)
            }
            Session::Opening { .. } | Session::Waiting { .. } | Session::Born { .. } if !wanted => {
                Some(Move::Kill)
            }
            // What an earlier connection heard of the host may be out of date.
            Session::Waiting { host_seen } => {
                let may = self.settings.primary_host.is_none() || (self.host.online && host_seen);
                may.then_some(Move::Bear)
            }
            Session::Opening { .. } | Session::Born { .. } | Session::Closing => None,
        }
    }

    fn make_move(&mut self, node: &mut Node, wanted: Move, why: &'static str) {
        match wanted {
            Move::Open => self.open(node),
            Move::Bear => self.publish_births(node),
            Move::Kill => self.kill(node, why),
        }
    }

    fn open(&mut self, node: &mut Node) {
        if let Some(membership) = node.membership() {
            return self.join(node, membership.fold);
        }
        node.bd_seq = node.bd_seq_next;
        node.bd_seq_next = node.bd_seq.wrapping_add(1);
        node.session = Session::Opening { host_seen: false };
        node.timers.stop(Timer::Connect);
        let mut spec = node.session_spec(self.now.wall_ms, self.settings.host_topic());
        if let Role::Folded(fold) = node.role {
            spec.birth_bytes = self.folds.expected_bytes(fold);
        }
        self.work(OPEN_WORK);
        self.out.push_back(Outgoing::Open { node: node.id, spec });
    }

    /// NDEATH, then DISCONNECT (operational-behavior-edge-node-intentional-disconnect-ndeath).
    /// Where a node must be born anew, its next session has a new bdSeq.
    pub(super) fn kill(&mut self, node: &mut Node, why: &'static str) {
        if matches!(node.session, Session::Closed | Session::Closing) {
            return;
        }
        if let Some(membership) = node.membership() {
            return self.leave(node, membership.fold, why);
        }
        let was_born = node.is_born();
        node.session = Session::Closing;
        node.stop_session_timers();
        node.unannounce_devices();
        let death = encode::node_death(node.bd_seq, self.now.wall_ms);
        self.publish_assured(node.id, Arc::clone(&node.topics.death), death);
        self.out.push_back(Outgoing::Close { node: node.id });
        if was_born {
            self.notify(Notice::NodeDead { node: node.key(), why });
        }
    }

    pub(super) fn session_ready(&mut self, node: &mut Node) {
        if let Session::Opening { host_seen } = node.session {
            node.session = Session::Waiting { host_seen };
        }
        self.reconcile(node, "it died before its births");
    }

    pub(super) fn session_lost(&mut self, node: &mut Node, connect_sent: bool) {
        let was_born = match node.session {
            Session::Born { since } => Some(since),
            _ => None,
        };
        node.session = Session::Closed;
        node.lose_unconfirmed();
        node.stop_session_timers();
        node.unannounce_devices();
        if !connect_sent {
            // No broker can know this bdSeq: the next attempt may use it again.
            node.bd_seq_next = node.bd_seq;
        }
        // A session that ends soon after it began, at its births say, must not be met with a
        // storm of connects.
        if was_born.is_some_and(|since| self.now.mono.saturating_sub(since) >= LASTING) {
            (node.failures, node.own_failures) = (0, 0);
        }
        if !connect_sent && !self.broker_stands {
            // Nobody is there: what happened until now may have been the broker's affair.
            node.own_failures = 0;
        }
        let births = was_born.and(self.folds.line(node).births.take());
        node.birth_ends = match births {
            Some(_) => node.birth_ends.saturating_add(1),
            None if was_born.is_some() => 0,
            // It didn't come as far as that.
            None => node.birth_ends,
        };
        let is_own = self.broker_stands || node.birth_ends >= BIRTH_ENDS;
        let (failures, longest) = match is_own {
            true => (node.own_failures.max(node.birth_ends), BACKOFF_OWN_MAX),
            false => (node.failures, BACKOFF_MAX),
        };
        let wait = backoff(failures, longest, node.id, self.now.mono);
        node.failures = node.failures.saturating_add(1);
        if is_own {
            node.own_failures = node.own_failures.saturating_add(1);
        }
        node.timers.set(Timer::Connect, self.now.mono.saturating_add(wait));
        if was_born.is_some() {
            let births = births.map(|BirthsOut { bytes, largest, .. }| Unconfirmed {
                bytes,
                largest,
                times: node.birth_ends,
            });
            self.notify(Notice::SessionLost { node: node.key(), births });
        }
    }

    pub(super) fn session_closed(&mut self, node: &mut Node) {
        node.session = Session::Closed;
        node.confirm_all();
        node.lose_unconfirmed();
        node.stop_session_timers();
        (node.failures, node.own_failures) = (0, 0);
        self.folds.line(node).births = None;
        node.birth_ends = 0;
        self.reconcile(node, "");
    }

    pub(super) fn session_confirmed(&mut self, node: &mut Node) {
        let _ = node.end_barrier(self.confirm_by());
    }
}

/// Exponential, and spread by node so that thousands of sessions don't come back at once. The
/// spread needs no secrecy, so it is a hash of what differs.
fn backoff(failures: u32, most: Duration, id: NodeId, at: Duration) -> Duration {
    let longest = BACKOFF_FIRST.saturating_mul(1 << failures.min(10)).min(most);
    let mixed = u64::from(id.0)
        .wrapping_add(u64::from(at.subsec_nanos()))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // 50 % to 100 % of the longest, in steps of 1/256 of the half.
    let step = u32::try_from(mixed >> 56).unwrap_or(0);
    let half = longest.checked_div(2).unwrap_or_default();
    half.saturating_add(half.saturating_mul(step).checked_div(256).unwrap_or_default())
}

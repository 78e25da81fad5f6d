//! What hosts of IT send: rebirth requests, which are answered from here, other commands, which are
//! refused, and the STATE of the primary host.

use std::time::Duration;

use serde::Deserialize;
use sparkplug::{self, Caps, Metric, Value, names};

use super::news::News;
use super::node::{Node, Session};
use super::nodes::NodeRef;
use super::notice::{Notice, count};
use super::step::StepContext;
use super::timers::Timer;
use super::{Mirror, Now};

/// A command is small: a host's rebirth request is under 100 bytes, so this is generous, and
/// it bounds what a hostile IT side can make us decode.
const COMMAND_CAPS: Caps = Caps { payload_bytes: 64 * 1024, metrics: 256, ..Caps::DEFAULT };
/// How far the clock of the primary host may be ahead of ours.
const MAX_STATE_AHEAD_MS: u64 = 3_600_000;
/// Metric names of a refused command that are reported.
const MAX_REPORTED_METRICS: usize = 16;

/// A command, as far as it was read.
#[derive(Debug)]
pub(super) struct Command {
    topic: String,
    /// Of the first of its metrics.
    names: Vec<String>,
    /// A rebirth of the node.
    pub(super) asks_rebirth: bool,
    /// Why something of it is refused.
    refused: Option<&'static str>,
}

impl StepContext<'_> {
    /// Something that was published to the session of a node, and is no STATE.
    pub(super) fn command(
        &mut self,
        node: NodeRef<'_>,
        topic: String,
        payload: &[u8],
        retain: bool,
    ) {
        let said = self.read_command(&node, topic, payload, retain);
        if said.asks_rebirth
            && let Some(due) = self.rebirth_due(&node)
        {
            self.answer_rebirth(node.change(), due);
        }
        self.refuse_command(said);
    }

    pub(super) fn read_command(
        &self,
        node: &Node,
        topic: String,
        payload: &[u8],
        retain: bool,
    ) -> Command {
        let is_node_command = node.topics.command == topic;
        let decoded = sparkplug::decode(payload, &COMMAND_CAPS);
        let metrics = decoded.map(|decoded| decoded.payload.metrics);
        let rebirth = metrics.as_ref().is_ok_and(|metrics| metrics.iter().any(asks_rebirth));
        let others = match &metrics {
            Ok(metrics) => metrics.iter().filter(|metric| !asks_rebirth(metric)).count(),
            Err(_) => 1,
        };
        let name = |metric: &Metric| {
            let by_alias = || metric.alias.and_then(|alias| node.by_alias(alias));
            metric.name.as_deref().or_else(by_alias).unwrap_or_default().to_owned()
        };
        let named = metrics.iter().flatten().take(MAX_REPORTED_METRICS);
        let names: Vec<String> = named.map(name).collect();
        let reason = match (&metrics, retain) {
            (Err(_), _) => "not a Sparkplug command",
            (Ok(_), true) => "retained command",
            (Ok(_), false) => "commands never cross",
        };
        let asks_rebirth = is_node_command && rebirth && !retain;
        let refused = (!asks_rebirth || others > 0).then_some(reason);
        Command { topic, names, asks_rebirth, refused }
    }

    /// Says what of a command is refused, if anything is.
    pub(super) fn refuse_command(&mut self, said: Command) {
        let Command { topic, names, refused: Some(reason), .. } = said else { return };
        count(&mut self.tally.commands_refused);
        self.notify(Notice::CommandRefused { topic, metrics: names, reason });
    }

    /// A command that can't be read: the connection has told why.
    pub(super) fn command_unread(&mut self, topic: String, reason: &'static str) {
        count(&mut self.tally.commands_refused);
        self.notify(Notice::CommandRefused { topic, metrics: Vec::new(), reason });
    }

    /// Answered at once, or once `rebirth_min_interval` has passed since the last births; a
    /// burst of requests gets one answer. Until then it is as if they came then: data goes on, or
    /// whoever may send commands could hold it back.
    pub(super) fn rebirth_due(&self, node: &Node) -> Option<Duration> {
        let Session::Born { since } = node.session else { return None };
        let due = since.saturating_add(self.settings.rebirth_min_interval);
        let births_come = node.timers.is_set(Timer::RebirthDue)
            || node.timers.is_due(Timer::MarksDue, due.max(self.now.mono));
        (!births_come).then_some(due)
    }

    pub(super) fn answer_rebirth(&mut self, node: &mut Node, due: Duration) {
        if self.now.mono >= due {
            self.publish_births(node);
        } else {
            node.timers.set(Timer::MarksDue, due);
        }
        count(&mut self.tally.rebirths_answered);
        self.notify(Notice::RebirthAnswered { node: node.key() });
    }

    /// STATE of the primary host (operational-behavior-edge-node-termination-host-offline and
    /// its siblings), as it came on the session of a node: an older timestamp than the last
    /// accepted one is ignored, and so is one so far in the future that nothing the host says
    /// later would count. True: the host came or went.
    #[must_use]
    pub(super) fn host_state(&mut self, node: NodeRef<'_>, payload: &[u8]) -> bool {
        match self.accept_state(payload) {
            Some(online) => self.host_said(node.change(), online),
            None => false,
        }
    }

    /// Whether the host says that it is online, if what it says counts.
    pub(super) fn accept_state(&mut self, payload: &[u8]) -> Option<bool> {
        #[derive(Deserialize)]
        struct State {
            online: bool,
            timestamp: u64,
        }
        let State { online, timestamp } = serde_json::from_slice(payload).ok()?;
        if timestamp < self.host.timestamp
            || timestamp > self.now.wall_ms.saturating_add(MAX_STATE_AHEAD_MS)
        {
            return None;
        }
        self.host.timestamp = timestamp;
        Some(online)
    }

    /// The session of a node has heard where the host stands; true: it came or went.
    #[must_use]
    pub(super) fn host_said(&mut self, node: &mut Node, online: bool) -> bool {
        if let Session::Opening { host_seen } | Session::Waiting { host_seen } = &mut node.session {
            *host_seen = true;
        }
        if self.host.online == online {
            self.reconcile(node, "");
            return false;
        }
        self.host.online = online;
        true
    }
}

impl Mirror {
    /// The primary host came or went, for all nodes.
    pub(super) fn host_changed(&mut self, now: Now) {
        let online = self.host.online;
        self.notices.push(Notice::PrimaryHost { online });
        self.tell_all(now, if online { News::Reconcile("") } else { News::HostGone });
    }
}

/// `Node Control/Rebirth` = true, in every form that hosts were seen to send: with or without
/// datatype and timestamp.
fn asks_rebirth(metric: &Metric) -> bool {
    metric.name.as_deref() == Some(names::REBIRTH) && metric.value == Some(Value::Boolean(true))
}

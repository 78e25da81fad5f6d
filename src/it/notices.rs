//! What the IT half says in its log: the mirror's notices and the troubles of its driver, each
//! kind limited, so that nothing on the network can flood the log.

use std::collections::HashMap;
use std::time::Duration;

use crate::it::mirror::{Mirror, Notice};
use crate::journal::JournalError;
use crate::state::StateError;
use crate::telemetry::Account;

/// Lines of one kind within one window; further ones are counted.
const LINES_PER_WINDOW: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// The limited log.
#[derive(Debug, Default)]
pub(super) struct NoticeLog {
    kinds: HashMap<&'static str, Window>,
}

#[derive(Debug, Default)]
struct Window {
    since: Duration,
    lines: u32,
    suppressed: u64,
}

impl NoticeLog {
    /// Logs one notice, or counts it.
    pub(super) fn tell(&mut self, at: Duration, notice: &Notice) {
        if !self.admit(at, kind(notice)) {
            return;
        }
        match notice {
            Notice::LinkStale { away_ms } => {
                tracing::error!(target: "it", away_ms,
                    "link stale: no sign of life from the OT half, every node is declared dead");
            }
            Notice::LinkAlive => tracing::info!(target: "it", "link alive"),
            Notice::OldFrames { behind_ms } => {
                tracing::warn!(target: "it", behind_ms,
                    "only old frames come: a backlog, or the clocks of the two halves differ");
            }
            Notice::Unplaceable { first, last, frames } => {
                tracing::warn!(target: "it", first, last, frames,
                    "missed values were not published: their device or metric is gone");
            }
            Notice::FramesLost { first, last, cause } => {
                let count = last.saturating_sub(*first).saturating_add(1);
                tracing::error!(target: "it", first, last, count, ?cause, "frames lost");
            }
            Notice::CommandRefused { topic, metrics, reason } => {
                let metrics = metrics.join(", ");
                tracing::warn!(target: "it", topic = topic,
                    metrics = metrics, reason, "command refused");
            }
            Notice::RebirthAnswered { node } => {
                tracing::info!(target: "it", node = node, "rebirth answered");
            }
            Notice::SequenceGap { node } => {
                tracing::warn!(target: "it", node = node,
                    "messages were lost before they reached the relay");
            }
            Notice::NodeBorn { node, devices, bd_seq } => {
                tracing::info!(target: "it", node = node, devices, bd_seq, "born");
            }
            Notice::NodeDead { node, why } => {
                tracing::info!(target: "it", node = node, why, "dead");
            }
            Notice::SessionLost { node } => {
                tracing::warn!(target: "it", node = node, "session lost");
            }
            Notice::OverCapacity { what } => {
                tracing::error!(target: "it", limit = what, "over capacity");
            }
            Notice::JournalStart { relay, epoch, version, policy_digest } => {
                tracing::debug!(target: "it", relay = relay, epoch,
                    version = version,
                    policy_digest = policy_digest, "journal segment");
            }
            Notice::PrimaryHost { online } => {
                tracing::info!(target: "it", online, "primary host");
            }
        }
    }

    /// A session ended with an error.
    pub(super) fn broker_trouble(&mut self, at: Duration, error: &str) {
        if self.admit(at, "broker trouble") {
            tracing::warn!(target: "it", error = error,
                "no session with the IT broker; trying again");
        }
    }

    /// The journal can't be read.
    pub(super) fn journal_trouble(&mut self, at: Duration, error: &JournalError) {
        if self.admit(at, "journal trouble") {
            tracing::error!(target: "it", %error, "journal not readable; trying again");
        }
    }

    /// The state directory can't be written.
    pub(super) fn state_trouble(&mut self, at: Duration, error: &StateError) {
        if self.admit(at, "state trouble") {
            tracing::error!(target: "it", %error, "state not written; trying again");
        }
    }

    /// The account and the counters.
    pub(super) fn summary(&self, mirror: &Mirror) {
        let account: &Account = mirror.account();
        let tally = mirror.tally();
        let (born, known) = mirror.node_counts();
        let drops: Vec<String> = account
            .drops()
            .map(|(reason, messages, metrics)| format!("{reason}={messages}/{metrics}"))
            .collect();
        tracing::info!(target: "it",
            nodes_born = born,
            nodes_known = known,
            received = account.received,
            forwarded = account.forwarded,
            dropped = drops.join(" "),
            backfilled = tally.backfilled,
            unplaceable = tally.unplaceable,
            healed = tally.healed,
            gaps = tally.gaps,
            frames_lost = tally.frames_lost,
            rebirths_answered = tally.rebirths_answered,
            commands_refused = tally.commands_refused,
            "summary");
    }

    fn admit(&mut self, at: Duration, kind: &'static str) -> bool {
        let window = self.kinds.entry(kind).or_default();
        if at.saturating_sub(window.since) >= WINDOW {
            if window.suppressed > 0 {
                let count = window.suppressed;
                tracing::warn!(target: "it", kind, count, "repeated lines were not shown");
            }
            *window = Window { since: at, lines: 0, suppressed: 0 };
        }
        // What was lost must be told with its sequence numbers, always; it isn't IT's to cause.
        if kind == FRAMES_LOST || kind == UNPLACEABLE || window.lines < LINES_PER_WINDOW {
            window.lines = window.lines.saturating_add(1);
            return true;
        }
        window.suppressed = window.suppressed.saturating_add(1);
        false
    }
}

const FRAMES_LOST: &str = "frames lost";
/// One line per backfill.
const UNPLACEABLE: &str = "unplaceable";

fn kind(notice: &Notice) -> &'static str {
    match notice {
        Notice::LinkStale { .. } => "link stale",
        Notice::LinkAlive => "link alive",
        Notice::OldFrames { .. } => "old frames",
        Notice::Unplaceable { .. } => UNPLACEABLE,
        Notice::FramesLost { .. } => FRAMES_LOST,
        Notice::CommandRefused { .. } => "command refused",
        Notice::RebirthAnswered { .. } => "rebirth answered",
        Notice::SequenceGap { .. } => "sequence gap",
        Notice::NodeBorn { .. } => "born",
        Notice::NodeDead { .. } => "dead",
        Notice::SessionLost { .. } => "session lost",
        Notice::OverCapacity { .. } => "over capacity",
        Notice::JournalStart { .. } => "journal segment",
        Notice::PrimaryHost { .. } => "primary host",
    }
}

//! What a half says of its state: the one source of the status file, the textfile for Prometheus,
//! the relay's own edge node, the summary event and the line in `systemctl status`.
//!
//! ```text
//!  ledger ──> Tracker ──> Status ──> Reporter ──> status.json, textfile, STATUS=
//!                           │                     (a thread of its own: no disk is waited for)
//!                           └──> edge node of the relay (IT half)
//! ```

mod broker_name;
mod concern;
mod emitter;
mod ends;
mod judge;
mod report;
mod shadow;
mod textfile;
mod tracker;

pub use broker_name::BrokerName;
pub use concern::Concern;
pub use emitter::{StatusEmitter, StatusSettings};
pub use ends::{
    DatagramsStatus, EndRates, ReceivePathStatus, ReceiveStatus, SendPathStatus, SendStatus,
};
pub use report::{ReportError, Reporter, ReporterSettings, STATUS_FILE};
use serde::{Deserialize, Serialize};
pub use shadow::{DecisionStatus, DifferenceStatus, ShadowStatus};
pub use textfile::{END_FAMILIES, FAMILIES, Family, Kind};
pub use tracker::{FORMER_RULES, TrackedNode, Tracker};

/// Version of the status file; it changes when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// [`ItStatus::link`] while the OT half gives signs of life.
pub const LINK_ALIVE: &str = "alive";

/// The state of one half. Field names are those of `status.json`, and stable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub format: u32,
    /// `ot` or `it`; `send` or `receive`, of an end of a link, which has neither broker, account nor
    /// nodes.
    pub half: String,
    /// Name of the relay; the IT half learns it from the journal.
    pub relay: String,
    pub version: String,
    pub pid: u32,
    /// Milliseconds since the epoch (UTC), as all that end in `_ms` and aren't spans of time.
    pub started_ms: u64,
    pub written_ms: u64,
    /// The file is written this often, in milliseconds: what is much older is stale.
    pub every_ms: u64,
    pub health: Health,
    pub broker: BrokerStatus,
    /// Of the policy in force; the IT half has one only if it was given a copy.
    pub policy: Option<PolicyStatus>,
    /// The policy was read again and refused, and none was taken up since: the one in force is not
    /// that of the files.
    #[serde(default)]
    pub reload_refused: Option<ReloadRefused>,
    pub account: AccountStatus,
    pub nodes: NodesStatus,
    /// The certificate that ends first, of those that this half uses.
    pub certificate: Option<CertificateStatus>,
    /// How it is sealed.
    #[serde(default)]
    pub seal: Option<SealStatus>,
    pub ot: Option<OtStatus>,
    pub it: Option<ItStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<SendStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receive: Option<ReceiveStatus>,
}

/// How a half is sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealStatus {
    /// `full`, or `dialled`: the kernel's Landlock is too old to bound sockets, and a dialling process
    /// makes them.
    pub level: String,
    /// Landlock's version on this kernel; 0: none.
    pub landlock: i32,
    /// Layers that the configuration gives up.
    pub waived: Vec<String>,
}

impl SealStatus {
    /// Of this process; `None`: it isn't sealed.
    fn of_this() -> Option<SealStatus> {
        sandbox::sealed().map(|sealed| SealStatus {
            level: sealed.level.name().to_owned(),
            landlock: sealed.level.abi(),
            waived: sealed.waived.iter().map(|layer| layer.name().to_owned()).collect(),
        })
    }
}

/// Whether somebody should look, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub level: Level,
    /// Each cause in words, the worst first.
    pub reasons: Vec<String>,
    /// How many of them, from the first on, are critical; the others are warnings.
    #[serde(default)]
    pub critical: u64,
}

/// How the half is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing to do.
    #[default]
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// Nothing crosses, or something is lost.
    Critical,
}

/// The connection to this half's broker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokerStatus {
    pub address: String,
    pub connected: bool,
    /// Since when it is or isn't, if that is known.
    pub since_ms: Option<u64>,
    /// MQTT sessions that are up: one on OT, one per mirrored edge node on IT.
    pub sessions: u64,
    /// Why it isn't connected, as far as that was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// SHA-256, lower-case hex.
    pub digest: String,
    pub rules: u64,
}

/// A policy that was read again and refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadRefused {
    pub at_ms: u64,
    /// The first problems, with file, line and column.
    pub error: String,
}

/// The conservation account: received = forwarded + dropped + waiting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AccountStatus {
    pub received: u64,
    pub forwarded: u64,
    pub dropped: u64,
    pub waiting: u64,
    /// Messages of edge nodes that other relays have, where several share the plant; not in `received`,
    /// and neither dropped nor lost.
    #[serde(default)]
    pub of_other_shards: u64,
    /// Total, edge nodes, rules and what in fact waits agree with each other.
    pub balances: bool,
    /// What doesn't, in words.
    pub imbalance: Option<String>,
    /// By reason: all of them.
    pub reasons: Vec<DropStatus>,
    /// By reason and rule, most messages first, then most metrics; at most 200.
    pub drops: Vec<DropStatus>,
    /// The last ones of each reason, the last one first; at most 60.
    #[serde(default)]
    pub last: Vec<LastDropStatus>,
    /// Of the last interval.
    pub rates: Rates,
}

/// A message or metric that was dropped lately. There are no values in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDropStatus {
    pub at_ms: u64,
    /// The topic of its message; of what was dropped later, `group/edge_node` or
    /// `group/edge_node/device`.
    pub topic: String,
    /// Absent where it was the whole message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What came, where that says more than the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
    /// What would have been taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
}

/// What was dropped for one reason by one rule, or by none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropStatus {
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    pub messages: u64,
    pub metrics: u64,
}

/// Messages per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    pub received_per_s: f64,
    pub forwarded_per_s: f64,
    pub dropped_per_s: f64,
}

/// Edge nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodesStatus {
    pub known: u64,
    /// Alive and shown: to readers of the journal, or to hosts on IT.
    pub alive: u64,
    /// Those that sent most in the last interval, most first.
    pub talkers: Vec<NodeStatus>,
}

/// The account of one edge node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// `group/edge_node`.
    pub node: String,
    pub alive: bool,
    pub received: u64,
    pub forwarded: u64,
    pub dropped: u64,
    pub waiting: u64,
    pub received_per_s: f64,
    /// The reason of most of its dropped messages and metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_reason: Option<String>,
}

/// A certificate that will end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// Its file, or ``of the server `…` ``.
    pub file: String,
    pub not_after_ms: u64,
    /// Whole days that are left; negative after the end.
    pub days_left: i64,
}

/// What only the OT half has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtStatus {
    /// Times that messages of a node were lost before they reached the relay.
    pub gaps: u64,
    /// Fields of no Sparkplug payload, which were left behind.
    pub unknown_fields: u64,
    /// Bytes of messages between network and pipeline.
    pub queue_bytes: u64,
    pub queue_limit_bytes: u64,
    pub journal_bytes: u64,
    pub journal_limit_bytes: u64,
    /// The next frame.
    pub journal_seq: u64,
    pub journal_epoch: u64,
    /// The journal refuses frames: a full disk, most likely. Nothing is acknowledged.
    pub journal_refuses: bool,
    /// Filters that the broker granted, and refused, in this session; at most 1,000 of each.
    #[serde(default)]
    pub subscriptions_granted: Vec<String>,
    #[serde(default)]
    pub subscriptions_refused: Vec<String>,
    /// Since when the rules are counted: since the policy is in force.
    #[serde(default)]
    pub policy_since_ms: u64,
    /// What rules that only observe would have decided since then, most first; at most 200.
    #[serde(default)]
    pub observed: Vec<ObservedStatus>,
    /// Every rule, in the order of the policy, the first 1,000 of them.
    #[serde(default)]
    pub rules: Vec<RuleStatus>,
    /// Which part of the edge nodes this relay has, such as `2/4`; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// Hosts that are offline on OT by their STATE while edge nodes that could wait for them are
    /// silent.
    #[serde(default)]
    pub hosts_offline: Vec<String>,
    /// The policy in shadow, where the configuration names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowStatus>,
}

/// What a rule decided since the policy is in force, and whether it acts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    pub rule: String,
    /// `forward`, `deny` or `redact`.
    pub action: String,
    /// It only counts what it would do.
    pub observes: bool,
    /// Metrics of births and data about which it decided, or would have decided. Those of a rule that
    /// forwards can be dropped by its shapes and limits even so.
    pub metrics: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<u64>,
    /// It decides about metrics that are known from births before the policy came into force.
    #[serde(default)]
    pub known: bool,
    /// Of a rule with a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowStatus>,
}

/// A rule's window in time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowStatus {
    /// The rule is in force.
    pub open: bool,
    /// When that may change next; absent where it stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// What a rule with `mode = "observe"` would have decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedStatus {
    pub rule: String,
    /// What it would have done with them: `forward`, `deny` or `redact`.
    pub action: String,
    /// Metrics of births and data.
    pub metrics: u64,
}

/// What only the IT half has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItStatus {
    /// `catching_up`, `silent` or [`LINK_ALIVE`].
    pub link: String,
    /// How long ago the frame that was read last had been appended, when it was read, in
    /// milliseconds.
    pub lag_ms: u64,
    /// Since the last frame that had just been appended, in milliseconds.
    pub silent_ms: u64,
    /// The next frame that is wanted.
    pub journal_seq: u64,
    pub journal_epoch: u64,
    pub frames_lost: u64,
    /// Of these, those that came late over a link between two boxes.
    #[serde(default)]
    pub late_frames: u64,
    pub last_loss: Option<LossStatus>,
    /// The link between two boxes, where the journal came over one, as its receiving end has noted it.
    #[serde(default)]
    pub ends: Option<EndsStatus>,
    /// Frames of the journal between the oldest that the broker isn't known to hold and the
    /// newest that was read; 0 where all is confirmed.
    pub unconfirmed_frames: u64,
    pub backfilled: u64,
    pub unplaceable: u64,
    /// Missed frames of before the policy became tighter, which weren't published.
    #[serde(default)]
    pub withheld: u64,
    pub healed: u64,
    pub gaps: u64,
    pub rebirths_answered: u64,
    pub commands_refused: u64,
    /// Bytes on their way to the broker.
    pub queue_bytes: u64,
    pub queue_limit_bytes: u64,
    /// The OT half by its own word, in the journal.
    pub ot: Option<OtReport>,
}

/// Frames of the journal that can't be had any more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossStatus {
    pub first: u64,
    pub last: u64,
    pub cause: String,
    pub at_ms: u64,
}

/// A link between two boxes, as the IT half knows it: from notes in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndsStatus {
    /// Since the last sign of life of the sending end, in milliseconds; 0 while they come, `null` if none
    /// came since the receiving end's start.
    pub silent_ms: Option<u64>,
    /// It has been silent for longer than a sending end that lives.
    pub is_silent: bool,
    /// Frames that are missing, and may still come by themselves.
    pub frames_missing: u64,
    /// Frames that are missing, and don't.
    pub frames_lost: u64,
    /// Frames that were sent, and are above all that came.
    pub frames_behind: u64,
    pub paths: Vec<PathEndStatus>,
}

/// One path of a link, as the IT half knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathEndStatus {
    pub name: String,
    /// It brings nothing, and another one does.
    pub down: bool,
}

/// What the OT half's last heartbeat said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtReport {
    pub at_ms: u64,
    pub version: String,
    pub policy_digest: String,
    pub broker_connected: bool,
    pub broker_away_ms: u64,
    pub nodes: u64,
    pub received: u64,
    pub forwarded: u64,
    pub dropped: u64,
    pub waiting: u64,
    pub gaps: u64,
    /// Edge nodes and devices that send and of which no birth is known.
    pub unborn: u64,
    /// It read a policy again, refused it, and has taken up none since.
    #[serde(default)]
    pub policy_refused: bool,
    pub journal_bytes: u64,
    pub journal_limit_bytes: u64,
    pub certificate_days_left: Option<i64>,
    /// By reason.
    pub drops: Vec<DropStatus>,
}

impl BrokerStatus {
    /// The words, and why it isn't connected where that is known.
    #[must_use]
    pub fn because(&self, words: &str) -> String {
        match &self.error {
            Some(error) => format!("{words}: {error}"),
            None => words.to_owned(),
        }
    }
}

impl Health {
    /// Adds a reason to look, behind those that are as bad.
    pub fn add(&mut self, level: Level, reason: impl Into<String>) {
        self.level = self.level.max(level);
        if level == Level::Critical {
            let place = usize::try_from(self.critical).unwrap_or(usize::MAX);
            self.reasons.insert(place.min(self.reasons.len()), reason.into());
            self.critical = self.critical.saturating_add(1);
        } else {
            self.reasons.push(reason.into());
        }
    }

    /// Each cause with how bad it is, the worst first.
    pub fn causes(&self) -> impl Iterator<Item = (Level, &String)> {
        let critical = usize::try_from(self.critical).unwrap_or(usize::MAX);
        self.reasons.iter().enumerate().map(move |(place, reason)| {
            (if place < critical { Level::Critical } else { Level::Warning }, reason)
        })
    }
}

impl Level {
    /// As in the status file.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Critical => "critical",
        }
    }
}

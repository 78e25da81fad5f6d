//! What a journal frame carries: a protobuf envelope with one body. Readers skip bodies they
//! don't know (an [`Envelope`] whose `body` is `None`) and count them, so that versions of the
//! two halves can differ.

use alloc::string::String;
use alloc::vec::Vec;

use prost::{Message, Oneof};

/// One frame: its place in the journal and one body.
#[derive(Clone, PartialEq, Message)]
pub struct Envelope {
    /// Journal sequence number: +1 per frame, for ever, over all segments.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// Wall clock of the writer at the append, in milliseconds since the epoch (UTC).
    #[prost(uint64, tag = "2")]
    pub appended_ms: u64,
    #[prost(oneof = "Body", tags = "10, 11, 12, 13, 14")]
    pub body: Option<Body>,
}

/// The bodies, in the order of the design.
#[derive(Clone, PartialEq, Oneof)]
pub enum Body {
    /// First frame of every segment, and after every change of the policy.
    #[prost(message, tag = "10")]
    Start(Start),
    /// One message of the plant, as re-encoded after the policy.
    #[prost(message, tag = "11")]
    Relayed(Relayed),
    /// A birth with the values forwarded last: repeats state, reports nothing new.
    #[prost(message, tag = "12")]
    Keyframe(Keyframe),
    /// Written every second: proof of life and the writer's account.
    #[prost(message, tag = "13")]
    Heartbeat(Heartbeat),
    /// Data of the plant, told against the layout that a birth or keyframe has given.
    #[prost(message, tag = "14")]
    Data(Data),
}

/// Who writes this journal, and by which rules.
#[derive(Clone, PartialEq, Message)]
pub struct Start {
    #[prost(string, tag = "1")]
    pub relay_name: String,
    /// Increases with each start of the writer.
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    /// Version of sparkdiode.
    #[prost(string, tag = "3")]
    pub version: String,
    /// SHA-256 of the policy set, lower-case hex.
    #[prost(string, tag = "4")]
    pub policy_digest: String,
    /// Interval in which every live node and device is repeated as a keyframe, in seconds.
    #[prost(uint32, tag = "5")]
    pub keyframe_every_s: u32,
    /// The policy gives names to groups, edge nodes or devices.
    #[prost(bool, tag = "20")]
    pub renames: bool,
    /// The policy gives names to metrics.
    #[prost(bool, tag = "21")]
    pub renames_metrics: bool,
    /// Version under which the policy set was signed; absent where signatures aren't required.
    #[prost(uint64, optional, tag = "6")]
    pub policy_version: Option<u64>,
    /// Who signed it: of each the public key, and the name that the configuration gives it.
    #[prost(string, repeated, tag = "7")]
    pub policy_signers: Vec<String>,
    /// Sequence number of the frame with which the policy became tighter last: nothing that stands
    /// before it may leave unless the policy in force lets it. 0: it never did.
    #[prost(uint64, tag = "8")]
    pub tightened_seq: u64,
    /// First frame of a segment whose head is spread: a keyframe of each live node and device comes
    /// before anything else of the node, and those of all before the first heartbeat. Otherwise the
    /// header of the segment says how long the head is.
    #[prost(bool, tag = "22")]
    pub spread: bool,
}

/// A birth, data or death message.
#[derive(Clone, PartialEq, Message)]
pub struct Relayed {
    /// Name of the source (the OT broker) in the writer's configuration.
    #[prost(string, tag = "1")]
    pub source: String,
    /// `spBv1.0/group/TYPE/edge_node[/device]`; TYPE is NBIRTH, DBIRTH, NDATA, DDATA, NDEATH
    /// or DDEATH.
    #[prost(string, tag = "2")]
    pub topic: String,
    /// A Sparkplug payload: names instead of aliases, datatypes in births only, `seq` absent.
    #[prost(bytes = "vec", tag = "3")]
    pub payload: Vec<u8>,
    /// Wall clock of the OT half at receipt, in milliseconds since the epoch (UTC).
    #[prost(uint64, tag = "4")]
    pub received_ms: u64,
    /// Messages of this edge node were lost before this one, on the OT side.
    #[prost(bool, tag = "5")]
    pub loss_before: bool,
    /// Made by the relay (a policy change, a metric born late), not received from the plant.
    #[prost(bool, tag = "6")]
    pub synthetic: bool,
    /// How often readers had to doubt the values of this edge node: +1 per loss on the OT side,
    /// over restarts of the writer. Two tellings of one loss carry the same number. 0 where the
    /// writer doesn't count.
    #[prost(uint64, tag = "7")]
    pub losses: u64,
    /// A birth in which the plant gave aliases: they aren't in `payload`, so data that follows
    /// it can't be read by it alone.
    #[prost(bool, tag = "8")]
    pub aliased: bool,
    /// Data of an edge node or device whose data names datatypes: they aren't in `payload`, since a
    /// reader knows them from the birth.
    #[prost(bool, tag = "9")]
    pub typed: bool,
    /// Values that make no other one good: the OT half held them back since before the last of these
    /// losses, or the broker delivers them again after an outage, or a birth of the relay's own
    /// making shows metrics for the first time that were hidden since then.
    #[prost(bool, tag = "11")]
    pub outdated: bool,
    /// Data with a metric of a rule of high priority: on a link that is full a reader sends it before
    /// what other edge nodes have.
    #[prost(bool, tag = "10")]
    pub urgent: bool,
    /// Of a birth: which metrics of `payload` have an alias in the plant, for [`has_alias`](crate::has_alias).
    #[prost(bytes = "vec", tag = "13")]
    pub given_aliases: Vec<u8>,
    /// Of a death that the OT half made itself, why: `no_rule`, `over_limit`, `unheard`, `died`, `refused`.
    #[prost(string, tag = "12")]
    pub withdrawn: String,
    /// Number of the layout that a birth gives: its metrics by their places, from 0 on. 0: none.
    #[prost(uint64, tag = "14")]
    pub layout: u64,
}

/// A data message whose metrics are told by their places in a layout. What isn't here is as in
/// [`Relayed`]: source, topic and names are those of the layout.
#[derive(Clone, PartialEq, Message)]
pub struct Data {
    /// [`Relayed::layout`] or [`Keyframe::layout`] of the birth.
    #[prost(uint64, tag = "1")]
    pub layout: u64,
    /// Of the payload, in milliseconds since the epoch (UTC).
    #[prost(uint64, tag = "2")]
    pub timestamp: u64,
    /// Wall clock of the OT half at receipt, in milliseconds after `timestamp`.
    #[prost(sint64, tag = "3")]
    pub received_after: i64,
    /// The metrics: see [`compact`](crate::compact).
    #[prost(bytes = "vec", tag = "4")]
    pub metrics: Vec<u8>,
    #[prost(bool, tag = "5")]
    pub loss_before: bool,
    #[prost(bool, tag = "6")]
    pub synthetic: bool,
    #[prost(uint64, tag = "7")]
    pub losses: u64,
    #[prost(bool, tag = "9")]
    pub typed: bool,
    #[prost(bool, tag = "10")]
    pub urgent: bool,
    #[prost(bool, tag = "11")]
    pub outdated: bool,
}

impl Data {
    /// [`Relayed::received_ms`].
    pub fn received_ms(&self) -> u64 {
        self.timestamp.wrapping_add(self.received_after.cast_unsigned())
    }
}

/// The state of one live edge node or device.
#[derive(Clone, PartialEq, Message)]
pub struct Keyframe {
    #[prost(string, tag = "1")]
    pub source: String,
    /// Topic of the birth that this repeats: NBIRTH or DBIRTH.
    #[prost(string, tag = "2")]
    pub topic: String,
    /// The birth's payload with the values forwarded last.
    #[prost(bytes = "vec", tag = "3")]
    pub payload: Vec<u8>,
    /// The values may be out of date: messages were lost on the OT side since they were seen.
    #[prost(bool, tag = "4")]
    pub uncertain: bool,
    /// In a node's keyframe: names of all its live, forwarded devices.
    #[prost(string, repeated, tag = "5")]
    pub devices: Vec<String>,
    /// [`Relayed::losses`] of the edge node.
    #[prost(uint64, tag = "6")]
    pub losses: u64,
    /// Nothing was heard of the edge node since the OT half was away, or didn't run.
    #[prost(bool, tag = "7")]
    pub unheard: bool,
    /// In a device's keyframe: how often the values of this device alone had to be doubted, where
    /// they are since its birth; 0 where they aren't. Two tellings of one doubt carry the same number.
    #[prost(uint64, tag = "8")]
    pub doubts: u64,
    /// As [`Relayed::layout`].
    #[prost(uint64, tag = "10")]
    pub layout: u64,
    /// [`Relayed::given_aliases`].
    #[prost(bytes = "vec", tag = "9")]
    pub given_aliases: Vec<u8>,
}

/// The writer's state, once a second.
#[derive(Clone, PartialEq, Message)]
pub struct Heartbeat {
    /// The OT half is connected and subscribed.
    #[prost(bool, tag = "1")]
    pub ot_connected: bool,
    /// How long it has been away from the OT broker, in milliseconds; 0 while connected.
    #[prost(uint64, tag = "2")]
    pub ot_away_ms: u64,
    #[prost(uint64, tag = "3")]
    pub received: u64,
    #[prost(uint64, tag = "4")]
    pub forwarded: u64,
    #[prost(message, repeated, tag = "5")]
    pub dropped: Vec<Dropped>,
    /// SHA-256 of the policy set, lower-case hex.
    #[prost(string, tag = "6")]
    pub policy_digest: String,
    /// Live, forwarded edge nodes.
    #[prost(uint32, tag = "7")]
    pub nodes: u32,
    /// Messages received and not yet judged or conflated and not yet forwarded.
    #[prost(uint64, tag = "8")]
    pub waiting: u64,
    /// Times that messages of a node were lost before they reached the relay.
    #[prost(uint64, tag = "9")]
    pub gaps: u64,
    /// Bytes of the journal, and the bytes above which its oldest segments are deleted.
    #[prost(uint64, tag = "10")]
    pub journal_bytes: u64,
    #[prost(uint64, tag = "11")]
    pub journal_limit_bytes: u64,
    /// Whole days until the first of the writer's certificates ends; absent without TLS.
    #[prost(sint64, optional, tag = "12")]
    pub certificate_days_left: Option<i64>,
    /// Edge nodes and devices that send and that a rule forwards, of which no birth is known.
    #[prost(uint32, tag = "13")]
    pub unborn: u32,
    /// A policy was read again and refused, and none was taken up since.
    #[prost(bool, tag = "14")]
    pub policy_refused: bool,
}

/// One line of the account: how many messages were dropped for one reason.
#[derive(Clone, PartialEq, Message)]
pub struct Dropped {
    /// A name of the closed list in `telemetry::Reason`.
    #[prost(string, tag = "1")]
    pub reason: String,
    #[prost(uint64, tag = "2")]
    pub messages: u64,
    #[prost(uint64, tag = "3")]
    pub metrics: u64,
}

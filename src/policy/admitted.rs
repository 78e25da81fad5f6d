//! What may be written about the plant: a value that judging alone can make.
//!
//! ```text
//!  Policy::plan, judge ──> Verdict ──┐
//!  Policy::permit_node/_device ──────┴─> Permit ──> Admitted ──> the journal's writer
//! ```
//!
//! A [`Verdict`] by which anything crosses can't be made outside of this crate (its variants are
//! `non_exhaustive`), and [`Permit`] has a private field: only this file makes one, from what
//! judging said. Whoever writes plant data to a journal takes [`Admitted`] and nothing else, so
//! that a way around the policy can't be written by accident.

use sparkplug::{Entity, EntityTopic, Metric, PayloadWriter, names};

use super::{Policy, Verdict};

/// About what a death takes.
const DEATH_BYTES: usize = 80;

/// Leave for a metric, or for an entity's birth, to cross.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    judged: (),
}

impl Verdict {
    /// Leave for the metric to cross, be it without its value.
    #[inline]
    pub fn permit(&self) -> Option<Permit> {
        match self {
            Verdict::Forward { .. } | Verdict::Redact { .. } => Some(Permit { judged: () }),
            Verdict::Drop { .. } => None,
        }
    }
}

impl Policy {
    /// Leave for an edge node to be announced: see [`Policy::node_in_scope`].
    pub fn permit_node(&self, group: &str, edge_node: &str) -> Option<Permit> {
        self.node_in_scope(group, edge_node).then_some(Permit { judged: () })
    }

    /// Leave for a device without metrics to be announced: see [`Policy::device_in_scope`].
    pub fn permit_device(&self, entity: Entity<'_>) -> Option<Permit> {
        self.device_in_scope(entity).then_some(Permit { judged: () })
    }
}

/// A message or keyframe that may be written to a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    source: String,
    topic: String,
    payload: Vec<u8>,
    losses: u64,
    kind: AdmittedKind,
}

/// What an [`Admitted`] is beside topic and payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmittedKind {
    /// A data or death message, or a birth without aliases in the plant.
    Message(MessageFlags),
    /// A data message that is told against a layout: instead of source, topic and names it has the
    /// number of what gave them, and its payload is metrics by their places there.
    Data {
        flags: MessageFlags,
        /// Of the payload, in milliseconds since the epoch (UTC).
        timestamp: u64,
    },
    /// A birth, and which of its metrics have an alias in the plant, as readers know it.
    Birth(MessageFlags, Vec<u8>),
    /// A birth with the values forwarded last.
    Keyframe {
        /// The values may be out of date.
        uncertain: bool,
        /// Nothing was heard of the edge node since this half was away.
        unheard: bool,
        /// Of a device whose values are doubted for themselves: how often they had to be.
        doubts: u64,
        /// In a node's keyframe: names of all its announced devices.
        devices: Vec<String>,
        /// Number of the layout that it gives; 0: none.
        layout: u64,
        /// Which of its metrics have an alias in the plant, as readers know it.
        given_aliases: Vec<u8>,
    },
}

/// What a message says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageFlags {
    /// Wall clock at receipt, in milliseconds since the epoch (UTC).
    pub received_ms: u64,
    /// Messages of the edge node were lost before this one.
    pub loss_before: bool,
    /// Made by the relay, not received from the plant.
    pub synthetic: bool,
    /// A birth in which the plant gave aliases.
    pub aliased: bool,
    /// Data in which the plant named datatypes.
    pub typed: bool,
    /// Data that was held back since before messages were lost.
    pub outdated: bool,
    /// Data with a metric of a rule of high priority.
    pub urgent: bool,
    /// Of a death that the relay makes, why, in a word that readers know.
    pub withdrawn: Option<&'static str>,
    /// Number of the layout that a birth gives, or that data is told against; 0: none.
    pub layout: u64,
}

/// The parts of an [`Admitted`], for the writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmittedParts {
    /// Name of the source in the configuration.
    pub source: String,
    /// With the names that readers know.
    pub topic: String,
    /// A Sparkplug payload.
    pub payload: Vec<u8>,
    /// How often the values of the edge node had to be doubted.
    pub losses: u64,
    /// What it is.
    pub kind: AdmittedKind,
}

impl Admitted {
    /// Plant data that judging gave leave for. `topic` has the names that readers know, `payload`
    /// nothing that the leave isn't for.
    pub fn new(
        _: Permit,
        source: &str,
        topic: EntityTopic<'_>,
        payload: Vec<u8>,
        losses: u64,
        kind: AdmittedKind,
    ) -> Admitted {
        let (source, topic) = match kind {
            AdmittedKind::Data { .. } => (String::new(), String::new()),
            _ => (source.to_owned(), topic.to_string()),
        };
        Admitted { source, topic, payload, losses, kind }
    }

    /// The same keyframe, which gives its layout this number.
    #[must_use]
    pub fn giving(mut self, number: u64) -> Admitted {
        if let AdmittedKind::Keyframe { layout, .. } = &mut self.kind {
            *layout = number;
        }
        self
    }

    /// The death of what readers hold for alive. It takes no leave, and could get none after a
    /// change of the policy: it says nothing but a name that readers know, a time, and the number
    /// of the session in `bd_seq`, which is that of the death or of the birth that it ends.
    pub fn death(
        source: &str,
        entity: Entity<'_>,
        timestamp_ms: u64,
        bd_seq: Option<&Metric>,
        losses: u64,
        flags: MessageFlags,
    ) -> Admitted {
        let mut payload = PayloadWriter::new(Some(timestamp_ms), DEATH_BYTES);
        if let Some(number) = bd_seq.and_then(names::bd_seq_as_it_crosses) {
            payload.metric(number.name.as_deref(), &number);
        }
        let payload = payload.finish(None);
        let topic = EntityTopic::death(entity).to_string();
        let kind = AdmittedKind::Message(flags);
        Admitted { source: source.to_owned(), topic, payload, losses, kind }
    }

    /// Bytes of the payload.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// Takes it apart, to be written.
    pub fn into_parts(self) -> AdmittedParts {
        let Admitted { source, topic, payload, losses, kind } = self;
        AdmittedParts { source, topic, payload, losses, kind }
    }
}

//! What the half writes to the journal: entries, and nothing else, as its writer takes no bodies.

use journal_format::{Body, Data, Heartbeat, Keyframe, Relayed, Start};
use journal_write::Writer;
use policy::{Admitted, AdmittedKind, AdmittedParts};

/// The journal of this half. What it takes about the plant is [`Admitted`], which the policy's crate
/// alone can make.
pub(crate) type Journal = Writer<Entry>;

/// An entry for the journal. What it says about the plant was admitted by the policy.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// Who writes, and by which rules.
    Start(Start),
    /// A message of the plant, or a keyframe.
    Plant(Admitted),
    /// The account, and a sign of life.
    Heartbeat(Heartbeat),
}

/// The one place where plant data becomes part of a frame.
impl From<Entry> for Body {
    fn from(entry: Entry) -> Body {
        let admitted = match entry {
            Entry::Start(start) => return Body::Start(start),
            Entry::Heartbeat(heartbeat) => return Body::Heartbeat(heartbeat),
            Entry::Plant(admitted) => admitted,
        };
        let AdmittedParts { source, topic, payload, losses, kind } = admitted.into_parts();
        let (flags, given_aliases) = match kind {
            AdmittedKind::Message(flags) => (flags, Vec::new()),
            AdmittedKind::Birth(flags, given_aliases) => (flags, given_aliases),
            AdmittedKind::Data { flags, timestamp } => {
                return Body::Data(Data {
                    layout: flags.layout,
                    timestamp,
                    received_after: flags.received_ms.wrapping_sub(timestamp).cast_signed(),
                    metrics: payload,
                    loss_before: flags.loss_before,
                    synthetic: flags.synthetic,
                    losses,
                    typed: flags.typed,
                    urgent: flags.urgent,
                    outdated: flags.outdated,
                });
            }
            AdmittedKind::Keyframe {
                uncertain,
                unheard,
                doubts,
                devices,
                given_aliases,
                layout,
            } => {
                return Body::Keyframe(Keyframe {
                    source,
                    topic,
                    payload,
                    uncertain,
                    devices,
                    losses,
                    unheard,
                    doubts,
                    layout,
                    given_aliases,
                });
            }
        };
        Body::Relayed(Relayed {
            source,
            topic,
            payload,
            received_ms: flags.received_ms,
            loss_before: flags.loss_before,
            synthetic: flags.synthetic,
            aliased: flags.aliased,
            typed: flags.typed,
            outdated: flags.outdated,
            urgent: flags.urgent,
            withdrawn: flags.withdrawn.unwrap_or_default().to_owned(),
            losses,
            layout: flags.layout,
            given_aliases,
        })
    }
}

//! What the OT half takes of memory at most, by its configuration.

use sparkplug::footprint::{Term, message_bytes};
use sparkplug::{Budget, Caps};

use crate::connection;
use crate::handoff::QUEUED_BYTES;
use crate::pipeline::WAITING_BYTES;
use crate::worker::PENDING_BYTES;

/// What every half takes: the program, its threads, TLS, the policies of a large plant.
const PROGRAM_BYTES: usize = 48 * 1024 * 1024;

/// What takes memory, and how much at most. What is remembered is charged as the allocator hands it
/// out; what fragments is a term of its own, which is for whoever adds these up.
pub fn worst_case(budget: Budget, caps: &Caps, max_packet_bytes: usize) -> Vec<Term> {
    let Budget { node_bytes, plant_bytes } = budget;
    vec![
        Term { what: "the program", bytes: PROGRAM_BYTES },
        Term { what: "the plant (relay.max-plant-bytes)", bytes: plant_bytes },
        // As it is stored nothing is longer than in memory.
        Term {
            what: "the plant as it is stored, held by the thread that writes",
            bytes: plant_bytes,
        },
        Term { what: "what of it changed, on the way to that thread", bytes: plant_bytes },
        Term {
            what: "births or keyframes of all of it, on the way to the journal",
            bytes: plant_bytes,
        },
        Term {
            what: "one message (broker.max-packet-bytes, limits)",
            bytes: message_bytes(caps).saturating_add(node_bytes.min(plant_bytes)),
        },
        Term {
            what: "messages on their way to the worker",
            bytes: QUEUED_BYTES
                .saturating_add(connection::QUEUE_BYTES)
                .saturating_add(max_packet_bytes.saturating_mul(3)),
        },
        // With the topics of many small ones.
        Term {
            what: "messages that wait for those before them",
            bytes: WAITING_BYTES.saturating_mul(2),
        },
        Term {
            what: "frames that are not in the journal yet",
            bytes: PENDING_BYTES.saturating_add(journal_format::MAX_BODY_BYTES).saturating_mul(2),
        },
    ]
}

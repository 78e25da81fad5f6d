//! What the IT half takes of memory at most, by its configuration.

use sparkplug::footprint::{Term, message_bytes};
use sparkplug::{Budget, Caps};

use crate::connection::{MAX_QUEUED_BYTES, SESSION_BYTES, WAITING_COMMANDS_BYTES};

/// What every half takes: the program, its threads, TLS, the policies of a large plant.
const PROGRAM_BYTES: usize = 48 * 1024 * 1024;

/// What may be held of the layouts that data of the journal is told against. A name takes more than
/// twice as much in the mirror, with what belongs to it.
pub(crate) fn layout_bytes(budget: Budget) -> usize {
    budget.plant_bytes.checked_div(2).unwrap_or(0)
}

/// What takes memory, and how much at most. What is remembered is charged as the allocator hands it
/// out; what fragments is a term of its own, which is for whoever adds these up.
pub fn worst_case(budget: Budget, caps: &Caps, max_nodes: usize) -> Vec<Term> {
    let Budget { node_bytes, plant_bytes } = budget;
    let largest_node = node_bytes.min(plant_bytes);
    vec![
        Term { what: "the program", bytes: PROGRAM_BYTES },
        Term { what: "the mirror (mirror.max-plant-bytes)", bytes: plant_bytes },
        Term { what: "names of its metrics in the journal", bytes: layout_bytes(budget) },
        Term {
            what: "the mirror as it is stored, held by the thread that writes",
            bytes: plant_bytes,
        },
        Term { what: "what of it changed while it is stored", bytes: plant_bytes },
        Term { what: "births of all of it, on the way to the broker", bytes: plant_bytes },
        Term { what: "data on the way to the broker", bytes: MAX_QUEUED_BYTES.saturating_mul(2) },
        Term {
            what: "sessions with the broker (mirror.max-nodes)",
            bytes: max_nodes.saturating_add(1).saturating_mul(SESSION_BYTES),
        },
        Term {
            what: "one frame of the journal (limits)",
            bytes: message_bytes(caps).saturating_add(largest_node),
        },
        Term { what: "commands of hosts that wait to be refused", bytes: WAITING_COMMANDS_BYTES },
    ]
}

//! What an end of a link takes of memory at most, by its configuration.

use config::{ReceiveConfig, SendConfig};
use sparkplug::footprint::Term;

use super::super::memory::complete;

/// Symbols that may wait in a lane of the sending end besides a block and its repair symbols.
const WAITING_SYMBOLS: usize = 256 + 4_096;
/// Readers of the journal: of what is new, and of what goes again at three places.
const READERS: usize = 4;
/// What is remembered of what was sent and may go again: two lists of stretches.
const SECOND_PASS_BYTES: usize = 8 * 1024 * 1024;
/// Both directions of both lanes.
const LANES: usize = 2;
/// What the journal may not have written yet, above which nothing more is read.
const PENDING_BYTES: usize = 32 * 1024 * 1024;
/// The system keeps twice what is asked for.
const BUFFER_FACTOR: usize = 2;

/// The terms of a sending end.
pub(super) fn of_send(config: &SendConfig) -> Vec<Term> {
    let options = &config.options;
    let blocks = &options.blocks;
    let repair = blocks.repair_symbols(blocks.symbols);
    let symbols = blocks.symbols.saturating_add(repair).saturating_add(WAITING_SYMBOLS);
    let symbols = symbols.saturating_mul(options.datagram_bytes).saturating_mul(LANES);
    let frame = config.max_frame_bytes;
    let terms = vec![
        Term {
            what: "the largest frame, read at each place of the journal (link.max-frame-bytes)",
            bytes: frame.saturating_mul(READERS),
        },
        Term {
            what: "and on its way in both lanes",
            bytes: frame.saturating_mul(LANES).saturating_mul(2),
        },
        Term { what: "blocks with their repair symbols (repair.block-symbols)", bytes: symbols },
        Term { what: "what may go again (second-pass)", bytes: SECOND_PASS_BYTES },
    ];
    complete(terms, &config.syslog, &[])
}

/// The terms of a receiving end.
pub(super) fn of_receive(config: &ReceiveConfig) -> Vec<Term> {
    let options = &config.options;
    let frame = options.max_frame_bytes;
    let terms = vec![
        Term {
            what: "open blocks, and what waits behind holes, of both lanes (repair.max-bytes)",
            bytes: options.max_bytes.saturating_mul(LANES).saturating_mul(2),
        },
        Term {
            what: "the largest frame on its way in both lanes (link.max-frame-bytes)",
            bytes: frame.saturating_mul(LANES).saturating_mul(2),
        },
        Term {
            what: "what the journal hasn't written yet",
            bytes: PENDING_BYTES.saturating_add(frame),
        },
        Term {
            what: "what the sockets hold (link.receive-buffer-bytes)",
            bytes: config
                .buffer_bytes
                .saturating_mul(BUFFER_FACTOR)
                .saturating_mul(config.paths.len()),
        },
    ];
    complete(terms, &config.syslog, &[])
}

//! What is counted of the mirrored nodes is what the process takes: each kind of plant is made in a
//! process of its own, up to the budget, and the kernel is asked what that has grown by.

use std::time::Duration;

use account::Reason;
use journal_format::{Body, Frame, Relayed};
use journal_read::Item;
use prost::Message;
use sparkplug::bulky::{self, Kind, resident};
use sparkplug::{Budget, Payload};

use super::world::{WALL, bd_seq, settings};
use crate::mirror::{Mirror, MirrorSettings, Now, Outgoing, SessionEvent};

/// What is remembered at most.
const BUDGET: usize = 32 * 1024 * 1024;

/// Bytes that are counted, and by which the process has grown.
fn fill(kind: Kind) -> (usize, usize) {
    let budget = Budget { node_bytes: BUDGET, plant_bytes: BUDGET };
    let settings = MirrorSettings { budget, max_nodes: 100_000, backfill: false, ..settings() };
    let now = Now { mono: Duration::from_secs(1), wall_ms: WALL };
    let mut mirror = Mirror::new(settings, None);
    mirror.caught_up();
    let before = resident();
    let mut seq = 0;
    for node in 0..100_000 {
        let (born, data) = kind(node);
        let messages = [("NBIRTH", [vec![bd_seq(0)], born].concat()), ("NDATA", data)];
        for (verb, metrics) in messages {
            let payload = Payload { timestamp: Some(WALL), metrics, ..Payload::default() };
            let body = Some(Body::Relayed(Relayed {
                topic: format!("spBv1.0/G/{verb}/N{node}"),
                payload: payload.encode_to_vec(),
                received_ms: WALL,
                ..Relayed::default()
            }));
            let frame =
                Frame { seq, epoch: 1, appended_ms: WALL, body, in_head: false, layout: None };
            seq += 1;
            mirror.handle_item(now, Item::Frame(frame));
            while let Some(outgoing) = mirror.poll_outgoing() {
                if let Outgoing::Open { node, .. } = outgoing {
                    mirror.handle_session(now, node, SessionEvent::Ready);
                }
            }
            while mirror.poll_notice().is_some() {}
        }
        if mirror.account().dropped(Reason::OverMemory) > 0 {
            break;
        }
    }
    (mirror.nodes.bytes, resident().saturating_sub(before))
}

/// Not a test: it is run in a process of its own, and tells what it found.
#[test]
#[ignore = "run by the one below"]
fn fill_one_kind() {
    bulky::fill_one_kind(fill);
}

#[test]
fn what_is_counted_is_what_the_process_takes() {
    bulky::is_what_the_process_takes("mirror::tests::footprint::fill_one_kind", BUDGET);
}

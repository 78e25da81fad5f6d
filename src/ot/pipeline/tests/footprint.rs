//! What is counted of the plant is what the process takes: each kind of plant is made in a process of
//! its own, up to the budget, and the kernel is asked what that has grown by.

use prost::Message;
use sparkplug::bulky::{self, Kind, resident};
use sparkplug::{Budget, Caps, Payload};

use super::bench::{bd_seq, policy, settings};
use crate::{Now, Pipeline, PipelineSettings, Received};

/// What is remembered at most.
const BUDGET: usize = 48 * 1024 * 1024;

/// Opens tables, too.
const TABLES: &str = r#"
    [[rule]]
    name = "all"
    action = "forward"
    topic = "spBv1.0/+/+/#"
    [rule.shape]
    columns = ["*"]
"#;

fn fill(kind: Kind) -> (usize, usize) {
    let budget = Budget { node_bytes: BUDGET, plant_bytes: BUDGET };
    let settings =
        PipelineSettings { budget, max_nodes: 100_000, caps: Caps::default(), ..settings() };
    let now = Now::default();
    let mut pipeline = Pipeline::new(settings, policy(TABLES), now);
    pipeline.session(now, false);
    let before = resident();
    let mut out = Vec::new();
    for node in 0..100_000 {
        let (born, data) = kind(node);
        let messages = [("NBIRTH", [vec![bd_seq(0)], born].concat(), 0), ("NDATA", data, 1)];
        for (verb, metrics, seq) in messages {
            let payload =
                Payload { timestamp: Some(1), seq: Some(seq), metrics, ..Payload::default() };
            let (topic, payload) = (format!("spBv1.0/G/{verb}/N{node}"), payload.encode_to_vec());
            let received = Received {
                topic: &topic,
                payload: &payload,
                retain: false,
                dup: false,
                assured: false,
            };
            pipeline.handle(now, received, &mut out);
            out.clear();
        }
        if pipeline.account().dropped(account::Reason::OverMemory) > 0 {
            break;
        }
    }
    (pipeline.remembered_bytes(), resident().saturating_sub(before))
}

/// Not a test: it is run in a process of its own, and tells what it found.
#[test]
#[ignore = "run by the one below"]
fn fill_one_kind() {
    bulky::fill_one_kind(fill);
}

#[test]
fn what_is_counted_is_what_the_process_takes() {
    bulky::is_what_the_process_takes("pipeline::tests::footprint::fill_one_kind", BUDGET);
}

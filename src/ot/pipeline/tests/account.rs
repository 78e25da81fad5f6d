//! The conservation account over many nodes: whatever comes, every message is counted once, under
//! the node that it names, and total, nodes and rules agree. Counted again here, by hand.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use prost::Message;
use sparkplug::{DataType, Payload, Value};

use super::bench::{policy, settings, typed};
use crate::Now;
use crate::pipeline::{Pipeline, PipelineSettings, Received};

const POLICIES: [&str; 3] = [
    "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\nedge-node = [\"N0\", \"N1\"]\n\
     [rule.rate]\nmessages-per-s = 1\n",
    "[[rule]]\nname = \"a\"\naction = \"deny\"\ngroup = \"G\"\ndeny-metrics = [\"m1\"]\n\
     [[rule]]\nname = \"b\"\naction = \"forward\"\ngroup = \"*\"\nallow-metrics = [\"m0\", \"m1\"]\n",
    "",
];
const VERBS: [&str; 9] =
    ["NBIRTH", "NDATA", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH", "NCMD", "NRECORD"];

/// Node, verb, metrics, and what else happens: a reload, a tick, a payload that is none.
type Step = (usize, usize, Vec<usize>, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec((0_usize..6, 0..VERBS.len(), vec(0_usize..3, 0..4), any::<u8>()), 0..200)
}

proptest! {
    #[test]
    fn every_message_has_one_fate_in_every_view(
        max_nodes in 1_usize..8, first in 0..POLICIES.len(), steps in steps(),
    ) {
        let mut now = Now { mono: std::time::Duration::from_secs(9), wall_ms: 1_795_354_043_000 };
        let settings = PipelineSettings { max_nodes, ..settings() };
        let mut pipeline = Pipeline::new(settings, policy(POLICIES[first]), now);
        let mut out = Vec::new();
        let mut sent: u64 = 0;
        // By node, since the message with which the pipeline came to know it.
        let mut of_node: BTreeMap<usize, u64> = BTreeMap::new();
        for (node, verb, metrics, also) in steps {
            let verb = VERBS[verb];
            let device = if verb.starts_with('D') { "/D" } else { "" };
            let topic = format!("spBv1.0/G/{verb}/N{node}{device}");
            let metrics = metrics
                .into_iter()
                .map(|number| typed(&format!("m{number}"), DataType::Int32, Value::Int(1)))
                .collect();
            let mut payload =
                Payload { timestamp: Some(now.wall_ms), metrics, ..Payload::default() }
                    .encode_to_vec();
            if also % 16 == 0 {
                payload = b"\xff\xff".to_vec();
            }
            let known = of_node.contains_key(&node);
            let received = Received {
                topic: &topic, payload: &payload, retain: false, dup: also % 32 == 1, assured: true,
            };
            pipeline.handle(now, received, &mut out);
            sent += 1;
            let is_command = verb == "NCMD" || verb == "NRECORD";
            let bears = verb == "NBIRTH" && also % 16 != 0;
            if !is_command && (known || bears) {
                *of_node.entry(node).or_default() += 1;
            }
            if also % 8 == 2 {
                now.mono += std::time::Duration::from_millis(700);
                pipeline.tick(now, &mut out);
            }
            if also % 32 == 3 {
                pipeline.reload(now, policy(POLICIES[usize::from(also / 64) % 3]), &mut out);
            }
            out.clear();
            prop_assert_eq!(pipeline.check_account(), Ok(()), "after {}", topic);
        }
        let ledger = pipeline.ledger();
        prop_assert_eq!(ledger.total().received, sent);
        let mut of_nodes = 0;
        for node in pipeline.nodes() {
            let account = ledger.node(node.slot).unwrap();
            of_nodes += account.received;
            let number: usize = node.entity.edge_node[1..].parse().unwrap();
            let by_hand = of_node.get(&number).copied().unwrap_or(0);
            if max_nodes >= 6 {
                prop_assert_eq!(account.received, by_hand, "{}", node.entity);
            } else {
                // What it had before it gave way to another is with the others.
                prop_assert!(account.received <= by_hand, "{}", node.entity);
            }
        }
        prop_assert_eq!(of_nodes + ledger.others().received, sent);
    }
}

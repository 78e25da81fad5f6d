//! What hostile edge nodes can't make the pipeline do: grow, flood, or shut others out.

use account::Reason;
use prost::Message;
use sparkplug::{DataType, Metric, Payload, Template, Value};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, payload, relayed, typed, verbs,
};
use crate::Received;

const LONG_NAME: usize = 60_000;

/// What the envelope of a frame may have at most.
const MAX_BODY_BYTES: usize = 4 << 20;

fn number(name: &str) -> Metric {
    typed(name, DataType::Int8, Value::Int(1))
}

#[test]
fn an_alias_repeated_a_thousand_times_makes_no_frame_that_the_journal_refuses() {
    let mut bench = Bench::new(ALL);
    let name = "n".repeat(LONG_NAME);
    bench.node("NBIRTH", vec![bd_seq(0), aliased(&name, 1, DataType::Int8, Value::Int(1))]);
    let metrics = (0..1_000).map(|_| by_alias(1, Value::Int(1))).collect();
    let frames = bench.node("NDATA", metrics);
    assert_eq!(verbs(&frames), "NDATA");
    assert!(frames[0].encoded_len() < MAX_BODY_BYTES);
    let told = payload(&frames[0]).metrics.len();
    let left_out = bench.dropped_metrics(Reason::OverCap);
    assert_eq!(told as u64 + left_out, 1_000, "each metric is told or counted");
    assert!(told > 10 && left_out > 10, "{told} told, {left_out} left out");
}

#[test]
fn a_birth_that_no_frame_holds_is_counted_and_its_entity_stays_dead() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(0), number("x")]);
    // Each of them fits into a packet; the birth that has all of them doesn't fit into a frame.
    for metric in 0..100 {
        let name = format!("{metric}{}", "n".repeat(LONG_NAME));
        bench.node("NDATA", vec![number(&name)]);
        bench.pass(1_100);
        bench.tick();
    }
    let frames = bench.journal.iter().filter(|body| body_bytes(body) > MAX_BODY_BYTES);
    assert_eq!(frames.count(), 0);
    // Readers were told that the node is dead, rather than left with an old snapshot.
    let all = bench.journal.clone();
    assert_eq!(verbs(&relayed(&all)).split(' ').filter(|verb| *verb == "NDEATH").count(), 1);
}

fn body_bytes(body: &journal_format::Body) -> usize {
    body.encoded_len()
}

fn definition(name: &str) -> Metric {
    let template = Template { is_definition: Some(true), ..Template::default() };
    typed(name, DataType::Template, Value::Template(Box::new(template)))
}

fn instance(name: &str, reference: &str) -> Metric {
    let template = Template { template_ref: Some(reference.into()), ..Template::default() };
    typed(name, DataType::Template, Value::Template(Box::new(template)))
}

#[test]
fn device_births_that_change_the_types_make_few_node_births() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(0), definition("T"), number("x")]);
    for round in 0..20 {
        let metric = if round % 2 == 0 { instance("i", "T") } else { number("i") };
        bench.node("DBIRTH/D", vec![metric]);
    }
    let births = verbs(&relayed(&bench.journal)).matches("NBIRTH").count();
    assert!(births <= 3, "{births} NBIRTHs in one instant");
    bench.pass(1_500);
    bench.tick();
    let last = relayed(&bench.journal);
    assert!(last.iter().any(|relayed| relayed.topic.ends_with("DBIRTH/E/D")));
    assert_eq!(bench.pipeline.check_account(), Ok(()));
    assert_eq!(bench.pipeline.account().waiting, 0);
}

#[test]
fn nodes_that_no_rule_forwards_do_not_take_the_room_of_others() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "ours"
        action = "forward"
        group = "G*"
    "#,
    );
    for node in 0..8 {
        let birth = Payload { seq: Some(0), metrics: vec![bd_seq(0)], ..Payload::default() };
        assert!(bench.send(&format!("spBv1.0/Other/NBIRTH/E{node}"), &birth).is_empty());
    }
    assert_eq!(bench.node("NBIRTH", vec![bd_seq(0)]).len(), 1);
}

#[test]
fn numbers_to_and_fro_stay_cheap() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(0)]);
    let mut out = Vec::new();
    for round in 0..20_000_u64 {
        let seq = Some(if round % 2 == 0 { 128 } else { 0 });
        let data = Payload { seq, timestamp: Some(round), ..Payload::default() }.encode_to_vec();
        let received = Received {
            topic: "spBv1.0/G/NDATA/E",
            payload: &data,
            retain: false,
            dup: false,
            assured: false,
        };
        bench.pipeline.handle(bench.now, received, &mut out);
    }
    assert_eq!(bench.pipeline.check_account(), Ok(()));
}

#[test]
fn a_metric_born_late_under_a_rate_limit_is_told_in_the_end() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "slow"
        action = "forward"
        group = "G"
        rate = { messages-per-s = 1, burst-messages = 1 }
    "#,
    );
    bench.node("NBIRTH", vec![bd_seq(0), number("x")]);
    bench.node("NDATA", vec![by_name("x", Value::Int(2))]);
    bench.node("NDATA", vec![number("late")]);
    for _ in 0..5 {
        bench.pass(1_500);
        bench.tick();
    }
    assert!(bench.leaks("late"), "its value was never told");
}

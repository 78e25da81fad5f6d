//! A storm of refused messages: a hundred thousand per second for ten seconds, on a virtual
//! clock, through the pipeline and the log as a half has them.

use std::collections::BTreeMap;
use std::sync::Arc;

use account::Reason;
use sparkplug::{DataType, Value};
use telemetry::capture::{LogClock, capture_limited};
use telemetry::{Event, Record};

use super::bench::{Bench, bd_seq, typed};
use crate::pipeline::Received;

const PER_MS: u64 = 100;
const LENGTH_MS: u64 = 10_000;
const MESSAGES: u64 = PER_MS * LENGTH_MS;
/// What the page of events promises of a window: lines of a kind, and its summaries.
const LINES: usize = 50;
const SUMMARIES: usize = 9;
/// The same for a kind whose events have no source.
const LINES_OF_A_KIND: usize = 10;

/// One rule, so that something is dropped by default deny too.
const LINE: &str = "[[rule]]\nname = \"line\"\naction = \"forward\"\ngroup = \"G\"\nedge-node = [\"E\", \"Ghost*\"]\n";

/// Sends a storm of `message` (topic and payload of the message with this number) and returns
/// what a target that takes nothing meanwhile has got in the end. Nothing may be lost in its
/// queue: it is as small as the documented number of lines allows.
fn storm(
    queue_lines: usize,
    message: impl Fn(u64) -> (String, &'static [u8]),
) -> (Bench, Vec<Arc<Record>>) {
    let mut bench = Bench::new(LINE);
    bench.node("NBIRTH", vec![bd_seq(0), typed("a", DataType::Int32, Value::Int(1))]);
    let (lines, lost) = capture_limited(queue_lines, |clock: &LogClock| {
        let mut out = Vec::new();
        for number in 0..MESSAGES {
            let (topic, payload) = message(number);
            let received =
                Received { topic: &topic, payload, retain: false, dup: false, assured: false };
            bench.pipeline.handle(bench.now, received, &mut out);
            if number % PER_MS == PER_MS - 1 {
                bench.pass(1);
                clock.pass(1);
            }
        }
        bench.pipeline.finish_waiting(bench.now, &mut out);
        assert_eq!(out, [], "something of a storm of refused messages was journalled");
    });
    assert_eq!(lost, 0, "more lines than documented: {lines:#?}");
    let account = bench.pipeline.account();
    assert_eq!(account.received, MESSAGES + 1);
    assert_eq!((account.forwarded, account.waiting), (1, 0));
    assert_eq!(bench.pipeline.check_account(), Ok(()));
    (bench, lines)
}

/// Lines of each kind of event, and how often it happened by what these lines say.
fn totals(lines: &[Arc<Record>]) -> BTreeMap<Event, (usize, u64)> {
    let mut totals: BTreeMap<Event, (usize, u64)> = BTreeMap::new();
    for line in lines {
        let repeated = line.fields.iter().find(|(name, _)| *name == "repeated");
        let times = repeated.map_or(1, |(_, value)| value.parse().unwrap());
        let (lines, total) = totals.entry(line.event).or_default();
        *lines += 1;
        *total += times;
    }
    totals
}

#[test]
fn a_million_refused_commands_of_one_source_are_a_line_and_one_with_the_exact_number() {
    let topic = "spBv1.0/G/NCMD/E".to_owned();
    let (bench, lines) = storm(16, |_| (topic.clone(), b"\x18\x01"));
    assert_eq!(bench.dropped(Reason::Command), MESSAGES);
    assert_eq!(totals(&lines), [(Event::PolicyDrop, (2, MESSAGES))].into());
    let last = lines.last().unwrap().message();
    assert!(
        last.starts_with("repeated 999,999 times in 10 s, first 1970-01-01T00:00:00.000Z, last")
    );
    assert!(last.contains("node=G/E reason=command repeated=999999 window_s=10 "), "{last}");
}

#[test]
fn a_million_messages_of_every_refused_kind_and_of_invented_nodes_are_the_documented_lines() {
    let (bench, lines) = storm(256, |number| match number % 5 {
        0 => (format!("spBv1.0/G/NCMD/E{}", number % 7), b"\x18\x01"),
        1 => (format!("spBv1.0/G/NDATA/Ghost{number}"), b"\x18\x01"),
        2 => ("spBv1.0/G/NDATA/E".to_owned(), b"\xff\xff"),
        3 => (format!("spBv1.0/Else/NBIRTH/Node{number}"), b"\x18\x01"),
        _ => (format!("spBv1.0/no{number}"), b""),
    });
    let each = MESSAGES / 5;
    for reason in [
        Reason::Command,
        Reason::DataBeforeBirth,
        Reason::MalformedPayload,
        Reason::NoRule,
        Reason::MalformedTopic,
    ] {
        assert_eq!(bench.dropped(reason), each, "{reason:?}");
    }
    let totals = totals(&lines);
    let wanted = [
        (Event::PolicyDrop, LINES + SUMMARIES, 2 * each),
        (Event::BirthMissing, LINES + SUMMARIES, each),
        (Event::PayloadRefused, LINES + SUMMARIES, each),
        (Event::TopicRefused, LINES_OF_A_KIND + 1, each),
    ];
    assert_eq!(totals.len(), wanted.len(), "{totals:?}");
    for (event, at_most, times) in wanted {
        let (lines, total) = totals[&event];
        assert!(lines <= at_most, "{event:?}: {lines} lines");
        assert_eq!(total, times, "{event:?}");
    }
    assert_eq!(totals.values().map(|(_, total)| total).sum::<u64>(), MESSAGES);
}

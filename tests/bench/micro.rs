//! Decode, judge and re-encode without network and disk: the pipeline of the OT half and the
//! mirror of the IT half through their public interfaces.

use std::hint::black_box;
use std::time::Duration;

use diagnostic::SourceFile;
use it::mirror::{self, Aliases, Mirror, MirrorSettings, OnGap, Outgoing, Qos, SessionEvent};
use journal_format::{Body, Frame, Heartbeat, Layouts};
use journal_read::Item;
use ot::{Now, Pipeline, PipelineSettings, Received};
use policy::Policy;
use serde_json::{Value, json};
use sparkplug::{Budget, Caps, DataType, Entity};

use crate::clock::thread_cpu;
use crate::options::Options;
use crate::plant::{self, Data};
use crate::statistics::{median, ratio};
use crate::table;

/// Metrics between two looks at the clock, roughly.
const CHUNK_METRICS: usize = 10_000;
/// Rules of the small and the large policy.
const RULES: [usize; 2] = [10, 10_000];
/// Data that both halves are measured with.
const DATA: [(usize, bool); 4] = [(10, true), (10, false), (100, true), (100, false)];
/// Metrics of the births.
const BIRTHS: [usize; 2] = [100, 500];

/// What a rule says, by its number.
type RuleOf = fn(usize) -> String;

/// Policies whose rules are all about the one node that is born; each rule is made of its number.
const SHAPES: [(&str, RuleOf); 4] = [
    ("a name each", |rule| format!("group = \"Plant1\"\nallow-metrics = \"M{rule}/v\"")),
    ("globs each", |rule| {
        format!("group = \"Plant1\"\nallow-metrics = [\"M{rule}/**\", \"**/X{rule}*\"]")
    }),
    ("globs with one beginning", |rule| {
        format!("group = \"Plant1\"\nallow-metrics = [\"M*/**/Y{rule}\", \"M{rule}/*\"]")
    }),
    ("selectors of its own", |rule| {
        format!(
            "group = [\"Plant1\", \"P{rule}\"]\nallow-metrics = [\"M{rule}/**\", \"**/X{rule}\"]"
        )
    }),
];

/// One thing that is measured again and again.
struct Variant {
    name: String,
    metrics: usize,
    /// Messages between two looks at the clock.
    messages: usize,
    /// Handles this many messages and returns what the meter says.
    chunk: Box<dyn FnMut(usize, Meter) -> u64>,
    ns_per_metric: Vec<f64>,
    allocations: f64,
}

/// What is measured of a chunk.
#[derive(Clone, Copy)]
enum Meter {
    /// CPU time in nanoseconds.
    Time,
    Allocations,
}

impl Meter {
    fn of(self, work: impl FnOnce()) -> u64 {
        match self {
            Meter::Time => {
                let begin = thread_cpu();
                work();
                u64::try_from((thread_cpu() - begin).as_nanos()).unwrap()
            }
            Meter::Allocations => allocation_counter::measure(work).count_total,
        }
    }
}

pub(crate) fn run(options: &Options) -> Value {
    let mut variants = Vec::new();
    for rules in RULES {
        for (metrics, aliases) in DATA {
            variants.push(ot_data(rules, metrics, aliases));
        }
        variants.extend(BIRTHS.map(|metrics| ot_birth(rules, metrics)));
    }
    variants.extend(SHAPES.map(|(name, rule)| plan(name, rule)));
    for aliases in [Aliases::Never, Aliases::Always] {
        variants.extend([10, 100].map(|metrics| it_data(metrics, aliases)));
    }
    variants.extend(BIRTHS.map(it_birth));
    variants.retain(|variant| options.wants_case(&variant.name));
    for variant in &mut variants {
        // Twice: the second is the steady state, with all buffers grown.
        (variant.chunk)(variant.messages, Meter::Allocations);
        let allocations = (variant.chunk)(variant.messages, Meter::Allocations);
        variant.allocations = allocations as f64 / variant.messages as f64;
    }
    // Short turns, many of them: the machine's moods hit all variants alike.
    let turns = (options.rounds * 5).max(5);
    let turn = u64::try_from(options.stretch.as_nanos()).unwrap() / 30;
    for _ in 0..turns {
        for variant in &mut variants {
            let (mut took, mut metrics) = (0, 0);
            while took < turn {
                took += (variant.chunk)(variant.messages, Meter::Time);
                metrics += variant.messages * variant.metrics;
            }
            variant.ns_per_metric.push(took as f64 / metrics as f64);
        }
    }
    bytes_of_data();
    report(&variants)
}

fn report(variants: &[Variant]) -> Value {
    let ns = |variant: &Variant| median(variant.ns_per_metric.iter().copied());
    let best = |variant: &Variant| {
        variant.ns_per_metric.iter().copied().min_by(f64::total_cmp).unwrap_or(0.0)
    };
    let rows: Vec<Vec<String>> = variants
        .iter()
        .map(|variant| {
            let messages_per_s = 1e9 / (ns(variant) * variant.metrics as f64);
            vec![
                variant.name.clone(),
                table::number(ns(variant)),
                table::number(best(variant)),
                table::number(messages_per_s),
                table::number(variant.allocations),
            ]
        })
        .collect();
    table::print(
        "micro: one core, no network, no disk",
        &["", "ns/metric", "best", "messages/s", "allocations/message"],
        &rows,
    );
    let of = |name: String| variants.iter().find(|variant| variant.name == name).map_or(0.0, ns);
    for (metrics, aliases) in DATA {
        let few = of(ot_name(RULES[0], metrics, aliases));
        let many = of(ot_name(RULES[1], metrics, aliases));
        if few == 0.0 || many == 0.0 {
            continue;
        }
        let name = if aliases { "alias" } else { "name" };
        println!(
            "  10,000 rules against 10, {metrics} metrics by {name}: {}",
            table::times(ratio(many, few))
        );
    }
    let json = variants.iter().map(|variant| {
        json!({
            "name": variant.name, "metrics": variant.metrics, "ns_per_metric": ns(variant),
            "ns_per_metric_best": best(variant), "ns_per_metric_rounds": variant.ns_per_metric,
            "allocations_per_message": variant.allocations,
        })
    });
    Value::Array(json.collect())
}

fn ot_name(rules: usize, metrics: usize, aliases: bool) -> String {
    let by = if aliases { "alias" } else { "name" };
    format!("OT: {metrics} metrics by {by}, {rules} rules")
}

fn ot_data(rules: usize, metrics: usize, aliases: bool) -> Variant {
    let mut pipeline = pipeline(rules);
    let mut out = Vec::new();
    let birth = plant::birth(metrics, aliases, NOW_MS);
    let birth_topic = plant::topic("NBIRTH", &plant::edge_node(0));
    pipeline.handle(now(), received(&birth_topic, &birth), &mut out);
    assert_eq!(out.len(), 1, "the birth is journalled");
    out.clear();
    let topic = plant::topic("NDATA", &plant::edge_node(0));
    let mut data = Data::new(metrics, aliases);
    let mut seq = 1_u8;
    let mut stamp = 0;
    let chunk = move |messages: usize, meter: Meter| {
        let payloads: Vec<Vec<u8>> = (0..messages)
            .map(|_| {
                seq = seq.wrapping_add(1);
                stamp += 1;
                data.fill(NOW_MS, stamp, seq.wrapping_sub(1)).to_vec()
            })
            .collect();
        let took = meter.of(|| {
            for payload in &payloads {
                pipeline.handle(now(), received(&topic, payload), &mut out);
                black_box(&out);
                out.clear();
            }
        });
        let account = pipeline.account();
        assert_eq!(account.received, account.forwarded, "{account:?}");
        took
    };
    variant(ot_name(rules, metrics, aliases), metrics, chunk)
}

fn ot_birth(rules: usize, metrics: usize) -> Variant {
    let mut pipeline = pipeline(rules);
    let mut out = Vec::new();
    let birth = plant::birth(metrics, true, NOW_MS);
    let topic = plant::topic("NBIRTH", &plant::edge_node(0));
    let chunk = move |messages: usize, meter: Meter| {
        meter.of(|| {
            for _ in 0..messages {
                pipeline.handle(now(), received(&topic, &birth), &mut out);
                black_box(&out);
                out.clear();
            }
        })
    };
    let name = format!("OT: birth of {metrics} metrics, {rules} rules");
    variant(name, metrics, chunk)
}

/// Choosing among 10,000 rules for one node, and 500 verdicts.
fn plan(name: &str, rule: RuleOf) -> Variant {
    let rules = RULES[1];
    let text: String = (0..rules)
        .map(|number| {
            let about = rule(number);
            format!("[[rule]]\nname = \"r{number}\"\naction = \"forward\"\n{about}\n\n")
        })
        .collect();
    let policy = parse(text);
    let metrics: Vec<String> = (9_400..9_900).map(|number| format!("M{number}/v")).collect();
    let names = metrics.clone();
    let chunk = move |messages: usize, meter: Meter| {
        meter.of(|| {
            for _ in 0..messages {
                let plan = policy.plan(Entity::node("Plant1", "Line1"));
                for name in &names {
                    let _ = black_box(plan.judge(name, Some(DataType::Float)));
                }
            }
        })
    };
    variant(format!("OT: plan of 500 metrics, {rules} rules: {name}"), metrics.len(), chunk)
}

fn it_data(metrics: usize, aliases: Aliases) -> Variant {
    let mut mirror = mirror_with_node(metrics, aliases);
    let mut ot = pipeline(1);
    let mut out = Vec::new();
    let birth = plant::birth(metrics, true, NOW_MS);
    ot.handle(now(), received(&plant::topic("NBIRTH", &plant::edge_node(0)), &birth), &mut out);
    let mut layouts = Layouts::new(usize::MAX);
    out.drain(..).for_each(|entry| layouts.learn(&entry.into()));
    let topic = plant::topic("NDATA", &plant::edge_node(0));
    let mut data = Data::new(metrics, true);
    let mut seq = 0_u8;
    let mut stamp = 0;
    let mut frame_seq = 10;
    let chunk = move |messages: usize, meter: Meter| {
        out.clear();
        for _ in 0..messages {
            seq = seq.wrapping_add(1);
            stamp += 1;
            ot.handle(now(), received(&topic, data.fill(NOW_MS, stamp, seq)), &mut out);
        }
        let items: Vec<Item> = out
            .drain(..)
            .map(|entry| {
                frame_seq += 1;
                let Item::Frame(frame) = item(frame_seq, entry.into()) else { unreachable!() };
                Item::Frame(frame.after(&mut layouts, None).expect("data has its layout"))
            })
            .collect();
        let mut published = 0;
        let took = meter.of(|| {
            for item in items {
                mirror.handle_item(mirror_now(), item);
                while let Some(outgoing) = mirror.poll_outgoing() {
                    published += 1;
                    black_box(outgoing);
                }
            }
        });
        assert_eq!(published, messages);
        took
    };
    let by = if aliases == Aliases::Never { "" } else { " by alias" };
    variant(format!("IT: {metrics} metrics{by}"), metrics, chunk)
}

/// What data takes on the way from the plant to IT, by names and by aliases.
fn bytes_of_data() {
    let mut rows = Vec::new();
    for (by_alias, aliases) in [
        (false, Aliases::Never),
        (false, Aliases::Always),
        (true, Aliases::Never),
        (true, Aliases::Always),
    ] {
        for metrics in [1, 10, 100] {
            let mut ot = pipeline(1);
            let mut mirror = mirror_with_node(metrics, aliases);
            let mut out = Vec::new();
            let edge_node = plant::edge_node(0);
            let birth = plant::birth(metrics, by_alias, NOW_MS);
            ot.handle(now(), received(&plant::topic("NBIRTH", &edge_node), &birth), &mut out);
            let mut layouts = Layouts::new(usize::MAX);
            out.drain(..).for_each(|entry| layouts.learn(&entry.into()));
            let mut data = Data::new(metrics, by_alias);
            let sent = data.fill(NOW_MS, 1, 1).to_vec();
            ot.handle(now(), received(&plant::topic("NDATA", &edge_node), &sent), &mut out);
            let Item::Frame(frame) = item(10, out.pop().unwrap().into()) else { unreachable!() };
            let frame = frame.after(&mut layouts, None).expect("data has its layout");
            mirror.handle_item(mirror_now(), Item::Frame(frame));
            let Some(Outgoing::Publish { payload, .. }) = mirror.poll_outgoing() else {
                panic!("no data");
            };
            let word = |is_alias| if is_alias { "aliases" } else { "names" };
            let per_metric = |bytes: usize| table::number(bytes as f64 / metrics as f64);
            rows.push(vec![
                format!(
                    "{metrics} metrics, {} to {}",
                    word(by_alias),
                    word(aliases == Aliases::Always)
                ),
                per_metric(sent.len()),
                per_metric(payload.len()),
                table::times(ratio(payload.len() as f64, sent.len() as f64)),
            ]);
        }
    }
    let heads = ["", "plant, B/metric", "IT, B/metric", "ratio"];
    table::print("micro: what data takes", &heads, &rows);
}

fn it_birth(metrics: usize) -> Variant {
    let mut mirror = mirror_with_node(metrics, Aliases::Never);
    let birth = birth_body(metrics);
    let mut frame_seq = 10;
    let chunk = move |messages: usize, meter: Meter| {
        let items: Vec<Item> = (0..messages)
            .map(|_| {
                frame_seq += 1;
                item(frame_seq, birth.clone())
            })
            .collect();
        let mut published = 0;
        let took = meter.of(|| {
            for item in items {
                mirror.handle_item(mirror_now(), item);
                while let Some(outgoing) = mirror.poll_outgoing() {
                    published += 1;
                    black_box(outgoing);
                }
            }
        });
        assert_eq!(published, messages);
        took
    };
    variant(format!("IT: birth of {metrics} metrics"), metrics, chunk)
}

/// A mirror with one node of this many metrics that is born on IT.
fn mirror_with_node(metrics: usize, aliases: Aliases) -> Mirror {
    let settings = MirrorSettings {
        stale_after: Duration::from_secs(3_600),
        on_gap: OnGap::Mark,
        rebirth_min_interval: Duration::ZERO,
        primary_host: None,
        confirm_every: Duration::from_secs(3_600),
        data_qos: Qos::AtMostOnce,
        data_datatypes: it::mirror::DataDatatypes::AsPlant,
        aliases,
        fold: None,
        compress_births_above: None,
        max_nodes: 10,
        max_devices_per_node: 10,
        budget: Budget::UNLIMITED,
        backfill: true,
        caps: Caps::default(),
    };
    let mut mirror = Mirror::new(settings, None);
    mirror.caught_up();
    let heartbeat = Heartbeat { ot_connected: true, ..Heartbeat::default() };
    mirror.handle_item(mirror_now(), item(1, Body::Heartbeat(heartbeat)));
    mirror.handle_item(mirror_now(), item(2, birth_body(metrics)));
    let opened = mirror.poll_outgoing();
    let Some(Outgoing::Open { node, .. }) = opened else { panic!("no session: {opened:?}") };
    mirror.handle_session(mirror_now(), node, SessionEvent::Ready);
    let born = mirror.poll_outgoing();
    assert!(matches!(born, Some(Outgoing::Publish { .. })), "no birth: {born:?}");
    while mirror.poll_notice().is_some() {}
    mirror
}

/// The birth of a node as the OT half journals it.
fn birth_body(metrics: usize) -> Body {
    let mut out = Vec::new();
    let topic = plant::topic("NBIRTH", &plant::edge_node(0));
    let birth = plant::birth(metrics, true, NOW_MS);
    pipeline(1).handle(now(), received(&topic, &birth), &mut out);
    out.pop().unwrap().into()
}

fn item(seq: u64, body: Body) -> Item {
    Item::Frame(Frame {
        seq,
        epoch: 1,
        appended_ms: NOW_MS,
        body: Some(body),
        in_head: false,
        layout: None,
    })
}

fn variant(
    name: String,
    metrics: usize,
    chunk: impl FnMut(usize, Meter) -> u64 + 'static,
) -> Variant {
    let chunk = Box::new(chunk);
    Variant {
        name,
        metrics,
        messages: (CHUNK_METRICS / metrics).max(10),
        chunk,
        ns_per_metric: Vec::new(),
        allocations: 0.0,
    }
}

const NOW_MS: u64 = 1_800_000_000_000;

fn now() -> Now {
    Now { mono: Duration::from_secs(10), wall_ms: NOW_MS }
}

fn mirror_now() -> mirror::Now {
    mirror::Now { mono: Duration::from_secs(10), wall_ms: NOW_MS }
}

fn received<'a>(topic: &'a str, payload: &'a [u8]) -> Received<'a> {
    Received { topic, payload, retain: false, dup: false, assured: false }
}

fn pipeline(rules: usize) -> Pipeline {
    let settings = PipelineSettings {
        source: "bench".into(),
        keyframe_every: Duration::from_secs(3_600),
        reorder_timeout: Duration::from_secs(2),
        doubt_after: Duration::from_secs(300),
        max_nodes: 10,
        max_devices_per_node: 10,
        budget: Budget::UNLIMITED,
        caps: Caps::default(),
    };
    let mut pipeline = Pipeline::new(settings, policy(rules), now());
    pipeline.session(now(), false);
    pipeline
}

/// Rules as a plant has them: most about other machines and other metrics, some with globs that
/// have to be tried; the one that forwards comes last.
fn policy(rules: usize) -> Policy {
    use std::fmt::Write as _;
    let mut text = String::new();
    for rule in 1..rules {
        let about = match rule % 4 {
            0 => format!("group = \"Plant1\"\nedge-node = \"Other{rule}\""),
            1 => format!("group = \"Plant{rule}\"\nallow-metrics = [\"Zone*/**\"]"),
            2 => format!(
                "group = \"Plant1\"\nallow-metrics = [\"Press{rule}/**\", \"**/Batch{rule}\"]"
            ),
            _ => format!(
                "group = \"*\"\nedge-node = \"Robot{rule}*\"\nallow-metrics = [\"Health/*\"]"
            ),
        };
        write!(text, "[[rule]]\nname = \"r{rule}\"\naction = \"forward\"\n{about}\n\n").unwrap();
    }
    text.push_str("[[rule]]\nname = \"last\"\naction = \"forward\"\ngroup = \"Plant1\"\n");
    parse(text)
}

fn parse(text: String) -> Policy {
    match Policy::parse(&[SourceFile::new("bench.toml", text)]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

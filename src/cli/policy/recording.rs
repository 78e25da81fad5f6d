//! A recording under a policy: what becomes of every metric in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use account::RuleId;
use clap::Args;
use ot::Received;
use policy::{Policy, Rule};
use serde_json::json;
use sparkplug::value;
use text::{Paint, counted, escape, escape_to, format_utc_ms};
use tools::capture::Reader;
use tools::dry_run::tally::{Cause, EntityTally, MetricTally, Tally};
use tools::dry_run::{DryRun, Judged, MessageFate, MetricFate, MetricOutcome, Outcome, Passed};

use super::json as machine;
use super::lines::line;
use crate::cli::{Exit, Failure, report};

/// After the last message the relay gets this long to send what it held back. It is longer than any
/// message waits for its turn.
const LAST_WAIT: Duration = Duration::from_secs(10);
/// Characters of a metric's name in a table.
const MAX_NAME_CHARS: usize = 36;
/// Characters of a value in a line.
const MAX_VALUE_CHARS: usize = 40;
/// Topics that are named of messages of no edge node or device.
const MAX_OTHERS: usize = 20;

/// A recording, and which of it is shown.
#[derive(Debug, Default, Args)]
pub(super) struct RecordingArgs {
    /// A recording that `sparkdiode capture` made.
    #[arg(long, value_name = "FILE")]
    pub(super) capture: Option<PathBuf>,
    /// Show only messages of the recording whose topic contains this.
    #[arg(long, value_name = "TEXT", requires = "capture")]
    topic: Option<String>,
    /// Show every message of the recording, not the counts alone.
    #[arg(long, requires = "capture")]
    messages: bool,
}

/// What happens in a recording that runs through a policy.
pub(super) enum Event<'a> {
    /// Time passes, and what was held back arrives.
    Late(&'a Passed),
    /// A message, when it came and under which topic, as soon as is known what becomes of it.
    Message(u64, &'a str, &'a Outcome),
}

/// Runs a recording through a policy and shows everything that happens.
pub(super) fn run(
    policy: &Policy,
    path: &Path,
    mut show: impl FnMut(Event<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let reader = Reader::open(path)?;
    let mut dry_run: Option<DryRun> = None;
    for record in reader {
        let record = record?;
        let dry_run = dry_run.get_or_insert_with(|| DryRun::new(policy.clone(), record.at_ms));
        show_passed(&dry_run.pass_until(record.at_ms), &mut show)?;
        let outcome = dry_run.receive(Received {
            topic: &record.topic,
            payload: &record.payload,
            retain: record.retain,
            dup: record.dup,
            assured: record.qos > 0,
        });
        if outcome.early.is_none() {
            show(Event::Message(record.at_ms, &record.topic, &outcome))?;
        } else {
            // The message itself is shown when it is judged; this is what else it did.
            let Outcome { arrived, displaced, .. } = outcome.clone();
            show(Event::Late(&Passed { arrived, displaced, judged: Vec::new() }))?;
        }
        show_judged(&outcome.judged, &mut show)?;
    }
    if let Some(mut dry_run) = dry_run {
        show_passed(&dry_run.pass(LAST_WAIT), &mut show)?;
    }
    Ok(())
}

fn show_passed(
    passed: &Passed,
    show: &mut impl FnMut(Event<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    show(Event::Late(passed))?;
    show_judged(&passed.judged, show)
}

fn show_judged(
    judged: &[Judged],
    show: &mut impl FnMut(Event<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    judged.iter().try_for_each(|it| show(Event::Message(it.came_ms, &it.topic, &it.outcome)))
}

/// Explains a recording.
pub(super) fn explain(
    policy: &Policy,
    arguments: &RecordingArgs,
    metric: Option<&str>,
    as_json: bool,
    paint: Paint,
) -> Result<Exit, Failure> {
    let Some(path) = &arguments.capture else { return Ok(Exit::Ok) };
    let mut tally = Tally::default();
    let (mut first, mut last) = (None, 0);
    let shows = |topic: &str| arguments.topic.as_ref().is_none_or(|text| topic.contains(text));
    let shows_metric = |name: &str| metric.is_none_or(|text| name.contains(text));
    run(policy, path, |event| {
        let (at_ms, topic, outcome) = match event {
            Event::Late(passed) => {
                tally.add_late(passed);
                return Ok(());
            }
            Event::Message(at_ms, topic, outcome) => (at_ms, topic, outcome),
        };
        first = Some(first.map_or(at_ms, |first: u64| first.min(at_ms)));
        last = last.max(at_ms);
        let mut shown = outcome.clone();
        shown.metrics.retain(|metric| shows_metric(&metric.name));
        if !shows(topic) || (metric.is_some() && shown.metrics.is_empty()) {
            return Ok(());
        }
        tally.add(topic, &shown);
        if as_json {
            let object = machine::message(policy, at_ms, topic, &shown);
            report::json(&object)?;
        } else if arguments.messages {
            let mut text = String::new();
            message(&mut text, policy, at_ms, topic, &shown, paint);
            report::output(&text)?;
        }
        Ok(())
    })?;
    if as_json {
        report::json(&summary_json(policy, &tally))?;
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    if arguments.messages && tally.messages > 0 {
        line(&mut text, "");
    }
    describe(&mut text, policy, path, &tally, (first, last), paint);
    let whole = arguments.topic.is_none() && metric.is_none();
    describe_rules(&mut text, policy, &tally, whole, paint);
    report::output(&text)?;
    Ok(Exit::Ok)
}

/// One message with its metrics.
fn message(
    text: &mut String,
    policy: &Policy,
    at_ms: u64,
    topic: &str,
    outcome: &Outcome,
    paint: Paint,
) {
    let fate = match outcome.fate {
        MessageFate::Forwarded => paint.good("crosses"),
        MessageFate::Waiting => paint.odd("waits"),
        MessageFate::Dropped { reason, rule } => {
            format!("{} {}", paint.bad("dropped"), cause(policy, (reason, rule)))
        }
    };
    line(text, &format!("{} {}  {fate}", format_utc_ms(at_ms), paint.strong(escape(topic))));
    for metric in &outcome.metrics {
        line(text, &format!("    {}", in_words(policy, metric, paint)));
    }
}

fn in_words(policy: &Policy, metric: &MetricOutcome, paint: Paint) -> String {
    let show = |sent: Option<&sparkplug::Value>| match sent {
        Some(sent) => value::show(metric.datatype, sent, MAX_VALUE_CHARS),
        None => "null".to_owned(),
    };
    let sent = show(metric.sent.as_ref());
    let name = match metric.name.as_str() {
        "" => "(unknown)".to_owned(),
        name => escape(name).to_string(),
    };
    let fate = match &metric.fate {
        MetricFate::Forwarded { rule, arrives } => {
            let renamed = arrives.name.as_deref().filter(|name| *name != metric.name);
            let renamed = renamed.map(|name| format!(" as {}", escape(name))).unwrap_or_default();
            let value = match arrives.value == metric.sent {
                true => String::new(),
                false => format!(" = {}", show(arrives.value.as_ref())),
            };
            let by = machine::name(policy, *rule).map(|rule| format!(" by `{rule}`"));
            format!("{}{renamed}{value}{}", paint.good("crosses"), by.unwrap_or_default())
        }
        MetricFate::Waiting { rule } => {
            let by = machine::name(policy, *rule).map(|rule| format!(" by `{rule}`"));
            format!("{}{}", paint.odd("waits"), by.unwrap_or_default())
        }
        MetricFate::Dropped { reason, rule } => {
            format!("{} {}", paint.bad("dropped"), cause(policy, (*reason, *rule)))
        }
        MetricFate::Replaced => "the relay tells its own".to_owned(),
        MetricFate::Unneeded => "the definition of a template of which nothing crosses".to_owned(),
    };
    format!("{name} = {sent}  {fate}")
}

fn describe(
    text: &mut String,
    policy: &Policy,
    path: &Path,
    tally: &Tally,
    (first, last): (Option<u64>, u64),
    paint: Paint,
) {
    let times = match first {
        Some(first) => format!(", {} to {}", format_utc_ms(first), format_utc_ms(last)),
        None => String::new(),
    };
    let title = format!("{}: {}{times}", path.display(), messages(tally.messages));
    line(text, &paint.strong(title));
    let dropped: u64 = tally.dropped.values().sum();
    let waiting = match tally.waiting {
        0 => String::new(),
        waiting => format!(", {waiting} had to wait"),
    };
    line(text, &format!("  {} crossed, {dropped} dropped{waiting}", tally.forwarded));
    for (name, entity) in &tally.entities {
        describe_entity(text, policy, name, entity, paint);
    }
    describe_others(text, tally, paint);
}

fn describe_entity(
    text: &mut String,
    policy: &Policy,
    name: &str,
    entity: &EntityTally,
    paint: Paint,
) {
    let kinds = [(entity.births, "birth"), (entity.data, "data"), (entity.deaths, "death")];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0).map(|(count, noun)| match *noun {
        "data" => format!("{count} data"),
        noun => counted(*count, noun),
    });
    let kinds: Vec<String> = kinds.collect();
    line(text, "");
    line(text, &format!("{}  {}", paint.strong(escape(name)), kinds.join(", ")));
    if entity.forwarded == 0 && !entity.dropped.is_empty() {
        for (why, count) in &entity.dropped {
            let why = cause(policy, *why);
            let count = messages(*count);
            line(text, &format!("  {} {count} {why}", paint.bad("dropped")));
        }
        return;
    }
    let shown = || entity.metrics.iter().filter(|(_, metric)| metric.own < metric.sent);
    let width = shown().map(|(name, _)| escape_to(name, MAX_NAME_CHARS).to_string());
    let width = width.map(|name| name.chars().count()).max().unwrap_or(0).max(6);
    line(
        text,
        &paint.faint(format!(
            "  {:<width$}  {:<9} {:>8} {:>8} {:>8}",
            "metric", "datatype", "sent", "crossed", "dropped"
        )),
    );
    for (name, metric) in shown() {
        describe_metric(text, policy, name, metric, width, paint);
    }
}

fn describe_metric(
    text: &mut String,
    policy: &Policy,
    name: &str,
    metric: &MetricTally,
    width: usize,
    paint: Paint,
) {
    let name = match name {
        "" => "(unknown)".to_owned(),
        name => escape_to(name, MAX_NAME_CHARS).to_string(),
    };
    let crossed = metric.crossed();
    let dropped: u64 = metric.dropped.values().sum();
    let number = |number: u64| if number == 0 { "-".to_owned() } else { number.to_string() };
    let mut notes: Vec<String> = Vec::new();
    for (rule, count) in &metric.forwarded {
        if let Some(rule) = machine::name(policy, *rule) {
            let count =
                if metric.forwarded.len() > 1 { format!("{count} ") } else { String::new() };
            notes.push(format!("{count}{}", paint.good(rule)));
        }
    }
    for (why, count) in &metric.dropped {
        let count = if metric.dropped.len() > 1 { format!("{count} ") } else { String::new() };
        notes.push(format!("{count}{}", paint.bad(cause(policy, *why))));
    }
    if metric.altered > 0 {
        notes.push(format!("{} with another value", metric.altered));
    }
    if metric.late > 0 {
        notes.push(format!("{} of them later", metric.late));
    }
    let known = crossed.saturating_add(dropped).saturating_add(metric.own);
    let waiting = metric.sent.saturating_sub(known);
    if waiting > 0 {
        notes.push(format!("{waiting} told by a birth, or never"));
    }
    if let Some(told) = &metric.told_as {
        notes.push(format!("as {}", escape_to(told, MAX_NAME_CHARS)));
    }
    let datatype = metric.datatype.map_or("?", |datatype| datatype.name());
    let row = format!(
        "  {name:<width$}  {datatype:<9} {:>8} {:>8} {:>8}",
        metric.sent,
        number(crossed),
        number(dropped)
    );
    let mut notes = notes.into_iter();
    line(text, &format!("{row}  {}", notes.next().unwrap_or_default()));
    let indent = " ".repeat(row.chars().count());
    for note in notes {
        line(text, &format!("{indent}  {note}"));
    }
}

fn describe_others(text: &mut String, tally: &Tally, paint: Paint) {
    if tally.others.is_empty() {
        return;
    }
    line(text, "");
    line(text, &paint.strong("no edge node or device"));
    for ((topic, reason), count) in tally.others.iter().take(MAX_OTHERS) {
        let count = messages(*count);
        let why = paint.bad(format!("dropped {count} {reason}"));
        line(text, &format!("  {}  {why}", escape(topic)));
    }
    let rest = tally.others.len().saturating_sub(MAX_OTHERS);
    if rest > 0 {
        line(text, &format!("  and {}", counted(rest, "other topic")));
    }
}

/// What each rule decided: one that decided nothing in a `whole` recording may not be needed.
fn describe_rules(text: &mut String, policy: &Policy, tally: &Tally, whole: bool, paint: Paint) {
    let (forwarded, dropped) = by_rule(tally);
    let width = policy.rules().iter().map(|rule| rule.name().chars().count()).max().unwrap_or(0);
    let width = width.clamp(20, MAX_NAME_CHARS);
    line(text, "");
    let head = format!("{:<width$}  {:>9} {:>9}", "rule", "forwarded", "dropped");
    line(text, &paint.faint(head));
    for (number, rule) in (0_u32..).zip(policy.rules()) {
        let id = RuleId(number);
        let counts = (forwarded.get(&id).copied(), dropped.get(&id).copied());
        let note = match counts {
            (None, None) if whole => paint.odd("decided nothing"),
            _ => String::new(),
        };
        let number = |number: Option<u64>| number.map_or("-".to_owned(), |it| it.to_string());
        let name = rule.name();
        line(
            text,
            &format!("{name:<width$}  {:>9} {:>9}  {note}", number(counts.0), number(counts.1)),
        );
    }
    let by_no_rule: BTreeMap<&str, u64> = tally
        .entities
        .values()
        .flat_map(|entity| entity.metrics.values())
        .flat_map(|metric| &metric.dropped)
        .filter(|((_, rule), _)| rule.is_none())
        .fold(BTreeMap::new(), |mut counts, ((reason, _), count)| {
            let sum: &mut u64 = counts.entry(reason.name()).or_default();
            *sum = sum.saturating_add(*count);
            counts
        });
    for (reason, count) in by_no_rule {
        line(text, &format!("{:<width$}  {:>9} {count:>9}", format!("({reason})"), "-"));
    }
}

/// Values of metrics that each rule forwarded and dropped.
fn by_rule(tally: &Tally) -> (BTreeMap<RuleId, u64>, BTreeMap<RuleId, u64>) {
    let (mut forwarded, mut dropped) = (BTreeMap::new(), BTreeMap::new());
    let add = |counts: &mut BTreeMap<RuleId, u64>, rule: Option<RuleId>, more: u64| {
        if let Some(rule) = rule {
            let count = counts.entry(rule).or_default();
            *count = count.saturating_add(more);
        }
    };
    for metric in tally.entities.values().flat_map(|entity| entity.metrics.values()) {
        metric.forwarded.iter().for_each(|(rule, count)| add(&mut forwarded, *rule, *count));
        metric.dropped.iter().for_each(|((_, rule), count)| add(&mut dropped, *rule, *count));
    }
    (forwarded, dropped)
}

fn summary_json(policy: &Policy, tally: &Tally) -> serde_json::Value {
    let (forwarded, dropped) = by_rule(tally);
    let rules = (0_u32..).zip(policy.rules()).map(|(number, rule): (u32, &Rule)| {
        json!({
            "name": rule.name(),
            "forwarded_metrics": forwarded.get(&RuleId(number)).copied().unwrap_or(0),
            "dropped_metrics": dropped.get(&RuleId(number)).copied().unwrap_or(0),
        })
    });
    let reasons: BTreeMap<&str, u64> =
        tally.dropped.iter().fold(BTreeMap::new(), |mut counts, ((reason, _), count)| {
            let sum: &mut u64 = counts.entry(reason.name()).or_default();
            *sum = sum.saturating_add(*count);
            counts
        });
    json!({
        "summary": {
            "messages": tally.messages,
            "forwarded": tally.forwarded,
            "waiting": tally.waiting,
            "dropped": reasons,
            "synthetic": tally.synthetic,
            "rules": rules.collect::<Vec<_>>(),
        }
    })
}

/// `datatype by rule`, `no_rule`.
pub(super) fn cause(policy: &Policy, (reason, rule): Cause) -> String {
    match machine::name(policy, rule) {
        Some(rule) => format!("{reason} by {rule}"),
        None => reason.to_string(),
    }
}

fn messages(number: u64) -> String {
    counted(number, "message")
}

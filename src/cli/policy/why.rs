//! `sparkdiode policy why`: what became of a metric lately, as the running OT half remembers it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use account::Reason;
use clap::Args;
use config::OtConfig;
use ot::{Decision, Decisions};
use policy::{EntityPlan, Policy, Rule, Verdict};
use sparkplug::{DataType, Entity, MessageType, Shard, Topic};
use text::{escape, format_utc_ms, grouped};

use super::lines::{datatypes_in_words, line};
use crate::cli::check::{Kind, recognise};
use crate::cli::policy_source::read_policy;
use crate::cli::report::output;
use crate::cli::{Exit, Failure, report};

/// Show what became of a metric lately: for which reasons and by which rules it was dropped, when, how
/// often, and what the policy in force says of it.
///
/// The running OT half remembers drops of up to 2,048 metrics since its policy is in force, without their
/// values, and stores them in its state directory every five seconds. What was forwarded is in the
/// journal: `sparkdiode journal cat`. PATH is the OT half's configuration.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
                  sparkdiode policy why /etc/sparkdiode/ot.toml spBv1.0/Plant1/DDATA/Line4/Oven1 Temperature/Oil\n  \
                  sparkdiode policy why /etc/sparkdiode/ot.toml spBv1.0/Plant1/+/Line4")]
pub(super) struct WhyArgs {
    /// Configuration file of the OT half.
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Topic of the edge node or device, as the plant has it; the message type may be `+`.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Name of the metric; without it all that is remembered of the edge node or device is shown.
    #[arg(value_name = "METRIC")]
    metric: Option<String>,
}

pub(super) fn run(arguments: &WhyArgs) -> Result<Exit, Failure> {
    let (Kind::Ot, file) = recognise(&arguments.path)? else {
        let message =
            format!("not the configuration of an OT half: `{}`", arguments.path.display());
        return Err(
            Failure::new(Exit::Config, message).hint("rules decide on OT: name its `ot.toml`")
        );
    };
    let (config, warnings) = OtConfig::check(file)?;
    report::warnings(&warnings);
    if let Some(never) = never(&arguments.topic, arguments.metric.as_deref()) {
        let text = format!("{}\n  {never}\n", escape(&arguments.topic));
        output(&text)?;
        return Ok(Exit::Ok);
    }
    let entity = entity(&arguments.topic)?;
    if let Some(elsewhere) = config.relay.shard.and_then(|shard| elsewhere(shard, entity)) {
        output(&format!("{}\n  {elsewhere}\n", escape(&entity.to_string())))?;
        return Ok(Exit::Ok);
    }
    let decisions = Decisions::read(&config.state_dir)
        .map_err(|error| Failure::new(Exit::Io, escape(&error.to_string()).to_string()))?;
    let policy = read_policy(&config.policy_paths).ok().map(|(policy, _)| policy);
    let metric = arguments.metric.as_deref();
    output(&view(entity, metric, decisions.as_ref(), policy, clock::wall_ms()))?;
    Ok(Exit::Ok)
}

/// Whom a topic is about, whatever its message type.
fn entity(topic: &str) -> Result<Entity<'_>, Failure> {
    let levels: Vec<&str> = topic.split('/').collect();
    let kind = levels.get(2).and_then(|name| MessageType::from_name(name));
    if let Some(kind) = kind.filter(|kind| kind.is_device() != (levels.len() == 5)) {
        let (whose, shape) = match kind.is_device() {
            true => ("a device's", format!("spBv1.0/GROUP/{kind}/EDGE NODE/DEVICE")),
            false => ("an edge node's own", format!("spBv1.0/GROUP/{kind}/EDGE NODE")),
        };
        let message =
            format!("{kind} is {whose} message, and the topic isn't: `{}`", escape(topic));
        return Err(Failure::new(Exit::Usage, message)
            .hint(format!("`{shape}`, or `+` for the message type")));
    }
    let (group, edge_node, device) = match levels.as_slice() {
        ["spBv1.0", group, _, edge_node] => (*group, *edge_node, None),
        ["spBv1.0", group, _, edge_node, device] => (*group, *edge_node, Some(*device)),
        _ => {
            let message = format!("not a Sparkplug topic: `{}`", escape(topic));
            return Err(Failure::new(Exit::Usage, message)
                .hint("such as `spBv1.0/Plant1/DDATA/Line4/Oven1`; the message type may be `+`"));
        }
    };
    Ok(Entity { group, edge_node, device })
}

/// Which relay has an edge node, if it isn't the one with this shard: nothing of it is judged here.
fn elsewhere(shard: Shard, entity: Entity<'_>) -> Option<String> {
    let Entity { group, edge_node, .. } = entity;
    let index = Shard::of_node(group, edge_node, shard.count());
    (index != shard.index()).then(|| {
        format!(
            "another relay has it: the one with shard {index}/{}, and this one has {shard}; it is \
             counted here (`of_other_shards`) and judged there",
            shard.count()
        )
    })
}

/// What can't cross, whatever a rule says; the half remembers nothing of it.
fn never(topic: &str, metric: Option<&str>) -> Option<&'static str> {
    match Topic::parse(topic) {
        Ok(Topic::Command { .. }) => Some(
            "a command: none ever crosses, in either direction, and no rule can change that; \
             `sparkdiode status` counts them",
        ),
        Ok(Topic::State { .. }) => {
            Some("what a host of the plant says of itself: it is read, and never crosses")
        }
        Ok(Topic::UnknownType { .. }) => Some(
            "no message type that the relay knows: it never crosses, and no rule can change that; of \
             births, data and deaths it is asked with `+` for the message type",
        ),
        Ok(Topic::Entity(parsed)) if parsed.message_type.is_death() && metric.is_some() => {
            Some("a death: it has no metrics that could cross; leave the metric out")
        }
        _ => None,
    }
}

fn view(
    entity: Entity<'_>,
    metric: Option<&str>,
    decisions: Option<&Decisions>,
    policy: Option<Policy>,
    now_ms: u64,
) -> String {
    let mut text = String::new();
    let name = metric.map(|metric| format!("  {}", escape(metric))).unwrap_or_default();
    line(&mut text, &format!("{}{name}", escape(&entity.to_string())));
    match decisions {
        None => {
            line(&mut text, "  nothing is remembered: the half never ran, or dropped nothing yet")
        }
        Some(decisions) => remembered(&mut text, entity, metric, decisions, now_ms),
    }
    let Some(mut policy) = policy else {
        line(&mut text, "  the policy of the files can't be read: `sparkdiode check` says why");
        return text;
    };
    if decisions.is_some_and(|decisions| decisions.policy_digest != policy.digest()) {
        line(&mut text, "  the policy of the files isn't the one that these drops were decided by");
    }
    let _ = policy.set_time(now_ms);
    let plan = policy.plan(entity);
    if let Some(metric) = metric {
        for (words, datatypes) in judged(&policy, &plan, metric) {
            let of = match datatypes.len() {
                every if every == DataType::of_metrics().count() => String::new(),
                _ => format!(" as {}", datatypes_in_words(&datatypes)),
            };
            line(&mut text, &format!("  the policy of the files, now:{of} {words}"));
        }
    }
    text
}

fn remembered(
    text: &mut String,
    entity: Entity<'_>,
    metric: Option<&str>,
    decisions: &Decisions,
    now_ms: u64,
) {
    let mut drops: Vec<&Decision> = decisions.about(entity, metric).collect();
    drops.sort_by_key(|drop| std::cmp::Reverse(drop.last_ms));
    let since = format_utc_ms(decisions.since_ms);
    let age =
        text::span(std::time::Duration::from_millis(now_ms.saturating_sub(decisions.until_ms)));
    line(text, &format!("  drops since {since}, as of {age} ago"));
    if drops.is_empty() {
        line(text, "    none is remembered (of up to 2,048 metrics)");
    }
    for drop in drops {
        let what = match (drop.metric.as_str(), metric) {
            ("", _) => "whole messages: ".to_owned(),
            (_, Some(_)) => String::new(),
            (name, None) => format!("{}: ", escape(name)),
        };
        let by = drop.rule.as_deref().map(|rule| format!(" by `{}`", escape(rule)));
        let words = Reason::ALL.iter().find(|reason| reason.name() == drop.reason);
        let words = words.map_or("", |reason| reason.meaning().trim_end_matches('.'));
        line(
            text,
            &format!(
                "    {what}dropped {} times{}: {} ({words}), first {}, last {}",
                grouped(drop.times),
                by.unwrap_or_default(),
                escape(&drop.reason),
                format_utc_ms(drop.first_ms),
                format_utc_ms(drop.last_ms)
            ),
        );
    }
}

/// What the policy says of the metric, by datatype.
fn judged<'p>(
    policy: &'p Policy,
    plan: &EntityPlan<'p>,
    metric: &str,
) -> BTreeMap<String, Vec<DataType>> {
    let mut verdicts: BTreeMap<String, Vec<DataType>> = BTreeMap::new();
    let named = |rule: Option<account::RuleId>| {
        let rule = rule.and_then(|rule| policy.rule(rule));
        rule.map(|rule: &Rule| format!(" by `{}`", rule.name())).unwrap_or_default()
    };
    for datatype in DataType::of_metrics() {
        let words = match plan.judge(metric, Some(datatype)) {
            Verdict::Forward { rule, .. } => format!("forwarded{}", named(Some(rule))),
            Verdict::Redact { rule, .. } => format!("redacted{}", named(Some(rule))),
            Verdict::Drop { reason, rule } => format!("dropped{}: {}", named(rule), reason.name()),
        };
        verdicts.entry(words).or_default().push(datatype);
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use diagnostic::SourceFile;

    use super::*;

    const RULE: &str = "[[rule]]\nname = \"ovens\"\naction = \"forward\"\ngroup = \"G\"\n\
                        allow-metrics = \"T\"\ndatatypes = [\"Float\"]\n";

    fn policy() -> Policy {
        Policy::parse(&[SourceFile::new("a.toml", RULE)]).unwrap().0
    }

    #[test]
    fn a_metric_is_told_with_its_drops_and_what_the_policy_says() {
        let drop = |metric: &str, reason: &str, rule: Option<&str>, last_ms| Decision {
            entity: "G/E/D".into(),
            metric: metric.into(),
            reason: reason.into(),
            rule: rule.map(str::to_owned),
            times: 1_234,
            first_ms: 1_000,
            last_ms,
        };
        let decisions = Decisions {
            policy_digest: policy().digest().to_owned(),
            since_ms: 500,
            until_ms: 86_400_000,
            drops: vec![
                drop("T", "rate", Some("ovens"), 5_000),
                drop("", "data_before_birth", None, 2_000),
                drop("U\u{1b}[31m", "no_rule", None, 9_000),
            ],
        };
        let entity = entity("spBv1.0/G/+/E/D").unwrap_or_else(|_| panic!());
        let text = view(entity, Some("T"), Some(&decisions), Some(policy()), 86_402_000);
        for wanted in [
            "G/E/D  T\n",
            "  drops since 1970-01-01T00:00:00.500Z, as of 2.0 s ago\n",
            "    dropped 1,234 times by `ovens`: rate (Over a rule's rate limit, and not to wait for its turn), \
             first 1970-01-01T00:00:01.000Z, last 1970-01-01T00:00:05.000Z\n",
            "    whole messages: dropped 1,234 times: data_before_birth ",
            "  the policy of the files, now: as Float forwarded by `ovens`\n",
            "  the policy of the files, now: as any datatype but Float dropped by `ovens`: datatype\n",
        ] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
        assert!(!text.contains('U') && !text.contains("isn't the one"), "{text}");
        let all = view(entity, None, Some(&decisions), Some(policy()), 86_402_000);
        assert!(
            all.contains("    U\\u{1b}[31m: dropped") || all.contains("    U\\x1b[31m: dropped"),
            "{all}"
        );
        let other = Entity { device: None, ..entity };
        let text = view(other, Some("T"), Some(&decisions), None, 86_402_000);
        assert!(text.contains("none is remembered") && text.contains("can't be read"), "{text}");
        let text = view(other, Some("T"), None, Some(policy()), 0);
        assert!(text.contains("nothing is remembered"), "{text}");
    }

    #[test]
    fn what_is_no_topic_is_refused() {
        for topic in [
            "",
            "G/E",
            "spBv1.0/G/NDATA",
            "spBv1.0/G/NDATA/E/D/x",
            "spAv1.0/G/NDATA/E",
            "spBv1.0/G/DDATA/E",
            "spBv1.0/G/NDATA/E/D",
        ] {
            assert!(entity(topic).is_err(), "{topic}");
        }
        for topic in
            ["spBv1.0/G/+/E", "spBv1.0/G/+/E/D", "spBv1.0/G/NBIRTH/E", "spBv1.0/G/DDEATH/E/D"]
        {
            assert!(entity(topic).is_ok(), "{topic}");
        }
    }

    #[test]
    fn what_never_crosses_is_told_as_such() {
        for topic in ["spBv1.0/G/NCMD/E", "spBv1.0/G/DCMD/E/D"] {
            assert!(never(topic, Some("T")).unwrap().starts_with("a command"), "{topic}");
        }
        assert!(never("spBv1.0/STATE/scada", None).unwrap().starts_with("what a host"));
        assert!(never("spBv1.0/G/XDATA/E", None).unwrap().starts_with("no message type"));
        assert!(never("spBv1.0/G/DDEATH/E/D", Some("T")).unwrap().starts_with("a death"));
        assert_eq!(never("spBv1.0/G/DDEATH/E/D", None), None);
        assert_eq!(never("spBv1.0/G/+/E/D", Some("T")), None);
    }
}

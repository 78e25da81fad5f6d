//! Reads a table of rates: `[rule.rate]` of a rule, `[limits.node]`, `[limits.link]`.

use std::ops::Range;

use diagnostic::{Diagnostic, Diagnostics, Section, SourceFile, closest};

use crate::language::RULE_KEYS;
use crate::rule::{Bucket, OnExcess, Per, Rate};

/// A burst below this would hold back ordinary messages; see [`crate::Limiter`] for what happens
/// to a message that is larger than its burst.
const MIN_BURST_BYTES: u32 = 1024;
/// Rates below one message in 1,000 s, or above these, are typing errors.
const MIN_MESSAGES_PER_S: f64 = 0.001;
const MAX_MESSAGES_PER_S: f64 = 1_000_000.0;
const MAX_BYTES_PER_S: f64 = 10_000_000_000.0;
/// A burst that takes longer than a day to refill limits nothing that anybody will see; the
/// bound also keeps the limiter's arithmetic far from overflow.
const MAX_BURST_S: f64 = 86_400.0;

/// What happens to excess data.
const ON_EXCESS: &str = "on-excess";

/// Who has the limit, of a rule.
const PER: &str = "per";

/// The keys of the table.
pub(crate) const RATE_KEYS: [&str; 5] =
    [MESSAGES.rate_key, MESSAGES.burst_key, BYTES.rate_key, BYTES.burst_key, ON_EXCESS];

/// Reads the rate of the rule `rule`, if it has one.
pub(crate) fn read(
    file: &SourceFile,
    rule: &mut Section<'_, '_>,
    problems: &mut Diagnostics,
) -> Option<Rate> {
    let mut section = rule.table("rate", "`[rule.rate]`", problems)?;
    let per = per(file, &mut section, problems).unwrap_or_default();
    Some(Rate { per, ..read_table(file, section, problems) })
}

fn per(
    file: &SourceFile,
    section: &mut Section<'_, '_>,
    problems: &mut Diagnostics,
) -> Option<Per> {
    let word = section.string(PER, problems)?;
    let found = Per::ALL.into_iter().find(|per| per.name() == word.value);
    if found.is_none() {
        let title = format!("unknown word for `{PER}`: `{}`", word.value);
        let problem = Diagnostic::error("P015", file, word.span, title).label(
            "`rule` (all that it forwards together), `edge-node`, `device` or `metric` (each)",
        );
        let meant = match word.value.as_str() {
            "node" | "edge_node" | "line" => Some("edge-node"),
            "tag" => Some("metric"),
            other => closest(other, Per::ALL.map(Per::name)),
        };
        problems.push(match meant {
            Some(meant) => problem.help(format!("did you mean `{meant}`?")),
            None => problem,
        });
    }
    found
}

/// Reads a table of rates.
pub(crate) fn read_table(
    file: &SourceFile,
    mut section: Section<'_, '_>,
    problems: &mut Diagnostics,
) -> Rate {
    // An unknown key is an attempt at a limit; it is reported as such.
    let limits_nothing = section.keys().all(|key| key == ON_EXCESS || key == PER);
    let messages = bucket(file, &mut section, &MESSAGES, problems);
    let bytes = bucket(file, &mut section, &BYTES, problems);
    let on_excess = on_excess(file, &mut section, problems).unwrap_or_default();
    if limits_nothing {
        problems.push(
            Diagnostic::error("P015", file, section.header(), "a rate that limits nothing")
                .label("no limit in it")
                .help("give `messages-per-s`, `bytes-per-s` or both"),
        );
    }
    let misplaced = |key: &str| {
        if key == PER {
            return Some(
                "it belongs to `[rule.rate]`: these limits say by themselves whose they are".into(),
            );
        }
        let help = format!(
            "it belongs to the rule: write it above {}, since what follows a `[…]` line belongs to \
             that table",
            section.noun()
        );
        RULE_KEYS.contains(&key).then_some(help)
    };
    section.finish(misplaced, problems);
    Rate { messages, bytes, on_excess, per: Per::default() }
}

fn on_excess(
    file: &SourceFile,
    section: &mut Section<'_, '_>,
    problems: &mut Diagnostics,
) -> Option<OnExcess> {
    let word = section.string(ON_EXCESS, problems)?;
    match word.value.as_str() {
        "conflate" => Some(OnExcess::Conflate),
        "drop" => Some(OnExcess::Drop),
        other => {
            let title = format!("unknown word for `{ON_EXCESS}`: `{other}`");
            let problem = Diagnostic::error("P015", file, word.span, title)
                .label("`conflate` (the newest value of each metric waits for its turn) or `drop`");
            problems.push(match closest(other, ["conflate", "drop"]) {
                Some(meant) => problem.help(format!("did you mean `{meant}`?")),
                None => problem,
            });
            None
        }
    }
}

fn bucket(
    file: &SourceFile,
    section: &mut Section<'_, '_>,
    unit: &Unit,
    problems: &mut Diagnostics,
) -> Option<Bucket> {
    let error = |span: Range<usize>, title: String| Diagnostic::error("P015", file, span, title);
    let written = |span: &Range<usize>| file.text.get(span.clone()).unwrap_or("");
    let per_s = section.number(unit.rate_key, problems);
    let burst = section.number(unit.burst_key, problems);
    let Some(per_s) = per_s else {
        if let Some(burst) = burst
            && section.key_span(unit.rate_key).is_none()
        {
            let title = format!("`{}` without `{}`", unit.burst_key, unit.rate_key);
            problems.push(error(burst.span, title).label("a burst of what rate?"));
        }
        return None;
    };
    // Written so that NaN fails.
    if !(per_s.value >= unit.min_per_s && per_s.value <= unit.max_per_s) {
        let title = format!("`{}` out of range: {}", unit.rate_key, written(&per_s.span));
        let label = format!("from {} to {}", unit.min_per_s, unit.max_per_s);
        problems.push(error(per_s.span, title).label(label));
        if per_s.value == 0.0 {
            problems.help_last("to forward nothing, leave the rule out or deny it");
        }
        return None;
    }
    let longest = (per_s.value * MAX_BURST_S).min(f64::from(u32::MAX)).max(unit.min_burst);
    let Some(burst) = burst else {
        // One second's worth.
        let burst = per_s.value.ceil().clamp(unit.min_burst, longest);
        return Some(Bucket { per_s: per_s.value, burst: burst as u32 });
    };
    if !(burst.value >= unit.min_burst && burst.value <= longest) || burst.value.fract() != 0.0 {
        let title = format!("`{}` out of range: {}", unit.burst_key, written(&burst.span));
        let label = format!("a whole number from {} to {}", unit.min_burst, longest.floor());
        problems.push(error(burst.span, title).label(label));
        if let Some(why) = unit.why_min_burst
            && burst.value < unit.min_burst
        {
            problems.help_last(why);
        }
        return None;
    }
    Some(Bucket { per_s: per_s.value, burst: burst.value as u32 })
}

/// What a bucket counts.
struct Unit {
    rate_key: &'static str,
    burst_key: &'static str,
    min_per_s: f64,
    max_per_s: f64,
    min_burst: f64,
    why_min_burst: Option<&'static str>,
}

const MESSAGES: Unit = Unit {
    rate_key: "messages-per-s",
    burst_key: "burst-messages",
    min_per_s: MIN_MESSAGES_PER_S,
    max_per_s: MAX_MESSAGES_PER_S,
    min_burst: 1.0,
    why_min_burst: None,
};

const BYTES: Unit = Unit {
    rate_key: "bytes-per-s",
    burst_key: "burst-bytes",
    min_per_s: 1.0,
    max_per_s: MAX_BYTES_PER_S,
    min_burst: MIN_BURST_BYTES as f64,
    why_min_burst: Some(
        "a message that is larger than the burst passes only when the bucket is full; a burst \
         this small would hold back ordinary messages",
    ),
};

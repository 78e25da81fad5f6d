//! In what manner two rules let the same metric cross, compared: limits, names and values. That one
//! shows no more than the other is only said where it is certain.

use sparkplug::DataType;

use crate::contrast::{Contrast, Matter, Shows};
use crate::names::Prefixes;
use crate::rule::glob::Glob;
use crate::rule::{Bucket, Per, Priority, Rate, Rule};

/// What is different for a metric of which values cross by the rule `before` in one policy and by
/// `after` in another one; `values`: not only its name does.
pub fn contrasts(
    before: &Rule,
    after: &Rule,
    metric: &str,
    datatype: Option<DataType>,
    values: bool,
) -> Vec<Contrast> {
    // What is added to a rule has to be compared, unless it is about what the rule chooses.
    let Rule {
        name,
        description: _,
        action: _,
        selectors: _,
        allow: _,
        deny: _,
        redact: _,
        datatypes: _,
        rate,
        priority,
        mode: _,
        schedule: _,
        prefixes,
        open: _,
        header: _,
        shapes,
        path: _,
        line: _,
    } = after;
    let mut contrasts = Vec::new();
    let mut add = |shows, (matter, is_unsaid): (Matter, bool), now: String, before: String| {
        contrasts.push(Contrast { shows, matter, is_unsaid, now, before });
    };
    let named = |prefixes: &Option<Prefixes>| match prefixes {
        Some(prefixes) => prefixes.exported_name(metric).into_owned(),
        None => metric.to_owned(),
    };
    if named(&before.prefixes) != named(prefixes) {
        let words = |prefixes: &Option<Prefixes>| {
            let Prefixes { strip, add } = prefixes.clone().unwrap_or_default();
            let stripped = strip.map(|strip| format!("without `{strip}`"));
            let added = add.map(|add| format!("with `{add}` in front"));
            let words: Vec<String> = stripped.into_iter().chain(added).collect();
            if words.is_empty() { "as in the plant".to_owned() } else { words.join(" and ") }
        };
        let (now, was) = (words(prefixes), words(&before.prefixes));
        let of = (Matter::Name, prefixes.is_none());
        add(Shows::Otherwise, of, format!("named {now}"), was);
    }
    if !values {
        return contrasts;
    }
    let limited = |rate: &Option<Rate>, name: &str| match rate {
        Some(rate) if rate.per == Per::Rule => {
            rate.describe_of(&format!("for all that `{name}` forwards together"))
        }
        Some(rate) => rate.describe_of(rate.per.words()),
        None => "as much as comes".to_owned(),
    };
    // A limit is shared by what the rule forwards, of whoever has it.
    let is_shared = rate.is_some_and(|rate| rate.per != Per::Metric);
    let shares = is_shared && before.name != *name;
    let mut is_limited = false;
    let (was, is) = (effective(before), effective(after));
    if was != is || shares {
        let shows = compare_rates(was.as_ref(), is.as_ref());
        let of = (Matter::Limit, rate.is_none());
        add(shows, of, limited(rate, name), limited(&before.rate, &before.name));
        is_limited = shows == Shows::Less;
    }
    if before.priority != *priority {
        let words = |priority: Priority| match priority {
            Priority::High => "before other data when limits are reached",
            Priority::Normal => "after data of `priority = \"high\"`",
        };
        let of = (Matter::Order, false);
        add(Shows::Otherwise, of, words(*priority).to_owned(), words(before.priority).to_owned());
    }
    // What has no datatype is some kind of text.
    let datatype = datatype.unwrap_or(DataType::String);
    if is_limited && before.shapes.shape(metric).spaces(datatype) {
        contrasts.push(Contrast::held_back());
    }
    contrasts.extend(before.shapes.shape(metric).contrasts(shapes.shape(metric), datatype));
    contrasts.dedup();
    contrasts
}

/// The limit of a rule, as that of all together where there is but one who could have it.
fn effective(rule: &Rule) -> Option<Rate> {
    let one = |globs: &Option<Vec<Glob>>| {
        globs.as_ref().is_some_and(|globs| matches!(&globs[..], [one] if one.literal().is_some()))
    };
    let selectors = &rule.selectors;
    let one_node = one(&selectors.groups) && one(&selectors.edge_nodes);
    let one_entity = one_node && (selectors.node_only || one(&selectors.devices));
    let one_metric = one_entity && one(&rule.allow);
    let is_one = |per| match per {
        Per::Rule => true,
        Per::EdgeNode => one_node,
        Per::Device => one_entity,
        Per::Metric => one_metric,
    };
    let rate = rule.rate?;
    Some(Rate { per: if is_one(rate.per) { Per::Rule } else { rate.per }, ..rate })
}

/// Which of two limits lets more cross.
fn compare_rates(before: Option<&Rate>, after: Option<&Rate>) -> Shows {
    let (was, is) = match (before, after) {
        (None, Some(_)) => return Shows::Less,
        (_, None) => return Shows::More,
        (Some(was), Some(is)) => (was, is),
    };
    let Rate { messages, bytes, on_excess, per } = is;
    let wider = |was: Option<Bucket>, is: Option<Bucket>| match (was, is) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(was), Some(is)) => is.per_s >= was.per_s && is.burst >= was.burst,
    };
    // Under a lower limit other messages have their turn.
    let is_wider = wider(was.messages, *messages) && wider(was.bytes, *bytes);
    match is_wider && was.on_excess == *on_excess && was.per <= *per {
        true if was != is => Shows::More,
        _ => Shows::Otherwise,
    }
}

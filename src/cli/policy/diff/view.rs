//! What `policy diff` prints for people.

use std::cmp::Ordering;
use std::path::Path;

use policy::rule::moment::show_moment;
use policy::{Contrast, Policy, Shows};
use text::{Paint, counted, escape_to};
use tools::compare::{Comparison, Difference, Outcome, Room, Types, Witness};

use super::changed::Changed;
use crate::cli::policy::json as machine;
use crate::cli::policy::lines::{datatypes_in_words, line, readable, wrap};

/// Columns of the output.
const WIDTH: usize = 100;
/// Characters of a name in an example.
const MAX_NAME_CHARS: usize = 60;
/// Differences that are printed of each kind; `--json` has all.
const MAX_DIFFERENCES: usize = 25;
/// Metrics of a recording that are named.
const MAX_NAMED: usize = 40;
/// Times that are named of one difference.
const MAX_TIMES: usize = 3;

pub(super) struct View<'a> {
    pub(super) before: &'a Policy,
    pub(super) after: &'a Policy,
    pub(super) paint: Paint,
}

impl View<'_> {
    pub(super) fn describe(&self, text: &mut String, names: (&str, &str), comparison: &Comparison) {
        let paint = self.paint;
        let (a, b) = names;
        if comparison.is_equal() {
            line(text, &paint.good("no difference"));
            line(text, &format!("  {a} and {b} let the same things through, in the same manner;"));
            line(text, "  this is proved from what their rules mean");
            return;
        }
        let sections = [
            ("newly crosses", &comparison.newly),
            ("no longer crosses", &comparison.no_longer),
            ("crosses in another manner", &comparison.otherwise),
        ];
        for (place, (title, differences)) in sections.into_iter().enumerate() {
            if differences.is_empty() {
                continue;
            }
            line(text, "");
            line(text, &paint.strong(title));
            for difference in differences.iter().take(MAX_DIFFERENCES) {
                self.difference(text, difference, place, comparison);
            }
            let rest = differences.len().saturating_sub(MAX_DIFFERENCES);
            if rest > 0 {
                line(
                    text,
                    &format!(
                        "  and {} by other rules (`--json` has all)",
                        counted(rest, "difference")
                    ),
                );
            }
        }
        // Where metrics differ, that births do says nothing more.
        let told = |newly: bool| {
            if newly { comparison.newly.is_empty() } else { comparison.no_longer.is_empty() }
        };
        let births: Vec<_> = comparison.births.iter().filter(|(newly, _)| told(*newly)).collect();
        if !births.is_empty() {
            line(text, "");
            line(text, &paint.strong("births and deaths alone"));
            for (newly, entity) in &births {
                let verb = if *newly { "newly cross" } else { "no longer cross" };
                line(text, &format!("  of {} {verb}", escape_to(entity, MAX_NAME_CHARS)));
            }
        }
        if !comparison.members.is_empty() {
            line(text, "");
            line(text, &paint.strong("members of templates, wherever one with them crosses"));
            for member in &comparison.members {
                let path = escape_to(&member.path, MAX_NAME_CHARS);
                let rule = &member.rule;
                line(
                    text,
                    &match member.newly {
                        true => format!("  newly cross: such as `{path}`, which `{rule}` took out"),
                        false => {
                            format!("  no longer cross: such as `{path}`: `{rule}` takes it out")
                        }
                    },
                );
            }
        }
        if !comparison.whole.is_empty() {
            line(text, "");
            line(text, &paint.strong("for all rules together"));
            for whole in &comparison.whole {
                if !whole.before.is_empty() {
                    line(text, &format!("  {}", paint.bad(format!("- {}", whole.before))));
                }
                if !whole.after.is_empty() {
                    line(text, &format!("  {}", paint.good(format!("+ {}", whole.after))));
                }
            }
        }
        if !comparison.observing.is_empty() {
            line(text, "");
            line(text, &paint.strong("counted only"));
            line(text, "  rules that only observe, and decide nothing, which aren't the same:");
            for name in &comparison.observing {
                line(text, &format!("  {name}"));
            }
        }
        if !comparison.room.is_empty() {
            line(text, "");
            line(text, &paint.odd("what crosses less leaves room"));
            for room in &comparison.room {
                line(text, &format!("  {}", room_in_words(room)));
            }
        }
        if !comparison.undecided.is_empty() {
            line(text, "");
            line(text, &paint.odd("not known"));
            for (rule, why) in &comparison.undecided {
                line(text, &format!("  what differs by `{rule}`: {why}"));
            }
            line(text, "  what isn't listed here may differ all the same; a recording may tell");
        } else if comparison.shows_no_more() {
            line(text, "");
            let words = "nothing newly crosses, and nothing shows more";
            match comparison.times.as_slice() {
                [_] => line(text, &format!("{words}: this is proved from what the rules mean")),
                times => {
                    let from = times.first().map_or(0, |time| time.from_ms);
                    line(text, &format!("{words}, at any time from {} on:", show_moment(from)));
                    line(text, "this is proved from what the rules mean");
                }
            }
        }
    }

    fn difference(
        &self,
        text: &mut String,
        difference: &Difference,
        place: usize,
        comparison: &Comparison,
    ) {
        let paint = self.paint;
        let was = self.outcome(self.before, difference.before);
        let is = self.outcome(self.after, difference.after);
        let painted = match place {
            0 => paint.good(&is),
            1 => paint.bad(&is),
            _ => paint.odd(&is),
        };
        line(text, &format!("  {painted}; before {was}"));
        // What the deciding rules say, where that isn't the same.
        let words = |policy: &Policy, outcome| match outcome {
            Outcome::Forward(rule)
            | Outcome::Redact { rule, .. }
            | Outcome::Drop(_, Some(rule)) => policy.rule(rule).map(policy::Rule::describe),
            Outcome::Drop(_, None) => None,
        };
        let (old, new) =
            (words(self.before, difference.before), words(self.after, difference.after));
        for (label, words, other) in [("now", &new, &old), ("before", &old, &new)] {
            let Some(words) = words.as_ref().filter(|_| words != other) else { continue };
            for (number, row) in wrap(words, WIDTH.saturating_sub(14)).iter().enumerate() {
                let label = if number == 0 { label } else { "" };
                line(text, &format!("    {label:<7} {row}"));
            }
        }
        for Contrast { shows, now, before, .. } in &difference.contrasts {
            let label = match shows {
                Shows::More => "shows more",
                Shows::Less => "shows less",
                Shows::Otherwise => "otherwise",
            };
            let before =
                if before.is_empty() { String::new() } else { format!("; before: {before}") };
            let words = format!("{label}: {now}{before}");
            for (number, row) in wrap(&words, WIDTH.saturating_sub(8)).iter().enumerate() {
                let indent = if number == 0 { "" } else { "  " };
                let row = format!("{indent}{}", readable(row));
                line(
                    text,
                    &format!("    {}", if *shows == Shows::Less { row } else { paint.odd(row) }),
                );
            }
        }
        if difference.times.len() < comparison.times.len() {
            line(text, &format!("    when    {}", times(difference, comparison)));
        }
        for (number, witness) in difference.witnesses.iter().enumerate() {
            let label = if number == 0 { "such as" } else { "" };
            line(text, &format!("    {label:<7} {}", shown(witness)));
        }
    }

    fn outcome(&self, policy: &Policy, outcome: Outcome) -> String {
        let name = |rule| machine::name(policy, Some(rule)).unwrap_or_default();
        match outcome {
            Outcome::Forward(rule) => format!("forwarded by `{}`", name(rule)),
            Outcome::Redact { rule, .. } => {
                format!("kept in births without a value by `{}`", name(rule))
            }
            Outcome::Drop(reason, Some(rule)) => format!("dropped by `{}` ({reason})", name(rule)),
            Outcome::Drop(reason, None) => format!("dropped ({reason})"),
        }
    }

    pub(super) fn describe_recording(
        &self,
        text: &mut String,
        path: &Path,
        messages: u64,
        changes: &[Changed],
    ) {
        let paint = self.paint;
        let messages = counted(messages, "message");
        line(text, "");
        line(text, &paint.strong(format!("on recorded traffic: {}, {messages}", path.display())));
        if changes.is_empty() {
            line(text, "  no difference");
            return;
        }
        let name = |changed: &Changed| {
            let metric = escape_to(&changed.metric, MAX_NAME_CHARS);
            format!("{}  {metric}", escape_to(&changed.entity, MAX_NAME_CHARS))
        };
        let width = changes.iter().take(MAX_NAMED).map(|one| name(one).chars().count()).max();
        let width = width.unwrap_or(0).min(WIDTH.saturating_sub(30));
        let head = format!("  {:<width$} {:>7} {:>7} {:>7}", "metric", "sent", "before", "now");
        line(text, &paint.faint(head));
        for changed in changes.iter().take(MAX_NAMED) {
            let (was, is) = changed.crossed;
            let row = format!("  {:<width$} {:>7} {was:>7} {is:>7}", name(changed), changed.sent);
            let row = match was.cmp(&is) {
                Ordering::Less => paint.good(row),
                Ordering::Greater => paint.bad(row),
                Ordering::Equal => paint.odd(row),
            };
            line(text, &row);
            line(text, &paint.faint(format!("      {} → {}", changed.why.0, changed.why.1)));
        }
        let rest = changes.len().saturating_sub(MAX_NAMED);
        if rest > 0 {
            line(text, &format!("  and {}", counted(rest, "more metric")));
        }
    }
}

/// `Plant1/Line4/x  Temperature/x  (Float)`.
fn shown(witness: &Witness) -> String {
    let mut words = format!(
        "{}/{}",
        escape_to(&witness.group, MAX_NAME_CHARS),
        escape_to(&witness.edge_node, MAX_NAME_CHARS)
    );
    if let Some(device) = &witness.device {
        words.push_str(&format!("/{}", escape_to(device, MAX_NAME_CHARS)));
    }
    words.push_str(&format!("  {}", escape_to(&witness.metric, MAX_NAME_CHARS)));
    match &witness.datatypes {
        Types::Every | Types::EveryPlain => {}
        Types::Unknown => words.push_str("  of a text without a datatype"),
        Types::Some(types) => {
            words.push_str(&format!("  ({})", datatypes_in_words(types)));
        }
    }
    words
}

/// When a difference holds, if not always.
fn times(difference: &Difference, comparison: &Comparison) -> String {
    let named = difference.times.iter().filter_map(|number| comparison.times.get(*number));
    let named: Vec<String> = named
        .take(MAX_TIMES)
        .map(|time| match time.until_ms {
            Some(until) => format!("{} to {}", show_moment(time.from_ms), show_moment(until)),
            None => format!("{} on", show_moment(time.from_ms)),
        })
        .collect();
    let more = if difference.times.len() > named.len() { ", and at other times" } else { "" };
    let mut all = difference.times.iter().filter_map(|number| comparison.times.get(*number));
    let again = match all.any(|time| time.again) {
        true => ", and when schedules stand so again",
        false => "",
    };
    format!("from {}{again}{more}", named.join(", "))
}

fn room_in_words(room: &Room) -> String {
    match room {
        Room::Limit(rule) => format!("for other data that the limit of `{rule}` holds back"),
        Room::Limits => "for other data that limits of edge nodes or of the link hold back".into(),
        Room::Names => "for what has no name on IT while another thing has it".into(),
        Room::Members => {
            "for members of templates: what is taken out of one instance is taken out of \
                          all of its definition"
                .into()
        }
        Room::Held(rule) => {
            format!("for single values by `{rule}`: its deadbands and intervals go by earlier ones")
        }
    }
}

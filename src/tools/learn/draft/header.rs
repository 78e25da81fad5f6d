//! The head of a draft: where it comes from, and what is to be done with it.

use std::fmt::Write;

use text::counted;

use super::words::{MAX_LISTED, shown, utc};
use super::{Draft, Options};
use crate::learn::observe::Observation;

pub(super) fn header(seen: &Observation, options: &Options<'_>, draft: &Draft) -> String {
    let mut text = String::from(
        "# A draft of a policy, made by `sparkdiode policy learn` for people to go through.\n#\n",
    );
    let mut line = |name: &str, content: String| {
        // Writing to a `String` can't fail.
        let _ = writeln!(text, "#   {name:<11} {content}");
    };
    line("learnt from", shown(&options.source));
    let devices = seen.nodes.values().flat_map(|node| node.entities.keys()).flatten().count();
    let (nodes, messages) = (seen.nodes.len(), seen.messages);
    line("", {
        let nodes = counted(nodes, "edge node");
        format!("{} of {nodes} with {}", counted(messages, "message"), counted(devices, "device"))
    });
    if let Some((first, last)) = seen.span {
        line("", format!("{} to {}", utc(first), utc(last)));
    }
    line("proposed", {
        let metrics = counted(draft.promised.len(), "metric");
        format!("{} for {metrics}", counted(draft.rules, "rule"))
    });
    if draft.undecided_rules > 0 {
        let rules = counted(draft.undecided_rules, "rule");
        let metrics = counted(draft.undecided_metrics, "metric");
        line("to decide", format!("{rules} for {metrics}, behind `#`"));
    }
    if options.existing.is_some() {
        line(
            "left out",
            match draft.known {
                1 => "1 metric that crosses already".to_owned(),
                known => format!("{known} metrics that cross already"),
            },
        );
        line("", format!("{} that a rule denies", counted(draft.denied, "metric")));
    }
    if seen.unreadable > 0 {
        line("unreadable", counted(seen.unreadable, "message"));
    }
    if seen.left_out > 0 {
        line("left out", format!("{}: the plant has too many", counted(seen.left_out, "metric")));
    }
    for node in draft.unborn.iter().take(MAX_LISTED) {
        line("no birth", format!("{}: nothing of it is proposed", shown(node)));
    }
    if let more @ 1.. = draft.unborn.len().saturating_sub(MAX_LISTED) {
        line("", format!("and of {more} more edge nodes"));
    }
    text.push_str(
        "#\n\
         # Before it is in force:\n\
         # - Who needs this? Delete what nobody does; say who in `description`.\n\
         # - A line that begins with `#` and no space is a proposal to decide on: take the `#` away,\n\
         #   or delete the line. Setpoints, recipes, texts and files are never proposed otherwise.\n",
    );
    if options.redacted {
        text.push_str(
            "# - The recording was redacted: no range and no length could be learnt from it.\n",
        );
    } else {
        text.push_str(
            "# - Ranges are what was seen, and half as much again on each side. What is outside\n\
             #   arrives as null with Quality 0. Check them against what the process can do.\n\
             #   Those of counters, of what hardly changed, and of what was seen for less than an\n\
             #   hour stand behind `#`.\n",
        );
    }
    text.push_str(
        "# - Rates are twice the busiest second that was seen; behind `#` after less than an hour.\n\
         # - What is called an alarm comes before all other data (`priority`), without a rate.\n\
         # - Edge nodes and devices are named; `*` stands in metric names only, and matched nothing\n\
         #   but what is listed beside it.\n\
         # Then: sparkdiode policy test --strict THIS-FILE\n",
    );
    text
}

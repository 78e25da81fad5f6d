//! What belongs to no rule: names on IT, and limits of all rules together.

use policy::{Policy, Rate, Shows};

/// One line that isn't the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// In words; empty where the first policy says nothing.
    pub before: String,
    /// Empty where the second policy says nothing.
    pub after: String,
    pub shows: Shows,
}

pub(super) fn compare(before: &Policy, after: &Policy) -> Vec<Whole> {
    let mut differences = Vec::new();
    let (left, right) = (before.renames().describe(), after.renames().describe());
    let only = |lines: &[String], others: &[String]| -> Vec<String> {
        lines.iter().filter(|line| !others.contains(line)).cloned().collect()
    };
    // What had its name taken away on IT, and didn't cross for that, may cross now.
    let shows = Shows::Otherwise;
    for before in only(&left, &right) {
        differences.push(Whole { before, after: String::new(), shows });
    }
    for after in only(&right, &left) {
        differences.push(Whole { before: String::new(), after, shows });
    }
    let (left, right) = (before.limits(), after.limits());
    let unlimited = left.node.is_none()
        && left.link.is_none()
        && before.rules().iter().all(|rule| rule.rate().is_none());
    // What crosses goes by what crossed before.
    let spaces = before.rules().iter().any(|rule| rule.shapes().space_any());
    for (noun, was, is) in
        [("each edge node", left.node, right.node), ("the link", left.link, right.link)]
    {
        if was != is {
            let say = |rate: Option<Rate>| match rate {
                Some(rate) => format!("{noun}: {}", rate.describe()),
                None => format!("{noun}: no limit"),
            };
            let shows = match (was, is) {
                // Beside other limits it may be the turn of other data.
                (None, Some(_)) if unlimited && !spaces => Shows::Less,
                (Some(_), None) => Shows::More,
                _ => Shows::Otherwise,
            };
            differences.push(Whole { before: say(was), after: say(is), shows });
        }
    }
    if left.births != right.births {
        let say = |least: std::time::Duration| match least.as_secs_f64() {
            0.0 => "births: values past limits, however often they come".to_owned(),
            least => format!("births: values past limits once in {least} s"),
        };
        let shows = if right.births < left.births { Shows::More } else { Shows::Otherwise };
        differences.push(Whole { before: say(left.births), after: say(right.births), shows });
    }
    differences
}

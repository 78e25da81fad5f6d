//! What a policy means, in plain words.

use std::path::{Path, PathBuf};

use config::policies;
use diagnostic::Diagnostics;
use policy::{Action, Policy};
use signature::{Requirement, Signed, SignedPolicy};
use sparkplug::STATE_FILTERS;
use text::{counted, escape};
use tools::lint::lint;

use super::lines::line;
use crate::cli::policy_source::{Compared, look, read_policy};

/// The certificates topics, to which the OT half subscribes whatever the policy says: they
/// teach the layout of nodes that were born before it came.
const CERTIFICATES: &str = "$sparkplug/certificates/#";

/// Reads and describes the policy in `paths`; `signed`: whose signatures it needs, and the state directory
/// of the half; `subscribing`: as the OT half uses it.
pub(super) fn describe_policy(
    text: &mut String,
    paths: &[PathBuf],
    signed: Option<(&Requirement, &Path)>,
    subscribing: bool,
    warnings: &mut Diagnostics,
    errors: &mut Diagnostics,
) -> Option<Policy> {
    let read = match signed {
        None => read_policy(paths).map(|(policy, found)| (policy, found, None)),
        Some((requirement, state_dir)) => look(paths, requirement, state_dir).map(
            |(SignedPolicy { policy, signed }, found, compared)| {
                (policy, found, signed.map(|signed| (signed, requirement, compared)))
            },
        ),
    };
    let (policy, signed) = match read {
        Ok((policy, found, signed)) => {
            warnings.extend(found);
            (policy, signed)
        }
        Err(problems) => {
            errors.extend(problems);
            return None;
        }
    };
    let sources = policies::load_sources(paths).unwrap_or_default();
    let files = sources.len();
    warnings.extend(lint(&policy, &sources, clock::wall_ms()));
    line(
        text,
        &format!(
            "\npolicy of {} with {}, digest {}",
            counted(files, "file"),
            counted(policy.rules().len(), "rule"),
            policy.digest()
        ),
    );
    if let Some((found, requirement, compared)) = signed {
        describe_signature(text, &found, requirement, &compared);
    }
    if subscribing {
        line(text, "  subscribes to");
        for filter in policy.subscriptions() {
            line(text, &format!("    {filter}"));
        }
        line(text, &format!("    {CERTIFICATES}  (stored births: they teach layouts only)"));
        let states = STATE_FILTERS.join(", ");
        line(text, &format!("    {states}  (which hosts are offline: read, and never crosses)"));
    }
    describe_rules(text, &policy, Action::Forward, "forwards");
    describe_rules(text, &policy, Action::Redact, "keeps in births without their values");
    describe_rules(text, &policy, Action::Deny, "denies, whatever is forwarded");
    let limits = policy.limits();
    for (name, limit) in [("each edge node", limits.node), ("the whole link", limits.link)] {
        if let Some(limit) = limit {
            line(text, &format!("  limits {name} to {}", limit.describe()));
        }
    }
    if !policy.renames().is_empty() {
        line(text, "  renames; what stands for itself keeps its name");
        for renamed in policy.renames().describe() {
            line(text, &format!("    {}", escape(&renamed)));
        }
    }
    line(text, "  never crosses: commands, STATE, unknown message types, other namespaces,");
    line(text, "    and everything that no rule forwards");
    line(
        text,
        "  beside values: Quality, unit, range, description and other engineering properties,",
    );
    line(text, "    unless a rule says otherwise; no file, Bytes or DataSet that no rule opens");
    Some(policy)
}

fn describe_signature(
    text: &mut String,
    signed: &Signed,
    requirement: &Requirement,
    compared: &Compared,
) {
    let Requirement { keys, threshold, .. } = requirement;
    let against = match compared {
        Compared::With(version) => format!("the highest in force so far is {version}"),
        Compared::Nothing => "none was in force so far".to_owned(),
        Compared::Unknown(why) => format!("NOT COMPARED with the one in force: {why}"),
    };
    line(
        text,
        &format!("  signed as version {} at {}; {against}", signed.version, escape(&signed.at)),
    );
    line(
        text,
        &format!("    by {} of {}, {threshold} required:", signed.signers.len(), keys.len()),
    );
    for signer in &signed.signers {
        line(text, &format!("    {}", escape(signer)));
    }
}

fn describe_rules(text: &mut String, policy: &Policy, action: Action, title: &str) {
    let mut rules = policy.rules().iter().filter(|rule| rule.action() == action).peekable();
    match (rules.peek(), action) {
        (None, Action::Deny | Action::Redact) => return,
        (None, Action::Forward) => return line(text, "  forwards NOTHING: no forward rule"),
        _ => line(text, &format!("  {title}")),
    }
    for rule in rules {
        let place = format!("{}:{}", rule.path().display(), rule.line());
        line(text, &format!("    {} ({place})", escape(rule.name())));
        if let Some(description) = rule.description() {
            line(text, &format!("      \"{}\"", escape(description)));
        }
        line(text, &format!("      {}", rule.describe()));
        for shape in rule.describe_shapes() {
            line(text, &format!("        {}", escape(&shape)));
        }
    }
}

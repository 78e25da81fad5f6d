//! What the OT broker granted to the half that runs, beside what the policy needs. Of a half that is
//! not running nobody knows.

use std::collections::BTreeSet;
use std::path::Path;

use diagnostic::{Diagnostic, Diagnostics};
use policy::Policy;
use telemetry::status::Status;
use text::{counted, escape, format_utc_ms};

use super::lines::line;
use crate::cli::status;

/// Filters that are named.
const MAX_NAMED: usize = 8;

/// Says what the broker granted of what `policy` needs; `shadow`: what is subscribed to beside that, for a
/// policy in shadow.
pub(super) fn describe(
    text: &mut String,
    path: &Path,
    policy: &Policy,
    shadow: &[String],
    state_dir: &Path,
    warnings: &mut Diagnostics,
) {
    let Some(status) = status::peek(state_dir) else { return };
    compare(text, path, policy, shadow, &status, warnings);
}

fn compare(
    text: &mut String,
    path: &Path,
    policy: &Policy,
    shadow: &[String],
    status: &Status,
    warnings: &mut Diagnostics,
) {
    let Some(ot) = &status.ot else { return };
    let at = format_utc_ms(status.written_ms);
    if !status.broker.connected {
        return line(
            text,
            &format!("  broker      not connected at {at}: what it grants isn't known"),
        );
    }
    let wanted: BTreeSet<String> = policy.subscriptions().into_iter().collect();
    let granted: BTreeSet<&String> = ot.subscriptions_granted.iter().collect();
    let count = wanted.iter().filter(|filter| granted.contains(filter)).count();
    let all = counted(wanted.len(), "subscription");
    line(text, &format!("  broker      granted {count} of {all} at {at}"));
    let mut warn = |title: String, help: &str| {
        warnings.push(Diagnostic::file_warning("C114", path, title).help(help));
    };
    let refused: Vec<&String> =
        ot.subscriptions_refused.iter().filter(|filter| wanted.contains(*filter)).collect();
    if !refused.is_empty() {
        warn(
            format!("the broker refuses what the policy forwards: {}", list(&refused)),
            "nothing of it comes: `sparkdiode policy acl --mosquitto ot` prints the list that lets it",
        );
    }
    let of_other = status.policy.as_ref().is_some_and(|running| running.digest != policy.digest());
    if of_other {
        line(
            text,
            "              by another policy, which is in force: this one was not asked for",
        );
        return;
    }
    let is_more = |filter: &&String| !wanted.contains(*filter) && !shadow.contains(filter);
    let more: Vec<&String> = ot.subscriptions_granted.iter().filter(is_more).collect();
    if !more.is_empty() {
        warn(
            format!("the broker grants what the policy doesn't need: {}", list(&more)),
            "what comes by it is dropped here; end the session at the broker to be rid of it",
        );
    }
}

fn list(filters: &[&String]) -> String {
    let named: Vec<String> =
        filters.iter().take(MAX_NAMED).map(|filter| format!("`{}`", escape(filter))).collect();
    let more = filters.len().saturating_sub(named.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

#[cfg(test)]
mod tests {
    use diagnostic::SourceFile;
    use telemetry::status::{BrokerStatus, OtStatus, PolicyStatus};

    use super::*;

    #[test]
    fn what_the_broker_grants_is_compared_with_what_the_policy_needs() {
        let text =
            "[[rule]]\nname = \"a\"\naction = \"forward\"\ngroup = \"G\"\nnode-only = true\n";
        let (policy, _) = Policy::parse(&[SourceFile::new("p.toml", text)]).unwrap();
        let wanted = policy.subscriptions();
        let said = |granted: &[String], refused: &[String], connected: bool, digest: &str| {
            let status = Status {
                broker: BrokerStatus { connected, ..BrokerStatus::default() },
                policy: Some(PolicyStatus { digest: digest.to_owned(), rules: 1 }),
                ot: Some(OtStatus {
                    subscriptions_granted: granted.to_vec(),
                    subscriptions_refused: refused.to_vec(),
                    ..OtStatus::default()
                }),
                ..Status::default()
            };
            let (mut text, mut warnings) = (String::new(), Diagnostics::new());
            let shadow = ["spBv1.0/next/NDATA/+".to_owned()];
            compare(&mut text, Path::new("ot.toml"), &policy, &shadow, &status, &mut warnings);
            (text, warnings.to_string())
        };
        let digest = policy.digest();
        let (text, warnings) = said(&wanted, &[], true, digest);
        assert!(
            text.contains("granted 3 of 3 subscriptions") && warnings.is_empty(),
            "{text}{warnings}"
        );
        let (text, warnings) = said(&wanted[..2], &wanted[2..], true, digest);
        assert!(text.contains("granted 2 of 3"), "{text}");
        assert!(warnings.contains(&format!("refuses what the policy forwards: `{}`", wanted[2])));
        let wider = ["spBv1.0/#".to_owned()];
        let (_, warnings) = said(&[&wanted[..], &wider].concat(), &[], true, digest);
        assert!(
            warnings.contains("grants what the policy doesn't need: `spBv1.0/#`"),
            "{warnings}"
        );
        let observed = ["spBv1.0/next/NDATA/+".to_owned()];
        let (_, warnings) = said(&[&wanted[..], &observed].concat(), &[], true, digest);
        assert!(warnings.is_empty(), "it is subscribed to for the policy in shadow: {warnings}");
        let (text, warnings) = said(&wider, &[], true, "another");
        assert!(text.contains("another policy") && warnings.is_empty(), "{text}{warnings}");
        let (text, warnings) = said(&wanted, &[], false, digest);
        assert!(text.contains("not connected") && warnings.is_empty(), "{text}{warnings}");
    }
}

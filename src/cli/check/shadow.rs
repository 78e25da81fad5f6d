//! What `check` says of a policy in shadow. One that is refused keeps no half from starting: it is a
//! warning, with all that is wrong.

use std::path::Path;

use config::{OtConfig, policies};
use diagnostic::{Diagnostic, Diagnostics, Severity};
use policy::Policy;
use text::counted;
use tools::lint::lint;

use super::lines::line;
use crate::cli::policy_source::{missing_key, read_policy};

/// Code of a policy in shadow that is refused.
const REFUSED: &str = "C115";

/// Says what looks on beside the policy in force; the filters for which the half subscribes beside
/// those of that.
pub(super) fn describe(
    text: &mut String,
    path: &Path,
    config: &OtConfig,
    in_force: Option<&Policy>,
    warnings: &mut Diagnostics,
) -> Vec<String> {
    let paths = &config.observed_paths;
    if paths.is_empty() {
        return Vec::new();
    }
    let read = read_policy(paths).and_then(|(policy, found)| {
        match missing_key(&policy).filter(|_| config.pseudonym_key.is_none()) {
            Some(problem) => Err(problem.into()),
            None => Ok((policy, found)),
        }
    });
    let policy = match read {
        Ok((policy, found)) => {
            warnings.extend(found);
            policy
        }
        Err(problems) => {
            line(
                text,
                "\npolicy in shadow (`[policies] observe`): REFUSED, so nothing is compared",
            );
            let title = "the policy in shadow is refused; the one in force isn't concerned";
            warnings.push(Diagnostic::file_warning(REFUSED, path, title.to_owned()));
            warnings.extend(
                problems
                    .into_iter()
                    .map(|problem| Diagnostic { severity: Severity::Warning, ..problem }),
            );
            return Vec::new();
        }
    };
    let sources = policies::load_sources(paths).unwrap_or_default();
    warnings.extend(lint(&policy, &sources, clock::wall_ms()));
    line(
        text,
        &format!(
            "\npolicy in shadow of {} with {}, digest {}",
            counted(sources.len(), "file"),
            counted(policy.rules().len(), "rule"),
            policy.digest()
        ),
    );
    line(text, "  decides nothing: it is compared with the policy in force on live traffic;");
    line(text, "    `sparkdiode policy hits` shows the difference, `policy diff` what it could be");
    let Some(in_force) = in_force else { return Vec::new() };
    let filters = in_force.subscriptions_beside(&policy);
    if config.require_signature.is_some() {
        if !filters.is_empty() {
            line(
                text,
                "  subscribes to nothing besides, as it needs no signature: what would come by",
            );
            filters.iter().for_each(|filter| line(text, &format!("    {filter}")));
            line(text, "    isn't seen");
        }
        return Vec::new();
    }
    if !filters.is_empty() {
        line(text, "  subscribes besides to");
        filters.iter().for_each(|filter| line(text, &format!("    {filter}")));
    }
    filters
}

//! What is odd about two halves that are checked together.

use std::path::{Path, PathBuf};

use config::places::{Relation, relation};
use config::{ItConfig, OtConfig};
use diagnostic::{Diagnostic, Diagnostics};
use policy::Policy;

use super::{Checked, apart, limits};
use crate::cli::relay_node::RelayNode;
use crate::cli::syslog;

/// What is odd about two halves that are checked together. `linked`: a link is between them.
pub(in crate::cli) fn compare(
    ot_path: &Path,
    ot: &OtConfig,
    it_path: &Path,
    it: &ItConfig,
    linked: bool,
    (warnings, errors): (&mut Diagnostics, &mut Diagnostics),
) {
    let mut crossing = Diagnostics::new();
    let mut warn = |title: String, help: &str| {
        warnings.push(Diagnostic::file_warning("C110", it_path, title).help(help));
    };
    for finding in limits::compare(&ot.limits, &it.limits) {
        warn(finding.title, &finding.help);
    }
    let side = |path, name, broker, syslog| syslog::Side { path, name, broker, syslog };
    syslog::crossings(
        &side(ot_path, "OT", &ot.broker, &ot.syslog[..]),
        &side(it_path, "IT", &it.broker, &it.syslog[..]),
        &mut crossing,
    );
    // With a link between them each has a journal of its own.
    if !linked && relation(&ot.journal.path, &it.journal_path) != Some(Relation::Same) {
        let (left, right) = (ot.journal.path.display(), it.journal_path.display());
        let title = format!("the IT half reads another journal: `{right}`");
        warn(title, &format!("`{}` writes `{left}`", ot_path.display()));
    }
    apart::brokers(ot, it_path, it, warnings, errors);
    apart::users(ot, it_path, it, errors);
    apart::certificates(ot, it_path, it, warnings);
    apart::directories(ot, it_path, it, errors);
    let is_same = |left: &Path, right: &Path| relation(left, right) == Some(Relation::Same);
    let directory = |textfile: Option<PathBuf>, state: &Path| {
        textfile.map(|directory| (is_same(&directory, state), directory))
    };
    let of_ot = directory(ot.status.textfile_directory(), &it.state_dir);
    let of_it = directory(it.status.textfile_directory(), &ot.state_dir);
    let same = match (&of_ot, &of_it) {
        (Some((_, left)), Some((_, right))) if is_same(left, right) => Some(right.clone()),
        (Some((true, other)), _) | (_, Some((true, other))) => Some(other.clone()),
        _ => None,
    };
    if let Some(same) = same {
        errors.push(
            Diagnostic::file_error(
                "C111",
                it_path,
                format!("both halves write into `{}`: `[metrics] textfile`", same.display()),
            )
            .help("each half needs a directory that it alone may write; see `sparkdiode help monitoring`"),
        );
    }
    warnings.extend(crossing);
}

/// Looks for the name of the relay's own edge node in the OT half's policy and in the IT half's copy.
pub(super) fn beside_relay_node(
    ot: Option<&Checked<'_, OtConfig>>,
    it: Option<&Checked<'_, ItConfig>>,
) -> Vec<Diagnostic> {
    let Some(Checked { path: it_path, config: it, policy: copy }) = it else { return Vec::new() };
    let (relayed, copy) = (ot.and_then(|ot| ot.policy.as_ref()), copy.as_ref());
    let Some(health) = &it.health else { return Vec::new() };
    if let Some(fold) = &it.mirror.fold {
        // A folded node of the plant is a device, and none of those has the name of an edge node.
        let own = health.edge_node.as_deref().or(ot.map(|ot| ot.config.name.as_str()));
        let is_one = own.is_some_and(|own| own.to_lowercase() == fold.to_lowercase());
        let problem = || {
            let title =
                format!("the folded edge nodes and the relay's own would have one name: `{fold}`");
            let help = "give one of them another: `fold-edge-node` of `[mirror]`, or `edge-node` of `[health]`";
            Diagnostic::file_error("C112", it_path, title).help(help)
        };
        return is_one.then(problem).into_iter().collect();
    }
    let relay = ot.map(|ot| ot.config.name.as_str());
    let look = |policy: &Policy, paths| RelayNode { health, relay, it_path, paths }.look(policy);
    let of_ot = match (relayed, ot) {
        (Some(policy), Some(ot)) => look(policy, &ot.config.policy_paths[..]),
        _ => None,
    };
    // A copy that is one says the same.
    let of_it = copy.filter(|copy| relayed.is_none_or(|policy| policy.digest() != copy.digest()));
    let of_it = of_it.and_then(|policy| look(policy, &it.policy_paths[..]));
    of_ot.into_iter().chain(of_it).collect()
}

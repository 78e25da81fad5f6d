//! The relay's own edge node on IT (`[health]`): whether a policy could give its names to something
//! of the plant. Reported by `check`, and by the IT half before it starts, where it has a copy of the
//! policy; the OT half knows nothing of IT.

use std::path::{Path, PathBuf};

use config::{HealthConfig, policies};
use diagnostic::{Diagnostic, Diagnostics, Severity};
use policy::{Policy, ReservedNameUse};

/// Code of these problems.
const RELAY_NODE: &str = "C112";

/// The relay's edge node, and whose policy is looked at.
pub(super) struct RelayNode<'a> {
    pub(super) health: &'a HealthConfig,
    /// The relay's name, where it is known: without a name of its own the node is called like it.
    pub(super) relay: Option<&'a str>,
    /// Where the node is set up.
    pub(super) it_path: &'a Path,
    /// Files and directories of the policy.
    pub(super) paths: &'a [PathBuf],
}

impl RelayNode<'_> {
    /// `group/edge node`.
    pub(super) fn name(&self) -> String {
        format!("{}/{}", self.health.group, self.edge_node().unwrap_or("NAME"))
    }

    fn edge_node(&self) -> Option<&str> {
        self.health.edge_node.as_deref().or(self.relay)
    }

    /// What is wrong or odd with `policy` beside it: an error where it spells the name out, a
    /// warning where it names a part of it.
    pub(super) fn look(&self, policy: &Policy) -> Option<Diagnostic> {
        let used = policy.use_of_reserved_name(&self.health.group, self.edge_node())?;
        let id = match &used {
            ReservedNameUse::Renamed { rule, .. }
            | ReservedNameUse::Spelled { rule }
            | ReservedNameUse::Possible { rule } => rule,
        };
        let rule = policy.rule(*id)?;
        let own = self.name();
        let title = match &used {
            ReservedNameUse::Renamed { node, .. } => {
                format!("`[rename]` gives `{node}` the name of the relay's own edge node: `{own}`")
            }
            ReservedNameUse::Spelled { .. } => {
                let rule = rule.name();
                format!("rule `{rule}` forwards the name of the relay's own edge node: `{own}`")
            }
            ReservedNameUse::Possible { .. } => {
                let rule = rule.name();
                format!("rule `{rule}` may forward the name of the relay's own edge node: `{own}`")
            }
        };
        let sources = policies::load_sources(self.paths).unwrap_or_default();
        let file = sources.iter().find(|file| file.path == rule.path());
        let mut problem = match file {
            Some(file) => Diagnostic::error(RELAY_NODE, file, rule.place(), title),
            // Gone since it was read.
            None => Diagnostic::file_error(RELAY_NODE, rule.path(), title),
        };
        if matches!(used, ReservedNameUse::Possible { .. }) {
            problem.severity = Severity::Warning;
        }
        Some(problem.help(format!(
            "give the relay's own edge node another name in `[health]` of `{}`; while the relay \
             runs, whoever comes second under one name is refused",
            self.it_path.display()
        )))
    }

    /// The same for a half that is about to take the policy: the warnings.
    ///
    /// # Errors
    /// The policy spells the name out.
    pub(super) fn require(&self, policy: &Policy) -> Result<Diagnostics, Diagnostics> {
        let mut found = Diagnostics::new();
        found.extend(self.look(policy));
        if found.has_errors() { Err(found) } else { Ok(found) }
    }
}

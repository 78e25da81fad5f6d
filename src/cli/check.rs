//! `sparkdiode check`: what configuration and policies mean, in plain words.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use config::{
    BrokerConfig, Durability, FirstStart, ItConfig, OnGap, OtConfig, SandboxConfig, SyslogConfig,
    file_diagnostic, policies,
};
use diagnostic::file::read_text;
use diagnostic::{Diagnostic, Diagnostics, Severity, SourceFile};
use policy::{Action, Policy};
use sandbox::{Layer, UserSpec};
use signature::{Requirement, Signed};
use text::escape;
use toml::de::{DeTable, DeValue};
use tools::lint::lint;

use super::own_node::OwnNode;
use super::policy_source::{Compared, look};
use super::report::{self, counted};
use super::{Exit, Failure, half, rule_counts, syslog};

/// The certificates topics, to which the OT half subscribes whatever the policy says: they
/// teach the layout of nodes that were born before it came.
const CERTIFICATES: &str = "$sparkplug/certificates/#";

/// Check configuration and policies, and say in plain words what they do.
///
/// A PATH is an `ot.toml`, an `it.toml`, a policy file, or a directory of policies; which one, is
/// seen from its content. Policy files that are named together are one policy. Certificates and
/// keys are looked at as well; credentials that only systemd hands out are reported as not seen.
/// Exits with 0, or with 78 if anything is wrong.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sparkdiode check /etc/sparkdiode/ot.toml /etc/sparkdiode/it.toml\n  \
                        sparkdiode check policies"
)]
pub(super) struct CheckArgs {
    /// Configuration files, policy files, directories of policies.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ot,
    It,
    Policy,
}

pub(super) fn run(arguments: &CheckArgs) -> Result<Exit, Failure> {
    let mut text = String::new();
    let mut warnings = Diagnostics::new();
    let mut errors = Diagnostics::new();
    let mut policy_paths = Vec::new();
    let mut halves = (None, None);
    let mut relayed = None;
    let mut copy = None;
    for path in &arguments.paths {
        match recognise(path) {
            Ok((Kind::Policy, _)) => policy_paths.push(path.clone()),
            Ok((Kind::Ot, file)) => match OtConfig::check(file) {
                Ok((config, found)) => {
                    warnings.extend(found);
                    describe_ot(&mut text, path, &config);
                    let signed =
                        config.require_signature.as_ref().map(|one| (one, &*config.state_dir));
                    let paths = &config.policy_paths;
                    let found = policy(&mut text, paths, signed, true, &mut warnings, &mut errors);
                    rule_counts::tell(&mut text, paths, &config.state_dir, &mut warnings);
                    if config.pseudonym_key.is_none() {
                        errors.extend(found.as_ref().and_then(half::missing_key));
                    }
                    relayed = found;
                    halves.0 = Some((path, config));
                }
                Err(problems) => errors.extend(problems),
            },
            Ok((Kind::It, file)) => match ItConfig::check(file) {
                Ok((config, found)) => {
                    warnings.extend(found);
                    describe_it(&mut text, path, &config);
                    if !config.policy_paths.is_empty() {
                        let signed =
                            config.require_signature.as_ref().map(|one| (one, &*config.state_dir));
                        let paths = &config.policy_paths;
                        copy = policy(&mut text, paths, signed, false, &mut warnings, &mut errors);
                    }
                    halves.1 = Some((path, config));
                }
                Err(problems) => errors.extend(problems),
            },
            Err(problems) => errors.extend(problems),
        }
    }
    if !policy_paths.is_empty() {
        let _ = policy(&mut text, &policy_paths, None, true, &mut warnings, &mut errors);
    }
    if let (Some((ot_path, ot)), Some((it_path, it))) = &halves {
        compare(ot_path, ot, it_path, it, &mut warnings, &mut errors);
    }
    for found in beside_own_node(&halves.0, &halves.1, relayed.as_ref(), copy.as_ref()) {
        if found.severity == Severity::Error { &mut errors } else { &mut warnings }.push(found);
    }
    report::output(text.trim_start_matches('\n'))?;
    if errors.has_errors() {
        warnings.extend(errors);
        return Err(warnings.into());
    }
    report::warnings(&warnings);
    let found = match warnings.len() {
        0 => "no problem found".to_owned(),
        number => format!("usable, with {}", counted(number, "warning")),
    };
    report::output(&format!("\n{found}\n"))?;
    Ok(Exit::Ok)
}

/// Looks for the name of the relay's own edge node in the OT half's policy and in the IT half's copy.
fn beside_own_node(
    ot: &Option<(&PathBuf, OtConfig)>,
    it: &Option<(&PathBuf, ItConfig)>,
    relayed: Option<&Policy>,
    copy: Option<&Policy>,
) -> Vec<Diagnostic> {
    let Some((it_path, it)) = it else { return Vec::new() };
    let Some(health) = &it.health else { return Vec::new() };
    let relay = ot.as_ref().map(|(_, config)| config.name.as_str());
    let look = |policy: &Policy, paths| OwnNode { health, relay, it_path, paths }.look(policy);
    let of_ot = match (relayed, ot) {
        (Some(policy), Some((_, config))) => look(policy, &config.policy_paths[..]),
        _ => None,
    };
    // A copy that is one says the same.
    let of_it = copy.filter(|copy| relayed.is_none_or(|policy| policy.digest() != copy.digest()));
    let of_it = of_it.and_then(|policy| look(policy, &it.policy_paths[..]));
    of_ot.into_iter().chain(of_it).collect()
}

/// Sees what a file is from the tables and keys in it, and, where it has none that tell, from
/// its name.
pub(super) fn recognise(path: &Path) -> Result<(Kind, SourceFile), Diagnostics> {
    if path.is_dir() {
        return Ok((Kind::Policy, SourceFile::new(path, "")));
    }
    let text = read_text(path).map_err(|error| file_diagnostic(path, &error))?;
    let file = SourceFile::new(path, text);
    let kind = {
        // Mistakes of syntax are reported by whoever reads the file for good.
        let (document, _) = DeTable::parse_recoverable(&file.text);
        kind_of(document.get_ref(), path)
    };
    match kind {
        Some(kind) => Ok((kind, file)),
        None => Err(Diagnostic::file_error(
            "C001",
            path,
            "neither a configuration of a half nor a policy",
        )
        .help("`ot.toml` has `name` and `[relay]`, `it.toml` has `[mirror]`, a policy `[[rule]]`")
        .into()),
    }
}

fn kind_of(table: &DeTable<'_>, path: &Path) -> Option<Kind> {
    let has = |key: &str| table.contains_key(key);
    let in_table = |name: &str, key: &str| match table.get(name).map(|value| value.get_ref()) {
        Some(DeValue::Table(table)) => table.contains_key(key),
        _ => false,
    };
    if has("rule") || has("rename") || has("limits") {
        return Some(Kind::Policy);
    }
    if has("mirror") || has("backfill") {
        return Some(Kind::It);
    }
    if has("name") || has("relay") || in_table("broker", "client-id") {
        return Some(Kind::Ot);
    }
    if in_table("broker", "client-id-prefix") {
        return Some(Kind::It);
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match name {
        _ if name.starts_with("ot") => Some(Kind::Ot),
        _ if name.starts_with("it") => Some(Kind::It),
        _ if has("broker") || has("journal") => None,
        _ if has("case") => Some(Kind::Policy),
        _ => None,
    }
}

fn describe_ot(text: &mut String, path: &Path, config: &OtConfig) {
    line(text, &format!("\n{}: OT half `{}`", path.display(), config.name));
    let broker = &config.broker;
    item(text, "broker", &format!("{}, as client `{}`", broker.address, config.client_id));
    describe_connection(text, broker);
    let journal = &config.journal;
    item(text, "journal", &format!("{}, written", journal.path.display()));
    let hours = journal.retain_age.as_secs() / 3_600;
    item(
        text,
        "",
        &format!(
            "at most {} or {} old, in segments of {}",
            bytes(journal.retain_bytes),
            counted(usize::try_from(hours).unwrap_or(usize::MAX), "hour"),
            bytes(journal.segment_bytes)
        ),
    );
    item(
        text,
        "",
        match journal.durability {
            Durability::Process => {
                "what was acknowledged survives kill -9 of the relay, not a loss of power"
            }
            Durability::Power => "what was acknowledged survives a loss of power",
        },
    );
    item(text, "state", &config.state_dir.display().to_string());
    describe_syslog(text, &config.syslog);
    let relay = &config.relay;
    item(
        text,
        "repeats",
        &format!(
            "every live node and device at least every {} s; up to {} with {} each",
            relay.keyframe_every.as_secs(),
            counted(relay.max_nodes, "edge node"),
            counted(relay.max_devices_per_node, "device")
        ),
    );
    describe_sandbox(text, &config.sandbox);
}

fn describe_sandbox(text: &mut String, sandbox: &SandboxConfig) {
    let user = match &sandbox.user {
        Some(UserSpec { user, group: None }) => format!("as user `{user}`"),
        Some(UserSpec { user, group: Some(group) }) => format!("as user `{user}`, group `{group}`"),
        None => "as the user that starts it, which may not be root".to_owned(),
    };
    let waived: Vec<&str> = sandbox.waived.iter().map(|layer| layer.name()).collect();
    let user = if sandbox.waived.contains(&Layer::User) {
        "as whoever starts it".to_owned()
    } else {
        user
    };
    item(text, "sealed", &user);
    if !waived.is_empty() {
        item(text, "", &format!("WITHOUT {}", waived.join(", ")));
    }
}

fn describe_it(text: &mut String, path: &Path, config: &ItConfig) {
    line(text, &format!("\n{}: IT half", path.display()));
    let broker = &config.broker;
    item(
        text,
        "broker",
        &format!(
            "{}, one session per edge node, as clients `{}/…`",
            broker.address, config.client_id_prefix
        ),
    );
    describe_connection(text, broker);
    let start = match config.first_start {
        FirstStart::Oldest => "oldest frame",
        FirstStart::Newest => "newest segment",
    };
    item(
        text,
        "journal",
        &format!(
            "{}, only read; a first start begins with the {start}",
            config.journal_path.display()
        ),
    );
    item(text, "state", &config.state_dir.display().to_string());
    describe_syslog(text, &config.syslog);
    let mirror = &config.mirror;
    item(
        text,
        "deaths",
        &format!(
            "{} of silence of the OT half: every node is declared dead",
            counted(usize::try_from(mirror.stale_after.as_secs()).unwrap_or(usize::MAX), "second")
        ),
    );
    item(
        text,
        "gaps",
        match mirror.on_gap {
            OnGap::Mark => "messages lost in the plant: values not seen since are marked STALE",
            OnGap::Death => "messages lost in the plant: the node is dead until its next birth",
            OnGap::Ignore => "messages lost in the plant: counted only",
        },
    );
    if let Some(host) = &mirror.primary_host {
        item(text, "waits", &format!("for STATE of the primary host `{}`", escape(host)));
    }
    item(
        text,
        "history",
        &if config.backfill.enabled {
            format!(
                "what an outage of IT missed is sent as historical data, {} messages/s",
                config.backfill.messages_per_s
            )
        } else {
            "what an outage of IT missed is not sent again".to_owned()
        },
    );
    match &config.health {
        Some(health) => {
            let own = OwnNode { health, relay: None, it_path: path, paths: &[] }.name();
            let called = match health.edge_node {
                Some(_) => "",
                None => ", NAME being the relay's",
            };
            let said = format!("itself, as edge node `{}`{called}", escape(&own));
            item(text, "shows", &said);
        }
        None => item(text, "shows", "nothing of itself: `[health]` is switched off"),
    }
    if config.policy_paths.is_empty() {
        item(text, "policies", "no copy: frames of the journal are not checked a second time");
    }
    describe_sandbox(text, &config.sandbox);
}

fn describe_syslog(text: &mut String, targets: &[SyslogConfig]) {
    for (at, target) in targets.iter().enumerate() {
        item(text, if at == 0 { "logs to" } else { "" }, &syslog::describe(target));
    }
}

fn describe_connection(text: &mut String, broker: &BrokerConfig) {
    match &broker.tls {
        None => item(text, "protection", "NONE: plain TCP"),
        Some(tls) => {
            item(
                text,
                "protection",
                &format!(
                    "TLS; the broker must be `{}`, signed by {}",
                    tls.server_name,
                    tls.ca_file.display()
                ),
            );
            if let Some(identity) = &tls.identity {
                let file = identity.certificate_file.display();
                item(text, "", &format!("we show the certificate in {file}"));
            }
        }
    }
    if let Some(credentials) = &broker.credentials {
        let file = credentials.password.path().display();
        item(text, "user", &format!("`{}`, password from {file}", escape(&credentials.user)));
    }
}

/// Reads and describes the policy in `paths`; `signed`: whose signatures it needs, and the state directory
/// of the half; `subscribing`: as the OT half uses it.
fn policy(
    text: &mut String,
    paths: &[PathBuf],
    signed: Option<(&Requirement, &Path)>,
    subscribing: bool,
    warnings: &mut Diagnostics,
    errors: &mut Diagnostics,
) -> Option<Policy> {
    let read = match signed {
        None => half::read_policy(paths).map(|(policy, found)| (policy, found, None)),
        Some((requirement, state_dir)) => look(paths, requirement, state_dir)
            .map(|(policy, found, compared)| (policy, found, Some((requirement, compared)))),
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
    warnings.extend(lint(&policy, &sources, rule_counts::now_ms()));
    line(
        text,
        &format!(
            "\npolicy of {} with {}, digest {}",
            counted(files, "file"),
            counted(policy.rules().len(), "rule"),
            policy.digest()
        ),
    );
    if let (Some(found), Some((requirement, compared))) = (policy.signed(), signed) {
        describe_signature(text, found, requirement, &compared);
    }
    if subscribing {
        line(text, "  subscribes to");
        for filter in policy.subscriptions() {
            line(text, &format!("    {filter}"));
        }
        line(text, &format!("    {CERTIFICATES}  (stored births: they teach layouts only)"));
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

/// What is odd about two halves that are checked together.
fn compare(
    ot_path: &Path,
    ot: &OtConfig,
    it_path: &Path,
    it: &ItConfig,
    warnings: &mut Diagnostics,
    errors: &mut Diagnostics,
) {
    let mut crossing = Diagnostics::new();
    let mut warn = |title: String, help: &str| {
        let mut problem = Diagnostic::file_error("C110", it_path, title).help(help);
        problem.severity = Severity::Warning;
        warnings.push(problem);
    };
    if ot.broker.address == it.broker.address {
        let address = &ot.broker.address;
        let title = format!("both halves name the same broker: `{address}`");
        warn(title, "the mirror would publish over the edge nodes that it mirrors");
    }
    let side = |path, name, broker, syslog| syslog::Side { path, name, broker, syslog };
    syslog::crossings(
        &side(ot_path, "OT", &ot.broker, &ot.syslog[..]),
        &side(it_path, "IT", &it.broker, &it.syslog[..]),
        &mut crossing,
    );
    if ot.journal.path != it.journal_path {
        let (left, right) = (ot.journal.path.display(), it.journal_path.display());
        let title = format!("the IT half reads another journal: `{right}`");
        warn(title, &format!("`{}` writes `{left}`", ot_path.display()));
    }
    if ot.state_dir == it.state_dir {
        let title =
            format!("both halves name the same state directory: `{}`", it.state_dir.display());
        let help = "nothing that one half writes may be read by the other but the journal";
        errors.push(Diagnostic::file_error("C111", it_path, title).help(help));
    }
    let directory = |textfile: Option<PathBuf>, state: &Path| {
        textfile.map(|directory| (directory == state, directory))
    };
    let of_ot = directory(ot.status.textfile_directory(), &it.state_dir);
    let of_it = directory(it.status.textfile_directory(), &ot.state_dir);
    let same = match (&of_ot, &of_it) {
        (Some((_, left)), Some((_, right))) if left == right => Some(right.clone()),
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
            .help("each half needs a directory that it alone may write; see `Watching it` in the README"),
        );
    }
    warnings.extend(crossing);
}

pub(super) fn line(text: &mut String, content: &str) {
    // Writing to a `String` can't fail.
    let _ = writeln!(text, "{content}");
}

fn item(text: &mut String, name: &str, content: &str) {
    line(text, &format!("  {name:<11} {content}"));
}

/// A number of bytes as people say it, exact where that is short: `64 MiB`, `1500 bytes`.
fn bytes(number: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in UNITS {
        let whole = number >> shift;
        if whole > 0 && whole << shift == number {
            return format!("{whole} {unit}");
        }
    }
    format!("{number} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, text: &str) -> Option<Kind> {
        let (document, _) = DeTable::parse_recoverable(text);
        kind_of(document.get_ref(), Path::new(name))
    }

    #[test]
    fn a_file_is_recognised_by_its_content_before_its_name() {
        assert_eq!(kind("x.toml", "name = \"a\""), Some(Kind::Ot));
        assert_eq!(kind("ot.toml", "[mirror]"), Some(Kind::It));
        assert_eq!(kind("it.toml", "[relay]"), Some(Kind::Ot));
        assert_eq!(kind("x.toml", "[broker]\nclient-id-prefix = \"a\""), Some(Kind::It));
        let misplaced = "name = \"a\"\n[broker]\nclient-id-prefix = \"a\"";
        assert_eq!(kind("x.toml", misplaced), Some(Kind::Ot));
        assert_eq!(kind("ot.toml", "[[rule]]"), Some(Kind::Policy));
        assert_eq!(kind("it-plant.toml", "[broker]"), Some(Kind::It));
        assert_eq!(kind("ot.toml", "[broker"), Some(Kind::Ot));
        assert_eq!(kind("x.toml", "[broker]"), None);
        assert_eq!(kind("x.toml", ""), None);
    }

    #[test]
    fn bytes_are_shown_exactly() {
        assert_eq!(bytes(67_108_864), "64 MiB");
        assert_eq!(bytes(10_737_418_240), "10 GiB");
        assert_eq!(bytes(1_500), "1500 bytes");
    }
}

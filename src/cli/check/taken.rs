//! What the broker is known to take (`[broker] profile`), compared with the configuration, the policy
//! and what is known of the plant, before the first connection.

mod learned;
#[cfg(test)]
mod tests;

use std::path::Path;

use ::policy::Policy;
use config::profile::Figure;
use config::{BrokerConfig, ClientIdForm, ItConfig, OtConfig, Profile};
use diagnostic::{Diagnostic, Diagnostics};
use text::{counted, escape, exact_size, grouped};

use self::learned::{Largest, Learned};
use super::lines::item;
use crate::cli::status;

/// Code of these problems.
const TAKEN: &str = "C118";
/// Levels of the longest Sparkplug topic: `spBv1.0/group/DDATA/edge_node/device`.
const LEVELS: usize = 5;

/// Where problems go, and where they are.
struct Warn<'a> {
    path: &'a Path,
    profile: &'static Profile,
    warnings: &'a mut Diagnostics,
}

impl Warn<'_> {
    fn warn(&mut self, figure: Figure, title: String, help: &str) {
        let source = format!("{} says so (looked at in {})", figure.source, self.profile.seen);
        let problem = Diagnostic::file_warning(TAKEN, self.path, title).help(help).help(source);
        self.warnings.push(problem);
    }
}

/// Of the OT half: its one session.
pub(super) fn of_ot(
    text: &mut String,
    path: &Path,
    config: &OtConfig,
    policy: Option<&Policy>,
    warnings: &mut Diagnostics,
) {
    let Some(profile) = config.broker.profile else { return };
    describe(text, profile);
    let warn = &mut Warn { path, profile, warnings };
    of_both(&config.broker, warn);
    let id = &config.client_id;
    if config.broker.client_id_form != ClientIdForm::Short
        && let Some(figure) = beyond(profile.identifier_bytes, id.len())
    {
        identifier(warn, figure, id);
    }
    let filters = policy.map_or(0, |policy| policy.subscriptions().len());
    if let Some(figure) = beyond(profile.filters, filters) {
        let title = format!(
            "the policy takes {}, and {} takes {} in one SUBSCRIBE",
            counted(filters, "subscription"),
            profile.product,
            figure.value
        );
        let help =
            "rules with `group = \"*\"`, or fewer groups and names, take fewer; `check` lists them";
        warn.warn(figure, title, help);
    }
}

/// Of the IT half: a session per edge node, or per group. `policy`: that of the OT half, or the copy.
pub(super) fn of_it(
    text: &mut String,
    path: &Path,
    config: &ItConfig,
    policy: Option<&Policy>,
    warnings: &mut Diagnostics,
) {
    if config.broker.profile.is_none() {
        return;
    }
    let mut learned = learned::of_journal(&config.journal_path);
    if let Some(status) = status::peek(&config.state_dir) {
        let known = usize::try_from(status.nodes.alive).unwrap_or(usize::MAX);
        learned = learned.or((known > 0).then(Learned::default));
        if let Some(learned) = &mut learned {
            learned.nodes = learned.nodes.max(known);
        }
    }
    compare_it(text, path, config, policy, learned.as_ref(), warnings);
}

fn compare_it(
    text: &mut String,
    path: &Path,
    config: &ItConfig,
    policy: Option<&Policy>,
    learned: Option<&Learned>,
    warnings: &mut Diagnostics,
) {
    let Some(profile) = config.broker.profile else { return };
    describe(text, profile);
    match learned {
        None => {
            item(text, "", "nothing is known of the plant yet: check again when the relay has run")
        }
        Some(learned) => {
            let nodes = counted(learned.nodes, "edge node");
            item(
                text,
                "",
                &format!("compared with {nodes} in the journal and its newest messages"),
            );
        }
    }
    let warn = &mut Warn { path, profile, warnings };
    of_both(&config.broker, warn);
    sessions(config, learned, warn);
    let packet = usize::try_from(config.broker.max_packet_bytes).unwrap_or(usize::MAX);
    if let Some(figure) = beyond(profile.payload_bytes, packet) {
        let title = format!(
            "`max-packet-bytes` is {packet}, and {} takes messages of {}",
            profile.product,
            exact_size(figure.value)
        );
        let help = "without the key it follows the profile: what is larger is refused here, counted and told, and the session stays";
        warn.warn(figure, title, help);
    }
    if let Some(figure) = beyond(profile.levels, LEVELS) {
        let title = format!("{} takes topics of {} levels", profile.product, figure.value);
        warn.warn(figure, title, "those of devices have five: only edge nodes can be shown");
    }
    if let Some(learned) = learned {
        plant(config, learned, warn);
    }
    pace(text, policy, learned, warn);
}

/// What is known, for people.
fn describe(text: &mut String, profile: &Profile) {
    let figures: Vec<String> = profile
        .figures()
        .map(|(what, figure)| format!("{} {what}", grouped(figure.value)))
        .collect();
    item(text, "taken", &format!("as {}: {}", profile.product, figures.join(", ")));
    if !profile.note.is_empty() {
        item(text, "", profile.note);
    }
}

fn of_both(broker: &BrokerConfig, warn: &mut Warn<'_>) {
    let profile = warn.profile;
    let keep_alive = usize::try_from(broker.keep_alive.as_secs()).unwrap_or(usize::MAX);
    if let Some(figure) = beyond(profile.keep_alive_s, keep_alive) {
        let title = format!(
            "`keep-alive-s` is {keep_alive}, and {} takes {} at most",
            profile.product, figure.value
        );
        warn.warn(
            figure,
            title,
            "it may end such a session, or ignore the value: give a smaller one",
        );
    }
    if let (Some(source), None) = (profile.needs_tls, &broker.tls) {
        let figure = Figure { value: 1, source };
        let title = format!("{} lets nobody in without TLS", profile.product);
        warn.warn(figure, title, "add `[broker.tls]` in the place of `plaintext`");
    }
}

/// Sessions of all clients together.
fn sessions(config: &ItConfig, learned: Option<&Learned>, warn: &mut Warn<'_>) {
    let profile = warn.profile;
    let own = usize::from(config.health.is_some());
    let beside = if own > 0 { " and the relay's own" } else { "" };
    let others = "hosts and other clients of the broker count, too";
    let (nodes, what, fewer) = match (&config.mirror.fold, learned) {
        (_, None) => (0, "edge node", ""),
        (None, Some(learned)) => (
            learned.nodes,
            "edge node",
            "let fewer edge nodes through, fold them (`[mirror] fold = \"group\"`: one session per group)",
        ),
        (Some(_), Some(learned)) => (learned.groups, "folded group", "let fewer groups through"),
    };
    if let Some(figure) = beyond(profile.sessions, nodes.saturating_add(own)) {
        let title = format!(
            "{} takes {} sessions, and there are {}{beside}",
            profile.product,
            grouped(figure.value),
            counted(nodes, what)
        );
        let help = format!(
            "{fewer}, or get a larger licence; {others}. Without `[mirror] max-nodes` further ones are refused here and counted (`over_capacity`)"
        );
        warn.warn(figure, title, &help);
    }
    let max_nodes = config.mirror.max_nodes;
    if config.mirror.fold.is_none()
        && let Some(figure) = beyond(profile.sessions, max_nodes.saturating_add(own))
    {
        let title = format!(
            "`[mirror] max-nodes` is {max_nodes}, and {} takes {} sessions{}",
            profile.product,
            grouped(figure.value),
            if own > 0 { ", with the relay's own" } else { "" }
        );
        let help = format!("without the key it follows the profile; {others}");
        warn.warn(figure, title, &help);
    }
}

/// What the newest messages of the plant show.
fn plant(config: &ItConfig, learned: &Learned, warn: &mut Warn<'_>) {
    let profile = warn.profile;
    let Largest { topic, bytes } = &learned.message;
    if let Some(figure) = beyond(profile.payload_bytes, *bytes) {
        let title = format!(
            "a message of {bytes} bytes is in the journal, and {} takes {}: `{}`",
            profile.product,
            exact_size(figure.value),
            escape(topic)
        );
        let help = "`[mirror] compress-births-above-bytes`, where hosts know it; fewer metrics of it by the policy; in the plant, several devices in the place of one";
        warn.warn(figure, title, help);
    }
    let Largest { topic, bytes } = &learned.topic;
    if let Some(figure) = beyond(profile.topic_bytes, *bytes) {
        let title = format!(
            "a topic of {bytes} bytes, and {} takes {}: `{}`",
            profile.product,
            figure.value,
            escape(topic)
        );
        warn.warn(figure, title, "`[rename]` of the policy gives shorter names");
    }
    let Largest { topic: name, bytes } = &learned.name;
    let identifier_bytes = config.client_id_prefix.len().saturating_add(1).saturating_add(*bytes);
    if config.broker.client_id_form != ClientIdForm::Short
        && *bytes > 0
        && let Some(figure) = beyond(profile.identifier_bytes, identifier_bytes)
    {
        identifier(warn, figure, &format!("{}/{name}", config.client_id_prefix));
    }
}

fn identifier(warn: &mut Warn<'_>, figure: Figure, id: &str) {
    let title = format!(
        "a client identifier of {} bytes, and {} takes {}: `{}`",
        id.len(),
        warn.profile.product,
        figure.value,
        escape(id)
    );
    warn.warn(figure, title, "`client-id-form = \"short\"` makes 23 letters and digits of it");
}

/// Publications per second of one connection, which is one edge node with its devices.
fn pace(
    text: &mut String,
    policy: Option<&Policy>,
    learned: Option<&Learned>,
    warn: &mut Warn<'_>,
) {
    let profile = warn.profile;
    let Some(figure) = profile.publishes_per_s else { return };
    item(
        text,
        "pace",
        &format!("each session publishes at most {} messages/s, and the rest waits", figure.value),
    );
    let limit = policy.and_then(|policy| policy.limits().node?.messages);
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    if limit.is_some_and(|limit| limit.per_s <= figure.value as f64) {
        return item(text, "", "the policy's `[limits.node]` keeps each edge node below that");
    }
    let Some(learned) = learned else { return };
    let Largest { topic: node, bytes: per_s } = &learned.busiest;
    if let Some(figure) = beyond(profile.publishes_per_s, *per_s) {
        let title = format!(
            "`{}` sent {per_s} messages in a second, and {} takes {} of a connection",
            escape(node),
            profile.product,
            figure.value
        );
        let help = format!(
            "what goes on for long doesn't fit through: `[limits.node]` with `messages-per-s = {}` and `on-excess = \"conflate\"` in the policy, or `min-interval-ms` in its rules",
            figure.value
        );
        warn.warn(figure, title, &help);
    }
}

/// The figure, where there is one and `is` is more.
fn beyond(figure: Option<Figure>, is: usize) -> Option<Figure> {
    let is = u64::try_from(is).unwrap_or(u64::MAX);
    figure.filter(|figure| is > figure.value)
}

//! What the OT half says of itself: its status, and signs of life for the service manager.

mod shadow;

use std::cmp::Reverse;
use std::sync::atomic::Ordering;

use policy::{Mode, Policy, Rule};
use telemetry::Notifier;
use telemetry::status::{
    Level, ObservedStatus, OtStatus, PolicyStatus, ReloadRefused, RuleStatus, Status,
    StatusEmitter, Tracker, WindowStatus,
};

use super::connection::{Subscribed, Trouble};
use super::handoff::{QUEUED_BYTES, Shared};
use super::pipeline::{Pipeline, Quiet, Surroundings};
use crate::Now;
use crate::entry::Journal;
use crate::rule_counters::RuleMatches;
use crate::unborn::Unborn;

/// Part of the queue's limit above which somebody should look: the worker doesn't keep up.
const QUEUE_WARNING_PERCENT: usize = 80;
/// Rules whose hits are shown.
const MAX_RULES: usize = 1_000;
/// Filters that are shown, of those that the broker granted and of those that it refused.
const MAX_FILTERS: usize = 1_000;
/// Rules that only observe, of those that are shown.
const MAX_OBSERVED: usize = 200;
/// Hosts that health names.
const MAX_HOSTS: usize = 5;
/// A session that may end as those before it.
const UNSTEADY: &str = "there is a session with the OT broker, and the last one ended within 10 s: until this \
                        one has lasted longer, the half counts as away, for IT as well";

/// Says how the half is.
#[derive(Debug)]
pub(crate) struct StatusReporter {
    relay: String,
    emitter: StatusEmitter,
    tracker: Tracker,
    notifier: Notifier,
    /// The network thread asked for a sign of life, which is owed once all that was received
    /// before is journalled.
    pulse: bool,
    /// Why somebody should look at the session with the broker.
    subscribed: Subscribed,
    unborn: Unborn,
    /// Why no policy is in shadow, where one is to be.
    shadow_refused: Option<ReloadRefused>,
}

/// What a status is made of.
pub(crate) struct Seen<'a> {
    pub(crate) now: Now,
    pub(crate) pipeline: &'a Pipeline,
    pub(crate) writer: &'a Journal,
    pub(crate) shared: &'a Shared,
    /// The journal can't be written.
    pub(crate) refuses: bool,
}

impl StatusReporter {
    pub(crate) fn new(relay: String, emitter: StatusEmitter, notifier: Notifier) -> StatusReporter {
        let tracker = Tracker::default();
        let subscribed = Subscribed::default();
        let unborn = Unborn::default();
        let shadow_refused = None;
        StatusReporter {
            relay,
            emitter,
            tracker,
            notifier,
            pulse: false,
            subscribed,
            unborn,
            shadow_refused,
        }
    }

    /// As of the start: why no policy is in shadow, where one is to be.
    pub(crate) fn observing(self, shadow_refused: Option<ReloadRefused>) -> StatusReporter {
        StatusReporter { shadow_refused, ..self }
    }

    /// What the broker grants and refuses from now on.
    pub(crate) fn session_subscribed(&mut self, subscribed: Subscribed) {
        self.subscribed = subscribed;
    }

    /// The network thread asks for a sign of life.
    pub(crate) fn watchdog_requested(&mut self) {
        self.pulse = true;
    }

    /// A sign of life between the stages of what takes longer than a turn.
    pub(crate) fn breath(&self) -> Box<dyn FnMut() + Send> {
        self.notifier.breath()
    }

    /// Everything before the last pulse went through.
    pub(crate) fn feed(&mut self) {
        if std::mem::take(&mut self.pulse) {
            self.notifier.feed_watchdog();
        }
    }

    /// The worker tries to write the journal, in vain: a restart would not help, and would cost
    /// what is known of the plant.
    pub(crate) fn refused(&self) {
        self.notifier.feed_watchdog();
    }

    /// A policy is in force: a reload is over. `shadow_refused`: why none is in shadow, where one is to be.
    pub(crate) fn reloaded(&mut self, shadow_refused: Option<ReloadRefused>) {
        self.shadow_refused = shadow_refused;
        self.emitter.reloaded(None);
        self.notifier.ready();
    }

    /// A policy was read again and refused: people see it until one is taken up.
    pub(crate) fn reload_refused(&mut self, refused: ReloadRefused) {
        self.emitter.reloaded(Some(refused));
        self.notifier.ready();
    }

    /// Tells the status, if that is due; then also what heartbeats shall say from now on.
    pub(crate) fn tick(&mut self, seen: &Seen<'_>) -> Option<Surroundings> {
        let at = seen.now.mono;
        if !self.emitter.is_due(at) {
            return None;
        }
        let status = self.status(seen);
        let surroundings = Surroundings {
            journal_bytes: seen.writer.bytes(),
            journal_limit_bytes: seen.writer.retain_bytes(),
            certificate_days_left: status.certificate.as_ref().map(|first| first.days_left),
            policy_refused: status.reload_refused.is_some(),
        };
        self.emitter.emit(at, status);
        Some(surroundings)
    }

    /// Tells the last status, and a summary.
    pub(crate) fn finish(&mut self, seen: &Seen<'_>) {
        let status = self.status(seen);
        self.emitter.finish(status);
    }

    fn status(&mut self, seen: &Seen<'_>) -> Status {
        let Seen { now, pipeline, writer, shared, refuses } = *seen;
        let stands = pipeline.has_session();
        let mut status = self.emitter.status(now.wall_ms, stands, stands.into());
        status.relay.clone_from(&self.relay);
        let checked = pipeline.check_account();
        let (account, nodes) =
            self.tracker.track(now.mono, pipeline.ledger(), checked, pipeline.nodes());
        (status.account, status.nodes) = (account, nodes);
        let policy = pipeline.policy();
        status.policy = Some(PolicyStatus {
            digest: policy.digest().to_owned(),
            rules: count(policy.rules().len()),
        });
        let (policy_since_ms, observed) = observed(pipeline);
        let queued_bytes = shared.queued_bytes.load(Ordering::Relaxed);
        let counters = pipeline.counters();
        let absent = pipeline.absent_hosts(now);
        let hosts = absent.iter().flat_map(|(hosts, _)| hosts);
        status.ot = Some(OtStatus {
            gaps: counters.gaps,
            unknown_fields: counters.unknown_fields,
            queue_bytes: count(queued_bytes),
            queue_limit_bytes: count(QUEUED_BYTES),
            journal_bytes: writer.bytes(),
            journal_limit_bytes: writer.retain_bytes(),
            journal_seq: writer.next_seq(),
            journal_epoch: writer.epoch(),
            journal_refuses: refuses,
            subscriptions_granted: few(&self.subscribed.granted),
            subscriptions_refused: few(&self.subscribed.refused),
            policy_since_ms,
            observed,
            rules: hits(policy, pipeline.rule_matches().1, now.wall_ms),
            shard: pipeline.shard().map(|shard| shard.to_string()),
            hosts_offline: hosts.map(|host| (*host).to_owned()).collect(),
            shadow: shadow::status(
                pipeline,
                self.shadow_refused.as_ref(),
                now.wall_ms,
                &self.subscribed,
            ),
        });
        let health = &mut status.health;
        if !stands {
            let words = status.broker.because("not connected to the OT broker");
            health.add(Level::Critical, words);
        } else if !pipeline.is_connected(now) {
            health.add(Level::Warning, UNSTEADY);
        }
        if let Some(Trouble { critical, words }) = &self.subscribed.trouble {
            let level = if *critical { Level::Critical } else { Level::Warning };
            health.add(level, words.clone());
        }
        if refuses {
            health.add(Level::Critical, "the journal refuses frames; nothing is acknowledged");
        }
        match pipeline.unborn(now) {
            (unborn, Some(node)) => {
                let (born, broker) = (status.nodes.alive, &status.broker.address);
                health.add(Level::Warning, self.unborn.words(unborn, node, born, broker));
            }
            (_, None) => self.unborn.none(),
        }
        if let Some((hosts, quiet)) = &absent {
            health.add(Level::Warning, absent_words(hosts, *quiet));
        }
        if let Some(refused) = &self.shadow_refused {
            health.add(Level::Warning, shadow::refused(refused));
        }
        if let Some(imbalance) = &status.account.imbalance {
            health.add(Level::Critical, format!("the account does not balance: {imbalance}"));
        }
        if queued_bytes > QUEUED_BYTES.saturating_mul(QUEUE_WARNING_PERCENT).saturating_div(100) {
            health.add(Level::Warning, "the queue is nearly full");
        }
        status
    }
}

/// Hosts that are offline while edge nodes are silent.
fn absent_words(hosts: &[&str], quiet: Quiet) -> String {
    let nodes = match quiet {
        Quiet { live: 0, .. } => "no edge node lives".to_owned(),
        Quiet { silent: 1, .. } => "1 edge node isn't live".to_owned(),
        Quiet { silent, .. } => format!("{silent} edge nodes aren't live"),
    };
    if let [host] = hosts {
        return format!(
            "{nodes}, and by its STATE on OT the host {host} is offline: edge nodes that wait for it are \
             silent"
        );
    }
    let more = hosts.len().saturating_sub(MAX_HOSTS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named: Vec<&str> = hosts.iter().take(MAX_HOSTS).copied().collect();
    let hosts = named.join(", ") + &more;
    format!(
        "{nodes}, and by their STATE on OT these hosts are offline: {hosts}; edge nodes that wait for one \
         of them are silent"
    )
}

/// What each rule decided, and the windows.
fn hits(
    policy: &Policy,
    matches: impl Iterator<Item = RuleMatches>,
    now_ms: u64,
) -> Vec<RuleStatus> {
    let hits = |(rule, matches): (&Rule, RuleMatches)| {
        let observes = rule.mode() == Mode::Observe;
        let time = |ms: u64| (ms > 0).then_some(ms);
        RuleStatus {
            rule: rule.name().to_owned(),
            action: rule.action().name().to_owned(),
            observes,
            metrics: if observes { matches.observed } else { matches.metrics },
            first_ms: time(matches.first_ms),
            last_ms: time(matches.last_ms),
            known: matches.known,
            window: rule.schedule().map(|schedule| WindowStatus {
                open: rule.is_open(),
                until_ms: schedule.next_turn_ms(now_ms),
            }),
        }
    };
    policy.rules().iter().zip(matches).take(MAX_RULES).map(hits).collect()
}

/// The first of a list.
fn few(filters: &[String]) -> Vec<String> {
    filters.iter().take(MAX_FILTERS).cloned().collect()
}

/// Since when rules are counted, and what those that only observe would have decided, most first.
fn observed(pipeline: &Pipeline) -> (u64, Vec<ObservedStatus>) {
    let (since_ms, matches) = pipeline.rule_matches();
    let mut observed: Vec<(u64, &Rule)> = pipeline
        .policy()
        .rules()
        .iter()
        .zip(matches)
        .filter(|(rule, _)| rule.mode() == Mode::Observe)
        .map(|(rule, matches)| (matches.observed, rule))
        .collect();
    // A stable sort: rules with the same number stay in the order of the policy.
    observed.sort_by_key(|(metrics, _)| Reverse(*metrics));
    let shown = observed.into_iter().take(MAX_OBSERVED).map(|(metrics, rule)| ObservedStatus {
        rule: rule.name().to_owned(),
        action: rule.action().name().to_owned(),
        metrics,
    });
    (since_ms, shown.collect())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_and_one_edge_node_are_told_as_one() {
        let words = |hosts: &[&str], silent, live| absent_words(hosts, Quiet { silent, live });
        let none = words(&["scada"], 0, 0);
        assert!(none.starts_with("no edge node lives, and by its STATE on OT the host scada is"));
        assert!(words(&["scada"], 1, 1).starts_with("1 edge node isn't live, and by its STATE"));
        let two = words(&["a", "b"], 2, 1);
        assert!(two.starts_with("2 edge nodes aren't live, and by their STATE"), "{two}");
        assert!(two.contains("these hosts are offline: a, b; edge nodes"), "{two}");
        let seven = words(&["a", "b", "c", "d", "e", "f", "g"], 1, 0);
        assert!(seven.starts_with("no edge node lives, and by their"), "{seven}");
        assert!(seven.contains("a, b, c, d, e and 2 more; "), "{seven}");
    }
}

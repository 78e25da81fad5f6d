//! What the IT half says of itself: its status, and signs of life for the service manager.

use std::time::Duration;

use journal_format::note::Ends;
use policy::Policy;
use telemetry::status::{
    DropStatus, EndsStatus, ItStatus, LINK_ALIVE, Level, OtReport, PathEndStatus, PolicyStatus,
    ReloadRefused, Status, StatusEmitter, Tracker,
};
use telemetry::{Notifier, event};
use text::counted;

use super::connection::MAX_QUEUED_BYTES;
use super::mirror::{Mirror, Now};
use super::relay_node::RelayNode;

/// A lag in milliseconds above which somebody should look.
const LAG_WARNING_MS: u64 = 10_000;
/// What waits for a full link is worth a look from here on.
const BEHIND_WARNING: Duration = Duration::from_secs(10);
/// A loss is a reason to look for this long, in milliseconds.
const LOSS_WARNING_MS: u64 = 3_600_000;

/// Says how the half is.
#[derive(Debug)]
pub(super) struct StatusReporter {
    emitter: StatusEmitter,
    tracker: Tracker,
    notifier: Notifier,
    relay_node: Option<RelayNode>,
    /// A sign of life is due, and owed at the end of a turn.
    watchdog_owed: bool,
    backfill: Backfill,
}

/// What an outage missed, while it is sent.
#[derive(Debug, Default)]
struct Backfill {
    /// Messages that were sent as historical so far.
    sent: u64,
    /// When it began, and how many had been sent before.
    began: Option<(Duration, u64)>,
}

impl Backfill {
    /// Looks how far it is; tells when it is over: how many messages it took, and how long.
    fn look(&mut self, at: Duration, sent: u64, owes: bool) -> Option<(u64, Duration)> {
        let before = std::mem::replace(&mut self.sent, sent);
        if sent > before && self.began.is_none() {
            self.began = Some((at, before));
        }
        if owes || sent > before {
            return None;
        }
        let (since, first) = self.began.take()?;
        Some((sent.saturating_sub(first), at.saturating_sub(since)))
    }
}

impl StatusReporter {
    pub(super) fn new(
        emitter: StatusEmitter,
        notifier: Notifier,
        relay_node: Option<RelayNode>,
    ) -> StatusReporter {
        StatusReporter {
            emitter,
            tracker: Tracker::default(),
            notifier,
            relay_node,
            watchdog_owed: false,
            backfill: Backfill::default(),
        }
    }

    /// A sign of life is due.
    pub(super) fn watchdog_requested(&mut self) {
        self.watchdog_owed = true;
    }

    /// A sign of life between the stages of what takes longer than a turn.
    pub(super) fn breath(&self) -> Box<dyn FnMut() + Send> {
        self.notifier.breath()
    }

    /// A whole turn went through: journal, mirror, sessions.
    pub(super) fn feed(&mut self) {
        if std::mem::take(&mut self.watchdog_owed) {
            self.notifier.feed_watchdog();
        }
    }

    /// A reload is over; `refused` if the policy is.
    pub(super) fn reloaded(&mut self, refused: Option<ReloadRefused>) {
        self.emitter.reloaded(refused);
        self.notifier.ready();
    }

    /// Whether [`StatusReporter::tick`] has something to tell.
    pub(super) fn is_due(&self, now: Now) -> bool {
        self.emitter.is_due(now.mono)
    }

    /// Tells the status, on the relay's own edge node as well.
    pub(super) fn tick(&mut self, now: Now, mirror: &mut Mirror, link: LinkView) {
        let status = self.status(now, mirror, link);
        let sent = mirror.tally().backfilled;
        if let Some((messages, took)) = self.backfill.look(now.mono, sent, mirror.owes_history()) {
            event!(BackfillDone, messages, seconds = took.as_secs());
        }
        if let Some(relay_node) =
            self.relay_node.as_mut().filter(|relay_node| relay_node.is_due(now))
        {
            relay_node.tick(now, mirror, &status);
        }
        self.emitter.emit(now.mono, status);
    }

    /// Tells the last status, and a summary.
    pub(super) fn finish(&mut self, now: Now, mirror: &Mirror) {
        let status = self.status(now, mirror, LinkView::default());
        self.emitter.finish(status);
    }

    fn status(&mut self, now: Now, mirror: &Mirror, link: LinkView) -> Status {
        let sessions = mirror.sessions();
        let mut status = self.emitter.status(now.wall_ms, sessions > 0, count(sessions));
        let (account, nodes) =
            self.tracker.track(now.mono, mirror.ledger(), mirror.check_account(), mirror.nodes());
        (status.account, status.nodes) = (account, nodes);
        status.relay = mirror.relay_name().to_owned();
        status.policy = mirror.policy().map(|policy: &Policy| PolicyStatus {
            digest: policy.digest().to_owned(),
            rules: count(policy.rules().len()),
        });
        let (epoch, position) = mirror.position();
        let tally = mirror.tally();
        let it = ItStatus {
            link: mirror.link_name().to_owned(),
            lag_ms: mirror.lag_ms(),
            silent_ms: mirror.silent_for(now).as_millis().try_into().unwrap_or(u64::MAX),
            journal_seq: position,
            journal_epoch: epoch,
            frames_lost: tally.frames_lost,
            late_frames: tally.late,
            last_loss: mirror.last_loss().cloned(),
            ends: link.ends.clone(),
            unconfirmed_frames: mirror.unconfirmed_frames(),
            backfilled: tally.backfilled,
            unplaceable: tally.unplaceable,
            withheld: tally.withheld,
            healed: tally.healed,
            gaps: tally.gaps,
            rebirths_answered: tally.rebirths_answered,
            commands_refused: tally.commands_refused,
            queue_bytes: count(link.queued_bytes),
            queue_limit_bytes: count(MAX_QUEUED_BYTES),
            ot: ot_report(mirror),
        };
        let wanted = match (mirror.wants_sessions(), link.missing) {
            (false, _) => Wanted::None,
            (true, 0) => Wanted::UnderWay,
            (true, _) => Wanted::Failed,
        };
        judge(&mut status, &it, wanted, mirror.silence(now));
        if let Some(unread) = mirror.unread(now) {
            let words = format!(
                "{unread} sends, and its birth isn't known here: it is not shown until its next \
                 keyframe"
            );
            status.health.add(Level::Warning, words);
        }
        if let Some(ends) = &it.ends {
            judge_ends(&mut status, ends);
        }
        link.judge(&mut status);
        status.it = Some(it);
        status
    }
}

/// What the driver knows of the link to the broker.
#[derive(Debug, Default)]
pub(super) struct LinkView {
    /// Bytes that wait to be written.
    pub(super) queued_bytes: usize,
    /// How long that will take, where the link is full.
    pub(super) behind: Option<Duration>,
    /// Nodes without a session.
    pub(super) missing: usize,
    /// Why somebody should look at the broker.
    pub(super) reasons: Vec<String>,
    /// The link by which the journal comes, if it comes by one.
    pub(super) ends: Option<EndsStatus>,
}

/// What the receiving end of a link has noted in the journal.
pub(super) fn ends_status(ends: &Ends, now: Now) -> EndsStatus {
    let since = |heard_ms| now.wall_ms.saturating_sub(heard_ms);
    EndsStatus {
        silent_ms: ends.heard_ms.map(|heard_ms| if ends.is_silent { since(heard_ms) } else { 0 }),
        is_silent: ends.is_silent,
        frames_missing: ends.missing,
        frames_lost: ends.lost,
        frames_behind: ends.behind,
        paths: ends
            .paths
            .iter()
            .map(|path| PathEndStatus { name: path.name.clone(), down: path.is_down })
            .collect(),
    }
}

/// What of a link between two boxes is a reason to look.
fn judge_ends(status: &mut Status, ends: &EndsStatus) {
    let health = &mut status.health;
    if ends.is_silent {
        let words = match ends.silent_ms {
            Some(silent_ms) => format!(
                "the receiving end of the link has heard nothing of the sending end for {}",
                text::span(Duration::from_millis(silent_ms))
            ),
            None => "the receiving end of the link hears nothing of the sending end".to_owned(),
        };
        health.add(Level::Critical, words);
    }
    for path in ends.paths.iter().filter(|path| path.down) {
        let words =
            format!("path `{}` of the link brings nothing, and another one does", path.name);
        health.add(Level::Warning, words);
    }
}

impl LinkView {
    fn judge(self, status: &mut Status) {
        let health = &mut status.health;
        if self.missing > 0 && status.broker.connected {
            let has = if self.missing == 1 { "has" } else { "have" };
            let words =
                format!("{} {has} no session with the IT broker", counted(self.missing, "node"));
            health.add(Level::Warning, words);
        }
        if let Some(behind) = self.behind.filter(|behind| *behind >= BEHIND_WARNING) {
            let time = text::span(behind);
            health.add(Level::Warning, format!("the link to the IT broker is full: {time} behind"));
        }
        for reason in self.reasons {
            health.add(Level::Warning, reason);
        }
    }
}

/// The OT half by its own word.
fn ot_report(mirror: &Mirror) -> Option<OtReport> {
    let (at_ms, heartbeat) = mirror.last_heartbeat()?;
    let drops: Vec<DropStatus> = heartbeat
        .dropped
        .iter()
        .map(|dropped| DropStatus {
            reason: dropped.reason.clone(),
            rule: None,
            messages: dropped.messages,
            metrics: dropped.metrics,
        })
        .collect();
    Some(OtReport {
        at_ms,
        version: mirror.writer_version().to_owned(),
        policy_digest: heartbeat.policy_digest.clone(),
        broker_connected: heartbeat.ot_connected,
        broker_away_ms: heartbeat.ot_away_ms,
        nodes: heartbeat.nodes.into(),
        received: heartbeat.received,
        forwarded: heartbeat.forwarded,
        dropped: drops.iter().fold(0, |sum, drops| sum.saturating_add(drops.messages)),
        waiting: heartbeat.waiting,
        gaps: heartbeat.gaps,
        unborn: heartbeat.unborn.into(),
        policy_refused: heartbeat.policy_refused,
        journal_bytes: heartbeat.journal_bytes,
        journal_limit_bytes: heartbeat.journal_limit_bytes,
        certificate_days_left: heartbeat.certificate_days_left,
        drops,
    })
}

/// What is known of sessions, where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Nobody is to have one.
    None,
    /// No attempt has failed.
    UnderWay,
    Failed,
}

fn judge(status: &mut Status, it: &ItStatus, wanted: Wanted, silence: &'static str) {
    let health = &mut status.health;
    match it.link.as_str() {
        LINK_ALIVE => {}
        "catching_up" => health.add(Level::Warning, "reading what the journal already held"),
        _ => health.add(Level::Critical, silence),
    }
    if let Some(ot) = it.ot.as_ref().filter(|ot| !ot.broker_connected) {
        let seconds = ot.broker_away_ms / 1_000;
        let words = format!("the OT half has been away from its broker for {seconds} s");
        health.add(Level::Critical, words);
    }
    if let Some(ot) = it.ot.as_ref().filter(|ot| ot.unborn > 0) {
        let words = match ot.unborn {
            1 => "1 edge node or device sends on OT and has no known birth: it is not shown"
                .to_owned(),
            more => format!(
                "{more} edge nodes or devices send on OT and have no known birth: they are not shown"
            ),
        };
        health.add(Level::Warning, format!("{words}; the OT half's status has the way out"));
    }
    if it.ot.as_ref().is_some_and(|ot| ot.policy_refused) {
        let words =
            "the OT half refused the policy that it read again, and the earlier one is in force";
        health.add(Level::Warning, words);
    }
    if let Some(imbalance) = &status.account.imbalance {
        health.add(Level::Critical, format!("the account does not balance: {imbalance}"));
    }
    match (status.broker.connected, wanted, &status.broker.error) {
        (true, ..) | (_, Wanted::None, _) => {}
        (_, Wanted::UnderWay, None) => {
            health.add(Level::Warning, "no session with the IT broker yet: connecting");
        }
        _ => {
            let words = status.broker.because("no session with the IT broker");
            health.add(Level::Critical, words);
        }
    }
    if it.link == LINK_ALIVE && it.lag_ms > LAG_WARNING_MS {
        health.add(Level::Warning, format!("{} s behind the journal", it.lag_ms / 1_000));
    }
    let recent = |loss: &&telemetry::status::LossStatus| {
        status.written_ms.saturating_sub(loss.at_ms) < LOSS_WARNING_MS
    };
    if let Some(loss) = it.last_loss.as_ref().filter(recent) {
        let frames = loss.last.saturating_sub(loss.first).saturating_add(1);
        let were = if frames == 1 { "was" } else { "were" };
        let words = format!("{} {were} lost within the last hour", counted(frames, "frame"));
        health.add(Level::Warning, words);
    }
    let differs =
        |ot: &&OtReport| status.policy.as_ref().is_some_and(|own| own.digest != ot.policy_digest);
    if it.ot.as_ref().is_some_and(|ot| differs(&ot)) {
        health.add(Level::Warning, "the copy of the policy is not the OT half's policy");
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use journal_format::note::PathEnd;

    use super::*;

    #[test]
    fn the_ends_of_a_link_are_judged_by_what_was_noted_and_the_clock_of_now() {
        let path = |name: &str, is_down| PathEnd { name: name.into(), is_down };
        let ends = Ends {
            heard_ms: Some(10_000),
            is_silent: true,
            paths: vec![path("a", false), path("b", true)],
            ..Ends::default()
        };
        let now = Now { mono: Duration::ZERO, wall_ms: 22_400 };
        let words = |ends: &Ends| {
            let mut status = Status::default();
            judge_ends(&mut status, &ends_status(ends, now));
            let causes = status.health.causes();
            causes.map(|(level, words)| (level, words.clone())).collect::<Vec<_>>()
        };
        let silent = "the receiving end of the link has heard nothing of the sending end for 12 s";
        let down = "path `b` of the link brings nothing, and another one does";
        assert_eq!(
            words(&ends),
            [(Level::Critical, silent.to_owned()), (Level::Warning, down.to_owned())]
        );
        let alive = Ends { is_silent: false, paths: vec![path("a", false)], ..ends };
        assert_eq!(ends_status(&alive, now).silent_ms, Some(0));
        assert_eq!(words(&alive), []);
        let never = Ends { heard_ms: None, is_silent: true, ..alive };
        assert_eq!(ends_status(&never, now).silent_ms, None);
        assert_eq!(words(&never).len(), 1);
    }

    #[test]
    fn a_backfill_that_ends_is_told_once_with_its_size() {
        let mut backfill = Backfill::default();
        let mut at = |second, sent, owes| backfill.look(Duration::from_secs(second), sent, owes);
        assert_eq!(at(0, 0, false), None);
        assert_eq!(at(2, 0, true), None, "nothing is sent yet: there is no session");
        assert_eq!(at(4, 700, true), None);
        // A pause: what is missed is still owed.
        assert_eq!(at(6, 700, true), None);
        assert_eq!(at(8, 900, false), None);
        assert_eq!(at(10, 900, false), Some((900, Duration::from_secs(6))));
        assert_eq!(at(12, 900, false), None);
        // All of it within one look.
        assert_eq!(at(14, 905, false), None);
        assert_eq!(at(16, 905, false), Some((5, Duration::from_secs(2))));
    }

    #[test]
    fn a_first_session_that_is_being_opened_is_no_outage_and_one_that_failed_is() {
        let told = |connected, wanted, error: Option<&str>| {
            let mut status = Status::default();
            status.broker.connected = connected;
            status.broker.error = error.map(str::to_owned);
            let it = ItStatus { link: LINK_ALIVE.to_owned(), ..ItStatus::default() };
            judge(&mut status, &it, wanted, "silent");
            (status.health.level, status.health.reasons.join("; "))
        };
        let connecting = "no session with the IT broker yet: connecting".to_owned();
        assert_eq!(told(false, Wanted::UnderWay, None), (Level::Warning, connecting));
        let (level, words) = told(false, Wanted::UnderWay, Some("refused (111)"));
        assert_eq!(level, Level::Critical);
        assert_eq!(words, "no session with the IT broker: refused (111)");
        let failed = (Level::Critical, "no session with the IT broker".to_owned());
        assert_eq!(told(false, Wanted::Failed, None), failed);
        assert_eq!(told(true, Wanted::Failed, None).1, "");
        assert_eq!(told(false, Wanted::None, Some("stopped")).1, "");
    }
}

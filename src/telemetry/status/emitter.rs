//! Emits the status of a half when that is due, with what both halves say alike.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use text::counted;
use tls::{CertificateEnd, Certificates, EXPIRY_WARNING_DAYS, days_left};

use super::broker_name::BrokerName;
use super::concern::Concern;
use super::judge::Judge;
use super::{
    AccountStatus, BrokerStatus, CertificateStatus, FORMAT, Level, OtStatus, ReloadRefused,
    ReportError, Reporter, ReporterSettings, SealStatus, ShadowStatus, Status,
};
use crate::{Notifier, broker_error, event};

/// What a half says of itself, and how often.
#[derive(Clone, Debug)]
pub struct StatusSettings {
    /// Files are written this often.
    pub every: Duration,
    /// The summary event comes this often.
    pub summary_every: Duration,
    pub textfile: Option<PathBuf>,
    /// `host:port` of the server of the broker that is used.
    pub broker_name: BrokerName,
    /// The certificates that the half uses.
    pub certificates: Certificates,
    /// What else health has.
    pub concern: Concern,
    /// The operator gave up that each half has a user of its own: nobody looks at who owns the
    /// directories.
    pub any_owner: bool,
}

impl StatusSettings {
    /// Refuses directories in which another user could put or exchange files. To be called
    /// before the half is sealed.
    ///
    /// # Errors
    /// Such a directory, or one that can't be looked at.
    pub fn check(&self, state_dir: &Path) -> Result<(), ReportError> {
        if self.any_owner {
            return Ok(());
        }
        let (state_dir, textfile) = (state_dir.to_owned(), self.textfile.clone());
        ReporterSettings { state_dir, textfile }.check()
    }
}

/// Emits the status of a half, when that is due.
#[derive(Debug)]
pub struct StatusEmitter {
    half: &'static str,
    settings: StatusSettings,
    reporter: Reporter,
    started_ms: u64,
    next: Duration,
    next_summary: Duration,
    /// That the account doesn't balance was reported.
    imbalance_reported: bool,
    connected: Option<bool>,
    since_ms: u64,
    reload_refused: Option<ReloadRefused>,
    judge: Judge,
}

/// What health says of a refused policy: characters of the error.
const ERROR_CHARACTERS: usize = 200;

impl StatusEmitter {
    /// Starts the reporter. `at` is now, since any fixed start.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(
        half: &'static str,
        settings: StatusSettings,
        state_dir: PathBuf,
        notifier: Notifier,
        at: Duration,
        wall_ms: u64,
    ) -> Result<StatusEmitter, ReportError> {
        let textfile = settings.textfile.clone();
        let reporter = Reporter::start(ReporterSettings { state_dir, textfile }, notifier)?;
        Ok(StatusEmitter {
            half,
            reporter,
            started_ms: wall_ms,
            next: at,
            next_summary: at.saturating_add(settings.summary_every),
            settings,
            imbalance_reported: false,
            connected: None,
            since_ms: wall_ms,
            reload_refused: None,
            judge: Judge::default(),
        })
    }

    /// Whether a status is due at `at`.
    pub fn is_due(&self, at: Duration) -> bool {
        self.next <= at || self.next_summary <= at
    }

    /// A status with what both halves say alike.
    pub fn status(&mut self, wall_ms: u64, connected: bool, sessions: u64) -> Status {
        if self.connected.replace(connected).is_some_and(|before| before != connected) {
            self.since_ms = wall_ms;
        }
        let every_ms = u64::try_from(self.settings.every.as_millis()).unwrap_or(u64::MAX);
        let first = self.settings.certificates.first_end();
        let mut status = Status {
            format: FORMAT,
            half: self.half.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_ms: self.started_ms,
            written_ms: wall_ms,
            every_ms,
            broker: BrokerStatus {
                address: self.settings.broker_name.now(),
                connected,
                since_ms: Some(self.since_ms),
                sessions,
                error: if connected { None } else { broker_error::last() },
            },
            certificate: first.as_ref().map(|first| end_status(first, wall_ms)),
            reload_refused: self.reload_refused.clone(),
            seal: SealStatus::of_this(),
            ..Status::default()
        };
        if let Some(refused) = &self.reload_refused {
            status.health.add(Level::Warning, refused.words());
        }
        for source in &self.settings.certificates.sources {
            if let Some(error) = source.trouble() {
                status
                    .health
                    .add(Level::Warning, format!("certificate files aren't used: {error}"));
            }
        }
        if let Some(words) = self.settings.concern.words() {
            status.health.add(Level::Warning, words);
        }
        if let (Some(first), Some(certificate)) = (&first, &status.certificate) {
            let name = match first.is_peers {
                true => first.certificate.clone(),
                false => format!("`{}`", first.certificate),
            };
            let health = &mut status.health;
            match certificate.days_left {
                ..0 => health.add(Level::Critical, format!("certificate {name} has expired")),
                left @ 0..EXPIRY_WARNING_DAYS => {
                    health.add(
                        Level::Warning,
                        format!("certificate {name} ends in {}", counted(left, "day")),
                    );
                }
                _ => {}
            }
        }
        let behind = self.settings.certificates.first_end_behind_own();
        let wall = UNIX_EPOCH.checked_add(Duration::from_millis(wall_ms));
        if let Some(words) = behind.zip(wall).and_then(|(end, wall)| behind_own(&end, wall)) {
            status.health.add(Level::Warning, words);
        }
        status
    }

    /// The same of an end of a link, which has no broker.
    pub fn end_status(&mut self, wall_ms: u64) -> Status {
        let status = self.status(wall_ms, true, 0);
        Status { broker: BrokerStatus::default(), ..status }
    }

    /// A policy was read again: taken up, or refused.
    pub fn reloaded(&mut self, refused: Option<ReloadRefused>) {
        self.reload_refused = refused;
    }

    /// Hands the status over to those who write it, and emits a summary if that is due. `at` is
    /// when [`StatusEmitter::is_due`] was asked.
    pub fn emit(&mut self, at: Duration, mut status: Status) {
        self.judge.judge(&mut status);
        self.next = at.saturating_add(self.settings.every);
        if self.next_summary <= at {
            self.next_summary = at.saturating_add(self.settings.summary_every);
            summarise(&status);
        }
        self.check(&status.account);
        self.reporter.report(status);
    }

    /// Hands the last status over and emits a summary.
    pub fn finish(&mut self, status: Status) {
        summarise(&status);
        self.check(&status.account);
        self.reporter.report(status);
    }

    /// An account that doesn't balance is reported once, and again if it did so in between.
    fn check(&mut self, account: &AccountStatus) {
        let AccountStatus { received, forwarded, dropped, waiting, .. } = *account;
        match &account.imbalance {
            Some(what) if !std::mem::replace(&mut self.imbalance_reported, true) => {
                event!(AccountImbalance, what, received, forwarded, dropped, waiting);
            }
            Some(_) => {}
            None => self.imbalance_reported = false,
        }
    }
}

fn summarise(status: &Status) {
    if status.send.is_some() || status.receive.is_some() {
        return summarise_end(status);
    }
    let Status { account, nodes, ot, it, health, .. } = status;
    let drops: Vec<String> = account
        .reasons
        .iter()
        .map(|drops| format!("{}={}/{}", drops.reason, drops.messages, drops.metrics))
        .collect();
    let reasons = (!health.reasons.is_empty()).then(|| health.reasons.join("; "));
    let per_s = |rate: f64| format!("{rate:.1}");
    let gaps = ot.as_ref().map(|ot| ot.gaps).or(it.as_ref().map(|it| it.gaps)).unwrap_or(0);
    let it = it.as_ref();
    let shadow = ot.as_ref().and_then(|ot| ot.shadow.as_ref()).map(ShadowStatus::words);
    let shard = ot.as_ref().and_then(|ot| ot.shard.as_ref());
    let of_other_shards = shard.map(|_| account.of_other_shards);
    event!(
        Summary,
        health = health.level.name(),
        reasons = reasons.as_deref(),
        nodes_alive = nodes.alive,
        nodes_known = nodes.known,
        received = account.received,
        forwarded = account.forwarded,
        waiting = account.waiting,
        dropped = drops.join(" "),
        received_per_s = per_s(account.rates.received_per_s),
        forwarded_per_s = per_s(account.rates.forwarded_per_s),
        dropped_per_s = per_s(account.rates.dropped_per_s),
        gaps,
        frames_lost = it.map(|it| it.frames_lost),
        backfilled = it.map(|it| it.backfilled),
        unplaceable = it.map(|it| it.unplaceable),
        healed = it.map(|it| it.healed),
        rebirths_answered = it.map(|it| it.rebirths_answered),
        commands_refused = it.map(|it| it.commands_refused),
        observed = observed(ot.as_ref()),
        shadow,
        of_other_shards,
    );
}

/// One line for either end of a link: what both have, and what one of them has.
fn summarise_end(status: &Status) {
    let Status { health, send, receive, .. } = status;
    let (send, receive) = (send.as_ref(), receive.as_ref());
    let reasons = (!health.reasons.is_empty()).then(|| health.reasons.join("; "));
    let session = send.map(|send| send.session).or(receive.and_then(|receive| receive.session));
    let frames = send.map(|send| send.frames).or(receive.map(|receive| receive.frames));
    let datagrams =
        send.map(|send| send.datagrams).or(receive.map(|receive| receive.datagrams.received));
    event!(
        LinkSummary,
        health = health.level.name(),
        reasons = reasons.as_deref(),
        session,
        frames = frames.unwrap_or(0),
        datagrams = datagrams.unwrap_or(0),
        frames_again = send.map(|send| send.frames_again),
        frames_late = receive.map(|receive| receive.frames_late),
        frames_missing = receive.map(|receive| receive.frames_missing),
        frames_lost = receive.map(|receive| receive.frames_lost),
        repaired = receive.map(|receive| receive.repaired),
        foreign = receive.map(|receive| receive.datagrams.foreign),
        overflowed = receive.map(|receive| receive.overflowed),
        clock_ahead_ms = receive.and_then(|receive| receive.clock_ahead_ms),
    );
}

impl ReloadRefused {
    /// For people: which policy is in force, and what a restart would do.
    fn words(&self) -> String {
        let error = self.error.lines().next().unwrap_or_default();
        let error: String = error.chars().take(ERROR_CHARACTERS).collect();
        format!(
            "the policy that was read at {} is refused and the earlier one in force; the next \
             start would fail, unless its files are mended: {error}",
            text::format_utc_ms(self.at_ms)
        )
    }
}

/// `rule=metrics` of rules that only observe; `None` where there are none.
fn observed(ot: Option<&OtStatus>) -> Option<String> {
    let observed = &ot?.observed;
    let counts = observed.iter().map(|one| format!("{}={}", one.rule, one.metrics));
    (!observed.is_empty()).then(|| counts.collect::<Vec<_>>().join(" "))
}

/// What is said of a certificate that stands behind our own, once that is due.
fn behind_own(end: &CertificateEnd, wall: SystemTime) -> Option<String> {
    let words = match days_left(end.not_after, wall) {
        ..0 => "has expired".to_owned(),
        left @ 0..EXPIRY_WARNING_DAYS => format!("ends in {}", counted(left, "day")),
        _ => return None,
    };
    Some(format!("certificate `{}` {words}: a broker that needs it refuses ours", end.certificate))
}

fn end_status(certificate: &CertificateEnd, wall_ms: u64) -> CertificateStatus {
    let end = certificate.not_after.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = UNIX_EPOCH.checked_add(Duration::from_millis(wall_ms));
    CertificateStatus {
        file: certificate.certificate.clone(),
        not_after_ms: u64::try_from(end.as_millis()).unwrap_or(u64::MAX),
        days_left: now.map_or(0, |now| days_left(certificate.not_after, now)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use account::{Fate, Ledger, Origin};
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use tls::{Source, TlsConfig};

    use super::*;
    use crate::Event;
    use crate::capture::{capture, triggered};
    use crate::status::Tracker;

    const DAY_MS: u64 = 86_400_000;

    /// A connection whose authority ends then.
    fn end(directory: &Path, days: u64) -> Arc<Source> {
        let span = Duration::from_millis(days.saturating_mul(DAY_MS));
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(1970, 1, 1);
        params.not_after = params.not_before.checked_add(span.try_into().unwrap()).unwrap();
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let ca_file = directory.join(format!("{days}.pem"));
        fs::write(&ca_file, certificate.pem()).unwrap();
        let config = TlsConfig { ca_file, identity: None, server_name: "broker".to_owned() };
        Arc::new(Source::open(config, |_, _, _| {}).unwrap())
    }

    fn emitter(directory: &Path, sources: Vec<Arc<Source>>) -> StatusEmitter {
        let settings = StatusSettings {
            every: Duration::from_secs(2),
            summary_every: Duration::from_secs(60),
            textfile: None,
            broker_name: BrokerName::new(|| "b:1".to_owned()),
            certificates: Certificates { sources },
            concern: Concern::default(),
            any_owner: false,
        };
        let (at, state_dir) = (Duration::from_secs(5), directory.to_owned());
        StatusEmitter::start("ot", settings, state_dir, Notifier::none(), at, 1_000).unwrap()
    }

    #[test]
    fn the_certificate_that_ends_first_is_told_and_judged() {
        let directory = tempfile::tempdir().unwrap();
        // An instant after the beginning of day 100.
        let wall_ms = 100 * DAY_MS + 1;
        for (days, left, level) in [
            (131, 30, Level::Ok),
            (130, 29, Level::Warning),
            (101, 0, Level::Warning),
            (100, -1, Level::Critical),
            (98, -3, Level::Critical),
        ] {
            let ends = [500, days, 300].map(|days| end(directory.path(), days));
            let mut emitter = emitter(directory.path(), ends.to_vec());
            let status = emitter.status(wall_ms, true, 1);
            let certificate = status.certificate.unwrap();
            let file = directory.path().join(format!("{days}.pem"));
            assert_eq!(certificate.file, file.display().to_string());
            assert_eq!((certificate.days_left, status.health.level), (left, level), "{days}");
        }
    }

    #[test]
    fn what_stands_behind_our_own_certificate_is_told_as_what_it_may_mean() {
        let at = |ms: u64| UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap();
        let end = |days: u64| CertificateEnd {
            certificate: "c.pem, certificate 2 (`X`)".to_owned(),
            is_peers: false,
            is_behind_own: true,
            not_after: at(days.saturating_mul(DAY_MS)),
        };
        let now = at(100 * DAY_MS + 1);
        assert_eq!(behind_own(&end(131), now), None);
        let ends = behind_own(&end(110), now).unwrap();
        assert!(ends.contains("certificate `c.pem, certificate 2 (`X`)` ends in 9 days"), "{ends}");
        let over = behind_own(&end(100), now).unwrap();
        assert!(over.ends_with("has expired: a broker that needs it refuses ours"), "{over}");
    }

    #[test]
    fn a_refused_policy_is_told_until_one_is_taken_up() {
        let directory = tempfile::tempdir().unwrap();
        let mut emitter = emitter(directory.path(), Vec::new());
        assert_eq!(emitter.status(1_000, true, 1).reload_refused, None);
        let error = format!("error[P001]: {}\nline", "x".repeat(1_000));
        let refused = ReloadRefused { at_ms: 86_400_000, error };
        emitter.reloaded(Some(refused.clone()));
        for second in [2_000, 3_600_000] {
            let mut status = emitter.status(second, true, 1);
            assert_eq!(status.health.level, Level::Warning);
            let [words] = status.health.reasons.as_slice() else { panic!("{status:?}") };
            let begin = "the policy that was read at 1970-01-02T00:00:00.000Z is refused and the earlier \
                         one in force; the next start would fail, unless its files are mended: \
                         error[P001]: xxx";
            assert!(words.starts_with(begin) && words.len() < 400, "{words}");
            assert_eq!(status.reload_refused, Some(refused.clone()));
            status.policy = Some(Default::default());
            let text = super::super::textfile::render(&status);
            assert!(text.contains("_reload_successful{half=\"ot\",relay=\"\"} 0\n"), "{text}");
        }
        emitter.reloaded(None);
        let mut status = emitter.status(3_601_000, true, 1);
        status.policy = Some(Default::default());
        assert_eq!((status.health.level, &status.reload_refused), (Level::Ok, &None));
        let text = super::super::textfile::render(&status);
        assert!(text.contains("_reload_successful{half=\"ot\",relay=\"\"} 1\n"), "{text}");
    }

    #[test]
    fn statuses_and_summaries_have_their_own_intervals() {
        let directory = tempfile::tempdir().unwrap();
        let mut emitter = emitter(directory.path(), Vec::new());
        let mut statuses = 0;
        let mut summaries = 0;
        for second in 5..=125 {
            let at = Duration::from_secs(second);
            if emitter.is_due(at) {
                statuses += 1;
                summaries += u32::from(emitter.next_summary <= at);
                let status = emitter.status(second * 1_000, second > 60, 1);
                let since = if second > 60 { 61_000..=62_000 } else { 1_000..=1_000 };
                assert!(since.contains(&status.broker.since_ms.unwrap()), "{status:?}");
                emitter.emit(at, status);
            }
        }
        assert_eq!(summaries, 2);
        assert_eq!(statuses, 61);
    }

    /// It takes a mistake of ours, so the test makes one: a message is received and nothing
    /// becomes of it. From there on everything is as in a half that runs: the check, the tracker,
    /// the status, the event.
    #[test]
    fn an_account_that_does_not_balance_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut emitter = emitter(directory.path(), Vec::new());
        let (mut ledger, mut tracker) = (Ledger::new(None), Tracker::default());
        let mut second = 5;
        let mut emit = |ledger: &Ledger| {
            second += 2;
            let at = Duration::from_secs(second);
            let (account, _) = tracker.track(at, ledger, ledger.check(0), std::iter::empty());
            let mut status = emitter.status(second * 1_000, true, 1);
            status.account = account;
            capture(|| emitter.emit(at, status))
        };
        assert!(emit(&ledger).is_empty());
        ledger.receive(None);
        let emitted = emit(&ledger);
        triggered(&emitted, Event::AccountImbalance);
        assert_eq!(
            emitted[0].message(),
            "the account does not balance what=\"the total does not balance\" received=1 \
             forwarded=0 dropped=0 waiting=0"
        );
        assert!(emit(&ledger).is_empty(), "reported once");
        ledger.settle(Origin::default(), Fate::Forwarded);
        assert!(emit(&ledger).is_empty());
        ledger.receive(None);
        triggered(&emit(&ledger), Event::AccountImbalance);
    }
}

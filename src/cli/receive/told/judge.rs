//! What of the receiving end is a reason to look.

use std::time::Duration;

use clock::Now;
use receive::LastLoss;
use telemetry::status::{Level, ReceiveStatus, Status};
use text::{counted_grouped, grouped, span};

use super::{Loss, Told};

/// Clocks that differ by more are worth a look.
const CLOCKS_MS: u64 = 10_000;
/// A loss is a reason to look for this long.
const LOSS_WARNING_MS: u64 = 3_600_000;

pub(super) fn judge(status: &mut Status, receive: &ReceiveStatus, told: &Told, now: Now) {
    let health = &mut status.health;
    if receive.journal_refuses {
        let words = "receive: journal or state can't be written, so nothing is taken from the link";
        health.add(Level::Critical, words);
    }
    if told.is_silent {
        let words = match receive.silent_ms {
            Some(silent_ms) => format!(
                "receive: no sign of life from the sender for {}",
                span(Duration::from_millis(silent_ms))
            ),
            None => "receive: no sign of life from the sender since the start".to_owned(),
        };
        health.add(Level::Critical, words);
    }
    for path in &receive.paths {
        if path.down {
            let words =
                format!("receive: path `{}` brings nothing, and another one does", path.name);
            health.add(Level::Warning, words);
        }
        if let Some(error) = &path.error {
            let words = format!("receive: path `{}` can't be read: {error}", path.name);
            health.add(Level::Warning, words);
        }
    }
    if let Some(Loss { last: LastLoss { first, last, at_ms }, frames }) = told.loss
        && frames > 0
        && now.wall_ms.saturating_sub(at_ms) < LOSS_WARNING_MS
    {
        let words = format!(
            "receive: {} lost, the last ones {} to {}; `sparkdiode resend` on the sending box brings \
             what its journal still has",
            counted_grouped(frames, "frame"),
            grouped(first),
            grouped(last)
        );
        health.add(Level::Warning, words);
    }
    if told.paths.iter().any(|path| path.overflow.is_recent(now.mono)) {
        let words = "receive: the operating system dropped datagrams in the last minute, since the \
                     receive buffer was full";
        health.add(Level::Warning, words);
    }
    if told.refused.is_foreign_lately(now) {
        let words = "receive: datagrams came in the last minute that are not of this link";
        health.add(Level::Warning, words);
    }
    if told.refused.is_old_epoch_lately(now) {
        let words = "receive: frames came in the last minute of an earlier start of the sender's \
                     journal than those that are here; they are not taken";
        health.add(Level::Warning, words);
    }
    if told.is_short {
        let words = "receive: `reorder-ms` is not longer than the sender's `close-after-ms` and \
                     `spread-ms` together: what could be repaired is given up before";
        health.add(Level::Warning, words);
    }
    if let Some(ahead_ms) = receive.clock_ahead_ms
        && ahead_ms.unsigned_abs() >= CLOCKS_MS
    {
        let which = if ahead_ms > 0 { "ahead of" } else { "behind" };
        let words = format!(
            "receive: the sender's clock is {} {which} this one",
            span(Duration::from_millis(ahead_ms.unsigned_abs()))
        );
        health.add(Level::Warning, words);
    }
}

#[cfg(test)]
mod tests {
    use config::{SandboxConfig, StatusConfig};
    use telemetry::Notifier;
    use telemetry::status::ReceivePathStatus;

    use super::*;
    use crate::cli::ends::{Telling, status_settings};

    fn told() -> Told {
        let dir = tempfile::tempdir().unwrap();
        let every = Duration::from_secs(2);
        let status = StatusConfig { every, summary_every: every, textfile: None };
        let settings = status_settings(status, &SandboxConfig::default());
        let (path, notifier) = (dir.path().to_owned(), Notifier::none());
        let telling = Telling::start("receive", settings, path, notifier, Now::default());
        Told::new(telling.unwrap(), Vec::new(), 1, Duration::from_millis(500))
    }

    fn words(receive: &ReceiveStatus, told: &Told) -> Vec<(Level, String)> {
        let mut status = Status::default();
        judge(&mut status, receive, told, Now { mono: Duration::from_secs(100), wall_ms: 100_000 });
        status.health.causes().map(|(level, words)| (level, words.clone())).collect()
    }

    #[test]
    fn what_is_wrong_is_said_in_words_that_are_true_and_the_worst_first() {
        let mut told = told();
        let well =
            ReceiveStatus { silent_ms: Some(50), clock_ahead_ms: Some(-3), ..Default::default() };
        assert_eq!(words(&well, &told), []);
        told.is_silent = true;
        let silent = ReceiveStatus { silent_ms: Some(12_300), ..well.clone() };
        let said = "receive: no sign of life from the sender for 12 s";
        assert_eq!(words(&silent, &told), [(Level::Critical, said.to_owned())]);
        let never = ReceiveStatus { silent_ms: None, ..well.clone() };
        let said = "receive: no sign of life from the sender since the start";
        assert_eq!(words(&never, &told), [(Level::Critical, said.to_owned())]);
        told.is_silent = false;
        let down = ReceivePathStatus { name: "b".to_owned(), down: true, ..Default::default() };
        let bad = ReceiveStatus {
            paths: vec![ReceivePathStatus::default(), down],
            journal_refuses: true,
            clock_ahead_ms: Some(3_600_000),
            ..well.clone()
        };
        let said: Vec<String> = words(&bad, &told).into_iter().map(|(_, words)| words).collect();
        assert!(said[0].contains("can't be written") && said[1].contains("path `b`"), "{said:?}");
        assert_eq!(said[2], "receive: the sender's clock is 1 h 0 min ahead of this one");
        // What is lost is told while it is missing, and for an hour.
        let last = LastLoss { first: 11, last: 17, at_ms: 90_000 };
        told.loss = Some(Loss { last, frames: 0 });
        assert_eq!(words(&well, &told), []);
        told.loss = Some(Loss { last, frames: 7 });
        let said = &words(&well, &told)[0].1;
        assert!(said.starts_with("receive: 7 frames lost, the last ones 11 to 17; "), "{said}");
    }
}

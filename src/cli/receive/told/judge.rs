//! What of the receiving end is a reason to look.

use std::time::Duration;

use clock::Now;
use telemetry::status::{Level, ReceiveStatus, Status};
use text::{counted_grouped, grouped, span};

use super::Told;

/// Clocks that differ by more are worth a look.
const CLOCKS_MS: u64 = 10_000;
/// A loss is a reason to look for this long.
const LOSS_WARNING: Duration = Duration::from_secs(3_600);

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
    if let Some((first, last, at)) = told.losses.last
        && told.losses.still > 0
        && now.mono.saturating_sub(at) < LOSS_WARNING
    {
        let words = format!(
            "receive: {} lost, the last ones {} to {}; `sparkdiode resend` on the sending box brings \
             what its journal still has",
            counted_grouped(told.losses.still, "frame"),
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

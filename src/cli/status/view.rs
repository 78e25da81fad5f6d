//! A status as it fits on a terminal: columns give way first, then lines of lists. Names in it come from
//! the network: they were escaped when it was parsed, and are cut here.

mod ends;
mod rules;
mod tables;

use std::fmt::Write;
use std::time::Duration;

use telemetry::status::{EndsStatus, ItStatus, LINK_ALIVE, Level, OtStatus, SealStatus, Status};
use text::{Paint, Tone, counted_grouped, format_utc_ms, grouped, rough_size};

use super::shown::Shown;
use super::size::Size;

/// Lines of talkers and of drops.
const LINES: usize = 8;
/// Columns of the names of items, with what is around them.
const ITEM_COLUMNS: usize = 14;
/// Columns of a name, at most; and from how many columns on talkers have all of theirs.
const MAX_NAME: usize = 72;
const TALKERS_WITH_RECEIVED: usize = 100;
/// Characters of a cause.
const MAX_REASON: usize = 400;
/// A status that is older than this many of its intervals is stale …
const STALE_INTERVALS: u64 = 5;
/// … or older than this, in milliseconds.
const STALE_MS: u64 = 10_000;

struct View {
    text: String,
    paint: Paint,
    columns: usize,
    /// Lines of each list.
    lines: usize,
}

/// The status, as it looks at `now_ms`. Where there are too few rows, lists have fewer lines.
pub(super) fn render(status: &Shown, now_ms: u64, paint: Paint, size: Size) -> String {
    let mut lines = LINES;
    loop {
        let text = with_lines(status, now_ms, paint, size, lines);
        let fits = size.rows.is_none_or(|rows| text.lines().count() <= rows);
        let Some(fewer) = lines.checked_sub(1).filter(|_| !fits) else { return size.fit(&text) };
        lines = fewer;
    }
}

fn with_lines(status: &Shown, now_ms: u64, paint: Paint, size: Size, lines: usize) -> String {
    let mut view = View { text: String::new(), paint, columns: size.columns, lines };
    let age_ms = now_ms.saturating_sub(status.written_ms);
    let stale = age_ms > status.every_ms.saturating_mul(STALE_INTERVALS).max(STALE_MS);
    view.title(status, age_ms);
    if stale {
        let since = format_utc_ms(status.written_ms);
        view.marked(
            Level::Critical,
            &format!(" STALE since {since}: the half doesn't run, or can't write here"),
        );
    }
    view.health(status);
    if status.send.is_some() || status.receive.is_some() {
        return view.end(status);
    }
    let broker = &status.broker;
    let since = broker.since_ms.map_or(String::new(), |since| {
        format!(" for {}", span(status.written_ms.saturating_sub(since)))
    });
    let state = if broker.connected { "connected" } else { "NOT CONNECTED" };
    let sessions = if status.it.is_some() {
        format!(", {}", counted_grouped(broker.sessions, "session"))
    } else {
        String::new()
    };
    let address = shown(&broker.address, view.columns / 2);
    view.item("broker", &format!("{address}  {state}{since}{sessions}"));
    if let Some(policy) = &status.policy {
        let digest: String = policy.digest.chars().take(16).collect();
        let refused = if status.reload_refused.is_some() { "  RELOAD REFUSED" } else { "" };
        let rules = counted_grouped(policy.rules, "rule");
        view.item("policy", &format!("{digest}…  {rules}{refused}"));
    }
    if let Some(certificate) = &status.certificate {
        let days = certificate.days_left;
        let file = shown(&certificate.file, view.columns.saturating_sub(40));
        let left = match days {
            1 => "1 day".to_owned(),
            _ => format!("{days} days"),
        };
        view.item("certificate", &format!("{left} left  {file}"));
    }
    if let Some(seal) = &status.seal {
        view.item("seal", &sealed(seal));
    }
    let account = &status.account;
    let verdict = if account.balances { "balances" } else { "DOES NOT BALANCE" };
    view.item(
        "account",
        &format!(
            "{} received = {} forwarded + {} dropped + {} waiting  ({verdict})",
            grouped(account.received),
            grouped(account.forwarded),
            grouped(account.dropped),
            grouped(account.waiting)
        ),
    );
    if let Some(shard) = status.ot.as_ref().and_then(|ot| ot.shard.as_ref()) {
        let of_others = counted_grouped(account.of_other_shards, "message");
        view.item("shard", &format!("{}; {of_others} of other shards", shown(shard, 12)));
    }
    let rates = account.rates;
    view.item(
        "rates",
        &format!(
            "{:.1}/s received, {:.1}/s forwarded, {:.1}/s dropped",
            rates.received_per_s, rates.forwarded_per_s, rates.dropped_per_s
        ),
    );
    if let Some(ot) = &status.ot {
        view.ot(ot);
    }
    if let Some(it) = &status.it {
        view.it(it, status.written_ms);
    }
    view.talkers(status);
    view.drops("DROPPED", &account.drops);
    view.last(&account.last, status.written_ms);
    if let Some(ot) = &status.ot {
        view.hits(ot, status.written_ms);
        view.observed(ot);
        view.shadow(ot);
    }
    view.line("");
    view.text
}

/// `dialled (Landlock ABI 2: …)`, and what is waived.
fn sealed(seal: &SealStatus) -> String {
    let landlock = match seal.landlock {
        ..1 => "no Landlock".to_owned(),
        abi => format!("Landlock ABI {abi}"),
    };
    let dialled =
        if seal.level == "dialled" { "; a dialling process makes its sockets" } else { "" };
    let waived = match seal.waived.as_slice() {
        [] => String::new(),
        waived => format!("  WITHOUT {}", waived.join(", ")),
    };
    format!("{} ({landlock}{dialled}){waived}", seal.level)
}

impl View {
    /// The rest, of an end of a link: it has no broker, no account and no nodes.
    fn end(mut self, status: &Status) -> String {
        if let Some(seal) = &status.seal {
            self.item("seal", &sealed(seal));
        }
        status.send.iter().for_each(|send| self.send(send));
        status.receive.iter().for_each(|receive| self.receive(receive));
        self.line("");
        self.text
    }

    fn line(&mut self, line: &str) {
        // Writing to a `String` can't fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }

    fn marked(&mut self, level: Level, line: &str) {
        let tone = match level {
            Level::Ok => Tone::Good,
            Level::Warning => Tone::Odd,
            Level::Critical => Tone::Bad,
        };
        self.line(&self.paint.paint(tone, line));
    }

    /// Which half this is, and how old: the one line that is always there.
    fn title(&mut self, status: &Status, age_ms: u64) {
        let up = span(status.written_ms.saturating_sub(status.started_ms));
        let right = format!("pid {}, up {up}, seen {} ago ", status.pid, span(age_ms));
        let is_end = status.send.is_some() || status.receive.is_some();
        let what = if is_end { "END OF A LINK" } else { "HALF" };
        let left = format!(
            " {} {what}  {}",
            shown(&status.half, 8).to_uppercase(),
            shown(&status.relay, 40)
        );
        let with_version = format!("{left}  {}", shown(&status.version, 16));
        let room = self.columns.saturating_sub(right.chars().count()).saturating_sub(1);
        let left =
            if with_version.chars().count() > room { shown(&left, room) } else { with_version };
        let width = self.columns.saturating_sub(left.chars().count());
        self.line(&format!("{left}{right:>width$}"));
        self.line(&"─".repeat(self.columns));
    }

    /// In a word, or each cause with its own, the worst first.
    fn health(&mut self, status: &Status) {
        let health = &status.health;
        if health.reasons.is_empty() {
            self.marked(health.level, &format!(" {}", health.level.name().to_uppercase()));
        }
        for (level, reason) in health.causes() {
            let word = level.name().to_uppercase();
            let indent = word.len().saturating_add(3);
            let lines = wrapped(&shown(reason, MAX_REASON), self.columns.saturating_sub(indent));
            for (at, line) in lines.iter().enumerate() {
                let before = if at == 0 { format!(" {word}: ") } else { " ".repeat(indent) };
                self.marked(level, &format!("{before}{line}"));
            }
        }
    }

    fn item(&mut self, name: &str, content: &str) {
        let mut name = name;
        for line in wrapped(content, self.columns.saturating_sub(ITEM_COLUMNS)) {
            self.line(&format!(" {name:<12} {line}"));
            name = "";
        }
    }

    fn head(&mut self, head: &str) {
        let rule = self.columns.saturating_sub(head.chars().count()).saturating_sub(5);
        self.line(&format!("── {head} {}─", "─".repeat(rule)));
    }

    fn ot(&mut self, ot: &OtStatus) {
        let refuses = if ot.journal_refuses { "  REFUSES FRAMES" } else { "" };
        self.item(
            "journal",
            &format!(
                "{} of {}{}, next frame {}{refuses}",
                rough_size(ot.journal_bytes),
                rough_size(ot.journal_limit_bytes),
                percent(ot.journal_bytes, ot.journal_limit_bytes),
                grouped(ot.journal_seq)
            ),
        );
        self.item(
            "queue",
            &format!(
                "{} of {}{}",
                rough_size(ot.queue_bytes),
                rough_size(ot.queue_limit_bytes),
                percent(ot.queue_bytes, ot.queue_limit_bytes)
            ),
        );
        self.item(
            "losses",
            &format!(
                "{} messages were lost before they reached the relay",
                counted_grouped(ot.gaps, "time")
            ),
        );
        if !ot.hosts_offline.is_empty() {
            let named: Vec<String> =
                ot.hosts_offline.iter().take(LINES).map(|host| shown(host, 30)).collect();
            let more = ot.hosts_offline.len().saturating_sub(named.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            self.item(
                "hosts",
                &format!("offline on OT by their STATE: {}{more}", named.join(", ")),
            );
        }
    }

    /// The link between two boxes, as the IT half knows it.
    fn link_ends(&mut self, ends: &EndsStatus) {
        let sender = match (ends.is_silent, ends.silent_ms) {
            (false, _) => "sending end alive".to_owned(),
            (true, Some(silent_ms)) => format!("sending end SILENT for {}", span(silent_ms)),
            (true, None) => "sending end SILENT".to_owned(),
        };
        let down = ends.paths.iter().filter(|path| path.down);
        let down: Vec<String> = down.map(|path| shown(&path.name, 32)).collect();
        let down = match down.as_slice() {
            [] => String::new(),
            down => format!("; DOWN: {}", down.join(", ")),
        };
        self.item(
            "two boxes",
            &format!(
                "{sender}, {} missing, {} lost for good, {} behind{down}",
                counted_grouped(ends.frames_missing, "frame"),
                grouped(ends.frames_lost),
                grouped(ends.frames_behind)
            ),
        );
    }

    fn it(&mut self, it: &ItStatus, written_ms: u64) {
        let link = if it.link == LINK_ALIVE {
            "alive".to_owned()
        } else {
            shown(&it.link, 20).to_uppercase()
        };
        self.item(
            "link",
            &format!(
                "{link}, lag {}, last fresh frame {} ago, next frame {}",
                span(it.lag_ms),
                span(it.silent_ms),
                grouped(it.journal_seq)
            ),
        );
        let last = it.last_loss.as_ref().map_or(String::new(), |loss| {
            format!(
                "; last {} to {} ({}) {} ago",
                grouped(loss.first),
                grouped(loss.last),
                shown(&loss.cause, 20),
                span(written_ms.saturating_sub(loss.at_ms))
            )
        });
        let late = match it.late_frames {
            0 => String::new(),
            late => format!(", {} of them came late", grouped(late)),
        };
        let lost = counted_grouped(it.frames_lost, "frame");
        self.item("losses", &format!("{lost}{late}{last}"));
        if let Some(ends) = &it.ends {
            self.link_ends(ends);
        }
        self.item(
            "backlog",
            &format!(
                "{} not confirmed by the broker, {} sent as historical, {} queued",
                counted_grouped(it.unconfirmed_frames, "frame"),
                grouped(it.backfilled),
                rough_size(it.queue_bytes)
            ),
        );
        self.item(
            "hosts",
            &format!(
                "{} answered, {} refused",
                counted_grouped(it.rebirths_answered, "rebirth request"),
                counted_grouped(it.commands_refused, "command")
            ),
        );
        let Some(ot) = &it.ot else { return };
        let broker = if ot.broker_connected {
            "connected".to_owned()
        } else {
            format!("AWAY from its broker for {}", span(ot.broker_away_ms))
        };
        self.item(
            "OT half",
            &format!(
                "{broker}, {}, {} received, {} forwarded, {} dropped",
                counted_grouped(ot.nodes, "node"),
                grouped(ot.received),
                grouped(ot.forwarded),
                grouped(ot.dropped)
            ),
        );
    }
}

/// Lines of at most so many columns, broken at spaces where there are some.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let word = shown(word, columns);
        let longer = line.chars().count().saturating_add(word.chars().count()).saturating_add(1);
        if !line.is_empty() && longer > columns {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// Cut to a width.
fn shown(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A span of milliseconds.
fn span(ms: u64) -> String {
    text::span(Duration::from_millis(ms))
}

fn percent(part: u64, whole: u64) -> String {
    part.saturating_mul(100)
        .checked_div(whole)
        .map_or(String::new(), |percent| format!(" ({percent} %)"))
}

#[cfg(test)]
mod tests;

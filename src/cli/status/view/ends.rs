//! The ends of a link as they fit on a terminal.

use telemetry::status::{EndRates, ReceiveStatus, SendStatus};
use text::{counted_grouped, grouped, rough_size};

use super::{View, percent, shown, span};

impl View {
    pub(super) fn send(&mut self, send: &SendStatus) {
        let key = shown(&send.key, 16);
        self.item("link", &format!("session {}, key {key}", grouped(send.session)));
        let backlog = match (send.journal_unreadable, send.backlog_bytes) {
            (true, _) => "  CAN'T BE READ".to_owned(),
            (false, Some(bytes)) => format!(", {} not sent yet", rough_size(bytes)),
            (false, None) => String::new(),
        };
        self.item("journal", &format!("next frame {}{backlog}", grouped(send.journal_seq)));
        let mut frames = format!(
            "{} sent, {} once more, {} wait to be sent again",
            grouped(send.frames),
            grouped(send.frames_again),
            grouped(send.frames_waiting)
        );
        for (count, what) in [
            (send.frames_skipped, "not sent again: too old or too many"),
            (send.frames_too_large, "larger than `max-frame-bytes`"),
            (send.frames_lost, "lost by the journal before"),
        ] {
            if count > 0 {
                frames.push_str(&format!(", {} {what}", grouped(count)));
            }
        }
        self.item("frames", &frames);
        self.item(
            "datagrams",
            &format!(
                "{} with frames ({}), {} for repair ({}), {} once more ({}), {}",
                grouped(send.source),
                rough_size(send.source_bytes),
                grouped(send.repair),
                rough_size(send.repair_bytes),
                grouped(send.again),
                rough_size(send.again_bytes),
                counted_grouped(send.signs, "sign") + " of life"
            ),
        );
        self.end_rates(send.rates, Some(send.limit_bytes_per_s));
        for path in &send.paths {
            let refused = match path.refused {
                0 => String::new(),
                refused => format!(", {} refused by the system", grouped(refused)),
            };
            let error = path
                .error
                .as_ref()
                .map_or(String::new(), |error| format!("  REFUSES: {}", shown(error, 60)));
            self.item(
                "path",
                &format!(
                    "{} to {}, {} ({}){refused}{error}",
                    shown(&path.name, 20),
                    shown(&path.to, 30),
                    counted_grouped(path.datagrams, "datagram"),
                    rough_size(path.bytes)
                ),
            );
        }
    }

    pub(super) fn receive(&mut self, receive: &ReceiveStatus) {
        let session = receive.session.map_or("no session heard".to_owned(), |session| {
            format!("session {}", grouped(session))
        });
        let heard = receive.silent_ms.map_or("no sign of life since the start".to_owned(), |ms| {
            format!("last sign of life {} ago", span(ms))
        });
        let keys: Vec<String> = receive.keys.iter().map(|key| shown(key, 16)).collect();
        let word = if keys.len() == 1 { "key" } else { "keys" };
        self.item("link", &format!("{session}, {heard}, {word} {}", keys.join(", ")));
        if let Some(ahead_ms) = receive.clock_ahead_ms {
            let which = if ahead_ms < 0 { "behind" } else { "ahead of" };
            let by = span(ahead_ms.unsigned_abs());
            self.item("clock", &format!("the sender's is {by} {which} this one"));
        }
        let refuses = if receive.journal_refuses { "  REFUSES FRAMES" } else { "" };
        let sent = receive
            .sent_seq
            .map_or(String::new(), |sent| format!(", the sender's last one {}", grouped(sent)));
        self.item(
            "journal",
            &format!(
                "{} of {}{}, next frame {}{sent}{refuses}",
                rough_size(receive.journal_bytes),
                rough_size(receive.journal_limit_bytes),
                percent(receive.journal_bytes, receive.journal_limit_bytes),
                grouped(receive.journal_seq)
            ),
        );
        let mut frames = format!(
            "{} in order, {} late, {} missing now, {} lost",
            grouped(receive.frames),
            grouped(receive.frames_late),
            grouped(receive.frames_missing),
            grouped(receive.frames_lost)
        );
        for (count, what) in [
            (receive.frames_too_large, "larger than `max-frame-bytes`"),
            (receive.frames_unknown, "of an unknown segment"),
            (receive.frames_refused, "refused by the journal"),
        ] {
            if count > 0 {
                frames.push_str(&format!(", {} {what}", grouped(count)));
            }
        }
        self.item("frames", &frames);
        let lines = self.lines.min(receive.missing.len());
        let newest = receive.missing.len().saturating_sub(lines);
        let stretches = receive.missing.get(newest..).unwrap_or_default();
        let stretches: Vec<String> = stretches
            .iter()
            .map(|(first, last)| match first == last {
                true => grouped(*first),
                false => format!("{} to {}", grouped(*first), grouped(*last)),
            })
            .collect();
        if !stretches.is_empty() {
            self.item("missing", &format!("the newest: {}", stretches.join("; ")));
        }
        let came = &receive.datagrams;
        self.item(
            "datagrams",
            &format!(
                "{} = {} taken + {} from another path before + {} seen before + {} foreign + {} without sense; {} missing",
                grouped(came.received),
                grouped(came.taken),
                grouped(came.other_path),
                grouped(seen_before(receive)),
                grouped(came.foreign),
                grouped(came.malformed),
                grouped(receive.datagrams_missing)
            ),
        );
        self.item(
            "repair",
            &format!(
                "{} restored, {} not; {} dropped by a full receive buffer",
                counted_grouped(receive.repaired, "lost part"),
                grouped(receive.unrepaired),
                counted_grouped(receive.overflowed, "datagram")
            ),
        );
        self.end_rates(receive.rates, None);
        for path in &receive.paths {
            let down = if path.down { "  DOWN" } else { "" };
            let last = path.silent_ms.map_or("none since the start".to_owned(), |ms| {
                format!("last one {} ago", span(ms))
            });
            let error = path
                .error
                .as_ref()
                .map_or(String::new(), |error| format!("  CAN'T BE READ: {}", shown(error, 60)));
            self.item(
                "path",
                &format!(
                    "{} at {}, {}, {} of them first, {last}{down}{error}",
                    shown(&path.name, 20),
                    shown(&path.listen, 30),
                    counted_grouped(path.datagrams, "datagram"),
                    grouped(path.first)
                ),
            );
        }
    }

    fn end_rates(&mut self, rates: EndRates, limit_bytes_per_s: Option<u64>) {
        let limit = limit_bytes_per_s
            .map_or(String::new(), |limit| format!(" of {}/s at most", rough_size(limit)));
        let bytes = rough_size(rates.bytes_per_s as u64);
        let (frames, datagrams) = (rates.frames_per_s, rates.datagrams_per_s);
        let bytes = format!("{bytes}/s{limit}");
        self.item("rates", &format!("{frames:.1} frames/s, {datagrams:.1} datagrams/s, {bytes}"));
    }
}

fn seen_before(receive: &ReceiveStatus) -> u64 {
    let came = &receive.datagrams;
    [came.duplicates, came.too_old, came.old_session]
        .iter()
        .fold(0, |sum, count| u64::saturating_add(sum, *count))
}

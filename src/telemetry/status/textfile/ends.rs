//! The ends of a link in the textfile. Their families are their own: neither end has a broker, an
//! account of messages, or edge nodes.

use super::{Family, Kind, Text};
use crate::status::{ReceiveStatus, SendStatus};

families! {
    END_FAMILIES: "Every family that a textfile of either end of a link can have, beside those that all have.";
    SESSION = Gauge "sparkdiode_link_session": "Number of the sender's session; it never goes back.";
    NEXT = Gauge "sparkdiode_link_journal_next_frame": "Number of the journal frame that is read (sending end) or written in order (receiving end) next.";
    REFUSES = Gauge "sparkdiode_link_journal_refuses": "1 while the journal can't be read (sending end) or written (receiving end).";
    BYTES = Gauge "sparkdiode_link_journal_bytes": "Bytes of the journal's segments (receiving end).";
    LIMIT = Gauge "sparkdiode_link_journal_limit_bytes": "Bytes above which the oldest segments are deleted (receiving end).";
    BACKLOG = Gauge "sparkdiode_link_backlog_bytes": "Bytes of the journal that aren't sent yet (sending end).";
    FRAMES = Counter "sparkdiode_link_frames_total": "Frames, by what became of them.";
    WAITING = Gauge "sparkdiode_link_frames_waiting": "Frames that are asked for again and wait (sending end).";
    MISSING = Gauge "sparkdiode_link_frames_missing": "Frames that aren't in the journal and have a number below one that is (receiving end).";
    DATAGRAMS = Counter "sparkdiode_link_datagrams_total": "Datagrams sent (sending end) or received (receiving end), by kind.";
    ABSENT = Gauge "sparkdiode_link_datagrams_missing": "Datagrams of this session that no path has brought (receiving end).";
    SENT_BYTES = Counter "sparkdiode_link_sent_bytes_total": "Bytes of datagrams with frames, by kind (sending end).";
    SYMBOLS = Counter "sparkdiode_link_symbols_total": "Lost parts of blocks that were restored, or weren't (receiving end).";
    OVERFLOWED = Counter "sparkdiode_link_overflowed_datagrams_total": "Datagrams that the operating system dropped since the receive buffer was full (receiving end).";
    HEARD = Gauge "sparkdiode_link_sender_heard": "1 if the sender has given a sign of life since the start (receiving end).";
    SILENCE = Gauge "sparkdiode_link_sender_silence_seconds": "Time since the last sign of life of the sender (receiving end).";
    AHEAD = Gauge "sparkdiode_link_clock_ahead_seconds": "The sender's wall clock less the receiver's (receiving end).";
    PATH = Counter "sparkdiode_link_path_datagrams_total": "Datagrams sent (sending end) or authentic ones received (receiving end), by path.";
    PATH_REFUSED = Counter "sparkdiode_link_path_refused_datagrams_total": "Datagrams that the operating system refused to send, by path (sending end).";
    PATH_DOWN = Gauge "sparkdiode_link_path_down": "1 while a path brings nothing and another does (receiving end).";
}

pub(super) fn render_send(text: &mut Text<'_>, send: &SendStatus) {
    text.one(SESSION, send.session);
    text.one(NEXT, send.journal_seq);
    text.one(REFUSES, send.journal_unreadable.into());
    if let Some(backlog) = send.backlog_bytes {
        text.one(BACKLOG, backlog);
    }
    let kinds = |text: &mut Text<'_>, family: Family, counts: &[(&str, u64)]| {
        text.head(family);
        for (kind, count) in counts {
            text.sample(family, &[("kind", kind)], *count);
        }
    };
    let frames = [
        ("sent", send.frames),
        ("again", send.frames_again),
        ("skipped", send.frames_skipped),
        ("too_large", send.frames_too_large),
        ("lost", send.frames_lost),
    ];
    kinds(text, FRAMES, &frames);
    text.one(WAITING, send.frames_waiting);
    let datagrams = [
        ("source", send.source),
        ("repair", send.repair),
        ("again", send.again),
        ("signs", send.signs),
    ];
    kinds(text, DATAGRAMS, &datagrams);
    let bytes =
        [("source", send.source_bytes), ("repair", send.repair_bytes), ("again", send.again_bytes)];
    kinds(text, SENT_BYTES, &bytes);
    text.head(PATH);
    send.paths.iter().for_each(|path| text.sample(PATH, &[("path", &path.name)], path.datagrams));
    text.head(PATH_REFUSED);
    for path in &send.paths {
        text.sample(PATH_REFUSED, &[("path", &path.name)], path.refused);
    }
}

pub(super) fn render_receive(text: &mut Text<'_>, receive: &ReceiveStatus) {
    if let Some(session) = receive.session {
        text.one(SESSION, session);
    }
    text.one(NEXT, receive.journal_seq);
    text.one(REFUSES, receive.journal_refuses.into());
    text.one(BYTES, receive.journal_bytes);
    text.one(LIMIT, receive.journal_limit_bytes);
    let kinds = |text: &mut Text<'_>, family: Family, counts: &[(&str, u64)]| {
        text.head(family);
        for (kind, count) in counts {
            text.sample(family, &[("kind", kind)], *count);
        }
    };
    let frames = [
        ("in_order", receive.frames),
        ("late", receive.frames_late),
        ("lost", receive.frames_lost),
        ("too_large", receive.frames_too_large),
        ("unknown", receive.frames_unknown),
        ("refused", receive.frames_refused),
    ];
    kinds(text, FRAMES, &frames);
    text.one(MISSING, receive.frames_missing);
    let came = &receive.datagrams;
    let datagrams = [
        ("taken", came.taken),
        ("other_path", came.other_path),
        ("duplicate", came.duplicates),
        ("too_old", came.too_old),
        ("old_session", came.old_session),
        ("malformed", came.malformed),
        ("foreign_length", came.foreign_length),
        ("foreign_protocol", came.foreign_protocol),
        ("foreign_version", came.foreign_version),
        ("foreign_link", came.foreign_link),
        ("foreign_key", came.foreign_key),
        ("foreign_forged", came.foreign_forged),
    ];
    kinds(text, DATAGRAMS, &datagrams);
    text.one(ABSENT, receive.datagrams_missing);
    kinds(text, SYMBOLS, &[("restored", receive.repaired), ("lost", receive.unrepaired)]);
    text.one(OVERFLOWED, receive.overflowed);
    text.one(HEARD, receive.silent_ms.is_some().into());
    if let Some(silent_ms) = receive.silent_ms {
        text.seconds(SILENCE, silent_ms);
    }
    if let Some(ahead_ms) = receive.clock_ahead_ms {
        text.signed_seconds(AHEAD, ahead_ms);
    }
    text.head(PATH);
    for path in &receive.paths {
        text.sample(PATH, &[("path", &path.name)], path.datagrams);
    }
    text.head(PATH_DOWN);
    for path in &receive.paths {
        text.sample(PATH_DOWN, &[("path", &path.name)], path.down.into());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{FAMILIES, render};
    use super::*;
    use crate::status::{ReceivePathStatus, SendPathStatus, Status};

    fn names(text: &str) -> BTreeSet<String> {
        let heads = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        heads.filter_map(|head| head.split(' ').next()).map(str::to_owned).collect()
    }

    #[test]
    fn every_family_of_the_ends_is_rendered_and_none_of_the_halves_that_they_do_not_have() {
        let path = "a\"b".to_owned();
        let send = SendStatus {
            backlog_bytes: Some(7),
            paths: vec![SendPathStatus { name: path.clone(), ..SendPathStatus::default() }],
            ..SendStatus::default()
        };
        let receive = ReceiveStatus {
            session: Some(5),
            silent_ms: Some(1_500),
            clock_ahead_ms: Some(-1_250),
            paths: vec![ReceivePathStatus { name: path, ..ReceivePathStatus::default() }],
            ..ReceiveStatus::default()
        };
        let end = |half: &str| Status { half: half.to_owned(), ..Status::default() };
        let send = render(&Status { send: Some(send), ..end("send") });
        let receive = render(&Status { receive: Some(receive), ..end("receive") });
        let mut found = names(&send);
        found.extend(names(&receive));
        let wanted = END_FAMILIES.iter().chain(&FAMILIES[..4]);
        let wanted: BTreeSet<String> = wanted.map(|family| family.name.to_owned()).collect();
        assert_eq!(found, wanted);
        let ahead = "sparkdiode_link_clock_ahead_seconds{half=\"receive\",relay=\"\"} -1.250\n";
        assert!(receive.contains(ahead), "{receive}");
        assert!(send.contains("path=\"a\\\"b\"} 0\n"), "{send}");
        for Family { name, kind, help } in END_FAMILIES {
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}");
            assert!(name.starts_with("sparkdiode_link_") && help.ends_with('.'), "{name}: {help}");
        }
    }
}

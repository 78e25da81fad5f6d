//! What doesn't fit: the ends of a link to each other, and each to the half beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::places::{Relation, relation};
use config::{
    ItConfig, OtConfig, ReceiveConfig, SandboxConfig, SendConfig, SendPath, read_link_key,
};
use diagnostic::{Diagnostic, Diagnostics};
use sandbox::Layer;
use text::{exact_size, rough_size};

use super::super::apart::is_same_user;
use super::{scaled, time};
use crate::cli::ends::milliseconds;

pub(super) const CODE: &str = "C117";
/// A receiving end whose buffer holds less than this is not always there in time.
const LEAST_BUFFERED: Duration = Duration::from_millis(20);

/// A file and what it says.
type Of<'a, T> = (&'a Path, &'a T);

/// Where findings go.
pub(super) struct Said<'a> {
    pub(super) warnings: &'a mut Diagnostics,
    pub(super) errors: &'a mut Diagnostics,
}

impl Said<'_> {
    fn error(&mut self, path: &Path, title: String, help: impl Into<String>) {
        self.errors.push(Diagnostic::file_error(CODE, path, title).help(help));
    }

    fn warn(&mut self, path: &Path, title: String, help: impl Into<String>) {
        self.warnings.push(Diagnostic::file_warning(CODE, path, title).help(help));
    }
}

/// Both ends of one link.
pub(super) fn ends(
    (send_path, send): Of<'_, SendConfig>,
    (path, receive): Of<'_, ReceiveConfig>,
    said: &mut Said<'_>,
) {
    if send.link != receive.link {
        let title =
            format!("the ends name different links: `{}` and `{}`", send.link, receive.link);
        said.error(path, title, "each datagram would be foreign to the receiving end");
    }
    keys(send, path, receive, said);
    let (from, to) = (&send.options, &receive.options);
    if from.datagram_bytes > to.datagram_bytes {
        let title = format!(
            "datagrams of {} bytes are sent, and taken up to {}: `[link] datagram-bytes`",
            from.datagram_bytes, to.datagram_bytes
        );
        said.error(
            path,
            title,
            format!("`{}` has the other one: both ends have the same", send_path.display()),
        );
    }
    if send.max_frame_bytes > to.max_frame_bytes {
        let title = format!(
            "frames of up to {} bytes are sent, and taken up to {}: `[link] max-frame-bytes`",
            send.max_frame_bytes, to.max_frame_bytes
        );
        said.error(
            path,
            title,
            "longer ones would be lost; they are counted at the end that doesn't send them",
        );
    }
    for one in &send.paths {
        let is_heard = receive.paths.iter().any(|other| hears(one, other.listen));
        if !is_heard {
            let title =
                format!("nobody listens at {}, where the path `{}` leads", one.to, one.name);
            said.error(
                path,
                title,
                "`[[path]] listen` of one end is `[[path]] to` of the other one",
            );
        }
    }
    if send.paths.len() != receive.paths.len() {
        let title = format!(
            "{} paths are sent by, and {} are listened at",
            send.paths.len(),
            receive.paths.len()
        );
        said.warn(path, title, "a path that nobody uses isn't one that another may fail beside");
    }
    times(send_path, send, path, receive, said);
    if relation(&send.journal_path, &receive.journal.path).is_some() {
        let title = format!(
            "the receiving end writes into the journal that the sending end reads: `{}`",
            receive.journal.path.display()
        );
        said.error(path, title, "the journal of the OT half and that of a receiving end are two directories, apart from each other, also on one box");
    }
    states((send_path, &send.state_dir), (path, &receive.state_dir), said);
}

/// Whether both ends have a key that the other one has, where they may be looked at.
fn keys(send: &SendConfig, path: &Path, receive: &ReceiveConfig, said: &mut Said<'_>) {
    let id = |file| read_link_key(file).ok().map(|key| key.id());
    let (Some(sent), Some(first)) = (id(&send.key), id(&receive.key)) else { return };
    let second = match &receive.second_key {
        None => None,
        Some(file) => match id(file) {
            Some(id) => Some(id),
            None => return,
        },
    };
    if sent != first && Some(sent) != second {
        let has = second.map(|second| format!(" and {second:08x}")).unwrap_or_default();
        let title =
            format!("the sending end has the key {sent:08x}, the receiving end {first:08x}{has}");
        said.error(
            path,
            title,
            "each datagram would be foreign to the receiving end: copy the key file, by hand",
        );
    }
}

/// Times and sizes that follow from each other.
fn times(
    send_path: &Path,
    send: &SendConfig,
    path: &Path,
    receive: &ReceiveConfig,
    said: &mut Said<'_>,
) {
    let (from, to) = (&send.options, &receive.options);
    let open = from.blocks.close_after.saturating_add(from.blocks.spread);
    if to.reorder <= open {
        let title = format!(
            "holes are waited for {}, and repaired up to {} later",
            time(to.reorder),
            time(open)
        );
        let help = format!(
            "`[repair] reorder-ms` above `close-after-ms` and `spread-ms` of `{}` together: else what is repaired comes as history",
            send_path.display()
        );
        said.warn(path, title, help);
    }
    let three = from.heartbeat_every.saturating_mul(3);
    for (key, long) in [("path-down-after-ms", to.path_down_after), ("max-delay-ms", to.max_delay)]
    {
        if long < three {
            let title = format!(
                "`[link] {key}` is {}, and a heartbeat comes every {}",
                time(long),
                time(from.heartbeat_every)
            );
            said.warn(path, title, "three heartbeats at least: one may be lost");
        }
    }
    let within = |time: Duration| {
        let bytes = scaled(from.rates.bytes_per_s, milliseconds(time), 1_000);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    };
    let size = |bytes: usize| rough_size(u64::try_from(bytes).unwrap_or(u64::MAX));
    if to.max_bytes < within(to.reorder) {
        let title = format!(
            "`[repair] max-bytes` holds {}, and up to {} may come while a hole is waited for",
            size(to.max_bytes),
            size(within(to.reorder))
        );
        said.warn(
            path,
            title,
            "more `max-bytes`, less `reorder-ms`, or less `[pacing] bytes-per-s`",
        );
    }
    if receive.buffer_bytes < within(LEAST_BUFFERED) {
        let title = format!(
            "`[link] receive-buffer-bytes` holds {}, which come within less than {}",
            size(receive.buffer_bytes),
            time(LEAST_BUFFERED)
        );
        said.warn(
            path,
            title,
            "what comes while the receiving end isn't there in time is lost: a larger buffer",
        );
    }
}

/// Whether what goes to a path's address is heard at another.
fn hears(path: &SendPath, listen: std::net::SocketAddrV4) -> bool {
    path.to.port() == listen.port()
        && (listen.ip().is_unspecified() || (listen.ip() == path.to.ip()))
}

/// The OT half and the sending end beside it.
pub(super) fn ot_and_send(
    (ot_path, ot): Of<'_, OtConfig>,
    (path, send): Of<'_, SendConfig>,
    said: &mut Said<'_>,
) {
    if relation(&ot.journal.path, &send.journal_path) != Some(Relation::Same) {
        let title =
            format!("the sending end reads another journal: `{}`", send.journal_path.display());
        let help = format!("`{}` writes `{}`", ot_path.display(), ot.journal.path.display());
        said.error(path, title, help);
    }
    if send.options.second_pass.window > ot.journal.retain_age {
        let title = format!(
            "what is {} old is to be sent again, and the journal keeps {}",
            time(send.options.second_pass.window),
            time(ot.journal.retain_age)
        );
        said.warn(path, title, "`[second-pass] window-s` below `[journal] retain-age-h`");
    }
    states((ot_path, &ot.state_dir), (path, &send.state_dir), said);
    states((ot_path, &ot.journal.path), (path, &send.state_dir), said);
}

/// The receiving end and the IT half beside it.
pub(super) fn receive_and_it(
    (path, receive): Of<'_, ReceiveConfig>,
    (it_path, it): Of<'_, ItConfig>,
    said: &mut Said<'_>,
) {
    if relation(&receive.journal.path, &it.journal_path) != Some(Relation::Same) {
        let title = format!("the IT half reads another journal: `{}`", it.journal_path.display());
        let help = format!("`{}` writes `{}`", path.display(), receive.journal.path.display());
        said.error(it_path, title, help);
    }
    states((path, &receive.state_dir), (it_path, &it.state_dir), said);
    states((path, &receive.journal.path), (it_path, &it.state_dir), said);
}

/// Whole segments are deleted, and they are as large as the OT half makes them.
pub(super) fn segments((path, receive): Of<'_, ReceiveConfig>, ot: &OtConfig, said: &mut Said<'_>) {
    if receive.journal.retain_bytes / 4 < ot.journal.segment_bytes {
        let title = format!(
            "the receiving end keeps {}, fewer than four segments of {}",
            exact_size(receive.journal.retain_bytes),
            exact_size(ot.journal.segment_bytes)
        );
        said.warn(path, title, "whole segments are deleted: more `[journal] retain-bytes`");
    }
}

/// Two directories of two processes: neither is the other one, nor in it.
fn states(
    (left_path, left): (&Path, &PathBuf),
    (path, right): (&Path, &PathBuf),
    said: &mut Said<'_>,
) {
    let Some(relation) = relation(right, left) else { return };
    let title = format!("`{}` is {} `{}`", right.display(), relation.words(), left.display());
    let help = format!(
        "the latter is `{}`'s: what one process writes lies in a directory of its own, side by side with others",
        left_path.display()
    );
    said.error(path, title, help);
}

/// Each process has a user of its own, as far as they can be on one box.
pub(super) fn users(
    send: Option<Of<'_, SendConfig>>,
    receive: Option<Of<'_, ReceiveConfig>>,
    (ot, it): (Option<Of<'_, OtConfig>>, Option<Of<'_, ItConfig>>),
    said: &mut Said<'_>,
) {
    let send = send.map(|(path, config)| (path, &config.sandbox));
    let receive = receive.map(|(path, config)| (path, &config.sandbox));
    let ot = ot.map(|(path, config)| (path, &config.sandbox));
    let it = it.map(|(path, config)| (path, &config.sandbox));
    for (left, right) in [(ot, send), (it, send), (ot, receive), (it, receive), (send, receive)] {
        if let (Some((left_path, left)), Some((path, right))) = (left, right) {
            user(left_path, left, path, right, said);
        }
    }
}

fn user(
    left_path: &Path,
    left: &SandboxConfig,
    path: &Path,
    right: &SandboxConfig,
    said: &mut Said<'_>,
) {
    let waived = |one: &SandboxConfig| one.waived.contains(&Layer::User);
    let (Some(one), Some(other)) = (&left.user, &right.user) else { return };
    if !(waived(left) && waived(right)) && is_same_user(one, other) {
        let title = format!("`{}` runs as the same user: `{}`", left_path.display(), other.user);
        said.error(path, title, "a process that is taken over could change the other one's state, and read its secrets: `[sandbox] user` names one of its own for each");
    }
}

#[cfg(test)]
mod tests;

//! The ends of a link that are checked: what their files mean, and whether they fit together and to
//! the halves beside them.

mod beside;
mod memory;
mod relays;
mod sizes;

use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{FirstStart, Half, ItConfig, OtConfig, ReceiveConfig, SendConfig, read_link_key};
use diagnostic::{Diagnostic, Diagnostics, SecretFile, SourceFile};
use text::{counted, counted_grouped, exact_size, rough_size, span};

use super::describe::{describe_sandbox, describe_syslog};
use super::lines::{item, line};
use super::{apart, seconds};

/// Files of both ends, as far as they were given.
#[derive(Default)]
pub(in crate::cli) struct Ends {
    send: Vec<(PathBuf, SendConfig)>,
    receive: Vec<(PathBuf, ReceiveConfig)>,
}

/// Both ends of one link, as far as they were given.
#[derive(Clone, Copy, Default)]
pub(super) struct Link<'a> {
    send: Option<(&'a Path, &'a SendConfig)>,
    receive: Option<(&'a Path, &'a ReceiveConfig)>,
}

pub(super) use relays::{Closeness, is_beside, is_read_by};

impl Ends {
    /// How many there are. Where there is a link, each half has a journal of its own.
    pub(in crate::cli) fn number(&self) -> usize {
        self.send.len().saturating_add(self.receive.len())
    }

    /// A file of a sending end.
    pub(in crate::cli) fn add_send(&mut self, path: &Path, config: SendConfig) {
        self.send.push((path.to_owned(), config));
    }

    /// A file of a receiving end.
    pub(in crate::cli) fn add_receive(&mut self, path: &Path, config: ReceiveConfig) {
        self.receive.push((path.to_owned(), config));
    }

    /// Checks a file of a sending end, and says what it means.
    pub(super) fn check_send(
        &mut self,
        path: &Path,
        file: SourceFile,
        text: &mut String,
        (warnings, errors): (&mut Diagnostics, &mut Diagnostics),
    ) {
        let (config, found) = match SendConfig::check(file) {
            Ok(read) => read,
            Err(problems) => return errors.extend(problems),
        };
        warnings.extend(found);
        describe_send(text, path, &config);
        sizes::describe(text, path, &config, warnings);
        describe_syslog(text, &config.syslog);
        describe_sandbox(text, &config.sandbox);
        let terms = memory::of_send(&config);
        super::memory::describe(text, "sparkdiode-send.service", path, &terms, warnings);
        let written = [("state directory", &*config.state_dir)];
        apart::own_directories(path, &written, &[], &[config.key.path()], (warnings, errors));
        apart::root(path, config.sandbox.user.as_ref(), &config.sandbox.waived, errors);
        self.add_send(path, config);
    }

    /// The same of a receiving end.
    pub(super) fn check_receive(
        &mut self,
        path: &Path,
        file: SourceFile,
        text: &mut String,
        (warnings, errors): (&mut Diagnostics, &mut Diagnostics),
    ) {
        let (config, found) = match ReceiveConfig::check(file) {
            Ok(read) => read,
            Err(problems) => return errors.extend(problems),
        };
        warnings.extend(found);
        describe_receive(text, path, &config);
        describe_syslog(text, &config.syslog);
        describe_sandbox(text, &config.sandbox);
        let terms = memory::of_receive(&config);
        super::memory::describe(text, "sparkdiode-receive.service", path, &terms, warnings);
        let written = [("state directory", &*config.state_dir), ("journal", &*config.journal.path)];
        let keys: Vec<&Path> = config.key_files().map(SecretFile::path).collect();
        apart::own_directories(path, &written, &[], &keys, (warnings, errors));
        apart::root(path, config.sandbox.user.as_ref(), &config.sandbox.waived, errors);
        self.add_receive(path, config);
    }

    /// The link of one relay: the last end of each kind.
    pub(super) fn only(&self) -> Link<'_> {
        Link {
            send: self.send.last().map(|(path, config)| (path.as_path(), config)),
            receive: self.receive.last().map(|(path, config)| (path.as_path(), config)),
        }
    }

    /// What there is to say of further ends of one kind beside one relay.
    pub(super) fn seconds(&self) -> Vec<Diagnostic> {
        let mut found = seconds(Half::Send, self.send.iter().map(|(path, _)| path.as_path()));
        found.extend(seconds(Half::Receive, self.receive.iter().map(|(path, _)| path.as_path())));
        found
    }

    /// What doesn't fit beside one relay.
    pub(in crate::cli) fn compare(
        &self,
        ot: Option<(&Path, &OtConfig)>,
        it: Option<(&Path, &ItConfig)>,
        warnings: &mut Diagnostics,
        errors: &mut Diagnostics,
    ) {
        self.only().compare(ot, it, warnings, errors);
    }
}

impl Link<'_> {
    /// There is an end of it.
    pub(super) fn is_there(&self) -> bool {
        self.send.is_some() || self.receive.is_some()
    }

    /// What doesn't fit: the ends to each other, and each to the half beside it.
    pub(super) fn compare(
        &self,
        ot: Option<(&Path, &OtConfig)>,
        it: Option<(&Path, &ItConfig)>,
        warnings: &mut Diagnostics,
        errors: &mut Diagnostics,
    ) {
        let Link { send, receive } = *self;
        let said = &mut beside::Said { warnings, errors };
        if let (Some(send), Some(receive)) = (send, receive) {
            beside::ends(send, receive, said);
        }
        if let (Some(send), Some(ot)) = (send, ot) {
            beside::ot_and_send(ot, send, said);
        }
        if let (Some(receive), Some(it)) = (receive, it) {
            beside::receive_and_it(receive, it, said);
        }
        if let (Some(receive), Some((_, ot))) = (receive, ot) {
            beside::segments(receive, ot, said);
        }
        beside::users(send, receive, (ot, it), said);
    }
}

/// `number · times / by`, rounded down; as large as it may be where it is larger.
pub(in crate::cli) fn scaled(number: u64, times: u64, by: u64) -> u64 {
    let all = u128::from(number).saturating_mul(u128::from(times));
    u64::try_from(all.checked_div(u128::from(by)).unwrap_or(u128::MAX)).unwrap_or(u64::MAX)
}

/// Times of the link are of milliseconds, mostly.
fn time(time: Duration) -> String {
    if time < Duration::from_secs(10) { format!("{} ms", time.as_millis()) } else { span(time) }
}

fn describe_send(text: &mut String, path: &Path, config: &SendConfig) {
    line(text, &format!("\n{}: sending end of the link `{}`", path.display(), config.link));
    item(text, "key", &key(&config.key));
    let start = match config.first_start {
        FirstStart::Oldest => "oldest frame",
        FirstStart::Newest => "newest segment",
    };
    let journal = config.journal_path.display();
    item(text, "journal", &format!("{journal}, only read; a first start begins with the {start}"));
    item(text, "state", &config.state_dir.display().to_string());
    for (at, path) in config.paths.iter().enumerate() {
        let by = path.interface.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
        let from = path.from.map(|from| format!(" from {from}")).unwrap_or_default();
        let broadcast = if path.broadcast { ", to all who are there" } else { "" };
        let said = format!("to {}{by}{from}{broadcast}", path.to);
        item(text, if at == 0 { "paths" } else { "" }, &said);
    }
}

fn describe_receive(text: &mut String, path: &Path, config: &ReceiveConfig) {
    line(text, &format!("\n{}: receiving end of the link `{}`", path.display(), config.link));
    item(text, "key", &key(&config.key));
    if let Some(second) = &config.second_key {
        item(text, "", &format!("and {}, while the key is changed", key(second)));
    }
    for (at, path) in config.paths.iter().enumerate() {
        let by = path.interface.as_ref().map(|name| format!(" by {name}")).unwrap_or_default();
        let said = format!("{}{by}", path.listen);
        item(text, if at == 0 { "paths" } else { "" }, &said);
    }
    let options = &config.options;
    let buffer = exact_size(u64::try_from(config.buffer_bytes).unwrap_or(u64::MAX));
    let datagram = counted_grouped(options.datagram_bytes, "byte");
    item(
        text,
        "",
        &format!(
            "datagrams of at most {datagram}; {buffer} of them may wait in each path's buffer"
        ),
    );
    item(
        text,
        "holes",
        &format!("are waited for {}; what fills them later is history", time(options.reorder)),
    );
    let held = u64::try_from(options.max_bytes).unwrap_or(u64::MAX);
    let blocks = counted(options.max_blocks, "block");
    item(text, "", &format!("up to {blocks} and {} are held meanwhile", rough_size(held)));
    let journal = &config.journal;
    item(text, "journal", &format!("{}, written", journal.path.display()));
    let hours = counted(journal.retain_age.as_secs() / 3_600, "hour");
    item(text, "", &format!("at most {} or {hours} old", exact_size(journal.retain_bytes)));
    item(text, "state", &config.state_dir.display().to_string());
}

/// Which key it is, where it may be looked at.
fn key(file: &SecretFile) -> String {
    let path = file.path().display();
    match read_link_key(file) {
        Ok(key) => format!("{:08x}, from {path}", key.id()),
        Err(_) => format!("from {path}, which was not looked at"),
    }
}

//! The policies that were in force at a half, as it keeps them in its state directory: what they said,
//! who signed them, since when. Newest last.

use std::path::{Path, PathBuf};

use diagnostic::SourceFile;
use policy::digest_of;
use signature::Signed;
use state::{StateDir, StateError, StateFile, Stored};

const HISTORY: StateFile = StateFile { name: "history.state", magic: *b"SPKDPLH1" };
/// Policies that are kept.
const MAX_KEPT: usize = 10;
/// Bytes of all their files together; beyond that the oldest keep their digests alone.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The policies, oldest first.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct History {
    #[prost(message, repeated, tag = "1")]
    pub(super) policies: Vec<Kept>,
}

/// A policy that was in force.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Kept {
    #[prost(string, tag = "1")]
    pub(super) digest: String,
    /// Since when it was, in milliseconds since the epoch (UTC).
    #[prost(uint64, tag = "2")]
    pub(super) since_ms: u64,
    /// Of its signature; 0 where it needed none.
    #[prost(uint64, tag = "3")]
    pub(super) version: u64,
    #[prost(string, repeated, tag = "4")]
    pub(super) signers: Vec<String>,
    /// Empty where there was no room.
    #[prost(message, repeated, tag = "5")]
    pub(super) files: Vec<KeptFile>,
}

/// One of its files.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeptFile {
    #[prost(string, tag = "1")]
    pub(super) path: String,
    #[prost(string, tag = "2")]
    pub(super) text: String,
}

impl Kept {
    pub(super) fn new(sources: &[SourceFile], signed: Option<&Signed>, now_ms: u64) -> Kept {
        let file = |source: &SourceFile| KeptFile {
            path: source.path.display().to_string(),
            text: source.text.to_string(),
        };
        Kept {
            digest: digest_of(sources),
            since_ms: now_ms,
            version: signed.map_or(0, |signed| signed.version),
            signers: signed.map(|signed| signed.signers.clone()).unwrap_or_default(),
            files: sources.iter().map(file).collect(),
        }
    }

    /// Its files; `None` where they weren't kept, or aren't what they were.
    pub(super) fn sources(&self) -> Option<Vec<SourceFile>> {
        let source =
            |file: &KeptFile| SourceFile::new(PathBuf::from(&file.path), file.text.clone());
        let sources: Vec<SourceFile> = self.files.iter().map(source).collect();
        (digest_of(&sources) == self.digest).then_some(sources)
    }

    fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.path.len().saturating_add(file.text.len())).sum()
    }
}

impl History {
    /// Adds a policy that comes into force; whether anything changed by it.
    fn push(&mut self, kept: Kept) -> bool {
        let same = |newest: &Kept| newest.digest == kept.digest && newest.version == kept.version;
        if self.policies.last().is_some_and(same) {
            return false;
        }
        self.policies.push(kept);
        let surplus = self.policies.len().saturating_sub(MAX_KEPT);
        self.policies.drain(..surplus);
        let mut room = MAX_BYTES;
        for kept in self.policies.iter_mut().rev() {
            match room.checked_sub(kept.bytes()) {
                Some(left) => room = left,
                None => {
                    room = 0;
                    kept.files.clear();
                }
            }
        }
        true
    }

    /// Reads what the half with this state directory keeps; of a half that may be running.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(super) fn read(state_dir: &Path, directory: &str) -> Result<Option<History>, StateError> {
        StateDir::peek_below(state_dir, Path::new(directory), HISTORY).map(Stored::found)
    }
}

/// Enters a policy that comes into force. What is damaged begins anew: nothing depends on it.
pub(super) fn remember(state: &StateDir, kept: Kept) -> Result<(), StateError> {
    let mut history: History = StateDir::peek(state.path(), HISTORY)?.found().unwrap_or_default();
    if history.push(kept) { state.save(HISTORY, &history) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str, now_ms: u64) -> Kept {
        Kept::new(&[SourceFile::new("/p/a.toml", text)], None, now_ms)
    }

    #[test]
    fn the_last_ten_are_kept_each_once_in_a_row() {
        let mut history = History::default();
        for now_ms in 0..15 {
            assert!(history.push(kept(&format!("# {now_ms}"), now_ms)));
            assert!(!history.push(kept(&format!("# {now_ms}"), 100)), "a restart");
        }
        let since: Vec<u64> = history.policies.iter().map(|kept| kept.since_ms).collect();
        assert_eq!(since, (5..15).collect::<Vec<u64>>());
        assert!(history.push(kept("# 13", 99)), "it is back");
        let sources = history.policies.last().unwrap().sources().unwrap();
        assert_eq!(&*sources[0].text, "# 13");
    }

    #[test]
    fn where_there_is_no_room_the_oldest_keep_their_digests() {
        let mut history = History::default();
        let large = |mark: char| mark.to_string().repeat(MAX_BYTES / 3);
        for (now_ms, mark) in ['a', 'b', 'c', 'd'].into_iter().enumerate() {
            history.push(kept(&large(mark), now_ms as u64));
        }
        let has_text: Vec<bool> =
            history.policies.iter().map(|kept| kept.sources().is_some()).collect();
        assert_eq!(has_text, [false, false, true, true]);
    }

    #[test]
    fn what_was_changed_in_the_record_is_not_what_was_in_force() {
        let mut kept = kept("# one", 0);
        kept.files[0].text.push_str("[[rule]]");
        assert!(kept.sources().is_none());
    }
}

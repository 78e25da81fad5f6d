//! Frames that are lost, come again and come late, and a writer that is killed at any byte.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use journal_read::{From, Reader};
use journal_segment::files as segment;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Read, Sent, checked, options, push, read_anew, sent, take};
use crate::{Pushed, ReceivedWriter, Refusal};

/// What happens to frames on their way.
#[derive(Clone, Debug)]
enum Step {
    /// So many come in order.
    Come(u8),
    /// So many are lost.
    Lose(u8),
    /// One of those sent so far comes, again or for the first time.
    Again(prop::sample::Index),
    Commit,
    /// Killed with a part of the batch written, in 1/65536, and so much garbage behind it.
    Kill(u16, Vec<u8>),
    Poll(u8),
    Clock(Option<i64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..9_u8).prop_map(Step::Come),
        3 => (1..9_u8).prop_map(Step::Lose),
        8 => any::<prop::sample::Index>().prop_map(Step::Again),
        4 => Just(Step::Commit),
        2 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(part, garbage)| Step::Kill(part, garbage)),
        4 => (1..30_u8).prop_map(Step::Poll),
        1 => any::<Option<i64>>().prop_map(Step::Clock),
    ]
}

/// A writer, what is on its disk for sure, and a reader that follows.
struct Model {
    dir: TempDir,
    writer: Option<ReceivedWriter>,
    /// Accepted and committed.
    committed: BTreeSet<u64>,
    pending: BTreeSet<u64>,
    /// A kill may have kept them: no more than the disk says.
    unsure: BTreeSet<u64>,
    reader: Reader,
    read: Read,
    next: Option<u64>,
}

impl Model {
    fn writer(&mut self) -> &mut ReceivedWriter {
        let dir = self.dir.path();
        self.writer.get_or_insert_with(|| ReceivedWriter::open(options(dir)).unwrap())
    }

    fn push(&mut self, frame: &Sent) {
        let has = self.committed.contains(&frame.seq) || self.pending.contains(&frame.seq);
        let is_unsure = self.unsure.remove(&frame.seq);
        let segments = segment::list(self.dir.path()).unwrap().len();
        match push(self.writer(), frame) {
            Pushed::InOrder { .. } | Pushed::Late => {
                assert!(!has, "{} was taken twice", frame.seq);
                // A segment that begins commits what came before.
                if segment::list(self.dir.path()).unwrap().len() > segments {
                    self.committed.append(&mut self.pending);
                }
                self.pending.insert(frame.seq);
            }
            Pushed::Refused(Refusal::Known) => {
                assert!(has || is_unsure || self.is_before_all(frame.seq), "{}", frame.seq);
                if is_unsure {
                    self.committed.insert(frame.seq);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Nothing is missing before the first frame of all.
    fn is_before_all(&self, seq: u64) -> bool {
        segment::list(self.dir.path()).unwrap().first().is_some_and(|first| seq < *first)
    }

    fn kill(&mut self, part: u16, garbage: &[u8]) {
        let Some(mut writer) = self.writer.take() else { return };
        if let Some(current) = segment::list(self.dir.path()).unwrap().pop() {
            let path = segment::path(self.dir.path(), current);
            let before = fs::metadata(&path).unwrap().len();
            let batch = writer.pending_bytes();
            writer.commit().unwrap();
            let survives = (batch * usize::from(part) / 65_535) as u64;
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(before + survives).unwrap();
            file.write_all_at(garbage, before + survives).unwrap();
        }
        self.unsure.append(&mut self.pending);
    }

    fn poll(&mut self, polls: u8) {
        for _ in 0..polls {
            if let Some(item) = self.reader.next().unwrap() {
                take(&mut self.read, item, &mut self.next);
            }
        }
    }
}

proptest! {
    #[test]
    fn every_frame_is_there_once_or_missing_whatever_dies_at_whatever_byte(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        static SENT: OnceLock<Vec<Sent>> = OnceLock::new();
        let sent = SENT.get_or_init(|| sent(tempfile::tempdir().unwrap().path(), 120));
        let dir = tempfile::tempdir().unwrap();
        let reader = Reader::open(dir.path(), From::Oldest).unwrap();
        let mut model = Model {
            dir,
            writer: None,
            committed: BTreeSet::new(),
            pending: BTreeSet::new(),
            unsure: BTreeSet::new(),
            reader,
            read: Read::default(),
            next: None,
        };
        let mut at = 0;
        for step in steps {
            match step {
                Step::Come(frames) => {
                    for _ in 0..frames {
                        let Some(frame) = sent.get(at) else { break };
                        model.push(frame);
                        at += 1;
                    }
                }
                Step::Lose(frames) => at = (at + usize::from(frames)).min(sent.len()),
                Step::Again(which) if at > 0 => model.push(&sent[which.index(at)]),
                Step::Again(_) => {}
                Step::Commit => {
                    model.writer().commit().unwrap();
                    model.committed.append(&mut model.pending);
                }
                Step::Kill(part, garbage) => model.kill(part, &garbage),
                Step::Poll(polls) => model.poll(polls),
                Step::Clock(ahead_ms) => {
                    model.writer().set_clock(5, ahead_ms);
                }
            }
        }
        model.writer().commit().unwrap();
        let mut committed = std::mem::take(&mut model.committed);
        committed.append(&mut model.pending);
        let found = checked(model.dir.path());
        prop_assert_eq!(found.missing_frames, model.writer().missing().numbers());
        let read = read_anew(model.dir.path());
        let has: BTreeSet<u64> = read.frames.keys().chain(read.late.keys()).copied().collect();
        prop_assert!(has.is_superset(&committed), "{:?} of {:?}", has, committed);
        let more: Vec<_> = has.difference(&committed).collect();
        prop_assert!(more.iter().all(|seq| model.unsure.contains(seq)), "{:?}", more);
        for frame in sent {
            if let Some(epoch) = read.frames.get(&frame.seq).or(read.late.get(&frame.seq)) {
                prop_assert_eq!(frame.origin.epoch, *epoch);
            }
        }
        // The reader that has followed had the same, each once.
        for _ in 0..4 {
            model.poll(255);
        }
        let read = model.read;
        let had: BTreeSet<u64> = read.frames.keys().chain(read.late.keys()).copied().collect();
        prop_assert_eq!(had, has);
    }
}

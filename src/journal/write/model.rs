//! The journal against a model of it: random appends, commits, segments, kills at every byte,
//! restarts, retention, and readers that start anywhere and poll in between.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

mod operation;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use journal_format::{Body, Keyframe, Relayed, Start};
use journal_read::{From, Item, LostCause, Position, Reader, SETTLED_POLLS};
use journal_segment::files as segment;
use proptest::prelude::*;
use tempfile::TempDir;

use self::operation::{Operation, READERS, operation};
use crate::{Durability, Writer, WriterOptions};

/// What a reader should see next. `None`: anything, it has just been opened.
struct ModelReader {
    reader: Reader,
    next: Option<u64>,
}

struct Model {
    dir: TempDir,
    writer: Option<Writer>,
    now_ms: u64,
    /// Frames in the journal by number: an identity of the content, and whether acknowledged.
    frames: BTreeMap<u64, (u64, bool)>,
    heads: BTreeSet<u64>,
    /// Pushed and not committed: number, identity, end of the frame in the batch.
    pending: Vec<(u64, u64, usize)>,
    /// Numbers that recovery left out.
    skipped: BTreeSet<u64>,
    /// Acknowledged frames below this number were deleted by retention.
    retained_from: u64,
    identities: u64,
    readers: Vec<ModelReader>,
}

impl Model {
    fn new() -> Model {
        let dir = tempfile::tempdir().unwrap();
        let readers = (0..READERS)
            .map(|_| ModelReader {
                reader: Reader::open(dir.path(), From::Oldest).unwrap(),
                next: None,
            })
            .collect();
        Model {
            dir,
            writer: None,
            now_ms: 1000,
            frames: BTreeMap::new(),
            heads: BTreeSet::new(),
            pending: Vec::new(),
            skipped: BTreeSet::new(),
            retained_from: 1,
            identities: 0,
            readers,
        }
    }

    fn apply(&mut self, operation: Operation) {
        self.now_ms += 1;
        match operation {
            Operation::Push { frames, payload_bytes } => self.push(frames, payload_bytes),
            Operation::Commit => self.commit(),
            Operation::Segment { keyframes } => self.begin_segment(keyframes),
            Operation::Retain => self.retain(),
            Operation::KillInCommit { part, garbage } => self.kill_in_commit(part, &garbage),
            Operation::KillInHead { bytes } => self.kill_in_head(&bytes),
            Operation::Poll { reader, polls } => {
                for _ in 0..polls {
                    self.poll(reader);
                }
            }
            Operation::Resume { reader } => {
                let position = self.readers[reader].reader.position();
                // A reader that hasn't seen anything has no place to resume at.
                if position != Position::default() {
                    self.readers[reader].reader =
                        Reader::open(self.dir.path(), From::At(position)).unwrap();
                }
            }
            Operation::Reopen { reader, oldest } => {
                let from = if oldest { From::Oldest } else { From::Newest };
                let reader_again = Reader::open(self.dir.path(), from).unwrap();
                self.readers[reader] = ModelReader { reader: reader_again, next: None };
            }
        }
    }

    fn identity(&mut self) -> u64 {
        self.identities += 1;
        self.identities
    }

    /// The writer, started if it is dead, with a segment.
    fn writer(&mut self) -> &mut Writer {
        if self.writer.is_none() {
            let options = WriterOptions {
                dir: self.dir.path().to_path_buf(),
                relay_name: "model".into(),
                segment_bytes: 1000,
                retain_bytes: 20_000,
                retain_age: None,
                durability: Durability::Process,
            };
            let writer = Writer::open(options, self.now_ms).unwrap();
            let after = self.frames.last_key_value().map_or(1, |(seq, _)| seq + 1);
            assert_eq!(
                writer.next_seq(),
                after + writer.recovered().skipped_numbers,
                "recovery forgot frames, or took torn ones for whole: {:?}",
                writer.recovered()
            );
            self.skipped.extend(after..writer.next_seq());
            self.writer = Some(writer);
        }
        if self.writer.as_ref().unwrap().wants_segment() {
            self.begin_segment(2);
        }
        self.writer.as_mut().unwrap()
    }

    fn begin_segment(&mut self, keyframes: u8) {
        if self.writer.is_none() {
            self.writer();
            return;
        }
        let first = self.writer.as_ref().unwrap().next_seq();
        let mut bodies = vec![Body::Start(Start { epoch: first, ..Start::default() })];
        let mut identities = vec![first];
        for _ in 0..keyframes {
            let identity = self.identity();
            identities.push(identity);
            bodies.push(Body::Keyframe(Keyframe {
                topic: identity.to_string(),
                payload: vec![0; 30],
                ..Keyframe::default()
            }));
        }
        let now_ms = self.now_ms;
        self.writer.as_mut().unwrap().begin_segment(now_ms, bodies.into_iter()).unwrap();
        self.acknowledge();
        for (seq, identity) in (first..).zip(identities) {
            self.frames.insert(seq, (identity, true));
            self.heads.insert(seq);
        }
    }

    fn push(&mut self, frames: u8, payload_bytes: u16) {
        for _ in 0..frames {
            let identity = self.identity();
            let now_ms = self.now_ms;
            let body = Body::Relayed(Relayed {
                received_ms: identity,
                payload: vec![0x5a; usize::from(payload_bytes)],
                ..Relayed::default()
            });
            let writer = self.writer();
            let seq = writer.push(now_ms, &body).unwrap();
            let end = writer.pending_bytes();
            self.pending.push((seq, identity, end));
        }
    }

    fn commit(&mut self) {
        self.writer().commit().unwrap();
        self.acknowledge();
    }

    fn acknowledge(&mut self) {
        for (seq, identity, _) in self.pending.drain(..) {
            self.frames.insert(seq, (identity, true));
        }
    }

    fn retain(&mut self) {
        let now_ms = self.now_ms;
        let before = segment::list(self.dir.path()).unwrap();
        let retained = self.writer().retain(now_ms).unwrap();
        let after = segment::list(self.dir.path()).unwrap();
        // A segment may have been begun by starting the writer.
        let deleted: Vec<_> = before.iter().filter(|first| !after.contains(first)).collect();
        assert_eq!(deleted.len() as u64, retained.segments);
        if let (Some(first), Some(oldest)) = (deleted.first(), after.first()) {
            assert_eq!(*oldest - **first, retained.frames);
            self.retained_from = *oldest;
        }
        let bytes: u64 = after
            .iter()
            .map(|first| fs::metadata(segment::path(self.dir.path(), *first)).unwrap().len())
            .sum();
        assert_eq!(bytes, self.writer().bytes());
        assert!(bytes <= 20_000 || after.len() == 1);
    }

    fn kill_in_commit(&mut self, part: u16, garbage: &[u8]) {
        if self.writer.is_none() {
            return;
        }
        let current = segment::list(self.dir.path()).unwrap().pop().unwrap();
        let path = segment::path(self.dir.path(), current);
        let committed = fs::metadata(&path).unwrap().len();
        self.writer.as_mut().unwrap().commit().unwrap();
        let whole = fs::read(&path).unwrap();
        let batch_bytes = self.pending.last().map_or(0, |(_, _, end)| *end);
        let survives = batch_bytes * usize::from(part) / 65_535;
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(committed + survives as u64).unwrap();
        file.write_all_at(garbage, committed + survives as u64).unwrap();
        // Garbage may happen to be what was cut off, and then survives too: nobody can tell.
        let left = fs::read(&path).unwrap();
        let same = whole.iter().zip(&left).take_while(|(whole, left)| whole == left).count();
        let survives = same - committed as usize;
        self.writer = None;
        for (seq, identity, end) in self.pending.drain(..) {
            // What was written whole is valid, though nobody was told so.
            if end <= survives {
                self.frames.insert(seq, (identity, false));
            }
        }
    }

    fn kill_in_head(&mut self, bytes: &[u8]) {
        if let Some(writer) = self.writer.take() {
            let path = segment::unfinished_path(self.dir.path(), writer.next_seq());
            self.pending.clear();
            drop(writer);
            fs::write(path, bytes).unwrap();
        }
    }

    /// One poll; whether it returned something.
    fn poll(&mut self, reader: usize) -> bool {
        let model = &mut self.readers[reader];
        let Some(item) = model.reader.next().unwrap() else { return false };
        match item {
            Item::Frame(frame) => {
                if let Some(next) = model.next {
                    assert_eq!(frame.seq, next, "out of order");
                }
                let identity = match frame.body.unwrap() {
                    Body::Start(start) => start.epoch,
                    Body::Keyframe(keyframe) => keyframe.topic.parse().unwrap(),
                    Body::Relayed(relayed) => relayed.received_ms,
                    Body::Heartbeat(_) | Body::Data(_) => unreachable!(),
                };
                let (wanted, _) = self.frames.get(&frame.seq).expect("served a torn frame");
                assert_eq!(identity, *wanted, "served another frame's content");
                assert_eq!(frame.in_head, self.heads.contains(&frame.seq));
                model.next = Some(frame.seq + 1);
            }
            Item::Lost(lost) => {
                assert_eq!(Some(lost.first), model.next, "lost frames are counted exactly");
                assert!(lost.first <= lost.last);
                match lost.cause {
                    LostCause::Retention => {
                        assert_eq!(lost.last + 1, self.retained_from);
                    }
                    LostCause::Damage => {
                        assert!((lost.first..=lost.last).all(|seq| self.skipped.contains(&seq)));
                    }
                    LostCause::Link => panic!("nothing came over a link"),
                    LostCause::TooLarge => panic!("nothing is too large for these readers"),
                    LostCause::Rewound => panic!("nothing was rewound"),
                }
                model.next = Some(lost.last + 1);
            }
            Item::Late(frame) => panic!("{frame:?} in a journal of the plant"),
        }
        true
    }

    /// Lets every reader read everything, and a fresh one too.
    fn finish(mut self) {
        self.commit();
        let next = self.writer().next_seq();
        let fresh = Reader::open(self.dir.path(), From::Oldest).unwrap();
        self.readers.push(ModelReader { reader: fresh, next: Some(self.retained_from) });
        for reader in 0..=READERS {
            let mut nothing = 0;
            while nothing < SETTLED_POLLS {
                nothing = if self.poll(reader) { 0 } else { nothing + 1 };
            }
            // Together with the order checked at each poll: every acknowledged frame was
            // served, or was lost to retention.
            assert_eq!(self.readers[reader].next, Some(next));
        }
    }
}

#[test]
fn garbage_that_completes_a_torn_frame_makes_it_whole() {
    let mut model = Model::new();
    model.push(1, 30);
    let (_, identity, bytes) = model.pending[0];
    // All but the frame's last byte, which is the end of its body.
    let part = ((bytes - 1) * 65_535).div_ceil(bytes) as u16;
    model.kill_in_commit(part, &[identity as u8]);
    model.finish();
}

proptest! {
    #[test]
    fn no_acknowledged_frame_is_lost_and_no_torn_one_served(
        operations in prop::collection::vec(operation(), 1..120),
    ) {
        let mut model = Model::new();
        for operation in operations {
            model.apply(operation);
        }
        model.finish();
    }

    #[test]
    fn a_flipped_bit_costs_at_most_the_frame_it_hits(
        sizes in prop::collection::vec(0..400_usize, 1..60),
        place in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        restart in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let written = journal_of(dir.path(), &sizes);
        flip(dir.path(), place, bit);
        if restart {
            journal_of(dir.path(), &[1]);
        }
        let (served, lost, next) = read_all(dir.path());
        prop_assert!(lost <= 1, "{lost} frames lost by one bit");
        for (seq, size) in &served {
            if let Some(wanted) = written.get(seq) {
                prop_assert_eq!(wanted, size);
            }
        }
        let last = *written.last_key_value().unwrap().0;
        if restart {
            let kept = written.keys().filter(|seq| served.contains_key(seq)).count() as u64;
            prop_assert_eq!(kept + lost, written.len() as u64, "every frame has one fate");
        } else {
            // Without anything behind it, a damaged last frame is an append under way.
            prop_assert!(next == last + 1 || next == last, "{next} of {last}");
        }
    }

    #[test]
    fn whatever_the_files_hold_every_call_ends_and_no_wrong_frame_is_served(
        sizes in prop::collection::vec(0..400_usize, 1..60),
        smudges in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(),
             prop::collection::vec(any::<u8>(), 0..600), any::<bool>()),
            1..6,
        ),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let written = journal_of(dir.path(), &sizes);
        for (file, place, bytes, cut) in smudges {
            let segments = segment::list(dir.path()).unwrap();
            let path = segment::path(dir.path(), *file.get(&segments));
            let length = fs::metadata(&path).unwrap().len();
            let offset = place.index(length as usize + 1) as u64;
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            if cut {
                file.set_len(offset).unwrap();
            }
            file.write_all_at(&bytes, offset).unwrap();
        }
        let (served, _, _) = read_all(dir.path());
        for (seq, size) in served {
            prop_assert_eq!(written.get(&seq), Some(&size));
        }
    }
}

/// Starts a writer and appends frames with payloads of these sizes, with heads between them.
/// Returns the payload size of every frame by number; heads have size 7.
fn journal_of(dir: &Path, sizes: &[usize]) -> BTreeMap<u64, usize> {
    let options = WriterOptions {
        dir: dir.to_path_buf(),
        relay_name: "model".into(),
        segment_bytes: 2000,
        retain_bytes: 1 << 30,
        retain_age: None,
        durability: Durability::Process,
    };
    let body = |size| Body::Relayed(Relayed { payload: vec![8; size], ..Relayed::default() });
    let mut writer = Writer::open(options, 1).unwrap();
    let mut written = BTreeMap::new();
    for size in sizes {
        if writer.wants_segment() {
            written.insert(writer.next_seq(), 7);
            writer.begin_segment(1, std::iter::once(body(7))).unwrap();
        }
        written.insert(writer.push(1, &body(*size)).unwrap(), *size);
    }
    writer.commit().unwrap();
    written
}

fn flip(dir: &Path, place: prop::sample::Index, bit: u8) {
    let segments = segment::list(dir).unwrap();
    let mut files: Vec<_> =
        segments.iter().map(|first| fs::read(segment::path(dir, *first)).unwrap()).collect();
    let mut index = place.index(files.iter().map(Vec::len).sum());
    for (file, first) in files.iter_mut().zip(segments) {
        if let Some(byte) = file.get_mut(index) {
            *byte ^= 1 << bit;
            fs::write(segment::path(dir, first), file).unwrap();
            return;
        }
        index -= file.len();
    }
}

/// Payload sizes by number of what a new reader gets, how many frames it misses, and where it
/// ends. Fails if the reader doesn't come to an end.
fn read_all(dir: &Path) -> (BTreeMap<u64, usize>, u64, u64) {
    let mut reader = Reader::open(dir, From::At(Position { epoch: 0, seq: 1 })).unwrap();
    let (mut served, mut lost, mut nothing, mut polls) = (BTreeMap::new(), 0, 0, 0);
    while nothing < SETTLED_POLLS {
        polls += 1;
        assert!(polls < 10_000, "no end");
        let next = reader.position().seq;
        match reader.next().unwrap() {
            None => nothing += 1,
            Some(Item::Frame(frame)) => {
                assert_eq!(frame.seq, next);
                let Some(Body::Relayed(relayed)) = frame.body else { panic!("another body") };
                served.insert(frame.seq, relayed.payload.len());
                nothing = 0;
            }
            Some(Item::Lost(run)) => {
                assert_eq!(run.first, next);
                lost += run.frames();
                nothing = 0;
            }
            Some(Item::Late(frame)) => panic!("{frame:?} in a journal of the plant"),
        }
    }
    (served, lost, reader.position().seq)
}

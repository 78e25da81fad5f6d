//! Segments of a journal as the IT half finds them: whatever lies in the directory.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use journal_format::compact::{CompactMetric, CompactValue, CompactWriter};
use journal_format::header::Header;
use journal_format::{
    Body, Data, Heartbeat, Keyframe, Layouts, MAX_BODY_BYTES, Relayed, Start, frame,
};
use journal_read::{From, Item, Reader, verify};
use prost::Message;
use sparkplug::{Metric, Payload};

use crate::input::Input;

/// Number of the first frame.
const FIRST: u64 = 5;
const EPOCH: u64 = 3;

/// Reads a directory with one or two segments: bytes as they are, or frames with damage.
///
/// - The numbers that a reader gets, frames and losses together, have neither gap nor repetition.
/// - No frame is served that wasn't written so, under its number.
/// - A frame that no damage touched is served, as long as the header of its segment is sound.
/// - The verifier counts what the reader is served, and finds nothing where nothing was damaged.
pub fn journal_segment(input: &[u8]) {
    let dir = scratch();
    let mut input = Input::new(input);
    if input.byte().is_multiple_of(4) {
        let name = input.one_of(&[0, FIRST, u64::MAX]);
        write(dir.path(), name, input.rest());
        read(dir.path(), None);
        let _ = verify(dir.path());
        return;
    }
    // As random as the writer's: whoever knew it could forge a frame, and a fuzzer finds out.
    let salt = salt(input.clone().rest());
    let mut written = Written::default();
    let mut first = FIRST;
    let mut sound = true;
    while !input.is_empty() && written.segments < 2 {
        let mut segment = Segment::new(first, salt);
        sound &= segment.fill(&mut input, &mut written);
        if segment.in_doubt {
            written.touched.extend(first..segment.next);
        }
        write(dir.path(), first, &segment.bytes);
        written.segments += 1;
        first = segment.next;
    }
    let served = read(dir.path(), Some(&written));
    let found = verify(dir.path()).expect("a directory of ours");
    let frames = written.segments.min(1);
    assert!(found.segments >= frames);
    if sound {
        assert!(found.is_sound(), "{found}");
        assert_eq!(found.frames, written.bodies.len() as u64, "{found}");
    }
    // Both walk the same file; the reader leaves out what can't be decoded.
    assert!(found.frames >= served, "{served} served: {found}");
}

/// FNV-1a: of everything that is written, so that no part of it can have the checksum of a frame.
fn salt(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}

/// What was written.
#[derive(Debug, Default)]
struct Written {
    segments: u64,
    bodies: BTreeMap<u64, Option<Body>>,
    /// Numbers of frames that some damage touched, or that lie behind an end that moved.
    touched: Vec<u64>,
}

/// One segment file.
struct Segment {
    salt: u32,
    bytes: Vec<u8>,
    next: u64,
    /// Places of its frames in the file.
    places: Vec<(u64, std::ops::Range<usize>)>,
    /// Which of its frames can be read can't be foretold.
    in_doubt: bool,
    /// The layout that was given last; 0: none.
    layout: u64,
    layouts: Layouts,
}

impl Segment {
    fn new(first: u64, salt: u32) -> Segment {
        let header = Header {
            salt,
            epoch: EPOCH,
            first_seq: first,
            created_ms: 1_700_000_000_000,
            head_bytes: 0,
            head_frames: 1,
            relay_name: "relay".into(),
            received: false,
        };
        Segment {
            salt,
            bytes: header.encode(),
            next: first,
            places: Vec::new(),
            in_doubt: false,
            layout: 0,
            layouts: Layouts::new(usize::MAX),
        }
    }

    /// Frames and damage, up to a byte that ends the segment; false: it was damaged.
    fn fill(&mut self, input: &mut Input<'_>, written: &mut Written) -> bool {
        let start = Start { epoch: EPOCH, relay_name: "relay".into(), ..Start::default() };
        self.append(Body::Start(start), written);
        let mut sound = true;
        while !input.is_empty() {
            let before = self.bytes.clone();
            match input.below(16) {
                0 => break,
                1 => {
                    let body = Heartbeat { received: input.word().into(), ..Heartbeat::default() };
                    self.append(Body::Heartbeat(body), written);
                }
                2 => {
                    let devices = vec![input.text()];
                    // Its number is never given to another layout.
                    let (layout, topic) = (self.next, "spBv1.0/G/NBIRTH/E".into());
                    let named =
                        |name: &&str| Metric { name: Some((*name).into()), ..Metric::default() };
                    let metrics = ["a", "b/c", ""].iter().map(named).collect();
                    let payload = Payload { metrics, ..Payload::default() }.encode_to_vec();
                    let keyframe =
                        Keyframe { devices, layout, topic, payload, ..Keyframe::default() };
                    self.layout = layout;
                    self.append(Body::Keyframe(keyframe), written);
                }
                3 if self.layout > 0 => {
                    let (layout, timestamp) = (self.layout, u64::from(input.byte()));
                    let mut writer = CompactWriter::new(timestamp, 0);
                    for byte in input.bytes() {
                        let value = CompactValue::Long(u64::from(*byte) << (byte % 50));
                        let (is_historical, is_transient) = (None, None);
                        let timestamp = u64::from(byte % 7);
                        let metric =
                            CompactMetric { timestamp, is_historical, is_transient, value };
                        writer.metric(u32::from(byte % 3), &metric);
                    }
                    let metrics = writer.finish();
                    self.append(
                        Body::Data(Data { layout, timestamp, metrics, ..Data::default() }),
                        written,
                    );
                }
                3..=8 => {
                    let payload = input.bytes().to_vec();
                    let topic = "spBv1.0/G/NDATA/E".into();
                    self.append(
                        Body::Relayed(Relayed { topic, payload, ..Relayed::default() }),
                        written,
                    );
                }
                // A frame within a payload, which a reader that loses its place may take for one.
                9 => {
                    let mut payload = Vec::new();
                    let forged = Body::Start(Start { epoch: 9, ..Start::default() });
                    let (salt, seq) = (input.one_of(&[self.salt, 0, 78]), self.next + 1);
                    frame::append(salt, seq, 1, &forged, &mut payload).expect("small");
                    // Whoever knows the salt can forge; that is the writer alone.
                    let payload = if salt == self.salt { Vec::new() } else { payload };
                    self.append(Body::Relayed(Relayed { payload, ..Relayed::default() }), written);
                }
                kind => {
                    let at = usize::from(input.short()) % (self.bytes.len() + 1);
                    match kind {
                        10 | 11 if at < self.bytes.len() => self.bytes[at] ^= input.byte().max(1),
                        12 => self.bytes.truncate(at),
                        13 => drop(self.bytes.splice(at..at, input.bytes().iter().copied())),
                        14 => {
                            let end = (at + input.below(200)).min(self.bytes.len());
                            self.bytes[at..end].fill(0);
                        }
                        _ => {
                            let end = (at + input.below(200)).min(self.bytes.len());
                            self.bytes.drain(at..end);
                        }
                    }
                    sound &= self.bytes == before;
                    self.touch(&before, written);
                    // Fewer bytes than the frames between had: what follows isn't believed to
                    // have so high a number.
                    self.in_doubt |= self.bytes.len() < before.len();
                    // A header that is damaged in both of its copies costs the segment.
                    self.in_doubt |= self.bytes.get(..512) != before.get(..512);
                }
            }
            if self.bytes.len() > 1 << 16 {
                break;
            }
        }
        sound
    }

    fn append(&mut self, body: Body, written: &mut Written) {
        let start = self.bytes.len();
        frame::append(self.salt, self.next, 1_700_000_000_000, &body, &mut self.bytes)
            .expect("small");
        self.places.push((self.next, start..self.bytes.len()));
        if matches!(body, Body::Data(_)) {
            // It can't be read without the frame that gave its layout, nor where it isn't metrics.
            written.touched.push(self.next);
        }
        if let Some(named) = self.layouts.by_names(body, MAX_BODY_BYTES) {
            written.bodies.insert(self.next, Some(named));
        }
        self.next += 1;
    }

    /// Notes the frames that aren't where they were, or not what they were.
    fn touch(&mut self, before: &[u8], written: &mut Written) {
        let (places, bytes) = (&mut self.places, &self.bytes);
        places.retain(|(seq, place)| {
            let is_whole = bytes.get(place.clone()) == before.get(place.clone());
            if !is_whole {
                written.touched.push(*seq);
            }
            is_whole
        });
    }
}

/// Reads to the end; returns how many frames there were.
fn read(dir: &Path, written: Option<&Written>) -> u64 {
    let Ok(mut reader) = Reader::open(dir, From::Oldest) else { return 0 };
    let mut next = None;
    let mut served = Vec::new();
    // Terminates: every item moves the position on.
    while let Ok(Some(item)) = reader.next_settled() {
        let (first, last) = match &item {
            Item::Frame(frame) => {
                if let Some(written) = written {
                    assert_eq!(written.bodies.get(&frame.seq), Some(&frame.body), "forged");
                    assert_eq!(frame.epoch, EPOCH);
                }
                served.push(frame.seq);
                (frame.seq, frame.seq)
            }
            // Unless the header says that it was received: then it stands beside the others.
            Item::Late(_) => continue,
            Item::Lost(lost) => {
                assert!(lost.first <= lost.last, "{lost:?}");
                (lost.first, lost.last)
            }
        };
        assert!(next.is_none_or(|next| next == first), "{next:?} was to come: {item:?}");
        next = last.checked_add(1);
        if next.is_none() {
            break;
        }
        assert_eq!(Some(reader.position().seq), next);
    }
    if let Some(written) = written {
        for seq in written.bodies.keys().filter(|seq| !written.touched.contains(seq)) {
            assert!(served.contains(seq), "frame {seq} is whole, and isn't served: {served:?}");
        }
    }
    served.len() as u64
}

fn write(dir: &Path, first: u64, bytes: &[u8]) {
    fs::write(dir.join(format!("{first:020}.sdj")), bytes).expect("a scratch directory");
}

/// In memory, where there is such a place: thousands of files a second.
pub fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    tempfile::tempdir_in(dir).expect("a scratch directory")
}

//! For tests: a journal, and a receiver of what is sent of it.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::path::Path;
use std::time::Duration;

use journal_format::{Body, Heartbeat, Start};
use journal_read::{From, RawItem, Reader};
use journal_write::{Durability, Writer, WriterOptions};
use link::{
    Keys, LinkKey, LinkName, Output, Receiver, ReceiverOptions, ReceiverState, Segment, Sender,
    SenderOptions, SenderState,
};

/// Number, envelope, and the segment's epoch and first number.
pub(crate) type Sent = (u64, Vec<u8>, u64, u64);

pub(crate) fn writer(dir: &Path) -> Writer {
    let options = WriterOptions {
        dir: dir.to_path_buf(),
        relay_name: "plant".into(),
        segment_bytes: 4_096,
        retain_bytes: 1 << 20,
        retain_age: None,
        durability: Durability::Process,
    };
    Writer::open(options, 7).unwrap()
}

/// Appends so many frames; segments begin where they should.
pub(crate) fn write(writer: &mut Writer, frames: u64) {
    for number in 0..frames {
        if writer.wants_segment() {
            let start = Start { relay_name: "plant".into(), ..Start::default() };
            writer.begin_segment(1, std::iter::once(Body::Start(start))).unwrap();
        }
        let heartbeat = Heartbeat { received: number, ..Heartbeat::default() };
        writer.push(2, &Body::Heartbeat(heartbeat)).unwrap();
    }
    writer.commit().unwrap();
}

/// What a journal has.
pub(crate) fn journal(dir: &Path) -> Vec<Sent> {
    let mut reader = Reader::open(dir, From::Oldest).unwrap();
    let mut frames = Vec::new();
    while let Some(item) = reader.next_raw_settled().unwrap() {
        let RawItem::Frame(frame) = item else { panic!("{item:?}") };
        let header = frame.header;
        frames.push((frame.seq, frame.envelope.to_vec(), header.epoch, header.first_seq));
    }
    frames
}

pub(crate) fn name() -> LinkName {
    LinkName::new("rig").unwrap()
}

fn key() -> LinkKey {
    LinkKey::new(&[9; 32])
}

pub(crate) fn sender(options: SenderOptions) -> Sender {
    let state = SenderState { session: 1 };
    Sender::new(options, &name(), &key(), state, [4; 8], Duration::ZERO).unwrap()
}

/// The other end.
pub(crate) struct OtherEnd {
    receiver: Receiver,
    pub(crate) frames: Vec<Sent>,
    pub(crate) late: Vec<Sent>,
}

impl OtherEnd {
    pub(crate) fn new() -> OtherEnd {
        let keys = Keys::new(key(), None).unwrap();
        let options = ReceiverOptions { paths: 2, ..ReceiverOptions::default() };
        let state = ReceiverState::default();
        let receiver = Receiver::new(options, &name(), keys, state, Duration::ZERO).unwrap();
        OtherEnd { receiver, frames: Vec::new(), late: Vec::new() }
    }

    pub(crate) fn hear(&mut self, now: Duration, path: usize, datagram: &mut [u8]) {
        self.receiver.handle_datagram(now, 0, path, datagram);
        self.receiver.tick(now);
        if let Some(state) = self.receiver.state_to_store(now) {
            self.receiver.state_stored(now, state);
        }
        while let Some(output) = self.receiver.poll_output() {
            if let Output::Frame { segment, number, bytes, late } = output {
                let Segment { epoch, first_seq, relay_name, .. } = &*segment;
                assert_eq!(relay_name, "plant");
                let frames = if late { &mut self.late } else { &mut self.frames };
                frames.push((number, bytes, *epoch, *first_seq));
            }
        }
    }

    /// Takes keys of this byte too.
    pub(crate) fn take_key(&mut self, byte: u8) {
        let keys = Keys::new(key(), Some(LinkKey::new(&[byte; 32]))).unwrap();
        self.receiver.set_keys(keys);
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }
}

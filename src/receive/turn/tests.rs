//! Tests of `turn`: from one journal to another, over real sockets.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::io;
use std::net::UdpSocket;
use std::path::Path;
use std::time::Duration;

use journal_format::{Body, Heartbeat, Start};
use journal_read::{From, RawItem, Reader};
use journal_write::{Durability, ReceivedOptions, ReceivedWriter, Writer, WriterOptions};
use link::{
    Keys, LinkKey, LinkName, Rates, Receiver, ReceiverOptions, ReceiverState, Sender,
    SenderOptions, SenderState,
};

use super::{ReceiveError, Turn};
use crate::landing::Landing;
use crate::ports::{Port, Ports};

fn name() -> LinkName {
    LinkName::new("plant-to-office").unwrap()
}

fn key() -> LinkKey {
    LinkKey::new(&[6; 32])
}

fn writer(dir: &Path) -> Writer {
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

fn write(writer: &mut Writer, frames: u64) {
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

/// Numbers and envelopes, those that came late among the others; each once.
fn journal(dir: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut reader = Reader::open(dir, From::Oldest).unwrap();
    let mut frames = Vec::new();
    while let Some(item) = reader.next_raw_settled().unwrap() {
        match item {
            RawItem::Frame(frame) => frames.push((frame.seq, frame.envelope.to_vec())),
            RawItem::Late { seq, envelope, .. } => frames.push((seq, envelope)),
            RawItem::Lost(_) => {}
        }
    }
    frames.sort_unstable();
    frames
}

/// Both boxes, and time.
struct Boxes {
    plant: tempfile::TempDir,
    office: tempfile::TempDir,
    writer: Writer,
    send: send::Turn,
    receive: Option<Turn>,
    sockets: Vec<UdpSocket>,
    state: ReceiverState,
    now: Duration,
    due: Duration,
}

impl Boxes {
    fn new(options: SenderOptions) -> Boxes {
        let (plant, office) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let sockets = vec![socket(), socket()];
        let path = |to: &UdpSocket| send::Path::new(socket(), to.local_addr().unwrap()).unwrap();
        let paths = send::Paths::new(sockets.iter().map(path).collect());
        let state = SenderState { session: 1 };
        let sender = Sender::new(options, &name(), &key(), state, [1; 8], Duration::ZERO).unwrap();
        let feed = send::Feed::open(plant.path(), From::Oldest, 1 << 20).unwrap();
        let mut boxes = Boxes {
            writer: writer(plant.path()),
            send: send::Turn::new(sender, feed, paths),
            receive: None,
            plant,
            office,
            sockets,
            state: ReceiverState::default(),
            now: Duration::ZERO,
            due: Duration::ZERO,
        };
        boxes.start_receiver();
        boxes
    }

    /// Begins with what is stored; what ran before was killed.
    fn start_receiver(&mut self) {
        // One writer at a time.
        self.receive = None;
        let journal = ReceivedWriter::open(ReceivedOptions {
            dir: self.office.path().to_path_buf(),
            retain_bytes: 1 << 24,
            retain_age: None,
            durability: Durability::Process,
        });
        let options = ReceiverOptions { paths: 2, ..ReceiverOptions::default() };
        let keys = Keys::new(key(), None).unwrap();
        let state = self.state.clone();
        let receiver = Receiver::new(options, &name(), keys, state, self.now).unwrap();
        let port = |socket: &UdpSocket| Port::new(socket.try_clone().unwrap()).unwrap();
        let ports = Ports::new(self.sockets.iter().map(port).collect());
        self.receive = Some(Turn::new(receiver, ports, Landing::new(journal.unwrap())));
    }

    fn receive(&mut self) -> &mut Turn {
        self.receive.as_mut().unwrap()
    }

    fn step(&mut self) {
        let now = self.now;
        self.due = self.send.take(now, 5_000_000 + now.as_millis() as u64).unwrap();
        let state = &mut self.state;
        let store = |new: &ReceiverState| {
            *state = ReceiverState::decode(&new.encode()).unwrap();
            Ok(())
        };
        let receive = self.receive.as_mut().unwrap();
        let next = receive.take(now, 4_000_000 + now.as_millis() as u64, store).unwrap();
        let next = next.unwrap_or(self.due).min(self.due);
        self.now = next.max(now + Duration::from_micros(20));
    }

    fn run_to(&mut self, ms: u64) {
        while self.now < Duration::from_millis(ms) {
            self.step();
        }
    }
}

fn options() -> SenderOptions {
    let rates = Rates { bytes_per_s: 5_000_000, packets_per_s: 10_000 };
    let mut options = SenderOptions { rates, ..SenderOptions::default() };
    options.second_pass.after = Duration::from_millis(900);
    options.second_pass.window = Duration::from_secs(6);
    options
}

#[test]
fn one_journal_becomes_the_other() {
    let mut boxes = Boxes::new(options());
    for turn in 1..20 {
        write(&mut boxes.writer, 60);
        boxes.run_to(turn * 50);
    }
    boxes.run_to(2_000);
    let wanted = journal(boxes.plant.path());
    assert!(journal(boxes.office.path()) == wanted);
    let counts = boxes.receive().landing.counts();
    assert_eq!((counts.in_order, counts.late), (wanted.len() as u64, 0));
    assert_eq!((counts.refused, counts.rewound), (0, 0), "what goes again isn't handed over again");
    let account = boxes.receive().receiver.account();
    assert!(account.frames_known > 0);
    assert_eq!(account.foreign, 0);
    // A thousand seconds, less what a heartbeat takes.
    let ahead = boxes.receive().receiver.freshness().ahead_ms().unwrap();
    assert!((999_990..=1_000_000).contains(&ahead), "{ahead}");
}

#[test]
fn a_receiver_that_is_killed_goes_on_and_the_second_pass_fills_what_it_missed() {
    let mut boxes = Boxes::new(options());
    for turn in 1..40 {
        write(&mut boxes.writer, 30);
        boxes.run_to(turn * 50);
        if turn % 6 == 0 {
            boxes.start_receiver();
        }
    }
    boxes.run_to(9_000);
    let wanted = journal(boxes.plant.path());
    let found = journal(boxes.office.path());
    assert!(found == wanted, "{} of {}", found.len(), wanted.len());
    assert_eq!(boxes.receive().landing.counts().refused, 0);
}

#[test]
fn nothing_gets_into_the_journal_before_the_state_is_stored() {
    let mut boxes = Boxes::new(options());
    write(&mut boxes.writer, 100);
    for _ in 0..200 {
        boxes.due = boxes.send.take(boxes.now, 0).unwrap();
        let now = boxes.now;
        let refused = boxes.receive().take(now, 0, |_| Err(io::Error::other("a full disk")));
        if let Err(error) = refused {
            assert!(matches!(error, ReceiveError::State(_)), "{error}");
        }
        boxes.now = boxes.due.max(now + Duration::from_micros(20));
    }
    assert!(boxes.now > Duration::from_millis(100));
    assert_eq!(journal(boxes.office.path()), []);
    // It gets on when that does.
    boxes.run_to(5_000);
    assert!(journal(boxes.office.path()) == journal(boxes.plant.path()));
}

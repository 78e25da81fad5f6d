//! Tests of `run`: in virtual time, over a real socket and with real files.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::cell::Cell;
use std::fs;
use std::net::UdpSocket;
use std::rc::Rc;

use journal_format::{Body, Envelope, Heartbeat};
use link::{LinkKey, Segment, Sender, SenderOptions, SenderState};
use tempfile::TempDir;

use super::*;
use crate::Port;

/// What was told, in words.
#[derive(Default)]
struct Told(Vec<String>);

impl Watch for Told {
    fn happened(&mut self, _: Now, happening: Happening<'_>) {
        self.0.push(match happening {
            Happening::Reloaded { result, .. } => format!("Reloaded({result:?})"),
            happening => format!("{happening:?}"),
        });
    }

    fn look(&mut self, _: Now, _: &mut Seen<'_>) {}

    fn end(&mut self, _: Now, _: &mut Seen<'_>) {}
}

fn name() -> LinkName {
    LinkName::new("plant-to-office").unwrap()
}

fn key(byte: u8) -> LinkKey {
    LinkKey::new(&[byte; 32])
}

/// A box with a journal, and the other end of its cable.
struct Office {
    dirs: TempDir,
    socket: UdpSocket,
    out: UdpSocket,
    sender: Sender,
    next_frame: u64,
    keys: Rc<Cell<(u8, u8)>>,
    now: Duration,
    told: Told,
}

impl Office {
    fn new() -> Office {
        let socket = || UdpSocket::bind("127.0.0.1:0").unwrap();
        let (dirs, keys) = (tempfile::tempdir().unwrap(), Rc::new(Cell::new((1, 0))));
        let (now, next_frame) = (Duration::ZERO, 1);
        let (sender, told) = (sender(1, 1, now), Told::default());
        Office { dirs, socket: socket(), out: socket(), sender, next_frame, keys, now, told }
    }

    fn start(&mut self) -> Running {
        let (keys, dir) = (Rc::clone(&self.keys), self.dirs.path());
        let load = move || match keys.get() {
            (0, _) => Err("no key".to_owned()),
            (one, 0) => Keys::new(key(one), None).map_err(|error| error.to_string()),
            (one, two) => Keys::new(key(one), Some(key(two))).map_err(|error| error.to_string()),
        };
        let port = Port::new(self.socket.try_clone().unwrap()).unwrap();
        let settings = Settings {
            name: name(),
            keys: load().unwrap(),
            load_keys: Box::new(load),
            options: ReceiverOptions::default(),
            ports: Ports::new(vec![port]),
            path_names: vec!["a".to_owned()],
            journal: ReceivedOptions {
                dir: dir.join("journal"),
                retain_bytes: 1 << 24,
                retain_age: None,
                durability: Durability::Process,
            },
            state_dir: dir.join("state"),
        };
        let (kept, stored, mut damaged) = Kept::open(&settings.state_dir, false).unwrap();
        let losses = Losses::new(kept.told(&mut damaged).unwrap());
        let writer = ReceivedWriter::open(settings.journal.clone()).unwrap();
        Running::new(settings, (kept, stored, losses), writer, self.at()).unwrap()
    }

    fn at(&self) -> Now {
        Now { mono: self.now, wall_ms: 1_000 }
    }

    fn push(&mut self, frames: u64) {
        let segment = Segment { epoch: 1, first_seq: 1, ..Segment::default() };
        for _ in 0..frames {
            let envelope = Envelope {
                seq: self.next_frame,
                appended_ms: 5,
                body: Some(Body::Heartbeat(Heartbeat::default())),
            };
            let bytes = prost::Message::encode_to_vec(&envelope);
            self.sender.push(self.now, &segment, self.next_frame, &bytes).unwrap();
            self.next_frame += 1;
        }
        self.sender.flush(self.now);
    }

    fn run(&mut self, running: &mut Running, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut datagram = Vec::new();
        while self.now < end {
            while self.sender.poll_datagram(self.now, 0, &mut datagram).unwrap() {
                self.out.send_to(&datagram, self.socket.local_addr().unwrap()).unwrap();
            }
            let next = running.turn(self.at(), &mut self.told);
            self.now = next.min(self.sender.next_due()).max(self.now + Duration::from_millis(1));
        }
    }
}

fn sender(byte: u8, session: u64, now: Duration) -> Sender {
    let mut options = SenderOptions::default();
    options.second_pass.share_percent = 0;
    Sender::new(options, &name(), &key(byte), SenderState { session }, [1; 8], now).unwrap()
}

fn next_seq(running: &Running) -> u64 {
    running.turn.landing.writer().next_seq()
}

#[test]
fn keys_are_changed_without_a_break() {
    let mut office = Office::new();
    let mut running = office.start();
    office.push(10);
    office.run(&mut running, 500);
    assert_eq!(next_seq(&running), 11);
    office.keys.set((0, 0));
    running.reload(office.at(), &mut office.told);
    assert_eq!(office.told.0, ["Reloading", "Reloaded(Err(\"no key\"))"]);
    office.keys.set((1, 2));
    running.reload(office.at(), &mut office.told);
    assert_eq!(office.told.0.last().unwrap(), "Reloaded(Ok(true))");
    office.push(10);
    office.run(&mut running, 500);
    office.sender = sender(2, 2, office.now);
    office.push(10);
    office.run(&mut running, 500);
    assert_eq!(next_seq(&running), 31);
    office.keys.set((2, 0));
    running.reload(office.at(), &mut office.told);
    office.push(10);
    office.run(&mut running, 500);
    assert_eq!(next_seq(&running), 41);
    // The old one is worth nothing any more.
    office.sender = sender(1, 3, office.now);
    office.push(10);
    office.run(&mut running, 500);
    assert_eq!(next_seq(&running), 41);
    assert!(running.turn.receiver.account().foreign_by.key > 0);
}

#[test]
fn a_disk_that_refuses_is_told_and_nothing_is_read_until_it_does_not() {
    let mut office = Office::new();
    let mut running = office.start();
    office.push(10);
    let state = office.dirs.path().join("state");
    let aside = office.dirs.path().join("aside");
    fs::rename(&state, &aside).unwrap();
    office.run(&mut running, 600);
    assert!(
        office.told.0.len() > 1
            && office.told.0.iter().all(|told| told.starts_with("Unwritten(State("))
    );
    assert!(running.sources().is_empty());
    assert_eq!(next_seq(&running), 0);
    fs::rename(&aside, &state).unwrap();
    office.run(&mut running, 600);
    assert_eq!(office.told.0.last().unwrap(), "Written");
    assert_eq!(next_seq(&running), 11);
    assert_eq!(running.sources().len(), 1);
}

#[test]
fn an_end_in_order_costs_nothing_and_a_start_refuses_what_was_seen() {
    let mut office = Office::new();
    let mut running = office.start();
    office.push(10);
    // What came is kept, as somebody would who wants to send it once more.
    let recorded = {
        let mut datagrams = Vec::new();
        let mut datagram = Vec::new();
        while office.sender.poll_datagram(office.now, 0, &mut datagram).unwrap() {
            office.out.send_to(&datagram, office.socket.local_addr().unwrap()).unwrap();
            datagrams.push(datagram.clone());
        }
        datagrams
    };
    office.run(&mut running, 100);
    running.finish(office.at(), &mut office.told).unwrap();
    let mut running = office.start();
    for datagram in &recorded {
        office.out.send_to(datagram, office.socket.local_addr().unwrap()).unwrap();
    }
    office.push(10);
    office.run(&mut running, 500);
    let account = running.turn.receiver.account();
    assert_eq!(account.too_old, recorded.len() as u64);
    assert_eq!(next_seq(&running), 21);
    assert_eq!(running.turn.receiver.missing_frames(), 0);
}

#[test]
fn a_loss_is_told_once_and_noted_for_the_it_half_also_after_a_restart() {
    let mut office = Office::new();
    let mut running = office.start();
    office.push(10);
    office.run(&mut running, 500);
    office.push(10);
    // With all of their repair, which is spread.
    let (end, mut lost) = (office.now + Duration::from_secs(2), Vec::new());
    while office.now < end {
        while office.sender.poll_datagram(office.now, 0, &mut lost).unwrap() {}
        office.now += Duration::from_millis(10);
    }
    office.push(10);
    office.run(&mut running, 20_000);
    let is_loss = |told: &&String| told.starts_with("Lost ");
    let losses =
        |office: &Office| office.told.0.iter().filter(is_loss).cloned().collect::<Vec<_>>();
    assert_eq!(losses(&office), ["Lost { first: 11, last: 20 }"]);
    running.finish(office.at(), &mut office.told).unwrap();
    let mut running = office.start();
    office.push(10);
    office.run(&mut running, 20_000);
    assert_eq!(losses(&office).len(), 1, "{:?}", office.told.0);
    assert_eq!(next_seq(&running), 41);
    let journal = office.dirs.path().join("journal");
    let mut reader = journal_read::Reader::open(&journal, journal_read::From::Oldest).unwrap();
    while reader.next_settled().unwrap().is_some() {}
    let ends = reader.link_ends().unwrap();
    assert_eq!((ends.lost, ends.missing, ends.behind, ends.is_silent), (10, 0, 0, false));
    assert_eq!(ends.paths.len(), 1);
    // Nothing more comes.
    let end = office.now + Duration::from_secs(5);
    while office.now < end {
        running.turn(office.at(), &mut office.told);
        office.now += Duration::from_millis(100);
    }
    while reader.next_settled().unwrap().is_some() {}
    assert!(reader.link_ends().unwrap().is_silent);
}

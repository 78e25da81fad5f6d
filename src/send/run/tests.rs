//! Tests of `run`: in virtual time, over a real socket and with real files.
#![allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::rc::Rc;

use journal_write::Writer;
use tempfile::TempDir;

use super::*;
use crate::rig::{self, OtherEnd};

/// What was told, in words.
#[derive(Default)]
struct Told(Vec<String>);

impl Watch for Told {
    fn happened(&mut self, _: Now, happening: Happening<'_>) {
        self.0.push(format!("{happening:?}"));
    }

    fn look(&mut self, _: Now, _: &mut Seen<'_>) {}

    fn end(&mut self, _: Now, _: &mut Seen<'_>) {}
}

/// A box with a journal, and the other end of its cable.
struct Plant {
    journal: TempDir,
    state: TempDir,
    writer: Writer,
    cable: UdpSocket,
    other_end: OtherEnd,
    /// What `load_key` finds: the byte that a key is made of.
    key: Rc<Cell<u8>>,
    now: Duration,
    told: Told,
}

impl Plant {
    fn new() -> Plant {
        let cable = UdpSocket::bind("127.0.0.1:0").unwrap();
        cable.set_nonblocking(true).unwrap();
        let (journal, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (other_end, key) = (OtherEnd::new(), Rc::new(Cell::new(9)));
        let (writer, now) = (rig::writer(journal.path()), Duration::ZERO);
        Plant { journal, state, writer, cable, other_end, key, now, told: Told::default() }
    }

    fn start(&mut self) -> Running {
        let own = UdpSocket::bind("127.0.0.1:0").unwrap();
        let path = crate::Path::new(own, self.cable.local_addr().unwrap()).unwrap();
        let mut options = SenderOptions::default();
        options.second_pass.after = Duration::from_secs(1);
        options.second_pass.window = Duration::from_secs(20);
        let key = Rc::clone(&self.key);
        let settings = Settings {
            name: rig::name(),
            key: LinkKey::new(&[key.get(); 32]),
            load_key: Box::new(move || match key.get() {
                0 => Err("no key".to_owned()),
                byte => Ok(LinkKey::new(&[byte; 32])),
            }),
            options,
            most_frame_bytes: 1 << 20,
            paths: Paths::new(vec![path]),
            journal_dir: self.journal.path().to_owned(),
            state_dir: self.state.path().to_owned(),
            first_start: FirstStart::Oldest,
            random: || Ok([4; 8]),
        };
        let (kept, begin, _) = Kept::open(&settings.state_dir, Duration::from_secs(20)).unwrap();
        let now = self.at();
        Running::new(settings, kept, begin, now, &mut self.told).unwrap()
    }

    fn at(&self) -> Now {
        Now { mono: self.now, wall_ms: 1_000 }
    }

    /// For so long; what arrives is heard, unless the cable is out.
    fn run(&mut self, running: &mut Running, ms: u64, is_out: bool) {
        let end = self.now + Duration::from_millis(ms);
        while self.now < end {
            let next = running.turn(self.at(), &mut self.told).unwrap();
            let mut buffer = [0; 2_000];
            while let Ok(length) = self.cable.recv(&mut buffer) {
                if !is_out {
                    self.other_end.hear(self.now, 0, &mut buffer[..length]);
                }
            }
            self.now = next.max(self.now + Duration::from_micros(50));
        }
    }

    /// Numbers that have arrived.
    fn arrived(&self) -> BTreeSet<u64> {
        let OtherEnd { frames, late, .. } = &self.other_end;
        frames.iter().chain(late).map(|sent| sent.0).collect()
    }

    fn all(&self) -> BTreeSet<u64> {
        rig::journal(self.journal.path()).iter().map(|sent| sent.0).collect()
    }
}

#[test]
fn a_sender_that_is_killed_loses_nothing_that_the_journal_has() {
    let mut plant = Plant::new();
    for kill in 0..12 {
        let mut running = plant.start();
        rig::write(&mut plant.writer, 100);
        // What this session sends in its first moments, or all of it, never arrives.
        plant.run(&mut running, 150 + kill * 40, kill % 3 == 0);
    }
    let mut running = plant.start();
    plant.run(&mut running, 3_000, false);
    assert_eq!(plant.arrived(), plant.all());
    let sessions = plant.told.0.iter().filter(|told| told.starts_with("Session")).count();
    assert_eq!(sessions, 13);
    assert!(plant.told.0[0].contains("number: 1000,"), "{:?}", plant.told.0[0]);
    assert!(plant.told.0.last().unwrap().contains("number: 1012,"), "{:?}", plant.told.0);
}

#[test]
fn a_state_that_is_lost_is_made_up_for_by_sending_all_again() {
    let mut plant = Plant::new();
    rig::write(&mut plant.writer, 300);
    let mut running = plant.start();
    plant.run(&mut running, 500, true);
    drop(running);
    for file in fs::read_dir(plant.state.path()).unwrap() {
        fs::write(file.unwrap().path(), b"").unwrap();
    }
    let mut running = plant.start();
    plant.run(&mut running, 4_000, false);
    assert_eq!(plant.arrived(), plant.all());
}

#[test]
fn another_key_begins_another_session_and_loses_nothing() {
    let mut plant = Plant::new();
    let mut running = plant.start();
    rig::write(&mut plant.writer, 200);
    // The old key's last frames are under way.
    running.turn(plant.at(), &mut plant.told).unwrap();
    plant.key.set(0);
    running.reload(plant.at(), &mut plant.told).unwrap();
    assert_eq!(plant.told.0.last().unwrap(), "Reloaded(Err(\"no key\"))");
    plant.key.set(9);
    running.reload(plant.at(), &mut plant.told).unwrap();
    assert_eq!(plant.told.0.last().unwrap(), "Reloaded(Ok(false))");
    plant.key.set(8);
    running.reload(plant.at(), &mut plant.told).unwrap();
    assert_eq!(plant.told.0.last().unwrap(), "Reloaded(Ok(true))");
    plant.other_end.take_key(8);
    plant.run(&mut running, 3_000, false);
    assert_eq!(plant.arrived(), plant.all());
}

#[test]
fn what_an_operator_asks_for_goes_again_also_after_a_kill() {
    let mut plant = Plant::new();
    rig::write(&mut plant.writer, 500);
    let mut running = plant.start();
    plant.run(&mut running, 30_000, true);
    assert!(plant.arrived().is_empty());
    let ask = |plant: &Plant, line: &str| {
        assert!(state::request(plant.state.path(), crate::REQUEST, line.as_bytes()).unwrap());
    };
    ask(&plant, "nonsense");
    plant.run(&mut running, 1_100, true);
    assert!(plant.told.0.last().unwrap().starts_with("AgainRefused("), "{:?}", plant.told.0);
    ask(&plant, "100 99999999");
    // Just taken up, and killed.
    while !plant.told.0.last().unwrap().starts_with("Again {") {
        plant.run(&mut running, 1, true);
    }
    plant.run(&mut running, 250, true);
    drop(running);
    let mut running = plant.start();
    plant.run(&mut running, 2_000, false);
    let wanted: BTreeSet<u64> = plant.all().range(100..).copied().collect();
    assert_eq!(plant.arrived(), wanted);
}

#[test]
fn a_stop_lets_what_was_read_leave() {
    let mut plant = Plant::new();
    let mut running = plant.start();
    rig::write(&mut plant.writer, 200);
    running.turn(plant.at(), &mut plant.told).unwrap();
    let end = plant.now + STOP_WITHIN;
    while let Some(next) = running.leave(plant.at(), end).unwrap() {
        plant.now = next.max(plant.now + Duration::from_micros(50));
    }
    assert!(plant.now < end);
    running.finish(plant.at(), &mut plant.told).unwrap();
    let mut buffer = [0; 2_000];
    while let Ok(length) = plant.cable.recv(&mut buffer) {
        plant.other_end.hear(plant.now, 0, &mut buffer[..length]);
    }
    assert_eq!(plant.arrived(), plant.all());
}

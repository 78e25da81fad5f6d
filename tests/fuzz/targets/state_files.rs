//! What the halves keep on disk, as a broken disk or another version may give it back.

use std::fs;
use std::time::Duration;

use it::mirror::{Mirror, MirrorSnapshot, Now};
use journal_format::{Body, Heartbeat};
use journal_read::Item;
use prost::Message;
use state::{StateDir, StateFile, Stored};

use crate::input::Input;
use crate::journal::Journal;
use crate::plant::Plant;

const FILE: StateFile = StateFile { name: "fuzz.state", magic: *b"SPKDFUZZ" };
const WALL_MS: u64 = 1_700_000_000_000;

/// Restores a half from any bytes: of a state file, of a stored plant, of a mirror's snapshot; and
/// from what it stored itself after a list of operations.
///
/// - What a half stored itself is all there after a restart.
/// - A file whose checksum is wrong is never believed, and stays for a person to see.
/// - What was restored and is stored again is restored the same.
/// - A half that was restored goes on with a balanced account.
pub fn state_files(input: &[u8]) {
    let mut input = Input::new(input);
    match input.below(5) {
        0 => file(input.rest()),
        1 => stored_plant(&mut input),
        2 => snapshot(&mut input),
        3 => own_plant(&mut input),
        _ => own_snapshot(&mut input),
    }
}

fn own_plant(input: &mut Input<'_>) {
    let mut first = Plant::new(input, true);
    first.run(input);
    let stored = ot::testing::store(&first.pipeline);
    let mut second = Plant::with_policy(first.policy(), true);
    assert!(second.restore(&stored), "what was stored can be read");
    goes_on(&second);
}

/// A restart more changes nothing; the first one judges anew.
fn goes_on(plant: &Plant) {
    let once = ot::testing::store(&plant.pipeline);
    let mut next = Plant::with_policy(plant.policy(), true);
    assert!(next.restore(&once), "what was stored can be read");
    let again = ot::testing::store_after(&next.pipeline, 1);
    assert_eq!(again, once, "restored and stored again it differs");
}

fn own_snapshot(input: &mut Input<'_>) {
    let mut first = Journal::new(input, true);
    first.run(input);
    let stored = it::testing::snapshot(&mut first.mirror);
    let bd_seqs = first.mirror.bd_seqs().collect();
    let mut second = first.restarted();
    assert!(it::testing::restore(&mut second, &stored, bd_seqs), "our own snapshot");
    let again = joined(&it::testing::snapshot(&mut second));
    assert_eq!(again, joined(&stored), "a restart loses something");
}

/// The snapshot with stretches that overlap or touch as one, as a restart has them.
fn joined(snapshot: &[u8]) -> Vec<u8> {
    let mut snapshot = MirrorSnapshot::decode(snapshot).expect("our own snapshot");
    for node in &mut snapshot.nodes {
        node.missed.dedup_by(|next, range| {
            let touches = (range.from..=range.to).contains(&next.from);
            if touches {
                range.to = range.to.max(next.to);
            }
            touches
        });
    }
    snapshot.encode_to_vec()
}

fn file(bytes: &[u8]) {
    let dir = crate::segment::scratch();
    let state = StateDir::open(dir.path()).expect("a directory of ours");
    let path = dir.path().join(FILE.name);
    fs::write(&path, bytes).expect("a file");
    match state.load::<Vec<u8>>(FILE).expect("a file") {
        Stored::Absent => panic!("it is there"),
        Stored::Damaged { moved_to } => {
            assert_eq!(fs::read(moved_to).expect("the damaged file"), bytes);
            assert!(!path.exists());
        }
        Stored::Found(content) => {
            assert!(bytes.starts_with(&FILE.magic), "another kind of file");
            state.save(FILE, &content).expect("a file");
            let Stored::Found(again) = state.load::<Vec<u8>>(FILE).expect("a file") else {
                panic!("what was saved is damaged")
            };
            assert_eq!(again, content);
        }
    }
    // Whatever was there: what is saved is found.
    state.save(FILE, &bytes.to_vec()).expect("a file");
    let found = state.load::<Vec<u8>>(FILE).expect("a file");
    assert!(matches!(found, Stored::Found(found) if found == bytes));
    let mut damaged = fs::read(&path).expect("a file");
    let at = bytes.first().map_or(0, |byte| usize::from(*byte)) % damaged.len();
    damaged[at] ^= 1;
    fs::write(&path, damaged).expect("a file");
    let found = state.load::<Vec<u8>>(FILE).expect("a file");
    assert!(matches!(found, Stored::Damaged { .. }), "byte {at} differs and is believed");
}

fn stored_plant(input: &mut Input<'_>) {
    let stored = input.bytes();
    let mut first = Plant::new(input, true);
    if !first.restore(stored) {
        return;
    }
    let once = ot::testing::store(&first.pipeline);
    let bound = 8 * stored.len() + 1_024;
    assert!(once.len() <= bound, "{} bytes of {}", once.len(), stored.len());
    let mut second = Plant::with_policy(first.policy(), true);
    assert!(second.restore(&once), "what was stored can be read");
    goes_on(&second);
    second.follow_on();
    for _ in 0..20 {
        if input.is_empty() {
            break;
        }
        second.step(input);
    }
}

fn snapshot(input: &mut Input<'_>) {
    let stored = input.bytes();
    let settings = crate::setup::settings(input.byte());
    let restored = |bytes: &[u8]| {
        let mut mirror = Mirror::new(settings.clone(), None);
        it::testing::restore(&mut mirror, bytes, Vec::new()).then_some(mirror)
    };
    let Some(mut first) = restored(stored) else { return };
    let once = it::testing::snapshot(&mut first);
    let mut second = restored(&once).expect("our own snapshot");
    assert_eq!(it::testing::snapshot(&mut second), once, "restored and stored again it differs");
    second.caught_up();
    let mut now = Now { mono: Duration::from_secs(1), wall_ms: WALL_MS };
    let (epoch, position) = second.position();
    for seq in position..position.saturating_add(3) {
        let body = Some(Body::Heartbeat(Heartbeat { ot_connected: true, ..Heartbeat::default() }));
        let appended_ms = now.wall_ms;
        let frame =
            journal_format::Frame { seq, epoch, appended_ms, body, in_head: false, layout: None };
        second.handle_item(now, Item::Frame(frame));
        now.mono += Duration::from_secs(1);
        now.wall_ms += 1_000;
        second.handle_tick(now);
        while second.poll_outgoing().is_some() {}
        assert_eq!(second.check_account(), Ok(()));
    }
}

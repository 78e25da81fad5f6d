//! Both ends of a link as real processes under their seals, each in a network of its own: nothing is lost,
//! and not one packet of any kind comes back, whatever happens to the cable. `cargo bench --bench bench --
//! two-boxes` has the long form.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use journal_read::compare;
use two_networks::{Faults, Files, Network, Options, Plant, Tail, Wire, is_missing};

use crate::broker::skipped;
use crate::relay::BINARY;

/// How long the rest may take behind the last frame.
const WITHIN: Duration = Duration::from_secs(60);

/// A second pass that comes soon.
fn options() -> Options {
    Options {
        share_percent: 50,
        send: &[
            ("second-pass", "after-s = 1\nwindow-s = 60"),
            ("repair", "close-after-ms = 50\nspread-ms = 20"),
        ],
        ..Options::default()
    }
}

/// A link, frames that are written to its one end, and what happens meanwhile.
fn carry(
    paths: usize,
    faults: Option<Faults>,
    frames: u64,
    mut happens: impl FnMut(&Network, u64),
) {
    if let Some(why) = is_missing() {
        return skipped(&why);
    }
    let network = Arc::new(Network::lay(paths, faults.is_some()));
    let files = Files::new(Path::new(BINARY), &network, paths, &options());
    let wire = faults.map(|faults| Wire::start(&network, 0, faults));
    let receive = files.start_receive(&network);
    let tail = Tail::start(files.path("received"));
    let send = files.start_send(&network);
    let mut plant = Plant::new(&files.path("journal"), 300);
    plant.write(frames, Some(2_000), |done| happens(&network, done));
    let last = plant.times.len() as u64 - 1;
    let arrived = tail.wait_for(last, WITHIN);
    send.terminate();
    receive.terminate();
    let (plants, offices) = (files.path("journal"), files.path("received"));
    let comparison = compare(&plants, &offices).unwrap();
    assert!(arrived && comparison.is_equal() && comparison.equal == last, "{comparison:?}");
    assert_eq!(tail.end().twice, 0);
    if let Some(wire) = wire {
        let flipped = wire.end().flipped;
        let foreign = files.status("receive", "/receive/datagrams/foreign");
        assert!(flipped > 0);
        assert_eq!(foreign.as_u64(), Some(flipped));
    }
    assert_eq!(network.came_back(), 0, "packets that came back to the plant's side");
    assert_eq!(network.stopped(), 0, "packets that the office's side tried to send");
}

#[test]
fn a_cable_that_loses_and_is_cut_gives_everything_and_nothing_back() {
    let mut was_cut = false;
    carry(1, None, 6_000, |network, done| {
        if done >= 1_000 && !was_cut {
            was_cut = true;
            network.lose(50);
            network.cable(0, false);
            std::thread::sleep(Duration::from_millis(300));
            network.cable(0, true);
        }
    });
}

#[test]
fn a_cable_that_reorders_doubles_and_flips_gives_everything_once_and_every_flip_is_counted() {
    let faults = Faults { reorder: 50, doubled: 100, flipped: 100 };
    carry(1, Some(faults), 6_000, |_, _| {});
}

#[test]
fn one_of_two_cables_may_be_cut() {
    let mut cut = 0;
    carry(2, None, 6_000, |network, done| {
        if done / 1_000 > cut {
            cut += 1;
            let path = usize::try_from(cut % 2).unwrap();
            network.cable(path, false);
            std::thread::sleep(Duration::from_millis(50));
            network.cable(path, true);
        }
    });
}

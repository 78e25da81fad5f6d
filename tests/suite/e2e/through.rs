//! The whole relay over two boxes in networks of their own, with a real broker at either end: whatever
//! happens to the cable, IT shows valid sessions, at rest what the plant is, and what is missing for good is
//! counted. `cargo bench --bench bench -- two-boxes --through` has the long form.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use two_networks::{Judged, Network, Options, Through, Way, is_missing};

use crate::broker::skipped;
use crate::relay::BINARY;

/// How long all of it may take to be on IT.
const WITHIN: Duration = Duration::from_secs(60);
const EDGES: usize = 4;
const PER_S: u64 = 400;

/// A link whose second pass takes this share of the pace.
fn options(share_percent: u32) -> Options {
    Options {
        share_percent,
        send: &[
            ("second-pass", "after-s = 1\nwindow-s = 60"),
            ("repair", "close-after-ms = 50\nspread-ms = 20"),
        ],
        ..Options::default()
    }
}

/// A relay over a link, its edge nodes born. `None`: it can't be had here.
fn start(options: &Options) -> Option<(Through, [two_networks::End; 2])> {
    if let Some(why) = is_missing() {
        skipped(&why);
        return None;
    }
    let network = Arc::new(Network::lay(1, false));
    let rig = (EDGES, true);
    let mut through = Through::start(Path::new(BINARY), network, 1, options, Way::Link, rig)?;
    let receive = through.files.start_receive(&through.network);
    let ends = [through.files.start_send(&through.network), receive];
    through.be_born();
    Some((through, ends))
}

fn judge(through: Through, ends: [two_networks::End; 2]) -> Judged {
    ends.into_iter().for_each(two_networks::End::terminate);
    let judged = through.judge();
    assert_eq!(judged.differences, Vec::<String>::new(), "at rest");
    assert_eq!(judged.violations, Vec::<String>::new());
    assert_eq!((judged.twice, judged.came_back, judged.stopped), (0, 0, 0));
    assert_eq!(judged.lost_frames, judged.told_frames, "frames lost for good, and told");
    let (missing, counted) = (&judged.uncounted, judged.it_dropped);
    assert!(missing.len() as u64 <= counted, "{counted} counted: {missing:?}");
    judged
}

#[test]
fn what_a_cut_cable_held_back_is_history_and_everything_is_live_again_at_once() {
    let Some((mut through, ends)) = start(&options(50)) else { return };
    let network = Arc::clone(&through.network);
    let (cut, mended) = std::thread::scope(|scope| {
        let trouble = scope.spawn(|| {
            network.lose(30);
            std::thread::sleep(Duration::from_secs(2));
            network.cable(0, false);
            let cut = Instant::now();
            std::thread::sleep(Duration::from_secs(3));
            network.cable(0, true);
            (cut, Instant::now())
        });
        through.speak(8 * PER_S, PER_S, true);
        trouble.join().unwrap()
    });
    let (rest, complete) = through.come_to_rest(WITHIN, true);
    let outage = through.outage(cut, mended);
    let judged = judge(through, ends);
    assert!(rest.is_some() && complete.is_some(), "{judged:?}");
    assert_eq!((judged.missing, judged.lost_frames), (0, 0));
    assert!(outage.said > 0 && outage.as_history == outage.said, "{outage:?}");
    assert!(outage.live_after_s < 5.0, "{outage:?}");
}

#[test]
fn what_the_link_loses_for_good_is_counted_and_the_rest_is_as_in_the_plant() {
    let mut options = options(0);
    options.overhead_percent = 4;
    let Some((mut through, ends)) = start(&options) else { return };
    through.network.lose(200);
    through.speak(5 * PER_S, PER_S, true);
    let (rest, _) = through.come_to_rest(WITHIN, false);
    let judged = judge(through, ends);
    assert!(rest.is_some(), "{judged:?}");
    assert!(judged.missing > 0 && judged.lost_frames > 0, "{judged:?}");
}

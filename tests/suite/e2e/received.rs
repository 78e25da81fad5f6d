//! A journal that came over a link between two boxes, which the test is: frames are lost on it, and
//! come late.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use journal_read::{From, RawFrame, RawItem, Reader};
use journal_write::{Durability, Origin, Pushed, ReceivedOptions, ReceivedWriter};
use sparkplug::Metric;
use telemetry::Event;

use crate::checker::Excuse;
use crate::metrics::{int, number, untyped};
use crate::peers::raw_edge::RawEdge;
use crate::relay::{Half, is_root};
use crate::rig::{EVERYTHING, Rig, Variation};
use crate::waiting::wait_until;

/// The link: what it carries from the OT half's journal to the one that the IT half reads.
struct Cable {
    reader: Reader,
    writer: ReceivedWriter,
    /// Nothing comes through.
    is_cut: bool,
    lost: u64,
}

impl Cable {
    fn new(rig: &Rig) -> Cable {
        let dir = rig.relay.path("received");
        fs::create_dir(&dir).unwrap();
        if is_root() {
            chown(&dir, None, Some(Half::It.user())).unwrap();
        }
        fs::set_permissions(&dir, Permissions::from_mode(0o2750)).unwrap();
        let config = fs::read_to_string(rig.relay.path("it.toml")).unwrap();
        let at = |name| format!("path = \"{}\"", rig.relay.path(name).display());
        let moved = config.replace(&at("journal"), &at("received"));
        assert_ne!(moved, config);
        fs::write(rig.relay.path("it.toml"), moved).unwrap();
        let options = ReceivedOptions {
            dir,
            retain_bytes: 1 << 30,
            retain_age: None,
            durability: Durability::Process,
        };
        let reader = Reader::open(&rig.relay.path("journal"), From::Oldest).unwrap();
        let writer = ReceivedWriter::open(options).unwrap();
        Cable { reader, writer, is_cut: false, lost: 0 }
    }

    /// Carries what is there.
    fn carry(&mut self) {
        self.writer.set_clock(1, Some(0));
        while let Some(item) = self.reader.next_raw().unwrap() {
            let RawItem::Frame(frame) = item else { panic!("{item:?}") };
            if self.is_cut {
                self.lost += 1;
            } else {
                let pushed = push(&mut self.writer, &frame);
                assert!(!matches!(pushed, Pushed::Refused(_)), "{pushed:?}");
            }
            self.writer.set_clock(1, Some(0));
        }
        self.writer.commit().unwrap();
    }

    /// Sends everything once more, as a second pass does; how many were missing.
    fn carry_again(&mut self, rig: &Rig) -> u64 {
        let mut again = Reader::open(&rig.relay.path("journal"), From::Oldest).unwrap();
        let mut late = 0;
        while let Some(item) = again.next_raw_settled().unwrap() {
            let RawItem::Frame(frame) = item else { panic!("{item:?}") };
            if frame.seq < self.reader.position().seq {
                late += u64::from(push(&mut self.writer, &frame) == Pushed::Late);
            }
        }
        self.writer.commit().unwrap();
        late
    }

    #[track_caller]
    fn wait_until(&mut self, what: &str, condition: impl Fn() -> bool) {
        wait_until(what, || {
            self.carry();
            condition()
        });
    }
}

fn push(writer: &mut ReceivedWriter, frame: &RawFrame<'_>) -> Pushed {
    writer.push(1, &Origin::from(frame.header), frame.seq, frame.envelope).unwrap()
}

#[test]
fn what_a_link_lost_and_brought_late_is_history_on_it() {
    let Some(mut rig) = Rig::prepare(EVERYTHING, &Variation::default()) else { return };
    let mut cable = Cable::new(&rig);
    rig.relay.ask_for_rights();
    rig.start_both();
    let mut edge = RawEdge::connect(rig.ot_address(), "Plant", "E");
    edge.qos = 1;
    edge.nbirth(&[int("count", 1)]).unwrap();
    cable.wait_until("the node is on IT", || rig.it.current("Plant/E", "count") == Some(1));

    cable.is_cut = true;
    for value in 2..7 {
        edge.ndata(&[untyped(int("count", value))]).unwrap();
    }
    cable.wait_until("the last value is in the journal", || {
        let cat = rig.relay.run(&["journal", "cat", "--json", "journal"]);
        String::from_utf8_lossy(&cat.stdout).contains("\"value\":6}")
    });
    // What came since it was looked at last.
    cable.carry();
    cable.is_cut = false;
    edge.ndata(&[untyped(int("count", 7))]).unwrap();
    cable
        .wait_until("what came after it is live", || rig.it.current("Plant/E", "count") == Some(7));
    let lost = rig.relay.wait_for_event(Half::It, Event::FramesLost, &["cause=link"]);
    assert!(lost.contains(&format!("count={} ", cable.lost)), "{lost}");
    let against = ["journal", "verify", "--against", "journal", "received"];
    let compared = rig.relay.run(&against);
    let text = String::from_utf8(compared.stdout).unwrap();
    assert_eq!(compared.status.code(), Some(65), "{text}");
    assert!(text.contains(": missing in `received`\n") && text.ends_with("different\n"), "{text}");

    assert_eq!(cable.carry_again(&rig), cable.lost);
    let history = || -> Vec<u64> {
        let payloads = rig.it.payloads("spBv1.0/Plant/NDATA/E");
        let metrics = payloads.iter().flat_map(|payload| &payload.metrics);
        metrics.filter(|metric| Metric::is_historical(metric)).filter_map(number).collect()
    };
    cable.wait_until("what was lost is history", || history().len() >= 5);
    cable.wait_until("the late frames are told", || {
        rig.relay.log(Half::It).contains(" LATE_FRAMES ")
    });
    rig.relay.wait_for_event(Half::It, Event::LateFrames, &[&format!("frames={}", cable.lost)]);
    assert_eq!(history(), [2, 3, 4, 5, 6]);
    assert_eq!(rig.it.current("Plant/E", "count"), Some(7), "nothing was set back");
    assert_eq!(cable.carry_again(&rig), 0, "twice");
    let compared = rig.relay.run(&against);
    let text = String::from_utf8(compared.stdout).unwrap();
    assert!(compared.status.success() && text.ends_with("equal\n"), "{text}");
    let sound = rig.relay.run(&["journal", "verify", "received"]);
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stdout));
    rig.judge(Excuse::default());
}

//! The OT half's pipeline beside the mirror, and a copy of its policy on IT.

use std::sync::Arc;
use std::time::Duration;

use account::Reason;
use diagnostic::SourceFile;
use journal_format::{Body, Start};
use ot::{Pipeline, PipelineSettings, Received};
use policy::Policy;
use prost::Message;
use sparkplug::{Budget, Caps, Metric, Payload};

use super::world::{WALL, World, bd_seq, data, metric, plant, settings};
use crate::mirror::line::MAX_STAMP_AHEAD_MS;
use crate::mirror::{DataDatatypes, Mirror, MirrorSettings, Notice, Qos};

/// The OT half's pipeline beside the world of its mirror: what one writes the other reads.
pub(super) struct Both {
    pub(super) world: World,
    pub(super) ot: Pipeline,
    /// `seq` of the node's next message.
    pub(super) seq: u64,
}

impl Both {
    pub(super) fn new() -> Both {
        Both::with("[[rule]]\nname = \"all\"\naction = \"forward\"\ntopic = \"spBv1.0/+/+/#\"\n")
    }

    pub(super) fn policy(text: &str) -> Policy {
        let (policy, _) = Policy::parse(&[SourceFile::new("test.toml", text)])
            .unwrap_or_else(|problems| panic!("{problems}"));
        policy
    }

    pub(super) fn with(text: &str) -> Both {
        let policy = Both::policy(text);
        let settings_of_ot = PipelineSettings {
            source: "plant".into(),
            keyframe_every: Duration::from_secs(30),
            reorder_timeout: Duration::from_secs(2),
            doubt_after: Duration::from_secs(300),
            max_nodes: 8,
            max_devices_per_node: 4,
            budget: Budget::UNLIMITED,
            caps: Caps::default(),
        };
        let world = World::live(settings());
        let ot = Pipeline::new(settings_of_ot, policy, world.now);
        let mut both = Both { world, ot, seq: 0 };
        both.connect(false);
        both
    }

    pub(super) fn send(&mut self, verb: &str, metrics: Vec<Metric>) {
        if verb == "NBIRTH" {
            self.seq = 0;
        }
        let seq = Some(self.seq);
        let payload = Payload { timestamp: Some(WALL), metrics, seq, ..Payload::default() };
        self.seq = (self.seq + 1) % 256;
        let topic = format!("spBv1.0/g/{verb}/e");
        let payload = payload.encode_to_vec();
        let received = Received {
            topic: &topic,
            payload: &payload,
            retain: false,
            dup: false,
            assured: false,
        };
        let mut out = Vec::new();
        self.ot.handle(self.world.now, received, &mut out);
        out.into_iter().for_each(|body| self.world.append(body.into()));
    }

    pub(super) fn disconnect(&mut self) {
        self.ot.disconnected(self.world.now);
    }

    pub(super) fn connect(&mut self, present: bool) {
        self.ot.session(self.world.now, present);
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.world.pass(Duration::from_millis(100));
            let mut out = Vec::new();
            self.ot.tick(self.world.now, &mut out);
            out.into_iter().for_each(|body| self.world.append(body.into()));
        }
    }

    pub(super) fn quality(&self, id: &str) -> u32 {
        self.world.host.nodes["g/e"].quality.get(id).copied().unwrap_or(192)
    }
}

pub(super) const NAMED: &str = r#"
    [rename.group]
    "g" = "emea"
    [rename.edge-node]
    "g/e" = "line"

    [[rule]]
    name = "some"
    action = "forward"
    group = "g"
    allow-metrics = ["plc/*", "b"]
    strip-prefix = "plc/"
"#;

#[test]
fn a_copy_of_a_policy_with_other_names_ends_what_it_has_no_name_for() {
    let plain = "[[rule]]\nname = \"r\"\naction = \"forward\"\ngroup = \"g\"\n";
    let mut both = Both::with(plain);
    let copy = |text: &str| Some(Arc::new(Both::policy(text)));
    both.world.mirror.reload_policy(both.world.now, copy(plain));
    both.send("NBIRTH", vec![bd_seq(4), metric("a", 1)]);
    both.send("DBIRTH/d", vec![metric("x", 1)]);
    // The IT half has the other policy before the OT half.
    let device = format!("{plain}[rename.device]\n\"g/e/d\" = \"other\"\n");
    both.world.mirror.reload_policy(both.world.now, copy(&device));
    both.world.carry_out();
    let node = &both.world.host.nodes["g/e"];
    assert!(node.online && !node.born.contains_key("d"), "{:?}", node.born.keys());
    let whole = format!("{plain}[rename.edge-node]\n\"g/e\" = \"other\"\n");
    both.world.mirror.reload_policy(both.world.now, copy(&whole));
    both.world.carry_out();
    assert!(!both.world.host.nodes["g/e"].online);
}

#[test]
fn a_copy_of_the_policy_judges_the_names_that_it_gave() {
    let mut both = Both::with(NAMED);
    both.world.mirror.reload_policy(both.world.now, Some(Arc::new(Both::policy(NAMED))));
    both.send("NBIRTH", vec![bd_seq(4), metric("plc/a", 1), metric("b", 1), metric("c", 1)]);
    both.send("NDATA", data(vec![metric("plc/a", 2)]));
    both.pass(40);
    assert_eq!(both.world.host.live["emea/line/:a"], [1, 2]);
    assert_eq!(both.world.host.live["emea/line/:b"], [1]);
    assert_eq!(both.world.mirror.account().dropped(Reason::Recheck), 0);
    // What an honest OT half doesn't write: names of the plant, and names that nothing has.
    let mut world = both.world;
    for (topic, name) in [
        ("spBv1.0/g/NBIRTH/e", "a"),
        ("spBv1.0/emea/NBIRTH/e", "a"),
        ("spBv1.0/emea/NBIRTH/LINE", "a"),
    ] {
        world.relayed(topic, vec![bd_seq(4), metric(name, 1)], false);
    }
    assert_eq!(world.mirror.account().dropped(Reason::Recheck), 3);
    assert_eq!(world.host.nodes.len(), 1);
    // `plc/c` would be `c`; `plc/plc/x` isn't allowed, nor is `x/y`.
    let metrics = vec![bd_seq(5), metric("c", 1), metric("plc/x", 1), metric("x/y", 1)];
    world.relayed("spBv1.0/emea/NBIRTH/line", metrics, false);
    assert_eq!(world.mirror.account().dropped_metrics(Reason::Recheck), 2);
}

#[test]
fn a_copy_of_the_policy_closes_rules_by_the_clock_of_it() {
    let text = |until: &str| {
        format!(
            "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"\nnot-after = {until}\n"
        )
    };
    let mut world = World::live(settings());
    plant(&mut world);
    let until = text::format_utc_ms(world.now.wall_ms + 5_000);
    world.mirror.reload_policy(world.now, Some(Arc::new(Both::policy(&text(&until)))));
    world.pass_alive(Duration::from_secs(4));
    assert_eq!(world.mirror.account().dropped_metrics(Reason::Recheck), 0);
    let births = world.host.births;
    world.pass_alive(Duration::from_secs(2));
    // Births without these metrics took their place.
    assert_eq!(world.mirror.account().dropped_metrics(Reason::Recheck), 3);
    assert_eq!(world.host.births, births + 1);
}

#[test]
fn a_restart_asks_a_copy_with_schedules_by_the_clock_of_it() {
    let text = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"\n\
                not-before = 2020-01-01T00:00:00Z\n";
    let policy = || Some(Arc::new(Both::policy(text)));
    let mut world = World::live(settings());
    world.mirror.reload_policy(world.now, policy());
    plant(&mut world);
    let snapshot = std::mem::take(&mut world.probe).snapshot(&mut world.mirror);
    let bd_seqs: Vec<_> = world.mirror.bd_seqs().collect();
    let sessions = std::mem::take(&mut world.sessions);
    for (_, (spec, bd_seq)) in sessions {
        world.host.received(&spec.will_topic, &spec.will_payload, Qos::AtLeastOnce, bd_seq);
    }
    world.now.wall_ms += MAX_STAMP_AHEAD_MS;
    world.mirror = Mirror::new(settings(), policy());
    world.mirror.restore(snapshot, bd_seqs);
    world.mirror.caught_up();
    world.notices.clear();
    world.heartbeat();
    world.relayed("spBv1.0/g/NDATA/e", data(vec![metric("a", 2), metric("b", 2)]), false);
    world.relayed("spBv1.0/g/DDATA/e/d", data(vec![metric("x", 2)]), false);
    assert_eq!(world.mirror.account().dropped_metrics(Reason::Recheck), 0);
    for id in ["g/e/:a", "g/e/:b", "g/e/d:x"] {
        assert_eq!(world.host.live[id].last(), Some(&2), "{id}");
    }
    let refused = |notice: &Notice| matches!(notice, Notice::FrameRefused { .. });
    assert!(!world.notices.iter().any(refused), "{:?}", world.notices);
}

#[test]
fn data_names_datatypes_as_the_plant_does_or_as_the_configuration_says() {
    use DataDatatypes::{Always, AsPlant, Never};
    for (wanted, plant, typed) in [
        (AsPlant, true, true),
        (AsPlant, false, false),
        (Always, false, true),
        (Never, true, false),
    ] {
        let mut both = Both::new();
        both.world.mirror =
            Mirror::new(MirrorSettings { data_datatypes: wanted, ..settings() }, None);
        both.world.append(Body::Start(Start { keyframe_every_s: 5, ..Start::default() }));
        both.world.mirror.caught_up();
        both.world.heartbeat();
        both.world.host.typed = typed;
        let send = |both: &mut Both, metrics: Vec<Metric>| {
            both.send("NDATA", if plant { metrics } else { data(metrics) });
        };
        both.send("NBIRTH", vec![bd_seq(4), metric("a", 1), metric("b", 1)]);
        both.pass(1);
        send(&mut both, vec![metric("a", 2)]);
        // What the mirror says by itself, of a doubt that was none.
        both.disconnect();
        both.connect(true);
        both.pass(2);
        send(&mut both, vec![metric("b", 2)]);
        both.pass(31);
        assert_eq!(both.world.host.live["g/e/:a"].last(), Some(&2), "{wanted:?}");
        assert_eq!((both.quality("g/e/:a"), both.quality("g/e/:b")), (192, 192));
    }
}

//! Other names on IT: the journal has the new ones only, whatever happens.

use account::Reason;
use journal_format::{Body, Relayed, Start};
use sparkplug::{DataType, Metric, Payload, Template, Value};
use telemetry::Event;
use telemetry::capture::{capture, triggered};

use super::bench::{
    Bench, aliased, bd_seq, by_alias, keyframed, names_of, payload, policy, topics, typed, verbs,
};

const RENAMED: &str = r#"
    [rename.group]
    "OldPlant" = "emea-7"
    [rename.edge-node]
    "OldPlant/OldLine" = "line-4"
    [rename.device]
    "OldPlant/OldLine/OldPress" = "press-1"

    [[rule]]
    name = "all"
    action = "forward"
    group = "*"
    strip-prefix = "OldPrefix/"
    add-prefix = "new/"
"#;

fn number(name: &str, alias: u64) -> Metric {
    aliased(name, alias, DataType::Int32, Value::Int(1))
}

fn send(bench: &mut Bench, topic: &str, seq: u64, metrics: Vec<Metric>) -> Vec<Relayed> {
    let payload = Payload { timestamp: Some(1), seq: Some(seq), metrics, ..Payload::default() };
    bench.send(topic, &payload)
}

const NODE: &str = "spBv1.0/OldPlant/NBIRTH/OldLine";
const PRESS: &str = "spBv1.0/OldPlant/DBIRTH/OldLine/OldPress";
const OVEN: &str = "spBv1.0/OldPlant/DBIRTH/OldLine/Oven";

/// A node with two devices.
fn born(bench: &mut Bench) -> Vec<Relayed> {
    let metrics = || vec![number("OldPrefix/a", 1), number("b", 2)];
    let mut node = metrics();
    node.push(bd_seq(0));
    let mut frames = send(bench, NODE, 0, node);
    frames.extend(send(bench, PRESS, 1, metrics()));
    frames.extend(send(bench, OVEN, 2, metrics()));
    frames
}

/// Data goes by the layouts of births, under whose names it arrives.
#[test]
fn data_has_the_names_in_force_after_a_change_there_and_back() {
    let mut bench = Bench::new(RENAMED);
    born(&mut bench);
    let data = |bench: &mut Bench, seq| {
        let values = vec![by_alias(1, Value::Int(2))];
        let node = send(bench, "spBv1.0/OldPlant/NDATA/OldLine", seq, values.clone());
        let press = "spBv1.0/OldPlant/DDATA/OldLine/OldPress";
        let mut frames = node;
        frames.extend(send(bench, press, seq + 1, values));
        let of = |frame: &Relayed| format!("{} {}", frame.topic, names_of(&payload(frame))[0]);
        frames.iter().map(of).collect::<Vec<String>>()
    };
    let here = ["spBv1.0/emea-7/NDATA/line-4 new/a", "spBv1.0/emea-7/DDATA/line-4/press-1 new/a"];
    assert_eq!(data(&mut bench, 3), here);
    for (seq, was, is) in [(5, "line-4", "line-5"), (9, "press-1", "press-2"), (13, "new/", "own/")]
    {
        bench.reload(&RENAMED.replace(was, is));
        assert_eq!(data(&mut bench, seq), here.map(|one| one.replace(was, is)));
        bench.reload(RENAMED);
        assert_eq!(data(&mut bench, seq + 2), here);
    }
}

/// Readers can't know of a doubt about what they know by another name.
#[test]
fn a_birth_under_another_name_says_that_its_values_are_doubted() {
    for is_doubted in [false, true] {
        let mut bench = Bench::new(RENAMED);
        born(&mut bench);
        if is_doubted {
            // The connection was away, and the broker kept nothing.
            bench.pipeline.disconnected(bench.now);
            bench.pipeline.session(bench.now, false);
            bench.tick();
        }
        let births = bench.reload(&RENAMED.replace("line-4", "line-5"));
        let births: Vec<_> = births.iter().filter(|one| one.topic.contains("BIRTH")).collect();
        let node = births.iter().find(|one| one.topic == "spBv1.0/emea-7/NBIRTH/line-5").unwrap();
        assert!(node.synthetic && node.outdated == is_doubted, "{node:?}");
        assert_eq!(births.len(), 3);
    }
}

#[test]
fn the_journal_has_new_names_only() {
    let mut bench = Bench::new(RENAMED);
    let frames = born(&mut bench);
    assert_eq!(
        topics(&frames),
        [
            "spBv1.0/emea-7/NBIRTH/line-4",
            "spBv1.0/emea-7/DBIRTH/line-4/press-1",
            "spBv1.0/emea-7/DBIRTH/line-4/Oven"
        ]
    );
    assert_eq!(names_of(&payload(&frames[1])), ["new/a", "new/b"]);
    let data = || vec![by_alias(1, Value::Int(2)), by_alias(2, Value::Int(2))];
    let frames = send(&mut bench, "spBv1.0/OldPlant/DDATA/OldLine/OldPress", 3, data());
    assert_eq!(topics(&frames), ["spBv1.0/emea-7/DDATA/line-4/press-1"]);
    assert_eq!(names_of(&payload(&frames[0])), ["new/a", "new/b"]);
    bench.pass(60_000);
    let keyframes = keyframed(&bench.tick());
    assert_eq!(keyframes[0].devices, ["press-1", "Oven"]);
    // A metric that is born late, and deaths.
    let late = vec![typed("OldPrefix/late", DataType::Int8, Value::Int(1))];
    let frames = send(&mut bench, "spBv1.0/OldPlant/NDATA/OldLine", 4, late);
    assert_eq!(verbs(&frames), "NBIRTH DBIRTH DBIRTH");
    assert!(bench.leaks("new/late"));
    let death = send(&mut bench, "spBv1.0/OldPlant/DDEATH/OldLine/OldPress", 5, vec![]);
    assert_eq!(topics(&death), ["spBv1.0/emea-7/DDEATH/line-4/press-1"]);
    let death = send(&mut bench, "spBv1.0/OldPlant/NDEATH/OldLine", 6, vec![bd_seq(0)]);
    assert_eq!(topics(&death), ["spBv1.0/emea-7/NDEATH/line-4"]);
    assert!(!bench.leaks("Old"), "a name of the plant is in the journal");
}

#[test]
fn a_name_that_belongs_to_something_else_does_not_cross() {
    let mut bench = Bench::new(RENAMED);
    born(&mut bench);
    let birth = || vec![bd_seq(0), number("a", 1)];
    let told = capture(|| {
        for topic in
            ["spBv1.0/emea-7/NBIRTH/x", "spBv1.0/EMEA-7/NBIRTH/x", "spBv1.0/OldPlant/NBIRTH/Line-4"]
        {
            assert!(send(&mut bench, topic, 0, birth()).is_empty(), "{topic}");
        }
    });
    triggered(&told, Event::NameCollision);
    assert_eq!(bench.dropped(Reason::NameCollision), 3);
    let data = || vec![by_alias(1, Value::Int(2))];
    assert!(send(&mut bench, "spBv1.0/emea-7/NDATA/x", 1, data()).is_empty());
    let late = || vec![typed("late", DataType::Int8, Value::Int(1))];
    assert!(send(&mut bench, "spBv1.0/emea-7/NDATA/x", 2, late()).is_empty());
    assert_eq!(bench.dropped(Reason::NameCollision), 5);
    let topic = "spBv1.0/OldPlant/DBIRTH/OldLine/Press-1";
    assert!(send(&mut bench, topic, 3, vec![number("a", 1)]).is_empty());
    assert!(send(&mut bench, topic, 4, vec![]).is_empty());
    bench.pass(3_000);
    bench.tick();
    assert!(!bench.leaks("Press-1") && !bench.leaks("EMEA") && !bench.leaks("emea-7/NBIRTH/x"));
}

#[test]
fn metrics_never_share_a_name_whatever_their_order() {
    let policy = r#"
        [[rule]]
        name = "stripped"
        action = "forward"
        group = "G"
        allow-metrics = ["PLC1/**", "PLC3/**"]
        strip-prefix = "PLC1/"

        [[rule]]
        name = "others"
        action = "forward"
        group = "G"
        allow-metrics = "PLC2/**"
        strip-prefix = "PLC2/"

        [[rule]]
        name = "rest"
        action = "forward"
        group = "G"
    "#;
    let names = [
        "PLC2/Temp",
        "TEMP",
        "PLC1/Temp",
        "PLC1/bdSeq",
        "PLC1/Node Control/x",
        "Motor",
        "PLC2/Motor",
    ];
    for turn in 0..names.len() {
        let mut bench = Bench::new(policy);
        let mut metrics: Vec<Metric> =
            (0_u64..).zip(names).map(|(alias, name)| number(name, alias)).collect();
        metrics.rotate_left(turn);
        let template = Template { is_definition: Some(true), ..Template::default() };
        metrics.push(typed("Motor", DataType::Template, Value::Template(Box::new(template))));
        metrics.retain(|metric| metric.name.as_deref() != Some("Motor") || metric.alias.is_none());
        metrics.push(bd_seq(0));
        let frames = bench.node("NBIRTH", metrics);
        assert_eq!(names_of(&payload(&frames[0])), ["bdSeq", "Temp"], "{turn}");
        assert_eq!(bench.dropped_metrics(Reason::NameCollision), 5);
        let data = (0..7).map(|alias| by_alias(alias, Value::Int(9))).collect();
        let frames = bench.node("NDATA", data);
        assert_eq!(names_of(&payload(&frames[0])), ["Temp"]);
        // Later ones find the names taken.
        let late = vec![
            typed("temp", DataType::Int8, Value::Int(1)),
            typed("PLC1/TEMP", DataType::Int8, Value::Int(1)),
        ];
        assert!(bench.node("NDATA", late).is_empty());
    }
}

#[test]
fn a_changed_policy_buries_old_names_before_it_bears_new_ones() {
    let swapped = |a: &str, b: &str| {
        format!(
            "[rename.group]\n\"A\" = \"{a}\"\n\"B\" = \"{b}\"\n\n[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\""
        )
    };
    let mut bench = Bench::new(&swapped("one", "two"));
    for group in ["A", "B"] {
        send(
            &mut bench,
            &format!("spBv1.0/{group}/NBIRTH/E"),
            0,
            vec![bd_seq(0), number(group, 1)],
        );
    }
    let frames = bench.reload(&swapped("two", "one"));
    assert_eq!(
        topics(&frames),
        [
            "spBv1.0/one/NDEATH/E",
            "spBv1.0/two/NDEATH/E",
            "spBv1.0/two/NBIRTH/E",
            "spBv1.0/one/NBIRTH/E"
        ]
    );
    assert_eq!(names_of(&payload(&frames[2])), ["bdSeq", "A"]);
    let frames = bench.reload(
        &swapped("two", "one").replace("group = \"*\"", "group = \"*\"\nadd-prefix = \"p/\""),
    );
    assert_eq!(verbs(&frames), "NBIRTH NBIRTH");
    assert_eq!(names_of(&payload(&frames[0])), ["bdSeq", "p/A"]);
}

#[test]
fn a_restart_knows_what_the_names_in_its_journal_mean() {
    for metrics_too in [false, true] {
        let policy = match metrics_too {
            true => RENAMED.to_owned(),
            false => RENAMED.replace("strip-prefix", "#").replace("add-prefix", "#"),
        };
        let mut bench = Bench::new(&policy);
        born(&mut bench);
        let stored = bench.pipeline.store(3);
        let at = bench.journal.len();
        // Journalled after the plant was stored.
        let data = || vec![by_alias(1, Value::Int(7))];
        send(&mut bench, "spBv1.0/OldPlant/DDATA/OldLine/OldPress", 3, data());
        let frames = bench.restart(stored.clone(), at, &policy);
        assert!(frames.is_empty(), "{frames:?}");
        let frames = send(&mut bench, "spBv1.0/OldPlant/DDATA/OldLine/OldPress", 4, data());
        assert_eq!(topics(&frames), ["spBv1.0/emea-7/DDATA/line-4/press-1"]);
        let told = payload(&frames[0]);
        let name = if metrics_too { "new/a" } else { "OldPrefix/a" };
        assert_eq!(names_of(&told), [name]);
        // Another policy: what readers know dies under the names that they know.
        let mut other = bench;
        let frames = other.restart(
            stored,
            at,
            "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"",
        );
        assert_eq!(
            topics(&frames),
            [
                "spBv1.0/emea-7/NDEATH/line-4",
                "spBv1.0/OldPlant/NBIRTH/OldLine",
                "spBv1.0/OldPlant/DBIRTH/OldLine/OldPress",
                "spBv1.0/OldPlant/DBIRTH/OldLine/Oven"
            ]
        );
    }
}

#[test]
fn a_kill_soon_after_a_start_with_other_names_forgets_nobody() {
    let plain = "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"*\"";
    let mut bench = Bench::new(plain);
    born(&mut bench);
    let (stored, at) = (bench.pipeline.store(3), bench.journal.len());
    // As the half writes it: the segment begins with the policy that is in force from then on.
    let start = Start {
        policy_digest: policy(RENAMED).digest().to_owned(),
        renames: true,
        renames_metrics: true,
        ..Start::default()
    };
    bench.journal.push(Body::Start(start));
    let frames = bench.restart(stored.clone(), at, RENAMED);
    assert_eq!(topics(&frames)[0], "spBv1.0/OldPlant/NDEATH/OldLine");
    // Killed before it has stored anything.
    bench.restart(stored, at, RENAMED);
    let data = vec![by_alias(1, Value::Int(7))];
    let frames = send(&mut bench, "spBv1.0/OldPlant/NDATA/OldLine", 3, data);
    assert!(topics(&frames).iter().any(|topic| topic.ends_with("NDATA/line-4")), "{frames:?}");
    assert_eq!(bench.dropped(Reason::DataBeforeBirth), 0);
}

#[test]
fn what_nobody_knows_after_a_restart_is_dead() {
    let policy = RENAMED.replace("strip-prefix", "#").replace("add-prefix", "#");
    // Born after the plant was stored, by another policy than the one in force now.
    let mut bench = Bench::new(&policy);
    let stored = bench.pipeline.store(0);
    born(&mut bench);
    let frames = bench.restart(stored.clone(), 0, &policy.replace("line-4", "line-5"));
    assert_eq!(topics(&frames), ["spBv1.0/emea-7/NDEATH/line-4"]);
    // By the same policy.
    let mut bench = Bench::new(&policy);
    born(&mut bench);
    bench.restart(stored, 0, &policy);
    assert!(bench.leaks("emea-7"));
    let death = send(&mut bench, "spBv1.0/OldPlant/NDEATH/OldLine", 9, vec![bd_seq(0)]);
    assert!(death.is_empty() || topics(&death) == ["spBv1.0/emea-7/NDEATH/line-4"]);
    assert!(!bench.leaks("OldPlant") && !bench.leaks("OldLine"));
}

//! A whole policy in shadow: what it counts is what would have been, and it changes nothing.

use proptest::collection::vec;
use proptest::prelude::{Strategy, proptest};
use proptest::sample::select;
use sparkplug::{DataType, Metric, Template, Value, steps};

use super::bench::{ALL, Bench, aliased, bd_seq, by_alias, by_name, names_of, payload, typed};
use super::random::{POLICIES, run, step};
use crate::RuleMatches;
use crate::shadow::{Crossing, Difference, Kind, Totals};

fn number(name: &str, alias: u64) -> Metric {
    aliased(name, alias, DataType::Int32, Value::Int(1))
}

fn totals(bench: &Bench) -> Totals {
    bench.pipeline.shadow().unwrap().totals()
}

/// Kind, rule in shadow, rule in force, metrics.
fn differences(bench: &Bench) -> Vec<(Kind, Option<&str>, Option<&str>, u64)> {
    let shadow = bench.pipeline.shadow().unwrap();
    let of = |Difference { kind, before, after, metrics, .. }: Difference| {
        let after = after.rule.and_then(|id| shadow.policy().rule(id)).map(policy::Rule::name);
        let before = before.rule.and_then(|id| bench.pipeline.policy().rule(id));
        (kind, after, before.map(policy::Rule::name), metrics)
    };
    shadow.differences().into_iter().map(of).collect()
}

fn sorted(bench: &Bench) -> Vec<(Kind, Option<&str>, Option<&str>, u64)> {
    let mut found = differences(bench);
    found.sort();
    found
}

fn shadow_hits(bench: &Bench) -> Vec<u64> {
    bench.pipeline.shadow().unwrap().hits().map(|hits| hits.metrics).collect()
}

const IN_FORCE: &str = r#"
    [[rule]]
    name = "some"
    action = "forward"
    group = "G"
    allow-metrics = ["a", "b", "d"]
"#;

const NEXT: &str = r#"
    [[rule]]
    name = "more"
    action = "forward"
    group = "G"
    allow-metrics = ["b", "c", "d"]
    [[rule.metric]]
    names = ["d"]
    max = 5
    out-of-range = "null"

    [[rule]]
    name = "no-b"
    action = "redact"
    group = "G"
    redact-metrics = ["b"]
"#;

#[test]
fn differences_are_counted_by_rule_of_both_policies() {
    let mut bench = Bench::new(IN_FORCE);
    bench.observe(NEXT);
    let metrics = || ["a", "b", "c", "d", "e"].into_iter().zip(1..);
    let birth = metrics().map(|(name, alias)| number(name, alias));
    let frames = bench.node("NBIRTH", birth.chain([bd_seq(0)]).collect());
    assert_eq!(names_of(&payload(&frames[0])), ["bdSeq", "a", "b", "d"]);
    let found = |times: u64| {
        vec![
            (Kind::Newly, Some("more"), None, times),
            (Kind::NoLonger, None, Some("some"), times),
            (Kind::NoLonger, Some("no-b"), Some("some"), times),
            (Kind::Otherwise, Some("more"), Some("some"), times),
        ]
    };
    assert_eq!(sorted(&bench), found(1));
    assert_eq!(shadow_hits(&bench), [2, 1]);
    bench.pass(1_000);
    for _ in 0..2 {
        bench.node("NDATA", metrics().map(|(_, alias)| by_alias(alias, Value::Int(7))).collect());
    }
    assert_eq!(sorted(&bench), found(3));
    let Totals { same, newly, no_longer, otherwise, unknown } = totals(&bench);
    assert_eq!((same, newly, no_longer, otherwise, unknown), (3, 3, 6, 3, 0));
    let told = bench.pipeline.shadow().unwrap().differences();
    let one = told.iter().find(|one| one.kind == Kind::Otherwise).unwrap();
    assert!(one.lines.iter().any(|line| line.starts_with("shows less: ")), "{one:?}");
    assert_eq!(one.example, "G/E  d");
    assert_eq!(one.last_ms - one.first_ms, 1_000);
    let redacted = told.iter().find(|one| one.after.crossing == Crossing::Name).unwrap();
    assert_eq!((redacted.metrics, redacted.before.crossing), (3, Crossing::Values));
    // A metric that no birth has.
    bench.node(
        "NDATA",
        vec![typed("c2", DataType::Int8, Value::Int(1)), by_name("a", Value::Int(1))],
    );
    assert_eq!(totals(&bench).no_longer, 7);
}

#[test]
fn a_policy_that_is_taken_up_by_a_reload_knows_what_is_alive() {
    let mut bench = Bench::new(IN_FORCE);
    bench.node("NBIRTH", vec![number("a", 1), number("c", 2), bd_seq(0)]);
    bench.node("DBIRTH/D", vec![number("c", 1)]);
    assert!(bench.pipeline.shadow().is_none());
    bench.shadow = Some(NEXT);
    bench.reload(IN_FORCE);
    // What is known is judged by both, and none of it was a message.
    assert_eq!(totals(&bench), Totals::default());
    bench.node("NDATA", vec![by_alias(1, Value::Int(1)), by_alias(2, Value::Int(1))]);
    bench.node("DDATA/D", vec![by_alias(1, Value::Int(1))]);
    assert_eq!((totals(&bench).newly, totals(&bench).no_longer), (2, 1));
    // Under a policy in force that is another one, and in shadow of itself.
    bench.reload(NEXT);
    bench.node("NDATA", vec![by_alias(1, Value::Int(1)), by_alias(2, Value::Int(1))]);
    assert_eq!(differences(&bench), []);
    assert!(totals(&bench).same > 0);
    bench.shadow = None;
    bench.reload(IN_FORCE);
    assert!(bench.pipeline.shadow().is_none());
}

#[test]
fn windows_of_the_policy_in_shadow_turn_without_a_word() {
    const WINDOW: &str = r#"
        [[rule]]
        name = "later"
        action = "forward"
        group = "G"
        not-before = "2023-11-14T22:13:30Z"
    "#;
    let mut bench = Bench::new("");
    bench.observe(WINDOW);
    bench.node("NBIRTH", vec![number("a", 1), bd_seq(0)]);
    bench.node("NDATA", vec![by_alias(1, Value::Int(1))]);
    assert_eq!(totals(&bench), Totals { same: 2, ..Totals::default() });
    bench.pass(10_000);
    let before = bench.journal.len();
    bench.tick();
    bench.node("NDATA", vec![by_alias(1, Value::Int(1))]);
    assert_eq!(totals(&bench), Totals { same: 2, newly: 1, ..Totals::default() });
    assert_eq!(bench.journal.len(), before);
}

#[test]
fn members_of_templates_and_names_on_it_are_compared() {
    const MEMBERS: &str = r#"
        [[rule]]
        name = "all"
        action = "forward"
        topic = "spBv1.0/+/+/#"
        [[rule]]
        name = "secret"
        action = "deny"
        group = "G"
        deny-metrics = ["Type/secret"]
    "#;
    const NAMES: &str = r#"
        [[rule]]
        name = "all"
        action = "forward"
        topic = "spBv1.0/+/+/#"
        [rename.edge-node]
        "G/E" = "F"
    "#;
    let member = |name: &str| typed(name, DataType::Int32, Value::Int(1));
    let template = |is_definition: bool| Template {
        metrics: vec![member("a"), member("secret")],
        is_definition: is_definition.then_some(true),
        template_ref: (!is_definition).then(|| "Type".to_owned()),
        ..Template::default()
    };
    let typed = |name: &str, is_definition| {
        typed(name, DataType::Template, Value::Template(Box::new(template(is_definition))))
    };
    for (next, lines) in [
        (MEMBERS, ["shows less: without members of the template that cross in force"]),
        (NAMES, ["otherwise: group, edge node or device has another name on IT"]),
    ] {
        let mut bench = Bench::new(ALL);
        bench.observe(next);
        bench.node("NBIRTH", vec![bd_seq(0), typed("Type", true), typed("t", false)]);
        let told = bench.pipeline.shadow().unwrap().differences();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(
            (told[0].kind, told[0].lines.as_slice()),
            (Kind::Otherwise, &lines.map(str::to_owned)[..])
        );
    }
}

#[test]
fn the_number_of_pairs_has_a_bound_and_work_is_counted() {
    let mut bench = Bench::new(ALL);
    let birth = || (0..500).map(|at| number(&format!("m{at}"), at)).chain([bd_seq(0)]).collect();
    let taken = |bench: &mut Bench| {
        let before = steps::taken();
        bench.node("NBIRTH", birth());
        steps::taken() - before
    };
    let _ = taken(&mut bench);
    let without = taken(&mut bench);
    bench.observe(NEXT);
    let with = taken(&mut bench);
    assert!(with >= without + 500, "{with} {without}");
    assert!(with <= without + 2_000, "{with} {without}");
    // Windows that turn are followed by an entity at its next message, in work that is counted.
    let work = bench.pipeline.work();
    bench.observe(IN_FORCE);
    bench.node("NDATA", vec![by_alias(1, Value::Int(1))]);
    assert!(bench.pipeline.work() - work >= 500 * 64);
}

/// Policies under which the node is always known, without what holds values back.
const PLAIN: [&str; 6] = [
    ALL,
    IN_FORCE_M,
    "[[rule]]\nname = \"one\"\naction = \"forward\"\ngroup = \"G\"\nallow-metrics = [\"m0\"]\n",
    "[[rule]]\nname = \"typed\"\naction = \"forward\"\ngroup = \"G\"\ndatatypes = [\"Int32\"]\n\
     deny-metrics = [\"m2\"]\n[[rule]]\nname = \"rest\"\naction = \"forward\"\ngroup = \"G\"\n\
     allow-metrics = [\"m3\", \"m1\"]\n",
    "[[rule]]\nname = \"all\"\naction = \"forward\"\ngroup = \"G\"\n[[rule]]\nname = \"no\"\n\
     action = \"deny\"\ndevice = \"D1\"\ndeny-metrics = [\"m1\", \"m3\"]\n",
    "[[rule]]\nname = \"soon\"\naction = \"forward\"\ngroup = \"G\"\nallow-metrics = [\"m0\", \"m1\"]\n\
     [[rule]]\nname = \"window\"\naction = \"deny\"\ngroup = \"G\"\ndeny-metrics = [\"m1\"]\n\
     not-before = \"2023-11-14T22:13:25Z\"\nnot-after = \"2023-11-14T22:13:32Z\"\n",
];
const IN_FORCE_M: &str = r#"
    [[rule]]
    name = "two"
    action = "forward"
    group = "G"
    allow-metrics = ["m0", "m1"]
    deny-metrics = ["m3"]
"#;

/// Births in the order of the specification, and data of what is born.
fn plain() -> impl Strategy<Value = (usize, Vec<u64>, u64)> {
    (0_usize..3, vec(0_u64..4, 0..5), 0_u64..2_500)
}

fn births(bench: &mut Bench) {
    let metrics = || (0..4).map(|at| number(&format!("m{at}"), at));
    bench.node("NBIRTH", metrics().chain([bd_seq(0)]).collect());
    bench.node("DBIRTH/D1", metrics().collect());
    bench.node("DBIRTH/D2", metrics().collect());
}

/// The names of the metrics that crossed as data.
fn crossed(frames: &[journal_format::Relayed]) -> Vec<String> {
    let data = frames.iter().filter(|frame| frame.topic.contains("DATA"));
    let names = data.flat_map(|frame| {
        let payload = payload(frame);
        names_of(&payload).into_iter().map(str::to_owned).collect::<Vec<_>>()
    });
    names.collect()
}

proptest! {
    #[test]
    fn what_looks_on_changes_nothing(
        first in 0..POLICIES.len(),
        next in select([POLICIES.as_slice(), &PLAIN, &[NEXT]].concat()),
        steps in vec(step(), 0..100),
    ) {
        let (mut with, mut without) = (Bench::new(POLICIES[first]), Bench::new(POLICIES[first]));
        with.observe(next);
        let (mut last, mut last_without) = (None, None);
        for step in steps {
            run(&mut with, step.clone(), &mut last);
            run(&mut without, step, &mut last_without);
        }
        let bytes = |bench: &Bench| -> Vec<Vec<u8>> {
            let bytes = |body: &journal_format::Body| {
                let mut bytes = Vec::new();
                body.encode(&mut bytes);
                bytes
            };
            bench.journal.iter().map(bytes).collect()
        };
        assert_eq!(bytes(&with), bytes(&without));
        assert_eq!(with.pipeline.account(), without.pipeline.account());
        assert_eq!(with.pipeline.heartbeat(with.now), without.pipeline.heartbeat(with.now));
        let matches = |bench: &Bench| bench.pipeline.rule_matches().1.collect::<Vec<_>>();
        assert_eq!(matches(&with), matches(&without));
    }

    /// What the policy in shadow is said to decide is what it decides where it is in force.
    #[test]
    fn hits_in_shadow_are_those_that_it_has_in_force(
        in_force in select(PLAIN.as_slice()),
        next in select(PLAIN.as_slice()),
        messages in vec(plain(), 0..40),
    ) {
        let (mut beside, mut real) = (Bench::new(in_force), Bench::new(next));
        beside.observe(next);
        births(&mut beside);
        births(&mut real);
        for (of, aliases, ms) in messages {
            let what = ["NDATA", "DDATA/D1", "DDATA/D2"][of];
            let before = totals(&beside);
            let mut both = Vec::new();
            for bench in [&mut beside, &mut real] {
                bench.pass(ms);
                // What turns is turned before the message is looked at.
                bench.tick();
                let data = aliases.iter().map(|alias| by_alias(*alias, Value::Int(7))).collect();
                both.push(crossed(&bench.node(what, data)));
            }
            let [is, would] = both.as_slice() else { unreachable!() };
            let after = totals(&beside);
            let count = |these: &[String], others: &[String]| {
                these.iter().filter(|name| !others.contains(name)).count() as u64
            };
            assert_eq!(after.newly - before.newly, count(would, is), "{is:?} {would:?}");
            assert_eq!(after.no_longer - before.no_longer, count(is, would), "{is:?} {would:?}");
        }
        // Windows that turn have the one in force judge anew what it knows.
        let hits = |hits: RuleMatches| RuleMatches { known: false, ..hits };
        let would: Vec<RuleMatches> = beside.pipeline.shadow().unwrap().hits().map(hits).collect();
        assert_eq!(would, real.pipeline.rule_matches().1.map(hits).collect::<Vec<_>>());
    }
}

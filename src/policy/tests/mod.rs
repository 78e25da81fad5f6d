//! Tests of the policy as its users see it: verdicts, several files, scope, subscriptions, the
//! shipped samples, and how it grows with the number of rules.

mod keeps;
pub(crate) mod reference;
mod rules_agree;
mod shapes_agree;

use std::fmt::Write;
use std::path::Path;

use account::Reason;
use diagnostic::{Diagnostics, Section};
use sparkplug::{DataType, Entity};

use super::{Action, Annotations, Policy, PolicyFile, Renames, Rule, RuleId, SourceFile, Verdict};

const FLOAT: Option<DataType> = Some(DataType::Float);

fn parse(files: &[(&str, &str)]) -> Result<(Policy, Diagnostics), Diagnostics> {
    let sources: Vec<SourceFile> =
        files.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect();
    Policy::parse(&sources)
}

fn policy(text: &str) -> Policy {
    match parse(&[("test.toml", text)]) {
        Ok((policy, _)) => policy,
        Err(problems) => panic!("{problems}"),
    }
}

fn rule(name: &str, action: &str, rest: &str) -> String {
    format!("[[rule]]\nname = \"{name}\"\naction = \"{action}\"\n{rest}\n")
}

fn forward(rest: &str) -> Policy {
    policy(&rule("only", "forward", rest))
}

/// The samples have cases, which the tools read.
struct CasesUnread;

impl Annotations<'_> for CasesUnread {
    fn read(&mut self, _: &PolicyFile<'_>, file: &mut Section<'_, '_>, _: &mut Diagnostics) {
        let _ = file.any("case");
    }

    fn misplaced(&self, _: &str) -> Option<String> {
        None
    }

    fn finish(&mut self, _: &[Rule], _: &Renames, _: &mut Diagnostics) {}
}

fn sample(name: &str) -> Policy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    match Policy::parse_annotated(&[SourceFile::new(name, text)], &mut CasesUnread) {
        Ok((policy, warnings)) if warnings.is_empty() => policy,
        Ok((_, problems)) | Err(problems) => panic!("{problems}"),
    }
}

/// The verdict as words: the rule that forwards, or reason and rule of the drop.
fn verdict(policy: &Policy, entity: Entity<'_>, metric: &str, datatype: DataType) -> String {
    let name = |id: RuleId| policy.rule(id).unwrap().name();
    match policy.judge(entity, metric, Some(datatype)) {
        Verdict::Forward { rule } => name(rule).to_owned(),
        Verdict::Redact { rule, .. } => format!("redacted by {}", name(rule)),
        Verdict::Drop { reason, rule: Some(rule) } => format!("{reason} by {}", name(rule)),
        Verdict::Drop { reason, rule: None } => reason.to_string(),
    }
}

#[test]
fn what_no_rule_forwards_is_dropped_for_one_of_three_reasons() {
    let policy = forward(
        "group = \"Plant1\"\nedge-node = \"Line4\"\nallow-metrics = [\"Temp/**\"]\n\
         deny-metrics = [\"**/Secret*\"]\ndatatypes = [\"Float\", \"Double\"]",
    );
    let line4 = Entity::node("Plant1", "Line4");
    let line5 = Entity::node("Plant1", "Line5");
    for (entity, metric, datatype, expected) in [
        (line4, "Temp/1", DataType::Float, "only"),
        (line4, "Pressure", DataType::Float, "no_rule"),
        (line5, "Temp/1", DataType::Float, "no_rule"),
        (line4, "Temp/Secret1", DataType::Float, "denied by only"),
        (line4, "Other/Secret1", DataType::String, "denied by only"),
        (line4, "Temp/1", DataType::String, "datatype by only"),
        (Entity::device("Plant1", "Line4", "Press"), "Temp/1", DataType::Double, "only"),
    ] {
        assert_eq!(verdict(&policy, entity, metric, datatype), expected, "{entity} {metric}");
    }
    let untyped = policy.judge(line4, "Temp/1", None);
    assert_eq!(untyped, Verdict::Drop { reason: Reason::Datatype, rule: Some(RuleId(0)) });
}

#[test]
fn deny_wins_from_any_file_and_rules_are_numbered_by_file_name() {
    let forward = rule("all", "forward", "group = \"*\"");
    let deny = rule("no-secrets", "deny", "group = \"*\"\ndeny-metrics = \"Secret\"");
    let node = Entity::node("G", "E");
    let mut digests = Vec::new();
    for files in [
        [("/a/10-allow.toml", &*forward), ("/a/20-deny.toml", &*deny)],
        [("/b/20-deny.toml", &*deny), ("/b/10-allow.toml", &*forward)],
    ] {
        let (policy, warnings) = parse(&files).unwrap();
        assert!(warnings.is_empty());
        assert_eq!(policy.rules()[0].name(), "all");
        assert_eq!(policy.rules()[1].action(), Action::Deny);
        assert_eq!(verdict(&policy, node, "Secret", DataType::Float), "denied by no-secrets");
        assert_eq!(verdict(&policy, node, "Open", DataType::Float), "all");
        digests.push(policy.digest().to_owned());
    }
    assert_eq!(digests[0], digests[1]);
    let (swapped, _) = parse(&[("10.toml", &deny), ("20.toml", &forward)]).unwrap();
    assert_eq!(swapped.rules()[0].name(), "no-secrets");
    assert_eq!(verdict(&swapped, node, "Secret", DataType::Float), "denied by no-secrets");
    assert_ne!(swapped.digest(), digests[0]);
}

#[test]
fn problems_of_all_files_are_reported_in_one_run() {
    let problems = parse(&[
        ("a.toml", &rule("one", "forward", "group = \"G\"\ncolour = 1")),
        ("b.toml", "not toml"),
        ("c.toml", &rule("one", "forward", "topic = \"spBv1.0/G/NCMD/E\"")),
    ])
    .unwrap_err();
    let text = problems.to_string();
    for expected in [
        "error[P002]: unknown key: `colour`\n --> a.toml:5:1",
        "error[P001]",
        " --> b.toml:1:",
        "error[P006]: two rules are called `one`\n --> c.toml:2:8",
        " ::: a.toml:2:8",
        "error[P010]: commands can't be allowed: `NCMD`\n --> c.toml:4:20",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    assert_eq!(problems.len(), 4, "{text}");
}

#[test]
fn no_files_forward_nothing() {
    let (policy, _) = parse(&[]).unwrap();
    assert!(policy.rules().is_empty() && policy.subscriptions().is_empty());
    assert!(!policy.node_in_scope("G", "E"));
    let nothing = Verdict::Drop { reason: Reason::NoRule, rule: None };
    assert_eq!(policy.judge(Entity::node("G", "E"), "a", FLOAT), nothing);
}

#[test]
fn oversized_file_is_refused_before_it_is_parsed() {
    let text = " ".repeat(16 * 1024 * 1024 + 1);
    let problems = parse(&[("big.toml", &text)]).unwrap_err();
    assert!(problems.to_string().starts_with("error[P016]"), "{problems}");
}

#[test]
fn deeply_nested_document_is_refused_without_exhausting_the_stack() {
    for text in [format!("a = {}", "[".repeat(100_000)), format!("{}b = 1", "a.".repeat(100_000))] {
        assert!(parse(&[("deep.toml", &text)]).unwrap_err().has_errors());
    }
}

#[test]
fn template_members_are_denied_by_path_and_by_datatype() {
    let text = [
        rule("all", "forward", "group = \"G\"\ndeny-metrics = \"*/Secret\""),
        rule("no-files", "deny", "group = \"G\"\ndatatypes = \"File\""),
    ];
    let policy = policy(&text.concat());
    let plan = policy.plan(Entity::node("G", "E"));
    let member = |path, datatype| plan.denies_member(path, datatype);
    assert_eq!(member("Motor/Secret", FLOAT), Some((Reason::Denied, Some(RuleId(0)))));
    assert_eq!(member("Motor/Speed", FLOAT), None);
    assert_eq!(
        member("Motor/Manual", Some(DataType::File)),
        Some((Reason::Denied, Some(RuleId(1))))
    );
    assert_eq!(member("Motor/Unknown", None), Some((Reason::Denied, Some(RuleId(1)))));
}

#[test]
fn node_is_out_of_scope_only_if_all_of_it_is_denied() {
    let forward_all = rule("all", "forward", "group = \"G\"");
    let forward_d = rule("d", "forward", "group = \"G\"\ndevice = \"D\"");
    let deny = |rest: &str| rule("deny", "deny", &format!("edge-node = \"E\"\n{rest}"));
    for (forward, rest, in_scope) in [
        (&forward_all, "", false),
        (&forward_all, "topic = \"spBv1.0/G/+/E/#\"", false),
        (&forward_all, "topic = [\"spBv1.0/+/+/E\", \"spBv1.0/G/+/E/+\"]", false),
        (&forward_all, "deny-metrics = \"**\"", false),
        (&forward_all, "deny-metrics = \"*\"", true),
        (&forward_all, "datatypes = \"Float\"", true),
        (&forward_all, "node-only = true", true),
        (&forward_all, "device = \"*\"", true),
        (&forward_d, "device = \"*\"", false),
        (&forward_d, "device = [\"C\", \"D\"]", false),
        (&forward_d, "device = \"C\"", true),
        (&forward_d, "node-only = true", true),
        (&forward_d, "group = \"other\"", true),
    ] {
        let policy = policy(&[forward.clone(), deny(rest)].concat());
        assert_eq!(policy.node_in_scope("G", "E"), in_scope, "{forward} {rest}");
        assert!(policy.node_in_scope("G", "F"));
        assert!(!policy.node_in_scope("H", "E"));
    }
}

#[test]
fn subscriptions_are_as_narrow_as_mqtt_allows() {
    let of = |rest: &str| forward(rest).subscriptions();
    let node = ["NBIRTH", "NDEATH", "NDATA"];
    let device = ["DBIRTH", "DDEATH", "DDATA"];
    let filters = |types: [&str; 3], group: &str, rest: &str| {
        types.map(|kind| format!("spBv1.0/{group}/{kind}/{rest}")).to_vec()
    };
    let both = |group, of_node, of_device| {
        [filters(node, group, of_node), filters(device, group, of_device)].concat()
    };
    assert_eq!(of("group = \"*\""), both("+", "+", "+/+"));
    assert_eq!(of("group = \"G\"\nedge-node = \"E\""), both("G", "E", "E/+"));
    assert_eq!(of("group = \"G\"\nedge-node = \"E\"\nnode-only = true"), filters(node, "G", "E"));
    assert_eq!(of("group = \"G\"\ndevice = \"D\""), both("G", "+", "+/D"));
    assert_eq!(of("group = \"G\"\ndevice = [\"D\", \"X*\"]"), both("G", "+", "+/+"));
    assert_eq!(of("topic = \"spBv1.0/G/+/E/D\""), both("G", "E", "E/D"));
    assert_eq!(of("topic = \"spBv1.0/G/+/#\"\nedge-node = \"E\""), both("G", "E", "E/+"));
    assert_eq!(of("topic = \"spBv1.0/G/+/E\""), filters(node, "G", "E"));
    // The first filter and the device selector have nothing in common.
    let split = "topic = [\"spBv1.0/G/+/E/D\", \"spBv1.0/G/+/F/#\"]\ndevice = \"X\"";
    assert_eq!(of(split), both("G", "F", "F/X"));
    let covered = [
        rule("wide", "forward", "group = \"G\""),
        rule("narrow", "forward", "group = \"G\"\nedge-node = \"E\""),
        rule("deny", "deny", "group = \"H\""),
    ];
    assert_eq!(policy(&covered.concat()).subscriptions(), both("G", "+", "+/+"));
}

#[test]
fn sequence_numbers_are_followed_only_where_all_messages_are_seen() {
    let all = forward("group = \"G\"\nedge-node = \"E\"");
    assert!(all.sees_every_message_of("G", "E"));
    assert!(!all.sees_every_message_of("G", "F"));
    assert!(!forward("group = \"G\"\ndevice = \"D\"").sees_every_message_of("G", "E"));
    assert!(!forward("group = \"G\"\nnode-only = true").sees_every_message_of("G", "E"));
    assert!(forward("group = \"G\"\ndevice = \"D*\"").sees_every_message_of("G", "E"));
}

#[test]
fn rules_describe_themselves_in_words() {
    let described = |text: &str| policy(text).rules()[0].describe();
    assert_eq!(
        described(&rule("a", "forward", "group = \"Plant1\"")),
        "forwards everything of all edge nodes in group `Plant1` with all devices"
    );
    assert_eq!(
        described(&rule(
            "a",
            "forward",
            "group = [\"P1\", \"P2\"]\nedge-node = \"Line*\"\ndevice = \"Press1\"\n\
             allow-metrics = [\"A\", \"B/**\"]\ndeny-metrics = \"**/C\"\n\
             datatypes = [\"Float\", \"Double\"]\n\
             [rule.rate]\nmessages-per-s = 0.5\nbytes-per-s = 2000"
        )),
        "forwards metrics `A` and `B/**` except `**/C` of type Float or Double of device \
         `Press1` of edge nodes `Line*` in groups `P1` and `P2`, at most 0.5 messages/s (burst \
         1) and 2000 bytes/s (burst 2000) of data for all that this rule forwards together"
    );
    assert_eq!(
        described(&rule("a", "deny", "group = \"*\"\ndatatypes = \"File\"")),
        "denies metrics of type File of all edge nodes in all groups with all devices"
    );
    assert_eq!(
        described(&rule("a", "deny", "topic = \"spBv1.0/+/+/E\"\nnode-only = true")),
        "denies everything of the own metrics of all edge nodes under `spBv1.0/+/+/E`"
    );
}

#[test]
fn sample_everything_from_one_group_is_what_it_says() {
    let policy = sample("everything-from-one-group.toml");
    let at = |entity| verdict(&policy, entity, "any/metric", DataType::String);
    assert_eq!(at(Entity::node("Plant1", "Line4")), "plant1");
    assert_eq!(at(Entity::device("Plant1", "Line4", "Press1")), "plant1");
    assert_eq!(at(Entity::node("Plant2", "Line4")), "no_rule");
    assert_eq!(policy.subscriptions().len(), 6);
}

#[test]
fn sample_one_line_temperatures_is_what_it_says() {
    let policy = sample("one-line-temperatures.toml");
    let oven = Entity::device("Plant1", "Line4", "Oven2");
    let line4 = Entity::node("Plant1", "Line4");
    for (entity, metric, datatype, expected) in [
        (oven, "Temperature/Zone1/Raw", DataType::Float, "line4-oven-temperatures"),
        (oven, "Zone1/Temperature", DataType::Double, "line4-oven-temperatures"),
        (oven, "Temperature/Note", DataType::String, "datatype by line4-oven-temperatures"),
        (oven, "Recipe", DataType::Float, "no_rule"),
        (oven, "Health/CPU", DataType::Float, "no_rule"),
        (line4, "Health/CPU", DataType::Float, "line4-node-health"),
        (line4, "Health/CPU/Core1", DataType::Float, "no_rule"),
        (line4, "Temperature/Zone1", DataType::Float, "no_rule"),
        (Entity::device("Plant1", "Line5", "Oven2"), "Temperature/1", DataType::Float, "no_rule"),
    ] {
        assert_eq!(verdict(&policy, entity, metric, datatype), expected, "{entity} {metric}");
    }
}

#[test]
fn sample_vendor_view_is_what_it_says() {
    let policy = sample("vendor-view.toml");
    let press = Entity::device("Plant2", "Line1", "Press1");
    let secret = Entity::device("Plant1", "Line9", "Press1");
    for (entity, metric, datatype, expected) in [
        (press, "Condition/Oil", DataType::Float, "vendor-presses"),
        (press, "Condition/Operator", DataType::String, "denied by vendor-presses"),
        (press, "Alarm/Operator/Name", DataType::String, "denied by vendor-presses"),
        (press, "Condition/RecipeId", DataType::Int32, "denied by no-recipes"),
        (press, "Condition/Setpoints/Oil", DataType::Float, "denied by no-recipes"),
        (press, "Condition/Image", DataType::File, "denied by no-files"),
        (press, "Speed", DataType::Float, "no_rule"),
        (secret, "Condition/Oil", DataType::Float, "denied by prototype-line-is-secret"),
    ] {
        assert_eq!(verdict(&policy, entity, metric, datatype), expected, "{entity} {metric}");
    }
    assert!(policy.node_in_scope("Plant1", "Line8"));
    assert!(!policy.node_in_scope("Plant1", "Line9"));
}

#[test]
fn sample_by_topic_is_what_it_says() {
    let policy = sample("by-topic.toml");
    let at = |entity| verdict(&policy, entity, "a", DataType::Float);
    assert_eq!(at(Entity::node("Plant1", "Line4")), "line4-and-line5");
    assert_eq!(at(Entity::device("Plant1", "Line5", "Press1")), "line4-and-line5");
    assert_eq!(at(Entity::device("Plant1", "Line6", "Robot1")), "all-robots");
    assert_eq!(at(Entity::device("Plant1", "Line6", "Press1")), "no_rule");
    assert_eq!(at(Entity::node("Plant1", "Line6")), "no_rule");
}

#[test]
fn sample_rates_is_what_it_says() {
    let policy = sample("rates.toml");
    let sensor = Entity::device("Plant1", "Packaging2", "Vibration7");
    assert_eq!(verdict(&policy, sensor, "a", DataType::Float), "vibration-samples");
    let node = Entity::node("Plant1", "Packaging2");
    assert_eq!(verdict(&policy, node, "a", DataType::Float), "packaging");
    let rates: Vec<_> = policy.rules().iter().map(|rule| rule.rate().unwrap()).collect();
    assert_eq!(rates[0].messages.unwrap().burst, 1);
    assert_eq!(rates[1].bytes.unwrap().burst, 100_000);
}

#[test]
fn sample_names_on_it_is_what_it_says() {
    let policy = sample("names-on-it.toml");
    let press = Entity::device("Plant1", "Line4", "Press1");
    assert_eq!(
        policy.renames().exported(press),
        Ok(Entity::device("emea-plant-7", "packaging", "press-left"))
    );
    assert_eq!(verdict(&policy, press, "PLC7/Temp", DataType::Float), "line4-values");
    let prefixes = policy.rules()[0].prefixes().unwrap();
    assert_eq!(prefixes.exported_name("PLC7/Temp"), "line/Temp");
    assert_eq!(policy.renames().describe().len(), 3);
}

#[test]
fn sample_limited_link_is_what_it_says() {
    let policy = sample("limited-link.toml");
    let press = Entity::device("Plant1", "Line4", "Press1");
    assert_eq!(verdict(&policy, press, "Alarm/1", DataType::Boolean), "alarms");
    assert_eq!(policy.rules()[0].priority(), crate::Priority::High);
    let limits = policy.limits();
    assert_eq!(
        limits.link.unwrap().describe(),
        "at most 50 messages/s (burst 50) and 20000 bytes/s (burst 20000) of data"
    );
    assert_eq!(limits.node.unwrap().messages.unwrap().burst, 20);
}

#[test]
fn sample_vendor_window_is_what_it_says() {
    let mut policy = sample("vendor-window.toml");
    let robot = Entity::device("Plant1", "Line4", "Robot1");
    let at = |policy: &mut Policy, ms| {
        let _ = policy.set_time(ms);
        verdict(policy, robot, "Condition/Operator", DataType::String)
    };
    // A Tuesday, 10:00 and 20:00; the day of the end, 15:59 and 16:00.
    assert_eq!(at(&mut policy, 1_795_514_400_000), "vendor-commissioning");
    assert_eq!(at(&mut policy, 1_795_550_400_000), "no_rule");
    assert_eq!(at(&mut policy, 1_798_127_940_000), "vendor-commissioning");
    assert_eq!(at(&mut policy, 1_798_128_000_000), "no_rule");
    assert_eq!(
        policy.rules()[0].schedule().unwrap().to_string(),
        "from 2026-11-02T00:00:00Z until 2026-12-24T16:00:00Z on mon, tue, wed, thu, fri from \
         07:00 to 16:00 UTC"
    );
}

#[test]
fn sample_shaping_is_what_it_says() {
    let policy = sample("shaping.toml");
    let node = Entity::node("Plant1", "Line4");
    assert_eq!(verdict(&policy, node, "State", DataType::String), "line4-quality");
    assert_eq!(verdict(&policy, node, "Other", DataType::String), "no_rule");
}

#[test]
fn sample_ovens_of_three_lines_is_what_it_says() {
    let policy = sample("ovens-of-three-lines.toml");
    let oven = |line| Entity::device("Plant1", line, "Oven1");
    let of = |metric, datatype| verdict(&policy, oven("Line2"), metric, datatype);
    assert_eq!(of("Alarm/Door", DataType::Boolean), "alarms");
    assert_eq!(of("Temperature/Zone1", DataType::Float), "ovens");
    assert_eq!(of("Operator", DataType::String), "ovens");
    assert_eq!(of("Temperature/Recipe", DataType::Float), "denied by no-recipes");
    // Before the first window is known to be open.
    assert_eq!(of("Condition/Fan", DataType::Float), "no_rule");
    assert_eq!(verdict(&policy, oven("Line4"), "Alarm/Door", DataType::Boolean), "no_rule");
    let renamed = policy.renames().exported(oven("Line2")).unwrap();
    assert_eq!(renamed, Entity::device("bakery-north", "rolls", "Oven1"));
}

#[test]
fn every_sample_has_its_test() {
    let tested = include_str!("mod.rs");
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let mut samples = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        assert!(tested.contains(&format!("sample(\"{name}\")")), "{name} has no test");
        samples += 1;
    }
    assert!(samples >= 5);
}

/// Prints how long it takes; what it asserts is only that the right rule is found.
#[test]
fn plan_among_ten_thousand_rules_finds_its_own() {
    #[expect(clippy::disallowed_methods, reason = "measures; nothing depends on the result")]
    let now = std::time::Instant::now;
    let rules = 10_000;
    let shapes: [(&str, &dyn Fn(usize) -> String); 4] = [
        ("a node each", &|number| {
            format!("group = \"G\"\nedge-node = \"E{number}\"\nallow-metrics = \"M*/**\"")
        }),
        ("a node glob each", &|number| {
            format!("group = \"G\"\nedge-node = \"E{number}*\"\nallow-metrics = \"M*/**\"")
        }),
        ("a metric each", &|number| format!("group = \"G\"\nallow-metrics = \"M{number}/v\"")),
        ("a metric glob each", &|number| {
            format!("group = \"G\"\nallow-metrics = [\"M{number}/**\", \"**/X{number}\"]")
        }),
    ];
    for (shape, selectors) in shapes {
        let mut text = String::new();
        for number in 0..rules {
            let _ = write!(text, "{}", rule(&format!("r{number}"), "forward", &selectors(number)));
        }
        let start = now();
        let policy = policy(&text);
        let parsed = start.elapsed();
        let metrics: Vec<String> = (9_400..9_900).map(|number| format!("M{number}/v")).collect();
        let start = now();
        let plan = policy.plan(Entity::node("G", "E9999"));
        let planned = start.elapsed();
        let mut found = 0;
        for metric in &metrics {
            match plan.judge(metric, FLOAT) {
                Verdict::Forward { .. } => found += 1,
                Verdict::Drop { .. } | Verdict::Redact { .. } => {}
            }
        }
        let judged = start.elapsed();
        println!("{shape}: parse {parsed:?}, plan {planned:?}, with 500 verdicts {judged:?}");
        assert_eq!(found, 500, "{shape}");
    }
}

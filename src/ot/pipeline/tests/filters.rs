//! What the policy doesn't forward leaves no trace, and what it forwards stays a valid session.

use account::Reason;
use prost::Message;
use sparkplug::{
    DataType, MetaData, Metric, Parameter, PropertySet, PropertyValue, Template, Value, names,
};

use super::bench::{
    ALL, Bench, aliased, bd_seq, by_alias, by_name, names_of, payload, relayed, typed, value_of,
    verbs,
};

const TEMPERATURES: &str = r#"
    [[rule]]
    name = "temperatures"
    action = "forward"
    group = "G"
    allow-metrics = ["Temp/**"]
    deny-metrics = ["**/Secret*"]
"#;

fn secret(name: &str, alias: u64) -> Metric {
    let property = PropertyValue {
        r#type: Some(12),
        value: Some(sparkplug::Property::String("SecretProperty".into())),
        ..PropertyValue::default()
    };
    Metric {
        metadata: Some(Box::new(MetaData {
            description: Some("SecretDescription".into()),
            ..MetaData::default()
        })),
        properties: Some(Box::new(PropertySet {
            keys: vec!["SecretKey".into()],
            values: vec![property],
        })),
        ..aliased(name, alias, DataType::String, Value::String("SecretValue".into()))
    }
}

#[test]
fn denied_metrics_are_absent_from_births_data_and_keyframes() {
    let mut bench = Bench::new(TEMPERATURES);
    let birth = vec![
        bd_seq(0),
        aliased("Temp/1", 1, DataType::Double, Value::Double(1.0)),
        secret("Temp/SecretOne", 2),
        secret("Recipe", 3),
    ];
    let frames = bench.node("NBIRTH", birth.clone());
    assert_eq!(names_of(&payload(&frames[0])), ["bdSeq", "Temp/1"]);
    bench.node("DBIRTH/D", birth[1..].to_vec());
    for what in ["NDATA", "DDATA/D"] {
        let data = vec![
            by_alias(2, Value::String("SecretValue".into())),
            by_alias(1, Value::Double(2.0)),
            by_alias(3, Value::String("SecretValue".into())),
        ];
        let frames = bench.node(what, data);
        assert_eq!(names_of(&payload(&frames[0])), ["Temp/1"]);
    }
    assert!(bench.node("NDATA", vec![by_alias(3, Value::String("SecretValue".into()))]).is_empty());
    assert_eq!(bench.dropped(Reason::NoRule), 1);
    assert_eq!(bench.dropped_metrics(Reason::Denied), 4);
    bench.pass(60_000);
    bench.tick();
    assert!(!bench.leaks("Secret"));
    assert!(bench.leaks("Temp/1"));
}

#[test]
fn a_node_in_scope_is_born_even_if_none_of_its_metrics_cross() {
    let text = r#"
        [[rule]]
        name = "presses"
        action = "forward"
        device = "Press*"
    "#;
    let mut bench = Bench::new(text);
    let frames = bench.node(
        "NBIRTH",
        vec![
            bd_seq(3),
            typed(names::REBIRTH, DataType::Boolean, Value::Boolean(true)),
            secret("SecretRecipe", 3),
        ],
    );
    assert_eq!(names_of(&payload(&frames[0])), ["bdSeq", names::REBIRTH]);
    assert_eq!(value_of(&payload(&frames[0]), names::REBIRTH), Some(Value::Boolean(false)));
    assert!(bench.node("DBIRTH/SecretOven", vec![secret("x", 1)]).is_empty());
    assert!(
        bench.node("DDATA/SecretOven", vec![by_alias(1, Value::String("y".into()))]).is_empty()
    );
    assert!(bench.node("DDEATH/SecretOven", vec![]).is_empty());
    let frames = bench.node("DBIRTH/Press1", vec![typed("x", DataType::Int8, Value::Int(1))]);
    assert_eq!(verbs(&frames), "DBIRTH");
    assert_eq!(verbs(&bench.node("DDEATH/Press1", vec![])), "DDEATH");
    assert_eq!(verbs(&bench.node("NDEATH", vec![bd_seq(3)])), "NDEATH");
    assert!(!bench.leaks("Secret"));
}

#[test]
fn control_metrics_never_cross() {
    let mut bench = Bench::new(ALL);
    let control = |name| aliased(name, 7, DataType::Boolean, Value::Boolean(false));
    let frames = bench.node("NBIRTH", vec![control("Node Control/Reboot")]);
    assert!(payload(&frames[0]).metrics.is_empty());
    let frames = bench.node(
        "DBIRTH/D",
        vec![control("Device Control/Rebirth"), typed("x", DataType::Int8, Value::Int(1))],
    );
    assert_eq!(names_of(&payload(&frames[0])), ["x"]);
    assert!(bench.node("NDATA", vec![by_alias(7, Value::Boolean(true))]).is_empty());
    assert_eq!(bench.dropped(Reason::ControlMetric), 1);
    assert!(!bench.leaks("Control/"));
}

#[test]
fn a_policy_change_bears_and_buries() {
    let mut bench = Bench::new(TEMPERATURES);
    bench.node(
        "NBIRTH",
        vec![
            bd_seq(0),
            aliased("Temp/1", 1, DataType::Double, Value::Double(1.0)),
            aliased("Pressure", 2, DataType::Double, Value::Double(10.0)),
        ],
    );
    bench.node("DBIRTH/D", vec![aliased("Temp/2", 1, DataType::Int8, Value::Int(1))]);
    bench.node("DBIRTH/F", vec![aliased("Pressure", 1, DataType::Int8, Value::Int(1))]);
    // Values that don't cross aren't remembered.
    bench.node("NDATA", vec![by_alias(2, Value::Double(11.0))]);

    let frames = bench.reload(ALL);
    assert_eq!(verbs(&frames), "NBIRTH DBIRTH DBIRTH");
    assert!(frames.iter().all(|frame| frame.synthetic && !frame.loss_before));
    assert_eq!(value_of(&payload(&frames[0]), "Pressure"), None);
    assert!(bench.reload(ALL).is_empty());

    let frames = bench.reload(TEMPERATURES);
    assert_eq!(verbs(&frames), "DDEATH NBIRTH DBIRTH");
    let frames = bench.reload(
        r#"
        [[rule]]
        name = "device"
        action = "forward"
        device = "D"
        "#,
    );
    assert_eq!(verbs(&frames), "NBIRTH DBIRTH");
    let frames = bench.reload("");
    assert_eq!(verbs(&frames), "NDEATH");
    assert!(bench.node("NDATA", vec![by_alias(1, Value::Double(1.0))]).is_empty());
    assert_eq!(verbs(&bench.reload(ALL)), "NBIRTH DBIRTH DBIRTH");
}

#[test]
fn rates_drop_data_never_births_and_the_newest_value_gets_through() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "slow"
        action = "forward"
        group = "G"
        [rule.rate]
        messages-per-s = 1
        burst-messages = 1
        "#,
    );
    let birth = || vec![aliased("x", 1, DataType::Int8, Value::Int(0))];
    for _ in 0..3 {
        assert_eq!(verbs(&bench.node("NBIRTH", birth())), "NBIRTH");
    }
    assert_eq!(bench.node("NDATA", vec![by_alias(1, Value::Int(1))]).len(), 1);
    for value in 2..10 {
        assert!(bench.node("NDATA", vec![by_alias(1, Value::Int(value))]).is_empty());
    }
    assert_eq!(bench.dropped(Reason::Conflated), 7);
    bench.pass(500);
    assert!(relayed(&bench.tick()).is_empty());
    bench.pass(600);
    let flushed = relayed(&bench.tick());
    assert_eq!(value_of(&payload(&flushed[0]), "x"), Some(Value::Int(9)));
    assert!(flushed[0].synthetic);
    bench.pass(5000);
    assert!(relayed(&bench.tick()).is_empty());
    assert_eq!(verbs(&bench.node("NDEATH", vec![])), "NDEATH");
}

fn member(name: &str, value: Value) -> Metric {
    let datatype = if matches!(value, Value::Template(_)) { 19 } else { 12 };
    Metric {
        name: Some(name.into()),
        datatype: Some(datatype),
        value: Some(value),
        ..Metric::default()
    }
}

fn text(text: &str) -> Value {
    Value::String(text.into())
}

fn definition(name: &str, metrics: Vec<Metric>) -> Metric {
    let parameters =
        vec![Parameter { name: Some("SecretParameter".into()), ..Parameter::default() }];
    let template =
        Template { metrics, parameters, is_definition: Some(true), ..Template::default() };
    typed(name, DataType::Template, Value::Template(Box::new(template)))
}

fn instance(name: &str, reference: &str, metrics: Vec<Metric>) -> Metric {
    let template =
        Template { metrics, template_ref: Some(reference.into()), ..Template::default() };
    typed(name, DataType::Template, Value::Template(Box::new(template)))
}

fn template_of(metric: &Metric) -> &Template {
    let Some(Value::Template(template)) = &metric.value else { panic!("{metric:?}") };
    template
}

fn member_names(metric: &Metric) -> Vec<&str> {
    template_of(metric).metrics.iter().map(|member| member.name.as_deref().unwrap()).collect()
}

const NO_SECRETS: &str = r#"
    [[rule]]
    name = "motors"
    action = "forward"
    group = "G"
    deny-metrics = ["Motor1/SecretTorque", "*/Drive/SecretKey", "**/SecretParameter"]
"#;

#[test]
fn a_denied_member_leaves_every_instance_and_the_definition() {
    let mut bench = Bench::new(NO_SECRETS);
    let motor = || vec![member("speed", text("1")), member("SecretTorque", text("SecretValue"))];
    let frames = bench.node(
        "NBIRTH",
        vec![
            definition("_types_/Motor", motor()),
            definition("Unused", vec![member("SecretMember", text("SecretValue"))]),
            instance("Motor1", "Motor", motor()),
            instance("Motor2", "Motor", motor()),
        ],
    );
    let birth = payload(&frames[0]);
    assert_eq!(names_of(&birth), ["_types_/Motor", "Motor1", "Motor2"]);
    for metric in &birth.metrics {
        assert_eq!(member_names(metric), ["speed"]);
    }
    assert_eq!(template_of(&birth.metrics[0]).is_definition, Some(true));
    assert_eq!(template_of(&birth.metrics[1]).is_definition, Some(false));
    let frames = bench
        .node("NDATA", vec![Metric { datatype: None, ..instance("Motor2", "Motor", motor()) }]);
    assert_eq!(member_names(&payload(&frames[0]).metrics[0]), ["speed"]);
    assert!(!bench.leaks("Secret"));
}

#[test]
fn a_denied_datatype_is_denied_within_templates_too() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "motors"
        action = "forward"
        group = "G"
        [[rule]]
        name = "no-text"
        action = "deny"
        group = "G"
        datatypes = ["Text"]
    "#,
    );
    let note = |datatype| Metric { datatype, ..member("SecretNote", text("SecretValue")) };
    let motor = |datatype| vec![member("speed", text("1")), note(datatype)];
    let frames = bench.node(
        "NBIRTH",
        vec![
            definition("Motor", motor(Some(DataType::Text.code()))),
            // An instance may leave the datatype to its definition, or lie about it.
            instance("Motor1", "Motor", motor(None)),
            instance("Motor2", "Motor", motor(Some(DataType::String.code()))),
        ],
    );
    let birth = payload(&frames[0]);
    assert_eq!(names_of(&birth), ["Motor", "Motor1", "Motor2"]);
    for metric in &birth.metrics {
        assert_eq!(member_names(metric), ["speed"]);
    }
    assert!(!bench.leaks("SecretValue"));
}

#[test]
fn nested_types_are_pulled_in_and_scrubbed() {
    let mut bench = Bench::new(NO_SECRETS);
    let drive = || vec![member("amps", text("1")), member("SecretKey", text("SecretValue"))];
    let nested = || {
        let Some(value) = instance("Drive", "Drive", drive()).value else { panic!() };
        vec![member("Drive", value)]
    };
    let frames = bench.node(
        "NBIRTH",
        vec![
            definition("Drive", drive()),
            definition("Motor", nested()),
            instance("Motor2", "Motor", nested()),
        ],
    );
    let birth = payload(&frames[0]);
    assert_eq!(names_of(&birth), ["Drive", "Motor", "Motor2"]);
    assert_eq!(member_names(&birth.metrics[0]), ["amps"]);
    assert_eq!(member_names(&template_of(&birth.metrics[2]).metrics[0]), ["amps"]);
    assert!(!bench.leaks("Secret"));
}

#[test]
fn a_device_that_needs_another_type_makes_a_new_node_birth_first() {
    let mut bench = Bench::new(NO_SECRETS);
    let motor = || vec![member("speed", text("1")), member("SecretTorque", text("SecretValue"))];
    let frames = bench.node("NBIRTH", vec![definition("Motor", motor())]);
    // Nobody needs the definition yet.
    assert!(payload(&frames[0]).metrics.is_empty());
    bench.node("DBIRTH/D1", vec![typed("x", DataType::Int8, Value::Int(1))]);
    let frames = bench.node("DBIRTH/D2", vec![instance("Motor1", "Motor", motor())]);
    assert_eq!(verbs(&frames), "NBIRTH DBIRTH DBIRTH");
    assert_eq!(names_of(&payload(&frames[0])), ["Motor"]);
    assert_eq!(member_names(&payload(&frames[0]).metrics[0]), ["speed"]);
    assert!(!frames[2].synthetic);
    // After a rebirth it is known what the devices need.
    let frames = bench.node("NBIRTH", vec![definition("Motor", motor())]);
    assert_eq!(names_of(&payload(&frames[0])), ["Motor"]);
    let frames = bench.node("DBIRTH/D2", vec![instance("Motor1", "Motor", motor())]);
    assert_eq!(verbs(&frames), "DBIRTH");
    assert!(!bench.leaks("Secret"));
}

#[test]
fn data_that_needs_another_type_comes_after_a_new_birth() {
    let mut bench = Bench::new(NO_SECRETS);
    let motor = || vec![member("speed", text("1")), member("SecretTorque", text("SecretValue"))];
    let unset = Metric { value: None, is_null: Some(true), ..instance("Motor1", "", vec![]) };
    let frames = bench.node("NBIRTH", vec![definition("Motor", motor()), unset]);
    assert_eq!(names_of(&payload(&frames[0])), ["Motor1"]);
    let data = Metric { datatype: None, ..instance("Motor1", "Motor", motor()) };
    let frames = bench.node("NDATA", vec![data.clone()]);
    assert_eq!(verbs(&frames), "NBIRTH");
    assert_eq!(names_of(&payload(&frames[0])), ["Motor", "Motor1"]);
    assert_eq!(verbs(&bench.node("NDATA", vec![data])), "NDATA");
    assert!(!bench.leaks("Secret"));
}

#[test]
fn types_that_contain_themselves_end() {
    let mut bench = Bench::new(NO_SECRETS);
    let inner = |reference: &str| {
        let Some(value) = instance("x", reference, vec![]).value else { panic!() };
        value
    };
    let members = || (0..40).map(|n| member(&format!("m{n}"), inner("Loop"))).collect::<Vec<_>>();
    let frames = bench
        .node("NBIRTH", vec![definition("Loop", members()), instance("Motor1", "Loop", members())]);
    // 40 to the power of the depth can't be looked at: the instance doesn't cross.
    assert!(payload(&frames[0]).metrics.is_empty());
    assert_eq!(bench.dropped_metrics(Reason::OverCap), 2, "nor does its definition");
}

#[test]
fn denied_members_that_data_invents_fill_no_memory() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "all-but"
        action = "forward"
        group = "G"
        deny-metrics = ["*/Secret*"]
        "#,
    );
    let speed = || vec![member("speed", text("1"))];
    bench.node("NBIRTH", vec![definition("Motor", speed()), instance("Motor1", "Motor", speed())]);
    let stored = bench.pipeline.store(0).encoded_len();
    for message in 0..20 {
        let invented = (0..100).map(|n| member(&format!("Secret{message}-{n}"), text("x")));
        let members = invented.chain([member("speed", text("1"))]).collect();
        bench.node("NDATA", vec![instance("Motor1", "Motor", members)]);
        bench.pass(1000);
        bench.tick();
    }
    assert!(bench.pipeline.store(0).encoded_len() <= stored + 16);
    assert_eq!(bench.pipeline.account().forwarded, 21);
    assert!(!bench.leaks("Secret"));
}

#[test]
fn an_instance_of_a_denied_definition_does_not_cross() {
    let mut bench = Bench::new(
        r#"
        [[rule]]
        name = "all-but"
        action = "forward"
        group = "G"
        deny-metrics = ["SecretType"]
        "#,
    );
    let frames = bench.node(
        "NBIRTH",
        vec![
            definition("SecretType", vec![]),
            instance("Motor1", "SecretType", vec![]),
            typed("x", DataType::Int8, Value::Int(1)),
        ],
    );
    assert_eq!(names_of(&payload(&frames[0])), ["x"]);
    assert!(bench.node("NDATA", vec![by_name("Motor1", inner_null())]).is_empty());
    assert!(!bench.leaks("Secret"));
}

fn inner_null() -> Value {
    Value::Template(Box::new(Template {
        template_ref: Some("SecretType".into()),
        ..Template::default()
    }))
}

/// A birth that was due for it when the policy changed would have told its name.
#[test]
fn a_device_that_another_policy_denies_is_not_announced_by_a_birth_that_was_due() {
    let mut bench = Bench::new(ALL);
    bench.node("NBIRTH", vec![bd_seq(1)]);
    bench.node("DBIRTH/D1", vec![typed("a", DataType::Int32, Value::Int(1))]);
    bench.node("DDATA/D1", vec![typed("b", DataType::Int32, Value::Int(1))]);
    let waits = bench.node("DDATA/D1", vec![typed("c", DataType::Int32, Value::Int(1))]);
    assert!(waits.is_empty(), "births come once a second at most");
    let denies = "[[rule]]\nname = \"no\"\naction = \"deny\"\ngroup = \"G\"\ndevice = \"D1\"\n";
    let frames = bench.reload(&format!("{ALL}\n{denies}"));
    assert_eq!(verbs(&frames), "DDEATH");
    bench.pass(1100);
    let frames = relayed(&bench.tick());
    assert!(frames.is_empty(), "{frames:?}");
}
